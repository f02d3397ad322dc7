//! Every way in which a session can end.

use crate::{
    codec::Malformed,
    label::labels,
    message::{Abort, Goodbye, RouterMessage, id::SessionId, uri::Uri},
    refusal::Violation,
};
use std::fmt;

/// Why a session ended. It decides what the peer gets, with which code a WebSocket is closed, and whether the
/// realm hears of it; it labels the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client said GOODBYE.
    Goodbye,
    /// The client closed its WebSocket without saying GOODBYE.
    TransportClosed,
    /// The connection broke, or the client closed it without a close frame. A RawSocket has none.
    TransportLost,
    /// The client sent ABORT.
    Aborted,
    /// The client broke the protocol.
    ProtocolViolation(Violation),
    /// The client sent text that is not UTF-8.
    InvalidUtf8,
    /// The client sent a message larger, or nested deeper, than allowed. The text says by how much.
    MessageTooBig(String),
    /// The client takes no messages as large as its WELCOME. The text says by how much.
    WelcomeTooBig(String),
    /// Another session of the realm ended it.
    Killed(Kill),
    /// Another session of the realm ended all but itself. Not announced, as the section "Session Meta API" says.
    KilledAll(Kill),
    /// More waits for the client than its outbox may hold, or it takes nothing any more.
    SlowConsumer,
    /// The client did not answer a ping.
    PingTimeout,
    /// A newer session of its authid took its place, as its role says.
    Replaced {
        /// The newer session.
        by: SessionId,
    },
    /// The session may not go on by a rule of this router. The text says by which.
    Policy(String),
    /// The token has expired by which the client was let in.
    Expired,
    /// The realm failed, or is not configured any more. Not announced: nobody remains.
    RealmClosed,
    /// The router stops. Not announced: nobody remains.
    Shutdown,
    /// A fault of ours, contained in this session.
    Panic,
}

/// Who ends a session by the meta API, and what its client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The session that called the procedure.
    pub by: SessionId,
    /// GOODBYE.Reason.
    pub reason: Uri,
    /// GOODBYE.Details.message.
    pub message: Option<String>,
}

labels! {
    pub Cause {
        Self::Goodbye => "goodbye",
        Self::TransportClosed => "transport_closed",
        Self::TransportLost => "transport_lost",
        Self::Aborted => "aborted",
        Self::ProtocolViolation(_) => "protocol_violation",
        Self::InvalidUtf8 => "invalid_utf8",
        Self::MessageTooBig(_) => "message_too_big",
        Self::WelcomeTooBig(_) => "welcome_too_big",
        Self::Killed(_) => "killed",
        Self::KilledAll(_) => "killed_all",
        Self::SlowConsumer => "slow_consumer",
        Self::PingTimeout => "ping_timeout",
        Self::Replaced { .. } => "replaced",
        Self::Policy(_) => "policy",
        Self::Expired => "expired",
        Self::RealmClosed => "realm_closed",
        Self::Shutdown => "shutdown",
        Self::Panic => "panic",
    }
}

impl Cause {
    /// Whether testaments and `wamp.session.on_leave` follow.
    pub fn is_announced(&self) -> bool {
        !matches!(self, Self::KilledAll(_) | Self::RealmClosed | Self::Shutdown)
    }

    /// Whether everybody else is sent away as well.
    pub(crate) fn is_of_the_realm(&self) -> bool {
        matches!(self, Self::RealmClosed | Self::Shutdown)
    }

