//! The recipes for balancers in `config`, with the real programs: clients behind them are known by their addresses,
//! and a router that stops gets no more of them.

use crate::support::{
    Peer,
    certificate::{Certificate, Secured, certificate, connect, open_on},
    http,
    program::{Serving, program},
    router::PATIENCE,
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

/// A router that listens as a recipe says, with these lines for each listener.
fn serve(certificate: &Certificate, listeners: &str) -> Serving {
    let file = certificate.files.certificates[0].certificate.with_extension("toml");
    let text = format!(
        "{listeners}\n[shutdown]\nwait = \"1h\"\n\
         [[realms]]\nname = \"realm1\"\nanonymous = \"anyone\"\n\
         [[realms.roles]]\nname = \"anyone\"\nsession_details = \"full\"\n\
         [[realms.roles.permissions]]\nuri = \"\"\nmatch = \"prefix\"\nallow = [\"call\"]\n"
    );
    fs::write(&file, text).expect("the folder of tests can be written to");
    Serving::run(program(&["--config"]).arg(&file))
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

/// What a request for an upgrade is answered, as far as it is answered before the connection ends.
fn answer(balancer: SocketAddr) -> String {
    let stream = TcpStream::connect(balancer).expect("the balancer listens");
    let (mut stream, _) = connect(stream, "localhost", None).expect("the certificate is right");
    let mut answer = Vec::new();
    let asked =
        stream.write_all(http::upgrade("GET /ws", &[("Connection", Some("Upgrade, close"))]).as_bytes());
    // Not everybody says in TLS that the connection ends.
    let _ = asked.and_then(|()| stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Tells a router to stop; after some time whoever comes gets this answer, but the session that there is goes on.
fn stop(router: &Serving, balancer: SocketAddr, mut peer: Peer<Secured>, expected: &str) {
    router.signal("TERM");
    let start = Instant::now();
    while !answer(balancer).contains(expected) {
        assert!(start.elapsed() < PATIENCE, "{}", answer(balancer));
    }
    assert_eq!(peer.call("wamp.session.count", &json!([]), &json!({}))[3], json!([1]));
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
fn haproxy_ends_tls_or_passes_it_through() {
    let certificate = certificate("haproxy", &["localhost"]);
    let [plain, encrypted, admin, ended, passed] = free();
    let router = serve(
        &certificate,
        &format!(
            "[admin]\naddress = \"{admin}\"\n\
             [[listeners]]\naddress = \"{plain}\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [[listeners]]\naddress = \"{encrypted}\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [listeners.tls]\ncertificate = \"haproxy.pem\"\nkey = \"haproxy.key\"\n"
        ),
    );
    let file = certificate.files.certificates[0].certificate.with_extension("cfg");
    recipe(
        "haproxy.cfg",
        &file,
        &[
            ("127.0.0.1:8080", plain.to_string()),
            ("127.0.0.1:8444", encrypted.to_string()),
            ("port 9464", format!("port {}", admin.port())),
            ("bind :443", format!("bind {ended}")),
            ("bind :8443", format!("bind {passed}")),
            ("/etc/haproxy/router.pem", bundle(&certificate).display().to_string()),
        ],
    );
    let _haproxy = Balancer::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), ended);
    for (balancer, is_secure) in [(ended, false), (passed, true)] {
        let (peer, told, address) = join(balancer);
        assert_eq!(told, transport(&told, &address, is_secure));
        peer.leave();
    }
    let (peer, ..) = join(ended);
    // HAProxy knows it from /readyz: it does not ask the router any more.
    stop(&router, ended, peer, "No server is available");
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
fn nginx_ends_tls() {
    let certificate = certificate("nginx", &["localhost"]);
    let files = &certificate.files.certificates[0];
    let [plain, ended] = free();
    let router = serve(
        &certificate,
        &format!("[[listeners]]\naddress = \"{plain}\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n"),
    );
    let file = files.certificate.with_extension("conf");
    recipe(
        "nginx.conf",
        &file,
        &[
            ("127.0.0.1:8080", plain.to_string()),
            ("listen 443", format!("listen {ended}")),
            ("/etc/nginx/router.pem", files.certificate.display().to_string()),
            ("/etc/nginx/router.key", files.key.display().to_string()),
            ("/run/nginx.pid", files.certificate.with_extension("pid").display().to_string()),
        ],
    );
    let _nginx = Balancer::start(Command::new("nginx").args(["-g", "daemon off;", "-c"]).arg(&file), ended);
    let (peer, told, address) = join(ended);
    let (host, _) = address.rsplit_once(':').expect("an address has a port");
    assert_eq!(told, transport(&told, host, false));
    stop(&router, ended, peer, "503 Service");
}
