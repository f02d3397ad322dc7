//! What waits for a peer, counted in bytes.
//!
//! The realm appends to the outboxes of the sessions it sends to; only the owner, the session, writes to its
//! socket. The first append after a flush wakes the owner, and all that is appended until it runs leaves in
//! the same write. The other way the outbox keeps account of the bytes that the session has handed to its realm
//! and that are not handled yet: the session's credit.

use super::framing::{MOST_HEADER, TooLong};
use bytes::Bytes;
use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// Frames from this size on are shared by all outboxes that hold them; smaller ones are copied.
const SHARED_FROM: usize = 16 << 10;

/// How much is copied into one piece. A buffer that grew with all that waits would be copied each time, and have room
/// for twice as much.
const MOST_COPIED: usize = 256 << 10;

/// How much the last words of a session, and its answers to pings, may pass the limit.
const RESERVE: usize = 64 << 10;

/// The queue of one session.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// How many bytes may wait.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Batch,
    /// Bytes that are queued, or taken by the owner and not written yet.
    waiting: usize,
    /// Bytes handed to the realm and not handled yet.
    unhandled: usize,
    phase: Phase,
    waker: Option<Waker>,
    /// Whether the owner has been woken and has not looked since.
    is_due: bool,
    /// Whether the owner waits until the realm has handled what it was handed.
    waits_for_room: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// More came than fits. What comes now is dropped; the session is about to end.
    Overflowed,
    /// The last message of the session is queued.
    Finished,
}

/// What the owner finds when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Bytes that wait for the peer.
    pub(crate) waiting: usize,
    /// Bytes that the realm has not handled.
    pub(crate) unhandled: usize,
    /// Whether more came than fits.
    pub(crate) is_overflowed: bool,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            queue: Batch::default(),
            waiting: 0,
            unhandled: 0,
            phase: Phase::Open,
            waker: None,
            is_due: false,
            waits_for_room: false,
        };
        Self { limit, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves the state half changed, so that a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the frame of a message of so many octets fits when nothing else waits.
    pub(crate) fn takes(&self, octets: usize) -> Result<(), TooLong> {
        let most = self.limit.saturating_sub(MOST_HEADER);
        if octets > most { Err(TooLong { octets, most }) } else { Ok(()) }
    }

    /// Appends a frame; gives whether it was taken.
    pub(crate) fn push(&self, frame: &[u8]) -> bool {
        self.append(frame.len(), |queue| queue.copy(frame))
    }

    /// Appends the same frame to several outboxes; gives how many have taken it.
    pub(crate) fn push_to_all<'a>(outboxes: impl Iterator<Item = &'a Self>, frame: &[u8]) -> usize {
        if frame.len() < SHARED_FROM {
            outboxes.filter(|outbox| outbox.push(frame)).count()
        } else {
            let shared = Bytes::copy_from_slice(frame);
            let share =
                |outbox: &&Self| outbox.append(shared.len(), |queue: &mut Batch| queue.share(shared.clone()));
            outboxes.filter(share).count()
        }
    }

    fn append(&self, length: usize, append: impl FnOnce(&mut Batch)) -> bool {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return false;
        }
        let fits = state.waiting + length <= self.limit;
        if !fits {
            state.phase = Phase::Overflowed;
            // Even if the owner is due already: it may be waiting for its socket.
            state.is_due = false;
        } else {
            append(&mut state.queue);
            state.waiting += length;
        }
        state.wake();
        fits
    }

    /// Appends the last message of the session, if it still fits; nothing is taken after it. Gives whether there
    /// was one that was taken.
    pub(crate) fn finish(&self, last: Option<&[u8]>) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Finished {
            return false;
        }
        state.phase = Phase::Finished;
        let is_taken = last.is_some_and(|frame| state.append_beyond(self.limit, frame));
        state.wake();
        is_taken
    }

    /// Appends a frame of the transport itself; for the owner.
    pub(crate) fn push_control(&self, frame: &[u8]) {
        self.lock().append_beyond(self.limit, frame);
    }

    /// How many bytes wait for the peer.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Whether more came than fits.
    pub(crate) fn is_overflowed(&self) -> bool {
        self.lock().phase == Phase::Overflowed
    }

    /// Has the owner look, though nothing has come.
    pub(crate) fn wake(&self) {
        self.lock().wake();
    }

    /// Looks what there is, and has the owner woken when there is more; for the owner.
    pub(crate) fn look(&self, waker: &Waker) -> Account {
        self.lock().look(waker)
    }

    /// Looks as well, and has the owner woken when the realm has handled something, too.
    pub(crate) fn look_for_room(&self, waker: &Waker) -> Account {
        let mut state = self.lock();
        state.waits_for_room = true;
        state.look(waker)
    }

    /// Takes all that is queued; for the owner, who says later what it has [`written`](Self::written).
    pub(crate) fn take(&self) -> Batch {
        std::mem::take(&mut self.lock().queue)
    }

    /// Counts bytes as gone.
    pub(crate) fn written(&self, count: usize) {
        self.lock().waiting -= count;
    }

    /// Counts bytes as handed to the realm; for the owner.
    pub(crate) fn hand_over(&self, count: usize) {
        self.lock().unhandled += count;
    }

    /// Counts bytes as handled; for the realm.
    pub(crate) fn give_back(&self, count: usize) {
        let mut state = self.lock();
        state.unhandled -= count;
        if std::mem::take(&mut state.waits_for_room) {
            state.wake();
        }
    }
}

