//! The session as an actor, and its I/O future.
//!
//! The socket belongs to the session. [`SessionIo`] is a future in the session's own context: it runs when the
//! socket is ready, when the outbox has something, and after the mailbox brought control. Nothing that a peer
//! does or fails to do keeps the mailbox from being looked at.

use super::{
    Rate, SessionSettings, Verifier,
    access::{Access, CertificateName},
    auth::Checked,
    authenticator::{Asking, Question},
    clock::{Clock, Due, Stage},
    handshake::{Handshake, Lent, Next, Outcome, Verifying},
    refused::Refused,
    verification::Verification,
};
use crate::{
    cause::Cause,
    codec::Malformed,
    limit::Limit,
    message::{ClientMessage, RouterMessage},
    metrics::{self, Metrics},
    realm::actor::{Ask, Join, Membership},
    roster::Transport,
    router::actor::{AskRealm, JoinRealm, Router},
    step::Reply,
    transport::{
        connection::Connection,
        framing::{FrameError, Framer, Frames, Received},
        outbox::{Account, Outbox},
        sockets::OpenSocket,
    },
    turn,
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
    fut::ActorFuture,
};
use bytes::BytesMut;
use governor::DefaultDirectRateLimiter;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    future::Future,
    io,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, error};

/// How many octets a message can have at most before its session has joined.
const MOST_BEFORE_JOINING: usize = 64 << 10;

/// How often a session reads its socket in one turn.
const MOST_READS: usize = 4;

/// How late a session may look at the clock. Beyond, the process or the machine stood still, and what the client has
/// sent or taken meanwhile may come to light only after this.
const HELD_UP: Duration = Duration::from_millis(500);

/// How many messages one read of a busy session brings.
const USUAL_MESSAGES: usize = 8;

/// The actor of one session. `S` is its socket.
#[derive(Debug)]
pub struct Session<S> {
    connection: Connection<S>,
    outbox: Arc<Outbox>,
    transport: Transport,
    /// The names in the certificate of the client.
    certificate: Box<[CertificateName]>,
    environment: Arc<Environment>,
    phase: Phase,
    /// That the client sends nothing more, with the code of its close frame if there was one.
    closed_by_client: Option<Option<u16>>,
    /// Whether the client has said GOODBYE, be it as an answer or of its own.
    has_said_goodbye: bool,
    clock: Clock,
    /// How much the client may send yet, where that is limited.
    allowance: Option<Box<(Rate, DefaultDirectRateLimiter)>>,
    /// Whether the client is not listened to since its realm is behind with it.
    is_held_back: bool,
    timer: Pin<Box<Sleep>>,
    /// That the router stops, for a session that no realm will tell; none once it has asked to join.
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Whether messages are sent back as they are, and nothing else is said.
    #[cfg(feature = "echo")]
    echoes: bool,
    _socket: OpenSocket,
}

/// How far a session is.
#[derive(Debug)]
enum Phase {
    /// It has not joined.
    Handshake(Handshake),
    /// Its proof is being checked. Nothing is read until the outcome is there.
    Verifying(Verifying, Verification),
    /// A component is asked about it. Nothing is read until the answer is there.
    Asking(Box<Asking>),
    /// It has asked its realm to let it in. Nothing is read until the answer is there.
    Joining,
    /// It is a member of its realm.
    Joined(Membership),
    /// It leaves its realm, which has not queued the last message yet.
    Leaving {
        /// When it is over, and leaves if it has not.
        until: Instant,
        _membership: Membership,
    },
    /// The last message is queued.
    Closing(Closing),
    /// Nothing is left to do.
    Over,
}

impl Phase {
    /// Whether nothing is read and nothing of what was read is handled.
    fn is_deaf(&self) -> bool {
        matches!(self, Self::Verifying(..) | Self::Asking(_) | Self::Joining | Self::Over)
    }

