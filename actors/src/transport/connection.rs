//! The socket of one client: reads into frames, writes out of the outbox.

use super::{
    framing::{FrameError, Frames, Received},
    outbox::{Batch, Outbox},
};
use bytes::BytesMut;
use std::{
    cell::Cell,
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

/// How large the buffer is into which a thread reads.
const READ_SIZE: usize = 64 << 10;
/// How much room a read has at least.
const LEAST_ROOM: usize = 8 << 10;
/// How large a buffer may be that others read into thereafter.
const MOST_SHARED: usize = 4 * READ_SIZE;

thread_local! {
    /// The buffer into which the sessions of this thread read in turn, so that an idle one holds none.
    static SHARED: Cell<BytesMut> = Cell::default();
}

/// A socket with its framing, and the outbox that it writes from.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    frames: Frames,
    /// Whether what comes makes no sense any more.
    is_garbled: bool,
    /// What was read and is not a whole frame, or must wait.
    read: BytesMut,
    outbox: Arc<Outbox>,
    writing: Batch,
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Connection<S> {
    /// A connection from which `read` was read already.
    pub(crate) fn new(socket: S, frames: Frames, read: BytesMut, outbox: Arc<Outbox>) -> Self {
        Self { socket, frames, is_garbled: false, read, outbox, writing: Batch::default() }
    }

    /// Reads once, behind what was read before. Gives how many octets came, 0 at the end.
    pub(crate) fn poll_read(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<usize>> {
        let shares = self.read.is_empty();
        if shares {
            self.read = SHARED.take();
        }
        if self.read.capacity() - self.read.len() < LEAST_ROOM {
            self.read.reserve(READ_SIZE);
        }
        let read = poll_read_buf(Pin::new(&mut self.socket), task, &mut self.read);
        if shares && !matches!(read, Poll::Ready(Ok(1..))) {
            SHARED.set(std::mem::take(&mut self.read));
        }
        read
    }

    /// Takes the next thing out of what was read; `None` if it is not complete yet. Nothing comes after an error: where
    /// the next frame begins is not known.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, FrameError> {
        if self.is_garbled {
            self.discard();
            return Ok(None);
        }
        let next = self.frames.next(&mut self.read);
        self.is_garbled = next.is_err();
        next
    }

    /// Whether the client can no longer be understood, not even if it closes (RFC 6455 section 7.1.7).
    pub(crate) fn is_garbled(&self) -> bool {
        self.is_garbled
    }

    /// Gives the buffer back to the thread, but for what is left of a frame.
    pub(crate) fn release(&mut self) {
        let mut buffer = std::mem::take(&mut self.read);
        if buffer.len() < LEAST_ROOM {
            self.read = BytesMut::from(&*buffer);
            buffer.clear();
            // One that is used up is no use to the next reader, and would take the place of one that is. One that was
            // made for a large frame would stay for ever.
            if (LEAST_ROOM..=MOST_SHARED).contains(&buffer.capacity()) {
                SHARED.set(buffer);
            }
        } else {
            self.read = buffer;
        }
    }

    /// Forgets what was read.
    pub(crate) fn discard(&mut self) {
        self.read = BytesMut::new();
    }

    /// Writes all that waits. While it is pending the socket takes no more; `written` gets how many octets it took.
    pub(crate) fn poll_write(
        &mut self,
        task: &mut task::Context<'_>,
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.writing.next().is_empty() {
                self.writing = self.outbox.take();
                if self.writing.next().is_empty() {
                    // What the socket holds back itself, as one with TLS does.
                    return Pin::new(&mut self.socket).poll_flush(task);
                }
            }
            let count = ready!(Pin::new(&mut self.socket).poll_write(task, self.writing.next()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(count);
            self.outbox.written(count);
            *written += count;
        }
    }

    /// Says to the client's socket that nothing more comes.
    pub(crate) fn poll_shutdown(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(task)
    }

    /// Lets the socket end at once when it is dropped, rather than go on sending what the client does not take.
    pub(crate) fn reset_on_drop(&self) {
        // If it fails the socket is closed in the ordinary way.
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}
