//! What waits of a session while its authorizer is asked.

use super::authorizers::{DETAILS, asked, asked_role, component, question, unanswered};
use crate::{cause::Cause, codec::Serializer, message::feature::Feature};

#[test]
fn what_a_session_sends_while_its_authorizer_is_asked_waits_in_order_and_nobody_else_does() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    realm.expect("ann", r#"[16,2,{"acknowledge":true,"exclude_me":false},"a.b",[1]]"#, []);
    realm.expect("ann", r#"[34,3,7]"#, []);
    realm.expect("ann", r#"[48,4,{},"a.c"]"#, []);
    realm.expect("ann", r#"[6,{},"wamp.close.normal"]"#, []);
    realm.expect("ann", r#"[16,5,{"acknowledge":true},"a.b",["behind goodbye"]]"#, []);
    realm.answers("bob", "wamp.session.count", "", "[3]");
    realm.receive("cid", "[70,1,{},[true]]");
    let options = r#"{"acknowledge":true,"exclude_me":false}"#;
    realm.check([
        "ann < [33,1,#2]",
        &*format!(r#"cid < [68,2,#1,{{}},[{DETAILS},"a.b","publish",{options}]]"#),
    ]);
    realm.receive("cid", "[70,2,{},[true]]");
    realm.check([
        "ann < [36,#2,#3,{},[1]]",
        "ann < [17,2,#3]",
        r#"ann < [8,34,3,{},"wamp.error.no_such_subscription",["this session has no subscription 7"]]"#,
        &*format!(r#"cid < [68,3,#1,{{}},[{DETAILS},"a.c","call",{{}}]]"#),
    ]);
    realm.receive("cid", "[70,3,{},[true]]");
    realm.check([
        r#"ann < [8,48,4,{},"wamp.error.no_such_procedure",["no callee has registered \"a.c\""]]"#,
        r#"ann < [6,{},"wamp.close.goodbye_and_out"]"#,
        "ann left: goodbye",
    ]);
}

#[test]
fn a_session_that_leaves_meanwhile_leaves_nothing_behind() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.receive("ann", r#"[32,2,{},"a.c"]"#);
    realm.lines.clear();
    realm.leave("ann", Cause::TransportLost);
    realm.check(["ann left: transport_lost"]);
    realm.expect("cid", "[70,1,{},[true]]", []);
    realm.pass(1000);
    realm.check([]);

    // Who is told to stop, is.
    let mut realm = unanswered();
    realm.announce(&[Feature::CallCanceling]);
    component(&mut realm, "cid", Serializer::Json);
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.expect(
        "bob",
        &realm.written(r#"[48,1,{},"wamp.session.kill",[@ann]]"#),
        [
            r#"ann < [6,{},"wamp.close.killed"]"#,
            "ann left: killed by bob with wamp.close.killed",
            r#"cid < [69,1,{"mode":"killnowait"}]"#,
            "bob < [50,1,{}]",
        ],
    );
}

#[test]
fn the_time_of_a_call_runs_while_the_authorizer_is_asked() {
    let mut realm = asked();
    realm.receive("bob", r#"[64,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.receive("ann", r#"[48,1,{"timeout":50},"a.b"]"#);
    realm.receive("ann", r#"[48,2,{"timeout":50},"a.b"]"#);
    question(&mut realm, 1, "a.b", "call", r#"{"timeout":50}"#);
    realm.pass(30);
    realm.receive("cid", "[70,1,{},[true]]");
    assert_eq!(realm.lines.remove(0), "bob < [68,1,#2,{}]");
    question(&mut realm, 2, "a.b", "call", r#"{"timeout":50}"#);
    realm.pass(20);
    let overdue = |request: u64| {
        format!(
            r#"ann < [8,48,{request},{{}},"wamp.error.timeout",["the call was not answered within 50 ms"]]"#
        )
    };
    realm.check([&*overdue(1)]);
    realm.expect("cid", "[70,2,{},[true]]", [&*overdue(2)]);
}

#[test]
fn what_waited_goes_on_in_turns() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    for request in 2..=200 {
        realm.receive("ann", &format!("[34,{request},5]"));
    }
    question(&mut realm, 1, "a.b", "subscribe", "{}");
    realm.receive("cid", "[70,1,{},[true]]");
    assert_eq!(realm.lines.len(), 65, "{:?}", realm.lines);
    assert_eq!(realm.lines.pop().as_deref(), Some("ann has to wait"));
    // What comes meanwhile waits behind it.
    realm.receive("ann", "[34,201,5]");
    realm.go_on("ann");
    realm.finish();
    let text = "this session has no subscription 5";
    let refused =
        |request: u64| format!(r#"ann < [8,34,{request},{{}},"wamp.error.no_such_subscription",["{text}"]]"#);
    let expected: Vec<_> =
        std::iter::once("ann < [33,1,#2]".to_owned()).chain((2..=201).map(refused)).collect();
    assert_eq!(std::mem::take(&mut realm.lines), expected);
    realm.receive("ann", "[34,202,5]");
    realm.check([&*refused(202)]);
}

#[test]
fn who_closes_its_side_leaves_when_what_it_has_sent_is_done() {
    let mut realm = asked();
    realm.receive("bob", r#"[32,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.receive("ann", r#"[16,1,{},"a.b",[1]]"#);
    question(&mut realm, 1, "a.b", "publish", "{}");
    realm.receive("ann", r#"[16,2,{},"a.b",[2]]"#);
    realm.leave_in_turn("ann", Cause::TransportClosed);
    realm.check([]);
    realm.receive("cid", "[70,1,{},[true]]");
    assert_eq!(realm.lines.remove(0), "bob < [36,#2,#3,{},[1]]");
    question(&mut realm, 2, "a.b", "publish", "{}");
    realm.expect("cid", "[70,2,{},[true]]", ["bob < [36,#2,#4,{},[2]]", "ann left: transport_closed"]);

    // Nobody has to wait who has said all.
    let mut realm = asked();
    realm.leave_in_turn("ann", Cause::TransportClosed);
    realm.check(["ann left: transport_closed"]);

    // The first cause counts, be it of what waits.
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.receive("ann", r#"[6,{},"wamp.close.normal"]"#);
    realm.leave_in_turn("ann", Cause::TransportClosed);
    realm.lines.clear();
    realm.expect(
        "cid",
        "[70,1,{},[true]]",
        ["ann < [33,1,#2]", r#"ann < [6,{},"wamp.close.goodbye_and_out"]"#, "ann left: goodbye"],
    );
}

#[test]
fn who_breaks_the_protocol_is_answered_what_came_before() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    for request in 2..=80 {
        realm.receive("ann", &format!("[34,{request},5]"));
    }
    realm.leave_in_turn("ann", Cause::InvalidUtf8);
    realm.lines.clear();
    realm.receive("cid", "[70,1,{},[true]]");
    realm.finish();
    let (last, lines) = (realm.lines.len() - 1, std::mem::take(&mut realm.lines));
    assert_eq!(lines[0], "ann < [33,1,#2]");
    assert_eq!(lines[last], "ann left: invalid_utf8");
    assert!(lines[last - 1].starts_with(r#"ann < [3,"#), "{lines:?}");
    assert_eq!(last - 1, 80, "{lines:?}");
}

#[test]
fn who_is_gone_before_its_turn_to_leave_leaves_at_once() {
    let mut realm = asked();
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.leave_in_turn("ann", Cause::TransportClosed);
    realm.lines.clear();
    realm.leave("ann", Cause::TransportClosed);
    realm.check(["ann left: transport_closed"]);
    realm.expect("cid", "[70,1,{},[true]]", []);
}

/// The answer to a call that the end of the realm was faster than.
fn closed(request: u64) -> String {
    let text = "the realm closed before the call was answered";
    format!(r#"ann < [8,48,{request},{{}},"wamp.error.canceled",["{text}"]]"#)
}

#[test]
fn calls_that_wait_are_answered_when_the_realm_closes() {
    for spread in [false, true] {
        let mut realm = unanswered();
        realm.announce(Feature::ALL);
        component(&mut realm, "cid", Serializer::Json);
        realm.leave("ann", Cause::Goodbye);
        realm.try_join("ann", Some("ann"), asked_role(), Serializer::Json).unwrap();
        realm.lines.clear();
        realm.receive("ann", r#"[48,1,{},"a.b"]"#);
        realm.receive("ann", r#"[32,2,{},"a.b"]"#);
        realm.receive("ann", r#"[48,3,{"progress":true},"a.b"]"#);
        realm.receive("ann", r#"[48,3,{"progress":true},"a.b"]"#);
        realm.receive("ann", r#"[48,3,{},"a.b"]"#);
        realm.receive("ann", r#"[48,4,{},"wamp.session.count"]"#);
        // Who uses an id twice is answered once.
        realm.receive("ann", r#"[48,1,{},"a.c"]"#);
        realm.lines.clear();
        if spread {
            realm.leave("ann", Cause::Shutdown);
        } else {
            realm.close(&Cause::Shutdown);
        }
        let mut lines = std::mem::take(&mut realm.lines);
        assert_eq!(lines.remove(0), r#"cid < [69,1,{"mode":"killnowait"}]"#);
        lines.retain(|line| line.starts_with("ann "));
        let goodbye = r#"ann < [6,{},"wamp.close.system_shutdown"]"#;
        assert_eq!(lines, [&*closed(1), &*closed(3), &*closed(4), goodbye, "ann left: shutdown"]);
    }
}

#[test]
fn a_call_that_came_before_the_drain_is_taken_after_it() {
    let mut realm = asked();
    realm.receive("bob", r#"[64,1,{},"a.b"]"#);
    realm.lines.clear();
    realm.receive("ann", r#"[48,1,{},"a.b"]"#);
    question(&mut realm, 1, "a.b", "call", "{}");
    realm.receive("ann", r#"[48,2,{},"a.b"]"#);
    realm.pass(1);
    assert!(!realm.realm.is_drained(), "nothing is told yet");
    realm.realm.drain(realm.uptime);
    realm.receive("ann", r#"[48,3,{},"a.b"]"#);
    realm.expect(
        "cid",
        "[70,1,{},[true]]",
        ["bob < [68,1,#2,{}]", &*format!(r#"cid < [68,2,#1,{{}},[{DETAILS},"a.b","call",{{}}]]"#)],
    );
    realm.expect("bob", "[70,1,{}]", ["ann < [50,1,{}]"]);
    assert!(!realm.realm.is_drained(), "the second call waits");
    realm.receive("cid", "[70,2,{},[true]]");
    realm.lines.clear();
    assert!(!realm.realm.is_drained(), "the second call is in flight");
    realm.expect("bob", "[70,2,{}]", ["ann < [50,2,{}]"]);
    assert!(realm.realm.is_drained(), "what came later is not waited for");
    let text = r#"ann < [8,48,3,{},"wamp.close.system_shutdown",["the router stops"]]"#;
    realm.expect("cid", "[70,3,{},[true]]", [text]);
}
