//! The recipes for balancers in `config`, with the real programs: clients behind them are known by their addresses,
//! and a router that stops gets no more of them.

use crate::support::{
    Peer,
    certificate::{Certificate, Secured, certificate, connect, open_on},
    http,
    peer::Received,
    program::{Serving, program},
    prometheus::until,
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper_actors::{codec::Serializer, session::SessionSettings};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Addresses on which nobody listens.
fn free<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
    listeners.map(|listener| listener.local_addr().expect("the port is known"))
}

/// A balancer that runs. It is killed when it is dropped.
struct Balancer(Child);

impl Balancer {
    /// Starts it, and waits until it listens.
    fn start(command: &mut Command, address: SocketAddr) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the balancer is installed, of the Debian package of its name");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = process.try_wait() {
                let mut problem = String::new();
                let _ = process.stderr.take().map(|mut errors| errors.read_to_string(&mut problem));
                panic!("the balancer ended with {status}: {problem}");
            }
            assert!(start.elapsed() < PATIENCE, "the balancer does not listen");
            thread::yield_now();
        }
        Self(process)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Told to terminate it ends its workers as well. Neither fails but for a program that has ended already, which
        // is what is wanted.
        let _ = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Writes a recipe to a file, with other places in it, each of which has to be there.
fn recipe(name: &str, file: &Path, places: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    let mut text = fs::read_to_string(path).expect("the recipe is there");
    for (usual, place) in places {
        assert!(text.contains(usual), "{name} has no {usual}");
        text = text.replace(usual, place);
    }
    fs::write(file, text).expect("the folder of tests can be written to");
}

/// A router that listens as a recipe says: without TLS, with TLS and the PROXY protocol, and for operators.
struct Served {
    plain: SocketAddr,
    encrypted: SocketAddr,
    admin: SocketAddr,
    /// Whether it takes the PROXY protocol where there is no TLS as well.
    proxy_protocol: bool,
    program: Option<Serving>,
}

impl Served {
    fn start(certificate: &Certificate, proxy_protocol: bool) -> Self {
        let [plain, encrypted, admin] = free();
        let mut served = Self { plain, encrypted, admin, proxy_protocol, program: None };
        served.start_again(certificate);
        served
    }

    /// Starts it, where it listened before.
    fn start_again(&mut self, certificate: &Certificate) {
        let Self { plain, encrypted, admin, proxy_protocol, .. } = self;
        let files = &certificate.files.certificates[0];
        let listeners = format!(
            "[admin]\naddress = \"{admin}\"\n\
             [[listeners]]\naddress = \"{plain}\"\nproxy_protocol = {proxy_protocol}\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [[listeners]]\naddress = \"{encrypted}\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [listeners.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            files.certificate.display(),
            files.key.display(),
        );
        let file = files.certificate.with_extension(format!("{}.toml", plain.port()));
        self.program = Some(serve(&file, &listeners));
    }

    fn program(&self) -> &Serving {
        self.program.as_ref().expect("it runs")
    }

    /// Ends it at once.
    fn kill(&mut self) {
        self.program = None;
    }

    fn sessions(&self) -> f64 {
        Samples::at(self.admin).value("realmkeeper_sessions{realm=\"realm1\"}")
    }
}

/// A router with these lines for its listeners.
fn serve(file: &Path, listeners: &str) -> Serving {
    let text = format!(
        "{listeners}\n[shutdown]\nwait = \"1h\"\n\
         [[realms]]\nname = \"realm1\"\nanonymous = \"anyone\"\n\
         [[realms.roles]]\nname = \"anyone\"\nsession_details = \"full\"\n\
         [[realms.roles.permissions]]\nuri = \"\"\nmatch = \"prefix\"\nallow = [\"call\"]\n"
    );
    fs::write(file, text).expect("the folder of tests can be written to");
    Serving::run(program(&["--config"]).arg(file))
}

/// Joins through a balancer; gives what the router tells of the client, and the client's address.
fn join(balancer: SocketAddr) -> (Peer<Secured>, Json, String) {
    let stream = TcpStream::connect(balancer).expect("the balancer listens");
    let address = stream.local_addr().expect("it is connected");
    let (stream, _) = connect(stream, "localhost", None).expect("the certificate is right");
    let mut peer = Peer::on(open_on(stream, Serializer::Json), Serializer::Json);
    peer.say_hello("realm1", &json!({}));
    let told = peer.call("wamp.session.get", &json!([peer.session]), &json!({}));
    (peer, told[3][0]["transport"].clone(), address.to_string())
}

