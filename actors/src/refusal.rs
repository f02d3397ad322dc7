//! Why a request is turned down, and why a peer can no longer be spoken to.

use crate::{
    codec::{Arguments, Malformed, Payload, Serializer, Untranscodable},
    limit::Limit,
    message::{
        Error, ErrorDetails, RequestType,
        id::RequestId,
        uri::{Match, Uri, UriRule},
    },
};

/// Why one request is turned down. The session goes on; the peer gets ERROR with [`Refusal::uri`] and the text
/// as only argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A URI that cannot be used so.
    #[error("{uri:?} {problem}")]
    InvalidUri {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nobody has registered the procedure.
    #[error("no callee has registered {0:?}")]
    NoSuchProcedure(String),
    /// Somebody else has registered the procedure.
    #[error("{0:?} is registered already")]
    ProcedureAlreadyExists(String),
    /// The registration does not exist, or is not the session's.
    #[error("this session has no registration {0}")]
    NoSuchRegistration(u64),
    /// The subscription does not exist, or is not the session's.
    #[error("this session has no subscription {0}")]
    NoSuchSubscription(u64),
    /// No session of the realm has this id.
    #[error("there is no session {0} in this realm")]
    NoSuchSession(u64),
    /// No session of the realm but the caller's own has this id.
    #[error("there is no other session {0} in this realm")]
    NoOtherSession(u64),
    /// An argument that cannot be accepted.
    #[error("{0}")]
    InvalidArgument(String),
    /// More testaments than a session can leave.
    #[error("{0}")]
    TooManyTestaments(String),
    /// An option that does not work here.
    #[error("{0}")]
    OptionNotAllowed(&'static str),
    /// The callee left before it answered.
    #[error("the callee left before it answered")]
    CalleeGone,
}

impl Refusal {
    /// The error URI on the wire.
    pub fn uri(&self) -> &'static str {
        match self {
            Self::InvalidUri { .. } => "wamp.error.invalid_uri",
            Self::NoSuchProcedure(_) => "wamp.error.no_such_procedure",
            Self::ProcedureAlreadyExists(_) => "wamp.error.procedure_already_exists",
            Self::NoSuchRegistration(_) => "wamp.error.no_such_registration",
            Self::NoSuchSubscription(_) => "wamp.error.no_such_subscription",
            Self::NoSuchSession(_) | Self::NoOtherSession(_) => "wamp.error.no_such_session",
            Self::InvalidArgument(_) | Self::TooManyTestaments(_) => "wamp.error.invalid_argument",
            Self::OptionNotAllowed(_) => "wamp.error.option_not_allowed",
            Self::CalleeGone => "wamp.error.canceled",
        }
    }

    /// The limit that the request runs into.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooManyTestaments(_) => Some(Limit::Testaments),
            Self::InvalidUri { .. }
            | Self::NoSuchProcedure(_)
            | Self::ProcedureAlreadyExists(_)
            | Self::NoSuchRegistration(_)
            | Self::NoSuchSubscription(_)
            | Self::NoSuchSession(_)
            | Self::NoOtherSession(_)
            | Self::InvalidArgument(_)
            | Self::OptionNotAllowed(_)
            | Self::CalleeGone => None,
        }
    }

    /// The ERROR that tells a peer about it.
    pub(crate) fn answer(
        &self,
        request_type: RequestType,
        request: RequestId,
        serializer: Serializer,
    ) -> Error {
        let text = Arguments { args: vec![self.to_string().as_str().into()], ..Arguments::default() };
        Error {
            request_type,
            request,
            details: ErrorDetails::default(),
            error: self.uri().into(),
            // A text has a form in every serializer.
            payload: Payload::build(serializer, &text).unwrap_or(Payload::EMPTY),
        }
    }
}

/// Why a peer can no longer be spoken to (section "Protocol Violations"). The session is aborted; the text
/// tells the peer what it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Bytes that are not a message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message that has no place in the state of the session.
    #[error("{message} {problem}")]
    Unexpected {
        /// The message.
        message: &'static str,
        /// Why it has no place.
        problem: &'static str,
    },
    /// A request id out of sequence, where the realm is strict.
    #[error("the request id {found} is out of sequence, {expected} is next")]
    OutOfSequence {
        /// The id of the request.
        found: RequestId,
        /// The id that was due.
        expected: RequestId,
    },
    /// The id of a call that is still in flight.
    #[error("a call with the request id {0} is in flight already")]
    RequestInFlight(RequestId),
    /// An answer to an invocation that was never sent.
    #[error("{message} answers invocation {request}, which this session was never sent")]
    UnknownInvocation {
        /// YIELD or ERROR.
        message: &'static str,
        /// The invocation it names.
        request: RequestId,
    },
    /// A URI where no ERROR can answer.
    #[error("{place} is not a valid uri: {uri:?}")]
    InvalidUri {
        /// Where it stands.
        place: &'static str,
        /// The URI.
        uri: String,
    },
    /// An option of a feature that was not announced.
    #[error("{option} is used, but {feature} was not announced")]
    NotAnnounced {
        /// The option.
        option: &'static str,
        /// The feature that it belongs to.
        feature: &'static str,
    },
    /// A payload that does not keep the rules of its serializer.
    #[error("{0}")]
    Payload(String),
    /// A WebSocket frame that has no place.
    #[error("{0}")]
    Frame(&'static str),
}

/// What a message can meet: its request is turned down, or its sender is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Refusal(Refusal),
    Violation(Violation),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Untranscodable> for Fault {
    fn from(error: Untranscodable) -> Self {
        match error {
            Untranscodable::Malformed(_) => Violation::Payload(error.to_string()).into(),
            Untranscodable::Unrepresentable { .. } => Refusal::InvalidArgument(error.to_string()).into(),
        }
    }
}

/// Refuses a URI that is not valid for its use.
pub(crate) fn check_uri(uri: &Uri, matching: Match, rule: UriRule) -> Result<(), Refusal> {
    let problem = match rule {
        _ if uri.is_valid(matching, rule) => return Ok(()),
        UriRule::Loose => "is not a valid uri",
        UriRule::Strict => "is not a valid uri: this realm takes lower-case letters, digits and _ only",
    };
    Err(Refusal::InvalidUri { uri: uri.to_string(), problem })
}

/// Refuses a URI that only the router may use.
pub(crate) fn check_not_reserved(uri: &Uri) -> Result<(), Refusal> {
    if uri.is_reserved() {
        return Err(Refusal::InvalidUri { uri: uri.to_string(), problem: "is reserved for the router" });
    }
    Ok(())
}
