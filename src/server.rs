//! The listener: upgrades WebSocket requests into sessions and answers all others.
//!
//! - `GET /ws` with `Upgrade: websocket`: a WAMP client.
//! - `GET /healthz`: 200 while the service runs.
//! - `GET /metrics`: all metrics, as Prometheus reads them.
//! - All else is told where WAMP clients connect, and how.
//!
//! Requests for an upgrade never reach the ordinary application, whatever their path and method: they are
//! checked here, and so is CONNECT.

use crate::{Settings, origin};
use actix::{Actor, Addr};
use actix_codec::{Framed, FramedParts};
use actix_http::{
    HttpService, Method, Request, Response, ResponseBuilder, StatusCode, Version,
    body::BodySize,
    h1,
    header::{self, HeaderValue},
    ws,
};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerHandle};
use actix_service::{fn_service, map_config};
use actix_web::{App, HttpResponse, dev::AppConfig, web};
use futures_util::SinkExt;
use realmkeeper_actors::{
    codec::Serializer,
    metrics::Metrics,
    roster::Transport,
    router::actor::{Router, Shutdown, gather},
    session::{
        access::Access,
        actor::{Environment, Session, Upgraded},
    },
    transport::sockets::OpenSockets,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span};
use tracing_actix_web::TracingLogger;

/// The path at which WAMP clients connect.
const PATH: &str = "/ws";

/// What a request for another path is told.
const ELSEWHERE: &str = "WAMP clients connect at /ws";

/// The type of the metrics.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of all other texts.
const TEXT: &str = "text/plain; charset=utf-8";

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
    /// The worker ended before it was ready.
    #[error("the worker did not start")]
    Worker,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    router: Addr<Router>,
    sockets: OpenSockets,
    stopping: CancellationToken,
    server: ServerHandle,
    linger: Duration,
}

/// What each upgrade needs.
#[derive(Debug)]
struct Shared {
    sockets: OpenSockets,
    stopping: CancellationToken,
    environment: Arc<Environment>,
}

impl Service {
    /// Starts to listen. Has to be called in an actix system.
    pub async fn start(settings: Settings) -> Result<Self, ServiceError> {
        let Some(first) = settings.listeners.into_iter().next() else { return Err(ServiceError::Worker) };
        let cannot_listen = |error| ServiceError::Listen { address: first.address, error };
        let listener = TcpListener::bind(first.address).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let (sockets, stopping) = (OpenSockets::default(), CancellationToken::new());
        let linger = first.session.linger;
        let session = first.session;
        let metrics = Metrics::default();
        let doors = settings.realms.iter().map(|realm| (realm.name.clone(), realm.door.clone()));
        let access = Arc::new(Access::new(doors));
        let (ready, mut started) = mpsc::unbounded_channel();
        let (realms, router) = (settings.realms, Arc::new(OnceLock::new()));
        let (open, token) = (sockets.clone(), stopping.clone());
        let server = Server::build().workers(1).disable_signals().listen("websocket", listener, move || {
            // This runs on the worker: its arbiter carries the router, the realms and all sessions.
            let router = router.get_or_init(|| {
                let realms = realms.iter().map(|realm| (realm.name.clone(), realm.options));
                let router = Router::new(realms, metrics.clone()).start();
                // If nobody waits any more, the start was given up.
                let _ = ready.send(router.clone());
                router
            });
            let environment = Environment {
                settings: session.clone(),
                access: access.clone(),
                router: router.clone(),
                metrics: metrics.clone(),
            };
            let shared = Arc::new(Shared {
                sockets: open.clone(),
                stopping: token.clone(),
                environment: Arc::new(environment),
            });
            let scraped = (router.clone(), metrics.clone());
            let app = App::new()
                .app_data(web::Data::new(scraped))
                .wrap(TracingLogger::default())
                .route("/healthz", web::get().to(healthz))
                .route("/healthz", web::head().to(healthz))
                .route("/metrics", web::get().to(scrape))
                .route(PATH, web::to(no_upgrade))
                .default_service(web::to(elsewhere));
            HttpService::build()
                .tcp_nodelay(true)
                .upgrade(fn_service(move |(request, framed)| upgrade(request, framed, shared.clone())))
                .finish(map_config(app, |()| AppConfig::default()))
                .tcp()
        });
        let server = server.map_err(cannot_listen)?.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        let router = started.recv().await.ok_or(ServiceError::Worker)?;
        Ok(Self { address, router, sockets, stopping, server: handle, linger })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for WAMP clients.
    pub fn url(&self) -> String {
        format!("ws://{}{PATH}", self.address)
    }

    /// The count of open sockets of sessions.
    pub fn sockets(&self) -> &OpenSockets {
        &self.sockets
    }

    /// Says GOODBYE to all sessions, waits until they are gone or their time is over, and stops.
    pub async fn stop(self) {
        // If the router is gone, there are no sessions to wait for either.
        let _ = self.router.send(Shutdown).await;
        self.stopping.cancel();
        self.server.pause().await;
        let patience = self.linger + Duration::from_millis(200);
        let _ = tokio::time::timeout(patience, self.sockets.all_closed()).await;
        self.server.stop(false).await;
    }
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("ok\n")
}

async fn scrape(scraped: web::Data<(Addr<Router>, Metrics)>) -> HttpResponse {
    let (router, metrics) = &**scraped;
    HttpResponse::Ok().content_type(EXPOSITION).body(gather(router, metrics).await)
}

async fn no_upgrade() -> HttpResponse {
    let text = "WAMP clients connect here by WebSocket: the headers Connection: Upgrade and Upgrade: websocket are \
                missing, which a proxy in front has to pass on\n";
    let mut response = HttpResponse::build(StatusCode::UPGRADE_REQUIRED);
    response.insert_header((header::UPGRADE, "websocket")).content_type(TEXT).body(text)
}

async fn elsewhere() -> HttpResponse {
    HttpResponse::NotFound().content_type(TEXT).body(format!("{ELSEWHERE}\n"))
}

/// Makes a session of a connection that asks for it, or refuses it in words.
async fn upgrade(
    request: Request,
    mut framed: Framed<TcpStream, h1::Codec>,
    shared: Arc<Shared>,
) -> Result<(), actix_web::Error> {
    let peer = framed.io_ref().peer_addr()?;
    let span = info_span!("upgrade", %peer, path = request.path());
    async {
        match check(&request) {
            Ok(serializer) => {
                let mut response = ws::handshake_response(request.head());
                response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, serializer.subprotocol()));
                send(&mut framed, response, String::new()).await?;
                begin(framed, peer, serializer, &shared);
                Ok(())
            }
            Err((status, text)) => {
                debug!(status = status.as_u16(), text, "upgrade refused");
                let mut response = Response::build(status);
                response.insert_header((header::CONTENT_TYPE, TEXT));
                response.force_close();
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.insert_header((header::ALLOW, "GET"));
                }
                if status == StatusCode::UPGRADE_REQUIRED {
                    response.insert_header((header::UPGRADE, "websocket"));
                    response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
                }
                send(&mut framed, response, text + "\n").await
            }
        }
    }
    .instrument(span)
    .await
}

