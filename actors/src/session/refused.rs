//! Why a client is not let in: what it is told, and how that is counted.

use crate::{
    cause::Cause,
    label::labels,
    limit::Limit,
    message::{Abort, uri::Uri},
    refusal::{Refusal, Violation},
    transport::framing::TooLong,
};

/// Why a client that has not joined is sent away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It broke the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The text of its message is not UTF-8.
    #[error("the text is not UTF-8")]
    InvalidUtf8,
    /// Its message is larger, or nested deeper, than allowed.
    #[error("{0}")]
    MessageTooBig(String),
    /// It takes no messages as large as CHALLENGE.
    #[error("CHALLENGE is too large: {0}")]
    ChallengeTooBig(TooLong),
    /// The name of the realm is not a URI.
    #[error("{0:?} is not a valid uri for a realm")]
    InvalidRealm(Uri),
    /// There is no such realm.
    #[error("there is no realm {0:?} here")]
    NoSuchRealm(Uri),
    /// None of the methods that it offers can be used.
    #[error("none of the offered methods of authentication is accepted here; accepted: {accepted}")]
    NoMatchingAuthMethod {
        /// The methods that can be used.
        accepted: String,
    },
    /// It says not who it is, where that is asked.
    #[error("nobody joins this realm anonymously; accepted: {accepted}")]
    AuthenticationRequired {
        /// The methods that can be used.
        accepted: String,
    },
    /// It offers a method, and leaves out what that needs.
    #[error("authentication by {method} is not possible: {lacks}")]
    Incomplete {
        /// What it leaves out.
        lacks: &'static str,
        /// The method.
        method: &'static str,
    },
    /// Its proof is wrong, or nobody has its authid.
    #[error("the authid or the proof is wrong")]
    AuthenticationDenied,
    /// Its proof could not be checked.
    #[error("the proof could not be checked, try again")]
    AuthenticationFailed,
    /// The component that is asked about it does not let it in. The text says why.
    #[error("{0}")]
    Vetoed(String),
    /// The component that is asked about it gave no answer that can be used. The text, which it is not told, says why.
    #[error("the authenticator of the realm has failed, try again")]
    AuthenticatorFailed(String),
    /// It has failed to prove who it is so often that it has to wait.
    #[error("too many failed logins, try again later")]
    LockedOut,
    /// It took too long to answer CHALLENGE.
    #[error("CHALLENGE was not answered within {0} ms")]
    AuthenticationTimeout(u128),
    /// It took too long.
    #[error("no session was joined within {0} ms")]
    Timeout(u128),
    /// It is banned.
    #[error(transparent)]
    Banned(Refusal),
    /// The realm lets it in no more, since the configuration changed while it proved who it is.
    #[error("the configuration changed just then, try again")]
    AccessChanged,
    /// The realm has no room for it.
    #[error(transparent)]
    NoRoom(Refusal),
    /// The router stops.
    #[error("the router stops")]
    Stopping,
    /// The realm failed just then.
    #[error("the realm failed, try again")]
    RealmFailed,
    /// A fault of ours.
    #[error("a fault of the router ended this session")]
    Panic,
}

labels! {
    pub(crate) Refused {
        Self::Violation(_) => "protocol_violation",
        Self::InvalidUtf8 => "invalid_utf8",
        Self::MessageTooBig(_) => "message_too_big",
        Self::ChallengeTooBig(_) => "challenge_too_big",
        Self::InvalidRealm(_) => "invalid_realm",
        Self::NoSuchRealm(_) => "no_such_realm",
        Self::NoMatchingAuthMethod { .. } => "no_matching_auth_method",
        Self::AuthenticationRequired { .. } => "authentication_required",
        Self::Incomplete { .. } => "incomplete",
        Self::AuthenticationDenied => "authentication_denied",
        Self::AuthenticationFailed => "authentication_failed",
        Self::Vetoed(_) => "vetoed",
        Self::AuthenticatorFailed(_) => "authenticator_failed",
        Self::LockedOut => "locked_out",
        Self::AuthenticationTimeout(_) => "authentication_timeout",
        Self::Timeout(_) => "timeout",
        Self::Banned(_) => "banned",
        Self::AccessChanged => "access_changed",
        Self::NoRoom(_) => "no_room",
        Self::Stopping => "shutdown",
        Self::RealmFailed => "realm_failed",
        Self::Panic => "panic",
    }
}

