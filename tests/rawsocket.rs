//! RawSocket: the handshake over the wire, Unix domain sockets, clients that take little, pings. That sessions are
//! otherwise the same over it is shown by `transcripts` and `lifecycle`.

use crate::support::{
    Peer, Router,
    certificate::{self, certificate},
    http, log,
    peer::{Received, raw_frame},
    principal::backend,
    program::{Serving, program},
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper::{Listener, ListenerKind, Service, Settings, UnixSocket};
use realmkeeper_actors::{
    codec::Serializer,
    session::access::{Credentials, Principal, Ticket, cra},
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
    time::Duration,
};

/// A router whose first listener speaks RawSocket, changed so, and whose second speaks WebSocket.
fn router(change: impl FnOnce(&mut Settings)) -> Router {
    Router::with(|settings| {
        let websocket = settings.listeners[0].clone();
        settings.listeners[0].kind = ListenerKind::RawSocket;
        change(settings);
        settings.listeners.push(websocket);
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the router listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
    stream
}

/// All that the router sends to who sends this and then waits for its end.
fn answer(address: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(octets).expect("the router takes it");
    rest(&mut stream)
}

/// What comes up to the end, be that a reset.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut some) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("there is no end"),
            Ok(0) | Err(_) => return all,
            Ok(count) => all.extend(&some[..count]),
        }
    }
}

/// A client of a router that takes messages of 2^(9 + `length`) octets, and has joined.
fn joined(router: &Router, serializer: Serializer, length: u8) -> Peer {
    let mut peer = Peer::shake_hands(connect(router.address()), serializer, length);
    peer.say_hello("realm1", &json!({}));
    peer
}

fn transport<S: Read + Write>(peer: &mut Peer<S>) -> Json {
    peer.say_hello("realm1", &json!({}));
    let told = peer.call("wamp.session.get", &json!([peer.session]), &json!({}));
    told[3][0]["transport"].clone()
}

#[test]
fn a_handshake_that_is_refused_is_told_why_and_counts_for_nothing() {
    let router =
        router(|settings| settings.listeners[0].serializers = vec![Serializer::Json, Serializer::Cbor]);
    let address = router.address();
    assert_eq!(router.urls()[0], format!("rs://{address}"));
    for (sent, expected) in [
        (&b"\x7f\xf2\0\0"[..], &b"\x7f\x10\0\0"[..]),
        (b"\x7f\xf0\0\0", b"\x7f\x10\0\0"),
        (b"\x7f\x21\0\0", b"\x7f\x20\0\0"),
        (b"\x7f\xf1\0\x01", b"\x7f\x30\0\0"),
        (b"\x7f\xf1\x80\0", b"\x7f\x30\0\0"),
        // What is sent behind it does not keep the client from reading why.
        (b"\x7f\xf1\x80\0\0\0\0\x02[]", b"\x7f\x30\0\0"),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        // The rest is not waited for.
        (b"\0", b""),
    ] {
        let mut stream = connect(address);
        stream.write_all(sent).expect("the router takes it");
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).expect("the router answers");
        assert_eq!(answer, expected, "{}", sent.escape_ascii());
        assert_eq!(rest(&mut stream), b"");
    }
    assert_eq!(router.open_sockets(), 0);
    joined(&router, Serializer::Cbor, 3);
}

