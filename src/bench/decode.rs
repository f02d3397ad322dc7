//! Reads the WAMP messages that a load generator receives, in JSON, in MessagePack and in CBOR.
//!
//! A [`Reader`] walks over the bytes and builds no values. It is made to find ids and to compare payloads,
//! not to validate: it believes that commas and colons stand where they belong.

use super::failure::Failure;
use super::head::{self, Head};
use crate::client::Serializer;

/// The message is not what WAMP says it should be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("malformed message")]
pub(super) struct Malformed;

/// A message from the router. Arguments are left unread.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Welcome {
        session: u64,
    },
    Abort {
        reason: &'a str,
    },
    Goodbye {
        reason: &'a str,
    },
    Error {
        request: u64,
        reason: &'a str,
    },
    Subscribed {
        request: u64,
        subscription: u64,
    },
    Event {
        subscription: u64,
        arguments: Reader<'a>,
    },
    Result {
        request: u64,
        arguments: Reader<'a>,
    },
    Registered {
        request: u64,
        registration: u64,
    },
    Invocation {
        request: u64,
        registration: u64,
        arguments: Reader<'a>,
    },
    /// Any other message.
    Other {
        #[expect(dead_code, reason = "shown when the message is reported as unexpected")]
        code: u64,
    },
}

impl<'a> Message<'a> {
    /// Reads one message up to its arguments.
    pub(super) fn decode(serializer: Serializer, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: bytes, serializer };
        reader.open()?;
        let message = match reader.uint()? {
            2 => Self::Welcome { session: reader.uint()? },
            3 => Self::Abort { reason: reader.after(1)?.text()? },
            6 => Self::Goodbye { reason: reader.after(1)?.text()? },
            8 => Self::Error { request: reader.after(1)?.uint()?, reason: reader.after(1)?.text()? },
            33 => Self::Subscribed { request: reader.uint()?, subscription: reader.uint()? },
            36 => Self::Event { subscription: reader.uint()?, arguments: *reader.after(2)? },
            50 => Self::Result { request: reader.uint()?, arguments: *reader.after(1)? },
            65 => Self::Registered { request: reader.uint()?, registration: reader.uint()? },
            68 => Self::Invocation {
                request: reader.uint()?,
                registration: reader.uint()?,
                arguments: *reader.after(1)?,
            },
            code => Self::Other { code },
        };
        Ok(message)
    }

    /// The request that this message answers, with the arguments of a RESULT and without those of an ERROR.
    pub(super) fn answer(&self) -> Result<(u64, Option<Reader<'a>>), Failure> {
        if let Self::Result { request, arguments } = self {
            Ok((*request, Some(*arguments)))
        } else if let Self::Error { request, .. } = self {
            Ok((*request, None))
        } else {
            Err(Failure::unexpected(self))
        }
    }
}

/// How many elements of a list or dict are still to come; in JSON its closing bracket says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements(Option<usize>);

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    serializer: Serializer,
}

impl<'a> Reader<'a> {
    /// Reads arguments made of a number and exactly this text, and returns the number.
    pub(super) fn payload(mut self, text: &str) -> Result<u64, Malformed> {
        self.open()?;
        let number = self.uint()?;
        let as_sent = match self.serializer {
            Serializer::Json => {
                self.next()? == b'"' && self.take(text.len())? == text.as_bytes() && self.next()? == b'"'
            }
            Serializer::Msgpack | Serializer::Cbor => self.text()? == text,
        };
        if as_sent { Ok(number) } else { Err(Malformed) }
    }

    /// Reads arguments that are one id.
    pub(super) fn id(mut self) -> Result<u64, Malformed> {
        self.open()?;
        self.uint()
    }

    /// Reads arguments that are one list of ids.
    pub(super) fn ids(mut self) -> Result<Vec<u64>, Malformed> {
        self.open()?;
        let mut elements = self.open()?;
        let mut ids = Vec::new();
        while self.has_more(&mut elements) {
            ids.push(self.uint()?);
        }
        Ok(ids)
    }

    /// Reads the integer that the dict in the first argument holds under `key`.
    pub(super) fn uint_under(mut self, key: &str) -> Result<u64, Malformed> {
        self.open()?;
        let mut entries = self.open()?;
        while self.has_more(&mut entries) {
            if self.text()? == key {
                return self.uint();
            }
            self.skip()?;
        }
        Err(Malformed)
    }

