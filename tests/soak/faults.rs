//! Clients that break the rules, before and after they have joined.

use crate::{
    churn::reset,
    scene::{KINDS, Scene, Tally, any},
    support::{
        Peer, form, http,
        peer::{Received, frame, header, raw_frame},
    },
};
use rand::{Rng, RngExt, rngs::StdRng};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

/// Sends what is no message and no frame, until the router sends it away each time.
pub(crate) fn send_nonsense(scene: &Scene, chance: &mut StdRng) -> Tally {
    let mut refused = 0;
    while scene.goes_on() {
        let (kind, serializer) = any(chance);
        let mut peer = scene.join(kind, serializer);
        let nonsense = if chance.random_bool(0.5) {
            broken_frame(kind, serializer, chance)
        } else {
            framed(kind, serializer, &broken_message(serializer, chance))
        };
        peer.send_raw(&nonsense);
        let came = peer.rest();
        assert_eq!(came.last(), Some(&Received::End));
        refused += 1;
    }
    Tally::from([("refused", refused)])
}

/// A message as a frame of a client.
fn framed(kind: ListenerKind, serializer: Serializer, message: &[u8]) -> Vec<u8> {
    match kind {
        ListenerKind::WebSocket => frame(if serializer.is_text() { 0x81 } else { 0x82 }, message),
        ListenerKind::RawSocket => raw_frame(0, message),
    }
}

/// A frame that no client may send.
fn broken_frame(kind: ListenerKind, serializer: Serializer, chance: &mut StdRng) -> Vec<u8> {
    match kind {
        ListenerKind::WebSocket => match chance.random_range(0..8) {
            // A reserved opcode, a reserved bit, no mask, the rest of nothing, a ping in pieces.
            0 => frame(0x83, b"x"),
            1 => frame(0xc1, b"[]"),
            2 => b"\x81\x02[]".to_vec(),
            3 => frame(0x80, b"[]"),
            4 => frame(0x09, b""),
            // Half a close code, text that is none, more than is taken.
            5 => frame(0x88, b"\x03"),
            6 => frame(if serializer.is_text() { 0x82 } else { 0x81 }, b"\xc0\xff"),
            _ => header(0x81, 1 << chance.random_range(21..63)),
        },
        ListenerKind::RawSocket => match chance.random_range(0..3) {
            0 => raw_frame(chance.random_range(3..8), b"x"),
            1 => vec![0xf0, 0, 0, 0],
            _ => b"\x08\0\0\0".to_vec(),
        },
    }
}

/// Octets that are no message of a client who has joined. Where they may be one after all, HELLO is wrong for certain.
fn broken_message(serializer: Serializer, chance: &mut StdRng) -> Vec<u8> {
    let encode = |message: &Json| form::encode(serializer, message);
    let nested = (0..chance.random_range(64..200)).fold(json!([]), |inner, _| json!([inner]));
    let call = json!([48, 1, {}, "soak.nowhere", [1, 2.5, "three"], {"four": [null, true, -5]}]);
    match chance.random_range(0..7) {
        0 => encode(&json!([1, "realm1", {"roles": {"caller": {}}}])),
        1 => encode(&json!([2, 1, {}])),
        2 => encode(&json!([[999, 1], [16], [], {}, [48, 1, {}], 7, "x"])[chance.random_range(0..7)]),
        3 => encode(&json!([16, 1, {}, "soak.nested", nested])),
        4 => {
            let whole = encode(&call);
            whole[..chance.random_range(0..whole.len())].to_vec()
        }
        5 => {
            let mut octets = vec![0; chance.random_range(1..64)];
            chance.fill_bytes(&mut octets);
            // Neither a list nor anything else in JSON, MessagePack or CBOR.
            octets[0] = if serializer == Serializer::MessagePack { 0xc1 } else { 0xff };
            octets
        }
        _ => {
            let mut octets = encode(&call);
            octets.extend(encode(&call));
            octets
        }
    }
}