/// What is told of a client at this address. Through which socket of the balancer it came is told, but not checked.
fn transport(told: &Json, peer: &str, is_secure: bool) -> Json {
    let via = told["via"].as_str().expect("the balancer is told");
    assert!(via.starts_with("tcp4:127.0.0.1:"), "{via}");
    json!({
        "channel_type": if is_secure { "tls" } else { "tcp" },
        "channel_framing": "websocket",
        "channel_serializer": "json",
        "peer": format!("tcp4:{peer}"),
        "via": via,
        "is_secure": is_secure,
        "websocket_protocol": "wamp.2.json",
    })
}

/// What a request for an upgrade is answered, as far as it is answered before the connection ends or is upgraded. A
/// balancer that answers itself has to be told to end it.
fn answer(balancer: SocketAddr, connection: &str) -> String {
    let stream = TcpStream::connect(balancer).expect("the balancer listens");
    let (mut stream, _) = connect(stream, "localhost", None).expect("the certificate is right");
    let mut answer = String::new();
    let mut octet = [0; 1];
    let request = http::upgrade("GET /ws", &[("Connection", Some(connection))]);
    // Not everybody says in TLS that the connection ends.
    let mut is_open = stream.write_all(request.as_bytes()).is_ok();
    while is_open && !(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n")) {
        is_open = stream.read(&mut octet).is_ok_and(|octets| octets == 1);
        answer.push(octet[0].into());
    }
    answer
}

/// Tells a router to stop, which goes on with the session that it has.
fn stop(router: &Served, peer: &mut Peer<Secured>) {
    router.program().signal("TERM");
    let stops = http::Answer::plain("503 service unavailable", "the router stops");
    until("the router stops", || http::plain(router.admin, "GET /readyz") == stops);
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
}

/// Waits until clients are answered so.
fn until_answered(balancer: SocketAddr, expected: &str) {
    until(expected, || answer(balancer, "Upgrade, close").contains(expected));
}

/// One file with a certificate and its key.
fn bundle(certificate: &Certificate) -> PathBuf {
    let files = &certificate.files.certificates[0];
    let file = files.certificate.with_extension("bundle");
    let read = |file: &Path| fs::read_to_string(file).expect("the file is there");
    fs::write(&file, read(&files.certificate) + &read(&files.key)).expect("the folder can be written to");
    file
}

#[test]
fn haproxy_ends_tls_or_passes_it_through_and_has_a_router_stand_by() {
    let certificate = certificate("haproxy", &["localhost"]);
    let [ended, passed] = free();
    let mut routers = [(); 2].map(|()| Served::start(&certificate, true));
    let file = certificate.files.certificates[0].certificate.with_extension("cfg");
    let mut places = vec![
        ("bind :443", format!("bind {ended}")),
        ("bind :8443", format!("bind {passed}")),
        ("/etc/haproxy/router.pem", bundle(&certificate).display().to_string()),
    ];
    let usual = [
        ["127.0.0.1:8080", "127.0.0.1:8444", "port 9464"],
        ["127.0.0.1:8081", "127.0.0.1:8445", "port 9465"],
    ];
    for (router, [plain, encrypted, port]) in routers.iter().zip(usual) {
        places.push((plain, router.plain.to_string()));
        places.push((encrypted, router.encrypted.to_string()));
        places.push((port, format!("port {}", router.admin.port())));
    }
    recipe("haproxy.cfg", &file, &places);
    let _haproxy = Balancer::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), ended);
    let both = [(ended, false), (passed, true)];
    for (balancer, is_secure) in both {
        let (peer, told, address) = join(balancer);
        assert_eq!(told, transport(&told, &address, is_secure));
        assert_eq!([routers[0].sessions(), routers[1].sessions()], [1.0, 0.0], "the first takes all");
        peer.leave();
    }

    // HAProxy knows it from /readyz.
    let (mut old, ..) = join(ended);
    stop(&routers[0], &mut old);
    for (balancer, is_secure) in both {
        let connection = if is_secure { "Upgrade" } else { "Upgrade, close" };
        until("the second takes over", || {
            answer(balancer, connection).starts_with("HTTP/1.1 101 ") && {
                let (peer, ..) = join(balancer);
                let taken = routers[1].sessions();
                peer.leave();
                taken == 1.0
            }
        });
    }
    let (mut waiting, mut also_waiting) = (join(ended).0, join(passed).0);
    assert_eq!(waiting.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));

    // The first is gone, and comes back: who is with the second has to come over.
    routers[0].kill();
    drop(old);
    assert_eq!(waiting.call("wamp.session.count", &json!([]), &json!({}))[3], json!([2]));
    routers[0].start_again(&certificate);
    assert_eq!([waiting.receive(), also_waiting.receive()], [Received::End, Received::End]);
    let peers = both.map(|(balancer, _)| join(balancer).0);
    until("all are in one realm again", || [routers[0].sessions(), routers[1].sessions()] == [2.0, 0.0]);

    let [mut peer, other] = peers;
    other.leave();
    until("one has left", || routers[0].sessions() == 1.0);
    stop(&routers[0], &mut peer);
    routers[1].kill();
    until_answered(ended, "No server is available");
}

