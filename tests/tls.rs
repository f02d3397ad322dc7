//! TLS: sessions over it are like any other, and certificates are replaced without their notice.

use crate::support::{
    Peer, Router,
    certificate::{Certificate, authority_file, certificate, connect, open, open_on},
    clients, http, log,
    peer::Received,
    principal::{HASH, backend, hashed},
    program::{Serving, program},
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper::{Listener, Service, Settings};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A router with this certificate, changed so, and its pages at an address of their own.
fn router(certificate: &Certificate, change: impl FnOnce(&mut Listener)) -> Router {
    Router::with(|settings| {
        settings.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        settings.listeners[0].tls = Some(certificate.files.clone());
        change(&mut settings.listeners[0]);
    })
}

fn told<S: Read + Write>(peer: &mut Peer<S>) -> Json {
    peer.say_hello("realm1", &json!({}));
    let told = peer.call("wamp.session.get", &json!([peer.session]), &json!({}));
    told[3][0]["transport"].clone()
}

/// The certificate that a router shows to who asks for this name.
fn shown(address: SocketAddr, name: &str) -> CertificateDer<'static> {
    connect(http::send(address, b""), name, None).expect("the router has a certificate for it").1
}

fn samples(router: &Router) -> Samples {
    Samples::at(router.admin().expect("the pages have an address"))
}

#[test]
fn a_session_over_tls_is_told_to_be_secure_and_takes_messages_of_every_size() {
    let router = router(&certificate("usual", &["localhost"]), |_| ());
    assert_eq!(router.urls(), [format!("wss://{}/ws", router.address())]);
    for serializer in Serializer::ALL {
        let mut caller = Peer::on(open(router.address(), None, serializer), serializer);
        let mut callee = Peer::on(open(router.address(), None, serializer), serializer);
        let transport = told(&mut caller);
        assert_eq!(
            transport,
            json!({
                "channel_type": "tls",
                "channel_framing": "websocket",
                "channel_serializer": serializer.name(),
                "peer": transport["peer"],
                "is_secure": true,
                "websocket_protocol": serializer.subprotocol(),
            })
        );
        told(&mut callee);
        let registration = callee.register("com.example.echo", &json!({}));
        for size in [0, 1, 16_000, 17_000, 1_000_000] {
            let args = json!(["x".repeat(size)]);
            let request = caller.request();
            caller.send(&json!([48, request, {}, "com.example.echo", args]));
            let invocation = callee.message();
            assert_eq!(invocation, json!([68, invocation[1], registration, {}, args]));
            callee.send(&json!([70, invocation[1], {}, args]));
            assert_eq!(caller.message(), json!([50, request, {}, args]));
        }
        caller.leave();
        callee.leave();
    }
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_over_tls_too() {
    let router = router(&certificate("stalled", &["localhost"]), |listener| {
        listener.session.outbox_limit = 64 << 20;
        listener.session.write_stall = Duration::from_millis(200);
        listener.session.linger = Duration::from_millis(200);
    });
    let mut stalled = Peer::on(open(router.address(), None, Serializer::Json), Serializer::Json);
    let mut publisher = Peer::on(open(router.address(), None, Serializer::Json), Serializer::Json);
    told(&mut stalled);
    told(&mut publisher);
    stalled.subscribe("com.example.topic");
    let event = "x".repeat(100_000);
    for _ in 0..160 {
        let request = publisher.request();
        publisher.send(&json!([16, request, {}, "com.example.topic", [event]]));
    }
    router.wait_for_sockets(1);
    let left = "realmkeeper_sessions_left_total{cause=\"slow_consumer\",realm=\"realm1\"}";
    assert_eq!(samples(&router).value(left), 1.0);
}

#[test]
fn a_client_that_ends_without_a_word_of_tls_gets_what_waits_for_it() {
    let router = router(&certificate("terse", &["localhost"]), |_| ());
    let mut peer = Peer::on(open(router.address(), None, Serializer::Json), Serializer::Json);
    told(&mut peer);
    peer.send(&json!([6, {}, "wamp.close.close_realm"]));
    peer.stream().sock.shutdown(Shutdown::Write).expect("the connection is open");
    let goodbye = Received::Message(json!([6, {}, "wamp.close.goodbye_and_out"]));
    assert_eq!(peer.rest(), [goodbye, Received::Close(Some(1000)), Received::End]);
}

#[test]
fn who_speaks_no_tls_is_not_answered_and_disturbs_nobody() {
    let router = router(&certificate("strict", &["localhost"]), |_| ());
    let mut stream = http::send(router.address(), http::upgrade("GET /ws", &[]).as_bytes());
    let mut answer = Vec::new();
    // The end may be a reset.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    let mut peer = Peer::on(open(router.address(), None, Serializer::Json), Serializer::Json);
    assert_eq!(told(&mut peer)["is_secure"], json!(true));
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    let router = router(&certificate("proxied", &["localhost"]), |listener| {
        listener.proxy_protocol = true;
        listener.trusted_proxies = vec!["127.0.0.0/8".parse().expect("it is a network")];
    });
    let stream = http::send(router.address(), b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 8080\r\n");
    let (stream, _) = connect(stream, "localhost", None).expect("the router takes it");
    let mut peer = Peer::on(open_on(stream, Serializer::Json), Serializer::Json);
    let transport = told(&mut peer);
    assert_eq!((&transport["peer"], &transport["is_secure"]), (&json!("tcp4:192.0.2.7:4660"), &json!(true)));
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let first = certificate("first", &["one.example", "*.example.com"]);
    let second = certificate("second", &["two.example", "other.example.com"]);
    let router = router(&first, |listener| {
        listener.tls.iter_mut().for_each(|tls| tls.certificates.extend(second.files.certificates.clone()));
    });
    for (name, expected) in [
        ("one.example", &first),
        ("two.example", &second),
        ("a.example.com", &first),
        ("other.example.com", &first),
    ] {
        assert_eq!(shown(router.address(), name), expected.der, "{name}");
    }
    let problem =
        connect(http::send(router.address(), b""), "three.example", None).expect_err("it is not for it");
    assert!(problem.to_string().contains("three.example"), "{problem}");
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let router = router(&certificate("guarded", &["localhost"]), |listener| {
        listener.tls.iter_mut().for_each(|tls| tls.client_ca = Some(authority_file().to_owned()));
    });
    let own = certificate("client", &["client.example"]);
    let mut peer = Peer::on(open(router.address(), Some(&own), Serializer::Json), Serializer::Json);
    assert_eq!(told(&mut peer)["is_secure"], json!(true));
    // With TLS 1.3 the client is told after its own part of the handshake.
    let refused = connect(http::send(router.address(), b""), "localhost", None)
        .and_then(|(mut stream, _)| stream.read(&mut [0]));
    let problem = refused.expect_err("it is refused").to_string();
    assert_eq!(problem, "received fatal alert: CertificateRequired");
}

/// Waits until a router shows another certificate, or counts another reload.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "nothing changed");
        thread::yield_now();
    }
}

