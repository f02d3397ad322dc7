//! What there can be at most in a realm.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    permission::Role,
    realm::{RealmLimits, RealmOptions},
};

fn realm_with<const N: usize>(limits: RealmLimits, members: [&str; N]) -> TestRealm {
    TestRealm::with_options(RealmOptions { limits, ..RealmOptions::default() }, members)
}

fn too_many(kind: u8, request: u8, text: &str) -> String {
    format!(r#"ann < [8,{kind},{request},{{}},"realmkeeper.error.limit_exceeded",["{text}"]]"#)
}

#[test]
fn a_session_holds_so_many_subscriptions() {
    let limits = RealmLimits { subscriptions: 2, ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann", "bob"]);
    realm.expect("ann", r#"[32,1,{},"a"]"#, ["ann < [33,1,#1]"]);
    realm.expect("ann", r#"[32,2,{},"b"]"#, ["ann < [33,2,#2]"]);
    let refused = too_many(32, 3, "a session has too many subscriptions: at most 2");
    realm.expect("ann", r#"[32,3,{},"c"]"#, [&*refused]);
    // One that is held already is no further one.
    realm.expect("ann", r#"[32,4,{},"a"]"#, ["ann < [33,4,#1]"]);
    realm.expect("bob", r#"[32,1,{},"c"]"#, ["bob < [33,1,#3]"]);
    realm.expect("ann", r#"[34,5,#2]"#, ["ann < [35,5]"]);
    realm.expect("ann", r#"[32,6,{},"c"]"#, ["ann < [33,6,#3]"]);
}

#[test]
fn a_session_holds_so_many_registrations() {
    let limits = RealmLimits { registrations: 1, ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann", "bob"]);
    realm.expect("ann", r#"[64,1,{},"a"]"#, ["ann < [65,1,#1]"]);
    let refused = too_many(64, 2, "a session has too many registrations: at most 1");
    realm.expect("ann", r#"[64,2,{},"b"]"#, [&*refused]);
    realm.expect("bob", r#"[64,1,{},"b"]"#, ["bob < [65,1,#2]"]);
    realm.expect("ann", r#"[66,3,#1]"#, ["ann < [67,3]"]);
    realm.expect("ann", r#"[64,4,{},"c"]"#, ["ann < [65,4,#3]"]);
}

#[test]
fn a_session_waits_for_so_many_answers() {
    let limits = RealmLimits { calls: 1, ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann", "bob"]);
    realm.expect("bob", r#"[64,1,{},"a"]"#, ["bob < [65,1,#1]"]);
    realm.expect("ann", r#"[48,1,{},"a"]"#, ["bob < [68,1,#1,{}]"]);
    let refused = too_many(48, 2, "a session has too many calls that are not answered yet: at most 1");
    realm.expect("ann", r#"[48,2,{},"a"]"#, [&*refused]);
    realm.expect("bob", "[70,1,{}]", ["ann < [50,1,{}]"]);
    realm.expect("ann", r#"[48,3,{},"a"]"#, ["bob < [68,2,#1,{}]"]);
}

#[test]
fn a_uri_has_so_many_octets() {
    let limits = RealmLimits { uri_length: 4, ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann"]);
    let refused = |kind: u8| {
        format!(
            r#"ann < [8,{kind},1,{{}},"wamp.error.invalid_uri",["a uri of 5 octets is too long: at most 4"]]"#
        )
    };
    realm.expect("ann", r#"[32,1,{},"a.bcd"]"#, [&*refused(32)]);
    realm.expect("ann", r#"[32,1,{"match":"prefix"},"äa.b"]"#, [&*refused(32)]);
    realm.expect("ann", r#"[64,1,{},"a.bcd"]"#, [&*refused(64)]);
    realm.expect("ann", r#"[16,1,{"acknowledge":true},"a.bcd"]"#, [&*refused(16)]);
    realm.expect("ann", r#"[48,1,{},"a.bcd"]"#, [&*refused(48)]);
    realm.expect("ann", r#"[32,1,{},"a.bc"]"#, ["ann < [33,1,#1]"]);
    // The router's own procedures are no matter of length; what is given to them is.
    realm.answers("ann", "wamp.session.count", "", "[1]");
    realm.answers(
        "ann",
        "wamp.session.kill_all",
        r#"[],{"reason":"a.bcd"}"#,
        r#""wamp.error.invalid_uri",["a uri of 5 octets is too long: at most 4"]"#,
    );
}

#[test]
fn a_realm_has_so_many_sessions() {
    let limits = RealmLimits { sessions: Some(2), ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann", "bob"]);
    realm.receive("ann", r#"[32,1,{},"wamp.session.on_join"]"#);
    realm.lines.clear();
    let refusal = realm.try_join("eve", None, Role::unrestricted("user"), Serializer::Json).unwrap_err();
    assert_eq!(refusal.uri(), "realmkeeper.error.limit_exceeded");
    assert_eq!(refusal.to_string(), "the realm has too many sessions: at most 2");
    realm.check([]);
    realm.leave("bob", Cause::Goodbye);
    realm.lines.clear();
    realm.join("eve", Serializer::Json);
    realm.lines.clear();
    realm.answers("ann", "wamp.session.count", "", "[2]");
}

#[test]
fn an_authid_has_so_many_sessions() {
    let limits = RealmLimits { sessions_per_authid: Some(1), ..RealmLimits::default() };
    let mut realm = realm_with(limits, ["ann"]);
    let user = || Role::unrestricted("user");
    let refusal = realm.try_join("ann again", Some("ann"), user(), Serializer::Json).unwrap_err();
    assert_eq!(refusal.to_string(), "the authid has too many sessions in this realm: at most 1");
    realm.join("bob", Serializer::Json);
    // Who is anonymous has an authid of its own.
    realm.try_join("x", None, user(), Serializer::Json).unwrap();
    realm.try_join("y", None, user(), Serializer::Json).unwrap();
}

#[test]
fn a_realm_need_not_tell_who_is_there() {
    let options = RealmOptions { session_meta_api: false, ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, ["ann"]);
    realm.receive("ann", r#"[32,1,{"match":"prefix"},"wamp."]"#);
    realm.lines.clear();
    realm.join("bob", Serializer::Json);
    let welcome = std::mem::take(&mut realm.lines);
    assert_eq!(welcome.len(), 1, "{welcome:?}");
    assert!(welcome[0].starts_with("bob < [2,bob,"), "{welcome:?}");
    assert!(!welcome[0].contains("session_meta_api"), "{welcome:?}");
    for procedure in ["count", "list", "get", "kill", "kill_by_authid", "kill_by_authrole", "kill_all"] {
        let refused = format!(
            r#""wamp.error.no_such_procedure",["no callee has registered \"wamp.session.{procedure}\""]"#
        );
        realm.answers("ann", &format!("wamp.session.{procedure}"), "", &refused);
    }
    // Testaments are another matter.
    realm.answers("bob", "wamp.session.add_testament", r#"["a.b",[],{}]"#, "");
    realm.receive("ann", r#"[32,2,{},"a.b"]"#);
    realm.lines.clear();
    realm.ids.clear();
    realm.leave("bob", Cause::TransportLost);
    realm.check(["bob left: transport_lost", "ann < [36,#1,#2,{}]"]);
}
