//! The bytes of every message and of every option in every serializer, read and written; and what is refused,
//! with which text. The vectors are in the schema of the test suite of the WAMP specification, except
//! `frames.json`. They were not written by the codec they test.

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use realmkeeper_actors::{
    codec::{Malformed, Payload, Serializer},
    message::{
        Cancel, CancelMode, CancelOptions, ClientMessage, Error, ErrorDetails, Event, EventDetails,
        Invocation, InvocationDetails, Invoke, Publish, PublishOptions, Register, RegisterOptions,
        RequestType, RouterMessage, Subscribe, SubscribeOptions, Unregistered, UnregisteredDetails,
        id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId},
        uri::Match,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt::Debug, fs, path::Path};

/// How deep lists and dicts may stand in each other in these tests.
const DEPTH: usize = 64;

#[test]
fn every_message_and_option_has_its_bytes_in_every_serializer() {
    let (mut samples, mut frames) = (0, 0);
    for_each_sample(|file, sample| {
        let Some(expected) = &sample.expected_attributes else { return };
        if file.is_sent_by_client() {
            frames += sample.check::<ClientMessage>(expected);
            samples += 1;
        }
        if file.is_sent_by_router() {
            frames += sample.check::<RouterMessage>(expected);
            samples += 1;
        }
    });
    assert_eq!((samples, frames), (707, 5693));
}

#[test]
fn elements_and_options_are_read_into_their_fields() {
    let id = |id| RequestId::new(id).unwrap();
    let text = |text: &str| Some(text.into());
    let client: [(&str, ClientMessage); 5] = [
        (
            r#"[16,7,{"acknowledge":true,"exclude_me":false,"disclose_me":true,"exclude":[1],"exclude_authid":["a"],
                "exclude_authrole":["b"],"eligible":[2],"eligible_authid":["c"],"eligible_authrole":["d"],
                "retain":false,"rkey":"e","ppt_scheme":"f","ppt_serializer":"g","ppt_cipher":"h","ppt_keyid":"i"},"t"]"#,
            Publish {
                request: id(7),
                options: PublishOptions {
                    acknowledge: Some(true),
                    exclude_me: Some(false),
                    disclose_me: Some(true),
                    exclude: Some(vec![SessionId::new(1).unwrap()]),
                    exclude_authid: Some(vec!["a".into()]),
                    exclude_authrole: Some(vec!["b".into()]),
                    eligible: Some(vec![SessionId::new(2).unwrap()]),
                    eligible_authid: Some(vec!["c".into()]),
                    eligible_authrole: Some(vec!["d".into()]),
                    retain: Some(false),
                    rkey: text("e"),
                    ppt_scheme: text("f"),
                    ppt_serializer: text("g"),
                    ppt_cipher: text("h"),
                    ppt_keyid: text("i"),
                }
                .into(),
                topic: "t".into(),
                payload: Payload::EMPTY,
            }
            .into(),
        ),
        (
            r#"[32,7,{"match":"wildcard","get_retained":true,"nkey":"a"},"t."]"#,
            Subscribe {
                request: id(7),
                options: SubscribeOptions {
                    r#match: Some(Match::Wildcard),
                    get_retained: Some(true),
                    nkey: text("a"),
                },
                topic: "t.".into(),
            }
            .into(),
        ),
        (
            r#"[64,7,{"match":"prefix","invoke":"roundrobin","disclose_caller":true,"forward_timeout":false,
                "force_reregister":true},"p"]"#,
            Register {
                request: id(7),
                options: RegisterOptions {
                    r#match: Some(Match::Prefix),
                    invoke: Some(Invoke::RoundRobin),
                    disclose_caller: Some(true),
                    forward_timeout: Some(false),
                    force_reregister: Some(true),
                },
                procedure: "p".into(),
            }
            .into(),
        ),
        (
            r#"[49,7,{"mode":"killnowait"}]"#,
            Cancel { request: id(7), options: CancelOptions { mode: Some(CancelMode::KillNoWait) } }.into(),
        ),
        (
            r#"[8,68,7,{"ppt_cipher":"a"},"e"]"#,
            Error {
                request_type: RequestType::Invocation,
                request: id(7),
                details: ErrorDetails { ppt_cipher: text("a"), ..ErrorDetails::default() }.into(),
                error: "e".into(),
                payload: Payload::EMPTY,
            }
            .into(),
        ),
    ];
    for (json, message) in client {
        assert_eq!(ClientMessage::read(Serializer::Json, &json.into()), Ok(message));
    }
    let router: [(&str, RouterMessage); 3] = [
        (
            r#"[36,7,8,{"publisher":1,"topic":"t","trustlevel":3,"retained":true}]"#,
            Event {
                subscription: SubscriptionId::new(7).unwrap(),
                publication: PublicationId::new(8).unwrap(),
                details: EventDetails {
                    publisher: SessionId::new(1),
                    topic: Some("t".into()),
                    trustlevel: Some(3),
                    retained: Some(true),
                    ..EventDetails::default()
                }
                .into(),
                payload: Payload::EMPTY,
            }
            .into(),
        ),
        (
            r#"[68,7,8,{"caller":1,"timeout":2,"trustlevel":3,"receive_progress":true,"progress":false}]"#,
            Invocation {
                request: id(7),
                registration: RegistrationId::new(8).unwrap(),
                details: InvocationDetails {
                    caller: SessionId::new(1),
                    timeout: Some(2),
                    trustlevel: Some(3),
                    receive_progress: Some(true),
                    progress: Some(false),
                    ..InvocationDetails::default()
                }
                .into(),
                payload: Payload::EMPTY,
            }
            .into(),
        ),
        (
            r#"[67,0,{"registration":8,"reason":"a"}]"#,
            Unregistered::Revoked(UnregisteredDetails {
                registration: RegistrationId::new(8),
                reason: text("a"),
            })
            .into(),
        ),
    ];
    for (json, message) in router {
        assert_eq!(RouterMessage::read(Serializer::Json, &json.into()), Ok(message));
    }
}

