//! Events per second: publishers of which each has its own topic with its own subscribers. Many publishers
//! with one subscriber each measure publish and subscribe, one publisher with many subscribers measures
//! fan-out.
//!
//! An operation is an event: from the moment its publication was written to the moment one subscriber has
//! read it. The window is the number of publications of a topic that some subscriber has not seen yet. Each
//! event carries the number of its publication, so what a subscriber misses, sees twice or sees too late is
//! counted.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Target;
use super::client::{Client, RELAYED_SUBSCRIPTION};
use super::decode::Message;
use super::failure::Failure;
use super::order::Sequence;
use super::run::{Outcome, Roles, Run, Timing};

/// How long a full window may stand still before its publications are taken for lost and the next are sent.
const STALL: Duration = Duration::from_secs(1);

/// What both benchmarks have in common.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct Common {
    #[command(flatten)]
    #[serde(flatten)]
    target: Target,
    #[command(flatten)]
    #[serde(flatten)]
    timing: Timing,
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
    let Common { target, timing, payload, floor } = common;
    let run = Run::new();
    let mut roles = Roles::new();
    let mut shared = Vec::new();
    for number in 0..topics {
        let name = format!("bench.topic.{number}");
        let topic = Rc::new(Topic::new("x".repeat(*payload), subscribers));
        for subscriber in 0..subscribers {
            let mut client = target.attach(floor.then(|| format!("{name}/b"))).await?;
            let subscription = if *floor { RELAYED_SUBSCRIPTION } else { client.subscribe(&name).await? };
            roles.spawn_local(subscribe(
                client,
                Rc::clone(&run),
                Rc::clone(&topic),
                subscriber,
                subscription,
            ));
        }
        shared.push((name, topic));
    }
    for (name, topic) in &shared {
        let client = target.attach(floor.then(|| format!("{name}/a"))).await?;
        let (run, topic, name) = (Rc::clone(&run), Rc::clone(topic), (!floor).then(|| name.clone()));
        roles.spawn_local(publish(client, run, topic, name, window));
    }
    let interval = run.conduct(&mut roles, topics, timing).await?;
    for (_, topic) in shared {
        let window = topic.window.borrow();
        for sequence in topic.sequences.borrow().iter() {
            run.flaw(|flaws| {
                flaws.lost += sequence.lost(window.published);
                flaws.duplicated += sequence.duplicated;
                flaws.out_of_order += sequence.out_of_order;
            });
        }
    }
    run.outcome(interval, timing.pid)
}

/// What a publisher and its subscribers know of each other.
struct Topic {
    text: String,
    sequences: RefCell<Vec<Sequence>>,
    window: RefCell<Window>,
    /// Tells the publisher that the window has room.
    room: Notify,
}

/// Publications that some subscriber has not seen yet. Subscribers see them in order, so the oldest is the
/// first to go.
#[derive(Debug, Default)]
struct Window {
    /// How many publications there were.
    published: u64,
    open: VecDeque<Publication>,
}

#[derive(Debug)]
struct Publication {
    since: Instant,
    unseen: usize,
}

impl Topic {
    fn new(text: String, subscribers: usize) -> Self {
        let sequences = RefCell::new((0..subscribers).map(|_| Sequence::default()).collect());
        Self { text, sequences, window: RefCell::default(), room: Notify::new() }
    }

    /// Publishes as often as the window lets it.
    fn fill_window(&self, size: usize, mut publish: impl FnMut(u64)) {
        let now = Instant::now();
        let subscribers = self.sequences.borrow().len();
        let mut window = self.window.borrow_mut();
        while window.open.len() < size {
            publish(window.publish(now, subscribers));
        }
    }
}

impl Window {
    /// The number of the oldest publication in the window, or of the next one if it is empty.
    fn first(&self) -> u64 {
        self.published - self.open.len() as u64
    }

    /// Takes note of a publication; returns its number.
    fn publish(&mut self, now: Instant, subscribers: usize) -> u64 {
        self.open.push_back(Publication { since: now, unseen: subscribers });
        self.published += 1;
        self.published - 1
    }

    /// Takes note that one more subscriber has seen a publication, or will never see it. Returns when it was
    /// sent, unless it was given up.
    fn see(&mut self, number: u64) -> Option<Instant> {
        let at = usize::try_from(number.checked_sub(self.first())?).ok()?;
        let publication = self.open.get_mut(at)?;
        publication.unseen -= 1;
        let since = publication.since;
        while self.open.front().is_some_and(|publication| publication.unseen == 0) {
            self.open.pop_front();
        }
        Some(since)
    }
}

/// Keeps the window full until the run is over, then waits until all is seen. Without a name of the topic,
/// events go through a relay.
async fn publish(
    mut client: Client,
    run: Rc<Run>,
    topic: Rc<Topic>,
    name: Option<String>,
    window: usize,
) -> Result<(), Failure> {
    let mut stalled = std::pin::pin!(sleep(STALL));
    let mut first_at_last_check = 0;
    loop {
        if !run.is_over() {
            topic.fill_window(window, |number| match &name {
                Some(name) => client.outgoing.publish(name, number, &topic.text),
                None => client.outgoing.relayed_publish(number, &topic.text),
            });
        } else if topic.window.borrow().open.is_empty() {
            return Ok(());
        }
        tokio::select! {
            () = topic.room.notified() => {}
            received = client.exchange() => {
                received?;
                if let Some(message) = client.incoming.next(&mut client.outgoing)? {
                    return Err(Failure::unexpected(&message));
                }
            }
            () = &mut stalled => {
                let first = topic.window.borrow().first();
                if first == first_at_last_check {
                    topic.window.borrow_mut().open.clear();
                }
                first_at_last_check = first;
                stalled.as_mut().reset(tokio::time::Instant::now() + STALL);
            }
        }
    }
}

/// Takes events for as long as it is let.
async fn subscribe(
    mut client: Client,
    run: Rc<Run>,
    topic: Rc<Topic>,
    subscriber: usize,
    subscribed: u64,
) -> Result<(), Failure> {
    loop {
        client.exchange().await?;
        let now = Instant::now();
        let mut window = topic.window.borrow_mut();
        let sequence = &mut topic.sequences.borrow_mut()[subscriber];
        let open = window.open.len();
        while let Some(message) = client.incoming.next(&mut client.outgoing)? {
            let Message::Event { subscription, arguments } = message else {
                return Err(Failure::unexpected(&message));
            };
            let number = match arguments.payload(&topic.text) {
                Ok(number) if subscription == subscribed && number < window.published => number,
                _ => {
                    run.flaw(|flaws| flaws.errors += 1);
                    continue;
                }
            };
            let passed = sequence.see(number);
            // Those that were passed over are lost to this subscriber and no longer waited for.
            for number in number + 1 - passed..number {
                window.see(number);
            }
            if passed > 0
                && let Some(since) = window.see(number)
            {
                run.complete(now - since);
            }
        }
        if window.open.len() < open {
            topic.room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_leaves_the_window_when_the_last_subscriber_has_seen_it() {
        let mut window = Window::default();
        let now = Instant::now();
        assert_eq!([window.publish(now, 2), window.publish(now, 2)], [0, 1]);
        assert_eq!([window.see(0), window.see(1)], [Some(now), Some(now)]);
        assert_eq!(window.open.len(), 2);
        assert_eq!(window.see(0), Some(now));
        assert_eq!(window.open.len(), 1);
        assert_eq!(window.see(0), None, "no longer in the window");
        assert_eq!(window.see(2), None, "never published");
        assert_eq!(window.see(1), Some(now));
        assert_eq!(window.open.len(), 0);
    }
}
