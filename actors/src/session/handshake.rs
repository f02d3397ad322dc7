//! From HELLO to WELCOME as a state machine (section "Session Establishment").
//!
//! The first message has to be HELLO. A method of authentication that asks something back is one more state
//! here: CHALLENGE goes out, and the next message has to be AUTHENTICATE. [`Method`] is where such a method
//! plugs in.

use super::access::{Access, Door};
use crate::{
    cause::Cause,
    label::labels,
    limit::Limit,
    message::{
        Abort, ClientMessage, Hello,
        uri::{Match, Uri, UriRule},
    },
    refusal::Violation,
    roster::{Newcomer, Transport},
};

/// Where a client stands that has not joined.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// HELLO is due.
    Opened,
}

/// What comes next for a client that has not joined.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// It may join this realm.
    Join { realm: Uri, newcomer: Newcomer },
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
        accepted: &'static str,
    },
    /// It took too long.
    #[error("no session was joined within {0} ms")]
    Timeout(u128),
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
        Self::Timeout(_) => "timeout",
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
            Self::Violation(_)
            | Self::InvalidUtf8
            | Self::MessageTooBig(_)
            | Self::InvalidRealm(_)
            | Self::NoSuchRealm(_)
            | Self::NoMatchingAuthMethod { .. }
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
            Self::InvalidRealm(_) | Self::NoSuchRealm(_) | Self::NoMatchingAuthMethod { .. } => 1000,
            Self::Stopping | Self::RealmFailed => 1001,
            Self::Violation(_) => 1002,
            Self::InvalidUtf8 => 1007,
            Self::Timeout(_) => 1008,
            Self::MessageTooBig(_) => 1009,
            Self::Panic => 1011,
        }
    }
}

/// A method of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Nothing is asked; the realm gives a name.
    Anonymous,
}

impl Method {
    fn from_name(name: &str) -> Option<Self> {
        (name == "anonymous").then_some(Self::Anonymous)
    }

    /// Who the client is by this method, if it can be used at this door.
    fn identify(self, door: &Door, hello: &Hello, transport: &Transport) -> Option<Newcomer> {
        match self {
            Self::Anonymous => Some(Newcomer {
                authid: None,
                role: door.anonymous.clone()?,
                authmethod: "anonymous",
                authprovider: "static",
                transport: transport.clone(),
                roles: hello.details.roles.clone().unwrap_or_default(),
            }),
        }
    }
}

impl Handshake {
    /// Takes the next message of the client.
    pub(crate) fn receive(&self, message: ClientMessage, transport: &Transport, access: &Access) -> Next {
        match (self, message) {
            (Self::Opened, ClientMessage::Hello(hello)) => match greet(&hello, transport, access) {
                Ok(next) => next,
                Err(refused) => Next::Refuse(refused),
            },
            (_, ClientMessage::Abort(_)) => Next::Close,
            (Self::Opened, message) => {
                let problem = "came before a session was joined";
                Next::Refuse(Violation::Unexpected { message: message.name(), problem }.into())
            }
        }
    }
}

fn greet(hello: &Hello, transport: &Transport, access: &Access) -> Result<Next, Refused> {
    if !hello.realm.is_valid(Match::Exact, UriRule::Loose) {
        return Err(Refused::InvalidRealm(hello.realm.clone()));
    }
    if !hello.details.roles.as_ref().is_some_and(|roles| roles.has_client()) {
        let problem = "must announce in Details.roles one of publisher, subscriber, caller and callee";
        return Err(Violation::Unexpected { message: "HELLO", problem }.into());
    }
    let door = access.door(&hello.realm).ok_or_else(|| Refused::NoSuchRealm(hello.realm.clone()))?;
    let identify = |method: Method| method.identify(door, hello, transport);
    // Who offers nothing offers to be anonymous.
    let newcomer = match hello.details.authmethods.as_deref() {
        None | Some([]) => identify(Method::Anonymous),
        Some(offered) => offered.iter().filter_map(|name| Method::from_name(name)).find_map(identify),
    };
    let newcomer = newcomer.ok_or(Refused::NoMatchingAuthMethod { accepted: "anonymous" })?;
    Ok(Next::Join { realm: hello.realm.clone(), newcomer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::Serializer, permission::Role};
    use bytes::Bytes;

    fn receive(message: &str) -> Next {
        let frame = Bytes::copy_from_slice(message.as_bytes());
        let message = ClientMessage::decode(Serializer::Json, &frame, 64).unwrap();
        let door = Door { anonymous: Some(Role::unrestricted("anonymous").into()), ..Door::default() };
        Handshake::Opened.receive(message, &transport(), &Access::new([("realm1".into(), door)]))
    }

    fn transport() -> Transport {
        Transport { serializer: Serializer::Json, peer: "tcp4:127.0.0.1:1".into() }
    }

    fn refused(message: &str) -> (String, String) {
        let Next::Refuse(refused) = receive(message) else { panic!("{message} is not refused") };
        let abort = refused.abort();
        (abort.reason.to_string(), abort.details.message.unwrap_or_default().into())
    }

    #[test]
    fn a_client_that_offers_nothing_is_anonymous() {
        for offer in
            ["", r#","authmethods":[]"#, r#","authmethods":null"#, r#","authmethods":["x","anonymous"]"#]
        {
            let next = receive(&format!(r#"[1,"realm1",{{"roles":{{"caller":{{}}}}{offer}}}]"#));
            let Next::Join { realm, newcomer } = next else { panic!("{offer} is not let in: {next:?}") };
            assert_eq!((&*realm, &newcomer.authid, &*newcomer.role.name), ("realm1", &None, "anonymous"));
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let forged = r#""authid":"root","authrole":"admin","authprovider":"x","transport":{"peer":"y"},
            "authextra":{"transport":{"peer":"z"}}"#;
        let next = receive(&format!(r#"[1,"realm1",{{"roles":{{"caller":{{}}}},{forged}}}]"#));
        let plain = receive(r#"[1,"realm1",{"roles":{"caller":{}}}]"#);
        assert_eq!(next, plain);
    }

    #[test]
    fn a_hello_that_cannot_join_is_told_why() {
        let violation = "wamp.error.protocol_violation";
        let roles = "HELLO must announce in Details.roles one of publisher, subscriber, caller and callee";
        for (message, reason, text) in [
            (r#"[1,"realm1",{}]"#, violation, roles),
            (r#"[1,"realm1",{"roles":{}}]"#, violation, roles),
            (r#"[1,"realm1",{"roles":{"broker":{}}}]"#, violation, roles),
            (
                r#"[1,"a b",{"roles":{"caller":{}}}]"#,
                "wamp.error.invalid_uri",
                r#""a b" is not a valid uri for a realm"#,
            ),
            (
                r#"[1,"realm1",{"roles":{"caller":{}},"authmethods":["ticket"]}]"#,
                "wamp.error.no_matching_auth_method",
                "none of the offered methods of authentication is accepted here; accepted: anonymous",
            ),
            (r#"[48,1,{},"a"]"#, violation, "CALL came before a session was joined"),
            (r#"[5,"x",{}]"#, violation, "AUTHENTICATE came before a session was joined"),
            (r#"[6,{},"a"]"#, violation, "GOODBYE came before a session was joined"),
        ] {
            assert_eq!(refused(message), (reason.into(), text.into()), "{message}");
        }
    }

    #[test]
    fn a_client_may_give_up() {
        assert_eq!(receive(r#"[3,{},"wamp.close.normal"]"#), Next::Close);
    }
}