    /// Whether the close frame is queued, or would be if there were any: then nothing may follow it (RFC 6455
    /// section 5.5.1).
    fn has_said_close(&self) -> bool {
        matches!(self, Self::Closing(Closing { frame: None, .. }))
    }
}

/// The end of a session: what is queued goes out, then the close frame, and at last the socket is shut.
#[derive(Debug)]
struct Closing {
    /// The close frame, until it is queued; empty where there are none.
    frame: Option<Vec<u8>>,
    /// Whether the client is to answer GOODBYE before the close frame is sent.
    awaits_goodbye: bool,
    /// When the socket is shut whatever the client does.
    until: Instant,
}

/// What one read brought: the messages for the realm, and how many octets they have.
#[derive(Debug, Default)]
struct Taken {
    received: metrics::Received,
    messages: Vec<ClientMessage>,
    octets: usize,
}

/// What the sessions of a listener share.
#[derive(Debug)]
pub struct Environment {
    /// Limits and times.
    pub settings: SessionSettings,
    /// Who may join.
    pub access: Arc<Access>,
    /// Where proofs are checked that take long.
    pub verifier: Verifier,
    /// Where the realms are.
    pub router: Addr<Router>,
    /// What is counted.
    pub metrics: Metrics,
}

/// Whose session this is: what the server hands over of an upgraded connection.
#[derive(Debug)]
pub struct Upgraded<S> {
    /// The socket.
    pub socket: S,
    /// What was read from it behind the request.
    pub read: BytesMut,
    /// What the meta API tells of it.
    pub transport: Transport,
    /// The names in the certificate with which the client opened it, in the order in which they are looked up; none if
    /// it has no certificate.
    pub certificate: Box<[CertificateName]>,
    /// That it is counted.
    pub open: OpenSocket,
    /// Tells those who have not joined that the router stops.
    pub stopping: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static> Session<S> {
    /// A session on an upgraded connection.
    pub fn new(upgraded: Upgraded<S>, environment: Arc<Environment>) -> Self {
        let settings = &environment.settings;
        let Upgraded { socket, read, transport, certificate, open, stopping } = upgraded;
        let outbox = Arc::new(Outbox::new(settings.outbox_limit));
        let frames = Frames::new(transport.framing, transport.serializer, settings.message_limit);
        let now = Instant::now();
        environment.metrics.read(read.len());
        Self {
            connection: Connection::new(socket, frames, read, outbox.clone()),
            outbox,
            transport,
            certificate,
            timer: Box::pin(tokio::time::sleep(settings.handshake_timeout)),
            allowance: settings
                .message_rate
                .map(|rate| Box::new((rate, DefaultDirectRateLimiter::direct(rate.into())))),
            environment,
            phase: Phase::Handshake(Handshake::default()),
            closed_by_client: None,
            has_said_goodbye: false,
            clock: Clock::new(now),
            is_held_back: false,
            stopping: Some(Box::pin(stopping.cancelled_owned())),
            #[cfg(feature = "echo")]
            echoes: false,
            _socket: open,
        }
    }

    /// A connection whose messages are sent back as they are, until the time for a handshake is over.
    #[cfg(feature = "echo")]
    pub fn echo(upgraded: Upgraded<S>, environment: Arc<Environment>) -> Self {
        Self { echoes: true, ..Self::new(upgraded, environment) }
    }

    /// One turn: reads, handles, writes, looks at the clock. Ready when the session is over.
    fn turn(&mut self, context: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        let account = self.outbox.look(task.waker());
        if account.is_overflowed {
            self.overflow();
        }
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(task).is_ready()
        {
            self.stopping = None;
            self.refuse(&Refused::Stopping);
        }
        let may_read = self.may_read(account);
        self.hold_back(account);
        if may_read {
            self.read(context, task);
        }
        if let Phase::Verifying(_, verification) = &mut self.phase
            && let Poll::Ready(outcome) = Pin::new(verification).poll(task)
        {
            self.verified(outcome, context);
            // The client is listened to again.
            task.waker().wake_by_ref();
        }
        self.write(task);
        if !may_read && self.may_read(self.outbox.look_for_room(task.waker())) {
            // There is room to listen again since.
            task.waker().wake_by_ref();
        }
        self.look_at_the_clock(task);
        if matches!(self.phase, Phase::Over) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the client is listened to: not while its realm is behind with it, nor while it is behind itself.
    fn may_read(&self, account: Account) -> bool {
        match self.phase {
            Phase::Verifying(..) | Phase::Asking(_) | Phase::Joining | Phase::Over => false,
            Phase::Leaving { .. } | Phase::Closing(_) => self.closed_by_client.is_none(),
            Phase::Handshake(_) | Phase::Joined(_) => {
                account.unhandled <= self.environment.settings.credit
                    && account.waiting <= self.environment.settings.outbox_limit / 4
            }
        }
    }

    /// Ends the session since more came than its outbox holds.
    fn overflow(&mut self) {
        if matches!(self.phase, Phase::Joined(_)) {
            self.environment.metrics.limit(Limit::Outbox);
        }
        self.end(Cause::SlowConsumer);
    }

    /// Counts when the realm falls behind with the client.
    fn hold_back(&mut self, account: Account) {
        let is_behind = account.unhandled > self.environment.settings.credit;
        if is_behind && !self.is_held_back {
            self.environment.metrics.limit(Limit::Credit);
        }
        self.is_held_back = is_behind;
    }

    fn read(&mut self, context: &mut Context<Self>, task: &mut task::Context<'_>) {
        for _ in 0..MOST_READS {
            match self.connection.poll_read(task) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.end_reading(),
                // TLS was not told that this is the end, which no message depends on.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return self.end_reading();
                }
                Poll::Ready(Err(error)) => return self.lose(&error.to_string()),
                Poll::Ready(Ok(octets)) => {
                    self.environment.metrics.read(octets);
                    self.clock.hear(Instant::now());
                    self.handle_read(context);
                    self.connection.release();
                }
            }
            if self.phase.is_deaf() {
                return;
            }
        }
        // There may be more; others have their turn first.
        turn::wake_after_others(task);
    }

