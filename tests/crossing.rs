//! Values on their way from one serializer to another: what an application sends arrives as it was, or not at
//! all, and then somebody is told.

use crate::support::{Peer, Router, form, peer::Received};
use realmkeeper_actors::codec::Serializer::{self, Cbor, Json, MessagePack};
use serde_json::{Value, json};

/// Positional arguments that every serializer can carry. What begins with U+0000 is binary, in base64.
fn args() -> Value {
    json!([
        null, true, false, 0, 1, -1, 127, 128, -128, -129, 65_535, 65_536, 4_294_967_296_u64,
        9_007_199_254_740_992_u64, 9_007_199_254_740_993_u64, i64::MIN, i64::MAX, u64::MAX,
        0.5, 1.0, -0.1, 1e300, 5e-324, f64::MAX,
        "", "text", "é東🔑\u{7f}\u{80}\u{ffff}", "quote \" slash / backslash \\ line\n tab\t", " \u{0} inside ",
        "\u{0}", "\u{0}AP8=", "\u{0}EOP/kFMHXFJvX8BtT+N82w==",
        [], {}, [[], [[{}]]], {"": {"ключ": [null, {"a.b": "\u{0}AA=="}]}, "b": -1.5},
    ])
}

/// The keyword arguments beside them.
fn kwargs() -> Value {
    json!({"none": null, "largest": u64::MAX, "smallest": i64::MIN, "octets": "\u{0}AP8=", "nested": [{"é": [1.0]}]})
}

/// A callee of `app.proc` that also subscribes to `app.topic`, and somebody to call it.
struct Pair {
    near: Peer,
    far: Peer,
    subscription: u64,
    registration: Value,
    /// Stops when the peers are gone, which it would wait for otherwise.
    _router: Router,
}

impl Pair {
    fn new(from: Serializer, to: Serializer) -> Self {
        let router = Router::start();
        let near = Peer::join(&router, from);
        let mut far = Peer::join(&router, to);
        let subscription = far.subscribe("app.topic");
        let request = far.request();
        far.send(&json!([64, request, {}, "app.proc"]));
        let registration = far.message()[2].clone();
        Self { near, far, subscription, registration, _router: router }
    }

    /// Whether both sessions work as ever: nothing else waits for them, and a call is answered.
    fn check_unharmed(&mut self, invocation: u64) {
        let request = self.near.request();
        self.near.send(&json!([48, request, {}, "app.proc", ["next"]]));
        assert_eq!(self.far.message(), json!([68, invocation, self.registration, {}, ["next"]]));
        self.far.send(&json!([70, invocation, {}, ["done"]]));
        assert_eq!(self.near.message(), json!([50, request, {}, ["done"]]));
    }
}

/// Each serializer with each one, its own included.
fn pairs() -> impl Iterator<Item = (Serializer, Serializer)> {
    Serializer::ALL.into_iter().flat_map(|from| Serializer::ALL.map(|to| (from, to)))
}

/// The octets of a message with positional arguments, which are in the form of the serializer.
fn with_args(serializer: Serializer, message: &Value, args: &[u8]) -> Vec<u8> {
    let mut octets = form::encode(serializer, message);
    if serializer == Json {
        octets.pop();
        [&octets, &b","[..], args, b"]"].concat()
    } else {
        // The list has less than 15 elements: its length is in the first octet.
        octets[0] += 1;
        [&octets, args].concat()
    }
}

