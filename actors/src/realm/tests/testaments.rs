//! Testaments: what is published for a session when it has ended.

use super::TestRealm;
use crate::cause::Cause;

/// bob and alice, who listens to `a.last`.
fn heirs() -> TestRealm {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.expect("alice", r#"[32,1,{},"a.last"]"#, ["alice < [33,1,#1]"]);
    realm
}

fn add(realm: &mut TestRealm, arguments: &str) {
    realm.answers("bob", "wamp.session.add_testament", arguments, "");
}

#[test]
fn testaments_are_published_in_order_those_of_detaching_first() {
    let mut realm = heirs();
    add(&mut realm, r#"["a.last",[1],{"k":"v"}]"#);
    add(&mut realm, r#"["a.last",[2],{}],{"scope":"destroyed"}"#);
    add(&mut realm, r#"["a.last",[3],{}],{"scope":"detached","publish_options":{"disclose_me":true}}"#);
    add(&mut realm, r#"[],{"topic":"a.last","args":[4],"kwargs":{}}"#);
    realm.leave("bob", Cause::Goodbye);
    realm.check([
        r#"bob < [6,{},"wamp.close.goodbye_and_out"]"#,
        "bob left: goodbye",
        r#"alice < [36,#1,#2,{"publisher":bob,"publisher_authid":"bob","publisher_authrole":"user"},[3]]"#,
        r#"alice < [36,#1,#3,{},[1],{"k":"v"}]"#,
        "alice < [36,#1,#4,{},[2]]",
        "alice < [36,#1,#5,{},[4]]",
    ]);
}

#[test]
fn flushing_withdraws_those_of_one_scope() {
    for (arguments, left) in [
        ("", "detached"),
        (r#"[],{"scope":"destroyed"}"#, "detached"),
        (r#"[],{"scope":"detached"}"#, "destroyed"),
    ] {
        let mut realm = heirs();
        for scope in ["destroyed", "detached"] {
            add(&mut realm, &format!(r#"["a.last",["{scope}"],{{}}],{{"scope":"{scope}"}}"#));
        }
        realm.answers("bob", "wamp.session.flush_testaments", arguments, "");
        realm.leave("bob", Cause::TransportLost);
        realm.check(["bob left: transport_lost", &*format!(r#"alice < [36,#1,#2,{{}},["{left}"]]"#)]);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let invalid = |problem: &str| format!(r#""wamp.error.invalid_argument",["{problem}"]"#);
    let uri = |uri: &str, problem: &str| format!(r#""wamp.error.invalid_uri",["\"{uri}\" {problem}"]"#);
    let scope = invalid("scope must be a string, one of destroyed and detached");
    for (procedure, arguments, error) in [
        ("add_testament", "", invalid("topic must be a string")),
        ("add_testament", "[7,[],{}]", invalid("topic must be a string")),
        ("add_testament", r#"["a.last"]"#, invalid("args must be a list")),
        ("add_testament", r#"["a.last",{},{}]"#, invalid("args must be a list")),
        ("add_testament", r#"["a.last",[]]"#, invalid("kwargs must be a dict")),
        ("add_testament", r#"["a.last",[],[]]"#, invalid("kwargs must be a dict")),
        ("add_testament", r#"["a.last",[],{}],{"scope":"other"}"#, scope.clone()),
        ("add_testament", r#"["a.last",[],{}],{"scope":1}"#, scope.clone()),
        (
            "add_testament",
            r#"["a.last",[],{}],{"publish_options":[]}"#,
            invalid("publish_options must be a dict"),
        ),
        (
            "add_testament",
            r#"["a.last",[],{}],{"publish_options":{"disclose_me":1}}"#,
            invalid("add_testament.publish_options.disclose_me must be a boolean, not an integer"),
        ),
        (
            "add_testament",
            r#"["a.last",[],{}],{"publish_options":{"ppt_scheme":"x_app"}}"#,
            invalid("PUBLISH.Options.ppt_scheme is used, but payload_passthru_mode was not announced"),
        ),
        (
            "add_testament",
            r#"["a.last",[],{}],{"publish_options":{"ppt_keyid":"key"}}"#,
            invalid("PUBLISH.Options.ppt_keyid is used, but payload_passthru_mode was not announced"),
        ),
        ("add_testament", r#"["a..b",[],{}]"#, uri("a..b", "is not a valid uri")),
        (
            "add_testament",
            r#"["wamp.session.on_join",[],{}]"#,
            uri("wamp.session.on_join", "is reserved for the router"),
        ),
        ("flush_testaments", r#"[],{"scope":"other"}"#, scope),
    ] {
        let mut realm = heirs();
        realm.answers("bob", &format!("wamp.session.{procedure}"), arguments, &error);
        realm.leave("bob", Cause::TransportLost);
        realm.check(["bob left: transport_lost"]);
    }
}

#[test]
fn a_session_leaves_a_hundred_testaments_of_a_mebibyte_at_most() {
    let mut realm = heirs();
    for _ in 0..100 {
        add(&mut realm, r#"["a.last",[],{}]"#);
    }
    let many =
        r#""realmkeeper.error.limit_exceeded",["the session has left too many testaments: at most 100"]"#;
    realm.answers("bob", "wamp.session.add_testament", r#"["a.last",[],{}]"#, many);
    let mut realm = heirs();
    let large = |count: usize| format!(r#"["a.last",["{}"],{{}}]"#, "x".repeat(count));
    add(&mut realm, &large(600_000));
    let much = r#""realmkeeper.error.limit_exceeded",["the testaments of the session have too many octets: at most 1048576"]"#;
    realm.answers("bob", "wamp.session.add_testament", &large(600_000), much);
    add(&mut realm, &large(400_000));
}

#[test]
fn what_testaments_hold_is_counted_not_how_it_came() {
    let mut realm = heirs();
    let spacious = format!(r#"["a.last",[1,{}2],{{}}]"#, " ".repeat(600_000));
    add(&mut realm, &spacious);
    add(&mut realm, &spacious);
    realm.leave("bob", Cause::TransportLost);
    realm.check(["bob left: transport_lost", "alice < [36,#1,#2,{},[1,2]]", "alice < [36,#1,#3,{},[1,2]]"]);
}
