//! Which web pages may connect. A browser tells the origin of the page; other clients tell none.

use super::forwarded::port_of;
use crate::AllowedOrigin;
use actix_http::uri::Uri;
use std::net::IpAddr;

/// An origin (RFC 6454) with its port, whether written out or not.
#[derive(Debug)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &[u8]) -> Option<Self> {
        let uri = Uri::try_from(text).ok()?;
        let (scheme, host) = (uri.scheme_str()?.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase());
        // Nobody's name stands before the host, and nothing but a port behind it.
        let port = match (uri.authority()?.as_str().get(host.len()..)?, &*scheme) {
            ("", "http") => Some(80),
            ("", "https") => Some(443),
            ("", _) => None,
            (port, _) => Some(port_of(port.strip_prefix(':')?)?),
        };
        // The parser leaves out what stands behind a #.
        // The parser takes other schemes too than there can be (RFC 3986 section 3.1).
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_all = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains(&b'#');
        (is_scheme && is_all).then_some(Self { scheme, host, port })
    }

    fn is_loopback(&self) -> bool {
        let address = match self.host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').and_then(|text| text.parse().ok()).map(IpAddr::V6),
            None => self.host.parse().ok().map(IpAddr::V4),
        };
        self.host == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.scheme, &self.host, self.port) == (&other.scheme, &other.host, other.port)
    }
}

/// Whether pages of this origin, as the header tells it, may connect.
pub(super) fn is_allowed(origin: &[u8], allowed: &[AllowedOrigin]) -> bool {
    let origin = Origin::parse(origin);
    allowed.iter().any(|allowed| match (allowed, &origin) {
        (AllowedOrigin::Any, _) => true,
        (AllowedOrigin::Loopback | AllowedOrigin::Exactly(_), None) => false,
        (AllowedOrigin::Loopback, Some(origin)) => origin.is_loopback(),
        (AllowedOrigin::Exactly(text), Some(origin)) => {
            Origin::parse(text.as_bytes()).is_some_and(|allowed| allowed.is_same(origin))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &[AllowedOrigin], cases: &[(&str, bool)]) {
        for (origin, expected) in cases {
            assert_eq!(is_allowed(origin.as_bytes(), allowed), *expected, "{origin} by {allowed:?}");
        }
    }

    #[test]
    fn pages_from_loopback_are_those_from_this_machine() {
        let cases = [
            ("http://localhost", true),
            ("http://LocalHost:80", true),
            ("https://localhost:3000", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:5173", true),
            ("https://example.com", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://192.168.0.1", false),
            ("localhost", false),
            ("null", false),
            ("file://", false),
            ("", false),
            ("http://localhost:", false),
            ("http://localhost:+80", false),
            ("http://localhost:65536", false),
            ("http://localhost:80:80", false),
            ("http://someone@localhost", false),
            ("http://localhost@localhost", false),
            ("http://localhost#part", false),
            ("http://[127.0.0.1]", false),
            ("http://[::1", false),
            ("://localhost", false),
            ("1.http://localhost", false),
            ("ht~p://localhost", false),
            ("app+1.0-x://localhost", true),
        ];
        check(&[AllowedOrigin::Loopback], &cases);
    }

    #[test]
    fn an_origin_is_its_scheme_its_host_and_its_port() {
        let cases = [
            ("https://example.com", true),
            ("https://Example.COM", true),
            ("HTTPS://example.com:443", true),
            ("http://example.com", false),
            ("http://example.com:443", false),
            ("https://example.com:444", false),
            ("https://www.example.com", false),
            ("https://example.com.example.org", false),
            ("https://example.com/page", false),
            ("https://example.com?page", false),
            ("https://example.com#part", false),
            ("https://someone@example.com", false),
            ("https://example.com:", false),
            ("https://example.com:65979", false),
            ("null", false),
        ];
        for allowed in ["https://example.com", "https://EXAMPLE.com:443", "https://example.com/"] {
            check(&[AllowedOrigin::Exactly(allowed.into())], &cases);
        }
        let port = AllowedOrigin::Exactly("http://example.com:8080".into());
        check(&[port], &[("http://example.com:8080", true), ("http://example.com", false)]);
        let default = AllowedOrigin::Exactly("http://example.com:80".into());
        check(&[default], &[("http://example.com", true), ("https://example.com:80", false)]);
    }

    #[test]
    fn one_of_several_is_enough_and_none_allows_none() {
        let both = [AllowedOrigin::Exactly("https://example.com".into()), AllowedOrigin::Loopback];
        check(&both, &[("https://example.com", true), ("http://localhost", true), ("http://a.b", false)]);
        check(&[AllowedOrigin::Any], &[("https://example.com", true), ("null", true), ("", true)]);
        check(&[], &[("http://localhost", false)]);
    }
}
