//! The dealer: calls on their way to a callee and back, whoever leaves meanwhile.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer};

/// Three members, of whom bob has registered `a.procedure`.
fn registered() -> TestRealm {
    let mut realm = TestRealm::with(["alice", "bob", "carol"]);
    realm.expect("bob", r#"[64,1,{},"a.procedure"]"#, ["bob < [65,1,#1]"]);
    realm
}

#[test]
fn a_call_goes_to_the_callee_and_its_answer_back() {
    let mut realm = registered();
    realm.expect(
        "alice",
        r#"[48,5,{},"a.procedure",[1],{"k":"v"}]"#,
        [r#"bob < [68,1,#1,{},[1],{"k":"v"}]"#],
    );
    realm.expect("carol", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,2,#1,{}]"]);
    realm.expect("bob", r#"[70,2,{},["for carol"]]"#, [r#"carol < [50,5,{},["for carol"]]"#]);
    realm.expect("bob", r#"[70,1,{},[],{"for":"alice"}]"#, [r#"alice < [50,5,{},[],{"for":"alice"}]"#]);
}

#[test]
fn the_error_of_a_callee_comes_back_as_it_is() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect(
        "bob",
        r#"[8,68,1,{"x":1},"a.problem",["why"],{"k":2}]"#,
        [r#"alice < [8,48,5,{},"a.problem",["why"],{"k":2}]"#],
    );
}

#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect("bob", "[70,1,{}]", ["alice < [50,5,{}]"]);
    realm.expect("bob", "[70,1,{}]", []);
    realm.expect("bob", r#"[8,68,1,{},"a.problem"]"#, []);
    realm.expect("alice", r#"[48,6,{},"a.procedure"]"#, ["bob < [68,2,#1,{}]"]);
    realm.leave("alice", Cause::TransportLost);
    realm.check(["alice left: transport_lost"]);
    realm.expect("bob", "[70,2,{}]", []);
}

#[test]
fn whoever_waits_for_a_callee_that_leaves_is_told() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect("carol", r#"[48,9,{},"a.procedure"]"#, ["bob < [68,2,#1,{}]"]);
    realm.expect("bob", r#"[48,2,{},"a.procedure"]"#, ["bob < [68,3,#1,{}]"]);
    realm.leave("bob", Cause::PingTimeout);
    realm.check([
        "bob left: ping_timeout",
        r#"alice < [8,48,5,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
        r#"carol < [8,48,9,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
    ]);
    realm.expect("alice", r#"[48,6,{},"a.procedure"]"#, [
        r#"alice < [8,48,6,{},"wamp.error.no_such_procedure",["no callee has registered \"a.procedure\""]]"#,
    ]);
}

#[test]
fn a_request_id_in_flight_is_a_violation_and_leaves_no_ghost_behind() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, [
        r#"alice < [3,{"message":"a call with the request id 5 is in flight already"},"wamp.error.protocol_violation"]"#,
        "alice left: protocol_violation: a call with the request id 5 is in flight already",
    ]);
    realm.leave("bob", Cause::Goodbye);
    realm.lines.clear();
    realm.expect("carol", r#"[64,1,{},"a.procedure"]"#, ["carol < [65,1,#2]"]);
}

#[test]
fn a_procedure_has_one_callee() {
    let mut realm = registered();
    let exists = r#"{},"wamp.error.procedure_already_exists",["\"a.procedure\" is registered already"]]"#;
    realm.expect("alice", r#"[64,1,{},"a.procedure"]"#, [&*format!("alice < [8,64,1,{exists}")]);
    realm.expect("bob", r#"[64,2,{},"a.procedure"]"#, [&*format!("bob < [8,64,2,{exists}")]);
    realm.expect(
        "alice",
        r#"[66,2,#1]"#,
        [r#"alice < [8,66,2,{},"wamp.error.no_such_registration",["this session has no registration #1"]]"#],
    );
    realm.expect("bob", r#"[66,3,#1]"#, ["bob < [67,3]"]);
    realm.expect(
        "bob",
        r#"[66,4,#1]"#,
        [r#"bob < [8,66,4,{},"wamp.error.no_such_registration",["this session has no registration #1"]]"#],
    );
    realm.expect("alice", r#"[64,3,{},"a.procedure"]"#, ["alice < [65,3,#2]"]);
}

#[test]
fn a_call_that_is_under_way_outlives_its_registration() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect("bob", r#"[66,2,#1]"#, ["bob < [67,2]"]);
    realm.expect("bob", r#"[70,1,{},["still"]]"#, [r#"alice < [50,5,{},["still"]]"#]);
}

#[test]
fn a_registration_that_is_refused_is_told_why() {
    let invalid = |uri: &str, problem: &str| format!(r#""wamp.error.invalid_uri",["\"{uri}\" {problem}"]"#);
    for (options, uri, error) in [
        (r#"{"match":"prefix"}"#, "a..b", invalid("a..b", "is not a valid uri")),
        (r#"{"match":"wildcard"}"#, "a. b", invalid("a. b", "is not a valid uri")),
        ("{}", "a..b", invalid("a..b", "is not a valid uri")),
        ("{}", "", invalid("", "is not a valid uri")),
        ("{}", "wamp.session.foo", invalid("wamp.session.foo", "is reserved for the router")),
        ("{}", "wamp", invalid("wamp", "is reserved for the router")),
        (r#"{"match":"prefix"}"#, "wamp.", invalid("wamp.", "is reserved for the router")),
    ] {
        let mut realm = TestRealm::with(["alice"]);
        let error = format!("alice < [8,64,1,{{}},{error}]");
        realm.expect("alice", &format!(r#"[64,1,{options},"{uri}"]"#), [&*error]);
    }
}

#[test]
fn a_caller_is_disclosed_where_it_or_the_callee_says_so() {
    let disclosed = r#"{"caller":alice,"caller_authid":"alice","caller_authrole":"user"}"#;
    let mut realm = registered();
    realm.expect(
        "alice",
        r#"[48,1,{"disclose_me":true},"a.procedure"]"#,
        [&*format!("bob < [68,1,#1,{disclosed}]")],
    );
    realm.expect("carol", r#"[64,1,{"disclose_caller":true},"curious"]"#, ["carol < [65,1,#2]"]);
    realm.expect("alice", r#"[48,2,{},"curious"]"#, [&*format!("carol < [68,1,#2,{disclosed}]")]);
}

#[test]
fn a_call_without_callee_or_with_an_invalid_uri_is_an_error() {
    let mut realm = TestRealm::with(["alice"]);
    for (uri, error) in [
        ("a.b", r#""wamp.error.no_such_procedure",["no callee has registered \"a.b\""]"#),
        (
            "wamp.session.modify_details",
            r#""wamp.error.no_such_procedure",["no callee has registered \"wamp.session.modify_details\""]"#,
        ),
        ("a..b", r#""wamp.error.invalid_uri",["\"a..b\" is not a valid uri"]"#),
    ] {
        let error = format!("alice < [8,48,1,{{}},{error}]");
        realm.expect("alice", &format!(r#"[48,1,{{}},"{uri}"]"#), [&*error]);
    }
}

#[test]
fn a_call_crosses_serializers_there_and_back() {
    let mut realm = registered();
    realm.join("mia", Serializer::MessagePack);
    realm.lines.clear();
    realm.expect(
        "mia",
        r#"[48,1,{},"a.procedure",["\u0000AQI="]]"#,
        [r#"bob < [68,1,#1,{},["\u0000AQI="]]"#],
    );
    realm.expect("bob", r#"[70,1,{},["\u0000Aw=="]]"#, [r#"mia < [50,1,{},["\u0000Aw=="]]"#]);
    // [48, 2, {}, "a.procedure", [NaN]] and [48, 3, {}, "other"]
    let nan = f64::NAN.to_be_bytes();
    let call = [b"\x95\x30\x02\x80\xaba.procedure\x91\xcb", &nan[..]].concat();
    realm.receive_bytes("mia", Serializer::MessagePack, call);
    assert_eq!(realm.lines.len(), 1);
    assert!(
        realm.lines[0].starts_with(r#"mia < [8,48,2,{},"wamp.error.invalid_argument""#),
        "{}",
        realm.lines[0]
    );
    realm.lines.clear();
    realm.expect("mia", r#"[64,3,{},"other"]"#, ["mia < [65,3,#2]"]);
    realm.expect("alice", r#"[48,1,{},"other"]"#, ["mia < [68,1,#2,{}]"]);
    realm.receive_bytes("mia", Serializer::MessagePack, [b"\x94\x46\x01\x80\x91\xcb", &nan[..]].concat());
    assert_eq!(realm.lines.len(), 1);
    assert!(
        realm.lines[0].starts_with(r#"alice < [8,48,1,{},"wamp.error.invalid_argument""#),
        "{}",
        realm.lines[0]
    );
}

#[test]
fn an_answer_that_breaks_its_own_rules_ends_the_callee() {
    let mut realm = registered();
    realm.join("cleo", Serializer::Cbor);
    realm.lines.clear();
    realm.expect("cleo", r#"[48,1,{},"a.procedure"]"#, ["bob < [68,1,#1,{}]"]);
    realm.receive_bytes("bob", Serializer::Json, br#"[70,1,{},["\u0000*"]]"#.to_vec());
    assert_eq!(realm.lines.len(), 3, "{:?}", realm.lines);
    assert!(realm.lines[1].starts_with("bob left: protocol_violation"), "{:?}", realm.lines);
    assert_eq!(
        realm.lines[2],
        r#"cleo < [8,48,1,{},"wamp.error.canceled",["the callee left before it answered"]]"#
    );
}

#[test]
fn a_long_uri_is_not_echoed_whole() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    let (long, cut) = ("é".repeat(500), "é".repeat(255) + "…");
    let not_valid = format!(r#"["\"{cut}\" is not a valid uri"]"#);
    for (message, error) in [
        (
            format!(r#"[48,1,{{}},"{long}"]"#),
            format!(r#"48,1,{{}},"wamp.error.no_such_procedure",["no callee has registered \"{cut}\""]"#),
        ),
        (format!(r#"[48,1,{{}},"{long}#"]"#), format!(r#"48,1,{{}},"wamp.error.invalid_uri",{not_valid}"#)),
        (format!(r#"[32,1,{{}},"{long}#"]"#), format!(r#"32,1,{{}},"wamp.error.invalid_uri",{not_valid}"#)),
        (
            format!(r#"[48,1,{{}},"wamp.session.kill_all",[],{{"reason":"{long}#"}}]"#),
            format!(r#"48,1,{{}},"wamp.error.invalid_uri",{not_valid}"#),
        ),
    ] {
        realm.expect("alice", &message, [&*format!("alice < [8,{error}]")]);
    }
    realm.receive("alice", &format!(r#"[48,2,{{}},"wamp.session.kill_all",[],{{"reason":"{long}"}}]"#));
    let told = format!(r#"bob < [6,{{}},"{long}"]"#);
    realm.check([&*told, &*format!("bob left: killed_all by alice with {cut}"), "alice < [50,2,{},[1]]"]);
}

#[test]
fn a_session_may_call_its_own_procedure() {
    let mut realm = registered();
    realm.expect(
        "bob",
        r#"[48,2,{"disclose_me":true},"a.procedure",[1]]"#,
        [r#"bob < [68,1,#1,{"caller":bob,"caller_authid":"bob","caller_authrole":"user"},[1]]"#],
    );
    realm.expect("bob", r#"[48,3,{},"a.procedure"]"#, ["bob < [68,2,#1,{}]"]);
    realm.expect("bob", "[70,1,{},[2]]", ["bob < [50,2,{},[2]]"]);
    realm.expect("bob", r#"[8,68,2,{},"a.problem"]"#, [r#"bob < [8,48,3,{},"a.problem"]"#]);
    realm.expect("bob", r#"[48,4,{},"a.procedure"]"#, ["bob < [68,3,#1,{}]"]);
    realm.leave("bob", Cause::TransportLost);
    realm.check(["bob left: transport_lost"]);
}
