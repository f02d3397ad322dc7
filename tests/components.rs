//! Components of other people, written with autobahn-python, which the router asks: whatever they do, they let nobody in
//! whom they do not name.

use crate::support::{Peer, Router, clients};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

const CONFIG: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
[listeners.limits]
ping_interval = "60m"

[[realms]]
name = "realm1"
anonymous = "operator"

[realms.limits]
component_timeout = "60m"

[[realms.roles]]
name = "operator"
permissions = [{ uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] }]

[[realms.roles]]
name = "component"
trusted = true
permissions = [{ uri = "com.example.", match = "prefix", allow = ["register"] }]

[[realms.roles]]
name = "member"
authorizer = "com.example.authorize"

[[realms.principals]]
authid = "component"
role = "component"
ticket = "secret123"

[[realms.principals]]
authid = "mia"
role = "member"
ticket = "secret123"
"#;

/// The program that is asked. It ends when it is dropped.
struct Component {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Component {
    /// Starts it; it has registered what it carries out.
    fn start(router: &Router, serializer: Serializer) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/component.py");
        let mut command = clients::python();
        command.args([program, &router.url(), serializer.name()]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the component starts");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut component = Self { child, output };
        assert_eq!(component.line(), "ready");
        component
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the component prints text");
        line.trim_end().to_owned()
    }

    /// What it is asked next.
    fn asked(&mut self) -> Json {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session whose role has the authorizer.
fn mia(router: &Router, serializer: Serializer) -> Peer {
    let mut peer = Peer::connect(router, serializer);
    peer.prove("realm1", "mia", "secret123");
    peer
}

fn failed(kind: u64, request: u64) -> Json {
    let text = "the authorizer of the role \"member\" has not said whether this may be done";
    json!([8, kind, request, {}, "wamp.error.authorization_failed", [text]])
}

#[test]
fn an_authorizer_of_autobahn_says_what_a_session_may_do() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let mut component = Component::start(&router, serializer);
        let mut operator = Peer::join(&router, serializer);
        let mut peer = mia(&router, serializer);
        let address = peer.socket().get_ref().local_addr().expect("a socket has an address");
        let details = json!({
            "session": peer.session, "authid": "mia", "authrole": "member", "authmethod": "ticket",
            "authprovider": "static", "realm": "realm1",
            "transport": {
                "channel_type": "tcp", "channel_framing": "websocket", "channel_serializer": serializer.name(),
                "peer": format!("tcp4:{address}"), "is_secure": false,
                "websocket_protocol": serializer.subprotocol(),
            },
        });
        let refused = |kind: u64, request: u64, action: &str| {
            let text = format!("the role \"member\" may not {action} \"app.forbidden\"");
            json!([8, kind, request, {}, "wamp.error.not_authorized", [text]])
        };

        peer.send(&json!([32, 1, {"match": "prefix"}, "app.topic"]));
        assert_eq!(component.asked(), json!([details, "app.topic", "subscribe", {"match": "prefix"}]));
        let subscribed = peer.message();
        assert_eq!(subscribed, json!([33, 1, subscribed[2]]));
        peer.send(&json!([32, 2, {}, "app.forbidden"]));
        assert_eq!(component.asked(), json!([details, "app.forbidden", "subscribe", {}]));
        assert_eq!(peer.message(), refused(32, 2, "subscribe"));
        peer.send(&json!([64, 3, {}, "app.forbidden"]));
        assert_eq!(component.asked(), json!([details, "app.forbidden", "register", {}]));
        assert_eq!(peer.message(), refused(64, 3, "register"));
        peer.send(&json!([48, 4, {"timeout": 60000}, "app.forbidden"]));
        assert_eq!(component.asked(), json!([details, "app.forbidden", "call", {"timeout": 60000}]));
        assert_eq!(peer.message(), refused(48, 4, "call"));
        peer.send(&json!([16, 5, {"acknowledge": true}, "app.forbidden"]));
        assert_eq!(component.asked(), json!([details, "app.forbidden", "publish", {"acknowledge": true}]));
        assert_eq!(peer.message(), refused(16, 5, "publish"));

        // What may be kept is asked once.
        let registration = operator.register("app.kept", &json!({}));
        for request in [6, 7] {
            peer.send(&json!([48, request, {}, "app.kept"]));
            let details =
                json!({"caller": peer.session, "caller_authid": "mia", "caller_authrole": "member"});
            assert_eq!(operator.message(), json!([68, request - 5, registration, details]));
            operator.send(&json!([70, request - 5, {}, [request]]));
            assert_eq!(peer.message(), json!([50, request, {}, [request]]));
        }
        assert_eq!(component.asked(), json!([details, "app.kept", "call", {}]));
        let topic = operator.subscribe("app.disclosed");
        peer.send(&json!([16, 8, {}, "app.disclosed", [1]]));
        assert_eq!(component.asked(), json!([details, "app.disclosed", "publish", {}]));
        let event = operator.message();
        let details =
            json!({"publisher": peer.session, "publisher_authid": "mia", "publisher_authrole": "member"});
        assert_eq!(event, json!([36, topic, event[2], details, [1]]));
        peer.leave();
        operator.leave();
    }
}

#[test]
fn an_authorizer_that_fails_hangs_or_dies_is_no_way_in() {
    let router = Router::configured(CONFIG);
    for serializer in Serializer::ALL {
        let mut component = Component::start(&router, serializer);
        let mut operator = Peer::join(&router, serializer);
        let mut peer = mia(&router, serializer);
        for (request, uri) in [(1, "app.error"), (2, "app.fault"), (3, "app.nonsense")] {
            peer.send(&json!([48, request, {}, uri]));
            assert_eq!(component.asked()[1], uri);
            assert_eq!(peer.message(), failed(48, request));
        }
        // What waits for an answer that never comes keeps nobody else waiting, and goes with its session.
        let mut waiting = mia(&router, serializer);
        waiting.send(&json!([32, 1, {}, "app.hang"]));
        waiting.send(&json!([32, 2, {}, "app.topic"]));
        assert_eq!(component.asked()[1], "app.hang");
        peer.send(&json!([32, 4, {}, "app.topic"]));
        assert_eq!(component.asked()[1], "app.topic");
        assert_eq!(peer.message()[0], 33);
        drop(waiting);
        // Who was asked when the component dies is answered, and so is who asks afterwards.
        let mut other = mia(&router, serializer);
        other.send(&json!([64, 1, {}, "app.hang"]));
        assert_eq!(component.asked()[1], "app.hang");
        peer.send(&json!([48, 5, {}, "app.die"]));
        assert_eq!(component.asked()[1], "app.die");
        assert_eq!(peer.message(), failed(48, 5));
        assert_eq!(other.message(), failed(64, 1));
        peer.send(&json!([16, 6, {"acknowledge": true}, "app.topic"]));
        assert_eq!(peer.message(), failed(16, 6));
        let told = operator.call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(told, json!([50, 1, {}, [3]]));
        peer.leave();
        other.leave();
        operator.leave();
    }
}
