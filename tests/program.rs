//! The program: what it prints, why it does not start, and how it stops.

use crate::support::{
    Peer,
    peer::Received,
    program::{Serving, program},
};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{net::TcpListener, process::Command};

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
         try: {} bench rpc --url {url} --seconds 2\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_BIN_EXE_realmkeeper")
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
            "realmkeeper: invalid value '{text}' for '--listen <ADDR>': must be an ip address and a port, such as \
             127.0.0.1:8080 or [::1]:8080\n"
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
