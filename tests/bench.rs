//! The load generator against a started router: what it prints for programs, what a report holds, and how it fails. How
//! fast anything is, is of no concern here.

use crate::support::{
    Router,
    certificate::{authority_file, certificate},
    program::{Serving, program},
};
use realmkeeper::{Listener, ListenerKind, UnixSocket};
use serde_json::Value as Json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

/// What is wrong in a run, which must be nothing.
const FLAWS: [&str; 4] = ["errors", "lost", "duplicated", "out_of_order"];
/// What every benchmark tells that goes on for a time.
const TIMED: [&str; 9] = [
    "behind",
    "client_cpu_us_per_op",
    "latency_us",
    "operations",
    "per_second",
    "seconds",
    "server_cpu_us_per_op",
    "server_rss_kb",
    "warmup",
];
/// What latencies are told.
const PERCENTILES: [&str; 6] = ["max", "p50", "p90", "p99", "p999", "p9999"];

/// Runs a benchmark.
fn bench(args: &[&str]) -> Output {
    program(&["bench"]).args(args).output().expect("the program starts")
}

fn text(octets: &[u8]) -> &str {
    str::from_utf8(octets).expect("it prints text")
}

/// The line that a benchmark prints which ends well.
fn line(args: &[&str]) -> Json {
    let Output { status, stdout, stderr } = bench(args);
    assert_eq!((status.code(), text(&stderr)), (Some(0), ""), "{args:?}: {}", text(&stdout));
    assert_eq!(text(&stdout).matches('\n').count(), 1, "{args:?}: it is one line");
    serde_json::from_slice(&stdout).expect("it is JSON")
}

/// A benchmark for a moment, with a program that serves; for a longer one if nothing came to its end in it.
fn brief(serving: &Serving, name: &str, args: &[&str]) -> Json {
    let pid = serving.pid().to_string();
    let with = [&[name, "--url", serving.url(), "--pid", &pid], args].concat();
    let timed = |seconds| line(&[&with[..], &["--seconds", seconds, "--warmup", "0"]].concat());
    let line = match name {
        "idle" | "slow" => line(&with),
        _ => ["0.2", "2", "20"]
            .into_iter()
            .map(timed)
            .find(|line| line["operations"] != 0)
            .expect("it gets done"),
    };
    assert_eq!((&line["benchmark"], &line["url"]), (&name.into(), &serving.url().into()));
    for flaw in FLAWS.into_iter().filter(|_| name != "idle") {
        assert_eq!(line[flaw], 0, "{line}");
    }
    line
}

fn keys(object: &Json) -> Vec<&str> {
    object.as_object().expect("it is an object").keys().map(String::as_str).collect()
}

/// Asserts that a line tells this, beside what all tell.
fn check(line: &Json, told: &[&str]) {
    let mut expected = ["benchmark", "pid", "realm", "serializer", "url"].to_vec();
    expected.extend(told);
    expected.sort_unstable();
    assert_eq!(keys(line), expected, "{line}");
    if let Some(latencies) = line.get("latency_us") {
        assert_eq!(keys(latencies), PERCENTILES);
        let times = ["p50", "p90", "p99", "p999", "p9999", "max"].map(|name| latencies[name].as_f64());
        assert!(times.is_sorted() && times[0] > Some(0.0), "{latencies}");
    }
    assert!(line["server_rss_kb"].as_u64() > Some(0), "{line}");
}