    /// The client sends nothing more. It may still take what it waits for.
    fn end_reading(&mut self) {
        debug!(peer = %self.transport.peer, "connection closed by the client");
        self.closed_by_client.get_or_insert(None);
        self.end(Cause::TransportLost);
    }

    /// The connection is gone.
    fn lose(&mut self, problem: &str) {
        debug!(peer = %self.transport.peer, problem, "connection lost");
        self.end(Cause::TransportLost);
        self.phase = Phase::Over;
    }

    /// Handles what was read. A panic in here ends this session and nothing else.
    fn handle_read(&mut self, context: &mut Context<Self>) {
        let mut taken = Taken::default();
        let handled = catch_unwind(AssertUnwindSafe(|| self.handle_frames(&mut taken, context)));
        let end = handled.unwrap_or_else(|_| {
            error!(peer = %self.transport.peer, "a fault in this session was contained");
            self.environment.metrics.session_panic();
            Some(Cause::Panic)
        });
        self.environment.metrics.received(&taken.received);
        // What came before the end of the session goes to the realm before it.
        self.hand_over(taken);
        if let Some(cause) = end {
            self.connection.discard();
            self.end(cause);
        }
    }

    /// Takes every whole frame that was read, and out of them the messages for the realm. Gives the cause if the
    /// session ends by one.
    fn handle_frames(&mut self, taken: &mut Taken, context: &mut Context<Self>) -> Option<Cause> {
        while !self.phase.is_deaf() {
            let end = match self.connection.next() {
                Ok(None) => break,
                Ok(Some(Received::Message(frame))) => self.receive(&frame, taken, context),
                Ok(Some(Received::Ping(payload))) => {
                    if !self.phase.has_said_close()
                        && let Some(pong) = self.transport.framing.pong(&payload)
                    {
                        self.outbox.push_control(&pong);
                    }
                    None
                }
                Ok(Some(Received::Pong)) => None,
                Ok(Some(Received::Close(code))) => {
                    self.closed_by_client = Some(code);
                    Some(Cause::TransportClosed)
                }
                Err(error) => {
                    if matches!(error, FrameError::TooBig(_)) {
                        self.environment.metrics.limit(Limit::MessageSize);
                    }
                    Some(error.into())
                }
            };
            if end.is_some() {
                return end;
            }
        }
        None
    }

