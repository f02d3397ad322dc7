//! The commands that speak to a router: what they print, whole, and how they end.

use crate::support::{
    Peer, Router,
    certificate::{authority_file, certificate, client_certificate},
    principal::{backend, trusted},
    program::{Serving, program},
};
use realmkeeper::{Listener, ListenerKind, TlsFiles, UnixSocket};
use realmkeeper_actors::{
    codec::Serializer,
    session::access::{
        Credentials, Principal, Ticket,
        cra::{self, Salting},
        cryptosign,
        scram::{self, Kdf},
    },
};
use serde_json::{Value as Json, json};
use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
};
use tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
    http::header::SEC_WEBSOCKET_PROTOCOL,
};

/// Principals whom the tests know, each with the ticket `secret123`.
const PRINCIPALS: [&str; 3] = ["alice", "bob", "日本語\u{1b}[2J"];

/// A router that knows the principals.
fn router() -> Router {
    Router::with(|settings| {
        let principals = PRINCIPALS.map(|authid| backend(authid, Ticket::plain("secret123")));
        settings.realms[0].door.principals.extend(principals);
    })
}

fn join(router: &Router, authid: &str) -> Peer {
    let mut peer = Peer::connect(router, Serializer::Json);
    peer.prove("realm1", authid, "secret123");
    peer
}

/// A command for the router.
fn command(router: &Router, args: &[&str]) -> Command {
    let mut command = program(args);
    command.env("REALMKEEPER_URL", router.url());
    command
}

/// How a command ended, and what it printed on both outputs, masked.
#[derive(Debug, PartialEq)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn new(code: i32, stdout: &str, stderr: &str) -> Self {
        Self { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }
}

fn ended(command: &mut Command, known: &[&Peer]) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes| masked(&String::from_utf8(bytes).expect("the program prints text"), known);
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command to its end and compares all that comes of it.
fn check(router: &Router, args: &[&str], known: &[&Peer], code: i32, stdout: &str, stderr: &str) {
    assert_eq!(ended(&mut command(router, args), known), Ended::new(code, stdout, stderr), "{args:?}");
}

/// Text with a name for what differs from run to run: `$1` and so on for the ids of known sessions, `ID` for other ids,
/// then `AUTHID`, `TIME` and `PEER`. Of several spaces only two stay, as they depend on the length of the ids.
fn masked(text: &str, known: &[&Peer]) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | ':' | '.');
    let mut masked = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let inner = word.trim_matches(':');
        masked.push_str(&word.replacen(inner, &name(inner, known), 1));
        let end = after.find(is_part).unwrap_or(after.len());
        masked.push_str(&after[..end]);
        rest = &after[end..];
    }
    while masked.contains("   ") {
        masked = masked.replace("   ", "  ");
    }
    masked
}

fn name(word: &str, known: &[&Peer]) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let position = known.iter().position(|peer| peer.session.to_string() == word);
    match position {
        Some(position) => format!("${}", position + 1),
        None if digits(word) && word.len() > 9 => "ID".to_owned(),
        None if word.starts_with("tcp4:127.0.0.1:") => "PEER".to_owned(),
        None if word.len() == 9 && word.ends_with('Z') && digits(&word[..2]) => "TIME".to_owned(),
        None if word.starts_with("20") && word.ends_with('Z') => "TIME".to_owned(),
        None if word.len() == 14 && word.split('-').count() == 3 => "AUTHID".to_owned(),
        None => word.to_owned(),
    }
}

/// A command that goes on until it is told to stop. It is killed on drop.
struct Running {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    errors: BufReader<ChildStderr>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    fn start_with(command: &mut Command, output: Stdio) -> Self {
        let mut process = command.stdout(output).stderr(Stdio::piped()).spawn().expect("the program starts");
        let output = process.stdout.take().map(BufReader::new);
        let errors = BufReader::new(process.stderr.take().expect("it is piped"));
        Self { process, output, errors }
    }

    /// The next line of its output, masked.
    fn line(&mut self, known: &[&Peer]) -> String {
        let output = self.output.as_mut().expect("the output is piped");
        masked(read_line(output).trim_end_matches('\n'), known)
    }

    /// All that it prints, on both outputs, until it ends.
    fn rest(mut self) -> Ended {
        let output = io::read_to_string(self.output.as_mut().expect("the output is piped"));
        let errors = io::read_to_string(&mut self.errors);
        Ended { code: self.wait(), stdout: output.expect("it is text"), stderr: errors.expect("it is text") }
    }

    /// The next line of its errors.
    fn error(&mut self) -> String {
        read_line(&mut self.errors).trim_end_matches('\n').to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    }

    fn wait(&mut self) -> Option<i32> {
        self.process.wait().expect("the program ends").code()
    }
}

fn read_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("the program prints text");
    line
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails but for a program that has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The details of a session as `--json` prints them.
fn details(session: &str, authid: &str, authrole: &str, authmethod: &str) -> String {
    format!(
        r#"{{"session":{session},"authid":"{authid}","authrole":"{authrole}","authmethod":"{authmethod}","authprovider":"static","transport":{{"channel_framing":"websocket","channel_serializer":"json","channel_type":"tcp","is_secure":false,"peer":"PEER","websocket_protocol":"wamp.2.json"}},"realm":"realm1"}}"#
    )
}

#[test]
fn sessions_are_listed_for_people_and_for_programs() {
    let router = router();
    let (bob, alice) = (join(&router, "bob"), join(&router, "alice"));
    let known = [&alice, &bob];
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 $1  alice  backend  PEER  ticket  websocket json\n\
                 $2  bob  backend  PEER  ticket  websocket json\n\
                 2 sessions in realm1\n";
    check(&router, &["sessions", "list", "--authrole", "backend"], &known, 0, table, "");
    let lines =
        ["$1", "$2"].map(|id| details(id, if id == "$1" { "alice" } else { "bob" }, "backend", "ticket"));
    let lines = lines.join("\n") + "\n";
    check(&router, &["sessions", "--json", "list", "--authrole", "backend"], &known, 0, &lines, "");
    drop((alice, bob));
    router.wait_for_sockets(0);
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 ID  AUTHID  anonymous  PEER  anonymous  websocket json\n\
                 1 session in realm1, that of this command, ID, included\n";
    check(&router, &["sessions", "list"], &[], 0, table, "");
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n0 sessions in realm1\n";
    check(&router, &["sessions", "list", "--authrole", "nobody"], &[], 0, table, "");
    check(&router, &["sessions", "list", "--authrole", "nobody", "--json"], &[], 0, "", "");
}

#[test]
fn what_a_client_is_called_is_shown_without_what_a_terminal_obeys() {
    let router = router();
    let hostile = join(&router, PRINCIPALS[2]);
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 $1  \"日本語\\u{1b}[2J\"  backend  PEER  ticket  websocket json\n\
                 1 session in realm1\n";
    check(&router, &["sessions", "list", "--authrole", "backend"], &[&hostile], 0, table, "");
    let line = details("$1", "日本語\\u001b[2J", "backend", "ticket") + "\n";
    let id = hostile.session.to_string();
    check(&router, &["sessions", "get", &id, "--json"], &[&hostile], 0, &line, "");
}

