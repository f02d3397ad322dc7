//! JSON: checked and cut by serde_json's `RawValue`; depth is counted here, since skipping does not.

use super::{Kind, Malformed, Raw, Serializer, raw::Elements};
use memchr::memchr2;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

pub(super) fn elements(bytes: &[u8], depth: usize) -> Result<Elements<'_>, Malformed> {
    if is_deeper(bytes, depth) {
        return Err(Malformed::TooDeep { limit: depth });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed::syntax(Serializer::Json, error))?;
    let cut = serde_json::from_str::<Cut<'_>>(text);
    cut.map(|cut| cut.0).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Malformed::Shape(NOT_A_LIST.into()),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => Malformed::syntax(Serializer::Json, error),
    })
}

pub(super) const NOT_A_LIST: &str = "a message is a list";

/// Whether lists and dicts stand inside each other deeper than `limit`. Counts brackets outside of strings;
/// whether they match is the parser's to say.
fn is_deeper(bytes: &[u8], limit: usize) -> bool {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => loop {
                let Some(rest) = bytes.get(at..) else { return false };
                let Some(found) = memchr2(b'"', b'\\', rest) else { return false };
                at += found + 1;
                if rest.get(found) == Some(&b'"') {
                    break;
                }
                at += 1;
            },
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
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

pub(super) fn items(bytes: &[u8]) -> Option<Vec<Raw<'_>>> {
    let items = serde_json::from_slice::<Vec<&RawValue>>(bytes).ok()?;
    Some(items.into_iter().map(raw).collect())
}

pub(super) fn entries(bytes: &[u8]) -> Option<Vec<(Cow<'_, str>, Raw<'_>)>> {
    if bytes == b"{}" {
        return Some(Vec::new());
    }
    serde_json::from_slice::<Entries<'_>>(bytes).ok().map(|entries| entries.0)
}

fn raw(value: &RawValue) -> Raw<'_> {
    Raw { serializer: Serializer::Json, bytes: value.get().as_bytes() }
}

/// The elements of a list, and no more of them than a message can have.
struct Cut<'a>(Elements<'a>);

impl<'de> Deserialize<'de> for Cut<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Cut<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cut<'de>, A::Error> {
                let mut elements = Elements::new();
                while !elements.spilled() {
                    let Some(element) = list.next_element::<&RawValue>()? else { return Ok(Cut(elements)) };
                    elements.push(raw(element));
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Cut(elements))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

struct Entries<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dict;
        impl<'de> Visitor<'de> for Dict {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dict")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut dict: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(Key(key)) = dict.next_key()? {
                    entries.push((key, raw(dict.next_value()?)));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Dict)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.into())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(!is_deeper(br#"[[{"a":"[[[[\"[[[["}]]"#, 3));
        assert!(is_deeper(br#"[[{"a":[]}]]"#, 3));
        assert!(!is_deeper(b"[[]][[]][[]]", 2));
        assert!(!is_deeper(br#"["open \"#, 1));
    }

    #[test]
    fn an_integer_has_no_sign_fraction_or_exponent_and_fits_64_bits() {
        assert_eq!(integer(b"18446744073709551615"), Some(u64::MAX));
        for bytes in ["18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "true"] {
            assert_eq!(integer(bytes.as_bytes()), None, "{bytes}");
        }
    }
}
