//! What becomes of the members of a realm whose configuration changes.

use super::TestRealm;
use crate::{
    ban::{Ban, Banned},
    cause::Cause,
    codec::Serializer,
    message::uri::Match,
    permission::{Action, Disclosure, Permission, Permissions, Role, SessionDetails},
    realm::{HistoryOptions, RealmLimits, RealmOptions, RequestIds},
    refusal::Refusal,
};
use std::sync::Arc;

/// A role whose members may do these things with what begins so.
fn role(name: &str, permissions: &[(&str, &[Action])]) -> Arc<Role> {
    let permission = |(uri, allow): &(&str, &[Action])| Permission {
        uri: (*uri).into(),
        matching: Match::Prefix,
        allow: allow.iter().copied().collect(),
        discloses_caller: Disclosure::AsAsked,
        discloses_publisher: Disclosure::AsAsked,
        trustlevel: None,
    };
    let permissions = Permissions::new(permissions.iter().map(permission).collect());
    Arc::new(Role { permissions, ..Role::unrestricted(name) })
}

const USE: &[Action] = &[Action::Call, Action::Publish];
const HOLD: &[Action] = &[Action::Register, Action::Subscribe];

#[test]
fn what_a_role_allows_counts_from_the_next_message_on() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.receive("bob", r#"[64,1,{},"com.a"]"#);
    realm.receive("bob", r#"[64,2,{},"com.b"]"#);
    realm.receive("alice", r#"[48,1,{},"com.a"]"#);
    realm.lines.clear();
    realm.reload(RealmOptions::default(), |member| {
        Some(if &*member.authid == "alice" {
            role("user", &[("com.b", USE)])
        } else {
            role("user", &[("com.", HOLD)])
        })
    });
    realm.check([]);
    realm.expect("bob", r#"[70,1,{},["done"]]"#, [r#"alice < [50,1,{},["done"]]"#]);
    realm.receive("alice", r#"[48,2,{},"com.a"]"#);
    let answer = realm.lines.pop().unwrap();
    assert!(answer.starts_with(r#"alice < [8,48,2,{},"wamp.error.not_authorized""#), "{answer}");
    realm.check([]);
    realm.expect("alice", r#"[48,3,{},"com.b"]"#, [r#"bob < [68,2,#2,{}]"#]);
}

#[test]
fn what_a_role_does_not_allow_any_more_is_taken_back() {
    let mut realm = TestRealm::announcing(["observer", "alice"]);
    realm.announce(&[]);
    realm.join("bob", Serializer::MessagePack);
    for name in ["alice", "bob"] {
        for (request, topic) in [(1, "com.kept"), (2, "com.taken")] {
            realm.receive(name, &format!(r#"[32,{request},{{}},"{topic}"]"#));
            realm.receive(name, &format!(r#"[64,1{request},{{"invoke":"roundrobin"}},"{topic}"]"#));
        }
    }
    realm.receive("observer", r#"[32,1,{"match":"prefix"},"wamp.subscription."]"#);
    realm.receive("observer", r#"[32,2,{"match":"prefix"},"wamp.registration."]"#);
    realm.receive("observer", r#"[48,3,{},"com.taken"]"#);
    realm.lines.clear();
    let user = role("user", &[("com.", USE), ("com.kept", HOLD)]);
    realm.reload(RealmOptions::default(), |member| {
        Some(if &*member.authid == "observer" { Role::unrestricted("user").into() } else { user.clone() })
    });
    realm.check([
        r#"alice < [35,0,{"subscription":#3,"reason":"wamp.error.not_authorized"}]"#,
        r#"observer < [36,#5,#7,{"topic":"wamp.subscription.on_unsubscribe"},[alice,#3]]"#,
        r#"alice < [67,0,{"registration":#4,"reason":"wamp.error.not_authorized"}]"#,
        r#"observer < [36,#6,#8,{"topic":"wamp.registration.on_unregister"},[alice,#4]]"#,
        // bob does not know what a revocation is.
        r#"observer < [36,#5,#9,{"topic":"wamp.subscription.on_unsubscribe"},[bob,#3]]"#,
        r#"observer < [36,#5,#10,{"topic":"wamp.subscription.on_delete"},[bob,#3]]"#,
        r#"observer < [36,#6,#11,{"topic":"wamp.registration.on_unregister"},[bob,#4]]"#,
        r#"observer < [36,#6,#12,{"topic":"wamp.registration.on_delete"},[bob,#4]]"#,
    ]);
    // What was called before is answered still.
    realm.expect("alice", r#"[70,1,{},[7]]"#, ["observer < [50,3,{},[7]]"]);
    realm.expect(
        "observer",
        r#"[16,4,{},"com.kept",[1]]"#,
        ["alice < [36,#1,#13,{},[1]]", "bob < [36,#1,#13,{},[1]]"],
    );
    realm.expect("observer", r#"[16,5,{},"com.taken",[1]]"#, []);
}

#[test]
fn what_the_router_asks_is_taken_from_those_who_are_not_trusted() {
    let mut realm = TestRealm::announcing(["observer", "alice"]);
    realm.receive("observer", r#"[32,1,{"match":"prefix"},"wamp.registration."]"#);
    for (request, procedure, invoke) in [(1, "auth.ask", "single"), (2, "auth.other", "roundrobin")] {
        realm.receive("alice", &format!(r#"[64,{request},{{"invoke":"{invoke}"}},"{procedure}"]"#));
    }
    let user = Arc::new(Role::unrestricted("user"));
    let trusted = Arc::new(Role { is_trusted: true, ..Role::unrestricted("user") });
    realm.lines.clear();
    // Nobody's role changes.
    let asking = |uri: &str| RealmOptions { components: vec![uri.into()], ..RealmOptions::default() };
    realm.reload(asking("auth.ask"), |_| Some(user.clone()));
    realm.check([
        r#"alice < [67,0,{"registration":#2,"reason":"wamp.error.not_authorized"}]"#,
        r#"observer < [36,#1,#8,{"topic":"wamp.registration.on_unregister"},[alice,#2]]"#,
        r#"observer < [36,#1,#9,{"topic":"wamp.registration.on_delete"},[alice,#2]]"#,
    ]);

    // Who is trusted keeps what it carries out, and loses it with the trust.
    realm.reload(asking("auth.other"), |_| Some(trusted.clone()));
    realm.check([]);
    realm.reload(asking("auth.other"), |_| Some(user.clone()));
    realm.check([
        r#"alice < [67,0,{"registration":#5,"reason":"wamp.error.not_authorized"}]"#,
        r#"observer < [36,#1,#10,{"topic":"wamp.registration.on_unregister"},[alice,#5]]"#,
        r#"observer < [36,#1,#11,{"topic":"wamp.registration.on_delete"},[alice,#5]]"#,
    ]);
}

#[test]
fn who_has_no_role_any_more_leaves_like_everybody_else() {
    let mut realm = TestRealm::announcing(["observer", "alice", "bob"]);
    realm.receive("observer", r#"[32,1,{},"wamp.session.on_leave"]"#);
    realm.receive("observer", r#"[32,2,{},"com.testament"]"#);
    realm.receive("bob", r#"[64,1,{},"com.procedure"]"#);
    realm.receive("bob", r#"[48,2,{},"wamp.session.add_testament",["com.testament",["bye"],{}]]"#);
    realm.receive("observer", r#"[48,3,{},"com.procedure"]"#);
    realm.lines.clear();
    let user = Arc::new(Role::unrestricted("user"));
    realm.reload(RealmOptions::default(), |member| (&*member.authid != "bob").then(|| user.clone()));
    let cause = "the configuration changed: this session would not be let in with its role any more";
    realm.check([
        &format!(r#"bob < [6,{{"message":"{cause}"}},"wamp.error.not_authorized"]"#),
        &format!("bob left: policy: {cause}"),
        r#"observer < [8,48,3,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
        r#"observer < [36,#2,#4,{},["bye"]]"#,
        r#"observer < [36,#1,#5,{},[bob,"bob","user"]]"#,
    ]);
    realm.expect("bob", r#"[16,3,{},"com.testament",["late"]]"#, []);
}

#[test]
fn histories_come_and_go_and_keep_what_they_have() {
    let history = |topic: &str, events| {
        let matching = Match::Exact;
        HistoryOptions { topic: topic.into(), matching, events, octets: 1 << 20, age: None }
    };
    let options = |histories: Vec<_>| RealmOptions { histories, ..RealmOptions::default() };
    let mut realm =
        TestRealm::with_options(options(vec![history("com.kept", 10), history("com.gone", 10)]), ["alice"]);
    realm.receive("alice", r#"[32,1,{},"com.new"]"#);
    let publish = |realm: &mut TestRealm| {
        for (request, topic) in [(2, "com.kept"), (3, "com.kept"), (4, "com.gone"), (5, "com.new")] {
            realm.receive("alice", &format!(r#"[16,{request},{{"exclude_me":true}},"{topic}",[{request}]]"#));
        }
        realm.lines.clear();
    };
    publish(&mut realm);
    let remembered = |realm: &mut TestRealm, topic: &str| {
        realm.receive("alice", &format!(r#"[48,6,{{}},"wamp.subscription.lookup",["{topic}"]]"#));
        let line = realm.lines.pop().unwrap();
        let (_, id) = line.strip_suffix("]]")?.rsplit_once('#')?;
        realm.receive("alice", &format!(r##"[48,7,{{}},"wamp.subscription.get_events",[#{id}]]"##));
        Some(realm.lines.pop().unwrap().matches("\"args\"").count())
    };
    assert_eq!(remembered(&mut realm, "com.kept"), Some(2));
    let user = Arc::new(Role::unrestricted("user"));
    let changed = options(vec![history("com.new", 10), history("com.kept", 1)]);
    realm.reload(changed, |_| Some(user.clone()));
    assert_eq!(remembered(&mut realm, "com.kept"), Some(1), "the newest is kept");
    assert_eq!(remembered(&mut realm, "com.gone"), None, "nobody holds the subscription");
    assert_eq!(remembered(&mut realm, "com.new"), Some(0));
    publish(&mut realm);
    assert_eq!(remembered(&mut realm, "com.new"), Some(1));
    realm.reload(RealmOptions::default(), |_| Some(user.clone()));
    assert_eq!(remembered(&mut realm, "com.kept"), None);
    realm.expect("alice", r#"[34,8,#1]"#, ["alice < [35,8]"]);
}

#[test]
fn other_options_count_for_the_next_message_or_the_next_session() {
    let mut realm = TestRealm::with(["alice"]);
    realm.receive("alice", r#"[32,7,{},"com.one"]"#);
    realm.receive("alice", r#"[32,9,{},"com.two"]"#);
    realm.lines.clear();
    let limits = RealmLimits { subscriptions: 1, sessions: Some(2), ..RealmLimits::default() };
    let strict = RealmOptions {
        request_ids: RequestIds::Strict,
        session_meta_api: false,
        limits,
        ..RealmOptions::default()
    };
    let user = Arc::new(Role::unrestricted("user"));
    realm.reload(strict, |_| Some(user.clone()));
    realm.check([]);
    realm.receive("alice", r#"[32,5,{},"com.three"]"#);
    let line = realm.lines.pop().unwrap();
    assert!(line.starts_with(r#"alice < [8,32,5,{},"realmkeeper.error.limit_exceeded""#), "{line}");
    realm.answers(
        "alice",
        "wamp.session.count",
        "",
        r#""wamp.error.no_such_procedure",["no callee has registered \"wamp.session.count\""]"#,
    );
    realm.join("bob", Serializer::Json);
    assert!(realm.try_join("carol", None, Role::unrestricted("user"), Serializer::Json).is_err());
    realm.lines.clear();
    realm.receive("bob", r#"[32,5,{},"com.three"]"#);
    let last = realm.lines.pop().unwrap();
    assert!(last.starts_with("bob left: protocol_violation"), "{last}");
}

#[test]
fn what_is_told_of_sessions_and_who_is_asked_about_them_changes_with_the_role() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.receive("alice", r#"[32,1,{},"wamp.session.on_leave"]"#);
    realm.lines.clear();
    let told = |session_details| Role { session_details, ..Role::unrestricted("user") };
    realm.reload(RealmOptions::default(), |_| Some(told(SessionDetails::Ids).into()));
    realm.join("cid", Serializer::Json);
    realm.lines.clear();
    realm.leave("cid", Cause::Goodbye);
    assert_eq!(realm.lines[2..], ["alice < [36,#1,#2,{},[cid]]"], "{:?}", realm.lines);
    realm.lines.clear();
    let asked = || Role { authorizer: Some("a.ask".into()), ..Role::unrestricted("user") };
    realm.reload(RealmOptions::default(), |member| {
        Some(if &*member.authid == "bob" { asked().into() } else { told(SessionDetails::Full).into() })
    });
    realm.receive("bob", r#"[32,1,{},"a.topic"]"#);
    let text = r#"the authorizer of the role \"user\" has not said whether this may be done"#;
    realm.check([&*format!(r#"bob < [8,32,1,{{}},"wamp.error.authorization_failed",["{text}"]]"#)]);
    // As long as the same component is asked, what it allowed stays.
    let component = Role { is_trusted: true, ..Role::unrestricted("component") };
    realm.try_join("cleo", Some("cleo"), component, Serializer::Json).unwrap();
    realm.receive("cleo", r#"[64,1,{},"a.ask"]"#);
    realm.receive("bob", r#"[32,2,{},"a.topic"]"#);
    realm.lines.clear();
    realm.expect("cleo", "[70,1,{},[true]]", ["bob < [33,2,#4]"]);
    realm.reload(RealmOptions::default(), |member| {
        let asked = || Role { session_details: SessionDetails::Ids, ..asked() };
        Some(if &*member.authid == "bob" { asked().into() } else { member.role.clone() })
    });
    realm.check([]);
    realm.expect("alice", r#"[16,2,{},"a.topic"]"#, ["bob < [36,#4,#5,{}]"]);
    realm.reload(RealmOptions::default(), |member| {
        let is_user = &**member.authrole() == "user";
        Some(if is_user { told(SessionDetails::Full).into() } else { member.role.clone() })
    });
    realm.expect("bob", r#"[32,3,{},"a.other"]"#, ["bob < [33,3,#6]"]);
}

#[test]
fn who_was_banned_stays_so_besides_those_whom_the_configuration_bans() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.receive("alice", &realm.written(r#"[48,1,{},"wamp.session.kill",[@bob],{"ban":60}]"#));
    let bans = vec![Ban { whom: Banned::Authid("mallory".into()), until: None }];
    let options = RealmOptions { bans, ..RealmOptions::default() };
    realm.reload(options, |member| Some(member.role.clone()));
    for (name, expected) in [("bob", Err(Refusal::Banned)), ("mallory", Err(Refusal::Banned))] {
        let joined = realm.try_join("new", Some(name), Role::unrestricted("user"), Serializer::Json);
        assert_eq!(joined, expected, "{name}");
    }
    realm.reload(RealmOptions::default(), |member| Some(member.role.clone()));
    assert!(realm.try_join("new", Some("mallory"), Role::unrestricted("user"), Serializer::Json).is_ok());
}

#[test]
fn what_is_beyond_a_lowered_limit_of_retained_events_can_be_replaced() {
    let mut realm = TestRealm::with(["ann", "bob"]);
    let user = Arc::new(Role::unrestricted("user"));
    for topic in ["a.a", "a.b"] {
        realm.receive("ann", &format!(r#"[16,1,{{"retain":true}},"{topic}",["first"]]"#));
    }
    let limits = RealmLimits { retained: 1, retained_octets: 1, ..RealmLimits::default() };
    realm.reload(RealmOptions { limits, ..RealmOptions::default() }, |_| Some(user.clone()));
    realm.receive("ann", r#"[16,2,{"retain":true},"a.a",["new"]]"#);
    realm.check([]);
    let more = r#"[16,3,{"retain":true,"acknowledge":true},"a.c",["x"]]"#;
    let text = "the realm retains too many events: at most 1";
    let refused = format!(r#"ann < [8,16,3,{{}},"realmkeeper.error.limit_exceeded",["{text}"]]"#);
    realm.expect("ann", more, [&*refused]);
    let larger = r#"[16,4,{"retain":true,"acknowledge":true},"a.a",["longer"]]"#;
    let text = "the retained events of the realm have too many octets: at most 1";
    let refused = format!(r#"ann < [8,16,4,{{}},"realmkeeper.error.limit_exceeded",["{text}"]]"#);
    realm.expect("ann", larger, [&*refused]);
    realm.receive("bob", r#"[32,1,{"get_retained":true},"a.a"]"#);
    assert_eq!(realm.lines.len(), 2, "{:?}", realm.lines);
    assert!(realm.lines[1].ends_with(r#"{"retained":true},["new"]]"#), "{:?}", realm.lines);
    realm.lines.clear();
}
