//! What there can be at most: who is beyond a limit is told which, and nobody else notices.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
    log,
    peer::{Received, header},
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper::{
    Listener, NodeLimits, Settings,
    config::{self, Config},
};
use realmkeeper_actors::{codec::Serializer, limit::Limit, session::Rate};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    net::{Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    thread,
    time::{Duration, Instant},
};
use tungstenite::{WebSocket, protocol::Role};

/// Two sessions that have nothing to do with what others run into.
struct Bystanders {
    publisher: Peer,
    subscriber: Peer,
    subscription: u64,
}

impl Bystanders {
    fn join(address: SocketAddr) -> Self {
        let [publisher, mut subscriber] =
            [Serializer::MessagePack, Serializer::Json].map(|serializer| Peer::join_at(address, serializer));
        let subscription = subscriber.subscribe("a.b");
        Self { publisher, subscriber, subscription }
    }

    /// Asserts that their calls are answered and their events arrive, and that nothing else does.
    fn notice_nothing(&mut self) {
        let request = self.publisher.request();
        self.publisher.send(&json!([16, request, {"acknowledge": true}, "a.b", [request]]));
        let published = self.publisher.message();
        assert_eq!(published, json!([17, request, published[2]]));
        assert_eq!(self.subscriber.message(), json!([36, self.subscription, published[2], {}, [request]]));
        let found = self.subscriber.call("wamp.session.get", &json!([self.publisher.session]), &json!({}));
        assert_eq!(found[3][0]["session"], json!(self.publisher.session));
    }
}

/// A limit, and how a client runs into it once.
struct Case {
    /// Its label.
    limit: &'static str,
    /// Where its key stands in the configuration; nowhere if it cannot be set.
    table: &'static str,
    /// How it is set, with what else is needed behind it.
    keys: &'static str,
    /// Runs into it, and asserts what the client gets.
    run: fn(&mut Scene),
}