#[test]
fn every_benchmark_tells_what_it_has_found() {
    let serving = Serving::start();
    let timed = |own: &[&'static str]| [&TIMED[..], &FLAWS, own].concat();
    let load = ["bystander_realms", "bystanders", "floor", "payload", "rate", "window"];
    let line = brief(&serving, "rpc", &["--callers", "3", "--callees", "2", "--bystanders", "5"]);
    check(&line, &timed(&[&load[..], &["callees", "callers"]].concat()));
    assert_eq!((&line["callers"], &line["bystanders"]), (&3.into(), &5.into()));
    let line = brief(&serving, "pubsub", &["--publishers", "2"]);
    check(&line, &timed(&[&load[..], &["publishers", "subscribers"]].concat()));
    let line = brief(&serving, "pubsub", &["--publishers", "2", "--subscribers", "3"]);
    assert_eq!((&line["publishers"], &line["subscribers"]), (&2.into(), &3.into()), "{line}");
    check(&line, &timed(&[&load[..], &["publishers", "subscribers"]].concat()));
    let line = brief(&serving, "fanout", &["--subscribers", "20"]);
    check(&line, &timed(&[&load[..], &["subscribers"]].concat()));
    assert_eq!(line["operations"].as_u64().map(|events| events >= 20), Some(true), "{line}");
    let line = brief(&serving, "join", &["--concurrency", "4"]);
    check(&line, &timed(&["concurrency"]));
    let line = brief(&serving, "meta", &["--sessions", "10"]);
    check(&line, &timed(&["rate", "sessions", "window"]));
    let line = brief(&serving, "kill", &["--sessions", "10"]);
    check(&line, &timed(&["sessions", "window"]));
    let line = brief(&serving, "idle", &["--sessions", "20"]);
    let memory = ["server_rss_kb", "server_rss_kb_after", "server_rss_kb_per_session"];
    check(&line, &[&memory[..], &["floor", "seconds", "sessions"]].concat());
}

#[test]
fn messages_come_in_every_serializer_over_every_transport() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench.sock");
    let secured = certificate("bench", &["localhost"]);
    let router = Router::with(|settings| {
        let tls = Some(secured.files.clone());
        let raw = Listener { kind: ListenerKind::RawSocket, ..settings.listeners[0].clone() };
        let unix = UnixSocket { path: path.clone(), mode: 0o600, user: None, group: None };
        settings.listeners.extend([
            raw.clone(),
            Listener { tls: tls.clone(), ..settings.listeners[0].clone() },
            Listener { tls, ..raw.clone() },
            Listener { unix: Some(unix), ..raw },
        ]);
    });
    for url in router.urls() {
        for serializer in ["json", "msgpack", "cbor"] {
            let ca = authority_file().to_str().expect("the path is UTF-8");
            let url = url.replace("127.0.0.1", "localhost");
            let args = ["rpc", "--url", &url, "--serializer", serializer, "--ca", ca, "--payload", "70000"];
            let line = line(&[&args[..], &["--seconds", "0.1", "--window", "2"]].concat());
            assert_eq!(FLAWS.map(|flaw| line[flaw].as_u64()), [Some(0); 4], "{line}");
        }
    }
}

#[test]
fn at_a_fixed_rate_no_more_is_asked_for_than_is_due() {
    let serving = Serving::start();
    // The first is due at the start, which may count for the warm-up, the second in a quarter of an hour.
    for (benchmark, most) in [(["rpc", "--callers", "1"], 1), (["fanout", "--subscribers", "3"], 3)] {
        let args = ["--url", serving.url(), "--rate", "0.001", "--seconds", "0.1"];
        let line = line(&[&benchmark[..], &args].concat());
        assert!(line["operations"].as_u64() <= Some(most) && line["behind"] == 0, "{line}");
    }
    // More than any router can do, so that some are left.
    let line = brief(&serving, "meta", &["--rate", "100000000", "--sessions", "2"]);
    assert!(line["behind"].as_u64() > Some(0), "{line}");
}

#[test]
fn what_is_due_while_the_router_stops_counts_as_late_as_it_is() {
    let serving = Serving::start();
    let args = ["bench", "pubsub", "--url", serving.url(), "--publishers", "1", "--window", "1000"];
    let timed = ["--rate", "20", "--seconds", "7", "--warmup", "0"];
    let mut command = program(&[&args[..], &timed].concat());
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    // What the router does before it is stopped matters little: it is, while publications are due.
    thread::sleep(Duration::from_secs(1));
    serving.signal("STOP");
    thread::sleep(Duration::from_secs(4));
    serving.signal("CONT");
    let Output { status, stdout, stderr } = run.wait_with_output().expect("the program ends");
    assert_eq!((status.code(), text(&stderr)), (Some(0), ""), "{}", text(&stdout));
    let line: Json = serde_json::from_slice(&stdout).expect("it is JSON");
    assert_eq!(FLAWS.map(|flaw| line[flaw].as_u64()), [Some(0); 4], "{line}");
    // 140 are due in the time, of which the last may be late.
    assert!(line["operations"].as_u64() >= Some(130), "{line}");
    // One is due at most 50 ms after the router was stopped.
    assert!(line["latency_us"]["max"].as_f64() >= Some(3_950_000.0), "{line}");
}