    /// The last message for the peer, if it gets one.
    pub fn farewell(&self) -> Option<RouterMessage> {
        const VIOLATION: &str = "wamp.error.protocol_violation";
        Some(match self {
            Self::TransportClosed | Self::TransportLost | Self::Aborted | Self::PingTimeout => return None,
            Self::Goodbye => Goodbye::new("wamp.close.goodbye_and_out", None).into(),
            Self::ProtocolViolation(violation) => Abort::new(VIOLATION, &violation.to_string()).into(),
            Self::InvalidUtf8 => Abort::new(VIOLATION, "the text is not UTF-8").into(),
            Self::MessageTooBig(text) | Self::WelcomeTooBig(text) => {
                Abort::new("wamp.error.payload_size_exceeded", text).into()
            }
            Self::Killed(kill) | Self::KilledAll(kill) => {
                Goodbye::new(kill.reason.clone(), kill.message.as_deref()).into()
            }
            Self::SlowConsumer => Goodbye::new("realmkeeper.close.slow_consumer", None).into(),
            Self::Replaced { .. } => Goodbye::new("realmkeeper.close.replaced", None).into(),
            Self::Policy(text) => Goodbye::new("wamp.error.not_authorized", Some(text)).into(),
            Self::Expired => {
                let text = "the token has expired by which this session was let in";
                Goodbye::new("realmkeeper.close.expired", Some(text)).into()
            }
            Self::RealmClosed => Goodbye::new("wamp.close.close_realm", None).into(),
            Self::Shutdown => Goodbye::new("wamp.close.system_shutdown", None).into(),
            Self::Panic => {
                Abort::new("realmkeeper.error.internal", "a fault of the router ended this session").into()
            }
        })
    }

    /// Whether it lies in what the client has sent, so that all that came before has its effect first.
    pub(crate) fn comes_in_turn(&self) -> bool {
        matches!(
            self,
            Self::TransportClosed
                | Self::TransportLost
                | Self::ProtocolViolation(_)
                | Self::InvalidUtf8
                | Self::MessageTooBig(_)
                | Self::Policy(_)
        )
    }

    /// Whether the peer may still take what is queued for it, and a close frame.
    pub(crate) fn is_orderly(&self) -> bool {
        !matches!(self, Self::PingTimeout)
    }

    /// Whether the peer, told by GOODBYE, is given the time to answer it.
    pub fn awaits_goodbye(&self) -> bool {
        !matches!(self, Self::Goodbye) && matches!(self.farewell(), Some(RouterMessage::Goodbye(_)))
    }

    /// The code of the WebSocket close frame (RFC 6455 section 7.4); `None` where the code of the client is given
    /// back, or no frame is sent.
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::TransportClosed | Self::TransportLost | Self::PingTimeout => None,
            Self::Goodbye | Self::Aborted | Self::Killed(_) | Self::KilledAll(_) => Some(1000),
            Self::RealmClosed | Self::Shutdown => Some(1001),
            Self::ProtocolViolation(_) => Some(1002),
            Self::InvalidUtf8 => Some(1007),
            Self::SlowConsumer | Self::Replaced { .. } | Self::Policy(_) | Self::Expired => Some(1008),
            Self::MessageTooBig(_) | Self::WelcomeTooBig(_) => Some(1009),
            Self::Panic => Some(1011),
        }
    }
}

impl From<Malformed> for Cause {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooDeep { .. } => Self::MessageTooBig(malformed.to_string()),
            Malformed::Syntax { .. } | Malformed::Shape(_) => {
                Self::ProtocolViolation(Violation::from(malformed))
            }
        }
    }
}

impl fmt::Display for Cause {
    /// The label, and what is known beyond it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        match self {
            Self::ProtocolViolation(violation) => write!(f, ": {violation}"),
            Self::MessageTooBig(text) | Self::WelcomeTooBig(text) | Self::Policy(text) => {
                write!(f, ": {text}")
            }
            Self::Killed(kill) | Self::KilledAll(kill) => write!(f, " by {} with {}", kill.by, kill.reason),
            Self::Replaced { by } => write!(f, " by {by}"),
            Self::Goodbye
            | Self::TransportClosed
            | Self::TransportLost
            | Self::Aborted
            | Self::InvalidUtf8
            | Self::SlowConsumer
            | Self::PingTimeout
            | Self::Expired
            | Self::RealmClosed
            | Self::Shutdown
            | Self::Panic => Ok(()),
        }
    }
}
