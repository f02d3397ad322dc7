//! Subscribers that read too slowly, or not at all.

use crate::{
    scene::{Scene, Tally, subscribe, who_left},
    support::Peer,
};
use rand::rngs::StdRng;
use serde_json::json;
use std::{collections::BTreeMap, io::Read};

/// How many of each there are at a time.
const EACH: usize = 2;

/// Has some subscribers stop to read, and others read a little now and then, until the router has ended them all.
pub(crate) fn read_slowly(scene: &Scene, chance: &mut StdRng) -> Tally {
    let mut watcher = scene.join_any(chance);
    watcher.subscribe("wamp.session.on_leave");
    let mut ended = 0;
    let mut readers = BTreeMap::new();
    while scene.goes_on() {
        for place in 0..2 * EACH {
            let mut reader = scene.join_any(chance);
            subscribe(&mut reader, &json!({"match": "prefix"}), "soak.news.");
            reader.stream().set_nonblocking(true).expect("a socket can be set");
            readers.insert(reader.session, (place % 2 == 0, reader));
        }
        while !readers.is_empty() && scene.goes_on() {
            // Whoever leaves has the slow ones read a little.
            ended += u64::from(readers.remove(&who_left(&watcher.message())).is_some());
            for (_, reader) in readers.values_mut().filter(|(is_slow, _)| *is_slow) {
                // There may be nothing, or the end.
                let _ = reader.stream().read(&mut [0; 4096]);
            }
        }
    }
    // Those that are left may be ended just now, by the router or by this.
    let unsure = readers.len() as u64;
    let mut leaving: Vec<_> = readers.into_keys().collect();
    while !leaving.is_empty() {
        let left = who_left(&watcher.message());
        leaving.retain(|session| *session != left);
    }
    Peer::leave(watcher);
    Tally::from([("unresponsive", ended), ("unresponsive or lost", unsure), ("goodbye", 1)])
}
