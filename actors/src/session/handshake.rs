//! From HELLO to WELCOME as a state machine (section "Session Establishment").
//!
//! ```text
//! Opened     -- HELLO -----------> Join                     nothing is asked
//! Opened     -- HELLO -----------> Challenge, Challenged    a method of `auth` asks for a proof
//! Challenged -- AUTHENTICATE ----> Verify, Verifying        the actor runs the check
//! Verifying  -- its outcome -----> Join                     the proof is right
//! ```
//!
//! Every other way leads to [`Next::Refuse`], and ABORT of the client to [`Next::Close`]. Each state is used up by
//! what it takes, so that one AUTHENTICATE answers one CHALLENGE.

use super::{
    access::{Access, Admission},
    auth::{Check, Exchange, Method, Unchecked, ticket},
};
use crate::{
    cause::Cause,
    label::labels,
    limit::Limit,
    message::{
        Abort, Authenticate, Challenge, ClientMessage, Hello,
        uri::{Match, Uri, UriRule},
    },
    permission::Role,
    refusal::{Refusal, Violation},
    roster::{Newcomer, Transport},
};
use std::sync::Arc;

/// Where a client stands that has not joined, and whose next message is due.
#[derive(Debug, Default)]
pub(crate) enum Handshake {
    /// HELLO is due.
    #[default]
    Opened,
    /// CHALLENGE was sent; AUTHENTICATE is due.
    Challenged { candidate: Box<Candidate>, exchange: Exchange },
}

/// A proof is being checked. No message is taken meanwhile.
#[derive(Debug)]
pub(crate) struct Verifying(Box<Candidate>);

/// What a client becomes if it proves who it is.
#[derive(Debug)]
pub(crate) struct Candidate {
    realm: Uri,
    /// `None` for an authid that nobody has: whatever the proof, it is not let in.
    newcomer: Option<Newcomer>,
}

/// What comes next for a client that has not joined.
#[derive(Debug)]
pub(crate) enum Next {
    /// It may join this realm.
    Join { realm: Uri, newcomer: Newcomer },
    /// It is asked for a proof; `then` takes the answer.
    Challenge { challenge: Challenge, then: Handshake },
    /// The check is to be run; `then` takes its outcome.
    Verify { check: Check, then: Verifying },
    /// It gave up.
    Close,
    /// It is sent away.
    Refuse(Refused),
}

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
    /// It offers a method that needs the authid, and gives none.
    #[error("HELLO.Details.authid is missing: it is needed for authentication by {method}")]
    NoAuthid {
        /// The method.
        method: &'static str,
    },
    /// Its proof is wrong, or nobody has its authid.
    #[error("the authid or the proof is wrong")]
    AuthenticationDenied,
    /// Its proof could not be checked.
    #[error("the proof could not be checked, try again")]
    AuthenticationFailed,
    /// It took too long to answer CHALLENGE.
    #[error("CHALLENGE was not answered within {0} ms")]
    AuthenticationTimeout(u128),
    /// It took too long.
    #[error("no session was joined within {0} ms")]
    Timeout(u128),
    /// The realm lets it in no more, since the configuration changed while it proved who it is.
    #[error("the configuration changed just then, try again")]
    AccessChanged,
    /// The realm has no room for it.
    #[error(transparent)]
    NoRoom(#[from] Refusal),
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

/// How the way to a session ends for a client that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has joined.
    Joined,
    /// It sent ABORT.
    Aborted,
    /// It closed its WebSocket.
    Closed,
    /// The connection broke.
    Lost,
}

labels! {
    pub(crate) Outcome {
        Self::Joined => "joined",
        Self::Aborted => "aborted",
        Self::Closed => "closed",
        Self::Lost => "lost",
    }
}

