//! Events per second: publishers of which each has its own topic with its own subscribers. Many publishers
//! with one subscriber each measure publish and subscribe, one publisher with many subscribers measures
//! fan-out.
//!
//! An operation is an event: from the moment its publication was written to the moment one subscriber has
//! read it. The window is the number of publications of a topic that some subscriber has not seen yet. Each
//! event carries the number of its publication, so what a subscriber misses, sees twice or sees too late is
//! counted.

use std::rc::Rc;

use clap::Args;
use serde::Serialize;

use super::bystanders::Bystanders;
use super::failure::Failure;
use super::pace::Rate;
use super::router::Target;
use super::run::{Outcome, Roles, Run, Timing};
use super::topic::Topic;

/// What both benchmarks have in common.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct Common {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
    #[command(flatten)]
    #[serde(flatten)]
    rate: Rate,
    #[command(flatten)]
    #[serde(flatten)]
    bystanders: Bystanders,
    /// Bytes of payload in each event.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// The server is a relay (`bench floor`).
    #[arg(long)]
    floor: bool,
}

/// Publishers with one subscriber each.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct PubsubArgs {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Publishers; each has a topic of its own, with one subscriber.
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    publishers: usize,
    /// Events that each publisher may have under way.
    #[arg(long, default_value_t = 8, value_parser = super::count)]
    window: usize,
}

/// One publisher with many subscribers.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct FanoutArgs {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Subscribers of the one topic.
    #[arg(long, default_value_t = 1000, value_parser = super::count)]
    subscribers: usize,
    /// Publications under way until every subscriber has seen the first of them.
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    window: usize,
}

/// Runs the benchmark with several publishers.
pub(super) async fn run(args: &PubsubArgs) -> Result<Outcome, Failure> {
    publish_and_subscribe(&args.common, args.publishers, 1, args.window).await
}

/// Runs the benchmark with several subscribers.
pub(super) async fn run_fanout(args: &FanoutArgs) -> Result<Outcome, Failure> {
    publish_and_subscribe(&args.common, 1, args.subscribers, args.window).await
}

async fn publish_and_subscribe(
    common: &Common,
    topics: usize,
    subscribers: usize,
    window: usize,
) -> Result<Outcome, Failure> {
    let Common { target, timing, rate, bystanders, payload, floor } = common;
    let router = target.router(*floor)?;
    let run = Run::new();
    let mut roles = Roles::new();
    bystanders.join(&router, &mut roles, topics * (1 + subscribers)).await?;
    let mut shared = Vec::new();
    for number in 0..topics {
        let topic = Rc::new(Topic::new(format!("bench.topic.{number}"), "x".repeat(*payload), subscribers));
        for subscriber in 0..subscribers {
            topic.spawn_subscriber(&router, &run, &mut roles, subscriber).await?;
        }
        shared.push(topic);
    }
    for (number, topic) in shared.iter().enumerate() {
        let pace = rate.pace(number, topics);
        topic.spawn_publisher(&router, &run, &mut roles, window, pace).await?;
    }
    let interval = run.conduct(&mut roles, topics, timing).await?;
    for topic in shared {
        run.flaw(|flaws| topic.add_flaws(flaws));
    }
    run.outcome(interval, timing.pid)
}
