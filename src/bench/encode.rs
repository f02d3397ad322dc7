//! Writes the WAMP messages of a load generator, in JSON and in MessagePack.

use clap::ValueEnum;
use serde::Serialize;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Serializer {
    /// JSON in text frames.
    Json,
    /// MessagePack in binary frames.
    Msgpack,
}

impl Serializer {
    /// The number in the handshake of RawSocket.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::Msgpack => 2,
        }
    }

    /// The name of the WebSocket subprotocol.
    pub(super) fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::Msgpack => "wamp.2.msgpack",
        }
    }
}

/// One element of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    /// An id or a message code.
    Uint(u64),
    /// A URI. It must need no escapes in JSON.
    Text(&'a str),
    /// Details or options that say nothing.
    Empty,
    /// The details of a HELLO: a client in all four roles.
    Roles,
    /// Arguments: the number of an operation, and text that brings it to the wanted size.
    Payload(u64, &'a str),
    /// Arguments: one id.
    Id(u64),
    /// Arguments as they were received.
    Raw(&'a [u8]),
}

/// Appends a message. It has fewer than 16 fields.
pub(super) fn encode(serializer: Serializer, fields: &[Field<'_>], out: &mut Vec<u8>) {
    match serializer {
        Serializer::Json => {
            out.push(b'[');
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json(*field, out);
            }
            out.push(b']');
        }
        Serializer::Msgpack => {
            out.push(0x90 | fields.len() as u8);
            for field in fields {
                msgpack(*field, out);
            }
        }
    }
}

fn json(field: Field<'_>, out: &mut Vec<u8>) {
    match field {
        Field::Uint(value) => json_uint(value, out),
        Field::Text(text) => json_text(text, out),
        Field::Empty => out.extend_from_slice(b"{}"),
        Field::Roles => {
            out.extend_from_slice(br#"{"roles":{"publisher":{},"subscriber":{},"caller":{},"callee":{}}}"#)
        }
        Field::Payload(number, text) => {
            out.push(b'[');
            json_uint(number, out);
            out.push(b',');
            json_text(text, out);
            out.push(b']');
        }
        Field::Id(id) => {
            out.push(b'[');
            json_uint(id, out);
            out.push(b']');
        }
        Field::Raw(bytes) => out.extend_from_slice(bytes),
    }
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn json_uint(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn msgpack(field: Field<'_>, out: &mut Vec<u8>) {
    match field {
        Field::Uint(value) => msgpack_uint(value, out),
        Field::Text(text) => msgpack_text(text, out),
        Field::Empty => out.push(0x80),
        Field::Roles => out.extend_from_slice(
            b"\x81\xa5roles\x84\xa9publisher\x80\xaasubscriber\x80\xa6caller\x80\xa6callee\x80",
        ),
        Field::Payload(number, text) => {
            out.push(0x92);
            msgpack_uint(number, out);
            msgpack_text(text, out);
        }
        Field::Id(id) => {
            out.push(0x91);
            msgpack_uint(id, out);
        }
        Field::Raw(bytes) => out.extend_from_slice(bytes),
    }
}

fn msgpack_text(text: &str, out: &mut Vec<u8>) {
    match text.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn msgpack_uint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Field::{Empty, Id, Payload, Raw, Text, Uint};
    use super::*;

    #[test]
    fn messages_stand_side_by_side_in_both_serializers() {
        check(
            &[Uint(48), Uint(7), Empty, Text("com.sum"), Payload(7, "xx")],
            r#"[48,7,{},"com.sum",[7,"xx"]]"#,
            b"\x95\x30\x07\x80\xa7com.sum\x92\x07\xa2xx",
        );
        check(
            &[Uint(48), Uint(1), Empty, Text("wamp.session.kill"), Id(9_007_199_254_740_992)],
            r#"[48,1,{},"wamp.session.kill",[9007199254740992]]"#,
            b"\x95\x30\x01\x80\xb1wamp.session.kill\x91\xcf\x00\x20\x00\x00\x00\x00\x00\x00",
        );
        check(&[Uint(70), Uint(300), Empty, Raw(b"[1]")], "[70,300,{},[1]]", b"\x94\x46\xcd\x01\x2c\x80[1]");
    }

    #[test]
    fn integers_take_the_smallest_form() {
        for (value, bytes) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (128, b"\xcc\x80"),
            (256, b"\xcd\x01\x00"),
            (65_536, b"\xce\x00\x01\x00\x00"),
            (1 << 32, b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        ] {
            check(&[Uint(value)], &format!("[{value}]"), &[b"\x91", bytes].concat());
        }
    }

    fn check(fields: &[Field<'_>], json: &str, msgpack: &[u8]) {
        let mut out = Vec::new();
        encode(Serializer::Json, fields, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), json);
        out.clear();
        encode(Serializer::Msgpack, fields, &mut out);
        assert_eq!(out, msgpack);
    }
}