impl Refused {
    /// The limit that the client ran into, but for those of one message.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::Timeout(_) => Some(Limit::HandshakeTimeout),
            Self::LockedOut => Some(Limit::Lockout),
            Self::AuthenticationTimeout(_) => Some(Limit::AuthenticationTimeout),
            Self::NoRoom(refusal) => refusal.limit(),
            Self::Violation(_)
            | Self::InvalidUtf8
            | Self::MessageTooBig(_)
            | Self::ChallengeTooBig(_)
            | Self::InvalidRealm(_)
            | Self::NoSuchRealm(_)
            | Self::NoMatchingAuthMethod { .. }
            | Self::AuthenticationRequired { .. }
            | Self::Incomplete { .. }
            | Self::AuthenticationDenied
            | Self::AuthenticationFailed
            | Self::Vetoed(_)
            | Self::AuthenticatorFailed(_)
            | Self::Banned(_)
            | Self::AccessChanged
            | Self::Stopping
            | Self::RealmFailed
            | Self::Panic => None,
        }
    }

    /// What a session that has not joined is told where one that has would end for `cause`; `None` if there is
    /// nobody to be told.
    pub(crate) fn because(cause: Cause) -> Option<Self> {
        match cause {
            Cause::ProtocolViolation(violation) => Some(Self::Violation(violation)),
            Cause::InvalidUtf8 => Some(Self::InvalidUtf8),
            Cause::MessageTooBig(text) => Some(Self::MessageTooBig(text)),
            Cause::Panic => Some(Self::Panic),
            Cause::Goodbye
            | Cause::WelcomeTooBig(_)
            | Cause::TransportClosed
            | Cause::TransportLost
            | Cause::Aborted
            | Cause::Killed(_)
            | Cause::KilledAll(_)
            | Cause::SlowConsumer
            | Cause::PingTimeout
            | Cause::Replaced { .. }
            | Cause::Policy(_)
            | Cause::Expired
            | Cause::RealmClosed
            | Cause::Shutdown => None,
        }
    }

    /// The ABORT that tells the client.
    pub(crate) fn abort(&self) -> Abort {
        let reason = match self {
            Self::Violation(_) | Self::InvalidUtf8 => "wamp.error.protocol_violation",
            Self::MessageTooBig(_) | Self::ChallengeTooBig(_) => "wamp.error.payload_size_exceeded",
            Self::InvalidRealm(_) => "wamp.error.invalid_uri",
            Self::NoSuchRealm(_) => "wamp.error.no_such_realm",
            Self::NoMatchingAuthMethod { .. } => "wamp.error.no_matching_auth_method",
            Self::Banned(refusal) | Self::NoRoom(refusal) => refusal.uri(),
            Self::AuthenticationRequired { .. } | Self::Incomplete { .. } => {
                "wamp.error.authentication_required"
            }
            Self::LockedOut => "realmkeeper.error.limit_exceeded",
            Self::AuthenticationDenied => "wamp.error.authentication_denied",
            Self::AccessChanged => "wamp.error.not_authorized",
            Self::AuthenticationFailed
            | Self::AuthenticationTimeout(_)
            | Self::Vetoed(_)
            | Self::AuthenticatorFailed(_) => "wamp.error.authentication_failed",
            Self::Timeout(_) => "wamp.error.timeout",
            Self::Stopping => "wamp.close.system_shutdown",
            Self::RealmFailed => "wamp.close.close_realm",
            Self::Panic => "realmkeeper.error.internal",
        };
        Abort::new(reason, &self.to_string())
    }

    /// The code with which a WebSocket is closed after it.
    pub(crate) fn close_code(&self) -> u16 {
        match self {
            Self::InvalidRealm(_)
            | Self::NoSuchRealm(_)
            | Self::NoMatchingAuthMethod { .. }
            | Self::AuthenticationRequired { .. }
            | Self::Incomplete { .. }
            | Self::Vetoed(_)
            | Self::AuthenticationDenied => 1000,
            Self::Stopping | Self::RealmFailed => 1001,
            Self::Violation(_) => 1002,
            Self::InvalidUtf8 => 1007,
            Self::Timeout(_)
            | Self::LockedOut
            | Self::AuthenticationTimeout(_)
            | Self::Banned(_)
            | Self::NoRoom(_)
            | Self::AccessChanged => 1008,
            Self::MessageTooBig(_) | Self::ChallengeTooBig(_) => 1009,
            Self::AuthenticationFailed | Self::AuthenticatorFailed(_) | Self::Panic => 1011,
        }
    }
}

impl From<Refusal> for Refused {
    /// Why a realm lets somebody not join.
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::Banned { Self::Banned(refusal) } else { Self::NoRoom(refusal) }
    }
}
