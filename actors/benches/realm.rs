//! What the core of a realm takes for its work, without sockets and actors:
//! `cargo bench -p realmkeeper-actors --bench realm`.
//!
//! Messages are decoded before the measurement and cloned in it. What a step asks to be sent is built, but neither
//! encoded nor written.
#![allow(missing_docs, reason = "criterion's macros make public functions without documentation")]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{SeedableRng, rngs::StdRng};
use realmkeeper_actors::{
    ban::BanList,
    codec::Serializer,
    message::{ClientMessage, RouterMessage, feature::Roles, id::SessionId},
    permission::Role,
    realm::{Realm, RealmOptions},
    roster::{Channel, Newcomer, Transport},
    step::{Effect, Step},
    transport::framing::Framing,
};
use std::{
    hint::black_box,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

/// A realm with the chance that it is lent.
struct World {
    realm: Realm,
    chance: StdRng,
}

impl World {
    fn new() -> Self {
        let mut chance = StdRng::seed_from_u64(1);
        let mut step = Step::new(SystemTime::UNIX_EPOCH, Duration::ZERO, &mut chance);
        Self {
            realm: Realm::new("realm1".into(), RealmOptions::default(), BanList::default(), &mut step),
            chance,
        }
    }

    fn step<T>(&mut self, step: impl FnOnce(&mut Realm, &mut Step<'_>) -> T) -> (T, Vec<Effect>) {
        let mut lent = Step::new(SystemTime::UNIX_EPOCH, Duration::ZERO, &mut self.chance);
        let result = step(&mut self.realm, &mut lent);
        (result, lent.into_effects())
    }

    fn join(&mut self, serializer: Serializer) -> SessionId {
        let newcomer = Newcomer {
            promised: None,
            authid: None,
            role: Role::unrestricted("anonymous").into(),
            authmethod: "anonymous",
            authprovider: "static",
            authextra: None,
            transport: Transport {
                serializer,
                address: Some(Ipv4Addr::LOCALHOST.into()),
                peer: "tcp4:127.0.0.1:40000".into(),
                via: None,
                framing: Framing::WebSocket,
                channel: Channel::Tcp,
            },
            roles: Roles::default(),
        };
        self.step(|realm, step| realm.join(newcomer, step)).0.expect("there is room")
    }

    fn leave(&mut self, session: SessionId) -> Vec<Effect> {
        let goodbye = message(r#"[6,{},"wamp.close.normal"]"#);
        self.receive(session, goodbye)
    }

    fn receive(&mut self, from: SessionId, message: ClientMessage) -> Vec<Effect> {
        self.step(|realm, step| realm.receive(from, message, step)).1
    }
}

fn message(json: &str) -> ClientMessage {
    let frame = Bytes::copy_from_slice(json.as_bytes());
    ClientMessage::decode(Serializer::Json, &frame, 64).expect("the benchmark writes messages")
}

fn publish() -> ClientMessage {
    message(&format!(r#"[16,1,{{}},"com.example.topic",["{}"]]"#, "x".repeat(128)))
}

/// One publication to so many subscribers; each event is one element.
fn publications(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for (name, serializers) in [("json", &Serializer::ALL[..1]), ("mixed", &Serializer::ALL[..])] {
        for subscribers in [1, 100, 1000] {
            let mut world = World::new();
            let publisher = world.join(Serializer::Json);
            for serializer in serializers.iter().cycle().take(subscribers) {
                let subscriber = world.join(*serializer);
                world.receive(subscriber, message(r#"[32,1,{},"com.example.topic"]"#));
            }
            let publish = publish();
            group.throughput(Throughput::Elements(subscribers as u64));
            group.bench_function(BenchmarkId::new(name, subscribers), |bencher| {
                bencher.iter(|| black_box(world.receive(publisher, publish.clone())));
            });
        }
    }
    group.finish();
}

/// One publication to one subscriber while others hold subscriptions to patterns that do not match.
fn unrelated_patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish beside unrelated subscriptions");
    for unrelated in [10, 1000, 100_000] {
        let mut world = World::new();
        let (publisher, subscriber) = (world.join(Serializer::Json), world.join(Serializer::Json));
        world.receive(subscriber, message(r#"[32,1,{},"com.example.topic"]"#));
        let mut other = world.join(Serializer::Json);
        for number in 0..unrelated {
            if number % 5000 == 4999 {
                // A session has a limited number of subscriptions.
                other = world.join(Serializer::Json);
            }
            let (kind, topic) = match number % 3 {
                0 => ("exact", format!("com.example.other{number}")),
                1 => ("prefix", format!("com.other{number}.")),
                _ => ("wildcard", format!("com..other{number}")),
            };
            world.receive(other, message(&format!(r#"[32,1,{{"match":"{kind}"}},"{topic}"]"#)));
        }
        assert_eq!(world.realm.subscriptions(), unrelated + 1);
        let publish = publish();
        group.bench_function(BenchmarkId::from_parameter(unrelated), |bencher| {
            bencher.iter(|| black_box(world.receive(publisher, publish.clone())));
        });
    }
    group.finish();
}

/// One publication with lists to 100 subscribers, and one that is retained.
fn options(criterion: &mut Criterion) {
    let mut world = World::new();
    let publisher = world.join(Serializer::Json);
    for _ in 0..100 {
        let subscriber = world.join(Serializer::Json);
        world.receive(subscriber, message(r#"[32,1,{},"com.example.topic"]"#));
    }
    let mut group = criterion.benchmark_group("publish to 100");
    for (name, options) in [
        ("without options", "{}"),
        ("but one session", r#"{"exclude":[4711]}"#),
        ("of an authrole", r#"{"eligible_authrole":["anonymous","other"]}"#),
        ("retained", r#"{"retain":true}"#),
    ] {
        let publish = message(&format!(r#"[16,1,{options},"com.example.topic",["{}"]]"#, "x".repeat(128)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(world.receive(publisher, publish.clone())));
        });
    }
    group.finish();
}

/// A subscription that begins and ends, with nobody and with somebody who is told of it.
fn subscriptions(criterion: &mut Criterion) {
    let mut world = World::new();
    let (subscriber, observer) = (world.join(Serializer::Json), world.join(Serializer::Json));
    let mut group = criterion.benchmark_group("subscribe and unsubscribe");
    for name in ["unobserved", "observed"] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let subscribe = message(r#"[32,1,{},"com.example.topic"]"#);
                let answer = world.receive(subscriber, subscribe);
                let [Effect::Send { message: RouterMessage::Subscribed(subscribed), .. }, ..] = &answer[..]
                else {
                    return answer;
                };
                let id = subscribed.subscription;
                world.receive(subscriber, message(&format!("[34,2,{id}]")))
            });
        });
        world.receive(observer, message(r#"[32,1,{"match":"prefix"},"wamp.subscription."]"#));
    }
    group.finish();
}

/// CALL, INVOCATION, YIELD, RESULT; with a timeout, beside calls that wait for theirs.
fn calls(criterion: &mut Criterion) {
    let payload = "x".repeat(128);
    for (name, options, waiting) in [
        ("call and answer", "{}", 0),
        ("call with a timeout and answer", r#"{"timeout":60000}"#, 0),
        ("the same beside 9000 that wait", r#"{"timeout":60000}"#, 9000),
    ] {
        let mut world = World::new();
        let (caller, callee) = (world.join(Serializer::Json), world.join(Serializer::Json));
        world.receive(callee, message(r#"[64,1,{},"com.example.procedure"]"#));
        for request in 2..2 + waiting {
            let call = format!(r#"[48,{request},{{"timeout":60000}},"com.example.procedure"]"#);
            world.receive(caller, message(&call));
        }
        let call = message(&format!(r#"[48,1,{options},"com.example.procedure",["{payload}"]]"#));
        let answer = message(&format!(r#"[70,1,{{}},["{payload}"]]"#));
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let invocation = world.receive(caller, call.clone());
                let mut answer = answer.clone();
                if let (
                    [Effect::Send { message: RouterMessage::Invocation(invocation), .. }],
                    ClientMessage::Yield(answer),
                ) = (&*invocation, &mut answer)
                {
                    answer.request = invocation.request;
                }
                black_box(world.receive(callee, answer))
            });
        });
    }
}

/// Joining and leaving, announced to one observer.
fn membership(criterion: &mut Criterion) {
    let mut world = World::new();
    let observer = world.join(Serializer::Json);
    world.receive(observer, message(r#"[32,1,{},"wamp.session.on_join"]"#));
    world.receive(observer, message(r#"[32,2,{},"wamp.session.on_leave"]"#));
    criterion.bench_function("join and leave", |bencher| {
        bencher.iter(|| {
            let session = world.join(Serializer::Json);
            black_box(world.leave(session))
        });
    });
}

/// Meta procedures in a realm of 500 sessions.
fn meta(criterion: &mut Criterion) {
    let mut world = World::new();
    let caller = world.join(Serializer::Json);
    for _ in 1..500 {
        world.join(Serializer::Json);
    }
    let list = message(r#"[48,1,{},"wamp.session.list"]"#);
    criterion.bench_function("wamp.session.list of 500", |bencher| {
        bencher.iter(|| black_box(world.receive(caller, list.clone())));
    });
    criterion.bench_function("join, then wamp.session.kill of one in 500", |bencher| {
        bencher.iter(|| {
            let victim = world.join(Serializer::Json);
            let kill = message(&format!(r#"[48,1,{{}},"wamp.session.kill",[{victim}]]"#));
            black_box(world.receive(caller, kill))
        });
    });
}

criterion_group!(benches, publications, unrelated_patterns, options, subscriptions, calls, membership, meta);
criterion_main!(benches);
