//! What a bad or a slow client costs, be it on a WebSocket or on a RawSocket: itself its session, and nobody else
//! anything.

use crate::support::{
    Peer, Router, log,
    peer::{Received, frame, header, open_on, raw_frame},
    principal::backend,
    program::Serving,
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper::ListenerKind;
use realmkeeper_actors::{
    codec::Serializer,
    session::access::{Credentials, Principal, Ticket, cra},
};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What clients come by.
const KINDS: [ListenerKind; 2] = [ListenerKind::WebSocket, ListenerKind::RawSocket];

/// Joins the realm of a started program.
fn join(program: &Serving, serializer: Serializer) -> Peer {
    join_over(ListenerKind::WebSocket, program, serializer)
}

fn join_over(kind: ListenerKind, program: &Serving, serializer: Serializer) -> Peer {
    Peer::join_over(kind, program.address(), serializer)
}

/// Starts the program with a listener of this kind.
fn serving(kind: ListenerKind) -> Serving {
    match kind {
        ListenerKind::WebSocket => Serving::start(),
        ListenerKind::RawSocket => Serving::configured("robust.toml", RAWSOCKET),
    }
}

const RAWSOCKET: &str = r#"
    listeners = [{ kind = "rawsocket", address = "127.0.0.1:0" }]
    [[realms]]
    name = "realm1"
    anonymous = "anyone"
    [[realms.roles]]
    name = "anyone"
    permissions = [{ uri = "", match = "prefix", allow = ["call", "publish", "subscribe"] }]
"#;

#[test]
fn a_stalled_peer_is_killed() {
    for kind in KINDS {
        let router = Router::with(|settings| {
            settings.listeners[0].kind = kind;
            settings.listeners[0].session.linger = Duration::from_millis(300);
            settings.listeners[0].session.outbox_limit = 64 << 20;
            // Nothing else ends it.
            settings.listeners[0].session.write_stall = Duration::from_secs(3600);
        });
        let mut killer = Peer::join_over(kind, router.address(), Serializer::Json);
        let mut stalled = Peer::join_over(kind, router.address(), Serializer::Json);
        stalled.subscribe("a.topic");
        let event = "x".repeat(60_000);
        for _ in 0..300 {
            let request = killer.request();
            killer.send(&json!([16, request, {}, "a.topic", [event]]));
        }
        let answer = killer.call("wamp.session.kill", &json!([stalled.session]), &json!({}));
        assert_eq!(answer, json!([50, 301, {}]));
        router.wait_for_sockets(1);
        // What the kernel had taken before may still come, and then the end.
        let came = stalled.rest();
        assert_eq!(came.last(), Some(&Received::End));
        assert!(came.len() < 300, "the stalled peer got everything");
    }
}

#[test]
fn a_peer_that_reads_slowly_but_steadily_gets_everything() {
    let router = Router::with(|settings| {
        settings.listeners[0].session.outbox_limit = 64 << 20;
        settings.listeners[0].session.write_stall = Duration::from_millis(1500);
    });
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
    socket.set_recv_buffer_size(128 << 10).expect("a socket can be set");
    socket.connect(&router.address().into()).expect("the router listens");
    let headers = [("Sec-WebSocket-Protocol", Serializer::Json.subprotocol())];
    let (socket, _) = open_on(socket.into(), "/ws", &headers).expect("the router upgrades the connection");
    let mut slow = Peer::on(socket, Serializer::Json);
    slow.say_hello("realm1", &json!({}));
    let subscription = slow.subscribe("a.topic");
    let mut publisher = Peer::join(&router, Serializer::Json);
    publisher.flood("a.topic", 100 * 60_000);
    for _ in 0..20 {
        let event = slow.message();
        assert_eq!((&event[0], &event[1]), (&json!(36), &json!(subscription)));
        // Twenty of them take longer than `write_stall`, and are less than the third of what the system can hold.
        thread::sleep(Duration::from_millis(200));
    }
    for _ in 20..100 {
        assert_eq!(slow.message()[0], 36);
    }
    assert_eq!(slow.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));
}

