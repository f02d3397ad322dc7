//! The opening handshake of WebSocket, from both sides, and that of RawSocket.

use std::future::poll_fn;
use std::io;

use actix_http::ws::hash_key;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::encode::Serializer;
use super::failure::Failure;
use super::frame::{Framing, Inbox};

/// A WebSocket or RawSocket address without TLS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Address<'a> {
    /// What is spoken there.
    pub(super) framing: Framing,
    /// What a socket connects to: host and port.
    pub(super) authority: &'a str,
    /// What the request asks for; empty or with a slash first.
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    /// Takes a URL of the form `ws://host:port/path` or `rs://host:port` apart.
    pub(super) fn parse(url: &'a str) -> Result<Self, Failure> {
        let invalid = || Failure::Url(url.to_owned());
        let (framing, rest) = match (url.strip_prefix("ws://"), url.strip_prefix("rs://")) {
            (Some(rest), _) => (Framing::WebSocket, rest),
            (None, Some(rest)) => (Framing::RawSocket, rest),
            (None, None) => return Err(invalid()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if framing == Framing::RawSocket && !path.is_empty() {
            return Err(invalid());
        }
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        Ok(Self { framing, authority, path })
    }
}

/// Asks for a RawSocket that takes the longest messages, on a fresh connection, and checks the answer.
pub(super) async fn ask_raw(
    stream: &mut TcpStream,
    inbox: &mut Inbox,
    url: &str,
    serializer: Serializer,
) -> Result<(), Failure> {
    let request = [0x7f, 0xf0 | serializer.number(), 0, 0];
    let lost = |error: io::Error| Failure::lost_in_handshake(url, &error);
    stream.write_all(&request).await.map_err(lost)?;
    let answer = loop {
        match inbox.four() {
            Some(answer) => break answer,
            None => poll_fn(|context| inbox.poll_fill(stream, context)).await.map_err(lost)?,
        }
    };
    if answer[0] == 0x7f && answer[1] & 15 == serializer.number() && answer[2..] == [0, 0] {
        return Ok(());
    }
    Err(Failure::Handshake { url: url.to_owned(), answer: format!("{answer:02x?}") })
}

/// Asks for a WebSocket on a fresh connection and checks the answer.
pub(super) async fn ask(
    stream: &mut TcpStream,
    inbox: &mut Inbox,
    url: &str,
    address: Address<'_>,
    subprotocol: &str,
) -> Result<(), Failure> {
    let Address { authority, path, .. } = address;
    let path = if path.is_empty() { "/" } else { path };
    let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    );
    let lost = |error: io::Error| Failure::lost_in_handshake(url, &error);
    stream.write_all(request.as_bytes()).await.map_err(lost)?;
    let head = read_head(stream, inbox).await.map_err(lost)?;
    check(&head, &key, subprotocol).map_err(|answer| Failure::Handshake { url: url.to_owned(), answer })
}

fn check(head: &str, key: &str, subprotocol: &str) -> Result<(), String> {
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(status.to_owned());
    }
    if header(head, "Sec-WebSocket-Accept").map(str::as_bytes) != Some(&hash_key(key.as_bytes())) {
        return Err("Sec-WebSocket-Accept does not fit the key".to_owned());
    }
    match header(head, "Sec-WebSocket-Protocol") {
        Some(answered) if answered == subprotocol => Ok(()),
        answered => Err(format!("asked for subprotocol {subprotocol} and got {answered:?}")),
    }
}

/// Grants a WebSocket with the first subprotocol asked for, and returns the path of the request.
pub(super) async fn grant(stream: &mut TcpStream, inbox: &mut Inbox) -> io::Result<String> {
    let head = read_head(stream, inbox).await?;
    let key = header(&head, "Sec-WebSocket-Key").ok_or(io::ErrorKind::InvalidData)?;
    let accept = hash_key(key.as_bytes());
    let accept = String::from_utf8_lossy(&accept);
    let subprotocol = header(&head, "Sec-WebSocket-Protocol").and_then(|names| names.split(',').next());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
        subprotocol.unwrap_or_default()
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// Reads to the empty line. Frames that come with it stay in the inbox.
async fn read_head(stream: &mut TcpStream, inbox: &mut Inbox) -> io::Result<String> {
    loop {
        if let Some(head) = inbox.until(b"\r\n\r\n") {
            return String::from_utf8(head.to_vec()).map_err(|_| io::ErrorKind::InvalidData.into());
        }
        poll_fn(|context| inbox.poll_fill(stream, context)).await?;
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and answer of the example in RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\n\
                          sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                          Sec-WebSocket-Protocol: wamp.2.json";

    #[test]
    fn only_the_right_answer_opens_a_websocket() {
        assert_eq!(check(ANSWER, KEY, "wamp.2.json"), Ok(()));
        let status = "HTTP/1.1 403 Forbidden";
        assert_eq!(
            check(&ANSWER.replace("HTTP/1.1 101 Switching Protocols", status), KEY, "wamp.2.json"),
            Err(status.into())
        );
        assert!(check(&ANSWER.replace("s3p", "S3p"), KEY, "wamp.2.json").is_err());
        assert!(check(ANSWER, KEY, "wamp.2.msgpack").is_err());
        assert!(check(&ANSWER.replace("Protocol:", "Other:"), KEY, "wamp.2.json").is_err());
    }

    #[test]
    fn addresses_name_host_and_port() {
        let (framing, raw) = (Framing::WebSocket, Framing::RawSocket);
        let address = Address { framing, authority: "[::1]:8080", path: "/ws" };
        assert_eq!(Address::parse("ws://[::1]:8080/ws").unwrap(), address);
        assert_eq!(
            Address::parse("ws://localhost:80").unwrap(),
            Address { framing, authority: "localhost:80", path: "" }
        );
        assert_eq!(
            Address::parse("rs://localhost:80").unwrap(),
            Address { framing: raw, authority: "localhost:80", path: "" }
        );
        for wrong in [
            "rs://localhost:80/",
            "rss://localhost:80",
            "wss://localhost:8080/",
            "ws://localhost/ws",
            "ws://:80/",
            "localhost:8080",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