    /// Hands the realm what one read brought, against so much of the session's credit.
    fn hand_over(&self, taken: Taken) {
        if let Phase::Joined(membership) = &self.phase
            && !taken.messages.is_empty()
        {
            self.outbox.hand_over(taken.octets);
            membership.receive(taken.messages, taken.octets);
        }
    }

    /// Takes one message; gives the cause if the session ends by it.
    fn receive(
        &mut self,
        frame: &bytes::Bytes,
        taken: &mut Taken,
        context: &mut Context<Self>,
    ) -> Option<Cause> {
        #[cfg(feature = "echo")]
        if self.echoes {
            let mut framer = Framer::default();
            self.outbox.push(framer.copy(frame, self.transport.serializer).frame(self.transport.framing));
            return None;
        }
        if matches!(self.phase, Phase::Handshake(_)) && frame.len() > MOST_BEFORE_JOINING {
            self.environment.metrics.limit(Limit::MessageSize);
            let text = "before a session has joined a message may have at most";
            return Some(Cause::MessageTooBig(format!("{text} {MOST_BEFORE_JOINING} octets")));
        }
        let decoded =
            ClientMessage::decode(self.transport.serializer, frame, self.environment.settings.depth_limit);
        match &decoded {
            Ok(message) => {
                taken.received.note(message);
                self.has_said_goodbye |= matches!(message, ClientMessage::Goodbye(_));
            }
            Err(Malformed::TooDeep { .. }) => self.environment.metrics.limit(Limit::NestingDepth),
            Err(Malformed::Syntax { .. } | Malformed::Shape(_)) => {}
        }
        match (&mut self.phase, decoded) {
            (
                Phase::Verifying(..)
                | Phase::Asking(_)
                | Phase::Joining
                | Phase::Leaving { .. }
                | Phase::Closing(_)
                | Phase::Over,
                _,
            ) => {}
            (Phase::Handshake(_) | Phase::Joined(_), Err(malformed)) => return Some(malformed.into()),
            (Phase::Joined(_), Ok(message)) => {
                if let Some((rate, limiter)) = self.allowance.as_deref()
                    && limiter.check().is_err()
                {
                    let text = format!("more messages than message_rate of this listener allows: {rate}");
                    // What came before this message goes to the realm before the end.
                    self.hand_over(std::mem::take(taken));
                    self.environment.metrics.limit(Limit::MessageRate);
                    self.end(Cause::Policy(text));
                    return None;
                }
                #[cfg(feature = "fault-injection")]
                crate::fault::inject(&message, crate::fault::SESSION);
                if taken.messages.is_empty() {
                    taken.messages.reserve(USUAL_MESSAGES);
                }
                taken.messages.push(message);
                taken.octets += frame.len();
            }
            (Phase::Handshake(handshake), Ok(message)) => {
                let handshake = std::mem::take(handshake);
                let mut chance = StdRng::from_rng(&mut rand::rng());
                let lent =
                    &mut Lent { now: SystemTime::now(), chance: &mut chance, certificate: &self.certificate };
                let next = handshake.receive(message, &self.transport, &self.environment.access, lent);
                self.advance(next, context);
            }
        }
        None
    }

