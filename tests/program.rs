//! The program: what it prints, why it does not start, and how it stops.

use crate::support::{
    Peer, http,
    peer::Received,
    program::{Serving, program},
    scrape::Samples,
};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread::spawn,
};

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
         realm: realm1 (anonymous as anonymous)\n\
         try: {} bench rpc --url {url} --realm realm1 --seconds 2\n",
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

#[test]
fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let mut program = Serving::unread(&mut program(&["--listen", "127.0.0.1:0", "--log-level", "trace"]));
    let address = program.address();
    let lost = || Samples::at(address).value("realmkeeper_log_lines_lost_total");
    while lost() == 0.0 {
        let mut peer = Peer::connect_to(address, Serializer::Json);
        peer.say_hello("realm1", &json!({}));
    }
    let mut log = BufReader::new(program.log()).lines().map(|line| line.expect("a log is text"));
    let told = log.find(|line| line.contains("lines of this log were lost")).expect("it is told");
    assert!(told.contains("WARN"), "{told}");
    let last = spawn(move || log.filter(|line| line.contains("the router stops")).count());
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    assert_eq!(last.join().expect("the log has an end"), 1);
}

#[test]
fn what_clients_write_makes_no_line_of_the_log_long() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("long.log");
    let command = &mut program(&["--listen", "127.0.0.1:0", "--log-level", "debug"]);
    let serving = Serving::logging(command, &log);
    let text = "#".repeat(500_000);
    for realm in ["realm1", &text] {
        let mut peer = Peer::connect_to(serving.address(), Serializer::Json);
        peer.send(&json!([1, realm, {"roles": {"caller": {}}}]));
        if realm == "realm1" {
            assert_eq!(peer.message()[0], 2);
            peer.send(&json!([6, {}, text]));
        }
        assert_eq!(peer.message()[0], 3);
    }
    serving.signal("TERM");
    assert_eq!(serving.wait().0, Some(0));
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("cause=\"protocol_violation\"") && log.contains("client refused"), "{log}");
    assert!(log.lines().all(|line| line.len() < 1000), "{log}");
}

#[test]
fn a_fault_is_a_line_of_the_log() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.log");
    let command = &mut program(&["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let serving = Serving::logging(command.env_remove("RUST_BACKTRACE"), &file);
    let mut peer = Peer::connect_to(serving.address(), Serializer::Json);
    peer.say_hello("realm1", &json!({}));
    peer.send(&json!([16, 1, {}, "realmkeeper.fault.session"]));
    peer.rest();
    serving.signal("TERM");
    assert_eq!(serving.wait().0, Some(0));
    let log = fs::read_to_string(&file).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("every line is JSON"));
    let faults: Vec<serde_json::Value> =
        lines.filter(|line: &serde_json::Value| line["fields"]["message"] == "panicked").collect();
    let [fault] = &faults[..] else { panic!("one fault, one line: {log}") };
    let place = fault["fields"]["place"].as_str().expect("a fault has a place");
    assert!(place.starts_with("actors/src/fault.rs:"), "{place}");
    assert_eq!((&fault["level"], &fault["fields"]["backtrace"]), (&json!("ERROR"), &json!(null)));
    assert!(fault["fields"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{fault}");
}

#[test]
fn who_does_not_read_the_log_does_not_keep_it_from_stopping() {
    let program = Serving::unread(&mut program(&["--listen", "127.0.0.1:0", "--log-level", "trace"]));
    for _ in 0..200 {
        let mut peer = Peer::connect_to(program.address(), Serializer::Json);
        peer.say_hello("realm1", &json!({}));
    }
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
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
fn an_address_that_others_can_reach_is_refused() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.0.1:8080"] {
        let expected = format!(
            "realmkeeper: will not listen on {address}: without a configuration file anonymous clients may \
             do everything, so that only this machine may connect; use --listen 127.0.0.1:8080, or say in a file who \
             may do what and add --config FILE\n"
        );
        assert_eq!(refusal(&mut program(&["--listen", address])), expected);
    }
}

/// What the program says about a text that it gets as a flag and as a variable.
fn check_refused(flag: &str, text: &str, allowed: &str) {
    let variable = format!("REALMKEEPER_{}", flag.to_uppercase().replace('-', "_"));
    let expected = format!("realmkeeper: --{flag}: is {text:?}; {allowed}\n");
    assert_eq!(refusal(&mut program(&[&format!("--{flag}"), text])), expected);
    let expected = format!("realmkeeper: environment variable {variable}: is {text:?}; {allowed}\n");
    assert_eq!(refusal(program(&[]).env(variable, text)), expected);
}

#[test]
fn a_flag_or_variable_that_is_not_valid_is_named() {
    let allowed = "must be an ip address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    for text in ["nonsense", "127.0.0.1", "localhost:8080", "127.0.0.1:99999", "::1:8080", ""] {
        check_refused("listen", text, allowed);
        check_refused("admin", text, allowed);
    }
    let allowed = "must be error, warn, info, debug or trace, or directives such as \
                   info,realmkeeper_actors=debug";
    for text in ["loud", "realmkeeper=loud", "info,,debug", ""] {
        check_refused("log-level", text, allowed);
    }
    check_refused("log-format", "xml", "must be text or json");
}

