//! Every way for a session to end, over a real socket, a WebSocket or a RawSocket: what the peer gets, how a WebSocket
//! is closed, whether the realm is told, and what is logged.

use crate::support::{
    Peer, Router, form, log,
    peer::{Received, frame, header},
};
use realmkeeper::{Listener, ListenerKind, Settings};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    io::Read,
    net::Shutdown,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// What sessions can come by.
const KINDS: [ListenerKind; 2] = [ListenerKind::WebSocket, ListenerKind::RawSocket];

/// A realm with an observer, who is told who leaves, and a session that is about to end. The observer is at the first
/// listener, the victim at the last.
struct Scene {
    observer: Peer,
    subscription: u64,
    victim: Peer,
    /// The last to go, so that it has nobody to wait for.
    router: Router,
}

impl Scene {
    /// A scene in which the victim has a WebSocket.
    fn new(serializer: Serializer, change: impl FnOnce(&mut Settings)) -> Self {
        Self::over(ListenerKind::WebSocket, serializer, change)
    }

    /// A scene in which the victim comes by this.
    fn over(kind: ListenerKind, serializer: Serializer, change: impl FnOnce(&mut Settings)) -> Self {
        let router = Router::with(|settings| {
            change(settings);
            let last = settings.listeners.last().expect("there is a listener").clone();
            if last.kind != kind {
                settings.listeners.push(Listener { kind, ..last });
            }
        });
        let (first, last) = (router.addresses()[0], router.addresses()[router.addresses().len() - 1]);
        let mut observer = Peer::join_at(first, Serializer::Json);
        let subscription = observer.subscribe("wamp.session.on_leave");
        let victim = Peer::join_over(kind, last, serializer);
        Self { router, observer, subscription, victim }
    }

    /// Waits until the observer is told that the victim has left.
    fn wait_for_leave(&mut self) {
        let event = self.observer.message();
        let args = json!([self.victim.session, self.victim.authid, "anonymous"]);
        assert_eq!(event, json!([36, self.subscription, event[2], {}, args]));
    }

    /// Asserts that the observer is told nothing more, that the victim is gone, and what is logged of it.
    fn check_end(&mut self, cause: &str) {
        assert_eq!(
            self.observer.call("wamp.session.list", &json!([]), &json!({}))[3],
            json!([[self.observer.session]])
        );
        self.check_log(cause);
    }

    fn check_log(&self, cause: &str) {
        let session = format!("session={} ", self.victim.session);
        let line = log::wait_for(&["session left", &session]);
        assert!(line.contains(&format!("cause=\"{cause}\"")), "{line}");
        assert_eq!(log::lines(&["session left", &session]).len(), 1);
        assert_eq!(log::lines(&["session joined", &session]).len(), 1);
    }
}

/// Ends a session in each serializer and by each way to come, and checks what its peer gets before the end, and that
/// the leave is announced once. Close frames are expected of a WebSocket only.
fn ends(cause: &str, end: impl Fn(&mut Scene), expected: &[Received]) {
    ends_with(cause, |_| (), end, expected);
}

fn ends_with(cause: &str, change: impl Fn(&mut Settings), end: impl Fn(&mut Scene), expected: &[Received]) {
    let is_frame = |received: &&Received| matches!(received, Received::Close(_));
    let unframed: Vec<_> = expected.iter().filter(|received| !is_frame(received)).cloned().collect();
    ends_over(ListenerKind::WebSocket, cause, &change, &end, expected);
    ends_over(ListenerKind::RawSocket, cause, &change, &end, &unframed);
}

fn ends_over(
    kind: ListenerKind,
    cause: &str,
    change: impl Fn(&mut Settings),
    end: impl Fn(&mut Scene),
    expected: &[Received],
) {
    for serializer in [Serializer::Json, Serializer::MessagePack, Serializer::Cbor] {
        let mut scene = Scene::over(kind, serializer, &change);
        end(&mut scene);
        let mut came = scene.victim.rest();
        assert_eq!(came.pop(), Some(Received::End), "{cause} in {serializer} over {kind:?}");
        assert_eq!(came, expected, "{cause} in {serializer} over {kind:?}");
        scene.wait_for_leave();
        scene.check_end(cause);
    }
}