const CASES: &[Case] = &[
    Case {
        limit: "handshake_timeout",
        table: "listeners.limits",
        keys: r#"handshake_timeout = "200ms""#,
        run: |scene| {
            let told = abort("wamp.error.timeout", "no session was joined within 200 ms");
            assert_eq!(scene.connect().rest(), [told, Received::Close(Some(1008)), Received::End]);
        },
    },
    Case {
        limit: "authentication_timeout",
        table: "listeners.limits",
        keys: r#"authentication_timeout = "200ms""#,
        run: |scene| {
            let mut peer = scene.connect();
            say_who(&mut peer);
            let told = abort("wamp.error.authentication_failed", "CHALLENGE was not answered within 200 ms");
            assert_eq!(peer.rest(), [told, Received::Close(Some(1008)), Received::End]);
        },
    },
    Case {
        limit: "lockout",
        table: "lockout",
        keys: "failures = 2\ndelay = \"1h\"\nmost = \"1h\"",
        run: |scene| {
            let (denied, locked) = (
                abort("wamp.error.authentication_denied", "the authid or the proof is wrong"),
                limit_exceeded("too many failed logins, try again later"),
            );
            for _ in 0..2 {
                let mut peer = scene.connect();
                say_who(&mut peer);
                peer.send(&json!([5, "wrong", {}]));
                assert_eq!(peer.rest(), [denied.clone(), Received::Close(Some(1000)), Received::End]);
            }
            let mut peer = scene.connect();
            let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"});
            peer.send(&json!([1, "realm1", details]));
            assert_eq!(peer.rest(), [locked, Received::Close(Some(1008)), Received::End]);
            // From another address it may join, and here another authid may try.
            let mut joe = Peer::connect_to(scene.router.addresses()[1], scene.serializer);
            joe.prove("realm1", "joe", "secret123");
            joe.leave();
        },
    },
    Case {
        limit: "message_size",
        table: "listeners.limits",
        keys: r#"message_size = "1KiB""#,
        run: |scene| {
            let mut peer = scene.join();
            let first = if peer.serializer().is_text() { 0x81 } else { 0x82 };
            peer.send_raw(&header(first, 1025));
            let told = abort("wamp.error.payload_size_exceeded", "a message may have at most 1024 octets");
            assert_eq!(peer.rest(), [told, Received::Close(Some(1009)), Received::End]);
        },
    },
    Case {
        limit: "nesting_depth",
        table: "listeners.limits",
        keys: "nesting_depth = 8",
        run: |scene| {
            let mut peer = scene.join();
            let nested = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
            peer.send(&json!([16, 1, {"acknowledge": true}, "a.c", nested(7)]));
            assert_eq!(peer.message()[0], 17);
            peer.send(&json!([16, 2, {"acknowledge": true}, "a.c", nested(8)]));
            let told =
                abort("wamp.error.payload_size_exceeded", "the message is nested deeper than 8 levels");
            assert_eq!(peer.rest(), [told, Received::Close(Some(1009)), Received::End]);
        },
    },
    Case {
        limit: "uri_length",
        table: "realms.limits",
        keys: "uri_length = 64",
        run: |scene| {
            let mut peer = scene.join();
            peer.subscribe(&"x".repeat(64));
            let text = "a uri of 65 octets is too long: at most 64";
            let refused = json!([8, 32, 2, {}, "wamp.error.invalid_uri", [text]]);
            peer.send(&json!([32, 2, {}, "x".repeat(65)]));
            assert_eq!(peer.message(), refused);
            peer.leave();
        },
    },
    Case {
        limit: "sessions",
        table: "limits",
        keys: "sessions = 3",
        run: |scene| {
            let third = scene.join();
            let text = "this router has as many connections as its limit sessions allows: 3";
            assert_eq!(try_upgrade(scene.address()), Answer::plain("503 service unavailable", text));
            third.leave();
        },
    },
    Case {
        limit: "sessions_per_realm",
        table: "realms.limits",
        keys: "sessions = 3",
        run: |scene| {
            let third = scene.join();
            let mut peer = scene.connect();
            peer.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
            let told = limit_exceeded("the realm has too many sessions: at most 3");
            assert_eq!(peer.rest(), [told, Received::Close(Some(1008)), Received::End]);
            third.leave();
        },
    },
    Case {
        limit: "sessions_per_authid",
        table: "realms.limits",
        keys: "sessions_per_authid = 1",
        run: |scene| {
            let mut first = scene.connect();
            first.prove("realm1", "joe", "secret123");
            let mut peer = scene.connect();
            say_who(&mut peer);
            peer.send(&json!([5, "secret123", {}]));
            let told = limit_exceeded("the authid has too many sessions in this realm: at most 1");
            assert_eq!(peer.rest(), [told, Received::Close(Some(1008)), Received::End]);
            first.leave();
        },
    },
    Case {
        limit: "sessions_per_address",
        table: "limits",
        keys: "sessions_per_address = 2",
        run: |scene| {
            let two = [scene.join(), scene.join()];
            let text = "127.0.0.1 has as many connections as the limit sessions_per_address allows: 2";
            assert_eq!(try_upgrade(scene.address()), Answer::plain("429 too many requests", text));
            two.into_iter().for_each(Peer::leave);
        },
    },
    Case {
        limit: "connection_rate",
        table: "limits",
        keys: "connection_rate = { per_second = 1, burst = 2 }",
        run: |scene| {
            let mut answer = try_upgrade(scene.address());
            while answer.status == http::UPGRADED {
                answer = try_upgrade(scene.address());
            }
            let text = "127.0.0.1 connects more often than the limit connection_rate allows: 2 at once and \
                        1 a second";
            let told = Answer::plain("429 too many requests", text).with("retry-after: 1");
            assert_eq!(answer, told);
        },
    },
    Case {
        limit: "message_rate",
        table: "listeners.limits",
        keys: "message_rate = { per_second = 1, burst = 2 }",
        run: |scene| {
            let mut peer = scene.join();
            let calls = [1, 2, 3].map(|request| peer.frame(&json!([48, request, {}, "wamp.session.count"])));
            peer.send_raw(&calls.concat());
            let answer = |request| Received::Message(json!([50, request, {}, [3]]));
            let text = "more messages than message_rate of this listener allows: 2 at once and 1 a second";
            let told = Received::Message(json!([6, {"message": text}, "wamp.error.not_authorized"]));
            let end = [told, Received::Close(Some(1008)), Received::End];
            assert_eq!(peer.rest(), [&[answer(1), answer(2)][..], &end].concat());
        },
    },
    Case {
        limit: "subscriptions",
        table: "realms.limits",
        keys: "subscriptions = 2",
        run: |scene| {
            let mut peer = scene.join();
            peer.subscribe("a.c");
            peer.subscribe("a.d");
            peer.send(&json!([32, 3, {}, "a.e"]));
            assert_eq!(peer.message(), refusal(32, 3, "a session has too many subscriptions: at most 2"));
            peer.leave();
        },
    },
    Case {
        limit: "registrations",
        table: "realms.limits",
        keys: "registrations = 2",
        run: |scene| {
            let mut peer = scene.join();
            peer.register("a.c", &json!({}));
            peer.register("a.d", &json!({}));
            peer.send(&json!([64, 3, {}, "a.e"]));
            assert_eq!(peer.message(), refusal(64, 3, "a session has too many registrations: at most 2"));
            peer.leave();
        },
    },
    Case {
        limit: "calls",
        table: "realms.limits",
        keys: "calls = 2",
        run: |scene| {
            let mut peer = scene.join();
            let registration = peer.register("a.c", &json!({}));
            for request in [2, 3] {
                peer.send(&json!([48, request, {}, "a.c"]));
                assert_eq!(peer.message(), json!([68, request - 1, registration, {}]));
            }
            peer.send(&json!([48, 4, {}, "a.c"]));
            let text = "a session has too many calls that are not answered yet: at most 2";
            assert_eq!(peer.message(), refusal(48, 4, text));
            peer.send(&json!([70, 1, {}]));
            assert_eq!(peer.message(), json!([50, 2, {}]));
            peer.leave();
        },
    },
    Case {
        limit: "component_timeout",
        table: "realms.limits",
        keys: r#"component_timeout = "200ms""#,
        run: |scene| {
            let (mut component, mut asked) = (scene.connect(), scene.connect());
            component.prove("realm1", "cid", "secret123");
            component.register("a.authorize", &json!({}));
            asked.prove("realm1", "ann", "secret123");
            asked.send(&json!([32, 1, {}, "a.b"]));
            assert_eq!(component.message()[0], 68);
            let text = "the authorizer of the role \"asked\" has not said whether this may be done";
            assert_eq!(asked.message(), json!([8, 32, 1, {}, "wamp.error.authorization_failed", [text]]));
            asked.leave();
            component.leave();
        },
    },
    Case {
        limit: "bans",
        table: "realms.limits",
        keys: "bans = 1",
        run: |scene| {
            let (mut peer, mut joe, mut anonymous) = (scene.join(), scene.connect(), scene.join());
            joe.prove("realm1", "joe", "secret123");
            for (victim, ban) in [(&mut joe, 1000), (&mut anonymous, 2000)] {
                let killed = peer.call("wamp.session.kill", &json!([victim.session]), &json!({"ban": ban}));
                assert_eq!(killed, json!([50, killed[1], {}]));
                let told = Received::Message(json!([6, {}, "wamp.close.killed"]));
                assert_eq!(victim.rest(), [told, Received::Close(Some(1000)), Received::End]);
            }
            // The ban of the address goes on, and that of the authid has ended.
            let mut banned = scene.connect();
            banned.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
            let told = abort("wamp.error.not_authorized", "this client is banned from the realm");
            assert_eq!(banned.rest(), [told, Received::Close(Some(1008)), Received::End]);
            let mut joe = Peer::connect_to(scene.router.addresses()[1], scene.serializer);
            joe.prove("realm1", "joe", "secret123");
            joe.leave();
            peer.leave();
        },
    },
    Case {
        limit: "retention",
        table: "realms.limits",
        keys: "retained_events = 1",
        run: |scene| {
            let mut peer = scene.join();
            let options = json!({"retain": true, "acknowledge": true});
            for (request, topic) in [(1, "a.c"), (2, "a.c"), (3, "a.d")] {
                peer.send(&json!([16, request, options, topic]));
                let answer = peer.message();
                if topic == "a.c" {
                    assert_eq!(answer, json!([17, request, answer[2]]));
                } else {
                    assert_eq!(answer, refusal(16, 3, "the realm retains too many events: at most 1"));
                }
            }
            peer.leave();
        },
    },
    Case {
        limit: "history",
        table: "",
        keys: "",
        run: |scene| {
            let mut peer = scene.join();
            for request in 1..=3 {
                let options = json!({"acknowledge": true});
                peer.send(&json!([16, request, options, "a.history", ["x".repeat(800_000)]]));
                assert_eq!(peer.message()[0], 17);
            }
            peer.send(&json!([32, 4, {}, "a.history"]));
            let subscription = peer.message()[2].clone();
            peer.send(&json!([48, 5, {}, "wamp.subscription.get_events", [subscription]]));
            let text =
                "the events have too many octets for one answer, limit makes them fewer: at most 2097152";
            assert_eq!(peer.message(), refusal(48, 5, text));
            peer.leave();
        },
    },
    Case {
        limit: "testaments",
        table: "",
        keys: "",
        run: |scene| {
            let mut peer = scene.join();
            let mut leave = || peer.call("wamp.session.add_testament", &json!(["a.c", [], {}]), &json!({}));
            for request in 1..=100 {
                assert_eq!(leave(), json!([50, request, {}]));
            }
            let text = "the session has left too many testaments: at most 100";
            assert_eq!(leave(), refusal(48, 101, text));
            peer.leave();
        },
    },
    Case {
        limit: "testaments",
        table: "",
        keys: "",
        run: |scene| {
            let mut peer = scene.join();
            let args = json!(["a.c", ["x".repeat(600_000)], {}]);
            let mut leave = || peer.call("wamp.session.add_testament", &args, &json!({}));
            assert_eq!(leave(), json!([50, 1, {}]));
            let text = "the testaments of the session have too many octets: at most 1048576";
            assert_eq!(leave(), refusal(48, 2, text));
            peer.leave();
        },
    },
    Case {
        limit: "outbox",
        table: "listeners.limits",
        keys: "outbox = \"256KiB\"\nmessage_size = \"256KiB\"\nlinger = \"60s\"",
        run: |scene| {
            let mut peer = scene.join();
            let subscription = peer.subscribe("a.c");
            scene.flood("a.c");
            let end = [
                Received::Message(json!([6, {}, "realmkeeper.close.slow_consumer"])),
                Received::Close(Some(1008)),
                Received::End,
            ];
            check_flooded(&peer.rest(), subscription, &end);
        },
    },
    Case {
        limit: "write_stall",
        table: "listeners.limits",
        keys: "write_stall = \"200ms\"\noutbox = \"64MiB\"\nlinger = \"200ms\"",
        run: |scene| {
            let mut peer = scene.join();
            let subscription = peer.subscribe("a.c");
            scene.flood("a.c");
            scene.router.wait_for_sockets(2);
            check_flooded(&peer.rest(), subscription, &[Received::End]);
        },
    },
    Case {
        limit: "ping_timeout",
        table: "listeners.limits",
        keys: "ping_timeout = \"100ms\"\nping_interval = \"100ms\"",
        run: |scene| {
            let mut peer = scene.join();
            scene.router.wait_for_sockets(2);
            assert_eq!(peer.rest(), [Received::End]);
        },
    },
    Case {
        limit: "credit",
        table: "listeners.limits",
        keys: "credit = \"1KiB\"",
        run: |scene| {
            let stream = http::send(scene.address(), b"");
            let mut peer = Peer::on(WebSocket::from_raw_socket(stream, Role::Client, None), scene.serializer);
            // All comes behind the request for the upgrade, so that the session has it before its realm has any.
            let subprotocol = scene.serializer.subprotocol();
            let upgrade = http::upgrade("GET /ws", &[("Sec-WebSocket-Protocol", Some(subprotocol))]);
            let hello = json!([1, "realm1", {"roles": {"caller": {}}}]);
            let calls =
                (1..=50).map(|request| json!([48, request, {}, "wamp.session.count", [[], "x".repeat(600)]]));
            let frames = [hello].into_iter().chain(calls).map(|message| peer.frame(&message));
            let octets = [upgrade.into_bytes()].into_iter().chain(frames).collect::<Vec<_>>().concat();
            peer.send_raw(&octets);
            assert_eq!(http::head(peer.socket().get_mut()).0, http::UPGRADED);
            assert_eq!(peer.message()[0], 2);
            for request in 1..=50 {
                assert_eq!(peer.message(), json!([50, request, {}, [0]]));
            }
            peer.leave();
        },
    },
];

