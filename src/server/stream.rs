//! The connection of a client, as the session gets it.

use super::{certificates::names, entrance::Entrance, proxy_protocol, route::Route, tls::Tls};
use crate::Listener;
use actix_rt::net::{ActixStream, Ready, TcpStream};
use realmkeeper_actors::{
    metrics::Metrics,
    proxy::{Belief, ProxyHeader},
    session::{SessionSettings, access::CertificateName},
};
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// How often the system asks in vain.
const PROBES: u32 = 3;

/// After how long a silence the system can be told to ask at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(32_767);

/// How much the system takes before it has sent it. A client that reads slowly takes this much often, where of all that
/// the system could hold, up to megabytes, a third has to go before it takes more.
#[cfg(target_os = "linux")]
const MOST_UNSENT: u32 = 128 << 10;

/// What makes streams of the connections to one listener.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) entrance: Arc<Entrance>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) metrics: Metrics,
}

/// A connection, and where it comes from.
#[derive(Debug)]
pub(super) struct Stream {
    io: Io,
    peer: SocketAddr,
    route: Route,
}

/// How the octets of a connection travel.
#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Opening {
    /// Takes a connection: all that comes before the first request is read, within the time for the handshake.
    pub(super) async fn open(&self, io: TcpStream) -> io::Result<Stream> {
        io.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&io).set_tcp_notsent_lowat(MOST_UNSENT)?;
        let peer = io.peer_addr()?;
        let terms = self.entrance.terms();
        keep_alive(&io, &terms.listener.session)?;
        let limit = terms.listener.session.handshake_timeout;
        let opened = tokio::time::timeout(limit, self.begin(io, peer, &terms.listener)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        opened.inspect_err(|problem| debug!(%peer, %problem, "a connection was closed before its request"))
    }

    async fn begin(&self, mut io: TcpStream, peer: SocketAddr, listener: &Listener) -> io::Result<Stream> {
        let route = self.read_route(&mut io, peer, listener).await?;
        let io = match &self.tls {
            Some(tls) => Io::Tls(Box::new(tls.acceptor().accept(io).await?)),
            None => Io::Plain(io),
        };
        Ok(Stream { io, peer, route })
    }

    async fn read_route(
        &self,
        io: &mut TcpStream,
        peer: SocketAddr,
        listener: &Listener,
    ) -> io::Result<Route> {
        let mut route = Route::direct(peer);
        if !listener.proxy_protocol {
            return Ok(route);
        }
        // One that is not whole in time is dropped here.
        let mut broken = Counted { metrics: &self.metrics, is_broken: true };
        let header = proxy_protocol::read(io).await?;
        broken.is_broken = false;
        let header = header.ok_or(io::ErrorKind::UnexpectedEof)?;
        if let Some(client) = header.client {
            let belief = route.tell(client, &listener.trusted_proxies);
            self.metrics.proxy_header(ProxyHeader::Proxy, belief);
        }
        Ok(route)
    }
}

/// Counts a header of the PROXY protocol as broken when it is dropped, unless it has turned out not to be.
struct Counted<'m> {
    metrics: &'m Metrics,
    is_broken: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.is_broken {
            self.metrics.proxy_header(ProxyHeader::Proxy, Belief::Broken);
        }
    }
}

impl Stream {
    /// Who opened the connection.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where the connection comes from, as far as is known before the request.
    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// Whether it is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// The names in the certificate of the client; none if it has none.
    pub(super) fn certificate(&self) -> Box<[CertificateName]> {
        let certificate = match &self.io {
            Io::Plain(_) => None,
            Io::Tls(io) => io.get_ref().1.peer_certificates().and_then(<[_]>::first),
        };
        certificate.map(names).unwrap_or_default().into()
    }

    fn socket(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(io) => io,
            Io::Tls(io) => io.get_ref().0,
        }
    }
}

impl ActixStream for Stream {
    fn poll_read_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.socket(), task)
    }

    fn poll_write_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.socket(), task)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(task, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(task, octets),
            Io::Tls(io) => Pin::new(io).poll_write(task, octets),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(task),
            Io::Tls(io) => Pin::new(io).poll_flush(task),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(task),
            Io::Tls(io) => Pin::new(io).poll_shutdown(task),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

/// Has the system ask whether the other end is there, where the session does not.
fn keep_alive(stream: &TcpStream, settings: &SessionSettings) -> io::Result<()> {
    if settings.pings {
        return Ok(());
    }
    // The system counts in seconds, and not further than this.
    let seconds = |time: Duration| time.clamp(Duration::from_secs(1), LONGEST_SILENCE);
    let asking = TcpKeepalive::new()
        .with_time(seconds(settings.ping_interval))
        .with_interval(seconds(settings.ping_timeout / PROBES))
        .with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&asking)
}
