//! Upgrades WebSocket requests into sessions, and tells all others where WAMP clients connect, and how.
//!
//! Requests for an upgrade never reach the ordinary application, whatever their path and method: they are
//! checked here, and so is CONNECT.

use super::{
    TEXT,
    caller::Caller,
    doorkeeper::Excess,
    entrance::{Entrance, Shut, Terms},
    origin,
    route::{Misled, Route},
    stream::Stream,
};
use actix_codec::{Framed, FramedParts};
use actix_http::{
    Method, Request, RequestHead, Response, ResponseBuilder, StatusCode, Version,
    body::BodySize,
    h1,
    header::{self, HeaderMap},
    ws,
};
use actix_web::{HttpRequest, HttpResponse, web::Data};
use futures_util::SinkExt;
use realmkeeper_actors::{codec::Serializer, transport::framing::Framing};
use std::sync::Arc;
use tracing::{Instrument, debug, info_span};

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

impl From<Shut> for Refusal {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, shut.to_string()),
            Shut::Excess(excess) => excess.into(),
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
            // What is wrong with a request is told first: pages that may not connect use up nothing of who looks at
            // them.
            let serializer = terms.check(request.head())?;
            let caller = Caller::over(framed.io_ref(), &route);
            let open = entrance.admit(&caller)?;
            Ok((serializer, caller, open))
        });
        match admitted {
            Ok((serializer, caller, open)) => {
                let mut response = ws::handshake_response(request.head());
                response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, serializer.subprotocol()));
                send(&mut framed, response, String::new()).await?;
                let FramedParts { io, read_buf, .. } = framed.into_parts();
                let form = (serializer, Framing::WebSocket);
                entrance.begin(&terms, io, read_buf, caller, form, open);
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
