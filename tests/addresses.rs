//! The addresses of clients behind a balancer: what the balancer tells of them, and whether it is believed.

use crate::support::{
    Peer, Router,
    http::{self, Answer},
    log,
    peer::{Upgrade, open_on},
    router::PATIENCE,
    scrape::Samples,
};
use ipnet::IpNet;
use realmkeeper::{Listener, NodeLimits};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};
use tungstenite::WebSocket;

/// How a header of version 2 of the PROXY protocol begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn networks(networks: &[&str]) -> Vec<IpNet> {
    networks.iter().map(|network| network.parse().expect("it is a network")).collect()
}

/// A router whose first listener takes the PROXY protocol, and whose second does not. Its balancers are on this
/// machine and in 10.0.0.0/8.
fn router(change: impl FnOnce(&mut Listener), limits: NodeLimits) -> Router {
    Router::with(|settings| {
        let first = &mut settings.listeners[0];
        first.trusted_proxies = networks(&["127.0.0.0/8", "10.0.0.0/8"]);
        change(first);
        let second = first.clone();
        settings.listeners[0].proxy_protocol = true;
        settings.listeners.push(second);
        settings.limits = limits;
        settings.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    })
}

fn trusting() -> Router {
    router(|_| (), NodeLimits::default())
}

/// A connection that begins with these octets.
fn begin(address: SocketAddr, octets: &[u8]) -> TcpStream {
    http::send(address, octets)
}

fn upgrade(
    stream: TcpStream,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocket<TcpStream>, Upgrade), tungstenite::Error> {
    let protocol = ("Sec-WebSocket-Protocol", Serializer::Json.subprotocol());
    open_on(stream, "/ws", &[&[protocol], headers].concat())
}

/// Joins on a connection; gives what the router tells of it.
fn join(stream: TcpStream, headers: &[(&'static str, &str)]) -> (Peer, Json) {
    let (socket, _) = upgrade(stream, headers).expect("the router upgrades the connection");
    let mut peer = Peer::on(socket, Serializer::Json);
    peer.say_hello("realm1", &json!({}));
    let told = peer.call("wamp.session.get", &json!([peer.session]), &json!({}));
    let transport = told[3][0]["transport"].clone();
    (peer, transport)
}

/// What is told of the connection of a client at this address, through this balancer.
fn transport(peer: &str, via: Option<&str>) -> Json {
    let mut transport = json!({
        "channel_type": "tcp",
        "channel_framing": "websocket",
        "channel_serializer": "json",
        "peer": peer,
        "is_secure": false,
        "websocket_protocol": "wamp.2.json",
    });
    if let Some(via) = via {
        transport["via"] = via.into();
    }
    transport
}

fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("it is short").to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

/// The count of headers of one kind by what came of them: believed, ignored, broken.
fn counted(router: &Router, header: &str) -> [f64; 3] {
    let samples = Samples::at(router.admin().expect("the pages have an address"));
    ["believed", "ignored", "broken"].map(|outcome| {
        samples
            .value(&format!("realmkeeper_proxy_headers_total{{header=\"{header}\",outcome=\"{outcome}\"}}"))
    })
}

#[test]
fn the_proxy_protocol_tells_the_client_and_the_balancer_is_told_besides() {
    let router = trusting();
    let ipv6 = [&[0x20, 1, 0xd, 0xb8], &[0; 11][..], &[7], &[0; 16], &[0x12, 0x34], &[0, 80], &[4, 0, 1, 7]]
        .concat();
    for (header, peer) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 8080\r\n".to_vec(), Some("tcp4:192.0.2.7:4660")),
        (b"PROXY TCP6 2001:db8::7 ::1 4660 8080\r\n".to_vec(), Some("tcp6:[2001:db8::7]:4660")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (
            version_2(0x21, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80]),
            Some("tcp4:192.0.2.7:4660"),
        ),
        (version_2(0x21, 0x21, &ipv6), Some("tcp6:[2001:db8::7]:4660")),
        (version_2(0x20, 0x00, &[]), None),
    ] {
        let stream = begin(router.addresses()[0], &header);
        let balancer = format!("tcp4:{}", stream.local_addr().expect("it is connected"));
        let expected = match peer {
            Some(peer) => transport(peer, Some(&balancer)),
            None => transport(&balancer, None),
        };
        let (peer, told) = join(stream, &[]);
        assert_eq!(told, expected, "{}", header.escape_ascii());
        peer.leave();
    }
    assert_eq!(counted(&router, "proxy"), [4.0, 0.0, 0.0]);
    let line = log::wait_for(&["session joined", "peer=tcp6:[2001:db8::7]:4660"]);
    assert!(!line.contains("127.0.0.1"), "{line}");
}

#[test]
fn a_header_that_comes_octet_by_octet_is_read_to_its_end_and_no_further() {
    let router = trusting();
    let block = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80];
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n".to_vec(), version_2(0x21, 0x11, &block)] {
        let mut stream = TcpStream::connect(router.addresses()[0]).expect("the router listens");
        stream.set_nodelay(true).expect("a socket takes it");
        stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is valid");
        for octet in &header[..header.len() - 1] {
            stream.write_all(&[*octet]).expect("the router takes it");
        }
        // The last octet comes together with the request.
        let request = http::upgrade("GET /ws", &[]);
        let last = [&header[header.len() - 1..], request.as_bytes()].concat();
        stream.write_all(&last).expect("the router takes it");
        assert_eq!(http::head(&mut stream).0, http::UPGRADED, "{}", header.escape_ascii());
    }
}

