//! Calls that have to be answered in time.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer, message::feature::Feature};

const INTERRUPT: &str = r#"{"mode":"killnowait","reason":"wamp.error.timeout"}"#;

/// Members who announce everything, of whom bob has registered `a.b`.
fn registered() -> TestRealm {
    let mut realm = TestRealm::announcing(["alice", "bob"]);
    realm.expect("bob", r#"[64,1,{},"a.b"]"#, ["bob < [65,1,#1]"]);
    realm
}

fn timed_out(request: u64, milliseconds: u64) -> String {
    let text = format!("the call was not answered within {milliseconds} ms");
    format!(r#"alice < [8,48,{request},{{}},"wamp.error.timeout",["{text}"]]"#)
}

#[test]
fn a_call_that_is_not_answered_in_time_ends() {
    let mut realm = registered();
    realm.expect("alice", r#"[48,5,{"timeout":100},"a.b"]"#, ["bob < [68,1,#1,{}]"]);
    realm.pass(99);
    realm.check([]);
    realm.pass(1);
    realm.check([&*format!("bob < [69,1,{INTERRUPT}]"), &*timed_out(5, 100)]);
    assert_eq!(realm.realm.next_timeout(), None);
    realm.expect("bob", "[70,1,{}]", []);
    realm.expect("alice", "[49,5,{}]", []);
}

#[test]
fn a_callee_that_cannot_be_interrupted_is_left_alone() {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.receive("bob", r#"[64,1,{},"a.b"]"#);
    realm.receive("alice", r#"[48,5,{"timeout":100},"a.b"]"#);
    realm.lines.clear();
    realm.pass(100);
    realm.check([&*timed_out(5, 100)]);
}

#[test]
fn calls_end_in_the_order_of_their_times_and_what_was_answered_does_not() {
    let mut realm = registered();
    for (request, timeout) in [(1, 300), (2, 100), (3, 200), (4, 0), (5, 100)] {
        realm.receive("alice", &format!(r#"[48,{request},{{"timeout":{timeout}}},"a.b"]"#));
    }
    realm.receive("bob", "[70,3,{}]");
    realm.lines.clear();
    realm.pass(100);
    realm.check([
        &*format!("bob < [69,2,{INTERRUPT}]"),
        &*timed_out(2, 100),
        &*format!("bob < [69,5,{INTERRUPT}]"),
        &*timed_out(5, 100),
    ]);
    realm.pass(1000);
    realm.check([&*format!("bob < [69,1,{INTERRUPT}]"), &*timed_out(1, 300)]);
    realm.expect("bob", "[70,4,{}]", ["alice < [50,4,{}]"]);
}

#[test]
fn every_part_of_a_result_begins_the_time_anew() {
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"timeout":100,"receive_progress":true},"a.b"]"#);
    for _ in 0..3 {
        realm.pass(90);
        realm.receive("bob", r#"[70,1,{"progress":true}]"#);
    }
    realm.lines.clear();
    realm.pass(99);
    realm.check([]);
    realm.pass(1);
    realm.check([&*format!("bob < [69,1,{INTERRUPT}]"), &*timed_out(5, 100)]);
}

#[test]
fn neither_parts_that_are_dropped_nor_parts_of_the_arguments_give_more_time() {
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"timeout":100,"progress":true},"a.b"]"#);
    realm.pass(90);
    realm.receive("bob", r#"[70,1,{"progress":true}]"#);
    realm.receive("alice", r#"[48,5,{"progress":true},"a.b"]"#);
    realm.lines.clear();
    realm.pass(10);
    realm.check([&*format!("bob < [69,1,{INTERRUPT}]"), &*timed_out(5, 100)]);
    realm.expect("alice", r#"[48,5,{},"a.b"]"#, []);
}

#[test]
fn a_callee_may_keep_the_time_itself() {
    let mut realm = registered();
    realm.expect("bob", r#"[64,2,{"forward_timeout":true},"kept"]"#, ["bob < [65,2,#2]"]);
    realm.expect("alice", r#"[48,5,{"timeout":100},"kept"]"#, [r#"bob < [68,1,#2,{"timeout":100}]"#]);
    assert_eq!(realm.realm.next_timeout(), None);
    realm.pass(1000);
    realm.expect(
        "bob",
        r#"[8,68,1,{},"wamp.error.timeout"]"#,
        [r#"alice < [8,48,5,{},"wamp.error.timeout"]"#],
    );
    realm.expect("alice", r#"[48,6,{"timeout":0},"kept"]"#, ["bob < [68,2,#2,{}]"]);
    // It is the dealer's to keep where the callee has not announced that it can.
    realm.announce(&[Feature::CallCanceling]);
    realm.join("carol", Serializer::Json);
    realm.lines.clear();
    realm.expect(
        "carol",
        r#"[64,1,{"forward_timeout":true},"not kept"]"#,
        [r#"carol < [8,64,1,{},"wamp.error.invalid_uri",["\"not kept\" is not a valid uri"]]"#],
    );
    realm.expect("carol", r#"[64,1,{"forward_timeout":true},"unkept"]"#, ["carol < [65,1,#3]"]);
    realm.expect("alice", r#"[48,7,{"timeout":100},"unkept"]"#, ["carol < [68,1,#3,{}]"]);
    realm.pass(100);
    realm.check([&*format!("carol < [69,1,{INTERRUPT}]"), &*timed_out(7, 100)]);
}

#[test]
fn a_kill_does_not_wait_beyond_the_time() {
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"timeout":100},"a.b"]"#);
    realm.receive("alice", r#"[49,5,{"mode":"kill"}]"#);
    realm.lines.clear();
    realm.pass(100);
    realm.check([&*format!("bob < [69,1,{INTERRUPT}]"), &*timed_out(5, 100)]);
}

#[test]
fn who_leaves_takes_the_times_of_its_calls_along() {
    for who in ["alice", "bob"] {
        let mut realm = registered();
        realm.receive("alice", r#"[48,5,{"timeout":100},"a.b"]"#);
        realm.leave(who, Cause::TransportLost);
        assert_eq!(realm.realm.next_timeout(), None, "{who}");
    }
}

#[test]
fn the_longest_time_is_no_fault_and_the_procedures_of_the_router_take_none() {
    let mut realm = registered();
    realm.receive("alice", r#"[48,5,{"timeout":18446744073709551615},"a.b"]"#);
    realm.lines.clear();
    realm.pass(u64::from(u32::MAX));
    realm.check([]);
    realm.expect(
        "alice",
        r#"[48,6,{"timeout":1,"receive_progress":true},"wamp.session.count"]"#,
        ["alice < [50,6,{},[2]]"],
    );
}
