//! How many sessions one authid may have in a role, and who is banned, as a configuration file says it and as the wire
//! shows it.

use crate::support::{Peer, Router, log, peer::Received, principal::backend};
use realmkeeper_actors::{codec::Serializer, session::access::Ticket};
use serde_json::{Value as Json, json};

const CONFIG: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
[listeners.limits]
ping_interval = "60m"
linger = "60m"

[[realms]]
name = "realm1"
anonymous = "guest"

[[realms.roles]]
name = "guest"
permissions = [{ uri = "wamp.", match = "prefix", allow = ["call", "subscribe"] }]

[[realms.roles]]
name = "single"
sessions_per_authid = { most = 1 }

[[realms.roles]]
name = "newest"
sessions_per_authid = { most = 1, beyond = "replace" }

[[realms.bans]]
authid = "mallory"

[[realms.bans]]
authid = "past"
until = "2001-01-01T00:00:00Z"

[[realms.principals]]
authid = "mallory"
role = "single"
ticket = "secret123"

[[realms.principals]]
authid = "past"
role = "single"
ticket = "secret123"

[[realms.principals]]
authid = "sid"
role = "single"
ticket = "secret123"

[[realms.principals]]
authid = "ned"
role = "newest"
ticket = "secret123"

[[realms]]
name = "realm2"
anonymous = "guest"
bans = [{ network = "127.0.0.0/8" }]
roles = [{ name = "guest" }]
"#;

fn abort(reason: &str, text: &str) -> [Received; 3] {
    [Received::Message(json!([3, {"message": text}, reason])), Received::Close(Some(1008)), Received::End]
}

/// Connects, says who it is, and shows the ticket.
fn knock(router: &Router, serializer: Serializer, authid: &str) -> Peer {
    let mut peer = Peer::connect(router, serializer);
    let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid});
    peer.send(&json!([1, "realm1", details]));
    assert_eq!(peer.message(), json!([4, "ticket", {}]));
    peer.send(&json!([5, "secret123", {}]));
    peer
}

/// What a role without addresses is told of a session.
fn details(peer: &Peer, role: &str) -> Json {
    json!({
        "session": peer.session, "authid": peer.authid, "authrole": role, "authmethod": "ticket",
        "authprovider": "static", "realm": "realm1",
        "transport": {
            "channel_type": "tcp", "channel_framing": "websocket", "channel_serializer": peer.serializer().name(),
            "is_secure": false, "websocket_protocol": peer.serializer().subprotocol(),
        },
    })
}

#[test]
fn one_session_of_an_authid_refuses_the_next() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let mut first = Peer::connect(&router, serializer);
        first.prove("realm1", "sid", "secret123");
        let text = "the authid has too many sessions in its role: at most 1";
        let told = abort("realmkeeper.error.limit_exceeded", text);
        assert_eq!(knock(&router, serializer, "sid").rest(), told);
        first.leave();
        let mut next = Peer::connect(&router, serializer);
        next.prove("realm1", "sid", "secret123");
        next.leave();
    }
}

#[test]
fn a_newer_session_takes_the_place_of_one_whose_client_does_nothing_any_more() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let mut guest = Peer::join(&router, serializer);
        let (joined, left) =
            (guest.subscribe("wamp.session.on_join"), guest.subscribe("wamp.session.on_leave"));
        let mut first = Peer::connect(&router, serializer);
        first.prove("realm1", "ned", "secret123");
        let event = guest.message();
        assert_eq!(event, json!([36, joined, event[2], {}, [details(&first, "newest")]]));
        // The first does not answer its GOODBYE, and nobody waits for that.
        let mut second = Peer::connect(&router, serializer);
        second.prove("realm1", "ned", "secret123");
        let event = guest.message();
        assert_eq!(event, json!([36, left, event[2], {}, [first.session, "ned", "newest"]]));
        let event = guest.message();
        assert_eq!(event, json!([36, joined, event[2], {}, [details(&second, "newest")]]));
        let goodbye = Received::Message(json!([6, {}, "realmkeeper.close.replaced"]));
        assert_eq!(first.rest(), [goodbye, Received::Close(Some(1008)), Received::End]);
        let line = log::wait_for(&["session left", &format!("session={} ", first.session)]);
        assert!(line.contains("cause=\"replaced\""), "{line}");
        second.leave();
        guest.leave();
    }
}

#[test]
fn who_is_banned_by_the_file_is_asked_for_nothing() {
    let router = Router::configured(CONFIG);
    let told = abort("wamp.error.not_authorized", "this client is banned from the realm");
    for serializer in Serializer::ALL {
        for (realm, authid) in [("realm1", "mallory"), ("realm2", "sid"), ("realm2", "nobody")] {
            let mut peer = Peer::connect(&router, serializer);
            let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid});
            peer.send(&json!([1, realm, details]));
            assert_eq!(peer.rest(), told, "{realm} {authid}");
        }
        let mut anonymous = Peer::connect(&router, serializer);
        anonymous.send(&json!([1, "realm2", {"roles": {"caller": {}}}]));
        assert_eq!(anonymous.rest(), told);
        let mut past = Peer::connect(&router, serializer);
        past.prove("realm1", "past", "secret123");
        past.leave();
    }
}

#[test]
fn a_ban_outlives_the_realm_that_failed() {
    let router = Router::with(|settings| {
        settings.realms[0].door.principals.push(backend("joe", Ticket::plain("secret123")));
    });
    let mut ann = Peer::join(&router, Serializer::Json);
    let mut joe = Peer::connect(&router, Serializer::Json);
    joe.prove("realm1", "joe", "secret123");
    let killed = ann.call("wamp.session.kill", &json!([joe.session]), &json!({"ban": 3600}));
    assert_eq!(killed, json!([50, 1, {}]));
    ann.send(&json!([16, 2, {}, "realmkeeper.fault.realm"]));
    assert_eq!(ann.message(), json!([6, {}, "wamp.close.close_realm"]));
    let mut joe = Peer::connect(&router, Serializer::Json);
    let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"});
    joe.send(&json!([1, "realm1", details]));
    assert_eq!(joe.rest(), abort("wamp.error.not_authorized", "this client is banned from the realm"));
    Peer::join(&router, Serializer::Json).leave();
}
