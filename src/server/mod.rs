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
pub(crate) mod proxy_protocol;
mod route;
mod stream;
mod tls;
mod upgrade;

use self::{admin::Admin, clients::Clients, doorkeeper::Doorkeeper, listen::listen, tls::Tls};
use crate::{Settings, ShutdownTimes};
use actix::{Addr, MailboxError};
use actix_server::{Server, ServerBuilder, ServerHandle};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::{FinishCalls, Router, Shutdown},
    session::{Verifier, access::Access},
    transport::sockets::OpenSockets,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
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
    path: String,
    is_secure: bool,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    /// At least one.
    listening: Vec<Listening>,
    /// The TLS of the listeners that have it.
    tls: Vec<Arc<Tls>>,
    admin_address: Option<SocketAddr>,
    router: Addr<Router>,
    sockets: OpenSockets,
    stopping: CancellationToken,
    server: ServerHandle,
    admin_server: Option<ServerHandle>,
    shutdown: ShutdownTimes,
    linger: Duration,
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
        let doors = realms.iter().map(|realm| (realm.name.clone(), realm.door.clone()));
        let clients = Clients {
            access: Arc::new(Access::new(doors)),
            verifier: Verifier::default(),
            realms: realms.into(),
            metrics,
            doorkeeper: Arc::new(Doorkeeper::new(&limits, sockets.clone())),
            stopping: stopping.clone(),
            router,
            up,
        };
        let linger = listeners.iter().map(|listener| listener.session.linger).max().unwrap_or_default();
        let (mut listening, mut tls) = (Vec::new(), Vec::new());
        let mut server = Server::build().workers(1).disable_signals();
        for (listener, (address, socket)) in listeners.into_iter().zip(bound) {
            let admin = (admin_socket.is_none() && listening.is_empty()).then(|| admin.clone());
            let secured = listener.tls.clone().map(|files| Tls::new(files, clients.metrics.clone()));
            let secured = secured.transpose().map_err(ServiceError::Certificate)?.map(Arc::new);
            let (path, is_secure) = (listener.path.clone(), secured.is_some());
            listening.push(Listening { address, path, is_secure });
            tls.extend(secured.clone());
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
        let mut router = None;
        for _ in &listening {
            router = started.recv().await;
        }
        let Some(router) = router else {
            if let Some(admin) = admin_server {
                admin.stop(false).await;
            }
            return Err(ServiceError::Worker);
        };
        admin.started();
        for listening in &listening {
            info!(url = url(listening), "listening");
        }
        if let Some(address) = admin_address {
            info!(%address, "answering operators");
        }
        tls.iter().for_each(Tls::keep_watching);
        Ok(Self {
            listening,
            tls,
            admin_address,
            router,
            sockets,
            stopping,
            server,
            admin_server,
            shutdown,
            linger,
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

    /// Reads the certificates again. Those that cannot be used are told in the log, and change nothing.
    pub fn reload_certificates(&self) {
        self.tls.iter().for_each(|tls| tls.reload());
    }

    /// Admits no more sessions, lets calls be answered, says GOODBYE to all, waits until they are gone or their time
    /// is over, and stops.
    pub async fn stop(self) {
        let ShutdownTimes { wait, calls, spread } = self.shutdown;
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
        let _ = tokio::time::timeout(spread + self.linger + GRACE, self.sockets.all_closed()).await;
        self.server.stop(false).await;
        if let Some(admin) = self.admin_server {
            admin.stop(false).await;
        }
    }
}

fn url(Listening { address, path, is_secure }: &Listening) -> String {
    let scheme = if *is_secure { "wss" } else { "ws" };
    format!("{scheme}://{address}{path}")
}

/// Runs a server until it is told to stop.
fn run(server: ServerBuilder) -> ServerHandle {
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    handle
}
