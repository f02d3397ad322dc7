//! A router that is not spared: the real program for minutes, over every transport and with every serializer.
//!
//! [`healthy`] clients account for every event and every call. Beside them others come and go in every way
//! ([`churn`]), read slowly or not at all ([`slow`]), break the rules ([`faults`]), or are stopped and killed by the
//! system ([`half_open`]). The [`observer`] counts who is there. Chance is seeded; what the router and the system make
//! of the order of things is not.

mod churn;
mod faults;
mod half_open;
mod healthy;
mod observer;
mod scene;
mod slow;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the tests of the whole use the rest")]
mod support;

use observer::{OVER, Observer};
use rand::{SeedableRng, rngs::StdRng};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use scene::{Alarm, Scene, Tally};
use serde_json::json;
use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};
use support::{
    Peer,
    program::{Serving, program},
    router::PATIENCE,
    scrape::Samples,
};

/// How long the soak takes if `REALMKEEPER_SOAK_SECONDS` does not say.
const SECONDS: u64 = 120;

/// Nothing but faults of the router is logged. Who does not read, or does not answer, is soon ended.
const CONFIG: &str = r#"
[log]
level = "error"

[admin]
address = "127.0.0.1:0"

[[listeners]]
address = "127.0.0.1:0"
[listeners.limits]
ping_interval = "5s"
ping_timeout = "10s"
write_stall = "2s"
outbox = "1MiB"

[[listeners]]
kind = "rawsocket"
address = "127.0.0.1:0"
pings = true
[listeners.limits]
ping_interval = "5s"
ping_timeout = "10s"
write_stall = "2s"
outbox = "1MiB"

[[realms]]
name = "realm1"
anonymous = "anyone"
[[realms.roles]]
name = "anyone"
[[realms.roles.permissions]]
uri = "soak."
match = "prefix"
allow = ["call", "register", "publish", "subscribe"]
[[realms.roles.permissions]]
uri = "wamp."
match = "prefix"
allow = ["call", "subscribe"]
"#;

/// What somebody does until the time is over.
type Work = Box<dyn Fn(&Scene, &mut StdRng) -> Tally + Send>;

/// All that is done at the same time.
fn workers() -> Vec<(&'static str, Work)> {
    vec![
        ("publisher", Box::new(|scene, chance| healthy::publish(scene, chance, "soak.news.first"))),
        ("other publisher", Box::new(|scene, chance| healthy::publish(scene, chance, "soak.news.second"))),
        ("caller", Box::new(|scene, chance| healthy::call(scene, chance, "first"))),
        ("other caller", Box::new(|scene, chance| healthy::call(scene, chance, "second"))),
        ("caller of the unreliable", Box::new(healthy::call_the_unreliable)),
        ("churn", Box::new(churn::come_and_go)),
        ("other churn", Box::new(churn::come_and_go)),
        ("slow readers", Box::new(slow::read_slowly)),
        ("nonsense", Box::new(faults::send_nonsense)),
        ("bad handshakes", Box::new(faults::fail_to_join)),
        ("half-open", Box::new(half_open::stop_and_kill)),
    ]
}