#[test]
fn a_router_that_was_held_up_takes_what_came_meanwhile_for_an_answer() {
    let pings = "pings = true, limits = { ping_interval = \"500ms\", ping_timeout = \"500ms\" }";
    let text = RAWSOCKET.replace("\"127.0.0.1:0\"", &format!("\"127.0.0.1:0\", {pings}"));
    let program = Serving::configured("held_up.toml", &text);
    let mut peers: Vec<_> =
        (0..4).map(|_| join_over(ListenerKind::RawSocket, &program, Serializer::Json)).collect();
    let pings: Vec<_> = peers.iter_mut().map(|peer| peer.raw().expect("a ping comes")).collect();
    program.signal("STOP");
    for (peer, (kind, payload)) in peers.iter_mut().zip(pings) {
        assert_eq!(kind, 1);
        peer.send_raw(&raw_frame(2, &payload));
    }
    // By far more than the time to answer passes.
    thread::sleep(Duration::from_secs(2));
    program.signal("CONT");
    for peer in &mut peers {
        assert_eq!(peer.call("com.example.nothing", &json!([]), &json!({}))[0], 8);
    }
}

#[test]
fn a_frame_of_a_tebibyte_is_refused_at_its_header() {
    let program = Serving::start();
    let mut peer = join(&program, Serializer::Json);
    let before = program.memory();
    peer.send_raw(&header(0x81, 1 << 40));
    // The router does not wait for it, so that it may be gone before all of this is sent.
    let _ = peer.socket().get_mut().write_all(&vec![b' '; 8 << 20]);
    let grown = program.memory().saturating_sub(before);
    assert!(grown < 1024, "the router has grown by {grown} KiB");
    // It is there for others.
    assert_eq!(join(&program, Serializer::Cbor).call("wamp.session.count", &json!([]), &json!({}))[0], 50);
}

#[test]
fn a_client_whose_frames_make_no_sense_is_not_waited_for() {
    let router = Router::with(|settings| settings.listeners[0].session.linger = 2 * PATIENCE);
    for nonsense in [
        // The beginning of a frame with reserved bits.
        frame(0xc1, b"and so on")[..2].to_vec(),
        frame(0x80, b"nothing to continue"),
        header(0x81, 1 << 40),
        // No close frame may have such a code, and no other comes after it.
        frame(0x88, &[0, 0]),
    ] {
        let mut peer = Peer::join(&router, Serializer::Json);
        peer.send_raw(&nonsense);
        peer.stream().read_exact(&mut [0; 2]).expect("the router says ABORT");
        peer.send_raw(&frame(0x89, b"no ping"));
        let mut came = Vec::new();
        peer.stream().read_to_end(&mut came).expect("the router shuts the connection");
        let is_pong = |octets: &[u8]| octets == [0x8a, 7];
        assert!(!came.windows(2).any(is_pong), "the router answers a ping that makes no sense any more");
        let [.., 0x88, 2, high, low] = came[..] else { panic!("{came:?} ends without a close frame") };
        assert!([1002, 1009].contains(&u16::from_be_bytes([high, low])), "{came:?}");
        // The other end of the connection closes with the peer.
        drop(peer);
        router.wait_for_sockets(0);
    }
}

#[test]
fn a_raw_frame_over_the_limit_is_refused_at_its_header() {
    let program = serving(ListenerKind::RawSocket);
    let mut peer = join_over(ListenerKind::RawSocket, &program, Serializer::Json);
    let before = program.memory();
    peer.send_raw(b"\x08\0\0\0");
    // The router does not wait for it, so that it may be gone before all of this is sent.
    let _ = peer.stream().write_all(&vec![b' '; 8 << 20]);
    let grown = program.memory().saturating_sub(before);
    assert!(grown < 1024, "the router has grown by {grown} KiB");
    let mut other = join_over(ListenerKind::RawSocket, &program, Serializer::Cbor);
    assert_eq!(other.call("com.example.nothing", &json!([]), &json!({}))[0], 8);
}

