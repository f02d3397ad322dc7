//! Checks that are costly run on threads of their own, so many at a time that their memory is bounded.

use super::auth::{Check, Checked, Unchecked};
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
pub(crate) struct Verification(Pin<Box<dyn Future<Output = Checked>>>);

impl Future for Verification {
    type Output = Checked;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verification")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{
        access::Ticket,
        auth::{Proof, ticket::Exchange},
    };
    use std::task::Waker;

    /// The check of a right ticket, which takes some tenths of a second.
    fn check() -> Check {
        let hash = "$argon2id$v=19$m=8,t=100000,p=1$cmVhbG1rZWVwZXIuc2FsdA\
                    $D+IfBfLLzfj57p7MeDXay3Cvh86cR3sGMAYAFOLjnWg";
        let ticket = Ticket::hashed(hash).unwrap();
        Check::Ticket(Exchange::begin(Some(&ticket), ticket.hash()).answer("secret123".into()))
    }

    fn one_at_a_time() -> Verifier {
        Verifier { turns: Arc::new(Semaphore::new(1)) }
    }

    /// Gives it a push, and whether its outcome is still to come.
    fn is_under_way(verification: &mut Verification) -> bool {
        Pin::new(verification).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[actix_rt::test]
    async fn a_check_is_run_when_it_is_its_turn() {
        let verifier = one_at_a_time();
        let turn = verifier.turns.clone().acquire_owned().await;
        let mut verification = verifier.verify(check());
        assert!(is_under_way(&mut verification));
        drop(turn);
        assert_eq!(verification.await, Ok(Some(Proof::default())));
        assert_eq!(verifier.turns.available_permits(), 1);
    }

    #[actix_rt::test]
    async fn a_check_that_nobody_waits_for_gives_up_its_turn_before_it_runs_and_keeps_it_while_it_does() {
        let verifier = one_at_a_time();
        let mut running = verifier.verify(check());
        let mut waiting = verifier.verify(check());
        assert!(is_under_way(&mut running));
        assert!(is_under_way(&mut waiting));
        drop(running);
        assert_eq!(verifier.turns.available_permits(), 0, "the check still runs");
        drop(waiting);
        let turn = verifier.turns.acquire().await;
        assert!(turn.is_ok(), "the turn comes after the one check that ran");
    }
}
