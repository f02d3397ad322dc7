//! What the service manager is told, over a socket as systemd has it.

use crate::support::{
    http::{Answer, plain},
    program::{Serving, program},
    router::PATIENCE,
};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.socket", std::process::id()));
        // It may be left over.
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("the folder of tests can be written to");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        Self { socket, path }
    }

    /// The next that it is told, but for that the service is alive.
    fn told(&self) -> Vec<String> {
        loop {
            let told = self.message();
            if told != ["WATCHDOG=1"] {
                return told;
            }
        }
    }

    fn message(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let octets = self.socket.recv(&mut message).expect("the service tells something");
        let text = std::str::from_utf8(&message[..octets]).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // What is left over is taken away by the next.
        let _ = fs::remove_file(&self.path);
    }
}

const TEXT: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[realms]]\nname = \"realm1\"\n";

#[test]
fn the_service_manager_is_told_what_the_service_does() {
    let manager = Manager::new("notify");
    let file = manager.path.with_extension("toml");
    fs::write(&file, TEXT).expect("the folder of tests can be written to");
    let serving = Serving::run(program(&["--config"]).arg(&file).env("NOTIFY_SOCKET", &manager.path));
    let status = format!("STATUS=serving on {}", serving.url());
    let ready = ["READY=1".to_owned(), status.clone()];
    assert_eq!(manager.told(), ready);
    assert_eq!(plain(serving.address(), "GET /readyz"), Answer::plain("200 ok", "ready"), "it is ready then");

    let refused = format!("{status}; the configuration in the file cannot be used, see the log");
    for (text, status) in [("realms = 1", &refused), (TEXT, &status)] {
        fs::write(&file, text).expect("the folder of tests can be written to");
        serving.signal("HUP");
        let reloading = manager.told();
        let [is_reloading, when, what] = &reloading[..] else { panic!("{reloading:?}") };
        assert_eq!(
            (is_reloading.as_str(), what.as_str()),
            ("RELOADING=1", "STATUS=reading the configuration again")
        );
        let when = when.strip_prefix("MONOTONIC_USEC=").and_then(|when| when.parse::<u64>().ok());
        assert!(when.is_some_and(|when| when > 0), "{reloading:?}");
        assert_eq!(manager.told(), ["READY=1", status]);
    }
    serving.signal("TERM");
    assert_eq!(manager.told(), ["STOPPING=1", "STATUS=stopping: sessions are sent away"]);
    assert_eq!(serving.wait().0, Some(0));
}

#[test]
fn the_service_manager_is_told_so_often_as_it_wants_that_the_service_is_alive() {
    let manager = Manager::new("watchdog");
    let mut command = program(&["--listen", "127.0.0.1:0"]);
    let serving = Serving::run(command.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "20000"));
    assert_eq!(manager.message()[0], "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.message(), ["WATCHDOG=1"]);
    }
    serving.signal("TERM");
    assert_eq!(manager.told()[0], "STOPPING=1");
    assert_eq!(serving.wait().0, Some(0));
}

#[test]
fn without_a_service_manager_nobody_is_told() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such.socket");
    let mut command = program(&["--listen", "127.0.0.1:0"]);
    let serving = Serving::run(command.env("NOTIFY_SOCKET", missing));
    serving.signal("HUP");
    serving.signal("TERM");
    assert_eq!(serving.wait().0, Some(0), "it serves without");
}
