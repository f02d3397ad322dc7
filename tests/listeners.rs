//! Several listeners: each has its own address, path, origins, serializers and limits, and all lead to the same
//! realms. They are all up or none is.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
    peer::Received,
};
use realmkeeper::{AllowedOrigin, Listener, Service, Settings};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};

/// Where the second listener of [`two`] lets clients in.
const PATH: &str = "/wamp/v2";

/// A router that listens on IPv4 as usual, and on IPv6 in another way.
fn two() -> Router {
    Router::with(|settings| {
        let mut second = Listener {
            address: (Ipv6Addr::LOCALHOST, 0).into(),
            path: PATH.into(),
            allowed_origins: vec![AllowedOrigin::Exactly("https://example.com".into())],
            serializers: vec![Serializer::Cbor, Serializer::MessagePack],
            ..Listener::default()
        };
        second.session.message_limit = 1000;
        settings.listeners.push(second);
    })
}

#[test]
fn listeners_lead_to_the_same_realms() {
    let router = two();
    let [first, second] = router.addresses() else { panic!("there are two") };
    assert_eq!(router.urls(), [format!("ws://{first}/ws"), format!("ws://{second}{PATH}")]);
    assert!(first.is_ipv4() && second.is_ipv6());
    let mut one = Peer::connect_at(*first, "/ws", Serializer::Json);
    one.say_hello("realm1", &json!({}));
    let mut other = Peer::connect_at(*second, PATH, Serializer::Cbor);
    other.say_hello("realm1", &json!({}));
    let topic = other.subscribe("a.b");
    one.send(&json!([16, 1, {"acknowledge": true}, "a.b", ["hello"]]));
    let published = one.message();
    assert_eq!(published, json!([17, 1, published[2]]));
    assert_eq!(other.message(), json!([36, topic, published[2], {}, ["hello"]]));
    let listed = one.call("wamp.session.count", &json!([]), &json!({}));
    assert_eq!(listed[3], json!([2]));
    for (peer, version) in [(one.session, "tcp4:127.0.0.1:"), (other.session, "tcp6:[::1]:")] {
        let details = one.call("wamp.session.get", &json!([peer]), &json!({}));
        let told = details[3][0]["transport"]["peer"].as_str().expect("the transport is told");
        assert!(told.starts_with(version), "{told}");
    }
}

#[test]
fn each_listener_has_its_path() {
    let router = two();
    let at = |index: usize, path: &str| {
        let upgrade = http::ask(router.addresses()[index], &http::upgrade(&format!("GET {path}"), &[]));
        assert_eq!(http::plain(router.addresses()[index], &format!("GET {path}")), upgrade);
        upgrade
    };
    assert_eq!(at(0, PATH), Answer::plain("404 not found", "WAMP clients connect at /ws"));
    assert_eq!(at(1, "/ws"), Answer::plain("404 not found", "WAMP clients connect at /wamp/v2"));
    let here = "WAMP clients connect here by WebSocket: the headers Connection: Upgrade and Upgrade: websocket are \
                missing, which a proxy in front has to pass on";
    let mut expected = Answer::plain("426 upgrade required", here).with("upgrade: websocket");
    expected.headers[0].push_str(", upgrade");
    assert_eq!(http::plain(router.addresses()[1], &format!("GET {PATH}")), expected);
}

#[test]
fn each_listener_has_its_serializers() {
    let router = two();
    for (index, path, offers, chosen) in [
        (0, "/ws", "wamp.2.json, wamp.2.cbor, wamp.2.msgpack", "wamp.2.json"),
        (1, PATH, "wamp.2.json, wamp.2.cbor, wamp.2.msgpack", "wamp.2.cbor"),
        (1, PATH, "wamp.2.json, wamp.2.msgpack, wamp.2.cbor", "wamp.2.msgpack"),
    ] {
        let request = http::upgrade(&format!("GET {path}"), &[("Sec-WebSocket-Protocol", Some(offers))]);
        let headers = http::ask(router.addresses()[index], &request).headers;
        let chosen = format!("sec-websocket-protocol: {chosen}");
        assert!(headers.contains(&chosen), "{offers} at {path}: {headers:?}");
    }
    let text = "the header Sec-WebSocket-Protocol must offer one of wamp.2.cbor, wamp.2.msgpack";
    let answer = http::ask(router.addresses()[1], &http::upgrade(&format!("GET {PATH}"), &[]));
    assert_eq!(answer, Answer::plain("400 bad request", text));
}

