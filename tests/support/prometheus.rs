//! A real Prometheus on a free port, which a test asks over HTTP.

use super::http;
use serde_json::Value as Json;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long a Prometheus may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The top of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where a Prometheus looks for its alerts.
pub(crate) const ALERTS: &str = "/etc/prometheus/alerts.yaml";

/// `config/prometheus.yml` with the alerts of the repository.
pub(crate) fn config() -> String {
    let text = fs::read_to_string(Path::new(ROOT).join("config/prometheus.yml")).expect("the file is there");
    assert!(text.contains(ALERTS), "{text}");
    text.replace(ALERTS, &format!("{ROOT}/grafana/alerts.yaml"))
}

/// Runs promtool at the top of the repository; gives what it printed, and fails if it finds anything wrong.
pub(crate) fn promtool(args: &[&str]) -> String {
    let output = Command::new("promtool").args(args).current_dir(ROOT).output();
    let output = output.expect("promtool is installed, of the Debian package prometheus");
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
    assert!(output.status.success(), "promtool {args:?}: {printed}");
    printed
}

/// A Prometheus. It is killed when it is dropped.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts it with this configuration and waits until it answers.
    pub(crate) fn start(config: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder of tests can be written to");
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).expect("the folder of tests can be written to");
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is installed, of the Debian package");
        let log = BufReader::new(process.stderr.take().expect("its log is piped"));
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Listening on") {
                    let address = line.split_once("address=").map(|(_, address)| address.to_owned());
                    // An error says that the test has given up.
                    let _ = found.send(address.expect("the line has the address"));
                }
            }
        });
        let address = address.recv_timeout(PATIENCE).expect("Prometheus listens");
        let address = address.split(' ').next().and_then(|address| address.parse().ok());
        let prometheus = Self { process, address: address.expect("an address"), folder };
        until("Prometheus is ready", || prometheus.ask("/-/ready").status == "200 ok");
        prometheus
    }

    fn ask(&self, path: &str) -> http::Answer {
        http::ask(self.address, &format!("GET {path} HTTP/1.0\r\n\r\n"))
    }

    /// The data that it answers to a request of its API, such as `rules`, with these parameters.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Json {
        let parameters = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let answer = self.ask(&format!("/api/v1/{path}?{}", parameters.collect::<Vec<_>>().join("&")));
        let json: Json = serde_json::from_str(&answer.text).expect("it answers JSON");
        assert_eq!(json["status"], "success", "{path}: {json}");
        json["data"].clone()
    }

    /// The values of a query now, those that are numbers.
    pub(crate) fn values(&self, query: &str) -> Vec<f64> {
        let data = self.get("query", &[("query", query)]);
        let samples = data["result"].as_array().expect("a query has results").iter();
        let value = |sample: &Json| sample["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
        samples.filter_map(value).filter(|value| value.is_finite()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // None fails but for what is gone already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// A text as it can stand in a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02x}")).collect()
}
