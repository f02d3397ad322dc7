//! What two roles may do, as a configuration file says it and as the wire shows it.

use crate::support::{Peer, Router, peer::Received};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};

const CONFIG: &str = r#"
[[listeners]]
address = "127.0.0.1:0"

[[realms]]
name = "realm1"
anonymous = "guest"

[[realms.roles]]
name = "guest"

[[realms.roles.permissions]]
uri = "com.open."
match = "prefix"
allow = ["call", "subscribe"]

[[realms.roles.permissions]]
uri = "com.open.closed"
allow = []

[[realms.roles.permissions]]
uri = "com..status"
match = "wildcard"
allow = ["subscribe", "publish"]
disclose = { publisher = true }

[[realms.roles.permissions]]
uri = "com.shy"
allow = ["publish", "call", "subscribe", "register"]
disclose = { caller = false, publisher = false }

[[realms.roles.permissions]]
uri = "wamp.session."
match = "prefix"
allow = ["subscribe"]

[[realms.roles.permissions]]
uri = "wamp.session.count"
allow = ["call"]

[[realms.roles]]
name = "operator"

[[realms.roles.permissions]]
uri = ""
match = "prefix"
allow = ["call", "register", "publish", "subscribe"]

[[realms.roles.permissions]]
uri = "wamp.session.kill"
allow = ["call"]

[[realms.principals]]
authid = "olga"
role = "operator"
ticket = "secret123"
"#;

/// A guest and the operator, who speak this serializer.
fn both(router: &Router, serializer: Serializer) -> [(&'static str, Peer); 2] {
    let guest = Peer::join(router, serializer);
    let mut operator = Peer::connect(router, serializer);
    operator.prove("realm1", "olga", "secret123");
    [("guest", guest), ("operator", operator)]
}

/// Asks for an action; gives the error if it is refused.
fn ask(peer: &mut Peer, action: &str, uri: &str, matching: &str) -> Option<(Json, Json)> {
    let request = peer.request();
    let (code, options) = match action {
        "subscribe" => (32, json!({"match": matching})),
        "register" => (64, json!({"match": matching})),
        "publish" => (16, json!({"acknowledge": true})),
        "call" => (48, json!({})),
        _ => panic!("{action} is no action"),
    };
    peer.send(&json!([code, request, options, uri]));
    let answer = peer.message();
    (answer[0] == 8).then(|| {
        assert_eq!((&answer[1], &answer[2], &answer[3]), (&json!(code), &json!(request), &json!({})));
        (answer[4].clone(), answer[5].clone())
    })
}

#[test]
fn each_role_may_do_what_its_permissions_say() {
    let table: &[(&str, &str, &str, [bool; 2])] = &[
        // action, match, uri, whether guest and operator may
        ("call", "exact", "com.open.add", [true, true]),
        ("call", "exact", "com.open.closed", [false, true]),
        ("call", "exact", "com.other", [false, true]),
        ("call", "exact", "com.x.status", [false, true]),
        ("call", "exact", "wamp.session.count", [true, true]),
        ("call", "exact", "wamp.session.list", [false, true]),
        ("call", "exact", "wamp.session.kill", [false, true]),
        ("call", "exact", "wamp.session.kill_all", [false, false]),
        ("call", "exact", "wamp.session.kill_by_authid", [false, false]),
        ("call", "exact", "wamp.session.kill_by_authrole", [false, false]),
        ("call", "exact", "wamp.session.add_testament", [false, true]),
        ("subscribe", "exact", "com.open.news", [true, true]),
        ("subscribe", "exact", "com.open.closed", [false, true]),
        ("subscribe", "exact", "com.x.status", [true, true]),
        ("subscribe", "exact", "wamp.session.on_join", [true, true]),
        ("subscribe", "exact", "wamp.subscription.on_create", [false, true]),
        ("subscribe", "prefix", "com.open.x", [true, true]),
        // It would reach com.open.closed.
        ("subscribe", "prefix", "com.open.", [false, true]),
        ("subscribe", "prefix", "com.open", [false, true]),
        ("subscribe", "prefix", "com.", [false, true]),
        ("subscribe", "prefix", "", [false, true]),
        ("subscribe", "prefix", "wamp.session.on_", [true, true]),
        ("subscribe", "prefix", "wamp.", [false, true]),
        ("subscribe", "wildcard", "com.open..x", [true, true]),
        ("subscribe", "wildcard", "com..x", [false, true]),
        ("subscribe", "wildcard", "..", [false, true]),
        ("publish", "exact", "com.x.status", [true, true]),
        ("publish", "exact", "com.open.status", [false, true]),
        ("publish", "exact", "com.other", [false, true]),
        ("register", "exact", "com.shy", [true, true]),
        ("register", "exact", "com.open.add", [false, true]),
        ("register", "exact", "org.add", [false, true]),
    ];
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        for (place, (role, mut peer)) in both(&router, serializer).into_iter().enumerate() {
            for (action, matching, uri, allowed) in table {
                // The other role may hold the registration already.
                let refused = ask(&mut peer, action, uri, matching)
                    .filter(|(error, _)| error == "wamp.error.not_authorized");
                let text = format!("the role {role:?} may not {action} {uri:?}");
                let expected = (!allowed[place]).then(|| (json!("wamp.error.not_authorized"), json!([text])));
                assert_eq!(refused, expected, "{serializer} {role} {action} {matching} {uri:?}");
            }
            peer.leave();
        }
    }
}

