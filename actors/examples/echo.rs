//! Sessions that send back what comes, in the place of WAMP: what Autobahn|Testsuite tests.
//!
//! `cargo run --release -p realmkeeper-actors --features echo --example echo` listens on 127.0.0.1:9001. The sessions
//! are those of the router, with their sockets, frames, pings and close frames. As there, a connection is for text with
//! the subprotocol `wamp.2.json`, and for binary messages with another.

use actix::Actor;
use actix_codec::Framed;
use actix_http::{HttpService, Request, body::BodySize, h1, header, ws};
use actix_rt::net::TcpStream;
use actix_server::Server;
use futures_util::SinkExt;
use realmkeeper_actors::{
    codec::Serializer,
    metrics::Metrics,
    roster::{Channel, Transport},
    router::actor::Router,
    session::{
        SessionSettings, Verifier,
        access::Access,
        actor::{Environment, Session, Upgraded},
        lockout::{Lockout, LockoutOptions},
    },
    transport::{
        framing::Framing,
        sockets::{MostSockets, OpenSockets},
    },
};
use std::{io, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Where it listens.
const ADDRESS: (&str, u16) = ("127.0.0.1", 9001);
/// The largest message of the test suite, in octets.
const MESSAGE: usize = 16 << 20;

async fn upgrade(
    request: Request,
    mut framed: Framed<TcpStream, h1::Codec>,
    environment: Arc<Environment>,
) -> Result<(), actix_web::Error> {
    let offered = request.head().headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|offered| offered.to_str().ok()).and_then(Serializer::from_subprotocol);
    let serializer = offered.unwrap_or(Serializer::Json);
    let mut response = ws::handshake(request.head())?;
    response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, serializer.subprotocol()));
    framed.send(h1::Message::Item((response.message_body(())?, BodySize::None))).await?;
    let parts = framed.into_parts();
    let transport = Transport {
        serializer,
        framing: Framing::WebSocket,
        channel: Channel::Tcp,
        address: None,
        peer: "a client".into(),
        via: None,
    };
    let upgraded = Upgraded {
        socket: parts.io,
        read: parts.read_buf,
        transport,
        certificate: Box::default(),
        open: OpenSockets::default().open(None, MostSockets::default()).expect("there may be any number"),
        stopping: CancellationToken::new(),
    };
    Session::echo(upgraded, environment).start();
    Ok(())
}

/// What the sessions share: larger messages than the router takes, as many as come, and no end in sight.
fn environment() -> Environment {
    let settings = SessionSettings {
        handshake_timeout: Duration::from_secs(3600),
        message_limit: MESSAGE,
        outbox_limit: 8 * MESSAGE,
        ..SessionSettings::default()
    };
    let access = Arc::new(Access::new(Lockout::new(LockoutOptions::default()), [0; 32]));
    let metrics = Metrics::default();
    let router = Router::host(Vec::new(), access.clone(), metrics.clone());
    Environment { settings, access, verifier: Verifier::default(), router, metrics }
}

fn main() -> io::Result<()> {
    actix_rt::System::new().block_on(async {
        let server = Server::build().workers(1).bind("echo", ADDRESS, || {
            let environment = Arc::new(environment());
            HttpService::build()
                .tcp_nodelay(true)
                .upgrade(actix_service::fn_service(move |(request, framed)| {
                    upgrade(request, framed, environment.clone())
                }))
                .finish(actix_service::map_config(actix_web::App::new(), |()| {
                    actix_web::dev::AppConfig::default()
                }))
                .tcp()
        })?;
        server.run().await
    })
}
