//! The programs of the README run unchanged, but for the address, and print what it says.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use realmkeeper_actors::{codec::Serializer, session::access::cra};
use serde_json::json;

use crate::support::{
    Peer, Router, clients,
    program::{self, Serving},
};

const README: &str = include_str!("../README.md");

/// The sections with programs.
const WATCHING: &str = "## Watch a session join and leave\n";
const OPENING: &str = "## Opening a realm to others\n";
const ASKING: &str = "### Asking your own components\n";

/// Where the programs of the README look for the router.
const ADDRESS: &str = "ws://127.0.0.1:8080/ws";

/// How long a program may take to print its next line.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_python_program_tells_who_joins_and_leaves() {
    tells_who_joins_and_leaves("python", || {
        let mut python = clients::python();
        python.arg("-c");
        python
    });
}

#[test]
fn the_javascript_program_tells_who_joins_and_leaves() {
    tells_who_joins_and_leaves("javascript", || {
        let mut node = clients::node();
        node.arg("-e");
        node
    });
}

/// Has one copy of the program watch another come and go.
fn tells_who_joins_and_leaves(language: &str, interpreter: fn() -> Command) {
    let router = Router::start();
    let program = block(WATCHING, language);
    assert!(program.contains(ADDRESS), "the program connects to {ADDRESS}:\n{program}");
    let program = program.replace(ADDRESS, &router.url());

    let watcher = Running::start(interpreter().arg(&program));
    let mut printed = vec![watcher.line()];
    let visitor = Running::start(interpreter().arg(&program));
    printed.push(watcher.line());
    drop(visitor);
    printed.push(watcher.line());

    assert_eq!(anonymised(printed), anonymised(block(WATCHING, "text").lines().map(String::from).collect()));
}

#[test]
fn the_example_of_a_realm_that_is_opened_to_others_works_as_it_stands() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-opening");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of tests can be written to");
    fs::write(folder.join("shop.toml"), block(OPENING, "toml")).expect("the file can be written");
    let program = Path::new(env!("CARGO_BIN_EXE_realmkeeper"));
    let path = format!("{}:/usr/bin:/bin", program.parent().expect("it is in a folder").display());
    let commands = block(OPENING, "console").split("$ ").skip(1).map(|command| {
        let (command, answer) = command.split_once('\n').unwrap_or((command, ""));
        (command, answer.trim_end())
    });
    let commands = commands.collect::<Vec<_>>();
    let [rest @ .., serve] = &commands[..] else { panic!("there are no commands") };
    assert_eq!((rest.len(), *serve), (3, ("realmkeeper --config shop.toml", "")));
    for (command, answer) in rest {
        let output =
            Command::new("sh").args(["-c", command]).current_dir(&folder).env("PATH", &path).output();
        let output = output.expect("there is a shell");
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
        assert_eq!(printed.trim_end(), *answer, "{command}");
    }
    let mut serve = program::program(&["--config", "shop.toml", "--listen", "127.0.0.1:0"]);
    let router = Serving::run(serve.current_dir(&folder));
    let url = format!("ws://{}/ws", router.address());
    let alice = block(OPENING, "python").replace(ADDRESS, &url);
    let printed = |program: &str| Running::start(clients::python().args(["-c", program])).line();
    assert_eq!(printed(&alice), block(OPENING, "text"));
    let told = printed(&alice.replace("secret123", "secret12"));
    assert_eq!(told, "wamp.error.authentication_denied the authid or the proof is wrong");
    assert!(README.contains(&format!("`{told}`")));
    router.signal("TERM");
    assert_eq!(router.wait().0, Some(0));
}

#[test]
fn the_example_of_a_component_that_is_asked_works_as_it_stands() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-asking");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of tests can be written to");
    fs::write(folder.join("shop.toml"), block(ASKING, "toml")).expect("the file can be written");
    let ticket = ("COMPONENT_TICKET", "secret of the component");
    let mut serve = program::program(&["--config", "shop.toml", "--listen", "127.0.0.1:0"]);
    let router = Serving::run(serve.current_dir(&folder).env(ticket.0, ticket.1));
    let url = format!("ws://{}/ws", router.address());
    let run = |program: &str| {
        let program = program.replace(ADDRESS, &url);
        Running::start(clients::python().args(["-c", &program]).env(ticket.0, ticket.1))
    };
    let component = run(block(ASKING, "python"));
    assert_eq!(component.line(), "ready");
    let alice = block(OPENING, "python");
    assert_eq!(run(alice).line(), block(OPENING, "text"));
    for (right, wrong) in [("secret123", "secret12"), ("alice", "bob")] {
        let told = run(&alice.replace(right, wrong)).line();
        assert_eq!(told, "wamp.error.authentication_denied the authid or the proof is wrong");
    }

    let mut peer = Peer::connect_to(router.address(), Serializer::Json);
    let details = json!({"roles": {"subscriber": {}}, "authmethods": ["wampcra"], "authid": "alice"});
    peer.send(&json!([1, "com.example.shop", details]));
    let asked = peer.message();
    let asked = asked[2]["challenge"].as_str().expect("there is a challenge");
    peer.send(&json!([5, cra::sign("secret123", asked), {}]));
    assert_eq!(peer.message()[2]["authid"], "alice");
    for (request, topic, answer) in
        [(1, "com.example.alice.orders", json!(33)), (2, "com.example.bob.orders", json!(8))]
    {
        peer.send(&json!([32, request, {}, topic]));
        assert_eq!(peer.message()[0], answer, "{topic}");
    }
    router.signal("TERM");
    assert_eq!(router.wait().0, Some(0));
}

/// The code block of a language in a section.
fn block(heading: &str, language: &str) -> &'static str {
    let (_, section) = README.split_once(heading).expect("the README has the section");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let fence = format!("\n```{language}\n");
    let (_, code) = section.split_once(&fence).unwrap_or_else(|| panic!("no {language} in the section"));
    let (code, _) = code.split_once("\n```").expect("a code block has an end");
    code
}

/// The lines, with each session id and authid replaced by a number that says where it was first seen.
fn anonymised(lines: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut number = |name: &str| {
        seen.iter().position(|known| known == name).unwrap_or_else(|| {
            seen.push(name.to_owned());
            seen.len() - 1
        })
    };
    let anonymise = |line: String| match line.split(' ').collect::<Vec<_>>()[..] {
        [event, id, authid, authrole] if id.parse::<u64>().is_ok() => {
            format!("{event} ${} ${} {authrole}", number(id), number(authid))
        }
        _ => line,
    };
    lines.into_iter().map(anonymise).collect()
}

/// A program that prints, killed on drop.
struct Running {
    process: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts the program.
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = process.stdout.take().expect("its output is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut printed = BufReader::new(stdout).lines().map_while(Result::ok);
            printed.try_for_each(|line| sender.send(line))
        });
        Self { process, lines }
    }

    /// The next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program prints another line")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails but for a program that has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
