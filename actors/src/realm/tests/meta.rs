//! The session meta API: who is there, and ending sessions.

use super::TestRealm;
use crate::{codec::Serializer, permission::Role, refusal::Refusal};
use std::time::{Duration, SystemTime};

const NO_ID: &str = r#""wamp.error.invalid_argument",["session must be an id, an integer from 1 to 2^53"]"#;

/// alice and bob in the role user, root in the role admin.
fn mixed() -> TestRealm {
    let mut realm = TestRealm::with(["alice", "bob"]);
    realm.join_as("root", Some("root"), "admin", Serializer::Json);
    realm.lines.clear();
    realm
}

#[test]
fn count_and_list_take_a_filter_of_roles() {
    let wrong = r#""wamp.error.invalid_argument",["filter_authroles must be a list of strings"]"#;
    for (arguments, count, list) in [
        ("", "[3]", "[[alice,bob,root]]"),
        ("[]", "[3]", "[[alice,bob,root]]"),
        ("[null]", "[3]", "[[alice,bob,root]]"),
        (r#"[["user"]]"#, "[2]", "[[alice,bob]]"),
        (r#"[["admin"]]"#, "[1]", "[[root]]"),
        (r#"[["user","admin","user"]]"#, "[3]", "[[root,alice,bob]]"),
        (r#"[["User"]]"#, "[0]", "[[]]"),
        ("[[]]", "[0]", "[[]]"),
        (r#"[["user"],"more","arguments"]"#, "[2]", "[[alice,bob]]"),
        (r#"[],{"filter_authroles":["admin"]}"#, "[1]", "[[root]]"),
        (r#"[["user"]],{"filter_authroles":["admin"]}"#, "[2]", "[[alice,bob]]"),
        (r#"[],{"filter_authroles":null}"#, "[3]", "[[alice,bob,root]]"),
        (r#"["user"]"#, wrong, wrong),
        (r#"["x"]"#, wrong, wrong),
        ("[[1]]", wrong, wrong),
        ("[[null]]", wrong, wrong),
        (r#"[{}]"#, wrong, wrong),
        (r#"[],{"filter_authroles":"user"}"#, wrong, wrong),
    ] {
        let mut realm = mixed();
        realm.answers("alice", "wamp.session.count", arguments, count);
        realm.answers("alice", "wamp.session.list", arguments, list);
    }
}

#[test]
fn get_tells_what_is_known_of_a_session() {
    let mut realm = mixed();
    let details = concat!(
        r#"[{"session":root,"authid":"root","authrole":"admin","authmethod":"anonymous","authprovider":"static","#,
        r#""realm":"realm1","transport":{"channel_type":"tcp","channel_framing":"websocket","#,
        r#""channel_serializer":"json","peer":"tcp4:127.0.0.1:4711","is_secure":false,"#,
        r#""websocket_protocol":"wamp.2.json"}}]"#
    );
    for (arguments, answer) in [
        ("[@root]", details),
        ("[@root,1,2]", details),
        (r#"[],{"session":@root}"#, details),
        (r#"[],{"session_id":@root}"#, details),
        (r#"[@root],{"session":@alice}"#, details),
        ("[7]", r#""wamp.error.no_such_session",["there is no session 7 in this realm"]"#),
        ("", NO_ID),
        ("[null]", NO_ID),
        (r#"["7"]"#, NO_ID),
        ("[true]", NO_ID),
        ("[0]", NO_ID),
        ("[-1]", NO_ID),
        ("[7.0]", NO_ID),
        ("[7.5]", NO_ID),
        ("[9007199254740993]", NO_ID),
        ("[[7]]", NO_ID),
    ] {
        realm.answers("alice", "wamp.session.get", &realm.written(arguments), answer);
    }
}

#[test]
fn a_whole_float_is_an_id_in_msgpack_and_cbor() {
    for serializer in [Serializer::MessagePack, Serializer::Cbor] {
        let mut realm = TestRealm::with([]);
        realm.join("mia", serializer);
        realm.lines.clear();
        let none = r#""wamp.error.no_such_session",["there is no session 7 in this realm"]"#;
        realm.answers("mia", "wamp.session.get", "[7.0]", none);
        realm.answers("mia", "wamp.session.get", "[7.5]", NO_ID);
        realm.answers("mia", "wamp.session.get", "[0.0]", NO_ID);
        realm.answers("mia", "wamp.session.get", "[9007199254740994.0]", NO_ID);
    }
}

#[test]
fn a_killed_session_gets_goodbye_last_and_the_caller_its_answer_after() {
    for (arguments, goodbye, detail) in [
        (
            r#"[@bob],{"reason":"because","message":"foobar"}"#,
            r#"[6,{"message":"foobar"},"because"]"#,
            "because",
        ),
        (r#"[@bob],{"reason":"because"}"#, r#"[6,{},"because"]"#, "because"),
        ("[@bob]", r#"[6,{},"wamp.close.killed"]"#, "wamp.close.killed"),
        (r#"[@bob],{"reason":null,"message":null}"#, r#"[6,{},"wamp.close.killed"]"#, "wamp.close.killed"),
        (r#"[@bob],{"message":""}"#, r#"[6,{"message":""},"wamp.close.killed"]"#, "wamp.close.killed"),
        (r#"[],{"session":@bob}"#, r#"[6,{},"wamp.close.killed"]"#, "wamp.close.killed"),
    ] {
        let mut realm = mixed();
        realm.expect("root", r#"[32,1,{},"wamp.session.on_leave"]"#, ["root < [33,1,#1]"]);
        realm.expect("bob", r#"[64,1,{},"a.procedure"]"#, ["bob < [65,1,#2]"]);
        realm.expect("root", r#"[48,2,{},"a.procedure"]"#, ["bob < [68,1,#2,{}]"]);
        realm.expect(
            "alice",
            &format!(r#"[48,9,{{}},"wamp.session.kill",{arguments}]"#),
            [
                &*format!("bob < {goodbye}"),
                &*format!("bob left: killed by alice with {detail}"),
                r#"root < [8,48,2,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
                r#"root < [36,#1,#3,{},[bob,"bob","user"]]"#,
                "alice < [50,9,{}]",
            ],
        );
        // It is gone: nothing of it is routed, and there is nobody to be killed.
        realm.expect("bob", r#"[70,1,{},["late"]]"#, []);
        realm.expect("bob", r#"[16,1,{"acknowledge":true},"a.topic"]"#, []);
        let gone = |other: &str| {
            format!(r#""wamp.error.no_such_session",["there is no {other}session bob in this realm"]"#)
        };
        realm.answers("alice", "wamp.session.kill", &realm.written("[@bob]"), &gone("other "));
        realm.answers("alice", "wamp.session.get", &realm.written("[@bob]"), &gone(""));
        realm.answers("alice", "wamp.session.count", "", "[2]");
    }
}

#[test]
fn a_kill_that_is_refused_ends_nobody() {
    let reason = |uri: &str| format!(r#""wamp.error.invalid_uri",["{uri}"]"#);
    let own = r#""wamp.error.no_such_session",["there is no other session alice in this realm"]"#.to_owned();
    for (arguments, error) in [
        ("[@alice]", own.clone()),
        (r#"[@alice],{"reason":"because"}"#, own),
        ("[7]", r#""wamp.error.no_such_session",["there is no other session 7 in this realm"]"#.into()),
        ("[]", NO_ID.into()),
        (r#"["bob"]"#, NO_ID.into()),
        (r#"[@bob],{"reason":""}"#, reason(r#"\"\" is not a valid uri"#)),
        (r#"[@bob],{"reason":"a..b"}"#, reason(r#"\"a..b\" is not a valid uri"#)),
        (r#"[@bob],{"reason":"a b"}"#, reason(r#"\"a b\" is not a valid uri"#)),
        (r#"[@bob],{"reason":7}"#, reason(r#"\"reason\" must be a string"#)),
        (r#"[@bob],{"message":7}"#, r#""wamp.error.invalid_argument",["message must be a string"]"#.into()),
        (
            &*format!(r#"[@bob],{{"message":"{}"}}"#, "x".repeat(4097)),
            r#""wamp.error.invalid_argument",["message must have at most 4096 octets"]"#.into(),
        ),
        // Arguments are checked first, then the reason, then whether the session is there.
        (r#"["bob"],{"reason":""}"#, NO_ID.into()),
        (
            r#"[@bob],{"reason":"","message":7}"#,
            r#""wamp.error.invalid_argument",["message must be a string"]"#.into(),
        ),
        (r#"[7],{"reason":""}"#, reason(r#"\"\" is not a valid uri"#)),
    ] {
        let mut realm = mixed();
        realm.answers("alice", "wamp.session.kill", &realm.written(arguments), &error);
        realm.answers("alice", "wamp.session.count", "", "[3]");
    }
}

#[test]
fn the_bulk_kills_spare_the_caller_and_answer_each_in_its_own_way() {
    let killed = |name: &str, label: &str| {
        [
            format!(r#"{name} < [6,{{}},"wamp.close.killed"]"#),
            format!("{name} left: {label} by alice with wamp.close.killed"),
        ]
    };
    for (procedure, arguments, victims, answer) in [
        ("kill_by_authid", r#"["bob"]"#, vec!["bob", "bob2"], "[[bob,bob2]]"),
        ("kill_by_authid", r#"[],{"authid":"bob"}"#, vec!["bob", "bob2"], "[[bob,bob2]]"),
        ("kill_by_authid", r#"["alice"]"#, vec![], "[[]]"),
        ("kill_by_authid", r#"["Bob"]"#, vec![], "[[]]"),
        ("kill_by_authrole", r#"["user"]"#, vec!["bob", "bob2"], "[2]"),
        ("kill_by_authrole", r#"[],{"authrole":"admin"}"#, vec!["root"], "[1]"),
        ("kill_by_authrole", r#"["nobody"]"#, vec![], "[0]"),
        ("kill_all", "", vec!["bob", "root", "bob2"], "[3]"),
    ] {
        let mut realm = mixed();
        realm.join_as("bob2", Some("bob"), "user", Serializer::Json);
        realm.lines.clear();
        let arguments = if arguments.is_empty() { String::new() } else { format!(",{arguments}") };
        realm.receive("alice", &format!(r#"[48,1,{{}},"wamp.session.{procedure}"{arguments}]"#));
        let label = if procedure == "kill_all" { "killed_all" } else { "killed" };
        let mut expected: Vec<_> = victims.iter().flat_map(|victim| killed(victim, label)).collect();
        expected.push(format!("alice < [50,1,{{}},{answer}]"));
        assert_eq!(std::mem::take(&mut realm.lines), expected, "{procedure} {arguments}");
        realm.answers("alice", "wamp.session.count", "", &format!("[{}]", 4 - victims.len()));
    }
}

#[test]
fn the_bulk_kills_refuse_wrong_arguments() {
    let must = |name: &str| format!(r#""wamp.error.invalid_argument",["{name} must be a string"]"#);
    let reason = r#""wamp.error.invalid_uri",["\"\" is not a valid uri"]"#.to_owned();
    for (procedure, arguments, error) in [
        ("kill_by_authid", "", must("authid")),
        ("kill_by_authid", "[7]", must("authid")),
        ("kill_by_authid", "[null]", must("authid")),
        ("kill_by_authid", r#"["bob"],{"reason":""}"#, reason.clone()),
        ("kill_by_authid", r#"["bob"],{"message":[]}"#, must("message")),
        ("kill_by_authrole", "", must("authrole")),
        ("kill_by_authrole", r#"[["user"]]"#, must("authrole")),
        ("kill_by_authrole", r#"["user"],{"reason":""}"#, reason.clone()),
        ("kill_all", r#"[],{"reason":""}"#, reason),
        ("kill_all", r#"[],{"message":1}"#, must("message")),
    ] {
        let mut realm = mixed();
        realm.answers("alice", &format!("wamp.session.{procedure}"), arguments, &error);
        realm.answers("alice", "wamp.session.count", "", "[3]");
    }
}

#[test]
fn kill_all_is_not_announced_and_carries_out_no_testament() {
    let mut realm = mixed();
    realm.receive("alice", r#"[32,1,{"match":"prefix"},""]"#);
    realm.receive("bob", r#"[48,1,{},"wamp.session.add_testament",["a.last",[],{}]]"#);
    realm.lines.clear();
    realm.expect(
        "alice",
        r#"[48,2,{},"wamp.session.kill_all",[],{"reason":"a.b","message":"all"}]"#,
        [
            r#"bob < [6,{"message":"all"},"a.b"]"#,
            "bob left: killed_all by alice with a.b",
            r#"root < [6,{"message":"all"},"a.b"]"#,
            "root left: killed_all by alice with a.b",
            "alice < [50,2,{},[2]]",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_an_invalid_argument() {
    let mut realm = TestRealm::with([]);
    realm.join("mia", Serializer::MessagePack);
    realm.lines.clear();
    // [48, 1, {}, "wamp.session.count", [{1: 2}]]
    let call = b"\x95\x30\x01\x80\xb2wamp.session.count\x91\x81\x01\x02".to_vec();
    realm.receive_bytes("mia", Serializer::MessagePack, call);
    assert_eq!(realm.lines.len(), 1);
    assert!(
        realm.lines[0]
            .starts_with(r#"mia < [8,48,1,{},"wamp.error.invalid_argument",["the arguments cannot be read"#),
        "{}",
        realm.lines[0]
    );
}

#[test]
fn a_kill_may_ban_whom_it_ends() {
    let second = |realm: &mut TestRealm, seconds: u64| {
        realm.now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    };
    let join = |realm: &mut TestRealm, name: &str, authid: Option<&str>| {
        realm.try_join(name, authid, Role::unrestricted("user"), Serializer::Json)
    };
    for (procedure, arguments) in [("kill", "[@bob]"), ("kill_by_authid", r#"["bob"]"#)] {
        let mut realm = mixed();
        realm
            .receive("alice", &format!(r#"[48,1,{{}},"wamp.session.{procedure}",{arguments},{{"ban":60}}]"#));
        second(&mut realm, 59);
        assert_eq!(join(&mut realm, "bob2", Some("bob")), Err(Refusal::Banned));
        assert!(join(&mut realm, "ann", None).is_ok(), "the address is not banned");
        second(&mut realm, 60);
        assert!(join(&mut realm, "bob3", Some("bob")).is_ok());
    }
    for (procedure, arguments) in [("kill_by_authrole", r#"["guest"]"#), ("kill_all", "[]")] {
        let mut realm = TestRealm::with(["alice"]);
        realm.join_as("anon", None, "guest", Serializer::Json);
        realm.receive("alice", &format!(r#"[48,1,{{}},"wamp.session.{procedure}",{arguments},{{"ban":1}}]"#));
        assert_eq!(join(&mut realm, "anon2", None), Err(Refusal::Banned));
        assert_eq!(join(&mut realm, "bob", Some("bob")), Err(Refusal::Banned), "the address is banned");
        second(&mut realm, 1);
        assert!(join(&mut realm, "anon3", None).is_ok());
    }
}

#[test]
fn every_kind_of_kill_refuses_a_wrong_ban() {
    let error =
        r#""wamp.error.invalid_argument",["ban must be a number of seconds, an integer from 1 to 31622400"]"#;
    for (procedure, arguments) in KILLS {
        let mut realm = threatened();
        for ban in ["0", "-1", "31622401", "0.5", r#""60""#, "true", "[]", "{}"] {
            for more in ["", r#","reason":"""#] {
                let arguments = format!("{},{{\"ban\":{ban}{more}}}", realm.written(arguments));
                realm.answers("alice", &format!("wamp.session.{procedure}"), &arguments, error);
            }
        }
        realm.answers("alice", "wamp.session.count", "", "[2]");
        realm.receive(
            "alice",
            &format!(r#"[48,1,{{}},"wamp.session.{procedure}",{arguments},{{"ban":null}}]"#),
        );
        realm.lines.clear();
        realm.join_as("bob2", Some("bob"), "guest", Serializer::Json);
    }
}

/// Each procedure that ends sessions, with arguments that mean bob only.
const KILLS: [(&str, &str); 4] = [
    ("kill", "[@bob]"),
    ("kill_by_authid", r#"["bob"]"#),
    ("kill_by_authrole", r#"["guest"]"#),
    ("kill_all", "[]"),
];

/// alice, and bob in the role guest.
fn threatened() -> TestRealm {
    let mut realm = TestRealm::with(["alice"]);
    realm.join_as("bob", Some("bob"), "guest", Serializer::Json);
    realm.lines.clear();
    realm
}

#[test]
fn every_kind_of_kill_takes_a_reason_and_a_message() {
    for (procedure, arguments) in KILLS {
        for (keywords, details, reason) in [
            ("{}", "{}", "wamp.close.killed"),
            (r#"{"reason":null,"message":null}"#, "{}", "wamp.close.killed"),
            (r#"{"reason":"because"}"#, "{}", "because"),
            (r#"{"message":""}"#, r#"{"message":""}"#, "wamp.close.killed"),
            (r#"{"reason":"A.b","message":"go"}"#, r#"{"message":"go"}"#, "A.b"),
        ] {
            let mut realm = threatened();
            realm.receive(
                "alice",
                &format!(r#"[48,1,{{}},"wamp.session.{procedure}",{arguments},{keywords}]"#),
            );
            let goodbye = format!(r#"bob < [6,{details},"{reason}"]"#);
            assert_eq!(realm.lines.first(), Some(&goodbye), "{procedure} {keywords}");
            realm.lines.clear();
            realm.answers("alice", "wamp.session.count", "", "[1]");
        }
    }
}

#[test]
fn every_kind_of_kill_refuses_a_wrong_reason_or_message() {
    let not_valid = |uri: &str| format!(r#""wamp.error.invalid_uri",["\"{uri}\" is not a valid uri"]"#);
    let no_string = r#""wamp.error.invalid_uri",["\"reason\" must be a string"]"#.to_owned();
    let no_text = r#""wamp.error.invalid_argument",["message must be a string"]"#.to_owned();
    let others = ["7", "-1", "0.5", "true", "[]", "{}", r#""\u0000AP8=""#];
    let reasons = ["", "a..b", "a b", "a.#"].map(|uri| (format!(r#"{{"reason":"{uri}"}}"#), not_valid(uri)));
    let wrong_reasons = others.map(|value| (format!(r#"{{"reason":{value}}}"#), no_string.clone()));
    let wrong_messages = others.map(|value| (format!(r#"{{"message":{value}}}"#), no_text.clone()));
    let both = (r#"{"reason":"","message":7}"#.to_owned(), no_text.clone());
    let keywords: Vec<_> =
        reasons.into_iter().chain(wrong_reasons).chain(wrong_messages).chain([both]).collect();
    for (procedure, arguments) in KILLS {
        let mut realm = threatened();
        for (keywords, error) in &keywords {
            let arguments = format!("{},{keywords}", realm.written(arguments));
            realm.answers("alice", &format!("wamp.session.{procedure}"), &arguments, error);
        }
        realm.answers("alice", "wamp.session.count", "", "[2]");
    }
}

#[test]
fn arguments_that_are_too_many_are_not_looked_at() {
    let mut realm = TestRealm::with(["ann"]);
    let text = |most: usize| {
        format!("\"wamp.error.invalid_argument\",[\"the arguments have more than {most} octets\"]")
    };
    let of = |octets: usize| format!("[\"{}\"]", "x".repeat(octets - 4));
    realm.answers("ann", "wamp.session.count", &of(65_537), &text(65_536));
    let list = "\"wamp.error.invalid_argument\",[\"filter_authroles must be a list of strings\"]";
    realm.answers("ann", "wamp.session.count", &of(65_536), list);
    let most = 2 << 20;
    let testament = format!("[\"a\",{},{{}}]", of(most - 8));
    realm.answers("ann", "wamp.session.add_testament", &testament, &text(most));
}