    fn advance(&mut self, next: Next, context: &mut Context<Self>) {
        self.clock.answered();
        match next {
            Next::Challenge { challenge, then } => {
                let challenge = RouterMessage::from(challenge);
                let mut framer = Framer::default();
                let mut encoded = framer.encode(&challenge, self.transport.serializer);
                let takes = self.outbox.takes(encoded.length());
                let frame = match takes.and_then(|()| encoded.frame_within(self.transport.framing)) {
                    Ok(frame) => frame,
                    Err(too_long) => return self.refuse(&Refused::ChallengeTooBig(too_long)),
                };
                if self.outbox.push(frame) {
                    self.environment.metrics.sent(&challenge);
                }
                self.clock.challenge(Instant::now());
                self.phase = Phase::Handshake(then);
            }
            Next::Verify { check, then } if check.is_costly() => {
                self.phase = Phase::Verifying(then, self.environment.verifier.verify(check));
            }
            Next::Verify { check, then } => self.conclude(then, check.run(), context),
            Next::Join { realm, newcomer, expiry } => {
                self.phase = Phase::Joining;
                if let Some(expiry) = expiry {
                    let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
                    self.clock.expire(Instant::now(), left);
                }
                self.stopping = None;
                let (outbox, session) = (self.outbox.clone(), context.address().recipient());
                let join = self
                    .environment
                    .router
                    .send(JoinRealm { realm, join: Join { newcomer, outbox, session } });
                let join = join.into_actor(self).map(|joined, session, context| {
                    session.joined(joined.unwrap_or(Err(Refused::Stopping)), context);
                });
                context.spawn(join);
            }
            Next::Ask { question: Question { realm, procedure, arguments }, then } => {
                self.phase = Phase::Asking(then);
                let session = context.address().recipient();
                self.environment
                    .router
                    .do_send(AskRealm { realm, ask: Ask { procedure, arguments, session } });
            }
            Next::Close => {
                self.environment.metrics.handshake(Outcome::Aborted.label());
                self.close(Some(1000), false);
            }
            Next::Refuse(refused) => self.refuse(&refused),
        }
    }

    /// Takes the outcome of a check that was waited for.
    fn verified(&mut self, outcome: Checked, context: &mut Context<Self>) {
        let verifying = std::mem::replace(&mut self.phase, Phase::Over);
        if let Phase::Verifying(verifying, _) = verifying {
            self.conclude(verifying, outcome, context);
        }
        // What came behind AUTHENTICATE.
        self.handle_read(context);
        self.connection.release();
    }

    fn conclude(&mut self, verifying: Verifying, outcome: Checked, context: &mut Context<Self>) {
        if let Err(problem) = &outcome {
            error!(peer = %self.transport.peer, %problem, "a proof could not be checked");
        }
        let next = verifying.conclude(outcome, &self.environment.access, SystemTime::now());
        self.advance(next, context);
    }

    /// Takes the answer of the realm.
    fn joined(&mut self, joined: Result<Membership, Refused>, context: &mut Context<Self>) {
        match (&self.phase, joined) {
            (Phase::Joining, Ok(membership)) => {
                self.environment.metrics.handshake(Outcome::Joined.label());
                self.phase = Phase::Joined(membership);
                // What came behind HELLO.
                self.handle_read(context);
                self.connection.release();
            }
            (Phase::Joining, Err(refused)) => self.refuse(&refused),
            // It is over already; a membership that is dropped here is left.
            _ => {}
        }
        // The I/O future may have had its turn before this.
        self.outbox.wake();
    }

    /// Sends away a client that has not joined.
    fn refuse(&mut self, refused: &Refused) {
        debug!(peer = %self.transport.peer, reason = refused.to_string(), "client refused");
        let metrics = &self.environment.metrics;
        metrics.handshake(refused.label());
        if let Some(limit) = refused.limit() {
            metrics.limit(limit);
        }
        let abort = RouterMessage::from(refused.abort());
        let mut framer = Framer::default();
        let mut encoded = framer.encode(&abort, self.transport.serializer);
        if self.outbox.finish(encoded.frame_within(self.transport.framing).ok()) {
            metrics.sent(&abort);
        }
        self.close(Some(refused.close_code()), false);
    }

