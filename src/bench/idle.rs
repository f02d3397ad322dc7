//! Memory that idle sessions take in the server.
//!
//! One session joins first and the server comes to rest; then all others join, and it comes to rest again.
//! The growth of its resident memory between the two is divided by the sessions. Allocators give memory back
//! late or never, so the figure is that of a server which was just started.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::sleep;

use super::failure::Failure;
use super::print::{Lines, Results};
use super::process::Process;
use super::progress;
use super::router::Target;
use super::run::{Flaws, Meter, Roles, finished};
use super::text;

/// Time for the server to come to rest.
const REST: Duration = Duration::from_secs(1);

/// Sessions that do nothing.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    /// Sessions that join and stay idle.
    #[arg(long, default_value_t = 10_000, value_parser = super::count)]
    sessions: usize,
    /// Process id of the server on this machine, to measure its memory.
    #[arg(long)]
    pid: Option<u32>,
    /// The server is a relay (`bench floor`).
    #[arg(long)]
    floor: bool,
}

/// What the benchmark has found.
#[derive(Debug, Serialize)]
pub(super) struct IdleOutcome {
    /// Seconds from the first session's join to the last one's.
    seconds: f64,
    /// Resident memory of the server with all sessions, in KB.
    server_rss_kb: Option<u64>,
    /// Growth of the resident memory, in KB.
    server_rss_kb_per_session: Option<f64>,
    /// Resident memory of the server when all sessions are gone, in KB.
    server_rss_kb_after: Option<u64>,
}

impl Results for IdleOutcome {
    fn flaws(&self) -> Flaws {
        Flaws::default()
    }

    fn lines(&self) -> Lines {
        let mut lines = vec![("joined", format!("in {} s", self.seconds))];
        let megabytes = |kb: Option<u64>, when: &str| Some(format!("{} {when}", text::megabytes(kb?)));
        lines.extend(
            self.server_rss_kb_per_session
                .map(|kb| ("a session", format!("{} KB in the server", text::digits(kb)))),
        );
        lines.extend(megabytes(self.server_rss_kb, "with all sessions").map(|text| ("memory", text)));
        lines.extend(megabytes(self.server_rss_kb_after, "when they are gone").map(|text| ("", text)));
        lines
    }
}

/// Runs the benchmark.
pub(super) async fn run(args: &IdleArgs) -> Result<IdleOutcome, Failure> {
    let IdleArgs { target, sessions, pid, floor } = args;
    let server = pid.map(Process);
    let resident = || server.map(Process::resident_kb).transpose();
    let router = target.router(*floor)?;
    let mut roles = Roles::new();
    router.populate(&mut roles, &ProgressBar::hidden(), 1).await?;
    sleep(REST).await;
    let before = resident()?;
    let meter = Meter::start(server)?;
    router.populate(&mut roles, &progress::count("joining", *sessions), *sessions).await?;
    let joining = meter.stop()?;
    tokio::select! {
        () = sleep(REST) => {}
        ended = finished(&mut roles, 1) => return Err(ended.err().unwrap_or(Failure::Ended)),
    }
    let server_rss_kb = resident()?;
    drop(roles);
    sleep(REST).await;
    let growth = server_rss_kb.zip(before).map(|(after, before)| after as f64 - before as f64);
    Ok(IdleOutcome {
        seconds: (joining.time.as_secs_f64() * 1e3).round() / 1e3,
        server_rss_kb,
        server_rss_kb_per_session: growth.map(|kb| (kb / *sessions as f64 * 1e3).round() / 1e3),
        server_rss_kb_after: resident()?,
    })
}
