//! Several callees of one procedure: who is chosen, and who takes over.

use super::TestRealm;
use crate::{cause::Cause, codec::Serializer};

/// Ann, bob and cat have registered `a.b` in this order, with this policy; zoe calls it.
fn shared(invoke: &str) -> TestRealm {
    let mut realm = TestRealm::announcing(["zoe", "ann", "bob", "cat"]);
    for callee in ["ann", "bob", "cat"] {
        let registered = format!("{callee} < [65,1,#1]");
        realm.expect(callee, &format!(r#"[64,1,{{"invoke":"{invoke}"}},"a.b"]"#), [&*registered]);
    }
    realm
}

/// Calls `a.b` and gives who is to carry it out, under which request.
fn call(realm: &mut TestRealm, request: u64) -> (String, u64) {
    realm.receive("zoe", &format!(r#"[48,{request},{{}},"a.b",["for you"]]"#));
    invoked(realm)
}

/// Who is to carry out a call: that and nothing else is asked for.
fn invoked(realm: &mut TestRealm) -> (String, u64) {
    let lines = std::mem::take(&mut realm.lines);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let (name, rest) = line.split_once(" < [68,").unwrap_or_else(|| panic!("{line}"));
    let (invocation, rest) = rest.split_once(',').unwrap();
    assert_eq!(rest, r##"#1,{},["for you"]]"##);
    (name.to_owned(), invocation.parse().unwrap())
}

/// Answers that the callee is unavailable.
fn decline(realm: &mut TestRealm, (callee, invocation): &(String, u64)) {
    realm.receive(callee, &format!(r#"[8,68,{invocation},{{}},"wamp.error.unavailable",["busy"]]"#));
}

fn callees(realm: &mut TestRealm, calls: std::ops::Range<u64>) -> Vec<String> {
    calls.map(|request| call(realm, request).0).collect()
}

#[test]
fn first_and_last_choose_the_oldest_and_the_newest() {
    let mut realm = shared("first");
    assert_eq!(callees(&mut realm, 1..3), ["ann", "ann"]);
    realm.receive("ann", "[66,2,#1]");
    realm.lines.clear();
    assert_eq!(callees(&mut realm, 3..4), ["bob"]);
    let mut realm = shared("last");
    assert_eq!(callees(&mut realm, 1..3), ["cat", "cat"]);
    realm.leave("cat", Cause::TransportLost);
    realm.lines.clear();
    assert_eq!(callees(&mut realm, 3..4), ["bob"]);
}

#[test]
fn roundrobin_takes_one_after_the_other_and_neither_skips_nor_repeats() {
    let mut realm = shared("roundrobin");
    assert_eq!(callees(&mut realm, 1..5), ["ann", "bob", "cat", "ann"]);
    // It is the turn of bob: who came before goes, then who is next.
    realm.receive("ann", "[66,2,#1]");
    realm.lines.clear();
    assert_eq!(callees(&mut realm, 5..6), ["bob"]);
    realm.receive("cat", "[66,2,#1]");
    realm.lines.clear();
    assert_eq!(callees(&mut realm, 6..8), ["bob", "bob"]);
    realm.receive("ann", r#"[64,3,{"invoke":"roundrobin"},"a.b"]"#);
    realm.receive("cat", r#"[64,3,{"invoke":"roundrobin"},"a.b"]"#);
    realm.lines.clear();
    assert_eq!(callees(&mut realm, 8..12), ["ann", "cat", "bob", "ann"]);
}

#[test]
fn random_chooses_each_as_often() {
    let mut realm = shared("random");
    let mut counts = [0; 3];
    for request in 1..=3000 {
        let callee = call(&mut realm, request).0;
        let place = ["ann", "bob", "cat"].iter().position(|name| *name == callee);
        counts[place.unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
}

#[test]
fn the_policy_is_that_of_the_first_callee_and_nobody_is_a_callee_twice() {
    let mut realm = shared("first");
    realm.join("dan", Serializer::Json);
    realm.lines.clear();
    for (request, invoke) in [(1, "single"), (2, "last"), (3, "roundrobin")] {
        let error = r#"{},"wamp.error.procedure_already_exists",["\"a.b\" is registered already"]]"#;
        let register = format!(r#"[64,{request},{{"invoke":"{invoke}"}},"a.b"]"#);
        realm.expect("dan", &register, [&*format!("dan < [8,64,{request},{error}")]);
    }
    realm.expect("ann", r#"[64,2,{"invoke":"first"},"a.b"]"#, ["ann < [65,2,#1]"]);
    realm.expect("ann", "[66,3,#1]", ["ann < [67,3]"]);
    assert_eq!(callees(&mut realm, 1..2), ["bob"]);
    // A policy belongs to a procedure and match.
    realm.expect("dan", r#"[64,4,{"invoke":"last","match":"prefix"},"a.b"]"#, ["dan < [65,4,#2]"]);
    realm.expect("dan", r#"[64,5,{"invoke":"last"},"b"]"#, ["dan < [65,5,#3]"]);
    realm.expect(
        "ann",
        r#"[64,4,{},"b"]"#,
        [r#"ann < [8,64,4,{},"wamp.error.procedure_already_exists",["\"b\" is registered already"]]"#],
    );
}

#[test]
fn another_callee_takes_over_for_one_that_is_unavailable() {
    for (invoke, order) in [
        ("first", ["ann", "bob", "cat"]),
        ("last", ["cat", "bob", "ann"]),
        ("roundrobin", ["ann", "bob", "cat"]),
    ] {
        let mut realm = shared(invoke);
        let first = call(&mut realm, 1);
        decline(&mut realm, &first);
        let second = invoked(&mut realm);
        decline(&mut realm, &second);
        let third = invoked(&mut realm);
        assert_eq!([&*first.0, &*second.0, &*third.0], order, "{invoke}");
        decline(&mut realm, &third);
        realm.check([
            r#"zoe < [8,48,1,{},"wamp.error.no_available_callee",["no callee of the procedure is available"]]"#,
        ]);
    }
    let mut realm = shared("random");
    for request in 1..100 {
        let first = call(&mut realm, request);
        decline(&mut realm, &first);
        let second = invoked(&mut realm);
        decline(&mut realm, &second);
        let third = invoked(&mut realm);
        let mut names = [&*first.0, &*second.0, &*third.0];
        names.sort_unstable();
        assert_eq!(names, ["ann", "bob", "cat"]);
        realm.expect(
            &third.0,
            &format!("[70,{},{{}},[1]]", third.1),
            [&*format!("zoe < [50,{request},{{}},[1]]")],
        );
    }
}

#[test]
fn a_roundrobin_goes_on_behind_who_took_over() {
    let mut realm = shared("roundrobin");
    let first = call(&mut realm, 1);
    decline(&mut realm, &first);
    assert_eq!(invoked(&mut realm).0, "bob");
    assert_eq!(callees(&mut realm, 2..4), ["cat", "ann"]);
}

#[test]
fn a_callee_that_joins_may_take_over_and_one_that_left_does_not() {
    let mut realm = shared("first");
    let first = call(&mut realm, 1);
    realm.leave("bob", Cause::Goodbye);
    realm.leave("cat", Cause::Goodbye);
    realm.join("dan", Serializer::Cbor);
    realm.receive("dan", r#"[64,1,{"invoke":"first"},"a.b"]"#);
    realm.lines.clear();
    decline(&mut realm, &first);
    assert_eq!(invoked(&mut realm), ("dan".into(), 1));
    realm.receive("ann", "[66,4,#1]");
    realm.receive("dan", "[66,4,#1]");
    realm.lines.clear();
    decline(&mut realm, &("dan".into(), 1));
    realm.check([
        r#"zoe < [8,48,1,{},"wamp.error.no_available_callee",["no callee of the procedure is available"]]"#,
    ]);
}

#[test]
fn the_only_callee_of_a_procedure_has_nobody_to_take_over() {
    let mut realm = TestRealm::announcing(["zoe", "ann"]);
    realm.receive("ann", r#"[64,1,{},"a.b"]"#);
    realm.lines.clear();
    let first = call(&mut realm, 1);
    decline(&mut realm, &first);
    realm.check([
        r#"zoe < [8,48,1,{},"wamp.error.no_available_callee",["no callee of the procedure is available"]]"#,
    ]);
}

#[test]
fn nobody_takes_over_once_a_part_of_the_result_has_gone_out() {
    let mut realm = shared("first");
    realm.receive("zoe", r#"[48,1,{"receive_progress":true},"a.b"]"#);
    realm.receive("ann", r#"[70,1,{"progress":true}]"#);
    realm.lines.clear();
    decline(&mut realm, &("ann".into(), 1));
    realm.check([r#"zoe < [8,48,1,{},"wamp.error.unavailable",["busy"]]"#]);
}

#[test]
fn who_takes_over_has_what_is_left_of_the_time() {
    let mut realm = shared("first");
    realm.receive("zoe", r#"[48,1,{"timeout":100},"a.b",["for you"]]"#);
    let first = invoked(&mut realm);
    realm.pass(60);
    decline(&mut realm, &first);
    assert_eq!(invoked(&mut realm), ("bob".into(), 1));
    realm.pass(40);
    realm.check([
        r#"bob < [69,1,{"mode":"killnowait","reason":"wamp.error.timeout"}]"#,
        r#"zoe < [8,48,1,{},"wamp.error.timeout",["the call was not answered within 100 ms"]]"#,
    ]);
}

#[test]
fn who_takes_over_for_a_callee_that_kept_the_time_has_what_is_left_of_it_too() {
    let mut realm = TestRealm::announcing(["zoe", "ann", "bob"]);
    realm.receive("ann", r#"[64,1,{"invoke":"first","forward_timeout":true},"a.b"]"#);
    realm.receive("bob", r#"[64,1,{"invoke":"first"},"a.b"]"#);
    realm.receive("zoe", r#"[48,1,{"timeout":100},"a.b",["for you"]]"#);
    realm.lines.clear();
    realm.pass(200);
    decline(&mut realm, &("ann".into(), 1));
    assert_eq!(invoked(&mut realm), ("bob".into(), 1));
    realm.pass(0);
    assert_eq!(realm.lines.len(), 2, "{:?}", realm.lines);
}

#[test]
fn what_is_kept_for_another_callee_has_its_bounds() {
    let mut realm = shared("roundrobin");
    let large = "x".repeat(600_000);
    let invocation =
        |callee: &str, request: u64, text: &str| format!(r##"{callee} < [68,{request},#1,{{}},["{text}"]]"##);
    for (request, callee, text) in [(1, "ann", &*large), (2, "bob", &*large), (3, "cat", "small")] {
        let call = format!(r#"[48,{request},{{}},"a.b",["{text}"]]"#);
        realm.expect("zoe", &call, [&*invocation(callee, 1, text)]);
    }
    let unavailable = r#"[8,68,1,{},"wamp.error.unavailable"]"#;
    let text = "no callee of the procedure is available";
    let refused =
        |request: u64| format!(r#"zoe < [8,48,{request},{{}},"wamp.error.no_available_callee",["{text}"]]"#);
    realm.expect("bob", unavailable, [&*refused(2)]);
    realm.expect("cat", unavailable, [&*invocation("ann", 2, "small")]);
    realm.expect("ann", unavailable, [&*invocation("bob", 2, &large)]);
    // What is answered is not kept any more, and there is room for others.
    realm.expect("bob", r#"[70,2,{},["done"]]"#, [r#"zoe < [50,1,{},["done"]]"#]);
    realm.expect("zoe", &format!(r#"[48,4,{{}},"a.b",["{large}"]]"#), [&*invocation("cat", 2, &large)]);
    realm.expect("cat", r#"[8,68,2,{},"wamp.error.unavailable"]"#, [&*invocation("ann", 3, &large)]);
}
