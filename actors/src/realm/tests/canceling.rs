//! CANCEL in each mode, with callees that can be interrupted and callees that cannot.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer, message::feature::Feature};

const CANCELED: &str = r#""wamp.error.canceled",["the caller canceled the call"]"#;
const GONE: &str = r#""wamp.error.canceled",["the callee left before it answered"]"#;

/// A call of alice, with the request 5, that bob has not answered yet. Bob can be interrupted.
fn called() -> TestRealm {
    called_by(TestRealm::announcing(["alice", "bob"]))
}

/// The same, but that bob cannot be interrupted.
fn called_deaf() -> TestRealm {
    called_by(TestRealm::with(["alice", "bob"]))
}

fn called_by(mut realm: TestRealm) -> TestRealm {
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm.expect("alice", r#"[48,5,{},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
    realm
}

fn canceled(request: u64) -> String {
    format!("alice < [8,48,{request},{{}},{CANCELED}]")
}

#[test]
fn skip_answers_at_once_and_leaves_the_callee_alone() {
    for mut realm in [called(), called_deaf()] {
        realm.expect("alice", r#"[49,5,{"mode":"skip"}]"#, [&*canceled(5)]);
        realm.expect("bob", "[70,1,{},[1]]", []);
        realm.expect("bob", r#"[8,68,1,{},"a.problem"]"#, []);
    }
}

#[test]
fn killnowait_interrupts_the_callee_and_answers_at_once() {
    for mode in [r#"{"mode":"killnowait"}"#, "{}", r#"{"mode":null}"#] {
        let mut realm = called();
        realm.expect(
            "alice",
            &format!("[49,5,{mode}]"),
            [r#"bob < [69,1,{"mode":"killnowait"}]"#, &*canceled(5)],
        );
        realm.expect("bob", r#"[8,68,1,{},"wamp.error.canceled"]"#, []);
    }
}

#[test]
fn kill_interrupts_the_callee_and_waits_for_its_answer() {
    for (answer, forwarded) in [
        ("[70,1,{},[1]]", "alice < [50,5,{},[1]]"),
        (r#"[8,68,1,{},"a.problem",[2]]"#, r#"alice < [8,48,5,{},"a.problem",[2]]"#),
        // Which other callee would want a call that is canceled?
        (r#"[8,68,1,{},"wamp.error.unavailable"]"#, r#"alice < [8,48,5,{},"wamp.error.unavailable"]"#),
    ] {
        let mut realm = called();
        realm.expect("alice", r#"[49,5,{"mode":"kill"}]"#, [r#"bob < [69,1,{"mode":"kill"}]"#]);
        realm.expect("bob", answer, [forwarded]);
        realm.expect("bob", answer, []);
        realm.expect("alice", r#"[49,5,{"mode":"kill"}]"#, []);
    }
}

#[test]
fn a_callee_that_cannot_be_interrupted_is_left_alone_in_every_mode() {
    for mode in ["skip", "kill", "killnowait"] {
        let mut realm = called_deaf();
        realm.expect("alice", &format!(r#"[49,5,{{"mode":"{mode}"}}]"#), [&*canceled(5)]);
        realm.expect("bob", "[70,1,{},[1]]", []);
        // The request id is free again.
        realm.expect("alice", r#"[48,5,{},"a.b"]"#, ["bob < [68,2,#1,{}]"]);
    }
}

#[test]
fn a_kill_that_waits_can_be_ended_by_another_cancel_but_not_repeated() {
    for (mode, interrupt) in [("skip", None), ("killnowait", Some(r#"bob < [69,1,{"mode":"killnowait"}]"#))] {
        let mut realm = called();
        realm.expect("alice", r#"[49,5,{"mode":"kill"}]"#, [r#"bob < [69,1,{"mode":"kill"}]"#]);
        realm.expect("alice", r#"[49,5,{"mode":"kill"}]"#, []);
        realm.receive("alice", &format!(r#"[49,5,{{"mode":"{mode}"}}]"#));
        let expected: Vec<_> = interrupt.map(str::to_owned).into_iter().chain([canceled(5)]).collect();
        assert_eq!(std::mem::take(&mut realm.lines), expected);
        realm.expect("alice", r#"[49,5,{"mode":"skip"}]"#, []);
        realm.expect("bob", "[70,1,{},[1]]", []);
    }
}

#[test]
fn a_kill_that_waits_for_a_callee_that_leaves_is_answered() {
    let mut realm = called();
    realm.expect("alice", r#"[49,5,{"mode":"kill"}]"#, [r#"bob < [69,1,{"mode":"kill"}]"#]);
    realm.leave("bob", Cause::TransportLost);
    realm.check(["bob left: transport_lost", &*format!("alice < [8,48,5,{{}},{GONE}]")]);
}

#[test]
fn a_result_may_cross_a_cancel() {
    let mut realm = called();
    realm.expect("bob", "[70,1,{},[1]]", ["alice < [50,5,{},[1]]"]);
    for mode in ["skip", "kill", "killnowait"] {
        realm.expect("alice", &format!(r#"[49,5,{{"mode":"{mode}"}}]"#), []);
    }
    realm.expect("alice", "[49,77,{}]", []);
    // A call of the router's own procedures is over when it is answered.
    realm.answers("alice", "wamp.session.count", "", "[2]");
    realm.expect("alice", "[49,77,{}]", []);
}

#[test]
fn nobody_cancels_the_call_of_another() {
    let mut realm = called();
    realm.join("carol", Serializer::Json);
    realm.lines.clear();
    realm.expect("carol", r#"[49,5,{"mode":"skip"}]"#, []);
    realm.expect("bob", r#"[49,5,{"mode":"skip"}]"#, []);
    realm.expect("bob", "[70,1,{}]", ["alice < [50,5,{}]"]);
}

#[test]
fn a_caller_that_leaves_interrupts_those_who_work_for_it() {
    let mut realm = called();
    realm.announce(&[]);
    realm.join("carol", Serializer::Json);
    realm.receive("carol", r#"[64,1,{},"deaf"]"#);
    realm.receive("alice", r#"[48,6,{},"deaf"]"#);
    realm.receive("alice", r#"[48,7,{},"a.b"]"#);
    realm.lines.clear();
    realm.leave("alice", Cause::PingTimeout);
    realm.check([
        "alice left: ping_timeout",
        r#"bob < [69,1,{"mode":"killnowait"}]"#,
        r#"bob < [69,2,{"mode":"killnowait"}]"#,
    ]);
    realm.expect("bob", "[70,1,{}]", []);
    realm.expect("carol", "[70,1,{}]", []);
}

#[test]
fn a_session_may_cancel_its_call_of_its_own_procedure() {
    let mut realm = TestRealm::announcing(["alice"]);
    realm.expect("alice", r#"[64,1,{},"a.b"]"#, ["alice < [65,1,#1]"]);
    realm.expect("alice", r#"[48,2,{},"a.b"]"#, ["alice < [68,1,#1,{}]"]);
    realm.expect("alice", "[49,2,{}]", [r#"alice < [69,1,{"mode":"killnowait"}]"#, &*canceled(2)]);
    realm.expect("alice", r#"[48,3,{},"a.b"]"#, ["alice < [68,2,#1,{}]"]);
    realm.leave("alice", Cause::Goodbye);
    realm.check([r#"alice < [6,{},"wamp.close.goodbye_and_out"]"#, "alice left: goodbye"]);
}

#[test]
fn the_feature_may_be_spelled_as_one_section_spells_it() {
    // What is announced is read by `Roles`, where both names are one feature.
    let mut realm = TestRealm::with(["alice"]);
    realm.announce(&[Feature::CallCanceling]);
    realm.join("bob", Serializer::Json);
    realm.lines.clear();
    let mut realm = called_by(realm);
    realm.expect("alice", "[49,5,{}]", [r#"bob < [69,1,{"mode":"killnowait"}]"#, &*canceled(5)]);
}