#[test]
fn a_subscriber_that_stops_reading_is_ended_and_takes_nothing_from_the_others() {
    let serving = Serving::start();
    // More than the sockets and the outbox of the slow one hold.
    let line = brief(&serving, "slow", &["--megabytes", "40", "--payload", "10000"]);
    let own = ["megabytes", "payload", "published", "server_rss_kb_growth", "subscribers", "window"];
    let slow = ["slow_ended", "slow_lost", "slow_received"];
    let told: Vec<_> = TIMED.into_iter().filter(|key| *key != "warmup").collect();
    check(&line, &[&told[..], &FLAWS, &own, &slow].concat());
    assert_eq!(line["published"], 4000);
    let (received, lost) = (line["slow_received"].as_u64(), line["slow_lost"].as_u64());
    assert_eq!(received.zip(lost).map(|(received, lost)| received + lost), Some(4000));
    assert!(lost > Some(0) && line["slow_ended"].is_string(), "{line}");
    // What fits into the sockets is no reason to end anybody.
    let line = brief(&serving, "slow", &["--megabytes", "0.01"]);
    assert_eq!((&line["slow_lost"], &line["slow_ended"]), (&0.into(), &Json::Null), "{line}");
}

#[test]
fn a_report_has_every_server_side_by_side_and_tells_how_it_was_made() {
    let other = Serving::start();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.md");
    let named = format!("other={},{}", other.url(), other.pid());
    let args = ["report", "--rounds", "2", "--seconds", "0.1", "--warmup", "0", "--only", "rpc,join"];
    let Output { status, stdout, stderr } =
        bench(&[&args[..], &["--other", &named, "--output", file.to_str().expect("it is UTF-8")]].concat());
    assert_eq!((status.code(), text(&stdout), text(&stderr)), (Some(0), "", ""));
    let report = fs::read_to_string(&file).expect("the report is written");
    let table: Vec<_> = report.lines().filter(|line| line.starts_with('|')).collect();
    let head = "| | router | CPU us | relay | CPU us | router to it | other | CPU us | router to it |";
    assert_eq!(table[..2], [head, "|---|---|---|---|---|---|---|---|---|"], "{report}");
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let title = "`rpc --callers 4 --callees 4 --window 32`, calls/s";
    let rpc = cells(table.iter().find(|row| row.contains(title)).expect("there is a row of calls"));
    assert_eq!(rpc.len(), cells(head).len());
    for figures in [2, 3, 4, 5, 7, 8].map(|at| &rpc[at]) {
        assert_eq!(figures.split(", ").count(), 2, "{figures}: one for each round");
    }
    let join = cells(table.last().expect("there are rows"));
    assert_eq!([&join[4], &join[5], &join[6]], ["", "", ""], "nobody joins a relay");
    assert!(!join[2].is_empty() && !join[7].is_empty(), "{join:?}");
    assert!(report.contains("\nNothing was lost, repeated, out of order"), "{report}");
    // The commands are those of a shell.
    let command = report.lines().find(|line| line.starts_with("realmkeeper bench join")).expect("it is told");
    assert!(command.contains(" --seconds 0.1 --warmup 0 --pid "), "{command}");
}

#[test]
fn a_router_that_cannot_be_measured_does_not_spoil_the_report_of_others() {
    let args = ["report", "--rounds", "1", "--seconds", "0.1", "--warmup", "0", "--only", "meta"];
    let Output { status, stdout, stderr } =
        bench(&[&args[..], &["--other", "gone=ws://127.0.0.1:1/ws"]].concat());
    assert_eq!((status.code(), text(&stderr)), (Some(1), ""));
    let report = text(&stdout);
    let wrong =
        "- meta --sessions 500, gone, round 1: cannot connect to ws://127.0.0.1:1/ws: Connection refused";
    assert!(report.contains(wrong), "{report}");
    let row = report.lines().find(|line| line.starts_with("| `meta")).expect("there is a row");
    assert!(row.ends_with(" |  |  |") && !row.contains("/s |  |"), "{row}");
}

#[test]
fn curves_have_a_point_for_each_number_of_sessions_and_of_realms() {
    let args = ["curves", "--rounds", "1", "--seconds", "0.1", "--warmup", "0", "--only", "pubsub"];
    let points = ["--sessions", "1,20", "--realms", "1,3", "--spread", "6"];
    let Output { status, stdout, stderr } = bench(&[&args[..], &points].concat());
    assert_eq!((status.code(), text(&stderr)), (Some(0), ""), "{}", text(&stdout));
    let drawn = text(&stdout);
    for (curve, numbers) in [
        ("\n`pubsub` beside sessions:\n", ["1", "20"]),
        ("\n`pubsub` beside realms with 6 sessions in all:\n", ["1", "3"]),
    ] {
        let (_, curve) = drawn.split_once(curve).expect("the curve is drawn");
        let rows = curve.lines().skip_while(|line| !line.starts_with("|--:")).skip(1);
        let rows: Vec<Vec<_>> = rows.take(2).map(|row| row.split('|').map(str::trim).collect()).collect();
        assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), numbers);
        let costs: Vec<f64> = rows.iter().map(|row| row[3].parse().expect("it is a number")).collect();
        let most = costs.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (row, cost) in rows.iter().zip(costs) {
            let bar = row[4].chars().filter(|letter| *letter == '█').count() as f64;
            assert!((bar - 24.0 * cost / most).abs() <= 1.0, "{rows:?}");
        }
    }
}

