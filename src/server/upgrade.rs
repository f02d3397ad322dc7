//! Upgrades WebSocket requests into sessions, and tells all others where WAMP clients connect, and how.
//!
//! Requests for an upgrade never reach the ordinary application, whatever their path and method: they are
//! checked here, and so is CONNECT.

use super::{
    TEXT,
    doorkeeper::{Doorkeeper, Excess},
    forwarded::Hop,
    origin,
    route::{Misled, Route},
    stream::Stream,
};
use crate::Listener;
use actix::{Actor, Addr};
use actix_codec::{Framed, FramedParts};
use actix_http::{
    Method, Request, RequestHead, Response, ResponseBuilder, StatusCode, Version,
    body::BodySize,
    h1,
    header::{self, HeaderMap},
    ws,
};
use actix_web::{HttpRequest, HttpResponse, web::Data};
use arc_swap::ArcSwap;
use futures_util::SinkExt;
use realmkeeper_actors::{
    codec::Serializer,
    roster::Transport,
    router::actor::Router,
    session::actor::{Environment, Session, Upgraded},
    transport::sockets::OpenSocket,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span};

/// Where clients come in by one listener.
#[derive(Debug)]
pub(super) struct Entrance {
    terms: ArcSwap<Terms>,
    /// Who counts the connections.
    doorkeeper: Arc<Doorkeeper>,
    /// That the router stops.
    stopping: CancellationToken,
}

/// On what terms the next connection is taken.
#[derive(Debug)]
pub(super) struct Terms {
    /// What the listener is configured as.
    pub(super) listener: Listener,
    /// What the sessions share.
    environment: Arc<Environment>,
}

/// Why a connection is not upgraded.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
    /// After how many seconds it may be tried again, if that is known.
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// The head of the response. The connection is closed after it.
    fn response(&self) -> ResponseBuilder {
        let mut response = Response::build(self.status);
        response.insert_header((header::CONTENT_TYPE, TEXT));
        response.force_close();
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.insert_header((header::ALLOW, "GET"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.insert_header((header::UPGRADE, "websocket"));
            response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response
    }
}

impl From<ws::HandshakeError> for Refusal {
    fn from(error: ws::HandshakeError) -> Self {
        use ws::HandshakeError as E;
        let (status, text) = match error {
            E::GetMethodRequired => (StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened by GET"),
            E::UnsupportedVersion | E::NoVersionHeader => {
                (StatusCode::UPGRADE_REQUIRED, "the header Sec-WebSocket-Version must be 13")
            }
            E::NoWebsocketUpgrade => (StatusCode::BAD_REQUEST, "the header Upgrade must be websocket"),
            E::NoConnectionUpgrade => (StatusCode::BAD_REQUEST, "the header Connection must hold Upgrade"),
            E::BadWebsocketKey => {
                (StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Key must be 16 octets in base64")
            }
        };
        Self::new(status, text)
    }
}

impl From<Excess> for Refusal {
    fn from(excess: Excess) -> Self {
        let text = excess.to_string();
        match excess {
            Excess::Sessions(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
            Excess::SessionsPerAddress { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, text),
            Excess::ConnectionRate { wait, .. } => {
                let retry_after = Some(wait.as_secs() + 1);
                Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, text) }
            }
        }
    }
}

impl From<Misled> for Refusal {
    fn from(misled: Misled) -> Self {
        Self::new(StatusCode::BAD_REQUEST, misled.to_string())
    }
}

/// Makes a session of a connection that asks for it, or refuses it in words.
pub(super) async fn upgrade(
    request: Request,
    mut framed: Framed<Stream, h1::Codec>,
    entrance: Arc<Entrance>,
) -> Result<(), actix_web::Error> {
    let direct = framed.io_ref().route();
    let terms = entrance.terms();
    let route = terms.follow(direct, request.head().headers());
    let peer = route.as_ref().unwrap_or(&direct).client;
    let span = info_span!("upgrade", %peer, path = request.path());
    async {
        let admitted = route.and_then(|route| {
            let (serializer, open) = entrance.admit(&terms, request.head(), &route)?;
            Ok((route, serializer, open))
        });
        match admitted {
            Ok((route, serializer, open)) => {
                let mut response = ws::handshake_response(request.head());
                response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, serializer.subprotocol()));
                send(&mut framed, response, String::new()).await?;
                entrance.begin(&terms, framed, &route, serializer, open);
                Ok(())
            }
            Err(refusal) => {
                debug!(status = refusal.status.as_u16(), text = refusal.text, "upgrade refused");
                send(&mut framed, refusal.response(), refusal.text + "\n").await
            }
        }
    }
    .instrument(span)
    .await
}

/// Answers a request that asks for no upgrade.
pub(super) async fn no_upgrade(request: HttpRequest, entrance: Data<Entrance>) -> HttpResponse {
    let terms = entrance.terms();
    if request.path() != terms.listener.path {
        return HttpResponse::NotFound().content_type(TEXT).body(terms.elsewhere() + "\n");
    }
    let text = "WAMP clients connect here by WebSocket: the headers Connection: Upgrade and Upgrade: websocket are \
                missing, which a proxy in front has to pass on\n";
    let mut response = HttpResponse::build(StatusCode::UPGRADE_REQUIRED);
    response.insert_header((header::UPGRADE, "websocket")).content_type(TEXT).body(text)
}