#[test]
fn what_breaks_a_rule_is_refused_with_a_text_that_names_it() {
    let mut refused = 0;
    for_each_sample(|file, sample| {
        let (Some(message), Some(error)) = (&sample.wmsg, &sample.expected_error) else { return };
        for serializer in Serializer::ALL {
            let frame = write(serializer, message);
            if file.is_sent_by_client() {
                assert_eq!(refusal::<ClientMessage>(serializer, frame.clone()), error.message, "{message}");
            }
            if file.is_sent_by_router() {
                assert_eq!(refusal::<RouterMessage>(serializer, frame), error.message, "{message}");
            }
            assert!(error.message.contains(&error.contains), "{message}");
            refused += 1;
        }
    });
    assert_eq!(refused, 4674);
}

#[test]
fn no_peer_sends_what_the_other_one_sends() {
    let mut refused = Vec::new();
    for_each_sample(|file, sample| {
        for (serializer, frame) in sample.frames() {
            if !file.is_sent_by_client() {
                let expected = format!("{} is not sent by a client", file.name);
                assert_eq!(refusal::<ClientMessage>(serializer, frame), expected);
                refused.push(file.code);
            } else if !file.is_sent_by_router() {
                let expected = format!("{} is not sent by a router", file.name);
                assert_eq!(refusal::<RouterMessage>(serializer, frame), expected);
                refused.push(file.code);
            }
        }
    });
    refused.dedup();
    refused.sort_unstable();
    let one_way = [1, 2, 4, 5, 16, 17, 32, 33, 34, 35, 36, 48, 49, 50, 64, 65, 66, 67, 68, 69, 70];
    assert_eq!(refused, one_way);
}

#[test]
fn unusual_frames_are_read_and_broken_ones_refused() {
    let (mut read, mut refused) = (0, 0);
    for sample in load(&vectors().join("frames.json")).samples {
        for (serializer, frame) in sample.frames() {
            let place = format!("{}: {serializer} {frame:?}", sample.description);
            match (&sample.reads_as, &sample.expected_error) {
                (Some(canonical), None) => {
                    let message = ClientMessage::read(serializer, &frame).expect(&place);
                    let json = in_json(message);
                    assert_eq!(str::from_utf8(&json), Ok(canonical.as_str()), "{place}");
                    read += 1;
                }
                (None, Some(error)) => {
                    assert_eq!(refusal::<ClientMessage>(serializer, frame), error.message, "{place}");
                    refused += 1;
                }
                _ => panic!("{place} is neither read nor refused"),
            }
        }
    }
    assert_eq!((read, refused), (90, 416));
}