/// A router that a client runs into a limit of, at the first listener. Bystanders and others are at the second.
struct Scene {
    bystanders: Bystanders,
    serializer: Serializer,
    /// The last to go, so that it has nobody to wait for.
    router: Router,
}

impl Scene {
    fn new(case: &Case, serializer: Serializer) -> Self {
        let keys = |table| if case.table == table { case.keys } else { "" };
        let router = Router::configured(&format!(
            r#"
            [limits]
            {}
            [lockout]
            {}
            [[listeners]]
            address = "127.0.0.1:0"
            [listeners.limits]
            {}
            [[listeners]]
            address = "[::1]:0"
            [listeners.limits]
            ping_interval = "60m"
            [[realms]]
            name = "realm1"
            anonymous = "anonymous"
            [realms.limits]
            {}
            [[realms.history]]
            topic = "a.history"
            bytes = "16MiB"
            [[realms.roles]]
            name = "anonymous"
            [[realms.roles.permissions]]
            uri = ""
            match = "prefix"
            allow = ["call", "register", "publish", "subscribe"]
            [[realms.roles.permissions]]
            uri = "wamp.session.kill"
            allow = ["call"]
            [[realms.roles]]
            name = "asked"
            authorizer = "a.authorize"
            [[realms.roles]]
            name = "component"
            trusted = true
            [[realms.roles.permissions]]
            uri = "a.authorize"
            allow = ["register"]
            [[realms.principals]]
            authid = "joe"
            role = "anonymous"
            ticket = "secret123"
            [[realms.principals]]
            authid = "ann"
            role = "asked"
            ticket = "secret123"
            [[realms.principals]]
            authid = "cid"
            role = "component"
            ticket = "secret123"
            "#,
            keys("limits"),
            keys("lockout"),
            keys("listeners.limits"),
            keys("realms.limits")
        ));
        Self { bystanders: Bystanders::join(router.addresses()[1]), serializer, router }
    }