#[test]
fn fragments_may_be_cut_anywhere() {
    let router = Router::start();
    let mut peer = Peer::join(&router, Serializer::Json);
    let text = "[16,7,{\"acknowledge\":true},\"ä.€.𝄞\",[\"ä€𝄞\"]]".as_bytes();
    for cut in 0..=text.len() {
        let ping = frame(0x89, b"");
        peer.send_raw(&[frame(0x01, &text[..cut]), ping, frame(0x80, &text[cut..])].concat());
        let answer = peer.message();
        assert_eq!(answer, json!([17, 7, answer[2]]), "cut at {cut}");
    }
    let octets: Vec<u8> = (0..text.len())
        .flat_map(|at| {
            let is_last = at + 1 == text.len();
            let first = match (at, is_last) {
                (0, _) => 0x01,
                (_, false) => 0x00,
                (_, true) => 0x80,
            };
            frame(first, &text[at..=at])
        })
        .collect();
    peer.send_raw(&octets);
    assert_eq!(peer.message()[0], 17);
}

#[test]
fn a_flood_of_publications_takes_no_more_memory_than_the_credit() {
    for kind in KINDS {
        let program = serving(kind);
        let mut peer = join_over(kind, &program, Serializer::Json);
        let publish = peer.frame(&json!([16, 1, {}, "nobody.listens", ["x".repeat(1000)]]));
        let batch = publish.repeat(256);
        let before = program.memory();
        let (start, mut peak, mut sent) = (Instant::now(), 0, 0u64);
        while start.elapsed() < Duration::from_secs(6) {
            peer.send_raw(&batch);
            sent += 256;
            peak = peak.max(program.memory());
        }
        let grown = peak.saturating_sub(before);
        assert!(grown < 4 * 1024, "the router has grown by {grown} KiB over {sent} publications");
        assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
    }
}

const HEALTHY: usize = 20;
const EVENTS: u64 = 2000;
const EVENT_SIZE: usize = 10_000;
/// How far the publisher is ahead of the slowest healthy subscriber, at most.
const AHEAD: u64 = 50;

/// Reads all events in a thread, and asserts that each comes once and in order.
fn read_all(kind: ListenerKind, mut peer: Peer, seen: Arc<AtomicU64>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for number in 0..EVENTS {
            let text = match kind {
                ListenerKind::RawSocket => peer.raw().expect("an event comes").1,
                ListenerKind::WebSocket => {
                    let message = peer.socket().read().expect("an event comes");
                    message.into_text().expect("it is text").as_bytes().to_vec()
                }
            };
            let text = str::from_utf8(&text).expect("it is text");
            assert!(text.len() > EVENT_SIZE);
            // [36, subscription, publication, {}, [number, "x…"]]
            let found = text.split(',').nth(4).and_then(|part| part.strip_prefix('['));
            assert_eq!(found, Some(&*number.to_string()));
            seen.store(number + 1, Ordering::Release);
        }
    })
}

#[test]
fn a_subscriber_that_stops_reading_is_cut_and_the_others_get_everything() {
    for kind in KINDS {
        let router = Router::with(|settings| {
            settings.listeners[0].kind = kind;
            settings.listeners[0].session.outbox_limit = 1 << 20;
            settings.listeners[0].session.linger = Duration::from_millis(200);
        });
        let mut publisher = Peer::join_over(kind, router.address(), Serializer::Json);
        let mut stalled = Peer::join_over(kind, router.address(), Serializer::Json);
        stalled.subscribe("a.topic");
        let mut healthy = Vec::new();
        for _ in 0..HEALTHY {
            let mut peer = Peer::join_over(kind, router.address(), Serializer::Json);
            peer.subscribe("a.topic");
            let seen = Arc::new(AtomicU64::new(0));
            healthy.push((seen.clone(), read_all(kind, peer, seen)));
        }
        let filler = "x".repeat(EVENT_SIZE);
        for number in 0..EVENTS {
            let slowest = || healthy.iter().map(|(seen, _)| seen.load(Ordering::Acquire)).min();
            while slowest() < Some(number.saturating_sub(AHEAD)) {
                assert!(!healthy.iter().any(|(_, reader)| reader.is_finished()), "a reader has failed");
                thread::yield_now();
            }
            let request = publisher.request();
            publisher.send(&json!([16, request, {}, "a.topic", [number, filler]]));
        }
        for (_, reader) in healthy {
            reader.join().expect("a healthy subscriber gets everything");
        }
        let line = log::wait_for(&["session left", &format!("session={} ", stalled.session)]);
        assert!(line.contains("cause=\"slow_consumer\""), "{line}");
    }
}