/// Ends a session that has a WebSocket.
fn websocket_ends(cause: &str, end: impl Fn(&mut Scene), expected: &[Received]) {
    ends_over(ListenerKind::WebSocket, cause, |_| (), end, expected);
}

fn goodbye(reason: &str) -> Received {
    Received::Message(json!([6, {}, reason]))
}

fn abort(reason: &str, text: &str) -> Received {
    Received::Message(json!([3, {"message": text}, reason]))
}

fn violation(text: &str) -> [Received; 2] {
    [abort("wamp.error.protocol_violation", text), Received::Close(Some(1002))]
}

fn too_big(text: &str) -> [Received; 2] {
    [abort("wamp.error.payload_size_exceeded", text), Received::Close(Some(1009))]
}

#[test]
fn goodbye_is_answered() {
    let end = |scene: &mut Scene| scene.victim.send(&json!([6, {}, "wamp.close.normal"]));
    ends("goodbye", end, &[goodbye("wamp.close.goodbye_and_out"), Received::Close(Some(1000))]);
}

#[test]
fn what_was_sent_before_goodbye_is_answered_before_it() {
    let end = |scene: &mut Scene| {
        let call = scene.victim.frame(&json!([48, 1, {}, "wamp.session.count"]));
        let goodbye = scene.victim.frame(&json!([6, {}, "wamp.close.normal"]));
        let publish = scene.victim.frame(&json!([16, 2, {"acknowledge": true}, "a.b"]));
        scene.victim.send_raw(&[call, goodbye, publish].concat());
    };
    let answer = Received::Message(json!([50, 1, {}, [2]]));
    ends("goodbye", end, &[answer, goodbye("wamp.close.goodbye_and_out"), Received::Close(Some(1000))]);
}

#[test]
fn a_close_frame_is_echoed() {
    for (code, frame) in [
        (Some(4000), Some(CloseFrame { code: CloseCode::Library(4000), reason: "enough".into() })),
        (Some(1000), Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })),
        (None, None),
    ] {
        let end = |scene: &mut Scene| scene.victim.socket().close(frame.clone()).unwrap();
        websocket_ends("transport_closed", end, &[Received::Close(code)]);
    }
}

#[test]
fn a_connection_that_breaks_ends_the_session() {
    ends("transport_lost", |scene| scene.victim.stream().shutdown(Shutdown::Both).unwrap(), &[]);
}

#[test]
fn a_connection_that_is_reset_ends_the_session() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::Json, |_| ());
        let other = Peer::connect(&scene.router, Serializer::Json);
        let mut victim = std::mem::replace(&mut scene.victim, other);
        (scene.victim.session, scene.victim.authid) = (victim.session, victim.authid.clone());
        socket2::SockRef::from(&*victim.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(victim);
        scene.wait_for_leave();
        scene.check_end("transport_lost");
    }
}

#[test]
fn abort_ends_the_session_without_a_word() {
    let end = |scene: &mut Scene| scene.victim.send(&json!([3, {}, "wamp.error.whatever"]));
    ends("aborted", end, &[Received::Close(Some(1000))]);
}

#[test]
fn a_message_out_of_place_is_a_violation() {
    let end = |scene: &mut Scene| scene.victim.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
    ends("protocol_violation", end, &violation("HELLO has no place in a session that has joined"));
}

