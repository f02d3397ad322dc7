//! A session that keeps a window of calls in flight.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::client::{Client, Outgoing};
use super::decode::Reader;
use super::failure::Failure;
use super::order::Outstanding;
use super::pace::Pace;
use super::run::Run;

/// A session that calls. It sends nothing but calls, so its request ids have no gaps.
pub(super) struct Caller {
    client: Client,
    run: Rc<Run>,
    window: usize,
    pace: Pace,
    /// The calls in flight.
    pub(super) calls: Rc<RefCell<Outstanding>>,
}

impl Caller {
    /// Makes a caller of a client that has sent no requests.
    pub(super) fn new(client: Client, run: &Rc<Run>, window: usize, pace: Pace) -> Self {
        Self { client, run: Rc::clone(run), window, pace, calls: Rc::default() }
    }

    /// Calls what `ask` asks for, as often as pace and window let it, until the run is over or there is nothing
    /// more, then waits for the last answers. A call whose result `is_correct` is an operation.
    pub(super) async fn call(
        &mut self,
        mut ask: impl FnMut(&mut Outgoing) -> Option<u64>,
        mut is_correct: impl FnMut(u64, Reader<'_>) -> bool,
    ) -> Result<(), Failure> {
        let mut now = Instant::now();
        loop {
            let has_more = self.fill_window(now, &mut ask);
            let Self { client, run, window, pace, calls } = self;
            let waiting = calls.borrow().len();
            if !has_more && waiting == 0 {
                run.fall_behind(pace);
                return Ok(());
            }
            tokio::select! {
                biased;
                received = client.exchange() => received?,
                () = pace.due(run), if has_more && waiting < *window => {}
            }
            now = Instant::now();
            let mut calls = calls.borrow_mut();
            while let Some(message) = client.incoming.next(&mut client.outgoing)? {
                let (request, result) = message.answer()?;
                match calls.answer(request) {
                    Some(since) if result.is_some_and(|result| is_correct(request, result)) => {
                        run.complete(now - since);
                    }
                    Some(_) => run.flaw(|flaws| flaws.errors += 1),
                    None => run.flaw(|flaws| flaws.duplicated += 1),
                }
            }
        }
    }

    /// Asks as often as pace and window let it; returns whether there may be more to ask.
    fn fill_window(&mut self, now: Instant, ask: &mut impl FnMut(&mut Outgoing) -> Option<u64>) -> bool {
        let mut calls = self.calls.borrow_mut();
        while !self.run.is_over()
            && calls.len() < self.window
            && let Some(since) = self.pace.next(now)
        {
            let Some(request) = ask(&mut self.client.outgoing) else { return false };
            self.pace.begin();
            calls.ask(request, since);
        }
        !self.run.is_over()
    }
}
