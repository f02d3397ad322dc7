//! Clients that keep the router waiting, or come and go.

use super::{Attacker, serving, usual, withstand};
use crate::support::{
    Peer,
    certificate::certificate,
    http,
    peer::{Received, frame},
    program::{Serving, program},
};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use socket2::SockRef;
use std::{
    io::{self, Read},
    net::TcpStream,
    process::Command,
    time::Duration,
};

#[test]
fn connections_that_say_nothing() {
    let program = usual("silent");
    withstand("2000 connections that say nothing", &program, 48, |attacker| {
        (0..2000).map(|_| attacker.connect()).collect::<Vec<_>>()
    });
}

#[test]
fn connections_without_end() {
    let arguments = program(&["--listen", "127.0.0.1:0"]);
    let arguments = [arguments.get_program()].into_iter().chain(arguments.get_args());
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 100; exec \"$@\"", "sh"]).args(arguments);
    let program = Serving::run(&mut limited);
    withstand("500 connections where 100 files may be open", &program, 48, |attacker| {
        // Those that the router has not accepted wait in the queue of its socket.
        let connections: Vec<_> = (0..500).map(|_| attacker.connect()).collect();
        drop(connections);
    });
}

/// Sends something octet by octet.
struct Slow {
    stream: TcpStream,
    octets: Box<dyn Iterator<Item = u8>>,
    came: Vec<u8>,
}

impl Slow {
    fn new(stream: TcpStream, octets: impl Iterator<Item = u8> + 'static) -> Self {
        stream.set_nonblocking(true).expect("a socket can be set");
        Self { stream, octets: Box::new(octets), came: Vec::new() }
    }