#[test]
fn flags_variables_and_the_file_are_all_told_what_is_wrong_with_them() {
    let args = ["--config", "no_such.toml", "--listen", "here", "--log-format", "xml"];
    let address = "must be an ip address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    let expected = format!(
        "realmkeeper: --listen: is \"here\"; {address}\n\
         realmkeeper: environment variable REALMKEEPER_ADMIN: is \"there\"; {address}\n\
         realmkeeper: --log-format: is \"xml\"; must be text or json\n\
         realmkeeper: cannot read no_such.toml: No such file or directory (os error 2)\n"
    );
    assert_eq!(refusal(program(&args).env("REALMKEEPER_ADMIN", "there")), expected);
}

#[test]
fn a_flag_goes_before_its_variable_and_that_before_the_file() {
    let file = ["--config", "tests/config/served.toml"];
    let flag = ["--listen", "127.0.0.4:0"];
    let variable = ("REALMKEEPER_LISTEN", "127.0.0.3:0");
    let hosts = [
        Serving::run(&mut program(&file)),
        Serving::run(program(&file).env(variable.0, variable.1)),
        Serving::run(program(&file).args(flag).env(variable.0, variable.1)),
        Serving::run(program(&flag).env("REALMKEEPER_CONFIG", file[1])),
    ]
    .map(|program| program.address().ip().to_string());
    assert_eq!(hosts, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.4"]);
}

#[test]
fn a_configured_program_tells_who_may_join() {
    let program = Serving::run(&mut program(&["--config", "tests/config/served.toml"]));
    let (url, address) = (program.url().to_owned(), program.address());
    let mut peer = Peer::connect_to(program.address(), Serializer::Json);
    peer.say_hello("com.example.second", &json!({}));
    drop(peer);
    program.signal("TERM");
    let greeting = format!(
        "realmkeeper {} listens on {url}\n\
         realm: com.example.first (no anonymous; 2 principals)\n\
         realm: com.example.second (anonymous as guest; 1 principal)\n\
         try: curl http://{address}/healthz\n",
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(program.wait(), (Some(0), greeting));
}

#[test]
fn the_addresses_that_it_listens_on_are_told() {
    let text = r#"
        admin = { address = "127.0.0.1:0" }
        listeners = [
            { address = "127.0.0.1:0" },
            { address = "[::1]:0", path = "/second" },
            { address = "127.0.0.1:0", path = "/third" },
        ]
        realms = [{ name = "realm1" }]
    "#;
    let mut program = Serving::configured("several_listeners.toml", text);
    let [second, third, admin, realm, try_this] = [(); 5].map(|()| program.line());
    let told = |line: &str, before: &str, after: &str| -> SocketAddr {
        let address = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address: {line}"))
    };
    let first = program.address();
    let second = told(&second, "listens on ws://", "/second");
    let third = told(&third, "listens on ws://", "/third");
    let admin = told(&admin, "admin: http://", "");
    let rest = ["realm: realm1 (no anonymous)".to_owned(), format!("try: curl http://{admin}/healthz")];
    assert_eq!([realm, try_this], rest);
    for (address, path) in [(first, "/ws"), (second, "/second"), (third, "/third")] {
        drop(Peer::connect_at(address, path, Serializer::Json));
    }
    assert_eq!(http::plain(admin, "GET /healthz"), http::Answer::plain("200 ok", "ok"));
}

#[test]
fn what_is_told_to_try_needs_no_balancer() {
    const BALANCED: &str =
        r#"{ address = "127.0.0.1:0", proxy_protocol = true, trusted_proxies = ["127.0.0.1"] }"#;
    let open = r#"
        [[realms]]
        name = "realm1"
        anonymous = "anyone"
        [[realms.roles]]
        name = "anyone"
        [[realms.roles.permissions]]
        uri = ""
        match = "prefix"
        allow = ["call", "register", "publish", "subscribe"]
    "#;
    let told = |name: &str, listeners: &str| {
        let program = Serving::configured(name, &format!("listeners = [{listeners}]\n{open}"));
        let url = program.url().to_owned();
        program.signal("TERM");
        let told = program.wait().1;
        told.strip_prefix(&format!("realmkeeper {} listens on {url}\n", env!("CARGO_PKG_VERSION")))
            .expect("it begins so")
            .to_owned()
    };
    assert_eq!(told("balanced.toml", BALANCED), "realm: realm1 (anonymous as anyone)\n");
    let both = told("balanced_and_plain.toml", &format!(r#"{BALANCED}, {{ address = "127.0.0.1:0" }}"#));
    let (second, rest) = both.split_once('\n').expect("there are lines");
    let second = second.strip_prefix("listens on ").expect("there is a second");
    let try_this = format!(
        "try: {} bench rpc --url {second} --realm realm1 --seconds 2",
        env!("CARGO_BIN_EXE_realmkeeper")
    );
    assert_eq!(rest, format!("realm: realm1 (anonymous as anyone)\n{try_this}\n"));
}

#[test]
fn the_log_has_the_level_and_the_form_that_are_set() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("the port is known").to_string();
    // The file has a warning, and the program ends because the port is in use.
    let log = |args: &[&str], variables: &[(&str, &str)]| {
        let args = [&["--config", "tests/config/served.toml", "--listen", &address], args].concat();
        refusal(program(&args).envs(variables.iter().copied()))
    };
    let warning = "tests/config/served.toml:13:10: warning: realms[0].principals[0].ticket: can be read in the file; \
                   use ticket_hash, ticket_env or ticket_file";
    let text = log(&[], &[]);
    assert!(text.lines().any(|line| line.ends_with(&format!(" WARN realmkeeper: {warning}"))), "{text}");
    let (json, other) = (("REALMKEEPER_LOG_FORMAT", "json"), ("REALMKEEPER_LOG_LEVEL", "trace"));
    let text = log(&["--log-level", "warn"], &[json, other]);
    let lines = text.lines().collect::<Vec<_>>();
    let parsed: serde_json::Value = serde_json::from_str(lines[0]).expect("the line is JSON");
    assert_eq!((&parsed["level"], &parsed["fields"]["message"]), (&json!("WARN"), &json!(warning)));
    assert_eq!(lines.len(), 4, "three warnings, and why it ends: {text}");
    let text = log(&["--log-level", "error", "--log-format", "text"], &[json]);
    assert!(text.starts_with("realmkeeper: cannot listen on ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_stranger_who_speaks_no_http_writes_nothing_into_the_log() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("strangers.log");
    let logged = |level: &str, requests: &[&str]| {
        let serving =
            Serving::logging(&mut program(&["--listen", "127.0.0.1:0", "--log-level", level]), &file);
        for request in requests {
            let mut stream = TcpStream::connect(serving.address()).unwrap();
            // The router may end it before it has got all.
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
        serving.signal("TERM");
        assert_eq!(serving.wait().0, Some(0));
        fs::read_to_string(&file).unwrap()
    };
    let requests =
        ["\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20))];
    for level in ["error", "warn", "info"] {
        let (log, undisturbed) = (logged(level, &requests), logged(level, &[]));
        assert_eq!(log.lines().count(), undisturbed.lines().count(), "at the level {level}: {log}");
    }
}
