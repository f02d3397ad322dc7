//! Sessions that wait for an authorizer, when something happens to them meanwhile.

use crate::support::{
    Peer, Router,
    peer::{Received, frame},
    program::Serving,
};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    net::{Shutdown, SocketAddr},
    thread,
};

const CONFIG: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
limits = { ping_interval = "60m", linger = "60m" }

[[realms]]
name = "realm1"
limits = { component_timeout = "60m" }

[[realms.roles]]
name = "component"
trusted = true
permissions = [{ uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] }]

[[realms.roles]]
name = "member"
authorizer = "com.example.authorize"

[[realms.principals]]
authid = "component"
role = "component"
ticket = "secret123"

[[realms.principals]]
authid = "mia"
role = "member"
ticket = "secret123"
"#;

fn join(address: SocketAddr, authid: &str) -> Peer {
    let mut peer = Peer::connect_to(address, Serializer::Json);
    peer.prove("realm1", authid, "secret123");
    peer
}

/// Who carries out the authorizer, and hears of the topic `a.topic`.
fn component(address: SocketAddr) -> Peer {
    let mut component = join(address, "component");
    component.register("com.example.authorize", &json!({}));
    component.subscribe("a.topic");
    component
}

/// The request id under which the authorizer is asked about this next.
fn asked(component: &mut Peer, action: &str, uri: &str) -> u64 {
    let asked = component.message();
    assert_eq!((&asked[0], &asked[4][1], &asked[4][2]), (&json!(68), &json!(uri), &json!(action)), "{asked}");
    asked[1].as_u64().expect("it is an id")
}

/// Has the router take what others have sent before.
fn settle(component: &mut Peer) {
    for _ in 0..3 {
        let answer = component.call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(answer[3], json!([2]), "nobody has left");
    }
}

#[test]
fn what_a_session_sent_before_its_end_has_its_effect_when_the_authorizer_says_so() {
    type End = fn(&mut Peer);
    let violation =
        |text: &str| Received::Message(json!([3, {"message": text}, "wamp.error.protocol_violation"]));
    let ends: [(End, Vec<Received>); 4] = [
        (
            |mia| mia.send_raw(&frame(0x88, &1000_u16.to_be_bytes())),
            vec![Received::Close(Some(1000)), Received::End],
        ),
        (
            |mia| mia.stream().shutdown(Shutdown::Write).expect("it is open"),
            vec![Received::Close(None), Received::End],
        ),
        (
            |mia| mia.send(&json!([99])),
            vec![violation("99 is not a message type"), Received::Close(Some(1002)), Received::End],
        ),
        (
            |mia| mia.send_raw(&frame(0x81, b"\xff")),
            vec![violation("the text is not UTF-8"), Received::Close(Some(1007)), Received::End],
        ),
    ];
    let router = Router::configured(CONFIG);
    for (end, expected) in ends {
        let mut component = component(router.address());
        let mut mia = join(router.address(), "mia");
        for request in 1..=2 {
            mia.send(&json!([16, request, {"acknowledge": true}, "a.topic", [request]]));
        }
        let mut invocation = asked(&mut component, "publish", "a.topic");
        end(&mut mia);
        settle(&mut component);
        for request in 1..=2 {
            component.send(&json!([70, invocation, {}, [true]]));
            let event = component.message();
            assert_eq!(event, json!([36, event[1], event[2], {}, [request]]));
            let published = mia.message();
            assert_eq!(published, json!([17, request, event[2]]));
            if request == 1 {
                invocation = asked(&mut component, "publish", "a.topic");
            }
        }
        assert_eq!(mia.rest(), expected);
        component.leave();
    }
}

#[test]
fn what_a_session_sent_before_its_end_is_waited_for_no_longer_than_its_client() {
    let router = Router::configured(&CONFIG.replace("linger = \"60m\"", "linger = \"50ms\""));
    let mut component = component(router.address());
    component.subscribe("wamp.session.on_leave");
    let mut mia = join(router.address(), "mia");
    mia.send(&json!([16, 1, {}, "a.topic", [1]]));
    let invocation = asked(&mut component, "publish", "a.topic");
    mia.send_raw(&frame(0x88, &1000_u16.to_be_bytes()));
    let left = component.message();
    assert_eq!(left[4][0], mia.session);
    component.send(&json!([70, invocation, {}, [true]]));
    assert_eq!(
        component.call("wamp.session.count", &json!([]), &json!({}))[3],
        json!([1]),
        "nothing is published"
    );
}

