//! Turns: who has much to do lets others go on.

use std::{future::Future, pin::pin, task::Context};
use tokio::task::yield_now;

/// Comes to its end when all others have had their turn, and their sockets have been looked at.
pub(crate) async fn others() {
    yield_now().await;
}

/// Has a task woken then. One that just wakes itself is among the next to run, before any socket is looked at.
pub(crate) fn wake_after_others(task: &mut Context<'_>) {
    // It has asked for that when it is pending, which it is the first time.
    let _ = pin!(others()).poll(task);
}