#[test]
fn a_session_is_told_whole() {
    let router = router();
    let alice = join(&router, "alice");
    let id = alice.session.to_string();
    let told = "session  $1\n\
                authid  alice\n\
                authrole  backend\n\
                authmethod  ticket\n\
                authprovider  static\n\
                realm  realm1\n\
                transport.channel_framing  websocket\n\
                transport.channel_serializer  json\n\
                transport.channel_type  tcp\n\
                transport.is_secure  false\n\
                transport.peer  PEER\n\
                transport.websocket_protocol  wamp.2.json\n";
    check(&router, &["sessions", "get", &id], &[&alice], 0, told, "");
    let nobody = "realmkeeper: session 5: there is no such session (wamp.error.no_such_session)\n";
    check(&router, &["sessions", "get", "5"], &[], 1, "", nobody);
    check(&router, &["sessions", "get", "5", "--json"], &[], 1, "", nobody);
}

#[test]
fn a_session_is_ended_with_a_reason_and_a_message() {
    let router = router();
    let mut alice = join(&router, "alice");
    let id = alice.session.to_string();
    let how = ["--reason", "com.example.because", "--message", "out of hours"];
    let args = [&["sessions", "kill", &id][..], &how].concat();
    check(&router, &args, &[&alice], 0, "session $1 is ended\n", "");
    assert_eq!(alice.message(), json!([6, {"message": "out of hours"}, "com.example.because"]));
    let again = "realmkeeper: session $1: there is no such session (wamp.error.no_such_session)\n";
    check(&router, &args, &[&alice], 1, "", again);
    let invalid = "realmkeeper: cannot call wamp.session.kill: the router does not take such a URI \
                   (wamp.error.invalid_uri): \"no uri\" is not a valid uri\n";
    check(&router, &["sessions", "kill", &id, "--reason", "no uri"], &[], 1, "", invalid);
}

#[test]
fn whoever_ends_several_sessions_has_to_mean_it() {
    let router = router();
    let (mut alice, mut bob) = (join(&router, "alice"), join(&router, "bob"));
    let known = [&alice, &bob];
    let shown = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 $1  alice  backend  PEER  ticket  websocket json\n\
                 $2  bob  backend  PEER  ticket  websocket json\n\
                 realmkeeper: 2 sessions would be ended; say --yes if that is meant\n";
    let ids = [alice.session.to_string(), bob.session.to_string()];
    for which in [
        &["kill", &ids[0], &ids[1]][..],
        &["kill-by-authrole", "backend"],
        &["kill-by-authrole", "backend", "--json"],
        &["kill-all"],
    ] {
        let args = [&["sessions"], which].concat();
        check(&router, &args, &known, 2, "", shown);
    }
    let args = ["sessions", "kill", &ids[0], "5", &ids[1], "--yes"];
    let printed = "session $1 is ended\nsession $2 is ended\n";
    let nobody = "realmkeeper: session 5: there is no such session (wamp.error.no_such_session)\n";
    check(&router, &args, &known, 1, printed, nobody);
    for peer in [&mut alice, &mut bob] {
        assert_eq!(peer.message(), json!([6, {}, "wamp.close.killed"]));
    }
}

#[test]
fn sessions_are_ended_whether_anybody_reads_that_or_not() {
    let router = router();
    let (mut alice, mut bob) = (join(&router, "alice"), join(&router, "bob"));
    let ids = [alice.session.to_string(), bob.session.to_string()];
    let kill = ["sessions", "kill", &ids[0], "5", &ids[1], "--yes"];
    let (reader, writer) = io::pipe().expect("there is a pipe");
    drop(reader);
    let mut kill = Running::start_with(&mut command(&router, &kill), writer.into());
    let nobody = "realmkeeper: session 5: there is no such session (wamp.error.no_such_session)";
    assert_eq!((kill.error().as_str(), kill.wait()), (nobody, Some(1)));
    for peer in [&mut alice, &mut bob] {
        assert_eq!(peer.message(), json!([6, {}, "wamp.close.killed"]));
    }
}

#[test]
fn sessions_are_ended_by_authid_by_role_and_all() {
    let router = router();
    let victims = [join(&router, "alice"), join(&router, "alice"), join(&router, "bob")];
    let (one, none) = ("1 session is ended\n", "there is no such session\n");
    check(&router, &["sessions", "kill-by-authid", "bob"], &[], 0, one, "");
    check(&router, &["sessions", "kill-by-authid", "bob"], &[], 1, none, "");
    check(&router, &["sessions", "kill-by-authid", "alice", "-y", "--json"], &[], 0, "{\"killed\":2}\n", "");
    check(&router, &["sessions", "kill-by-authrole", "backend", "--json"], &[], 1, "{\"killed\":0}\n", "");
    check(&router, &["sessions", "kill-all"], &[], 1, none, "");
    for mut victim in victims {
        assert_eq!(victim.message(), json!([6, {}, "wamp.close.killed"]));
    }
    let mut victims = [join(&router, "alice"), join(&router, "bob")];
    check(
        &router,
        &["sessions", "kill-all", "--yes", "--message", "bye"],
        &[],
        0,
        "2 sessions are ended\n",
        "",
    );
    for victim in &mut victims {
        assert_eq!(victim.message(), json!([6, {"message": "bye"}, "wamp.close.killed"]));
    }
}

#[test]
fn who_joins_and_leaves_is_told_at_once() {
    let router = router();
    let bob = join(&router, "bob");
    let mut watch = Running::start(&mut command(&router, &["sessions", "watch"]));
    assert_eq!(watch.line(&[]), "TIME watching realm1, sessions: 1");
    let alice = join(&router, "alice");
    assert_eq!(watch.line(&[&alice]), "TIME joined $1 alice backend PEER websocket json");
    let id = alice.session;
    alice.leave();
    let left = watch.line(&[]);
    assert!(left.starts_with("TIME left  ID alice backend after "), "{left} ({id})");
    let id = bob.session;
    bob.leave();
    assert_eq!(watch.line(&[]), "TIME left  ID bob backend", "{id}");
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
    router.wait_for_sockets(0);
}

