//! Finds out what was lost, repeated or out of order.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// Events as one subscriber should see them: numbered from 0, each once, in order.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: u64,
    missing: BTreeSet<u64>,
    /// Events that came a second time.
    pub(super) duplicated: u64,
    /// Events that came after a later one.
    pub(super) out_of_order: u64,
}

impl Sequence {
    /// Takes note of an event. Returns how many numbers it moves the sequence on, which is 1 for the event
    /// that is due.
    pub(super) fn see(&mut self, number: u64) -> u64 {
        if number >= self.next {
            let passed = number + 1 - self.next;
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return passed;
        }
        if self.missing.remove(&number) {
            self.out_of_order += 1;
        } else {
            self.duplicated += 1;
        }
        0
    }

    /// How many of the first `sent` events have not come.
    pub(super) fn lost(&self, sent: u64) -> u64 {
        self.missing.len() as u64 + sent.saturating_sub(self.next)
    }
}

/// Requests that wait for their answers. Answers may come in any order.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    first: u64,
    since: VecDeque<Option<Instant>>,
    open: usize,
}

impl Outstanding {
    /// Takes note of a request. Requests are numbered without gaps.
    pub(super) fn ask(&mut self, request: u64, now: Instant) {
        if self.since.is_empty() {
            self.first = request;
        }
        debug_assert_eq!(request, self.first + self.since.len() as u64);
        self.since.push_back(Some(now));
        self.open += 1;
    }

    /// Takes note of an answer. Returns when it was asked for, and nothing for an answer that nobody waits
    /// for.
    pub(super) fn answer(&mut self, request: u64) -> Option<Instant> {
        let at = usize::try_from(request.checked_sub(self.first)?).ok()?;
        let since = self.since.get_mut(at)?.take()?;
        self.open -= 1;
        while let Some(None) = self.since.front() {
            self.since.pop_front();
            self.first += 1;
        }
        Some(since)
    }

    /// How many requests have no answer yet.
    pub(super) fn len(&self) -> usize {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_tells_loss_from_repetition_and_disorder() {
        check(&[0, 1, 2], 3, [0, 0, 0]);
        check(&[0, 2], 3, [1, 0, 0]);
        check(&[0, 1], 4, [2, 0, 0]);
        check(&[0, 1, 1, 2], 3, [0, 1, 0]);
        check(&[0, 2, 1], 3, [0, 0, 1]);
        check(&[0, 2, 1, 1, 5], 7, [3, 1, 1]);
        check(&[], 2, [2, 0, 0]);
    }

    fn check(seen: &[u64], sent: u64, lost_duplicated_out_of_order: [u64; 3]) {
        let mut sequence = Sequence::default();
        let moved: u64 = seen.iter().map(|number| sequence.see(*number)).sum();
        assert_eq!(moved, seen.iter().max().map_or(0, |last| last + 1), "{seen:?}");
        let found = [sequence.lost(sent), sequence.duplicated, sequence.out_of_order];
        assert_eq!(found, lost_duplicated_out_of_order, "{seen:?} of {sent}");
    }

    #[test]
    fn a_request_is_answered_once() {
        let mut outstanding = Outstanding::default();
        let now = Instant::now();
        (5..9).for_each(|request| outstanding.ask(request, now));
        assert_eq!(outstanding.answer(7), Some(now));
        assert_eq!(outstanding.answer(7), None, "twice");
        assert_eq!(outstanding.answer(9), None, "never asked");
        assert_eq!(outstanding.answer(4), None, "asked by nobody");
        assert_eq!(outstanding.answer(5), Some(now));
        assert_eq!(outstanding.answer(5), None, "twice, and no longer remembered");
        assert_eq!(outstanding.len(), 2);
        assert_eq!(outstanding.answer(8), Some(now));
        assert_eq!(outstanding.answer(6), Some(now));
        assert_eq!(outstanding.len(), 0);
        outstanding.ask(9, now);
        assert_eq!(outstanding.answer(9), Some(now));
    }
}