#[test]
fn certificates_are_replaced_while_sessions_are_at_work() {
    let old = certificate("rotated", &["localhost"]);
    let router = router(&old, |_| ());
    let files = &old.files.certificates[0];
    let expiry = format!(
        "realmkeeper_certificate_expiry_timestamp_seconds{{certificate=\"{}\"}}",
        files.certificate.display()
    );
    let reloads = |outcome: &str| {
        samples(&router).value(&format!("realmkeeper_certificate_reloads_total{{outcome=\"{outcome}\"}}"))
    };
    assert_eq!((samples(&router).value(&expiry) as i64, reloads("used")), (old.expiry, 0.0));

    let is_over = Arc::new(AtomicBool::new(false));
    let address = router.address();
    let at_work = [(); 3].map(|()| {
        let is_over = is_over.clone();
        thread::spawn(move || {
            let mut peer = Peer::on(open(address, None, Serializer::Cbor), Serializer::Cbor);
            told(&mut peer);
            let mut calls = 0;
            while !is_over.load(Ordering::Relaxed) {
                let session = peer.session;
                let answer = peer.call("wamp.session.get", &json!([session]), &json!({}));
                assert_eq!(answer[3][0]["session"], json!(session));
                calls += 1;
            }
            peer.leave();
            calls
        })
    });
    router.wait_for_sockets(3);

    let new = certificate("rotated", &["localhost"]);
    assert_ne!(new.der, old.der);
    wait_until(|| shown(address, "localhost") == new.der);
    let unusable = reloads("unusable");

    fs::write(&files.key, "no key").expect("the file can be written");
    wait_until(|| reloads("unusable") > unusable);
    assert_eq!(shown(address, "localhost"), new.der);
    let line = log::wait_for(&["certificates that cannot be used", "rotated.key"]);
    assert!(line.contains("ERROR"), "{line}");

    let last = certificate("rotated", &["localhost"]);
    wait_until(|| shown(address, "localhost") == last.der);
    assert!(reloads("used") >= 2.0);
    is_over.store(true, Ordering::Relaxed);
    for peer in at_work {
        assert!(peer.join().expect("no session is lost") > 0);
    }
}

