//! One well-formed value, still in the bytes it arrived in.

use super::{Kind, Malformed, Serializer, cbor, json, msgpack};
use crate::message::id::MAX_ID;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The longest message, an ERROR with both arguments, has this many elements.
pub(crate) const MOST_ELEMENTS: usize = 7;

/// The elements of a message in order.
pub(crate) type Elements<'a> = SmallVec<[Raw<'a>; MOST_ELEMENTS]>;

/// A well-formed value of a known serializer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) serializer: Serializer,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Checks a whole message and cuts it into its elements.
    pub(crate) fn elements(
        serializer: Serializer,
        bytes: &'a [u8],
        depth: usize,
    ) -> Result<Elements<'a>, Malformed> {
        match serializer {
            Serializer::Json => json::elements(bytes, depth),
            Serializer::MessagePack => msgpack::elements(bytes, depth),
            Serializer::Cbor => cbor::elements(bytes, depth),
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self.serializer {
            Serializer::Json => json::kind(self.bytes),
            Serializer::MessagePack => msgpack::kind(self.bytes),
            Serializer::Cbor => cbor::kind(self.bytes),
        }
    }

    /// The value as an integer that is not negative.
    pub(crate) fn integer(self) -> Option<u64> {
        match self.serializer {
            Serializer::Json => json::integer(self.bytes),
            Serializer::MessagePack => msgpack::integer(self.bytes),
            Serializer::Cbor => cbor::integer(self.bytes),
        }
    }

    /// The value as an id. MessagePack and CBOR may carry it as a float without fraction.
    pub(crate) fn id(self) -> Option<u64> {
        let float = match self.serializer {
            Serializer::Json => None,
            Serializer::MessagePack => msgpack::float(self.bytes),
            Serializer::Cbor => cbor::float(self.bytes),
        };
        match float {
            Some(float) => id_from_float(float),
            None => self.integer(),
        }
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.serializer {
            Serializer::Json => json::boolean(self.bytes),
            Serializer::MessagePack => msgpack::boolean(self.bytes),
            Serializer::Cbor => cbor::boolean(self.bytes),
        }
    }

    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        match self.serializer {
            Serializer::Json => json::string(self.bytes),
            Serializer::MessagePack => msgpack::string(self.bytes),
            Serializer::Cbor => cbor::string(self.bytes),
        }
    }

    /// The items of a list; `None` if the value is none.
    pub(crate) fn items(self) -> Option<Vec<Raw<'a>>> {
        match self.serializer {
            Serializer::Json => json::items(self.bytes),
            Serializer::MessagePack => msgpack::items(self.bytes),
            Serializer::Cbor => cbor::items(self.bytes),
        }
    }

    /// The entries of a dict; `None` if the value is none, or a key is not a string.
    pub(crate) fn entries(self) -> Option<Vec<(Cow<'a, str>, Raw<'a>)>> {
        match self.serializer {
            Serializer::Json => json::entries(self.bytes),
            Serializer::MessagePack => msgpack::entries(self.bytes),
            Serializer::Cbor => cbor::entries(self.bytes),
        }
    }

    /// Whether the value is a list or dict without content.
    pub(crate) fn is_empty(self) -> bool {
        match self.serializer {
            Serializer::Json => json::is_empty(self.bytes),
            Serializer::MessagePack => msgpack::is_empty(self.bytes),
            Serializer::Cbor => cbor::is_empty(self.bytes),
        }
    }
}

/// A float without fraction from 1 to 2^53 is an id: JavaScript clients encode integers over 2^32 so.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
pub(crate) fn id_from_float(float: f64) -> Option<u64> {
    const MOST: f64 = MAX_ID as f64;
    (float.fract() == 0.0 && (1.0..=MOST).contains(&float)).then_some(float as u64)
}
