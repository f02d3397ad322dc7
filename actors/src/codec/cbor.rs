//! CBOR: walked over without building values. Every integer width, definite and indefinite lengths are taken.

use super::{
    Kind,
    raw::{Stop, deeper, id_from_float, is_utf8, stepped_over},
};
use std::borrow::Cow;

const BREAK: u8 = 0xff;

/// The major types (RFC 8949 section 3.1).
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const STRING: u8 = 3;
    pub(super) const LIST: u8 = 4;
    pub(super) const DICT: u8 = 5;
    pub(super) const TAG: u8 = 6;
    pub(super) const SIMPLE: u8 = 7;
}

/// What stands at the head of a value.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    /// The low five bits: the argument itself, or how it is encoded.
    info: u8,
    /// The number, the length or the bits of a float; `None` for an indefinite length.
    argument: Option<u64>,
}

/// A position in the bytes.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Stop> {
        let count = usize::try_from(count).map_err(|_| Stop::TRUNCATED)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Stop::TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Steps over a head, unless it is broken.
    fn head(&mut self) -> Result<Head, Stop> {
        let start = self.rest;
        self.read_head().inspect_err(|_| self.rest = start)
    }

    fn read_head(&mut self) -> Result<Head, Stop> {
        let [first] = self.array()?;
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..=23 => Some(info.into()),
            24 => Some(u8::from_be_bytes(self.array()?).into()),
            25 => Some(u16::from_be_bytes(self.array()?).into()),
            26 => Some(u32::from_be_bytes(self.array()?).into()),
            27 => Some(u64::from_be_bytes(self.array()?)),
            31 if matches!(major, major::BINARY..=major::DICT) => None,
            31 if major == major::SIMPLE => return Err(Stop::Broken("a break stands where a value is due")),
            _ => return Err(Stop::Broken("a length is encoded in a reserved way")),
        };
        if major == major::SIMPLE && info == 24 && argument < Some(32) {
            return Err(Stop::Broken("a simple value is encoded in a reserved way"));
        }
        Ok(Head { major, info, argument })
    }

    /// Steps over the break that ends something of indefinite length, if it stands here.
    fn is_over(&mut self) -> bool {
        match self.rest {
            [BREAK, rest @ ..] => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Calls `step` for each item: so often as `count` says or, without, up to the break.
    fn each(
        &mut self,
        count: Option<u64>,
        mut step: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match count {
            Some(count) => {
                for _ in 0..count {
                    step(self)?;
                }
            }
            None => {
                while !self.is_over() {
                    step(self)?;
                }
            }
        }
        Ok(())
    }

    /// Steps over the octets of a string or binary, and hands out each chunk of it.
    fn chunks(
        &mut self,
        head: Head,
        mut chunk: impl FnMut(&'a [u8]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut take = |walk: &mut Self, count| {
            let start = walk.rest;
            chunk(walk.take(count)?).inspect_err(|_| walk.rest = start)
        };
        match head.argument {
            Some(count) => take(self, count),
            None => self.each(None, |walk| {
                let start = walk.rest;
                match walk.head()? {
                    Head { major, argument: Some(count), .. } if major == head.major => take(walk, count),
                    Head { .. } => {
                        walk.rest = start;
                        Err(Stop::Broken("a chunk is not of the kind of its string"))
                    }
                }
            }),
        }
    }

    /// Steps over one value, in which lists, dicts and tags may stand `depth` deep.
    fn skip(&mut self, depth: usize) -> Result<(), Stop> {
        let head = self.head()?;
        match head.major {
            major::BINARY => self.chunks(head, |_| Ok(())),
            major::STRING => self.chunks(head, |text| {
                if is_utf8(text) { Ok(()) } else { Err(Stop::Broken("a string is not UTF-8")) }
            }),
            major::LIST => {
                let depth = deeper(depth)?;
                self.each(head.argument, |walk| walk.skip(depth))
            }
            major::DICT => {
                let depth = deeper(depth)?;
                self.each(head.argument, |walk| {
                    walk.skip(depth)?;
                    walk.skip(depth)
                })
            }
            major::TAG => self.skip(deeper(depth)?),
            _ => Ok(()),
        }
    }

    /// Steps over a message and hands out each of its elements.
    fn message(&mut self, depth: usize, mut element: impl FnMut(&'a [u8])) -> Result<(), Stop> {
        let head = self.head()?;
        if head.major != major::LIST {
            return Err(Stop::NoList);
        }
        let depth = deeper(depth)?;
        self.each(head.argument, |walk| {
            let start = walk.rest;
            walk.skip(depth)?;
            element(stepped_over(start, walk.rest));
            Ok(())
        })
    }
}

/// Checks a message and hands out each of its elements; returns what is left, from the problem on if there is one.
pub(super) fn cut<'a>(
    bytes: &'a [u8],
    depth: usize,
    element: impl FnMut(&'a [u8]),
) -> (Result<(), Stop>, &'a [u8]) {
    let mut walk = Walk { rest: bytes };
    let cut = walk.message(depth, element);
    (cut, walk.rest)
}

/// The head of a value that was walked over before.
fn head(bytes: &[u8]) -> Option<Head> {
    Walk { rest: bytes }.head().ok()
}

pub(super) fn kind(bytes: &[u8]) -> Kind {
    match head(bytes).map(|head| (head.major, head.info)) {
        Some((major::UNSIGNED | major::NEGATIVE, _)) => Kind::Integer,
        Some((major::BINARY, _)) => Kind::Binary,
        Some((major::STRING, _)) => Kind::String,
        Some((major::LIST, _)) => Kind::List,
        Some((major::DICT, _)) => Kind::Dict,
        Some((major::SIMPLE, 20 | 21)) => Kind::Bool,
        Some((major::SIMPLE, 22 | 23)) => Kind::Null,
        Some((major::SIMPLE, 25..=27)) => Kind::Float,
        _ => Kind::Other,
    }
}

pub(super) fn integer(bytes: &[u8]) -> Option<u64> {
    head(bytes).filter(|head| head.major == major::UNSIGNED)?.argument
}

#[expect(clippy::cast_possible_truncation, reason = "the width of the float is what was read")]
pub(super) fn id(bytes: &[u8]) -> Option<u64> {
    let head = head(bytes)?;
    let argument = head.argument?;
    match (head.major, head.info) {
        (major::UNSIGNED, _) => Some(argument),
        (major::SIMPLE, 25) => id_from_float(half::f16::from_bits(argument as u16).into()),
        (major::SIMPLE, 26) => id_from_float(f32::from_bits(argument as u32).into()),
        (major::SIMPLE, 27) => id_from_float(f64::from_bits(argument)),
        _ => None,
    }
}

pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0xf4] => Some(false),
        [0xf5] => Some(true),
        _ => None,
    }
}