impl State {
    fn look(&mut self, waker: &Waker) -> Account {
        self.is_due = false;
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
        Account {
            waiting: self.waiting,
            unhandled: self.unhandled,
            is_overflowed: self.phase == Phase::Overflowed,
        }
    }

    fn wake(&mut self) {
        if !self.is_due
            && let Some(waker) = &self.waker
        {
            self.is_due = true;
            waker.wake_by_ref();
        }
    }

    fn append_beyond(&mut self, limit: usize, frame: &[u8]) -> bool {
        let fits = self.waiting + frame.len() <= limit + RESERVE;
        if fits {
            self.queue.copy(frame);
            self.waiting += frame.len();
        }
        fits
    }
}

/// Bytes in order: pieces, shared ones and full ones, and behind them what was copied last.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pieces: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of the first piece, or of the tail if there is none, is written.
    written: usize,
}

impl Batch {
    fn copy(&mut self, frame: &[u8]) {
        if self.tail.len() + frame.len() > MOST_COPIED {
            self.end_piece();
        }
        if self.tail.capacity() == 0 {
            self.tail = spare_buffer();
        }
        self.tail.extend_from_slice(frame);
    }

    fn share(&mut self, frame: Bytes) {
        debug_assert_eq!(self.written, 0, "nothing is appended to what is being written");
        self.end_piece();
        self.pieces.push_back(frame);
    }

    /// Has what comes next begin a new piece. A buffer that is mostly empty is kept for others.
    fn end_piece(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if tail.is_empty() {
            return;
        }
        if tail.len() < tail.capacity() / 2 {
            self.pieces.push_back(Bytes::copy_from_slice(&tail));
            keep_buffer(tail);
        } else {
            self.pieces.push_back(tail.into());
        }
    }

    /// What is to be written next; empty when all is written.
    pub(crate) fn next(&self) -> &[u8] {
        let piece = self.pieces.front().map_or(&*self.tail, |piece| &**piece);
        piece.get(self.written..).unwrap_or_default()
    }

    /// Counts bytes of [`next`](Self::next) as written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.next().is_empty() {
            self.written = 0;
            if self.pieces.pop_front().is_none() {
                keep_buffer(std::mem::take(&mut self.tail));
            }
        }
    }
}

thread_local! {
    /// Buffers that were written out, for the next to be filled on this thread.
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { buffers: Vec::new(), capacity: 0 }) };
}

/// Empty buffers, and how much they can hold together.
struct Spare {
    buffers: Vec<Vec<u8>>,
    capacity: usize,
}

/// How much the buffers that a thread keeps can hold together.
const MOST_SPARE: usize = 4 << 20;
/// How much a new buffer can hold: a few short messages.
const NEW_BUFFER: usize = 1 << 10;

fn spare_buffer() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| match spare.buffers.pop() {
        Some(buffer) => {
            spare.capacity -= buffer.capacity();
            buffer
        }
        None => Vec::with_capacity(NEW_BUFFER),
    })
}