#[test]
fn who_joins_and_leaves_is_told_to_programs() {
    let router = router();
    let mut watch = Running::start(&mut command(&router, &["sessions", "watch", "--json"]));
    assert_eq!(watch.line(&[]), r#"{"event":"connected","sessions":0,"time":"TIME"}"#);
    let alice = join(&router, "alice");
    let joined: Json = serde_json::from_str(&watch.line(&[&alice]).replace("$1", "1")).expect("it is JSON");
    let told: Json = serde_json::from_str(&details("1", "alice", "backend", "ticket")).expect("it is JSON");
    let mut expected = json!({"event": "joined", "time": "TIME", "meanwhile": false});
    expected.as_object_mut().expect("it is a dict").extend(told.as_object().expect("it is a dict").clone());
    assert_eq!(joined, expected);
    alice.leave();
    let left = r#"{"authid":"alice","authrole":"backend","event":"left","meanwhile":false,"session":ID,"time":"TIME","told":{}}"#;
    assert_eq!(watch.line(&[]), left);
    watch.signal("TERM");
    assert_eq!(watch.wait(), Some(0));
}

#[test]
fn a_watch_connects_again_and_tells_what_changed_meanwhile() {
    let first = Serving::start();
    let (url, address) = (first.url().to_owned(), first.address());
    let mut bob = Peer::join_at(address, Serializer::Json);
    let mut watch = Running::start(&mut program(&["sessions", "watch", "--url", &url]));
    assert_eq!(watch.line(&[]), "TIME watching realm1, sessions: 1");
    first.signal("TERM");
    assert_eq!(bob.message(), json!([6, {}, "wamp.close.system_shutdown"]));
    drop(bob);
    first.wait();
    let told = "realmkeeper: the router ended this session: the router stops (wamp.close.system_shutdown); \
                it is tried again in 1s";
    assert_eq!(watch.error(), told);
    // It may find nobody there once or twice.
    let second = Serving::run(&mut program(&["--listen", &address.to_string()]));
    let mut alice = Peer::connect_to(address, Serializer::Json);
    alice.say_hello("realm1", &json!({}));
    let again = watch.line(&[]);
    let mut joins = Vec::new();
    assert!(again.starts_with("TIME connected again after "), "{again}");
    assert_eq!(watch.line(&[]), "TIME left  ID AUTHID anonymous, meanwhile");
    joins.push(watch.line(&[&alice]));
    let meanwhile = if again.ends_with("sessions: 1") { ", meanwhile" } else { "" };
    assert_eq!(joins, [format!("TIME joined $1 AUTHID anonymous PEER websocket json{meanwhile}")]);
    second.signal("TERM");
    assert_eq!(alice.message(), json!([6, {}, "wamp.close.system_shutdown"]));
    drop(alice);
    second.wait();
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
}

#[test]
fn a_watch_ends_where_it_is_not_wanted() {
    let router = router();
    let mut watch = Running::start(&mut command(&router, &["sessions", "watch"]));
    assert_eq!(watch.line(&[]), "TIME watching realm1, sessions: 0");
    check(&router, &["sessions", "kill-all", "--message", "go"], &[], 0, "1 session is ended\n", "");
    // Who ended it joined.
    assert_eq!(watch.line(&[]), "TIME joined ID AUTHID anonymous PEER websocket json");
    let told = "realmkeeper: the router ended this session: somebody ended it (wamp.close.killed): go";
    assert_eq!((watch.error().as_str(), watch.wait()), (told, Some(1)));
}

/// Calls `com.example.add` with these arguments and asserts that the callee gets `invoked`; it answers with `reply`,
/// which begins behind the details.
fn answered(router: &Router, callee: &mut Peer, args: &[&str], invoked: &[Json], reply: &[Json]) -> Ended {
    let call = [&["call", "com.example.add"], args].concat();
    let call = Running::start(&mut command(router, &call));
    let invocation = callee.message();
    let invocation = invocation.as_array().expect("a message is a list");
    assert_eq!((&invocation[0], &invocation[4..]), (&json!(68), invoked));
    let is_error = reply.first().is_some_and(Json::is_string);
    let head = if is_error { json!([8, 68, invocation[1], {}]) } else { json!([70, invocation[1], {}]) };
    callee.send(&json!([head.as_array().expect("it is a list"), reply].concat()));
    call.rest()
}

#[test]
fn a_procedure_is_called_with_what_is_json_and_what_is_text() {
    let router = router();
    let mut callee = join(&router, "alice");
    callee.register("com.example.add", &json!({}));
    let mut answered = |args: &[&str], invoked: &[Json], reply: &[Json]| {
        answered(&router, &mut callee, args, invoked, reply)
    };
    assert_eq!(answered(&[], &[], &[json!([3])]), Ended::new(0, "3\n", ""));
    let args = ["1", "-2.5", "two", "\"3\"", "[4]", "null"];
    let invoked = [json!([1, -2.5, "two", "3", [4], null])];
    assert_eq!(answered(&args, &invoked, &[]), Ended::new(0, "", ""));
    let invoked = [json!([]), json!({"a": 1})];
    let reply = [json!(["plain\ntext", {"b": "\u{9b}"}]), json!({"k": null})];
    let printed = "plain\ntext\n{\"b\":\"\\u009b\"}\n{\"k\":null}\n";
    assert_eq!(answered(&["--kwargs", r#"{"a": 1}"#], &invoked, &reply), Ended::new(0, printed, ""));
    // A file or another program gets all of it.
    let exact = "\u{1b}[31mred\u{1b}[0m\u{7}\r\u{8}";
    assert_eq!(answered(&[], &[], &[json!([exact])]), Ended::new(0, &format!("{exact}\n"), ""));
    let printed = "{\"args\":[\"a\"],\"kwargs\":{}}\n";
    assert_eq!(answered(&["--json"], &[], &[json!(["a"])]), Ended::new(0, printed, ""));
    let reply = [json!("com.example.error.no"), json!(["\u{1b}[2J", 5]), json!({"why": 1})];
    let refused =
        "realmkeeper: cannot call com.example.add: com.example.error.no: \\u{1b}[2J: 5: {\"why\":1}\n";
    assert_eq!(answered(&["x"], &[json!(["x"])], &reply), Ended::new(1, "", refused));
}

#[test]
fn a_call_that_nobody_answers_says_so() {
    let router = router();
    let mut callee = join(&router, "alice");
    callee.register("com.example.add", &json!({}));
    for (procedure, meaning) in
        [("com.nobody", "nobody has registered it"), ("wamp.session.none", "the router does not offer it")]
    {
        let text = format!(
            "realmkeeper: cannot call {procedure}: {meaning} (wamp.error.no_such_procedure): \
             no callee has registered \"{procedure}\"\n"
        );
        check(&router, &["call", procedure], &[], 1, "", &text);
    }
    let silent = "realmkeeper: no answer to com.example.add within 1s\n";
    check(&router, &["call", "com.example.add", "--timeout", "1s"], &[], 2, "", silent);
    let no_object = "realmkeeper: invalid value '[1]' for '--kwargs <JSON>': must be a JSON object: \
                     invalid type: sequence, expected a map at line 1 column 0\n";
    check(&router, &["call", "com.example.add", "--kwargs", "[1]"], &[], 2, "", no_object);
}

#[test]
fn events_are_published_and_printed() {
    let router = router();
    let mut exact = Running::start(&mut command(&router, &["subscribe", "com.example.a", "--count", "2"]));
    let prefix = ["subscribe", "com.example.", "--match", "prefix", "--json"];
    let mut prefix = Running::start(&mut command(&router, &prefix));
    assert_eq!(exact.error(), "subscribed to com.example.a; Ctrl-C ends it");
    assert_eq!(prefix.error(), "subscribed to com.example.; Ctrl-C ends it");
    let publish = ["publish", "com.example.a", "1", "two", "--kwargs", r#"{"three": "\u009b"}"#];
    check(&router, &publish, &[], 0, "published to com.example.a as ID\n", "");
    let published = "{\"publication\":ID,\"topic\":\"com.example.a\"}\n";
    check(&router, &["publish", "com.example.a", "--json"], &[], 0, published, "");
    assert_eq!(exact.line(&[]), r#"TIME com.example.a [1,"two"] {"three":"\u009b"}"#);
    assert_eq!(exact.line(&[]), "TIME com.example.a []");
    assert_eq!(exact.wait(), Some(0));
    let event = r#"{"args":[1,"two"],"details":{"topic":"com.example.a"},"kwargs":{"three":"\u009b"},"publication":ID,"time":"TIME","topic":"com.example.a"}"#;
    assert_eq!(prefix.line(&[]), event);
    prefix.signal("INT");
    assert_eq!(prefix.wait(), Some(0));
    let reserved = "realmkeeper: cannot publish to wamp.x: the router does not take such a URI \
                    (wamp.error.invalid_uri): \"wamp.x\" is reserved for the router\n";
    check(&router, &["publish", "wamp.x"], &[], 1, "", reserved);
}

#[test]
fn a_procedure_is_answered_by_an_echo_or_by_a_command() {
    let router = router();
    let mut echo = Running::start(&mut command(&router, &["register", "com.example.echo"]));
    assert_eq!(echo.error(), "registered com.example.echo; Ctrl-C ends it");
    let call = ["call", "com.example.echo", "a", "2", "--kwargs", r#"{"k":1}"#];
    check(&router, &call, &[], 0, "a\n2\n{\"k\":1}\n", "");
    assert_eq!(echo.line(&[]), r#"TIME ["a",2] {"k":1} -> ["a",2] {"k":1}"#);
    let taken = "realmkeeper: cannot register com.example.echo: somebody has registered it \
                 (wamp.error.procedure_already_exists): \"com.example.echo\" is registered already\n";
    check(&router, &["register", "com.example.echo"], &[], 1, "", taken);
    echo.signal("INT");
    assert_eq!(echo.wait(), Some(0));

    let script = r#"case "$1" in input) cat;; sum) echo $(($2 + $3));; *) echo "no $1" >&2; exit 3;; esac"#;
    let register = ["register", "com.example.run", "--exec", script, "--json"];
    let mut run = Running::start(&mut command(&router, &register));
    assert_eq!(run.error(), "registered com.example.run; Ctrl-C ends it");
    check(&router, &["call", "com.example.run", "sum", "40", "2"], &[], 0, "42\n", "");
    let input = "{\"args\":[\"input\",null],\"kwargs\":{}}\n";
    check(&router, &["call", "com.example.run", "input", "null"], &[], 0, input, "");
    let failed = "realmkeeper: cannot call com.example.run: the callee failed (wamp.error.runtime_error): exit status: 3: no $(date)\n";
    check(&router, &["call", "com.example.run", "$(date)"], &[], 1, "", failed);
    let answered =
        r#"{"args":["sum",40,2],"error":null,"kwargs":{},"result":{"args":[42],"kwargs":{}},"time":"TIME"}"#;
    assert_eq!(run.line(&[]), answered);
}

#[test]
fn what_another_client_writes_that_cannot_be_read_ends_no_command() {
    let router = router();
    let mut subscribe = Running::start(&mut command(&router, &["subscribe", "com.example.a"]));
    assert_eq!(subscribe.error(), "subscribed to com.example.a; Ctrl-C ends it");
    let mut echo = Running::start(&mut command(&router, &["register", "com.example.echo"]));
    assert_eq!(echo.error(), "registered com.example.echo; Ctrl-C ends it");
    let mut alice = join(&router, "alice");
    for (payload, reason) in [
        ("[1e400]", "number out of range at line 1 column 6"),
        ("[\"\\ud800\"]", "unexpected end of hex escape at line 1 column 9"),
    ] {
        let request = alice.request();
        let publish = format!(r#"[16,{request},{{}},"com.example.a",{payload}]"#);
        alice.send_bytes(publish.into_bytes());
        assert_eq!(subscribe.error(), format!("an event cannot be read: {reason}"));
        let request = alice.request();
        let call = format!(r#"[48,{request},{{}},"com.example.echo",{payload}]"#);
        alice.send_bytes(call.into_bytes());
        let refused = json!([8, 48, request, {}, "wamp.error.invalid_argument", [reason]]);
        assert_eq!(alice.message(), refused);
        assert_eq!(echo.error(), format!("a call cannot be read: {reason}"));
    }
    check(&router, &["publish", "com.example.a", "1"], &[], 0, "published to com.example.a as ID\n", "");
    assert_eq!(subscribe.line(&[]), "TIME com.example.a [1]");
    check(&router, &["call", "com.example.echo", "1"], &[], 0, "1\n", "");

    alice.register("com.example.add", &json!({}));
    let call = Running::start(&mut command(&router, &["call", "com.example.add"]));
    let invocation = alice.message();
    alice.send_bytes(format!("[70,{},{{}},[1e400]]", invocation[1]).into_bytes());
    let told = "realmkeeper: what the router says makes no sense: the result cannot be read: number out of \
                range at line 1 column 6\n";
    assert_eq!(call.rest(), Ended::new(2, "", told));
}

#[test]
fn who_joins_is_told_by_variables_and_files() {
    let router = Router::with(|settings| {
        let door = &mut settings.realms[0].door;
        door.anonymous = None;
        door.principals.push(backend("alice", Ticket::plain("secret123")));
    });
    let count = ["call", "wamp.session.count"];
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal-ticket");
    let file_name = file.to_str().expect("it is text");
    fs::write(&file, "secret123\nnot this\n").expect("it can be written");
    let ends = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = command(&router, &count);
        ended(command.envs(variables.iter().copied()).args(args), &[])
    };
    let (authid, ticket) = (("REALMKEEPER_AUTHID", "alice"), ("REALMKEEPER_TICKET", "secret123"));
    let wrong = ("REALMKEEPER_TICKET", "wrong");
    for (variables, args) in [
        (&[][..], &["--authid", "alice", "--ticket", "secret123"][..]),
        (&[], &["--authid", "alice", "--ticket-file", file_name]),
        (&[authid, ticket], &[]),
        (&[authid, wrong], &["--ticket", "secret123"]),
        (&[authid, wrong], &["--ticket-file", file_name]),
    ] {
        assert_eq!(ends(variables, args), Ended::new(0, "1\n", ""), "{variables:?} {args:?}");
    }

    let told = |code, text: &str| Ended::new(code, "", &format!("realmkeeper: {text}\n"));
    let denied = "cannot join realm realm1: what should prove the authid is not right \
                  (wamp.error.authentication_denied): the authid or the proof is wrong";
    assert_eq!(ends(&[authid, wrong], &[]), told(1, denied));
    let anonymous = "cannot join realm realm1: nobody may join anonymously; say who you are with --authid \
                     (wamp.error.authentication_required): nobody joins this realm anonymously; accepted: ticket";
    assert_eq!(ends(&[], &[]), told(1, anonymous));
    assert_eq!(ends(&[ticket], &["--authmethod", "anonymous"]), told(1, anonymous));
    let unproved = "nothing proves that this is \"alice\"; set REALMKEEPER_TICKET or REALMKEEPER_SECRET, or use \
                    --ticket-file, --secret-file, --key-file or --cert";
    assert_eq!(ends(&[authid], &[]), told(2, unproved));
    let nobody = "a ticket or a secret proves who somebody is; say who with --authid or REALMKEEPER_AUTHID";
    assert_eq!(ends(&[ticket], &[]), told(2, nobody));
    fs::write(&file, "\n").expect("it can be written");
    let with_file = ["--authid", "alice", "--ticket-file", file_name];
    let empty = format!("cannot read {file_name}: its first line is empty");
    assert_eq!(ends(&[], &with_file), told(2, &empty));
    fs::remove_file(&file).expect("it is there");
    let missing = format!("cannot read {file_name}: No such file or directory (os error 2)");
    assert_eq!(ends(&[], &with_file), told(2, &missing));
}

#[test]
fn help_fits_a_terminal() {
    for command in ["sessions", "sessions list", "sessions kill", "call", "publish", "subscribe", "register"]
    {
        let args: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let told = ended(program(&args).env("COLUMNS", "80"), &[]);
        let too_long = told.stdout.lines().find(|line| line.chars().count() > 80);
        assert_eq!((told.code, too_long), (Some(0), None), "{command}");
    }
}

/// Runs a line of the shell on a terminal of 80 columns, where somebody types an answer after each question; gives the
/// exit code and what the terminal is sent, with its line ends as they are elsewhere.
fn on_a_terminal(router: &Router, line: &str, questions: &[(&str, &str)]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_realmkeeper");
    // In place of the shell: of a shell that waits, some die of the Ctrl-C that is meant for the program.
    let line = line.replace("realmkeeper ", &format!("exec {program} "));
    let line = format!("stty cols 80 rows 24; {line}");
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("REALMKEEPER_URL", router.url());
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script can be run");
    let mut keyboard = script.stdin.take().expect("it is piped");
    let mut output = script.stdout.take().expect("it is piped");
    let mut screen = Vec::new();
    for (question, answer) in questions {
        while !screen.ends_with(question.as_bytes()) {
            let mut octet = [0];
            output.read_exact(&mut octet).expect("the question is asked");
            screen.extend(octet);
        }
        keyboard.write_all(answer.as_bytes()).expect("the terminal takes it");
    }
    output.read_to_end(&mut screen).expect("the program ends");
    let screen = String::from_utf8(screen).expect("the program prints text");
    (script.wait().expect("it ends").code(), screen.replace("\r\n", "\n"))
}

#[test]
fn a_terminal_is_asked_and_shown_what_fits() {
    let long = "long".repeat(20);
    let router = Router::with(|settings| {
        let principals = ["alice", &long].map(|authid| backend(authid, Ticket::plain("secret123")));
        settings.realms[0].door.principals.extend(principals);
    });
    let (alice, mut other) = (join(&router, "alice"), join(&router, &long));
    let known = [&alice, &other];
    // How much there is room for depends on the length of the ids.
    let shown = |screen: &str| {
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        let cut = screen.split(' ').find(|word| word.ends_with('…')).expect("something is cut");
        assert!(cut.chars().count() >= 16 && long.starts_with(cut.trim_end_matches('…')), "{screen}");
        masked(&screen.replace(cut, "CUT"), &known)
    };
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD\n\
                 $1  alice  backend  PEER  ticket\n\
                 $2  CUT  backend  PEER  ticket\n";
    let kill = "realmkeeper sessions kill-by-authrole backend";
    let question = "End these 2 sessions? [y/N] ";
    let (code, screen) = on_a_terminal(&router, kill, &[(question, "n\n")]);
    assert_eq!((code, shown(&screen)), (Some(2), format!("{table}{question}n\nnobody is ended\n")));
    let (code, screen) = on_a_terminal(&router, kill, &[(question, "\u{3}")]);
    assert_eq!((code, shown(&screen)), (Some(2), format!("{table}{question}^C")));

    let line = "export NO_COLOR=1; realmkeeper sessions list --authrole backend";
    let (code, screen) = on_a_terminal(&router, line, &[]);
    assert_eq!((code, shown(&screen)), (Some(0), format!("{table}2 sessions in realm1\n")));
    let (code, screen) = on_a_terminal(&router, "realmkeeper sessions list --authrole nobody", &[]);
    let styled = "\u{1b}[1mSESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\u{1b}[0m\n\
                  \u{1b}[2m0 sessions in realm1\u{1b}[0m\n";
    assert_eq!((code, screen.as_str()), (Some(0), styled));

    let line = "realmkeeper call wamp.session.count --authid alice";
    let (code, screen) = on_a_terminal(&router, line, &[("Ticket or secret of alice: ", "secret123\n")]);
    // Whoever types before the question is out may see it.
    assert!(code == Some(0) && screen.ends_with("\n3\n"), "{screen}");

    let (code, screen) = on_a_terminal(&router, kill, &[(question, "y\n")]);
    assert_eq!((code, shown(&screen)), (Some(0), format!("{table}{question}y\n2 sessions are ended\n")));
    assert_eq!(other.message(), json!([6, {}, "wamp.close.killed"]));
}

#[test]
fn who_joins_is_proved_by_every_method() {
    const KEY: [u8; 32] = [3; 32];
    let kdf = Kdf::Argon2id { iterations: 1, memory: 32 };
    let salting = Salting { salt: "some salt".into(), iterations: 100, key_length: 32 };
    let router = Router::with(|settings| {
        let scram = scram::Keys::derive("of sam", &[7; 16], kdf).expect("the password is one");
        let salted = cra::Key::salted(&cra::derive("of salty", &salting), salting);
        let knows =
            |authid: &str, credentials| Principal { credentials, ..backend(authid, Ticket::plain("")) };
        let plain = cra::Key::plain("of joe");
        settings.realms[0].door.principals = vec![
            knows("sam", Credentials { scram: Some(scram), ..Credentials::default() }),
            knows("salty", Credentials { cra: Some(salted), ..Credentials::default() }),
            knows("joe", Credentials { cra: Some(plain), ..Credentials::default() }),
            knows(
                "carol",
                Credentials { public_keys: vec![cryptosign::public_key(&KEY)], ..Credentials::default() },
            ),
        ];
    });
    let list = ["sessions", "list", "--authrole", "backend"];
    let listed = |authid: &str, method: &str| {
        let table = format!(
            "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
             ID  {authid}  backend  PEER  {method}  websocket json\n\
             1 session in realm1, that of this command, ID, included\n"
        );
        Ended::new(0, &table, "")
    };
    let denied = "realmkeeper: cannot join realm realm1: what should prove the authid is not right \
                  (wamp.error.authentication_denied): the authid or the proof is wrong\n";
    for (authid, secret, method) in
        [("sam", "of sam", "wamp-scram"), ("salty", "of salty", "wampcra"), ("joe", "of joe", "wampcra")]
    {
        let as_who = |secret| {
            let mut command = command(&router, &list);
            ended(command.envs([("REALMKEEPER_AUTHID", authid), ("REALMKEEPER_SECRET", secret)]), &[])
        };
        assert_eq!(as_who(secret), listed(authid, method));
        assert_eq!(as_who("wrong"), Ended::new(1, "", denied));
    }
    let as_sam = |method| {
        let mut command = command(&router, &list);
        let who = [("REALMKEEPER_AUTHID", "sam"), ("REALMKEEPER_SECRET", "of sam")];
        ended(command.envs(who).args(["--authmethod", method]), &[])
    };
    assert_eq!(as_sam("wamp-scram"), listed("sam", "wamp-scram"));
    assert_eq!(as_sam("wampcra"), Ended::new(1, "", denied));
    let nothing = "realmkeeper: there is nothing with which to join by ticket\n";
    assert_eq!(as_sam("ticket"), Ended::new(2, "", nothing));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal-key");
    let file_name = file.to_str().expect("it is text");
    let mut with_key = command(&router, &[&list[..], &["--key-file", file_name]].concat());
    let mut with_key = |key: &str| {
        fs::write(&file, key).expect("it can be written");
        ended(&mut with_key, &[])
    };
    assert_eq!(with_key(&format!("{}\n", cryptosign::hex(&KEY))), listed("carol", "cryptosign"));
    assert_eq!(with_key(&cryptosign::hex(&[4; 32])), Ended::new(1, "", denied));
    let no_key = format!("realmkeeper: {file_name}: a private key is 64 hexadecimal digits\n");
    assert_eq!(with_key("0303"), Ended::new(2, "", &no_key));
}

#[test]
fn a_router_that_cannot_be_spoken_to_is_named() {
    let router = router();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let silent = taken.local_addr().expect("it is known");
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.local_addr().expect("it is known")
    };
    let address = router.address();
    let says = |url: &str, code: i32, text: &str| {
        let mut command = program(&["sessions", "list", "--url", url, "--timeout", "1s"]);
        let told = ended(&mut command, &[]);
        assert_eq!(told, Ended::new(code, "", &format!("realmkeeper: {text}\n")));
    };
    let url = format!("ws://{free}/ws");
    says(&url, 2, &format!("cannot connect to {url}: Connection refused (os error 111)"));
    let url = format!("ws://{silent}/ws");
    says(&url, 2, &format!("cannot connect to {url}: no answer within 1s"));
    let url = format!("ws://{address}/other");
    says(
        &url,
        2,
        &format!(
            "cannot connect to {url}: it answers HTTP status 404 Not Found: WAMP clients connect at /ws"
        ),
    );
    says("/no/such/socket", 2, "cannot connect to /no/such/socket: No such file or directory (os error 2)");
    let forms = "invalid value 'http://localhost' for '--url <URL>': must be ws://HOST:PORT/PATH, wss://HOST/PATH, \
                 rs://HOST:PORT, rss://HOST:PORT, unix:PATH or the path of a Unix domain socket";
    says("http://localhost", 2, forms);
    let realm = "realmkeeper: cannot join realm nowhere: the router has no such realm (wamp.error.no_such_realm): \
                 there is no realm \"nowhere\" here\n";
    check(&router, &["sessions", "list", "--realm", "nowhere"], &[], 1, "", realm);
}

#[test]
fn a_router_with_tls_has_to_be_certified() {
    let certificate = certificate("terminal", &["localhost"]);
    let router = Router::with(|settings| settings.listeners[0].tls = Some(certificate.files.clone()));
    let url = format!("wss://localhost:{}/ws", router.address().port());
    let file = authority_file().to_str().expect("it is text");
    let mut known = program(&["call", "wamp.session.count", "--url", &url, "--ca", file]);
    assert_eq!(ended(&mut known, &[]), Ended::new(0, "1\n", ""));
    let mut other = program(&["call", "wamp.session.count", "--url", &url, "--ca", "Cargo.toml"]);
    let text = format!("realmkeeper: cannot connect to {url}: Cargo.toml: no certificate in it\n");
    assert_eq!(ended(&mut other, &[]), Ended::new(2, "", &text));
    let url = format!("wss://{}/ws", router.address());
    let mut named_otherwise = program(&["call", "wamp.session.count", "--url", &url, "--ca", file]);
    let told = ended(&mut named_otherwise, &[]);
    let start = format!("realmkeeper: cannot connect to {url}: no TLS: invalid peer certificate: ");
    assert!(told.code == Some(2) && told.stderr.starts_with(&start), "{told:?}");
}

#[test]
fn a_client_certificate_opens_a_connection_and_proves_who_joins() {
    let own = client_certificate("terminal-own", "Sensor 7", "sensor.example.com", "spiffe://example.com/7");
    let own = &own.files.certificates[0];
    let [certificate_file, key_file, ca] =
        [&own.certificate, &own.key, authority_file()].map(|file| file.to_str().expect("it is text"));
    let listener = certificate("terminal-mutual", &["localhost"]).files;
    for (kind, scheme, path, connection) in [
        (ListenerKind::WebSocket, "wss", "/ws", "websocket json tls"),
        (ListenerKind::RawSocket, "rss", "", "rawsocket json tls"),
    ] {
        let router = Router::with(|settings| {
            settings.listeners[0].kind = kind;
            let client_ca = Some(authority_file().to_owned());
            settings.listeners[0].tls = Some(TlsFiles { client_ca, ..listener.clone() });
            let certificates = vec!["cn:Sensor 7".parse().expect("it names a certificate")];
            let credentials = Credentials { certificates, ..Credentials::default() };
            let sensor = Principal { credentials, ..backend("sensor", Ticket::plain("secret123")) };
            settings.realms[0].door.principals.push(sensor);
        });
        let url = format!("{scheme}://localhost:{}{path}", router.address().port());
        let told = |args: &[&str]| {
            let list = ["sessions", "list", "--authrole", "backend", "--authrole", "anonymous"];
            ended(program(&list).args(["--url", &url, "--ca", ca]).args(args), &[])
        };
        let listed = |start: &str| {
            let table = format!(
                "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 ID  {start}  {connection}\n\
                 1 session in realm1, that of this command, ID, included\n"
            );
            Ended::new(0, &table, "")
        };
        let shown = ["--cert", certificate_file, "--key", key_file];
        assert_eq!(told(&shown), listed("sensor  backend  PEER  tls"));
        assert_eq!(
            told(&[&shown[..], &["--authid", "sensor"]].concat()),
            listed("sensor  backend  PEER  tls")
        );
        let anonymously = [&shown[..], &["--authmethod", "anonymous"]].concat();
        assert_eq!(told(&anonymously), listed("AUTHID  anonymous  PEER  anonymous"));
        let refused = told(&[]);
        assert!(refused.code == Some(2) && refused.stderr.contains("CertificateRequired"), "{refused:?}");
        let unusable = |args: &[&str], reason: &str| {
            let text = format!("realmkeeper: cannot connect to {url}: {reason}\n");
            assert_eq!(told(args), Ended::new(2, "", &text));
        };
        let text = format!("{key_file}: no certificate in it");
        unusable(&["--cert", key_file, "--key", key_file], &text);
        let text = format!("{certificate_file}: no private key in it");
        unusable(&["--cert", certificate_file, "--key", certificate_file], &text);
        let other = &listener.certificates[0].key.to_str().expect("it is text");
        let text = format!("{other}: not the key of the certificate in {certificate_file}");
        unusable(&["--cert", certificate_file, "--key", other], &text);
    }
    let mut unsafely = program(&["sessions", "list", "--cert", certificate_file, "--key", key_file]);
    let text = "realmkeeper: ws://127.0.0.1:8080/ws takes no client certificate; use wss:// or rss://\n";
    assert_eq!(ended(&mut unsafely, &[]), Ended::new(2, "", text));
    let mut without_key = program(&["sessions", "list", "--cert", certificate_file]);
    let told = ended(&mut without_key, &[]);
    assert!(told.code == Some(2) && told.stderr.contains("--key <FILE>"), "{told:?}");
    let by_nothing = ["call", "wamp.session.count", "--authmethod", "tls"];
    let text = "realmkeeper: there is nothing with which to join by tls\n";
    assert_eq!(ended(&mut program(&by_nothing), &[]), Ended::new(2, "", text));
}

#[test]
fn a_raw_socket_serves_as_well() {
    let certificate = certificate("terminal-raw", &["localhost"]);
    for (is_secure, scheme, end) in [(false, "rs", ""), (true, "rss", " tls")] {
        let router = Router::with(|settings| {
            let listener = &mut settings.listeners[0];
            listener.kind = ListenerKind::RawSocket;
            listener.tls = is_secure.then(|| certificate.files.clone());
        });
        let port = router.address().port();
        let url = format!("{scheme}://localhost:{port}");
        let file = authority_file().to_str().expect("it is text");
        let told = |args: &[&str]| ended(program(args).args(["--url", &url, "--ca", file]), &[]);
        let table = format!(
            "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
             ID  AUTHID  anonymous  PEER  anonymous  rawsocket json{end}\n\
             1 session in realm1, that of this command, ID, included\n"
        );
        assert_eq!(told(&["sessions", "list"]), Ended::new(0, &table, ""));
        let mut echo = program(&["register", "com.example.echo", "--url", &url, "--ca", file]);
        // What it prints is more than a pipe holds.
        let mut echo = Running::start_with(&mut echo, Stdio::null());
        assert_eq!(echo.error(), "registered com.example.echo; Ctrl-C ends it");
        // The system asks whether the router is there, as not all that speak RawSocket take a ping: a timer of kind 2.
        let sockets = fs::read_to_string("/proc/net/tcp").expect("the system tells it");
        let sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut timers = sockets.filter(|fields| fields[2].ends_with(&format!(":{port:04X}")));
        assert!(timers.any(|fields| fields[5].starts_with("02:")), "{scheme}");
        let long = "x".repeat(100_000);
        assert_eq!(told(&["call", "com.example.echo", &long]), Ended::new(0, &format!("{long}\n"), ""));
        echo.signal("INT");
        assert_eq!(echo.wait(), Some(0));
        router.wait_for_sockets(0);
        if !is_secure {
            let url = format!("ws://localhost:{port}/ws");
            let wrong = ended(&mut program(&["call", "a.b", "--url", &url]), &[]);
            let start = format!("realmkeeper: cannot connect to {url}: no WebSocket: ");
            assert!(wrong.code == Some(2) && wrong.stderr.starts_with(&start), "{wrong:?}");
        }
    }
}

#[test]
fn a_unix_domain_socket_serves_as_well() {
    let path = env::temp_dir().join(format!("realmkeeper-terminal-{}.sock", std::process::id()));
    let router = Router::with(|settings| {
        let unix = UnixSocket { path: path.clone(), mode: 0o600, user: None, group: None };
        let kind = ListenerKind::RawSocket;
        settings.listeners.push(Listener { kind, unix: Some(unix), ..Listener::default() });
    });
    let path = path.to_str().expect("it is text");
    let (unix, raw) = (format!("unix:{path}"), format!("rs://unix:{path}"));
    assert_eq!(router.urls()[1], raw);
    for url in [path, &unix, &raw] {
        let mut count = program(&["call", "wamp.session.count", "--url", url]);
        assert_eq!(ended(&mut count, &[]), Ended::new(0, "1\n", ""));
    }
}

#[test]
fn whoever_stops_reading_ends_a_command_quietly() {
    let router = router();
    let mut subscribe = Running::start(&mut command(&router, &["subscribe", "com.example.a"]));
    assert_eq!(subscribe.error(), "subscribed to com.example.a; Ctrl-C ends it");
    drop(subscribe.output.take());
    check(&router, &["publish", "com.example.a"], &[], 0, "published to com.example.a as ID\n", "");
    assert_eq!((subscribe.error().as_str(), subscribe.wait()), ("", Some(0)));
    router.wait_for_sockets(0);
}

#[test]
fn what_cannot_be_written_is_no_success() {
    for args in [
        &["completion", "bash"][..],
        &["schema"],
        &["check", "--config", "config/realmkeeper.toml"],
        &["check", "--config", "config/realmkeeper.toml", "--print"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").expect("the system has one");
        let full = program(args).stdout(full).output().expect("the program starts");
        let told = String::from_utf8_lossy(&full.stderr).into_owned();
        let last = told.lines().last();
        let cannot = "realmkeeper: cannot write: No space left on device (os error 28)";
        assert_eq!((full.status.code(), last), (Some(2), Some(cannot)), "{args:?}");
        let (reader, writer) = io::pipe().expect("there is a pipe");
        drop(reader);
        let closed = program(args).stdout(writer).output().expect("the program starts");
        let told = String::from_utf8_lossy(&closed.stderr).into_owned();
        assert!(closed.status.success() && !told.contains("cannot write"), "{args:?}: {told}");
    }
}

#[test]
fn shells_can_complete_the_commands() {
    for (shell, check) in [("bash", true), ("zsh", false), ("fish", false)] {
        let output = program(&["completion", shell]).output().expect("the program starts");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        let script = String::from_utf8(output.stdout).expect("it is text");
        for word in ["sessions", "kill-by-authrole", "subscribe", "register", "--ticket-file"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell} does not know {word}");
        }
        if check {
            let mut bash =
                Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("there is bash");
            bash.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("it reads");
            assert!(bash.wait().expect("it ends").success());
        }
    }
}

#[test]
fn what_the_router_takes_away_ends_a_command() {
    let router = router();
    let mut operator = join(&router, "alice");
    let mut register = Running::start(&mut command(&router, &["register", "com.example.a"]));
    assert_eq!(register.error(), "registered com.example.a; Ctrl-C ends it");
    let no_kwargs = json!({});
    let registration =
        operator.call("wamp.registration.lookup", &json!(["com.example.a"]), &no_kwargs)[3][0].clone();
    let callee =
        operator.call("wamp.registration.list_callees", &json!([registration]), &no_kwargs)[3][0][0].clone();
    let how = json!({"reason": "com.example.moved"});
    operator.call("wamp.registration.remove_callee", &json!([registration, callee]), &how);
    let told = "realmkeeper: the router took away the registration: com.example.moved";
    assert_eq!((register.error().as_str(), register.wait()), (told, Some(1)));
    let mut subscribe = Running::start(&mut command(&router, &["subscribe", "com.example.b"]));
    assert_eq!(subscribe.error(), "subscribed to com.example.b; Ctrl-C ends it");
    let subscription =
        operator.call("wamp.subscription.lookup", &json!(["com.example.b"]), &no_kwargs)[3][0].clone();
    let subscriber = operator.call("wamp.subscription.list_subscribers", &json!([subscription]), &no_kwargs)
        [3][0][0]
        .clone();
    operator.call("wamp.subscription.remove_subscriber", &json!([subscription, subscriber]), &no_kwargs);
    let told = "realmkeeper: the router took away the subscription";
    assert_eq!((subscribe.error().as_str(), subscribe.wait()), (told, Some(1)));
}

#[test]
fn what_a_role_may_not_do_is_said() {
    let router = Router::with(|settings| settings.realms[0].door.anonymous = Some(trusted(0).into()));
    for (args, procedure) in [
        (&["kill-all", "--yes"][..], "kill_all"),
        (&["kill-by-authid", "joe"], "kill_by_authid"),
        (&["kill", "5"], "kill"),
    ] {
        let told = format!(
            "realmkeeper: cannot call wamp.session.{procedure}: not allowed (wamp.error.not_authorized): \
             the role \"anonymous\" may not call \"wamp.session.{procedure}\"\n"
        );
        check(&router, &[&["sessions"], args].concat(), &[], 1, "", &told);
    }
}

/// Takes the subprotocol that is offered.
#[expect(clippy::result_large_err, reason = "the library has it so")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).expect("the program offers one");
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered.clone());
    Ok(response)
}

/// A router that plays what `answers` says to what it is sent, on one connection; gives its URL.
fn played(answers: impl Fn(&Json) -> Vec<Json> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is known"));
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the program connects");
        let mut socket = tungstenite::accept_hdr(stream, choose).expect("the program opens a WebSocket");
        // Until the program has gone.
        while let Ok(Message::Text(text)) = socket.read() {
            let message = serde_json::from_str(&text).expect("the program sends JSON");
            for answer in answers(&message) {
                socket.send(Message::text(answer.to_string())).expect("the program listens");
            }
        }
    });
    url
}

/// The usual answers of a router: to HELLO and GOODBYE, to SUBSCRIBE with the request as the id; to calls as `called`
/// says.
fn usual(message: &Json, called: impl Fn(&str, &Json) -> Json) -> Vec<Json> {
    let request = &message[1];
    match message[0].as_u64() {
        Some(1) => vec![json!([2, 1, {"roles": {"broker": {}, "dealer": {}}}])],
        Some(6) => vec![json!([6, {}, "wamp.close.goodbye_and_out"])],
        Some(32) => vec![json!([33, request, request])],
        Some(48) => {
            let result = called(message[3].as_str().expect("a procedure"), &message[4]);
            match result.as_str() {
                Some(error) => vec![json!([8, 48, request, {}, error])],
                None => vec![json!([50, request, {}, [result]])],
            }
        }
        _ => panic!("{message}"),
    }
}

#[test]
fn who_leaves_before_it_can_be_asked_for_is_left_out() {
    let url = played(|message| {
        usual(message, |procedure, args| match (procedure, args[0].as_u64()) {
            ("wamp.session.list", _) => json!([7, 5, 6]),
            ("wamp.session.get", Some(6)) => json!("wamp.error.no_such_session"),
            (_, id) => json!({"session": id}),
        })
    });
    let table = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                 5  -  -  -  -  -\n\
                 7  -  -  -  -  -\n\
                 2 sessions in realm1\n";
    let list = ["sessions", "list", "--url", &url];
    assert_eq!(ended(&mut program(&list), &[]), Ended::new(0, table, ""));
}

#[test]
fn whoever_is_not_told_whom_it_would_end_is_asked() {
    let url = played(|message| {
        usual(message, |procedure, args| match procedure {
            "wamp.session.list" => json!([1, 5, 6]),
            "wamp.session.get" => json!({"session": args[0]}),
            _ => panic!("{procedure} is called"),
        })
    });
    let told = "SESSION  AUTHID  AUTHROLE  PEER  AUTHMETHOD  CONNECTION\n\
                5  -  -  -  -  -\n\
                6  -  -  -  -  -\n\
                realmkeeper: 2 sessions would be ended; say --yes if that is meant\n";
    let kill = ["sessions", "kill-by-authid", "joe", "--url", &url];
    assert_eq!(ended(&mut program(&kill), &[]), Ended::new(2, "", told));
}

#[test]
fn what_a_router_tells_of_a_leave_is_told() {
    let url = played(|message| {
        let mut answers = usual(message, |procedure, args| match procedure {
            "wamp.session.list" => json!([5, 6]),
            _ => json!({"session": args[0], "authid": "a\u{1b}", "authrole": "member", "transport": null}),
        });
        // Behind the details of the last session.
        if message[3] == "wamp.session.get" && message[1] == 5 {
            answers.push(json!([36, 2, 9, {}, [5], {"cause": "killed", "by": 6, "\u{1b}[2J": "x\ny"}]));
            answers.push(json!([36, 2, 9, {}, [6]]));
            answers.push(json!([36, 2, 9, {}, [7]]));
            answers.push(json!([36, 2, 9, {}, ["no id"]]));
        }
        answers
    });
    let watched = "TIME watching realm1, sessions: 2\n\
                   TIME left  5 \"a\\u{1b}\" member, \"\\u{1b}[2J\": \"x\\ny\", by: 6, cause: killed\n\
                   TIME left  6 \"a\\u{1b}\" member\n";
    let told = "realmkeeper: what the router says makes no sense: wamp.session.on_leave with \
                [\"no id\"]\n";
    let watch = ["sessions", "watch", "--url", &url];
    assert_eq!(ended(&mut program(&watch), &[]), Ended::new(2, watched, told));
}

#[test]
fn however_many_join_while_the_sessions_are_listed_they_are_told() {
    const MANY: u64 = 3000;
    let url = played(|message| {
        let listed = message[3] == "wamp.session.list";
        let joins =
            (2..if listed { MANY + 2 } else { 0 }).map(|id| json!([36, 1, id, {}, [{"session": id}]]));
        joins.chain(usual(message, |_, _| json!([]))).collect()
    });
    let mut watch = Running::start(&mut program(&["sessions", "watch", "--json", "--url", &url]));
    assert_eq!(watch.line(&[]), r#"{"event":"connected","sessions":0,"time":"TIME"}"#);
    for id in 2..MANY + 2 {
        let line: Json = serde_json::from_str(&watch.line(&[])).expect("it is JSON");
        assert_eq!((&line["event"], &line["session"]), (&json!("joined"), &json!(id)));
    }
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
}

#[test]
fn a_router_that_talks_nonsense_is_left() {
    for (answer, told) in [
        (json!([2, 1]), "the message [2,1]"),
        (json!([2, "1", {}]), "the message [2,\"1\",{}]"),
        (json!({"a": "\u{1b}[2J"}), "invalid type: map, expected a sequence at line 1 column 0"),
        (json!([4, "magic", {}]), "it asks for magic, which was not offered"),
        (json!([50, 1, {}]), "the message [50,1,{}]"),
    ] {
        let url = played(move |_| vec![answer.clone()]);
        let text = format!("realmkeeper: what the router says makes no sense: {told}\n");
        let call = ["call", "com.example.a", "--url", &url];
        assert_eq!(ended(&mut program(&call), &[]), Ended::new(2, "", &text));
    }
}

/// The first block of commands in the section of the README, one command with its output after the other.
fn readme_commands() -> Vec<(&'static str, String)> {
    let readme = include_str!("../README.md");
    let (_, section) =
        readme.split_once("## Sessions from a terminal\n").expect("the README has the section");
    let (_, block) = section.split_once("```console\n$ ").expect("it has commands");
    let (block, _) = block.split_once("```").expect("the block has an end");
    let commands = block.split("\n$ ").map(|command| command.split_once('\n').unwrap_or((command, "")));
    commands.map(|(command, output)| (command, output.trim_end().to_owned())).collect()
}

#[test]
fn the_commands_of_the_readme_print_what_it_says() {
    let router = Router::start();
    let mut echo = Running::start(&mut command(&router, &["register", "com.example.echo"]));
    assert_eq!(echo.error(), "registered com.example.echo; Ctrl-C ends it");
    let list = command(&router, &["sessions", "list", "--json"]).output().expect("the program starts");
    let listed = String::from_utf8(list.stdout).expect("it is text");
    let listed = listed.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
    let mut listed = listed.map(|details| details["session"].to_string());
    // The other is that of the command.
    let is_there = |id: &String| {
        command(&router, &["sessions", "get", id]).output().expect("the program starts").status.success()
    };
    let id = listed.find(is_there).expect("the callee is there");
    let program =
        Path::new(env!("CARGO_BIN_EXE_realmkeeper")).parent().expect("it is in a folder").to_owned();
    let path = format!("{}:{}", program.display(), env::var("PATH").expect("there is a path"));
    let commands = readme_commands();
    assert_eq!(commands.len(), 5);
    for (line, expected) in commands {
        let told = "1421477381343556";
        let mut shell = Command::new("sh");
        shell.args(["-c", &line.replace(told, &id)]).env("PATH", &path).env("REALMKEEPER_URL", router.url());
        let Ended { stdout, stderr, .. } = ended(&mut shell, &[]);
        assert_eq!(stdout + &stderr, masked(&(expected + "\n"), &[]), "{line}");
    }
}
