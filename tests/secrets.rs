//! What nobody may learn from the router: tickets, their hashes, and what clients show instead of a ticket.

use crate::support::{
    Peer, http,
    peer::{Received, frame},
    principal::HASH,
    program::{Serving, program},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use realmkeeper_actors::{codec::Serializer, session::access::cra};
use serde_json::{Value as Json, json};
use std::{
    fmt::{self, Write as _},
    fs,
    net::Shutdown,
    path::{Path, PathBuf},
    process::Command,
};

/// The principals with their tickets, each known to the router in another way.
const TICKETS: [(&str, &str); 4] = [
    ("paula", "pl4in-t1cket"),
    ("helen", "secret123"), // the ticket of `HASH`
    ("vera", "var1able-t1cket"),
    ("fiona", "f1le-t1cket"),
];

/// The other secrets that the router is given: of wampcra as it is, derived, and what is derived of a password; and
/// with which tokens are signed.
const SECRET: &str = "pl4in-s3cret-of-wampcra";
const DERIVED: &str = "Eu7CQLfR+/Ffb+275A4s9/6H/RGKYxM4s6IMrsNKzC8=";
const STORED: &str = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
const SERVER: &str = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const OF_TOKENS: &str = "s3cret-of-tokens-with-more-than-32-octets";

/// Principals with those of them that are a principal's.
const OTHERS: [(&str, &str, &str); 3] = [
    ("carl", "wampcra", r#"secret = "pl4in-s3cret-of-wampcra""#),
    (
        "dora",
        "wampcra",
        r#"cra = { salt = "salt123", iterations = 1000, key = "Eu7CQLfR+/Ffb+275A4s9/6H/RGKYxM4s6IMrsNKzC8=" }"#,
    ),
    (
        "sven",
        "wamp-scram",
        r#"scram = { kdf = "pbkdf2", salt = "W22ZaJ0SNY7soEsUEjb6gQ==", iterations = 4096, stored_key = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", server_key = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" }"#,
    ),
];

/// What somebody shows who does not know a ticket.
const WRONG: &str = "wr0ng-t1cket";

const VARIABLE: (&str, &str) = ("REALMKEEPER_TESTS_TICKET", TICKETS[2].1);

/// Writes a configuration with the tickets.
fn configuration() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("fiona.ticket"), TICKETS[3].1).expect("the file can be written");
    let principals = [
        format!("ticket = {:?}", TICKETS[0].1),
        format!("ticket_hash = {HASH:?}"),
        format!("ticket_env = {:?}", VARIABLE.0),
        "ticket_file = \"fiona.ticket\"".to_owned(),
    ];
    let principals = TICKETS.iter().zip(principals).map(|((authid, _), ticket)| {
        format!("[[realms.principals]]\nauthid = {authid:?}\nrole = \"member\"\n{ticket}\n")
    });
    let others = OTHERS.map(|(authid, _, credentials)| {
        format!("[[realms.principals]]\nauthid = {authid:?}\nrole = \"member\"\n{credentials}\n")
    });
    fs::write(folder.join("tokens.secret"), OF_TOKENS).expect("the file can be written");
    let text = format!(
        r#"
        [admin]
        address = "127.0.0.1:0"
        [[listeners]]
        address = "127.0.0.1:0"
        [listeners.limits]
        ping_interval = "60m"
        [lockout]
        failures = 1000000
        [[realms]]
        name = "realm1"
        anonymous = "member"
        [[realms.roles]]
        name = "member"
        [[realms.roles.permissions]]
        uri = "wamp."
        match = "prefix"
        allow = ["call", "subscribe"]
        [realms.jwt]
        secret_file = "tokens.secret"
        role = "member"
        {}
        {}
        "#,
        principals.collect::<String>(),
        others.concat()
    );
    let file = folder.join("secrets.toml");
    fs::write(&file, text).expect("the file can be written");
    file
}

/// The program with this configuration and these arguments besides.
fn configured(before: &[&str], file: &Path, after: &[&str]) -> Command {
    let mut command = program(before);
    command.arg("--config").arg(file).args(after).env(VARIABLE.0, VARIABLE.1);
    command
}

/// All that a secret could look like in a text.
fn forms(secret: &str) -> [String; 4] {
    let numbers = secret.bytes().map(|octet| octet.to_string()).collect::<Vec<_>>().join(", ");
    let hex = secret.bytes().map(|octet| format!("{octet:02x}")).collect();
    [secret.to_owned(), BASE64_STANDARD.encode(secret), hex, numbers]
}

