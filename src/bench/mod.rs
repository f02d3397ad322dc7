//! `realmkeeper bench`: a load generator for any WAMP router, and the relay that shows what a machine can do
//! at best.
//!
//! Each benchmark is a module that says what its operation is and what it checks: `rpc`, `pubsub` (also
//! fan-out), `join`, `idle`, `meta`, `kill` and `slow`. `floor` is the relay. How figures come about is
//! told in `run.rs`: operations that end in a measured interval, after a warm-up; the latency of every one of
//! them; CPU time and memory as the kernel counts them.
//!
//! Everything happens in one thread, so that the generator leaves the other cores to the server. All roles of
//! a benchmark share it: where a latency is told, it includes the time that the generator takes to come to
//! the answer.
//!
//! A benchmark prints one line of JSON. The process exits with 0, or with 1 if something was lost, repeated,
//! out of order or answered by an error, or with 2 and a line on stderr if there is no result.

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
use print::Printer;
use run::{Flaws, Outcome};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// Print one line of JSON on a terminal too, as it is printed elsewhere
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Benchmark {
    /// Calls per second.
    Rpc(rpc::RpcArgs),
    /// Events per second from several publishers to one subscriber each.
    Pubsub(pubsub::PubsubArgs),
    /// Events per second from one publisher to many subscribers.
    Fanout(pubsub::FanoutArgs),
    /// Sessions joining and leaving per second, and whether each is announced once.
    Join(join::JoinArgs),
    /// Memory per idle session.
    Idle(idle::IdleArgs),
    /// Calls of wamp.session.list per second.
    Meta(meta::MetaArgs),
    /// Sessions killed per second.
    Kill(kill::KillArgs),
    /// Events to those who read while one subscriber does not, and what becomes of that.
    Slow(slow::SlowArgs),
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
        .and_then(|runtime| LocalSet::new().block_on(&runtime, dispatch(args)));
    ended.unwrap_or_else(|failure| {
        // Nothing is left to be done if stderr is closed.
        let _ = writeln!(io::stderr(), "realmkeeper bench: {failure}");
        ExitCode::from(2)
    })
}

async fn dispatch(BenchArgs { benchmark, json }: BenchArgs) -> Result<ExitCode, Failure> {
    let printer = Printer::new(json);
    match benchmark {
        Benchmark::Rpc(args) => conclude(printer, "rpc", &args, &rpc::run(&args).await?),
        Benchmark::Pubsub(args) => conclude(printer, "pubsub", &args, &pubsub::run(&args).await?),
        Benchmark::Fanout(args) => conclude(printer, "fanout", &args, &pubsub::run_fanout(&args).await?),
        Benchmark::Join(args) => conclude(printer, "join", &args, &join::run(&args).await?),
        Benchmark::Meta(args) => conclude(printer, "meta", &args, &meta::run(&args).await?),
        Benchmark::Kill(args) => conclude(printer, "kill", &args, &kill::run(&args).await?),
        Benchmark::Slow(args) => {
            let results = slow::run(&args).await?;
            printer.report("slow", &args, &results, results.lines())?;
            Ok(verdict(results.outcome.flaws))
        }
        Benchmark::Idle(args) => {
            let results = idle::run(&args).await?;
            printer.report("idle", &args, &results, results.lines())?;
            Ok(ExitCode::SUCCESS)
        }
        Benchmark::Report(args) => {
            let findings = report::run(&args).await?;
            findings.publish(args.suite.output.as_deref())
        }
        Benchmark::Curves(args) => {
            let findings = curves::run(&args).await?;
            findings.publish(args.suite.output.as_deref())
        }
        Benchmark::Floor(args) => {
            let listener = floor::listen(&args).await?;
            let listening = Listening { listening: listener.local_addr()?, pid: std::process::id() };
            printer.print(&listening, vec![("listening", listening.to_string())])?;
            floor::serve(listener).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn conclude(
    printer: Printer,
    benchmark: &str,
    parameters: &impl Serialize,
    results: &Outcome,
) -> Result<ExitCode, Failure> {
    printer.report(benchmark, parameters, results, results.lines())?;
    Ok(verdict(results.flaws))
}

fn verdict(flaws: Flaws) -> ExitCode {
    if flaws == Flaws::default() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
