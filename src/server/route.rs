//! Where a client is: whoever opened the connection or, if that is a balancer that is trusted, whom it tells.
//!
//! What is told is walked from the nearest to the farthest. The first who is not trusted is the client: whatever lies
//! behind, that one may have made up.

use super::forwarded::{Hop, parse_forwarded, parse_x_forwarded_for};
use actix_http::header::{self, HeaderMap};
use ipnet::IpNet;
use realmkeeper_actors::{
    metrics::Metrics,
    proxy::{Belief, ProxyHeader},
};
use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The client.
    pub(super) client: Hop,
    /// Who opened the connection, if that is a balancer.
    pub(super) via: Option<Hop>,
}

/// Why a request is refused for what it tells of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misled {
    /// A header cannot be understood.
    #[error("the header Forwarded is not as RFC 7239 has it")]
    Broken,
    /// One of the headers is not the balancer's.
    #[error("the headers Forwarded and X-Forwarded-For tell different clients")]
    Different,
}

impl Route {
    /// The client opened the connection itself.
    pub(super) fn direct(peer: SocketAddr) -> Self {
        Self { client: peer.into(), via: None }
    }

    /// Takes what the PROXY protocol tells of the client.
    pub(super) fn tell(&mut self, client: SocketAddr, trusted: &[IpNet]) -> Belief {
        if !is_trusted(self.client.address, trusted) {
            return Belief::Ignored;
        }
        *self = self.to(client.into());
        Belief::Believed
    }

    /// Takes what the headers of a request tell of the client.
    pub(super) fn follow(
        self,
        headers: &HeaderMap,
        trusted: &[IpNet],
        metrics: &Metrics,
    ) -> Result<Self, Misled> {
        // What is no text stands for itself: the rest of a header is as good as without it.
        let [forwarded, x_forwarded_for] = [header::FORWARDED, header::X_FORWARDED_FOR].map(|name| {
            let values = headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            values.collect::<Vec<_>>()
        });
        let told = [(ProxyHeader::Forwarded, &forwarded), (ProxyHeader::XForwardedFor, &x_forwarded_for)];
        let count = |belief| {
            let told = told.iter().filter(|(_, values)| !values.is_empty());
            told.for_each(|(header, _)| metrics.proxy_header(*header, belief));
        };
        if !is_trusted(self.client.address, trusted) {
            count(Belief::Ignored);
            return Ok(self);
        }
        let followed = self.walk(&forwarded, &x_forwarded_for, trusted);
        count(if followed.is_ok() { Belief::Believed } else { Belief::Broken });
        followed
    }

