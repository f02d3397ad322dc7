//! Events per second: publishers of which each has its own topic with its own subscriber, or who publish to one topic
//! with several, measure publish and subscribe; one publisher with many subscribers measures fan-out.
//!
//! An operation is an event: from the moment its publication was written to the moment one subscriber has
//! read it. The window is the number of publications of a publisher that some subscriber has not seen yet. Each
//! event carries the number of its publication, so what a subscriber misses, sees twice or sees too late is
//! counted.

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

/// Publishers with one subscriber each, or several for all.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct PubsubArgs {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Publishers; each has a topic of its own, with one subscriber.
    #[arg(long, default_value_t = 4, value_parser = super::count)]
    publishers: usize,
    /// Subscribers of one topic, to which all publish.
    #[arg(long, value_parser = super::count)]
    subscribers: Option<usize>,
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
    let PubsubArgs { common, publishers, subscribers, window } = args;
    let topics = match subscribers {
        Some(_) => vec![*publishers],
        None => vec![1; *publishers],
    };
    publish_and_subscribe(common, &topics, subscribers.unwrap_or(1), *window).await
}

/// Runs the benchmark with several subscribers.
pub(super) async fn run_fanout(args: &FanoutArgs) -> Result<Outcome, Failure> {
    publish_and_subscribe(&args.common, &[1], args.subscribers, args.window).await
}

/// Runs it with topics that have so many publishers each, and so many subscribers.
async fn publish_and_subscribe(
    common: &Common,
    topics: &[usize],
    subscribers: usize,
    window: usize,
) -> Result<Outcome, Failure> {
    let Common { target, timing, rate, bystanders, payload, floor } = common;
    let router = target.router(*floor)?;
    let run = Run::new();
    let mut roles = Roles::new();
    let publishers = topics.iter().sum();
    bystanders.join(&router, &mut roles, publishers + topics.len() * subscribers).await?;
    let (mut shared, text) = (Vec::new(), "x".repeat(*payload));
    for (number, publishers) in topics.iter().enumerate() {
        let topic = Topic::for_each_of(*publishers, &format!("bench.topic.{number}"), &text, subscribers);
        for subscriber in 0..subscribers {
            Topic::spawn_subscriber(&topic, &router, &run, &mut roles, subscriber).await?;
        }
        shared.extend(topic);
    }
    for (number, topic) in shared.iter().enumerate() {
        let pace = rate.pace(number, publishers);
        topic.spawn_publisher(&router, &run, &mut roles, window, pace).await?;
    }
    let interval = run.conduct(&mut roles, publishers, timing).await?;
    for topic in shared {
        run.flaw(|flaws| topic.add_flaws(flaws));
    }
    run.outcome(interval, timing.pid)
}
