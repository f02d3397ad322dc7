//! The service: it listens, and it stops in order.
//!
//! Each listener ([`clients`]) makes sessions ([`entrance`]) of WebSocket requests at its path ([`upgrade`]) or of
//! RawSocket handshakes ([`rawsocket`]), if the limits of the node allow it ([`doorkeeper`]). It has an address or a
//! Unix domain socket ([`unix`]), and every session has a [`caller`]. Where a client is that comes through a balancer
//! is told by what that one is believed ([`route`]). A connection becomes a [`stream`] before its first request: what a
//! balancer sends comes first ([`proxy_protocol`]), then [`tls`] with its [`certificates`]. What those who run the
//! service ask it is answered by [`admin`], at an address of its own or else on the first listener for WebSocket.

mod admin;
mod caller;
pub(crate) mod certificates;
mod clients;
mod connection;
mod doorkeeper;
mod entrance;
mod files;
mod forwarded;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod listen;
mod origin;
pub(crate) mod proxy_protocol;
mod rawsocket;
mod route;
mod stream;
mod tls;
mod unix;
mod upgrade;

use self::{
    admin::Admin,
    clients::Clients,
    doorkeeper::Doorkeeper,
    entrance::Entrance,
    listen::{Bound, Place, listen},
    tls::Tls,
    unix::SocketFile,
};
use crate::{Listener, ListenerKind, NodeLimits, Settings, ShutdownTimes};
use actix::{Addr, MailboxError};
use actix_server::{Server, ServerBuilder, ServerHandle};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::{FinishCalls, Reload, Router, Shutdown, keep_alive},
    session::{Verifier, access::Access, lockout::Lockout},
    transport::sockets::OpenSockets,
};
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The type of all texts.
const TEXT: &str = "text/plain; charset=utf-8";

/// How much longer than its sessions may take the service waits for them at its end.
const GRACE: Duration = Duration::from_millis(200);

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address, or the Unix domain socket, cannot be listened on.
    #[error("cannot listen on {place}: {error}")]
    Listen {
        /// The address, or `unix:` and the path.
        place: String,
        /// What the system says.
        error: io::Error,
    },
    /// The certificates of a listener cannot be used.
    #[error("cannot use {0}")]
    Certificate(String),
    /// There is no address to listen on.
    #[error("there is no listener")]
    NoListener,
    /// The worker ended before it was ready.
    #[error("the worker did not start")]
    Worker,
}

/// A listener that is up.
#[derive(Debug)]
struct Listening {
    entrance: Arc<Entrance>,
    tls: Option<Arc<Tls>>,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    /// At least one.
    urls: Vec<String>,
    /// The first of them that needs no certificate, no right to a file and no balancer, if one does.
    plain_url: Option<String>,
    addresses: Vec<SocketAddr>,
    /// Those of the Unix domain sockets, which go with it.
    _socket_files: Vec<SocketFile>,
    /// The listeners, in the order of the settings.
    listening: Vec<Listening>,
    admin_address: Option<SocketAddr>,
    /// Where `/metrics` and the like are answered without encryption and to everybody, if anywhere.
    pages: Option<SocketAddr>,
    router: Addr<Router>,
    doorkeeper: Arc<Doorkeeper>,
    lockout: Lockout,
    metrics: Metrics,
    sockets: OpenSockets,
    stopping: CancellationToken,
    server: ServerHandle,
    admin_server: Option<ServerHandle>,
    limits: NodeLimits,
    shutdown: ShutdownTimes,
}

