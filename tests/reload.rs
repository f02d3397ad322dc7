//! The configuration is read again on SIGHUP: what changes, for whom, and what is told.

use crate::support::{
    Peer, certificate, http,
    peer::Received,
    program::{Serving, program},
    router::PATIENCE,
    scrape::{self, Samples},
};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

const RELOADS: &str = "realmkeeper_config_reloads_total";

/// A program that runs with a file which the test writes, and logs into another.
struct Reloading {
    program: Serving,
    file: PathBuf,
    log: PathBuf,
}

impl Reloading {
    fn start(name: &str, text: &str) -> Self {
        Self::start_with(name, text, &[])
    }

    fn start_with(name: &str, text: &str, arguments: &[&str]) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{name}.toml"));
        let log = file.with_extension("log");
        fs::write(&file, text).expect("the folder of tests can be written to");
        let program = Serving::logging(program(&["--config"]).arg(&file).args(arguments), &log);
        Self { program, file, log }
    }

    fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// Writes another text, and waits until it was read; gives what was logged about that, without the times.
    fn reload(&self, text: &str, result: &str) -> Vec<String> {
        let logged = self.log().len();
        self.read_again(text, result);
        self.logged_since(logged)
    }

    /// Writes another text, and waits until it was read.
    fn read_again(&self, text: &str, result: &str) {
        fs::write(&self.file, text).expect("the folder of tests can be written to");
        let sample = format!("{RELOADS}{{result=\"{result}\"}}");
        let reloads = || Samples::at(self.address()).value(&sample);
        let before = reloads();
        self.program.signal("HUP");
        let start = Instant::now();
        while reloads() == before {
            assert!(start.elapsed() < PATIENCE, "the configuration is not read again: {:?}", self.log());
            thread::yield_now();
        }
    }

    /// What was logged behind so many lines, as soon as the last line about a configuration is there.
    fn logged_since(&self, lines: usize) -> Vec<String> {
        let is_last =
            |line: &String| line.contains("the router goes by") || line.contains("cannot be used: nothing");
        let start = Instant::now();
        loop {
            let logged = self.log().split_off(lines);
            if logged.last().is_some_and(is_last) {
                return logged;
            }
            assert!(start.elapsed() < PATIENCE, "there is no last line: {logged:?}");
            thread::yield_now();
        }
    }

    /// The lines of the log that the service writes itself, from the level on.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).expect("there is a log");
        let file = self.file.display().to_string();
        let lines = text.lines().filter(|line| line.contains(" realmkeeper::reload: "));
        let lines = lines.filter_map(|line| line.split_once(' '));
        lines
            .map(|(_, line)| line.trim().replace("realmkeeper::reload: ", "").replace(&file, "FILE"))
            .collect()
    }

    fn join(&self, realm: &str) -> Peer {
        let mut peer = Peer::connect_to(self.address(), Serializer::Json);
        peer.say_hello(realm, &json!({}));
        peer
    }

    fn prove(&self, realm: &str, authid: &str, ticket: &str) -> Peer {
        let mut peer = Peer::connect_to(self.address(), Serializer::Json);
        peer.prove(realm, authid, ticket);
        peer
    }
}

/// Answers GOODBYE of this shape, and waits for the end.
fn part(mut peer: Peer, goodbye: &Json, code: u16) {
    assert_eq!(peer.message(), *goodbye);
    peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
    assert_eq!([peer.receive(), peer.receive()], [Received::Close(Some(code)), Received::End]);
}

const SHOP: &str = r#"
[[listeners]]
address = "127.0.0.1:0"

[[realms]]
name = "shop"
anonymous = "guest"

[[realms.roles]]
name = "guest"
[[realms.roles.permissions]]
uri = ""
match = "prefix"
allow = ["call", "subscribe", "publish", "register"]

[[realms.roles]]
name = "backend"

[[realms.principals]]
authid = "joe"
role = "backend"
ticket = "secret1"

[[realms.principals]]
authid = "ann"
role = "backend"
ticket = "secret2"

[[realms]]
name = "bank"
anonymous = "guest"
[[realms.roles]]
name = "guest"
"#;

