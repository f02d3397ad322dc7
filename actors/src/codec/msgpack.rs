//! MessagePack: walked over without building values. Every integer width is taken.

use super::{
    Kind,
    raw::{Stop, deeper, id_from_float, is_utf8, stepped_over},
};
use std::borrow::Cow;

/// What stands at the head of a value: its kind, and how many octets, items or entries follow.
#[derive(Clone, Copy)]
enum Head {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative,
    Float(f64),
    String(usize),
    Binary(usize),
    /// An extension of this type with so many octets.
    Extension(u8, usize),
    List(usize),
    Dict(usize),
}

/// A position in the bytes.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Stop::TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Stop> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<usize, Stop> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn u32(&mut self) -> Result<usize, Stop> {
        let count = self.array().map(u32::from_be_bytes)?;
        usize::try_from(count).map_err(|_| Stop::TRUNCATED)
    }

    fn extension(&mut self, count: usize) -> Result<Head, Stop> {
        Ok(Head::Extension(self.u8()?, count))
    }

    /// Steps over a head, unless it is broken.
    fn head(&mut self) -> Result<Head, Stop> {
        let start = self.rest;
        self.read_head().inspect_err(|_| self.rest = start)
    }

    fn read_head(&mut self) -> Result<Head, Stop> {
        let signed = |number: i64| u64::try_from(number).map_or(Head::Negative, Head::Unsigned);
        Ok(match self.u8()? {
            marker @ 0x00..=0x7f => Head::Unsigned(marker.into()),
            marker @ 0x80..=0x8f => Head::Dict((marker & 0x0f).into()),
            marker @ 0x90..=0x9f => Head::List((marker & 0x0f).into()),
            marker @ 0xa0..=0xbf => Head::String((marker & 0x1f).into()),
            0xc0 => Head::Null,
            0xc1 => return Err(Stop::Broken("the marker 0xc1 is not in use")),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Binary(self.u8()?.into()),
            0xc5 => Head::Binary(self.u16()?),
            0xc6 => Head::Binary(self.u32()?),
            0xc7 => {
                let count = self.u8()?.into();
                self.extension(count)?
            }
            0xc8 => {
                let count = self.u16()?;
                self.extension(count)?
            }
            0xc9 => {
                let count = self.u32()?;
                self.extension(count)?
            }
            0xca => Head::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(self.u8()?.into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.array()?)),
            marker @ 0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9 => Head::String(self.u8()?.into()),
            0xda => Head::String(self.u16()?),
            0xdb => Head::String(self.u32()?),
            0xdc => Head::List(self.u16()?),
            0xdd => Head::List(self.u32()?),
            0xde => Head::Dict(self.u16()?),
            0xdf => Head::Dict(self.u32()?),
            0xe0..=0xff => Head::Negative,
        })
    }

    /// Steps over one value, in which lists and dicts may stand `depth` deep.
    fn skip(&mut self, depth: usize) -> Result<(), Stop> {
        match self.head()? {
            Head::Null | Head::Bool(_) | Head::Unsigned(_) | Head::Negative | Head::Float(_) => {}
            Head::String(count) => {
                let start = self.rest;
                if !is_utf8(self.take(count)?) {
                    self.rest = start;
                    return Err(Stop::Broken("a string is not UTF-8"));
                }
            }
            Head::Binary(count) | Head::Extension(_, count) => {
                self.take(count)?;
            }
            Head::List(count) => {
                let depth = deeper(depth)?;
                for _ in 0..count {
                    self.skip(depth)?;
                }
            }
            Head::Dict(count) => {
                let depth = deeper(depth)?;
                for _ in 0..count {
                    self.skip(depth)?;
                    self.skip(depth)?;
                }
            }
        }
        Ok(())
    }

    /// Steps over a message and hands out each of its elements.
    fn message(&mut self, depth: usize, mut element: impl FnMut(&'a [u8])) -> Result<(), Stop> {
        let Head::List(count) = self.head()? else { return Err(Stop::NoList) };
        let depth = deeper(depth)?;
        for _ in 0..count {
            let start = self.rest;
            self.skip(depth)?;
            element(stepped_over(start, self.rest));
        }
        Ok(())
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
    match head(bytes) {
        // What wampy sends for an option that is not set.
        Some(Head::Null | Head::Extension(0, _)) => Kind::Null,
        Some(Head::Bool(_)) => Kind::Bool,
        Some(Head::Unsigned(_) | Head::Negative) => Kind::Integer,
        Some(Head::Float(_)) => Kind::Float,
        Some(Head::String(_)) => Kind::String,
        Some(Head::Binary(_)) => Kind::Binary,
        Some(Head::List(_)) => Kind::List,
        Some(Head::Dict(_)) => Kind::Dict,
        Some(Head::Extension(..)) | None => Kind::Other,
    }
}

pub(super) fn integer(bytes: &[u8]) -> Option<u64> {
    if let Some(Head::Unsigned(number)) = head(bytes) { Some(number) } else { None }
}

pub(super) fn id(bytes: &[u8]) -> Option<u64> {
    let head = head(bytes)?;
    if let Head::Float(number) = head {
        id_from_float(number)
    } else if let Head::Unsigned(number) = head {
        Some(number)
    } else {
        None
    }
}

pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    if let Some(Head::Bool(value)) = head(bytes) { Some(value) } else { None }
}

pub(super) fn string(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let mut walk = Walk { rest: bytes };
    let Head::String(_) = walk.head().ok()? else { return None };
    std::str::from_utf8(walk.rest).ok().map(Cow::Borrowed)
}

pub(super) fn is_empty(bytes: &[u8]) -> bool {
    matches!(head(bytes), Some(Head::List(0) | Head::Dict(0)))
}

/// What follows the head of a list or dict, and how many values there are.
pub(super) fn inside(bytes: &[u8]) -> Option<(Kind, &[u8], Option<u64>)> {
    let mut walk = Walk { rest: bytes };
    let head = walk.head().ok()?;
    if let Head::List(count) = head {
        Some((Kind::List, walk.rest, Some(count as u64)))
    } else if let Head::Dict(count) = head {
        Some((Kind::Dict, walk.rest, Some(2 * count as u64)))
    } else {
        None
    }
}

/// The next value inside a list or dict that was checked before.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut walk = Walk { rest };
    walk.skip(usize::MAX).ok()?;
    let value = stepped_over(rest, walk.rest);
    *rest = walk.rest;
    Some(value)
}
