//! `realmkeeper bench`: a load generator for any WAMP router, and the relay that shows what a machine can do
//! at best.
//!
//! Each benchmark is a module that says what its operation is and what it checks: `rpc`, `pubsub` (also
//! fan-out), `join`, `idle`, `meta`, `kill` and `slow`. `floor` is the relay. How figures come about is
//! told in `run.rs`: operations that end in a measured interval, after a warm-up; the latency of every one of
//! them; CPU time and memory as the kernel counts them. `pace.rs` tells when operations begin.
//!
//! Everything happens in one thread, so that the generator leaves the other cores to the server. All roles of
//! a benchmark share it: where a latency is told, it includes the time that the generator takes to come to
//! the answer.
//!
//! A benchmark prints one line of JSON, or a few lines for a person at a terminal. The process exits with 0, or
//! with 1 if something was lost, repeated, out of order or answered by an error, or with 2 and a line on stderr
//! if there is no result.
//!
//! `suite.rs` runs benchmarks one after the other, each in a process of its own: `report` all of them with all
//! servers side by side, `curves` some beside more and more bystanders.

mod bystanders;
mod caller;
mod client;
mod curves;
mod decode;
mod encode;
mod failure;
mod findings;
mod floor;
mod frame;
mod handshake;
mod head;
mod idle;
mod join;
mod kill;
mod meta;
mod order;
mod pace;
mod print;
mod process;
mod progress;
mod pubsub;
mod report;
mod router;
mod rpc;
mod run;
mod slow;
mod suite;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod topic;

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::runtime;
use tokio::task::LocalSet;

use failure::Failure;
use findings::Document;
use print::{Printed, print};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Clone, Debug, Subcommand)]
enum Benchmark {
    /// Calls per second.
    Rpc(Printed<rpc::RpcArgs>),
    /// Events per second from several publishers to one subscriber each.
    Pubsub(Printed<pubsub::PubsubArgs>),
    /// Events per second from one publisher to many subscribers.
    Fanout(Printed<pubsub::FanoutArgs>),
    /// Sessions joining and leaving per second, and whether each is announced once.
    Join(Printed<join::JoinArgs>),
    /// Memory per idle session.
    Idle(Printed<idle::IdleArgs>),
    /// Calls of wamp.session.list per second.
    Meta(Printed<meta::MetaArgs>),
    /// Sessions killed per second.
    Kill(Printed<kill::KillArgs>),
    /// Events to those who read while one subscriber does not, and what becomes of that.
    Slow(Printed<slow::SlowArgs>),
    /// All of them against a router and the relay, in rounds, and the table of what came out.
    Report(report::ReportArgs),
    /// What a call and an event cost beside more and more sessions and realms.
    Curves(curves::CurvesArgs),
    /// A relay that parses nothing, to run rpc, pubsub, fanout and idle against with --floor.
    Floor(floor::FloorArgs),
}

/// Parses a count that must not be zero.
fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "not a whole number above 0".to_owned())
}

/// Parses a time that the clock can count to.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "not a number of seconds from 0 to 86400".to_owned())
}

/// Parses an amount of payload.
fn megabytes(text: &str) -> Result<f64, String> {
    let megabytes = text.parse().ok().filter(|megabytes| (f64::MIN_POSITIVE..=1e6).contains(megabytes));
    megabytes.ok_or_else(|| "not a number of megabytes above 0, up to 1000000".to_owned())
}

/// Runs a benchmark and prints its result, or runs the relay until the process is ended.
pub fn run(args: BenchArgs) -> ExitCode {
    let ended = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| LocalSet::new().block_on(&runtime, dispatch(args.benchmark)));
    ended.unwrap_or_else(|failure| {
        // Nothing is left to be done if stderr is closed.
        let _ = writeln!(io::stderr(), "realmkeeper bench: {failure}");
        ExitCode::from(2)
    })
}

async fn dispatch(benchmark: Benchmark) -> Result<ExitCode, Failure> {
    match benchmark {
        Benchmark::Rpc(printed) => printed.conclude("rpc", &rpc::run(&printed.args).await?),
        Benchmark::Pubsub(printed) => printed.conclude("pubsub", &pubsub::run(&printed.args).await?),
        Benchmark::Fanout(printed) => printed.conclude("fanout", &pubsub::run_fanout(&printed.args).await?),
        Benchmark::Join(printed) => printed.conclude("join", &join::run(&printed.args).await?),
        Benchmark::Meta(printed) => printed.conclude("meta", &meta::run(&printed.args).await?),
        Benchmark::Kill(printed) => printed.conclude("kill", &kill::run(&printed.args).await?),
        Benchmark::Slow(printed) => printed.conclude("slow", &slow::run(&printed.args).await?),
        Benchmark::Idle(printed) => printed.conclude("idle", &idle::run(&printed.args).await?),
        Benchmark::Report(args) => {
            let document = args.suite.output.as_deref().map(Document::open).transpose()?;
            suite::run(report::run(&args)).await?.publish(document)
        }
        Benchmark::Curves(args) => {
            let document = args.suite.output.as_deref().map(Document::open).transpose()?;
            suite::run(curves::run(&args)).await?.publish(document)
        }
        Benchmark::Floor(args) => {
            let listener = floor::listen(&args).await?;
            let listening = Listening { listening: listener.local_addr()?, pid: std::process::id() };
            print(false, &listening, &[("listening", listening.to_string())])?;
            floor::serve(listener).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the relay prints when it can be connected to.
#[derive(Debug, Serialize)]
struct Listening {
    listening: SocketAddr,
    pid: u32,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on ws://{}/ as process {}", self.listening, self.pid)
    }
}
