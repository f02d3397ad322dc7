//! The upgrade of a connection: who is let in, what others are told, and that nothing behind it is lost.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use tungstenite::{WebSocket, protocol::Role};

/// Asserts that a request is refused with this status and text, after which the connection ends.
fn check_refusal(request: &str, status: &str, text: &str) {
    let router = Router::start();
    let mut expected = Answer::plain(status, text);
    if status.starts_with("405") {
        expected = expected.with("allow: get");
    }
    if status.starts_with("426") {
        expected = expected.with("sec-websocket-version: 13").with("upgrade: websocket");
        expected.headers[0].push_str(", upgrade");
    }
    assert_eq!(http::ask(router.address(), request), expected, "{request}");
}

/// Asserts that of these subprotocols one is chosen.
fn check_choice(offers: &[&str], chosen: &str) {
    let router = Router::start();
    let offers: Vec<_> = offers.iter().map(|offer| ("Sec-WebSocket-Protocol", Some(*offer))).collect();
    let request = http::upgrade("GET /ws", &offers);
    let Answer { status, headers, .. } = http::ask(router.address(), &request);
    assert_eq!(status, http::UPGRADED);
    let expected = [
        "connection: upgrade".to_owned(),
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=".to_owned(),
        format!("sec-websocket-protocol: {chosen}"),
        "upgrade: websocket".to_owned(),
    ];
    assert_eq!(headers, expected, "{offers:?}");
}

#[test]
fn the_first_subprotocol_of_the_client_that_is_spoken_here_is_chosen() {
    check_choice(&["wamp.2.json"], "wamp.2.json");
    check_choice(&["wamp.2.msgpack"], "wamp.2.msgpack");
    check_choice(&["wamp.2.cbor"], "wamp.2.cbor");
    check_choice(&["wamp.2.cbor, wamp.2.json"], "wamp.2.cbor");
    check_choice(&["soap,wamp.2.msgpack ,wamp.2.json"], "wamp.2.msgpack");
    check_choice(&["wamp.2.json.batched, wamp.2.msgpack.batched, wamp.2.cbor"], "wamp.2.cbor");
    check_choice(&["wamp.2.flatbuffers", "wamp.2.json"], "wamp.2.json");
}

#[test]
fn a_client_without_a_common_subprotocol_is_told_which_there_are() {
    let text = "the header Sec-WebSocket-Protocol must offer one of wamp.2.json, wamp.2.msgpack, wamp.2.cbor";
    for offer in [None, Some("soap"), Some("wamp.2.json.batched"), Some("WAMP.2.JSON"), Some("")] {
        let request = http::upgrade("GET /ws", &[("Sec-WebSocket-Protocol", offer)]);
        check_refusal(&request, "400 bad request", text);
    }
}

#[test]
fn a_page_of_another_origin_is_refused() {
    for origin in ["https://example.com", "null"] {
        let text = format!(
            "pages of the origin {origin} may not connect: it is not among the allowed_origins of this listener"
        );
        let request = http::upgrade("GET /ws", &[("Origin", Some(origin))]);
        check_refusal(&request, "403 forbidden", &text);
    }
    check_choice(&["wamp.2.json\r\nOrigin: http://localhost:3000"], "wamp.2.json");
}

#[test]
fn two_origins_are_refused_whichever_they_are() {
    let origin = ("Origin", Some("http://localhost:3000"));
    let request = http::upgrade("GET /ws", &[origin, origin]);
    check_refusal(&request, "400 bad request", "the header Origin is given more than once");
}

#[test]
fn an_upgrade_that_is_none_is_refused_with_what_is_wrong_in_it() {
    let (line, none) = ("GET /ws", ("X-Nothing", None));
    let version = "the header Sec-WebSocket-Version must be 13";
    let key = "the header Sec-WebSocket-Key must be 16 octets in base64";
    for (line, change, status, text) in [
        ("GET /", none, "404 not found", "WAMP clients connect at /ws"),
        ("GET /healthz", none, "404 not found", "WAMP clients connect at /ws"),
        ("POST /ws", none, "405 method not allowed", "a WebSocket is opened by GET"),
        ("CONNECT example.com:443", none, "405 method not allowed", "this is not a proxy"),
        (line, ("Connection", Some("close")), "400 bad request", "the header Connection must hold Upgrade"),
        (line, ("Sec-WebSocket-Version", Some("8")), "426 upgrade required", version),
        (line, ("Sec-WebSocket-Version", None), "426 upgrade required", version),
        (line, ("Sec-WebSocket-Key", None), "400 bad request", key),
        (line, ("Sec-WebSocket-Key", Some("c2hvcnQ=")), "400 bad request", key),
        (line, ("Sec-WebSocket-Key", Some("no base64 at all!")), "400 bad request", key),
    ] {
        check_refusal(&http::upgrade(line, &[change]), status, text);
    }
}

#[test]
fn a_request_that_is_no_upgrade_is_told_where_clients_connect() {
    let router = Router::start();
    let elsewhere = Answer::plain("404 not found", "WAMP clients connect at /ws");
    for line in ["GET /", "POST /healthz", "GET /ws/", "DELETE /"] {
        assert_eq!(http::plain(router.address(), line), elsewhere, "{line}");
    }
    let text = "WAMP clients connect here by WebSocket: the headers Connection: Upgrade and Upgrade: websocket \
                are missing, which a proxy in front has to pass on";
    let mut expected = Answer::plain("426 upgrade required", text).with("upgrade: websocket");
    expected.headers[0].push_str(", upgrade");
    assert_eq!(http::plain(router.address(), "GET /ws"), expected);
}

#[test]
fn an_upgrade_needs_http_1_1() {
    let request = http::upgrade("GET /ws", &[]).replace("HTTP/1.1", "HTTP/1.0");
    // In HTTP/1.0 that the connection ends goes without saying.
    let mut expected = Answer::plain("505 http version not supported", "a WebSocket needs HTTP/1.1");
    expected.headers.remove(0);
    assert_eq!(http::ask(Router::start().address(), &request), expected);
}

#[test]
fn an_upgrade_is_taken_as_browsers_and_proxies_send_it() {
    let router = Router::start();
    for (line, change) in [
        ("GET /ws", ("Connection", Some("keep-alive, Upgrade"))),
        ("GET /ws", ("Upgrade", Some("WebSocket"))),
        ("GET /ws?token=1", ("Origin", Some("http://127.0.0.1:5173"))),
    ] {
        let request = http::upgrade(line, &[change]);
        assert_eq!(http::ask(router.address(), &request).status, http::UPGRADED, "{request}");
    }
}

#[test]
fn compression_is_not_negotiated() {
    let extension = "wamp.2.json\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    check_choice(&[extension], "wamp.2.json");
}

#[test]
fn a_hello_in_the_same_segment_as_the_request_is_not_lost() {
    let router = Router::start();
    let hello = json!([1, "realm1", {"roles": {"caller": {}}}]).to_string();
    let length = u8::try_from(hello.len()).expect("the message is short");
    let mut octets = http::upgrade("GET /ws", &[]).into_bytes();
    // A final frame of text, masked with zeros.
    octets.extend([0x81, 0x80 | length, 0, 0, 0, 0]);
    octets.extend(hello.as_bytes());
    let mut stream = http::send(router.address(), &octets);
    assert_eq!(http::head(&mut stream).0, http::UPGRADED);
    let mut peer = Peer::on(WebSocket::from_raw_socket(stream, Role::Client, None), Serializer::Json);
    assert_eq!(peer.message()[0], 2);
}