/// Sends a response with a text or, for the upgrade, without any body.
async fn send(
    framed: &mut Framed<Stream, h1::Codec>,
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

impl Entrance {
    pub(super) fn new(
        listener: Listener,
        environment: Environment,
        doorkeeper: Arc<Doorkeeper>,
        stopping: CancellationToken,
    ) -> Self {
        let terms = Terms { listener, environment: Arc::new(environment) };
        Self { terms: ArcSwap::from_pointee(terms), doorkeeper, stopping }
    }

    /// On what terms the next connection is taken.
    pub(super) fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Takes the next connections on the terms of this configuration.
    pub(super) fn reload(&self, listener: Listener) {
        let Environment { access, verifier, router, metrics, .. } = &*self.terms().environment;
        let environment = Environment {
            settings: listener.session.clone(),
            access: access.clone(),
            verifier: verifier.clone(),
            router: router.clone(),
            metrics: metrics.clone(),
        };
        self.terms.store(Arc::new(Terms { listener, environment: Arc::new(environment) }));
    }

    /// Where the realms are.
    pub(super) fn router(&self) -> Addr<Router> {
        self.terms().environment.router.clone()
    }

    /// Lets a connection in whose request is right and which is not one too many; gives the serializer of its
    /// session. What is wrong with a request is told first, so that nothing counts that could be no session, and
    /// pages that may not connect use up nothing of who looks at them.
    fn admit(
        &self,
        terms: &Terms,
        head: &RequestHead,
        route: &Route,
    ) -> Result<(Serializer, OpenSocket), Refusal> {
        let serializer = terms.check(head)?;
        if self.stopping.is_cancelled() {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the router stops"));
        }
        let open = self.doorkeeper.admit(route.client.address);
        let open = open.inspect_err(|excess| terms.environment.metrics.limit(excess.limit()))?;
        Ok((serializer, open))
    }

    /// Starts the session; what came behind the request is its to read.
    fn begin(
        &self,
        terms: &Terms,
        framed: Framed<Stream, h1::Codec>,
        route: &Route,
        serializer: Serializer,
        open: OpenSocket,
    ) {
        let address = |hop: Hop| hop.to_string().into_boxed_str();
        let transport = Transport {
            serializer,
            peer: address(route.client),
            via: route.via.map(address),
            is_secure: framed.io_ref().is_secure(),
        };
        let certificate = framed.io_ref().certificate();
        let FramedParts { io: socket, read_buf: read, .. } = framed.into_parts();
        let upgraded =
            Upgraded { socket, read, transport, certificate, open, stopping: self.stopping.clone() };
        Session::new(upgraded, terms.environment.clone()).start();
    }
}

impl Terms {
    /// What a request for another path is told.
    fn elsewhere(&self) -> String {
        format!("WAMP clients connect at {}", self.listener.path)
    }

    /// Finds the client of a request on a connection.
    fn follow(&self, direct: Route, headers: &HeaderMap) -> Result<Route, Refusal> {
        let trusted = &self.listener.trusted_proxies;
        Ok(direct.follow(headers, trusted, &self.environment.metrics)?)
    }

    /// Checks a request for an upgrade; gives the serializer of the session.
    fn check(&self, head: &RequestHead) -> Result<Serializer, Refusal> {
        let refuse = |status, text: &str| Err(Refusal::new(status, text));
        if head.method == Method::CONNECT {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "this is not a proxy");
        }
        if head.uri.path() != self.listener.path {
            return refuse(StatusCode::NOT_FOUND, &self.elsewhere());
        }
        if head.version < Version::HTTP_11 {
            return refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "a WebSocket needs HTTP/1.1");
        }
        ws::verify_handshake(head)?;
        self.check_origin(head.headers())?;
        self.choose_serializer(head.headers())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut origins = headers.get_all(header::ORIGIN);
        let Some(origin) = origins.next() else { return Ok(()) };
        if origins.next().is_some() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the header Origin is given more than once"));
        }
        if origin::is_allowed(origin.as_bytes(), &self.listener.allowed_origins) {
            return Ok(());
        }
        let text = format!(
            "pages of the origin {} may not connect: it is not among the allowed_origins of this listener",
            origin.as_bytes().escape_ascii()
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, text))
    }

    /// The first serializer that the client offers and this listener has.
    fn choose_serializer(&self, headers: &HeaderMap) -> Result<Serializer, Refusal> {
        let ours = &self.listener.serializers;
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
        let offered = offered.flat_map(|value| value.split(',')).map(str::trim);
        let mut known = offered.filter_map(Serializer::from_subprotocol);
        known.find(|offered| ours.contains(offered)).ok_or_else(|| {
            let ours = ours.iter().map(|ours| ours.subprotocol()).collect::<Vec<_>>().join(", ");
            let text = format!("the header Sec-WebSocket-Protocol must offer one of {ours}");
            Refusal::new(StatusCode::BAD_REQUEST, text)
        })
    }
}
