//! Writing a message into bytes: shortest integers, definite lengths, keys in the order they are given.

use super::{Payload, Serializer};
use crate::message::value::Value;
use base64::{display::Base64Display, prelude::BASE64_STANDARD};
use serde::Serialize;
use std::io::Write;

/// How many octets there are around and behind a payload at most: separators, an empty list, the end of the message.
const AROUND_PAYLOAD: usize = 8;

/// Writes one message at the end of a buffer.
pub(crate) struct Writer<'a> {
    pub(super) serializer: Serializer,
    pub(super) out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(serializer: Serializer, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { serializer, out, start }
    }

    /// Opens a list of `count` items; [`Writer::end_list`] closes it.
    pub(crate) fn list(&mut self, count: usize) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                self.out.push(b'[');
            }
            Serializer::MessagePack => self.msgpack_head(count, Some((0x90, 15)), None, [0xdc, 0xdd]),
            Serializer::Cbor => self.cbor_head(4, count as u64),
        }
    }

    pub(crate) fn end_list(&mut self) {
        if self.serializer == Serializer::Json {
            self.out.push(b']');
        }
    }

    /// Opens a dict of `count` entries; [`Writer::end_dict`] closes it.
    pub(crate) fn dict(&mut self, count: usize) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                self.out.push(b'{');
            }
            Serializer::MessagePack => self.msgpack_head(count, Some((0x80, 15)), None, [0xde, 0xdf]),
            Serializer::Cbor => self.cbor_head(5, count as u64),
        }
    }

    pub(crate) fn end_dict(&mut self) {
        if self.serializer == Serializer::Json {
            self.out.push(b'}');
        }
    }

    /// Writes the key of an entry, whose value comes next.
    pub(crate) fn key(&mut self, key: &str) {
        self.string(key);
        if self.serializer == Serializer::Json {
            self.out.push(b':');
        }
    }

    pub(crate) fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(match self.serializer {
            Serializer::Json => b"null",
            Serializer::MessagePack => b"\xc0",
            Serializer::Cbor => b"\xf6",
        });
    }

    pub(crate) fn integer(&mut self, number: u64) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                json(self.out, &number);
            }
            Serializer::MessagePack => self.msgpack_integer(number),
            Serializer::Cbor => self.cbor_head(0, number),
        }
    }

    /// Writes an integer below zero.
    pub(crate) fn negative(&mut self, number: i64) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                json(self.out, &number);
            }
            Serializer::MessagePack => self.msgpack_negative(number),
            Serializer::Cbor => self.cbor_head(1, (!number).cast_unsigned()),
        }
    }

    /// Writes a float, which must be finite in JSON.
    pub(crate) fn float(&mut self, number: f64) {
        let marker = match self.serializer {
            Serializer::Json => {
                self.separate();
                return json(self.out, &number);
            }
            Serializer::MessagePack => 0xcb,
            Serializer::Cbor => 0xfb,
        };
        self.out.push(marker);
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                self.out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Serializer::MessagePack => self.out.push(if value { 0xc3 } else { 0xc2 }),
            Serializer::Cbor => self.out.push(if value { 0xf5 } else { 0xf4 }),
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                json(self.out, text);
            }
            Serializer::MessagePack => {
                self.msgpack_head(text.len(), Some((0xa0, 31)), Some(0xd9), [0xda, 0xdb]);
                self.out.extend_from_slice(text.as_bytes());
            }
            Serializer::Cbor => {
                self.cbor_head(3, text.len() as u64);
                self.out.extend_from_slice(text.as_bytes());
            }
        }
    }

    pub(crate) fn binary(&mut self, octets: &[u8]) {
        match self.serializer {
            Serializer::Json => {
                self.separate();
                let text = Base64Display::new(octets, &BASE64_STANDARD);
                // A vector takes all that is written.
                let _ = write!(self.out, "\"\\u0000{text}\"");
            }
            Serializer::MessagePack => {
                self.msgpack_head(octets.len(), None, Some(0xc4), [0xc5, 0xc6]);
                self.out.extend_from_slice(octets);
            }
            Serializer::Cbor => {
                self.cbor_head(2, octets.len() as u64);
                self.out.extend_from_slice(octets);
            }
        }
    }

    /// Writes a value, or null in its place if the serializer cannot carry it.
    pub(crate) fn value(&mut self, value: &Value) {
        let start = self.out.len();
        self.separate();
        if encode(self.serializer, value, self.out).is_err() {
            self.out.truncate(start);
            self.null();
        }
    }

    /// How many elements the payload takes.
    pub(crate) fn payload_elements(payload: &Payload) -> usize {
        if payload.kwargs.is_some() { 2 } else { usize::from(payload.args.is_some()) }
    }

    /// Writes the payload as it is. It must be of the serializer written here.
    pub(crate) fn payload(&mut self, payload: &Payload) {
        debug_assert!(
            payload.is_empty() || payload.serializer == self.serializer,
            "payload of another serializer"
        );
        // With what follows it: a large one would be copied once more for the last bracket.
        self.out.reserve(payload.len() + AROUND_PAYLOAD);
        match (&payload.args, &payload.kwargs) {
            (None, None) => {}
            (Some(args), None) => self.raw(args),
            (None, Some(kwargs)) => {
                self.list(0);
                self.end_list();
                self.raw(kwargs);
            }
            (Some(args), Some(kwargs)) => {
                self.raw(args);
                self.raw(kwargs);
            }
        }
    }

    /// Writes a value that has its form already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.extend_from_slice(bytes);
    }

    /// JSON: the comma before every item but the first.
    fn separate(&mut self) {
        if self.serializer == Serializer::Json
            && self.out.len() > self.start
            && !matches!(self.out.last(), Some(b'[' | b'{' | b':'))
        {
            self.out.push(b',');
        }
    }

    /// CBOR: a head with its argument in the shortest form.
    #[expect(clippy::cast_possible_truncation, reason = "each arm has checked the range")]
    fn cbor_head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..=23 => self.out.push(major | argument as u8),
            24..=0xff => self.out.extend_from_slice(&[major | 24, argument as u8]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&(argument as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&(argument as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
    }

    /// MessagePack: a head with a length in the shortest form: in the marker itself if it is `short` with the most
    /// that it can say, or in one octet, where there are markers for these, else in two or four.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each arm has checked the range; no message is over 4 GiB"
    )]
    fn msgpack_head(
        &mut self,
        count: usize,
        short: Option<(u8, usize)>,
        one: Option<u8>,
        [two, four]: [u8; 2],
    ) {
        if let Some((short, most)) = short
            && count <= most
        {
            return self.out.push(short | count as u8);
        }
        match (count, one) {
            (0..=0xff, Some(one)) => self.out.extend_from_slice(&[one, count as u8]),
            (0..=0xffff, _) => {
                self.out.push(two);
                self.out.extend_from_slice(&(count as u16).to_be_bytes());
            }
            _ => {
                self.out.push(four);
                self.out.extend_from_slice(&(count as u32).to_be_bytes());
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "each arm has checked the range")]
    fn msgpack_integer(&mut self, number: u64) {
        match number {
            0..=0x7f => self.out.push(number as u8),
            0x80..=0xff => self.out.extend_from_slice(&[0xcc, number as u8]),
            0x100..=0xffff => {
                self.out.push(0xcd);
                self.out.extend_from_slice(&(number as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(0xce);
                self.out.extend_from_slice(&(number as u32).to_be_bytes());
            }
            _ => {
                self.out.push(0xcf);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "each arm has checked the range")]
    fn msgpack_negative(&mut self, number: i64) {
        match number {
            -0x20.. => self.out.push(number as u8),
            -0x80.. => self.out.extend_from_slice(&[0xd0, number as u8]),
            -0x8000.. => {
                self.out.push(0xd1);
                self.out.extend_from_slice(&(number as i16).to_be_bytes());
            }
            -0x8000_0000.. => {
                self.out.push(0xd2);
                self.out.extend_from_slice(&(number as i32).to_be_bytes());
            }
            _ => {
                self.out.push(0xd3);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
}

fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Text and numbers always have a JSON form, and a vector takes all that is written.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "text and numbers have a JSON form");
}

/// Appends `value`, or says why the serializer cannot carry it; what was appended then is not a value.
pub(super) fn encode<T: Serialize>(
    serializer: Serializer,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match serializer {
        Serializer::Json => serde_json::to_writer(out, value).map_err(|error| error.to_string()),
        Serializer::MessagePack => rmp_serde::encode::write(out, value).map_err(|error| error.to_string()),
        Serializer::Cbor => {
            let bytes = cbor4ii::serde::to_vec(Vec::new(), value).map_err(|error| error.to_string())?;
            out.extend_from_slice(&bytes);
            Ok(())
        }
    }
}