#[test]
fn a_report_that_is_stopped_leaves_nothing_running() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut command = program(&["bench", "report", "--only", "rpc", "--seconds", "600"]);
        let report =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let pid = report.id().to_string();
        // The router, the relay, and the benchmark that runs.
        let children = loop {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
            if children.split_whitespace().count() == 3 {
                break children;
            }
            thread::yield_now();
        };
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill can be run");
        assert!(sent.success());
        let Output { status, stdout, stderr } = report.wait_with_output().expect("the program ends");
        let told = "realmkeeper bench: stopped before there was a result\n";
        assert_eq!((status.code(), text(&stdout), text(&stderr)), (Some(2), "", told));
        for child in children.split_whitespace() {
            // Killed it is at once, and gone as soon as the system has cleaned up.
            while fs::read_to_string(format!("/proc/{child}/cmdline"))
                .is_ok_and(|line| line.contains("realmkeeper"))
            {
                thread::yield_now();
            }
        }
    }
}

#[test]
fn what_cannot_be_measured_is_told_in_a_line_and_with_exit_code_2() {
    let serving = Serving::start();
    let url = serving.url();
    let gone = "ws://127.0.0.1:1/ws";
    // Whoever cannot write the report is told before anything is measured, which would take too long here.
    let report = ["report", "--rounds", "1", "--only", "meta", "--seconds", "600"];
    for (args, expected) in [
        (
            &["rpc", "--url", "http://x/"][..],
            "realmkeeper: invalid value 'http://x/' for '--url <URL>': must be ws://",
        ),
        (
            &["rpc", "--rate", "0"],
            "realmkeeper: invalid value '0' for '--rate <PER_SECOND>': not a number from 0.001",
        ),
        (
            &["slow", "--megabytes", "0"],
            "realmkeeper: invalid value '0' for '--megabytes <MEGABYTES>': not a number",
        ),
        (
            &["report", "--other", "x"],
            "realmkeeper: invalid value 'x' for '--other <NAME=URL>': not NAME=URL",
        ),
        (
            &["report", "--other", "x=ws://y/,z"],
            "realmkeeper: invalid value 'x=ws://y/,z' for '--other <NAME=URL>': not a process id",
        ),
        (
            &["rpc", "--url", gone],
            "realmkeeper bench: cannot connect to ws://127.0.0.1:1/ws: Connection refused",
        ),
        (
            &["rpc", "--url", "./nowhere.sock"],
            "realmkeeper bench: cannot connect to ./nowhere.sock: No such file",
        ),
        (
            &["rpc", "--url", "rs://127.0.0.1:1", "--floor"],
            "realmkeeper bench: a relay speaks WebSocket without TLS",
        ),
        (&["rpc", "--url", url, "--realm", "none"], "realmkeeper bench: ws://"),
        (&["rpc", "--url", url, "--bystanders", "2", "--bystander-realms", "2"], "realmkeeper bench: ws://"),
        (
            &["idle", "--url", url, "--pid", "4294967295"],
            "realmkeeper bench: cannot measure process 4294967295: ",
        ),
        (
            &["rpc", "--url", "wss://localhost:1/", "--ca", "/nowhere.pem"],
            "realmkeeper bench: cannot connect to wss://localhost:1/: /nowhere.pem: ",
        ),
        (
            &[&report[..], &["--output", "/nowhere/report.md"]].concat(),
            "realmkeeper bench: cannot write /nowhere/report.md: No such file",
        ),
    ] {
        let Output { status, stdout, stderr } = bench(args);
        let told = text(&stderr);
        assert_eq!((status.code(), text(&stdout)), (Some(2), ""), "{args:?}: {told}");
        assert!(told.starts_with(expected) && told.lines().count() == 1, "{args:?}: {told}");
    }
}
