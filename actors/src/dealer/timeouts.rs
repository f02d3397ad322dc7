//! When calls have to be answered, in order. Calls that may take any time are not among them.

use crate::message::id::{RequestId, SessionId};
use std::{collections::BTreeSet, time::Duration};

/// The callees and requests of all calls with a timeout, by the uptime at which it is due.
#[derive(Debug, Default)]
pub(super) struct Timeouts(BTreeSet<(Duration, SessionId, RequestId)>);

impl Timeouts {
    pub(super) fn insert(&mut self, due: Duration, callee: SessionId, invocation: RequestId) {
        self.0.insert((due, callee, invocation));
    }

    pub(super) fn remove(&mut self, due: Duration, callee: SessionId, invocation: RequestId) {
        self.0.remove(&(due, callee, invocation));
    }

    /// When the first is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.first().map(|(due, ..)| *due)
    }

    /// The first, if it is due at `now`.
    pub(super) fn overdue(&self, now: Duration) -> Option<(SessionId, RequestId)> {
        let (due, callee, invocation) = *self.0.first()?;
        (due <= now).then_some((callee, invocation))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn contains(&self, due: Duration, callee: SessionId, invocation: RequestId) -> bool {
        self.0.contains(&(due, callee, invocation))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