/// Comes without ever joining, in every way.
pub(crate) fn fail_to_join(scene: &Scene, chance: &mut StdRng) -> Tally {
    let mut tally = Tally::new();
    while scene.goes_on() {
        let kind = KINDS[chance.random_range(0..2)];
        let how = match (kind, chance.random_bool(0.5)) {
            (_, true) => fail_to_say_hello(scene, kind, chance),
            (ListenerKind::WebSocket, false) => fail_to_upgrade(scene, chance),
            (ListenerKind::RawSocket, false) => fail_to_shake_hands(scene, chance),
        };
        *tally.entry(how).or_default() += 1;
    }
    tally
}

/// Speaks no WAMP over a transport that is open.
fn fail_to_say_hello(scene: &Scene, kind: ListenerKind, chance: &mut StdRng) -> &'static str {
    let serializer = Serializer::ALL[chance.random_range(0..3)];
    let mut peer = Peer::connect_over(kind, scene.address(kind), serializer);
    let message = match chance.random_range(0..8) {
        0 => json!([1, "soak.nowhere", {"roles": {"caller": {}}}]),
        1 => json!([1, "realm1", {}]),
        2 => json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "nobody"}]),
        3 => json!([48, 1, {}, "wamp.session.count"]),
        4 => json!([3, {}, "wamp.close.normal"]),
        5 => json!([6, {}, "wamp.close.normal"]),
        6 => {
            reset(peer);
            return "handshakes broken off";
        }
        _ => {
            // HELLO goes, and the client with it.
            peer.send_raw(&framed(kind, serializer, b"\xff"));
            reset(peer);
            return "handshakes broken off";
        }
    };
    peer.send(&message);
    if chance.random_bool(0.2) {
        return "handshakes broken off";
    }
    assert_eq!(peer.rest().last(), Some(&Received::End));
    "handshakes refused"
}

/// Sends what is no upgrade to a WebSocket.
fn fail_to_upgrade(scene: &Scene, chance: &mut StdRng) -> &'static str {
    let request = match chance.random_range(0..6) {
        0 => "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n".to_owned(),
        1 => http::upgrade("GET /ws", &[("Sec-WebSocket-Version", Some("7"))]),
        2 => http::upgrade("GET /ws", &[("Sec-WebSocket-Protocol", Some("wamp.3.json"))]),
        3 => http::upgrade("GET /nowhere", &[("Connection", Some("close"))]),
        4 => format!("GET /ws HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(200_000)),
        _ => {
            let whole = http::upgrade("GET /ws", &[]);
            whole[..chance.random_range(0..whole.len() - 1)].to_owned()
        }
    };
    part(scene, ListenerKind::WebSocket, request.as_bytes(), chance)
}

/// Sends what is no handshake to a RawSocket.
fn fail_to_shake_hands(scene: &Scene, chance: &mut StdRng) -> &'static str {
    let octets: &[u8] = match chance.random_range(0..6) {
        0 => b"GET / HTTP/1.1\r\n\r\n",
        1 => b"\x7f\xf9\0\0",
        2 => b"\x7f\x01\0\0",
        3 => b"\x7f\xf1\0\x01",
        4 => b"\x7f",
        _ => b"\x7f\xf1\0",
    };
    part(scene, ListenerKind::RawSocket, octets, chance)
}

/// Sends octets and no more, and waits for the end unless it is gone before.
fn part(scene: &Scene, kind: ListenerKind, octets: &[u8], chance: &mut StdRng) -> &'static str {
    let mut stream = TcpStream::connect(scene.address(kind)).expect("the router listens");
    stream.set_read_timeout(Some(crate::support::router::PATIENCE)).expect("a socket can be set");
    // The router may end it before it has got all.
    let _ = stream.write_all(octets);
    if chance.random_bool(0.2) {
        return "handshakes broken off";
    }
    let _ = stream.shutdown(Shutdown::Write);
    if let Err(error) = stream.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    "handshakes refused"
}
