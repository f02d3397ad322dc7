//! A relay that parses nothing: the limit of what a router could reach on this machine.
//!
//! It takes WebSocket frames from one connection, removes their mask and sends them to others. Connections to
//! `/NAME/a` and `/NAME/b` form a group: what comes from one side goes to everybody on the other. Rules,
//! accounts and messages do not exist; nothing bounds what is queued, so the load must.
//!
//! It has one thread. What one read of a socket brings becomes one buffer, shared by all receivers, and each
//! receiver writes once per turn of the executor whatever it was given by then.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use clap::Args;
use tokio::io::AsyncWrite as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::failure::Failure;
use super::frame::{BINARY, CLOSE, Framing, Inbox, TEXT};
use super::handshake;

/// Buffers that one write takes at most.
const GATHERED: usize = 16;

/// Where the relay listens.
#[derive(Clone, Debug, Args)]
pub(super) struct FloorArgs {
    /// Address to listen on. With port 0 the system chooses one; the line on stdout names it.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
}

/// Opens the relay's listener.
pub(super) async fn listen(args: &FloorArgs) -> Result<TcpListener, Failure> {
    let refused = |source| Failure::Listen { address: args.listen.to_string(), source };
    TcpListener::bind(args.listen).await.map_err(refused)
}

/// Relays until the listener fails.
pub(super) async fn serve(listener: TcpListener) -> Result<(), Failure> {
    let groups = Rc::new(Groups::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let groups = Rc::clone(&groups);
        // A connection that ends, in whatever way, is of no concern to the others.
        spawn_local(async move { connection(stream, &groups).await });
    }
}

type Groups = RefCell<HashMap<String, Rc<Group>>>;

/// The two sides of a group.
#[derive(Default)]
struct Group([RefCell<Vec<Rc<Receiver>>>; 2]);

/// What waits for a connection.
#[derive(Default)]
struct Receiver {
    queue: RefCell<VecDeque<Bytes>>,
    waker: RefCell<Option<Waker>>,
}

async fn connection(mut stream: TcpStream, groups: &Groups) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inbox = Inbox::new(Framing::WebSocket, &[]);
    let path = handshake::grant(&mut stream, &mut inbox).await?;
    let (name, side) = path.rsplit_once('/').unwrap_or_default();
    let group = Rc::clone(groups.borrow_mut().entry(name.to_owned()).or_default());
    let Group([a, b]) = &*group;
    let (own_side, other_side) = if side == "a" { (a, b) } else { (b, a) };
    let receiver = Rc::new(Receiver::default());
    own_side.borrow_mut().push(Rc::clone(&receiver));
    let mut relay = Relay { stream, inbox, batch: BytesMut::new(), receivers: other_side, own: &receiver };
    let ended = poll_fn(|context| relay.poll(context)).await;
    own_side.borrow_mut().retain(|other| !Rc::ptr_eq(other, &receiver));
    ended
}

/// One connection at work.
struct Relay<'a> {
    stream: TcpStream,
    inbox: Inbox,
    batch: BytesMut,
    receivers: &'a RefCell<Vec<Rc<Receiver>>>,
    own: &'a Receiver,
}

impl Relay<'_> {
    /// Reads all there is, then writes all there is. Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.own.waker.borrow_mut().get_or_insert_with(|| context.waker().clone());
        while let Poll::Ready(read) = self.inbox.poll_fill(&mut self.stream, context) {
            read?;
            while let Some(frame) = self.inbox.frame().map_err(io::Error::other)? {
                match frame.opcode {
                    TEXT | BINARY => frame.put_plain(&mut self.batch),
                    CLOSE => return Poll::Ready(Ok(())),
                    _ => {}
                }
            }
        }
        if !self.batch.is_empty() {
            let batch = self.batch.split().freeze();
            for receiver in self.receivers.borrow().iter() {
                receiver.give(batch.clone());
            }
        }
        let _flushed: Poll<()> = self.own.poll_flush(&mut self.stream, context)?;
        Poll::Pending
    }
}

impl Receiver {
    /// Queues bytes. The first since the last flush wakes the connection.
    fn give(&self, bytes: Bytes) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
        queue.push_back(bytes);
    }

    fn poll_flush(&self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.queue.borrow_mut();
        while let Some(first) = queue.front() {
            let stream = Pin::new(&mut *stream);
            let mut written = match queue.len() {
                1 => ready!(stream.poll_write(context, first))?,
                _ => {
                    let mut slices = [IoSlice::new(&[]); GATHERED];
                    for (slice, bytes) in slices.iter_mut().zip(queue.iter()) {
                        *slice = IoSlice::new(bytes);
                    }
                    ready!(stream.poll_write_vectored(context, &slices[..queue.len().min(GATHERED)]))?
                }
            };
            while let Some(first) = queue.front_mut()
                && written > 0
            {
                let taken = first.len().min(written);
                written -= taken;
                first.advance(taken);
                if first.is_empty() {
                    queue.pop_front();
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