    /// The arguments as they were received, to the end of the message.
    pub(super) fn raw(self) -> &'a [u8] {
        match self.serializer {
            Serializer::Json => {
                let rest = self.rest.trim_ascii();
                let rest = rest.strip_prefix(b",").unwrap_or(rest);
                rest.strip_suffix(b"]").unwrap_or(rest)
            }
            Serializer::Msgpack | Serializer::Cbor => self.rest,
        }
    }

    /// Skips as many values.
    fn after(&mut self, values: usize) -> Result<&mut Self, Malformed> {
        for _ in 0..values {
            self.skip()?;
        }
        Ok(self)
    }

    /// Enters a list or a dict.
    fn open(&mut self) -> Result<Elements, Malformed> {
        match self.serializer {
            Serializer::Json => match self.next()? {
                b'[' | b'{' => Ok(Elements(None)),
                _ => Err(Malformed),
            },
            Serializer::Msgpack | Serializer::Cbor => {
                let (Head::List(count) | Head::Dict(count)) = self.head()? else { return Err(Malformed) };
                Ok(Elements(Some(count)))
            }
        }
    }

    /// Steps to the next element, or out of the list or dict when there is none.
    fn has_more(&mut self, elements: &mut Elements) -> bool {
        match &mut elements.0 {
            None => {
                self.skip_separators();
                !matches!(self.rest.first(), Some(b']' | b'}'))
            }
            Some(0) => false,
            Some(count) => {
                *count -= 1;
                true
            }
        }
    }

    fn uint(&mut self) -> Result<u64, Malformed> {
        if self.serializer != Serializer::Json {
            return if let Head::Uint(value) = self.head()? { Ok(value) } else { Err(Malformed) };
        }
        let first @ b'0'..=b'9' = self.next()? else { return Err(Malformed) };
        let mut value = u64::from(first - b'0');
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.rest = rest;
        }
        Ok(value)
    }

    /// Reads a string; escapes of JSON stay as they are.
    fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = if self.serializer != Serializer::Json {
            let Head::Text(length) = self.head()? else { return Err(Malformed) };
            self.take(length)?
        } else if self.next()? == b'"' {
            let rest = self.rest;
            &rest[..self.skip_json_string()?]
        } else {
            return Err(Malformed);
        };
        str::from_utf8(bytes).map_err(|_| Malformed)
    }

    /// Skips one value of any kind.
    fn skip(&mut self) -> Result<(), Malformed> {
        match self.serializer {
            Serializer::Json => self.skip_json(),
            Serializer::Msgpack | Serializer::Cbor => self.skip_binary(),
        }
    }

    /// Reads how a value begins that is not JSON.
    fn head(&mut self) -> Result<Head, Malformed> {
        if self.serializer == Serializer::Cbor {
            head::cbor(&mut self.rest)
        } else {
            head::msgpack(&mut self.rest)
        }
    }

    fn skip_binary(&mut self) -> Result<(), Malformed> {
        let mut values = 1_usize;
        while values > 0 {
            values -= 1;
            match self.head()? {
                Head::Uint(_) => {}
                Head::Tag => values += 1,
                Head::List(count) => values = values.saturating_add(count),
                Head::Dict(count) => values = values.saturating_add(count.saturating_mul(2)),
                Head::Text(length) | Head::Octets(length) => {
                    self.take(length)?;
                }
            }
        }
        Ok(())
    }

    fn skip_json(&mut self) -> Result<(), Malformed> {
        let mut depth = 0;
        loop {
            match self.next()? {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                b'"' => {
                    self.skip_json_string()?;
                }
                _ => {
                    let length = self.rest.iter().take_while(|byte| !b",:]} \t\r\n".contains(byte)).count();
                    self.rest = &self.rest[length..];
                }
            }
            match depth {
                0 => return Ok(()),
                ..0 => return Err(Malformed),
                1.. => {}
            }
        }
    }

    /// Skips a string whose opening quote is behind; returns its length.
    fn skip_json_string(&mut self) -> Result<usize, Malformed> {
        let mut length = 0;
        loop {
            match self.rest.get(length) {
                Some(b'"') => break,
                Some(b'\\') => length += 2,
                Some(_) => length += 1,
                None => return Err(Malformed),
            }
        }
        self.rest = &self.rest[length + 1..];
        Ok(length)
    }

    /// Takes one byte of JSON, the first that is neither space nor separator.
    fn next(&mut self) -> Result<u8, Malformed> {
        self.skip_separators();
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip_separators(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n' | b',' | b':', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Field, encode};
    use super::*;

    const ALL: [Serializer; 3] = [Serializer::Json, Serializer::Msgpack, Serializer::Cbor];

    #[test]
    fn a_payload_comes_back_as_it_was_sent_or_not_at_all() {
        for serializer in ALL {
            for length in [1, 31, 32, 255, 256, 70_000] {
                let text = "x".repeat(length);
                let bytes = message(serializer, &[50, 9], &[Field::Empty, Field::Payload(300, &text)]);
                let Ok(Message::Result { request: 9, arguments }) = Message::decode(serializer, &bytes)
                else {
                    panic!("{serializer:?} {length}")
                };
                assert_eq!(arguments.payload(&text), Ok(300));
                assert_eq!(arguments.payload(&"x".repeat(length + 1)), Err(Malformed));
                assert_eq!(arguments.payload(&format!("{text}y")[1..]), Err(Malformed));
                let mut echoed = Vec::new();
                encode(serializer, &[Field::Payload(300, &text)], &mut echoed);
                let outer =
                    if serializer == Serializer::Json { 1..echoed.len() - 1 } else { 1..echoed.len() };
                assert_eq!(arguments.raw(), &echoed[outer]);
            }
        }
    }

    #[test]
    fn spaces_and_details_of_other_routers_are_passed_over() {
        let json =
            br#" [ 36 , 5 , 6 , {"a": [1, {"b": "]\"}"}], "c": -1.5e3, "d": null} , [ 7 , "xx" ] , {} ] "#;
        let Ok(Message::Event { subscription: 5, arguments }) = Message::decode(Serializer::Json, json)
        else {
            panic!()
        };
        assert_eq!(arguments.payload("xx"), Ok(7));

        let msgpack = b"\x96\x24\x05\xcf\0\0\0\0\0\0\0\x06\x83\xa1a\x92\x01\x81\xa1b\xc4\x02ab\xa1c\xcb\
                        12345678\xa1d\xc0\xdc\x00\x02\xcd\x00\x07\xd9\x02xx\x80";
        let Ok(Message::Event { subscription: 5, arguments }) = Message::decode(Serializer::Msgpack, msgpack)
        else {
            panic!()
        };
        assert_eq!(arguments.payload("xx"), Ok(7));

        let cbor = b"\x86\x18\x24\x05\x1b\0\0\0\0\0\0\0\x06\xa5\x61a\x82\x01\xa1\x61b\x42ab\x61c\xfb12345678\
                     \x61d\xf6\x61e\xc1\x1a1234\x61f\x38\x20\x82\x19\x00\x07\x78\x02xx\xa0";
        let Ok(Message::Event { subscription: 5, arguments }) = Message::decode(Serializer::Cbor, cbor)
        else {
            panic!()
        };
        assert_eq!(arguments.payload("xx"), Ok(7));
    }

    #[test]
    fn meta_events_and_answers_are_read() {
        let joined = br#"[36,1,2,{},[{"authid":"joe","session":4711,"transport":{"x":[1]}}]]"#;
        let Ok(Message::Event { arguments, .. }) = Message::decode(Serializer::Json, joined) else {
            panic!()
        };
        assert_eq!(arguments.uint_under("session"), Ok(4711));
        assert_eq!(arguments.uint_under("nothing"), Err(Malformed));

        let list = b"\x94\x32\x01\x80\x91\x93\x01\xcc\xff\x03";
        let Ok(Message::Result { arguments, .. }) = Message::decode(Serializer::Msgpack, list) else {
            panic!()
        };
        assert_eq!(arguments.ids(), Ok(vec![1, 255, 3]));
        let Ok(Message::Result { arguments, .. }) = Message::decode(Serializer::Json, b"[50,1,{},[[1, 2]]]")
        else {
            panic!()
        };
        assert_eq!(arguments.ids(), Ok(vec![1, 2]));
    }

    #[test]
    fn refusals_carry_their_reason() {
        let abort = br#"[3,{"message":"no"},"wamp.error.no_such_realm"]"#;
        let decoded = Message::decode(Serializer::Json, abort);
        assert!(matches!(decoded, Ok(Message::Abort { reason: "wamp.error.no_such_realm" })), "{decoded:?}");
        let error = b"\x95\x08\x30\x05\x80\xa3a.b";
        let decoded = Message::decode(Serializer::Msgpack, error);
        assert!(matches!(decoded, Ok(Message::Error { request: 5, reason: "a.b" })), "{decoded:?}");
    }

    #[test]
    fn no_prefix_of_a_message_passes_for_it() {
        for serializer in ALL {
            let bytes = message(serializer, &[68, 9, 8], &[Field::Empty, Field::Payload(7, "abc")]);
            for end in 0..bytes.len() - 2 {
                let read = Message::decode(serializer, &bytes[..end]).and_then(|message| {
                    let Message::Invocation { arguments, .. } = message else { panic!("{message:?}") };
                    arguments.payload("abc")
                });
                assert_eq!(read, Err(Malformed), "{serializer:?}: {end} of {} bytes", bytes.len());
            }
        }
    }

    fn message(serializer: Serializer, ids: &[u64], rest: &[Field<'_>]) -> Vec<u8> {
        let fields: Vec<Field<'_>> =
            ids.iter().map(|id| Field::Uint(*id)).chain(rest.iter().copied()).collect();
        let mut bytes = Vec::new();
        encode(serializer, &fields, &mut bytes);
        bytes
    }
}
