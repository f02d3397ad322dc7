//! A small WAMP client: one connection, what was received on it, and what is to be sent.
//!
//! Messages that a role produces are collected in its [`Outgoing`] and leave in one write when the role waits
//! for the next read, so a benchmark costs two system calls for all messages of one read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite as _;
use tokio::time::timeout;

use super::decode::Message;
use super::encode::Field::{self, Empty, Id, Payload, Raw, Roles, Text, Uint};
use super::encode::encode;
use super::failure::Failure;
use super::frame::{BINARY, CLOSE, Frame, Framing, Inbox, PING, PONG, TEXT};
use crate::client::{Dialed, Dialer, Octets, Serializer};

/// Seconds that the server may take to answer while the benchmark is being set up.
const PATIENCE: u64 = 10;

/// The registration id that messages through the relay carry, as long as an id of a router.
pub(super) const RELAYED_REGISTRATION: u64 = 5_417_300_288_905_221;
/// The subscription id that events through the relay carry.
pub(super) const RELAYED_SUBSCRIPTION: u64 = 7_710_563_904_418_736;
/// The publication id that events through the relay carry.
const RELAYED_PUBLICATION: u64 = 3_905_528_611_704_919;

/// A connection of the benchmark.
pub(super) struct Client {
    stream: Box<dyn Octets>,
    /// What the server has sent.
    pub(super) incoming: Incoming,
    /// What it is to be sent.
    pub(super) outgoing: Outgoing,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(dialer: &Dialer) -> Result<Self, Failure> {
        let url: Rc<str> = dialer.address().to_string().into();
        let dialing = async { Ok(dialer.dial().await?) };
        let Dialed { octets, read, .. } = within(&url, "the handshake", dialing).await?;
        let framing = if dialer.address().is_web_socket() { Framing::WebSocket } else { Framing::RawSocket };
        let serializer = dialer.serializer();
        Ok(Self {
            stream: octets,
            incoming: Incoming { inbox: Inbox::new(framing, &read), serializer, url },
            outgoing: Outgoing::new(serializer, framing),
        })
    }

    /// Joins a realm; returns the session id.
    pub(super) async fn join(&mut self, realm: &str) -> Result<u64, Failure> {
        self.outgoing.put(&[Uint(1), Text(realm), Roles]);
        let what = format!("to join realm {realm}");
        let url = Rc::clone(&self.incoming.url);
        let welcome = self.answer(&what, |message| {
            let Message::Welcome { session } = message else { return None };
            Some(*session)
        });
        within(&url, &what, welcome).await
    }

    /// Subscribes to a topic; returns the subscription id.
    pub(super) async fn subscribe(&mut self, topic: &str) -> Result<u64, Failure> {
        let request = self.outgoing.next_request();
        self.outgoing.put(&[Uint(32), Uint(request), Empty, Text(topic)]);
        let what = format!("to subscribe to {topic}");
        let url = self.incoming.url.clone();
        let subscribed = self.answer(&what, |message| {
            let Message::Subscribed { request: answered, subscription } = message else { return None };
            (*answered == request).then_some(*subscription)
        });
        within(&url, &what, subscribed).await
    }

    /// Registers a procedure; returns the registration id.
    pub(super) async fn register(&mut self, procedure: &str) -> Result<u64, Failure> {
        let request = self.outgoing.next_request();
        self.outgoing.put(&[Uint(64), Uint(request), Empty, Text(procedure)]);
        let what = format!("to register {procedure}");
        let url = self.incoming.url.clone();
        let registered = self.answer(&what, |message| {
            let Message::Registered { request: answered, registration } = message else { return None };
            (*answered == request).then_some(*registration)
        });
        within(&url, &what, registered).await
    }

    /// Leaves the realm and waits until the router has said goodbye.
    pub(super) async fn leave(mut self) -> Result<(), Failure> {
        self.outgoing.goodbye("wamp.close.close_realm");
        let url = self.incoming.url.clone();
        let goodbye = self.wait_for(|message| matches!(message, Message::Goodbye { .. }).then_some(()));
        within(&url, "GOODBYE", goodbye).await
    }

