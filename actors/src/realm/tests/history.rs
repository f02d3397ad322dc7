//! The history of subscriptions: which past events are kept, and who is told of which.

use super::{TestRealm, permissions};
use crate::{
    cause::Cause,
    codec::Serializer,
    message::uri::Match,
    permission::{Action, Permissions, Role},
    realm::{HistoryOptions, RealmOptions},
};
use std::time::{Duration, SystemTime};

const GET: &str = "wamp.subscription.get_events";

fn history(topic: &str, matching: Match) -> HistoryOptions {
    HistoryOptions { topic: topic.into(), matching, events: 10, octets: 1000, age: None }
}

/// A realm of ann and bob with histories, whose subscriptions are `#1`, `#2` and so on.
fn remembering<const N: usize>(histories: [HistoryOptions; N]) -> TestRealm {
    let keys = histories.each_ref().map(|history| (history.topic.clone(), history.matching));
    let options = RealmOptions { histories: histories.into(), ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, ["ann", "bob"]);
    for (topic, matching) in keys {
        let found = realm.realm.broker.subscription_to(&topic, matching).map(|found| found.id().get());
        realm.ids.insert(found.unwrap_or_else(|| panic!("no subscription to {topic:?}")));
    }
    realm
}

/// Publishes as ann at this second.
fn publish(realm: &mut TestRealm, second: u64, topic: &str, options: &str, args: &str) {
    realm.now = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    realm.receive("ann", &format!(r#"[16,1,{{{options}}},"{topic}",{args}]"#));
}

/// What those of these events are told as, given by second, publication, topic and arguments.
fn told(subscription: u64, events: &[(u64, &str, &str, &str)]) -> String {
    let events = events.iter().map(|(second, publication, topic, args)| {
        let details = format!(r#"{{"topic":"{topic}"}}"#);
        format!(
            r##"{{"timestamp":"1970-01-01T00:00:{second:02}Z","subscription":#{subscription},"publication":{publication},"details":{details},"args":{args}}}"##
        )
    });
    let events = events.collect::<Vec<_>>();
    if events.is_empty() { String::new() } else { format!("[{}]", events.join(",")) }
}

/// Asserts what bob is told of a subscription. `#n` in the arguments is an id seen before.
#[track_caller]
fn check(realm: &mut TestRealm, arguments: &str, answer: &str) {
    realm.answers("bob", GET, arguments, answer);
}

#[test]
fn the_events_of_a_topic_are_kept_whether_or_not_somebody_listens() {
    let mut realm = remembering([history("a.b", Match::Exact)]);
    check(&mut realm, "[#1]", "");
    realm.receive("ann", r#"[16,1,{"disclose_me":true},"a.b",[1,"\u0000AQI="],{"k":null}]"#);
    realm.receive("ann", r#"[16,2,{},"a.b"]"#);
    realm.receive("ann", r#"[16,3,{},"a.c",[3]]"#);
    let details = r#"{"publisher":ann,"publisher_authid":"ann","publisher_authrole":"user","topic":"a.b"}"#;
    let events = format!(
        r##"[{{"timestamp":"1970-01-01T00:00:00Z","subscription":#1,"publication":#2,"details":{details},"args":[1,"\u0000AQI="],"kwargs":{{"k":null}}}},{{"timestamp":"1970-01-01T00:00:00Z","subscription":#1,"publication":#3,"details":{{"topic":"a.b"}}}}]"##
    );
    check(&mut realm, "[#1]", &events);
    check(&mut realm, r#"[],{"subscription":#1}"#, &events);
    // A subscriber holds the subscription that has been there from the start, and does not end it by leaving.
    realm.expect("bob", r#"[32,1,{},"a.b"]"#, ["bob < [33,1,#1]"]);
    realm.expect("bob", "[34,2,#1]", ["bob < [35,2]"]);
    check(&mut realm, "[#1]", &events);
}

#[test]
fn a_pattern_keeps_the_events_of_all_its_topics_in_order() {
    let mut realm = remembering([
        history("a.", Match::Prefix),
        history(".x", Match::Wildcard),
        history("a.x", Match::Exact),
    ]);
    for (second, topic) in [(1, "a.b"), (2, "a.x"), (3, "b.x"), (4, "a.x")] {
        publish(&mut realm, second, topic, "", &format!("[{second}]"));
    }
    let [one, two, four] = [(1, "#4", "a.b", "[1]"), (2, "#5", "a.x", "[2]"), (4, "#6", "a.x", "[4]")];
    check(&mut realm, "[#1]", &told(1, &[one, two, four]));
    check(&mut realm, r#"[#1],{"topic":"a.b"}"#, &told(1, &[one]));
    check(&mut realm, "[#2]", &told(2, &[two, (3, "#7", "b.x", "[3]"), four]));
    check(&mut realm, "[#3]", &told(3, &[two, four]));
}

#[test]
fn filters_have_to_be_met_together() {
    let mut realm = remembering([history("a", Match::Exact)]);
    for second in 1..=5 {
        publish(&mut realm, second, "a", "", &format!("[{second}]"));
    }
    let all = [1, 2, 3, 4, 5].map(|second| (second, format!("#{}", second + 1), format!("[{second}]")));
    let some = |seconds: &[usize]| {
        let events = seconds.iter().map(|second| {
            let (second, publication, args) = &all[second - 1];
            (*second, &**publication, "a", &**args)
        });
        told(1, &events.collect::<Vec<_>>())
    };
    check(&mut realm, "[#1]", &some(&[1, 2, 3, 4, 5]));
    for (filter, expected) in [
        (r#""limit":2"#, &[1, 2][..]),
        (r#""reverse":true"#, &[5, 4, 3, 2, 1]),
        (r#""reverse":true,"limit":2"#, &[5, 4]),
        (r#""reverse":false,"limit":9007199254740992"#, &[1, 2, 3, 4, 5]),
        (r#""from_time":"1970-01-01T00:00:03Z""#, &[3, 4, 5]),
        (r#""after_time":"1970-01-01T00:00:03Z""#, &[4, 5]),
        (r#""before_time":"1970-01-01T01:00:03+01:00""#, &[1, 2]),
        (r#""until_time":"1970-01-01T00:00:03.0Z""#, &[1, 2, 3]),
        (r#""after_time":"1970-01-01T00:00:01.5Z","before_time":"1970-01-01T00:00:04Z""#, &[2, 3]),
        (r#""from_publication":#4"#, &[3, 4, 5]),
        (r#""after_publication":#4"#, &[4, 5]),
        (r#""before_publication":#4"#, &[1, 2]),
        (r#""until_publication":#4"#, &[1, 2, 3]),
        (r#""from_publication":#3,"until_publication":#4,"reverse":true"#, &[3, 2]),
        (r#""after_publication":#4,"before_publication":#3"#, &[]),
        (r#""after_publication":#6"#, &[]),
        (r#""from_publication":#3,"before_time":"1970-01-01T00:00:04Z","limit":1"#, &[2]),
        (r#""topic":"a","from_time":null,"limit":null"#, &[1, 2, 3, 4, 5]),
        (r#""topic":"b""#, &[]),
    ] {
        check(&mut realm, &format!("[#1],{{{filter}}}"), &some(expected));
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let mut realm = remembering([history("a", Match::Exact)]);
    let invalid = |problem: &str| format!(r#""wamp.error.invalid_argument",["{problem}"]"#);
    let time = "must be a time, a string as RFC 3339 has it";
    let integer = "must be an integer from 1 to 2^53";
    for (arguments, error) in [
        ("", invalid("subscription must be an id, an integer from 1 to 2^53")),
        (r#"["a"]"#, invalid("subscription must be an id, an integer from 1 to 2^53")),
        (r#"[#1],{"reverse":1}"#, invalid("reverse must be a boolean")),
        (r#"[#1],{"limit":0}"#, invalid(&format!("limit {integer}"))),
        (r#"[#1],{"limit":"1"}"#, invalid(&format!("limit {integer}"))),
        (r#"[#1],{"from_time":1}"#, invalid(&format!("from_time {time}"))),
        (r#"[#1],{"until_time":"yesterday"}"#, invalid(&format!("until_time {time}"))),
        (r#"[#1],{"topic":[]}"#, invalid("topic must be a string")),
        (r#"[#1],{"after_publication":true}"#, invalid(&format!("after_publication {integer}"))),
        (r#"[#1],{"after_publication":7}"#, invalid("after_publication is 7, which is not in the history")),
        ("[7]", r#""wamp.error.no_such_subscription",["there is no subscription 7 in this realm"]"#.into()),
    ] {
        check(&mut realm, arguments, &error);
    }
    realm.expect("bob", r#"[32,1,{},"b"]"#, ["bob < [33,1,#2]"]);
    let none = r##""wamp.error.history_unavailable",["no history is kept for the subscription #2"]"##;
    check(&mut realm, "[#2]", none);
}

#[test]
fn who_may_not_subscribe_is_told_nothing() {
    let mut realm = remembering([history("a.", Match::Prefix)]);
    publish(&mut realm, 1, "a.b", "", "[1]");
    let may =
        vec![permissions::prefix("wamp.", &[Action::Call]), permissions::prefix("a.b", &[Action::Subscribe])];
    let role = Role::new("guest", Permissions::new(may));
    realm.try_join("eve", Some("eve"), role, Serializer::Json).unwrap();
    realm.lines.clear();
    let denied = r#""wamp.error.not_authorized",["the role \"guest\" may not subscribe \"a.\""]"#;
    realm.answers("eve", GET, "[#1]", denied);
}

#[test]
fn the_lists_of_an_event_decide_who_is_told_of_it() {
    let mut realm = remembering([history("a", Match::Exact)]);
    publish(&mut realm, 1, "a", r#""exclude_authid":["bob"]"#, "[1]");
    publish(&mut realm, 2, "a", r#""eligible_authid":["bob"]"#, "[2]");
    publish(&mut realm, 3, "a", r#""eligible_authrole":["user"],"exclude_authrole":["guest"]"#, "[3]");
    // Ids of sessions say nothing about who asks later: such an event is not kept at all.
    publish(&mut realm, 4, "a", r#""eligible":[@bob]"#, "[4]");
    publish(&mut realm, 5, "a", r#""exclude":[7]"#, "[5]");
    check(&mut realm, "[#1]", &told(1, &[(2, "#2", "a", "[2]"), (3, "#3", "a", "[3]")]));
    realm.join_as("eve", Some("eve"), "guest", Serializer::Json);
    realm.lines.clear();
    realm.answers("eve", GET, "[#1]", &told(1, &[(1, "#4", "a", "[1]")]));
}

#[test]
fn the_oldest_events_go_when_there_are_too_many_too_large_or_too_old() {
    let few = HistoryOptions { events: 2, ..history("a.", Match::Prefix) };
    let small = HistoryOptions { octets: 20, ..history("a", Match::Prefix) };
    let young = HistoryOptions { age: Some(Duration::from_secs(2)), ..history("", Match::Prefix) };
    let mut realm = remembering([few, small, young]);
    for second in 1..=4 {
        publish(&mut realm, second, "a.b", "", &format!(r#"["{second}"]"#));
    }
    let four = [1, 2, 3, 4].map(|second| format!(r#"["{second}"]"#));
    let event = |second: usize, publication| (second as u64, publication, "a.b", &*four[second - 1]);
    check(&mut realm, "[#1]", &told(1, &[event(3, "#4"), event(4, "#5")]));
    check(&mut realm, "[#2]", &told(2, &[event(3, "#4"), event(4, "#5")]));
    check(&mut realm, "[#3]", &told(3, &[event(2, "#6"), event(3, "#4"), event(4, "#5")]));
    // One that has no room even alone is not kept, and takes no room from others.
    publish(&mut realm, 5, "a.b", "", &format!(r#"["{}"]"#, "x".repeat(30)));
    check(&mut realm, "[#2]", &told(2, &[event(3, "#4"), event(4, "#5")]));
    realm.now += Duration::from_secs(60);
    check(&mut realm, "[#3]", "");
}

#[test]
fn an_answer_that_would_be_too_large_has_to_be_asked_for_in_parts() {
    let mut realm = remembering([HistoryOptions { octets: 1 << 30, ..history("a", Match::Exact) }]);
    for second in 1..=3 {
        publish(&mut realm, second, "a", "", &format!(r#"["{}"]"#, "x".repeat(1_000_000)));
    }
    let much = r#""realmkeeper.error.limit_exceeded",["the events have too many octets for one answer, limit makes them fewer: at most 2097152"]"#;
    check(&mut realm, "[#1]", much);
    realm.receive("bob", &format!(r#"[48,1,{{}},"{GET}",[#1],{{"limit":2}}]"#));
    assert_eq!(realm.lines.len(), 1);
    assert!(realm.lines[0].starts_with("bob < [50,1,{},[{"), "{}", &realm.lines[0][..100]);
}

#[test]
fn what_has_no_form_for_who_asks_is_left_out() {
    let mut realm = remembering([history("a", Match::Exact)]);
    realm.join("cleo", Serializer::Cbor);
    realm.lines.clear();
    publish(&mut realm, 1, "a", "", "[123456789012345678901234567890]");
    publish(&mut realm, 2, "a", "", r#"["\u0000AQI="]"#);
    realm.answers("cleo", GET, "[#1]", &told(1, &[(2, "#2", "a", r#"["\u0000AQI="]"#)]));
    // Who speaks the serializer of the publisher is told everything as it came.
    let whole = [(1, "#3", "a", "[123456789012345678901234567890]"), (2, "#2", "a", r#"["\u0000AQI="]"#)];
    check(&mut realm, "[#1]", &told(1, &whole));
}

#[test]
fn testaments_are_kept_and_events_of_the_router_are_not() {
    let mut realm = remembering([history("", Match::Prefix)]);
    realm.answers("ann", "wamp.session.add_testament", r#"["a",["gone"],{}]"#, "");
    realm.leave("ann", Cause::Goodbye);
    realm.lines.clear();
    check(&mut realm, "[#1]", &told(1, &[(0, "#2", "a", r#"["gone"]"#)]));
}
