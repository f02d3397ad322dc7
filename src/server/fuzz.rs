//! The headers of a request that are read before a session begins: what must hold whatever they say.

use super::{origin, route::Route};
use crate::AllowedOrigin;
use actix_http::header::{self, HeaderMap, HeaderValue};
use ipnet::IpNet;
use realmkeeper_actors::metrics::Metrics;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
};

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// Takes octets apart into lines, of which each is a header: behind `f` a value of Forwarded, behind `x` one of
/// X-Forwarded-For, and else an Origin. Pages of this machine are those that a literal reading finds; the client is who
/// opened the connection or, where that one is trusted, whom the headers lead to.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|octet| *octet == b'\n').take(20) {
        let (name, value) = match line {
            [b'f', value @ ..] => (header::FORWARDED, value),
            [b'x', value @ ..] => (header::X_FORWARDED_FOR, value),
            origin => {
                check_origin(origin);
                continue;
            }
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    check_way(&headers);
}

fn check_origin(value: &[u8]) {
    let is_allowed = origin::is_allowed(value, &[AllowedOrigin::Loopback]);
    let is_of_this_machine = std::str::from_utf8(value).is_ok_and(is_of_this_machine);
    assert_eq!(is_allowed, is_of_this_machine, "{:?}", String::from_utf8_lossy(value));
}

/// Whether a text is the origin of a page of this machine, read literally (RFC 6454 section 7).
fn is_of_this_machine(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.len() <= 64
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let rest = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (&*rest, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|octet| octet.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let of_six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = host == "localhost"
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || of_six.is_some_and(|text| text.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()));
    is_scheme && is_host && port.is_none_or(is_port)
}

fn check_way(headers: &HeaderMap) {
    let trusted: [IpNet; 1] = [IpNet::new_assert(Ipv4Addr::new(10, 0, 0, 0).into(), 8)];
    let stranger = Route::direct(SocketAddr::from(([192, 0, 2, 1], 1)));
    assert_eq!(stranger.follow(headers, &trusted, &METRICS), Ok(stranger), "nobody asked this one");

    let direct = Route::direct(SocketAddr::from(([10, 0, 0, 1], 1)));
    let Ok(found) = direct.follow(headers, &trusted, &METRICS) else { return };
    assert_eq!(found.via, (found.client != direct.client).then_some(direct.client), "who is via");
    if headers.contains_key(header::FORWARDED) {
        return;
    }
    // Read literally: from the last to the first, as long as each is trusted and tells of somebody.
    let values =
        headers.get_all(header::X_FORWARDED_FOR).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let told: Vec<_> =
        values.flat_map(|value| value.split(',').map(address_of).collect::<Vec<_>>()).collect();
    let mut client = direct.client.address;
    for hop in told.into_iter().rev() {
        match hop {
            Some(hop) if trusted[0].contains(&client.to_canonical()) => client = hop,
            _ => break,
        }
    }
    assert_eq!(found.client.address, client, "the way is walked");
}

/// The address of a hop, read with the parsers of the standard library.
fn address_of(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let (host, port) = match hop.rsplit_once(':') {
        Some((host, port)) if is_hidden(port) => (host, None),
        _ => (hop, Some(())),
    };
    if port.is_none() {
        return bracketed(host).or_else(|| host.parse().ok().map(IpAddr::V4));
    }
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(|| bracketed(hop)).or_else(with_port)
}

/// Whether it stands for a port that is not told (RFC 7239 section 6.3).
fn is_hidden(port: &str) -> bool {
    let is_in = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
    port.len() > 1 && port.starts_with('_') && port.bytes().all(is_in)
}

fn bracketed(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}
