//! The program: what it prints, why it does not start, and how it stops.

use crate::support::{Peer, peer::Received};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStdout, Command, Stdio},
};

/// The program, with what a person may have in the environment taken away.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realmkeeper"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// A program that serves. It is killed when it is dropped.
struct Serving {
    process: Child,
    output: BufReader<ChildStdout>,
    /// What it has printed so far.
    printed: String,
}

impl Serving {
    /// Starts it and waits until it serves.
    fn start() -> Self {
        let mut command = program(&["--listen", "127.0.0.1:0"]);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let mut output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let mut printed = String::new();
        output.read_line(&mut printed).expect("the program prints");
        Self { process, output, printed }
    }

    /// The URL that the first line names.
    fn url(&self) -> &str {
        self.printed.lines().next().and_then(|line| line.split(' ').next_back()).expect("a URL is printed")
    }

    fn address(&self) -> SocketAddr {
        let address = self.url().strip_prefix("ws://").and_then(|url| url.strip_suffix("/ws"));
        address.and_then(|address| address.parse().ok()).expect("the URL holds an address")
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill can be run");
        assert!(sent.success(), "the signal is sent");
    }

    /// Waits for its end; gives its exit code and all that it has printed.
    fn wait(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.printed).expect("the program prints text");
        let status = self.process.wait().expect("the program ends");
        (status.code(), std::mem::take(&mut self.printed))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Neither fails but for a program that has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn says_goodbye_on(signal: &str) {
    let program = Serving::start();
    let url = program.url().to_owned();
    let mut peers = Serializer::ALL.map(|serializer| {
        let mut peer = Peer::connect_to(program.address(), serializer);
        peer.say_hello("realm1", &json!({}));
        peer
    });
    program.signal(signal);
    for peer in &mut peers {
        assert_eq!(peer.message(), json!([6, {}, "wamp.close.system_shutdown"]));
        peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
        assert_eq!(peer.receive(), Received::Close(Some(1001)));
        assert_eq!(peer.receive(), Received::End);
    }
    let greeting = format!(
        "realmkeeper {} listens on {url}\n\
         realms: realm1 (anonymous clients may do everything)\n\
         try: realmkeeper bench rpc --url {url} --seconds 2\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(program.wait(), (Some(0), greeting));
}

#[test]
fn it_greets_and_says_goodbye_when_it_is_told_to_terminate() {
    says_goodbye_on("TERM");
}

#[test]
fn it_greets_and_says_goodbye_when_it_is_interrupted() {
    says_goodbye_on("INT");
}

#[test]
fn it_does_not_wait_for_clients_that_do_not_answer() {
    let program = Serving::start();
    let silent = Peer::connect_to(program.address(), Serializer::Json);
    let mut joined = Peer::connect_to(program.address(), Serializer::Json);
    joined.say_hello("realm1", &json!({}));
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    drop((silent, joined));
}

/// What the program says when it does not start, with exit code 2 and nothing on its output.
fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    String::from_utf8(output.stderr).expect("the program prints text")
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("the port is known");
    let error = TcpListener::bind(address).expect_err("the port is in use");
    let expected = format!("realmkeeper: cannot listen on {address}: {error}\n");
    assert_eq!(refusal(&mut program(&["--listen", &address.to_string()])), expected);
}

#[test]
fn what_is_no_address_is_refused() {
    for text in ["nonsense", "127.0.0.1", "localhost:8080", "127.0.0.1:99999", "::1:8080"] {
        let expected = format!(
            "error: invalid value '{text}' for '--listen <ADDR>': must be an ip address and a port, such as \
             127.0.0.1:8080 or [::1]:8080\n\nFor more information, try '--help'.\n"
        );
        assert_eq!(refusal(&mut program(&["--listen", text])), expected);
    }
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.0.1:8080"] {
        let expected = format!(
            "realmkeeper: will not listen on {address}: without a configuration anonymous clients may do \
             everything, so that only this machine may connect; use --listen 127.0.0.1:8080 or --listen \
             [::1]:8080\n"
        );
        assert_eq!(refusal(&mut program(&["--listen", address])), expected);
    }
}

#[test]
fn a_log_filter_that_is_not_valid_is_refused() {
    let text = refusal(program(&[]).env("RUST_LOG", "realmkeeper=loud"));
    let expected = "realmkeeper: the environment variable RUST_LOG is not valid: ";
    assert!(text.starts_with(expected) && text.lines().count() == 1, "{text}");
}
