//! When operations begin: as soon as there is room for them, or at fixed times.
//!
//! At fixed times (an open loop) a server that stops for a moment is asked for no less, and what was due in that moment is
//! late by as much: a latency counts from when the operation was due, not from when it was sent, so that nothing that
//! clients would have waited for is left out.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use super::run::Run;

/// How late a timer of the runtime may be, and more. The rest of the time is waited for without sleeping.
const COARSE: Duration = Duration::from_millis(2);

/// How often operations begin.
#[derive(Clone, Copy, Debug, Args, Serialize)]
pub(super) struct Rate {
    /// Calls or publications a second, of all sessions together, each at its time whether others are answered or not;
    /// the latency counts from that time. Without it, one begins when another has ended
    #[arg(long, value_name = "PER_SECOND", value_parser = parse)]
    rate: Option<f64>,
}

fn parse(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e8).contains(rate));
    rate.ok_or_else(|| "not a number from 0.001 to 100000000".to_owned())
}

impl Rate {
    /// The pace of one of those that share the rate, from now on. They take turns.
    pub(super) fn pace(self, number: usize, sharing: usize) -> Pace {
        Pace(self.rate.map(|rate| {
            let interval = Duration::from_secs_f64(sharing as f64 / rate);
            Due { next: Instant::now() + interval.mul_f64(number as f64 / sharing as f64), interval }
        }))
    }
}

/// When the operations of one session begin.
#[derive(Debug)]
pub(super) struct Pace(Option<Due>);

#[derive(Debug)]
struct Due {
    next: Instant,
    interval: Duration,
}

impl Pace {
    /// As fast as the window lets it.
    pub(super) const UNBOUND: Self = Self(None);

    /// When the next operation was due, if it was by now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        match &self.0 {
            None => Some(now),
            Some(due) => Some(due.next).filter(|next| *next <= now),
        }
    }

    /// Takes note that the next operation has begun.
    pub(super) fn begin(&mut self) {
        if let Some(due) = &mut self.0 {
            due.next += due.interval;
        }
    }

    /// Waits until the next operation is due or there is none any more; for ever if it may begin at any time.
    pub(super) async fn due(&self, run: &Run) {
        let Some(due) = &self.0 else { return std::future::pending().await };
        let wait = async {
            if let Some(early) = due.next.checked_sub(COARSE)
                && Instant::now() < early
            {
                sleep_until(early.into()).await;
            }
            while Instant::now() < due.next {
                yield_now().await;
            }
        };
        tokio::select! {
            () = wait => {}
            () = run.ended() => {}
        }
    }

    /// How many operations were due by now and have not begun.
    pub(super) fn behind(&self, now: Instant) -> u64 {
        let late =
            self.0.as_ref().and_then(|due| Some((now.checked_duration_since(due.next)?, due.interval)));
        late.map_or(0, |(late, interval)| (late.as_secs_f64() / interval.as_secs_f64()) as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_due_in_turn_and_late_ones_stay_due() {
        let second = Duration::from_secs(1);
        let rate = Rate { rate: Some(4.0) };
        let start = Instant::now();
        let (mut first, second_one) = (rate.pace(0, 2), rate.pace(1, 2));
        let late = start + 10 * second;
        let due = first.next(late).unwrap();
        assert!((start..start + second).contains(&due));
        assert!(second_one.next(late).unwrap() >= due + second / 4);
        assert_eq!(first.next(due - second), None, "not yet");
        assert_eq!(first.behind(due + 2 * second), 5);
        first.begin();
        assert_eq!(first.next(late), Some(due + second / 2));
        assert_eq!(first.behind(due), 0);
    }

    #[test]
    fn without_a_rate_there_is_always_one_due() {
        let now = Instant::now();
        let mut pace = Rate { rate: None }.pace(1, 2);
        pace.begin();
        assert_eq!((pace.next(now), pace.behind(now)), (Some(now), 0));
    }
}
