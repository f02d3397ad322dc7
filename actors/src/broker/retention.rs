//! Events that wait for those who subscribe later (section "Event Retention").

use super::Kept;
use crate::{
    limit::Limit,
    message::uri::{Match, Uri},
    pattern,
    refusal::Refusal,
    roster::Member,
};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// How many events a realm retains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionLimits {
    pub(crate) events: usize,
    pub(crate) octets: usize,
}

/// The retained events of every topic, each topic's from the oldest to the newest: at most one for everybody, and
/// those for some that are newer.
#[derive(Debug)]
pub(super) struct Retained {
    limits: RetentionLimits,
    /// What there may be: the limits or, as long as there is more since they were lowered, what there is.
    most: RetentionLimits,
    by_topic: BTreeMap<Uri, Vec<Arc<Kept>>>,
    events: usize,
    octets: usize,
}

impl Retained {
    pub(super) fn new(limits: RetentionLimits) -> Self {
        Self { limits, most: limits, by_topic: BTreeMap::new(), events: 0, octets: 0 }
    }

    /// Goes on with other limits. What there is beyond them stays until others take its place.
    pub(super) fn limit(&mut self, limits: RetentionLimits) {
        self.limits = limits;
        self.bound();
    }

    fn bound(&mut self) {
        let RetentionLimits { events, octets } = self.limits;
        self.most = RetentionLimits { events: events.max(self.events), octets: octets.max(self.octets) };
    }

    /// Retains an event in the place of those that nobody would receive any more. Where there is no room, nothing
    /// changes.
    pub(super) fn keep(&mut self, event: Arc<Kept>) -> Result<(), Refusal> {
        let replaces = |old: &Arc<Kept>| event.audience.is_everybody() || event.audience == old.audience;
        let olds = self.by_topic.get(&event.topic);
        let replaced = olds.into_iter().flatten().filter(|old| replaces(old));
        let (fewer, less) = replaced.fold((0, 0), |(fewer, less), old| (fewer + 1, less + old.octets()));
        let (events, octets) = (self.events + 1 - fewer, self.octets + event.octets() - less);
        let limit = Limit::Retention;
        if events > self.most.events {
            let what = "the realm retains too many events";
            return Err(Refusal::TooMany { limit, what, most: self.limits.events });
        }
        if octets > self.most.octets {
            let what = "the retained events of the realm have too many octets";
            return Err(Refusal::TooMany { limit, what, most: self.limits.octets });
        }
        (self.events, self.octets) = (events, octets);
        self.bound();
        let kept = self.by_topic.entry(event.topic.clone()).or_default();
        kept.retain(|old| !replaces(old));
        kept.push(event);
        Ok(())
    }

    /// The event of each matching topic that is the newest for this member.
    pub(super) fn newest<'a>(
        &'a self,
        topic: &'a str,
        matching: Match,
        member: &'a Member,
    ) -> impl Iterator<Item = &'a Kept> {
        let head = pattern::head(topic, matching);
        let end = if matching == Match::Exact { Bound::Included(head) } else { Bound::Unbounded };
        let topics = self.by_topic.range::<str, _>((Bound::Included(head), end));
        let topics = topics.take_while(move |(uri, _)| uri.starts_with(head));
        let found = topics.filter(move |(uri, _)| pattern::covers((topic, matching), (uri, Match::Exact)));
        found.filter_map(|(_, events)| {
            events.iter().rev().find(|event| event.audience.admits(member)).map(|event| &**event)
        })
    }

    /// Whether it counts right, and keeps to its bounds.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_sound(&self) -> bool {
        let all = || self.by_topic.values().flatten();
        all().count() == self.events
            && all().map(|event| event.octets()).sum::<usize>() == self.octets
            && self.events <= self.most.events
            && self.octets <= self.most.octets
            && self.by_topic.iter().all(|(topic, events)| {
                !events.is_empty()
                    && events.iter().all(|event| event.topic == *topic)
                    && events.iter().skip(1).all(|event| !event.audience.is_everybody())
            })
    }
}
