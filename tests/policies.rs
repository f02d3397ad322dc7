//! How many sessions one authid may have in a role, and who is banned, as a configuration file says it and as the wire
//! shows it.

use crate::support::{Peer, Router, log, peer::Received};
use realmkeeper_actors::codec::Serializer;
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

[[realms.principals]]
authid = "sid"
role = "single"
ticket = "secret123"

[[realms.principals]]
authid = "ned"
role = "newest"
ticket = "secret123"
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
