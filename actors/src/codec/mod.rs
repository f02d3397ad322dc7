//! The three serializers, and messages in their bytes.
//!
//! A message arrives as one list. It is checked whole (well-formed, UTF-8, not nested too
//! deep) and cut into its elements; only ids, URIs and known options are looked into.
//! The arguments of the application stay closed as [`Payload`] and leave as the bytes they came in,
//! unless the receiver speaks another serializer.

mod cbor;
mod json;
mod msgpack;
mod payload;
mod raw;
mod transcode;
mod writer;

pub(crate) use json::from_json;
pub use payload::{Arguments, Payload, Untranscodable};
pub(crate) use payload::{options_value, read_options};
pub(crate) use raw::{Elements, MOST_ELEMENTS, Raw, is_ascii};
pub(crate) use writer::Writer;

use std::fmt;

/// A serialization format (section "Serializers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serializer {
    /// `wamp.2.json`, text.
    Json,
    /// `wamp.2.msgpack`, binary.
    MessagePack,
    /// `wamp.2.cbor`, binary.
    Cbor,
}

impl Serializer {
    /// Every serializer spoken here.
    pub const ALL: [Self; 3] = [Self::Json, Self::MessagePack, Self::Cbor];

    /// The WebSocket subprotocol that stands for it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::MessagePack => "wamp.2.msgpack",
            Self::Cbor => "wamp.2.cbor",
        }
    }

    /// The serializer of a WebSocket subprotocol, if it is spoken here.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.subprotocol() == name)
    }

    /// Its short name, as `transport.channel_serializer` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "msgpack",
            Self::Cbor => "cbor",
        }
    }

    /// Whether its messages are text rather than binary.
    pub fn is_text(self) -> bool {
        self == Self::Json
    }
}

impl fmt::Display for Serializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not a message. Whoever sent them broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a well-formed value of the serializer.
    #[error("not valid {serializer}: {problem}")]
    Syntax {
        /// The serializer it should have been.
        serializer: Serializer,
        /// What is wrong, and where.
        problem: String,
    },
    /// Lists and dicts stand inside each other deeper than allowed.
    #[error("the message is nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// A well-formed value that is not a message, or not one for this direction.
    #[error("{0}")]
    Shape(String),
}

impl Malformed {
    fn syntax(serializer: Serializer, problem: impl fmt::Display) -> Self {
        Self::Syntax { serializer, problem: problem.to_string() }
    }

    pub(crate) fn shape(problem: impl fmt::Display) -> Self {
        Self::Shape(problem.to_string())
    }
}

/// The kinds of values, as error texts name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    String,
    Binary,
    List,
    Dict,
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::String => "a string",
            Self::Binary => "binary",
            Self::List => "a list",
            Self::Dict => "a dict",
            Self::Other => "a value that WAMP lacks",
        })
    }
}