#[test]
fn frames_that_have_no_place_are_violations() {
    let raw = |bytes: Vec<u8>| move |scene: &mut Scene| scene.victim.send_raw(&bytes);
    let unmasked = b"\x82\x01x".to_vec();
    for (end, text) in [
        (raw(unmasked), "a frame is not masked"),
        (raw(frame(0x80, b"x")), "a fragment continues no message"),
        (raw(frame(0x83, b"x")), "a frame has an opcode that is not in use"),
        (raw(frame(0xc1, b"x")), "a frame has reserved bits set"),
        (raw(frame(0x09, b"x")), "a control frame is fragmented or longer than 125 octets"),
        (raw(frame(0x88, b"x")), "a close frame has a payload that is not valid"),
    ] {
        websocket_ends("protocol_violation", end, &violation(text));
    }
    for (end, text) in [
        (raw(b"\x10\0\0\0".to_vec()), "a frame has reserved bits set"),
        (raw(b"\x03\0\0\0".to_vec()), "a frame has a type that is not in use"),
        (raw(b"\x08\0\0\x01".to_vec()), "a frame has a length of more than 2^24 octets"),
    ] {
        let [abort, _] = violation(text);
        ends_over(ListenerKind::RawSocket, "protocol_violation", |_| (), end, &[abort]);
    }
}

#[test]
fn a_frame_of_the_wrong_kind_is_a_violation() {
    for (serializer, first, text) in [
        (Serializer::Json, 0x82, "a binary frame was sent where the subprotocol uses text"),
        (Serializer::Cbor, 0x81, "a text frame was sent where the subprotocol uses binary"),
    ] {
        let mut scene = Scene::new(serializer, |_| ());
        scene.victim.send_raw(&frame(first, b"[]"));
        let [abort, close] = violation(text);
        assert_eq!(scene.victim.rest(), [abort, close, Received::End]);
        scene.wait_for_leave();
        scene.check_end("protocol_violation");
    }
}

#[test]
fn text_that_is_not_utf_8_is_told_apart() {
    let mut scene = Scene::new(Serializer::Json, |_| ());
    scene.victim.send_raw(&frame(0x81, b"[16,1,{},\"\xff\"]"));
    let abort = abort("wamp.error.protocol_violation", "the text is not UTF-8");
    assert_eq!(scene.victim.rest(), [abort, Received::Close(Some(1007)), Received::End]);
    scene.wait_for_leave();
    scene.check_end("invalid_utf8");
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_header() {
    let limited = |settings: &mut Settings| settings.listeners[0].session.message_limit = 1000;
    let first = |scene: &Scene| if scene.victim.serializer().is_text() { 0x01 } else { 0x02 };
    let whole = |scene: &mut Scene| {
        let header = header(0x80 | first(scene), 1001);
        scene.victim.send_raw(&header);
    };
    let websocket = ListenerKind::WebSocket;
    let told = too_big("a message may have at most 1000 octets");
    ends_over(websocket, "message_too_big", limited, whole, &told);
    let fragments = |scene: &mut Scene| {
        let begin = frame(first(scene), &[b' '; 600]);
        scene.victim.send_raw(&[begin, header(0x80, 401)].concat());
    };
    ends_over(websocket, "message_too_big", limited, fragments, &told);
    // A RawSocket can tell powers of two only.
    let whole = |scene: &mut Scene| scene.victim.send_raw(b"\0\0\x02\x01");
    let [told, _] = too_big("a message may have at most 512 octets");
    ends_over(ListenerKind::RawSocket, "message_too_big", limited, whole, &[told]);
}

#[test]
fn a_message_nested_too_deep_is_refused() {
    let end = |scene: &mut Scene| {
        let nested = (0..70).fold(json!([]), |inner, _| json!([inner]));
        scene.victim.send(&json!([16, 1, {}, "a.b", nested]));
    };
    ends("message_too_big", end, &too_big("the message is nested deeper than 64 levels"));
}

fn kill(scene: &mut Scene, procedure: &str, args: &Json) {
    let request = scene.observer.request();
    let kwargs = json!({"reason": "because", "message": "foobar"});
    scene.observer.send(&json!([48, request, {}, procedure, args, kwargs]));
}

#[test]
fn a_killed_session_is_told_why() {
    let told = [Received::Message(json!([6, {"message": "foobar"}, "because"])), Received::Close(Some(1000))];
    for (kind, serializer) in [
        (ListenerKind::WebSocket, Serializer::Json),
        (ListenerKind::WebSocket, Serializer::Cbor),
        (ListenerKind::RawSocket, Serializer::MessagePack),
    ] {
        let told = if kind == ListenerKind::WebSocket { &told[..] } else { &told[..1] };
        let mut scene = Scene::over(kind, serializer, |_| ());
        let session = scene.victim.session;
        kill(&mut scene, "wamp.session.kill", &json!([session]));
        // Out of the realm before the kill is answered.
        scene.wait_for_leave();
        assert_eq!(scene.observer.message(), json!([50, 2, {}]));
        assert_eq!(scene.victim.rest(), [told, &[Received::End]].concat());
        scene.check_end("killed");

        let mut scene = Scene::over(kind, serializer, |_| ());
        kill(&mut scene, "wamp.session.kill_all", &json!([]));
        assert_eq!(scene.observer.message(), json!([50, 2, {}, [1]]));
        assert_eq!(scene.victim.rest(), [told, &[Received::End]].concat());
        scene.check_end("killed_all");
    }
}

#[test]
fn a_killed_session_that_never_answers_is_shut_and_nothing_of_it_is_routed() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::Json, |settings| {
            settings.listeners[0].session.linger = Duration::from_millis(200)
        });
        let topic = scene.observer.subscribe("a.topic");
        let session = scene.victim.session;
        kill(&mut scene, "wamp.session.kill", &json!([session]));
        scene.wait_for_leave();
        assert_eq!(scene.observer.message()[0], 50);
        scene.victim.send(&json!([16, 1, {}, "a.topic", ["too late"]]));
        let goodbye = Received::Message(json!([6, {"message": "foobar"}, "because"]));
        assert_eq!(scene.victim.receive(), goodbye);
        if kind == ListenerKind::WebSocket {
            assert_eq!(scene.victim.receive(), Received::Close(Some(1000)));
        }
        scene.router.wait_for_sockets(1);
        scene.check_end("killed");
        assert_ne!(topic, 0);
    }
}

