//! What there can be at most: who is beyond a limit is told which, and nobody else notices.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
    log,
    peer::Received,
};
use realmkeeper::{Listener, NodeLimits, Settings};
use realmkeeper_actors::{codec::Serializer, session::Rate};
use serde_json::json;
use std::{
    io::Read,
    net::{Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// Two sessions that have nothing to do with what others run into.
struct Bystanders {
    publisher: Peer,
    subscriber: Peer,
    subscription: u64,
}

impl Bystanders {
    fn join(address: SocketAddr) -> Self {
        let [publisher, mut subscriber] = [Serializer::MessagePack, Serializer::Json].map(|serializer| {
            let mut peer = Peer::connect_to(address, serializer);
            peer.say_hello("realm1", &json!({}));
            peer
        });
        let subscription = subscriber.subscribe("a.b");
        Self { publisher, subscriber, subscription }
    }

    /// Asserts that their calls are answered and their events arrive, and that nothing else does.
    fn notice_nothing(&mut self) {
        let request = self.publisher.request();
        self.publisher.send(&json!([16, request, {"acknowledge": true}, "a.b", [request]]));
        let published = self.publisher.message();
        assert_eq!(published, json!([17, request, published[2]]));
        assert_eq!(self.subscriber.message(), json!([36, self.subscription, published[2], {}, [request]]));
        let found = self.subscriber.call("wamp.session.get", &json!([self.publisher.session]), &json!({}));
        assert_eq!(found[3][0]["session"], json!(self.publisher.session));
    }
}

fn rate(burst: u32, per_second: u32) -> Option<Rate> {
    let positive = |number| NonZeroU32::new(number).expect("it is positive");
    Some(Rate { per_second: positive(per_second), burst: positive(burst) })
}

/// A router with these limits that listens on IPv4 and on IPv6.
fn with_limits(limits: NodeLimits) -> Router {
    Router::with(|settings| {
        settings.limits = limits;
        let first = settings.listeners[0].clone();
        settings.listeners.push(Listener { address: (Ipv6Addr::LOCALHOST, 0).into(), ..first });
    })
}

/// The answer to a connection that asks for an upgrade.
fn try_upgrade(address: SocketAddr) -> Answer {
    http::ask(address, &http::upgrade("GET /ws", &[]))
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let router = with_limits(NodeLimits { sessions: Some(3), ..NodeLimits::default() });
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let mut bystanders = Bystanders::join(first);
    // It counts from its upgrade, joined or not.
    let third = Peer::connect_to(second, Serializer::Json);
    let text = "this router has as many connections as its limit sessions allows: 3";
    for address in [first, second] {
        assert_eq!(try_upgrade(address), Answer::plain("503 service unavailable", text));
    }
    bystanders.notice_nothing();
    assert_eq!(http::plain(first, "GET /readyz"), Answer::plain("200 ok", "ready"));
    drop(third);
    router.wait_for_sockets(2);
    let fourth = Peer::connect_to(first, Serializer::Json);
    assert_eq!(try_upgrade(second), Answer::plain("503 service unavailable", text));
    drop(fourth);
}

#[test]
fn there_are_no_more_connections_of_an_address_than_there_may_be() {
    let router = with_limits(NodeLimits { sessions_per_address: Some(2), ..NodeLimits::default() });
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let mut bystanders = Bystanders::join(first);
    let text = "127.0.0.1 has as many connections as the limit sessions_per_address allows: 2";
    assert_eq!(try_upgrade(first), Answer::plain("429 too many requests", text));
    let others = [0; 2].map(|_| Peer::connect_to(second, Serializer::Json));
    let text = "::/64 has as many connections as the limit sessions_per_address allows: 2";
    assert_eq!(try_upgrade(second), Answer::plain("429 too many requests", text));
    bystanders.notice_nothing();
    drop(others);
    router.wait_for_sockets(2);
    drop(Peer::connect_to(second, Serializer::Json));
}

#[test]
fn an_address_connects_no_more_often_than_it_may() {
    let limits = NodeLimits { connection_rate: rate(3, 1), ..NodeLimits::default() };
    let router = with_limits(limits);
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let start = Instant::now();
    let mut bystanders = Bystanders::join(first);
    // What could be no session counts for nothing.
    for _ in 0..10 {
        assert_eq!(
            http::ask(first, &http::upgrade("GET /", &[])),
            Answer::plain("404 not found", "WAMP clients connect at /ws")
        );
    }
    let (mut admitted, mut answer) = (2, try_upgrade(first));
    while answer.status == http::UPGRADED {
        (admitted, answer) = (admitted + 1, try_upgrade(first));
    }
    assert!(admitted >= 3 && admitted <= 4 + start.elapsed().as_secs(), "{admitted} were admitted");
    let text =
        "127.0.0.1 connects more often than the limit connection_rate allows: 3 at once and 1 a second";
    assert_eq!(answer, Answer::plain("429 too many requests", text).with("retry-after: 1"));
    bystanders.notice_nothing();
    drop(Peer::connect_to(second, Serializer::Json));
    let start = Instant::now();
    while try_upgrade(first).status != http::UPGRADED {
        assert!(start.elapsed() < Duration::from_secs(10), "it may not connect again");
    }
}

#[test]
fn a_session_that_sends_too_many_messages_is_ended() {
    for serializer in Serializer::ALL {
        let router = Router::with(|settings| {
            let usual = settings.listeners[0].clone();
            settings.listeners[0].session.message_rate = rate(5, 1);
            settings.listeners.push(usual);
        });
        let [first, second] = [router.addresses()[0], router.addresses()[1]];
        let mut bystanders = Bystanders::join(second);
        let mut observer = Peer::connect_to(second, Serializer::Json);
        observer.say_hello("realm1", &json!({}));
        let left = observer.subscribe("wamp.session.on_leave");
        let mut flood = Peer::connect_to(first, serializer);
        flood.say_hello("realm1", &json!({}));
        let calls = (1..=10).map(|request| flood.frame(&json!([48, request, {}, "wamp.session.count"])));
        let calls = calls.collect::<Vec<_>>().concat();
        flood.send_raw(&calls);
        for request in 1..=5 {
            assert_eq!(flood.message(), json!([50, request, {}, [4]]));
        }
        let text = "more messages than message_rate of this listener allows: 5 at once and 1 a second";
        assert_eq!(
            flood.rest(),
            [
                Received::Message(json!([6, {"message": text}, "wamp.error.not_authorized"])),
                Received::Close(Some(1008)),
                Received::End
            ]
        );
        let event = observer.message();
        assert_eq!(event, json!([36, left, event[2], {}, [flood.session, flood.authid, "anonymous"]]));
        bystanders.notice_nothing();
        let session = format!("session={} ", flood.session);
        let line = log::wait_for(&["session left", &session]);
        assert!(line.contains("cause=\"policy\""), "{line}");
        assert_eq!(observer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([3]));
    }
}

#[test]
fn a_goodbye_behind_too_many_messages_is_an_answer() {
    let linger = Duration::from_secs(60);
    let router = Router::with(|settings| {
        settings.listeners[0].session.message_rate = rate(1, 1);
        settings.listeners[0].session.linger = linger;
    });
    let mut peer = Peer::join(&router, Serializer::Json);
    let start = Instant::now();
    let messages = [
        json!([48, 1, {}, "wamp.session.count"]),
        json!([48, 2, {}, "wamp.session.count"]),
        json!([6, {}, "wamp.close.normal"]),
    ];
    let frames = messages.map(|message| peer.frame(&message)).concat();
    peer.send_raw(&frames);
    assert_eq!(peer.message(), json!([50, 1, {}, [1]]));
    assert_eq!(peer.message()[2], json!("wamp.error.not_authorized"));
    assert_eq!(peer.receive(), Received::Close(Some(1008)));
    assert_eq!(peer.receive(), Received::End);
    assert!(start.elapsed() < linger);
}

#[test]
fn a_connection_that_never_asks_for_anything_is_closed() {
    let wait = Duration::from_millis(200);
    let router = Router::with(|settings| settings.listeners[0].session.handshake_timeout = wait);
    for sent in ["", "GET /ws HT", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"] {
        let start = Instant::now();
        let mut stream = http::send(router.address(), sent.as_bytes());
        let (status, headers) = http::head(&mut stream);
        assert_eq!(status, "408 request timeout");
        assert_eq!(headers, ["connection: close", "content-length: 0"]);
        assert_eq!(stream.read(&mut [0]).expect("the router closes the connection"), 0, "{sent:?}");
        assert!(start.elapsed() >= wait, "{sent:?} was given {:?}", start.elapsed());
    }
}

#[test]
fn a_connection_whose_request_has_no_end_is_cut() {
    let wait = Duration::from_millis(200);
    let router = Router::with(|settings| settings.listeners[0].session.handshake_timeout = wait);
    let request = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
    let expected = Answer::plain("404 not found", "WAMP clients connect at /ws");
    assert_eq!(http::ask(router.address(), request), expected);
}

#[test]
fn a_connection_does_not_wait_for_a_second_request() {
    let router = Router::start();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /";
    let mut stream = http::send(router.address(), request.as_bytes());
    assert_eq!(http::head(&mut stream).0, "200 ok");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the router closes the connection");
    assert_eq!(text, "ok\n");
}

#[test]
fn more_sessions_than_files_are_worth_a_warning() {
    let sessions = 123_456_789_012;
    let router = Router::with(|settings: &mut Settings| settings.limits.sessions = Some(sessions));
    let line = log::wait_for(&["the limit sessions is higher than", &format!("sessions={sessions} ")]);
    assert!(line.contains(" WARN "), "{line}");
    drop(router);
}
