//! The metrics of a router, as Prometheus would read them.

use super::{Router, router::PATIENCE};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Instant,
};

/// Reads the metrics of a router.
pub(crate) fn text(router: &Router) -> String {
    text_at(router.addresses()[0])
}

/// Reads the metrics of whatever router answers there.
pub(crate) fn text_at(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("the router listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the router takes the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the router answers");
    let (head, body) = response.split_once("\r\n\r\n").expect("the answer has a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    body.to_owned()
}

/// The samples of a scrape: what stands before the value, and the value.
#[derive(Clone, Debug)]
pub(crate) struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Scrapes a router.
    pub(crate) fn of(router: &Router) -> Self {
        Self::at(router.addresses()[0])
    }

    /// Scrapes whatever router answers there. Whenever that is, as many sessions are there as joined and did not
    /// leave.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let text = text_at(address);
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
            (sample.to_owned(), value.parse().expect("a value is a number"))
        });
        let samples = Self(samples.collect());
        let (joined, left) = (
            samples.total("realmkeeper_sessions_joined_total"),
            samples.total("realmkeeper_sessions_left_total"),
        );
        assert_eq!(joined - left, samples.total("realmkeeper_sessions"));
        samples
    }

    /// All samples of a metric, with their labels.
    pub(crate) fn of_metric(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let is_of = move |sample: &str| sample.split('{').next() == Some(name);
        self.0.iter().filter(move |(sample, _)| is_of(sample)).map(|(sample, value)| (&**sample, *value))
    }

    /// The sum of all samples of a metric.
    pub(crate) fn total(&self, name: &str) -> f64 {
        self.of_metric(name).map(|(_, value)| value).sum()
    }

    /// Scrapes a router until a sample has a value.
    pub(crate) fn wait(router: &Router, sample: &str, value: f64) -> Self {
        let start = Instant::now();
        loop {
            let samples = Self::of(router);
            if samples.value(sample) == value {
                return samples;
            }
            assert!(start.elapsed() < PATIENCE, "{sample} is {}, not {value}", samples.value(sample));
            thread::yield_now();
        }
    }

    /// The value of a sample.
    pub(crate) fn value(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("there is no {sample}"))
    }

    /// What has changed since an earlier scrape, as text. Neither what depends on the machine: the process,
    /// durations, and batches; nor bytes.
    pub(crate) fn since(&self, earlier: &Self) -> String {
        let varies = |sample: &str| {
            ["process_", "realmkeeper_realm_batch_seconds", "realmkeeper_bytes_total"]
                .iter()
                .any(|start| sample.starts_with(start))
                || sample.contains("_seconds_bucket")
                || sample.contains("_seconds_sum")
        };
        let mut text = String::new();
        for (sample, value) in &self.0 {
            let change = value - earlier.0.get(sample).copied().unwrap_or_default();
            if change != 0.0 && !varies(sample) {
                text += &format!("{sample} {change:+}\n");
            }
        }
        text
    }
}