/// Asserts that a text shows no secret.
fn check_no_secret(what: &str, text: &str) {
    let hash = HASH.rsplit('$').next().expect("a hash has parts");
    let others = [SECRET, DERIVED, STORED, SERVER, OF_TOKENS];
    let secrets = TICKETS.iter().map(|(_, ticket)| *ticket).chain([WRONG, HASH, hash]).chain(others);
    for form in secrets.flat_map(forms) {
        let place = text.lines().find(|line| line.contains(&form));
        assert_eq!(place, None, "{what} shows {form}");
    }
}

/// Says HELLO for a ticket, and takes the CHALLENGE.
fn challenged(program: &Serving, serializer: Serializer, authid: &str) -> Peer {
    let mut peer = Peer::connect_to(program.address(), serializer);
    let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid});
    peer.send(&json!([1, "realm1", details]));
    assert_eq!(peer.message(), json!([4, "ticket", {}]));
    peer
}

/// Shows tickets in every way, right and wrong; gives all that was told to the clients.
fn show_tickets(program: &Serving, serializer: Serializer) -> String {
    let mut told = String::new();
    let mut note = |came: &dyn fmt::Debug| {
        let _ = writeln!(told, "{came:?}");
    };
    for (authid, ticket) in TICKETS {
        let mut peer = Peer::connect_to(program.address(), serializer);
        peer.prove("realm1", authid, ticket);
        // It has no place here.
        peer.send(&json!([5, ticket, {}]));
        note(&peer.rest());
        for answer in [
            json!([5, WRONG, {}]),
            json!([5, [ticket], {}]),
            json!([5, {"ticket": ticket}, {}]),
            json!([5, {}, ticket]),
            json!([5, ticket, ticket]),
            json!([5, ticket]),
            json!([ticket, ticket, {}]),
            json!([48, 1, {}, ticket, [ticket]]),
            json!([6, {"message": ticket}, ticket]),
        ] {
            let mut peer = challenged(program, serializer, authid);
            peer.send(&answer);
            let came = peer.rest();
            assert_eq!(came.last(), Some(&Received::End));
            note(&came);
        }
        let octets = ticket.as_bytes();
        for garbage in [
            frame(if serializer.is_text() { 0x81 } else { 0x82 }, &[b"[5,\"", octets].concat()),
            frame(if serializer.is_text() { 0x82 } else { 0x81 }, octets),
            frame(0x81, &[octets, b"\xff"].concat()),
            frame(0x88, octets),
            frame(0xff, octets),
            octets.to_vec(),
        ] {
            let mut peer = challenged(program, serializer, authid);
            peer.send_raw(&garbage);
            peer.socket().get_ref().shutdown(Shutdown::Write).expect("the socket is open");
            note(&peer.rest());
        }
        let header = format!("Ticket {ticket}");
        let request = http::upgrade("GET /ws", &[("Authorization", Some(&header)), ("Upgrade", None)]);
        note(&http::ask(program.address(), &request));
    }
    told
}

/// Shows the other secrets themselves where a proof by them is due, and proofs that are right; gives all that was told
/// to the clients.
fn show_secrets(program: &Serving, serializer: Serializer) -> String {
    let mut told = String::new();
    let asked = |authid: &Json, method: &str| {
        let mut peer = Peer::connect_to(program.address(), serializer);
        let authextra = json!({"nonce": "rOprNGfwEbeRWgbNEkqO"});
        let roles = json!({"caller": {}});
        let details =
            json!({"roles": roles, "authmethods": [method], "authid": authid, "authextra": authextra});
        peer.send(&json!([1, "realm1", details]));
        let challenge = peer.message();
        assert_eq!((&challenge[0], &challenge[1]), (&json!(4), &json!(method)), "{challenge}");
        (peer, challenge)
    };
    let wrong = [SECRET, DERIVED, STORED, SERVER, OF_TOKENS];
    for (authid, method) in
        OTHERS.map(|(authid, method, _)| (json!(authid), method)).into_iter().chain([(Json::Null, "jwt")])
    {
        for secret in wrong {
            for extra in [json!({}), json!({"nonce": secret, "channel_binding": secret})] {
                let (mut peer, challenge) = asked(&authid, method);
                peer.send(&json!([5, secret, extra]));
                let _ = writeln!(told, "{challenge} {:?}", peer.rest());
            }
        }
    }
    for (authid, key) in [("carl", SECRET), ("dora", DERIVED)] {
        let (mut peer, challenge) = asked(&json!(authid), "wampcra");
        let signature = cra::sign(key, challenge[2]["challenge"].as_str().expect("a text"));
        peer.send(&json!([5, signature, {}]));
        let welcome = peer.message();
        assert_eq!(welcome[0], 2, "{welcome}");
        let _ = writeln!(told, "{challenge} {welcome}");
    }
    told
}

