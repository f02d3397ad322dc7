//! Results and arguments in parts.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    message::feature::Feature,
    realm::{RealmOptions, RequestIds},
};

/// Members who announce everything, of whom bob has registered `a.b`.
fn registered() -> TestRealm {
    let mut realm = TestRealm::announcing(["alice", "bob"]);
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm
}

/// The same, where bob announces only these features.
fn registered_by(features: &[Feature]) -> TestRealm {
    let mut realm = TestRealm::announcing(["alice"]);
    realm.announce(features);
    realm.join("bob", Serializer::Json);
    realm.lines.clear();
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm
}

#[test]
fn a_result_comes_in_parts_to_who_asks_for_them() {
    let mut realm = registered();
    realm.expect(
        "alice",
        r#"[48,5,{"receive_progress":true},"a.b"]"#,
        [r#"bob < [68,1,#1,{"receive_progress":true}]"#],
    );
    realm.expect("bob", r#"[70,1,{"progress":true},[1]]"#, [r#"alice < [50,5,{"progress":true},[1]]"#]);
    realm.expect(
        "bob",
        r#"[70,1,{"progress":true},[],{"a":2}]"#,
        [r#"alice < [50,5,{"progress":true},[],{"a":2}]"#],
    );
    realm.expect("bob", r#"[70,1,{"progress":false}]"#, ["alice < [50,5,{}]"]);
    realm.expect("bob", r#"[70,1,{"progress":true},[3]]"#, []);
}

#[test]
fn a_result_in_parts_may_end_with_an_error() {
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"receive_progress":true},"a.b"]"#);
    realm.receive("bob", r#"[70,1,{"progress":true},[1]]"#);
    realm.lines.clear();
    realm.expect("bob", r#"[8,68,1,{},"a.problem"]"#, [r#"alice < [8,48,5,{},"a.problem"]"#]);
    realm.expect("bob", r#"[70,1,{"progress":true},[1]]"#, []);
}

#[test]
fn a_part_that_nobody_asked_for_is_dropped_and_the_call_goes_on() {
    for options in ["{}", r#"{"receive_progress":false}"#] {
        let mut realm = registered();
        realm.expect("alice", &format!(r#"[48,5,{options},"a.b"]"#), ["bob < [68,1,#1,{}]"]);
        realm.expect("bob", r#"[70,1,{"progress":true},[1]]"#, []);
        realm.expect("bob", "[70,1,{},[2]]", ["alice < [50,5,{},[2]]"]);
    }
}

#[test]
fn parts_are_asked_of_those_only_who_can_send_them_and_be_interrupted() {
    for features in [&[][..], &[Feature::ProgressiveCallResults], &[Feature::CallCanceling]] {
        let mut realm = registered_by(features);
        realm.expect("alice", r#"[48,5,{"receive_progress":true},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
        realm.expect("bob", r#"[70,1,{"progress":true},[1]]"#, []);
        realm.expect("bob", "[70,1,{},[2]]", ["alice < [50,5,{},[2]]"]);
    }
    let mut realm = registered_by(&[Feature::ProgressiveCallResults, Feature::CallCanceling]);
    realm.expect(
        "alice",
        r#"[48,5,{"receive_progress":true},"a.b"]"#,
        [r#"bob < [68,1,#1,{"receive_progress":true}]"#],
    );
}

#[test]
fn a_part_without_a_form_for_the_caller_ends_the_call() {
    let mut realm = registered();
    realm.join("mia", Serializer::MessagePack);
    realm.receive("mia", r#"[48,5,{"receive_progress":true},"a.b"]"#);
    realm.lines.clear();
    realm.expect(
        "bob",
        r#"[70,1,{"progress":true},[123456789012345678901234567890]]"#,
        [
            r#"bob < [69,1,{"mode":"killnowait","reason":"wamp.error.invalid_argument"}]"#,
            r#"mia < [8,48,5,{},"wamp.error.invalid_argument",["the payload cannot be carried by msgpack: an integer of more than 64 bits"]]"#,
        ],
    );
    realm.expect("bob", "[70,1,{}]", []);
}

#[test]
fn who_leaves_between_the_parts_is_noticed() {
    let mut realm = registered();
    for request in [5, 6] {
        realm.receive("alice", &format!(r#"[48,{request},{{"receive_progress":true}},"a.b"]"#));
        realm.receive("bob", &format!(r#"[70,{},{{"progress":true}}]"#, request - 4));
    }
    realm.lines.clear();
    realm.receive("bob", "[70,2,{}]");
    realm.check(["alice < [50,6,{}]"]);
    realm.leave("bob", Cause::TransportLost);
    realm.check([
        "bob left: transport_lost",
        r#"alice < [8,48,5,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
    ]);
}

#[test]
fn arguments_come_in_parts_with_one_request_id_at_both_ends() {
    let mut realm = registered();
    realm.expect(
        "alice",
        r#"[48,5,{"progress":true,"disclose_me":true},"a.b",[1]]"#,
        [r#"bob < [68,1,#1,{"caller":alice,"caller_authid":"alice","caller_authrole":"user","progress":true},[1]]"#],
    );
    // Of the options of further parts only `progress` counts.
    realm.expect(
        "alice",
        r#"[48,5,{"progress":true,"receive_progress":true,"timeout":1},"a.b",[2]]"#,
        [r#"bob < [68,1,#1,{"caller":alice,"caller_authid":"alice","caller_authrole":"user","progress":true},[2]]"#],
    );
    realm.expect(
        "alice",
        r#"[48,5,{},"a.b",[],{"c":3}]"#,
        [r#"bob < [68,1,#1,{"caller":alice,"caller_authid":"alice","caller_authrole":"user"},[],{"c":3}]"#],
    );
    realm.pass(5);
    realm.expect("bob", "[70,1,{},[4]]", ["alice < [50,5,{},[4]]"]);
    realm.expect("alice", r#"[48,6,{},"a.b"]"#, ["bob < [68,2,#1,{}]"]);
}

#[test]
fn parts_go_both_ways_in_any_order() {
    let mut realm = registered();
    let both = r#"[48,5,{"progress":true,"receive_progress":true},"a.b",[1]]"#;
    realm.expect("alice", both, [r#"bob < [68,1,#1,{"receive_progress":true,"progress":true},[1]]"#]);
    realm.expect("bob", r#"[70,1,{"progress":true},[1]]"#, [r#"alice < [50,5,{"progress":true},[1]]"#]);
    realm.expect("bob", r#"[70,1,{"progress":true},[2]]"#, [r#"alice < [50,5,{"progress":true},[2]]"#]);
    realm.expect("alice", both, [r#"bob < [68,1,#1,{"receive_progress":true,"progress":true},[1]]"#]);
    realm.expect("alice", r#"[48,5,{},"a.b",[3]]"#, [r#"bob < [68,1,#1,{"receive_progress":true},[3]]"#]);
    realm.expect("bob", r#"[70,1,{"progress":true},[3]]"#, [r#"alice < [50,5,{"progress":true},[3]]"#]);
    realm.expect("bob", "[70,1,{}]", ["alice < [50,5,{}]"]);
}

#[test]
fn parts_that_follow_the_end_of_a_call_have_no_effect() {
    for (end, answer) in [
        ("[70,1,{}]", "alice < [50,5,{}]"),
        (r#"[8,68,1,{},"a.problem"]"#, r#"alice < [8,48,5,{},"a.problem"]"#),
        // No other callee has the parts that this one had.
        (r#"[8,68,1,{},"wamp.error.unavailable"]"#, r#"alice < [8,48,5,{},"wamp.error.unavailable"]"#),
    ] {
        let mut realm = registered();
        realm.receive("alice", r#"[48,5,{"progress":true},"a.b",[1]]"#);
        realm.lines.clear();
        realm.expect("bob", end, [answer]);
        realm.expect("alice", r#"[48,5,{"progress":true},"a.b",[2]]"#, []);
        // What is for another procedure is another call.
        realm.expect(
            "alice",
            r#"[48,5,{},"a.c"]"#,
            [r#"alice < [8,48,5,{},"wamp.error.no_such_procedure",["no callee has registered \"a.c\""]]"#],
        );
        realm.expect("alice", r#"[48,5,{},"a.b",[3]]"#, []);
        // All parts have come, and a client that counts so may begin with it again.
        realm.expect("alice", r#"[48,5,{},"a.b",[4]]"#, ["bob < [68,2,#1,{},[4]]"]);
    }
}

#[test]
fn a_request_id_may_be_used_again_for_another_procedure() {
    let mut realm = registered();
    realm.receive("bob", r#"[64,9,{},"a.d"]"#);
    realm.receive("alice", r#"[48,5,{"progress":true},"a.b",[1]]"#);
    realm.receive("bob", "[70,1,{}]");
    realm.lines.clear();
    realm.expect("alice", r#"[48,5,{},"a.d",[2]]"#, ["bob < [68,2,#2,{},[2]]"]);
    realm.expect("bob", "[70,2,{},[3]]", ["alice < [50,5,{},[3]]"]);
}

#[test]
fn parts_of_a_call_that_was_refused_have_no_effect_either() {
    let mut realm = registered_by(&[Feature::ProgressiveCallInvocations]);
    for (procedure, error) in [
        ("a.b", r#""wamp.error.feature_not_supported",["call_canceling is not supported by the callee"]"#),
        ("a.c", r#""wamp.error.no_such_procedure",["no callee has registered \"a.c\""]"#),
        ("a..c", r#""wamp.error.invalid_uri",["\"a..c\" is not a valid uri"]"#),
        (
            "wamp.session.count",
            r#""wamp.error.feature_not_supported",["progressive_call_invocations is not supported by the procedures of the router"]"#,
        ),
    ] {
        let part = format!(r#"[48,5,{{"progress":true}},"{procedure}"]"#);
        realm.expect("alice", &part, [&*format!("alice < [8,48,5,{{}},{error}]")]);
        realm.expect("alice", &part, []);
        realm.expect("alice", &format!(r#"[48,5,{{}},"{procedure}"]"#), []);
    }
    let mut realm = registered_by(&[Feature::CallCanceling]);
    realm.expect("alice", r#"[48,5,{"progress":true},"a.b"]"#, [
        r#"alice < [8,48,5,{},"wamp.error.feature_not_supported",["progressive_call_invocations is not supported by the callee"]]"#,
    ]);
}

#[test]
fn a_part_without_a_form_for_the_callee_ends_the_call() {
    let mut realm = registered();
    realm.join("mia", Serializer::MessagePack);
    realm.receive("mia", r#"[64,1,{},"m"]"#);
    realm.receive("alice", r#"[48,5,{"progress":true},"m",[1]]"#);
    realm.lines.clear();
    realm.expect("alice", r#"[48,5,{"progress":true},"m",[123456789012345678901234567890]]"#, [
        r#"mia < [69,1,{"mode":"killnowait","reason":"wamp.error.invalid_argument"}]"#,
        r#"alice < [8,48,5,{},"wamp.error.invalid_argument",["the payload cannot be carried by msgpack: an integer of more than 64 bits"]]"#,
    ]);
    realm.expect("alice", r#"[48,5,{},"m",[2]]"#, []);
    realm.expect("mia", "[70,1,{}]", []);
}

#[test]
fn what_is_no_part_of_a_call_in_flight_is_a_violation() {
    for (first, second) in [
        // The other procedure, no parts at all, and a part after the last.
        (r#"[48,5,{"progress":true},"a.b"]"#, r#"[48,5,{"progress":true},"a.c"]"#),
        (r#"[48,5,{},"a.b"]"#, r#"[48,5,{"progress":true},"a.b"]"#),
    ] {
        let mut realm = registered();
        realm.receive("alice", first);
        realm.lines.clear();
        realm.expect("alice", second, [
            r#"alice < [3,{"message":"a call with the request id 5 is in flight already"},"wamp.error.protocol_violation"]"#,
            "alice left: protocol_violation: a call with the request id 5 is in flight already",
            r#"bob < [69,1,{"mode":"killnowait"}]"#,
        ]);
    }
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"progress":true},"a.b"]"#);
    realm.receive("alice", r#"[48,5,{},"a.b"]"#);
    realm.lines.clear();
    realm.receive("alice", r#"[48,5,{},"a.b"]"#);
    assert!(realm.lines[1].starts_with("alice left: protocol_violation"), "{:?}", realm.lines);
}

#[test]
fn who_did_not_announce_arguments_in_parts_may_not_send_them() {
    let mut realm = TestRealm::with(["alice"]);
    let text = "CALL.Options.progress is used, but progressive_call_invocations was not announced";
    realm.expect(
        "alice",
        r#"[48,5,{"progress":true},"a.b"]"#,
        [
            &*format!(r#"alice < [3,{{"message":"{text}"}},"wamp.error.protocol_violation"]"#),
            &*format!("alice left: protocol_violation: {text}"),
        ],
    );
}

#[test]
fn further_parts_are_no_new_requests_where_request_ids_are_strict() {
    let options = RealmOptions { request_ids: RequestIds::Strict, ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, []);
    realm.announce(Feature::ALL);
    realm.join("alice", Serializer::Json);
    realm.join("bob", Serializer::Json);
    realm.receive("bob", r#"[64,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.expect("alice", r#"[48,1,{"progress":true},"a.b"]"#, [r#"bob < [68,1,#1,{"progress":true}]"#]);
    realm.expect("alice", r#"[48,2,{},"a.b"]"#, ["bob < [68,2,#1,{}]"]);
    realm.expect("alice", r#"[48,1,{"progress":true},"a.b"]"#, [r#"bob < [68,1,#1,{"progress":true}]"#]);
    realm.expect("bob", "[70,1,{}]", ["alice < [50,1,{}]"]);
    realm.expect("alice", r#"[48,1,{"progress":true},"a.b"]"#, []);
    realm.expect("alice", r#"[48,3,{},"a.b"]"#, ["bob < [68,3,#1,{}]"]);
    realm.expect("alice", r#"[48,1,{},"a.b"]"#, []);
    realm.receive("alice", r#"[48,1,{},"a.b"]"#);
    assert!(
        realm.lines[1].starts_with("alice left: protocol_violation: the request id 1 is out of sequence"),
        "{:?}",
        realm.lines
    );
}