impl Service {
    /// Starts to listen, on all addresses or on none. Has to be called in an actix system.
    pub async fn start(settings: Settings) -> Result<Self, ServiceError> {
        let Settings { listeners, admin: admin_address, realms, limits, lockout, shutdown } = settings;
        if listeners.is_empty() {
            return Err(ServiceError::NoListener);
        }
        let places = listeners.iter().map(Listener::place).chain(admin_address.map(Place::Tcp));
        let mut bound = listen(&places.collect::<Vec<_>>())?;
        let admin_socket = match admin_address.and_then(|_| bound.pop()) {
            Some(Bound::Tcp(address, socket)) => Some((address, socket)),
            Some(Bound::Unix(..)) | None => None,
        };
        files::raise_limit(limits.sessions);

        let (sockets, stopping, metrics) =
            (OpenSockets::default(), CancellationToken::new(), Metrics::default());
        let router = Arc::default();
        let admin = Admin::new(metrics.clone(), Arc::clone(&router), stopping.clone());
        let (up, mut started) = mpsc::unbounded_channel();
        let doorkeeper = Arc::new(Doorkeeper::new(&limits, sockets.clone()));
        let lockout = Lockout::new(lockout);
        let clients = Clients {
            access: Arc::new(Access::new(lockout.clone(), rand::random())),
            verifier: Verifier::default(),
            realms,
            metrics: metrics.clone(),
            doorkeeper: doorkeeper.clone(),
            stopping: stopping.clone(),
            router,
            up,
        };
        // HTTP is spoken by the first of its kind, unless operators have an address of their own.
        let answering = listeners.iter().position(|listener| listener.kind == ListenerKind::WebSocket);
        let answering = answering.filter(|_| admin_socket.is_none());
        let (mut urls, mut addresses, mut socket_files, mut tls) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut pages, mut plain_url) = (admin_socket.as_ref().map(|(address, _)| *address), None);
        let mut server = Server::build().workers(1).disable_signals();
        for (index, (listener, bound)) in listeners.into_iter().zip(bound).enumerate() {
            let url = listener.url(&bound);
            if let Bound::Tcp(address, _) = bound {
                addresses.push(address);
                if listener.tls.is_none() && !listener.proxy_protocol {
                    plain_url.get_or_insert_with(|| url.clone());
                    pages = pages.or((answering == Some(index)).then_some(address));
                }
            }
            urls.push(url);
            let admin = (answering == Some(index)).then(|| admin.clone());
            let secured = listener.tls.clone().map(|files| Tls::new(files, clients.metrics.clone()));
            let secured = secured.transpose().map_err(ServiceError::Certificate)?.map(Arc::new);
            tls.push(secured.clone());
            let place = listener.place().to_string();
            let (listening, file) = clients
                .clone()
                .listen(server, bound, listener, secured, admin)
                .map_err(|error| ServiceError::Listen { place, error })?;
            server = listening;
            socket_files.extend(file);
        }
        // The server has the others, so that its end is noticed.
        drop(clients);

