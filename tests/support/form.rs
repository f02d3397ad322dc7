//! Messages of tests are written as JSON; here they take the form of each serializer, by other code than the
//! router's.

use base64::{Engine, prelude::BASE64_STANDARD};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Map, Number, Value as Json};

/// The bytes of a message.
pub(crate) fn encode(serializer: Serializer, message: &Json) -> Vec<u8> {
    let mut bytes = Vec::new();
    match serializer {
        Serializer::Json => bytes = message.to_string().into_bytes(),
        Serializer::MessagePack => {
            rmpv::encode::write_value(&mut bytes, &to_msgpack(message)).expect("a vector takes all");
        }
        Serializer::Cbor => ciborium::into_writer(&to_cbor(message), &mut bytes).expect("a vector takes all"),
    }
    bytes
}

/// The message that bytes hold.
pub(crate) fn decode(serializer: Serializer, mut bytes: &[u8]) -> Json {
    match serializer {
        Serializer::Json => serde_json::from_slice(bytes).expect("the router sends JSON"),
        Serializer::MessagePack => {
            let value = rmpv::decode::read_value(&mut bytes).expect("the router sends MessagePack");
            assert!(bytes.is_empty(), "something follows the message");
            from_msgpack(&value)
        }
        Serializer::Cbor => from_cbor(&ciborium::from_reader(bytes).expect("the router sends CBOR")),
    }
}

/// The octets of a JSON string that holds binary.
fn binary(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix('\0').map(|encoded| BASE64_STANDARD.decode(encoded).expect("the test writes base64"))
}

fn text_of(octets: &[u8]) -> Json {
    Json::String(format!("\0{}", BASE64_STANDARD.encode(octets)))
}

fn number(number: f64) -> Json {
    Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
}

fn to_msgpack(json: &Json) -> rmpv::Value {
    match json {
        Json::Null => rmpv::Value::Nil,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., number) => number.expect("a number is a float at least").into(),
        },
        Json::String(text) => match binary(text) {
            Some(octets) => rmpv::Value::Binary(octets),
            None => text.as_str().into(),
        },
        Json::Array(items) => rmpv::Value::Array(items.iter().map(to_msgpack).collect()),
        Json::Object(entries) => rmpv::Value::Map(
            entries.iter().map(|(key, value)| (key.as_str().into(), to_msgpack(value))).collect(),
        ),
    }
}

fn from_msgpack(value: &rmpv::Value) -> Json {
    match value {
        rmpv::Value::Nil => Json::Null,
        rmpv::Value::Boolean(value) => (*value).into(),
        rmpv::Value::Integer(number) => match number.as_u64() {
            Some(number) => number.into(),
            None => number.as_i64().expect("an integer has 64 bits").into(),
        },
        rmpv::Value::F32(float) => number(f64::from(*float)),
        rmpv::Value::F64(float) => number(*float),
        rmpv::Value::String(text) => text.as_str().expect("the router sends UTF-8").into(),
        rmpv::Value::Binary(octets) => text_of(octets),
        rmpv::Value::Array(items) => items.iter().map(from_msgpack).collect(),
        rmpv::Value::Map(entries) => {
            let entry = |(key, value): &(rmpv::Value, rmpv::Value)| {
                (key.as_str().expect("a key is text").to_owned(), from_msgpack(value))
            };
            Json::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
        rmpv::Value::Ext(kind, octets) => serde_json::json!({"ext": [kind, octets]}),
    }
}

fn to_cbor(json: &Json) -> ciborium::Value {
    match json {
        Json::Null => ciborium::Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., number) => number.expect("a number is a float at least").into(),
        },
        Json::String(text) => match binary(text) {
            Some(octets) => ciborium::Value::Bytes(octets),
            None => text.as_str().into(),
        },
        Json::Array(items) => ciborium::Value::Array(items.iter().map(to_cbor).collect()),
        Json::Object(entries) => {
            let entry = |(key, value): (&String, &Json)| (key.as_str().into(), to_cbor(value));
            ciborium::Value::Map(entries.iter().map(entry).collect())
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and the router sends nothing else")]
fn from_cbor(value: &ciborium::Value) -> Json {
    match value {
        ciborium::Value::Null => Json::Null,
        ciborium::Value::Bool(value) => (*value).into(),
        ciborium::Value::Integer(number) => match u64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => i64::try_from(*number).expect("an integer has 64 bits").into(),
        },
        ciborium::Value::Float(float) => number(*float),
        ciborium::Value::Text(text) => text.as_str().into(),
        ciborium::Value::Bytes(octets) => text_of(octets),
        ciborium::Value::Array(items) => items.iter().map(from_cbor).collect(),
        ciborium::Value::Map(entries) => {
            let entry = |(key, value): &(ciborium::Value, ciborium::Value)| {
                (key.as_text().expect("a key is text").to_owned(), from_cbor(value))
            };
            Json::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
        other => panic!("the router sends no {other:?}"),
    }
}
