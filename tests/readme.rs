//! The programs of the README run unchanged, but for the address, and print what it says.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::{Router, clients};

const README: &str = include_str!("../README.md");

/// The section with the programs.
const HEADING: &str = "## Watch a session join and leave\n";

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
    let program = block(language);
    assert!(program.contains(ADDRESS), "the program connects to {ADDRESS}:\n{program}");
    let program = program.replace(ADDRESS, &router.url());

    let watcher = Running::start(interpreter().arg(&program));
    let mut printed = vec![watcher.line()];
    let visitor = Running::start(interpreter().arg(&program));
    printed.push(watcher.line());
    drop(visitor);
    printed.push(watcher.line());

    assert_eq!(anonymised(printed), anonymised(block("text").lines().map(String::from).collect()));
}

/// The code block of a language in the section.
fn block(language: &str) -> &'static str {
    let (_, section) = README.split_once(HEADING).expect("the README has the section");
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
