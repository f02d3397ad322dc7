//! Who counts: at every look, as many members as joined and did not leave, by every account there is of them.

use crate::support::{Peer, program::Serving, scrape::Samples};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// After how many who join or leave the members are counted.
const PACE: u64 = 25;
/// How often the metrics are read, and the memory and the files of the program.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the observer hears of the end, when all others have come to theirs.
pub(crate) const OVER: &str = "soak.over";

/// A session that hears of all others.
pub(crate) struct Observer {
    peer: Peer,
    on_join: Json,
    over: Json,
    present: BTreeSet<u64>,
    is_over: bool,
    pub(crate) joins: u64,
    pub(crate) leaves: u64,
    /// How often the members were counted.
    pub(crate) counts: u64,
    /// How often the metrics were compared, and how often nobody joined or left meanwhile.
    pub(crate) scrapes: [u64; 2],
    /// The memory in KiB at each of them, and how many files were open.
    pub(crate) memory: Vec<u64>,
    pub(crate) files: Vec<u64>,
}

impl Observer {
    /// Takes a session that is alone in its realm.
    pub(crate) fn new(mut peer: Peer) -> Self {
        let [on_join, _, over] =
            ["wamp.session.on_join", "wamp.session.on_leave", OVER].map(|topic| json!(peer.subscribe(topic)));
        Self {
            peer,
            on_join,
            over,
            present: BTreeSet::new(),
            is_over: false,
            joins: 0,
            leaves: 0,
            counts: 0,
            scrapes: [0; 2],
            memory: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Watches until it hears of the end and nobody else is there.
    pub(crate) fn watch(&mut self, program: &Serving, admin: SocketAddr) {
        let (mut counted, mut scraped) = (0, Instant::now());
        while !self.is_over || !self.present.is_empty() {
            let message = self.peer.message();
            self.take(&message);
            if self.joins + self.leaves >= counted + PACE {
                counted = self.joins + self.leaves;
                self.count();
                if scraped.elapsed() >= INTERVAL {
                    scraped = Instant::now();
                    self.compare(admin);
                    self.memory.push(program.memory());
                    self.files.push(program.files());
                }
            }
        }
        self.compare(admin);
    }

    fn take(&mut self, event: &Json) {
        assert_eq!(event[0], 36, "{event}");
        if event[1] == self.over {
            self.is_over = true;
        } else if event[1] == self.on_join {
            let session = event[4][0]["session"].as_u64().expect("a session has an id");
            assert!(self.present.insert(session), "{session} joined twice");
            self.joins += 1;
        } else {
            let session = event[4][0].as_u64().expect("a session has an id");
            assert!(self.present.remove(&session), "{session} left without having joined, or twice");
            self.leaves += 1;
        }
    }

    /// Asks how many members there are: as many as have been announced by then, and the observer.
    fn count(&mut self) {
        let request = self.peer.request();
        self.peer.send(&json!([48, request, {}, "wamp.session.count"]));
        let answer = loop {
            match self.peer.message() {
                answer if answer[0] == 50 => break answer,
                event => self.take(&event),
            }
        };
        assert_eq!(answer, json!([50, request, {}, [self.present.len() + 1]]));
        assert_eq!(self.joins - self.leaves, self.present.len() as u64);
        self.counts += 1;
    }

    /// Reads the metrics between two counts, between which others may come and go: what the metrics say lies between
    /// what has been announced by the one and by the other.
    fn compare(&mut self, admin: SocketAddr) {
        self.count();
        let before = [self.joins, self.leaves];
        let samples = Samples::at(admin);
        self.count();
        let after = [self.joins, self.leaves];
        // The observer itself joined before it could hear of it.
        let joined = samples.total("realmkeeper_sessions_joined_total") as u64 - 1;
        let left = samples.total("realmkeeper_sessions_left_total") as u64;
        for ((before, told), after) in before.into_iter().zip([joined, left]).zip(after) {
            assert!((before..=after).contains(&told), "{told} is not between {before} and {after}");
        }
        assert_eq!(samples.total("realmkeeper_sessions") as u64, joined - left + 1);
        self.scrapes[0] += 1;
        self.scrapes[1] += u64::from(before == after);
    }
}
