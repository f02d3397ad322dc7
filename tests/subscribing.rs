//! Subscriptions that begin and end while others publish without a pause.

use crate::support::{Peer, Router};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

const TOPICS: [&str; 4] = ["load.a", "load.b", "load.a.x", "load.b.x"];
const PATTERNS: [(&str, &str); 6] = [
    ("exact", "load.a"),
    ("exact", "load.b.x"),
    ("prefix", "load."),
    ("prefix", "load.a"),
    ("wildcard", "load..x"),
    ("wildcard", ".b"),
];
const ACTIONS: usize = 2000;

/// Publishes numbers to a topic, each retained, until it is told to stop.
fn publish(peer: &mut Peer, topic: &str, is_over: &AtomicBool) {
    for number in 2.. {
        publish_one(peer, topic, number);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn publish_one(peer: &mut Peer, topic: &str, number: u64) {
    let request = peer.request();
    peer.send(&json!([16, request, {"acknowledge": true, "retain": true}, topic, [topic, number]]));
    assert_eq!(peer.message()[0], 17);
}

/// A session that subscribes and unsubscribes at random, and what it may receive.
struct Subscriber {
    peer: Peer,
    chance: StdRng,
    /// The subscriptions that it holds, from SUBSCRIBED to UNSUBSCRIBED, by id.
    held: BTreeMap<u64, Held>,
    events: usize,
}

struct Held {
    pattern: (&'static str, &'static str),
    gets_retained: bool,
    /// The number that is due in each topic from which something has come.
    due: BTreeMap<String, u64>,
}

impl Subscriber {
    fn act(&mut self) {
        let choice = self.chance.random_range(0..10);
        let pattern = PATTERNS[self.chance.random_range(0..PATTERNS.len())];
        let is_held = self.held.values().any(|held| held.pattern == pattern);
        match choice {
            0..3 if !is_held => self.subscribe(pattern),
            3..5 if !self.held.is_empty() => self.unsubscribe(),
            _ if !self.held.is_empty() => {
                let event = self.peer.message();
                self.take(&event);
            }
            _ => {}
        }
    }

    fn subscribe(&mut self, pattern: (&'static str, &'static str)) {
        let gets_retained = self.chance.random_range(0..2) == 0;
        let request = self.peer.request();
        let options = json!({"match": pattern.0, "get_retained": gets_retained});
        self.peer.send(&json!([32, request, options, pattern.1]));
        let answer = self.answer(33);
        assert_eq!(answer[1], json!(request));
        let id = answer[2].as_u64().expect("a subscription has an id");
        self.held.insert(id, Held { pattern, gets_retained, due: BTreeMap::new() });
    }

    fn unsubscribe(&mut self) {
        let place = self.chance.random_range(0..self.held.len());
        let id = *self.held.keys().nth(place).expect("there is one");
        let request = self.peer.request();
        self.peer.send(&json!([34, request, id]));
        assert_eq!(self.answer(35), json!([35, request]));
        self.held.remove(&id);
    }

    /// Takes events until a message of this type comes.
    fn answer(&mut self, code: u64) -> Json {
        loop {
            let message = self.peer.message();
            if message[0] == json!(code) {
                return message;
            }
            self.take(&message);
        }
    }

    /// Takes an event: its subscription is held, and it is the one that is due.
    fn take(&mut self, event: &Json) {
        assert_eq!(event[0], 36, "{event}");
        let held = event[1].as_u64().and_then(|id| self.held.get_mut(&id));
        let held = held.unwrap_or_else(|| panic!("{event} is for no subscription that is held"));
        let (topic, number) = (event[4][0].as_str(), event[4][1].as_u64());
        let (topic, number) = topic.zip(number).expect("an event names its topic and has a number");
        let due = held.due.insert(topic.to_owned(), number + 1);
        // Of each topic the retained one is the first, where it is wanted, and after it none is missing.
        assert_eq!(
            event[3]["retained"],
            json!((held.gets_retained && due.is_none()).then_some(true)),
            "{event}"
        );
        assert!(due.is_none_or(|due| due == number), "{event}: {due:?} is due");
        self.events += 1;
    }
}

#[test]
fn no_event_comes_before_subscribed_or_after_unsubscribed_and_none_is_missing_between() {
    let router = Router::start();
    let is_over = AtomicBool::new(false);
    let mut publishers = TOPICS.map(|topic| (topic, Peer::join(&router, Serializer::ALL[topic.len() % 3])));
    for (topic, publisher) in &mut publishers {
        publish_one(publisher, topic, 1);
    }
    let subscribers = Serializer::ALL.map(|serializer| Subscriber {
        peer: Peer::join(&router, serializer),
        chance: StdRng::seed_from_u64(serializer as u64),
        held: BTreeMap::new(),
        events: 0,
    });
    let events: usize = thread::scope(|scope| {
        for (topic, publisher) in &mut publishers {
            scope.spawn(|| publish(publisher, topic, &is_over));
        }
        let threads = subscribers.map(|mut subscriber| {
            scope.spawn(move || {
                (0..ACTIONS).for_each(|_| subscriber.act());
                while !subscriber.held.is_empty() {
                    subscriber.unsubscribe();
                }
                // Nothing more comes, however much is published.
                let answer = subscriber.peer.call("wamp.session.count", &json!([[]]), &json!({}));
                assert_eq!((&answer[0], &answer[3]), (&json!(50), &json!([0])));
                subscriber.events
            })
        });
        let threads = threads.map(|thread| thread.join());
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|events| events.expect("a subscriber received what it may")).sum()
    });
    assert!(events > ACTIONS, "only {events} events came");
}
