//! Two thousand sessions at a time that come and go in every way, several times over, with calls among them.

use crate::support::{Peer, program::Serving};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, net::SocketAddr, thread};

/// Nobody is sent a ping, which who waits for its turn could not answer.
const CONFIG: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
[listeners.limits]
ping_interval = "60m"

[[realms]]
name = "realm1"
anonymous = "anonymous"
[[realms.roles]]
name = "anonymous"
[[realms.roles.permissions]]
uri = "app."
match = "prefix"
allow = ["call", "register"]
[[realms.roles.permissions]]
uri = "wamp."
match = "prefix"
allow = ["call", "subscribe"]
"#;

const ROUNDS: usize = 5;
const THREADS: usize = 4;
const SESSIONS_PER_THREAD: usize = 500;

/// Joins sessions that share a procedure, and then ends each in one of the ways, while calls are with it that
/// nobody answers.
fn come_and_go(address: SocketAddr, seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut killer, mut caller) =
        (Peer::join_at(address, Serializer::Json), Peer::join_at(address, Serializer::Json));
    let mut peers: Vec<Peer> = (2..SESSIONS_PER_THREAD)
        .map(|_| Peer::join_at(address, Serializer::ALL[chance.random_range(0..3)]))
        .collect();
    peers.shuffle(&mut chance);
    for peer in &mut peers {
        peer.register("app.shared", &json!({"invoke": "random"}));
    }
    for (request, mut peer) in (1..).zip(peers) {
        let options = [json!({}), json!({"timeout": 20}), json!({"timeout": 3_600_000})];
        caller.send(&json!([48, request, options[request % 3], "app.shared", ["x".repeat(256)]]));
        if request % 4 == 0 {
            caller.send(&json!([49, request, {"mode": "skip"}]));
        }
        match chance.random_range(0..4) {
            0 => drop(peer),
            1 => peer.send(&json!([3, {}, "wamp.close.normal"])),
            2 => {
                let answer = killer.call("wamp.session.kill", &json!([peer.session]), &json!({}));
                assert_eq!(answer[0], 50, "{answer}");
            }
            _ => peer.leave(),
        }
    }
    killer.leave();
    caller.leave();
}

/// Who is announced to join and to leave.
#[derive(Default)]
struct Announced {
    present: BTreeSet<u64>,
    joined: BTreeSet<u64>,
    left: usize,
}

impl Announced {
    fn take(&mut self, event: &Json, on_join: u64) {
        assert_eq!(event[0], 36, "{event}");
        if event[1].as_u64() == Some(on_join) {
            let session = event[4][0]["session"].as_u64().expect("a session has an id");
            assert!(self.joined.insert(session), "{session} joined twice");
            self.present.insert(session);
        } else {
            let session = event[4][0].as_u64().expect("a session has an id");
            assert!(self.present.remove(&session), "{session} left without having joined, or twice");
            self.left += 1;
        }
    }
}

#[test]
fn two_thousand_sessions_at_a_time_are_announced_exactly_and_leave_no_memory_behind() {
    rlimit::increase_nofile_limit(16_384).expect("the limit of open files can be raised");
    let program = Serving::configured("churn.toml", CONFIG);
    let address = program.address();
    let mut observer = Peer::join_at(address, Serializer::MessagePack);
    let on_join = observer.subscribe("wamp.session.on_join");
    observer.subscribe("wamp.session.on_leave");
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| thread::spawn(move || come_and_go(address, (round * THREADS + thread) as u64)))
            .collect();
        let mut announced = Announced::default();
        while announced.left < THREADS * SESSIONS_PER_THREAD {
            announced.take(&observer.message(), on_join);
        }
        for thread in threads {
            thread.join().expect("every session comes and goes");
        }
        assert_eq!(announced.joined.len(), THREADS * SESSIONS_PER_THREAD);
        let count = observer.call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(count[3], json!([1]), "nothing is announced beyond that, and only the observer is left");
        let registrations = observer.call("wamp.registration.list", &json!([]), &json!({}));
        assert_eq!(registrations[3], json!([{"exact": [], "prefix": [], "wildcard": []}]));
        memory.push(program.memory());
    }
    // What is free goes back to the system a little later, so that now and then a round is seen to take less.
    let (early, late) = (memory[0].max(memory[1]), memory[ROUNDS - 1]);
    assert!(late * 10 <= early * 11, "the memory of the router grew from round to round: {memory:?} KiB");
}
