//! What a router does for the others when one subscriber stops reading.
//!
//! One publisher, subscribers that read, and one on the same topic that reads nothing once it has subscribed. An operation
//! is an event at one of those that read, as in fan-out. When all is published, the slow one reads again what there is for
//! it: to the end of its session, or until it has everything, or until nothing comes any more. The memory of the server is
//! looked at all the while.

use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::Client;
use super::decode::Message;
use super::failure::Failure;
use super::order::Sequence;
use super::pace::Pace;
use super::print::{Lines, Results};
use super::process::Process;
use super::progress;
use super::router::Target;
use super::run::{Flaws, GRACE, Meter, Outcome, Roles, Run, SETTLE, finished};
use super::text;
use super::topic::Topic;

/// How often the memory of the server is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// One subscriber that stops reading.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct SlowArgs {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    /// Subscribers that read, besides the one that does not
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    subscribers: usize,
    /// How much is published, in MB of payload
    #[arg(long, default_value_t = 100.0, value_parser = super::megabytes)]
    megabytes: f64,
    /// Bytes of payload in each event
    #[arg(long, default_value_t = 1024, value_parser = super::count)]
    payload: usize,
    /// Publications under way until every subscriber that reads has seen the first of them
    #[arg(long, default_value_t = 8, value_parser = super::count)]
    window: usize,
    /// Seconds after which nothing more is published
    #[arg(long, default_value_t = 60.0, value_parser = super::seconds)]
    #[serde(skip)]
    seconds: f64,
    /// Process id of the server on this machine, to measure its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
}

/// What the benchmark has found.
#[derive(Debug, Serialize)]
pub(super) struct SlowOutcome {
    /// Of those that read.
    #[serde(flatten)]
    outcome: Outcome,
    /// How many publications there were.
    published: u64,
    /// The largest growth of the server's resident memory, in KB.
    server_rss_kb_growth: Option<u64>,
    /// Events that the slow subscriber has got in the end.
    slow_received: u64,
    /// Those that it has missed.
    slow_lost: u64,
    /// How its session was ended, if it was.
    slow_ended: Option<String>,
}

impl Results for SlowOutcome {
    fn flaws(&self) -> Flaws {
        self.outcome.flaws()
    }

    fn lines(&self) -> Lines {
        let mut lines = self.outcome.lines();
        let growth = |kb| ("growth", format!("{} of the server's memory", text::megabytes(kb)));
        lines.extend(self.server_rss_kb_growth.map(growth));
        let (received, lost) = (text::grouped(self.slow_received), text::grouped(self.slow_lost));
        lines.push(("slow one", format!("got {received} events and missed {lost}")));
        let ended = self.slow_ended.as_ref().map_or_else(
            || "its session was kept".to_owned(),
            |reason| format!("its session was ended: {reason}"),
        );
        lines.push(("", ended));
        lines
    }
}

/// Runs the benchmark.
pub(super) async fn run(args: &SlowArgs) -> Result<SlowOutcome, Failure> {
    let SlowArgs { target, subscribers, megabytes, payload, window, seconds, pid } = args;
    let server = pid.map(Process);
    let router = target.router(false)?;
    let run = Run::new();
    let mut roles = Roles::new();
    let publications = (megabytes * 1e6 / *payload as f64).ceil() as u64;
    let name = "bench.slow".to_owned();
    let topic = Rc::new(Topic::limited(name, "x".repeat(*payload), *subscribers, publications));
    let (slow, _) = topic.subscribe(&router).await?;
    for number in 0..*subscribers {
        let publishers = std::slice::from_ref(&topic);
        Topic::spawn_subscriber(publishers, &router, &run, &mut roles, number).await?;
    }
    run.end_warmup();
    let before = server.map(Process::resident_kb).transpose()?;
    let mut most = before;
    let meter = Meter::start(server)?;
    topic.spawn_publisher(&router, &run, &mut roles, *window, Pace::UNBOUND).await?;
    tokio::select! {
        ended = finished(&mut roles, 1) => ended?,
        failure = watch(server, &mut most, &topic, publications) => return Err(failure),
        () = sleep(Duration::from_secs_f64(*seconds)) => {
            run.end();
            if let Ok(ended) = timeout(GRACE, finished(&mut roles, 1)).await {
                ended?;
            }
        }
    }
    let interval = meter.stop()?;
    sleep(SETTLE).await;
    run.flaw(|flaws| topic.add_flaws(flaws));
    let (seen, slow_ended) = read_on(slow, &topic).await;
    let slow_lost = seen.lost(topic.published());
    Ok(SlowOutcome {
        outcome: run.outcome(interval, *pid)?,
        published: topic.published(),
        server_rss_kb_growth: most.zip(before).map(|(most, before)| most - before),
        slow_received: topic.published() - slow_lost,
        slow_lost,
        slow_ended,
    })
}

/// Takes note of the most memory that the server has; ends when it cannot be measured.
async fn watch(server: Option<Process>, most: &mut Option<u64>, topic: &Topic, publications: u64) -> Failure {
    let bar = progress::count("publishing", publications as usize);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        bar.set_position(topic.published());
        match server.map(Process::resident_kb).transpose() {
            Ok(resident) => *most = (*most).max(resident),
            Err(failure) => return failure,
        }
    }
}

/// Reads what there is for the slow subscriber; returns that, and how its session was ended, if it was.
async fn read_on(mut slow: Client, topic: &Topic) -> (Sequence, Option<String>) {
    let mut seen = Sequence::default();
    loop {
        match take(&mut slow, topic, &mut seen) {
            Ok(None) if seen.lost(topic.published()) > 0 => {}
            Ok(ended) => return (seen, ended),
            Err(failure) => return (seen, Some(failure.reason())),
        }
        match timeout(GRACE, slow.exchange()).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return (seen, Some(failure.reason())),
            Err(_) => return (seen, None),
        }
    }
}

/// Takes what has arrived whole; returns the router's last word, if it is among it.
fn take(slow: &mut Client, topic: &Topic, seen: &mut Sequence) -> Result<Option<String>, Failure> {
    while let Some(message) = slow.incoming.next(&mut slow.outgoing)? {
        if let Message::Goodbye { reason } | Message::Abort { reason } = message {
            return Ok(Some(reason.to_owned()));
        }
        let Message::Event { arguments, .. } = message else { return Err(Failure::unexpected(&message)) };
        if let Ok(number) = topic.number(arguments) {
            seen.see(number);
        }
    }
    Ok(None)
}
