//! Components of other people, written with autobahn-python, which the router asks: whatever they do, they let nobody
//! in whom they do not name.

use crate::support::{Peer, Router, clients, form, peer::Received, scrape::Samples};
use realmkeeper_actors::{
    codec::Serializer,
    session::access::{
        cra::{self, Salting},
        cryptosign,
        scram::{self, Kdf, Told},
    },
};
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

[realms.authenticators]
anonymous = "com.example.authenticate"
ticket = "com.example.authenticate"
wampcra = "com.example.authenticate"
wamp-scram = "com.example.authenticate"
cryptosign = "com.example.authenticate"

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
authid = "olga"
role = "operator"
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

fn olga(router: &Router, serializer: Serializer) -> Peer {
    let mut peer = Peer::connect(router, serializer);
    peer.prove("realm1", "olga", "secret123");
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
        let mut operator = olga(&router, serializer);
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
        let mut operator = olga(&router, serializer);
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

#[test]
fn what_waits_takes_no_more_than_the_credit_and_has_its_effect_in_the_end() {
    const COUNT: u64 = 200;
    let router =
        Router::configured(&CONFIG.replace("[listeners.limits]", "[listeners.limits]\ncredit = \"1KiB\""));
    for serializer in Serializer::ALL {
        let before = Samples::of(&router);
        let mut component = Peer::connect(&router, serializer);
        component.prove("realm1", "component", "secret123");
        let registration = component.register("com.example.authorize", &json!({}));
        let mut peer = mia(&router, serializer);
        for request in 1..=COUNT {
            peer.send(&json!([16, request, {"acknowledge": true}, "app.topic", ["x".repeat(600)]]));
        }
        for request in 1..=COUNT {
            let asked = component.message();
            assert_eq!(asked, json!([68, request, registration, {}, asked[4]]));
            component.send(&json!([70, request, {}, [true]]));
            let published = peer.message();
            assert_eq!(published, json!([17, request, published[2]]));
        }
        let changes = Samples::of(&router).since(&before);
        assert!(changes.contains("realmkeeper_limits_hit_total{limit=\"credit\"}"), "{changes}");
        peer.leave();
        component.leave();
    }
}

/// Says HELLO with this method and these details.
fn greeting(router: &Router, serializer: Serializer, method: &str, details: &Json) -> Peer {
    let mut peer = Peer::connect(router, serializer);
    let mut details = details.clone();
    (details["roles"], details["authmethods"]) = (json!({"caller": {}, "subscriber": {}}), json!([method]));
    peer.send(&json!([1, "realm1", details]));
    peer
}

fn abort(text: &str, code: u16) -> [Received; 3] {
    let told = json!([3, {"message": text}, "wamp.error.authentication_failed"]);
    [Received::Message(told), Received::Close(Some(code)), Received::End]
}

/// Asserts who WELCOME says that somebody is.
fn check_welcome(peer: &mut Peer, authid: &str, method: &str, authextra: &Json) -> u64 {
    let welcome = peer.message();
    let told = ["authid", "authrole", "authmethod", "authprovider", "authextra"].map(|key| &welcome[2][key]);
    let expected = [&json!(authid), &json!("member"), &json!(method), &json!("dynamic"), authextra];
    assert_eq!((&welcome[0], told), (&json!(2), expected), "{welcome}");
    welcome[1].as_u64().expect("a session has an id")
}

/// What an authenticator is told of who stands at the door; the session is what it is to be.
fn check_details(asked: &Json, authid: &Json, method: &str, authextra: &Json, peer: &mut Peer) -> u64 {
    let address = peer.socket().get_ref().local_addr().expect("a socket has an address");
    let serializer = peer.serializer();
    let mut details = asked[2].clone();
    let session = details["session"].as_u64().expect("the id that the session is to have");
    details.as_object_mut().expect("details are a dict").remove("ticket");
    let transport = json!({
        "channel_type": "tcp", "channel_framing": "websocket", "channel_serializer": serializer.name(),
        "peer": format!("tcp4:{address}"), "is_secure": false, "websocket_protocol": serializer.subprotocol(),
    });
    let expected = json!({
        "authmethod": method, "authid": authid, "authextra": authextra, "session": session, "transport": transport,
    });
    assert_eq!((&asked[0], &asked[1], &details), (&json!("realm1"), authid, &expected));
    session
}

#[test]
fn an_authenticator_of_autobahn_says_who_joins_by_which_proof() {
    let router = Router::configured(CONFIG);
    let carol = [3; 32];
    for serializer in Serializer::ALL {
        let mut component = Component::start(&router, serializer);
        let null = Json::Null;

        // Whoever is anonymous is asked about at once, and has no authid before.
        let details = json!({"authid": "joe", "authextra": {"guest": true}});
        let mut peer = greeting(&router, serializer, "anonymous", &details);
        let asked = component.asked();
        let session = check_details(&asked, &null, "anonymous", &json!({"guest": true}), &mut peer);
        let welcome = peer.message();
        assert_eq!((&welcome[1], &welcome[2]["authrole"]), (&json!(session), &json!("member")));
        assert_eq!(welcome[2]["authid"].as_str().map(str::len), Some(14));
        peer.leave();

        // A ticket is shown to the component.
        for (ticket, is_right) in [("secret of alias", true), ("wrong", false)] {
            let mut peer = greeting(&router, serializer, "ticket", &json!({"authid": "alias"}));
            assert_eq!(peer.message(), json!([4, "ticket", {}]));
            peer.send(&json!([5, ticket, {}]));
            let asked = component.asked();
            assert_eq!(asked[2]["ticket"], ticket);
            let session = check_details(&asked, &json!("alias"), "ticket", &null, &mut peer);
            if is_right {
                let joined = check_welcome(&mut peer, "ally", "ticket", &json!({"team": "red"}));
                assert_eq!(joined, session);
                peer.leave();
            } else {
                assert_eq!(peer.rest(), abort("this ticket is wrong", 1000));
            }
        }

        // A secret is told by the component, and proved to the router.
        for (authid, is_salted) in [("joe", false), ("salty", true)] {
            let mut peer = greeting(&router, serializer, "wampcra", &json!({"authid": authid}));
            let session = check_details(&component.asked(), &json!(authid), "wampcra", &null, &mut peer);
            let challenge = peer.message();
            let asked = challenge[2]["challenge"].as_str().expect("a challenge");
            let told: Json = serde_json::from_str(asked).expect("the challenge is JSON");
            assert_eq!((&told["session"], &told["authprovider"]), (&json!(session), &json!("dynamic")));
            let secret = format!("secret of {authid}");
            let key = if is_salted {
                let salting = Salting { salt: "salt123".into(), iterations: 100, key_length: 32 };
                assert_eq!(challenge[2]["salt"], "salt123");
                cra::derive(&secret, &salting)
            } else {
                secret
            };
            let signature = cra::sign(&key, asked);
            peer.send(&json!([5, signature, {}]));
            assert_eq!(check_welcome(&mut peer, authid, "wampcra", &null), session);
            peer.leave();
            let mut peer = greeting(&router, serializer, "wampcra", &json!({"authid": authid}));
            component.asked();
            peer.message();
            peer.send(&json!([5, signature, {}]));
            assert_eq!(peer.message()[2], "wamp.error.authentication_denied");
        }

        let nonce = json!({"nonce": "bm9uY2U="});
        let mut peer =
            greeting(&router, serializer, "wamp-scram", &json!({"authid": "sam", "authextra": nonce}));
        check_details(&component.asked(), &json!("sam"), "wamp-scram", &nonce, &mut peer);
        let challenge = peer.message();
        let text = |key: &str| challenge[2][key].as_str().expect("a text");
        // The proof is of the name that the client said, whatever the component makes of it.
        let told = Told {
            authid: "sam",
            client_nonce: "bm9uY2U=",
            nonce: text("nonce"),
            salt: text("salt"),
            kdf: Kdf::Pbkdf2 { iterations: 4096 },
        };
        let proof = scram::prove("pencil", &told).expect("a password").expect("a salt");
        peer.send(&json!([5, proof.signature, {"nonce": text("nonce"), "channel_binding": null}]));
        check_welcome(&mut peer, "samuel", "wamp-scram", &json!({"verifier": proof.verifier}));
        peer.leave();

        // A public key may be all that a client says of itself.
        let announced = json!({"pubkey": cryptosign::public_key(&carol).to_string()});
        let mut peer = greeting(&router, serializer, "cryptosign", &json!({"authextra": announced}));
        check_details(&component.asked(), &null, "cryptosign", &announced, &mut peer);
        let challenge = peer.message();
        let asked = challenge[2]["challenge"].as_str().expect("a challenge");
        peer.send(&json!([5, cryptosign::sign(&carol, asked).expect("it is a challenge"), {}]));
        check_welcome(&mut peer, "carol", "cryptosign", &null);
        peer.leave();
    }
}

#[test]
fn an_authenticator_that_fails_hangs_or_dies_lets_nobody_in() {
    let router = Router::configured(CONFIG);
    let fault = abort("the authenticator of the realm has failed, try again", 1011);
    for serializer in Serializer::ALL {
        let mut component = Component::start(&router, serializer);
        let shown = |authid: &str| {
            let mut peer = greeting(&router, serializer, "ticket", &json!({"authid": authid}));
            assert_eq!(peer.message(), json!([4, "ticket", {}]));
            peer.send(&json!([5, "secret123", {}]));
            peer
        };
        let not_in = "the authenticator of the realm does not let this client in";
        for (authid, expected) in [
            ("banned", abort("come back tomorrow", 1000)),
            ("nobody", abort("there is no such user", 1000)),
            ("fault", abort(not_in, 1000)),
            ("elsewhere", fault.clone()),
            ("strange", fault.clone()),
            ("nothing", fault.clone()),
            ("number", fault.clone()),
        ] {
            let mut peer = shown(authid);
            assert_eq!(component.asked()[1], authid);
            assert_eq!(peer.rest(), expected, "{authid}");
        }
        for authid in ["strange", "half", "long", "empty"] {
            let mut peer = greeting(&router, serializer, "wampcra", &json!({"authid": authid}));
            component.asked();
            assert_eq!(peer.rest(), fault, "{authid}");
        }
        let (mut hanging, gone) = (shown("hang"), shown("hang"));
        component.asked();
        component.asked();
        drop(gone);
        let mut operator = olga(&router, serializer);
        let mut dying = shown("die");
        component.asked();
        assert_eq!(dying.rest(), fault);
        assert_eq!(hanging.rest(), fault);
        assert_eq!(shown("joe").rest(), fault, "nobody is there to be asked");
        let count = operator.call("wamp.session.count", &json!([]), &json!({}));
        assert_eq!(count, json!([50, 1, {}, [1]]));
        operator.leave();
    }
}

#[test]
fn an_authenticator_is_not_flooded_by_those_who_have_not_joined() {
    let router = Router::configured(CONFIG);
    let mut component = Component::start(&router, Serializer::Json);
    let text = "what the authenticator of the realm would have to be told is larger than 8192 octets";
    let told = json!([3, {"message": text}, "wamp.error.payload_size_exceeded"]);
    let refused = [Received::Message(told), Received::Close(Some(1009)), Received::End];
    let much = "x".repeat(8192);
    for serializer in Serializer::ALL {
        for details in [json!({"authid": much}), json!({"authid": "joe", "authextra": {"x": much}})] {
            for method in ["wampcra", "ticket"] {
                let mut peer = greeting(&router, serializer, method, &details);
                assert_eq!(peer.rest(), refused, "{method}");
            }
        }
        let mut peer = greeting(&router, serializer, "ticket", &json!({"authid": "joe"}));
        assert_eq!(peer.message(), json!([4, "ticket", {}]));
        peer.send(&json!([5, much, {}]));
        assert_eq!(peer.rest(), refused);
        let details = json!({"authid": "joe", "authextra": {"x": &much[1024..]}});
        let mut peer = greeting(&router, serializer, "wampcra", &details);
        assert_eq!(component.asked()[1], "joe", "it was not asked about the others");
        assert_eq!(peer.message()[1], "wampcra");
    }
}

#[test]
fn an_authenticator_is_told_nothing_that_it_could_not_read() {
    let router = Router::configured(CONFIG);
    let mut component = Component::start(&router, Serializer::Json);
    let text = "authentication by ticket is not possible: what is said in HELLO.Details has no form in JSON";
    let told = json!([3, {"message": text}, "wamp.error.authentication_required"]);
    let hello = json!([1, "realm1", {
        "roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe", "authextra": {"x": 0.5},
    }]);
    let mut octets = form::encode(Serializer::MessagePack, &hello);
    let number = octets.windows(8).position(|octets| octets == 0.5_f64.to_be_bytes());
    let number = number.expect("there is a number");
    octets[number..number + 8].copy_from_slice(&f64::NAN.to_be_bytes());
    let mut peer = Peer::connect(&router, Serializer::MessagePack);
    peer.send_bytes(octets);
    assert_eq!(peer.rest(), [Received::Message(told), Received::Close(Some(1000)), Received::End]);
    let mut peer = greeting(&router, Serializer::Cbor, "wampcra", &json!({"authid": "joe"}));
    assert_eq!(component.asked()[1], "joe", "it was not asked about the others");
    assert_eq!(peer.message()[1], "wampcra");
}

#[test]
fn an_authenticator_that_takes_too_long_is_not_waited_for() {
    let router =
        Router::configured(&CONFIG.replace(r#"component_timeout = "60m""#, r#"component_timeout = "50ms""#));
    let mut component = Component::start(&router, Serializer::Json);
    let mut peer = greeting(&router, Serializer::Json, "wampcra", &json!({"authid": "hang"}));
    assert_eq!(component.asked()[1], "hang");
    assert_eq!(peer.rest(), abort("the authenticator of the realm has failed, try again", 1011));
}

#[test]
fn who_is_not_let_in_too_often_is_not_asked_about() {
    let router =
        Router::configured(&format!("[lockout]\nfailures = 2\ndelay = \"1h\"\nmost = \"1h\"\n{CONFIG}"));
    let mut component = Component::start(&router, Serializer::Json);
    for _ in 0..2 {
        let mut peer = greeting(&router, Serializer::Json, "wampcra", &json!({"authid": "nobody"}));
        assert_eq!(component.asked()[1], "nobody");
        assert_eq!(peer.rest(), abort("there is no such user", 1000));
    }
    let mut peer = greeting(&router, Serializer::Json, "wampcra", &json!({"authid": "nobody"}));
    let told = json!([3, {"message": "too many failed logins, try again later"}, "realmkeeper.error.limit_exceeded"]);
    assert_eq!(peer.rest(), [Received::Message(told), Received::Close(Some(1008)), Received::End]);
}
