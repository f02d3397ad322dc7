//! The headers Forwarded (RFC 7239) and X-Forwarded-For: the way of a request, as the proxies on it tell it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// An address on the way of a request, with its port where that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) address: IpAddr,
    port: Option<u16>,
}

/// The way that one header tells, beginning with who is farthest away; `None` for who is not told.
pub(super) type Way = Vec<Option<Hop>>;

/// The header cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl From<SocketAddr> for Hop {
    fn from(address: SocketAddr) -> Self {
        Self { address: address.ip(), port: Some(address.port()) }
    }
}

impl fmt::Display for Hop {
    /// As the meta API tells it, such as `tcp4:127.0.0.1:48638`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (IpAddr::V4(address), None) => write!(f, "tcp4:{address}"),
            (IpAddr::V4(address), Some(port)) => write!(f, "tcp4:{address}:{port}"),
            (IpAddr::V6(address), None) => write!(f, "tcp6:[{address}]"),
            (IpAddr::V6(address), Some(port)) => write!(f, "tcp6:[{address}]:{port}"),
        }
    }
}

/// The way that the values of X-Forwarded-For tell, in their order.
pub(super) fn parse_x_forwarded_for(values: &[impl AsRef<str>]) -> Way {
    values.iter().flat_map(|value| value.as_ref().split(',')).map(|hop| hop_of(hop.trim())).collect()
}

/// The way that the values of Forwarded tell, in their order.
pub(super) fn parse_forwarded(values: &[impl AsRef<str>]) -> Result<Way, Broken> {
    let mut way = Way::new();
    for value in values {
        let mut rest = Rest(value.as_ref().trim_start());
        while !rest.0.is_empty() {
            if rest.skip(',') {
                continue;
            }
            way.push(rest.element()?);
        }
    }
    Ok(way)
}

/// What is left of a value of Forwarded, without white space before it.
struct Rest<'v>(&'v str);

impl<'v> Rest<'v> {
    /// Takes a mark and the white space behind it, if it is there.
    fn skip(&mut self, mark: char) -> bool {
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.map_or(self.0, str::trim_start);
        rest.is_some()
    }

    /// Takes an element: who is told by its pair `for`.
    fn element(&mut self) -> Result<Option<Hop>, Broken> {
        let mut told = None;
        loop {
            if self.skip(';') {
                continue;
            }
            if self.0.is_empty() || self.0.starts_with(',') {
                return Ok(told.flatten());
            }
            let (name, value) = self.pair()?;
            if name.eq_ignore_ascii_case("for") && told.replace(hop_of(&value)).is_some() {
                return Err(Broken);
            }
            if !self.0.is_empty() && !self.0.starts_with([';', ',']) {
                return Err(Broken);
            }
        }
    }

    fn pair(&mut self) -> Result<(&'v str, String), Broken> {
        let name = self.token()?;
        self.0 = self.0.strip_prefix('=').ok_or(Broken)?;
        let value = match self.0.strip_prefix('"') {
            Some(text) => self.quoted(text)?,
            None => self.token()?.to_owned(),
        };
        self.0 = self.0.trim_start();
        Ok((name, value))
    }

    fn token(&mut self) -> Result<&'v str, Broken> {
        let is_in = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_in(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(Broken) } else { Ok(token) }
    }

    /// Takes a text up to its closing quotation mark.
    fn quoted(&mut self, text: &'v str) -> Result<String, Broken> {
        let mut value = String::new();
        let mut characters = text.chars();
        loop {
            match characters.next().ok_or(Broken)? {
                '"' => break,
                '\\' => value.push(characters.next().ok_or(Broken)?),
                other => value.push(other),
            }
        }
        self.0 = characters.as_str();
        Ok(value)
    }
}

/// An address as both headers have it, with a port or without; `None` for a name, or for who is not to be known.
fn hop_of(text: &str) -> Option<Hop> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Hop { address, port: None });
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, port) = text.split_once(']')?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => {
            let (address, port) = text.split_once(':')?;
            (IpAddr::V4(address.parse().ok()?), Some(port))
        }
    };
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_hidden = |port: &&str| {
        port.strip_prefix('_').is_some_and(|name| !name.is_empty() && name.chars().all(is_in_name))
    };
    let port = port.filter(|port| !is_hidden(port)).map(port_of);
    match port {
        Some(None) => None,
        port => Some(Hop { address, port: port.flatten() }),
    }
}

