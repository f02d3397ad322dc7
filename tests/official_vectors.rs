//! The test suite of the WAMP specification, run where the environment variable `WAMP_VECTORS` names a copy of
//! its vectors: single messages over the codec, and sequences of several sessions over a router.

use crate::{
    codec_vectors::{File, Message, Sample, attributes, load, refusal, write},
    transcripts,
};
use realmkeeper_actors::{
    codec::Serializer,
    message::{ClientMessage, RouterMessage},
};
use serde_json::{Map, Value};
use std::{fs, path::PathBuf};

/// Binary in the place of the arguments list, of a scheme that was never in the specification, in which a list
/// is due there.
const BARE_BINARY: [(&str, usize); 10] = [
    ("publish.json", 1),
    ("publish.json", 3),
    ("publish.json", 39),
    ("publish.json", 40),
    ("publish.json", 41),
    ("event.json", 1),
    ("event.json", 3),
    ("event.json", 22),
    ("event.json", 23),
    ("event.json", 24),
];

/// A wrong type for a key that is not in the specification either. Such keys are ignored.
const UNKNOWN_KEY: [(&str, usize); 6] = [
    ("publish.json", 35),
    ("publish.json", 38),
    ("event.json", 16),
    ("event.json", 18),
    ("event.json", 21),
    ("subscribe.json", 11),
];

/// EVENT_RECEIVED, of which the specification says nothing.
const UNKNOWN_TYPE: u64 = 337;

#[derive(Debug, Default, PartialEq)]
struct Ran {
    files: usize,
    /// Samples read and written.
    serialization: usize,
    /// Frames read for them.
    frames: usize,
    /// Messages that had to be accepted.
    accepted: usize,
    /// Messages that had to be refused, with a text that names the option.
    refused: usize,
    /// Messages with binary in the place of their arguments, refused for it.
    bare_binary: usize,
    /// Messages of the type of which the specification says nothing, refused for it.
    unknown_type: usize,
}

#[test]
fn the_official_vectors_are_read_and_written() {
    let mut ran = Ran::default();
    for folder in ["singlemessage/basic", "singlemessage/advanced"] {
        for path in files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = load(&path);
            ran.files += 1;
            for (index, sample) in file.samples.iter().enumerate() {
                run(&file, name, index, sample, &mut ran);
            }
        }
    }
    let expected = Ran {
        files: 26,
        serialization: 30,
        frames: 125,
        accepted: 41,
        refused: 20,
        bare_binary: 10,
        unknown_type: 1,
    };
    if suite().is_some() {
        assert_eq!(ran, expected);
    }
}

#[test]
fn the_official_sequences_happen_as_they_are_written() {
    let sequences = files("multisession/advanced");
    for path in &sequences {
        let sequence: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        transcripts::replay(path, &transcript(&sequence));
    }
    assert_eq!(sequences.len(), usize::from(suite().is_some()));
}

/// Where the suite is, if it is anywhere.
fn suite() -> Option<PathBuf> {
    std::env::var_os("WAMP_VECTORS").map(PathBuf::from)
}

/// The files in a folder of the suite; none without it.
fn files(folder: &str) -> Vec<PathBuf> {
    let Some(suite) = suite() else {
        #[expect(clippy::print_stderr, reason = "a test that does not run says so")]
        {
            eprintln!("skipped: WAMP_VECTORS names no copy of the vectors of the WAMP specification");
        }
        return Vec::new();
    };
    let folder = suite.join(folder);
    let files = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| file.expect("the suite can be listed").path()).collect()
}

/// A sequence as transcript: ids that the router gives are bound to names.
fn transcript(sequence: &Value) -> String {
    let items = |name: &str| sequence[name].as_array().expect("the sequence has a list").iter();
    let text = |of: &'_ Value, key: &str| of[key].as_str().expect("the sequence has a text").to_owned();
    let joins = items("sessions").map(|session| {
        let (name, realm) = (text(session, "session_id"), text(session, "realm"));
        format!("{name} + joins {realm}")
    });
    let steps = items("sequence").map(|step| {
        let (from, to, message) = (text(step, "from"), text(step, "to"), as_list(&step["message"]));
        if from == "router" { format!("{to} < {message}") } else { format!("{from} > {message}") }
    });
    joins.chain(steps).collect::<Vec<_>>().join("\n")
}

