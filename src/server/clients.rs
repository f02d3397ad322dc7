//! The listeners for WAMP clients: one worker serves them all, and carries the router, the realms and the sessions.

use super::{
    admin::Admin,
    caller::Caller,
    connection::within,
    doorkeeper::Doorkeeper,
    entrance::Entrance,
    listen::Bound,
    rawsocket::greet,
    stream::Opening,
    tls::Tls,
    unix::SocketFile,
    upgrade::{no_upgrade, upgrade},
};
use crate::{Listener, ListenerKind, RealmSettings};
use actix::Addr;
use actix_http::{HttpService, KeepAlive, Protocol, error::DispatchError};
use actix_rt::net::{TcpStream, UnixStream};
use actix_server::ServerBuilder;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App,
    dev::AppConfig,
    web::{self, Data},
};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::Router,
    session::{Verifier, access::Access, actor::Environment},
};
use std::{
    io,
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

/// How late the clock may be by which requests are timed.
const CLOCK: Duration = Duration::from_millis(500);

/// What the listeners share. Its clones go to the worker that serves them all.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// The realms with which the router starts.
    pub(super) realms: Vec<RealmSettings>,
    /// Who may join them.
    pub(super) access: Arc<Access>,
    /// Who runs the costly checks of proofs.
    pub(super) verifier: Verifier,
    /// What is counted.
    pub(super) metrics: Metrics,
    /// Who counts the connections.
    pub(super) doorkeeper: Arc<Doorkeeper>,
    /// That the router stops.
    pub(super) stopping: CancellationToken,
    /// The router, once the worker has started it.
    pub(super) router: Arc<OnceLock<Addr<Router>>>,
    /// Takes the entrance of each listener that is up.
    pub(super) up: UnboundedSender<Arc<Entrance>>,
}

impl Clients {
    /// Adds a listener to the server, with the paths of `admin` if they are answered there. Gives what is to be kept
    /// while it listens.
    pub(super) fn listen(
        self,
        server: ServerBuilder,
        bound: Bound,
        listener: Listener,
        tls: Option<Arc<Tls>>,
        admin: Option<Admin>,
    ) -> io::Result<(ServerBuilder, Option<SocketFile>)> {
        match (bound, listener.kind) {
            (Bound::Tcp(_, socket), ListenerKind::WebSocket) => {
                Ok((self.listen_for_websockets(server, socket, listener, tls, admin)?, None))
            }
            (Bound::Tcp(_, socket), ListenerKind::RawSocket) => {
                Ok((self.listen_for_rawsockets(server, socket, listener, tls)?, None))
            }
            (Bound::Unix(socket, file), _) => {
                Ok((self.listen_on_this_machine(server, socket, listener)?, Some(file)))
            }
        }
    }

    fn listen_for_websockets(
        self,
        server: ServerBuilder,
        socket: TcpListener,
        listener: Listener,
        tls: Option<Arc<Tls>>,
        admin: Option<Admin>,
    ) -> io::Result<ServerBuilder> {
        server.listen("websocket", socket, move || {
            let entrance = self.entrance(&listener);
            let mut app = App::new().wrap(TracingLogger::default()).app_data(Data::from(entrance.clone()));
            if let Some(admin) = &admin {
                app = app.configure(|config| admin.add_to(config));
            }
            let app = app.default_service(web::to(no_upgrade));
            let wait = listener.session.handshake_timeout + CLOCK;
            let opening = self.opening(&entrance, tls.clone());
            let open = move |io: TcpStream| {
                let opening = opening.clone();
                async move {
                    let stream = opening.open(io).await.map_err(DispatchError::Io)?;
                    let peer = stream.peer();
                    Ok((stream, Protocol::Http1, Some(peer)))
                }
            };
            let http = HttpService::build()
                .client_request_timeout(wait)
                .keep_alive(KeepAlive::Disabled)
                .upgrade(fn_service(move |(request, framed)| upgrade(request, framed, entrance.clone())))
                .finish(map_config(app, |()| AppConfig::default()));
            // The answer may take as long again.
            within(2 * wait, fn_service(open).and_then(http))
        })
    }

    fn listen_for_rawsockets(
        self,
        server: ServerBuilder,
        socket: TcpListener,
        listener: Listener,
        tls: Option<Arc<Tls>>,
    ) -> io::Result<ServerBuilder> {
        server.listen("rawsocket", socket, move || {
            let entrance = self.entrance(&listener);
            let opening = self.opening(&entrance, tls.clone());
            fn_service(move |io: TcpStream| {
                let (entrance, opening) = (entrance.clone(), opening.clone());
                async move {
                    let stream = opening.open(io).await?;
                    let caller = Caller::over(&stream, &stream.route());
                    greet(stream, caller, entrance).await
                }
            })
        })
    }

    fn listen_on_this_machine(
        self,
        server: ServerBuilder,
        socket: UnixListener,
        listener: Listener,
    ) -> io::Result<ServerBuilder> {
        server.listen_uds("rawsocket", socket, move || {
            let entrance = self.entrance(&listener);
            fn_service(move |stream: UnixStream| {
                let entrance = entrance.clone();
                async move {
                    let caller = Caller::local(&stream)?;
                    greet(stream, caller, entrance).await
                }
            })
        })
    }

    fn opening(&self, entrance: &Arc<Entrance>, tls: Option<Arc<Tls>>) -> Arc<Opening> {
        Arc::new(Opening { entrance: entrance.clone(), tls, metrics: self.metrics.clone() })
    }

    /// The router. The first listener to ask starts it on its arbiter, which thus carries the realms and all
    /// sessions.
    fn router(&self) -> Addr<Router> {
        let router = self.router.get_or_init(|| {
            self.doorkeeper.keep_sweeping();
            Router::host(self.realms.clone(), self.access.clone(), self.metrics.clone())
        });
        router.clone()
    }

    /// The entrance by a listener. Has to be called on the worker.
    fn entrance(&self, listener: &Listener) -> Arc<Entrance> {
        let environment = Environment {
            settings: listener.session.clone(),
            access: self.access.clone(),
            verifier: self.verifier.clone(),
            router: self.router(),
            metrics: self.metrics.clone(),
        };
        let (doorkeeper, stopping) = (self.doorkeeper.clone(), self.stopping.clone());
        let entrance = Arc::new(Entrance::new(listener.clone(), environment, doorkeeper, stopping));
        // If nobody waits any more, all have been up before, or the start was given up.
        let _ = self.up.send(entrance.clone());
        entrance
    }
}
