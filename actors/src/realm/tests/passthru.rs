//! Payload passthru mode of calls: what is said of a payload travels with it.

use super::TestRealm;
use crate::{codec::Serializer, message::feature::Feature};

const PACKING: &str =
    r#""ppt_scheme":"wamp","ppt_serializer":"cbor","ppt_cipher":"xsalsa20poly1305","ppt_keyid":"key""#;
const BINARY: &str = r#"["\u0000AQI="]"#;

/// Zoe calls `a.b`, which bob has registered. Each announces the mode or not, and all else.
fn registered(zoe_announces: bool, bob_announces: bool) -> TestRealm {
    let mut realm = TestRealm::with([]);
    for (name, announces) in [("zoe", zoe_announces), ("bob", bob_announces)] {
        let is_announced = |feature: &Feature| announces || *feature != Feature::PayloadPassthruMode;
        let features: Vec<_> = Feature::ALL.iter().copied().filter(is_announced).collect();
        realm.announce(&features);
        realm.join(name, Serializer::Json);
    }
    realm.lines.clear();
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm
}

#[test]
fn what_is_said_of_a_payload_travels_with_it() {
    let mut realm = registered(true, true);
    realm.expect(
        "zoe",
        &format!(r#"[48,1,{{{PACKING},"receive_progress":true}},"a.b",{BINARY}]"#),
        [&*format!(r#"bob < [68,1,#1,{{"receive_progress":true,{PACKING}}},{BINARY}]"#)],
    );
    realm.expect(
        "bob",
        &format!(r#"[70,1,{{"progress":true,{PACKING}}},{BINARY}]"#),
        [&*format!(r#"zoe < [50,1,{{"progress":true,{PACKING}}},{BINARY}]"#)],
    );
    realm.expect(
        "bob",
        r#"[70,1,{"ppt_scheme":"x_own"},[1]]"#,
        [r#"zoe < [50,1,{"ppt_scheme":"x_own"},[1]]"#],
    );
    realm.expect("zoe", r#"[48,2,{},"a.b"]"#, ["bob < [68,2,#1,{}]"]);
    realm.expect(
        "bob",
        &format!(r#"[8,68,2,{{{PACKING}}},"a.problem",{BINARY}]"#),
        [&*format!(r#"zoe < [8,48,2,{{{PACKING}}},"a.problem",{BINARY}]"#)],
    );
}

#[test]
fn what_is_said_of_the_first_part_holds_for_all() {
    let mut realm = registered(true, true);
    for options in [format!(r#""progress":true,{PACKING}"#), r#""progress":true"#.into()] {
        realm.expect(
            "zoe",
            &format!(r#"[48,1,{{{options}}},"a.b",{BINARY}]"#),
            [&*format!(r#"bob < [68,1,#1,{{"progress":true,{PACKING}}},{BINARY}]"#)],
        );
    }
    realm.expect(
        "zoe",
        &format!(r#"[48,1,{{}},"a.b",{BINARY}]"#),
        [&*format!(r#"bob < [68,1,#1,{{{PACKING}}},{BINARY}]"#)],
    );
}

#[test]
fn a_call_that_its_callee_cannot_unpack_is_refused() {
    let mut realm = registered(true, false);
    let error =
        r#""wamp.error.feature_not_supported",["payload_passthru_mode is not supported by the callee"]"#;
    let call = format!(r#"[48,1,{{{PACKING}}},"a.b",{BINARY}]"#);
    realm.expect("zoe", &call, [&*format!("zoe < [8,48,1,{{}},{error}]")]);
    let error = r#""wamp.error.feature_not_supported",["payload_passthru_mode is not supported by the procedures of the router"]"#;
    let call = format!(r#"[48,2,{{{PACKING}}},"wamp.session.count",{BINARY}]"#);
    realm.expect("zoe", &call, [&*format!("zoe < [8,48,2,{{}},{error}]")]);
}

#[test]
fn an_answer_that_its_caller_cannot_unpack_ends_the_call_with_an_error() {
    let error =
        r#""wamp.error.feature_not_supported",["payload_passthru_mode is not supported by the caller"]"#;
    for (answer, is_last) in [
        (format!(r#"[70,1,{{{PACKING}}},{BINARY}]"#), true),
        (format!(r#"[8,68,1,{{{PACKING}}},"a.problem",{BINARY}]"#), true),
        (format!(r#"[70,1,{{"progress":true,{PACKING}}},{BINARY}]"#), false),
    ] {
        let mut realm = registered(false, true);
        realm.receive("zoe", r#"[48,1,{"receive_progress":true},"a.b"]"#);
        realm.lines.clear();
        realm.receive("bob", &answer);
        let interrupt = r#"bob < [69,1,{"mode":"killnowait","reason":"wamp.error.feature_not_supported"}]"#;
        let expected: Vec<_> = (!is_last)
            .then(|| interrupt.to_owned())
            .into_iter()
            .chain([format!("zoe < [8,48,1,{{}},{error}]")])
            .collect();
        assert_eq!(realm.lines, expected);
    }
}

#[test]
fn who_did_not_announce_the_mode_may_not_use_it() {
    for (place, name, message) in [
        ("CALL.Options", "zoe", r#"[48,2,{"ppt_scheme":"x_own"},"a.b"]"#),
        ("CALL.Options", "zoe", r#"[48,2,{"ppt_scheme":"x_own"},"wamp.session.count"]"#),
        ("YIELD.Options", "bob", r#"[70,1,{"ppt_scheme":"x_own"}]"#),
        ("ERROR.Details", "bob", r#"[8,68,1,{"ppt_scheme":"x_own"},"a.problem"]"#),
    ] {
        let mut realm = registered(false, false);
        realm.receive("zoe", r#"[48,1,{},"a.b"]"#);
        realm.lines.clear();
        realm.receive(name, message);
        let text = format!("{place}.ppt_scheme is used, but payload_passthru_mode was not announced");
        assert_eq!(realm.lines[1], format!("{name} left: protocol_violation: {text}"));
    }
}
