//! JSON: walked over without building values (RFC 8259).

use super::{
    Kind,
    raw::{Stop, deeper, is_ascii, stepped_over},
};
use serde::de::DeserializeOwned;
use std::{borrow::Cow, iter};

/// A position in the bytes.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// The octet that stands here, unless the bytes are over.
    fn peek(&self) -> Result<u8, Stop> {
        self.rest.first().copied().ok_or(Stop::TRUNCATED)
    }

    /// The octet that stands behind white space.
    fn token(&mut self) -> Result<u8, Stop> {
        loop {
            match self.peek()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.advance(1),
                token => return Ok(token),
            }
        }
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Steps over one value, in which lists and dicts may stand `depth` deep.
    fn skip(&mut self, depth: usize) -> Result<(), Stop> {
        match self.token()? {
            b'"' => self.string(),
            b'0'..=b'9' | b'-' => self.number(),
            b'[' => {
                let depth = deeper(depth)?;
                self.list(|walk| walk.skip(depth))
            }
            b'{' => {
                let depth = deeper(depth)?;
                self.each(b'}', "neither a comma nor the end of the dict", |walk| {
                    if walk.token()? != b'"' {
                        return Err(Stop::Broken("a key is not a string"));
                    }
                    walk.string()?;
                    if walk.token()? != b':' {
                        return Err(Stop::Broken("no colon follows a key"));
                    }
                    walk.advance(1);
                    walk.skip(depth)
                })
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(NO_VALUE),
        }
    }

    /// Steps over one value behind white space and hands it out.
    fn value(&mut self, depth: usize) -> Result<&'a [u8], Stop> {
        self.token()?;
        let start = self.rest;
        self.skip(depth)?;
        Ok(stepped_over(start, self.rest))
    }

    /// Steps over a message and hands out each of its elements.
    fn message(&mut self, depth: usize, mut element: impl FnMut(&'a [u8])) -> Result<(), Stop> {
        if !is_ascii(self.rest)
            && let Err(error) = std::str::from_utf8(self.rest)
        {
            self.advance(error.valid_up_to());
            return Err(Stop::Broken("it is not UTF-8"));
        }
        if self.token()? != b'[' {
            self.skip(depth)?;
            return Err(Stop::NoList);
        }
        let depth = deeper(depth)?;
        self.list(|walk| {
            element(walk.value(depth)?);
            Ok(())
        })?;
        // White space may follow up to the end of the bytes.
        let _ = self.token();
        Ok(())
    }

    fn list(&mut self, item: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.each(b']', "neither a comma nor the end of the list", item)
    }

    /// Steps over a bracket, and over items with commas between them up to the bracket `end`.
    fn each(
        &mut self,
        end: u8,
        otherwise: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.advance(1);
        if self.token()? == end {
            self.advance(1);
            return Ok(());
        }
        loop {
            item(self)?;
            let token = self.token()?;
            if token != end && token != b',' {
                return Err(Stop::Broken(otherwise));
            }
            self.advance(1);
            if token == end {
                return Ok(());
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Stop> {
        self.rest = self.rest.strip_prefix(word).ok_or(NO_VALUE)?;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.rest.first() == Some(&b'-') {
            self.advance(1);
        }
        match self.peek()? {
            b'0' => self.advance(1),
            _ => self.digits()?,
        }
        if self.rest.first() == Some(&b'.') {
            self.advance(1);
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.rest.first() {
                self.advance(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Steps over the next number in what was checked before, wherever it stands, and hands it out.
    fn next_number(&mut self) -> Option<&'a [u8]> {
        while let Some(octet) = self.rest.first() {
            match octet {
                b'"' => self.string().ok()?,
                b'-' | b'0'..=b'9' => {
                    let start = self.rest;
                    self.number().ok()?;
                    return Some(stepped_over(start, self.rest));
                }
                _ => self.advance(1),
            }
        }
        None
    }

    /// Steps over at least one digit.
    fn digits(&mut self) -> Result<(), Stop> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Stop::Broken("a number lacks a digit"));
        }
        let count = self.rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        self.advance(count);
        Ok(())
    }

    /// Steps over a string. Whether its escapes make sense as characters is for its reader to say.
    fn string(&mut self) -> Result<(), Stop> {
        self.advance(1);
        loop {
            self.advance(plain(self.rest));
            match self.peek()? {
                b'"' => {
                    self.advance(1);
                    return Ok(());
                }
                b'\\' => {
                    self.advance(1);
                    match self.rest {
                        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.advance(1),
                        [b'u', a, b, c, d, ..]
                            if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                        {
                            self.advance(5);
                        }
                        _ => return Err(Stop::Broken("an escape is not known")),
                    }
                }
                _ => return Err(Stop::Broken("a control character stands in a string")),
            }
        }
    }
}

const NO_VALUE: Stop = Stop::Broken("no value begins so");

/// How many octets at the start of the rest of a string stand for themselves.
fn plain(text: &[u8]) -> usize {
    // Without a branch for each octet the compiler takes many at once.
    let is_special = |octet: u8| u8::from(octet == b'"') | u8::from(octet == b'\\') | u8::from(octet < b' ');
    let is_plain = |block: &&[u8; 64]| block.iter().fold(0, |any, octet| any | is_special(*octet)) == 0;
    let (blocks, _) = text.as_chunks();
    let start = 64 * blocks.iter().take_while(is_plain).count();

    let text = text.get(start..).unwrap_or_default();
    let (words, tail) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return start + index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    start + words.len() * 8 + tail.iter().take_while(|octet| is_special(**octet) == 0).count()
}

/// Of eight octets, sets the highest bit of the first that does not stand for itself. Bits above it say nothing.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |octet: u8| below(word ^ (ONES * u64::from(octet)), 1);
    (equal(b'"') | equal(b'\\') | below(word, b' ')) & (ONES << 7)
}

/// Reads what is not a message but the form of which another library knows. The text is not told.
pub(crate) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text)
        .map_err(|error| format!("line {}, column {}: not of this form", error.line(), error.column()))
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

pub(super) fn kind(bytes: &[u8]) -> Kind {
    match bytes.first() {
        Some(b'n') => Kind::Null,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'"') if bytes.starts_with(br#""\u0000"#) => Kind::Binary,
        Some(b'"') => Kind::String,
        Some(b'[') => Kind::List,
        Some(b'{') => Kind::Dict,
        _ if bytes.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => Kind::Float,
        _ => Kind::Integer,
    }
}

pub(super) fn integer(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Whether an integer stands in a value that was checked before which is below -2^63, or 2^64 and more.
pub(super) fn has_integer_over_64_bits(bytes: &[u8]) -> bool {
    let mut walk = Walk { rest: bytes };
    iter::from_fn(|| walk.next_number()).any(is_integer_over_64_bits)
}

fn is_integer_over_64_bits(number: &[u8]) -> bool {
    kind(number) == Kind::Integer
        && match number {
            [b'-', digits @ ..] => integer(digits).is_none_or(|digits| digits > i64::MIN.unsigned_abs()),
            digits => integer(digits).is_none(),
        }
}

pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

pub(super) fn string(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match bytes {
        [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
            std::str::from_utf8(text).ok().map(Cow::Borrowed)
        }
        [b'"', ..] => serde_json::from_slice::<String>(bytes).ok().map(Cow::Owned),
        _ => None,
    }
}

pub(super) fn is_empty(bytes: &[u8]) -> bool {
    match bytes {
        [b'[', inside @ .., b']'] | [b'{', inside @ .., b'}'] => inside.iter().all(u8::is_ascii_whitespace),
        _ => false,
    }
}

/// What follows the bracket of a list or dict.
pub(super) fn inside(bytes: &[u8]) -> Option<(Kind, &[u8], Option<u64>)> {
    match bytes {
        [b'[', inside @ ..] => Some((Kind::List, inside, None)),
        [b'{', inside @ ..] => Some((Kind::Dict, inside, None)),
        _ => None,
    }
}

/// The next value inside a list or dict that was checked before.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let between = |octet: &u8| matches!(octet, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':');
    let start = rest.iter().position(|octet| !between(octet))?;
    let mut walk = Walk { rest: rest.get(start..)? };
    let value = walk.value(usize::MAX).ok();
    *rest = walk.rest;
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn an_integer_has_no_sign_fraction_or_exponent_and_fits_64_bits() {
        assert_eq!(integer(b"18446744073709551615"), Some(u64::MAX));
        for bytes in ["18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "true"] {
            assert_eq!(integer(bytes.as_bytes()), None, "{bytes}");
        }
    }

    #[test]
    fn a_special_octet_is_found_at_every_place_of_a_string() {
        for length in 0..100 {
            for special in [b'"', b'\\', 0x00, 0x1f] {
                let mut text = [b' '; 100];
                text[length] = special;
                assert_eq!(plain(&text), length);
            }
            assert_eq!(plain(&[0xff, 0x7f, b'!', b'#'].repeat(length)), 4 * length);
        }
    }

    #[test]
    fn well_formed_is_what_serde_json_takes_for_it() {
        const OCTETS: &[u8] = b"[]{}\",:\\/u0123456789abcdefE+-.tnrl \n\t\x00\x1f\x7f\xc3\xa9\xed\xa0\xff";
        let seed =
            r#"[48,-1.5e+3,{"a":[true,false,null]},"\u00e9\n\\ \"é ..............................",0.1E-9]"#;
        let mut random = StdRng::seed_from_u64(48);
        let mut well_formed = 0;
        for _ in 0..200_000 {
            let mut text = seed.as_bytes().to_vec();
            for _ in 0..random.random_range(1..=2) {
                let at = random.random_range(0..text.len());
                let octet = OCTETS[random.random_range(0..OCTETS.len())];
                match random.random_range(0..3) {
                    0 => text[at] = octet,
                    1 => text.insert(at, octet),
                    _ => _ = text.remove(at),
                }
            }
            let (cut, rest) = cut(&text, 64, |_| {});
            let is_well_formed = matches!(cut, Ok(()) | Err(Stop::NoList)) && rest.is_empty();
            let expected = serde_json::from_slice::<&serde_json::value::RawValue>(&text);
            assert_eq!(is_well_formed, expected.is_ok(), "{:?}", text.escape_ascii().to_string());
            well_formed += usize::from(is_well_formed);
        }
        assert!(well_formed > 50_000, "{well_formed} texts were well-formed");
    }
}