/// The text with one part in the place of another.
fn with(text: &str, before: &str, after: &str) -> String {
    assert!(text.contains(before), "{text} has no {before}");
    text.replacen(before, after, 1)
}

fn policy() -> Json {
    let message = "the configuration changed: this session would not be let in with its role any more";
    json!([6, {"message": message}, "wamp.error.not_authorized"])
}

#[test]
fn what_changes_is_told_and_is_so_for_every_session() {
    let router = Reloading::start("all", SHOP);
    let mut guest = router.join("shop");
    let mut observer = router.join("shop");
    let (joe, mut ann, client) =
        (router.prove("shop", "joe", "secret1"), router.prove("shop", "ann", "secret2"), router.join("bank"));
    let subscription = guest.subscribe("com.news");
    observer.subscribe("wamp.session.on_leave");
    let changed = with(SHOP, "name = \"bank\"", "name = \"inn\"");
    let changed = with(&changed, "\nticket = \"secret2\"", "\nticket = \"secret3\"");
    let changed =
        with(&changed, "authid = \"joe\"\nrole = \"backend\"", "authid = \"joe\"\nrole = \"guest\"");
    let changed = with(
        &changed,
        "allow = [\"call\", \"subscribe\", \"publish\", \"register\"]",
        "allow = [\"call\"]\n[[realms.roles.permissions]]\nuri = \"wamp.\"\nmatch = \"prefix\"\nallow = [\"call\", \"subscribe\"]",
    );
    let changed =
        with(&changed, "anonymous = \"guest\"\n", "anonymous = \"guest\"\nlimits = { sessions = 4 }\n");
    let told = router.reload(&changed, "success");
    assert_eq!(
        told,
        [
            "INFO the configuration is read again file=FILE",
            "WARN FILE:27:10: warning: realms[0].principals[0].ticket: can be read in the file; use ticket_hash, ticket_env or ticket_file",
            "WARN FILE:32:10: warning: realms[0].principals[1].ticket: can be read in the file; use ticket_hash, ticket_env or ticket_file",
            "INFO changed: realm shop, limits.sessions: none becomes 4",
            "INFO changed: realm shop, principal joe, role: \"backend\" becomes \"guest\"",
            "INFO changed: realm shop, principal ann, ticket: changed",
            "INFO changed: realm shop, role guest, permission \"\" prefix, allow: [\"call\",\"subscribe\",\"publish\",\"register\"] becomes [\"call\"]",
            "INFO changed: realm shop, role guest, permission wamp. prefix: added",
            "INFO changed: realm bank: removed",
            "INFO changed: realm inn: added",
            "INFO the router goes by the configuration changes=7 needing_restart=0",
        ]
    );
    let joe_id = joe.session;
    part(joe, &policy(), 1008);
    part(client, &json!([6, {}, "wamp.close.close_realm"]), 1001);
    assert_eq!(observer.message()[4], json!([joe_id, "joe", "backend"]));
    let request = guest.request();
    guest.send(&json!([32, request, {}, "com.news"]));
    let answer = guest.message();
    assert_eq!(answer[4], json!("wamp.error.not_authorized"), "{answer}");
    let request = guest.request();
    guest.send(&json!([34, request, subscription]));
    let answer = guest.message();
    assert_eq!(answer[4], json!("wamp.error.no_such_subscription"), "it was taken back: {answer}");
    assert_eq!(guest.call("wamp.session.count", &json!([]), &json!({}))[3], json!([3]));
    // Who has joined goes on without a new proof; who joins needs it.
    assert_eq!(ann.call("com.any", &json!([]), &json!({}))[4], json!("wamp.error.not_authorized"));
    router.prove("shop", "ann", "secret3").leave();
    router.join("inn").leave();
    let samples = Samples::at(router.address());
    for (sample, value) in [
        ("realmkeeper_sessions_left_total{cause=\"policy\",realm=\"shop\"}", 1.0),
        ("realmkeeper_sessions_left_total{cause=\"realm_closed\",realm=\"bank\"}", 1.0),
        ("realmkeeper_sessions{realm=\"shop\"}", 3.0),
        ("realmkeeper_sessions{realm=\"bank\"}", 0.0),
    ] {
        assert_eq!(samples.value(sample), value, "{sample}");
    }
    assert_eq!(
        router.reload(&changed, "success")[3..],
        ["INFO the router goes by the configuration changes=0 needing_restart=0"],
        "nothing changes the second time"
    );
}