#[test]
fn every_prefix_of_a_frame_is_refused() {
    let mut prefixes = 0;
    for_each_sample(|file, sample| {
        for (serializer, frame) in sample.frames() {
            for end in 0..frame.len() {
                let prefix = frame.slice(..end);
                if file.is_sent_by_client() {
                    assert!(ClientMessage::read(serializer, &prefix).is_err(), "{serializer} {prefix:?}");
                } else {
                    assert!(RouterMessage::read(serializer, &prefix).is_err(), "{serializer} {prefix:?}");
                }
                prefixes += 1;
            }
        }
    });
    assert!(prefixes > 100_000, "{prefixes} prefixes");
}

#[test]
fn whatever_is_read_from_a_damaged_frame_survives_being_written() {
    let mut random = StdRng::seed_from_u64(20_260_614);
    let mut accepted = 0;
    for_each_sample(|_, sample| {
        for (serializer, frame) in sample.frames() {
            for _ in 0..30 {
                let damaged = Bytes::from(damage(&frame, &mut random));
                accepted += usize::from(survives::<ClientMessage>(serializer, &damaged));
                accepted += usize::from(survives::<RouterMessage>(serializer, &damaged));
            }
        }
    });
    assert!(accepted > 10_000, "{accepted} damaged frames were read");
}

/// Changes, removes, inserts and repeats a few octets.
fn damage(frame: &[u8], random: &mut StdRng) -> Vec<u8> {
    const TELLING: &[u8] =
        b"\x00\x01\x7f\x80\x90\xa0\xc0\xc1\xd4\xd9\xdf\xff\xf6\xf7\x9f\xbf\x5f{}[]\",:\\u01-.e \x1f";
    let mut damaged = frame.to_vec();
    for _ in 0..random.random_range(1..=3) {
        let at = random.random_range(0..damaged.len().max(1)).min(damaged.len());
        let telling = TELLING[random.random_range(0..TELLING.len())];
        match random.random_range(0..5) {
            0 => damaged.insert(at, telling),
            1 => damaged.truncate(at),
            2 if at < damaged.len() => damaged[at] = random.random(),
            3 if at < damaged.len() => damaged[at] = telling,
            _ if at < damaged.len() => _ = damaged.remove(at),
            _ => {}
        }
    }
    damaged
}

/// Whether the frame is a message, which then has to come back whole.
fn survives<M: Message>(serializer: Serializer, frame: &Bytes) -> bool {
    let Ok(message) = M::read(serializer, frame) else { return false };
    let written = message.written(serializer);
    let again = M::read(serializer, &written)
        .unwrap_or_else(|error| panic!("{error}: {frame:?} was written as {written:?}"));
    // Debug forms, because a NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{message:?}"), "{serializer} {frame:?}");
    true
}

/// A message of one direction.
pub(crate) trait Message: Sized + Debug + PartialEq {
    fn read(serializer: Serializer, frame: &Bytes) -> Result<Self, Malformed>;
    fn written(&self, serializer: Serializer) -> Bytes;
    fn payload(&mut self) -> Option<&mut Payload>;

    /// The same message with its payload in another serializer.
    fn transcoded(mut self, serializer: Serializer) -> Self {
        if let Some(payload) = self.payload() {
            *payload = payload.transcode(serializer).expect("the payload has a form in every serializer");
        }
        self
    }
}

macro_rules! message {
    ($name:ident: $($with:ident)* | $($without:ident)*) => {
        impl Message for $name {
            fn read(serializer: Serializer, frame: &Bytes) -> Result<Self, Malformed> {
                Self::decode(serializer, frame, DEPTH)
            }

            fn written(&self, serializer: Serializer) -> Bytes {
                let mut out = Vec::new();
                self.encode(serializer, &mut out);
                out.into()
            }

            fn payload(&mut self) -> Option<&mut Payload> {
                match self {
                    $(Self::$with(message) => Some(&mut message.payload),)*
                    $(Self::$without(_) => None,)*
                }
            }
        }
    };
}