#[test]
fn who_is_not_listened_to_owes_no_answer_to_a_ping() {
    let keys = "ping_interval = \"100ms\", ping_timeout = \"1s\", credit = \"1KiB\"";
    let router = Router::configured(&CONFIG.replace("ping_interval = \"60m\"", keys));
    let address = router.address();
    thread::scope(|scope| {
        let mut component = component(address);
        component.subscribe("wamp.session.on_leave");
        let mut mia = join(address, "mia");
        for request in 1..=3 {
            mia.send(&json!([16, request, {"acknowledge": true}, "a.topic", ["x".repeat(900)]]));
        }
        let invocation = asked(&mut component, "publish", "a.topic");
        let mia = scope.spawn(move || {
            // Pings are answered meanwhile.
            for request in 1..=3 {
                assert_eq!(mia.message()[1], request);
            }
            mia.session
        });
        // The time to answer passes over and over, as these show.
        for _ in 0..2 {
            let silent = join(address, "mia");
            let left = component.message();
            assert_eq!(left[4][0], silent.session);
        }
        component.send(&json!([70, invocation, {}, [true]]));
        for _ in 2..=3 {
            assert_eq!(component.message()[0], 36);
            let invocation = asked(&mut component, "publish", "a.topic");
            component.send(&json!([70, invocation, {}, [true]]));
        }
        assert_eq!(component.message()[0], 36);
        mia.join().expect("it is answered");
    });
}

/// A program of which a member has called, and waits for the authorizer; and it is told to stop.
fn stopping(name: &str, calls: &str) -> (Serving, Peer, Peer, u64) {
    let program = Serving::configured(name, &format!("[shutdown]\ncalls = \"{calls}\"\n{CONFIG}"));
    let mut component = component(program.address());
    component.register("a.procedure", &json!({}));
    let mut mia = join(program.address(), "mia");
    mia.send(&json!([48, 1, {}, "a.procedure", [7]]));
    let invocation = asked(&mut component, "call", "a.procedure");
    program.signal("TERM");
    (program, component, mia, invocation)
}

fn goodbye() -> Json {
    json!([6, {}, "wamp.close.system_shutdown"])
}

#[test]
fn a_call_that_waits_for_its_authorizer_when_the_router_stops_is_carried_out() {
    let (program, mut component, mut mia, invocation) = stopping("stopping.toml", "1h");
    let stops = json!([8, 48, 0, {}, "wamp.close.system_shutdown", ["the router stops"]]);
    // Until the realm knows of it, calls are taken.
    while component.call("a.nobody", &json!([]), &json!({}))[4] != stops[4] {}
    component.send(&json!([70, invocation, {}, [true]]));
    let invoked = component.message();
    assert_eq!(invoked, json!([68, invoked[1], invoked[2], {}, [7]]));
    component.send(&json!([70, invoked[1], {}, [8]]));
    assert_eq!(mia.message(), json!([50, 1, {}, [8]]));
    assert_eq!([mia.message(), component.message()], [goodbye(), goodbye()]);
    [mia, component].into_iter().for_each(|mut peer| {
        peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
        peer.rest();
    });
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn a_call_that_waits_for_its_authorizer_too_long_when_the_router_stops_is_canceled() {
    let (program, mut component, mut mia, _) = stopping("stopped.toml", "50ms");
    let text = "the realm closed before the call was answered";
    assert_eq!(mia.message(), json!([8, 48, 1, {}, "wamp.error.canceled", [text]]));
    assert_eq!([mia.message(), component.message()], [goodbye(), goodbye()]);
    [mia, component].into_iter().for_each(|mut peer| {
        peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
        peer.rest();
    });
    assert_eq!(program.wait().0, Some(0));
}
