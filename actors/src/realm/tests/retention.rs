//! Retained events: what waits for those who subscribe later.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    realm::{RealmLimits, RealmOptions},
};

const GET: &str = r#"{"get_retained":true}"#;

/// A publication of ann that is retained; it reaches nobody now.
fn retain(realm: &mut TestRealm, topic: &str, options: &str, args: &str) {
    realm.expect("ann", &format!(r#"[16,1,{{"retain":true{options}}},"{topic}",{args}]"#), []);
}

#[test]
fn a_new_subscriber_that_asks_for_it_gets_the_last_retained_event_after_subscribed() {
    let mut realm = TestRealm::with(["ann", "bob", "cid"]);
    retain(&mut realm, "a.b", "", r#"["old"]"#);
    realm.expect(
        "ann",
        r#"[16,2,{"retain":true,"acknowledge":true},"a.b",["new"],{"k":1}]"#,
        ["ann < [17,2,#1]"],
    );
    realm.expect("ann", r#"[16,3,{"retain":false},"a.b",["passing"]]"#, []);
    realm.expect("cid", r#"[32,1,{},"a.b"]"#, ["cid < [33,1,#2]"]);
    let event = r#"bob < [36,#2,#1,{"retained":true},["new"],{"k":1}]"#;
    realm.expect("bob", &format!(r#"[32,1,{GET},"a.b"]"#), ["bob < [33,1,#2]", event]);
    // Who holds the subscription already may ask again.
    realm.expect("bob", &format!(r#"[32,2,{GET},"a.b"]"#), ["bob < [33,2,#2]", event]);
    realm.expect("cid", r#"[32,2,{"get_retained":false},"a.b"]"#, ["cid < [33,2,#2]"]);
    realm.expect("bob", &format!(r#"[32,3,{GET},"a.c"]"#), ["bob < [33,3,#3]"]);
}

#[test]
fn a_retained_event_is_delivered_at_once_as_well() {
    let mut realm = TestRealm::with(["ann", "bob"]);
    realm.receive("bob", r#"[32,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.expect("ann", r#"[16,1,{"retain":true},"a.b",[1]]"#, ["bob < [36,#1,#2,{},[1]]"]);
    // The publisher that is excluded now is a subscriber like any other later.
    realm.expect(
        "ann",
        &format!(r#"[32,2,{GET},"a.b"]"#),
        ["ann < [33,2,#1]", r#"ann < [36,#1,#2,{"retained":true},[1]]"#],
    );
}

#[test]
fn a_pattern_gets_the_retained_event_of_each_topic_that_it_matches() {
    let mut realm = TestRealm::with(["ann", "bob"]);
    for topic in ["a.b", "a.b.c", "ab", "a.x.c", "b"] {
        retain(&mut realm, topic, "", &format!(r#"["{topic}"]"#));
    }
    for (request, options, pattern, topics) in [
        (1, r#""match":"prefix""#, "a.", vec!["a.b", "a.b.c", "a.x.c"]),
        (2, r#""match":"wildcard""#, "a..c", vec!["a.b.c", "a.x.c"]),
        (3, r#""match":"wildcard""#, ".b", vec!["a.b"]),
        (4, r#""match":"prefix""#, "", vec!["a.b", "a.b.c", "a.x.c", "ab", "b"]),
        (5, r#""match":"prefix""#, "c", vec![]),
    ] {
        realm.ids.clear();
        realm.receive("bob", &format!(r#"[32,{request},{{{options},"get_retained":true}},"{pattern}"]"#));
        let mut expected = vec![format!("bob < [33,{request},#1]")];
        let events = topics.iter().enumerate().map(|(number, topic)| {
            format!(r##"bob < [36,#1,#{},{{"topic":"{topic}","retained":true}},["{topic}"]]"##, number + 2)
        });
        expected.extend(events);
        let lines = std::mem::take(&mut realm.lines);
        assert_eq!(lines[..expected.len()], expected, "{pattern}");
        assert!(!lines[expected.len()..].iter().any(|line| line.contains("retained")), "{lines:?}");
    }
}

#[test]
fn an_excluded_subscriber_is_answered_and_gets_the_newest_event_that_is_meant_for_it() {
    let mut realm = TestRealm::with(["ann", "bob", "cid"]);
    retain(&mut realm, "a.b", r#","exclude_authid":["bob"]"#, r#"["not bob"]"#);
    realm.expect("bob", &format!(r#"[32,1,{GET},"a.b"]"#), ["bob < [33,1,#1]"]);
    realm.expect(
        "cid",
        &format!(r#"[32,1,{GET},"a.b"]"#),
        ["cid < [33,1,#1]", r#"cid < [36,#1,#2,{"retained":true},["not bob"]]"#],
    );
    // One for everybody takes the place of all before it; those for some stand beside it.
    realm.receive("ann", r#"[16,2,{"retain":true},"a.b",["all"]]"#);
    realm.receive("ann", r#"[16,3,{"retain":true,"eligible_authid":["cid"]},"a.b",["old"]]"#);
    realm.receive("ann", r#"[16,4,{"retain":true,"eligible_authid":["cid"]},"a.b",["cid"]]"#);
    realm.receive("ann", r#"[16,5,{"retain":true,"eligible":[]},"a.b",["nobody"]]"#);
    realm.lines.clear();
    for (name, args) in [("bob", "all"), ("cid", "cid")] {
        realm.receive(name, &format!(r#"[32,2,{GET},"a.b"]"#));
        let lines = std::mem::take(&mut realm.lines);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], format!("{name} < [33,2,#1]"));
        assert!(lines[1].ends_with(&format!(r#"{{"retained":true}},["{args}"]]"#)), "{lines:?}");
    }
}

#[test]
fn a_retained_event_tells_what_it_told() {
    let mut realm = TestRealm::with(["ann", "bob"]);
    retain(&mut realm, "a.b", r#","disclose_me":true"#, "[]");
    realm.leave("ann", Cause::Goodbye);
    realm.lines.clear();
    let publisher = r#""publisher":ann,"publisher_authid":"ann","publisher_authrole":"user""#;
    let event = format!(r#"bob < [36,#1,#2,{{{publisher},"retained":true}}]"#);
    realm.expect("bob", &format!(r#"[32,1,{GET},"a.b"]"#), ["bob < [33,1,#1]", &*event]);
}

#[test]
fn a_retained_event_crosses_serializers_or_is_missed() {
    let mut realm = TestRealm::with(["ann"]);
    realm.join("mia", Serializer::MessagePack);
    realm.lines.clear();
    retain(&mut realm, "a.b", "", r#"["\u0000AQI=",1.5]"#);
    retain(&mut realm, "a.c", "", "[123456789012345678901234567890]");
    realm.expect(
        "mia",
        &format!(r#"[32,1,{GET},"a.b"]"#),
        ["mia < [33,1,#1]", r#"mia < [36,#1,#2,{"retained":true},["\u0000AQI=",1.5]]"#],
    );
    realm.expect(
        "mia",
        &format!(r#"[32,2,{GET},"a.c"]"#),
        [
            "mia < [33,2,#3]",
            "mia misses it: the payload cannot be carried by msgpack: an integer of more than 64 bits",
        ],
    );
}

#[test]
fn a_testament_is_retained_if_it_says_so() {
    let mut realm = TestRealm::with(["ann", "bob"]);
    let arguments = r#"["a.b",["gone"],{}],{"publish_options":{"retain":true}}"#;
    realm.answers("ann", "wamp.session.add_testament", arguments, "");
    realm.leave("ann", Cause::TransportLost);
    realm.lines.clear();
    realm.expect(
        "bob",
        &format!(r#"[32,1,{GET},"a.b"]"#),
        ["bob < [33,1,#1]", r#"bob < [36,#1,#2,{"retained":true},["gone"]]"#],
    );
}

/// A realm of ann and bob in which so much is retained at most.
fn limited(retained: usize, retained_octets: usize) -> TestRealm {
    let limits = RealmLimits { retained, retained_octets, ..RealmLimits::default() };
    let mut realm =
        TestRealm::with_options(RealmOptions { limits, ..RealmOptions::default() }, ["ann", "bob"]);
    realm.receive("bob", r#"[32,1,{"match":"prefix"},"t."]"#);
    realm.lines.clear();
    realm.ids.clear();
    realm
}

#[test]
fn a_publication_for_which_there_is_no_room_is_refused_whole() {
    let mut realm = limited(2, 1000);
    let refused = |request: u64, what: &str, most: usize| {
        format!(
            r#"ann < [8,16,{request},{{}},"realmkeeper.error.limit_exceeded",["{what}: at most {most}"]]"#
        )
    };
    let many = "the realm retains too many events";
    retain(&mut realm, "a", "", "[1]");
    retain(&mut realm, "b", "", "[1]");
    let full = refused(1, many, 2);
    realm.expect("ann", r#"[16,1,{"retain":true,"acknowledge":true},"t.c",[1]]"#, [&*full]);
    realm.expect("ann", r#"[16,2,{"retain":true},"t.c",[1]]"#, []);
    // What takes the place of another needs no room.
    retain(&mut realm, "b", "", "[2]");
    let full = refused(3, many, 2);
    let other = r#"[16,3,{"retain":true,"acknowledge":true,"exclude_authid":["x"]},"b",[3]]"#;
    realm.expect("ann", other, [&*full]);
    retain(&mut realm, "a", "", &format!(r#"["{}"]"#, "x".repeat(900)));
    let full = refused(4, "the retained events of the realm have too many octets", 1000);
    let large = format!(r#"[16,4,{{"retain":true,"acknowledge":true}},"b",["{}"]]"#, "x".repeat(100));
    realm.expect("ann", &large, [&*full]);
    retain(&mut realm, "a", "", "[]");
    realm.receive("ann", &large);
    realm.check(["ann < [17,4,#1]"]);
}

#[test]
fn the_lists_of_a_retained_event_take_room_too() {
    let mut realm = limited(10, 1000);
    let names = format!(r#"["{}"]"#, "x".repeat(1000));
    for key in ["exclude_authid", "exclude_authrole", "eligible_authid", "ppt"] {
        let list = format!(r#"[16,1,{{"retain":true,"acknowledge":true,"{key}":{names}}},"a",[]]"#);
        realm.receive("ann", &list);
        let lines = std::mem::take(&mut realm.lines);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].contains("limit_exceeded"), key != "ppt", "{lines:?}");
    }
}
