//! What can be wrong with octets: how many there are, how deep they nest, and that they have no end.

use super::{serving, usual, withstand};
use crate::support::{
    Peer, http,
    peer::{Received, frame, header},
};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{io::Read, net::SocketAddr};

/// A MiB.
const MIB: usize = 1 << 20;

fn abort(reason: &str, text: &str) -> Received {
    Received::Message(json!([3, {"message": text}, reason]))
}

#[test]
fn messages_that_are_too_large() {
    let program = usual("large");
    withstand("8 messages of 64 MiB", &program, 48, |attacker| {
        let payload = vec![b' '; 64 * MIB];
        for _ in 0..8 {
            let mut peer = attacker.join(Serializer::Json);
            let whole = [header(0x81, payload.len() as u64), vec![0; 4]].concat();
            assert!(attacker.send(peer.stream(), &whole));
            // The router shuts the connection without waiting for the end of it.
            attacker.send(peer.stream(), &payload);
            let mut first = [0; 4];
            peer.stream().read_exact(&mut first).expect("the router has told why");
            assert_eq!(first[0], 0x81);
        }
    });
}

#[test]
fn messages_of_which_the_end_is_missing() {
    let program = usual("unfinished");
    withstand(
        "100 messages of 1 MiB but for their last octet, without a session",
        &program,
        256,
        |attacker| {
            let octets = frame(0x81, &vec![b' '; MIB]);
            let (_, but_the_last) = octets.split_last().expect("a frame has octets");
            (0..100)
                .map(|_| {
                    let mut peer = Peer::connect_to(attacker.address, Serializer::Json);
                    assert!(attacker.send(peer.stream(), but_the_last));
                    peer
                })
                .collect::<Vec<_>>()
        },
    );
}

/// `[16, 1, {"acknowledge": true}, "a.b", [[[…]]]]`, as deep as a message of the usual size can be.
fn deep(serializer: Serializer) -> Vec<u8> {
    let depth = MIB / 2 - 100;
    let repeat = |octet: u8, count| vec![octet; count];
    match serializer {
        Serializer::Json => {
            [b"[16,1,{\"acknowledge\":true},\"a.b\",".to_vec(), repeat(b'[', depth), repeat(b']', depth + 1)]
                .concat()
        }
        Serializer::MessagePack => {
            [b"\x95\x10\x01\x81\xabacknowledge\xc3\xa3a.b".to_vec(), repeat(0x91, 2 * depth), vec![0x90]]
                .concat()
        }
        Serializer::Cbor => {
            [b"\x85\x10\x01\xa1\x6backnowledge\xf5\x63a.b".to_vec(), repeat(0x81, 2 * depth), vec![0x80]]
                .concat()
        }
    }
}

#[test]
fn messages_that_are_too_deep() {
    let program = usual("deep");
    withstand("60 messages of 500,000 and more levels", &program, 48, |attacker| {
        for serializer in Serializer::ALL {
            let octets = frame(if serializer.is_text() { 0x81 } else { 0x82 }, &deep(serializer));
            for _ in 0..20 {
                let mut peer = attacker.join(serializer);
                assert!(attacker.send(peer.stream(), &octets));
                let text = "the message is nested deeper than 64 levels";
                let told = abort("wamp.error.payload_size_exceeded", text);
                assert_eq!(peer.rest(), [told, Received::Close(Some(1009)), Received::End]);
            }
        }
    });
}

#[test]
fn fragments_without_end() {
    let program = usual("fragments");
    withstand("a message in a million empty fragments", &program, 48, |attacker| {
        let mut peer = attacker.join(Serializer::Json);
        assert!(attacker.send(peer.stream(), &frame(0x01, b"[48,1,{},")));
        let empty = frame(0x00, b"").repeat(10_000);
        for _ in 0..100 {
            assert!(attacker.send(peer.stream(), &empty));
        }
        assert!(attacker.send(peer.stream(), &frame(0x80, b"\"a.b\"]")));
        assert_eq!(peer.message()[0], 8);
    });
}

#[test]
fn pings_whose_pongs_nobody_reads() {
    let program = usual("pings");
    withstand("pings of 125 octets, and no pong read, by 4 clients", &program, 64, |attacker| {
        let pings = frame(0x89, &[b'?'; 125]).repeat(10_000);
        (0..4)
            .map(|_| {
                let mut peer = attacker.join_stubbornly(Serializer::Json);
                let refused = (0..100).any(|_| !attacker.send(peer.stream(), &pings));
                assert!(refused, "the router reads on");
                peer
            })
            .collect::<Vec<_>>()
    });
}

/// The status that a request gets; none if the connection just ends.
fn status(address: SocketAddr, attacker: &mut super::Attacker, request: &str) -> Option<String> {
    let mut stream = http::send(address, b"");
    attacker.send(&mut stream, request.as_bytes());
    let mut answer = Vec::new();
    // The router may be gone before it has read all.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("an answer is text");
    answer.lines().next().map(|line| line.trim_start_matches("HTTP/1.1 ").to_owned())
}

/// What a request gets whose headers are too large.
const REFUSED: &str = "431 Request Header Fields Too Large";

#[test]
fn headers_that_are_too_many_or_too_large() {
    let program = usual("headers");
    let large = "x".repeat(4 * MIB);
    let requests = [
        format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        http::upgrade("GET /ws", &[("X", Some(&large))]),
        http::upgrade("GET /ws", &[("Sec-WebSocket-Protocol", Some(&"wamp.2.json,".repeat(MIB / 4)))]),
        http::upgrade("GET /ws", &[("X", Some(&"y\r\nX: ".repeat(100_000)))]),
    ];
    withstand("80 requests with headers of up to 4 MiB or 100,000 of them", &program, 48, |attacker| {
        for request in requests.iter().cycle().take(80) {
            let status = status(attacker.address, attacker, request);
            assert_eq!(status.as_deref().unwrap_or(REFUSED), REFUSED);
        }
    });
}

#[test]
fn raw_frames_that_have_no_end() {
    let listener = r#"
        [[listeners]]
        kind = "rawsocket"
        address = "127.0.0.1:0"
    "#;
    let mut program = serving("raw", [listener, "", ""]);
    let address = program.next_address();
    withstand(
        "64 RawSockets that send all but the last octet of 1 MiB, then too much",
        &program,
        160,
        |attacker| {
            let octets = [&[0, 0x0f, 0xff, 0xff][..], &vec![b' '; MIB - 2]].concat();
            let mut held = Vec::new();
            for _ in 0..64 {
                let mut peer = Peer::connect_over(ListenerKind::RawSocket, address, Serializer::Json);
                assert!(attacker.send(peer.stream(), &octets));
                held.push(peer);
            }
            for _ in 0..64 {
                let mut peer = Peer::join_over(ListenerKind::RawSocket, address, Serializer::Json);
                assert!(attacker.send(peer.stream(), &[0, 0xff, 0xff, 0xff]));
                attacker.send(peer.stream(), &octets);
                let text = "a message may have at most 1048576 octets";
                let told = abort("wamp.error.payload_size_exceeded", text);
                assert_eq!(peer.receive(), told);
            }
            held
        },
    );
}