#[test]
fn a_router_that_is_not_spared_loses_nothing_and_does_not_grow() {
    let seconds = env::var("REALMKEEPER_SOAK_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, log) = (folder.join("soak.toml"), folder.join("soak.log"));
    fs::write(&file, CONFIG).unwrap();
    let mut program = Serving::logging(program(&["--config"]).arg(file), &log);
    let websocket = program.address();
    let rawsocket = program.line().strip_prefix("listens on rs://").unwrap().parse().unwrap();
    let admin = program.admin();
    let end = Instant::now() + Duration::from_secs(seconds);
    let scene = Scene { websocket, rawsocket, end, is_over: AtomicBool::new(false) };

    let mut observer = Observer::new(scene.join(ListenerKind::WebSocket, Serializer::MessagePack));
    let files = program.files();
    let tally = thread::scope(|scope| {
        let tally = scope.spawn(|| work(&scene));
        let _alarm = Alarm(&scene);
        observer.watch(&program, admin);
        report(&observer);
        report_causes(&Samples::at(admin));
        tally.join().expect("nobody fails")
    });

    let samples = Samples::at(admin);
    check_causes(&tally, &samples);
    assert_eq!(samples.value("realmkeeper_calls_in_flight{realm=\"realm1\"}"), 0.0);
    check_growth("KiB of memory", &observer.memory);
    check_growth("open files", &observer.files);
    let start = Instant::now();
    while program.files() > files {
        assert!(start.elapsed() < PATIENCE, "{} files stay open, not {files}", program.files());
        thread::yield_now();
    }
    assert_eq!(fs::read_to_string(log).unwrap(), "", "the router has logged faults");
}

/// Has all workers do their work, and says when it is over.
fn work(scene: &Scene) -> Tally {
    let tallies = thread::scope(|scope| {
        let workers: Vec<_> = workers()
            .into_iter()
            .enumerate()
            .map(|(seed, (name, work))| {
                let work = move || {
                    let _alarm = Alarm(scene);
                    work(scene, &mut StdRng::seed_from_u64(seed as u64))
                };
                thread::Builder::new().name(name.into()).spawn_scoped(scope, work).expect("a thread starts")
            })
            .collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut last = Peer::join_at(scene.websocket, Serializer::Json);
    last.send(&json!([16, 1, {}, OVER]));
    last.leave();
    let mut all = Tally::from([("goodbye", 1)]);
    for (what, count) in tallies.into_iter().flat_map(|tally| tally.expect("no worker fails")) {
        *all.entry(what).or_default() += count;
    }
    say(format!("done: {all:?}"));
    all
}

/// Asserts that the sessions have ended for the causes that they were given, each once.
fn check_causes(tally: &Tally, samples: &Samples) {
    let given = |what: &str| tally.get(what).copied().unwrap_or_default();
    let told = |causes: &[&str]| -> u64 { causes.iter().map(|cause| left(samples, cause)).sum() };
    for cause in ["goodbye", "aborted", "killed", "transport_closed"] {
        assert_eq!(told(&[cause]), given(cause), "{cause}");
    }
    assert_eq!(told(&["protocol_violation", "invalid_utf8", "message_too_big"]), given("refused"));
    let unresponsive = given("unresponsive") + given("stopped");
    let told_unresponsive = told(&["slow_consumer", "ping_timeout"]);
    let range = unresponsive..=unresponsive + given("unresponsive or lost");
    assert!(range.contains(&told_unresponsive), "{told_unresponsive} are not within {range:?}");
    assert!(told(&["ping_timeout"]) >= given("stopped"));
    assert_eq!(
        told(&["transport_lost"]) + told_unresponsive,
        given("transport_lost") + unresponsive + given("unresponsive or lost")
    );
    assert_eq!(told(&["panic", "realm_closed", "killed_all"]), 0);
}

/// Asserts that there is hardly more of something late than there was early: in the median of the last quarter at most
/// 15 % more than in that of the second one, when the router has had some of everything. How much waits for the slow
/// readers varies by about half as much.
fn check_growth(what: &str, samples: &[u64]) {
    let [early, late] = [1, 3].map(|quarter| median_of_quarter(samples, quarter));
    assert!(late * 100 <= early * 115, "{late} {what} became of {early}: {samples:?}");
}

fn median_of_quarter(samples: &[u64], quarter: usize) -> u64 {
    let length = samples.len() / 4;
    let mut samples = samples[quarter * length..][..length].to_vec();
    samples.sort_unstable();
    samples.get(length / 2).copied().unwrap_or_default()
}

/// How many sessions left for this cause.
fn left(samples: &Samples, cause: &str) -> u64 {
    samples.value(&format!("realmkeeper_sessions_left_total{{cause=\"{cause}\",realm=\"realm1\"}}")) as u64
}

/// Prints what the observer has seen.
fn report(observer: &Observer) {
    say(format!("{} joined, {} left, counted {} times", observer.joins, observer.leaves, observer.counts));
    let [scrapes, exact] = observer.scrapes;
    say(format!("the metrics agreed {scrapes} times, {exact} of them while nobody came or went"));
    for (what, samples) in [("KiB of memory", &observer.memory), ("open files", &observer.files)] {
        let medians = [0, 1, 2, 3].map(|quarter| median_of_quarter(samples, quarter));
        say(format!("{what}, the medians of the quarters: {medians:?}"));
    }
}

/// Prints how many sessions left for each cause.
fn report_causes(samples: &Samples) {
    let causes = samples.of_metric("realmkeeper_sessions_left_total").filter(|(_, count)| *count > 0.0);
    causes.for_each(|(sample, count)| say(format!("{sample} {count}")));
}

/// Prints a line that the harness of the tests does not hold back.
fn say(line: String) {
    writeln!(io::stdout(), "{line}").expect("the output can be written");
}
