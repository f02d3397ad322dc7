//! The metrics: what is counted is what was done, no more and no less.

use crate::support::{
    Peer, Router,
    certificate::certificate,
    peer::{Received, frame},
    scrape::{self, Samples},
};
use realmkeeper::Listener;
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::Shutdown,
    process::{Command, Stdio},
    time::Duration,
};

const README: &str = include_str!("../README.md");

/// Registers a procedure.
fn register(callee: &mut Peer, procedure: &str) {
    let request = callee.request();
    callee.send(&json!([64, request, {}, procedure]));
    assert_eq!(callee.message()[0], 65);
}

/// Waits for an invocation and answers it.
fn answer(callee: &mut Peer, is_error: bool) {
    let invocation = callee.message();
    assert_eq!(invocation[0], 68);
    let request = &invocation[1];
    let error = json!([8, 68, request, {}, "com.example.error"]);
    callee.send(&if is_error { error } else { json!([70, request, {}]) });
}

#[test]
fn what_is_counted_is_what_was_done() {
    for serializer in Serializer::ALL {
        let router = Router::start();
        let before = Samples::of(&router);

        let mut alice = Peer::join(&router, serializer);
        let mut bob = Peer::join(&router, serializer);
        let mut carol = Peer::join(&router, serializer);
        for subscriber in [&mut bob, &mut carol] {
            subscriber.subscribe("com.example.topic");
        }
        for request in [1, 2, 3] {
            alice.send(&json!([16, request, {"acknowledge": true}, "com.example.topic", [request]]));
            assert_eq!(alice.message()[0], 17);
            assert_eq!((&bob.message()[0], &carol.message()[0]), (&json!(36), &json!(36)));
        }

        register(&mut carol, "com.example.procedure");
        register(&mut carol, "com.example.other");
        for (request, is_error) in [(4, false), (5, false), (6, true)] {
            alice.send(&json!([48, request, {}, "com.example.procedure"]));
            answer(&mut carol, is_error);
            assert_eq!(alice.message()[0], if is_error { 8 } else { 50 });
        }
        alice.send(&json!([48, 7, {}, "com.example.nobody"]));
        assert_eq!(alice.message()[4], "wamp.error.no_such_procedure");
        // Of two calls that are under way, one loses its caller and one its callee.
        let mut dave = Peer::join(&router, serializer);
        for caller in [&mut alice, &mut dave] {
            caller.send(&json!([48, 8, {}, "com.example.procedure"]));
            assert_eq!(carol.message()[0], 68);
        }
        let at_work = Samples::of(&router);
        assert_eq!(
            ["calls_in_flight", "registrations", "subscriptions", "sessions"]
                .map(|gauge| at_work.value(&format!("realmkeeper_{gauge}{{realm=\"realm1\"}}"))),
            [2.0, 2.0, 1.0, 4.0]
        );
        dave.socket().get_ref().shutdown(Shutdown::Both).unwrap();
        Samples::wait(&router, "realmkeeper_sessions{realm=\"realm1\"}", 3.0);
        carol.leave();
        assert_eq!(alice.message()[4], "wamp.error.canceled");
        alice.send(&json!([48, 9, {}, "wamp.session.kill", [bob.session]]));
        assert_eq!(alice.message()[0], 50);
        assert_eq!(bob.rest().len(), 3);

        let after = Samples::wait(
            &router,
            "realmkeeper_messages_total{direction=\"received\",type=\"goodbye\"}",
            2.0,
        );
        let expected = r#"
realmkeeper_call_duration_seconds_count{realm="realm1"} +3
realmkeeper_calls_total{outcome="answered",realm="realm1"} +2
realmkeeper_calls_total{outcome="caller_gone",realm="realm1"} +1
realmkeeper_calls_total{outcome="canceled",realm="realm1"} +1
realmkeeper_calls_total{outcome="error",realm="realm1"} +1
realmkeeper_calls_total{outcome="refused",realm="realm1"} +1
realmkeeper_deliveries_total{realm="realm1"} +6
realmkeeper_handshakes_total{outcome="joined"} +4
realmkeeper_messages_total{direction="received",type="call"} +7
realmkeeper_messages_total{direction="received",type="error"} +1
realmkeeper_messages_total{direction="received",type="goodbye"} +2
realmkeeper_messages_total{direction="received",type="hello"} +4
realmkeeper_messages_total{direction="received",type="publish"} +3
realmkeeper_messages_total{direction="received",type="register"} +2
realmkeeper_messages_total{direction="received",type="subscribe"} +2
realmkeeper_messages_total{direction="received",type="yield"} +2
realmkeeper_messages_total{direction="sent",type="error"} +3
realmkeeper_messages_total{direction="sent",type="event"} +6
realmkeeper_messages_total{direction="sent",type="goodbye"} +2
realmkeeper_messages_total{direction="sent",type="invocation"} +5
realmkeeper_messages_total{direction="sent",type="published"} +3
realmkeeper_messages_total{direction="sent",type="registered"} +2
realmkeeper_messages_total{direction="sent",type="result"} +3
realmkeeper_messages_total{direction="sent",type="subscribed"} +2
realmkeeper_messages_total{direction="sent",type="welcome"} +4
realmkeeper_publications_total{realm="realm1"} +24
realmkeeper_sessions_joined_total{realm="realm1"} +4
realmkeeper_sessions_left_total{cause="goodbye",realm="realm1"} +1
realmkeeper_sessions_left_total{cause="killed",realm="realm1"} +1
realmkeeper_sessions_left_total{cause="transport_lost",realm="realm1"} +1
realmkeeper_sessions{realm="realm1"} +1
"#;
        assert_eq!(after.since(&before), expected.trim_start(), "{serializer}");
    }
}