/// A port as a URI or a header has it: digits and nothing else.
pub(super) fn port_of(text: &str) -> Option<u16> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(way: &[Option<Hop>]) -> String {
        let hops = way.iter().map(|hop| hop.map_or("?".into(), |hop| hop.to_string()));
        hops.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn x_forwarded_for_is_a_list_of_addresses() {
        for (values, expected) in [
            (&["192.0.2.7"][..], "tcp4:192.0.2.7"),
            (&["192.0.2.7:4660"], "tcp4:192.0.2.7:4660"),
            (&["2001:db8::7"], "tcp6:[2001:db8::7]"),
            (&["[2001:db8::7]"], "tcp6:[2001:db8::7]"),
            (&["[2001:db8::7]:4660"], "tcp6:[2001:db8::7]:4660"),
            (&["192.0.2.7,10.0.0.1", " 10.0.0.2\t"], "tcp4:192.0.2.7 tcp4:10.0.0.1 tcp4:10.0.0.2"),
            (&["unknown, 10.0.0.1"], "? tcp4:10.0.0.1"),
            (&["192.0.2.7:65536"], "?"),
            (&["192.0.2.7:"], "?"),
            (&["192.0.2.7:+80"], "?"),
            (&["192.0.2.7:_"], "?"),
            (&["[2001:db8::7]:_https://a"], "?"),
            (&["192.0.2"], "?"),
            (&["[192.0.2.7]"], "?"),
            (&["[2001:db8::7]4660"], "?"),
            (&["[2001:db8::7"], "?"),
            (&["example.com, , \"10.0.0.1\""], "? ? ?"),
            (&[""], "?"),
            (&[][..], ""),
        ] {
            assert_eq!(shown(&parse_x_forwarded_for(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn forwarded_tells_of_each_hop_for_whom_it_was() {
        for (values, expected) in [
            (&["for=192.0.2.7"][..], Ok("tcp4:192.0.2.7")),
            (&["For=\"192.0.2.7:4660\""], Ok("tcp4:192.0.2.7:4660")),
            (&["for=\"[2001:db8::7]\""], Ok("tcp6:[2001:db8::7]")),
            (&["for=\"[2001:db8::7]:4660\";proto=https"], Ok("tcp6:[2001:db8::7]:4660")),
            (&["for=\"192.0.2.7:_port\""], Ok("tcp4:192.0.2.7")),
            (&["proto=http;by=10.0.0.1;for=192.0.2.7"], Ok("tcp4:192.0.2.7")),
            (&["for=192.0.2.7; host=\"a,b;c=\\\"d\\\"\" , for=10.0.0.1"], Ok("tcp4:192.0.2.7 tcp4:10.0.0.1")),
            (&["for=192.0.2.7", ", ,for=10.0.0.1,"], Ok("tcp4:192.0.2.7 tcp4:10.0.0.1")),
            (&["for=unknown, for=_hidden, for=\"_SEVKISEK\", proto=http"], Ok("? ? ? ?")),
            (&["for=\"10.\\0.0.1\""], Ok("tcp4:10.0.0.1")),
            (&[";for=192.0.2.7;;proto=http; , ;"], Ok("tcp4:192.0.2.7 ?")),
            (&["for=\"\""], Ok("?")),
            (&["", " "], Ok("")),
            (&[], Ok("")),
            (&["for"], Err(Broken)),
            (&["for="], Err(Broken)),
            (&["=192.0.2.7"], Err(Broken)),
            (&["192.0.2.7"], Err(Broken)),
            (&["for =192.0.2.7"], Err(Broken)),
            (&["for=192.0.2.7:4660"], Err(Broken)),
            (&["for=[2001:db8::7]"], Err(Broken)),
            (&["for=\"192.0.2.7"], Err(Broken)),
            (&["for=\"192.0.2.7\\"], Err(Broken)),
            (&["for=\"192.0.2.7\"x"], Err(Broken)),
            (&["for=192.0.2.7 for=10.0.0.1"], Err(Broken)),
            (&["for=192.0.2.7;for=10.0.0.1"], Err(Broken)),
            (&["for=192.0.2.7", "x"], Err(Broken)),
        ] {
            let found = parse_forwarded(values).map(|way| shown(&way));
            assert_eq!(found, expected.map(str::to_owned), "{values:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_way_makes_another_of_it() {
        let whole = "for=\"[2001:db8::7]:4660\";proto=https, for=192.0.2.43;host=\"a\\\"b\"";
        let expected = ["tcp6:[2001:db8::7]:4660", "tcp6:[2001:db8::7]:4660 tcp4:192.0.2.43"];
        let found = (0..=whole.len()).filter_map(|end| parse_forwarded(&[&whole[..end]]).ok());
        let mut found = found.map(|way| shown(&way)).collect::<Vec<_>>();
        found.dedup();
        let cut = "tcp6:[2001:db8::7]:4660 ?";
        assert_eq!(found, ["", expected[0], cut, "tcp6:[2001:db8::7]:4660 tcp4:192.0.2.4", expected[1]]);
    }
}