/// What the meta events tell so far.
fn events(observer: &mut Peer) -> String {
    let request = observer.request();
    observer.send(&json!([48, request, {}, "wamp.session.count"]));
    let mut events = String::new();
    loop {
        let message = observer.message();
        if message[0] == json!(50) {
            return events;
        }
        assert_eq!(message[0], json!(36));
        let _ = writeln!(events, "{message}");
    }
}

#[test]
fn nothing_that_the_router_tells_shows_a_ticket() {
    let file = configuration();
    for format in ["text", "json"] {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("secrets.{format}.log"));
        let mut command = configured(&[], &file, &["--log-level", "trace", "--log-format", format]);
        let mut program = Serving::logging(&mut command, &log);
        let admin = program.line();
        let admin = admin.strip_prefix("admin: http://").and_then(|address| address.parse().ok());
        let mut observer = Peer::connect_to(program.address(), Serializer::Json);
        observer.say_hello("realm1", &json!({}));
        for topic in ["wamp.session.on_join", "wamp.session.on_leave"] {
            observer.subscribe(topic);
        }
        for serializer in Serializer::ALL {
            let told = show_tickets(&program, serializer);
            check_no_secret(&format!("what clients are told in {serializer}"), &told);
            let told = show_secrets(&program, serializer);
            check_no_secret(&format!("what clients are told of secrets in {serializer}"), &told);
        }
        let events = events(&mut observer);
        assert_eq!(events.lines().count(), 36, "each joined and left: {events}");
        check_no_secret("a meta event", &events);
        let metrics = http::plain(admin.expect("the address is printed"), "GET /metrics").text;
        assert!(metrics.contains("realmkeeper_handshakes_total{outcome=\"authentication_denied\"} 132\n"));
        check_no_secret("the metrics", &metrics);
        program.signal("TERM");
        let (code, printed) = program.wait();
        assert_eq!(code, Some(0));
        check_no_secret("what is printed", &printed);
        let log = fs::read_to_string(&log).expect("the log can be read");
        assert!(log.contains("TRACE") && log.contains("client refused"), "the log is not whole: {log}");
        check_no_secret("the log", &log);
    }
    for command in [&["check", "--print"][..], &["check"]] {
        let output = configured(command, &file, &[]).output().expect("the program starts");
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
        assert_eq!(output.status.code(), Some(0), "{printed}");
        check_no_secret("what check prints", &printed);
    }
}

#[test]
fn a_log_in_json_is_one_object_a_line() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sessions.json.log");
    let mut command = program(&["--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"]);
    let program = Serving::logging(&mut command, &log);
    let mut peer = Peer::connect_to(program.address(), Serializer::Cbor);
    peer.say_hello("realm1", &json!({}));
    let (session, authid) = (peer.session.to_string(), peer.authid.clone());
    let address = peer.socket().get_ref().local_addr().expect("the socket is open");
    peer.leave();
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));

    let log = fs::read_to_string(&log).expect("the log can be read");
    let lines = log.lines().map(|line| serde_json::from_str::<Json>(line).expect("the line is JSON"));
    let lines = lines.collect::<Vec<_>>();
    for line in &lines {
        let is_text = ["timestamp", "level", "target"].map(|key| line[key].is_string());
        assert_eq!((is_text, line["fields"].is_object()), ([true; 3], true), "{line}");
    }
    let only = |message: &str| {
        let found = lines.iter().filter(|line| line["fields"]["message"] == message).collect::<Vec<_>>();
        let [line] = found[..] else { panic!("{} lines with {message}: {log}", found.len()) };
        (line["level"].clone(), line["target"].clone(), line["fields"].clone())
    };
    let target = json!("realmkeeper_actors::realm::actor");
    let joined = json!({
        "message": "session joined",
        "realm": "realm1",
        "session": session,
        "authid": authid,
        "authrole": "anonymous",
        "peer": format!("tcp4:{address}"),
        "serializer": "cbor",
    });
    assert_eq!(only("session joined"), (json!("INFO"), target.clone(), joined));
    let (level, left_target, left) = only("session left");
    let expected = json!({
        "message": "session left",
        "realm": "realm1",
        "session": session,
        "authid": authid,
        "cause": "goodbye",
        "detail": left["detail"],
        "seconds": left["seconds"],
    });
    assert_eq!((level, left_target, &left), (json!("INFO"), target, &expected));
    assert!(left["detail"].is_string() && left["seconds"].is_f64(), "{left}");
}