/// A message whose elements have names as the list that travels.
fn as_list(message: &Value) -> Value {
    let (code, elements): (u64, &[&str]) = match message["type"].as_str().unwrap_or_default() {
        "SUBSCRIBE" => (32, &["request_id", "options", "topic"]),
        "SUBSCRIBED" => (33, &["request_id", "subscription_id"]),
        "PUBLISH" => (16, &["request_id", "options", "topic", "args"]),
        "EVENT" => (36, &["subscription_id", "publication_id", "details", "args"]),
        other => panic!("no sequence had {other} so far"),
    };
    let element = |name: &&str| match *name {
        "subscription_id" | "publication_id" => format!("$id{}", message[name]).into(),
        _ => message[name].clone(),
    };
    [code.into()].into_iter().chain(elements.iter().map(element)).collect()
}

fn run(file: &File, name: &str, index: usize, sample: &Sample, ran: &mut Ran) {
    let place = format!("{name} {index}: {}", sample.description);
    let is_for_client = file.is_sent_by_client();
    let is_for_router = file.is_sent_by_router();
    if file.code == UNKNOWN_TYPE {
        for (serializer, frame) in sample.frames() {
            assert_eq!(refusal::<ClientMessage>(serializer, frame), "337 is not a message type", "{place}");
        }
        ran.unknown_type += 1;
    } else if BARE_BINARY.contains(&(name, index)) {
        let wrong =
            |text: String| assert!(text.contains("Arguments must be a list, not "), "{place}: {text}");
        let frames: Vec<_> = match &sample.wmsg {
            Some(message) => {
                Serializer::ALL.map(|serializer| (serializer, write(serializer, message))).into()
            }
            None => sample.frames().collect(),
        };
        for (serializer, frame) in frames {
            if is_for_client {
                wrong(refusal::<ClientMessage>(serializer, frame));
            } else {
                wrong(refusal::<RouterMessage>(serializer, frame));
            }
        }
        ran.bare_binary += 1;
    } else if let Some(expected) = &sample.expected_attributes {
        if is_for_client {
            ran.frames += check::<ClientMessage>(sample, expected, &place);
        }
        if is_for_router {
            ran.frames += check::<RouterMessage>(sample, expected, &place);
        }
        ran.serialization += 1;
    } else if let Some(message) = &sample.wmsg {
        let must_be_refused =
            sample.expected_error.as_ref().filter(|_| !UNKNOWN_KEY.contains(&(name, index)));
        for serializer in Serializer::ALL {
            let frame = write(serializer, message);
            match must_be_refused {
                Some(error) => {
                    let text = if is_for_client {
                        refusal::<ClientMessage>(serializer, frame)
                    } else {
                        refusal::<RouterMessage>(serializer, frame)
                    };
                    assert!(text.contains(&error.contains), "{place}: {text}");
                }
                None if is_for_client => _ = ClientMessage::read(serializer, &frame).expect(&place),
                None => _ = RouterMessage::read(serializer, &frame).expect(&place),
            }
        }
        match must_be_refused {
            Some(_) => ran.refused += 1,
            None => ran.accepted += 1,
        }
    } else {
        panic!("{place} is of no known kind");
    }
}

/// Reads every variant in the serializers spoken here, and writes the message in each serializer from each.
/// Returns how many variants there were.
fn check<M: Message>(sample: &Sample, expected: &Map<String, Value>, place: &str) -> usize {
    let mut count = 0;
    let expected = spoken_here(expected.clone());
    for (serializer, frame) in sample.frames() {
        let read = || M::read(serializer, &frame).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(spoken_here(attributes(read())), expected, "{place}: {serializer} {frame:?}");
        for (other, variants) in sample.variants() {
            let written = read().transcoded(other).written(other);
            if !is_rewritten(place) {
                assert!(variants.contains(&written), "{place}: {written:?} in {other}");
            }
            let again = M::read(other, &written).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(again, read().transcoded(other), "{place}: {written:?} in {other}");
        }
        count += 1;
    }
    count
}

/// Whether the message is written in another way than the suite has it: without a key that is not known here,
/// or with its roles in another order.
fn is_rewritten(place: &str) -> bool {
    ["publish.json 2:", "event.json 2:", "hello.json 0:"].iter().any(|sample| place.starts_with(sample))
}

/// The attributes as far as they are known here, roles in details.
fn spoken_here(mut attributes: Map<String, Value>) -> Map<String, Value> {
    if let Some(roles) = attributes.remove("roles") {
        attributes.insert("details".into(), Map::from_iter([("roles".to_owned(), roles)]).into());
    }
    // What is absent is null in some files and left out in others.
    attributes.retain(|_, value| !value.is_null());
    for options in ["options", "details"] {
        if let Some(Value::Object(options)) = attributes.get_mut(options) {
            options.remove("forward_for");
        }
    }
    attributes
}