pub(super) fn string(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let mut walk = Walk { rest: bytes };
    let head = walk.head().ok().filter(|head| head.major == major::STRING)?;
    if head.argument.is_some() {
        return std::str::from_utf8(walk.rest).ok().map(Cow::Borrowed);
    }
    let mut text = Vec::new();
    let collect = walk.chunks(head, |chunk| {
        text.extend_from_slice(chunk);
        Ok(())
    });
    collect.ok()?;
    String::from_utf8(text).ok().map(Cow::Owned)
}

pub(super) fn is_empty(bytes: &[u8]) -> bool {
    inside(bytes).is_some_and(|(_, rest, left)| match left {
        Some(left) => left == 0,
        None => rest == [BREAK],
    })
}

/// What follows the head of a list or dict, and how many values there are if the head says so.
pub(super) fn inside(bytes: &[u8]) -> Option<(Kind, &[u8], Option<u64>)> {
    let mut walk = Walk { rest: bytes };
    let head = walk.head().ok()?;
    match head.major {
        major::LIST => Some((Kind::List, walk.rest, head.argument)),
        major::DICT => Some((Kind::Dict, walk.rest, head.argument.map(|count| 2 * count))),
        _ => None,
    }
}

/// The next value inside a list or dict that was checked before.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut walk = Walk { rest };
    // Stops at a break as well, where no value begins.
    walk.skip(usize::MAX).ok()?;
    let value = stepped_over(rest, walk.rest);
    *rest = walk.rest;
    Some(value)
}
