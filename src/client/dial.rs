//! Opens connections to a router: over TCP or a Unix domain socket, encrypted where that is asked for, and past the
//! opening handshake of a WebSocket or of a RawSocket.

use super::{
    Failure, OwnCertificate,
    address::{Address, Place},
    certificate::{self, Authorities},
};
use bytes::{Buf, BytesMut};
use clap::ValueEnum;
use serde::Serialize;
use socket2::{SockRef, TcpKeepalive};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::tungstenite::{
    client::IntoClientRequest,
    error::Error as WebSocketError,
    handshake::{
        client::{Request, Response, generate_request},
        derive_accept_key,
        machine::TryParse,
    },
    http::{
        HeaderValue, StatusCode,
        header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL},
    },
};

/// The first octet of a RawSocket.
const MAGIC: u8 = 0x7f;
/// The longest message that this client takes on a RawSocket, 16 MiB, as the handshake tells it.
const LONGEST: u8 = 15;
/// After how long a silence it is asked whether the router is there. On a WebSocket that is a ping; on a RawSocket,
/// where not all routers take one, the system asks.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// How often the system asks within such a time, until it gives up.
const PROBES: u32 = 4;
/// How long the answer to an upgrade may be.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serializer {
    /// JSON, in text frames on a WebSocket
    Json,
    /// MessagePack, in binary frames on a WebSocket
    Msgpack,
    /// CBOR, in binary frames on a WebSocket
    Cbor,
}

impl Serializer {
    /// The WebSocket subprotocol.
    fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::Msgpack => "wamp.2.msgpack",
            Self::Cbor => "wamp.2.cbor",
        }
    }

    /// The number in the handshake of a RawSocket.
    fn number(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::Msgpack => 2,
            Self::Cbor => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Msgpack => "MessagePack",
            Self::Cbor => "CBOR",
        }
    }
}

/// What octets travel on.
pub(crate) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// Opens connections to one address.
#[derive(Clone)]
pub(crate) struct Dialer {
    address: Address,
    serializer: Serializer,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection on which messages can be sent.
pub(crate) struct Dialed {
    /// What it travels on.
    pub(crate) octets: Box<dyn Octets>,
    /// What was read behind the answer to the handshake.
    pub(crate) read: BytesMut,
    /// How many octets a message may have that is sent on a RawSocket.
    pub(crate) longest: usize,
}

impl Dialer {
    /// Reads the certificates that connections with TLS need; an error says why they cannot be had.
    pub(crate) fn new(
        address: Address,
        serializer: Serializer,
        authorities: &Authorities,
        own: Option<&OwnCertificate>,
    ) -> Result<Self, Failure> {
        let tls = |host: &str| -> Result<_, String> {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            Ok((TlsConnector::from(Arc::new(certificate::config(authorities, own)?)), name))
        };
        let tls = match &address.place {
            Place::Tcp { host, is_secure: true, .. } => Some(tls(host)),
            Place::Tcp { is_secure: false, .. } | Place::Unix(_) => None,
        };
        let tls = tls.transpose().map_err(|reason| Failure::connect(&address, reason))?;
        Ok(Self { address, serializer, tls })
    }

    /// The same for another path of the address, as [`Address::beside`] has it.
    pub(crate) fn beside(&self, path: &str) -> Option<Self> {
        Some(Self { address: self.address.beside(path)?, ..self.clone() })
    }

    /// Where it connects to.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What messages are written in.
    pub(crate) fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// Connects; an error says why it cannot.
    pub(crate) async fn dial(&self) -> Result<Dialed, Failure> {
        let dialing = async {
            let octets = self.connect().await?;
            if self.address.is_web_socket {
                self.upgrade(octets).await
            } else {
                self.shake_hands(octets).await
            }
        };
        dialing.await.map_err(|reason| Failure::connect(&self.address, reason))
    }