/// Sends a response with a text or, for the upgrade, without any body.
async fn send(
    framed: &mut Framed<TcpStream, h1::Codec>,
    mut response: ResponseBuilder,
    text: String,
) -> Result<(), actix_web::Error> {
    let size = if text.is_empty() { BodySize::None } else { BodySize::Sized(text.len() as u64) };
    let head = response.message_body(())?;
    framed.feed(h1::Message::Item((head, size))).await?;
    if !text.is_empty() {
        framed.feed(h1::Message::Chunk(Some(text.into()))).await?;
    }
    SinkExt::<h1::Message<(Response<()>, BodySize)>>::flush(framed).await?;
    Ok(())
}

/// Starts the session; what came behind the request is its to read.
fn begin(framed: Framed<TcpStream, h1::Codec>, peer: SocketAddr, serializer: Serializer, shared: &Shared) {
    let FramedParts { io: socket, read_buf: read, .. } = framed.into_parts();
    let version = if peer.is_ipv4() { "tcp4" } else { "tcp6" };
    let transport = Transport { serializer, peer: format!("{version}:{peer}").into() };
    let upgraded =
        Upgraded { socket, read, transport, open: shared.sockets.open(), stopping: shared.stopping.clone() };
    Session::new(upgraded, shared.environment.clone()).start();
}

/// Checks a request for an upgrade; gives the serializer of the session, or the status and text of the refusal.
fn check(request: &Request) -> Result<Serializer, (StatusCode, String)> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    let head = request.head();
    if head.method == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "this is not a proxy");
    }
    if request.path() != PATH {
        return refuse(StatusCode::NOT_FOUND, ELSEWHERE);
    }
    if head.version < Version::HTTP_11 {
        return refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "a WebSocket needs HTTP/1.1");
    }
    if let Err(error) = ws::verify_handshake(head) {
        use ws::HandshakeError as E;
        return match error {
            E::GetMethodRequired => refuse(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened by GET"),
            E::UnsupportedVersion | E::NoVersionHeader => {
                refuse(StatusCode::UPGRADE_REQUIRED, "the header Sec-WebSocket-Version must be 13")
            }
            E::NoWebsocketUpgrade => refuse(StatusCode::BAD_REQUEST, "the header Upgrade must be websocket"),
            E::NoConnectionUpgrade => {
                refuse(StatusCode::BAD_REQUEST, "the header Connection must hold Upgrade")
            }
            E::BadWebsocketKey => {
                refuse(StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Key must be 16 octets in base64")
            }
        };
    }
    let origin = head.headers().get(header::ORIGIN);
    if !origin::is_allowed(origin) {
        let origin = origin.map(HeaderValue::as_bytes).unwrap_or_default();
        let text = format!(
            "pages of the origin {} may not connect: it is not among the allowed_origins of this listener",
            origin.escape_ascii()
        );
        return Err((StatusCode::FORBIDDEN, text));
    }
    let offered =
        head.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    offered.find_map(Serializer::from_subprotocol).ok_or_else(|| {
        let ours = Serializer::ALL.map(Serializer::subprotocol).join(", ");
        (StatusCode::BAD_REQUEST, format!("the header Sec-WebSocket-Protocol must offer one of {ours}"))
    })
}