#[test]
fn a_publication_that_is_not_acknowledged_and_not_allowed_reaches_nobody() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let [(_, mut guest), (_, mut operator)] = both(&router, serializer);
        operator.subscribe("com.other");
        let topic = operator.subscribe("com.x.status");
        let (first, second) = (guest.request(), guest.request());
        guest.send(&json!([16, first, {}, "com.other", ["not for you"]]));
        guest.send(&json!([16, second, {}, "com.x.status", ["fine"]]));
        let event = operator.message();
        let details = json!({"publisher": guest.session, "publisher_authid": guest.authid, "publisher_authrole": "guest"});
        assert_eq!(event, json!([36, topic, event[2], details, ["fine"]]));
    }
}

#[test]
fn who_may_not_be_disclosed_is_told_so() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let [(_, mut guest), (_, mut operator)] = both(&router, serializer);
        let topic = operator.subscribe("com.shy");
        let registration = operator.register("com.shy", &json!({"disclose_caller": true}));
        let refused = |code: u8, request: u64, whom: &str| {
            let text = format!("the role \"guest\" may not have {whom} disclosed for \"com.shy\"");
            json!([8, code, request, {}, "wamp.error.option_disallowed.disclose_me", [text]])
        };
        let request = guest.request();
        guest.send(&json!([48, request, {"disclose_me": true}, "com.shy"]));
        assert_eq!(guest.message(), refused(48, request, "the caller"));
        let request = guest.request();
        guest.send(&json!([16, request, {"disclose_me": true, "acknowledge": true}, "com.shy"]));
        assert_eq!(guest.message(), refused(16, request, "the publisher"));
        let request = guest.request();
        guest.send(&json!([64, request, {"disclose_caller": true}, "com.shy"]));
        assert_eq!(guest.message(), refused(64, request, "the caller"));
        let (first, second) = (guest.request(), guest.request());
        guest.send(&json!([16, first, {}, "com.shy"]));
        guest.send(&json!([48, second, {}, "com.shy"]));
        let event = operator.message();
        assert_eq!(event, json!([36, topic, event[2], {}]));
        assert_eq!(operator.message(), json!([68, 1, registration, {}]));
        operator.leave();
        assert_eq!(guest.message()[4], "wamp.error.canceled");
    }
}

/// Row 11 of the acceptance list of the session meta API.
#[test]
fn who_may_not_kill_kills_nobody() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let [(_, mut guest), (_, mut operator)] = both(&router, serializer);
        let refused = |request: u64, procedure: &str| {
            let text = format!("the role \"guest\" may not call {procedure:?}");
            json!([8, 48, request, {}, "wamp.error.not_authorized", [text]])
        };
        for (procedure, args) in [
            ("wamp.session.kill", json!([operator.session])),
            ("wamp.session.kill_by_authid", json!(["olga"])),
            ("wamp.session.kill_by_authrole", json!(["operator"])),
            ("wamp.session.kill_all", json!([])),
        ] {
            let answer = guest.call(procedure, &args, &json!({}));
            assert_eq!(answer, refused(answer[2].as_u64().expect("a request id"), procedure));
        }
        let count = operator.call("wamp.session.count", &json!([["operator"]]), &json!({}));
        assert_eq!(count, json!([50, count[1], {}, [1]]));
        let killed = operator.call("wamp.session.kill", &json!([guest.session]), &json!({}));
        assert_eq!(killed, json!([50, killed[1], {}]));
        assert_eq!(guest.receive(), Received::Message(json!([6, {}, "wamp.close.killed"])));
        operator.leave();
    }
}
