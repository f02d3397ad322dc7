//! What all workers share: where the router listens, and until when they go on.

use crate::support::Peer;
use rand::{RngExt, rngs::StdRng};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

/// What clients come by.
pub(crate) const KINDS: [ListenerKind; 2] = [ListenerKind::WebSocket, ListenerKind::RawSocket];

/// How often what was done: sessions by what they end for, and other things by their names.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// A running soak.
pub(crate) struct Scene {
    pub(crate) websocket: SocketAddr,
    pub(crate) rawsocket: SocketAddr,
    pub(crate) end: Instant,
    /// Whether a worker has failed.
    pub(crate) is_over: AtomicBool,
}

impl Scene {
    /// Whether the time is not over, and nobody has failed.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.end && !self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn address(&self, kind: ListenerKind) -> SocketAddr {
        match kind {
            ListenerKind::WebSocket => self.websocket,
            ListenerKind::RawSocket => self.rawsocket,
        }
    }

    /// Joins a session.
    pub(crate) fn join(&self, kind: ListenerKind, serializer: Serializer) -> Peer {
        Peer::join_over(kind, self.address(kind), serializer)
    }

    /// Joins a session over any transport with any serializer.
    pub(crate) fn join_any(&self, chance: &mut StdRng) -> Peer {
        let (kind, serializer) = any(chance);
        self.join(kind, serializer)
    }

    /// Joins a session over every transport with every serializer.
    pub(crate) fn join_all(&self) -> Vec<Peer> {
        let kinds = KINDS.into_iter().flat_map(|kind| Serializer::ALL.map(|serializer| (kind, serializer)));
        kinds.map(|(kind, serializer)| self.join(kind, serializer)).collect()
    }
}

/// A transport and a serializer.
pub(crate) fn any(chance: &mut StdRng) -> (ListenerKind, Serializer) {
    (KINDS[chance.random_range(0..KINDS.len())], Serializer::ALL[chance.random_range(0..3)])
}

/// Has all the others stop when the thread that holds it panics.
pub(crate) struct Alarm<'a>(pub(crate) &'a Scene);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Subscribes while events may come already, which are of no interest yet; gives the subscription.
pub(crate) fn subscribe(peer: &mut Peer, options: &Json, topic: &str) -> u64 {
    let request = peer.request();
    peer.send(&json!([32, request, options, topic]));
    loop {
        let answer = peer.message();
        if answer[0] != 36 {
            assert_eq!(
                (&answer[0], &answer[1]),
                (&json!(33), &json!(request)),
                "the router answers {answer}"
            );
            return answer[2].as_u64().expect("a subscription has an id");
        }
    }
}

/// The session that an event of `wamp.session.on_leave` names.
pub(crate) fn who_left(event: &Json) -> u64 {
    assert_eq!(event[0], 36, "{event}");
    event[4][0].as_u64().expect("a session has an id")
}
