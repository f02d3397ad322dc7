//! The messages of WAMP as types (section "Messages").
//!
//! [`ClientMessage`] is what a client may send and [`RouterMessage`] what the router may. Anything else,
//! a WELCOME from a client for instance, does not decode.

pub mod feature;
mod field;
pub mod id;
mod pubsub;
mod rpc;
mod session;
pub(crate) mod timestamp;
pub mod uri;
pub mod value;

pub use field::{Options, Sparse};
pub use pubsub::*;
pub use rpc::*;
pub use session::*;

use crate::codec::{Malformed, Raw};
pub(crate) use field::Element;
use field::direction;

direction! {
    /// A message from a client to the router.
    ClientMessage, "a client" {
        Hello, Abort, Authenticate, Goodbye, Error, Publish, Subscribe, Unsubscribe, Call, Cancel, Register,
        Unregister, Yield,
    }
}

direction! {
    /// A message from the router to a client.
    RouterMessage, "a router" {
        Welcome, Abort, Challenge, Goodbye, Error, Published, Subscribed, Unsubscribed, Event, Result,
        Registered, Unregistered, Invocation, Interrupt,
    }
}

impl RouterMessage {
    /// The request that it answers, or carries out.
    pub(crate) fn request(&self) -> Option<(RequestType, id::RequestId)> {
        match self {
            Self::Error(message) => Some((message.request_type, message.request)),
            Self::Result(message) => Some((RequestType::Call, message.request)),
            Self::Invocation(message) => Some((RequestType::Invocation, message.request)),
            Self::Welcome(_)
            | Self::Abort(_)
            | Self::Challenge(_)
            | Self::Goodbye(_)
            | Self::Published(_)
            | Self::Subscribed(_)
            | Self::Unsubscribed(_)
            | Self::Event(_)
            | Self::Registered(_)
            | Self::Unregistered(_)
            | Self::Interrupt(_) => None,
        }
    }
}

/// The type code at the head of a message.
fn code(elements: &[Raw<'_>]) -> std::result::Result<u64, Malformed> {
    match elements.first() {
        None => Err(Malformed::shape("a message is not empty")),
        Some(code) => code
            .integer()
            .ok_or_else(|| field::expected("the message type", "an integer that is not negative", *code)),
    }
}

fn not_sent_by(code: u64, sender: &str) -> Malformed {
    use field::Message;
    let known = [
        (Hello::CODE, Hello::NAME),
        (Welcome::CODE, Welcome::NAME),
        (Challenge::CODE, Challenge::NAME),
        (Authenticate::CODE, Authenticate::NAME),
        (Publish::CODE, Publish::NAME),
        (Published::CODE, Published::NAME),
        (Subscribe::CODE, Subscribe::NAME),
        (Subscribed::CODE, Subscribed::NAME),
        (Unsubscribe::CODE, Unsubscribe::NAME),
        (Unsubscribed::CODE, Unsubscribed::NAME),
        (Event::CODE, Event::NAME),
        (Call::CODE, Call::NAME),
        (Cancel::CODE, Cancel::NAME),
        (Result::CODE, Result::NAME),
        (Register::CODE, Register::NAME),
        (Registered::CODE, Registered::NAME),
        (Unregister::CODE, Unregister::NAME),
        (Unregistered::CODE, Unregistered::NAME),
        (Invocation::CODE, Invocation::NAME),
        (Interrupt::CODE, Interrupt::NAME),
        (Yield::CODE, Yield::NAME),
    ];
    match known.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => Malformed::shape(format_args!("{name} is not sent by {sender}")),
        None => Malformed::shape(format_args!("{code} is not a message type")),
    }
}
