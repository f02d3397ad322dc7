//! The PROXY protocol, versions 1 and 2: what a balancer tells of the client before anything else on a connection.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// How a header of version 1 begins.
const TEXT: &[u8] = b"PROXY ";
/// How long a header of version 1 is at most, with its line end.
const LONGEST_TEXT: usize = 107;
/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// How long a header of version 2 is up to the addresses.
const FIXED: usize = 16;
/// How long a header of version 2 is at most, with all that is told besides the addresses.
const LONGEST: usize = 4096;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// It is none at all.
    #[error("no header of the PROXY protocol")]
    Signature,
    /// It is longer than it may be.
    #[error("longer than it may be")]
    TooLong,
    /// A line of version 1 is not as it has to be.
    #[error("a line that is not as version 1 has it")]
    Line,
    /// The version is not 2, or the command not known.
    #[error("an unknown version or command")]
    Command,
    /// The kind of addresses is not known.
    #[error("an unknown kind of addresses")]
    Family,
    /// There is no room for the addresses.
    #[error("too short for its addresses")]
    TooShort,
}

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The client; `None` if that is whoever opened the connection.
    pub(super) client: Option<SocketAddr>,
    length: usize,
}

/// Reads a header and nothing behind it; `None` if the connection ends before it begins.
pub(super) async fn read(socket: &mut TcpStream) -> io::Result<Option<Header>> {
    let mut buffer = vec![0; LONGEST];
    let mut taken = 0;
    loop {
        // What has come is taken only as far as it belongs to the header.
        let come = taken + socket.peek(&mut buffer[taken..]).await?;
        if come == taken {
            return if taken == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let header = parse(&buffer[..come]).map_err(io::Error::other)?;
        let end = header.map_or(come, |header| header.length);
        socket.read_exact(&mut buffer[taken..end]).await?;
        if header.is_some() {
            return Ok(header);
        }
        taken = end;
    }
}

/// Finds the header at the beginning of what has come; `None` if it is not whole yet.
pub(crate) fn parse(octets: &[u8]) -> Result<Option<Header>, Broken> {
    let begins_as = |start: &[u8]| octets.iter().zip(start).all(|(octet, start)| octet == start);
    if begins_as(TEXT) {
        parse_text(octets)
    } else if begins_as(SIGNATURE) {
        parse_binary(octets)
    } else {
        Err(Broken::Signature)
    }
}

fn parse_text(octets: &[u8]) -> Result<Option<Header>, Broken> {
    let line = &octets[..octets.len().min(LONGEST_TEXT)];
    let Some(end) = line.iter().position(|octet| !matches!(octet, b' '..=b'~')) else {
        return if line.len() < LONGEST_TEXT { Ok(None) } else { Err(Broken::TooLong) };
    };
    match line[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if line.len() < LONGEST_TEXT => return Ok(None),
        _ => return Err(Broken::Line),
    }
    let text = line.get(TEXT.len()..end).and_then(|text| str::from_utf8(text).ok()).ok_or(Broken::Line)?;
    Ok(Some(Header { client: client_of(text)?, length: end + 2 }))
}

/// The client that a line of version 1 names behind its first word.
fn client_of(line: &str) -> Result<Option<SocketAddr>, Broken> {
    let parts: Vec<_> = line.split(' ').collect();
    match parts[..] {
        ["UNKNOWN", ..] => Ok(None),
        ["TCP4", source, destination, port, other_port] => {
            let _: (Ipv4Addr, u16) = (value(destination)?, number(other_port)?);
            Ok(Some((value::<Ipv4Addr>(source)?, number(port)?).into()))
        }
        ["TCP6", source, destination, port, other_port] => {
            let _: (Ipv6Addr, u16) = (value(destination)?, number(other_port)?);
            Ok(Some((value::<Ipv6Addr>(source)?, number(port)?).into()))
        }
        _ => Err(Broken::Line),
    }
}

fn value<T: FromStr>(text: &str) -> Result<T, Broken> {
    text.parse().map_err(|_| Broken::Line)
}

/// A port as it has to be written: neither with a sign nor with zeros before it.
fn number(text: &str) -> Result<u16, Broken> {
    let port: u16 = value(text)?;
    if port.to_string() == text { Ok(port) } else { Err(Broken::Line) }
}

fn parse_binary(octets: &[u8]) -> Result<Option<Header>, Broken> {
    let is_local = match octets.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Broken::Command),
    };
    // What LOCAL says of addresses does not count, nor do those of datagrams and sockets in the file system.
    let (kind, least) = match octets.get(13) {
        None => return Ok(None),
        Some(_) if is_local => (Kind::Other, 0),
        Some(0x11) => (Kind::Ipv4, 12),
        Some(0x21) => (Kind::Ipv6, 36),
        Some(0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32) => (Kind::Other, 0),
        Some(_) => return Err(Broken::Family),
    };
    let Some(([high, low], rest)) = octets[14..].split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST - FIXED {
        return Err(Broken::TooLong);
    }
    if length < least {
        return Err(Broken::TooShort);
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    Ok(Some(Header { client: kind.client(block), length: FIXED + length }))
}