    /// Ends the session for a cause that was found here. What has begun to end goes on ending.
    fn end(&mut self, cause: Cause) {
        #[cfg(feature = "echo")]
        if self.echoes {
            if matches!(self.phase, Phase::Handshake(_)) {
                self.close(cause.close_code().or(self.closed_by_client.flatten()), false);
            }
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Joined(mut membership) => {
                let is_orderly = cause.is_orderly();
                membership.leave(cause);
                if is_orderly {
                    let until = Instant::now() + self.environment.settings.linger;
                    self.phase = Phase::Leaving { until, _membership: membership };
                }
            }
            Phase::Handshake(_) | Phase::Verifying(..) | Phase::Asking(_) | Phase::Joining => {
                let is_closed = matches!(cause, Cause::TransportClosed);
                let outcome = if is_closed { Outcome::Closed } else { Outcome::Lost };
                match Refused::because(cause) {
                    Some(refused) => self.refuse(&refused),
                    None => {
                        self.environment.metrics.handshake(outcome.label());
                        if let Some(code) = self.closed_by_client {
                            self.close(code, false);
                        }
                    }
                }
            }
            ending @ (Phase::Leaving { .. } | Phase::Closing(_) | Phase::Over) => self.phase = ending,
        }
    }

    /// Begins the end: the last message is queued, a close frame with this code follows.
    fn close(&mut self, code: Option<u16>, awaits_goodbye: bool) {
        self.stopping = None;
        let until = Instant::now() + self.environment.settings.linger;
        let frame = self.transport.framing.close(code);
        self.phase = Phase::Closing(Closing { frame: Some(frame), awaits_goodbye, until });
    }

    /// Writes what waits, and takes the steps of the end that depend on it.
    fn write(&mut self, task: &mut task::Context<'_>) {
        if let Phase::Closing(closing) = &mut self.phase
            && (!closing.awaits_goodbye || self.has_said_goodbye || self.closed_by_client.is_some())
            && let Some(frame) = closing.frame.take()
        {
            self.outbox.push_control(&frame);
        }
        let mut written = 0;
        let polled = self.connection.poll_write(task, &mut written);
        if written > 0 {
            self.environment.metrics.written(written);
        }
        match polled {
            Poll::Ready(Ok(())) => self.clock.flow(Instant::now),
            Poll::Ready(Err(error)) => return self.lose(&error.to_string()),
            Poll::Pending => return self.clock.stall(written > 0, Instant::now()),
        }
        // A client that is told by no frame is told by the end of what is sent, and one that can answer with no frame is
        // not waited for.
        let is_time = self.closed_by_client.is_some()
            || self.connection.is_garbled()
            || !self.transport.framing.has_close_frames();
        if self.phase.has_said_close()
            && is_time
            && self.connection.poll_shutdown(task).is_ready()
            && self.closed_by_client.is_some()
        {
            self.phase = Phase::Over;
        }
    }

    /// What is due next, and when, if anything is.
    fn due(&self) -> Option<(Instant, Due)> {
        let stage = match &self.phase {
            Phase::Handshake(_) | Phase::Verifying(..) | Phase::Asking(_) | Phase::Joining => Stage::Joining,
            Phase::Joined(_) => Stage::Joined,
            Phase::Leaving { until, .. } | Phase::Closing(Closing { until, .. }) => Stage::Ending(*until),
            Phase::Over => return None,
        };
        self.clock.due(stage, &self.environment.settings)
    }

    /// Does what is due, and has the session woken when the next is.
    fn look_at_the_clock(&mut self, task: &mut task::Context<'_>) {
        while let Some((when, due)) = self.due() {
            let deadline = when.into();
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(task).is_pending() {
                return;
            }
            // What was due when the timer was set may have moved away since.
            let now = Instant::now();
            if when > now {
                self.timer.as_mut().reset(deadline);
            } else if self.is_held_back && due == Due::Pong
                || now - when > HELD_UP && matches!(due, Due::Pong | Due::Stall)
            {
                self.clock.wait_anew(now);
            } else {
                self.act(due, now, task);
            }
        }
    }

