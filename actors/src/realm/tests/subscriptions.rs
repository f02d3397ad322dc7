//! The subscription meta API: what is told of subscriptions, and to take one away.

use super::{TestRealm, permissions};
use crate::{
    cause::Cause,
    codec::Serializer,
    message::feature::{Feature, Features, Roles},
    permission::{Action, Permissions, Role},
};

/// ann and bob, and an observer that has subscribed to all events about subscriptions.
fn observed() -> TestRealm {
    let mut realm = TestRealm::with(["ann", "bob", "eve"]);
    realm.expect(
        "eve",
        r#"[32,1,{"match":"prefix"},"wamp.subscription."]"#,
        // Nothing is told of this subscription itself.
        ["eve < [33,1,#1]"],
    );
    realm
}

/// What the observer hears.
fn heard(publication: usize, event: &str, session: &str, about: &str) -> String {
    format!(r##"eve < [36,#1,#{publication},{{"topic":"wamp.subscription.{event}"}},[{session},{about}]]"##)
}

fn created(id: usize, uri: &str, matching: &str) -> String {
    format!(r##"{{"id":#{id},"created":"1970-01-01T00:00:00Z","uri":"{uri}","match":"{matching}"}}"##)
}

#[test]
fn each_subscription_is_announced_from_its_creation_to_its_end() {
    let mut realm = observed();
    realm.expect(
        "ann",
        r#"[32,1,{},"a.b"]"#,
        [
            "ann < [33,1,#2]",
            &*heard(3, "on_create", "ann", &created(2, "a.b", "exact")),
            &*heard(4, "on_subscribe", "ann", "#2"),
        ],
    );
    realm.expect("bob", r#"[32,1,{},"a.b"]"#, ["bob < [33,1,#2]", &*heard(5, "on_subscribe", "bob", "#2")]);
    // Who holds it already takes no new part in it.
    realm.expect("bob", r#"[32,2,{},"a.b"]"#, ["bob < [33,2,#2]"]);
    realm.expect("ann", "[34,2,#2]", ["ann < [35,2]", &*heard(6, "on_unsubscribe", "ann", "#2")]);
    realm.expect(
        "bob",
        "[34,3,#2]",
        ["bob < [35,3]", &*heard(7, "on_unsubscribe", "bob", "#2"), &*heard(8, "on_delete", "bob", "#2")],
    );
    realm.expect(
        "ann",
        r#"[32,3,{"match":"wildcard"},"a."]"#,
        [
            "ann < [33,3,#9]",
            &*heard(10, "on_create", "ann", &created(9, "a.", "wildcard")),
            &*heard(11, "on_subscribe", "ann", "#9"),
        ],
    );
    // What is refused is not announced.
    realm.receive("ann", r#"[32,4,{},"a..b"]"#);
    realm.receive("ann", "[34,5,#2]");
    assert!(realm.lines.iter().all(|line| line.starts_with("ann < [8,3")), "{:?}", realm.lines);
}

#[test]
fn a_session_hears_of_its_own_subscriptions_after_the_answer() {
    let mut realm = TestRealm::with(["ann"]);
    realm.expect("ann", r#"[32,1,{},"wamp.subscription.on_subscribe"]"#, ["ann < [33,1,#1]"]);
    realm.expect("ann", r#"[32,2,{},"a.b"]"#, ["ann < [33,2,#2]", "ann < [36,#1,#3,{},[ann,#2]]"]);
    realm.expect("ann", r#"[32,3,{},"wamp.subscription.on_unsubscribe"]"#, ["ann < [33,3,#4]"]);
    realm.expect("ann", "[34,4,#2]", ["ann < [35,4]", "ann < [36,#4,#5,{},[ann,#2]]"]);
}

#[test]
fn what_a_leaving_session_held_is_announced_before_its_testament_and_its_leave() {
    let mut realm = TestRealm::with(["ann", "bob", "eve"]);
    for (request, topic) in
        [(1, "wamp.session.on_leave"), (2, "last.will"), (3, "wamp.subscription.on_create")]
    {
        realm.receive("eve", &format!(r#"[32,{request},{{}},"{topic}"]"#));
    }
    realm.receive("bob", r#"[32,1,{},"shared"]"#);
    realm.receive("ann", r#"[32,1,{},"shared"]"#);
    realm.receive("ann", r#"[32,2,{"match":"prefix"},"own"]"#);
    realm.receive("ann", r#"[32,3,{"match":"prefix"},"wamp.subscription."]"#);
    realm.receive("ann", r#"[64,4,{},"a.procedure"]"#);
    realm.receive("ann", r#"[48,5,{},"wamp.session.add_testament",["last.will",[],{}]]"#);
    realm.receive("eve", r#"[48,4,{},"a.procedure"]"#);
    realm.receive("eve", r#"[32,5,{},"wamp.subscription.on_unsubscribe"]"#);
    realm.receive("eve", r#"[32,6,{},"wamp.subscription.on_delete"]"#);
    realm.lines.clear();
    realm.ids.clear();
    realm.leave("ann", Cause::TransportLost);
    realm.check([
        "ann left: transport_lost",
        r#"eve < [8,48,4,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
        "eve < [36,#1,#2,{},[ann,#3]]",
        "eve < [36,#1,#4,{},[ann,#5]]",
        "eve < [36,#6,#7,{},[ann,#5]]",
        "eve < [36,#8,#9,{}]",
        r#"eve < [36,#10,#11,{},[ann,"ann","user"]]"#,
    ]);
}

#[test]
fn whom_kill_all_ends_loses_its_subscriptions_for_all_to_hear() {
    let mut realm = observed();
    realm.receive("ann", r#"[32,1,{},"a"]"#);
    realm.lines.clear();
    realm.ids.clear();
    realm.receive("eve", r#"[48,2,{},"wamp.session.kill_all"]"#);
    realm.check([
        r#"ann < [6,{},"wamp.close.killed"]"#,
        "ann left: killed_all by eve with wamp.close.killed",
        r#"eve < [36,#1,#2,{"topic":"wamp.subscription.on_unsubscribe"},[ann,#3]]"#,
        r#"eve < [36,#1,#4,{"topic":"wamp.subscription.on_delete"},[ann,#3]]"#,
        r#"bob < [6,{},"wamp.close.killed"]"#,
        "bob left: killed_all by eve with wamp.close.killed",
        "eve < [50,2,{},[2]]",
    ]);
}

/// ann holds `#1` to `a.b`, `#2` to the prefix `a.` and `#3` to the wildcard `.b`; bob holds `#1`. Both also hold
/// subscriptions to events of the router.
fn populated() -> TestRealm {
    let mut realm = TestRealm::with(["ann", "bob"]);
    realm.expect("ann", r#"[32,1,{},"a.b"]"#, ["ann < [33,1,#1]"]);
    realm.expect("ann", r#"[32,2,{"match":"prefix"},"a."]"#, ["ann < [33,2,#2]"]);
    realm.expect("ann", r#"[32,3,{"match":"wildcard"},".b"]"#, ["ann < [33,3,#3]"]);
    realm.expect("bob", r#"[32,1,{},"a.b"]"#, ["bob < [33,1,#1]"]);
    realm.expect("ann", r#"[32,4,{},"wamp.session.on_join"]"#, ["ann < [33,4,#4]"]);
    realm.expect("bob", r#"[32,2,{"match":"prefix"},"wamp.session."]"#, ["bob < [33,2,#5]"]);
    realm
}

fn unknown(id: &str) -> String {
    format!(r#""wamp.error.no_such_subscription",["there is no subscription {id} in this realm"]"#)
}

#[test]
fn subscriptions_are_listed_found_and_described() {
    let mut realm = populated();
    let name = |procedure: &str| format!("wamp.subscription.{procedure}");
    for (procedure, arguments, answer) in [
        ("list", "", r##"[{"exact":[#1],"prefix":[#2],"wildcard":[#3]}]"##),
        ("lookup", r#"["a.b"]"#, "[#1]"),
        ("lookup", r#"["a.b",{}]"#, "[#1]"),
        ("lookup", r#"["a.b",null]"#, "[#1]"),
        ("lookup", r#"["a.",{"match":"prefix"}]"#, "[#2]"),
        ("lookup", r#"[],{"topic":".b","options":{"match":"wildcard"}}"#, "[#3]"),
        ("lookup", r#"["a."]"#, "[null]"),
        ("lookup", r#"["wamp.session.on_join"]"#, "[null]"),
        ("match", r#"["a.b"]"#, "[[#1,#2,#3]]"),
        ("match", r#"["a.c"]"#, "[[#2]]"),
        ("match", r#"["b"]"#, "[null]"),
        ("match", r#"["wamp.session.on_join"]"#, "[null]"),
        ("get", "[#1]", &format!("[{}]", created(1, "a.b", "exact"))),
        ("get", "[#2]", &format!("[{}]", created(2, "a.", "prefix"))),
        ("list_subscribers", "[#1]", "[[ann,bob]]"),
        ("list_subscribers", r#"[],{"subscription":#3}"#, "[[ann]]"),
        ("count_subscribers", "[#1]", "[2]"),
        ("count_subscribers", "[#3]", "[1]"),
    ] {
        realm.answers("bob", &name(procedure), arguments, answer);
    }
    for procedure in
        ["get", "list_subscribers", "count_subscribers", "get_events", "remove_subscriber"].map(name)
    {
        // Those to events of the router are not told of.
        for id in ["#4", "#5", "7"] {
            realm.answers("bob", &procedure, &format!("[{id}]"), &unknown(id));
        }
        let invalid =
            r#""wamp.error.invalid_argument",["subscription must be an id, an integer from 1 to 2^53"]"#;
        for arguments in ["", "[0]", r#"["1"]"#, "[1.5]", "[true]", "[[1]]"] {
            realm.answers("bob", &procedure, arguments, invalid);
        }
    }
    let invalid = |problem: &str| format!(r#""wamp.error.invalid_argument",["{problem}"]"#);
    for (procedure, arguments, problem) in [
        ("lookup", "", "topic must be a string"),
        ("lookup", "[1]", "topic must be a string"),
        ("lookup", r#"["a",1]"#, "options must be a dict"),
        (
            "lookup",
            r#"["a",{"match":"any"}]"#,
            "lookup.options.match must be a string, one of exact, prefix and wildcard",
        ),
        ("match", "[[]]", "topic must be a string"),
    ] {
        realm.answers("bob", &name(procedure), arguments, &invalid(problem));
    }
    let misspelt = name("count_suscribers");
    let missing = format!(r#""wamp.error.no_such_procedure",["no callee has registered \"{misspelt}\""]"#);
    realm.answers("bob", &misspelt, "", &missing);
}

#[test]
fn a_realm_without_subscriptions_has_empty_lists() {
    let mut realm = TestRealm::with(["ann"]);
    let empty = r#"[{"exact":[],"prefix":[],"wildcard":[]}]"#;
    realm.answers("ann", "wamp.subscription.list", "", empty);
}

#[test]
fn a_subscription_that_is_taken_away_ends_for_this_session_alone() {
    let mut realm = TestRealm::with(["ann", "bob", "eve"]);
    let subscriber = Some(Features::of(&[Feature::SubscriptionRevocation]));
    realm.roles = Roles { subscriber, ..Roles::default() };
    realm.join("cid", Serializer::Cbor);
    realm.lines.clear();
    for name in ["cid", "bob"] {
        realm.expect(name, r#"[32,1,{},"a"]"#, [&*format!("{name} < [33,1,#1]")]);
    }
    realm.expect("eve", r#"[32,1,{"match":"prefix"},"wamp.subscription."]"#, ["eve < [33,1,#2]"]);
    // Who announced that it understands is told, and everybody who listens.
    realm.expect(
        "ann",
        r#"[48,1,{},"wamp.subscription.remove_subscriber",[#1,@cid],{"reason":"because"}]"#,
        [
            r##"cid < [35,0,{"subscription":#1,"reason":"because"}]"##,
            r#"eve < [36,#2,#3,{"topic":"wamp.subscription.on_unsubscribe"},[cid,#1]]"#,
            "ann < [50,1,{}]",
        ],
    );
    realm.expect("ann", r#"[16,2,{},"a"]"#, ["bob < [36,#1,#4,{}]"]);
    realm.expect(
        "cid",
        "[34,2,#1]",
        [r#"cid < [8,34,2,{},"wamp.error.no_such_subscription",["this session has no subscription #1"]]"#],
    );
    realm.expect(
        "ann",
        r#"[48,3,{},"wamp.subscription.remove_subscriber",[],{"subscription":#1,"subscriber":@bob}]"#,
        [
            r#"eve < [36,#2,#5,{"topic":"wamp.subscription.on_unsubscribe"},[bob,#1]]"#,
            r#"eve < [36,#2,#6,{"topic":"wamp.subscription.on_delete"},[bob,#1]]"#,
            "ann < [50,3,{}]",
        ],
    );
    realm.expect("ann", r#"[16,4,{},"a"]"#, []);
}

#[test]
fn a_subscription_can_only_be_taken_from_who_holds_it() {
    let mut realm = populated();
    let remove = "wamp.subscription.remove_subscriber";
    let invalid = |problem: &str| format!(r#""wamp.error.invalid_argument",["{problem}"]"#);
    for (arguments, error) in [
        (
            "[#2,@bob]",
            r#""wamp.error.no_such_session",["the session bob does not hold this subscription"]"#.to_owned(),
        ),
        (
            "[#1,7]",
            r#""wamp.error.no_such_session",["the session 7 does not hold this subscription"]"#.to_owned(),
        ),
        ("[#1]", invalid("subscriber must be an id, an integer from 1 to 2^53")),
        (r#"[#1,@ann],{"reason":1}"#, invalid("reason must be a string")),
        ("[#4,@ann]", unknown("#4")),
    ] {
        let arguments = realm.written(arguments);
        realm.answers("bob", remove, &arguments, &error);
    }
}

#[test]
fn only_a_permission_of_its_own_opens_the_means_to_take_a_subscription_away() {
    let mut realm = populated();
    let call = |uri: &str| permissions::prefix(uri, &[Action::Call]);
    for (name, permission, is_allowed) in [("gus", call(""), false), ("ops", call("wamp."), true)] {
        let role = Role::new("guest", Permissions::new(vec![permission]));
        realm.try_join(name, Some(name), role, Serializer::Json).unwrap();
        realm.lines.clear();
        realm.answers(name, "wamp.subscription.count_subscribers", "[#1]", "[2]");
        realm.receive(name, r#"[48,1,{},"wamp.subscription.remove_subscriber",[#1,@ann]]"#);
        let answer = realm.lines.pop().unwrap();
        assert_eq!(answer.starts_with(&format!("{name} < [50,1,")), is_allowed, "{answer}");
        assert_eq!(answer.contains("wamp.error.not_authorized"), !is_allowed, "{answer}");
        realm.lines.clear();
    }
}

#[test]
fn a_wildcard_has_no_more_components_than_it_can_have() {
    let mut realm = TestRealm::with(["ann"]);
    let wildcard = |components: usize| "a.".repeat(components - 1);
    let most = wildcard(32);
    realm.expect("ann", &format!(r#"[32,1,{{"match":"wildcard"}},"{most}"]"#), ["ann < [33,1,#1]"]);
    let beyond = wildcard(33);
    let text = format!(r#"\"{beyond}\" has more components than the 32 that a wildcard can have"#);
    for (kind, request) in [(32, 2), (64, 3)] {
        realm.expect(
            "ann",
            &format!(r#"[{kind},{request},{{"match":"wildcard"}},"{beyond}"]"#),
            [&*format!(r#"ann < [8,{kind},{request},{{}},"wamp.error.invalid_uri",["{text}"]]"#)],
        );
    }
    realm.expect("ann", &format!(r#"[32,4,{{"match":"prefix"}},"{beyond}"]"#), ["ann < [33,4,#2]"]);
}
