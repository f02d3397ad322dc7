//! How many sockets of sessions are open.

use tokio::sync::watch;

/// The count of open sockets, shared by all who open and watch them.
#[derive(Clone, Debug)]
pub struct OpenSockets(watch::Sender<usize>);

/// One open socket. It counts until it is dropped.
#[derive(Debug)]
pub struct OpenSocket(watch::Sender<usize>);

impl Default for OpenSockets {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl OpenSockets {
    /// Counts one more.
    pub fn open(&self) -> OpenSocket {
        self.0.send_modify(|count| *count += 1);
        OpenSocket(self.0.clone())
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        // The sender is held here, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
