//! `wamp.registration.*`: what it answers, and what it tells when.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer, permission::Role};

/// Zoe watches all that is told of registrations, under the subscriptions #1 to #4.
fn watched() -> TestRealm {
    let mut realm = TestRealm::announcing(["zoe", "ann", "bob"]);
    for (place, event) in ["on_create", "on_register", "on_unregister", "on_delete"].iter().enumerate() {
        let request = place + 1;
        let subscribe = format!(r#"[32,{request},{{}},"wamp.registration.{event}"]"#);
        realm.expect("zoe", &subscribe, [&*format!("zoe < [33,{request},#{request}]")]);
    }
    realm
}

const DETAILS: &str = r#""created":"1970-01-01T00:00:00.000Z","uri":"a.b","match":"exact","invoke":"first""#;

#[test]
fn a_registration_is_told_from_its_first_callee_to_its_last() {
    let mut realm = watched();
    let register = r#"[64,1,{"invoke":"first"},"a.b"]"#;
    realm.expect(
        "ann",
        register,
        [
            "ann < [65,1,#5]",
            &*format!(r#"zoe < [36,#1,#6,{{}},[ann,{{"id":#5,{DETAILS}}}]]"#),
            "zoe < [36,#2,#7,{},[ann,#5]]",
        ],
    );
    realm.expect("bob", register, ["bob < [65,1,#5]", "zoe < [36,#2,#8,{},[bob,#5]]"]);
    // Who is a callee already does not become one.
    realm.expect("bob", r#"[64,2,{"invoke":"first"},"a.b"]"#, ["bob < [65,2,#5]"]);
    realm.expect("ann", "[66,2,#5]", ["ann < [67,2]", "zoe < [36,#3,#9,{},[ann,#5]]"]);
    realm.expect(
        "bob",
        "[66,3,#5]",
        ["bob < [67,3]", "zoe < [36,#3,#10,{},[bob,#5]]", "zoe < [36,#4,#11,{},[bob,#5]]"],
    );
}

#[test]
fn a_leave_is_told_in_the_order_of_what_it_means() {
    let mut realm = watched();
    realm.receive("zoe", r#"[32,5,{},"wamp.session.on_leave"]"#);
    realm.receive("zoe", r#"[32,6,{},"t"]"#);
    realm.receive("ann", r#"[64,1,{},"a"]"#);
    realm.receive("ann", r#"[64,2,{"invoke":"last"},"b"]"#);
    realm.receive("bob", r#"[64,1,{"invoke":"last"},"b"]"#);
    realm.receive("ann", r#"[48,3,{},"wamp.session.add_testament",["t",[],{}]]"#);
    realm.receive("zoe", r#"[48,7,{},"a"]"#);
    realm.lines.clear();
    realm.leave("ann", Cause::TransportLost);
    realm.check([
        "ann left: transport_lost",
        r#"zoe < [8,48,7,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
        "zoe < [36,#3,#14,{},[ann,#7]]",
        "zoe < [36,#4,#15,{},[ann,#7]]",
        "zoe < [36,#3,#16,{},[ann,#10]]",
        "zoe < [36,#6,#17,{}]",
        r#"zoe < [36,#5,#18,{},[ann,"ann","user"]]"#,
    ]);
}

#[test]
fn kill_all_ends_registrations_as_others_do() {
    let mut realm = watched();
    realm.receive("ann", r#"[64,1,{},"a"]"#);
    realm.lines.clear();
    realm.receive("zoe", r#"[48,7,{},"wamp.session.kill_all"]"#);
    realm.check([
        r#"ann < [6,{},"wamp.close.killed"]"#,
        "ann left: killed_all by zoe with wamp.close.killed",
        "zoe < [36,#3,#8,{},[ann,#5]]",
        "zoe < [36,#4,#9,{},[ann,#5]]",
        r#"bob < [6,{},"wamp.close.killed"]"#,
        "bob left: killed_all by zoe with wamp.close.killed",
        "zoe < [50,7,{},[2]]",
    ]);
}

#[test]
fn what_is_taken_away_is_told_before_who_took_it_is_answered() {
    let mut realm = watched();
    realm.receive("ann", r#"[64,1,{},"a"]"#);
    realm.lines.clear();
    realm.expect(
        "bob",
        r#"[48,1,{},"wamp.registration.remove_callee",[#5,@ann]]"#,
        [
            r#"ann < [67,0,{"registration":#5}]"#,
            "zoe < [36,#3,#8,{},[ann,#5]]",
            "zoe < [36,#4,#9,{},[ann,#5]]",
            "bob < [50,1,{}]",
        ],
    );
    realm.receive("ann", r#"[64,2,{},"a"]"#);
    let role = Role { takes_over: true, ..Role::unrestricted("user") };
    realm.try_join("cat", Some("cat"), role, Serializer::Json).unwrap();
    realm.lines.clear();
    realm.receive("cat", r#"[64,1,{"force_reregister":true,"match":"exact"},"a"]"#);
    realm.check([
        r#"ann < [67,0,{"registration":#10}]"#,
        "cat < [65,1,#13]",
        "zoe < [36,#3,#14,{},[ann,#10]]",
        "zoe < [36,#4,#15,{},[ann,#10]]",
        r#"zoe < [36,#1,#16,{},[cat,{"id":#13,"created":"1970-01-01T00:00:00.000Z","uri":"a","match":"exact","invoke":"single"}]]"#,
        "zoe < [36,#2,#17,{},[cat,#13]]",
    ]);
}

#[test]
fn registrations_are_listed_found_and_described() {
    let mut realm = TestRealm::announcing(["zoe", "ann", "bob"]);
    realm.answers("zoe", "wamp.registration.list", "", r#"[{"exact":[],"prefix":[],"wildcard":[]}]"#);
    for (name, options, uri) in [
        ("ann", r#"{"invoke":"first"}"#, "a.b"),
        ("ann", r#"{"match":"prefix"}"#, "a."),
        ("ann", r#"{"match":"wildcard","invoke":"random"}"#, "a..c"),
        ("bob", r#"{"invoke":"first"}"#, "a.b"),
        ("bob", "{}", "b"),
    ] {
        realm.receive(name, &format!(r#"[64,1,{options},"{uri}"]"#));
    }
    realm.lines.clear();
    for (procedure, arguments, answer) in [
        ("list", "", r#"[{"exact":[#1,#4],"prefix":[#2],"wildcard":[#3]}]"#),
        ("lookup", r#"["a.b"]"#, "[#1]"),
        ("lookup", r#"["a."]"#, "[null]"),
        ("lookup", r#"["a.",{"match":"prefix"}]"#, "[#2]"),
        ("lookup", r#"["a..c",{"match":"wildcard"}]"#, "[#3]"),
        ("lookup", r#"["a.b",null]"#, "[#1]"),
        ("lookup", r#"["a.b",{"match":"exact","more":1}]"#, "[#1]"),
        ("lookup", r#"[],{"procedure":"a.","options":{"match":"prefix"}}"#, "[#2]"),
        ("lookup", r#"["wamp.registration.lookup"]"#, "[null]"),
        ("match", r#"["a.b"]"#, "[#1]"),
        ("match", r#"["a.x"]"#, "[#2]"),
        ("match", r#"["a.x.c"]"#, "[#2]"),
        ("match", r#"["x"]"#, "[null]"),
        ("match", r#"["wamp.registration.match"]"#, "[null]"),
        (
            "get",
            "[#3]",
            r#"[{"id":#3,"created":"1970-01-01T00:00:00.000Z","uri":"a..c","match":"wildcard","invoke":"random"}]"#,
        ),
        ("get", "[],{\"registration\":#1}", &*format!("[{{\"id\":#1,{DETAILS}}}]")),
        ("list_callees", "[#1]", "[[ann,bob]]"),
        ("list_callees", "[#2]", "[[ann]]"),
        ("count_callees", "[#1]", "[2]"),
        ("get", "[77]", r#""wamp.error.no_such_registration",["there is no registration 77 in this realm"]"#),
        (
            "list_callees",
            "[77]",
            r#""wamp.error.no_such_registration",["there is no registration 77 in this realm"]"#,
        ),
        (
            "count_callees",
            "[77]",
            r#""wamp.error.no_such_registration",["there is no registration 77 in this realm"]"#,
        ),
        (
            "get",
            r#"["a"]"#,
            r#""wamp.error.invalid_argument",["registration must be an id, an integer from 1 to 2^53"]"#,
        ),
        ("match", "[1]", r#""wamp.error.invalid_argument",["procedure must be a string"]"#),
        ("lookup", r#"["a",1]"#, r#""wamp.error.invalid_argument",["options must be a dict"]"#),
        (
            "lookup",
            r#"["a",{"match":"some"}]"#,
            r#""wamp.error.invalid_argument",["lookup.options.match must be a string, one of exact, prefix and wildcard"]"#,
        ),
        (
            "nothing",
            "",
            r#""wamp.error.no_such_procedure",["no callee has registered \"wamp.registration.nothing\""]"#,
        ),
    ] {
        realm.answers("zoe", &format!("wamp.registration.{procedure}"), arguments, answer);
    }
}
