//! The opening handshake of WebSocket, as the relay answers it.

use std::future::poll_fn;
use std::io;

use actix_http::ws::hash_key;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::frame::Inbox;

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
