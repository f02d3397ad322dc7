//! One well-formed value, still in the bytes it arrived in.

use super::{Kind, Malformed, Serializer, cbor, json, msgpack};
use crate::message::id::MAX_ID;
use smallvec::SmallVec;
use std::{borrow::Cow, iter};

/// The longest message, an ERROR with both arguments, has this many elements.
pub(crate) const MOST_ELEMENTS: usize = 7;

/// The elements of a message in order: no more of them than one can have, and one more if there are more.
pub(crate) type Elements<'a> = SmallVec<[Raw<'a>; MOST_ELEMENTS + 1]>;

/// A well-formed value of a known serializer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) serializer: Serializer,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Checks a whole message and cuts it into `elements`, which are not returned because they are many.
    pub(crate) fn cut(
        serializer: Serializer,
        bytes: &'a [u8],
        depth: usize,
        elements: &mut Elements<'a>,
    ) -> Result<(), Malformed> {
        let collect = |bytes| {
            if elements.len() <= MOST_ELEMENTS {
                elements.push(Raw { serializer, bytes });
            }
        };
        let (cut, rest) = match serializer {
            Serializer::Json => json::cut(bytes, depth, collect),
            Serializer::MessagePack => msgpack::cut(bytes, depth, collect),
            Serializer::Cbor => cbor::cut(bytes, depth, collect),
        };
        match cut {
            Ok(()) if rest.is_empty() => Ok(()),
            Ok(()) => Err(broken(serializer, "something follows the list", bytes, rest)),
            Err(Stop::Broken(problem)) => Err(broken(serializer, problem, bytes, rest)),
            Err(Stop::TooDeep) => Err(Malformed::TooDeep { limit: depth }),
            Err(Stop::NoList) => Err(Malformed::shape("a message is a list")),
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
        match self.serializer {
            Serializer::Json => json::integer(self.bytes),
            Serializer::MessagePack => msgpack::id(self.bytes),
            Serializer::Cbor => cbor::id(self.bytes),
        }
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.serializer {
            Serializer::Json => json::boolean(self.bytes),
            Serializer::MessagePack => msgpack::boolean(self.bytes),
            Serializer::Cbor => cbor::boolean(self.bytes),
        }
    }

    /// The value as a string that every serializer can carry: one that begins with U+0000 is binary in JSON.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.starts_with('\0'))
    }

    fn text(self) -> Option<Cow<'a, str>> {
        match self.serializer {
            Serializer::Json => json::string(self.bytes),
            Serializer::MessagePack => msgpack::string(self.bytes),
            Serializer::Cbor => cbor::string(self.bytes),
        }
    }

    /// The items of a list; `None` if the value is none.
    pub(crate) fn items(self) -> Option<impl Iterator<Item = Raw<'a>>> {
        self.inside(Kind::List)
    }

    /// The entries of a dict; `None` if the value is none. A key is `None` if it is not a string.
    pub(crate) fn entries(self) -> Option<impl Iterator<Item = (Option<Cow<'a, str>>, Raw<'a>)>> {
        let mut inside = self.inside(Kind::Dict)?;
        Some(iter::from_fn(move || Some((inside.next()?.text(), inside.next()?))))
    }

    /// The values inside a list or dict; `None` if the value is not of this kind.
    fn inside(self, kind: Kind) -> Option<Inside<'a>> {
        let (found, rest, left) = match self.serializer {
            Serializer::Json => json::inside(self.bytes)?,
            Serializer::MessagePack => msgpack::inside(self.bytes)?,
            Serializer::Cbor => cbor::inside(self.bytes)?,
        };
        (found == kind).then_some(Inside { serializer: self.serializer, rest, left })
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

/// The values inside a list or dict one after the other, the keys of a dict included.
struct Inside<'a> {
    serializer: Serializer,
    rest: &'a [u8],
    /// How many there are; `None` where something at the end says that it is over.
    left: Option<u64>,
}

impl<'a> Iterator for Inside<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let bytes = match self.serializer {
            Serializer::Json => json::next(&mut self.rest),
            Serializer::MessagePack => msgpack::next(&mut self.rest),
            Serializer::Cbor => cbor::next(&mut self.rest),
        };
        bytes.map(|bytes| Raw { serializer: self.serializer, bytes })
    }
}

/// Why a walk over bytes stopped.
pub(super) enum Stop {
    Broken(&'static str),
    TooDeep,
    NoList,
}

impl Stop {
    pub(super) const TRUNCATED: Self = Self::Broken("it ends in the middle of a value");
}

fn broken(serializer: Serializer, problem: &str, bytes: &[u8], rest: &[u8]) -> Malformed {
    let at = bytes.len() - rest.len();
    Malformed::syntax(serializer, format_args!("{problem} (byte {at})"))
}

/// The depth that is left inside a list or dict.
pub(super) fn deeper(depth: usize) -> Result<usize, Stop> {
    depth.checked_sub(1).ok_or(Stop::TooDeep)
}

/// Whether it is text. Most is ASCII, which is quicker to tell.
pub(super) fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || std::str::from_utf8(text).is_ok()
}

/// Whether all octets are ASCII.
pub(crate) fn is_ascii(text: &[u8]) -> bool {
    // Without a branch for each octet the compiler takes many at once.
    let all_are = |text: &[u8]| text.iter().fold(0, |all, octet| all | octet).is_ascii();
    match text.last_chunk::<32>() {
        Some(last) => all_are(last) && text.as_chunks::<32>().0.iter().all(|block| all_are(block)),
        None => all_are(text),
    }
}

/// The bytes that were stepped over from `start` on.
pub(super) fn stepped_over<'a>(start: &'a [u8], rest: &[u8]) -> &'a [u8] {
    start.get(..start.len() - rest.len()).unwrap_or_default()
}

/// A float without fraction from 1 to 2^53 is an id: JavaScript clients encode integers over 2^32 so.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
pub(crate) fn id_from_float(float: f64) -> Option<u64> {
    const MOST: f64 = MAX_ID as f64;
    (float.fract() == 0.0 && (1.0..=MOST).contains(&float)).then_some(float as u64)
}