#[test]
fn every_end_of_a_handshake_is_counted() {
    let router = Router::start();
    let before = Samples::of(&router);
    let roles = json!({"caller": {}});
    for message in [
        json!([1, "nowhere", {"roles": roles}]),
        json!([1, "a b", {"roles": roles}]),
        json!([1, "realm1", {"roles": roles, "authmethods": ["cookie"]}]),
        json!([1, "realm1", {}]),
        json!([3, {}, "wamp.close.normal"]),
    ] {
        let mut peer = Peer::connect(&router, Serializer::Json);
        peer.send(&message);
        peer.rest();
    }
    let mut closing = Peer::connect(&router, Serializer::Json);
    closing.socket().close(None).unwrap();
    assert_eq!(closing.rest(), [Received::Close(None), Received::End]);
    drop(Peer::connect(&router, Serializer::Json));
    Samples::wait(&router, "realmkeeper_handshakes_total{outcome=\"lost\"}", 1.0);
    let after = Samples::of(&router);
    let expected = r#"
realmkeeper_handshakes_total{outcome="aborted"} +1
realmkeeper_handshakes_total{outcome="closed"} +1
realmkeeper_handshakes_total{outcome="invalid_realm"} +1
realmkeeper_handshakes_total{outcome="lost"} +1
realmkeeper_handshakes_total{outcome="no_matching_auth_method"} +1
realmkeeper_handshakes_total{outcome="no_such_realm"} +1
realmkeeper_handshakes_total{outcome="protocol_violation"} +1
realmkeeper_messages_total{direction="received",type="abort"} +1
realmkeeper_messages_total{direction="received",type="hello"} +4
realmkeeper_messages_total{direction="sent",type="abort"} +4
"#;
    assert_eq!(after.since(&before), expected.trim_start());
}

#[test]
fn a_handshake_that_takes_too_long_is_counted() {
    let router =
        Router::with(|settings| settings.listeners[0].session.handshake_timeout = Duration::from_millis(100));
    let before = Samples::of(&router);
    Peer::connect(&router, Serializer::Json).rest();
    let after = Samples::of(&router);
    let expected = r#"
realmkeeper_handshakes_total{outcome="timeout"} +1
realmkeeper_limits_hit_total{limit="handshake_timeout"} +1
realmkeeper_messages_total{direction="sent",type="abort"} +1
"#;
    assert_eq!(after.since(&before), expected.trim_start());
}

