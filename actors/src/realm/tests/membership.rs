//! Joining, leaving, and the causes of it.

use super::TestRealm;
use crate::{
    cause::{Cause, Kill},
    codec::Serializer,
    message::id::{MAX_ID, RequestId},
    permission::{Role, SessionDetails},
    realm::{RealmOptions, RequestIds},
    refusal::Violation,
    step::{Effect, Step},
};

const BOB_LEAVES: &str = r#"alice < [36,#1,#2,{},[bob,"bob","user"]]"#;

/// Two members, of whom alice is told who leaves.
fn observed() -> TestRealm {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.receive("alice", r#"[32,1,{},"wamp.session.on_leave"]"#);
    realm.check(["alice < [33,1,#1]"]);
    realm
}

fn kill(realm: &TestRealm) -> Kill {
    Kill { by: realm.id("alice"), reason: "because".into(), message: Some("foobar".into()) }
}

#[test]
fn a_join_is_welcomed_first_and_then_announced_to_the_others() {
    let mut realm = TestRealm::with(["alice"]);
    realm.receive("alice", r#"[32,1,{},"wamp.session.on_join"]"#);
    realm.join("bob", Serializer::Cbor);
    realm.check([
        "alice < [33,1,#1]",
        concat!(
            r#"bob < [2,bob,{"roles":{"broker":{"features":{"session_meta_api":true,"#,
            r#""subscriber_blackwhite_listing":true,"publisher_exclusion":true,"publisher_identification":true,"#,
            r#""publication_trustlevels":true,"subscription_meta_api":true,"pattern_based_subscription":true,"#,
            r#""event_history":true,"event_retention":true,"subscription_revocation":true,"#,
            r#""payload_passthru_mode":true}},"dealer":{"features":{"#,
            r#""progressive_call_results":true,"progressive_call_invocations":true,"call_timeout":true,"#,
            r#""call_canceling":true,"call_reroute":true,"caller_identification":true,"call_trustlevels":true,"#,
            r#""registration_meta_api":true,"pattern_based_registration":true,"shared_registration":true,"#,
            r#""registration_revocation":true,"testament_meta_api":true,"session_meta_api":true,"#,
            r#""payload_passthru_mode":true}}},"#,
            r#""agent":"realmkeeper-0.1.0","realm":"realm1","authid":"bob","authrole":"user","#,
            r#""authmethod":"anonymous","authprovider":"static"}]"#
        ),
        concat!(
            r#"alice < [36,#1,#2,{},[{"session":bob,"authid":"bob","authrole":"user","authmethod":"anonymous","#,
            r#""authprovider":"static","realm":"realm1","transport":{"channel_type":"tcp","#,
            r#""channel_framing":"websocket","channel_serializer":"cbor","peer":"tcp4:127.0.0.1:4711","#,
            r#""is_secure":false,"websocket_protocol":"wamp.2.cbor"}}]]"#
        ),
    ]);
    realm.answers("alice", "wamp.session.count", "", "[2]");
}

#[test]
fn who_has_no_name_is_given_one_of_its_own() {
    let mut realm = TestRealm::with([]);
    let authids: Vec<_> = (0..100)
        .map(|_| {
            let id = realm.join_as("anybody", None, "anonymous", Serializer::Json);
            realm.realm.member(id).unwrap().authid.to_string()
        })
        .collect();
    assert!(authids.iter().all(|authid| authid.len() == 14 && authid.split('-').all(|part| part.len() == 4)));
    assert_eq!(authids.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
}

#[test]
fn an_id_that_is_taken_is_drawn_again() {
    use rand::{SeedableRng, rngs::StdRng};
    let mut realm = TestRealm::with([]);
    let first = realm.join("alice", Serializer::Json);
    realm.chance = StdRng::seed_from_u64(1); // the same chance once more draws the same id
    let second = realm.join("bob", Serializer::Json);
    assert_ne!(first, second);
    assert_eq!(realm.realm.roster.len(), 2);
}

#[test]
fn each_cause_has_its_farewell_its_close_code_and_is_announced_or_not() {
    let violation = Violation::Unexpected { message: "HELLO", problem: "has no place here" };
    let (goodbye, abort) = (
        |reason| format!("[6,{{}},\"{reason}\"]"),
        |reason, text| format!("[3,{{\"message\":\"{text}\"}},\"{reason}\"]"),
    );
    let by = kill(&observed());
    for (cause, farewell, close_code, is_announced, line) in [
        (Cause::Goodbye, Some(goodbye("wamp.close.goodbye_and_out")), Some(1000), true, "goodbye"),
        (Cause::TransportClosed, None, None, true, "transport_closed"),
        (Cause::TransportLost, None, None, true, "transport_lost"),
        (Cause::Aborted, None, Some(1000), true, "aborted"),
        (
            Cause::ProtocolViolation(violation),
            Some(abort("wamp.error.protocol_violation", "HELLO has no place here")),
            Some(1002),
            true,
            "protocol_violation: HELLO has no place here",
        ),
        (
            Cause::InvalidUtf8,
            Some(abort("wamp.error.protocol_violation", "the text is not UTF-8")),
            Some(1007),
            true,
            "invalid_utf8",
        ),
        (
            Cause::MessageTooBig("too big".into()),
            Some(abort("wamp.error.payload_size_exceeded", "too big")),
            Some(1009),
            true,
            "message_too_big: too big",
        ),
        (
            Cause::WelcomeTooBig("too big".into()),
            Some(abort("wamp.error.payload_size_exceeded", "too big")),
            Some(1009),
            true,
            "welcome_too_big: too big",
        ),
        (
            Cause::Killed(by.clone()),
            Some(r#"[6,{"message":"foobar"},"because"]"#.into()),
            Some(1000),
            true,
            "killed by alice with because",
        ),
        (
            Cause::KilledAll(by),
            Some(r#"[6,{"message":"foobar"},"because"]"#.into()),
            Some(1000),
            false,
            "killed_all by alice with because",
        ),
        (
            Cause::SlowConsumer,
            Some(goodbye("realmkeeper.close.slow_consumer")),
            Some(1008),
            true,
            "slow_consumer",
        ),
        (Cause::PingTimeout, None, None, true, "ping_timeout"),
        (
            Cause::Policy("too much".into()),
            Some(r#"[6,{"message":"too much"},"wamp.error.not_authorized"]"#.into()),
            Some(1008),
            true,
            "policy: too much",
        ),
        (
            Cause::Expired,
            Some(
                r#"[6,{"message":"the token has expired by which this session was let in"},"realmkeeper.close.expired"]"#
                    .into(),
            ),
            Some(1008),
            true,
            "expired",
        ),
        (Cause::RealmClosed, Some(goodbye("wamp.close.close_realm")), Some(1001), false, "realm_closed"),
        (Cause::Shutdown, Some(goodbye("wamp.close.system_shutdown")), Some(1001), false, "shutdown"),
        (
            Cause::Panic,
            Some(abort("realmkeeper.error.internal", "a fault of the router ended this session")),
            Some(1011),
            true,
            "panic",
        ),
    ] {
        let mut realm = observed();
        assert_eq!(cause.close_code(), close_code, "{line}");
        realm.leave("bob", cause.clone());
        let mut expected = Vec::new();
        expected.extend(farewell.map(|farewell| format!("bob < {farewell}")));
        expected.push(format!("bob left: {line}"));
        expected.extend(is_announced.then(|| BOB_LEAVES.to_owned()));
        assert_eq!(std::mem::take(&mut realm.lines), expected);
        realm.leave("bob", cause);
        realm.check([]);
    }
}

#[test]
fn goodbye_and_abort_end_the_session_and_nothing_comes_after() {
    let mut realm = observed();
    realm.expect(
        "bob",
        r#"[6,{},"wamp.close.normal"]"#,
        [r#"bob < [6,{},"wamp.close.goodbye_and_out"]"#, "bob left: goodbye", BOB_LEAVES],
    );
    realm.expect("bob", r#"[16,1,{"acknowledge":true},"a.b"]"#, []);
    let mut realm = observed();
    realm.expect("bob", r#"[3,{},"wamp.error.whatever"]"#, ["bob left: aborted", BOB_LEAVES]);
}

#[test]
fn a_member_is_forgotten_in_order() {
    let mut realm = observed();
    realm.join("carol", Serializer::Json);
    realm.receive("bob", r#"[64,1,{},"a.procedure"]"#);
    realm.receive("bob", r#"[32,2,{},"a.topic"]"#);
    realm.receive("alice", r#"[32,2,{},"a.last"]"#);
    realm.receive("carol", r#"[48,1,{},"a.procedure"]"#);
    for (scope, text) in [("destroyed", "second"), ("detached", "first")] {
        realm.answers_after_clearing(scope, text);
    }
    realm.lines.clear();
    realm.leave("bob", Cause::TransportLost);
    realm.check([
        "bob left: transport_lost",
        r#"carol < [8,48,1,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
        r#"alice < [36,#4,#5,{},["first"]]"#,
        r#"alice < [36,#4,#6,{},["second"]]"#,
        r#"alice < [36,#1,#7,{},[bob,"bob","user"]]"#,
    ]);
}

impl TestRealm {
    fn answers_after_clearing(&mut self, scope: &str, text: &str) {
        self.lines.clear();
        let arguments = format!(r#"["a.last",["{text}"],{{}}],{{"scope":"{scope}"}}"#);
        self.answers("bob", "wamp.session.add_testament", &arguments, "");
    }
}

#[test]
fn closing_sends_everybody_away_and_tells_nobody_else() {
    let mut realm = observed();
    realm.answers("bob", "wamp.session.add_testament", r#"["a.last",[],{}]"#, "");
    realm.close(&Cause::Shutdown);
    realm.check([
        r#"alice < [6,{},"wamp.close.system_shutdown"]"#,
        "alice left: shutdown",
        r#"bob < [6,{},"wamp.close.system_shutdown"]"#,
        "bob left: shutdown",
    ]);
    realm.leave("bob", Cause::TransportLost);
    realm.check([]);
}

#[test]
fn calls_that_are_in_flight_when_everybody_is_sent_away_are_answered_before() {
    let open = || {
        let mut realm = TestRealm::announcing(["callee", "caller"]);
        realm.receive("callee", r#"[64,1,{},"com.a"]"#);
        for request in [1, 2] {
            realm.receive("caller", &format!(r#"[48,{request},{{}},"com.a"]"#));
        }
        realm.receive("caller", r#"[49,2,{"mode":"kill"}]"#);
        realm.receive("callee", r#"[48,2,{},"com.a"]"#);
        realm.lines.clear();
        realm
    };
    let answer = |name: &str, request: u64| {
        format!(
            r#"{name} < [8,48,{request},{{}},"wamp.error.canceled",["the realm closed before the call was answered"]]"#
        )
    };
    let stop = |invocation: u64| {
        format!(r#"callee < [69,{invocation},{{"mode":"killnowait","reason":"wamp.error.canceled"}}]"#)
    };
    for (cause, reason) in
        [(Cause::Shutdown, "wamp.close.system_shutdown"), (Cause::RealmClosed, "wamp.close.close_realm")]
    {
        let left = |name: &str| {
            [format!(r#"{name} < [6,{{}},"{reason}"]"#), format!("{name} left: {}", cause.label())]
        };
        let mut realm = open();
        realm.close(&cause);
        let answers =
            [stop(3), answer("callee", 2), stop(1), answer("caller", 1), stop(2), answer("caller", 2)];
        assert_eq!(realm.lines, [&answers[..], &left("callee"), &left("caller")].concat());

        // One after the other: the caller first.
        let mut realm = open();
        realm.leave("caller", cause.clone());
        assert_eq!(realm.lines, [&answers[2..], &left("caller")].concat());
        realm.lines.clear();
        realm.receive("callee", "[70,1,{}]");
        realm.leave("callee", cause.clone());
        assert_eq!(realm.lines, [&answers[..2], &left("callee")].concat());

        // Or the callee: what it does not answer any more is canceled for the caller.
        let mut realm = open();
        realm.leave("callee", cause.clone());
        let gone = |request: u64| {
            format!(
                r#"caller < [8,48,{request},{{}},"wamp.error.canceled",["the callee left before it answered"]]"#
            )
        };
        assert_eq!(realm.lines, [&answers[..2], &left("callee"), &[gone(1), gone(2)]].concat());
        realm.lines.clear();
        realm.leave("caller", cause.clone());
        assert_eq!(realm.lines, left("caller"));
    }
}

#[test]
fn what_has_no_place_in_a_session_ends_it_with_a_text_that_names_it() {
    for (message, text) in [
        (r#"[1,"realm1",{"roles":{"caller":{}}}]"#, "HELLO has no place in a session that has joined"),
        (r#"[5,"x",{}]"#, "AUTHENTICATE has no place in a session that has joined"),
        (r#"[6,{},"a b"]"#, "GOODBYE.Reason \\\"a b\\\" is not a valid uri"),
        (r#"[8,48,1,{},"a.b"]"#, "ERROR from a client can only answer an INVOCATION, type 68"),
        (r#"[8,68,1,{},"a.b"]"#, "ERROR answers invocation 1, which this session was never sent"),
        (r#"[8,68,1,{},"a..b"]"#, "ERROR.Error \\\"a..b\\\" is not a valid uri"),
        (r#"[70,1,{}]"#, "YIELD answers invocation 1, which this session was never sent"),
        (
            r#"[48,1,{"progress":true},"a.b"]"#,
            "CALL.Options.progress is used, but progressive_call_invocations was not announced",
        ),
        (
            r#"[48,1,{"ppt_scheme":"x_mine"},"a.b"]"#,
            "CALL.Options.ppt_scheme is used, but payload_passthru_mode was not announced",
        ),
        (
            r#"[16,1,{"ppt_scheme":"x_mine"},"a.b"]"#,
            "PUBLISH.Options.ppt_scheme is used, but payload_passthru_mode was not announced",
        ),
        (
            r#"[70,1,{"ppt_scheme":"x_mine"}]"#,
            "YIELD.Options.ppt_scheme is used, but payload_passthru_mode was not announced",
        ),
    ] {
        let mut realm = observed();
        realm.receive("bob", message);
        let abort = format!(r#"bob < [3,{{"message":"{text}"}},"wamp.error.protocol_violation"]"#);
        let left = format!("bob left: protocol_violation: {}", text.replace('\\', ""));
        realm.check([&*abort, &*left, BOB_LEAVES]);
    }
}

#[test]
fn a_strict_realm_takes_request_ids_in_sequence_and_a_lenient_one_takes_any() {
    let options = RealmOptions { request_ids: RequestIds::Strict, ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, ["alice", "bob"]);
    realm.expect("alice", r#"[16,1,{},"a.b"]"#, []);
    realm.expect("alice", r#"[32,2,{},"a.b"]"#, ["alice < [33,2,#1]"]);
    realm.expect("alice", r#"[48,3,{},"wamp.session.count"]"#, ["alice < [50,3,{},[2]]"]);
    realm.expect("alice", r#"[49,3,{}]"#, []);
    realm.expect("alice", r#"[34,4,#1]"#, ["alice < [35,4]"]);
    realm.expect(
        "alice",
        r#"[64,4,{},"a.b"]"#,
        [
            r#"alice < [3,{"message":"the request id 4 is out of sequence, 5 is next"},"wamp.error.protocol_violation"]"#,
            "alice left: protocol_violation: the request id 4 is out of sequence, 5 is next",
        ],
    );
    let mut realm = TestRealm::with(["alice"]);
    for request in [9_007_199_254_740_992u64, 1, 1, 7] {
        let answer = format!(
            "alice < [8,34,{request},{{}},\"wamp.error.no_such_subscription\",[\"this session has no subscription 5\"]]"
        );
        let answer = answer.replace("9007199254740992", "#1");
        realm.expect("alice", &format!("[34,{request},5]"), [&*answer]);
    }
}

#[test]
fn request_ids_in_sequence_go_on_with_1_after_2_to_the_53() {
    let options = RealmOptions { request_ids: RequestIds::Strict, ..RealmOptions::default() };
    let mut realm = TestRealm::with_options(options, ["alice"]);
    let alice = realm.id("alice");
    realm.realm.roster.get_mut(alice).unwrap().next_request = RequestId::new(MAX_ID);
    realm.expect("alice", r#"[48,9007199254740992,{},"wamp.session.count"]"#, ["alice < [50,#1,{},[1]]"]);
    realm.expect("alice", r#"[48,1,{},"wamp.session.count"]"#, ["alice < [50,1,{},[1]]"]);
    realm.expect("alice", r#"[48,2,{},"wamp.session.count"]"#, ["alice < [50,2,{},[1]]"]);
}

#[test]
fn an_event_about_a_session_is_made_once_for_all_who_are_told_the_same() {
    let role = |session_details| Role { session_details, ..Role::unrestricted("user") };
    let mut realm = TestRealm::with(["ann", "bob"]);
    for name in ["ann", "bob"] {
        realm.receive(name, r#"[32,1,{},"wamp.session.on_leave"]"#);
    }
    let leaves = |realm: &mut TestRealm, name: &str| {
        let id = realm.id(name);
        let mut step = Step::new(realm.now, realm.uptime, &mut realm.chance);
        realm.realm.leave(id, Cause::Goodbye, &mut step);
        let receivers = step.into_effects().into_iter().filter_map(|effect| match effect {
            Effect::Broadcast { to, .. } => Some(to.len()),
            Effect::Send { .. }
            | Effect::Undeliverable { .. }
            | Effect::Unanswered { .. }
            | Effect::Unfinished { .. }
            | Effect::Released { .. }
            | Effect::Settled { .. }
            | Effect::Left { .. } => None,
        });
        receivers.collect::<Vec<_>>()
    };
    realm.join("cid", Serializer::Json);
    assert_eq!(leaves(&mut realm, "cid"), [2]);
    let levels = [SessionDetails::Standard, SessionDetails::Ids, SessionDetails::Standard];
    for (name, level) in ["stan", "ida", "sue"].into_iter().zip(levels) {
        realm.try_join(name, Some(name), role(level), Serializer::Json).unwrap();
    }
    realm.join("dan", Serializer::Json);
    assert_eq!(leaves(&mut realm, "dan"), [2], "who is told less does not listen");
    for name in ["stan", "ida", "sue"] {
        realm.receive(name, r#"[32,1,{},"wamp.session.on_leave"]"#);
    }
    realm.join("eve", Serializer::Json);
    assert_eq!(leaves(&mut realm, "eve"), [1, 2, 2]);
}
