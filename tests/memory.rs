//! What the router holds in memory: no more for what has been, a few times a large message, and for who does not read
//! what may wait for it.

use crate::support::{Peer, form, peer::raw_frame, program::Serving, router::PATIENCE};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer::{self, Cbor, Json, MessagePack};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What clients come by.
const KINDS: [ListenerKind; 2] = [ListenerKind::WebSocket, ListenerKind::RawSocket];

/// A program with one listener of this kind, with these limits. Nobody is sent a ping, which who waits for its turn
/// could not answer.
fn serving(name: &str, kind: ListenerKind, limits: &str) -> Serving {
    let kind = match kind {
        ListenerKind::WebSocket => "websocket",
        ListenerKind::RawSocket => "rawsocket",
    };
    let text = format!(
        r#"
        [log]
        level = "error"
        [[listeners]]
        kind = "{kind}"
        address = "127.0.0.1:0"
        [listeners.limits]
        ping_interval = "60m"
        {limits}
        [[realms]]
        name = "realm1"
        anonymous = "anyone"
        [[realms.roles]]
        name = "anyone"
        permissions = [{{ uri = "", match = "prefix", allow = ["call", "publish", "subscribe"] }}]
        "#
    );
    Serving::configured(name, &text)
}

/// In KiB, as the kernel counts.
const MIB: u64 = 1 << 10;

/// How many come and go at the same time.
const THREADS: usize = 4;
/// How many events are on their way at most.
const BATCH: usize = 1000;
const SUBSCRIBERS: usize = 10;