    fn walk(
        self,
        forwarded: &[Cow<'_, str>],
        x_forwarded_for: &[Cow<'_, str>],
        trusted: &[IpNet],
    ) -> Result<Self, Misled> {
        let farthest = |way: Vec<Option<Hop>>| {
            way.into_iter().rev().map_while(|hop| hop).fold(self.client, |client, hop| {
                if is_trusted(client.address, trusted) { hop } else { client }
            })
        };
        let first = farthest(parse_forwarded(forwarded).map_err(|_| Misled::Broken)?);
        let second = farthest(parse_x_forwarded_for(x_forwarded_for));
        match (forwarded, x_forwarded_for) {
            ([], []) => Ok(self),
            (_, []) => Ok(self.to(first)),
            ([], _) => Ok(self.to(second)),
            _ if first.address == second.address => Ok(self.to(first)),
            _ => Err(Misled::Different),
        }
    }

    /// The same with another client.
    fn to(self, client: Hop) -> Self {
        let is_other = client != self.client;
        Self { client, via: self.via.or(is_other.then_some(self.client)) }
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::header::HeaderValue;

    /// Who is found, and through whom, for a connection from `peer` with these headers.
    fn follow(peer: &str, forwarded: &[&'static str], x_forwarded_for: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, values) in [(header::FORWARDED, forwarded), (header::X_FORWARDED_FOR, x_forwarded_for)] {
            values.iter().for_each(|value| {
                headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            });
        }
        let route = Route::direct(peer.parse().unwrap()).follow(&headers, &trusted, &Metrics::default());
        match route {
            Ok(Route { client, via: None }) => client.to_string(),
            Ok(Route { client, via: Some(via) }) => format!("{client} via {via}"),
            Err(misled) => misled.to_string(),
        }
    }

    #[test]
    fn the_first_hop_that_is_not_trusted_is_the_client() {
        for (peer, x_forwarded_for, expected) in [
            ("10.0.0.1:5", &["192.0.2.7"][..], "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("[::1]:5", &["192.0.2.7"], "tcp4:192.0.2.7 via tcp6:[::1]:5"),
            ("[::ffff:10.0.0.1]:5", &["192.0.2.7"], "tcp4:192.0.2.7 via tcp6:[::ffff:10.0.0.1]:5"),
            ("10.0.0.1:5", &["192.0.2.9, 192.0.2.7"], "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.9, 192.0.2.7, 10.0.0.2"], "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.9", "192.0.2.7", "10.0.0.2"], "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["10.0.0.3, 10.0.0.2"], "tcp4:10.0.0.3 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.7, unknown, 10.0.0.2"], "tcp4:10.0.0.2 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["192.0.2.7, unknown"], "tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &["\u{e9}, 192.0.2.7"], "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", &[], "tcp4:10.0.0.1:5"),
            ("192.0.2.1:5", &["192.0.2.7"], "tcp4:192.0.2.1:5"),
            ("192.0.2.1:5", &["10.0.0.1"], "tcp4:192.0.2.1:5"),
        ] {
            assert_eq!(follow(peer, &[], x_forwarded_for), expected, "{peer} {x_forwarded_for:?}");
        }
    }

    #[test]
    fn both_headers_have_to_tell_the_same() {
        let different = "the headers Forwarded and X-Forwarded-For tell different clients";
        let broken = "the header Forwarded is not as RFC 7239 has it";
        for (peer, forwarded, x_forwarded_for, expected) in [
            ("10.0.0.1:5", "for=192.0.2.7", "192.0.2.7", "tcp4:192.0.2.7 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", "for=\"192.0.2.7:4\"", "192.0.2.7", "tcp4:192.0.2.7:4 via tcp4:10.0.0.1:5"),
            ("10.0.0.1:5", "for=10.0.0.9", "192.0.2.7", different),
            ("10.0.0.1:5", "for=unknown", "192.0.2.7", different),
            ("10.0.0.1:5", "for=192.0.2.7", "", different),
            ("10.0.0.1:5", "for=\"192.0.2.7", "192.0.2.7", broken),
            ("192.0.2.1:5", "for=10.0.0.9", "192.0.2.7", "tcp4:192.0.2.1:5"),
            ("192.0.2.1:5", "for=\"", "192.0.2.7", "tcp4:192.0.2.1:5"),
        ] {
            let found = follow(peer, &[forwarded], &[x_forwarded_for]);
            assert_eq!(found, expected, "{peer} {forwarded} {x_forwarded_for}");
        }
    }

    #[test]
    fn the_proxy_protocol_goes_before_the_headers() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut route = Route::direct("10.0.0.1:5".parse().unwrap());
        assert_eq!(route.tell("10.0.0.2:6".parse().unwrap(), &trusted), Belief::Believed);
        let walked = route.walk(&[], &["192.0.2.7".into()], &trusted);
        let (client, via) = (
            Hop::from(SocketAddr::from(([192, 0, 2, 7], 7))),
            Hop::from(SocketAddr::from(([10, 0, 0, 1], 5))),
        );
        assert_eq!(walked.map(|route| (route.client.address, route.via)), Ok((client.address, Some(via))));
        assert_eq!(route.tell("192.0.2.8:6".parse().unwrap(), &trusted), Belief::Believed);
        assert_eq!(route.tell("10.0.0.3:6".parse().unwrap(), &trusted), Belief::Ignored);
        assert_eq!(route, Route { client: SocketAddr::from(([192, 0, 2, 8], 6)).into(), via: Some(via) });
    }
}
