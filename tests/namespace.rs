//! What belongs to the router: the URIs below `wamp.`, and the truth about who a session is.

use crate::support::{Peer, Router};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};

/// URIs that only the router may use.
const RESERVED: [&str; 5] =
    ["wamp", "wamp.session.on_join", "wamp.session.kill", "wamp.error.no_such_session", "wamp.x"];

/// The refusal of a request.
fn refused(kind: u64, request: u64, uri: &str) -> Json {
    let text = format!("{uri:?} is reserved for the router");
    json!([8, kind, request, {}, "wamp.error.invalid_uri", [text]])
}

#[test]
fn nobody_but_the_router_publishes_below_wamp() {
    for serializer in Serializer::ALL {
        let router = Router::start();
        let mut listener = Peer::join(&router, serializer);
        listener.send(&json!([32, 1, {"match": "prefix"}, "wamp"]));
        let subscription = listener.message()[2].clone();
        let mut forger = Peer::join(&router, serializer);
        assert_eq!(listener.message()[3], json!({"topic": "wamp.session.on_join"}));
        for uri in RESERVED {
            for options in [json!({}), json!({"acknowledge": false}), json!({"exclude_me": false})] {
                let request = forger.request();
                forger.send(&json!([16, request, options, uri, ["forged"]]));
            }
            let request = forger.request();
            forger.send(&json!([16, request, {"acknowledge": true}, uri, ["forged"]]));
            assert_eq!(forger.message(), refused(16, request, uri));
        }
        let request = forger.request();
        forger.send(&json!([16, request, {}, "wampum", ["allowed"]]));
        // The first to come is the one that is not reserved.
        let event = listener.message();
        assert_eq!(event, json!([36, subscription, event[2], {"topic": "wampum"}, ["allowed"]]));
    }
}

#[test]
fn nobody_but_the_router_registers_below_wamp() {
    for serializer in Serializer::ALL {
        let router = Router::start();
        let mut forger = Peer::join(&router, serializer);
        let patterns = ["prefix", "wildcard"].iter().flat_map(|matching| {
            ["wamp", "wamp.", "wamp.session.", "wamp..kill"].map(|uri| (json!({"match": matching}), uri))
        });
        let exact = RESERVED.map(|uri| (json!({}), uri));
        for (options, uri) in exact.into_iter().chain(patterns) {
            if options == json!({"match": "prefix"}) && uri == "wamp..kill" {
                // That is no prefix at all.
                continue;
            }
            let request = forger.request();
            forger.send(&json!([64, request, options, uri]));
            assert_eq!(forger.message(), refused(64, request, uri));
        }
        // What would match procedures of the router, read as text, does not reach them.
        for (matching, uri) in [("prefix", ""), ("prefix", "wam"), ("wildcard", ".session.count")] {
            forger.register(uri, &json!({"match": matching}));
        }
        assert_eq!(
            forger.call("wamp.session.count", &json!([]), &json!({})),
            json!([50, forger.request() - 1, {}, [1]])
        );
        let answer = forger.call("wamp.session.nothing", &json!([]), &json!({}));
        assert_eq!(answer[4], "wamp.error.no_such_procedure");
    }
}

#[test]
fn a_session_is_announced_as_what_it_is_whatever_it_says_of_itself() {
    let forged = [
        json!({}),
        json!({"authid": "root", "authrole": "admin"}),
        json!({"authprovider": "x", "authmethod": "wampcra", "realm": "realm2", "session": 1}),
        json!({"authprovider": 7, "authmethod": [], "realm": {}, "session": "1"}),
        json!({"authextra": {"transport": {"peer": "tcp4:10.0.0.1:1", "is_secure": true}, "authrole": "admin"}}),
        json!({"transport": {"peer": "tcp4:10.0.0.1:1", "channel_type": "tls", "auth": {"ticket": "secret"}}}),
        json!({"transport": "tcp4:10.0.0.1:1"}),
        json!({"transport": [1]}),
        json!({"transport": null}),
        json!({"x_cb_node_id": "node", "agent": "AutobahnPython"}),
    ];
    let router = Router::start();
    for serializer in Serializer::ALL {
        for details in &forged {
            let mut watcher = Peer::join(&router, serializer);
            let joins = watcher.subscribe("wamp.session.on_join");
            let mut forger = Peer::connect(&router, serializer);
            forger.say_hello("realm1", details);
            let address = forger.socket().get_ref().local_addr().expect("a socket has an address");
            let truth = json!({
                "session": forger.session,
                "authid": forger.authid,
                "authrole": "anonymous",
                "authmethod": "anonymous",
                "authprovider": "static",
                "realm": "realm1",
                "transport": {
                    "channel_type": "tcp",
                    "channel_framing": "websocket",
                    "channel_serializer": serializer.name(),
                    "peer": format!("tcp4:{address}"),
                    "is_secure": false,
                    "websocket_protocol": serializer.subprotocol(),
                },
            });
            let event = watcher.message();
            assert_eq!(event, json!([36, joins, event[2], {}, [truth]]), "{details}");
            assert_ne!(forger.authid, "root");
            assert_eq!(
                watcher.call("wamp.session.get", &json!([forger.session]), &json!({})),
                json!([50, 2, {}, [truth]]),
                "{details}"
            );
            watcher.leave();
            forger.leave();
        }
    }
}