#[test]
fn an_event_without_a_form_for_a_subscriber_is_counted() {
    let router = Router::start();
    let mut subscriber = Peer::join(&router, Serializer::Json);
    subscriber.subscribe("a.topic");
    let mut publisher = Peer::join(&router, Serializer::MessagePack);
    let before = Samples::of(&router);
    // [16, 1, {"acknowledge": true}, "a.topic", [NaN]]
    let head = b"\x95\x10\x01\x81\xabacknowledge\xc3\xa7a.topic\x91\xcb";
    publisher.send_bytes([&head[..], &f64::NAN.to_be_bytes()].concat());
    assert_eq!(publisher.message()[0], 17);
    let expected = r#"
realmkeeper_messages_total{direction="received",type="publish"} +1
realmkeeper_messages_total{direction="sent",type="published"} +1
realmkeeper_publications_total{realm="realm1"} +1
realmkeeper_undeliverable_events_total{realm="realm1"} +1
"#;
    assert_eq!(Samples::of(&router).since(&before), expected.trim_start());
}

#[test]
fn a_call_of_a_session_to_itself_ends_once() {
    let router = Router::start();
    let before = Samples::of(&router);
    let mut peer = Peer::join(&router, Serializer::Json);
    register(&mut peer, "com.example.procedure");
    peer.send(&json!([48, 2, {}, "com.example.procedure"]));
    assert_eq!(peer.message()[0], 68);
    peer.leave();
    let changes = Samples::of(&router).since(&before);
    let calls: Vec<_> = changes.lines().filter(|line| line.starts_with("realmkeeper_calls")).collect();
    assert_eq!(calls, [r#"realmkeeper_calls_total{outcome="caller_gone",realm="realm1"} +1"#]);
}

#[test]
fn calls_are_counted_by_how_their_caller_or_their_time_ends_them() {
    let router = Router::start();
    let before = Samples::of(&router);
    let mut callee = Peer::join(&router, Serializer::Json);
    register(&mut callee, "com.example.procedure");
    let mut caller = Peer::join(&router, Serializer::Json);
    for (request, options) in [(1, json!({})), (2, json!({"timeout": 1})), (3, json!({}))] {
        caller.send(&json!([48, request, options, "com.example.procedure"]));
        assert_eq!(callee.message()[0], 68);
        match request {
            1 => caller.send(&json!([49, request, {"mode": "skip"}])),
            2 => {}
            _ => callee.send(&json!([8, 68, request, {}, "wamp.error.unavailable"])),
        }
        assert_eq!(caller.message()[0], 8);
    }
    let changes = Samples::of(&router).since(&before);
    let calls: Vec<_> = changes.lines().filter(|line| line.starts_with("realmkeeper_calls")).collect();
    let ended = |outcome| format!(r#"realmkeeper_calls_total{{outcome="{outcome}",realm="realm1"}} +1"#);
    assert_eq!(calls, ["canceled", "error", "timeout"].map(ended));
}

#[test]
fn bytes_are_counted_as_they_cross_the_socket() {
    for serializer in Serializer::ALL {
        let router = Router::start();
        let mut peer = Peer::connect(&router, serializer);
        let sent = [
            peer.frame(&json!([1, "realm1", {"roles": {"publisher": {}}}])),
            peer.frame(&json!([16, 1, {"acknowledge": true}, "a.b", ["x".repeat(70_000)]])),
            frame(0x89, b"a ping"),
            peer.frame(&json!([6, {}, "wamp.close.normal"])),
            frame(0x88, &1000u16.to_be_bytes()),
        ]
        .concat();
        peer.send_raw(&sent);
        let mut received = Vec::new();
        peer.socket().get_mut().read_to_end(&mut received).unwrap();
        let samples = Samples::of(&router);
        let bytes = ["received", "sent"]
            .map(|direction| samples.value(&format!("realmkeeper_bytes_total{{direction=\"{direction}\"}}")));
        assert_eq!(bytes, [sent.len() as f64, received.len() as f64], "{serializer}");
    }
}

#[test]
fn a_realm_that_fails_and_a_session_that_fails_are_counted() {
    let router = Router::start();
    let before = Samples::of(&router);
    let mut stays = Peer::join(&router, Serializer::Json);
    let mut session = Peer::join(&router, Serializer::Json);
    session.send(&json!([16, 1, {}, "realmkeeper.fault.session"]));
    session.rest();
    let mut realm = Peer::join(&router, Serializer::Json);
    realm.send(&json!([16, 1, {}, "realmkeeper.fault.realm"]));
    realm.rest();
    stays.rest();
    let after =
        Samples::wait(&router, "realmkeeper_messages_total{direction=\"received\",type=\"goodbye\"}", 2.0);
    let expected = r#"
realmkeeper_handshakes_total{outcome="joined"} +3
realmkeeper_messages_total{direction="received",type="goodbye"} +2
realmkeeper_messages_total{direction="received",type="hello"} +3
realmkeeper_messages_total{direction="received",type="publish"} +2
realmkeeper_messages_total{direction="sent",type="abort"} +1
realmkeeper_messages_total{direction="sent",type="goodbye"} +2
realmkeeper_messages_total{direction="sent",type="welcome"} +3
realmkeeper_panics_total{where="realm"} +1
realmkeeper_panics_total{where="session"} +1
realmkeeper_publications_total{realm="realm1"} +4
realmkeeper_realm_restarts_total{realm="realm1"} +1
realmkeeper_sessions_joined_total{realm="realm1"} +3
realmkeeper_sessions_left_total{cause="panic",realm="realm1"} +1
realmkeeper_sessions_left_total{cause="realm_closed",realm="realm1"} +2
"#;
    assert_eq!(after.since(&before), expected.trim_start());
}

#[test]
fn what_waits_for_a_stalled_reader_is_shown_until_it_has_read() {
    let router = Router::with(|settings| {
        settings.listeners[0].session.outbox_limit = 64 << 20;
        settings.listeners[0].session.write_stall = Duration::from_secs(60);
    });
    let mut publisher = Peer::join(&router, Serializer::Json);
    let mut reader = Peer::join(&router, Serializer::Json);
    reader.subscribe("a.topic");
    let event = "x".repeat(60_000);
    for request in 1..=300 {
        publisher.send(&json!([16, request, {"acknowledge": true}, "a.topic", [event]]));
        assert_eq!(publisher.message()[0], 17);
    }
    let (outbox, sent) =
        ("realmkeeper_outbox_bytes{realm=\"realm1\"}", "realmkeeper_bytes_total{direction=\"sent\"}");
    let stalled = Samples::of(&router);
    assert!(stalled.value(outbox) > f64::from(1 << 20), "{} octets wait", stalled.value(outbox));
    for _ in 1..=300 {
        assert_eq!(reader.message()[0], 36);
    }
    let read = Samples::of(&router);
    assert_eq!(read.value(outbox), 0.0);
    assert_eq!(read.value(sent) - stalled.value(sent), stalled.value(outbox));
}

#[test]
fn promtool_finds_nothing_wrong() {
    let router = Router::start();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed, of the Debian package prometheus");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(scrape::text(&router).as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&printed)), (Some(0), ""));
}

/// The table of all metrics, made of what a router gives.
fn table(text: &str) -> String {
    let mut table = String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|help| help.split_once(' ')) else {
            continue;
        };
        let kind = lines.next().and_then(|line| line.rsplit(' ').next()).expect("TYPE follows HELP");
        let unit = match name {
            name if name.contains("_seconds") => "seconds",
            name if name.contains("_bytes") => "bytes",
            _ => "",
        };
        let is_sample = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) || rest.starts_with("_bucket{"))
        };
        let sample = text.lines().find(is_sample).unwrap_or_else(|| panic!("{name} has no sample"));
        let labels = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
        let labels = labels.map_or(Vec::new(), |(labels, _)| {
            labels
                .split(',')
                .filter_map(|label| label.split('=').next())
                .filter(|label| *label != "le")
                .collect()
        });
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(table, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    table
}

#[test]
fn the_readme_has_every_metric() {
    let (_, section) = README.split_once("\n### Metrics\n").expect("the README has a section about metrics");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let listed: String =
        section.lines().filter(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    let router = Router::with(|settings| {
        let tls = Some(certificate("metrics", &["localhost"]).files);
        settings.listeners.push(Listener { address: ([127, 0, 0, 1], 0).into(), tls, ..Listener::default() });
    });
    assert_eq!(listed, table(&scrape::text_at(router.addresses()[0])));
}