#[test]
fn each_listener_has_its_origins() {
    let router = two();
    for (origin, first, second) in [
        (None, true, true),
        (Some("http://localhost:3000"), true, false),
        (Some("https://example.com"), false, true),
        (Some("https://EXAMPLE.com:443"), false, true),
        (Some("http://example.com"), false, false),
    ] {
        for (index, path, is_allowed) in [(0, "/ws", first), (1, PATH, second)] {
            let all = ("Sec-WebSocket-Protocol", Some("wamp.2.json, wamp.2.cbor"));
            let request = http::upgrade(&format!("GET {path}"), &[all, ("Origin", origin)]);
            let (address, origin) = (router.addresses()[index], origin.unwrap_or("none"));
            if is_allowed {
                assert_eq!(http::ask(address, &request).status, http::UPGRADED, "{origin} at {path}");
            } else {
                let text = format!(
                    "pages of the origin {origin} may not connect: it is not among the allowed_origins of this \
                     listener"
                );
                assert_eq!(http::ask(address, &request), Answer::plain("403 forbidden", &text));
            }
        }
    }
}

#[test]
fn each_listener_has_its_limits() {
    let router = two();
    let message = json!([48, 1, {}, "wamp.session.count", [], {"text": "x".repeat(1000)}]);
    let mut first = Peer::connect_at(router.addresses()[0], "/ws", Serializer::Json);
    first.say_hello("realm1", &json!({}));
    first.send(&message);
    assert_eq!(first.message(), json!([50, 1, {}, [1]]));
    let mut second = Peer::connect_at(router.addresses()[1], PATH, Serializer::Cbor);
    second.say_hello("realm1", &json!({}));
    second.send(&message);
    let details = json!({"message": "a message may have at most 1000 octets"});
    assert_eq!(
        second.rest(),
        [
            Received::Message(json!([3, details, "wamp.error.payload_size_exceeded"])),
            Received::Close(Some(1009)),
            Received::End
        ]
    );
}

#[test]
fn an_address_of_ipv6_leaves_ipv4_to_others() {
    let other = TcpListener::bind("0.0.0.0:0").expect("there is a free port");
    let port = other.local_addr().expect("the port is known").port();
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let router = Router::with(|settings| settings.listeners[0].address = address);
    assert_eq!(router.address(), address);
    let peer = Peer::connect_to((Ipv6Addr::LOCALHOST, port).into(), Serializer::Json);
    router.wait_for_sockets(1);
    drop(peer);
}

/// Why a service with these settings does not start.
fn refusal(settings: Settings) -> String {
    let start = async { Service::start(settings).await.expect_err("it does not start").to_string() };
    actix_rt::System::new().block_on(start)
}

fn at(address: SocketAddr) -> Listener {
    Listener { address, ..Listener::default() }
}

#[test]
fn if_one_address_cannot_be_listened_on_none_is() {
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let taken = other.local_addr().expect("the port is known");
    // Nothing else uses this address of the loopback network.
    let free = SocketAddr::from(([127, 0, 0, 77], taken.port()));
    let error = TcpListener::bind(taken).expect_err("the port is in use");
    for settings in [
        Settings { listeners: vec![at(free), at(taken)], ..Settings::default() },
        Settings { listeners: vec![at(free)], admin: Some(taken), ..Settings::default() },
    ] {
        assert_eq!(refusal(settings), format!("cannot listen on {taken}: {error}"));
        TcpStream::connect(free).expect_err("nobody listens");
    }
    for settings in [
        Settings { listeners: vec![at(free), at(free)], ..Settings::default() },
        Settings { listeners: vec![at(free)], admin: Some(free), ..Settings::default() },
    ] {
        assert_eq!(refusal(settings), format!("cannot listen on {free}: {error}"));
        TcpStream::connect(free).expect_err("nobody listens");
    }
}

#[test]
fn a_service_without_listeners_does_not_start() {
    assert_eq!(refusal(Settings { listeners: Vec::new(), ..Settings::default() }), "there is no listener");
}
