//! Requests that are too many, too costly, or make no sense.

use super::{Attacker, serving, usual, withstand};
use crate::support::{Peer, peer::Received};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::thread;

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

/// Has clients that read nothing send the same again and again until the router reads no more, be it that it waits for
/// them or that it has cut them.
fn flood(attacker: &mut Attacker, clients: &mut [Peer], message: impl Fn(&mut Peer) -> Json) {
    const AT_ONCE: usize = 64 << 10;
    for peer in clients {
        let message = message(peer);
        let message = peer.frame(&message);
        let batch = message.repeat(AT_ONCE / message.len());
        while attacker.send(peer.stream(), &batch) {}
    }
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

/// All patterns that match `a.a.a.a.a.a.a.a.a.a.a.a`.
fn patterns() -> impl Fn(u64) -> String {
    |number| (0..12).map(|at| if number >> at & 1 == 1 { "a" } else { "" }).collect::<Vec<_>>().join(".")
}

#[test]
fn patterns_that_all_match() {
    let program = usual("patterns");
    let name = "4,096 patterns that match one topic, and 50 publications to it at once";
    withstand(name, &program, 64, |attacker| {
        let [mut subscriber, mut publisher] = [0; 2].map(|_| attacker.join(Serializer::MessagePack));
        let pattern = patterns();
        let answers = exchange(
            attacker,
            &mut subscriber,
            4096,
            |number| json!([32, number, {"match": "wildcard"}, pattern(number - 1)]),
        );
        assert!(answers.iter().all(|answer| answer[0] == 33));
        let reader = thread::spawn(move || {
            for _ in 0..50 * 4096 {
                subscriber.socket().read().expect("an event comes");
            }
        });
        let topic = ["a"; 12].join(".");
        let octets = publisher.frame(&json!([16, 1, {}, topic])).repeat(50);
        assert!(attacker.send(publisher.stream(), &octets));
        reader.join().expect("it gets all events");
    });
}

#[test]
fn lists_of_sessions_that_nobody_reads() {
    let program = usual("lists");
    withstand(
        "500 sessions, 3 of which ask for the list of them and do not read it",
        &program,
        128,
        |attacker| {
            let idle: Vec<_> = (0..497).map(|_| attacker.join(Serializer::MessagePack)).collect();
            let mut asking: Vec<_> =
                (0..3).map(|_| attacker.join_stubbornly(Serializer::MessagePack)).collect();
            flood(attacker, &mut asking, |_| json!([48, 1, {}, "wamp.session.list"]));
            (idle, asking)
        },
    );
}

#[test]
fn past_events_that_nobody_reads() {
    let realm = r#"history = [{ topic = "a.b", bytes = "2MiB" }]"#;
    let program = serving("history", ["", "", realm]);
    withstand(
        "3 clients that ask for 1.5 MiB of past events, and do not read them",
        &program,
        128,
        |attacker| {
            let mut publisher = attacker.join(Serializer::Json);
            let event = "x".repeat(50_000);
            let answers = exchange(
                attacker,
                &mut publisher,
                30,
                |number| json!([16, number, {"acknowledge": true}, "a.b", [event]]),
            );
            assert!(answers.iter().all(|answer| answer[0] == 17));
            let mut asking: Vec<_> = (0..3).map(|_| attacker.join_stubbornly(Serializer::Json)).collect();
            flood(attacker, &mut asking, |peer| {
                let subscription = peer.subscribe("a.b");
                json!([48, 2, {}, "wamp.subscription.get_events", [subscription]])
            });
            asking
        },
    );
}

#[test]
fn lists_of_receivers_that_are_huge() {
    let program = usual("eligible");
    withstand("20 publications for and against 50,000 sessions or authids each", &program, 64, |attacker| {
        let mut peer = Peer::connect_to(attacker.address, Serializer::MessagePack);
        peer.announce("realm1", &["subscriber_blackwhite_listing"], &json!({}));
        peer.subscribe("a.b");
        let ids: Vec<u64> = (1..50_000).collect();
        let names: Vec<_> = (1..50_000).map(|number| format!("n{number}")).collect();
        for (request, [eligible, exclude]) in [["eligible", "exclude"], ["eligible_authid", "exclude_authid"]]
            .into_iter()
            .cycle()
            .take(20)
            .enumerate()
        {
            let list = if eligible == "eligible" { json!(ids) } else { json!(names) };
            let options = json!({"acknowledge": true, eligible: list, exclude: list});
            let octets = peer.frame(&json!([16, request + 1, options, "a.b"]));
            assert!(attacker.send(peer.stream(), &octets));
            let published = peer.message();
            assert_eq!(published[0], 17, "{published}");
        }
    });
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
    withstand("500,000 CANCEL of calls that there are not, and as many GOODBYE", &program, 48, |attacker| {
        let mut peer = attacker.join(Serializer::Cbor);
        let cancel = peer.frame(&json!([49, 1, {}])).repeat(10_000);
        for _ in 0..50 {
            assert!(attacker.send(peer.stream(), &cancel));
        }
        assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[0], 50);
        let goodbye = peer.frame(&json!([6, {}, "wamp.close.close_realm"])).repeat(10_000);
        // The router shuts the connection after the first, and does not wait long for the end of the others.
        let _ = (0..50).all(|_| attacker.send(peer.stream(), &goodbye));
        assert_eq!(peer.message(), json!([6, {}, "wamp.close.goodbye_and_out"]));
        assert_eq!(peer.receive(), Received::Close(Some(1000)));
    });
}

#[test]
fn request_ids_up_to_the_last() {
    let program = usual("ids");
    withstand(
        "calls with the last id, with one that is in flight, and with one after the last",
        &program,
        48,
        |attacker| {
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
        },
    );
}

#[test]
fn testaments_of_many_at_once() {
    let program = usual("testaments");
    withstand("20 sessions with 1 MiB of testaments each that are cut at once", &program, 96, |attacker| {
        // Who inherits more than fits and does not read it is cut.
        let mut heir = attacker.join(Serializer::MessagePack);
        heir.subscribe("a.b");
        let mut leaving: Vec<_> = (0..20)
            .map(|_| {
                let mut peer = attacker.join(Serializer::MessagePack);
                let testament = "x".repeat(10_000);
                let answers = exchange(attacker, &mut peer, 101, |number| {
                    json!([48, number, {}, "wamp.session.add_testament", ["a.b", [testament], {}]])
                });
                assert!(too_many(&answers[100], 48));
                peer
            })
            .collect();
        leaving.clear();
        heir
    });
}

#[test]
fn topics_without_end() {
    let program = usual("topics");
    withstand("100,000 publications to as many topics, retained", &program, 64, |attacker| {
        let mut peer = attacker.join(Serializer::MessagePack);
        for round in 0..10 {
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
