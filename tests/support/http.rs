//! Requests over HTTP, written out and read octet by octet.

use super::router::PATIENCE;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// The headers of an upgrade, with the key that RFC 6455 has as example.
const HEADERS: [(&str, &str); 6] = [
    ("Host", "localhost"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "wamp.2.json"),
];

/// What the router answers a request, in lower case but for the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Such as `200 ok`.
    pub(crate) status: String,
    /// The headers in the order of their names, but for the date.
    pub(crate) headers: Vec<String>,
    pub(crate) text: String,
}

impl Answer {
    /// An answer in plain text, after which the connection ends.
    pub(crate) fn plain(status: &str, text: &str) -> Self {
        let headers = vec![
            "connection: close".to_owned(),
            format!("content-length: {}", text.len() + 1),
            "content-type: text/plain; charset=utf-8".to_owned(),
        ];
        Self { status: status.to_owned(), headers, text: format!("{text}\n") }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self.headers.sort();
        self
    }

    /// The same without its text, as it answers HEAD.
    pub(crate) fn without_text(mut self) -> Self {
        self.text.clear();
        self
    }
}

/// A request for an upgrade, some of its headers changed, left out or added.
pub(crate) fn upgrade(line: &str, changes: &[(&str, Option<&str>)]) -> String {
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = HEADERS.into_iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let headers: String = kept.chain(added).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line} HTTP/1.1\r\n{headers}\r\n")
}

/// Sends octets on a new connection.
pub(crate) fn send(address: SocketAddr, octets: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the router listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is valid");
    stream.write_all(octets).expect("the router takes the request");
    stream
}

/// Reads the head of an answer: its status, and its headers in order but for the date.
pub(crate) fn head(stream: &mut TcpStream) -> (String, Vec<String>) {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("the router answers");
        octets.extend(octet);
    }
    let text = String::from_utf8(octets).expect("the head is text").to_lowercase();
    let mut lines = text.trim_end().lines().map(str::to_owned);
    let first = lines.next().expect("a head has a first line");
    let status = first.split_once(' ').expect("the status follows the version").1.to_owned();
    let mut headers: Vec<_> = lines.filter(|line| !line.starts_with("date: ")).collect();
    headers.sort();
    (status, headers)
}

/// The status of the answer that upgrades a connection.
pub(crate) const UPGRADED: &str = "101 switching protocols";

/// Sends a request; gives the answer, after which the connection has to end unless it is upgraded.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = send(address, request.as_bytes());
    let (status, headers) = head(&mut stream);
    let mut text = String::new();
    if status != UPGRADED {
        stream.read_to_string(&mut text).expect("the router closes the connection");
    }
    Answer { status, headers, text }
}

/// Sends a request without an upgrade, such as `GET /healthz`, on a connection that could be used again.
pub(crate) fn plain(address: SocketAddr, line: &str) -> Answer {
    ask(address, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}