    /// Where there are limits.
    fn address(&self) -> SocketAddr {
        self.router.addresses()[0]
    }

    fn connect(&self) -> Peer {
        Peer::connect_to(self.address(), self.serializer)
    }

    fn join(&self) -> Peer {
        Peer::join_at(self.address(), self.serializer)
    }

    /// Has more published to a topic than is taken of who does not read. Bystanders do not notice it.
    fn flood(&mut self, topic: &str) {
        let mut publisher = Peer::join_at(self.router.addresses()[1], Serializer::Json);
        publisher.flood(topic, 16 << 20);
        self.bystanders.notice_nothing();
        publisher.leave();
    }
}

/// Asserts that events came, and then this.
fn check_flooded(came: &[Received], subscription: u64, end: &[Received]) {
    let (events, rest) = came.split_at(came.len() - end.len());
    assert_eq!(rest, end);
    assert!(!events.is_empty(), "no event came");
    for event in events {
        let Received::Message(message) = event else { panic!("{event:?} came among the events") };
        assert_eq!((&message[0], &message[1]), (&json!(36), &json!(subscription)));
    }
}

/// Says who it is, and takes the CHALLENGE.
fn say_who(peer: &mut Peer) {
    let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"});
    peer.send(&json!([1, "realm1", details]));
    assert_eq!(peer.message(), json!([4, "ticket", {}]));
}