#[test]
fn who_is_about_to_join_is_let_in_by_the_old_door_or_by_the_new_one() {
    let router = Reloading::start("race", SHOP);
    let challenged = |realm: &str, authid: &str| {
        let mut peer = Peer::connect_to(router.address(), Serializer::Json);
        peer.send(&json!([1, realm, {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid}]));
        assert_eq!(peer.message(), json!([4, "ticket", {}]));
        peer
    };
    let prove = |mut peer: Peer, ticket: &str| {
        peer.send(&json!([5, ticket, {}]));
        peer.message()
    };
    let (joe, ann, also_ann) =
        (challenged("shop", "joe"), challenged("shop", "ann"), challenged("shop", "ann"));
    let mut silent = Peer::connect_to(router.address(), Serializer::Json);
    let changed = with(SHOP, "authid = \"joe\"", "authid = \"jim\"");
    let changed = with(&changed, "ticket = \"secret2\"", "ticket = \"secret3\"");
    router.reload(&changed, "success");
    let refusal = json!([3, {"message": "the configuration changed just then, try again"}, "wamp.error.not_authorized"]);
    assert_eq!(prove(joe, "secret1"), refusal, "nobody is called joe any more");
    let welcome = prove(ann, "secret2");
    assert_eq!((&welcome[0], &welcome[2]["authrole"]), (&json!(2), &json!("backend")), "{welcome}");
    assert_eq!(
        prove(also_ann, "secret3")[2],
        json!("wamp.error.authentication_denied"),
        "her old door is asked"
    );
    // Who has only opened a connection has not seen a door.
    silent.prove("shop", "jim", "secret1");
    silent.leave();
    let jim = challenged("shop", "jim");
    let gone = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{}",
        &changed[changed.rfind("[[realms]]").unwrap()..]
    );
    router.reload(&gone, "success");
    let refusal = json!([3, {"message": "there is no realm \"shop\" here"}, "wamp.error.no_such_realm"]);
    assert_eq!(prove(jim, "secret1"), refusal);
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    let router = Reloading::start("wrong", SHOP);
    let mut guest = router.join("shop");
    let success = "realmkeeper_config_last_reload_successful";
    let time = "realmkeeper_config_last_reload_success_timestamp_seconds";
    let samples = Samples::at(router.address());
    let started = samples.value(time);
    assert_eq!((samples.value(success), started > 1.7e9), (1.0, true));
    let wrong = with(SHOP, "anonymous = \"guest\"", "anonymous = \"gest\"");
    let wrong = with(&wrong, "name = \"bank\"", "name = \"inn\"\nlimit = 3");
    let told = router.reload(&wrong, "failure");
    let checked = program(&["check", "--config"]).arg(&router.file).output().expect("the program runs");
    let checked = String::from_utf8(checked.stderr)
        .expect("it is text")
        .replace(&router.file.display().to_string(), "FILE");
    let mut expected = vec!["INFO the configuration is read again file=FILE".to_owned()];
    expected.extend(checked.lines().map(|line| format!("ERROR {line}")));
    expected.push("ERROR the configuration cannot be used: nothing changes".to_owned());
    assert_eq!(told, expected);
    assert!(expected.iter().any(|line| line.contains("did you mean \"guest\"?")), "{expected:?}");
    assert_eq!(Samples::at(router.address()).value(success), 0.0);
    assert_eq!(guest.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
    router.join("bank").leave();
    fs::remove_file(&router.file).expect("the file is there");
    router.program.signal("HUP");
    let failure = format!("{RELOADS}{{result=\"failure\"}}");
    wait(router.address(), &failure, 2.0);
    router.reload(SHOP, "success");
    let samples = Samples::at(router.address());
    assert_eq!((samples.value(success), samples.value(time) >= started), (1.0, true));
}