    async fn connect(&self) -> Result<Box<dyn Octets>, String> {
        let text = |error: io::Error| error.to_string();
        let stream = match &self.address.place {
            Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(text)?)),
            Place::Tcp { host, port, .. } => {
                TcpStream::connect((host.as_str(), *port)).await.map_err(text)?
            }
        };
        stream.set_nodelay(true).map_err(text)?;
        if !self.address.is_web_socket {
            let asking = TcpKeepalive::new().with_time(SILENCE);
            let asking = asking.with_interval(SILENCE / PROBES).with_retries(PROBES);
            SockRef::from(&stream).set_tcp_keepalive(&asking).map_err(text)?;
        }
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let connected = connector.connect(name.clone(), stream).await;
        Ok(Box::new(connected.map_err(|error| format!("no TLS: {error}"))?))
    }

    async fn upgrade(&self, mut octets: Box<dyn Octets>) -> Result<Dialed, String> {
        let (request, key) = self.request().map_err(described)?;
        let mut read = BytesMut::new();
        let answer = answer(&mut octets, &request, &mut read).await;
        let answer = answer.map_err(|reason| format!("no WebSocket: {reason}"))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let body = String::from_utf8_lossy(&read);
            let body = body.lines().next().unwrap_or_default().trim();
            let colon = if body.is_empty() { "" } else { ": " };
            return Err(format!("it answers HTTP status {}{colon}{body}", answer.status()));
        }
        let header = |name| answer.headers().get(name).map(HeaderValue::as_bytes);
        if header(SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err("no WebSocket: its answer does not fit the key".to_owned());
        }
        let subprotocol = self.serializer.subprotocol();
        if header(SEC_WEBSOCKET_PROTOCOL) != Some(subprotocol.as_bytes()) {
            return Err(format!("it does not speak {subprotocol}"));
        }
        Ok(Dialed { octets, read, longest: usize::MAX })
    }

    /// The request of a WebSocket, and its key.
    fn request(&self) -> Result<(Vec<u8>, String), WebSocketError> {
        let mut request: Request = self.address.to_string().into_client_request()?;
        let subprotocol = HeaderValue::from_static(self.serializer.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        generate_request(request)
    }

    async fn shake_hands(&self, mut octets: Box<dyn Octets>) -> Result<Dialed, String> {
        let number = self.serializer.number();
        let ask = async {
            octets.write_all(&[MAGIC, LONGEST << 4 | number, 0, 0]).await?;
            octets.flush().await?;
            let mut answer = [0; 4];
            octets.read_exact(&mut answer).await.map(|_| answer)
        };
        let answer = ask.await.map_err(|error| format!("no RawSocket: {error}"))?;
        match answer {
            [MAGIC, lengths, 0, 0] if lengths & 0xf == number => {
                Ok(Dialed { octets, read: BytesMut::new(), longest: 512 << (lengths >> 4) })
            }
            [MAGIC, 0x10, 0, 0] => Err(format!("it does not speak {}", self.serializer.name())),
            [MAGIC, 0x20, 0, 0] => Err("it refuses the maximum length of messages".to_owned()),
            [MAGIC, 0x30, 0, 0] => Err("it refuses the reserved bits of the handshake".to_owned()),
            [MAGIC, 0x40, 0, 0] => Err("it has too many connections".to_owned()),
            _ => Err(format!("no RawSocket: it answers the handshake with {answer:02x?}")),
        }
    }
}

/// Sends a request and waits for the head of its answer; what was read behind that stays in `read`.
async fn answer(
    octets: &mut Box<dyn Octets>,
    request: &[u8],
    read: &mut BytesMut,
) -> Result<Response, String> {
    let text = |error: io::Error| error.to_string();
    octets.write_all(request).await.map_err(text)?;
    octets.flush().await.map_err(text)?;
    loop {
        if octets.read_buf(read).await.map_err(text)? == 0 {
            return Err("the connection was closed before an answer".to_owned());
        }
        if let Some((size, answer)) = Response::try_parse(read).map_err(described)? {
            read.advance(size);
            return Ok(answer);
        }
        if read.len() > LONGEST_ANSWER {
            return Err("its answer does not end".to_owned());
        }
    }
}

/// What the library says, without its name for the kind of error.
pub(super) fn described(error: WebSocketError) -> String {
    if let WebSocketError::Io(error) = error { error.to_string() } else { error.to_string() }
}
