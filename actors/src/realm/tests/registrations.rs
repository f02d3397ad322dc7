//! Registrations of patterns, and registrations that others take away.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer, message::feature::Feature, permission::Role};

/// Zoe calls; bob has registered patterns and one exact procedure, each under the request that the list counts.
fn patterns(patterns: &[(&str, &str)]) -> TestRealm {
    let mut realm = TestRealm::announcing(["zoe", "bob"]);
    for (place, (matching, procedure)) in patterns.iter().enumerate() {
        let request = place + 1;
        let register = format!(r#"[64,{request},{{"match":"{matching}"}},"{procedure}"]"#);
        realm.expect("bob", &register, [&*format!("bob < [65,{request},#{request}]")]);
    }
    realm
}

#[test]
fn the_most_specific_registration_takes_a_call() {
    let mut realm = patterns(&[
        ("exact", "a1.b2.c3.d4.e55"),
        ("prefix", "a1.b2.c3"),
        ("prefix", "a1.b2.c3.d4"),
        ("wildcard", "a1.b2..d4.e5"),
        ("wildcard", "a1.b2.c33..e5"),
        ("wildcard", "a1.b2..d4.e5..g7"),
        ("wildcard", "a1.b2..d4..f6.g7"),
    ]);
    for (request, (called, registration)) in [
        ("a1.b2.c3.d4.e55", 1),
        ("a1.b2.c3.d98.e74", 2),
        ("a1.b2.c3.d4.e325", 3),
        ("a1.b2.c55.d4.e5", 4),
        // Prefixes are plain text.
        ("a1.b2.c33.d4.e5", 2),
        ("a1.b2.c88.d4.e5.f6.g7", 6),
    ]
    .into_iter()
    .enumerate()
    {
        let details = match registration {
            1 => "{}".to_owned(),
            _ => format!(r#"{{"procedure":"{called}"}}"#),
        };
        let (request, call) = (request + 1, format!(r#"[48,{},{{}},"{called}"]"#, request + 1));
        realm.expect("zoe", &call, [&*format!("bob < [68,{request},#{registration},{details}]")]);
    }
    realm.expect("zoe", r#"[48,7,{},"a2.b2.c2.d2.e2"]"#, [
        r#"zoe < [8,48,7,{},"wamp.error.no_such_procedure",["no callee has registered \"a2.b2.c2.d2.e2\""]]"#,
    ]);
}

#[test]
fn one_text_is_another_registration_for_each_match() {
    let mut realm = patterns(&[("exact", "a.b"), ("prefix", "a.b"), ("wildcard", "a.b")]);
    realm.expect("zoe", r#"[48,1,{},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect("bob", "[66,4,#1]", ["bob < [67,4]"]);
    realm.expect("zoe", r#"[48,2,{},"a.b"]"#, [r#"bob < [68,2,#2,{"procedure":"a.b"}]"#]);
    realm.expect("bob", "[66,5,#2]", ["bob < [67,5]"]);
    realm.expect("zoe", r#"[48,3,{},"a.b"]"#, [r#"bob < [68,3,#3,{"procedure":"a.b"}]"#]);
    realm.expect(
        "bob",
        r#"[64,6,{"match":"wildcard"},"a.b"]"#,
        [r#"bob < [8,64,6,{},"wamp.error.procedure_already_exists",["\"a.b\" is registered already"]]"#],
    );
}

#[test]
fn no_pattern_reaches_what_is_the_routers() {
    let mut realm =
        patterns(&[("prefix", ""), ("prefix", "wam"), ("wildcard", ".session.kill_all"), ("wildcard", "..")]);
    realm.answers("zoe", "wamp.session.count", "", "[2]");
    for procedure in ["wamp.session.modify_details", "wamp.session.x", "wamp"] {
        let error = format!(r#""wamp.error.no_such_procedure",["no callee has registered \"{procedure}\""]"#);
        realm.answers("zoe", procedure, "", &error);
    }
    realm.expect("zoe", r#"[48,2,{},"wampum.a.b"]"#, [r#"bob < [68,1,#2,{"procedure":"wampum.a.b"}]"#]);
    for (request, (matching, uri)) in
        [("prefix", "wamp."), ("wildcard", "wamp.."), ("wildcard", "wamp.session."), ("prefix", "wamp")]
            .into_iter()
            .enumerate()
    {
        let request = request + 10;
        let error = format!(r#""wamp.error.invalid_uri",["\"{uri}\" is reserved for the router"]"#);
        let register = format!(r#"[64,{request},{{"match":"{matching}"}},"{uri}"]"#);
        realm.expect("bob", &register, [&*format!("bob < [8,64,{request},{{}},{error}]")]);
    }
}

#[test]
fn a_pattern_may_be_shared() {
    let mut realm = TestRealm::announcing(["zoe", "ann", "bob"]);
    for callee in ["ann", "bob"] {
        let register = r#"[64,1,{"match":"prefix","invoke":"roundrobin"},"a."]"#;
        realm.expect(callee, register, [&*format!("{callee} < [65,1,#1]")]);
    }
    realm.expect("zoe", r#"[48,1,{},"a.b"]"#, [r#"ann < [68,1,#1,{"procedure":"a.b"}]"#]);
    realm.expect("zoe", r#"[48,2,{},"a.c"]"#, [r#"bob < [68,1,#1,{"procedure":"a.c"}]"#]);
}

/// Bob holds `a.b` and announced what is needed to be told; ann may take procedures over.
fn taken(ann_takes_over: bool) -> TestRealm {
    let mut realm = TestRealm::announcing(["zoe", "bob"]);
    let role = Role { takes_over: ann_takes_over, ..Role::unrestricted("user") };
    realm.try_join("ann", Some("ann"), role, Serializer::Json).unwrap();
    realm.lines.clear();
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm
}

#[test]
fn who_may_takes_a_procedure_over() {
    let mut realm = taken(true);
    realm.expect("zoe", r#"[48,1,{},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect(
        "ann",
        r#"[64,1,{"force_reregister":true},"a.b"]"#,
        [r#"bob < [67,0,{"registration":#1}]"#, "ann < [65,1,#2]"],
    );
    // What was called before stays with who was called.
    realm.expect("bob", "[70,1,{}]", ["zoe < [50,1,{}]"]);
    realm.expect("zoe", r#"[48,2,{},"a.b"]"#, ["ann < [68,1,#2,{}]"]);
    realm.expect(
        "bob",
        "[66,2,#1]",
        [r#"bob < [8,66,2,{},"wamp.error.no_such_registration",["this session has no registration #1"]]"#],
    );
}

#[test]
fn who_takes_over_takes_from_all_callees_and_sets_the_policy() {
    let mut realm = taken(true);
    realm.expect("bob", r#"[64,2,{"invoke":"first"},"shared"]"#, ["bob < [65,2,#2]"]);
    realm.announce(&[]);
    realm.join("cat", Serializer::Json);
    realm.receive("cat", r#"[64,1,{"invoke":"first"},"shared"]"#);
    realm.lines.clear();
    // Cat has not announced that it knows what that means, and is not told.
    realm.expect(
        "ann",
        r#"[64,1,{"force_reregister":true},"shared"]"#,
        [r#"bob < [67,0,{"registration":#2}]"#, "ann < [65,1,#3]"],
    );
    realm.expect("zoe", r#"[48,1,{},"shared"]"#, ["ann < [68,1,#3,{}]"]);
    // Taking over what nobody holds is to register it.
    realm.expect("ann", r#"[64,2,{"force_reregister":true},"free"]"#, ["ann < [65,2,#4]"]);
}

#[test]
fn without_the_right_the_option_changes_nothing() {
    let mut realm = taken(false);
    realm.expect(
        "ann",
        r#"[64,1,{"force_reregister":true},"a.b"]"#,
        [r#"ann < [8,64,1,{},"wamp.error.procedure_already_exists",["\"a.b\" is registered already"]]"#],
    );
    realm.expect("zoe", r#"[48,1,{},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
}

#[test]
fn a_callee_is_removed_and_told_where_it_announced_that() {
    let mut realm = taken(false);
    realm.expect("zoe", r#"[48,1,{},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
    realm.expect(
        "zoe",
        r#"[48,2,{},"wamp.registration.remove_callee",[#1,@bob],{"reason":"too slow"}]"#,
        [r#"bob < [67,0,{"registration":#1,"reason":"too slow"}]"#, "zoe < [50,2,{}]"],
    );
    realm.expect("bob", "[70,1,{}]", ["zoe < [50,1,{}]"]);
    realm.expect("bob", r#"[64,2,{},"a.b"]"#, ["bob < [65,2,#2]"]);
    realm.expect(
        "zoe",
        r#"[48,3,{},"wamp.registration.remove_callee",[],{"registration":#2,"callee":@bob}]"#,
        [r#"bob < [67,0,{"registration":#2}]"#, "zoe < [50,3,{}]"],
    );
    realm.announce(&[Feature::CallCanceling]);
    realm.join("cat", Serializer::Json);
    realm.lines.clear();
    realm.expect("cat", r#"[64,1,{},"a.b"]"#, ["cat < [65,1,#3]"]);
    realm.expect("zoe", r#"[48,4,{},"wamp.registration.remove_callee",[#3,@cat]]"#, ["zoe < [50,4,{}]"]);
    realm.leave("cat", Cause::Goodbye);
    realm.lines.clear();
    for (arguments, error) in [
        ("[#3,@bob]", r#""wamp.error.no_such_registration",["there is no registration #3 in this realm"]"#),
        ("[#3]", r#""wamp.error.invalid_argument",["callee must be an id, an integer from 1 to 2^53"]"#),
        ("[]", r#""wamp.error.invalid_argument",["registration must be an id, an integer from 1 to 2^53"]"#),
        ("[#3,@bob],{\"reason\":1}", r#""wamp.error.invalid_argument",["reason must be a string"]"#),
    ] {
        realm.answers("zoe", "wamp.registration.remove_callee", arguments, error);
    }
    realm.expect("bob", r#"[64,3,{},"a.b"]"#, ["bob < [65,3,#4]"]);
    let error = r#""wamp.error.no_such_session",["the registration has no callee zoe"]"#;
    realm.answers("zoe", "wamp.registration.remove_callee", "[#4,@zoe]", error);
}
