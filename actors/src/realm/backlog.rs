//! What sessions have sent while others had their turn: in order for each of them, and one after the other.

use crate::{collections::Map, message::id::SessionId};
use std::collections::VecDeque;

/// What waits, by session.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    waiting: Map<SessionId, VecDeque<T>>,
    /// The sessions of which something waits, in the order of their turns.
    turns: VecDeque<SessionId>,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { waiting: Map::default(), turns: VecDeque::new() }
    }
}

impl<T> Backlog<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Has something of a session wait behind what waits of it, which has to be something; else gives it back.
    pub(super) fn queue(&mut self, session: SessionId, item: T) -> Option<T> {
        match self.waiting.get_mut(&session) {
            Some(queue) => {
                queue.push_back(item);
                None
            }
            None => Some(item),
        }
    }

    /// Has something of a session wait before what waits of it, until it is its turn again.
    pub(super) fn put_back(&mut self, session: SessionId, item: T) {
        let queue = self.waiting.entry(session).or_default();
        if queue.is_empty() {
            self.turns.push_back(session);
        }
        queue.push_front(item);
    }

    /// The next of the session whose turn it is.
    pub(super) fn next(&mut self) -> Option<(SessionId, T)> {
        let session = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&session)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.swap_remove(&session);
        } else {
            self.turns.push_back(session);
        }
        Some((session, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_take_turns_and_each_keeps_its_order() {
        let [one, two] = [1, 2].map(|id| SessionId::new(id).unwrap());
        let mut backlog = Backlog::default();
        assert_eq!(backlog.queue(one, "a"), Some("a"), "nothing of it waits");
        backlog.put_back(one, "a");
        assert_eq!(backlog.queue(one, "b"), None);
        backlog.put_back(two, "A");
        assert_eq!(backlog.next(), Some((one, "a")));
        backlog.put_back(one, "rest of a");
        assert_eq!(backlog.next(), Some((two, "A")));
        assert_eq!(backlog.queue(two, "B"), Some("B"), "nothing of it waits any more");
        assert_eq!(backlog.next(), Some((one, "rest of a")));
        assert!(!backlog.is_empty());
        assert_eq!(backlog.next(), Some((one, "b")));
        assert!(backlog.is_empty());
        assert_eq!(backlog.next(), None);
        assert!(backlog.waiting.is_empty());
    }
}