message! { ClientMessage: Abort Error Publish Call Yield
| Hello Authenticate Goodbye Subscribe Unsubscribe Cancel Register Unregister }
message! { RouterMessage: Abort Error Event Result Invocation
| Welcome Challenge Goodbye Published Subscribed Unsubscribed Registered Unregistered Interrupt }

/// A file of vectors.
#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(rename = "wamp_message_type", default)]
    pub(crate) name: String,
    #[serde(rename = "wamp_message_code", default)]
    pub(crate) code: u64,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) description: String,
    #[serde(default)]
    serializers: BTreeMap<String, Vec<Variant>>,
    pub(crate) expected_attributes: Option<Map<String, Value>>,
    pub(crate) wmsg: Option<Value>,
    pub(crate) expected_error: Option<ExpectedError>,
    /// In `frames.json`: the message in JSON.
    reads_as: Option<String>,
}

#[derive(Deserialize)]
struct Variant {
    bytes: Option<String>,
    bytes_hex: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ExpectedError {
    #[serde(default)]
    pub(crate) contains: String,
    /// The whole text.
    #[serde(default)]
    message: String,
}

impl File {
    pub(crate) fn is_sent_by_client(&self) -> bool {
        [1, 3, 5, 6, 8, 16, 32, 34, 48, 49, 64, 66, 70].contains(&self.code)
    }

    pub(crate) fn is_sent_by_router(&self) -> bool {
        [2, 3, 4, 6, 8, 17, 33, 35, 36, 50, 65, 67, 68, 69].contains(&self.code)
    }
}

impl Sample {
    /// The variants of each serializer that is spoken here.
    pub(crate) fn variants(&self) -> impl Iterator<Item = (Serializer, Vec<Bytes>)> {
        Serializer::ALL.into_iter().filter_map(|serializer| {
            let variants = self.serializers.get(serializer.name())?;
            Some((serializer, variants.iter().map(Variant::bytes).collect()))
        })
    }

    /// Every variant of every serializer.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Serializer, Bytes)> {
        self.variants()
            .flat_map(|(serializer, frames)| frames.into_iter().map(move |frame| (serializer, frame)))
    }

    /// Reads every variant, and writes the first of each serializer, from each. Returns how many there were.
    fn check<M: Message>(&self, expected: &Map<String, Value>) -> usize {
        let canonical = self.variants().map(|(serializer, frames)| (serializer, frames[0].clone()));
        let canonical: Vec<_> = canonical.collect();
        assert_eq!(canonical.len(), Serializer::ALL.len(), "{}", self.description);
        let frames = self.frames().map(|(serializer, frame)| {
            let message = M::read(serializer, &frame)
                .unwrap_or_else(|error| panic!("{}: {error}: {serializer} {frame:?}", self.description));
            for (other, expected) in &canonical {
                let message = M::read(serializer, &frame).expect("it was read before").transcoded(*other);
                assert_eq!(message.written(*other), *expected, "{} in {other}", self.description);
            }
            assert_eq!(attributes(message), *expected, "{}: {serializer} {frame:?}", self.description);
        });
        frames.count()
    }
}

impl Variant {
    fn bytes(&self) -> Bytes {
        match (&self.bytes_hex, &self.bytes) {
            (Some(hex), _) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits"))
                .collect(),
            (None, Some(text)) => Bytes::from(text.clone()),
            (None, None) => panic!("a variant without bytes"),
        }
    }
}

