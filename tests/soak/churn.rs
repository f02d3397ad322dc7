//! Sessions that come and go in every way.

use crate::{
    healthy::UNRELIABLE,
    scene::{Scene, Tally, any},
    support::{Peer, peer::Received},
};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use realmkeeper::ListenerKind;
use serde_json::{Value as Json, json};
use std::{net::Shutdown, time::Duration};

/// How many are there at a time.
const BATCH: usize = 6;

/// Joins sessions, some of which share a procedure, and ends each in one of the ways; counts what for.
pub(crate) fn come_and_go(scene: &Scene, chance: &mut StdRng) -> Tally {
    let mut tally = Tally::new();
    let mut killer = scene.join_any(chance);
    while scene.goes_on() {
        let mut peers: Vec<_> = (0..BATCH)
            .map(|_| {
                let (kind, serializer) = any(chance);
                (kind, scene.join(kind, serializer))
            })
            .collect();
        for (_, peer) in &mut peers {
            peer.subscribe("soak.idle");
            if chance.random_bool(0.5) {
                peer.register(UNRELIABLE, &json!({"invoke": "random"}));
            }
        }
        peers.shuffle(chance);
        for (kind, peer) in peers {
            *tally.entry(end(kind, peer, &mut killer, chance)).or_default() += 1;
        }
    }
    killer.leave();
    *tally.entry("goodbye").or_default() += 1;
    tally
}

/// Ends a session in one of the ways; gives the cause that it has.
fn end(kind: ListenerKind, mut peer: Peer, killer: &mut Peer, chance: &mut StdRng) -> &'static str {
    match chance.random_range(0..9) {
        0 => {
            peer.leave();
            "goodbye"
        }
        1 => {
            drop(peer);
            "transport_lost"
        }
        2 => {
            reset(peer);
            "transport_lost"
        }
        3 => match kind {
            ListenerKind::WebSocket => {
                peer.socket().close(None).expect("the router is there");
                peer.rest();
                "transport_closed"
            }
            ListenerKind::RawSocket => {
                peer.stream().shutdown(Shutdown::Write).expect("the router is there");
                peer.rest();
                "transport_lost"
            }
        },
        4 => {
            peer.send(&json!([3, {}, "wamp.close.normal"]));
            peer.rest();
            "aborted"
        }
        5 => {
            assert!(kill(killer, "wamp.session.kill", &json!([peer.session])));
            assert!(is_told(peer, "wamp.close.killed"));
            "killed"
        }
        6 => {
            let reason = json!({"reason": "soak.close.unwanted"});
            let answer = killer.call("wamp.session.kill_by_authid", &json!([peer.authid]), &reason);
            assert_eq!(answer[3], json!([[peer.session]]), "{answer}");
            assert!(is_told(peer, "soak.close.unwanted"));
            "killed"
        }
        // Who is killed while it goes is gone for one of the two, and the killer knows for which.
        7 => {
            let session = json!([peer.session]);
            drop(peer);
            if kill(killer, "wamp.session.kill", &session) { "killed" } else { "transport_lost" }
        }
        _ => {
            peer.send(&json!([6, {}, "wamp.close.close_realm"]));
            let is_killed = kill(killer, "wamp.session.kill", &json!([peer.session]));
            peer.rest();
            if is_killed { "killed" } else { "goodbye" }
        }
    }
}

/// Ends a connection by RST.
pub(crate) fn reset(mut peer: Peer) {
    socket2::SockRef::from(&*peer.stream()).set_linger(Some(Duration::ZERO)).expect("a socket can be set");
}

/// Ends a session; gives whether it was there.
fn kill(killer: &mut Peer, procedure: &str, args: &Json) -> bool {
    let answer = killer.call(procedure, args, &json!({}));
    let is_killed = answer[0] == 50;
    assert!(is_killed || answer[4] == "wamp.error.no_such_session", "{answer}");
    is_killed
}

/// Whether a session is sent away once, for this reason.
fn is_told(mut peer: Peer, reason: &str) -> bool {
    let goodbyes = peer.rest().into_iter().filter_map(|received| match received {
        Received::Message(message) if message[0] == 6 => Some(message[2].clone()),
        Received::Message(_) | Received::Close(_) | Received::End => None,
    });
    goodbyes.eq([json!(reason)])
}
