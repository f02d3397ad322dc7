//! The upgrade of a connection: who is let in, what others are told, and that nothing behind it is lost.

use crate::support::{Peer, Router, router::PATIENCE};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use tungstenite::{WebSocket, protocol::Role};

/// The headers of an upgrade, with the key that RFC 6455 has as example.
const HEADERS: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A request with [`HEADERS`], some of them changed, left out or added.
fn request(line: &str, changes: &[(&str, Option<&str>)]) -> String {
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = HEADERS.into_iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let headers: String = kept.chain(added).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line} HTTP/1.1\r\n{headers}\r\n")
}

/// Sends octets on a new connection.
fn send(router: &Router, octets: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(router.address()).expect("the router listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is valid");
    stream.write_all(octets).expect("the router takes the request");
    stream
}

/// Reads the head of a response: its first line, and its headers in order but for the date.
fn head(stream: &mut TcpStream) -> (String, Vec<String>) {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("the router answers");
        octets.extend(octet);
    }
    let text = String::from_utf8(octets).expect("the head is text").to_lowercase();
    let mut lines = text.trim_end().lines().map(str::to_owned);
    let first = lines.next().expect("a head has a first line");
    let mut headers: Vec<_> = lines.filter(|line| !line.starts_with("date: ")).collect();
    headers.sort();
    (first, headers)
}

/// Asserts that a request is refused with this status and text, after which the connection ends.
fn check_refusal(request: &str, status: &str, text: &str) {
    let router = Router::start();
    let mut stream = send(&router, request.as_bytes());
    let (first, headers) = head(&mut stream);
    let mut body = String::new();
    stream.read_to_string(&mut body).expect("the router closes the connection");
    assert_eq!(
        (first.as_str(), body.as_str()),
        (&*format!("http/1.1 {status}"), &*format!("{text}\n")),
        "{request}"
    );
    let mut expected = vec![
        "connection: close".to_owned(),
        format!("content-length: {}", text.len() + 1),
        "content-type: text/plain; charset=utf-8".to_owned(),
    ];
    if status.starts_with("405") {
        expected.insert(0, "allow: get".to_owned());
    }
    if status.starts_with("426") {
        expected[0].push_str(", upgrade");
        expected.extend(["sec-websocket-version: 13", "upgrade: websocket"].map(str::to_owned));
    }
    assert_eq!(headers, expected, "{request}");
}

/// Asserts that of these subprotocols one is chosen.
fn check_choice(offers: &[&str], chosen: &str) {
    let router = Router::start();
    let offers: Vec<_> = offers.iter().map(|offer| ("Sec-WebSocket-Protocol", Some(*offer))).collect();
    let (first, headers) = head(&mut send(&router, request("GET /ws", &offers).as_bytes()));
    assert_eq!(first, "http/1.1 101 switching protocols");
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
        let request = request("GET /ws", &[("Sec-WebSocket-Protocol", offer)]);
        check_refusal(&request, "400 bad request", text);
    }
}

#[test]
fn a_page_of_another_origin_is_refused() {
    for origin in ["https://example.com", "null"] {
        let text = format!(
            "pages of the origin {origin} may not connect: it is not among the allowed_origins of this listener"
        );
        let protocol = ("Sec-WebSocket-Protocol", Some("wamp.2.json"));
        let request = request("GET /ws", &[protocol, ("Origin", Some(origin))]);
        check_refusal(&request, "403 forbidden", &text);
    }
    check_choice(&["wamp.2.json\r\nOrigin: http://localhost:3000"], "wamp.2.json");
}

#[test]
fn a_request_of_two_origins_is_refused() {
    for other in ["https://example.com", "http://localhost"] {
        let protocol = ("Sec-WebSocket-Protocol", Some("wamp.2.json"));
        let origins = [("Origin", Some("http://localhost")), ("Origin", Some(other))];
        let request = request("GET /ws", &[protocol, origins[0], origins[1]]);
        check_refusal(&request, "400 bad request", "the header Origin is given more than once");
    }
}