#[test]
fn a_consumer_that_is_too_slow_is_told_where_that_still_fits() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::Json, |settings| {
            settings.listeners[0].session.outbox_limit = 256 << 10;
            settings.listeners[0].session.linger = Duration::from_secs(60);
        });
        scene.victim.subscribe("a.topic");
        scene.observer.flood("a.topic", 16 << 20);
        scene.wait_for_leave();
        let came = scene.victim.rest();
        let is_event =
            |received: &&Received| matches!(received, Received::Message(message) if message[0] == 36);
        let events = came.iter().take_while(is_event).count();
        assert!(events > 0);
        let end = [goodbye("realmkeeper.close.slow_consumer"), Received::Close(Some(1008)), Received::End];
        let (came, is_websocket) = (&came[events..], kind == ListenerKind::WebSocket);
        assert_eq!(came, if is_websocket { end.to_vec() } else { vec![end[0].clone(), end[2].clone()] });
        scene.check_end("slow_consumer");
    }
}

#[test]
fn a_consumer_that_takes_nothing_is_cut_off() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::MessagePack, |settings| {
            settings.listeners[0].session.outbox_limit = 64 << 20;
            settings.listeners[0].session.write_stall = Duration::from_millis(200);
            settings.listeners[0].session.linger = Duration::from_millis(200);
        });
        scene.victim.subscribe("a.topic");
        scene.observer.flood("a.topic", 16 << 20);
        scene.wait_for_leave();
        scene.router.wait_for_sockets(1);
        scene.check_end("slow_consumer");
    }
}

