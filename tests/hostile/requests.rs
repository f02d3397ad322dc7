//! Requests that are too many, too costly, or make no sense.

use super::{Attacker, usual, withstand};
use crate::support::{Peer, peer::Received};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};

/// What a session may have of most things.
const MOST: u64 = 10_000;

/// Sends so many requests of a session and takes as many answers, some at a time.
fn exchange(
    attacker: &mut Attacker,
    peer: &mut Peer,
    count: u64,
    request: impl Fn(u64) -> Json,
) -> Vec<Json> {
    const AT_ONCE: u64 = 500;
    let mut answers = Vec::new();
    for first in (1..=count).step_by(AT_ONCE as usize) {
        let numbers = first..=count.min(first + AT_ONCE - 1);
        let octets = numbers.clone().map(|number| peer.frame(&request(number))).collect::<Vec<_>>().concat();
        assert!(attacker.send(peer.stream(), &octets));
        answers.extend(numbers.map(|_| peer.message()));
    }
    answers
}

fn too_many(answer: &Json, kind: u64) -> bool {
    answer[0] == 8 && answer[1] == kind && answer[4] == "realmkeeper.error.limit_exceeded"
}

#[test]
fn subscriptions_and_registrations_without_end() {
    for (kind, what) in [(32, "subscriptions"), (64, "registrations")] {
        let program = usual(what);
        let name = format!("4 sessions that each ask for 10,100 {what} of 100 octets");
        withstand(&name, &program, 128, |attacker| {
            (0..4)
                .map(|session| {
                    let mut peer = attacker.join(Serializer::ALL[session % 3]);
                    let uri = |number| format!("{session}.{number}.{}", "x".repeat(90));
                    let answers = exchange(attacker, &mut peer, MOST + 100, |number| {
                        json!([kind, number, {}, uri(number)])
                    });
                    let refused = answers.iter().filter(|answer| too_many(answer, kind)).count();
                    assert_eq!(refused, 100);
                    peer
                })
                .collect::<Vec<_>>()
        });
    }
}

#[test]
fn calls_that_are_never_answered() {
    let program = usual("calls");
    withstand("30,300 calls of 3 callers to a callee that answers none", &program, 64, |attacker| {
        let mut callee = attacker.join(Serializer::Json);
        callee.register("a.b", &json!({}));
        for _ in 0..3 {
            let mut caller = attacker.join(Serializer::Cbor);
            let octets = (1..=MOST + 100)
                .flat_map(|number| caller.frame(&json!([48, number, {}, "a.b"])))
                .collect::<Vec<_>>();
            assert!(attacker.send(caller.stream(), &octets));
            for _ in 0..100 {
                assert!(too_many(&caller.message(), 48));
            }
            for _ in 0..MOST {
                assert_eq!(callee.message()[0], 68);
            }
        }
        callee
    });
}

#[test]
fn cancels_and_goodbyes_without_end() {
    let program = usual("cancels");
    withstand("100,000 CANCEL of calls that there are not, and as many GOODBYE", &program, 16, |attacker| {
        let mut peer = attacker.join(Serializer::Cbor);
        let cancel = peer.frame(&json!([49, 1, {}])).repeat(10_000);
        for _ in 0..100 {
            assert!(attacker.send(peer.stream(), &cancel));
        }
        assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[0], 50);
        let goodbye = peer.frame(&json!([6, {}, "wamp.close.close_realm"])).repeat(10_000);
        // The router shuts the connection after the first, and does not wait long for the end of the others.
        let _ = (0..10).all(|_| attacker.send(peer.stream(), &goodbye));
        assert_eq!(peer.message(), json!([6, {}, "wamp.close.goodbye_and_out"]));
        assert_eq!(peer.receive(), Received::Close(Some(1000)));
    });
}

#[test]
fn request_ids_up_to_the_last() {
    let program = usual("ids");
    withstand("10,000 calls with one id, then the last id, and one after it", &program, 16, |attacker| {
        let last = 1u64 << 53;
        let mut callee = attacker.join(Serializer::Json);
        callee.register("a.b", &json!({}));
        let mut caller = attacker.join(Serializer::Json);
        let call = caller.frame(&json!([48, last, {}, "a.b"]));
        assert!(attacker.send(caller.stream(), &call.repeat(2)));
        let invocation = callee.message();
        assert_eq!(invocation[0], 68);
        let came = caller.rest();
        let Some(Received::Message(abort)) = came.first() else { panic!("{came:?}") };
        assert_eq!((&abort[0], &abort[2]), (&json!(3), &json!("wamp.error.protocol_violation")));
        let mut caller = attacker.join(Serializer::Json);
        let call = caller.frame(&json!([48, last + 1, {}, "a.b"]));
        assert!(attacker.send(caller.stream(), &call));
        let came = caller.rest();
        let Some(Received::Message(abort)) = came.first() else { panic!("{came:?}") };
        assert_eq!((&abort[0], &abort[2]), (&json!(3), &json!("wamp.error.protocol_violation")));
    });
}

#[test]
fn topics_without_end() {
    let program = usual("topics");
    withstand("200,000 publications to as many topics, retained", &program, 64, |attacker| {
        let mut peer = attacker.join(Serializer::MessagePack);
        for round in 0..20 {
            let octets = (1..=10_000)
                .flat_map(|number| {
                    peer.frame(&json!([16, number, {"retain": true}, format!("a.{round}.{number}"), ["x"]]))
                })
                .collect::<Vec<_>>();
            assert!(attacker.send(peer.stream(), &octets));
        }
        assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[0], 50);
    });
}