fn keep_buffer(mut buffer: Vec<u8>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.capacity + buffer.capacity() <= MOST_SPARE {
            buffer.clear();
            spare.capacity += buffer.capacity();
            spare.buffers.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn content(batch: &mut Batch) -> Vec<u8> {
        let mut content = Vec::new();
        while !batch.next().is_empty() {
            content.extend_from_slice(batch.next());
            batch.advance(batch.next().len());
        }
        content
    }

    #[test]
    fn the_owner_is_woken_once_for_all_that_is_appended_until_it_looks() {
        let (outbox, wakes) = (Outbox::new(100), Arc::new(Wakes::default()));
        outbox.look(&wakes.clone().into());
        outbox.push(b"one ");
        outbox.push(b"two");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(content(&mut outbox.take()), b"one two");
        outbox.look(&wakes.clone().into());
        outbox.push(b"three");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn crossing_the_limit_wakes_an_owner_that_is_due_already() {
        let (outbox, wakes) = (Outbox::new(4), Arc::new(Wakes::default()));
        outbox.look(&wakes.clone().into());
        outbox.push(b"1234");
        outbox.push(b"5");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
        let account = outbox.look(&wakes.clone().into());
        assert_eq!(account, Account { waiting: 4, unhandled: 0, is_overflowed: true });
        outbox.push(b"6");
        assert_eq!(content(&mut outbox.take()), b"1234");
    }

    #[test]
    fn what_the_owner_has_taken_counts_until_it_is_written() {
        let outbox = Outbox::new(4);
        outbox.push(b"1234");
        let mut batch = outbox.take();
        outbox.push(b"5");
        assert!(outbox.look(Waker::noop()).is_overflowed);
        batch.advance(1);
        outbox.written(1);
        assert_eq!(outbox.look(Waker::noop()).waiting, 3);
        assert_eq!(batch.next(), b"234");
    }

    #[test]
    fn the_last_message_passes_the_limit_and_nothing_comes_after_it() {
        let outbox = Outbox::new(4);
        outbox.push(b"1234");
        outbox.finish(Some(b"bye"));
        outbox.push(b"x");
        outbox.finish(Some(b"bye"));
        assert_eq!(content(&mut outbox.take()), b"1234bye");
        let full = Outbox::new(0);
        full.finish(Some(&[0; RESERVE + 1]));
        assert_eq!(content(&mut full.take()), b"");
    }

    #[test]
    fn large_frames_are_shared_and_stay_in_order() {
        let (outbox, other) = (Outbox::new(1 << 20), Outbox::new(1 << 20));
        let large = vec![7; SHARED_FROM];
        outbox.push(b"a");
        Outbox::push_to_all([&outbox, &other].into_iter(), &large);
        outbox.push(b"b");
        let (mut batch, mut other) = (outbox.take(), other.take());
        assert_eq!(
            batch.pieces.back().map(|piece| piece.as_ptr()),
            other.next().first().map(std::ptr::from_ref)
        );
        assert_eq!(content(&mut batch), [b"a", &*large, b"b"].concat());
        assert_eq!(content(&mut other), large);
    }

    #[test]
    fn what_is_copied_is_in_pieces_that_do_not_grow_with_all_that_waits() {
        let outbox = Outbox::new(16 << 20);
        let frame = vec![7; 5000];
        while outbox.push(&frame) {}
        let mut batch = outbox.take();
        assert!(batch.pieces.iter().all(|piece| piece.len() <= MOST_COPIED));
        assert!(batch.tail.capacity() <= 2 * MOST_COPIED);
        assert_eq!(content(&mut batch).len(), (16 << 20) / 5000 * 5000);
    }

    #[test]
    fn pieces_have_no_more_room_than_they_need() {
        let outbox = Outbox::new(16 << 20);
        for _ in 0..100 {
            keep_buffer(Vec::with_capacity(128 << 10));
        }
        let large = vec![7; SHARED_FROM];
        for _ in 0..50 {
            outbox.push(b"a short message");
            Outbox::push_to_all([&outbox].into_iter(), &large);
        }
        let batch = outbox.take();
        let room: usize = batch.pieces.into_iter().map(|piece| Vec::from(piece).capacity()).sum();
        assert_eq!(room, 50 * (15 + SHARED_FROM));
    }

    #[test]
    fn handled_bytes_wake_an_owner_that_waits_for_them() {
        let (outbox, wakes) = (Outbox::new(4), Arc::new(Wakes::default()));
        outbox.hand_over(10);
        assert_eq!(outbox.look(&wakes.clone().into()).unhandled, 10);
        outbox.give_back(4);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        assert_eq!(outbox.look_for_room(&wakes.clone().into()).unhandled, 6);
        outbox.give_back(6);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(outbox.look(&wakes.clone().into()).unhandled, 0);
    }
}