/// What addresses a header of version 2 has.
#[derive(Clone, Copy)]
enum Kind {
    Ipv4,
    Ipv6,
    Other,
}

impl Kind {
    /// The client in a block of addresses: its address, that of the other end, its port, the other port.
    fn client(self, block: &[u8]) -> Option<SocketAddr> {
        let (address, port): (IpAddr, usize) = match self {
            Self::Ipv4 => ((*block.first_chunk::<4>()?).into(), 8),
            Self::Ipv6 => ((*block.first_chunk::<16>()?).into(), 32),
            Self::Other => return None,
        };
        let port = block.get(port..)?.first_chunk()?;
        Some((address, u16::from_be_bytes(*port)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Vec<u8> {
        line.as_bytes().to_vec()
    }

    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    /// The addresses of a client and of a router, their ports, and a TLV.
    fn block(address: &[u8]) -> Vec<u8> {
        [address, &vec![9; address.len()], &[0x12, 0x34], &[0x1f, 0x90], &[0x04, 0, 2, 7, 7]].concat()
    }

    #[test]
    fn a_header_names_the_client_and_ends_where_it_ends() {
        let unknown = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        assert_eq!(unknown.len(), LONGEST_TEXT);
        let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        for (header, client) in [
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 4660 8080\r\n"), Some("192.0.2.7:4660")),
            (text("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n"), Some("[2001:db8::7]:0")),
            (text("PROXY UNKNOWN\r\n"), None),
            (text(&unknown), None),
            (binary(0x21, 0x11, &block(&[192, 0, 2, 7])), Some("192.0.2.7:4660")),
            (binary(0x21, 0x11, &block(&[192, 0, 2, 7])[..12]), Some("192.0.2.7:4660")),
            (binary(0x21, 0x21, &block(&ipv6.octets())), Some("[2001:db8::7]:4660")),
            (binary(0x21, 0x11, &[block(&[192, 0, 2, 7]), vec![0; 4063]].concat()), Some("192.0.2.7:4660")),
            (binary(0x21, 0x12, &block(&[192, 0, 2, 7])), None),
            (binary(0x21, 0x31, &[0; 216]), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x20, 0x11, &block(&[192, 0, 2, 7])), None),
            (binary(0x20, 0xff, &[1]), None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let whole = Ok(Some(Header { client, length: header.len() }));
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Ok(None), "the first {end} of {}", header.escape_ascii());
            }
            assert_eq!(parse(&header), whole, "{}", header.escape_ascii());
            assert_eq!(parse(&[&header, &b"GET /ws"[..]].concat()), whole, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn no_octet_of_a_header_makes_more_of_it_than_there_is() {
        let ipv6 = [7; 16];
        for header in [
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4660 8080\r\n"),
            binary(0x21, 0x11, &block(&[192, 0, 2, 7])),
            binary(0x21, 0x21, &block(&ipv6)),
        ] {
            for (place, octet) in
                (0..header.len()).flat_map(|place| (0..=255).map(move |octet| (place, octet)))
            {
                let mut changed = header.clone();
                changed[place] = octet;
                if let Ok(Some(found)) = parse(&changed) {
                    assert!(found.length <= changed.len(), "{}", changed.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn a_broken_header_is_found_out_by_its_first_wrong_octet() {
        let long = format!("PROXY UNKNOWN {}", "f".repeat(93));
        for (octets, expected) in [
            (text("G"), Broken::Signature),
            (text("PROXX"), Broken::Signature),
            (text("\r\n\r\n\0\r\nQUIX"), Broken::Signature),
            (text(&long), Broken::TooLong),
            (text("PROXY \r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7\rx"), Broken::Line),
            (text("PROXY TCP4 \x07"), Broken::Line),
            (text("PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n"), Broken::Line),
            (text("PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 ::1 1 2\r\n"), Broken::Line),
            (text("PROXY TCP6 192.0.2.7 ::1 1 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n"), Broken::Line),
            (text("PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n"), Broken::Line),
            (binary(0x11, 0x11, &[])[..13].to_vec(), Broken::Command),
            (binary(0x22, 0x11, &[])[..13].to_vec(), Broken::Command),
            (binary(0x21, 0x41, &[])[..14].to_vec(), Broken::Family),
            (binary(0x21, 0x13, &[])[..14].to_vec(), Broken::Family),
            (binary(0x21, 0x11, &[0; 11])[..16].to_vec(), Broken::TooShort),
            (binary(0x21, 0x21, &[0; 35])[..16].to_vec(), Broken::TooShort),
            (binary(0x21, 0x11, &[0; LONGEST - FIXED + 1])[..16].to_vec(), Broken::TooLong),
        ] {
            assert_eq!(parse(&octets), Err(expected), "{}", octets.escape_ascii());
        }
    }
}
