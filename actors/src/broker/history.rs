//! The past events of a subscription (section "Event History").

use super::Kept;
use crate::message::uri::{Match, Uri};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Which events a realm keeps, and how many of them: those beyond go, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The topic, or the pattern of topics.
    pub topic: Uri,
    /// How it matches.
    pub matching: Match,
    /// How many events.
    pub events: usize,
    /// Their octets together.
    pub octets: usize,
    /// How old they get; `None` for any age.
    pub age: Option<Duration>,
}

/// The events of one subscription that are kept, from the oldest to the newest.
#[derive(Debug)]
pub(crate) struct History {
    options: HistoryOptions,
    events: VecDeque<Arc<Kept>>,
    octets: usize,
}

impl History {
    pub(super) fn new(options: HistoryOptions) -> Self {
        Self { options, events: VecDeque::new(), octets: 0 }
    }

    /// Keeps an event, unless it has no room even alone.
    pub(super) fn keep(&mut self, event: Arc<Kept>, now: SystemTime) {
        if event.octets() > self.options.octets {
            return;
        }
        self.octets += event.octets();
        self.events.push_back(event);
        self.trim(now);
    }

    /// Takes over the events of the history that was in its place.
    pub(super) fn take_over(&mut self, old: Self, now: SystemTime) {
        (self.events, self.octets) = (old.events, old.octets);
        self.trim(now);
    }

    /// Lets go of the oldest events until the others are within the bounds.
    fn trim(&mut self, now: SystemTime) {
        while let Some(oldest) = self.events.front()
            && (self.events.len() > self.options.events
                || self.octets > self.options.octets
                || !self.is_young(oldest, now))
        {
            self.octets -= oldest.octets();
            self.events.pop_front();
        }
    }

    /// The events that are not too old.
    pub(crate) fn events(&self, now: SystemTime) -> impl Iterator<Item = &Kept> {
        self.events.iter().map(|event| &**event).filter(move |event| self.is_young(event, now))
    }

    fn is_young(&self, event: &Kept, now: SystemTime) -> bool {
        // One from the future is no older than one of now.
        let age = now.duration_since(event.at).unwrap_or_default();
        self.options.age.is_none_or(|most| age <= most)
    }

    /// Whether it counts right, and keeps to its bounds.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_sound(&self) -> bool {
        self.events.len() <= self.options.events
            && self.octets <= self.options.octets
            && self.events.iter().map(|event| event.octets()).sum::<usize>() == self.octets
    }
}