#[test]
fn who_would_get_more_at_once_than_may_wait_for_it_misses_that_and_stays() {
    for kind in KINDS {
        let router = Router::with(|settings| {
            settings.listeners[0].kind = kind;
            settings.listeners[0].session.outbox_limit = 256 << 10;
            settings.admin = Some(([127, 0, 0, 1], 0).into());
        });
        let [mut near, mut alike, mut far] = [Serializer::Cbor, Serializer::Cbor, Serializer::Json]
            .map(|serializer| Peer::join_over(kind, router.address(), serializer));
        let subscription = alike.subscribe("a.topic");
        assert_eq!(far.subscribe("a.topic"), subscription);
        far.register("a.procedure", &json!({}));
        // In JSON each character takes six octets.
        let text = "\u{1}".repeat(100_000);

        let publish = near.request();
        near.send(&json!([16, publish, {"acknowledge": true}, "a.topic", [text]]));
        let publication = near.message()[2].clone();
        assert_eq!(alike.message(), json!([36, subscription, publication, {}, [text]]));
        let call = near.request();
        near.send(&json!([48, call, {}, "a.procedure", [text]]));
        let problem = "the message would be larger than its receiver takes";
        let error = json!([8, 48, call, {}, "wamp.error.payload_size_exceeded", [problem]]);
        assert_eq!(near.message(), error);

        let publish = near.request();
        near.send(&json!([16, publish, {"acknowledge": true}, "a.topic", ["short"]]));
        let publication = near.message()[2].clone();
        assert_eq!(far.message(), json!([36, subscription, publication, {}, ["short"]]));
        assert_eq!(near.call("wamp.session.count", &json!([]), &json!({}))[3], json!([3]));
        let missed = "realmkeeper_undeliverable_events_total{realm=\"realm1\"}";
        assert_eq!(Samples::at(router.admin().expect("it has one")).value(missed), 1.0);
    }
}

#[test]
fn whose_challenge_is_more_than_may_wait_for_it_is_told_so() {
    for kind in KINDS {
        let router = Router::with(|settings| {
            settings.listeners[0].kind = kind;
            settings.listeners[0].session.message_limit = 8 << 10;
            settings.listeners[0].session.outbox_limit = 8 << 10;
            let credentials =
                Credentials { cra: Some(cra::Key::plain("secret123")), ..Credentials::default() };
            let joe = Principal { credentials, ..backend("joe", Ticket::plain("secret123")) };
            settings.realms[0].door.principals.push(joe);
        });
        // In the text that is signed, which is JSON in JSON, each character takes four octets.
        let details =
            json!({"roles": {"caller": {}}, "authid": "\"".repeat(3000), "authmethods": ["wampcra"]});
        let mut peer = Peer::connect_over(kind, router.address(), Serializer::Json);
        peer.send(&json!([1, "realm1", details]));
        let Received::Message(abort) = peer.receive() else { panic!("a message is due") };
        assert_eq!((&abort[0], &abort[2]), (&json!(3), &json!("wamp.error.payload_size_exceeded")));
        let text = abort[1]["message"].as_str().expect("it says why");
        assert!(text.starts_with("CHALLENGE is too large: "), "{text}");
    }
}
