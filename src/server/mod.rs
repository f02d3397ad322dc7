//! The service: it listens, and it stops in order.
//!
//! Each listener upgrades WebSocket requests at its path into sessions ([`upgrade`]) if the limits of the node
//! allow it ([`doorkeeper`]). What those who run the service ask it is answered by [`admin`], at an address of its
//! own or else on the first listener.

mod admin;
mod doorkeeper;
mod files;
mod listen;
mod origin;
mod upgrade;

use self::{
    admin::Admin,
    doorkeeper::Doorkeeper,
    upgrade::{Entrance, no_upgrade, upgrade},
};
use crate::{Listener, RealmSettings, Settings};
use actix::{Actor, Addr};
use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{fn_service, map_config};
use actix_web::{
    App,
    dev::AppConfig,
    web::{self, Data},
};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::{Router, Shutdown},
    session::{access::Access, actor::Environment},
    transport::sockets::OpenSockets,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

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
    /// There is no address to listen on.
    #[error("there is no listener")]
    NoListener,
    /// The worker ended before it was ready.
    #[error("the worker did not start")]
    Worker,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    /// The addresses that it listens on, and the paths there; at least one.
    listening: Vec<(SocketAddr, String)>,
    admin_address: Option<SocketAddr>,
    router: Addr<Router>,
    sockets: OpenSockets,
    stopping: CancellationToken,
    server: ServerHandle,
    admin_server: Option<ServerHandle>,
    linger: Duration,
}

/// What the listeners share. Its clones go to the worker that serves them all.
#[derive(Clone, Debug)]
struct Shared {
    realms: Arc<[RealmSettings]>,
    access: Arc<Access>,
    metrics: Metrics,
    doorkeeper: Arc<Doorkeeper>,
    stopping: CancellationToken,
    /// The router, once the worker has started it.
    router: Arc<OnceLock<Addr<Router>>>,
    /// Takes the router from each listener that is up.
    up: UnboundedSender<Addr<Router>>,
}

impl Service {
    /// Starts to listen, on all addresses or on none. Has to be called in an actix system.
    pub async fn start(settings: Settings) -> Result<Self, ServiceError> {
        let Settings { listeners, admin: admin_address, realms, limits } = settings;
        if listeners.is_empty() {
            return Err(ServiceError::NoListener);
        }
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.address).chain(admin_address).collect();
        let mut bound = listen::listen(&addresses)?;
        let admin_listener = admin_address.and_then(|_| bound.pop());
        files::raise_limit(limits.sessions);

        let (sockets, stopping, metrics) =
            (OpenSockets::default(), CancellationToken::new(), Metrics::default());
        let admin = Admin::new(metrics.clone(), stopping.clone());
        let (up, mut started) = mpsc::unbounded_channel();
        let shared = Shared {
            access: Arc::new(Access::new(
                realms.iter().map(|realm| (realm.name.clone(), realm.door.clone())),
            )),
            realms: realms.into(),
            metrics,
            doorkeeper: Arc::new(Doorkeeper::new(&limits, sockets.clone())),
            stopping: stopping.clone(),
            router: Arc::default(),
            up,
        };
        let linger = listeners.iter().map(|listener| listener.session.linger).max().unwrap_or_default();
        let mut listening = Vec::new();
        let mut server = Server::build().workers(1).disable_signals();
        for (listener, (address, socket)) in listeners.into_iter().zip(bound) {
            let answers_admin = admin_listener.is_none() && listening.is_empty();
            listening.push((address, listener.path.clone()));
            let admin = answers_admin.then(|| admin.clone());
            server = serve(server, socket, listener, shared.clone(), admin)
                .map_err(|error| ServiceError::Listen { address, error })?;
        }
        // The clones in the server are the only ones, so that its end is noticed.
        drop(shared);
        let (admin_address, admin_server) = match admin_listener {
            Some((address, socket)) => {
                let served = admin.serve(socket).map_err(|error| ServiceError::Listen { address, error })?;
                (Some(address), Some(served))
            }
            None => (None, None),
        };
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
        Ok(Self { listening, admin_address, router, sockets, stopping, server, admin_server, linger })
    }

    /// The first of [`Service::addresses`].
    pub fn address(&self) -> SocketAddr {
        self.listening[0].0
    }

    /// The first of [`Service::urls`].
    pub fn url(&self) -> String {
        url(&self.listening[0])
    }

    /// The addresses that it listens on for WAMP clients, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listening.iter().map(|(address, _)| *address)
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

    /// Admits no more sessions, says GOODBYE to all, waits until they are gone or their time is over, and stops.
    pub async fn stop(self) {
        self.stopping.cancel();
        // If the router is gone, there are no sessions to wait for either.
        let _ = self.router.send(Shutdown).await;
        let _ = tokio::time::timeout(self.linger + GRACE, self.sockets.all_closed()).await;
        self.server.stop(false).await;
        if let Some(admin) = self.admin_server {
            admin.stop(false).await;
        }
    }
}

fn url((address, path): &(SocketAddr, String)) -> String {
    format!("ws://{address}{path}")
}

impl Shared {
    /// The router. The first listener to ask starts it on its arbiter, which thus carries the realms and all
    /// sessions.
    fn router(&self) -> Addr<Router> {
        let router = self.router.get_or_init(|| {
            self.doorkeeper.keep_sweeping();
            let realms = self.realms.iter().map(|realm| (realm.name.clone(), realm.options));
            Router::new(realms, self.metrics.clone()).start()
        });
        // If nobody waits any more, all have been up before, or the start was given up.
        let _ = self.up.send(router.clone());
        router.clone()
    }

    /// The entrance by a listener. Has to be called on the worker.
    fn entrance(&self, listener: &Listener) -> Arc<Entrance> {
        let environment = Environment {
            settings: listener.session.clone(),
            access: self.access.clone(),
            router: self.router(),
            metrics: self.metrics.clone(),
        };
        Arc::new(Entrance {
            listener: listener.clone(),
            doorkeeper: self.doorkeeper.clone(),
            stopping: self.stopping.clone(),
            environment: Arc::new(environment),
        })
    }
}

/// Adds a listener to the server, with the paths of `admin` if they are answered there.
fn serve(
    server: ServerBuilder,
    socket: TcpListener,
    listener: Listener,
    shared: Shared,
    admin: Option<Admin>,
) -> io::Result<ServerBuilder> {
    server.listen("websocket", socket, move || {
        let entrance = shared.entrance(&listener);
        let mut app = App::new().wrap(TracingLogger::default()).app_data(Data::from(entrance.clone()));
        if let Some(admin) = &admin {
            app = app.configure(|config| admin.add_to(config));
        }
        let app = app.default_service(web::to(no_upgrade));
        HttpService::build()
            .client_request_timeout(listener.session.handshake_timeout)
            // The time for a request is limited for the first of a connection only, so that it is the last as well.
            .keep_alive(KeepAlive::Disabled)
            .tcp_nodelay(true)
            .upgrade(fn_service(move |(request, framed)| upgrade(request, framed, entrance.clone())))
            .finish(map_config(app, |()| AppConfig::default()))
            .tcp()
    })
}

/// Runs a server until it is told to stop.
fn run(server: ServerBuilder) -> ServerHandle {
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    handle
}