    /// Sends the next octet. Gives whether the connection is still there.
    fn go_on(&mut self, attacker: &mut Attacker) -> bool {
        let octet = self.octets.next().expect("there is no end to them");
        let mut came = [0; 1024];
        let is_there = attacker.send(&mut self.stream, &[octet])
            && match self.stream.read(&mut came) {
                Ok(0) => false,
                Ok(count) => {
                    self.came.extend(&came[..count]);
                    true
                }
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
        if !is_there {
            // What came before the end.
            self.stream.set_nonblocking(false).expect("a socket can be set");
            let _ = self.stream.read_to_end(&mut self.came);
        }
        is_there
    }
}

#[test]
fn handshakes_that_are_slow() {
    let files = &certificate("hostile", &["localhost"]).files.certificates[0];
    let wait = r#"limits = { handshake_timeout = "1s" }"#;
    let listeners = format!(
        r#"
        {wait}
        [[listeners]]
        kind = "rawsocket"
        address = "127.0.0.1:0"
        {wait}
        [[listeners]]
        address = "127.0.0.1:0"
        tls = {{ certificate = {:?}, key = {:?} }}
        {wait}
        "#,
        files.certificate, files.key
    );
    let mut program = serving("slow", [&listeners, "", ""]);
    let addresses = [program.address(), program.next_address(), program.next_address()];
    withstand("250 handshakes octet by octet, of HTTP, HELLO, RawSocket and TLS", &program, 48, |attacker| {
        let [websocket, rawsocket, tls] = addresses;
        let spaces = || std::iter::repeat(b' ');
        let open = |address| http::send(address, b"");
        let header = "GET /ws HTTP/1.1\r\nHost: localhost\r\nX:".bytes();
        let upgraded = || {
            let mut stream = http::send(websocket, http::upgrade("GET /ws", &[]).as_bytes());
            assert_eq!(http::head(&mut stream).0, http::UPGRADED);
            stream
        };
        let hello = frame(0x81, &[b' '; 60_000]);
        let shaken = || {
            let peer = Peer::connect_over(ListenerKind::RawSocket, rawsocket, Serializer::Json);
            peer.into_stream()
        };
        // The beginning of a handshake of TLS in a record that is as long as one can be.
        let client_hello = [0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3].into_iter();
        let mut slow: Vec<_> = (0..50)
            .flat_map(|_| {
                [
                    Slow::new(open(websocket), header.clone().chain(spaces())),
                    Slow::new(upgraded(), hello.clone().into_iter()),
                    Slow::new(
                        open(rawsocket),
                        std::iter::once(0x7f)
                            .chain(std::iter::repeat(0xf1))
                            .take(3)
                            .chain(std::iter::repeat(0)),
                    ),
                    Slow::new(shaken(), [0, 0, 0xff, 0xff].into_iter().chain(spaces())),
                    Slow::new(open(tls), client_hello.clone().chain(std::iter::repeat(0))),
                ]
            })
            .collect();
        let mut ended = Vec::new();
        while !slow.is_empty() {
            slow = slow
                .into_iter()
                .filter_map(|mut slow| {
                    if slow.go_on(attacker) {
                        return Some(slow);
                    }
                    ended.push(slow.came);
                    None
                })
                .collect();
            // Which sets the pace.
            assert_eq!(http::plain(websocket, "GET /healthz").text, "ok\n");
        }
        for told in ["408 Request Timeout", "wamp.error.timeout"] {
            let is_told = |came: &&Vec<u8>| String::from_utf8_lossy(came).contains(told);
            assert!(ended.iter().filter(is_told).count() >= 50, "{told}");
        }
    });
}

#[test]
fn clients_that_come_and_go() {
    let program = usual("churn");
    withstand("2000 connections, cut at each stage", &program, 48, |attacker| {
        let address = attacker.address;
        let half = |octets: &str| octets.as_bytes()[..octets.len() / 2].to_vec();
        for round in 0..250 {
            let upgrade = http::upgrade("GET /ws", &[]);
            let hello = frame(0x81, br#"[1,"realm1",{"roles":{"caller":{},"subscriber":{}}}]"#);
            let requests = [frame(0x81, br#"[32,1,{},"a.b"]"#), frame(0x81, br#"[64,2,{},"a.b"]"#)].concat();
            let stages = [
                Vec::new(),
                half(&upgrade),
                upgrade.clone().into_bytes(),
                [upgrade.as_bytes(), &hello[..20]].concat(),
                [upgrade.as_bytes(), &hello].concat(),
                [upgrade.as_bytes(), &hello, &requests].concat(),
            ];
            for octets in stages {
                let mut stream = TcpStream::connect(address).expect("the router listens");
                assert!(attacker.send(&mut stream, &octets));
                reset(&stream, round % 2 == 0);
            }
            for leaves in [false, true] {
                let mut peer = attacker.join(Serializer::Cbor);
                peer.subscribe("wamp.session.on_leave");
                if leaves {
                    peer.leave();
                } else {
                    reset(peer.stream(), round % 2 == 0);
                }
            }
        }
    });
}

/// Has a connection end without a word when it is dropped.
fn reset(stream: &TcpStream, hard: bool) {
    if hard {
        SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket can be set");
    }
}

#[test]
fn proofs_that_are_wrong() {
    const HASH: &str = crate::support::principal::HASH;
    let principal =
        format!("principals = [{{ authid = \"joe\", role = \"anyone\", ticket_hash = {HASH:?} }}]");
    let program = serving("proofs", ["", "", &principal]);
    withstand("150 wrong tickets, for 100 authids and for one", &program, 96, |attacker| {
        let mut denied = 0;
        let mut try_all = |authids: &[String]| {
            let mut peers: Vec<_> = authids
                .iter()
                .map(|authid| {
                    let mut peer = Peer::connect_to(attacker.address, Serializer::Json);
                    let details =
                        json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid});
                    let hello = peer.frame(&json!([1, "realm1", details]));
                    let proof = peer.frame(&json!([5, "wrong", {}]));
                    assert!(attacker.send(peer.stream(), &[hello, proof].concat()));
                    peer
                })
                .collect();
            for peer in &mut peers {
                let came = peer.rest();
                let Some(Received::Message(told)) = came.iter().rev().nth(2) else { panic!("{came:?}") };
                match told[2].as_str() {
                    Some("wamp.error.authentication_denied") => denied += 1,
                    reason => assert_eq!(reason, Some("realmkeeper.error.limit_exceeded")),
                }
            }
            denied
        };
        let different: Vec<_> = (0..100).map(|number| format!("nobody{number}")).collect();
        assert_eq!(try_all(&different), 100);
        let all = (0..50).map(|_| try_all(&["joe".to_owned()])).last();
        assert!(all < Some(150), "nobody is locked out");
    });
}
