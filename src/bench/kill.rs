//! Sessions killed per second with `wamp.session.kill`.
//!
//! Goes in rounds: victims join, then all are killed. Only the killing is measured, from the first call until
//! the last call is answered and the last victim has got its GOODBYE. An operation is a kill, its latency
//! that of the call. A victim that is not told counts as lost, as does a call that is not answered.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::timeout;

use super::caller::Caller;
use super::failure::Failure;
use super::pace::Pace;
use super::process::Process;
use super::progress;
use super::router::{Router, Target};
use super::run::{GRACE, Interval, Meter, Outcome, Roles, Run, Timing, finished};

/// Sessions that are killed.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct KillArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
    /// Victims of each round.
    #[arg(long, default_value_t = 500, value_parser = super::count)]
    sessions: usize,
    /// Kills in flight.
    #[arg(long, default_value_t = 16, value_parser = super::count)]
    window: usize,
}

/// Runs the benchmark.
pub(super) async fn run(args: &KillArgs) -> Result<Outcome, Failure> {
    let KillArgs { target, timing, window, .. } = args;
    let router = target.router(false)?;
    let run = Run::new();
    let mut killer = Caller::new(router.join().await?.0, &run, *window, Pace::UNBOUND);
    let warmup = Duration::from_secs_f64(timing.warmup);
    let start = Instant::now();
    while start.elapsed() < warmup {
        round(args, &router, &run, &mut killer).await?;
    }
    run.end_warmup();
    let seconds = Duration::from_secs_f64(timing.seconds);
    let bar = progress::time("measuring", seconds);
    let start = Instant::now();
    let mut interval = round(args, &router, &run, &mut killer).await?;
    while start.elapsed() < seconds {
        bar.set_position(start.elapsed().as_millis() as u64);
        interval += round(args, &router, &run, &mut killer).await?;
    }
    run.flaw(|flaws| flaws.lost += killer.calls.borrow().len() as u64);
    run.outcome(interval, timing.pid)
}

async fn round(
    args: &KillArgs,
    router: &Router,
    run: &Run,
    killer: &mut Caller,
) -> Result<Interval, Failure> {
    let mut victims = Roles::new();
    let mut ids = router.populate(&mut victims, &ProgressBar::hidden(), args.sessions).await?.into_iter();
    let meter = Meter::start(args.timing.pid.map(Process))?;
    let killing = killer.call(|outgoing| ids.next().map(|id| outgoing.call_session_kill(id)), |_, _| true);
    if let Ok(ended) = timeout(GRACE, killing).await {
        ended?;
    }
    if let Ok(ended) = timeout(GRACE, finished(&mut victims, usize::MAX)).await {
        ended?;
    }
    let interval = meter.stop()?;
    run.flaw(|flaws| flaws.lost += victims.len() as u64);
    Ok(interval)
}