/// Scrapes until a sample has a value.
fn wait(address: SocketAddr, sample: &str, value: f64) {
    let start = Instant::now();
    while Samples::at(address).value(sample) != value {
        assert!(start.elapsed() < PATIENCE, "{sample} is {}", Samples::at(address).value(sample));
        thread::yield_now();
    }
}

#[test]
fn what_needs_a_restart_is_named_each_time_and_stays() {
    let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{SHOP}");
    let mut router = Reloading::start_with("restart", &text, &["--admin", "127.0.0.1:0"]);
    // The flag goes before the file.
    let admin = router.program.admin();
    let changed = with(&text, "address = \"127.0.0.1:0\"\n", "address = \"127.0.0.1:1\"\n");
    let changed = format!(
        "log.format = \"json\"\n{}\n[[listeners]]\naddress = \"127.0.0.5:0\"\n",
        with(
            &changed,
            "address = \"127.0.0.1:0\"\n",
            "address = \"127.0.0.1:0\"\nlimits = { handshake_timeout = \"3s\", linger = \"3s\" }\n"
        )
    );
    fs::write(&router.file, &changed).expect("the folder of tests can be written to");
    for reload in [1.0, 2.0] {
        let logged = router.log().len();
        router.program.signal("HUP");
        wait(admin, &format!("{RELOADS}{{result=\"success\"}}"), reload);
        let told = router.logged_since(logged);
        let told =
            told.iter().filter(|line| !line.contains("warning: ")).map(String::as_str).collect::<Vec<_>>();
        let mut expected = vec!["INFO the configuration is read again file=FILE"];
        if reload == 1.0 {
            expected.push("INFO changed: listener 127.0.0.1:0, limits.linger: \"1s\" becomes \"3s\"");
        }
        expected.extend([
            "WARN needs a restart: listener 127.0.0.1:0, limits.handshake_timeout: \"10s\" becomes \"3s\"",
            "WARN needs a restart: listener 127.0.0.5:0: added",
            "WARN needs a restart: log.format: \"text\" becomes \"json\"",
            if reload == 1.0 {
                "INFO the router goes by the configuration changes=1 needing_restart=3"
            } else {
                "INFO the router goes by the configuration changes=0 needing_restart=3"
            },
        ]);
        assert_eq!(told, expected);
    }
}

#[test]
fn new_connections_get_the_limits_that_were_read_last() {
    let shop = SHOP.replacen("name = \"guest\"\n", "name = \"guest\"\nsession_details = \"full\"\n", 1);
    let router = Reloading::start("limits", &shop);
    let mut before = router.join("shop");
    let large = json!([16, 1, {"acknowledge": true}, "com.topic", ["x".repeat(2000)]]);
    let changed = with(
        &shop,
        "address = \"127.0.0.1:0\"\n",
        "address = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\nserializers = [\"json\"]\nlimits = { message_size = \"1KiB\" }\n",
    );
    router.reload(&format!("limits = {{ sessions = 2 }}\n{changed}"), "success");
    before.send(&large);
    assert_eq!(before.message()[0], json!(17), "it began with other limits");
    let mut peer = Peer::connect_to(router.address(), Serializer::Json);
    peer.say_hello("shop", &json!({}));
    let third = http::ask(router.address(), &http::upgrade("GET /ws", &[]));
    assert_eq!(third.status, "503 service unavailable");
    peer.send(&large);
    assert_eq!(peer.message()[2], json!("wamp.error.payload_size_exceeded"));
    drop(peer);
    router.reload(&changed, "success");
    let other = [("Sec-WebSocket-Protocol", Some("wamp.2.cbor"))];
    assert_eq!(http::ask(router.address(), &http::upgrade("GET /ws", &other)).status, "400 bad request");
    let headers = [("Sec-WebSocket-Protocol", "wamp.2.json"), ("X-Forwarded-For", "192.0.2.7")];
    let (socket, _) = crate::support::peer::open(router.address(), "/ws", &headers).expect("it is upgraded");
    let mut behind = Peer::on(socket, Serializer::Json);
    behind.say_hello("shop", &json!({}));
    let told = behind.call("wamp.session.get", &json!([behind.session]), &json!({}));
    assert_eq!(told[3][0]["transport"]["peer"], json!("tcp4:192.0.2.7"));
}

