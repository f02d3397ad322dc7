//! The service: it listens, and it stops in order.
//!
//! Each listener ([`clients`]) upgrades WebSocket requests at its path into sessions ([`upgrade`]) if the limits of
//! the node allow it ([`doorkeeper`]). Where a client is that comes through a balancer is told by what that one is
//! believed ([`route`]). A connection becomes a [`stream`] before its first request: what a balancer sends comes first
//! ([`proxy_protocol`]), then [`tls`] with its [`certificates`]. What those who run the service ask it is answered by [`admin`], at an address
//! of its own or else on the first listener.

mod admin;
pub(crate) mod certificates;
mod clients;
mod connection;
mod doorkeeper;
mod files;
mod forwarded;
mod listen;
mod origin;
mod proxy_protocol;
mod route;
mod stream;
mod tls;
mod upgrade;

use self::{
    admin::Admin, clients::Clients, doorkeeper::Doorkeeper, listen::listen, tls::Tls, upgrade::Entrance,
};
use crate::{NodeLimits, Settings, ShutdownTimes, TlsFiles};
use actix::{Addr, MailboxError};
use actix_server::{Server, ServerBuilder, ServerHandle};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::{FinishCalls, Reload, Router, Shutdown, keep_alive},
    session::{Verifier, access::Access},
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
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
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

/// Where clients connect.
#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    entrance: Arc<Entrance>,
    tls: Option<Arc<Tls>>,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    /// At least one.
    listening: Vec<Listening>,
    admin_address: Option<SocketAddr>,
    router: Addr<Router>,
    doorkeeper: Arc<Doorkeeper>,
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
        let Settings { listeners, admin: admin_address, realms, limits, shutdown } = settings;
        if listeners.is_empty() {
            return Err(ServiceError::NoListener);
        }
        let addresses = listeners.iter().map(|listener| listener.address).chain(admin_address);
        let mut bound = listen(&addresses.collect::<Vec<_>>())?;
        let admin_socket = admin_address.and_then(|_| bound.pop());
        files::raise_limit(limits.sessions);

        let (sockets, stopping, metrics) =
            (OpenSockets::default(), CancellationToken::new(), Metrics::default());
        let router = Arc::default();
        let admin = Admin::new(metrics.clone(), Arc::clone(&router), stopping.clone());
        let (up, mut started) = mpsc::unbounded_channel();
        let doorkeeper = Arc::new(Doorkeeper::new(&limits, sockets.clone()));
        let clients = Clients {
            access: Arc::new(Access::new(rand::random())),
            verifier: Verifier::default(),
            realms,
            metrics: metrics.clone(),
            doorkeeper: doorkeeper.clone(),
            stopping: stopping.clone(),
            router,
            up,
        };
        let mut starting = Vec::new();
        let mut server = Server::build().workers(1).disable_signals();
        for (listener, (address, socket)) in listeners.into_iter().zip(bound) {
            let admin = (admin_socket.is_none() && starting.is_empty()).then(|| admin.clone());
            let secured = listener.tls.clone().map(|files| Tls::new(files, clients.metrics.clone()));
            let secured = secured.transpose().map_err(ServiceError::Certificate)?.map(Arc::new);
            starting.push((address, secured.clone()));
            server = clients
                .clone()
                .listen(server, socket, listener, secured, admin)
                .map_err(|error| ServiceError::Listen { address, error })?;
        }
        // The server has the others, so that its end is noticed.
        drop(clients);

        let mut admin_server = None;
        let admin_address = admin_socket.as_ref().map(|(address, _)| *address);
        if let Some((address, socket)) = admin_socket {
            let served = admin.serve(socket).map_err(|error| ServiceError::Listen { address, error })?;
            admin_server = Some(served);
        }
        let server = run(server);
        let mut listening = Vec::new();
        // The one worker brings the listeners up in their order.
        for (address, tls) in starting {
            let Some(entrance) = started.recv().await else {
                if let Some(admin) = admin_server {
                    admin.stop(false).await;
                }
                return Err(ServiceError::Worker);
            };
            listening.push(Listening { address, entrance, tls });
        }
        let router = listening[0].entrance.router();
        metrics.configured(SystemTime::now(), false);
        admin.started();
        for listening in &listening {
            info!(url = url(listening), "listening");
        }
        if let Some(address) = admin_address {
            info!(%address, "answering operators");
        }
        listening.iter().filter_map(|listening| listening.tls.as_ref()).for_each(Tls::keep_watching);
        Ok(Self {
            listening,
            admin_address,
            router,
            doorkeeper,
            metrics,
            sockets,
            stopping,
            server,
            admin_server,
            limits,
            shutdown,
        })
    }

    /// The first of [`Service::addresses`].
    pub fn address(&self) -> SocketAddr {
        self.listening[0].address
    }

    /// The first of [`Service::urls`].
    pub fn url(&self) -> String {
        url(&self.listening[0])
    }

    /// The addresses that it listens on for WAMP clients, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listening.iter().map(|listening| listening.address)
    }

    /// The URLs for WAMP clients, in the order of the settings.
    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.listening.iter().map(url)
    }

    /// Where it answers `/metrics` and the like, if that is an address of its own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
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

    /// Reads the certificates again. Those that cannot be used are told in the log, and change nothing.
    pub fn reload_certificates(&self) {
        self.listening.iter().filter_map(|listening| listening.tls.as_ref()).for_each(|tls| tls.reload());
    }

    /// Goes on with other settings: with their realms, their limits, their times, and with what each listener has that
    /// is not fixed when it begins to listen. The listeners have to be the same, in the same order; their addresses,
    /// whether they have TLS, whether they take the PROXY protocol, and `handshake_timeout` stay, and so does the
    /// address for operators. Certificates are read again. If they cannot be used nothing changes.
    pub async fn reload(&mut self, settings: Settings) -> Result<(), ServiceError> {
        let Settings { listeners, admin: _, realms, limits, shutdown } = settings;
        let read = |files: &Option<TlsFiles>| files.clone().map(tls::Read::new).transpose();
        let read = listeners.iter().map(|listener| read(&listener.tls)).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(ServiceError::Certificate)?;
        // If the router is gone, the service ends.
        let _ = self.router.send(Reload { realms }).await;
        if limits.sessions != self.limits.sessions {
            files::raise_limit(limits.sessions);
        }
        self.doorkeeper.reload(&limits);
        self.limits = limits;
        self.shutdown = shutdown;
        self.metrics.forget_certificates();
        for (listening, (listener, read)) in self.listening.iter().zip(listeners.into_iter().zip(read)) {
            listening.entrance.reload(listener);
            if let (Some(tls), Some(read)) = (&listening.tls, read) {
                tls.take(read);
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

fn url(Listening { address, entrance, tls }: &Listening) -> String {
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    format!("{scheme}://{address}{}", entrance.terms().listener.path)
}

/// Runs a server until it is told to stop.
fn run(server: ServerBuilder) -> ServerHandle {
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    handle
}
