//! Clients that do all right: every event reaches every subscriber once and in order, every call is answered once.

use crate::{
    scene::{Scene, Tally},
    support::Peer,
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter, thread,
};

/// How many events are published, or calls made, before their answers are read.
const BURST: usize = 20;
/// How large they are. Some are large enough for the router to share them among those whom it sends them to.
const SIZES: std::ops::Range<usize> = 0..20_000;
/// How seldom a subscriber makes place for another one.
const CHANGE: f64 = 0.02;

/// The arguments of the next events or calls: a number that counts up, and text.
fn burst(numbers: &mut impl Iterator<Item = u64>, chance: &mut StdRng) -> Vec<Json> {
    let count = chance.random_range(1..=BURST);
    let mut size = || if chance.random_bool(0.2) { chance.random_range(SIZES) } else { 20 };
    numbers.take(count).map(|number| json!([number, "x".repeat(size())])).collect()
}

/// Publishes to a topic that sessions of every kind are subscribed to.
pub(crate) fn publish(scene: &Scene, chance: &mut StdRng, topic: &str) -> Tally {
    let mut publisher = scene.join_any(chance);
    let subscribed = |mut peer: Peer| (peer.subscribe(topic), peer);
    let mut subscribers: Vec<_> = scene.join_all().into_iter().map(subscribed).collect();
    let (mut numbers, mut events, mut left) = (1.., 0, 0);
    while scene.goes_on() {
        let burst = burst(&mut numbers, chance);
        let requests: Vec<_> = burst
            .iter()
            .map(|args| {
                let request = publisher.request();
                publisher.send(&json!([16, request, {"acknowledge": true}, topic, args]));
                request
            })
            .collect();
        let publications: Vec<_> = requests
            .into_iter()
            .map(|request| {
                let answer = publisher.message();
                assert_eq!(answer, json!([17, request, answer[2]]), "{topic}");
                answer[2].clone()
            })
            .collect();
        for (subscription, subscriber) in &mut subscribers {
            for (args, publication) in burst.iter().zip(&publications) {
                assert_eq!(subscriber.message(), json!([36, subscription, publication, {}, args]), "{topic}");
            }
        }
        events += burst.len() as u64;
        if chance.random_bool(CHANGE) {
            let place = chance.random_range(0..subscribers.len());
            subscribers.swap_remove(place).1.leave();
            subscribers.push(subscribed(scene.join_any(chance)));
            left += 1;
        }
    }
    left += 1 + subscribers.len() as u64;
    subscribers.into_iter().map(|(_, peer)| peer).chain([publisher]).for_each(Peer::leave);
    Tally::from([("events", events), ("goodbye", left)])
}

/// Calls procedures of sessions of every kind, which answer in any order, with results and with errors.
pub(crate) fn call(scene: &Scene, chance: &mut StdRng, name: &str) -> Tally {
    let mut caller = scene.join_any(chance);
    let mut callees: Vec<_> = scene
        .join_all()
        .into_iter()
        .enumerate()
        .map(|(place, mut peer)| {
            let procedure = format!("soak.call.{name}.{place}");
            (peer.register(&procedure, &json!({})), procedure, peer)
        })
        .collect();
    let (mut numbers, mut calls) = (1.., 0);
    while scene.goes_on() {
        let mut asked = vec![Vec::new(); callees.len()];
        for args in burst(&mut numbers, chance) {
            let callee = chance.random_range(0..callees.len());
            let request = caller.request();
            caller.send(&json!([48, request, {}, callees[callee].1, args]));
            asked[callee].push((request, args));
            calls += 1;
        }
        let mut expected = BTreeMap::new();
        for ((registration, _, callee), asked) in callees.iter_mut().zip(asked) {
            let mut invocations: Vec<_> = asked
                .into_iter()
                .map(|(request, args)| {
                    let invocation = callee.message();
                    assert_eq!(invocation, json!([68, invocation[1], registration, {}, args]), "{name}");
                    (request, invocation[1].clone(), args)
                })
                .collect();
            invocations.shuffle(chance);
            for (request, invocation, args) in invocations {
                let (answer, result) = if chance.random_bool(0.8) {
                    (json!([70, invocation, {}, args]), json!([50, request, {}, args]))
                } else {
                    let told = "soak.error";
                    (json!([8, 68, invocation, {}, told, args]), json!([8, 48, request, {}, told, args]))
                };
                callee.send(&answer);
                expected.insert(request, result);
            }
        }
        while !expected.is_empty() {
            let answer = caller.message();
            let result = expected.remove(&request_of(&answer));
            assert_eq!(result.as_ref(), Some(&answer), "{name}");
        }
    }
    let left = 1 + callees.len() as u64;
    callees.into_iter().map(|(.., peer)| peer).chain([caller]).for_each(Peer::leave);
    Tally::from([("calls", calls), ("goodbye", left)])
}