        let mut admin_server = None;
        let admin_address = admin_socket.as_ref().map(|(address, _)| *address);
        if let Some((address, socket)) = admin_socket {
            let refused = |error| ServiceError::Listen { place: address.to_string(), error };
            admin_server = Some(admin.serve(socket).map_err(refused)?);
        }
        let server = run(server);
        let mut listening = Vec::new();
        // The one worker brings the listeners up in their order.
        for tls in tls {
            let Some(entrance) = started.recv().await else {
                if let Some(admin) = admin_server {
                    admin.stop(false).await;
                }
                return Err(ServiceError::Worker);
            };
            listening.push(Listening { entrance, tls });
        }
        let router = listening[0].entrance.router();
        metrics.configured(SystemTime::now(), false);
        admin.started();
        for url in &urls {
            info!(url, "listening");
        }
        if let Some(address) = admin_address {
            info!(%address, "answering operators");
        }
        listening.iter().filter_map(|listening| listening.tls.as_ref()).for_each(Tls::keep_watching);
        Ok(Self {
            urls,
            plain_url,
            addresses,
            _socket_files: socket_files,
            listening,
            admin_address,
            pages,
            router,
            doorkeeper,
            lockout,
            metrics,
            sockets,
            stopping,
            server,
            admin_server,
            limits,
            shutdown,
        })
    }

    /// The addresses that it listens on for WAMP clients, in the order of the settings. Listeners on Unix domain
    /// sockets have none.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().copied()
    }

    /// The URLs for WAMP clients, in the order of the settings; at least one.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The first URL for whoever is on this machine: without TLS, without a balancer before it, and no file.
    pub fn plain_url(&self) -> Option<&str> {
        self.plain_url.as_deref()
    }

    /// Where it answers `/metrics` and the like, if that is an address of its own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Where whoever is on this machine gets `/metrics` and the like, be it among WAMP clients. Nowhere if there is no
    /// address for it and the first listener for WebSocket has TLS or a balancer before it, or there is none.
    pub fn pages_address(&self) -> Option<SocketAddr> {
        self.pages
    }

    /// The count of open sockets of sessions.
    pub fn sockets(&self) -> &OpenSockets {
        &self.sockets
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Calls `alive` so often, each time after the router has answered.
    pub fn keep_alive(&self, every: Duration, alive: impl Fn() + 'static) {
        keep_alive(self.router.clone(), every, alive);
    }

    /// Goes on with other settings: with their realms, their limits, their times, and with what each listener has that
    /// is not fixed when it begins to listen. The listeners have to be the same, in the same order; what they speak,
    /// where they listen, whether they have TLS, whether they take the PROXY protocol, and `handshake_timeout` stay,
    /// and so does the address for operators. Certificates are read again. If they cannot be used nothing changes.
    pub async fn reload(&mut self, settings: Settings) -> Result<(), ServiceError> {
        let Settings { listeners, admin: _, realms, limits, lockout, shutdown } = settings;
        let read = |(listening, listener): (&Listening, &Listener)| {
            let Some(files) = &listener.tls else { return Ok(None) };
            match tls::Read::new(files.clone()) {
                // The files that the configuration names were looked into: it does not name these any more.
                Err(_) if listening.tls.as_ref().is_some_and(|tls| tls.is_of(files)) => Ok(None),
                read => read.map(Some),
            }
        };
        let read = self.listening.iter().zip(&listeners).map(read).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(ServiceError::Certificate)?;
        // If the router is gone, the service ends.
        let _ = self.router.send(Reload { realms }).await;
        if limits.sessions != self.limits.sessions {
            files::raise_limit(limits.sessions);
        }
        self.doorkeeper.reload(&limits);
        self.lockout.configure(lockout);
        self.limits = limits;
        self.shutdown = shutdown;
        self.metrics.forget_certificates();
        for (listening, (listener, read)) in self.listening.iter().zip(listeners.into_iter().zip(read)) {
            listening.entrance.reload(listener);
            match (&listening.tls, read) {
                (Some(tls), Some(read)) => tls.take(read),
                (Some(tls), None) => tls.keep(),
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Admits no more sessions, lets calls be answered, says GOODBYE to all, waits until they are gone or their time
    /// is over, and stops.
    pub async fn stop(self) {
        let ShutdownTimes { wait, calls, spread } = self.shutdown;
        let linger =
            self.listening.iter().map(|listening| listening.entrance.terms().listener.session.linger);
        let linger = linger.max().unwrap_or_default();
        info!(?wait, ?calls, ?spread, "no new sessions are taken");
        self.stopping.cancel();
        tokio::time::sleep(wait).await;
        // If the router is gone, there are no sessions to wait for either.
        if !calls.is_zero()
            && let Err(MailboxError::Timeout) = self.router.send(FinishCalls).timeout(calls).await
        {
            warn!("calls are in flight whose time is over");
        }
        let _ = self.router.send(Shutdown { spread }).await;
        let _ = tokio::time::timeout(spread + linger + GRACE, self.sockets.all_closed()).await;
        self.server.stop(false).await;
        if let Some(admin) = self.admin_server {
            admin.stop(false).await;
        }
    }
}

impl Listener {
    fn place(&self) -> Place {
        self.unix.clone().map_or(Place::Tcp(self.address), Place::Unix)
    }

    /// Where clients connect, as they write it.
    fn url(&self, bound: &Bound) -> String {
        let is_secure = self.tls.is_some();
        match (self.kind, bound) {
            (ListenerKind::WebSocket, Bound::Tcp(address, _)) => {
                format!("{}://{address}{}", if is_secure { "wss" } else { "ws" }, self.path)
            }
            (ListenerKind::RawSocket, Bound::Tcp(address, _)) => {
                format!("{}://{address}", if is_secure { "rss" } else { "rs" })
            }
            (_, Bound::Unix(..)) => format!("rs://{}", self.place()),
        }
    }
}

/// Runs a server until it is told to stop.
fn run(server: ServerBuilder) -> ServerHandle {
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    handle
}