    /// Does nothing but answer pings until the router says GOODBYE; answers that too.
    pub(super) async fn await_goodbye(mut self) -> Result<(), Failure> {
        self.wait_for(|message| matches!(message, Message::Goodbye { .. }).then_some(())).await?;
        self.outgoing.goodbye("wamp.close.goodbye_and_out");
        self.flush().await
    }

    /// Writes what is queued, then waits until something was read.
    pub(super) async fn exchange(&mut self) -> Result<(), Failure> {
        poll_fn(|context| {
            let _flushed: Poll<()> = self.outgoing.poll_flush(&mut self.stream, context)?;
            self.incoming.inbox.poll_fill(&mut self.stream, context)
        })
        .await
        .map_err(|error| self.incoming.lost(error))
    }

    /// Writes what is queued.
    async fn flush(&mut self) -> Result<(), Failure> {
        poll_fn(|context| self.outgoing.poll_flush(&mut self.stream, context))
            .await
            .map_err(|error| self.incoming.lost(error))
    }

    /// Waits for a message that `pick` takes; a refusal ends the wait.
    async fn answer<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<T, Failure> {
        let url = Rc::clone(&self.incoming.url);
        self.wait_for(|message| {
            if let Message::Abort { reason } | Message::Goodbye { reason } | Message::Error { reason, .. } =
                message
            {
                let (url, what, reason) = (url.to_string(), what.to_owned(), (*reason).to_owned());
                return Some(Err(Failure::Refused { url, what, reason }));
            }
            pick(message).map(Ok)
        })
        .await?
    }

