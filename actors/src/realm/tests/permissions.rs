//! What a role may do, and whom it has disclosed.

use super::TestRealm;
use crate::{
    codec::Serializer,
    message::uri::Match,
    permission::{Action, Actions, Disclosure, Permission, Permissions, Role},
};

/// A permission for URIs that begin with `uri`.
pub(super) fn prefix(uri: &str, allow: &[Action]) -> Permission {
    Permission {
        uri: uri.into(),
        matching: Match::Prefix,
        allow: allow.iter().copied().collect(),
        discloses_caller: Disclosure::AsAsked,
        discloses_publisher: Disclosure::AsAsked,
        trustlevel: None,
    }
}

/// A realm with ann, who may do everything, and bob, who has these permissions.
fn realm_with(permissions: Vec<Permission>) -> TestRealm {
    let mut realm = TestRealm::with(["ann"]);
    let guest = Role::new("guest", Permissions::new(permissions));
    realm.try_join("bob", Some("bob"), guest, Serializer::Json).unwrap();
    realm.lines.clear();
    realm
}

#[test]
fn what_no_permission_allows_is_refused() {
    let mut realm = realm_with(vec![]);
    let refused = |kind: u8, action: &str| {
        format!(
            "bob < [8,{kind},1,{{}},\"wamp.error.not_authorized\",[\"the role \\\"guest\\\" may not {action} \\\"a.b\\\"\"]]"
        )
    };
    realm.expect("bob", r#"[32,1,{},"a.b"]"#, [&*refused(32, "subscribe")]);
    realm.expect("bob", r#"[32,1,{"match":"wildcard"},"a.b"]"#, [&*refused(32, "subscribe")]);
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, [&*refused(64, "register")]);
    realm.expect("bob", r#"[16,1,{"acknowledge":true},"a.b"]"#, [&*refused(16, "publish")]);
    realm.expect("bob", r#"[48,1,{},"a.b"]"#, [&*refused(48, "call")]);
    // Nobody is there to be told.
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.expect("bob", r#"[16,1,{},"a.b"]"#, []);
}

#[test]
fn what_a_permission_allows_is_done() {
    for action in Action::ALL {
        let mut realm = realm_with(vec![prefix("a.", &[action])]);
        for (other, message, done) in [
            (Action::Subscribe, r#"[32,1,{},"a.b"]"#, "bob < [33,1,#1]"),
            (Action::Register, r#"[64,1,{},"a.b"]"#, "bob < [65,1,#1]"),
            (Action::Publish, r#"[16,1,{"acknowledge":true},"a.b"]"#, "bob < [17,1,#1]"),
            (
                Action::Call,
                r#"[48,1,{},"a.b"]"#,
                r#"bob < [8,48,1,{},"wamp.error.no_such_procedure",["no callee has registered \"a.b\""]]"#,
            ),
        ] {
            realm.receive("bob", message);
            let lines = std::mem::take(&mut realm.lines);
            let is_refused = lines.iter().any(|line| line.contains("wamp.error.not_authorized"));
            assert_eq!(is_refused, action != other, "{lines:?}");
            if !is_refused {
                assert_eq!(lines, [done]);
            }
        }
    }
}

#[test]
fn a_general_permission_kills_nobody() {
    let mut realm = realm_with(vec![prefix("", &Action::ALL)]);
    for (procedure, arguments) in [
        ("wamp.session.kill", "[@ann]"),
        ("wamp.session.kill_by_authid", r#"["ann"]"#),
        ("wamp.session.kill_by_authrole", r#"["user"]"#),
        ("wamp.session.kill_all", "[]"),
    ] {
        realm.receive("bob", &format!(r#"[48,1,{{}},"{procedure}",{arguments}]"#));
        let refused = format!(
            "bob < [8,48,1,{{}},\"wamp.error.not_authorized\",[\"the role \\\"guest\\\" may not call \\\"{procedure}\\\"\"]]"
        );
        realm.check([&*refused]);
    }
    realm.answers("bob", "wamp.session.count", "", "[2]");
    let mut realm = realm_with(vec![prefix("wamp.session.", &[Action::Call])]);
    realm.answers("bob", "wamp.session.count", "", "[2]");
    realm.expect(
        "bob",
        r#"[48,1,{},"wamp.session.kill",[@ann]]"#,
        [
            r#"ann < [6,{},"wamp.close.killed"]"#,
            "ann left: killed by bob with wamp.close.killed",
            "bob < [50,1,{}]",
        ],
    );
}

#[test]
fn a_pattern_brings_the_events_of_the_router_only_to_who_may_subscribe_to_them() {
    let joins = "wamp.session.on_join";
    let own = ["wamp.subscription.on_create", "wamp.subscription.on_subscribe"];
    for (about_the_router, expected) in [
        (vec![], vec![own[0], own[1], joins]),
        (vec![prefix("wamp.", &[])], vec![]),
        (vec![prefix("wamp.", &[]), prefix("wamp.session.on_j", &[Action::Subscribe])], vec![joins]),
        (vec![prefix("wamp.", &[]), prefix(own[1], &[Action::Subscribe])], vec![own[1]]),
    ] {
        let permissions = [vec![prefix("", &[Action::Subscribe])], about_the_router].concat();
        let mut realm = realm_with(permissions);
        realm.receive("bob", r#"[32,1,{"match":"prefix"},""]"#);
        realm.join("eve", Serializer::Json);
        let events = realm.lines.iter().filter(|line| line.starts_with("bob < [36,"));
        let topics = events.filter_map(|line| line.split('"').nth(3)).collect::<Vec<_>>();
        assert_eq!(topics, expected);
        realm.lines.clear();
        realm.receive("ann", r#"[16,1,{},"com.app"]"#);
        assert_eq!(realm.lines.len(), 1, "{:?}", realm.lines);
        assert!(realm.lines[0].ends_with(r#"{"topic":"com.app"}]"#), "{:?}", realm.lines);
    }
}

#[test]
fn a_testament_is_a_publication() {
    let mut realm = realm_with(vec![
        prefix("wamp.", &[Action::Call]),
        prefix("a.", &[Action::Publish]),
        Permission { discloses_publisher: Disclosure::Never, ..prefix("b.", &[Action::Publish]) },
    ]);
    realm.answers("bob", "wamp.session.add_testament", r#"["a.b",[],{}]"#, "");
    realm.answers(
        "bob",
        "wamp.session.add_testament",
        r#"["c.d",[],{}]"#,
        r#""wamp.error.not_authorized",["the role \"guest\" may not publish \"c.d\""]"#,
    );
    realm.answers(
        "bob",
        "wamp.session.add_testament",
        r#"["b.c",[],{}],{"publish_options":{"disclose_me":true}}"#,
        r#""wamp.error.option_disallowed.disclose_me",["the role \"guest\" may not have the publisher disclosed for \"b.\""]"#,
    );
}

#[test]
fn disclosure_is_what_the_permission_says_and_else_what_is_asked_for() {
    for (disclosure, asks, disclosed) in [
        (Disclosure::AsAsked, false, Some(false)),
        (Disclosure::AsAsked, true, Some(true)),
        (Disclosure::Always, false, Some(true)),
        (Disclosure::Always, true, Some(true)),
        (Disclosure::Never, false, Some(false)),
        (Disclosure::Never, true, None),
    ] {
        let mut realm = realm_with(vec![Permission {
            discloses_caller: disclosure,
            discloses_publisher: disclosure,
            ..prefix("", &[Action::Call, Action::Publish])
        }]);
        realm.receive("ann", r#"[32,1,{},"a.b"]"#);
        realm.receive("ann", r#"[64,2,{},"a.b"]"#);
        realm.lines.clear();
        let options = if asks { r#"{"disclose_me":true}"# } else { "{}" };
        realm.receive("bob", &format!(r#"[16,1,{options},"a.b"]"#));
        realm.receive("bob", &format!(r#"[48,2,{options},"a.b"]"#));
        match disclosed {
            Some(true) => realm.check([
                r##"ann < [36,#1,#3,{"publisher":bob,"publisher_authid":"bob","publisher_authrole":"guest"}]"##,
                r##"ann < [68,1,#2,{"caller":bob,"caller_authid":"bob","caller_authrole":"guest"}]"##,
            ]),
            Some(false) => realm.check(["ann < [36,#1,#3,{}]", "ann < [68,1,#2,{}]"]),
            None => realm.check([
                r#"bob < [8,48,2,{},"wamp.error.option_disallowed.disclose_me",["the role \"guest\" may not have the caller disclosed for \"\""]]"#,
            ]),
        }
    }
}

#[test]
fn a_callee_learns_who_calls_unless_the_caller_may_not_be_disclosed() {
    for (disclosure, details) in [
        (Disclosure::AsAsked, r#"{"caller":bob,"caller_authid":"bob","caller_authrole":"guest"}"#),
        (Disclosure::Never, "{}"),
    ] {
        let mut realm =
            realm_with(vec![Permission { discloses_caller: disclosure, ..prefix("", &[Action::Call]) }]);
        realm.receive("ann", r#"[64,1,{"disclose_caller":true},"a.b"]"#);
        realm.lines.clear();
        let expected = format!("ann < [68,1,#1,{details}]");
        realm.expect("bob", r#"[48,1,{},"a.b"]"#, [&*expected]);
    }
    let permission = Permission { discloses_caller: Disclosure::Never, ..prefix("", &[Action::Register]) };
    realm_with(vec![permission]).expect(
        "bob",
        r#"[64,1,{"disclose_caller":true},"a.b"]"#,
        [
            r#"bob < [8,64,1,{},"wamp.error.option_disallowed.disclose_me",["the role \"guest\" may not have the caller disclosed for \"\""]]"#,
        ],
    );
}

#[test]
fn what_is_allowed_is_a_set() {
    let some: Actions = [Action::Call, Action::Subscribe].into_iter().collect();
    assert_eq!(Action::ALL.map(|action| some.contains(action)), [true, false, false, true]);
    assert_eq!(Action::ALL.map(|action| Actions::all().contains(action)), [true; 4]);
}

#[test]
fn subscribers_are_told_how_far_a_publisher_is_trusted_where_its_permission_says_so() {
    let mut realm = realm_with(vec![
        Permission { trustlevel: Some(3), ..prefix("a.", &[Action::Publish]) },
        Permission { trustlevel: Some(0), ..prefix("b.", &[Action::Publish]) },
        prefix("c.", &[Action::Publish]),
    ]);
    realm.expect("ann", r#"[32,1,{"match":"wildcard"},".x"]"#, ["ann < [33,1,#1]"]);
    realm.expect("bob", r#"[16,1,{},"a.x"]"#, [r#"ann < [36,#1,#2,{"topic":"a.x","trustlevel":3}]"#]);
    realm.expect("bob", r#"[16,2,{},"b.x"]"#, [r#"ann < [36,#1,#3,{"topic":"b.x","trustlevel":0}]"#]);
    realm.expect("bob", r#"[16,3,{},"c.x"]"#, [r#"ann < [36,#1,#4,{"topic":"c.x"}]"#]);
}

#[test]
fn a_pattern_is_registered_only_where_all_that_it_matches_may_be() {
    let permissions = vec![prefix("a.", &[Action::Register]), prefix("a.closed.", &[])];
    for (matching, uri, is_allowed) in [
        ("prefix", "a.open.", true),
        ("prefix", "a.", false),
        ("prefix", "", false),
        ("wildcard", "a.open.", true),
        ("wildcard", "a..b", false),
        ("wildcard", ".open", false),
    ] {
        let mut realm = realm_with(permissions.clone());
        realm.receive("bob", &format!(r#"[64,1,{{"match":"{matching}"}},"{uri}"]"#));
        let error = format!(r#"["the role \"guest\" may not register \"{uri}\""]"#);
        let refused = format!(r#"bob < [8,64,1,{{}},"wamp.error.not_authorized",{error}]"#);
        realm.check([if is_allowed { "bob < [65,1,#1]" } else { &*refused }]);
    }
}

#[test]
fn a_general_permission_takes_a_procedure_from_nobody() {
    let mut realm = realm_with(vec![prefix("", &Action::ALL)]);
    realm.expect("ann", r#"[64,1,{},"a.b"]"#, ["ann < [65,1,#1]"]);
    realm.answers("bob", "wamp.registration.count_callees", "[#1]", "[1]");
    realm.expect("bob", r#"[48,1,{},"wamp.registration.remove_callee",[#1,@ann]]"#, [
        r#"bob < [8,48,1,{},"wamp.error.not_authorized",["the role \"guest\" may not call \"wamp.registration.remove_callee\""]]"#,
    ]);
    let mut realm = realm_with(vec![prefix("wamp.registration.", &[Action::Call])]);
    realm.expect("ann", r#"[64,1,{},"a.b"]"#, ["ann < [65,1,#1]"]);
    realm.expect("bob", r#"[48,1,{},"wamp.registration.remove_callee",[#1,@ann]]"#, ["bob < [50,1,{}]"]);
}
