//! Messages that open and close a session (section "Sessions").

use super::{
    feature::Roles,
    field::{Field, Sparse, message, options},
    id::SessionId,
    uri::Uri,
    value::{Dict, Text},
};
use crate::codec::{Raw, Writer};
use std::{fmt, sync::Arc};

message! {
    /// `[1, Realm:uri, Details:dict]`: a client asks to join.
    Hello = 1 "HELLO" {
        /// The realm to join.
        realm "Realm": Uri,
        /// Who asks, and what it can do.
        details "Details": Sparse<HelloDetails>,
    }
    /// `[2, Session:id, Details:dict]`: the client has joined.
    Welcome = 2 "WELCOME" {
        /// The session that begins here.
        session "Session": SessionId,
        /// What the session was given, and what the router can do.
        details "Details": Sparse<WelcomeDetails>,
    }
    /// `[3, Details:dict, Reason:uri, Arguments:list, ArgumentsKw:dict]`: one peer ends it at once, and hears
    /// nothing more.
    Abort = 3 "ABORT" {
        /// May explain.
        details "Details": ClosingDetails,
        /// Why.
        reason "Reason": Uri,
    } + payload
    /// `[4, AuthMethod:string, Extra:dict]`: the client is to prove who it is.
    Challenge = 4 "CHALLENGE" {
        /// The method of authentication.
        method "AuthMethod": Box<str>,
        /// What the method needs.
        extra "Extra": Dict,
    }
    /// `[5, Signature:string, Extra:dict]`: the proof.
    Authenticate = 5 "AUTHENTICATE" {
        /// The proof itself.
        signature "Signature": Signature,
        /// What the method needs.
        extra "Extra": Dict,
    }
    /// `[6, Details:dict, Reason:uri]`: one peer closes the session; the other answers with its own.
    Goodbye = 6 "GOODBYE" {
        /// May explain.
        details "Details": ClosingDetails,
        /// Why.
        reason "Reason": Uri,
    }
}

options! {
    /// HELLO.Details. What a client claims about its transport is not read.
    HelloDetails {
        /// The roles of the client, at least one.
        roles: Roles,
        /// The implementation.
        agent: Box<str>,
        /// Methods of authentication in the order of preference.
        authmethods: Vec<Box<str>>,
        /// Who the client wants to be.
        authid: Box<str>,
        /// The role the client wants to have.
        authrole: Box<str>,
        /// For the method of authentication.
        authextra: Dict,
    }
    /// WELCOME.Details.
    WelcomeDetails {
        /// The roles of the router.
        roles: Roles,
        /// The implementation.
        agent: Text,
        /// The realm joined.
        realm: Uri,
        /// Who the client is.
        authid: Arc<str>,
        /// The role the client has.
        authrole: Arc<str>,
        /// How it was authenticated.
        authmethod: Text,
        /// By whom it was authenticated.
        authprovider: Text,
        /// From the method of authentication.
        authextra: Dict,
    }
    /// ABORT.Details and GOODBYE.Details.
    ClosingDetails {
        /// For a person to read.
        message: Box<str>,
    }
}

/// AUTHENTICATE.Signature: a secret, or what is made of one. It is never shown.
#[derive(Clone, PartialEq)]
pub struct Signature(Box<str>);

impl Signature {
    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<&str> for Signature {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(secret)")
    }
}

impl Field for Signature {
    const EXPECTED: &'static str = <Box<str>>::EXPECTED;

    fn read(raw: Raw<'_>) -> Option<Self> {
        Field::read(raw).map(Self)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.0.write(writer);
    }
}

impl Abort {
    /// An ABORT with a text for a person.
    pub fn new(reason: &str, message: &str) -> Self {
        Self {
            details: ClosingDetails { message: Some(message.into()) },
            reason: reason.into(),
            payload: crate::codec::Payload::EMPTY,
        }
    }
}

impl Goodbye {
    /// A GOODBYE, with a text for a person if there is one.
    pub fn new(reason: impl Into<Uri>, message: Option<&str>) -> Self {
        Self { details: ClosingDetails { message: message.map(Into::into) }, reason: reason.into() }
    }
}