    async fn wait_for<T>(&mut self, pick: impl Fn(&Message<'_>) -> Option<T>) -> Result<T, Failure> {
        loop {
            while let Some(message) = self.incoming.next(&mut self.outgoing)? {
                if let Some(picked) = pick(&message) {
                    return Ok(picked);
                }
            }
            self.exchange().await?;
        }
    }
}

async fn within<T>(
    url: &str,
    what: &str,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let silent = || Failure::Silent { url: url.to_owned(), what: what.to_owned(), seconds: PATIENCE };
    timeout(Duration::from_secs(PATIENCE), answer).await.unwrap_or_else(|_| Err(silent()))
}

/// What was received on a connection.
#[derive(Debug)]
pub(super) struct Incoming {
    inbox: Inbox,
    serializer: Serializer,
    url: Rc<str>,
}

impl Incoming {
    /// Takes the next message that has arrived whole. Pings are answered on the way.
    pub(super) fn next(&self, outgoing: &mut Outgoing) -> Result<Option<Message<'_>>, Failure> {
        let Self { inbox, serializer, url } = self;
        let lost = |reason: String| Failure::Lost { url: url.to_string(), reason };
        while let Some(frame) = inbox.frame().map_err(|error| lost(error.to_string()))? {
            match frame.opcode {
                TEXT | BINARY => {
                    let message = Message::decode(*serializer, frame.payload);
                    let shown = || String::from_utf8_lossy(&frame.payload[..frame.payload.len().min(200)]);
                    return message.map(Some).map_err(|error| lost(format!("{error}: {}", shown())));
                }
                PING => outgoing.frame(PONG, frame.payload),
                CLOSE => {
                    let (code, reason) = frame.payload.split_at(frame.payload.len().min(2));
                    let code = code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
                    let reason = String::from_utf8_lossy(reason);
                    return Err(lost(format!("closed by the server with code {code} {reason:?}")));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The connection is of no use any more.
    fn lost(&self, error: io::Error) -> Failure {
        Failure::Lost { url: self.url.to_string(), reason: error.to_string() }
    }
}

/// What is to be sent on a connection, in frames that are masked on a WebSocket as those of any client.
#[derive(Debug)]
pub(super) struct Outgoing {
    framing: Framing,
    frames: BytesMut,
    message: Vec<u8>,
    serializer: Serializer,
    key: u32,
    request: u64,
}

impl Outgoing {
    fn new(serializer: Serializer, framing: Framing) -> Self {
        Self {
            framing,
            frames: BytesMut::new(),
            message: Vec::new(),
            serializer,
            key: rand::random::<u32>() | 1,
            request: 0,
        }
    }

    /// Draws the id of the next request of this session.
    pub(super) fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    /// CALL that carries its own request id and a text; returns the id.
    pub(super) fn call(&mut self, procedure: &str, text: &str) -> u64 {
        let request = self.next_request();
        self.put(&[Uint(48), Uint(request), Empty, Text(procedure), Payload(request, text)]);
        request
    }

    /// CALL of `wamp.session.list`; returns its request id.
    pub(super) fn call_session_list(&mut self) -> u64 {
        let request = self.next_request();
        self.put(&[Uint(48), Uint(request), Empty, Text("wamp.session.list")]);
        request
    }

    /// CALL of `wamp.session.kill`; returns its request id.
    pub(super) fn call_session_kill(&mut self, session: u64) -> u64 {
        let request = self.next_request();
        self.put(&[Uint(48), Uint(request), Empty, Text("wamp.session.kill"), Id(session)]);
        request
    }

    /// YIELD with arguments as they came.
    pub(super) fn answer(&mut self, invocation: u64, arguments: &[u8]) {
        self.put(&[Uint(70), Uint(invocation), Empty, Raw(arguments)]);
    }

    /// PUBLISH without acknowledgement.
    pub(super) fn publish(&mut self, topic: &str, number: u64, text: &str) {
        let request = self.next_request();
        self.put(&[Uint(16), Uint(request), Empty, Text(topic), Payload(number, text)]);
    }

    /// GOODBYE.
    pub(super) fn goodbye(&mut self, reason: &str) {
        self.put(&[Uint(6), Empty, Text(reason)]);
    }

    /// INVOCATION, as the router would make it of a CALL, for the way through a relay; returns its request
    /// id.
    pub(super) fn relayed_call(&mut self, text: &str) -> u64 {
        let request = self.next_request();
        self.put(&[Uint(68), Uint(request), Uint(RELAYED_REGISTRATION), Empty, Payload(request, text)]);
        request
    }

    /// RESULT, as the router would make it of a YIELD, for the way through a relay.
    pub(super) fn relayed_answer(&mut self, request: u64, arguments: &[u8]) {
        self.put(&[Uint(50), Uint(request), Empty, Raw(arguments)]);
    }

    /// EVENT, as the router would make it of a PUBLISH, for the way through a relay.
    pub(super) fn relayed_publish(&mut self, number: u64, text: &str) {
        let (subscription, publication) = (Uint(RELAYED_SUBSCRIPTION), Uint(RELAYED_PUBLICATION));
        self.put(&[Uint(36), subscription, publication, Empty, Payload(number, text)]);
    }

    fn put(&mut self, fields: &[Field<'_>]) {
        let mut message = std::mem::take(&mut self.message);
        encode(self.serializer, fields, &mut message);
        let opcode = match (self.framing, self.serializer) {
            (Framing::WebSocket, Serializer::Json) => TEXT,
            (Framing::WebSocket, Serializer::Msgpack | Serializer::Cbor) | (Framing::RawSocket, _) => BINARY,
        };
        self.frame(opcode, &message);
        message.clear();
        self.message = message;
    }

    /// Frames of a WebSocket get a new mask each, from a generator that is cheap rather than good (xorshift).
    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        if self.framing == Framing::RawSocket {
            return Frame::put_raw(opcode, payload, &mut self.frames);
        }
        self.key ^= self.key << 13;
        self.key ^= self.key >> 17;
        self.key ^= self.key << 5;
        Frame::put_masked(opcode, payload, self.key.to_ne_bytes(), &mut self.frames);
    }

    fn poll_flush(
        &mut self,
        stream: &mut Box<dyn Octets>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            match Pin::new(&mut *stream).poll_write(context, &self.frames) {
                Poll::Ready(Ok(written)) if written == self.frames.len() => self.frames.clear(),
                Poll::Ready(Ok(written)) => self.frames.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // What TLS has encrypted may not be written yet.
        Pin::new(stream).poll_flush(context)
    }
}
