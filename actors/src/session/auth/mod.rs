//! How a client proves who it is (section "Authentication"), one file a method.
//!
//! A method that asks something back begins an [`Exchange`] when HELLO has chosen it. The exchange gives what
//! CHALLENGE holds, and makes of AUTHENTICATE a [`Check`]: a value that is run where its cost does no harm, and
//! whose outcome decides. A method of several rounds gives a further exchange in place of the check.
//!
//! Nothing tells from outside whether an authid is known: who has none of the methods is asked by the first that the
//! realm has for anybody, with what a [`Decoy`] makes up, and the check does the same work.

pub mod cra;
pub mod cryptosign;
mod hmac;
pub mod jwt;
pub mod scram;
pub(crate) mod ticket;
pub mod tls;

use crate::{
    message::{Authenticate, Challenge, value::Dict},
    permission::Role,
};
use hmac::hmac;
use std::{sync::Arc, time::SystemTime};

/// A method of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nothing is asked; the realm gives a name.
    Anonymous,
    /// A secret is shown as it is.
    Ticket,
    /// A challenge is signed with a secret that both know.
    WampCra,
    /// A password is proved that the router does not know, and the router proves that it knew it once.
    WampScram,
    /// A challenge is signed with a private key.
    Cryptosign,
    /// The certificate of the connection says who it is.
    Tls,
    /// A token is shown that somebody else has signed.
    Jwt,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::Ticket,
        Self::WampCra,
        Self::WampScram,
        Self::Cryptosign,
        Self::Tls,
        Self::Jwt,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Ticket => "ticket",
            Self::WampCra => "wampcra",
            Self::WampScram => "wamp-scram",
            Self::Cryptosign => "cryptosign",
            Self::Tls => "tls",
            Self::Jwt => "jwt",
        }
    }

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What a method knows between CHALLENGE and AUTHENTICATE.
#[derive(Debug)]
pub(crate) enum Exchange {
    Ticket(ticket::Exchange),
    Cra(cra::Exchange),
    Scram(scram::Exchange),
    Cryptosign(cryptosign::Exchange),
    Jwt(jwt::Exchange),
}

impl Exchange {
    /// What the client is asked.
    pub(crate) fn challenge(&self) -> Challenge {
        let (method, extra) = match self {
            Self::Ticket(_) => (Method::Ticket, Dict::default()),
            Self::Cra(exchange) => (Method::WampCra, exchange.extra()),
            Self::Scram(exchange) => (Method::WampScram, exchange.extra()),
            Self::Cryptosign(exchange) => (Method::Cryptosign, exchange.extra()),
            Self::Jwt(_) => (Method::Jwt, Dict::default()),
        };
        Challenge { method: method.name().into(), extra }
    }

    /// Takes the answer, which comes `now`.
    pub(crate) fn answer(self, answer: Authenticate, now: SystemTime) -> Check {
        match self {
            Self::Ticket(exchange) => Check::Ticket(exchange.answer(answer.signature)),
            Self::Cra(exchange) => Check::Cra(exchange.answer(answer.signature)),
            Self::Scram(exchange) => Check::Scram(exchange.answer(answer)),
            Self::Cryptosign(exchange) => Check::Cryptosign(exchange.answer(answer.signature)),
            Self::Jwt(exchange) => Check::Jwt(exchange.answer(answer.signature, now)),
        }
    }
}

/// Whether a proof is right, still to be found out.
#[derive(Debug)]
pub(crate) enum Check {
    Ticket(ticket::Check),
    Cra(cra::Check),
    Scram(scram::Check),
    Cryptosign(cryptosign::Check),
    Jwt(jwt::Check),
}

/// What a right proof brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Proof {
    /// What the client is told in WELCOME.Details.authextra.
    pub(crate) authextra: Option<Dict>,
    /// Who the client is, where only the proof tells that.
    pub(crate) claims: Option<Claims>,
}

/// Who somebody is by a proof, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claims {
    pub(crate) authid: Arc<str>,
    pub(crate) role: Arc<Role>,
    /// When the proof expires.
    pub(crate) expiry: SystemTime,
}

/// A proof could be found neither right nor wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unchecked(pub(crate) String);

/// What a check finds out: `None` if the proof is wrong.
pub(crate) type Checked = Result<Option<Proof>, Unchecked>;

impl Check {
    /// Whether it takes so long that it would keep others waiting.
    pub(crate) fn is_costly(&self) -> bool {
        match self {
            Self::Ticket(check) => check.is_costly(),
            Self::Cra(check) => check.is_costly(),
            Self::Scram(_) | Self::Cryptosign(_) | Self::Jwt(_) => false,
        }
    }

    /// Finds out whether the proof is right.
    pub(crate) fn run(&self) -> Checked {
        let is_right = match self {
            Self::Ticket(check) => check.run().map_err(|error| Unchecked(error.to_string()))?,
            Self::Cra(check) => check.run(),
            Self::Scram(check) => return Ok(check.run()),
            Self::Cryptosign(check) => check.run(),
            Self::Jwt(check) => return Ok(check.run()),
        };
        Ok(is_right.then(Proof::default))
    }
}

/// Defines what shows no secret when it is debugged.
macro_rules! secret {
    ($($name:ty),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )*};
}
use secret;

/// What is made up for those who are not known. The same authid of a realm gets the same as long as the secret is the
/// same, as if it were somebody's.
#[derive(Clone)]
pub(crate) struct Decoy([u8; 32]);

impl Decoy {
    /// What is made up in a realm, by a secret of the router.
    pub(crate) fn new(secret: &[u8; 32], realm: &str) -> Self {
        Self(hmac(secret, &[realm.as_bytes()]))
    }

    /// Octets for an authid, other ones for each purpose.
    pub(crate) fn octets(&self, purpose: &str, authid: &str) -> [u8; 32] {
        hmac(&self.0, &[purpose.as_bytes(), b"\0", authid.as_bytes()])
    }
}

secret!(Decoy);

/// What those get who are not known. It is made up for everybody, be it used or not: how long HELLO takes does not tell
/// who is known.
pub(super) fn made_up<T>(decoy: T) -> T {
    std::hint::black_box(decoy)
}