labels! {
    pub(crate) Refused {
        Self::Violation(_) => "protocol_violation",
        Self::InvalidUtf8 => "invalid_utf8",
        Self::MessageTooBig(_) => "message_too_big",
        Self::InvalidRealm(_) => "invalid_realm",
        Self::NoSuchRealm(_) => "no_such_realm",
        Self::NoMatchingAuthMethod { .. } => "no_matching_auth_method",
        Self::AuthenticationRequired { .. } => "authentication_required",
        Self::NoAuthid { .. } => "no_authid",
        Self::AuthenticationDenied => "authentication_denied",
        Self::AuthenticationFailed => "authentication_failed",
        Self::AuthenticationTimeout(_) => "authentication_timeout",
        Self::Timeout(_) => "timeout",
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
            Self::AuthenticationTimeout(_) => Some(Limit::AuthenticationTimeout),
            Self::NoRoom(refusal) => refusal.limit(),
            Self::Violation(_)
            | Self::InvalidUtf8
            | Self::MessageTooBig(_)
            | Self::InvalidRealm(_)
            | Self::NoSuchRealm(_)
            | Self::NoMatchingAuthMethod { .. }
            | Self::AuthenticationRequired { .. }
            | Self::NoAuthid { .. }
            | Self::AuthenticationDenied
            | Self::AuthenticationFailed
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
            | Cause::TransportClosed
            | Cause::TransportLost
            | Cause::Aborted
            | Cause::Killed(_)
            | Cause::KilledAll(_)
            | Cause::SlowConsumer
            | Cause::PingTimeout
            | Cause::Policy(_)
            | Cause::RealmClosed
            | Cause::Shutdown => None,
        }
    }

    /// The ABORT that tells the client.
    pub(crate) fn abort(&self) -> Abort {
        let reason = match self {
            Self::Violation(_) | Self::InvalidUtf8 => "wamp.error.protocol_violation",
            Self::MessageTooBig(_) => "wamp.error.payload_size_exceeded",
            Self::InvalidRealm(_) => "wamp.error.invalid_uri",
            Self::NoSuchRealm(_) => "wamp.error.no_such_realm",
            Self::NoMatchingAuthMethod { .. } => "wamp.error.no_matching_auth_method",
            Self::NoRoom(refusal) => refusal.uri(),
            Self::AuthenticationRequired { .. } | Self::NoAuthid { .. } => {
                "wamp.error.authentication_required"
            }
            Self::AuthenticationDenied => "wamp.error.authentication_denied",
            Self::AccessChanged => "wamp.error.not_authorized",
            Self::AuthenticationFailed | Self::AuthenticationTimeout(_) => "wamp.error.authentication_failed",
            Self::Timeout(_) => "wamp.error.timeout",
            Self::Stopping => "wamp.close.system_shutdown",
            Self::RealmFailed => "wamp.close.close_realm",
            Self::Panic => "realmkeeper.error.internal",
        };
        Abort::new(reason, &self.to_string())
    }

    /// The code with which the WebSocket is closed after it.
    pub(crate) fn close_code(&self) -> u16 {
        match self {
            Self::InvalidRealm(_)
            | Self::NoSuchRealm(_)
            | Self::NoMatchingAuthMethod { .. }
            | Self::AuthenticationRequired { .. }
            | Self::NoAuthid { .. }
            | Self::AuthenticationDenied => 1000,
            Self::Stopping | Self::RealmFailed => 1001,
            Self::Violation(_) => 1002,
            Self::InvalidUtf8 => 1007,
            Self::Timeout(_) | Self::AuthenticationTimeout(_) | Self::NoRoom(_) | Self::AccessChanged => 1008,
            Self::MessageTooBig(_) => 1009,
            Self::AuthenticationFailed | Self::Panic => 1011,
        }
    }
}

