//! What the application sends: carried closed, and opened only for meta procedures.

use super::{Malformed, Raw, Serializer, Writer, json, raw, transcode, writer};
use crate::message::{
    Element,
    value::{Dict, INVALID_BINARY, OVER_64_BITS, Value},
};
use bytes::Bytes;
use cbor4ii::core::utils::SliceReader;
use serde::de::DeserializeSeed;
use std::marker::PhantomData;

/// Positional and keyword arguments as they travel (section "Application payload").
///
/// An empty dict counts as none, and so does an empty list without a dict behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub(super) serializer: Serializer,
    pub(super) args: Option<Bytes>,
    pub(super) kwargs: Option<Bytes>,
}

/// A payload opened: the positional and the keyword arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Dict,
}

/// Why a payload cannot be had in another serializer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranscodable {
    /// It breaks a rule of its own serializer: its sender is to blame.
    #[error("the payload is malformed: {0}")]
    Malformed(String),
    /// It is sound, but the other serializer has no form for a value in it.
    #[error("the payload cannot be carried by {to}: {problem}")]
    Unrepresentable {
        /// The serializer of the receiver.
        to: Serializer,
        /// Which value is in the way.
        problem: String,
    },
}

/// As many octets as most payloads have that are built here.
const USUAL_OCTETS: usize = 512;

impl Payload {
    /// A payload without arguments.
    pub const EMPTY: Self = Self { serializer: Serializer::Json, args: None, kwargs: None };

    /// Cuts the payload out of the last elements of a message, which stand in `frame`.
    pub(crate) fn cut(
        serializer: Serializer,
        frame: &Bytes,
        args: Option<&Raw<'_>>,
        kwargs: Option<&Raw<'_>>,
    ) -> Self {
        let cut = |raw: &Raw<'_>| (!raw.is_empty()).then(|| frame.slice_ref(raw.bytes));
        Self::new(serializer, args.and_then(cut), kwargs.and_then(cut))
    }

    fn new(serializer: Serializer, args: Option<Bytes>, kwargs: Option<Bytes>) -> Self {
        match (args, kwargs) {
            (None, None) => Self::EMPTY,
            (args, kwargs) => Self { serializer, args, kwargs },
        }
    }

    /// Builds a payload from values.
    pub fn build(serializer: Serializer, arguments: &Arguments) -> Result<Self, Untranscodable> {
        let unrepresentable = |problem| Untranscodable::Unrepresentable { to: serializer, problem };
        let mut bytes = Vec::with_capacity(USUAL_OCTETS);
        if !arguments.args.is_empty() {
            writer::encode(serializer, &arguments.args, &mut bytes).map_err(unrepresentable)?;
        }
        let args = bytes.len();
        if !arguments.kwargs.is_empty() {
            writer::encode(serializer, &arguments.kwargs, &mut bytes).map_err(unrepresentable)?;
        }
        Ok(Self::split(serializer, bytes, args))
    }

    /// A payload of so many positional arguments, which `write` writes.
    pub(crate) fn of_args(serializer: Serializer, count: usize, write: impl FnOnce(&mut Writer<'_>)) -> Self {
        if count == 0 {
            return Self::EMPTY;
        }
        let mut bytes = Vec::with_capacity(USUAL_OCTETS);
        let mut writer = Writer::new(serializer, &mut bytes);
        writer.list(count);
        write(&mut writer);
        writer.end_list();
        Self::new(serializer, Some(bytes.into()), None)
    }

    /// A payload of bytes of which so many are its positional arguments.
    fn split(serializer: Serializer, bytes: Vec<u8>, args: usize) -> Self {
        let mut args_bytes = Bytes::from(bytes);
        let kwargs_bytes = args_bytes.split_off(args);
        let some = |bytes: Bytes| (!bytes.is_empty()).then_some(bytes);
        Self::new(serializer, some(args_bytes), some(kwargs_bytes))
    }

    /// The same payload in memory of its own: what is kept for long does not keep all that was read with it.
    pub(crate) fn detached(&self) -> Self {
        let copied = |part: &Option<Bytes>| part.as_deref().map(Bytes::copy_from_slice);
        Self { serializer: self.serializer, args: copied(&self.args), kwargs: copied(&self.kwargs) }
    }

    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.args.is_none() && self.kwargs.is_none()
    }

    /// Whether a receiver that speaks `serializer` can have it as it is.
    pub(crate) fn suits(&self, serializer: Serializer) -> bool {
        self.serializer == serializer || self.is_empty()
    }

    /// How many octets its arguments have.
    pub fn len(&self) -> usize {
        [&self.args, &self.kwargs].into_iter().flatten().map(Bytes::len).sum()
    }