#[test]
fn a_silent_peer_that_answers_no_ping_is_cut_off() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::Json, |settings| {
            let mut hasty = settings.listeners[0].clone();
            hasty.session.ping_interval = Duration::from_millis(100);
            hasty.session.ping_timeout = Duration::from_millis(100);
            settings.listeners.push(hasty);
        });
        // The victim does not read.
        scene.wait_for_leave();
        scene.check_end("ping_timeout");
        assert_eq!(scene.victim.receive(), Received::End);
    }
}

#[test]
fn a_silent_peer_that_answers_pings_stays() {
    let router = Router::with(|settings| {
        settings.listeners[0].session.ping_interval = Duration::from_millis(50);
        settings.listeners[0].session.ping_timeout = Duration::from_secs(5);
    });
    let mut peer = Peer::join(&router, Serializer::Json);
    for _ in 0..3 {
        let ping = peer.socket().read().unwrap();
        assert_eq!(ping, tungstenite::Message::Ping(Vec::new().into()));
        peer.socket().flush().unwrap();
    }
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn a_ping_is_answered_with_its_own_octets() {
    let router = Router::start();
    let mut peer = Peer::join(&router, Serializer::Cbor);
    peer.send_raw(&frame(0x89, b"are you there?"));
    assert_eq!(peer.socket().read().unwrap(), tungstenite::Message::Pong(b"are you there?".to_vec().into()));
}

#[test]
fn a_fault_in_a_session_ends_that_session_only() {
    let end = |scene: &mut Scene| scene.victim.send(&json!([16, 1, {}, "realmkeeper.fault.session"]));
    let told = abort("realmkeeper.error.internal", "a fault of the router ended this session");
    ends("panic", end, &[told, Received::Close(Some(1011))]);
}

#[test]
fn a_fault_in_the_core_closes_the_realm_which_starts_again_empty() {
    let mut scene = Scene::new(Serializer::Cbor, |_| ());
    scene.victim.send(&json!([16, 1, {}, "realmkeeper.fault.realm"]));
    let told = [goodbye("wamp.close.close_realm"), Received::Close(Some(1001)), Received::End];
    assert_eq!(scene.victim.rest(), told);
    assert_eq!(scene.observer.rest(), told);
    scene.check_log("realm_closed");
    let mut next = Peer::join(&scene.router, Serializer::Json);
    assert_eq!(next.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn a_router_that_stops_sends_everybody_away() {
    let mut scene = Scene::new(Serializer::MessagePack, |_| ());
    scene.router.stop();
    let told = [goodbye("wamp.close.system_shutdown"), Received::Close(Some(1001)), Received::End];
    assert_eq!(scene.victim.rest(), told);
    assert_eq!(scene.observer.rest(), told);
    scene.check_log("shutdown");
    let mut scene = Scene::over(ListenerKind::RawSocket, Serializer::MessagePack, |_| ());
    scene.router.stop();
    assert_eq!(scene.victim.rest(), [told[0].clone(), told[2].clone()]);
    assert_eq!(scene.observer.rest(), told);
    scene.check_log("shutdown");
}

#[test]
fn what_comes_behind_hello_is_handled_after_welcome() {
    let router = Router::start();
    let mut peer = Peer::connect(&router, Serializer::Json);
    let hello = peer.frame(&json!([1, "realm1", {"roles": {"caller": {}, "subscriber": {}}}]));
    let subscribe = peer.frame(&json!([32, 1, {}, "a.b"]));
    let call = peer.frame(&json!([48, 2, {}, "wamp.session.count"]));
    peer.send_raw(&[hello, subscribe, call].concat());
    assert_eq!(peer.message()[0], 2);
    assert_eq!(peer.message()[0], 33);
    assert_eq!(peer.message(), json!([50, 2, {}, [1]]));
}

#[test]
fn who_goes_between_hello_and_welcome_leaves_nothing_behind() {
    let router = Router::start();
    let mut observer = Peer::join(&router, Serializer::Json);
    for _ in 0..20 {
        let mut peer = Peer::connect(&router, Serializer::Json);
        let hello = peer.frame(&json!([1, "realm1", {"roles": {"caller": {}}}]));
        peer.send_raw(&hello);
        socket2::SockRef::from(&*peer.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }
    router.wait_for_sockets(1);
    // The leave of the last is in the mailbox of the realm before this call, or it never joined.
    assert_eq!(observer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn a_slow_reader_that_is_behind_is_alive_though_its_pongs_wait_unread() {
    for kind in KINDS {
        let mut scene = Scene::over(kind, Serializer::Json, |settings| {
            let mut hasty = settings.listeners[0].clone();
            hasty.session.outbox_limit = 32 << 20;
            hasty.session.ping_interval = Duration::from_millis(50);
            hasty.session.ping_timeout = Duration::from_secs(3);
            hasty.session.write_stall = Duration::from_secs(60);
            settings.listeners.push(hasty);
        });
        scene.victim.subscribe("a.topic");
        // The kernel is not to take it all.
        socket2::SockRef::from(&*scene.victim.stream()).set_recv_buffer_size(128 << 10).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| scene.observer.flood("a.topic", 24 << 20));
            // It takes a little at a time, so that for long there is too much waiting for it to be listened to.
            let start = Instant::now();
            let mut events = 0;
            while start.elapsed() < Duration::from_secs(4) {
                if start.elapsed() >= Duration::from_millis(20) * events {
                    assert_eq!(scene.victim.message()[0], 36, "after {events} events");
                    events += 1;
                }
                thread::yield_now();
            }
            scene.victim.send(&json!([48, 2, {}, "wamp.session.count"]));
            while scene.victim.message()[0] != 50 {}
        });
    }
}

#[test]
fn what_came_before_a_close_frame_is_answered_before_it() {
    let end = |scene: &mut Scene| {
        let call = scene.victim.frame(&json!([48, 1, {}, "wamp.session.count"]));
        let close = frame(0x88, &4000u16.to_be_bytes());
        scene.victim.send_raw(&[call, close].concat());
    };
    let answer = Received::Message(json!([50, 1, {}, [2]]));
    websocket_ends("transport_closed", end, &[answer, Received::Close(Some(4000))]);
    let end = |scene: &mut Scene| {
        let goodbye = scene.victim.frame(&json!([6, {}, "wamp.close.normal"]));
        scene.victim.send_raw(&[goodbye, frame(0x88, &1000u16.to_be_bytes())].concat());
    };
    websocket_ends("goodbye", end, &[goodbye("wamp.close.goodbye_and_out"), Received::Close(Some(1000))]);
}

#[test]
fn what_came_before_a_fault_is_answered_before_it() {
    let end = |scene: &mut Scene| {
        let call = scene.victim.frame(&json!([48, 1, {}, "wamp.session.count"]));
        let fault = scene.victim.frame(&json!([16, 2, {}, "realmkeeper.fault.session"]));
        scene.victim.send_raw(&[call, fault].concat());
    };
    let answer = Received::Message(json!([50, 1, {}, [2]]));
    let told = abort("realmkeeper.error.internal", "a fault of the router ended this session");
    ends("panic", end, &[answer, told, Received::Close(Some(1011))]);
}

#[test]
fn a_router_that_stops_tells_those_who_have_not_joined() {
    let mut router = Router::with(|settings| settings.listeners[0].session.linger = Duration::from_secs(60));
    let mut peer = Peer::connect(&router, Serializer::Json);
    peer.send_raw(&frame(0x89, b"")); // its pong says that the session is there
    assert!(peer.socket().read().unwrap().is_pong());
    router.stop();
    let told = abort("wamp.close.system_shutdown", "the router stops");
    assert_eq!(peer.rest(), [told, Received::Close(Some(1001)), Received::End]);
}

#[test]
fn a_client_that_says_nothing_more_is_told_all_that_it_waits_for() {
    let patient = |settings: &mut Settings| settings.listeners[0].session.linger = Duration::from_secs(60);
    let half_close = |scene: &mut Scene, messages: &[Json]| {
        let frames: Vec<_> = messages.iter().map(|message| scene.victim.frame(message)).collect();
        scene.victim.send_raw(&frames.concat());
        scene.victim.stream().shutdown(Shutdown::Write).unwrap();
    };
    let call = json!([48, 1, {}, "wamp.session.count"]);
    let answer = Received::Message(json!([50, 1, {}, [2]]));

    let end = |scene: &mut Scene| half_close(scene, &[call.clone(), json!([6, {}, "wamp.close.normal"])]);
    let told = [answer.clone(), goodbye("wamp.close.goodbye_and_out"), Received::Close(Some(1000))];
    ends_with("goodbye", patient, end, &told);
    let end = |scene: &mut Scene| half_close(scene, std::slice::from_ref(&call));
    ends_with("transport_lost", patient, end, &[answer, Received::Close(None)]);
}

#[test]
fn a_client_that_says_nothing_more_after_hello_is_welcomed_and_leaves() {
    let router = Router::with(|settings| settings.listeners[0].session.linger = Duration::from_secs(60));
    let mut peer = Peer::connect(&router, Serializer::Json);
    peer.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
    peer.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.message()[0], 2);
    assert_eq!(peer.rest(), [Received::Close(None), Received::End]);
}

#[test]
fn nothing_follows_the_close_frame() {
    let router = Router::with(|settings| settings.listeners[0].session.linger = Duration::from_secs(60));
    let mut peer = Peer::join(&router, Serializer::Json);
    peer.send(&json!([6, {}, "wamp.close.normal"]));
    assert_eq!(peer.receive(), goodbye("wamp.close.goodbye_and_out"));
    assert_eq!(peer.receive(), Received::Close(Some(1000)));
    peer.send_raw(&[frame(0x89, b"are you there?"), frame(0x88, &1000u16.to_be_bytes())].concat());
    let mut rest = Vec::new();
    peer.stream().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn goodbye_that_crosses_a_kill_is_its_answer() {
    let router = Router::with(|settings| settings.listeners[0].session.linger = Duration::from_secs(60));
    let mut observer = Peer::join(&router, Serializer::Json);
    for round in 0..30 {
        let mut victim = Peer::join(&router, Serializer::ALL[round % 3]);
        let (request, session) = (observer.request(), victim.session);
        let at_once = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                at_once.wait();
                observer.send(&json!([48, request, {}, "wamp.session.kill", [session]]));
            });
            at_once.wait();
            victim.send(&json!([6, {}, "wamp.close.normal"]));
        });
        // It says no second GOODBYE, whatever comes.
        let (first, answer) = (victim.receive(), observer.message());
        let is_killed = answer == json!([50, request, {}]);
        assert!(is_killed || answer[4] == "wamp.error.no_such_session", "{answer}");
        let reason = if is_killed { "wamp.close.killed" } else { "wamp.close.goodbye_and_out" };
        assert_eq!(first, goodbye(reason));
        assert_eq!([victim.receive(), victim.receive()], [Received::Close(Some(1000)), Received::End]);
    }
}

#[test]
fn a_message_in_fragments_is_taken_on_credit_that_is_given_back() {
    let router = Router::with(|settings| settings.listeners[0].session.credit = 1000);
    for serializer in [Serializer::Json, Serializer::Cbor] {
        let mut peer = Peer::join(&router, serializer);
        let first = if serializer.is_text() { 0x01 } else { 0x02 };
        for request in 1..=20 {
            let filled = json!([48, request, {}, "wamp.session.count", [[], "x".repeat(600)]]);
            let message = form::encode(serializer, &filled);
            let (begin, end) = message.split_at(300);
            peer.send_raw(&[frame(first, begin), frame(0x89, b"")].concat());
            peer.send_raw(&frame(0x80, end));
            assert_eq!(peer.message(), json!([50, request, {}, [0]]), "{serializer}");
        }
    }
}
