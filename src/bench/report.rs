//! All benchmarks against a router, beside the relay and beside other routers, and the table of what came out.
//!
//! They are run in rounds, and in each round against all servers one after the other, so that a machine that becomes faster
//! or slower does so for all of them. What is compared are ratios within one report.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::findings::{Cell, Findings, commands};
use super::progress;
use super::suite::{Measured, Server, SuiteArgs, measure};
use super::table::{Row, Table};
use super::text;
use crate::client::Address;

/// With which routers to run which benchmarks.
#[derive(Clone, Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    pub(super) suite: SuiteArgs,
    /// Another router to run everything with: NAME=URL, or NAME=URL,PID with its process id. May be repeated
    #[arg(long, value_name = "NAME=URL")]
    other: Vec<Other>,
    /// Only these benchmarks, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "BENCHMARKS")]
    only: Vec<Kind>,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Idle,
    Rpc,
    Pubsub,
    Fanout,
    Join,
    Meta,
    Kill,
    Slow,
}

/// Another router.
#[derive(Clone, Debug)]
struct Other {
    name: String,
    url: Address,
    pid: Option<u32>,
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("not NAME=URL")?;
        let (url, pid) = match rest.rsplit_once(',').map(|(url, pid)| (url, pid.parse())) {
            Some((url, Ok(pid))) => (url, Some(pid)),
            Some((_, Err(_))) => return Err("not a process id behind the comma".to_owned()),
            None => (rest, None),
        };
        Ok(Self { name: name.to_owned(), url: url.parse()?, pid })
    }
}

/// What is run, and what its figure is. What looks at the memory of a server that has just been started comes first.
const BENCHMARKS: [(Kind, &str, &str, &str); 11] = [
    (Kind::Idle, "idle", "--sessions 10000", "KB a session"),
    (Kind::Rpc, "rpc", "--callers 4 --callees 4 --window 32", "calls/s"),
    (Kind::Rpc, "rpc", "--callers 1 --callees 1 --window 1", "calls/s"),
    (Kind::Pubsub, "pubsub", "--publishers 4 --window 8", "events/s"),
    (Kind::Pubsub, "pubsub", "--publishers 4 --subscribers 4 --window 8", "events/s"),
    (Kind::Fanout, "fanout", "--subscribers 1000 --window 4", "events/s"),
    (Kind::Fanout, "fanout", "--subscribers 1000 --window 32", "events/s"),
    (Kind::Join, "join", "--concurrency 16", "joins and leaves/s"),
    (Kind::Meta, "meta", "--sessions 500", "calls of wamp.session.list/s"),
    (Kind::Kill, "kill", "--sessions 500", "kills/s"),
    (Kind::Slow, "slow", "--subscribers 4 --megabytes 100", "events/s for those who read"),
];

impl Kind {
    /// Whether it can be run with a server, and is in this round.
    fn is_run(self, server: &Server, round: usize) -> bool {
        match self {
            // Only the first sessions of a server show what one takes.
            Self::Idle => server.pid.is_some() && round == 1,
            Self::Rpc | Self::Pubsub | Self::Fanout => true,
            Self::Join | Self::Meta | Self::Kill | Self::Slow => !server.is_relay,
        }
    }
}

/// Runs the benchmarks.
pub(super) async fn run(args: &ReportArgs) -> Result<Findings, Failure> {
    let ReportArgs { suite, only, .. } = args;
    let servers = servers(args).await?;
    let chosen: Vec<_> =
        BENCHMARKS.into_iter().filter(|(kind, ..)| only.is_empty() || only.contains(kind)).collect();
    let runs = |round: usize, kind: Kind| {
        servers.iter().enumerate().filter(move |(_, server)| kind.is_run(server, round))
    };
    let rows = chosen.iter().map(|(_, benchmark, options, unit)| Row {
        title: format!("{benchmark} {options}"),
        unit,
        cells: servers.iter().map(|_| Cell::default()).collect(),
    });
    let mut rows: Vec<_> = rows.collect();
    let (mut findings, mut notes) = (Findings::default(), Vec::new());
    let rounds = (1..=suite.rounds).flat_map(|round| chosen.iter().map(move |(kind, ..)| (round, *kind)));
    let bar = progress::runs(rounds.map(|(round, kind)| runs(round, kind).count()).sum());
    for round in 1..=suite.rounds {
        for (row, (kind, benchmark, options, _)) in rows.iter_mut().zip(&chosen) {
            for (column, server) in runs(round, *kind) {
                let title = format!("{benchmark} {options}, {}", server.name);
                bar.set_message(format!("round {round}: {title}"));
                bar.tick();
                let measured = measure(&suite.command(server, benchmark, options)).await?;
                let measured = measured.as_ref().map_err(String::as_str);
                let wrong = row.cells[column].add(measured);
                findings.wrong.extend(wrong.map(|wrong| format!("{title}, round {round}: {wrong}")));
                notes.extend(measured.ok().and_then(|printed| note(&server.name, printed)));
                bar.inc(1);
            }
        }
    }
    drop(bar);
    let table = Table { servers: servers.iter().map(|server| server.name.clone()).collect(), rows };
    let mut remarks = findings.verdict();
    if !notes.is_empty() {
        remarks += &format!("\nWhile one subscriber read nothing:\n\n{}", notes.concat());
    }
    let circumstances = suite.circumstances();
    let run = chosen.iter().map(|(_, benchmark, options, _)| suite.command(&servers[0], benchmark, options));
    findings.lines = Some(format!("{circumstances}\n{}\n{remarks}", table.lines()));
    findings.markdown = format!("{circumstances}\n{}\n{remarks}{}", table.markdown(), commands(run));
    Ok(findings)
}

/// The router, the relay if something is run with it, and the other routers.
async fn servers(args: &ReportArgs) -> Result<Vec<Server>, Failure> {
    let mut servers = vec![args.suite.router(0).await?];
    let relay = Server::start_relay().await?;
    let is_used = |kind: &Kind| kind.is_run(&relay, 1);
    if args.only.is_empty() || args.only.iter().any(is_used) {
        servers.push(relay);
    }
    servers.extend(args.other.iter().map(|other| Server::given(&other.name, &other.url, other.pid)));
    Ok(servers)
}

/// What a slow subscriber did to a router.
fn note(name: &str, printed: &Measured) -> Option<String> {
    let lost = printed.slow_lost?;
    let growth =
        printed.server_rss_kb_growth.map(|kb| format!(" the memory grew by {},", text::megabytes(kb)));
    let end = printed.slow_ended.as_ref().map_or_else(
        || "its session was kept".to_owned(),
        |reason| format!("its session was ended ({reason})"),
    );
    Some(format!("- {name}:{} {end}; it missed {} events\n", growth.unwrap_or_default(), text::grouped(lost)))
}