#[test]
fn what_every_serializer_can_carry_arrives_as_it_was() {
    for (from, to) in pairs() {
        let mut pair = Pair::new(from, to);
        let (args, kwargs) = (args(), kwargs());
        let request = pair.near.request();
        pair.near.send(&json!([16, request, {}, "app.topic", args, kwargs]));
        let event = pair.far.message();
        assert_eq!(event, json!([36, pair.subscription, event[2], {}, args, kwargs]), "{from} to {to}");

        let request = pair.near.request();
        pair.near.send(&json!([48, request, {}, "app.proc", args, kwargs]));
        let invocation = pair.far.message();
        assert_eq!(invocation, json!([68, 1, pair.registration, {}, args, kwargs]), "{from} to {to}");
        pair.far.send(&json!([70, 1, {}, args, kwargs]));
        assert_eq!(pair.near.message(), json!([50, request, {}, args, kwargs]), "{to} to {from}");

        let request = pair.near.request();
        pair.near.send(&json!([48, request, {}, "app.proc", [], kwargs]));
        assert_eq!(pair.far.message(), json!([68, 2, pair.registration, {}, [], kwargs]), "{from} to {to}");
        pair.far.send(&json!([8, 68, 2, {}, "app.error", args, kwargs]));
        let error = json!([8, 48, request, {}, "app.error", args, kwargs]);
        assert_eq!(pair.near.message(), error, "{to} to {from}");
        pair.check_unharmed(3);
    }
}