/// The elements of a message by their names in the suite.
pub(crate) fn attributes(message: impl Message) -> Map<String, Value> {
    let elements: Vec<Value> = serde_json::from_slice(&in_json(message)).expect("a list");
    let names: &[&str] = match elements[0].as_u64().expect("a message type") {
        1 => &["realm", "details"],
        2 => &["session_id", "details"],
        3 => &["details", "reason", "args", "kwargs"],
        4 => &["method", "extra"],
        5 => &["signature", "extra"],
        6 => &["details", "reason"],
        8 => &["request_type", "request_id", "details", "error", "args", "kwargs"],
        16 => &["request_id", "options", "topic", "args", "kwargs"],
        17 => &["request_id", "publication_id"],
        32 => &["request_id", "options", "topic"],
        33 | 34 => &["request_id", "subscription_id"],
        35 | 67 => &["request_id", "details"],
        36 => &["subscription", "publication", "details", "args", "kwargs"],
        48 => &["request_id", "options", "procedure", "args", "kwargs"],
        49 | 69 => &["request_id", "options"],
        50 => &["request_id", "details", "args", "kwargs"],
        64 => &["request_id", "options", "procedure"],
        65 | 66 => &["request_id", "registration_id"],
        68 => &["request_id", "registration_id", "details", "args", "kwargs"],
        70 => &["request_id", "options", "args", "kwargs"],
        code => panic!("{code} has no names"),
    };
    let mut attributes: Map<_, _> =
        ["message_type"].iter().chain(names).map(|name| (*name).to_owned()).zip(elements).collect();
    // No arguments are written as null in the suite.
    for name in names.iter().filter(|name| ["args", "kwargs"].contains(name)) {
        attributes.entry(*name).or_insert(Value::Null);
    }
    if attributes.get("args") == Some(&Value::Array(Vec::new())) {
        attributes.insert("args".into(), Value::Null);
    }
    attributes
}

fn in_json<M: Message>(message: M) -> Bytes {
    message.transcoded(Serializer::Json).written(Serializer::Json)
}

/// Why the frame is no message.
pub(crate) fn refusal<M: Message>(serializer: Serializer, frame: Bytes) -> String {
    match M::read(serializer, &frame) {
        Ok(message) => panic!("{serializer} {frame:?} was read as {message:?}"),
        Err(error) => error.to_string(),
    }
}

fn vectors() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))
}

pub(crate) fn load(path: &Path) -> File {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Calls `check` with every sample of the files that are in the schema of the suite.
fn for_each_sample(mut check: impl FnMut(&File, &Sample)) {
    let files = fs::read_dir(vectors()).expect("the folder of the vectors");
    for file in files {
        let path = file.expect("a file").path();
        if path.file_name().is_none_or(|name| name != "frames.json") {
            let file = load(&path);
            file.samples.iter().for_each(|sample| check(&file, sample));
        }
    }
}

/// Writes a value given in JSON, without help of the codec.
pub(crate) fn write(serializer: Serializer, value: &Value) -> Bytes {
    let mut out = Vec::new();
    match serializer {
        Serializer::Json => out.extend(value.to_string().into_bytes()),
        Serializer::MessagePack => {
            rmpv::encode::write_value(&mut out, &msgpack(value)).expect("a vector takes everything");
        }
        Serializer::Cbor => write_cbor(value, &mut out),
    }
    out.into()
}

fn msgpack(value: &Value) -> rmpv::Value {
    match value {
        Value::Null => rmpv::Value::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => rmpv::Value::F64(number.as_f64().expect("a float")),
        },
        Value::String(text) => match binary(text) {
            Some(octets) => rmpv::Value::Binary(octets),
            None => text.as_str().into(),
        },
        Value::Array(items) => rmpv::Value::Array(items.iter().map(msgpack).collect()),
        Value::Object(entries) => rmpv::Value::Map(
            entries.iter().map(|(key, value)| (key.as_str().into(), msgpack(value))).collect(),
        ),
    }
}

fn write_cbor(value: &Value, out: &mut Vec<u8>) {
    /// A head with its argument in eight octets.
    fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
        out.push(major << 5 | 27);
        out.extend(argument.to_be_bytes());
    }
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(0xf4 + u8::from(*value)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => head(0, number, out),
            (None, Some(number)) => head(1, !number as u64, out),
            (None, None) => head(7, number.as_f64().expect("a float").to_bits(), out),
        },
        Value::String(text) => {
            let (major, octets) = binary(text).map_or((3, text.clone().into_bytes()), |octets| (2, octets));
            head(major, octets.len() as u64, out);
            out.extend(octets);
        }
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| write_cbor(item, out));
        }
        Value::Object(entries) => {
            head(5, entries.len() as u64, out);
            for (key, value) in entries {
                write_cbor(&Value::String(key.clone()), out);
                write_cbor(value, out);
            }
        }
    }
}

/// The only binary in messages that are refused.
fn binary(text: &str) -> Option<Vec<u8>> {
    (text == "\0AP8=").then(|| vec![0x00, 0xff])
}
