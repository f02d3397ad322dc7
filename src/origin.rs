//! Which web pages may connect. A browser tells the origin of the page; other clients tell none.

use actix_http::{header::HeaderValue, uri::Uri};
use std::net::IpAddr;

/// Whether a request with this header `Origin` may connect: pages from loopback addresses may, and whatever is
/// no web page. Otherwise any page on the web could reach into a developer's router.
pub(crate) fn is_allowed(origin: Option<&HeaderValue>) -> bool {
    let Some(origin) = origin else { return true };
    let uri = Uri::try_from(origin.as_bytes()).ok();
    uri.as_ref().and_then(Uri::host).is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_from_loopback_and_clients_without_origin_are_allowed() {
        assert!(is_allowed(None));
        for (origin, allowed) in [
            ("http://localhost", true),
            ("https://localhost:3000", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:5173", true),
            ("https://example.com", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://192.168.0.1", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(Some(&HeaderValue::from_static(origin))), allowed, "{origin}");
        }
    }
}
