//! A value that realms and sessions share, each for a moment at a time.

use tokio::sync::watch;

/// The value. Its clones are the same one.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(watch::Sender<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    /// Looks at the value. It must not be changed meanwhile by whoever looks.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Changes the value.
    pub(crate) fn change<R: Default>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut result = R::default();
        self.0.send_modify(|value| result = change(value));
        result
    }
}