#[test]
fn other_certificates_can_be_named() {
    let (first, second) = (
        certificate::certificate("reload-first", &["localhost"]),
        certificate::certificate("reload-second", &["localhost"]),
    );
    let tls = |name: &str| format!("[listeners.tls]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    let folder =
        first.files.certificates[0].certificate.parent().expect("it has a folder").display().to_string();
    let text = |name: &str| {
        let files = tls(&format!("{folder}/{name}"));
        format!(
            "admin.address = \"127.0.0.1:0\"\n{}",
            with(SHOP, "address = \"127.0.0.1:0\"\n", &format!("address = \"127.0.0.1:0\"\n{files}"))
        )
    };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload-certificates.toml");
    fs::write(&file, text("reload-first")).expect("the folder of tests can be written to");
    let mut serving = Serving::run(program(&["--config"]).arg(&file));
    let address: SocketAddr =
        serving.url().trim_start_matches("wss://").trim_end_matches("/ws").parse().expect("an address");
    let admin = serving.admin();
    let got = || certificate::connect(http::send(address, b""), "localhost", None).expect("it takes TLS").1;
    assert_eq!(got(), first.der);
    for (name, result, certificate) in [("missing", "failure", &first), ("reload-second", "success", &second)]
    {
        fs::write(&file, text(name)).expect("the folder of tests can be written to");
        serving.signal("HUP");
        wait(admin, &format!("{RELOADS}{{result=\"{result}\"}}"), 1.0);
        assert_eq!(got(), certificate.der);
    }
    let expiries = scrape::text_at(admin);
    let expiries = expiries.lines().filter(|line| line.starts_with("realmkeeper_certificate_expiry"));
    let expiries = expiries.collect::<Vec<_>>();
    assert!(matches!(expiries[..], [only] if only.contains("reload-second.pem")), "{expiries:?}");
}

#[test]
fn the_level_of_the_log_can_change() {
    let router = Reloading::start("level", &format!("log.level = \"error\"\n{SHOP}"));
    router.read_again(&format!("log.level = \"info\"\n{SHOP}"), "success");
    let start = Instant::now();
    while !fs::read_to_string(&router.log).expect("there is a log").contains("session joined") {
        router.join("shop").leave();
        assert!(start.elapsed() < PATIENCE, "nothing is logged at the level info");
    }
    assert_eq!(router.log(), Vec::<String>::new());
    let told = router.reload(&format!("log.level = \"warn\"\n{SHOP}"), "success");
    assert!(told.contains(&"INFO changed: log.level: \"info\" becomes \"warn\"".to_owned()), "{told:?}");
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload-nothing.log");
    let serving = Serving::logging(&mut program(&["--listen", "127.0.0.1:0"]), &log);
    let mut peer = Peer::join_at(serving.address(), Serializer::Json);
    serving.signal("HUP");
    let start = Instant::now();
    while !fs::read_to_string(&log)
        .expect("there is a log")
        .contains("there is no configuration file to read again")
    {
        assert!(start.elapsed() < PATIENCE, "it does not say so");
        thread::yield_now();
    }
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
    let samples = Samples::at(serving.address());
    assert_eq!(samples.value(&format!("{RELOADS}{{result=\"success\"}}")), 0.0);
}

#[test]
fn another_ticket_in_its_file_is_told_and_needed() {
    let ticket = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload-joe.ticket");
    fs::write(&ticket, "secret1").expect("the folder of tests can be written to");
    let text = with(SHOP, "ticket = \"secret1\"", "ticket_file = \"reload-joe.ticket\"");
    let router = Reloading::start("ticket", &text);
    router.prove("shop", "joe", "secret1").leave();
    fs::write(&ticket, "secret4").expect("the folder of tests can be written to");
    let told = router.reload(&text, "success");
    assert_eq!(told[2], "INFO changed: realm shop, principal joe, ticket: changed");
    router.prove("shop", "joe", "secret4").leave();
    let told = router.reload(&text, "success");
    assert_eq!(told[2..], ["INFO the router goes by the configuration changes=0 needing_restart=0"]);
}

/// The hash of the ticket secret123.
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$Mv5STjIxSpnL5c5hA1ZVL9MtOunSNAQmRLEmT64bzZM";

#[test]
fn who_is_taken_out_of_the_users_file_is_sent_away() {
    let users = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reloaded-users.toml");
    let user = |authid: &str| {
        format!("[[principals]]\nauthid = \"{authid}\"\nrole = \"backend\"\nticket_hash = \"{HASH}\"\n")
    };
    fs::write(&users, user("eve") + &user("bob")).expect("the folder of tests can be written to");
    let text = with(SHOP, "name = \"shop\"\n", "name = \"shop\"\nusers = \"reloaded-users.toml\"\n");
    let router = Reloading::start("users", &text);
    let (eve, mut bob) = (router.prove("shop", "eve", "secret123"), router.prove("shop", "bob", "secret123"));
    fs::write(&users, user("bob") + &user("tom")).expect("the folder of tests can be written to");
    let told = router.reload(&text, "success");
    assert!(told.contains(&"INFO changed: realm shop, users: changed".to_owned()), "{told:?}");
    part(eve, &policy(), 1008);
    assert_eq!(bob.call("com.any", &json!([]), &json!({}))[0], json!(8), "bob is there");
    router.prove("shop", "tom", "secret123").leave();
    fs::write(&users, "principals = 1").expect("the folder of tests can be written to");
    let told = router.reload(&text, "failure");
    assert!(told.iter().any(|line| line.contains("principals: is an integer")), "{told:?}");
    router.prove("shop", "tom", "secret123").leave();
}

#[test]
fn who_waits_for_an_authenticator_is_told_when_its_realm_is_removed() {
    let asking = r#"
        listeners = [{ address = "127.0.0.1:0" }]
        [[realms]]
        name = "shop"
        authenticators = { anonymous = "com.example.authenticate" }
        limits = { component_timeout = "60m" }
        [[realms.roles]]
        name = "component"
        trusted = true
        permissions = [{ uri = "com.example.", match = "prefix", allow = ["register"] }]
        [[realms.principals]]
        authid = "component"
        role = "component"
        ticket = "secret1"
    "#;
    let other = "listeners = [{ address = \"127.0.0.1:0\" }]\nrealms = [{ name = \"bank\" }]";
    let router = Reloading::start("asking", asking);
    let mut component = router.prove("shop", "component", "secret1");
    component.register("com.example.authenticate", &json!({}));
    let mut newcomer = Peer::connect_to(router.address(), Serializer::Json);
    newcomer.send(&json!([1, "shop", {"roles": {"caller": {}}}]));
    assert_eq!(component.message()[0], 68);
    router.reload(other, "success");
    part(component, &json!([6, {}, "wamp.close.close_realm"]), 1001);
    let text = "the authenticator of the realm has failed, try again";
    let abort = json!([3, {"message": text}, "wamp.error.authentication_failed"]);
    assert_eq!(newcomer.rest(), [Received::Message(abort), Received::Close(Some(1011)), Received::End]);
}

#[test]
fn certificates_that_no_listener_of_the_file_names_any_more_are_not_missed() {
    let made = certificate::certificate("reload-gone", &["localhost"]);
    let files = made.files.certificates[0].clone();
    let tls = format!(
        "[[listeners]]\naddress = \"[::1]:0\"\n[listeners.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        files.certificate.display(),
        files.key.display()
    );
    let router = Reloading::start("gone", &format!("{SHOP}{tls}"));
    router.read_again(SHOP, "success");
    for file in [files.certificate, files.key] {
        fs::remove_file(file).expect("it is there");
    }
    let limited = with(SHOP, "anonymous = \"guest\"\n", "anonymous = \"guest\"\nlimits = { sessions = 4 }\n");
    let told = router.reload(&limited, "success");
    assert!(
        told.contains(&"INFO changed: realm shop, limits.sessions: none becomes 4".to_owned()),
        "{told:?}"
    );
}
