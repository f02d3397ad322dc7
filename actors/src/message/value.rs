//! Values of the WAMP type system, where they have to be looked into: details, and the arguments and
//! answers of meta procedures. Application payload stays closed: see [`Payload`](crate::codec::Payload).

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::{self, SerializeMap},
};
use std::{borrow::Cow, fmt};

/// Text, of which the router's own words are not copied.
pub(crate) type Text = Cow<'static, str>;

/// A value of any type. Binary travels in JSON as a string: U+0000 and then base64 (section
/// "Binary support in JSON").
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that is not negative.
    Integer(u64),
    /// An integer below zero.
    Negative(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    String(Text),
    /// Octets.
    Binary(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Dict(Dict),
}

/// Values by name, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dict(Vec<(Text, Value)>);

impl Dict {
    /// The value of `key`, if there is one that is not null.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, value)| name == key && *value != Value::Null).map(|(_, value)| value)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

impl<K: Into<Text>, const N: usize> From<[(K, Value); N]> for Dict {
    fn from(entries: [(K, Value); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::String(word.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::List(value)
    }
}

impl From<Dict> for Value {
    fn from(value: Dict) -> Self {
        Self::Dict(value)
    }
}

impl Value {
    /// Text that stands elsewhere.
    pub fn copied(text: &str) -> Self {
        Self::from(text.to_owned())
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
}

impl Serialize for Value {
    /// Fails for what the format cannot carry: JSON has no NaN and no infinities, and takes text that begins
    /// with U+0000 for binary.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_u64(*value),
            Self::Negative(value) => serializer.serialize_i64(*value),
            Self::Float(value) if serializer.is_human_readable() && !value.is_finite() => {
                Err(ser::Error::custom(format_args!("JSON has no number {value}")))
            }
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(value) if serializer.is_human_readable() && value.starts_with('\0') => {
                Err(ser::Error::custom("JSON has no text that begins with U+0000"))
            }
            Self::String(value) => serializer.serialize_str(value),
            Self::Binary(value) if serializer.is_human_readable() => {
                serializer.serialize_str(&format!("\0{}", BASE64_STANDARD.encode(value)))
            }
            Self::Binary(value) => serializer.serialize_bytes(value),
            Self::List(values) => values.serialize(serializer),
            Self::Dict(dict) => dict.serialize(serializer),
        }
    }
}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reading = Reading { json: deserializer.is_human_readable() };
        reading.deserialize(deserializer)
    }
}

/// Reads a value from a format of which is known whether it is JSON, whose strings may be binary.
#[derive(Clone, Copy)]
struct Reading {
    json: bool,
}

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that every serializer can carry")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Integer))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom(OVER_64_BITS))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom(OVER_64_BITS))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        match text.strip_prefix('\0') {
            Some(encoded) if self.json => {
                BASE64_STANDARD.decode(encoded).map(Value::Binary).map_err(|_| E::custom(INVALID_BINARY))
            }
            _ => Ok(Value::copied(text)),
        }
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(octets.into()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Value, D::Error> {
        Err(de::Error::custom("an extension type of MessagePack"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut dict = Vec::new();
        // JSON has no other keys.
        let no_string =
            |error| if self.json { error } else { de::Error::custom("a key that is not a string") };
        while let Some(Key(key)) = entries.next_key().map_err(no_string)? {
            dict.push((Text::from(key), entries.next_value_seed(self)?));
        }
        Ok(Value::Dict(Dict(dict)))
    }
}

/// A key, which is text and nothing else.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl Visitor<'_> for Keys {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string as key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(Key(key.into()))
            }
        }
        deserializer.deserialize_str(Keys)
    }
}

/// What an error about an integer says that is below -2^63, or 2^64 and more.
pub(crate) const OVER_64_BITS: &str = "an integer of more than 64 bits";

/// What an error about a JSON string says that announces binary and is not base64: its sender broke
/// the protocol, while other failures only mean that a receiver's serializer cannot carry a value.
pub(crate) const INVALID_BINARY: &str = "a string that begins with U+0000 is not base64";
