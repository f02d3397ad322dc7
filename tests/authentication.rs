//! Authentication whose checks take long, over real sockets: whom it keeps waiting, and how it ends early.

use crate::support::{
    Peer, Router,
    peer::{Received, frame},
    principal::{HASH, backend, hashed},
};
use realmkeeper::Settings;
use realmkeeper_actors::{codec::Serializer, session::access::Ticket};
use serde_json::json;
use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

/// A hash of `secret123` that takes a second or so to check, but little memory.
const SLOW: &str =
    "$argon2id$v=19$m=8,t=400000,p=1$cmVhbG1rZWVwZXIuc2FsdA$z9QXeRmgHhQ9yZHtw/3Zgb9eqiyNfOxrbZllZ4ukIRE";

/// Lets joe into the first realm by this ticket, besides those who do not say who they are.
fn joe(settings: &mut Settings, ticket: Ticket) {
    settings.realms[0].door.principals.push(backend("joe", ticket));
}

fn hello(peer: &Peer, authid: &str) -> Vec<u8> {
    let roles = json!({"caller": {}, "subscriber": {}});
    peer.frame(&json!([1, "realm1", {"roles": roles, "authmethods": ["ticket"], "authid": authid}]))
}

/// Connects, says HELLO and answers CHALLENGE.
fn authenticating(router: &Router, serializer: Serializer, ticket: &str) -> Peer {
    let mut peer = Peer::connect_to(router.addresses()[0], serializer);
    let hello = hello(&peer, "joe");
    peer.send_raw(&hello);
    assert_eq!(peer.message(), json!([4, "ticket", {}]));
    peer.send(&json!([5, ticket, {}]));
    peer
}

/// Whether nothing has come from the router.
fn is_unanswered(peer: &mut Peer) -> bool {
    let socket = peer.socket().get_ref();
    socket.set_nonblocking(true).expect("a socket can be set");
    let looked = socket.peek(&mut [0]);
    socket.set_nonblocking(false).expect("a socket can be set");
    looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn count(peer: &mut Peer) -> u64 {
    peer.call("wamp.session.count", &json!([]), &json!({}))[3][0].as_u64().expect("a count")
}

fn abort(reason: &str, text: &str) -> Received {
    Received::Message(json!([3, {"message": text}, reason]))
}

#[test]
fn what_comes_behind_hello_and_authenticate_at_once_is_handled_in_its_turn() {
    for ticket in [Ticket::plain("secret123"), hashed(HASH)] {
        let router = Router::with(|settings| joe(settings, ticket));
        for serializer in Serializer::ALL {
            let mut peer = Peer::connect(&router, serializer);
            let frames = [
                hello(&peer, "joe"),
                peer.frame(&json!([5, "secret123", {}])),
                peer.frame(&json!([32, 1, {}, "a.b"])),
                peer.frame(&json!([48, 2, {}, "wamp.session.count"])),
            ];
            peer.send_raw(&frames.concat());
            assert_eq!(peer.message(), json!([4, "ticket", {}]));
            let welcome = peer.message();
            assert_eq!((&welcome[0], &welcome[2]["authid"]), (&json!(2), &json!("joe")));
            assert_eq!(peer.message()[0], 33);
            assert_eq!(peer.message(), json!([50, 2, {}, [1]]));
            peer.leave();
        }
    }
}

#[test]
fn who_closes_behind_a_wrong_ticket_is_answered() {
    let router = Router::with(|settings| joe(settings, hashed(HASH)));
    let mut peer = Peer::connect(&router, Serializer::Json);
    let close = frame(0x88, &1000u16.to_be_bytes());
    let frames = [hello(&peer, "joe"), peer.frame(&json!([5, "secret12", {}])), close];
    peer.send_raw(&frames.concat());
    let denied = abort("wamp.error.authentication_denied", "the authid or the proof is wrong");
    let challenge = Received::Message(json!([4, "ticket", {}]));
    assert_eq!(peer.rest(), [challenge, denied, Received::Close(Some(1000)), Received::End]);
}

#[test]
fn others_are_answered_while_tickets_are_checked() {
    let router = Router::with(|settings| {
        joe(settings, hashed(SLOW));
        settings.listeners[0].session.handshake_timeout = Duration::from_secs(600);
    });
    let mut ann = Peer::join(&router, Serializer::Json);
    let mut joes: Vec<_> =
        (0..4).map(|number| authenticating(&router, Serializer::ALL[number % 3], "secret123")).collect();
    for _ in 0..20 {
        assert_eq!(count(&mut ann), 1);
    }
    assert!(joes.iter_mut().all(is_unanswered), "the calls were answered before the checks were over");
    for joe in &mut joes {
        joe.socket().get_ref().set_read_timeout(None).expect("a socket can be set");
        let welcome = joe.message();
        assert_eq!((&welcome[0], &welcome[2]["authrole"]), (&json!(2), &json!("backend")));
    }
    assert_eq!(count(&mut ann), 5);
}

#[test]
fn a_check_that_outlasts_the_time_to_join_is_not_waited_for() {
    let router = Router::with(|settings| {
        joe(settings, hashed(SLOW));
        let usual = settings.listeners[0].clone();
        settings.listeners[0].session.handshake_timeout = Duration::from_millis(250);
        settings.listeners.push(usual);
    });
    let mut ann = Peer::join_at(router.addresses()[1], Serializer::Json);
    let mut joe = authenticating(&router, Serializer::Cbor, "secret123");
    let told = abort("wamp.error.timeout", "no session was joined within 250 ms");
    assert_eq!(joe.rest(), [told, Received::Close(Some(1008)), Received::End]);
    assert_eq!(count(&mut ann), 1);
}

#[test]
fn who_goes_while_its_ticket_is_checked_leaves_nothing_behind() {
    let router = Router::with(|settings| joe(settings, hashed(HASH)));
    let mut ann = Peer::join(&router, Serializer::Json);
    for number in 0..6 {
        drop(authenticating(&router, Serializer::ALL[number % 3], "secret123"));
    }
    router.wait_for_sockets(1);
    assert_eq!(count(&mut ann), 1);
}

#[test]
fn a_router_that_stops_does_not_wait_for_a_check() {
    let mut router = Router::with(|settings| {
        joe(settings, hashed(SLOW));
        settings.listeners[0].session.handshake_timeout = Duration::from_secs(600);
    });
    let start = Instant::now();
    let mut joe = authenticating(&router, Serializer::Json, "secret123");
    joe.socket().get_ref().set_read_timeout(None).expect("a socket can be set");
    assert_eq!(joe.message()[0], 2);
    let check = start.elapsed();
    joe.leave();

    let mut joe = authenticating(&router, Serializer::Json, "secret123");
    let mut ann = Peer::join(&router, Serializer::Json);
    assert_eq!(count(&mut ann), 1);
    ann.leave();
    assert!(is_unanswered(&mut joe), "the check runs");
    let start = Instant::now();
    router.stop();
    let told = abort("wamp.close.system_shutdown", "the router stops");
    assert_eq!(joe.rest(), [told, Received::Close(Some(1001)), Received::End]);
    drop(router);
    assert!(start.elapsed() < check / 2, "{:?} is too long for a check of {check:?}", start.elapsed());
}
