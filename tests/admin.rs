//! What those who run the service ask it: at an address of its own or on the first listener, while it serves and
//! while it stops.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
    peer::Received,
};
use realmkeeper::{Listener, Settings};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};

/// All paths.
const PATHS: [&str; 4] = ["/metrics", "/healthz", "/livez", "/readyz"];

/// Has an address for the paths alone.
fn apart(settings: &mut Settings) {
    settings.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
}

/// Has a second listener, at `/wamp`.
fn two_listeners(settings: &mut Settings) {
    let first = settings.listeners[0].clone();
    settings.listeners.push(Listener { path: "/wamp".into(), ..first });
}

/// Asserts that all paths are answered there while the service serves, and that others are not.
fn check_serving(address: SocketAddr) {
    for (path, text) in [("/healthz", "ok"), ("/livez", "ok"), ("/readyz", "ready")] {
        let expected = Answer::plain("200 ok", text);
        assert_eq!(http::plain(address, &format!("GET {path}")), expected, "{path}");
        assert_eq!(http::plain(address, &format!("HEAD {path}")), expected.without_text(), "{path}");
    }
    let metrics = http::plain(address, "GET /metrics");
    assert_eq!(
        (&*metrics.status, &metrics.headers[0], &*metrics.headers[2]),
        ("200 ok", &"connection: close".to_owned(), "content-type: text/plain; version=0.0.4; charset=utf-8")
    );
    for line in metrics.text.lines() {
        let is_sample = line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok());
        assert!(is_sample || line.starts_with("# HELP ") || line.starts_with("# TYPE "), "{line}");
    }
    let head = http::plain(address, "HEAD /metrics");
    assert_eq!(
        (head.status, head.headers[2].clone(), &*head.text),
        (metrics.status, metrics.headers[2].clone(), "")
    );
}

/// Asserts that none of the paths is answered there: WAMP clients connect at `path`.
fn check_elsewhere(address: SocketAddr, path: &str) {
    let expected = Answer::plain("404 not found", &format!("WAMP clients connect at {path}"));
    for asked in PATHS {
        assert_eq!(http::plain(address, &format!("GET {asked}")), expected, "{asked}");
        assert_eq!(
            http::plain(address, &format!("HEAD {asked}")),
            expected.clone().without_text(),
            "{asked}"
        );
    }
}

#[test]
fn with_an_address_of_their_own_the_paths_are_answered_only_there() {
    let router = Router::with(|settings| {
        apart(settings);
        two_listeners(settings);
    });
    let admin = router.admin().expect("it has an address");
    check_serving(admin);
    check_elsewhere(router.addresses()[0], "/ws");
    check_elsewhere(router.addresses()[1], "/wamp");
    let expected = Answer::plain("404 not found", "there is /metrics, /healthz, /livez and /readyz here");
    for line in ["GET /", "GET /ws", "GET /healthz/", "POST /healthz", "DELETE /metrics"] {
        assert_eq!(http::plain(admin, line), expected, "{line}");
    }
    assert_eq!(http::ask(admin, &http::upgrade("GET /ws", &[])), expected);
}

#[test]
fn without_an_address_of_their_own_the_paths_are_answered_on_the_first_listener() {
    let router = Router::with(two_listeners);
    assert_eq!(router.admin(), None);
    check_serving(router.addresses()[0]);
    check_elsewhere(router.addresses()[1], "/wamp");
    let expected = Answer::plain("404 not found", "WAMP clients connect at /ws");
    for line in ["GET /", "POST /healthz", "DELETE /metrics"] {
        assert_eq!(http::plain(router.addresses()[0], line), expected, "{line}");
    }
}

/// Stops a router while a client does not answer GOODBYE, and checks what others are told until it does.
fn check_stopping(change: impl FnOnce(&mut Settings)) {
    let mut router = Router::with(|settings| {
        settings.listeners[0].session.linger = Duration::from_secs(60);
        change(settings);
    });
    let address = router.address();
    let admin = router.admin().unwrap_or(address);
    let mut silent = Peer::join(&router, Serializer::Json);
    let mut opened = Peer::connect(&router, Serializer::Json);
    router.stop();
    assert_eq!(silent.message(), json!([6, {}, "wamp.close.system_shutdown"]));
    assert_eq!(opened.message(), json!([3, {"message": "the router stops"}, "wamp.close.system_shutdown"]));
    let stops = Answer::plain("503 service unavailable", "the router stops");
    assert_eq!(http::plain(admin, "GET /readyz"), stops);
    assert_eq!(http::plain(admin, "HEAD /readyz"), stops.clone().without_text());
    assert_eq!(http::plain(admin, "GET /healthz"), Answer::plain("200 ok", "ok"));
    assert_eq!(http::plain(admin, "GET /livez"), Answer::plain("200 ok", "ok"));
    assert_eq!(http::plain(admin, "GET /metrics").status, "200 ok");
    assert_eq!(http::ask(address, &http::upgrade("GET /ws", &[])), stops);
    assert_eq!(opened.receive(), Received::Close(Some(1001)));
    assert_eq!(opened.receive(), Received::End);
    silent.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
    assert_eq!(silent.receive(), Received::Close(Some(1001)));
    assert_eq!(silent.receive(), Received::End);
}

#[test]
fn a_router_that_stops_is_not_ready_but_can_be_asked_until_its_sessions_are_gone() {
    check_stopping(|_| ());
    check_stopping(apart);
}
