//! Why a request is turned down, and why a peer can no longer be spoken to.

use crate::{
    codec::{Arguments, Malformed, Payload, Serializer, Untranscodable},
    limit::Limit,
    message::{
        Error, RequestType, Sparse,
        feature::{Feature, Features},
        id::RequestId,
        uri::{Match, Uri, UriRule, UriRules},
    },
};
use std::{sync::Arc, time::Duration};

/// Why one request is turned down. The session goes on; the peer gets ERROR with [`Refusal::uri`] and the text
/// as only argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A URI that cannot be used so.
    #[error("{uri:?} {problem}")]
    InvalidUri {
        /// The URI.
        uri: Uri,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A URI that is too long.
    #[error("a uri of {octets} octets is too long: at most {most}")]
    TooLongUri {
        /// How long it is.
        octets: usize,
        /// How long it may be.
        most: usize,
    },
    /// Nobody has registered the procedure.
    #[error("no callee has registered {0:?}")]
    NoSuchProcedure(Uri),
    /// No callee of the procedure is available.
    #[error("no callee of the procedure is available")]
    NoAvailableCallee,
    /// Whom the call goes to lacks a feature that it needs.
    #[error("{} is not supported by {who}", feature.name())]
    FeatureNotSupported {
        /// Who lacks it.
        who: &'static str,
        /// What it lacks.
        feature: Feature,
    },
    /// The procedure is registered, and its registration cannot be joined.
    #[error("{0:?} is registered already")]
    ProcedureAlreadyExists(Uri),
    /// The registration does not exist, or is not the session's.
    #[error("this session has no registration {0}")]
    NoSuchRegistration(u64),
    /// No registration of the realm has this id.
    #[error("there is no registration {0} in this realm")]
    UnknownRegistration(u64),
    /// The session is no callee of the registration.
    #[error("the registration has no callee {0}")]
    NoSuchCallee(u64),
    /// The subscription does not exist, or is not the session's.
    #[error("this session has no subscription {0}")]
    NoSuchSubscription(u64),
    /// No session of the realm has this id.
    #[error("there is no session {0} in this realm")]
    NoSuchSession(u64),
    /// No session of the realm but the caller's own has this id.
    #[error("there is no other session {0} in this realm")]
    NoOtherSession(u64),
    /// No subscription that is told of has this id.
    #[error("there is no subscription {0} in this realm")]
    UnknownSubscription(u64),
    /// The session does not hold the subscription.
    #[error("the session {0} does not hold this subscription")]
    NoSuchSubscriber(u64),
    /// No events of the subscription are kept.
    #[error("no history is kept for the subscription {0}")]
    NoHistory(u64),
    /// An argument that cannot be accepted.
    #[error("{0}")]
    InvalidArgument(String),
    /// The role of the session may not do this.
    #[error("the role {role:?} may not {action} {uri:?}")]
    NotAuthorized {
        /// The role.
        role: Arc<str>,
        /// What it may not do.
        action: &'static str,
        /// With which URI.
        uri: Uri,
    },
    /// The authorizer of the session's role did not say whether it may.
    #[error("the authorizer of the role {role:?} has not said whether this may be done")]
    AuthorizationFailed {
        /// The role.
        role: Arc<str>,
    },
    /// The role of the session is told ids of sessions only, not their roles.
    #[error("the role {0:?} is not told the roles of sessions, so that it cannot filter by them")]
    RolesNotTold(Arc<str>),
    /// The role of the session may not be disclosed, or not ask for it.
    #[error("the role {role:?} may not have {whom} disclosed for {uri:?}")]
    DisclosureNotAllowed {
        /// The role.
        role: Arc<str>,
        /// Who would be disclosed.
        whom: &'static str,
        /// For which URI.
        uri: Uri,
    },
    /// Who wants to join is banned.
    #[error("this client is banned from the realm")]
    Banned,
    /// There would be more than may be.
    #[error("{what}: at most {most}")]
    TooMany {
        /// Which limit it is.
        limit: Limit,
        /// What there would be too many of.
        what: &'static str,
        /// How many there can be.
        most: usize,
    },
    /// What would have to be sent is larger than its receiver has said that it takes.
    #[error("the message would be larger than its receiver takes")]
    TooLarge,
    /// The callee left before it answered.
    #[error("the callee left before it answered")]
    CalleeGone,
    /// Everybody is sent away while the call is in flight.
    #[error("the realm closed before the call was answered")]
    RealmClosed,
    /// The router stops, and takes no more calls.
    #[error("the router stops")]
    Stopping,
    /// The caller canceled the call.
    #[error("the caller canceled the call")]
    Canceled,
    /// The call was not answered in the time that its caller gave it.
    #[error("the call was not answered within {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl Refusal {
    /// The error URI on the wire.
    pub fn uri(&self) -> &'static str {
        match self {
            Self::InvalidUri { .. } | Self::TooLongUri { .. } => "wamp.error.invalid_uri",
            Self::NoSuchProcedure(_) => "wamp.error.no_such_procedure",
            Self::NoAvailableCallee => "wamp.error.no_available_callee",
            Self::FeatureNotSupported { .. } => "wamp.error.feature_not_supported",
            Self::ProcedureAlreadyExists(_) => "wamp.error.procedure_already_exists",
            Self::NoSuchRegistration(_) | Self::UnknownRegistration(_) => "wamp.error.no_such_registration",
            Self::NoSuchSubscription(_) | Self::UnknownSubscription(_) => "wamp.error.no_such_subscription",
            Self::NoSuchSession(_)
            | Self::NoOtherSession(_)
            | Self::NoSuchSubscriber(_)
            | Self::NoSuchCallee(_) => "wamp.error.no_such_session",
            Self::NoHistory(_) => "wamp.error.history_unavailable",
            Self::InvalidArgument(_) => "wamp.error.invalid_argument",
            Self::NotAuthorized { .. } | Self::RolesNotTold(_) | Self::Banned => "wamp.error.not_authorized",
            Self::AuthorizationFailed { .. } => "wamp.error.authorization_failed",
            Self::DisclosureNotAllowed { .. } => "wamp.error.option_disallowed.disclose_me",
            Self::TooMany { .. } => "realmkeeper.error.limit_exceeded",
            Self::TooLarge => "wamp.error.payload_size_exceeded",
            Self::CalleeGone | Self::RealmClosed | Self::Canceled => "wamp.error.canceled",
            Self::Stopping => "wamp.close.system_shutdown",
            Self::Timeout(_) => "wamp.error.timeout",
        }
    }

    /// The limit that was run into, if it was one.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooMany { limit, .. } => Some(*limit),
            Self::TooLongUri { .. } => Some(Limit::UriLength),
            Self::InvalidUri { .. }
            | Self::NoSuchProcedure(_)
            | Self::NoAvailableCallee
            | Self::FeatureNotSupported { .. }
            | Self::ProcedureAlreadyExists(_)
            | Self::NoSuchRegistration(_)
            | Self::UnknownRegistration(_)
            | Self::NoSuchCallee(_)
            | Self::NoSuchSubscription(_)
            | Self::NoSuchSession(_)
            | Self::NoOtherSession(_)
            | Self::UnknownSubscription(_)
            | Self::NoSuchSubscriber(_)
            | Self::NoHistory(_)
            | Self::InvalidArgument(_)
            | Self::NotAuthorized { .. }
            | Self::AuthorizationFailed { .. }
            | Self::RolesNotTold(_)
            | Self::Banned
            | Self::DisclosureNotAllowed { .. }
            | Self::TooLarge
            | Self::CalleeGone
            | Self::RealmClosed
            | Self::Stopping
            | Self::Canceled
            | Self::Timeout(_) => None,
        }
    }

    /// The ERROR that tells a peer about it.
    pub(crate) fn answer(
        &self,
        request_type: RequestType,
        request: RequestId,
        serializer: Serializer,
    ) -> Error {
        let text = Arguments { args: vec![self.to_string().into()], ..Arguments::default() };
        Error {
            request_type,
            request,
            details: Sparse::default(),
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
    #[error("{place} {uri:?} {problem}")]
    InvalidUri {
        /// Where it stands.
        place: &'static str,
        /// The URI.
        uri: Uri,
        /// What is wrong with it.
        problem: &'static str,
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
    /// A frame that has no place.
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
pub(crate) fn check_uri(uri: &Uri, matching: Match, rules: UriRules) -> Result<(), Refusal> {
    if uri.len() > rules.longest {
        return Err(Refusal::TooLongUri { octets: uri.len(), most: rules.longest });
    }
    match uri_problem(uri, matching, rules.characters) {
        Some(problem) => Err(Refusal::InvalidUri { uri: uri.clone(), problem }),
        None => Ok(()),
    }
}

/// Refuses a URI that is not valid where it stands in a message that no ERROR can answer.
pub(crate) fn check_unanswerable_uri(place: &'static str, uri: &Uri, rule: UriRule) -> Result<(), Violation> {
    match uri_problem(uri, Match::Exact, rule) {
        Some(problem) => Err(Violation::InvalidUri { place, uri: uri.clone(), problem }),
        None => Ok(()),
    }
}

/// How many components a wildcard can have: each costs its share in memory, and in what a look-up takes.
const MOST_COMPONENTS: usize = 32;
const TOO_MANY_COMPONENTS: &str = "has more components than the 32 that a wildcard can have";

fn uri_problem(uri: &Uri, matching: Match, rule: UriRule) -> Option<&'static str> {
    if matching == Match::Wildcard && uri.split('.').nth(MOST_COMPONENTS).is_some() {
        return Some(TOO_MANY_COMPONENTS);
    }
    (!uri.is_valid(matching, rule)).then_some(match rule {
        UriRule::Loose => "is not a valid uri",
        UriRule::Strict => "is not a valid uri: this realm takes lower-case letters, digits and _ only",
    })
}

/// Refuses an option, where one is used, of a feature that is not among those announced.
pub(crate) fn check_announced(
    used: Option<&'static str>,
    feature: Feature,
    announced: Features,
) -> Result<(), Violation> {
    match used {
        Some(option) if !announced.contains(feature) => {
            Err(Violation::NotAnnounced { option, feature: feature.name() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a URI that only the router may use.
pub(crate) fn check_not_reserved(uri: &Uri) -> Result<(), Refusal> {
    if uri.is_reserved() {
        return Err(Refusal::InvalidUri { uri: uri.clone(), problem: "is reserved for the router" });
    }
    Ok(())
}