fn abort(reason: &str, text: &str) -> Received {
    Received::Message(json!([3, {"message": text}, reason]))
}

fn limit_exceeded(text: &str) -> Received {
    abort("realmkeeper.error.limit_exceeded", text)
}

/// The ERROR for a request that is beyond a limit.
fn refusal(kind: u64, request: u64, text: &str) -> Json {
    json!([8, kind, request, {}, "realmkeeper.error.limit_exceeded", [text]])
}

#[test]
fn who_runs_into_a_limit_is_told_which_and_nobody_else_notices() {
    for case in CASES {
        thread::scope(|scope| {
            for serializer in Serializer::ALL {
                // The name is told with what fails.
                let named = thread::Builder::new().name(format!("{} in {serializer}", case.limit));
                named.spawn_scoped(scope, move || check(case, serializer)).expect("a thread starts");
            }
        });
    }
}

fn check(case: &Case, serializer: Serializer) {
    let mut scene = Scene::new(case, serializer);
    let before = Samples::of(&scene.router);
    (case.run)(&mut scene);
    let changes = Samples::of(&scene.router).since(&before);
    let hit = changes.lines().filter(|line| line.starts_with("realmkeeper_limits_hit_total"));
    let expected = format!("realmkeeper_limits_hit_total{{limit=\"{}\"}} +1", case.limit);
    assert_eq!(hit.collect::<Vec<_>>(), [expected]);
    scene.bystanders.notice_nothing();
}

