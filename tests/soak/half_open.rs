//! Clients that the system stops or kills, in processes of their own.

use crate::{
    scene::{KINDS, Scene, Tally, subscribe, who_left},
    support::program::{program, signal},
};
use rand::{RngExt, rngs::StdRng};
use realmkeeper::ListenerKind;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Stdio},
};

/// How many there are at a time.
const CLIENTS: usize = 4;

/// A client in a process of its own, which is killed when it is dropped.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Client {
    /// Starts the program as a client that subscribes to the URI, or registers it.
    fn start(scene: &Scene, command: &str, kind: ListenerKind, uri: &str) -> Self {
        let address = scene.address(kind);
        let url = match kind {
            ListenerKind::WebSocket => format!("ws://{address}/ws"),
            ListenerKind::RawSocket => format!("rs://{address}"),
        };
        let mut command = program(&[command, "--url", &url, uri]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(process.expect("the program starts"))
    }
}

/// Stops clients, whom the pings end, and kills others; a call that one of them has is answered when it is gone.
pub(crate) fn stop_and_kill(scene: &Scene, chance: &mut StdRng) -> Tally {
    let (mut stopped, mut lost, mut calls) = (0, 0, 0);
    let mut watcher = scene.join_any(chance);
    let created = ["wamp.subscription.on_create", "wamp.registration.on_create"];
    let created = created.map(|topic| json!(subscribe(&mut watcher, &json!({}), topic)));
    let on_leave = json!(subscribe(&mut watcher, &json!({}), "wamp.session.on_leave"));
    let mut names = 0..;
    while scene.goes_on() {
        let mut clients: BTreeMap<_, _> = names
            .by_ref()
            .take(CLIENTS)
            .map(|number| {
                let command = ["subscribe", "register"][number % 2];
                let uri = format!("soak.half_open.{number}");
                let client = Client::start(scene, command, KINDS[chance.random_range(0..2)], &uri);
                (uri, (command, client))
            })
            .collect();
        let mut waiting = BTreeMap::new();
        let mut asked = BTreeSet::new();
        while !clients.is_empty() || !waiting.is_empty() || !asked.is_empty() {
            let message = watcher.message();
            if message[0] == 8 {
                assert_eq!(message[4], "wamp.error.canceled", "{message}");
                let request = message[2].as_u64().expect("a request has an id");
                assert!(asked.remove(&request), "nobody has asked for {message}");
            } else if message[1] == on_leave {
                waiting.remove(&who_left(&message));
            } else if created.contains(&message[1])
                && let Some(uri) = message[4][1]["uri"].as_str()
                && let Some((command, client)) = clients.remove(uri)
            {
                let session = message[4][0].as_u64().expect("a session has an id");
                if chance.random_bool(0.3) {
                    signal(&client.0, "KILL");
                    lost += 1;
                } else {
                    signal(&client.0, "STOP");
                    stopped += 1;
                    if command == "register" {
                        let request = watcher.request();
                        watcher.send(&json!([48, request, {}, uri]));
                        asked.insert(request);
                        calls += 1;
                    }
                }
                waiting.insert(session, client);
            }
        }
    }
    watcher.leave();
    Tally::from([("stopped", stopped), ("transport_lost", lost), ("calls", calls), ("goodbye", 1)])
}