/// The request of a call that RESULT or ERROR answers.
fn request_of(answer: &Json) -> u64 {
    let request = if answer[0] == 50 { &answer[1] } else { &answer[2] };
    assert!(answer[0] == 50 || (&answer[0], &answer[1]) == (&json!(8), &json!(48)), "{answer}");
    request.as_u64().expect("a request has an id")
}

/// The procedure of those who come and go, most of whom leave without an answer.
pub(crate) const UNRELIABLE: &str = "soak.unreliable";
/// How many calls of it may wait for an answer.
const WAITING: usize = 200;

/// Calls those who come and go, and is answered each call once all the same.
pub(crate) fn call_the_unreliable(scene: &Scene, chance: &mut StdRng) -> Tally {
    let (mut caller, mut steady) = (scene.join_any(chance), scene.join_any(chance));
    let stop = steady.register("soak.steady.stop", &json!({}));
    steady.register(UNRELIABLE, &json!({"invoke": "random"}));
    let answer = move || {
        loop {
            let invocation = steady.message();
            assert_eq!(invocation[0], 68, "{invocation}");
            steady.send(&json!([70, invocation[1], {}]));
            if invocation[2] == stop {
                return steady.leave();
            }
        }
    };
    let answering = thread::Builder::new().name("steady callee".into()).spawn(answer);
    let answering = answering.expect("a thread starts");
    let (mut waiting, mut calls, mut results) = (BTreeSet::new(), 0, 0);
    let mut take = |caller: &mut Peer, waiting: &mut BTreeSet<u64>| {
        let answer = caller.message();
        assert!(waiting.remove(&request_of(&answer)), "nobody has asked for {answer}");
        results += u64::from(answer[0] == 50);
    };
    while scene.goes_on() {
        for request in iter::repeat_with(|| caller.request()).take(4).collect::<Vec<_>>() {
            let options = [json!({}), json!({"timeout": 50}), json!({"timeout": 60_000})];
            let options = &options[chance.random_range(0..options.len())];
            caller.send(&json!([48, request, options, UNRELIABLE, [request]]));
            waiting.insert(request);
            calls += 1;
            if chance.random_bool(0.2) {
                let mode = ["skip", "kill", "killnowait"][chance.random_range(0..3)];
                caller.send(&json!([49, request, {"mode": mode}]));
            }
        }
        // What the router answers itself comes for certain, and what came before it has then been read.
        let marker = caller.request();
        caller.send(&json!([48, marker, {}, "wamp.session.count"]));
        waiting.insert(marker);
        calls += 1;
        while waiting.contains(&marker) || waiting.len() > WAITING {
            take(&mut caller, &mut waiting);
        }
    }
    while !waiting.is_empty() {
        take(&mut caller, &mut waiting);
    }
    assert_eq!(caller.call("soak.steady.stop", &json!([]), &json!({}))[0], 50);
    answering.join().expect("the steady callee answers");
    caller.leave();
    Tally::from([("calls", calls), ("calls with a result of the unreliable", results), ("goodbye", 2)])
}
