//! The broker: who receives what.

use super::TestRealm;
use crate::{
    codec::Serializer,
    message::{
        feature::{Feature, Features, Roles},
        uri::UriRule,
    },
    realm::RealmOptions,
};

#[test]
fn an_event_goes_to_the_subscribers_and_not_to_its_publisher() {
    let mut realm = TestRealm::with(["alice", "bob", "carol"]);
    realm.expect("alice", r#"[32,1,{},"a.topic"]"#, ["alice < [33,1,#1]"]);
    realm.expect("bob", r#"[32,1,{},"a.topic"]"#, ["bob < [33,1,#1]"]);
    realm.expect(
        "alice",
        r#"[16,2,{},"a.topic",["hi"],{"k":null}]"#,
        [r#"bob < [36,#1,#2,{},["hi"],{"k":null}]"#],
    );
    realm.expect(
        "alice",
        r#"[16,3,{"exclude_me":false,"acknowledge":true},"a.topic"]"#,
        ["alice < [36,#1,#3,{}]", "bob < [36,#1,#3,{}]", "alice < [17,3,#3]"],
    );
    realm.expect("carol", r#"[16,1,{"acknowledge":true},"nobody.listens",[1]]"#, ["carol < [17,1,#4]"]);
    realm.expect("carol", r#"[16,2,{"acknowledge":false},"nobody.listens",[1]]"#, []);
}

#[test]
fn a_publisher_is_disclosed_where_it_says_so() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("bob", r#"[32,1,{},"a.topic"]"#, ["bob < [33,1,#1]"]);
    realm.expect(
        "alice",
        r#"[16,1,{"disclose_me":true},"a.topic"]"#,
        [r#"bob < [36,#1,#2,{"publisher":alice,"publisher_authid":"alice","publisher_authrole":"user"}]"#],
    );
    realm.expect("alice", r#"[16,1,{"disclose_me":false},"a.topic"]"#, ["bob < [36,#1,#3,{}]"]);
}

#[test]
fn an_empty_payload_is_left_out() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("bob", r#"[32,1,{},"a.topic"]"#, ["bob < [33,1,#1]"]);
    realm.expect("alice", r#"[16,1,{},"a.topic",[],{}]"#, ["bob < [36,#1,#2,{}]"]);
    realm.expect("alice", r#"[16,1,{},"a.topic",[ ],{ }]"#, ["bob < [36,#1,#3,{}]"]);
    realm.expect("alice", r#"[16,1,{},"a.topic",[],{"a":1}]"#, [r#"bob < [36,#1,#4,{},[],{"a":1}]"#]);
}

#[test]
fn each_matching_subscription_gets_the_event_once_with_the_topic_where_it_is_a_pattern() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("bob", r#"[32,1,{"match":"exact"},"a.b.c"]"#, ["bob < [33,1,#1]"]);
    realm.expect("bob", r#"[32,2,{"match":"prefix"},"a.b"]"#, ["bob < [33,2,#2]"]);
    realm.expect("bob", r#"[32,3,{"match":"wildcard"},"a..c"]"#, ["bob < [33,3,#3]"]);
    realm.expect("bob", r#"[32,4,{"match":"wildcard"},"a.b.c"]"#, ["bob < [33,4,#4]"]);
    realm.expect("bob", r#"[32,5,{"match":"prefix"},"a"]"#, ["bob < [33,5,#5]"]);
    realm.expect(
        "alice",
        r#"[16,1,{},"a.b.c",[1]]"#,
        [
            "bob < [36,#1,#6,{},[1]]",
            r#"bob < [36,#5,#6,{"topic":"a.b.c"},[1]]"#,
            r#"bob < [36,#2,#6,{"topic":"a.b.c"},[1]]"#,
            r#"bob < [36,#4,#6,{"topic":"a.b.c"},[1]]"#,
            r#"bob < [36,#3,#6,{"topic":"a.b.c"},[1]]"#,
        ],
    );
    realm.expect(
        "alice",
        r#"[16,2,{},"a.bc",[2]]"#,
        [r#"bob < [36,#5,#7,{"topic":"a.bc"},[2]]"#, r#"bob < [36,#2,#7,{"topic":"a.bc"},[2]]"#],
    );
}

#[test]
fn a_second_subscribe_gives_the_same_subscription_and_no_second_event() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("bob", r#"[32,1,{},"a.topic"]"#, ["bob < [33,1,#1]"]);
    realm.expect("bob", r#"[32,2,{"match":"exact"},"a.topic"]"#, ["bob < [33,2,#1]"]);
    realm.expect("alice", r#"[16,1,{},"a.topic"]"#, ["bob < [36,#1,#2,{}]"]);
    realm.expect("bob", r#"[34,3,#1]"#, ["bob < [35,3]"]);
    realm.expect("alice", r#"[16,2,{},"a.topic"]"#, []);
    realm.receive("bob", r#"[34,4,#1]"#);
    realm.check([
        r#"bob < [8,34,4,{},"wamp.error.no_such_subscription",["this session has no subscription #1"]]"#,
    ]);
}

#[test]
fn nobody_ends_the_subscription_of_another() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("bob", r#"[32,1,{},"a.topic"]"#, ["bob < [33,1,#1]"]);
    realm.expect(
        "alice",
        r#"[34,1,#1]"#,
        [r#"alice < [8,34,1,{},"wamp.error.no_such_subscription",["this session has no subscription #1"]]"#],
    );
    realm.expect("alice", r#"[16,2,{},"a.topic"]"#, ["bob < [36,#1,#2,{}]"]);
}

#[test]
fn uris_are_checked_for_their_use() {
    let (loose, strict) = (UriRule::Loose, UriRule::Strict);
    for (uris, options_of, uri, valid) in [
        (loose, "{}", "a..b", false),
        (loose, "{}", "", false),
        (loose, "{}", "a b", false),
        (loose, "{}", "A.ä-1", true),
        (loose, r#"{"match":"prefix"}"#, "a..b", false),
        (loose, r#"{"match":"prefix"}"#, "a.b.", true),
        (loose, r#"{"match":"wildcard"}"#, "a..b", true),
        (loose, r#"{"match":"wildcard"}"#, "a.#.b", false),
        (strict, "{}", "A.b", false),
        (strict, "{}", "a.b_1", true),
        (strict, r#"{"match":"wildcard"}"#, ".b", true),
        (strict, r#"{"match":"wildcard"}"#, ".B", false),
    ] {
        let options = RealmOptions { uris, ..RealmOptions::default() };
        let mut realm = TestRealm::with_options(options, ["alice"]);
        let rule =
            if uris == strict { ": this realm takes lower-case letters, digits and _ only" } else { "" };
        let error = format!(
            r#"alice < [8,32,1,{{}},"wamp.error.invalid_uri",["\"{uri}\" is not a valid uri{rule}"]]"#
        );
        // The number sign is written as an id here and is none.
        realm.receive("alice", &format!(r#"[32,1,{options_of},"{uri}"]"#));
        realm.check([if valid { "alice < [33,1,#1]" } else { &*error }]);
    }
}

#[test]
fn a_publish_that_fails_is_answered_only_where_an_answer_is_wanted() {
    for (topic, problem) in [
        ("a..b", "is not a valid uri"),
        ("wamp.session.on_join", "is reserved for the router"),
        ("wamp", "is reserved for the router"),
    ] {
        let mut realm = TestRealm::with(["alice", "bob"]);
        realm.receive("bob", r#"[32,1,{"match":"prefix"},""]"#);
        realm.lines.clear();
        realm.expect("alice", &format!(r#"[16,1,{{}},"{topic}",["forged"]]"#), []);
        let error = format!(r#"alice < [8,16,2,{{}},"wamp.error.invalid_uri",["\"{topic}\" {problem}"]]"#);
        realm.expect("alice", &format!(r#"[16,2,{{"acknowledge":true}},"{topic}",["forged"]]"#), [&*error]);
    }
}

#[test]
fn a_pattern_reaches_the_meta_events() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("alice", r#"[32,1,{"match":"prefix"},"wamp.session."]"#, ["alice < [33,1,#1]"]);
    realm.expect(
        "bob",
        r#"[3,{},"a.b"]"#,
        ["bob left: aborted", r#"alice < [36,#1,#2,{"topic":"wamp.session.on_leave"},[bob,"bob","user"]]"#],
    );
}

#[test]
fn an_event_crosses_serializers_and_is_not_delivered_where_it_has_no_form() {
    let mut realm = TestRealm::with(["alice"]);
    for (name, serializer) in [("mia", Serializer::MessagePack), ("cleo", Serializer::Cbor)] {
        realm.join(name, serializer);
        realm.lines.clear();
        realm.expect(name, r#"[32,1,{},"a.topic"]"#, [&*format!("{name} < [33,1,#1]")]);
    }
    let event = r#"["\u0000AQI=",18446744073709551615,-5,1.5,null,{"ä":[]}]"#;
    realm.receive("alice", &format!(r#"[16,1,{{}},"a.topic",{event}]"#));
    realm.check([&*format!("mia < [36,#1,#2,{{}},{event}]"), &*format!("cleo < [36,#1,#2,{{}},{event}]")]);

    realm.expect("alice", r#"[32,2,{},"a.topic"]"#, ["alice < [33,2,#1]"]);
    // [16, 1, {}, "a.topic", [NaN]]
    let nan = [b"\x95\x10\x01\x80\xa7a.topic\x91\xcb", &f64::NAN.to_be_bytes()[..]].concat();
    realm.receive_bytes("mia", Serializer::MessagePack, nan);
    assert_eq!(realm.lines.len(), 2);
    assert!(
        realm.lines[0].starts_with("alice misses it: the payload cannot be carried by json"),
        "{}",
        realm.lines[0]
    );
}

#[test]
fn a_payload_that_breaks_its_own_rules_ends_its_sender_and_reaches_nobody() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.join("cleo", Serializer::Cbor);
    for name in ["bob", "cleo"] {
        realm.receive(name, r#"[32,1,{},"a.topic"]"#);
    }
    realm.lines.clear();
    let message = br#"[16,1,{},"a.topic",["\u0000*"]]"#.to_vec();
    realm.receive_bytes("alice", Serializer::Json, message);
    assert_eq!(realm.lines.len(), 2, "{:?}", realm.lines);
    assert!(
        realm.lines[0].starts_with(r#"alice < [3,{"message":"the payload is malformed"#),
        "{:?}",
        realm.lines
    );
    assert!(realm.lines[1].starts_with("alice left: protocol_violation"), "{:?}", realm.lines);
}

/// ann, who announced payload passthru mode as a publisher, and bob, who did not, and listens to `a`.
fn passing() -> TestRealm {
    let mut realm = TestRealm::with(["bob"]);
    let publisher = Some(Features::of(&[Feature::PayloadPassthruMode]));
    realm.roles = Roles { publisher, ..Roles::default() };
    realm.join("ann", Serializer::Json);
    realm.lines.clear();
    realm.expect("bob", r#"[32,1,{},"a"]"#, ["bob < [33,1,#1]"]);
    realm
}

#[test]
fn the_options_of_payload_passthru_mode_reach_every_subscriber_as_they_are() {
    let mut realm = passing();
    let all = r#""ppt_scheme":"x_app","ppt_serializer":"cbor","ppt_cipher":"aes256gcm","ppt_keyid":"k1""#;
    realm.receive("ann", &format!(r#"[16,1,{{{all}}},"a",["\u0000AQI="]]"#));
    realm.check([&*format!(r#"bob < [36,#1,#2,{{{all}}},["\u0000AQI="]]"#)]);
    let some = r#""ppt_scheme":"mqtt""#;
    realm.receive("ann", &format!(r#"[16,2,{{{some},"retain":true,"exclude_authid":[]}},"a",["\u0000"]]"#));
    realm.check([&*format!(r#"bob < [36,#1,#3,{{{some}}},["\u0000"]]"#)]);
    realm.receive("bob", r#"[32,2,{"get_retained":true},"a"]"#);
    realm.check(["bob < [33,2,#1]", &*format!(r#"bob < [36,#1,#3,{{"retained":true,{some}}},["\u0000"]]"#)]);
    realm.answers(
        "ann",
        "wamp.session.add_testament",
        &format!(r#"["a",["\u0000"],{{}}],{{"publish_options":{{{some}}}}}"#),
        "",
    );
    realm.receive("ann", r#"[6,{},"a.b"]"#);
    realm.check([
        r#"ann < [6,{},"wamp.close.goodbye_and_out"]"#,
        "ann left: goodbye",
        &*format!(r#"bob < [36,#1,#4,{{{some}}},["\u0000"]]"#),
    ]);
}

#[test]
fn who_did_not_announce_payload_passthru_mode_may_not_use_it() {
    let mut realm = passing();
    let message = "PUBLISH.Options.ppt_scheme is used, but payload_passthru_mode was not announced";
    realm.receive("bob", r#"[16,2,{"ppt_scheme":"x_app"},"a",["\u0000"]]"#);
    realm.check([
        &*format!(r#"bob < [3,{{"message":"{message}"}},"wamp.error.protocol_violation"]"#),
        &*format!("bob left: protocol_violation: {message}"),
    ]);
}