impl Handshake {
    /// Takes the next message of the client.
    pub(crate) fn receive(self, message: ClientMessage, transport: &Transport, access: &Access) -> Next {
        match (self, message) {
            (Self::Opened, ClientMessage::Hello(hello)) => {
                greet(&hello, transport, access).unwrap_or_else(Next::Refuse)
            }
            (
                Self::Challenged { candidate, exchange },
                ClientMessage::Authenticate(Authenticate { signature, .. }),
            ) => Next::Verify { check: exchange.answer(signature), then: Verifying(candidate) },
            (_, ClientMessage::Abort(_)) => Next::Close,
            (Self::Opened, message) => unexpected(message.name(), "came before a session was joined"),
            (Self::Challenged { .. }, message) => {
                unexpected(message.name(), "came where AUTHENTICATE was due")
            }
        }
    }
}

impl Verifying {
    /// Takes the outcome of the check.
    pub(crate) fn conclude(self, outcome: Result<bool, Unchecked>) -> Next {
        let Candidate { realm, newcomer } = *self.0;
        match (outcome, newcomer) {
            (Ok(true), Some(newcomer)) => Next::Join { realm, newcomer },
            (Ok(_), _) => Next::Refuse(Refused::AuthenticationDenied),
            (Err(_), _) => Next::Refuse(Refused::AuthenticationFailed),
        }
    }
}

fn unexpected(message: &'static str, problem: &'static str) -> Next {
    Next::Refuse(Violation::Unexpected { message, problem }.into())
}

fn greet(hello: &Hello, transport: &Transport, access: &Access) -> Result<Next, Refused> {
    if !hello.realm.is_valid(Match::Exact, UriRule::Loose) {
        return Err(Refused::InvalidRealm(hello.realm.clone()));
    }
    if !hello.details.roles.as_ref().is_some_and(|roles| roles.has_client()) {
        let problem = "must announce in Details.roles one of publisher, subscriber, caller and callee";
        return Err(Violation::Unexpected { message: "HELLO", problem }.into());
    }
    let admission =
        access.admission(&hello.realm).ok_or_else(|| Refused::NoSuchRealm(hello.realm.clone()))?;
    let offered: Vec<_> = match hello.details.authmethods.as_deref() {
        // Who offers nothing offers to be anonymous.
        None | Some([]) => vec![Some(Method::Anonymous)],
        Some(offered) => offered.iter().map(|name| Method::from_name(name)).collect(),
    };
    let accepted = || offered.iter().copied().flatten().filter(|method| admission.accepts(*method));
    if let Some(next) = accepted().find_map(|method| begin(method, hello, transport, &admission)) {
        return Ok(next);
    }
    Err(match accepted().next() {
        Some(method) => Refused::NoAuthid { method: method.name() },
        None if offered.iter().all(|method| *method == Some(Method::Anonymous)) => {
            Refused::AuthenticationRequired { accepted: admission.accepted() }
        }
        None => Refused::NoMatchingAuthMethod { accepted: admission.accepted() },
    })
}

