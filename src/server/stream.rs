//! The connection of a client, as the session gets it.

use super::{proxy_protocol, route::Route};
use crate::Listener;
use actix_rt::net::{ActixStream, Ready, TcpStream};
use realmkeeper_actors::{
    metrics::Metrics,
    proxy::{Belief, ProxyHeader},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

/// A connection, and where it comes from.
#[derive(Debug)]
pub(super) struct Stream {
    io: TcpStream,
    peer: SocketAddr,
    route: Route,
}

impl Stream {
    /// Takes a connection to a listener: all that comes before the first request is read.
    pub(super) async fn open(mut io: TcpStream, listener: &Listener, metrics: &Metrics) -> io::Result<Self> {
        io.set_nodelay(true)?;
        let peer = io.peer_addr()?;
        let mut route = Route::direct(peer);
        if listener.proxy_protocol {
            let read =
                tokio::time::timeout(listener.session.handshake_timeout, proxy_protocol::read(&mut io));
            let header = read.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let header = header.inspect_err(|problem| {
                debug!(%peer, %problem, "a connection was closed for its header of the PROXY protocol");
                metrics.proxy_header(ProxyHeader::Proxy, Belief::Broken);
            })?;
            let header = header.ok_or(io::ErrorKind::UnexpectedEof)?;
            if let Some(client) = header.client {
                let belief = route.tell(client, &listener.trusted_proxies);
                metrics.proxy_header(ProxyHeader::Proxy, belief);
            }
        }
        Ok(Self { io, peer, route })
    }

    /// Who opened the connection.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where the connection comes from, as far as is known before the request.
    pub(super) fn route(&self) -> Route {
        self.route
    }
}

impl ActixStream for Stream {
    fn poll_read_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.io, task)
    }

    fn poll_write_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.io, task)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(task, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}