#[test]
fn what_has_no_form_in_the_serializer_of_the_receiver_is_refused_and_harms_nobody() {
    let (extension, tag) =
        ("an extension type of MessagePack", "a tag, a simple value, or a key that is not a string");
    let no_string = "a key that is not a string";
    let over_64_bits = "an integer of more than 64 bits";
    let no_value = "a number over the range of floats, or half a surrogate pair";
    let no_number = |number| format!("JSON has no number {number}");
    for (from, args, to, problem) in [
        (MessagePack, &b"\x91\xcb\x7f\xf8\0\0\0\0\0\0"[..], Json, no_number("NaN")),
        (MessagePack, b"\x91\xcb\x7f\xf0\0\0\0\0\0\0", Json, no_number("inf")),
        (MessagePack, b"\x91\xca\xff\x80\0\0", Json, no_number("-inf")),
        (MessagePack, b"\x91\xa1\0", Json, "JSON has no text that begins with U+0000".into()),
        (MessagePack, b"\x91\x81\x01\x02", Json, no_string.into()),
        (MessagePack, b"\x91\x81\xc4\x01a\x02", Cbor, no_string.into()),
        (MessagePack, b"\x91\xd4\x05\x00", Json, extension.into()),
        (MessagePack, b"\x91\xd4\x05\x00", Cbor, extension.into()),
        (Cbor, b"\x81\xfb\x7f\xf8\0\0\0\0\0\0", Json, no_number("NaN")),
        (Cbor, b"\x81\xf9\x7c\x00", Json, no_number("inf")),
        (Cbor, b"\x81\xc1\x00", Json, tag.into()),
        (Cbor, b"\x81\xc1\x00", MessagePack, tag.into()),
        (Cbor, b"\x81\xa1\x01\x02", MessagePack, no_string.into()),
        (Cbor, b"\x81\xc2\x49\x01\0\0\0\0\0\0\0\0", MessagePack, over_64_bits.into()),
        (Cbor, b"\x81\x3b\x80\0\0\0\0\0\0\0", Json, over_64_bits.into()),
        (Json, br#"["\ud800"]"#, MessagePack, no_value.into()),
        (Json, br#"["\ud800"]"#, Cbor, no_value.into()),
        (Json, b"[1e999]", Cbor, no_value.into()),
        (Json, b"[18446744073709551616]", MessagePack, over_64_bits.into()),
        (Json, br#"[{"a": [-9223372036854775809]}]"#, Cbor, over_64_bits.into()),
    ] {
        let text = format!("the payload cannot be carried by {to}: {problem}");
        let invalid = |request| json!([8, 48, request, {}, "wamp.error.invalid_argument", [text]]);

        // An event is published all the same, and not delivered to whom it cannot be.
        let mut pair = Pair::new(from, to);
        let request = pair.near.request();
        let publish = json!([16, request, {"acknowledge": true}, "app.topic"]);
        pair.near.send_bytes(with_args(from, &publish, args));
        let published = pair.near.message();
        assert_eq!(published, json!([17, request, published[2]]));

        // A call is refused.
        let request = pair.near.request();
        pair.near.send_bytes(with_args(from, &json!([48, request, {}, "app.proc"]), args));
        assert_eq!(pair.near.message(), invalid(request));
        pair.check_unharmed(1);

        // An answer becomes an ERROR.
        let mut pair = Pair::new(to, from);
        for (invocation, answer) in [(1, json!([70, 1, {}])), (2, json!([8, 68, 2, {}, "app.error"]))] {
            let request = pair.near.request();
            pair.near.send(&json!([48, request, {}, "app.proc"]));
            assert_eq!(pair.far.message(), json!([68, invocation, pair.registration, {}]));
            pair.far.send_bytes(with_args(from, &answer, args));
            assert_eq!(pair.near.message(), invalid(request));
        }
        pair.check_unharmed(3);
    }
}

#[test]
fn json_that_announces_binary_and_holds_none_ends_its_sender_where_it_is_read() {
    let args = br#"["\u0000no base64"]"#;
    let check_aborted = |peer: &mut Peer| {
        let text = "the payload is malformed: a string that begins with U+0000 is not base64";
        assert_eq!(peer.message(), json!([3, {"message": text}, "wamp.error.protocol_violation"]));
        assert_eq!(peer.receive(), Received::Close(Some(1002)));
    };
    for to in [MessagePack, Cbor] {
        for message in [json!([16, 1, {}, "app.topic"]), json!([48, 1, {}, "app.proc"])] {
            let mut pair = Pair::new(Json, to);
            pair.near.send_bytes(with_args(Json, &message, args));
            check_aborted(&mut pair.near);
        }
        for answer in [json!([70, 1, {}]), json!([8, 68, 1, {}, "app.error"])] {
            let mut pair = Pair::new(to, Json);
            pair.near.send(&json!([48, 1, {}, "app.proc"]));
            assert_eq!(pair.far.message(), json!([68, 1, pair.registration, {}]));
            pair.far.send_bytes(with_args(Json, &answer, args));
            check_aborted(&mut pair.far);
            let text = "the callee left before it answered";
            assert_eq!(pair.near.message(), json!([8, 48, 1, {}, "wamp.error.canceled", [text]]));
        }
    }
    // To others who speak JSON it goes as it came.
    let mut pair = Pair::new(Json, Json);
    pair.near.send_bytes(with_args(Json, &json!([48, 1, {}, "app.proc"]), args));
    assert_eq!(pair.far.message(), json!([68, 1, pair.registration, {}, ["\u{0}no base64"]]));
}

#[test]
fn arguments_that_a_meta_procedure_cannot_read_are_refused_and_harm_nobody() {
    let router = Router::start();
    for (serializer, args, problem) in [
        (MessagePack, &b"\x91\xd4\x05\x00"[..], "an extension type of MessagePack"),
        (MessagePack, b"\x91\x81\x01\x02", "a key that is not a string"),
        (Cbor, b"\x81\xc1\x00", "a tag, a simple value, or a key that is not a string"),
        (Cbor, b"\x81\x3b\x80\0\0\0\0\0\0\0", "an integer of more than 64 bits"),
        (Json, br#"["\u0000*"]"#, "a string that begins with U+0000 is not base64"),
        (Json, b"[1e999]", "a number over the range of floats, or half a surrogate pair"),
        (Json, b"[99999999999999999999]", "an integer of more than 64 bits"),
    ] {
        let mut peer = Peer::join(&router, serializer);
        let request = peer.request();
        let call = json!([48, request, {}, "wamp.session.count"]);
        peer.send_bytes(with_args(serializer, &call, args));
        let text = format!("the arguments cannot be read: {problem}");
        assert_eq!(peer.message(), json!([8, 48, request, {}, "wamp.error.invalid_argument", [text]]));
        assert_eq!(peer.call("wamp.session.count", &json!([[]]), &json!({})), json!([50, 2, {}, [0]]));
    }
}

#[test]
fn a_testament_that_one_serializer_cannot_carry_reaches_those_that_speak_others() {
    let router = Router::start();
    let mut subscribers = Serializer::ALL.map(|serializer| Peer::join(&router, serializer));
    let subscription = subscribers.each_mut().map(|peer| peer.subscribe("app.topic"))[0];
    let mut testator = Peer::join(&router, MessagePack);
    // The arguments of the testament are [NaN].
    let args = b"\x93\xa9app.topic\x91\xcb\x7f\xf8\0\0\0\0\0\0\x80";
    let call = json!([48, 1, {}, "wamp.session.add_testament"]);
    testator.send_bytes(with_args(MessagePack, &call, args));
    assert_eq!(testator.message(), json!([50, 1, {}]));
    testator.leave();
    for peer in &mut subscribers {
        if peer.serializer() != Json {
            let event = peer.message();
            assert_eq!(event, json!([36, subscription, event[2], {}, ["NaN"]]), "{}", peer.serializer());
        }
        assert_eq!(peer.call("wamp.session.count", &json!([[]]), &json!({})), json!([50, 2, {}, [0]]));
    }
}

#[test]
fn an_event_that_one_serializer_cannot_carry_reaches_those_that_speak_others() {
    let router = Router::start();
    let mut subscribers = Serializer::ALL.map(|serializer| Peer::join(&router, serializer));
    let subscription = subscribers.each_mut().map(|peer| peer.subscribe("app.topic"))[0];
    let mut publisher = Peer::join(&router, MessagePack);
    publisher.send_bytes(with_args(
        MessagePack,
        &json!([16, 1, {}, "app.topic"]),
        b"\x91\xcb\x7f\xf8\0\0\0\0\0\0",
    ));
    publisher.send(&json!([16, 2, {}, "app.topic", ["next"]]));
    for peer in &mut subscribers {
        let args: &[&str] = if peer.serializer() == Json { &["next"] } else { &["NaN", "next"] };
        for arg in args {
            let event = peer.message();
            assert_eq!(event, json!([36, subscription, event[2], {}, [arg]]), "{}", peer.serializer());
        }
    }
}

#[test]
fn text_that_json_takes_for_binary_reaches_nobody_by_a_meta_procedure() {
    let text = b"\xa5\0AP8=";
    for (procedure, args, kwargs, uri, problem) in [
        (
            "kill_all",
            &b"\x90"[..],
            [b"\x81\xa6reason", &text[..]].concat(),
            "invalid_uri",
            "\"reason\" must be a string",
        ),
        (
            "kill_all",
            b"\x90",
            [b"\x81\xa7message", &text[..]].concat(),
            "invalid_argument",
            "message must be a string",
        ),
        (
            "add_testament",
            &[b"\x93", &text[..], b"\x90\x80"].concat(),
            b"\x80".into(),
            "invalid_argument",
            "topic must be a string",
        ),
    ] {
        let router = Router::start();
        let mut forger = Peer::join(&router, MessagePack);
        let mut message = form::encode(MessagePack, &json!([48, 1, {}, format!("wamp.session.{procedure}")]));
        message[0] += 2;
        forger.send_bytes([&message, args, &kwargs].concat());
        assert_eq!(
            forger.message(),
            json!([8, 48, 1, {}, format!("wamp.error.{uri}"), [problem]]),
            "{procedure}"
        );
    }
}

#[test]
fn what_is_nested_as_deep_as_the_configuration_can_allow_crosses() {
    const DEEPEST: usize = 120;
    for (from, to) in pairs() {
        let router = Router::configured(&format!(
            r#"
            listeners = [{{ address = "127.0.0.1:0", limits = {{ nesting_depth = {DEEPEST} }} }}]
            [[realms]]
            name = "realm1"
            anonymous = "anyone"
            [[realms.roles]]
            name = "anyone"
            permissions = [{{ uri = "", match = "prefix", allow = ["publish", "subscribe"] }}]
            "#
        ));
        let (mut near, mut far) = (Peer::join(&router, from), Peer::join(&router, to));
        let subscription = far.subscribe("app.topic");
        for nest in [|inner| json!([inner]), |inner| json!({"a": inner})] {
            // The message is a level, and so are its arguments.
            let nested = (2..DEEPEST).fold(json!(7), |inner, _| nest(inner));
            near.send(&json!([16, 1, {}, "app.topic", [nested]]));
            let event = far.message();
            assert_eq!(event, json!([36, subscription, event[2], {}, [nested]]), "{from} to {to}");
        }
    }
}