#[test]
fn who_is_one_too_many_is_told_so() {
    let mut router = router(|settings| {
        settings.limits.sessions = Some(1);
        settings.shutdown.wait = Duration::from_secs(2);
    });
    let address = router.address();
    let first = joined(&router, Serializer::Json, 15);
    assert_eq!(answer(address, b"\x7f\xf1\0\0")[..4], *b"\x7f\x40\0\0");
    let hit = "realmkeeper_limits_hit_total{limit=\"sessions\"}";
    assert_eq!(Samples::at(router.addresses()[1]).value(hit), 1.0);
    drop(first);
    router.wait_for_sockets(0);
    joined(&router, Serializer::Json, 15).leave();
    router.wait_for_sockets(0);
    router.stop();
    while http::plain(router.addresses()[1], "GET /readyz").status.starts_with("200") {}
    assert_eq!(answer(address, b"\x7f\xf1\0\0")[..4], *b"\x7f\x40\0\0");
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_cut_off() {
    let router =
        router(|settings| settings.listeners[0].session.handshake_timeout = Duration::from_millis(100));
    for sent in [&b""[..], b"\x7f", b"\x7f\xf1\0"] {
        assert_eq!(answer(router.address(), sent), b"");
    }
    // One that is refused and does not go.
    assert_eq!(answer(router.address(), b"\x7f\xf0\0\0"), b"\x7f\x10\0\0");
    let told = answer(router.address(), b"\x7f\xf1\0\0");
    let text = String::from_utf8_lossy(&told[8..]);
    let abort = r#"[3,{"message":"no session was joined within 100 ms"},"wamp.error.timeout"]"#;
    assert_eq!((&told[..4], &*text), (&b"\x7f\xb1\0\0"[..], abort));
}

/// What a client sends from the beginning to the end of a session.
fn conversation() -> Vec<u8> {
    let hello = json!([1, "realm1", {"roles": {"caller": {}}}]);
    let messages = [hello, json!([48, 1, {}, "wamp.session.count"]), json!([6, {}, "wamp.close.normal"])];
    let frames = messages.iter().map(|message| raw_frame(0, message.to_string().as_bytes()));
    [b"\x7f\xf1\0\0".to_vec(), raw_frame(1, b"hi")].into_iter().chain(frames).collect::<Vec<_>>().concat()
}

#[test]
fn a_conversation_may_be_cut_anywhere() {
    let router = router(|_| ());
    let whole = conversation();
    let answered = answer(router.address(), &whole);
    assert_eq!(answered[..10], *b"\x7f\xb1\0\0\x02\0\0\x02hi");
    assert!(answered.ends_with(br#"[6,{},"wamp.close.goodbye_and_out"]"#));
    for end in 0..whole.len() {
        let mut stream = connect(router.address());
        stream.write_all(&whole[..end]).expect("the router takes it");
        stream.shutdown(Shutdown::Write).expect("the connection is open");
        let came = rest(&mut stream);
        assert_eq!(came.len() >= 4, end >= 4, "{end} octets are answered {}", came.escape_ascii());
    }
    router.wait_for_sockets(0);
    let count = joined(&router, Serializer::Json, 15).call("wamp.session.count", &json!([]), &json!({}));
    assert_eq!(count[3], json!([1]));
}

#[test]
fn no_bit_of_a_handshake_that_is_turned_over_does_harm() {
    let router = router(|_| ());
    let whole = conversation();
    for bit in 0..32 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut stream = connect(router.address());
        // It may be refused before all of it is sent.
        let _ = stream.write_all(&changed);
        let _ = stream.shutdown(Shutdown::Write);
        rest(&mut stream);
    }
    router.wait_for_sockets(0);
    joined(&router, Serializer::Json, 15);
}

#[test]
fn pings_are_answered_with_their_own_octets_whatever_their_length() {
    let router = router(|_| ());
    let mut peer = joined(&router, Serializer::Cbor, 3);
    for payload in [vec![], b"are you there?".to_vec(), vec![0xff; 4096]] {
        peer.send_raw(&raw_frame(1, &payload));
        assert_eq!(peer.raw(), Some((2, payload)));
    }
    // An answer would be larger than the client takes. A pong that nobody asked for is no answer either.
    peer.send_raw(&[raw_frame(1, &[0; 4097]), raw_frame(2, b"what?")].concat());
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn a_silent_peer_is_sent_pings_and_stays_if_it_answers() {
    let router = router(|settings| {
        settings.listeners[0].session.ping_interval = Duration::from_millis(50);
        settings.listeners[0].session.ping_timeout = Duration::from_secs(5);
    });
    let mut peer = joined(&router, Serializer::Json, 15);
    for _ in 0..3 {
        assert_eq!(peer.raw(), Some((1, b"ping".to_vec())));
        peer.send_raw(&raw_frame(2, b"ping"));
    }
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn where_there_are_no_pings_the_system_asks_whether_a_peer_is_there() {
    for kind in ["rawsocket", "websocket"] {
        // The longest time that can be set is longer than the system can wait.
        let router = Router::configured(&format!(
            r#"
            admin = {{ address = "127.0.0.1:0" }}
            realms = [{{ name = "realm1" }}]
            [[listeners]]
            kind = "{kind}"
            address = "127.0.0.1:0"
            pings = false
            limits = {{ ping_interval = "24h" }}
            "#,
        ));
        let mut peer = match kind {
            "rawsocket" => Peer::shake_hands(connect(router.address()), Serializer::Json, 15),
            _ => Peer::connect(&router, Serializer::Json),
        };
        let port = peer.stream().local_addr().expect("a socket has an address").port();
        // The line of the router's end: local address, remote address, state, queues, timer.
        let table = fs::read_to_string("/proc/net/tcp").expect("the connections of the machine are told");
        let ends = format!("0100007F:{:04X} 0100007F:{port:04X}", router.address().port());
        let line = table.lines().find(|line| line.contains(&ends));
        let timer = line.and_then(|line| line.split_whitespace().nth(5));
        assert!(
            timer.is_some_and(|timer| timer.starts_with("02:")),
            "{kind}: no keepalive timer in {line:?}"
        );
    }
}

#[test]
fn tls_and_the_proxy_protocol_come_before_the_handshake() {
    let secured = certificate("rawsocket", &["localhost"]);
    let router = router(|settings| {
        settings.listeners[0].tls = Some(secured.files.clone());
        settings.listeners[0].proxy_protocol = true;
        settings.listeners[0].trusted_proxies = vec!["127.0.0.0/8".parse().expect("it is a network")];
    });
    assert_eq!(router.urls()[0], format!("rss://{}", router.address()));
    let stream = http::send(router.address(), b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 8080\r\n");
    let via = stream.local_addr().expect("a socket has an address");
    let (stream, _) = certificate::connect(stream, "localhost", None).expect("the router takes it");
    let mut peer = Peer::shake_hands(stream, Serializer::MessagePack, 15);
    let expected = json!({
        "channel_type": "tls",
        "channel_framing": "rawsocket",
        "channel_serializer": "msgpack",
        "peer": "tcp4:192.0.2.7:4660",
        "is_secure": true,
        "via": format!("tcp4:{via}"),
    });
    assert_eq!(transport(&mut peer), expected);
    peer.leave();
}

/// A call of which the arguments or the results are of this size, and the answer of the callee.
fn call(caller: &mut Peer, callee: &mut Peer, size: usize, answer: &Json) -> Json {
    let request = caller.request();
    caller.send(&json!([48, request, {}, "com.example.echo", ["x".repeat(size)]]));
    let invocation = callee.message();
    callee.send(&json!([70, invocation[1], {}, answer]));
    caller.message()
}

fn too_large(request_type: u64, request: u64) -> Json {
    let text = "the message would be larger than its receiver takes";
    json!([8, request_type, request, {}, "wamp.error.payload_size_exceeded", [text]])
}

#[test]
fn a_call_that_its_callee_does_not_take_is_refused() {
    let router = router(|_| ());
    let mut caller = Peer::join_at(router.addresses()[1], Serializer::Json);
    let mut callee = joined(&router, Serializer::Cbor, 3);
    callee.register("com.example.echo", &json!({}));
    let request = caller.request();
    caller.send(&json!([48, request, {}, "com.example.echo", ["x".repeat(4096)]]));
    assert_eq!(caller.message(), too_large(48, request));
    // The next is carried out, and neither is answered twice.
    let answered = call(&mut caller, &mut callee, 4000, &json!(["done"]));
    assert_eq!(answered, json!([50, request + 1, {}, ["done"]]));
    let errors = "realmkeeper_calls_total{outcome=\"error\",realm=\"realm1\"}";
    assert_eq!(Samples::at(router.addresses()[1]).value(errors), 1.0);
}

#[test]
fn a_result_that_its_caller_does_not_take_becomes_an_error() {
    let router = router(|_| ());
    let mut caller = joined(&router, Serializer::Json, 3);
    let mut callee = Peer::join_at(router.addresses()[1], Serializer::MessagePack);
    callee.register("com.example.echo", &json!({}));
    let large = json!(["x".repeat(4096)]);
    assert_eq!(call(&mut caller, &mut callee, 1, &large), too_large(48, 1));
    assert_eq!(call(&mut caller, &mut callee, 1, &json!(["done"])), json!([50, 2, {}, ["done"]]));
    // So does an error.
    let request = caller.request();
    caller.send(&json!([48, request, {}, "com.example.echo"]));
    let invocation = callee.message();
    callee.send(&json!([8, 68, invocation[1], {}, "com.example.error", large]));
    assert_eq!(caller.message(), too_large(48, request));
    // And what the router itself answers.
    let _others: Vec<_> = (0..300).map(|_| Peer::join_at(router.addresses()[1], Serializer::Json)).collect();
    let request = caller.request();
    caller.send(&json!([48, request, {}, "wamp.session.list"]));
    assert_eq!(caller.message(), too_large(48, request));
}

#[test]
fn of_events_in_a_row_each_comes_to_those_who_take_it() {
    let router = router(|_| ());
    let mut others = [15, 3].map(|length| joined(&router, Serializer::Json, length));
    let subscribed = others.each_mut().map(|peer| peer.subscribe("a.topic"));
    let mut publisher = Peer::connect_to(router.addresses()[1], Serializer::Json);
    publisher.say_hello("realm1", &json!({}));
    let texts =
        ["one".to_owned(), "x".repeat(5_000), "three".to_owned(), "y".repeat(40_000), "five".to_owned()];
    let all: Vec<_> = (1..)
        .zip(&texts)
        .flat_map(|(request, text)| publisher.frame(&json!([16, request, {}, "a.topic", [text]])))
        .collect();
    publisher.send_raw(&all);
    for (peer, subscription, takes) in
        [(0, subscribed[0], &[0, 1, 2, 3, 4][..]), (1, subscribed[1], &[0, 2, 4])]
    {
        for text in takes {
            let event = others[peer].message();
            assert_eq!(event, json!([36, subscription, event[2], {}, [texts[*text]]]));
        }
        let count = others[peer].call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(count[3], json!([3]), "nothing else came");
    }
}

#[test]
fn a_result_in_parts_ends_with_the_part_that_its_caller_does_not_take() {
    let router = router(|_| ());
    let features = ["progressive_call_results", "call_canceling"];
    let mut caller = Peer::shake_hands(connect(router.address()), Serializer::Json, 3);
    caller.announce("realm1", &features, &json!({}));
    let mut callee = Peer::connect_to(router.addresses()[1], Serializer::Json);
    callee.announce("realm1", &features, &json!({}));
    callee.register("com.example.parts", &json!({}));
    caller.send(&json!([48, 1, {"receive_progress": true}, "com.example.parts"]));
    let invocation = callee.message()[1].clone();
    let part = |text: &str| callee.frame(&json!([70, invocation, {"progress": true}, [text]]));
    let last = callee.frame(&json!([70, invocation, {}, ["last"]]));
    // All at once, so that the router knows of the last part when it comes to the one that is too large.
    let parts = [part("first"), part(&"x".repeat(4096)), part("third"), last].concat();
    callee.send_raw(&parts);
    assert_eq!(caller.message(), json!([50, 1, {"progress": true}, ["first"]]));
    assert_eq!(caller.message(), too_large(48, 1));
    assert_eq!(caller.call("wamp.session.count", &json!([]), &json!({})), json!([50, 1, {}, [2]]));

    // One at a time the callee is told to stop.
    caller.send(&json!([48, 2, {"receive_progress": true}, "com.example.parts"]));
    let invocation = callee.message()[1].clone();
    callee.send(&json!([70, invocation, {"progress": true}, ["x".repeat(4096)]]));
    assert_eq!(caller.message(), too_large(48, 2));
    let options = json!({"mode": "killnowait", "reason": "wamp.error.payload_size_exceeded"});
    assert_eq!(callee.message(), json!([69, invocation, options]));
}

#[test]
fn arguments_in_parts_end_with_the_part_that_their_callee_does_not_take() {
    let router = router(|_| ());
    let features = ["progressive_call_invocations", "call_canceling"];
    let mut caller = Peer::connect_to(router.addresses()[1], Serializer::Json);
    caller.announce("realm1", &features, &json!({}));
    let mut callee = Peer::shake_hands(connect(router.address()), Serializer::Json, 3);
    callee.announce("realm1", &features, &json!({}));
    let registration = callee.register("com.example.parts", &json!({}));
    let part = |caller: &mut Peer, text: &str, options: Json| {
        caller.send(&json!([48, 1, options, "com.example.parts", [text]]));
    };
    part(&mut caller, "first", json!({"progress": true}));
    assert_eq!(callee.message(), json!([68, 1, registration, {"progress": true}, ["first"]]));
    part(&mut caller, &"x".repeat(4096), json!({"progress": true}));
    assert_eq!(caller.message(), too_large(48, 1));
    let options = json!({"mode": "killnowait", "reason": "wamp.error.payload_size_exceeded"});
    assert_eq!(callee.message(), json!([69, 1, options]));
    // What was on its way has no effect.
    part(&mut caller, "last", json!({}));
    assert_eq!(caller.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));
    assert_eq!(callee.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));
}

#[test]
fn who_was_not_sent_an_invocation_hears_nothing_of_its_end() {
    let router = router(|_| ());
    let features = ["progressive_call_invocations", "call_canceling"];
    let mut callee = Peer::shake_hands(connect(router.address()), Serializer::Json, 3);
    callee.announce("realm1", &features, &json!({}));
    callee.register("com.example.parts", &json!({}));
    let large = "x".repeat(4096);
    let call = |options: Json| json!([48, 1, options, "com.example.parts", [large]]);
    for (messages, ends) in [
        (vec![call(json!({"progress": true}))], vec![too_large(48, 1)]),
        (
            vec![call(json!({"progress": true})), json!([48, 1, {}, "com.example.parts", ["last"]])],
            vec![too_large(48, 1)],
        ),
        (
            vec![call(json!({})), json!([49, 1, {}])],
            vec![json!([8, 48, 1, {}, "wamp.error.canceled", ["the caller canceled the call"]])],
        ),
        (
            vec![call(json!({})), json!([6, {}, "wamp.close.normal"])],
            vec![json!([6, {}, "wamp.close.goodbye_and_out"])],
        ),
    ] {
        let mut caller = Peer::connect_to(router.addresses()[1], Serializer::Json);
        caller.announce("realm1", &features, &json!({}));
        let frames: Vec<_> = messages.iter().map(|message| caller.frame(message)).collect();
        // All at once, so that they are handled together.
        caller.send_raw(&frames.concat());
        for end in ends {
            assert_eq!(caller.message(), end);
        }
        let told = callee.call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(told[0], 50, "the callee hears {told}");
    }
}

/// Asserts that a client is told that it does not take this message.
fn check_too_large(what: &str, received: &Received) {
    let Received::Message(abort) = received else { panic!("{received:?} is no message") };
    let text = abort[1]["message"].as_str().unwrap_or_default();
    assert!(text.starts_with(&format!("{what} is too large: it has 5")), "{text}");
    assert!(text.ends_with(" octets, and the client takes at most 4096"), "{text}");
    assert_eq!(*abort, json!([3, {"message": text}, "wamp.error.payload_size_exceeded"]));
}

#[test]
fn who_does_not_take_its_welcome_is_told_so_and_leaves() {
    let authid = "a".repeat(5000);
    let router = router(|settings| {
        let principal = backend(&authid, Ticket::plain("secret123"));
        settings.realms[0].door.principals.push(principal);
    });
    for serializer in Serializer::ALL {
        let mut observer = Peer::join_at(router.addresses()[1], serializer);
        let [joined, left] =
            ["on_join", "on_leave"].map(|event| observer.subscribe(&format!("wamp.session.{event}")));
        let mut peer = Peer::shake_hands(connect(router.address()), serializer, 3);
        peer.send(
            &json!([1, "realm1", {"roles": {"caller": {}}, "authid": authid, "authmethods": ["ticket"]}]),
        );
        assert_eq!(peer.message(), json!([4, "ticket", {}]));
        peer.send(&json!([5, "secret123", {}]));
        let [received, Received::End] = &peer.rest()[..] else { panic!("one message is due") };
        check_too_large("WELCOME", received);
        let event = observer.message();
        assert_eq!((&event[1], &event[4][0]["authid"]), (&json!(joined), &json!(authid)));
        let session = &event[4][0]["session"];
        let event = observer.message();
        assert_eq!(event, json!([36, left, event[2], {}, [session, authid, "backend"]]));
        let line = log::wait_for(&["session left", &format!("session={session} ")]);
        assert!(line.contains("cause=\"welcome_too_big\""), "{line}");
        observer.leave();
    }
    let left = "realmkeeper_sessions_left_total{cause=\"welcome_too_big\",realm=\"realm1\"}";
    assert_eq!(Samples::at(router.addresses()[1]).value(left), 3.0);
    router.wait_for_sockets(0);
}

#[test]
fn who_does_not_take_its_challenge_is_told_so() {
    let authid = "a".repeat(5000);
    let router = router(|settings| {
        let credentials = Credentials { cra: Some(cra::Key::plain("secret123")), ..Credentials::default() };
        let principal = Principal { credentials, ..backend(&authid, Ticket::plain("secret123")) };
        settings.realms[0].door.principals.push(principal);
    });
    let mut peer = Peer::shake_hands(connect(router.address()), Serializer::Json, 3);
    let details = json!({"roles": {"caller": {}}, "authid": authid, "authmethods": ["wampcra"]});
    peer.send(&json!([1, "realm1", details]));
    let [received, Received::End] = &peer.rest()[..] else { panic!("one message is due") };
    check_too_large("CHALLENGE", received);
    let refused = "realmkeeper_handshakes_total{outcome=\"challenge_too_big\"}";
    assert_eq!(Samples::at(router.addresses()[1]).value(refused), 1.0);
}

#[test]
fn an_event_reaches_those_who_take_it_by_whatever_they_come() {
    let router = router(|_| ());
    for serializer in Serializer::ALL {
        let mut publisher = Peer::join_at(router.addresses()[1], serializer);
        let mut little = joined(&router, serializer, 3);
        let mut much = joined(&router, serializer, 15);
        let mut websocket = Peer::join_at(router.addresses()[1], serializer);
        let topic = little.subscribe("com.example.topic");
        much.subscribe("com.example.topic");
        websocket.subscribe("com.example.topic");
        let before = Samples::at(router.addresses()[1]);
        for (request, size) in [(1, 100), (2, 5000), (3, 20_000)] {
            let args = json!(["x".repeat(size)]);
            publisher.send(&json!([16, request, {"acknowledge": true}, "com.example.topic", args]));
            let publication = publisher.message()[2].clone();
            let event = json!([36, topic, publication, {}, args]);
            assert_eq!(much.message(), event);
            assert_eq!(websocket.message(), event);
            if size == 100 {
                assert_eq!(little.message(), event);
            }
        }
        assert_eq!(little.call("wamp.session.count", &json!([]), &json!({}))[0], 50);
        let after = Samples::at(router.addresses()[1]);
        let grown = |name: &str| {
            let sample = format!("realmkeeper_{name}_total{{realm=\"realm1\"}}");
            after.value(&sample) - before.value(&sample)
        };
        assert_eq!((grown("deliveries"), grown("undeliverable_events")), (7.0, 2.0), "{serializer}");
    }
}

/// Where a test has its socket. It is short, as such paths have to be.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("realmkeeper-{}-{name}.sock", process::id()))
}

fn unix(path: &Path) -> Listener {
    let unix = UnixSocket { path: path.to_owned(), mode: 0o600, user: None, group: None };
    Listener { kind: ListenerKind::RawSocket, unix: Some(unix), ..Listener::default() }
}

#[test]
fn a_socket_of_this_machine_is_there_while_the_router_runs() {
    let path = path("running");
    // Somebody was killed and has left it behind.
    drop(UnixListener::bind(&path).expect("the folder can be written to"));
    let router = Router::with(|settings| settings.listeners.push(unix(&path)));
    assert_eq!(router.urls()[1], format!("rs://unix:{}", path.display()));
    let metadata = fs::metadata(&path).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    for serializer in Serializer::ALL {
        let stream = UnixStream::connect(&path).expect("the router listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
        let mut peer = Peer::shake_hands(stream, serializer, 15);
        let expected = json!({
            "channel_type": "unix",
            "channel_framing": "rawsocket",
            "channel_serializer": serializer.name(),
            "peer": format!("unix:pid={},uid={}", process::id(), nix::unistd::getuid()),
            "is_secure": false,
        });
        assert_eq!(transport(&mut peer), expected);
        let mut other = Peer::join(&router, Serializer::Json);
        let topic = peer.subscribe("com.example.topic");
        other.send(&json!([16, 1, {}, "com.example.topic", ["hello"]]));
        let event = peer.message();
        assert_eq!(event, json!([36, topic, event[2], {}, ["hello"]]));
        peer.send(&json!([6, {}, "wamp.close.normal"]));
        let goodbye = Received::Message(json!([6, {}, "wamp.close.goodbye_and_out"]));
        assert_eq!(peer.rest(), [goodbye, Received::End]);
        other.leave();
    }
    drop(router);
    assert!(!path.exists());
}

#[test]
fn limits_of_an_address_are_not_for_sockets_of_this_machine() {
    let path = path("limited");
    let router = Router::with(|settings| {
        settings.listeners.push(unix(&path));
        settings.limits.sessions_per_address = Some(1);
        settings.limits.sessions = Some(3);
    });
    let connect = || UnixStream::connect(&path).expect("the router listens");
    let peers: Vec<_> = (0..3).map(|_| Peer::shake_hands(connect(), Serializer::Json, 15)).collect();
    let mut stream = connect();
    stream.write_all(b"\x7f\xf1\0\0").expect("the router takes it");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    assert_eq!(rest(&mut stream), b"\x7f\x40\0\0");
    drop(peers);
    router.wait_for_sockets(0);
}

#[test]
fn the_program_tells_where_it_listens_and_the_load_generator_finds_it() {
    let path = path("program");
    let text = format!(
        r#"
        realms = [{{ name = "realm1", anonymous = "anyone", roles = [{{ name = "anyone", permissions = [
            {{ uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] }}
        ] }}] }}]
        [[listeners]]
        kind = "rawsocket"
        unix = {{ path = "{}", mode = "600" }}
        [[listeners]]
        kind = "rawsocket"
        address = "127.0.0.1:0"
        "#,
        path.display()
    );
    let mut serving = Serving::configured("rawsocket.toml", &text);
    let second = serving.line();
    let url = second.trim_end().strip_prefix("listens on ").expect("the second listener is told");
    assert!(url.starts_with("rs://127.0.0.1:"), "{url}");
    for serializer in ["json", "msgpack"] {
        let args = ["--url", url, "--serializer", serializer, "--seconds", "0.2", "--warmup", "0"];
        let output = program(&["bench", "rpc"]).args(args).output().expect("the program starts");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
        assert!(output.status.success(), "{told}");
    }
    serving.signal("TERM");
    let (code, printed) = serving.wait();
    let greeting = format!(
        "realmkeeper {} listens on rs://unix:{}\n\
         listens on {url}\n\
         realm: realm1 (anonymous as anyone)\n\
         try: {} bench rpc --url {url} --realm realm1 --seconds 2\n",
        env!("CARGO_PKG_VERSION"),
        path.display(),
        env!("CARGO_BIN_EXE_realmkeeper")
    );
    assert_eq!((code, printed), (Some(0), greeting));
    assert!(!path.exists());
}

/// Why a service with this listener does not start.
fn refusal(listener: Listener) -> String {
    let other = Listener { address: ([127, 0, 0, 1], 0).into(), ..Listener::default() };
    let settings = Settings { listeners: vec![other, listener], ..Settings::default() };
    let start = async { Service::start(settings).await.expect_err("it does not start").to_string() };
    actix_rt::System::new().block_on(start)
}

#[test]
fn a_path_that_is_taken_is_left_alone() {
    let path = path("taken");
    let place = format!("cannot listen on unix:{}", path.display());
    let other = UnixListener::bind(&path).expect("the folder can be written to");
    assert_eq!(refusal(unix(&path)), format!("{place}: another process listens there"));
    UnixStream::connect(&path).expect("the other listens still");
    drop(other);
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "precious").expect("the folder can be written to");
    assert_eq!(refusal(unix(&path)), format!("{place}: there is a file that is no socket"));
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    fs::remove_file(&path).expect("it is there");
    let nowhere = path.with_extension("folder").join("socket");
    let text = format!("cannot listen on unix:{}: No such file or directory (os error 2)", nowhere.display());
    assert_eq!(refusal(unix(&nowhere)), text);
}
