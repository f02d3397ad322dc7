//! Messages on their way into the outboxes of those who get them: framed, within what each takes, and counted.

use crate::{
    codec::Serializer,
    message::{
        Invocation, RequestType, RouterMessage,
        id::{RequestId, SessionId},
        uri::Uri,
    },
    metrics::Sent,
    transport::{
        framing::{Framer, Framing, TooLong},
        outbox::Outbox,
    },
};
use smallvec::SmallVec;
use std::{fmt::Display, sync::Arc};
use tracing::debug;

/// How a member takes messages.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) serializer: Serializer,
    pub(super) framing: Framing,
    pub(super) outbox: Arc<Outbox>,
    /// The newest invocation that was to be sent to it.
    pub(super) invoked: Option<RequestId>,
}

impl Receiver {
    /// Whether a message is the first that it gets of an invocation.
    fn is_opened_by(&mut self, message: &RouterMessage) -> bool {
        let RouterMessage::Invocation(Invocation { request, .. }) = message else { return false };
        let is_new = Some(*request) > self.invoked;
        if is_new {
            self.invoked = Some(*request);
        }
        is_new
    }

    /// Whether a message of so many octets can be sent, however little waits for the client.
    fn takes(&self, octets: usize) -> Result<(), TooLong> {
        self.framing.takes(octets).and_then(|()| self.outbox.takes(octets))
    }
}

/// What a step sends, while it is delivered.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    realm: &'a Uri,
    framer: &'a mut Framer,
    delivered: Delivered,
}

/// What was delivered.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// What was queued, and what nobody is told of that was not.
    pub(super) sent: Sent,
    /// What receivers do not take, as far as something follows of that.
    pub(super) undelivered: Vec<Undelivered>,
}

/// What a session does not take.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) to: SessionId,
    pub(super) of: Oversized,
}

/// What is too large.
#[derive(Debug)]
pub(super) enum Oversized {
    /// WELCOME.
    Welcome(TooLong),
    /// The answer to this request, or a further part of this invocation.
    Request(RequestType, RequestId),
    /// The first of this invocation, of which the session knows nothing.
    Opening(RequestId),
}

/// Whether something of the same request to the same session was not delivered.
fn is_among(undelivered: &[Undelivered], to: SessionId, message: &RouterMessage) -> bool {
    let request = message.request();
    let interrupted =
        if let RouterMessage::Interrupt(message) = message { Some(message.request) } else { None };
    undelivered.iter().filter(|other| other.to == to).any(|other| match other.of {
        Oversized::Request(request_type, id) => request == Some((request_type, id)),
        // Nor does it hear of the end of what has not begun for it.
        Oversized::Opening(id) => request == Some((RequestType::Invocation, id)) || interrupted == Some(id),
        Oversized::Welcome(_) => false,
    })
}

impl<'a> Delivery<'a> {
    pub(super) fn new(realm: &'a Uri, framer: &'a mut Framer) -> Self {
        Self { realm, framer, delivered: Delivered::default() }
    }

    /// Queues a message for one session.
    #[inline]
    pub(super) fn send(&mut self, to: SessionId, receiver: &mut Receiver, message: &RouterMessage) {
        let Delivered { sent, undelivered } = &mut self.delivered;
        let is_opened = receiver.is_opened_by(message);
        let mut encoded = self.framer.encode(message, receiver.serializer);
        match receiver.takes(encoded.length()) {
            // What follows a part that is too large is not sent either.
            Ok(()) if undelivered.is_empty() || !is_among(undelivered, to, message) => {
                if receiver.outbox.push(encoded.frame(receiver.framing)) {
                    sent.note(message, 1);
                }
            }
            Ok(()) => {}
            Err(_) if is_among(undelivered, to, message) => {}
            Err(too_long) => match (message, message.request()) {
                (RouterMessage::Welcome(_), _) => {
                    undelivered.push(Undelivered { to, of: Oversized::Welcome(too_long) });
                }
                (_, Some((_, request))) if is_opened => {
                    undelivered.push(Undelivered { to, of: Oversized::Opening(request) });
                }
                (_, Some((request_type, request))) => {
                    undelivered.push(Undelivered { to, of: Oversized::Request(request_type, request) });
                }
                (_, None) => {
                    debug!(realm = %self.realm, session = %to, %too_long, "event not delivered");
                    sent.note_undeliverable(1);
                }
            },
        }
    }

    /// Queues the same messages, one behind the other, for several sessions, which have the serializer of their payloads.
    /// Each is encoded once.
    pub(super) fn broadcast<'r>(
        &mut self,
        receivers: impl Iterator<Item = &'r Receiver>,
        messages: &[&RouterMessage],
    ) {
        // All are looked up before the first outbox is locked: the processor does not wait for one after the other then.
        let receivers: SmallVec<[_; 4]> = receivers.collect();
        let Some(first) = receivers.first() else { return };
        let is_like_first = |receiver: &&Receiver| receiver.framing.is_like(first.framing);
        let alike = || receivers.iter().copied();
        self.queue(|| alike().filter(is_like_first), messages);
        self.queue(|| alike().filter(|receiver| !is_like_first(receiver)), messages);
    }

    /// Queues messages for sessions that are framed alike. A session misses those that it does not take.
    fn queue<'r, R: Iterator<Item = &'r Receiver>>(
        &mut self,
        receivers: impl Fn() -> R + Copy,
        messages: &[&RouterMessage],
    ) {
        let Some(&Receiver { serializer, framing, .. }) = receivers().next() else { return };
        let mut rest = messages;
        while !rest.is_empty() {
            let row = self.framer.row(rest, serializer, framing);
            let (these, later) = rest.split_at(row.count);
            rest = later;
            let takes = |receiver: &&Receiver| receiver.takes(row.longest).is_ok();
            let missing = receivers().filter(|receiver| !takes(receiver)).count();
            if missing > 0 && these.len() > 1 {
                these.iter().for_each(|message| self.queue(receivers, &[*message]));
                continue;
            }
            let taking = receivers().filter(takes).map(|receiver| &*receiver.outbox);
            let queued = Outbox::push_to_all(taking, row.frames);
            let sent = &mut self.delivered.sent;
            these.iter().for_each(|message| sent.note(message, queued));
            sent.note_undeliverable(missing);
        }
    }

    /// Takes note of an event that so many sessions miss.
    pub(super) fn miss(&mut self, receivers: usize, problem: &impl Display) {
        debug!(realm = %self.realm, receivers, %problem, "event not delivered");
        self.delivered.sent.note_undeliverable(receivers);
    }

    /// Queues the last message for a session, if there is one and it takes it.
    pub(super) fn finish_with(&mut self, receiver: &Receiver, farewell: Option<&RouterMessage>) {
        let mut encoded = farewell.map(|farewell| self.framer.encode(farewell, receiver.serializer));
        let last = encoded.as_mut().and_then(|encoded| encoded.frame_within(receiver.framing).ok());
        let is_queued = receiver.outbox.finish(last);
        if let Some(farewell) = farewell
            && is_queued
        {
            self.delivered.sent.note(farewell, 1);
        }
    }

    /// What was delivered.
    pub(super) fn finish(self) -> Delivered {
        self.delivered
    }
}
