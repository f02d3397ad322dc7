//! How a client proves who it is (section "Authentication"), one file a method.
//!
//! A method that asks something back begins an [`Exchange`] when HELLO has chosen it. The exchange gives what
//! CHALLENGE holds, and makes of AUTHENTICATE a [`Check`]: a value that is run where its cost does no harm, and
//! whose outcome decides. A method of several rounds gives a further exchange in place of the check.

pub(crate) mod ticket;

use crate::message::{Challenge, Signature, value::Dict};

/// A method of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Nothing is asked; the realm gives a name.
    Anonymous,
    /// A secret is shown as it is.
    Ticket,
}

impl Method {
    /// Every method.
    pub(crate) const ALL: [Self; 2] = [Self::Anonymous, Self::Ticket];

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Ticket => "ticket",
        }
    }

    /// The method of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What a method knows between CHALLENGE and AUTHENTICATE.
#[derive(Debug)]
pub(crate) enum Exchange {
    Ticket(ticket::Exchange),
}

impl Exchange {
    /// What the client is asked.
    pub(crate) fn challenge(&self) -> Challenge {
        match self {
            Self::Ticket(_) => Challenge { method: Method::Ticket.name().into(), extra: Dict::default() },
        }
    }

    /// Takes the answer.
    pub(crate) fn answer(self, signature: Signature) -> Check {
        match self {
            Self::Ticket(exchange) => Check::Ticket(exchange.answer(signature)),
        }
    }
}

/// Whether a proof is right, still to be found out.
#[derive(Debug)]
pub(crate) enum Check {
    Ticket(ticket::Check),
}

/// A proof could be found neither right nor wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unchecked(pub(crate) String);

impl Check {
    /// Whether it takes so long that it would keep others waiting.
    pub(crate) fn is_costly(&self) -> bool {
        match self {
            Self::Ticket(check) => check.is_costly(),
        }
    }

    /// Finds out whether the proof is right.
    pub(crate) fn run(&self) -> Result<bool, Unchecked> {
        match self {
            Self::Ticket(check) => check.run().map_err(|error| Unchecked(error.to_string())),
        }
    }
}