#[test]
fn an_upgrade_that_is_none_is_refused_with_what_is_wrong_in_it() {
    let protocol = ("Sec-WebSocket-Protocol", Some("wamp.2.json"));
    let line = "GET /ws";
    let version = "the header Sec-WebSocket-Version must be 13";
    let key = "the header Sec-WebSocket-Key must be 16 octets in base64";
    for (line, change, status, text) in [
        ("GET /", protocol, "404 not found", "WAMP clients connect at /ws"),
        ("GET /healthz", protocol, "404 not found", "WAMP clients connect at /ws"),
        ("POST /ws", protocol, "405 method not allowed", "a WebSocket is opened by GET"),
        ("CONNECT example.com:443", protocol, "405 method not allowed", "this is not a proxy"),
        (line, ("Connection", Some("close")), "400 bad request", "the header Connection must hold Upgrade"),
        (line, ("Sec-WebSocket-Version", Some("8")), "426 upgrade required", version),
        (line, ("Sec-WebSocket-Version", None), "426 upgrade required", version),
        (line, ("Sec-WebSocket-Key", None), "400 bad request", key),
        (line, ("Sec-WebSocket-Key", Some("c2hvcnQ=")), "400 bad request", key),
        (line, ("Sec-WebSocket-Key", Some("no base64 at all!")), "400 bad request", key),
    ] {
        check_refusal(&request(line, &[protocol, change][usize::from(change == protocol)..]), status, text);
    }
}

/// Asserts that a request without an upgrade is answered so.
fn check_answer(line: &str, status: &str, expected: &str) {
    let router = Router::start();
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut stream = send(&router, request.as_bytes());
    let (first, _) = head(&mut stream);
    let mut body = String::new();
    stream.read_to_string(&mut body).expect("the router closes the connection");
    assert_eq!((&*first, &*body), (&*format!("http/1.1 {status}"), expected), "{line}");
}

#[test]
fn the_health_of_the_service_can_be_asked_for() {
    check_answer("GET /healthz", "200 ok", "ok\n");
    check_answer("HEAD /healthz", "200 ok", "");
}

#[test]
fn a_request_that_is_no_upgrade_is_told_where_clients_connect() {
    check_answer("GET /", "404 not found", "WAMP clients connect at /ws\n");
    check_answer("POST /healthz", "404 not found", "WAMP clients connect at /ws\n");
    let text = "WAMP clients connect here by WebSocket: the headers Connection: Upgrade and Upgrade: websocket \
                are missing, which a proxy in front has to pass on\n";
    check_answer("GET /ws", "426 upgrade required", text);
}

#[test]
fn an_upgrade_needs_http_1_1() {
    let upgrade = request("GET /ws", &[("Sec-WebSocket-Protocol", Some("wamp.2.json"))]);
    let router = Router::start();
    let mut stream = send(&router, upgrade.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the router closes the connection");
    assert!(answer.starts_with("HTTP/1.0 505 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\na WebSocket needs HTTP/1.1\n"), "{answer}");
}

#[test]
fn an_upgrade_is_taken_as_browsers_and_proxies_send_it() {
    let router = Router::start();
    for (line, changes) in [
        ("GET /ws", ("Connection", Some("keep-alive, Upgrade"))),
        ("GET /ws", ("Upgrade", Some("WebSocket"))),
        ("GET /ws?token=1", ("Origin", Some("http://127.0.0.1:5173"))),
    ] {
        let request = request(line, &[("Sec-WebSocket-Protocol", Some("wamp.2.json")), changes]);
        assert_eq!(
            head(&mut send(&router, request.as_bytes())).0,
            "http/1.1 101 switching protocols",
            "{request}"
        );
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
    let mut octets = request("GET /ws", &[("Sec-WebSocket-Protocol", Some("wamp.2.json"))]).into_bytes();
    // A final frame of text, masked with zeros.
    octets.extend([0x81, 0x80 | length, 0, 0, 0, 0]);
    octets.extend(hello.as_bytes());
    let mut stream = send(&router, &octets);
    assert_eq!(head(&mut stream).0, "http/1.1 101 switching protocols");
    let mut peer = Peer::on(WebSocket::from_raw_socket(stream, Role::Client, None), Serializer::Json);
    assert_eq!(peer.message()[0], 2);
}