#[test]
fn every_limit_is_run_into() {
    let tested = CASES.iter().map(|case| case.limit).collect::<BTreeSet<_>>();
    assert_eq!(tested, BTreeSet::from(Limit::LABELS));
}

/// A row of the table of limits in the README, but for the words.
#[derive(Debug, PartialEq)]
struct Row {
    key: String,
    default: String,
    label: String,
}

/// The table of limits in the README.
fn readme() -> Vec<Row> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("\n### Limits\n").expect("the README has the section");
    let (section, _) = section.split_once("\n### ").expect("another follows");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let line = line.trim_start_matches('|').trim_end_matches('|');
        let cells = line.split('|').map(|cell| cell.trim().replace('`', ""));
        let Ok([_, key, default, _, label]) = <[_; 5]>::try_from(cells.collect::<Vec<_>>()) else {
            panic!("it has five cells: {line}")
        };
        Row { key, default, label }
    };
    rows.map(row).collect()
}

#[test]
fn the_readme_has_every_limit_with_its_key_and_its_label() {
    let rows = readme();
    let labels = rows.iter().map(|row| row.label.as_str()).filter(|label| !label.is_empty());
    assert_eq!(labels.collect::<Vec<_>>(), Limit::LABELS);
    for case in CASES {
        let key = match case.keys.split_once(' ') {
            Some((key, _)) => format!("{}.{key}", case.table),
            None => String::new(),
        };
        let row = rows.iter().find(|row| row.label == case.limit);
        assert_eq!(row.map(|row| &row.key), Some(&key), "{}", case.limit);
    }
}