    /// Does what is due now.
    fn act(&mut self, due: Due, now: Instant, task: &mut task::Context<'_>) {
        let settings = &self.environment.settings;
        match due {
            Due::Handshake => self.refuse(&Refused::Timeout(settings.handshake_timeout.as_millis())),
            Due::Authentication => {
                self.refuse(&Refused::AuthenticationTimeout(settings.authentication_timeout.as_millis()));
            }
            Due::Ping => {
                self.clock.ping(now);
                self.outbox.push_control(&self.transport.framing.ping());
            }
            Due::Pong => {
                self.environment.metrics.limit(Limit::PingTimeout);
                self.end(Cause::PingTimeout);
            }
            Due::Stall => {
                self.environment.metrics.limit(Limit::WriteStall);
                self.end(Cause::SlowConsumer);
            }
            Due::Expiry => self.end(Cause::Expired),
            Due::Linger => return self.cut(task),
        }
        self.write(task);
    }

    /// Ends the connection, whatever the client has not answered. If it takes something still, the close frame
    /// goes out.
    fn cut(&mut self, task: &mut task::Context<'_>) {
        if let Phase::Closing(closing) = &mut self.phase
            && !self.clock.is_stalled()
        {
            closing.awaits_goodbye = false;
            self.write(task);
        }
        if self.clock.is_stalled() {
            self.connection.reset_on_drop();
        }
        self.phase = Phase::Over;
    }
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static> Actor for Session<S> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // What came behind the request.
        self.handle_read(context);
        context.spawn(SessionIo);
    }
}

/// The I/O of a session. All its state is in the session.
#[derive(Debug)]
struct SessionIo;

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static> ActorFuture<Session<S>> for SessionIo {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session<S>,
        context: &mut Context<Session<S>>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        let turn = session.turn(context, task);
        if turn.is_ready() {
            context.stop();
        }
        turn
    }
}

/// The component that was asked about who wants to join has answered, or has not.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Answered {
    pub(crate) reply: Reply,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static> Handler<Answered> for Session<S> {
    type Result = ();

    fn handle(&mut self, Answered { reply }: Answered, context: &mut Self::Context) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Asking(asking) => {
                let mut chance = StdRng::from_rng(&mut rand::rng());
                let lent =
                    &mut Lent { now: SystemTime::now(), chance: &mut chance, certificate: &self.certificate };
                let next = asking.conclude(reply, &self.environment.access, lent);
                if let Next::Refuse(Refused::AuthenticatorFailed(problem)) = &next {
                    error!(peer = %self.transport.peer, problem, "an authenticator has failed");
                }
                self.advance(next, context);
                // What came behind what was asked about.
                self.handle_read(context);
                self.connection.release();
            }
            // It is over already.
            phase @ (Phase::Handshake(_)
            | Phase::Verifying(..)
            | Phase::Joining
            | Phase::Joined(_)
            | Phase::Leaving { .. }
            | Phase::Closing(_)
            | Phase::Over) => self.phase = phase,
        }
        // The I/O future may have had its turn before this.
        self.outbox.wake();
    }
}

/// The session is no member of its realm any more, and its last message is queued.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ended {
    pub(crate) cause: Cause,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static> Handler<Ended> for Session<S> {
    type Result = ();

    fn handle(&mut self, Ended { cause }: Ended, _: &mut Self::Context) {
        if matches!(self.phase, Phase::Joining) {
            // It had joined, though the answer of the realm is still under way.
            self.environment.metrics.handshake(Outcome::Joined.label());
        }
        if matches!(self.phase, Phase::Joining | Phase::Joined(_) | Phase::Leaving { .. }) {
            let code = cause.close_code().or(self.closed_by_client.flatten());
            self.close(code, cause.awaits_goodbye());
        }
    }
}
