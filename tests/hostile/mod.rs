//! Hostile clients against a started program: each is told what it gets, the others lose nothing, and the memory of the
//! router stays within bounds.
//!
//! Every attack prints what it cost, as a row of the table in the README: `cargo test --release --test tests hostile --
//! --nocapture --test-threads 1`.
#![expect(clippy::print_stdout, reason = "what an attack costs is to be seen")]

mod octets;
mod requests;
mod waiting;

use crate::support::{Peer, http, program::Serving, router::PATIENCE, scrape::Samples};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a client that does not read waits for the router to read.
const STUBBORN: Duration = Duration::from_millis(500);

/// Starts the program with a listener for WebSocket, with these keys of it, of the node, and of the realm besides.
fn serving(name: &str, [listener, node, realm]: [&str; 3]) -> Serving {
    let text = format!(
        r#"
        {node}
        [[listeners]]
        address = "127.0.0.1:0"
        {listener}
        [[realms]]
        name = "realm1"
        anonymous = "anyone"
        {realm}
        [[realms.roles]]
        name = "anyone"
        permissions = [{{ uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] }}]
        "#
    );
    Serving::configured(&format!("hostile-{name}.toml"), &text)
}

/// Starts the program as it is by default.
fn usual(name: &str) -> Serving {
    serving(name, [""; 3])
}

/// Clients that mean no good, all of one attack.
struct Attacker {
    address: SocketAddr,
    /// How many octets they have sent.
    sent: usize,
}

impl Attacker {
    /// Connects, and says nothing.
    fn connect(&self) -> TcpStream {
        http::send(self.address, b"")
    }

    /// Joins the realm.
    fn join(&self, serializer: Serializer) -> Peer {
        Peer::join_at(self.address, serializer)
    }

    /// Joins the realm, to read nothing: if the router does not read either, it gives up.
    fn join_stubbornly(&self, serializer: Serializer) -> Peer {
        let mut peer = self.join(serializer);
        peer.stream().set_write_timeout(Some(STUBBORN)).expect("the timeout is valid");
        peer
    }

    /// Sends octets. Gives whether the router took them all.
    fn send(&mut self, stream: &mut impl Write, mut octets: &[u8]) -> bool {
        while !octets.is_empty() {
            match stream.write(octets) {
                Ok(count @ 1..) => {
                    self.sent += count;
                    octets = &octets[count..];
                }
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }
}

/// Clients that use the router all the time: one publishes to another, and one calls another.
struct Others {
    stop: Arc<AtomicBool>,
    /// How long each round took them.
    thread: JoinHandle<Vec<Duration>>,
}

impl Others {
    fn join(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (joined, join) = mpsc::channel();
        let thread = thread::spawn({
            let stop = stop.clone();
            move || Self::go_round(address, &stop, &joined)
        });
        join.recv_timeout(PATIENCE).expect("the others join");
        Self { stop, thread }
    }

    /// Has an event and a call arrive, again and again, and nothing else.
    fn go_round(address: SocketAddr, stop: &AtomicBool, joined: &mpsc::Sender<()>) -> Vec<Duration> {
        let [mut publisher, mut subscriber, mut caller, mut callee] =
            [Serializer::Json, Serializer::MessagePack, Serializer::Cbor, Serializer::Json]
                .map(|serializer| Peer::join_at(address, serializer));
        let subscription = subscriber.subscribe("others.topic");
        let registration = callee.register("others.procedure", &json!({}));
        joined.send(()).expect("the test waits");
        let mut rounds = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let (start, round) = (Instant::now(), rounds.len() + 1);
            publisher.send(&json!([16, round, {"acknowledge": true}, "others.topic", [round]]));
            let published = publisher.message();
            assert_eq!(published, json!([17, round, published[2]]));
            assert_eq!(subscriber.message(), json!([36, subscription, published[2], {}, [round]]));
            caller.send(&json!([48, round, {}, "others.procedure", [round]]));
            assert_eq!(callee.message(), json!([68, round, registration, {}, [round]]));
            callee.send(&json!([70, round, {}, [round]]));
            assert_eq!(caller.message(), json!([50, round, {}, [round]]));
            rounds.push(start.elapsed());
        }
        rounds
    }

    /// Gives how long each round took, once all have come to their end.
    fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the others lose nothing")
    }
}

/// What there is in a router besides its memory: sessions, subscriptions, registrations, open files.
fn holdings(address: SocketAddr) -> [f64; 4] {
    let samples = Samples::at(address);
    ["realmkeeper_sessions", "realmkeeper_subscriptions", "realmkeeper_registrations"]
        .map(|name| samples.value(&format!("{name}{{realm=\"realm1\"}}")))
        .into_iter()
        .chain([samples.value("process_open_fds")])
        .collect::<Vec<_>>()
        .try_into()
        .expect("there are four")
}

/// Has the others use the program while it is attacked. Afterwards somebody else can join while the attacker holds what
/// it has; when it lets go of that, nothing of it is left. The memory may have grown by so many MiB at most.
fn withstand<T>(name: &str, program: &Serving, most: u64, attack: impl FnOnce(&mut Attacker) -> T) {
    let address = program.address();
    let others = Others::join(address);
    let before = holdings(address);
    let (memory, cpu, start) = (program.memory(), program.cpu_time(), Instant::now());
    let mut attacker = Attacker { address, sent: 0 };
    let held = attack(&mut attacker);
    Peer::join_at(address, Serializer::Json).leave();
    let (cpu, took) = (program.cpu_time() - cpu, start.elapsed());
    drop(held);
    let start = Instant::now();
    let mut now = holdings(address);
    while now != before {
        assert!(start.elapsed() < PATIENCE, "{now:?} is left of the attack, not {before:?}");
        thread::yield_now();
        now = holdings(address);
    }
    let mut rounds = others.stop();
    rounds.sort();
    let grown = |now: u64| now.saturating_sub(memory) / 1024;
    let peak = grown(program.peak());
    let test = thread::current().name().unwrap_or_default().trim_start_matches("hostile::").to_owned();
    println!(
        "| {name} | `{test}` | {:.1} MiB | {took:.1?} | {cpu:.1?} | {peak} MiB | {} MiB | {} | {:.1?} | {:.1?} |",
        attacker.sent as f64 / (1 << 20) as f64,
        grown(program.memory()),
        rounds.len(),
        rounds[rounds.len() * 99 / 100],
        rounds[rounds.len() - 1],
    );
    assert!(peak <= most, "the router has grown by {peak} MiB");
}