    /// The serializer the bytes are in. Without arguments any will do.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// Its positional and keyword arguments as bytes of its serializer.
    pub fn parts(&self) -> (Option<&Bytes>, Option<&Bytes>) {
        (self.args.as_ref(), self.kwargs.as_ref())
    }

    /// The same payload for a receiver that speaks `serializer`. An integer of more than 64 bits has no form there,
    /// be it digits in JSON or a bignum of CBOR.
    pub fn transcode(&self, serializer: Serializer) -> Result<Self, Untranscodable> {
        if self.suits(serializer) {
            return Ok(self.clone());
        }
        let unrepresentable = |problem| Untranscodable::Unrepresentable { to: serializer, problem };
        let unreadable = |problem| {
            if problem == INVALID_BINARY {
                Untranscodable::Malformed(problem)
            } else {
                unrepresentable(problem)
            }
        };
        // It is about as long in every form. A buffer that grew with it would be copied, and have twice the room.
        let mut bytes = Vec::with_capacity(USUAL_OCTETS.max(self.len() + self.len() / 8));
        let mut refused = None;
        let mut append = |part: &Option<Bytes>| {
            if let Some(part) = part {
                transcode::append(self.serializer, part, serializer, &mut bytes, &mut refused)
                    .map_err(unreadable)?;
            }
            Ok(bytes.len())
        };
        let args = append(&self.args)?;
        append(&self.kwargs)?;
        match refused {
            None => Ok(Self::split(serializer, bytes, args)),
            Some(problem) => Err(unrepresentable(problem)),
        }
    }

    /// Leaves no arguments behind.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }

    /// The same payload for a receiver that speaks `serializer`, as by [`Self::transcode`], where nobody else needs it.
    pub(crate) fn into_form_for(self, serializer: Serializer) -> Result<Self, Untranscodable> {
        if self.suits(serializer) { Ok(self) } else { self.transcode(serializer) }
    }

    /// Its values, or what stands in the way of having them.
    pub fn open(&self) -> Result<Arguments, String> {
        let args = match &self.args {
            Some(bytes) => value(self.serializer, bytes)?,
            None => Value::List(Vec::new()),
        };
        let kwargs = match &self.kwargs {
            Some(bytes) => value(self.serializer, bytes)?,
            None => Value::Dict(Dict::default()),
        };
        let (Value::List(args), Value::Dict(kwargs)) = (args, kwargs) else {
            return Err("the arguments are not a list and a dict".into());
        };
        Ok(Arguments { args, kwargs })
    }

    /// A value of its arguments as an id: see section "IDs" on floats, which JSON does not take for ids.
    pub fn id_of(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Integer(number) => Some(*number),
            Value::Float(number) if self.serializer != Serializer::Json => raw::id_from_float(*number),
            Value::Null
            | Value::Bool(_)
            | Value::Negative(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Binary(_)
            | Value::List(_)
            | Value::Dict(_) => None,
        }
    }
}

/// Builds the value of well-formed bytes.
pub(super) fn value(serializer: Serializer, bytes: &[u8]) -> Result<Value, String> {
    read(serializer, bytes, PhantomData)
}

/// Reads well-formed bytes as `seed` says.
pub(super) fn read<'de, S: DeserializeSeed<'de>>(
    serializer: Serializer,
    bytes: &'de [u8],
    seed: S,
) -> Result<S::Value, String> {
    match serializer {
        Serializer::Json => match seed.deserialize(&mut serde_json::Deserializer::from_slice(bytes)) {
            // As a value it is a float, and not the same number.
            Ok(_) if json::has_integer_over_64_bits(bytes) => Err(OVER_64_BITS.to_owned()),
            Ok(value) => Ok(value),
            // The text is well-formed, and this is all that can be wrong with its values.
            Err(error) if error.is_data() => Err(INVALID_BINARY.to_owned()),
            Err(_) => Err("a number over the range of floats, or half a surrogate pair".to_owned()),
        },
        Serializer::MessagePack => seed
            .deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes))
            .map_err(|error| error.to_string()),
        Serializer::Cbor => {
            let mut deserializer = cbor4ii::serde::Deserializer::new(SliceReader::new(bytes));
            seed.deserialize(&mut deserializer).map_err(|error| match error {
                cbor4ii::serde::DecodeError::Custom(problem) => problem.into(),
                // The bytes are well-formed; these are what no value can be built of.
                cbor4ii::serde::DecodeError::Core(_) => {
                    "a tag, a simple value, or a key that is not a string".to_owned()
                }
            })
        }
    }
}

