//! Clients of other projects find the router as the specification has it, over every serializer.

use crate::support::{
    Router, clients,
    principal::{HASH, backend, hashed},
};
use realmkeeper::{Listener, ListenerKind, UnixSocket};
use realmkeeper_actors::session::SessionSettings;
use std::{env, process, time::Duration};

/// The JavaScript clients lack the JSON convention for bytes.
const BINARY: &str = "binary payload";

/// wampy asks for an acknowledgement of every publication.
const UNACKNOWLEDGED: &str = "unacknowledged publications";

/// wampy never sends `exclude_me: false`.
const INCLUDED: &str = "publisher included";

/// wampy never sends `retain`, and takes no empty list.
const OPTIONS: [&str; 3] = ["patterns", "lists", "retained events"];

const WAMPY_LACKS: [&str; 5] = [UNACKNOWLEDGED, INCLUDED, OPTIONS[0], OPTIONS[1], OPTIONS[2]];

/// autobahn-js announces that it sends results in parts, but not that it can be interrupted, so nobody asks it to.
const RESULT_IN_PARTS: &str = "result in parts";

/// The clients of Autobahn send all arguments of a call at once.
const ARGUMENTS_IN_PARTS: &str = "arguments in parts";

/// What the programs in `tests/clients` check, in their order.
const CHECKS: [&str; 47] = [
    "join",
    "session id",
    "publish and subscribe",
    BINARY,
    UNACKNOWLEDGED,
    "publisher excluded",
    INCLUDED,
    "unsubscribe",
    OPTIONS[0],
    OPTIONS[1],
    OPTIONS[2],
    "register and call",
    "application error",
    "no such procedure",
    "unregister",
    "registration of a pattern",
    "shared registration",
    "registration meta api",
    "canceled call",
    "call timeout",
    RESULT_IN_PARTS,
    ARGUMENTS_IN_PARTS,
    "on_join",
    "count",
    "count by authrole",
    "list",
    "list by authrole",
    "get own",
    "get other",
    "on_leave",
    "get unknown",
    "announced once",
    "kill with reason and message",
    "kill unknown",
    "kill without reason",
    "kill own",
    "kill with invalid reason",
    "kill by authid",
    "kill by authrole",
    "kill by unknown authrole",
    "kill all",
    "the killer survives",
    "testament",
    "ticket",
    "wrong ticket",
    "unknown authid",
    "refused unannounced",
];

#[test]
fn autobahn_python_over_json() {
    passes("session.py", "json", &[ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_python_over_msgpack() {
    passes("session.py", "msgpack", &[ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_python_over_cbor() {
    passes("session.py", "cbor", &[ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_js_over_json() {
    passes("session_autobahn.js", "json", &[BINARY, RESULT_IN_PARTS, ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_js_over_msgpack() {
    passes("session_autobahn.js", "msgpack", &[RESULT_IN_PARTS, ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_js_over_cbor() {
    passes("session_autobahn.js", "cbor", &[RESULT_IN_PARTS, ARGUMENTS_IN_PARTS]);
}

#[test]
fn wampy_over_json() {
    passes("session_wampy.js", "json", &[&[BINARY], &WAMPY_LACKS[..]].concat());
}

#[test]
fn wampy_over_msgpack() {
    passes("session_wampy.js", "msgpack", &WAMPY_LACKS);
}

#[test]
fn wampy_over_cbor() {
    passes("session_wampy.js", "cbor", &WAMPY_LACKS);
}

#[test]
fn autobahn_python_over_rawsocket() {
    for serializer in ["json", "msgpack", "cbor"] {
        passes_at(rawsocket(), "session.py", serializer, &[ARGUMENTS_IN_PARTS]);
    }
}

#[test]
fn autobahn_python_over_rawsocket_of_this_machine() {
    passes_at(local("python"), "session.py", "cbor", &[ARGUMENTS_IN_PARTS]);
}

#[test]
fn autobahn_js_over_rawsocket() {
    let without = [BINARY, RESULT_IN_PARTS, ARGUMENTS_IN_PARTS];
    for mut listener in [rawsocket(), local("js")] {
        // It answers pings.
        listener.session.pings = true;
        listener.session.ping_interval = Duration::from_millis(100);
        passes_at(listener, "session_autobahn.js", "json", &without);
    }
}

/// A listener that is as the configuration has it by default: no pings are sent, which Autobahn for Python breaks on.
fn rawsocket() -> Listener {
    let session = SessionSettings { pings: false, ..SessionSettings::default() };
    let address = ([127, 0, 0, 1], 0).into();
    Listener { kind: ListenerKind::RawSocket, address, session, ..Listener::default() }
}

fn local(name: &str) -> Listener {
    let path = env::temp_dir().join(format!("realmkeeper-{}-{name}.sock", process::id()));
    Listener { unix: Some(UnixSocket { path, mode: 0o600, user: None, group: None }), ..rawsocket() }
}

/// Runs a client program, which must pass all checks but those its client has no means for.
fn passes(program: &str, serializer: &str, without: &[&str]) {
    passes_at(
        Listener { address: ([127, 0, 0, 1], 0).into(), ..Listener::default() },
        program,
        serializer,
        without,
    );
}

fn passes_at(listener: Listener, program: &str, serializer: &str, without: &[&str]) {
    let router = Router::with(|settings| {
        settings.realms[0].door.principals.push(backend("joe", hashed(HASH)));
        settings.listeners = vec![listener];
    });
    let outcome = clients::run(program, &[&router.urls()[0], "realm1", serializer]);
    let checks = CHECKS.iter().filter(|check| !without.contains(check));
    let expected: String = checks.map(|check| format!("ok {check}\n")).collect();
    assert_eq!(outcome.stdout, expected, "{program} over {serializer} printed:\n{}", outcome.stderr);
    assert!(outcome.status.success(), "{program} over {serializer}: {}\n{}", outcome.status, outcome.stderr);
}