#[test]
fn a_service_whose_certificates_cannot_be_used_does_not_start() {
    let (good, other) = (certificate("good", &["localhost"]), certificate("other", &["localhost"]));
    let mixed = |certificate: &Path, key: &Path| {
        let mut files = good.files.clone();
        files.certificates[0].certificate = certificate.to_owned();
        files.certificates[0].key = key.to_owned();
        let mut settings = Settings::default();
        settings.listeners[0] =
            Listener { address: ([127, 0, 0, 1], 0).into(), tls: Some(files), ..Listener::default() };
        let start = async { Service::start(settings).await.expect_err("it does not start").to_string() };
        actix_rt::System::new().block_on(start)
    };
    let (good, other) = (&good.files.certificates[0], &other.files.certificates[0]);
    let (certificate, key) = (good.certificate.display(), good.key.display());
    assert_eq!(
        mixed(&good.certificate, &other.key),
        format!("cannot use {}: not the key of {certificate}", other.key.display())
    );
    assert_eq!(mixed(&good.key, &good.key), format!("cannot use {key}: no certificate in it"));
    assert_eq!(
        mixed(&good.certificate, &good.certificate),
        format!("cannot use {certificate}: no items found")
    );
}

#[test]
fn the_program_reads_its_certificates_again_on_a_hangup() {
    let usual = certificate("program", &["localhost"]);
    let files = &usual.files.certificates[0];
    let file = files.certificate.with_extension("toml");
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.2:0\"\n\
         [listeners.tls]\ncertificate = \"program.pem\"\nkey = {:?}\n\
         [[realms]]\nname = \"realm1\"\nanonymous = \"anyone\"\n\
         [[realms.roles]]\nname = \"anyone\"\n",
        files.key
    );
    fs::write(&file, text).expect("the folder of tests can be written to");
    let program = Serving::run(program(&["--config"]).arg(&file));
    let reloads = "realmkeeper_certificate_reloads_total{outcome=\"used\"}";
    assert_eq!(Samples::at(program.address()).value(reloads), 0.0);
    program.signal("HUP");
    wait_until(|| Samples::at(program.address()).value(reloads) == 1.0);
    program.signal("TERM");
    let (code, printed) = program.wait();
    let second = printed.lines().nth(1).expect("it has two listeners");
    assert!(second.starts_with("listens on wss://127.0.0.2:") && second.ends_with("/ws"), "{printed}");
    assert_eq!(code, Some(0));
}

#[test]
fn autobahn_python_over_tls() {
    let certificate = certificate("autobahn", &["127.0.0.1"]);
    let router = Router::with(|settings| {
        settings.listeners[0].tls = Some(certificate.files.clone());
        settings.realms[0].door.principals.push(backend("joe", hashed(HASH)));
    });
    let authority = authority_file().to_str().expect("the path is UTF-8");
    let outcome = clients::run("session.py", &[&router.urls()[0], "realm1", "cbor", authority]);
    assert!(outcome.status.success(), "{}\n{}", outcome.status, outcome.stderr);
    assert_eq!(outcome.stdout.lines().last(), Some("ok refused unannounced"));
}

#[test]
fn a_router_that_stops_says_goodbye_over_tls_too() {
    let mut router = router(&certificate("stopping", &["localhost"]), |_| ());
    let mut peer = Peer::on(open(router.address(), None, Serializer::Json), Serializer::Json);
    told(&mut peer);
    router.stop();
    let goodbye = Received::Message(json!([6, {}, "wamp.close.system_shutdown"]));
    assert_eq!(peer.rest(), [goodbye, Received::Close(Some(1001)), Received::End]);
}