impl Raw<'_> {
    /// Builds the value.
    pub(crate) fn value(self) -> Result<Value, Malformed> {
        value(self.serializer, self.bytes).map_err(|problem| Malformed::syntax(self.serializer, problem))
    }
}

/// Reads options that came as an argument of a procedure.
pub(crate) fn read_options<T: Element>(options: &Dict, procedure: &str, name: &str) -> Result<T, Malformed> {
    let mut bytes = Vec::new();
    let serializer = Serializer::MessagePack;
    writer::encode(serializer, options, &mut bytes)
        .map_err(|problem| Malformed::syntax(serializer, problem))?;
    T::read_element(Raw { serializer, bytes: &bytes }, procedure, name)
}

/// Options or details as a value.
pub(crate) fn options_value(options: &impl Element) -> Value {
    let (serializer, mut bytes) = (Serializer::MessagePack, Vec::new());
    options.write_element(&mut Writer::new(serializer, &mut bytes));
    // What was just written can be read.
    value(serializer, &bytes).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::{
        Serializer::{Cbor, Json, MessagePack},
        *,
    };

    /// Arguments in the three serializers.
    fn forms(json: &str, msgpack: &[u8], cbor: &[u8]) -> [Payload; 3] {
        let payload =
            |serializer, args: &[u8]| Payload::new(serializer, Some(Bytes::copy_from_slice(args)), None);
        [payload(Json, json.as_bytes()), payload(MessagePack, msgpack), payload(Cbor, cbor)]
    }

    /// Each form becomes each other one.
    fn check(json: &str, msgpack: &[u8], cbor: &[u8]) {
        let forms = forms(json, msgpack, cbor);
        for from in &forms {
            for to in &forms {
                assert_eq!(from.transcode(to.serializer), Ok(to.clone()), "{json} from {}", from.serializer);
            }
        }
    }

    /// The arguments, which are in the first serializer, cannot be had in the others.
    fn check_unrepresentable(from: Serializer, args: &[u8], others: &[Serializer]) {
        let payload = Payload::new(from, Some(Bytes::copy_from_slice(args)), None);
        assert_eq!(payload.transcode(from), Ok(payload.clone()));
        for to in others {
            let transcoded = payload.transcode(*to);
            assert!(
                matches!(&transcoded, Err(Untranscodable::Unrepresentable { to: in_the_way, .. }) if in_the_way == to),
                "{args:02x?} in {to}: {transcoded:?}"
            );
        }
    }

    #[test]
    fn binary_is_base64_behind_a_null_character_in_json() {
        check(r#"["\u0000"]"#, b"\x91\xc4\x00", b"\x81\x40");
        check(r#"["\u0000AP8="]"#, b"\x91\xc4\x02\x00\xff", b"\x81\x42\x00\xff");
        check(
            r#"["\u0000EOP/kFMHXFJvX8BtT+N82w=="]"#,
            b"\x91\xc4\x10\x10\xe3\xff\x90\x53\x07\x5c\x52\x6f\x5f\xc0\x6d\x4f\xe3\x7c\xdb",
            b"\x81\x50\x10\xe3\xff\x90\x53\x07\x5c\x52\x6f\x5f\xc0\x6d\x4f\xe3\x7c\xdb",
        );
    }

    #[test]
    fn a_detached_payload_shares_no_memory() {
        let read = Bytes::from_static(br#"[1]{"a":2}"#);
        let payload = Payload::new(Json, Some(read.slice(..3)), Some(read.slice(3..)));
        let detached = payload.detached();
        assert_eq!(detached, payload);
        for part in [detached.args, detached.kwargs].into_iter().flatten() {
            assert!(!read.as_ptr_range().contains(&part.as_ptr()));
        }
    }

    #[test]
    fn integers_cross_up_to_64_bits() {
        check("[0,23,24]", b"\x93\x00\x17\x18", b"\x83\x00\x17\x18\x18");
        check(
            "[18446744073709551615]",
            b"\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x81\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        );
        check(
            "[-9223372036854775808]",
            b"\x91\xd3\x80\0\0\0\0\0\0\0",
            b"\x81\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
        );
        check("[9007199254740993]", b"\x91\xcf\x00\x20\0\0\0\0\0\x01", b"\x81\x1b\x00\x20\0\0\0\0\0\x01");
        check("[-1,-32,-33]", b"\x93\xff\xe0\xd0\xdf", b"\x83\x20\x38\x1f\x38\x20");
    }

    #[test]
    fn floats_stay_floats() {
        check("[1.0]", b"\x91\xcb\x3f\xf0\0\0\0\0\0\0", b"\x81\xfb\x3f\xf0\0\0\0\0\0\0");
        check(
            "[0.1]",
            b"\x91\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a",
            b"\x81\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a",
        );
        check("[-0.0]", b"\x91\xcb\x80\0\0\0\0\0\0\0", b"\x81\xfb\x80\0\0\0\0\0\0\0");
        // What a quick reading of decimal digits misses by one bit.
        check(
            "[8.2e+301]",
            b"\x91\xcb\x7e\x9e\x9c\x6d\x8e\x40\x96\xaf",
            b"\x81\xfb\x7e\x9e\x9c\x6d\x8e\x40\x96\xaf",
        );
        check("[5e-324]", b"\x91\xcb\0\0\0\0\0\0\0\x01", b"\x81\xfb\0\0\0\0\0\0\0\x01");
    }

    #[test]
    fn json_numbers_with_a_fraction_or_an_exponent_are_floats_however_large() {
        for args in ["[1e20]", "[1E+20]", "[100000000000000000000.0]"] {
            let [json, msgpack, cbor] = forms(
                args,
                b"\x91\xcb\x44\x15\xaf\x1d\x78\xb5\x8c\x40",
                b"\x81\xfb\x44\x15\xaf\x1d\x78\xb5\x8c\x40",
            );
            assert_eq!(json.transcode(MessagePack), Ok(msgpack));
            assert_eq!(json.transcode(Cbor), Ok(cbor));
        }
        let digits = r#"["99999999999999999999",{"99999999999999999999":0}]"#;
        assert!(forms(digits, b"", b"")[0].transcode(Cbor).is_ok());
    }

    #[test]
    fn short_floats_are_widened() {
        let [json, msgpack, cbor] = forms("[1.5]", b"\x91\xca\x3f\xc0\0\0", b"\x81\xf9\x3e\x00");
        assert_eq!(msgpack.transcode(Json), Ok(json.clone()));
        assert_eq!(cbor.transcode(Json), Ok(json.clone()));
    }

    #[test]
    fn words_nested_values_and_text_cross() {
        check("[null,true,false,\"\"]", b"\x94\xc0\xc3\xc2\xa0", b"\x84\xf6\xf5\xf4\x60");
        check("[[],{},[[{}]]]", b"\x93\x90\x80\x91\x91\x80", b"\x83\x80\xa0\x81\x81\xa0");
        check(
            r#"[{"b":{"a":[null]},"":-1}]"#,
            b"\x91\x82\xa1b\x81\xa1a\x91\xc0\xa0\xff",
            b"\x81\xa2\x61b\xa1\x61a\x81\xf6\x60\x20",
        );
        let text = "é東🔑".as_bytes();
        check("[\"é東🔑\"]", &[b"\x91\xa9", text].concat(), &[b"\x81\x69", text].concat());
    }

    #[test]
    fn keyword_arguments_cross_without_positional_ones() {
        let kwargs = |serializer, bytes: &'static [u8]| {
            Payload::new(serializer, None, Some(Bytes::from_static(bytes)))
        };
        let forms = [
            kwargs(Json, br#"{"a":"\u0000AA=="}"#),
            kwargs(MessagePack, b"\x81\xa1a\xc4\x01\x00"),
            kwargs(Cbor, b"\xa1\x61a\x41\x00"),
        ];
        for from in &forms {
            for to in &forms {
                assert_eq!(from.transcode(to.serializer), Ok(to.clone()));
            }
        }
    }

    #[test]
    fn undefined_becomes_null() {
        let [json, msgpack, cbor] = forms("[null]", b"\x91\xc0", b"\x81\xf7");
        assert_eq!(cbor.transcode(Json), Ok(json));
        assert_eq!(cbor.transcode(MessagePack), Ok(msgpack));
    }

    #[test]
    fn indefinite_lengths_become_definite() {
        let [json, msgpack, cbor] = forms(
            r#"["ab",{"a":"\u0000AP8="},[]]"#,
            b"\x93\xa2ab\x81\xa1a\xc4\x02\x00\xff\x90",
            b"\x9f\x7f\x61a\x61b\xff\xbf\x7f\x61a\xff\x5f\x41\x00\x41\xff\xff\xff\x9f\xff\xff",
        );
        assert_eq!(cbor.transcode(Json), Ok(json));
        assert_eq!(cbor.transcode(MessagePack), Ok(msgpack));
    }

    #[test]
    fn a_payload_for_the_same_serializer_is_left_as_it_is() {
        for args in
            ["[ 1e2 , \"\\u0041\\/\\ud800\" , \"\\u0000no base64\", 99999999999999999999, 1e999 ]", "[NaN"]
        {
            let [json, ..] = forms(args, b"\x90", b"\x80");
            assert_eq!(json.transcode(Json).unwrap().parts(), (Some(&Bytes::from(args)), None));
        }
    }

    #[test]
    fn binary_that_is_not_base64_is_the_senders_fault() {
        for args in [r#"["\u0000*"]"#, r#"["\u0000AP8"]"#, r#"[{"a":"\u0000AP-_"}]"#, r#"["\u0000AP8=\n"]"#] {
            let [json, ..] = forms(args, b"\x90", b"\x80");
            for to in [MessagePack, Cbor] {
                let transcoded = json.transcode(to);
                assert!(matches!(transcoded, Err(Untranscodable::Malformed(_))), "{args}: {transcoded:?}");
            }
        }
    }

    #[test]
    fn what_only_one_serializer_has_stays_in_it() {
        // Lone surrogates, and numbers that no float reaches.
        for args in [r#"["\ud800"]"#, r#"["\udc00a"]"#, r#"[{"\udfff":1}]"#, "[1e999]", "[-1e400]"] {
            check_unrepresentable(Json, args.as_bytes(), &[MessagePack, Cbor]);
        }
        // Integers over 64 bits.
        for args in [
            "[18446744073709551616]",
            r#"["\"\\",-9223372036854775809]"#,
            r#"[{"a":1,"1":[1e2, 9999999999999999999999]}]"#,
        ] {
            check_unrepresentable(Json, args.as_bytes(), &[MessagePack, Cbor]);
        }
        // Extensions and timestamps, keys of other types.
        for args in [
            b"\x91\xd4\x00\x00".as_slice(),
            b"\x91\xc7\x00\x05",
            b"\x91\xd6\xff\x00\x00\x00\x00",
            b"\x91\x81\x01\x02",
            b"\x91\x81\xc4\x01a\x02",
            b"\x91\x81\xc0\x02",
            b"\x91\x81\x90\x02",
        ] {
            check_unrepresentable(MessagePack, args, &[Json, Cbor]);
        }
        // Tags, bignums, integers over 64 bits, simple values, keys of other types.
        for args in [
            b"\x81\xc1\x00".as_slice(),
            b"\x81\xc1\x61a",
            b"\x81\xd9\xd9\xf7\x80",
            b"\x81\xc2\x49\x01\0\0\0\0\0\0\0\0",
            b"\x81\xc2\x41\x01",
            b"\x81\xc3\x40",
            b"\x81\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x81\x3b\x80\0\0\0\0\0\0\0",
            b"\x81\xf0",
            b"\x81\xf8\xff",
            b"\x81\xa1\x01\x02",
            b"\x81\xa1\x20\x02",
            b"\x81\xa1\x41a\x02",
            b"\x81\xa1\xf6\x02",
            b"\x81\xa1\xc1\x61a\x02",
        ] {
            check_unrepresentable(Cbor, args, &[Json, MessagePack]);
        }
    }

    #[test]
    fn json_has_no_infinities_and_takes_text_that_begins_with_a_null_character_for_binary() {
        for (msgpack, cbor) in [
            (b"\x91\xcb\x7f\xf8\0\0\0\0\0\0".as_slice(), b"\x81\xfb\x7f\xf8\0\0\0\0\0\0".as_slice()),
            (b"\x91\xcb\x7f\xf0\0\0\0\0\0\0", b"\x81\xfb\x7f\xf0\0\0\0\0\0\0"),
            (b"\x91\xcb\xff\xf0\0\0\0\0\0\0", b"\x81\xfb\xff\xf0\0\0\0\0\0\0"),
            (b"\x91\xa1\x00", b"\x81\x61\x00"),
            (b"\x91\xa3\x00AA", b"\x81\x63\x00AA"),
        ] {
            check_unrepresentable(MessagePack, msgpack, &[Json]);
            check_unrepresentable(Cbor, cbor, &[Json]);
            let [_, msgpack, cbor] = forms("", msgpack, cbor);
            assert_eq!(msgpack.transcode(Cbor), Ok(cbor.clone()));
            assert_eq!(cbor.transcode(MessagePack), Ok(msgpack));
        }
    }

    #[test]
    fn nesting_as_deep_as_messages_have_it_crosses() {
        let lists = |open: &[u8], innermost: &[u8], close: &[u8]| {
            [open.repeat(62), innermost.to_vec(), close.repeat(62)].concat()
        };
        let json = String::from_utf8(lists(b"[", b"[]", b"]")).unwrap();
        check(&json, &lists(b"\x91", b"\x90", b""), &lists(b"\x81", b"\x80", b""));
    }
}
