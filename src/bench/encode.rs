//! Writes the WAMP messages of a load generator, in JSON, in MessagePack and in CBOR.

use super::head::{put_cbor, put_msgpack_text, put_msgpack_uint};
use crate::client::Serializer;

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
        Serializer::Msgpack | Serializer::Cbor => {
            let mut binary = Binary { serializer, out };
            binary.list(fields.len() as u8);
            for field in fields {
                binary.field(*field);
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

/// The roles of a client.
const ROLES: [&str; 4] = ["publisher", "subscriber", "caller", "callee"];

/// A message in MessagePack or in CBOR.
struct Binary<'a> {
    serializer: Serializer,
    out: &'a mut Vec<u8>,
}

impl Binary<'_> {
    fn is_cbor(&self) -> bool {
        self.serializer == Serializer::Cbor
    }

    fn field(&mut self, field: Field<'_>) {
        match field {
            Field::Uint(value) => self.uint(value),
            Field::Text(text) => self.text(text),
            Field::Empty => self.dict(0),
            Field::Roles => {
                self.dict(1);
                self.text("roles");
                self.dict(ROLES.len() as u8);
                for role in ROLES {
                    self.text(role);
                    self.dict(0);
                }
            }
            Field::Payload(number, text) => {
                self.list(2);
                self.uint(number);
                self.text(text);
            }
            Field::Id(id) => {
                self.list(1);
                self.uint(id);
            }
            Field::Raw(bytes) => self.out.extend_from_slice(bytes),
        }
    }

    fn uint(&mut self, value: u64) {
        if self.is_cbor() { put_cbor(0, value, self.out) } else { put_msgpack_uint(value, self.out) }
    }

    fn text(&mut self, text: &str) {
        if self.is_cbor() {
            put_cbor(3, text.len() as u64, self.out);
        } else {
            put_msgpack_text(text.len(), self.out);
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Begins a list of fewer than 16 values.
    fn list(&mut self, values: u8) {
        self.out.push(if self.is_cbor() { 0x80 } else { 0x90 } | values);
    }

    /// Begins a dict of fewer than 16 keys.
    fn dict(&mut self, keys: u8) {
        self.out.push(if self.is_cbor() { 0xa0 } else { 0x80 } | keys);
    }
}

#[cfg(test)]
mod tests {
    use super::Field::{Empty, Id, Payload, Raw, Text, Uint};
    use super::*;

    #[test]
    fn messages_stand_side_by_side_in_all_serializers() {
        check(
            &[Uint(48), Uint(7), Empty, Text("com.sum"), Payload(7, "xx")],
            r#"[48,7,{},"com.sum",[7,"xx"]]"#,
            b"\x95\x30\x07\x80\xa7com.sum\x92\x07\xa2xx",
            b"\x85\x18\x30\x07\xa0\x67com.sum\x82\x07\x62xx",
        );
        check(
            &[Uint(48), Uint(1), Empty, Text("wamp.session.kill"), Id(9_007_199_254_740_992)],
            r#"[48,1,{},"wamp.session.kill",[9007199254740992]]"#,
            b"\x95\x30\x01\x80\xb1wamp.session.kill\x91\xcf\x00\x20\x00\x00\x00\x00\x00\x00",
            b"\x85\x18\x30\x01\xa0\x71wamp.session.kill\x81\x1b\x00\x20\x00\x00\x00\x00\x00\x00",
        );
        check(
            &[Uint(70), Uint(300), Empty, Raw(b"[1]")],
            "[70,300,{},[1]]",
            b"\x94\x46\xcd\x01\x2c\x80[1]",
            b"\x84\x18\x46\x19\x01\x2c\xa0[1]",
        );
    }

    #[test]
    fn integers_take_the_smallest_form() {
        for (value, msgpack, cbor) in [
            (0, &b"\x00"[..], &b"\x00"[..]),
            (23, b"\x17", b"\x17"),
            (24, b"\x18", b"\x18\x18"),
            (127, b"\x7f", b"\x18\x7f"),
            (128, b"\xcc\x80", b"\x18\x80"),
            (256, b"\xcd\x01\x00", b"\x19\x01\x00"),
            (65_536, b"\xce\x00\x01\x00\x00", b"\x1a\x00\x01\x00\x00"),
            (1 << 32, b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00"),
        ] {
            let (msgpack, cbor) = ([b"\x91", msgpack].concat(), [b"\x81", cbor].concat());
            check(&[Uint(value)], &format!("[{value}]"), &msgpack, &cbor);
        }
    }

    fn check(fields: &[Field<'_>], json: &str, msgpack: &[u8], cbor: &[u8]) {
        for (serializer, expected) in
            [(Serializer::Json, json.as_bytes()), (Serializer::Msgpack, msgpack), (Serializer::Cbor, cbor)]
        {
            let mut out = Vec::new();
            encode(serializer, fields, &mut out);
            assert_eq!(out, expected, "{serializer:?}: {}", String::from_utf8_lossy(&out));
        }
    }
}
