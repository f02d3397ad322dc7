//! Checks that are costly run on threads of their own, so many at a time that their memory is bounded.

use super::auth::{Check, Unchecked};
use std::{
    fmt,
    future::Future,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Runs checks, as many at once as the machine can; clones count together.
#[derive(Clone, Debug)]
pub struct Verifier {
    turns: Arc<Semaphore>,
}

impl Default for Verifier {
    fn default() -> Self {
        let parallel = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { turns: Arc::new(Semaphore::new(parallel)) }
    }
}

impl Verifier {
    /// Has a check run when it is its turn.
    pub(crate) fn verify(&self, check: Check) -> Verification {
        let turns = self.turns.clone();
        Verification(Box::pin(async move {
            // An error says that no turn comes any more, which nobody ever says.
            let turn = turns.acquire_owned().await;
            let run = spawn_blocking(move || {
                let outcome = check.run();
                // The turn lasts as long as the check, even if nobody waits for the outcome any more.
                drop(turn);
                outcome
            });
            run.await.unwrap_or_else(|error| Err(Unchecked(error.to_string())))
        }))
    }
}

/// A check that waits for its turn, or runs. Dropped before its turn it is never run.
pub(crate) struct Verification(Pin<Box<dyn Future<Output = Result<bool, Unchecked>>>>);

impl Future for Verification {
    type Output = Result<bool, Unchecked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verification")
    }
}
