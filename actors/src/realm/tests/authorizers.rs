//! Roles whose sessions may do what a component says.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    message::uri::Match,
    permission::{Permissions, Role},
    realm::{RealmLimits, RealmOptions},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

pub(super) const DETAILS: &str = concat!(
    r#"{"session":ann,"authid":"ann","authrole":"asked","authmethod":"anonymous","authprovider":"static","#,
    r#""realm":"realm1","transport":{"channel_type":"tcp","channel_framing":"websocket","#,
    r#""channel_serializer":"json","peer":"tcp4:127.0.0.1:4711","is_secure":false,"#,
    r#""websocket_protocol":"wamp.2.json"}}"#
);

pub(super) fn failed(request_type: u64, request: u64) -> String {
    let text = r#"the authorizer of the role \"asked\" has not said whether this may be done"#;
    format!(r#"ann < [8,{request_type},{request},{{}},"wamp.error.authorization_failed",["{text}"]]"#)
}

fn denied(request_type: u64, request: u64, action: &str, uri: &str) -> String {
    let text = format!(r#"the role \"asked\" may not {action} \"{uri}\""#);
    format!(r#"ann < [8,{request_type},{request},{{}},"wamp.error.not_authorized",["{text}"]]"#)
}

/// A role that may do what its authorizer says.
pub(super) fn asked_role() -> Role {
    Role { authorizer: Some("auth.ask".into()), ..Role::new("asked", Permissions::new(Vec::new())) }
}

/// ann, whose role has an authorizer, and bob, whose role has not. Nobody answers for the authorizer.
pub(super) fn unanswered() -> TestRealm {
    let limits = RealmLimits { component_timeout: Duration::from_millis(100), ..RealmLimits::default() };
    let components = vec!["auth.ask".into()];
    let options = RealmOptions { limits, components, ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, ["bob"]);
    realm.try_join("ann", Some("ann"), asked_role(), Serializer::Json).unwrap();
    realm.lines.clear();
    realm
}

pub(super) fn component(realm: &mut TestRealm, name: &str, serializer: Serializer) {
    let role = Role { is_trusted: true, ..Role::unrestricted("component") };
    realm.try_join(name, Some(name), role, serializer).unwrap();
    realm.receive(name, r#"[64,1,{},"auth.ask"]"#);
    realm.lines.clear();
}

/// The same with cid, who carries out the authorizer.
pub(super) fn asked() -> TestRealm {
    let mut realm = unanswered();
    component(&mut realm, "cid", Serializer::Json);
    realm
}

/// What cid is asked, but for the registration.
#[track_caller]
pub(super) fn question(realm: &mut TestRealm, request: u64, uri: &str, action: &str, options: &str) {
    let lines = std::mem::take(&mut realm.lines);
    let expected = format!(r#"cid < [68,{request},#1,{{}},[{DETAILS},"{uri}","{action}",{options}]]"#);
    assert_eq!(lines, [expected]);
}

#[test]
fn each_action_is_asked_for_and_done_if_it_may_be() {
    let mut realm = asked();
    realm.receive("bob", r#"[64,1,{},"a.procedure"]"#);
    realm.receive("bob", r#"[32,1,{},"a.topic"]"#);
    realm.lines.clear();
    realm.receive("ann", r#"[32,1,{"match":"prefix","get_retained":true},"a."]"#);
    question(&mut realm, 1, "a.", "subscribe", r#"{"match":"prefix","get_retained":true}"#);
    realm.expect("cid", "[70,1,{},[true]]", ["ann < [33,1,#4]"]);
    realm.receive("ann", r#"[64,2,{"invoke":"first"},"a.other"]"#);
    question(&mut realm, 2, "a.other", "register", r#"{"invoke":"first"}"#);
    realm.expect("cid", r#"[70,2,{},[{"allow":true}]]"#, ["ann < [65,2,#5]"]);
    realm.receive("ann", r#"[48,3,{},"a.procedure",[7]]"#);
    question(&mut realm, 3, "a.procedure", "call", "{}");
    realm.expect(
        "cid",
        r#"[70,3,{},[{"allow":true,"cache":false,"validate":null}]]"#,
        ["bob < [68,1,#2,{},[7]]"],
    );
    realm.receive("ann", r#"[16,4,{"acknowledge":true},"a.topic",["x"]]"#);
    question(&mut realm, 4, "a.topic", "publish", r#"{"acknowledge":true}"#);
    realm.expect("cid", "[70,4,{},[true]]", ["bob < [36,#3,#6,{},[\"x\"]]", "ann < [17,4,#6]"]);
    // What the router would refuse anyway, and what is no action, is not asked for.
    realm.expect("ann", r#"[34,5,#4]"#, ["ann < [35,5]"]);
}

#[test]
fn what_is_too_large_for_the_component_is_not_waited_for() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.receive("ann", r#"[32,2,{},"a.c"]"#);
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    realm.refuse_invocation("cid", 1);
    // What came later is asked about.
    assert_eq!(realm.lines.remove(0), failed(32, 1));
    question(&mut realm, 2, "a.c", "subscribe", "{}");
    realm.pass(100);
    realm.check([&failed(32, 2)]);
}

#[test]
fn what_may_not_be_done_is_refused() {
    let mut realm = asked();
    for (request, kind, message, uri, action, options) in [
        (1, 32, r#"[32,1,{},"a.b"]"#, "a.b", "subscribe", "{}"),
        (2, 64, r#"[64,2,{},"a.b"]"#, "a.b", "register", "{}"),
        (3, 48, r#"[48,3,{},"wamp.session.kill_all"]"#, "wamp.session.kill_all", "call", "{}"),
        (4, 16, r#"[16,4,{"acknowledge":true},"a.b"]"#, "a.b", "publish", r#"{"acknowledge":true}"#),
    ] {
        realm.receive("ann", message);
        question(&mut realm, request, uri, action, options);
        let answer = if request % 2 == 0 { r#"{"allow":false}"# } else { "false" };
        realm.receive("cid", &format!("[70,{request},{{}},[{answer}]]"));
        assert_eq!(std::mem::take(&mut realm.lines), [denied(kind, request, action, uri)]);
    }
    realm.receive("ann", r#"[16,5,{},"a.b"]"#);
    question(&mut realm, 5, "a.b", "publish", "{}");
    realm.expect("cid", "[70,5,{},[false]]", []);
}

#[test]
fn an_answer_that_makes_no_sense_is_no_way_in() {
    let mut realm = asked();
    for (number, answer) in [
        "",
        ",[]",
        ",[null]",
        ",[1]",
        r#",["true"]"#,
        ",[[true]]",
        ",[true,true]",
        ",[{}]",
        r#",[{"allow":1}]"#,
        r#",[{"allow":null}]"#,
        r#",[{"cache":true}]"#,
        r#",[{"allow":true,"disclose":"yes"}]"#,
        r#",[{"allow":true,"cache":1}]"#,
        r#",[{"allow":true,"validate":{}}]"#,
        r#",[{"allow":true,"allowed":true}]"#,
        r#",[],{"allow":true}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let request = number as u64 + 1;
        realm.receive("ann", &format!(r#"[32,{request},{{}},"a.b"]"#));
        question(&mut realm, request, "a.b", "subscribe", "{}");
        realm.receive("cid", &format!("[70,{request},{{}}{answer}]"));
        assert_eq!(std::mem::take(&mut realm.lines), [failed(32, request)], "{answer}");
    }
}

#[test]
fn a_component_that_fails_leaves_or_hangs_is_no_way_in() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    realm.receive("cid", r#"[8,68,1,{},"app.error.secret",["of the component"]]"#);
    realm.check([&*failed(32, 1)]);
    // An error that asks for another callee is none but an error.
    realm.receive("ann", r#"[32,2,{},"a.b"]"#);
    question(&mut realm, 2, "a.b", "subscribe", "{}");
    realm.receive("cid", r#"[8,68,2,{},"wamp.error.unavailable"]"#);
    realm.check([&*failed(32, 2)]);
    realm.receive("ann", r#"[48,3,{},"a.b"]"#);
    question(&mut realm, 3, "a.b", "call", "{}");
    realm.pass(99);
    realm.check([]);
    realm.pass(1);
    realm.check([&*failed(48, 3)]);
    // Too late.
    realm.expect("cid", "[70,3,{},[true]]", []);
    realm.receive("ann", r#"[48,4,{},"a.b"]"#);
    question(&mut realm, 4, "a.b", "call", "{}");
    realm.leave("cid", Cause::TransportLost);
    realm.check(["cid left: transport_lost", &*failed(48, 4)]);
    realm.receive("ann", r#"[48,5,{},"a.b"]"#);
    realm.check([&*failed(48, 5)]);
}

#[test]
fn an_answer_in_parts_counts_when_it_is_whole() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    realm.expect("cid", r#"[70,1,{"progress":true},[true]]"#, []);
    realm.receive("cid", "[70,1,{},[false]]");
    realm.check([&*denied(32, 1, "subscribe", "a.b")]);
}

#[test]
fn a_verdict_may_be_kept_and_discloses_as_it_says() {
    let mut realm = asked();
    realm.receive("bob", r#"[64,1,{},"a.procedure"]"#);
    realm.lines.clear();
    realm.receive("ann", r#"[48,1,{},"a.procedure"]"#);
    question(&mut realm, 1, "a.procedure", "call", "{}");
    let ann = r#"{"caller":ann,"caller_authid":"ann","caller_authrole":"asked"}"#;
    let invoked = |request: u64, details: &str| format!("bob < [68,{request},#2,{details}]");
    realm.receive("cid", r#"[70,1,{},[{"allow":true,"cache":true,"disclose":true}]]"#);
    realm.check([&*invoked(1, ann)]);
    realm.receive("ann", r#"[48,2,{},"a.procedure"]"#);
    realm.check([&*invoked(2, ann)]);
    // Another session of the same role is asked about for itself.
    realm.try_join("eve", Some("eve"), asked_role(), Serializer::Json).unwrap();
    realm.lines.clear();
    realm.receive("eve", r#"[48,1,{},"a.procedure"]"#);
    assert!(realm.lines[0].starts_with(r#"cid < [68,2,#1,{},[{"session":eve,"#), "{:?}", realm.lines);
    realm.lines.clear();
    realm.receive("cid", r#"[70,2,{},[{"allow":false,"cache":true}]]"#);
    realm.lines.clear();
    realm.receive("eve", r#"[48,2,{},"a.procedure"]"#);
    assert_eq!(realm.lines, [denied(48, 2, "call", "a.procedure").replace("ann <", "eve <")]);
    realm.lines.clear();
    // What it says to be disclosed never is not, be it asked for or not.
    realm.receive("ann", r#"[48,3,{"disclose_me":true},"a.b"]"#);
    question(&mut realm, 3, "a.b", "call", r#"{"disclose_me":true}"#);
    realm.receive("cid", r#"[70,3,{},[{"allow":true,"disclose":false}]]"#);
    let text = r#"the role \"asked\" may not have the caller disclosed for \"a.b\""#;
    realm.check([&*format!(r#"ann < [8,48,3,{{}},"wamp.error.option_disallowed.disclose_me",["{text}"]]"#)]);
}

#[test]
fn nobody_answers_who_is_not_trusted() {
    let mut realm = unanswered();
    let text = r#"the role \"user\" may not register \"auth.ask\""#;
    realm.expect(
        "bob",
        r#"[64,1,{},"auth.ask"]"#,
        [&*format!(r#"bob < [8,64,1,{{}},"wamp.error.not_authorized",["{text}"]]"#)],
    );
    realm.expect("bob", r#"[64,2,{"match":"prefix"},"auth."]"#, ["bob < [65,2,#1]"]);
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.check([&*failed(32, 1)]);
}

#[test]
fn nobody_calls_what_the_router_asks_who_is_not_trusted() {
    let mut realm = asked();
    let text = r#"the role \"user\" may not call \"auth.ask\""#;
    realm.expect(
        "bob",
        r#"[48,1,{},"auth.ask",["ann"]]"#,
        [&*format!(r#"bob < [8,48,1,{{}},"wamp.error.not_authorized",["{text}"]]"#)],
    );
    realm.receive("ann", r#"[48,1,{},"auth.ask"]"#);
    question(&mut realm, 1, "auth.ask", "call", "{}");
    realm.expect("cid", "[70,1,{},[true]]", [&*denied(48, 1, "call", "auth.ask")]);
    // A pattern that it matches is not asked instead, be it of whom it may.
    realm.receive("cid", "[66,2,1]");
    realm.receive("cid", r#"[64,3,{"match":"prefix"},"auth."]"#);
    realm.lines.clear();
    realm.expect(
        "bob",
        r#"[48,2,{},"auth.ask"]"#,
        [&*format!(r#"bob < [8,48,2,{{}},"wamp.error.not_authorized",["{text}"]]"#)],
    );
    realm.expect("bob", r#"[48,3,{},"auth.other"]"#, [r#"cid < [68,2,#2,{"procedure":"auth.other"}]"#]);
}

#[test]
fn who_is_trusted_calls_what_the_router_asks() {
    let mut realm = asked();
    let role = Role { is_trusted: true, ..Role::unrestricted("component") };
    realm.try_join("cleo", Some("cleo"), role, Serializer::Json).unwrap();
    realm.lines.clear();
    realm.expect("cleo", r#"[48,1,{},"auth.ask",[1]]"#, ["cid < [68,1,#1,{},[1]]"]);
}

#[test]
fn an_authorizer_is_not_asked_about_itself() {
    let mut realm = unanswered();
    let role =
        Role { authorizer: Some("auth.ask".into()), is_trusted: true, ..Role::unrestricted("component") };
    realm.try_join("cid", Some("cid"), role, Serializer::Json).unwrap();
    realm.lines.clear();
    realm.expect("cid", r#"[64,1,{},"auth.ask"]"#, ["cid < [65,1,#1]"]);
}

#[test]
fn several_components_are_asked_in_turn_in_their_own_serializers() {
    let mut realm = unanswered();
    for (name, serializer) in [("cid", Serializer::MessagePack), ("cleo", Serializer::Cbor)] {
        let role = Role { is_trusted: true, ..Role::unrestricted("component") };
        realm.try_join(name, Some(name), role, serializer).unwrap();
        realm.receive(name, r#"[64,1,{"invoke":"roundrobin"},"auth.ask"]"#);
    }
    realm.lines.clear();
    for (request, name) in [(1, "cid"), (2, "cleo"), (3, "cid")] {
        realm.receive("ann", &format!(r#"[32,{request},{{}},"a.b"]"#));
        let invocation = request.min(2) / 2 + if name == "cid" { request / 2 } else { 0 };
        let invocation = if name == "cleo" { 1 } else { invocation.max(1) };
        let line = std::mem::take(&mut realm.lines).remove(0);
        assert!(line.starts_with(&format!("{name} < [68,{invocation},#1,{{}},[")), "{line}");
        realm.receive(name, &format!("[70,{invocation},{{}},[true]]"));
        realm.check([&*format!("ann < [33,{request},#2]")]);
    }
    assert!(realm.realm.broker.subscription_to("a.b", Match::Exact).is_some());
}

#[test]
fn what_an_authorizer_has_not_said_about_is_denied() {
    let mut realm = asked();
    // Events of the router reach a pattern only where that is known, and so do testaments their topic.
    realm.receive("ann", r#"[32,1,{"match":"prefix"},"wamp."]"#);
    realm.receive("cid", "[70,1,{},[true]]");
    realm.lines.clear();
    realm.join("dan", Serializer::Json);
    assert!(!realm.lines.iter().any(|line| line.starts_with("ann ")), "{:?}", realm.lines);
    realm.lines.clear();
    realm.receive("ann", r#"[48,2,{},"wamp.session.add_testament",["a.last",[],{}]]"#);
    question(&mut realm, 2, "wamp.session.add_testament", "call", "{}");
    realm.receive("cid", "[70,2,{},[true]]");
    realm.check([&*denied(48, 2, "publish", "a.last")]);
    realm.receive("ann", r#"[16,3,{},"a.last"]"#);
    realm.receive("cid", r#"[70,3,{},[{"allow":true,"cache":true}]]"#);
    realm.receive("ann", r#"[48,4,{},"wamp.session.add_testament",["a.last",[],{}]]"#);
    realm.lines.clear();
    realm.expect("cid", "[70,4,{},[true]]", ["ann < [50,4,{}]"]);
    realm.receive("bob", r#"[32,1,{},"a.last"]"#);
    realm.lines.clear();
    realm.leave("ann", Cause::TransportLost);
    assert!(realm.lines.iter().any(|line| line.starts_with("bob < [36,")), "{:?}", realm.lines);
}

#[test]
fn whatever_a_component_does_every_request_is_answered_once_and_in_order() {
    let mut chance = StdRng::seed_from_u64(3);
    let mut realm = unanswered();
    let askers = ["ann", "amy", "ada"];
    for name in &askers[1..] {
        realm.try_join(name, Some(name), asked_role(), Serializer::Json).unwrap();
    }
    realm.lines.clear();
    let (mut sent, mut answered, mut invoked) = ([0; 3], [0; 3], 0);
    let mut components = 0;
    for _ in 0..5000 {
        let name = format!("cid{components}x");
        match chance.random_range(0..20) {
            0 if components == 0 || realm.realm.dealer.registrations().len() == 0 => {
                components += 1;
                component(&mut realm, &format!("cid{components}x"), Serializer::Json);
                invoked = 0;
            }
            1 if realm.realm.dealer.registrations().len() > 0 => realm.leave(&name, Cause::TransportLost),
            2 => realm.pass(40),
            3..9 if invoked > 0 && realm.realm.dealer.registrations().len() > 0 => {
                let request = chance.random_range(1..=invoked);
                let answer =
                    ["true", "false", "7", r#"{"allow":true,"cache":true}"#][chance.random_range(0..4)];
                realm.receive(&name, &format!("[70,{request},{{}},[{answer}]]"));
            }
            _ => {
                let asker = chance.random_range(0..3);
                sent[asker] += 1;
                let (request, topic) = (sent[asker], chance.random_range(0..100));
                realm.receive(
                    askers[asker],
                    &format!(r#"[16,{request},{{"acknowledge":true}},"a.t{topic}"]"#),
                );
            }
        }
        realm.finish();
        for line in std::mem::take(&mut realm.lines) {
            if line.contains(" < [68,") {
                invoked += 1;
            } else if let Some(asker) = askers.iter().position(|name| line.starts_with(&format!("{name} < ")))
            {
                answered[asker] += 1;
                let next = format!("{},", answered[asker]);
                let rest = line.split_once("[17,").or_else(|| line.split_once("[8,16,"));
                assert!(rest.is_some_and(|(_, rest)| rest.starts_with(&next)), "{line} is not for {next}");
            }
        }
    }
    for _ in 0..=sent.iter().max().copied().unwrap_or_default() {
        realm.pass(100);
        realm.finish();
    }
    let rest = realm.lines.iter().filter(|line| !line.contains(" < [68,")).count();
    assert_eq!(answered.iter().sum::<u64>() + rest as u64, sent.iter().sum::<u64>());
    assert!(answered.iter().all(|count| *count > 500), "{answered:?}");
}

#[test]
fn what_an_authorizer_says_late_is_not_kept_when_another_is_asked() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    let other = |name: &str| Role {
        authorizer: Some("auth.other".into()),
        ..Role::new(name, Permissions::new(Vec::new()))
    };
    let components = vec!["auth.ask".into(), "auth.other".into()];
    realm.reload(RealmOptions { components, ..RealmOptions::default() }, |member| {
        let is_asked = member.role.asks().is_some();
        Some(if is_asked { other(member.authrole()).into() } else { member.role.clone() })
    });
    realm.expect("cid", r#"[70,1,{},[{"allow":true,"cache":true}]]"#, ["ann < [33,1,#2]"]);
    // Nobody has registered the other one.
    realm.expect("ann", r#"[32,2,{},"a.b"]"#, [&*failed(32, 2)]);
}