#[test]
fn a_broken_header_closes_its_connection_and_no_other() {
    let router = trusting();
    let (mut bystander, _) = join(begin(router.addresses()[0], b"PROXY UNKNOWN\r\n"), &[]);
    let request = http::upgrade("GET /ws", &[]);
    let broken = [
        request.clone().into_bytes(),
        [b"PROXY TCP4 192.0.2.7\r\n", request.as_bytes()].concat(),
        [&version_2(0x21, 0x11, &[0; 11]), request.as_bytes()].concat(),
        version_2(0x21, 0x11, &[0; 5000])[..16].to_vec(),
        vec![b'\0'; 100_000],
    ];
    for octets in &broken {
        let mut stream = TcpStream::connect(router.addresses()[0]).expect("the router listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is valid");
        // The router may have closed it meanwhile.
        let _ = stream.write_all(octets);
        let mut answer = Vec::new();
        // What was not read makes a reset of the end.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{}", octets[..16].escape_ascii());
    }
    assert_eq!(counted(&router, "proxy"), [0.0, 0.0, 5.0]);
    assert_eq!(bystander.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

#[test]
fn a_header_that_is_not_whole_in_time_closes_its_connection() {
    let short = Duration::from_millis(100);
    let router = router(|listener| listener.session.handshake_timeout = short, NodeLimits::default());
    for octets in [&b""[..], b"PROXY TCP4 ", &version_2(0x21, 0x11, &[0; 12])[..20]] {
        let start = Instant::now();
        let mut stream = begin(router.addresses()[0], octets);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the router closes the connection");
        assert_eq!(answer, b"");
        assert!((short..PATIENCE / 5).contains(&start.elapsed()), "after {:?}", start.elapsed());
    }
    assert_eq!(counted(&router, "proxy"), [0.0, 0.0, 3.0]);
    // Who comes and goes, as balancers do to see whether somebody is there, has done nothing wrong.
    drop(begin(router.addresses()[0], b""));
    join(begin(router.addresses()[0], b"PROXY UNKNOWN\r\n"), &[]).0.leave();
    assert_eq!(counted(&router, "proxy"), [0.0, 0.0, 3.0]);
}

#[test]
fn a_request_tells_the_client_if_a_balancer_sent_it() {
    let router = trusting();
    for (headers, peer) in [
        (&[("X-Forwarded-For", "192.0.2.7")][..], "tcp4:192.0.2.7"),
        (&[("X-Forwarded-For", "10.0.0.1, 192.0.2.7"), ("X-Forwarded-For", "10.9.9.9")], "tcp4:192.0.2.7"),
        (&[("Forwarded", "for=10.0.0.1, for=\"[2001:db8::7]:4660\";proto=https")], "tcp6:[2001:db8::7]:4660"),
        (&[("Forwarded", "for=192.0.2.7"), ("X-Forwarded-For", "192.0.2.7")], "tcp4:192.0.2.7"),
    ] {
        let stream = begin(router.addresses()[1], b"");
        let balancer = format!("tcp4:{}", stream.local_addr().expect("it is connected"));
        let (client, told) = join(stream, headers);
        assert_eq!(told, transport(peer, Some(&balancer)), "{headers:?}");
        client.leave();
    }
    assert_eq!(counted(&router, "x_forwarded_for"), [3.0, 0.0, 0.0]);
    assert_eq!(counted(&router, "forwarded"), [2.0, 0.0, 0.0]);
    for (changes, text) in [
        (&[("Forwarded", Some("for=\""))][..], "the header Forwarded is not as RFC 7239 has it"),
        (
            &[("Forwarded", Some("for=10.0.0.1")), ("X-Forwarded-For", Some("192.0.2.7"))],
            "the headers Forwarded and X-Forwarded-For tell different clients",
        ),
    ] {
        let answer = http::ask(router.addresses()[1], &http::upgrade("GET /ws", changes));
        assert_eq!(answer, Answer::plain("400 bad request", text));
    }
    assert_eq!(counted(&router, "x_forwarded_for"), [3.0, 0.0, 1.0]);
    assert_eq!(counted(&router, "forwarded"), [2.0, 0.0, 2.0]);
}

#[test]
fn who_is_not_trusted_is_the_client_whatever_it_tells() {
    let router =
        router(|listener| listener.trusted_proxies = networks(&["10.0.0.0/8"]), NodeLimits::default());
    let headers = [("X-Forwarded-For", "10.0.0.1"), ("Forwarded", "for=\"")];
    for (listener, header) in [(0, &b"PROXY TCP4 10.0.0.1 127.0.0.1 4660 80\r\n"[..]), (1, b"")] {
        let stream = begin(router.addresses()[listener], header);
        let itself = format!("tcp4:{}", stream.local_addr().expect("it is connected"));
        let (client, told) = join(stream, &headers);
        assert_eq!(told, transport(&itself, None));
        client.leave();
    }
    assert_eq!(counted(&router, "proxy"), [0.0, 1.0, 0.0]);
    assert_eq!(counted(&router, "x_forwarded_for"), [0.0, 2.0, 0.0]);
    assert_eq!(counted(&router, "forwarded"), [0.0, 2.0, 0.0]);
}

#[test]
fn the_limits_of_an_address_are_those_of_the_client() {
    let limits = NodeLimits { sessions_per_address: Some(1), ..NodeLimits::default() };
    let router = router(|_| (), limits);
    let proxied = |client: &str| {
        let header = format!("PROXY TCP4 {client} 127.0.0.1 4660 8080\r\n");
        begin(router.addresses()[0], header.as_bytes())
    };
    let (first, _) = join(proxied("192.0.2.1"), &[]);
    let (second, _) = join(proxied("192.0.2.2"), &[]);
    let (third, _) = join(begin(router.addresses()[1], b""), &[("X-Forwarded-For", "192.0.2.3")]);
    let refused = |stream, headers: &[(&'static str, &str)]| match upgrade(stream, headers) {
        Err(tungstenite::Error::Http(response)) => {
            let text = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(text).expect("it is text"))
        }
        other => panic!("{other:?} came instead of a refusal"),
    };
    let text = |client: &str| {
        (429, format!("{client} has as many connections as the limit sessions_per_address allows: 1\n"))
    };
    assert_eq!(refused(proxied("192.0.2.1"), &[]), text("192.0.2.1"));
    let told = refused(begin(router.addresses()[1], b""), &[("X-Forwarded-For", "192.0.2.2")]);
    assert_eq!(told, text("192.0.2.2"));
    [first, second, third].into_iter().for_each(Peer::leave);
}