/// Begins a method that the realm accepts; `None` if the client has left out what it needs.
fn begin(method: Method, hello: &Hello, transport: &Transport, admission: &Admission) -> Option<Next> {
    let realm = hello.realm.clone();
    let newcomer = |authid: Option<Arc<str>>, role: Arc<Role>| Newcomer {
        authid,
        role,
        authmethod: method.name(),
        authprovider: "static",
        transport: transport.clone(),
        roles: hello.details.roles.unwrap_or_default(),
    };
    match method {
        Method::Anonymous => {
            let newcomer = newcomer(None, admission.anonymous.clone()?);
            Some(Next::Join { realm, newcomer })
        }
        Method::Ticket => {
            let known = admission.principal(hello.details.authid.as_deref()?);
            let expected = known.map(|known| &known.ticket);
            let exchange = Exchange::Ticket(ticket::Exchange::begin(expected, admission.decoy.as_ref()));
            let newcomer = known.map(|known| newcomer(Some(known.authid.clone()), known.role.clone()));
            let challenge = exchange.challenge();
            let candidate = Box::new(Candidate { realm, newcomer });
            Some(Next::Challenge { challenge, then: Handshake::Challenged { candidate, exchange } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Serializer,
        session::access::{Door, Principal, Ticket},
    };
    use bytes::Bytes;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA\
                        $Mv5STjIxSpnL5c5hA1ZVL9MtOunSNAQmRLEmT64bzZM";

    /// How the realms admit: `open` whoever does not say who it is, `plain` and `hashed` only joe by his ticket,
    /// `both` either, and `shut` nobody.
    fn access() -> Access {
        let anonymous = Some(Arc::new(Role::unrestricted("anonymous")));
        let joe = |ticket| {
            let role = Arc::new(Role::unrestricted("backend"));
            vec![Principal { authid: "joe".into(), role, ticket }]
        };
        let (plain, hashed) = (Ticket::plain("secret123"), Ticket::hashed(HASH).unwrap());
        let access = Access::default();
        access.replace([
            ("open".into(), Door { anonymous: anonymous.clone(), principals: Vec::new() }),
            ("plain".into(), Door { anonymous: None, principals: joe(plain.clone()) }),
            ("hashed".into(), Door { anonymous: None, principals: joe(hashed) }),
            ("both".into(), Door { anonymous, principals: joe(plain) }),
            ("shut".into(), Door::default()),
        ]);
        access
    }

    /// What a message leads to.
    fn receive(handshake: Handshake, message: &str) -> Next {
        let frame = Bytes::copy_from_slice(message.as_bytes());
        let message = ClientMessage::decode(Serializer::Json, &frame, 64).unwrap();
        let transport = Transport {
            serializer: Serializer::Json,
            peer: "tcp4:127.0.0.1:1".into(),
            via: None,
            is_secure: false,
        };
        handshake.receive(message, &transport, &access())
    }

    fn hello(realm: &str, details: &str) -> Next {
        receive(Handshake::Opened, &format!(r#"[1,"{realm}",{{"roles":{{"caller":{{}}}}{details}}}]"#))
    }

    /// Who is let in where.
    fn joined(next: Next) -> (Uri, Newcomer) {
        let Next::Join { realm, newcomer } = next else { panic!("it is not let in: {next:?}") };
        (realm, newcomer)
    }

    fn refused(next: Next) -> (String, String) {
        let Next::Refuse(refused) = next else { panic!("it is not refused: {next:?}") };
        let abort = refused.abort();
        (abort.reason.to_string(), abort.details.message.unwrap_or_default().into())
    }

    /// Says HELLO with this authid; gives what takes the answer to the challenge.
    fn challenged(realm: &str, authid: &str) -> Handshake {
        let next = hello(realm, &format!(r#","authmethods":["ticket"],"authid":"{authid}""#));
        let Next::Challenge { challenge, then } = next else { panic!("it is not challenged: {next:?}") };
        assert_eq!((&*challenge.method, challenge.extra), ("ticket", Default::default()));
        then
    }

    /// Shows a ticket; gives what the outcome of its check leads to.
    fn show(realm: &str, authid: &str, ticket: &str) -> Next {
        let next = receive(challenged(realm, authid), &format!(r#"[5,"{ticket}",{{}}]"#));
        let Next::Verify { check, then } = next else { panic!("nothing is checked: {next:?}") };
        assert_eq!(check.is_costly(), realm == "hashed");
        then.conclude(check.run())
    }

    #[test]
    fn a_client_that_offers_nothing_is_anonymous() {
        for offer in
            ["", r#","authmethods":[]"#, r#","authmethods":null"#, r#","authmethods":["x","anonymous"]"#]
        {
            let (realm, newcomer) = joined(hello("open", offer));
            assert_eq!((&*realm, &newcomer.authid, &*newcomer.role.name), ("open", &None, "anonymous"));
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let forged = r#","authid":"root","authrole":"admin","authprovider":"x","transport":{"peer":"y"},
            "authextra":{"transport":{"peer":"z"}}"#;
        assert_eq!(joined(hello("open", forged)), joined(hello("open", "")));
    }

    #[test]
    fn the_right_ticket_lets_its_principal_in() {
        for realm in ["plain", "hashed", "both"] {
            let (joined, newcomer) = joined(show(realm, "joe", "secret123"));
            let Newcomer { authid, role, authmethod, authprovider, .. } = newcomer;
            assert_eq!(
                (&*joined, authid.as_deref(), &*role.name, authmethod, authprovider),
                (realm, Some("joe"), "backend", "ticket", "static")
            );
        }
    }

    #[test]
    fn a_wrong_ticket_and_an_unknown_authid_are_told_the_same() {
        let denied = ("wamp.error.authentication_denied".into(), "the authid or the proof is wrong".into());
        for realm in ["plain", "hashed", "both"] {
            for ticket in ["", "secret12", "secret1234", "SECRET123"] {
                assert_eq!(refused(show(realm, "joe", ticket)), denied, "{realm} {ticket:?}");
            }
            for authid in ["", "jo", "Joe", "backend", "anonymous"] {
                for ticket in ["", "secret123"] {
                    assert_eq!(refused(show(realm, authid, ticket)), denied, "{realm} {authid:?} {ticket:?}");
                }
            }
        }
    }

    #[test]
    fn a_proof_that_cannot_be_checked_is_no_proof() {
        let next = receive(challenged("hashed", "joe"), r#"[5,"secret123",{}]"#);
        let Next::Verify { then, .. } = next else { panic!("nothing is checked: {next:?}") };
        let failed = ("wamp.error.authentication_failed", "the proof could not be checked, try again");
        let (reason, text) = refused(then.conclude(Err(Unchecked("no memory".into()))));
        assert_eq!((&*reason, &*text), failed);
    }

    #[test]
    fn the_first_method_that_can_be_used_is() {
        for (realm, details, expected) in [
            ("both", r#","authmethods":["ticket","anonymous"],"authid":"joe""#, "ticket"),
            ("both", r#","authmethods":["anonymous","ticket"],"authid":"joe""#, "anonymous"),
            ("both", r#","authmethods":["wampcra","ticket","anonymous"],"authid":"joe""#, "ticket"),
            ("both", r#","authmethods":["ticket","anonymous"]"#, "anonymous"),
            ("both", r#","authid":"joe""#, "anonymous"),
            ("open", r#","authmethods":["ticket","anonymous"],"authid":"joe""#, "anonymous"),
            ("plain", r#","authmethods":["anonymous","ticket"],"authid":"joe""#, "ticket"),
            ("plain", r#","authmethods":["anonymous","ticket"],"authid":"joe","authrole":"admin""#, "ticket"),
        ] {
            let next = hello(realm, details);
            let used = if let Next::Challenge { challenge, .. } = next {
                challenge.method
            } else {
                joined(next).1.authmethod.into()
            };
            assert_eq!(&*used, expected, "{realm} {details}");
        }
    }

    #[test]
    fn a_hello_that_cannot_join_is_told_why() {
        let violation = "wamp.error.protocol_violation";
        let roles = "HELLO must announce in Details.roles one of publisher, subscriber, caller and callee";
        for (message, reason, text) in [
            (r#"[1,"open",{}]"#, violation, roles),
            (r#"[1,"open",{"roles":{}}]"#, violation, roles),
            (r#"[1,"open",{"roles":{"broker":{}}}]"#, violation, roles),
            (
                r#"[1,"a b",{"roles":{"caller":{}}}]"#,
                "wamp.error.invalid_uri",
                r#""a b" is not a valid uri for a realm"#,
            ),
            (r#"[48,1,{},"a"]"#, violation, "CALL came before a session was joined"),
            (r#"[5,"x",{}]"#, violation, "AUTHENTICATE came before a session was joined"),
            (r#"[6,{},"a"]"#, violation, "GOODBYE came before a session was joined"),
        ] {
            assert_eq!(
                refused(receive(Handshake::Opened, message)),
                (reason.into(), text.into()),
                "{message}"
            );
        }
    }

    #[test]
    fn a_client_that_offers_no_method_of_the_realm_is_told_which_there_are() {
        let (no_match, required) =
            ("wamp.error.no_matching_auth_method", "wamp.error.authentication_required");
        let none = "none of the offered methods of authentication is accepted here; accepted: ";
        let nobody = "nobody joins this realm anonymously; accepted: ";
        let no_authid = "HELLO.Details.authid is missing: it is needed for authentication by ticket";
        for (realm, details, reason, text) in [
            ("open", r#","authmethods":["ticket"],"authid":"joe""#, no_match, format!("{none}anonymous")),
            ("open", r#","authmethods":["wampcra","ticket"]"#, no_match, format!("{none}anonymous")),
            ("plain", r#","authmethods":["wampcra"],"authid":"joe""#, no_match, format!("{none}ticket")),
            ("plain", r#","authmethods":["wampcra","anonymous"]"#, no_match, format!("{none}ticket")),
            ("both", r#","authmethods":["wampcra"]"#, no_match, format!("{none}anonymous, ticket")),
            ("shut", r#","authmethods":["ticket"],"authid":"joe""#, no_match, format!("{none}none")),
            ("plain", "", required, format!("{nobody}ticket")),
            ("plain", r#","authmethods":[]"#, required, format!("{nobody}ticket")),
            ("plain", r#","authmethods":["anonymous"],"authid":"joe""#, required, format!("{nobody}ticket")),
            ("shut", "", required, format!("{nobody}none")),
            ("plain", r#","authmethods":["ticket"]"#, required, no_authid.into()),
            ("plain", r#","authmethods":["ticket","anonymous"],"authid":null"#, required, no_authid.into()),
        ] {
            assert_eq!(refused(hello(realm, details)), (reason.into(), text), "{realm} {details}");
        }
    }

    #[test]
    fn only_authenticate_answers_a_challenge() {
        for (message, name) in [
            (r#"[1,"plain",{"roles":{"caller":{}},"authmethods":["ticket"],"authid":"joe"}]"#, "HELLO"),
            (r#"[6,{},"wamp.close.normal"]"#, "GOODBYE"),
            (r#"[48,1,{},"a"]"#, "CALL"),
            (r#"[16,1,{},"a"]"#, "PUBLISH"),
        ] {
            let text = format!("{name} came where AUTHENTICATE was due");
            let next = receive(challenged("plain", "joe"), message);
            assert_eq!(refused(next), ("wamp.error.protocol_violation".into(), text));
        }
    }

    #[test]
    fn a_client_may_give_up() {
        for handshake in [Handshake::Opened, challenged("plain", "joe"), challenged("plain", "nobody")] {
            let next = receive(handshake, r#"[3,{},"wamp.close.normal"]"#);
            assert!(matches!(next, Next::Close), "{next:?}");
        }
    }

    #[test]
    fn a_client_that_takes_too_long_is_told_how_long_it_had() {
        for (refused, reason, text) in [
            (Refused::Timeout(50), "wamp.error.timeout", "no session was joined within 50 ms"),
            (
                Refused::AuthenticationTimeout(50),
                "wamp.error.authentication_failed",
                "CHALLENGE was not answered within 50 ms",
            ),
        ] {
            assert_eq!(refused.abort(), Abort::new(reason, text));
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        for realm in ["plain", "hashed"] {
            let handshake = challenged(realm, "joe");
            let before = format!("{handshake:?} {:?}", access());
            let check = receive(handshake, r#"[5,"secret123",{}]"#);
            for shown in [before, format!("{check:?}")] {
                assert!(!shown.contains("secret123") && !shown.contains("cmVhbG1r"), "{shown}");
            }
        }
    }
}