/// The values of a key in a recipe.
fn values(recipe: &str, key: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(recipe);
    let text = fs::read_to_string(path).expect("the recipe is there");
    let values = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    values.map(|value| value.trim().trim_end_matches(';').to_owned()).collect()
}

#[test]
fn a_silent_session_is_left_to_the_pings_of_the_router() {
    let settings = SessionSettings::default();
    assert!(settings.ping_interval + settings.ping_timeout < Duration::from_secs(60 * 60));
    assert_eq!(values("haproxy.cfg", "timeout tunnel"), ["1h"]);
    assert_eq!(values("nginx.conf", "proxy_read_timeout"), ["1h"]);
    assert_eq!(values("nginx.conf", "proxy_send_timeout"), ["1h"]);
}

#[test]
fn nginx_ends_tls_or_passes_it_through_and_has_a_router_stand_by() {
    let certificate = certificate("nginx", &["localhost"]);
    let files = &certificate.files.certificates[0];
    let [ended, passed] = free();
    let mut routers = [(); 2].map(|()| Served::start(&certificate, false));
    let file = files.certificate.with_extension("conf");
    let mut places = vec![
        ("listen 443", format!("listen {ended}")),
        ("listen 8443", format!("listen {passed}")),
        ("/etc/nginx/router.pem", files.certificate.display().to_string()),
        ("/etc/nginx/router.key", files.key.display().to_string()),
        ("/run/nginx.pid", files.certificate.with_extension("pid").display().to_string()),
    ];
    let usual = [["127.0.0.1:8080", "127.0.0.1:8444"], ["127.0.0.1:8081", "127.0.0.1:8445"]];
    for (router, [plain, encrypted]) in routers.iter().zip(usual) {
        places.push((plain, router.plain.to_string()));
        places.push((encrypted, router.encrypted.to_string()));
    }
    recipe("nginx.conf", &file, &places);
    let _nginx = Balancer::start(Command::new("nginx").args(["-g", "daemon off;", "-c"]).arg(&file), ended);
    for (balancer, is_secure) in [(ended, false), (passed, true)] {
        let (peer, told, address) = join(balancer);
        // A header has no port, the PROXY protocol has.
        let host = address.rsplit_once(':').expect("an address has a port").0;
        assert_eq!(told, transport(&told, if is_secure { &address } else { host }, is_secure));
        assert_eq!([routers[0].sessions(), routers[1].sessions()], [1.0, 0.0], "the first takes all");
        peer.leave();
    }

    let (mut old, ..) = join(ended);
    stop(&routers[0], &mut old);
    // The client sees nothing of the status 503 of the first router, but where TLS is passed through.
    let (taken, ..) = join(ended);
    assert_eq!(routers[1].sessions(), 1.0);
    let refusal = answer(passed, "Upgrade");
    assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("the router stops"), "{refusal}");
    routers[0].kill();
    let (also_taken, ..) = join(passed);
    let (mut last, ..) = join(ended);
    assert_eq!(routers[1].sessions(), 3.0);
    [taken, also_taken].into_iter().for_each(Peer::leave);
    until("two have left", || routers[1].sessions() == 1.0);
    stop(&routers[1], &mut last);
    until_answered(ended, "HTTP/1.1 50");
}