#[test]
fn the_readme_has_every_key_of_a_limit_with_its_default() {
    let config = serde_json::to_value(Config::default()).expect("a configuration is data");
    let properties = &config::schema()["properties"];
    let defaults = serde_json::to_value(Config::default().lockout).expect("a configuration is data");
    let mut expected = BTreeMap::new();
    for (table, schema, defaults) in [
        ("limits", &properties["limits"], &config["limits"]),
        ("lockout", &properties["lockout"], &defaults),
        (
            "listeners.limits",
            &properties["listeners"]["items"]["properties"]["limits"],
            &config["listeners"][0]["limits"],
        ),
        (
            "realms.limits",
            &properties["realms"]["items"]["properties"]["limits"],
            &config["realms"][0]["limits"],
        ),
    ] {
        for key in schema["properties"].as_object().expect("a table has keys").keys() {
            let default = match defaults.get(key).filter(|default| !default.is_null()) {
                None => "none".to_owned(),
                Some(default) => default.as_str().map_or_else(|| default.to_string(), str::to_owned),
            };
            expected.insert(format!("{table}.{key}"), default);
        }
    }
    let with_key = readme().into_iter().filter(|row| !row.key.is_empty());
    let told = with_key.map(|row| (row.key, row.default)).collect::<Vec<_>>();
    assert_eq!(told.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(told.len(), expected.len(), "a key stands twice in {told:?}");
}

fn rate(burst: u32, per_second: u32) -> Option<Rate> {
    let positive = |number| NonZeroU32::new(number).expect("it is positive");
    Some(Rate { per_second: positive(per_second), burst: positive(burst) })
}

/// A router with these limits that listens on IPv4 and on IPv6.
fn with_limits(limits: NodeLimits) -> Router {
    Router::with(|settings| {
        settings.limits = limits;
        let first = settings.listeners[0].clone();
        settings.listeners.push(Listener { address: (Ipv6Addr::LOCALHOST, 0).into(), ..first });
    })
}

/// The answer to a connection that asks for an upgrade.
fn try_upgrade(address: SocketAddr) -> Answer {
    http::ask(address, &http::upgrade("GET /ws", &[]))
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let router = with_limits(NodeLimits { sessions: Some(3), ..NodeLimits::default() });
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let mut bystanders = Bystanders::join(first);
    // It counts from its upgrade, joined or not.
    let third = Peer::connect_to(second, Serializer::Json);
    let text = "this router has as many connections as its limit sessions allows: 3";
    for address in [first, second] {
        assert_eq!(try_upgrade(address), Answer::plain("503 service unavailable", text));
    }
    bystanders.notice_nothing();
    assert_eq!(http::plain(first, "GET /readyz"), Answer::plain("200 ok", "ready"));
    drop(third);
    router.wait_for_sockets(2);
    let fourth = Peer::connect_to(first, Serializer::Json);
    assert_eq!(try_upgrade(second), Answer::plain("503 service unavailable", text));
    drop(fourth);
}

#[test]
fn there_are_no_more_connections_of_an_address_than_there_may_be() {
    let router = with_limits(NodeLimits { sessions_per_address: Some(2), ..NodeLimits::default() });
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let mut bystanders = Bystanders::join(first);
    let text = "127.0.0.1 has as many connections as the limit sessions_per_address allows: 2";
    assert_eq!(try_upgrade(first), Answer::plain("429 too many requests", text));
    let others = [0; 2].map(|_| Peer::connect_to(second, Serializer::Json));
    let text = "::/64 has as many connections as the limit sessions_per_address allows: 2";
    assert_eq!(try_upgrade(second), Answer::plain("429 too many requests", text));
    bystanders.notice_nothing();
    drop(others);
    router.wait_for_sockets(2);
    drop(Peer::connect_to(second, Serializer::Json));
}

#[test]
fn an_address_connects_no_more_often_than_it_may() {
    let limits = NodeLimits { connection_rate: rate(3, 1), ..NodeLimits::default() };
    let router = with_limits(limits);
    let [first, second] = [router.addresses()[0], router.addresses()[1]];
    let start = Instant::now();
    let mut bystanders = Bystanders::join(first);
    // What could be no session counts for nothing.
    for _ in 0..10 {
        assert_eq!(
            http::ask(first, &http::upgrade("GET /", &[])),
            Answer::plain("404 not found", "WAMP clients connect at /ws")
        );
    }
    let (mut admitted, mut answer) = (2, try_upgrade(first));
    while answer.status == http::UPGRADED {
        (admitted, answer) = (admitted + 1, try_upgrade(first));
    }
    assert!(admitted >= 3 && admitted <= 4 + start.elapsed().as_secs(), "{admitted} were admitted");
    let text =
        "127.0.0.1 connects more often than the limit connection_rate allows: 3 at once and 1 a second";
    assert_eq!(answer, Answer::plain("429 too many requests", text).with("retry-after: 1"));
    bystanders.notice_nothing();
    drop(Peer::connect_to(second, Serializer::Json));
    let start = Instant::now();
    while try_upgrade(first).status != http::UPGRADED {
        assert!(start.elapsed() < PATIENCE, "it may not connect again");
    }
}

#[test]
fn a_session_that_sends_too_many_messages_is_ended() {
    for serializer in Serializer::ALL {
        let router = Router::with(|settings| {
            let usual = settings.listeners[0].clone();
            settings.listeners[0].session.message_rate = rate(5, 1);
            settings.listeners.push(usual);
        });
        let [first, second] = [router.addresses()[0], router.addresses()[1]];
        let mut bystanders = Bystanders::join(second);
        let mut observer = Peer::join_at(second, Serializer::Json);
        let left = observer.subscribe("wamp.session.on_leave");
        let mut flood = Peer::join_at(first, serializer);
        let calls = (1..=10).map(|request| flood.frame(&json!([48, request, {}, "wamp.session.count"])));
        let calls = calls.collect::<Vec<_>>().concat();
        flood.send_raw(&calls);
        for request in 1..=5 {
            assert_eq!(flood.message(), json!([50, request, {}, [4]]));
        }
        let text = "more messages than message_rate of this listener allows: 5 at once and 1 a second";
        assert_eq!(
            flood.rest(),
            [
                Received::Message(json!([6, {"message": text}, "wamp.error.not_authorized"])),
                Received::Close(Some(1008)),
                Received::End
            ]
        );
        let event = observer.message();
        assert_eq!(event, json!([36, left, event[2], {}, [flood.session, flood.authid, "anonymous"]]));
        bystanders.notice_nothing();
        let session = format!("session={} ", flood.session);
        let line = log::wait_for(&["session left", &session]);
        assert!(line.contains("cause=\"policy\""), "{line}");
        assert_eq!(observer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([3]));
    }
}

#[test]
fn a_goodbye_behind_too_many_messages_is_an_answer() {
    let router = Router::with(|settings| {
        settings.listeners[0].session.message_rate = rate(1, 1);
        // Longer than anything is waited for.
        settings.listeners[0].session.linger = Duration::from_secs(3600);
    });
    let mut peer = Peer::join(&router, Serializer::Json);
    let messages = [
        json!([48, 1, {}, "wamp.session.count"]),
        json!([48, 2, {}, "wamp.session.count"]),
        json!([6, {}, "wamp.close.normal"]),
    ];
    let frames = messages.map(|message| peer.frame(&message)).concat();
    peer.send_raw(&frames);
    assert_eq!(peer.message(), json!([50, 1, {}, [1]]));
    assert_eq!(peer.message()[2], json!("wamp.error.not_authorized"));
    assert_eq!(peer.receive(), Received::Close(Some(1008)));
    assert_eq!(peer.receive(), Received::End);
}

#[test]
fn a_connection_that_never_asks_for_anything_is_closed() {
    let wait = Duration::from_millis(200);
    let router = Router::with(|settings| settings.listeners[0].session.handshake_timeout = wait);
    for sent in ["", "GET /ws HT", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"] {
        let start = Instant::now();
        let mut stream = http::send(router.address(), sent.as_bytes());
        let (status, headers) = http::head(&mut stream);
        assert_eq!(status, "408 request timeout");
        assert_eq!(headers, ["connection: close", "content-length: 0"]);
        assert_eq!(stream.read(&mut [0]).expect("the router closes the connection"), 0, "{sent:?}");
        assert!(start.elapsed() >= wait, "{sent:?} was given {:?}", start.elapsed());
    }
}

#[test]
fn a_connection_whose_request_has_no_end_is_cut() {
    let wait = Duration::from_millis(200);
    let router = Router::with(|settings| settings.listeners[0].session.handshake_timeout = wait);
    let request = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
    let expected = Answer::plain("404 not found", "WAMP clients connect at /ws");
    assert_eq!(http::ask(router.address(), request), expected);
}

#[test]
fn a_connection_does_not_wait_for_a_second_request() {
    let router = Router::start();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /";
    let mut stream = http::send(router.address(), request.as_bytes());
    assert_eq!(http::head(&mut stream).0, "200 ok");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the router closes the connection");
    assert_eq!(text, "ok\n");
}

#[test]
fn more_sessions_than_files_are_worth_a_warning() {
    let sessions = 123_456_789_012;
    let router = Router::with(|settings: &mut Settings| settings.limits.sessions = Some(sessions));
    let line = log::wait_for(&["the limit sessions is higher than", &format!("sessions={sessions} ")]);
    assert!(line.contains(" WARN "), "{line}");
    drop(router);
}

#[test]
fn a_message_that_is_large_before_a_session_has_joined_is_not_looked_into() {
    let router = Router::start();
    for serializer in Serializer::ALL {
        let mut peer = Peer::connect(&router, serializer);
        let authextra = json!({"x": "x".repeat(64 << 10)});
        peer.send(&json!([1, "realm1", {"roles": {"caller": {}}, "authextra": authextra}]));
        let text = "before a session has joined a message may have at most 65536 octets";
        let told = abort("wamp.error.payload_size_exceeded", text);
        assert_eq!(peer.rest(), [told, Received::Close(Some(1009)), Received::End]);
    }
    assert_eq!(Samples::of(&router).value("realmkeeper_limits_hit_total{limit=\"message_size\"}"), 3.0);
}
