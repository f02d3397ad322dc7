//! What the application sends: carried closed, opened only for meta procedures and between serializers.

use super::{Malformed, Raw, Serializer, raw, writer};
use crate::message::{
    Element,
    value::{Dict, INVALID_BINARY, Value},
};
use bytes::Bytes;

/// Positional and keyword arguments as they travel (section "Application payload").
///
/// An empty dict counts as none, and so does an empty list without a dict behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub(super) serializer: Serializer,
    pub(super) args: Option<Bytes>,
    pub(super) kwargs: Option<Bytes>,
}

/// A payload opened: the positional and the keyword arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Dict,
}

/// Why a payload cannot be had in another serializer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranscodable {
    /// It breaks a rule of its own serializer: its sender is to blame.
    #[error("the payload is malformed: {0}")]
    Malformed(String),
    /// It is sound, but the other serializer has no form for a value in it.
    #[error("the payload cannot be carried by {to}: {problem}")]
    Unrepresentable {
        /// The serializer of the receiver.
        to: Serializer,
        /// Which value is in the way.
        problem: String,
    },
}

impl Payload {
    /// A payload without arguments.
    pub const EMPTY: Self = Self { serializer: Serializer::Json, args: None, kwargs: None };

    /// Cuts the payload out of the last elements of a message, which stand in `frame`.
    pub(crate) fn cut(
        serializer: Serializer,
        frame: &Bytes,
        args: Option<&Raw<'_>>,
        kwargs: Option<&Raw<'_>>,
    ) -> Self {
        let cut = |raw: &Raw<'_>| (!raw.is_empty()).then(|| frame.slice_ref(raw.bytes));
        Self { serializer, args: args.and_then(cut), kwargs: kwargs.and_then(cut) }
    }

    /// Builds a payload from values.
    pub fn build(serializer: Serializer, arguments: &Arguments) -> Result<Self, Untranscodable> {
        let unrepresentable = |problem| Untranscodable::Unrepresentable { to: serializer, problem };
        let mut bytes = Vec::new();
        if !arguments.args.is_empty() {
            writer::encode(serializer, &arguments.args, &mut bytes).map_err(unrepresentable)?;
        }
        let args = bytes.len();
        if !arguments.kwargs.is_empty() {
            writer::encode(serializer, &arguments.kwargs, &mut bytes).map_err(unrepresentable)?;
        }
        let mut args_bytes = Bytes::from(bytes);
        let kwargs_bytes = args_bytes.split_off(args);
        let some = |bytes: Bytes| (!bytes.is_empty()).then_some(bytes);
        Ok(Self { serializer, args: some(args_bytes), kwargs: some(kwargs_bytes) })
    }

    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.args.is_none() && self.kwargs.is_none()
    }

    /// How many octets its arguments have.
    pub fn len(&self) -> usize {
        [&self.args, &self.kwargs].into_iter().flatten().map(Bytes::len).sum()
    }

    /// The serializer the bytes are in.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// Its positional and keyword arguments as bytes of its serializer.
    pub fn parts(&self) -> (Option<&Bytes>, Option<&Bytes>) {
        (self.args.as_ref(), self.kwargs.as_ref())
    }

    /// The same payload for a receiver that speaks `serializer`.
    pub fn transcode(&self, serializer: Serializer) -> Result<Self, Untranscodable> {
        if self.serializer == serializer || self.is_empty() {
            return Ok(Self { serializer, ..self.clone() });
        }
        let arguments = self.open().map_err(|problem| {
            if problem.contains(INVALID_BINARY) {
                Untranscodable::Malformed(problem)
            } else {
                Untranscodable::Unrepresentable { to: serializer, problem }
            }
        })?;
        Self::build(serializer, &arguments)
    }

    /// Its values, or what stands in the way of having them.
    pub fn open(&self) -> Result<Arguments, String> {
        let args = match &self.args {
            Some(bytes) => match value(self.serializer, bytes)? {
                Value::List(args) => args,
                other => return Err(format!("the arguments are not a list but {other:?}")),
            },
            None => Vec::new(),
        };
        let kwargs = match &self.kwargs {
            Some(bytes) => match value(self.serializer, bytes)? {
                Value::Dict(kwargs) => kwargs,
                other => return Err(format!("the keyword arguments are not a dict but {other:?}")),
            },
            None => Dict::default(),
        };
        Ok(Arguments { args, kwargs })
    }

    /// A value of its arguments as an id: see section "IDs" on floats, which JSON does not take for ids.
    pub fn id_of(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Integer(number) => Some(*number),
            Value::Float(number) if self.serializer != Serializer::Json => raw::id_from_float(*number),
            Value::Null
            | Value::Bool(_)
            | Value::Negative(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Binary(_)
            | Value::List(_)
            | Value::Dict(_) => None,
        }
    }
}

/// Builds the value of well-formed bytes.
pub(super) fn value(serializer: Serializer, bytes: &[u8]) -> Result<Value, String> {
    match serializer {
        Serializer::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        Serializer::MessagePack => rmp_serde::from_slice(bytes).map_err(|error| error.to_string()),
        Serializer::Cbor => cbor4ii::serde::from_slice(bytes).map_err(|error| error.to_string()),
    }
}

impl Raw<'_> {
    /// Builds the value.
    pub(crate) fn value(self) -> Result<Value, Malformed> {
        value(self.serializer, self.bytes).map_err(|problem| Malformed::syntax(self.serializer, problem))
    }
}

/// Reads options that came as an argument.
pub(crate) fn read_options<T: Element>(options: &Dict, name: &str) -> Result<T, Malformed> {
    let mut bytes = Vec::new();
    let serializer = Serializer::MessagePack;
    writer::encode(serializer, options, &mut bytes)
        .map_err(|problem| Malformed::syntax(serializer, problem))?;
    T::read_element(Raw { serializer, bytes: &bytes }, "add_testament", name)
}