/// Has so many sessions come and go, each with all that it says in one write: that it is there and, unless it goes
/// without a word, that it goes.
fn come_and_go(address: SocketAddr, sessions: usize) {
    let hello = raw_frame(0, br#"[1,"realm1",{"roles":{"caller":{}}}]"#);
    let goodbye = raw_frame(0, br#"[6,{},"wamp.close.close_realm"]"#);
    let said = [b"\x7f\xf1\0\0", &*hello, &goodbye].concat();
    let come_and_go = || {
        for number in 0..sessions / THREADS {
            let mut stream = TcpStream::connect(address).expect("the router listens");
            if number % 2 == 0 {
                stream.write_all(&said).expect("the router takes it");
                let mut told = Vec::new();
                stream.read_to_end(&mut told).expect("the router closes the connection");
                assert!(told.ends_with(br#""wamp.close.goodbye_and_out"]"#), "{}", told.escape_ascii());
            } else {
                stream.write_all(&said[..said.len() - goodbye.len()]).expect("the router takes it");
                // The handshake is answered, and WELCOME begins.
                stream.read_exact(&mut [0; 12]).expect("the router answers");
                socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .expect("a socket can be set");
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(come_and_go))));
}

/// Has so many events reach subscribers that come and go for it.
fn publish(address: SocketAddr, events: usize) {
    let mut publisher = Peer::join_over(ListenerKind::RawSocket, address, Json);
    let publish = publisher.frame(&json!([16, 1, {}, "a.topic", ["x".repeat(100)]])).repeat(BATCH);
    let batches = events / SUBSCRIBERS / BATCH;
    let (done, wait) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..SUBSCRIBERS {
            let mut peer = Peer::join_over(ListenerKind::RawSocket, address, Json);
            peer.subscribe("a.topic");
            let done = done.clone();
            scope.spawn(move || {
                for _ in 0..batches {
                    for _ in 0..BATCH {
                        let (_, event) = peer.raw().expect("an event comes");
                        assert!(event.starts_with(b"[36,"));
                    }
                    done.send(()).expect("the publisher waits");
                }
                peer.leave();
            });
        }
        for _ in 0..batches {
            publisher.send_raw(&publish);
            (0..SUBSCRIBERS).for_each(|_| wait.recv().expect("all events arrive"));
        }
    });
    publisher.leave();
}

#[test]
fn what_has_been_takes_no_memory() {
    let program = serving("memory.toml", ListenerKind::RawSocket, "");
    let address = program.address();
    come_and_go(address, 2_000);
    publish(address, 100_000);
    let (memory, files) = (program.memory(), program.files());
    come_and_go(address, 100_000);
    publish(address, 1_000_000);
    // What is free goes back to the system a little later.
    let start = Instant::now();
    while program.memory() * 10 > memory * 11 || program.files() > files {
        let now = (program.memory(), program.files());
        assert!(start.elapsed() < PATIENCE, "{now:?} KiB and files became of {:?}", (memory, files));
        thread::yield_now();
    }
}

/// What the router holds at most, in KiB, while it has these arguments reach one subscriber.
fn cost(kind: ListenerKind, from: Serializer, to: Serializer, args: &Value) -> u64 {
    let limits = "message_size = \"16MiB\"\noutbox = \"64MiB\"";
    let program = serving("large.toml", kind, limits);
    let mut publisher = Peer::join_over(kind, program.address(), from);
    let mut subscriber = Peer::join_over(kind, program.address(), to);
    subscriber.subscribe("a.topic");
    let before = program.memory();
    publisher.send(&json!([16, 1, {}, "a.topic", args]));
    let event = subscriber.message();
    assert!(event[4] == *args, "the event is another one");
    program.peak() - before
}

#[test]
fn a_large_message_costs_a_few_times_its_size() {
    const SIZE: u64 = 15 * MIB;
    let args = json!(["x".repeat((SIZE << 10) as usize)]);
    for kind in KINDS {
        for (from, to) in [(Json, Json), (Json, Cbor), (MessagePack, Json), (Cbor, MessagePack)] {
            let cost = cost(kind, from, to, &args);
            assert!(cost < 4 * SIZE, "{kind:?}: {cost} KiB for {SIZE} KiB from {from} to {to}");
        }
    }
}

#[test]
fn many_small_lists_cost_a_few_times_the_size_of_the_larger_message() {
    // What else grows meanwhile.
    const SLACK: u64 = MIB;
    // Of the longer ones the number of items stands in more than one octet.
    for (lists, items) in [(600_000, 1), (50_000, 16)] {
        let args = json!(vec![vec![(); items]; lists]);
        for (from, to) in
            [(Json, MessagePack), (Json, Cbor), (MessagePack, Json), (MessagePack, Cbor), (Cbor, Json)]
        {
            let size = [from, to].map(|serializer| form::encode(serializer, &args).len() as u64 >> 10);
            let cost = cost(ListenerKind::WebSocket, from, to, &args);
            let most = 5 * size[0].max(size[1]) + SLACK;
            assert!(cost < most, "{cost} KiB for {size:?} KiB from {from} to {to}, {items} items each");
        }
    }
}

#[test]
fn who_does_not_read_costs_what_may_wait_for_it() {
    const OUTBOX: u64 = 16 * MIB;
    // What else grows meanwhile: what of the publications has been read and not handled, and buffers.
    const SLACK: u64 = 4 * MIB;
    for kind in KINDS {
        // Short ones, long ones, and some that are so long that their octets are shared by all who get them.
        for size in [50, 5_000, 60_000] {
            let limits = "outbox = \"16MiB\"\nwrite_stall = \"60m\"";
            let program = serving("stalled.toml", kind, limits);
            let [mut publisher, mut watcher, mut stalled] =
                [(); 3].map(|()| Peer::join_over(kind, program.address(), Json));
            watcher.subscribe("wamp.session.on_leave");
            stalled.subscribe("a.topic");
            let before = program.memory();
            let publish = publisher.frame(&json!([16, 1, {}, "a.topic", ["x".repeat(size)]]));
            let batch = publish.repeat((256 << 10) / publish.len() + 1);
            // As much again as may wait, since the system takes some of it.
            for _ in 0..(OUTBOX << 10) as usize * 2 / batch.len() {
                publisher.send_raw(&batch);
            }
            assert_eq!(watcher.message()[4][0], stalled.session);
            let grown = program.peak() - before;
            assert!(grown < OUTBOX + SLACK, "{kind:?}, {size} octets: {grown} KiB for {OUTBOX} KiB");
            // When it is gone the memory is free, and goes back to the system as soon as there is something to do.
            let start = Instant::now();
            while program.memory() > before + SLACK {
                assert_eq!(watcher.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));
                assert!(start.elapsed() < PATIENCE, "{} KiB became of {before}", program.memory());
            }
        }
    }
}
