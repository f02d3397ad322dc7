//! A connection to a router, and how messages travel on it: in the frames of a WebSocket, or behind the lengths of a
//! RawSocket (section "RawSocket Transport").

use super::{
    Failure,
    address::{Address, Place},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::{fmt, io, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, ConfigBuilder, RootCertStore,
        client::WantsClientCert,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer, ServerName,
            pem::{self, PemObject},
        },
    },
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        client::IntoClientRequest,
        error::Error as WebSocketError,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};
use tokio_util::codec::{Decoder, Encoder, Framed};

/// The subprotocol of the only serializer.
const JSON: HeaderValue = HeaderValue::from_static("wamp.2.json");

/// What octets travel on.
pub(super) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// A connection to a router.
pub(super) enum Connection {
    WebSocket(Box<WebSocketStream<Box<dyn Octets>>>),
    RawSocket(Framed<Box<dyn Octets>, Frames>),
}

/// The certificate that a connection with TLS shows, in PEM files.
#[derive(Clone, Debug)]
pub(crate) struct OwnCertificate {
    /// It, and those between it and its authority.
    pub(crate) chain: Box<Path>,
    /// Its private key.
    pub(crate) key: Box<Path>,
}

/// By whom routers have to be certified.
#[derive(Clone, Debug)]
pub(crate) enum Authorities {
    /// Whom this system trusts.
    System,
    /// Those in a PEM file.
    File(Box<Path>),
}

impl Connection {
    /// Connects; an error says why it cannot.
    pub(super) async fn open(
        address: &Address,
        authorities: &Authorities,
        own: Option<&OwnCertificate>,
    ) -> Result<Self, Failure> {
        let cannot = |reason: String| Failure::Connect { url: address.to_string(), reason };
        let octets = octets(address, authorities, own).await.map_err(cannot)?;
        let opened = match address.is_web_socket {
            true => Self::upgrade(address, octets).await,
            false => Self::shake_hands(octets).await,
        };
        opened.map_err(cannot)
    }

    async fn upgrade(address: &Address, octets: Box<dyn Octets>) -> Result<Self, String> {
        let mut request = address.to_string().into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, JSON);
        let upgraded = tokio_tungstenite::client_async(request, octets).await;
        let (socket, response) = upgraded.map_err(|error| {
            let WebSocketError::Http(response) = error else {
                return format!("no WebSocket: {}", described(error));
            };
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let body = body.lines().next().unwrap_or_default().trim();
            let colon = if body.is_empty() { "" } else { ": " };
            format!("it answers HTTP status {}{colon}{body}", response.status())
        })?;
        match response.headers().get(SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if chosen == JSON => Ok(Self::WebSocket(Box::new(socket))),
            _ => Err("it does not speak wamp.2.json".to_owned()),
        }
    }

    async fn shake_hands(mut octets: Box<dyn Octets>) -> Result<Self, String> {
        let ask = async {
            octets.write_all(&[MAGIC, LONGEST << 4 | JSON_NUMBER, 0, 0]).await?;
            let mut answer = [0; 4];
            octets.read_exact(&mut answer).await.map(|_| answer)
        };
        let answer = ask.await.map_err(|error| format!("no RawSocket: {error}"))?;
        match answer {
            [MAGIC, lengths, 0, 0] if lengths & 0xf == JSON_NUMBER => {
                let longest = 512 << (lengths >> 4);
                Ok(Self::RawSocket(Framed::new(octets, Frames { longest })))
            }
            [MAGIC, 0x10, 0, 0] => Err("it does not speak JSON".to_owned()),
            [MAGIC, 0x20, 0, 0] => Err("it refuses the maximum length of messages".to_owned()),
            [MAGIC, 0x30, 0, 0] => Err("it refuses the reserved bits of the handshake".to_owned()),
            [MAGIC, 0x40, 0, 0] => Err("it has too many connections".to_owned()),
            _ => Err(format!("no RawSocket: it answers the handshake with {answer:02x?}")),
        }
    }

    /// Sends a message, or a ping, or the answer to one.
    pub(super) async fn send(&mut self, kind: Kind, octets: Bytes) -> Result<(), String> {
        match self {
            Self::WebSocket(socket) => {
                let frame = match kind {
                    Kind::Message => {
                        Message::Text(Utf8Bytes::try_from(octets).map_err(|error| error.to_string())?)
                    }
                    Kind::Ping => Message::Ping(octets),
                    Kind::Pong => Message::Pong(octets),
                };
                socket.send(frame).await.map_err(described)
            }
            Self::RawSocket(socket) => socket.send((kind, octets)).await.map_err(|error| error.to_string()),
        }
    }

    /// Waits for what comes; a ping has to be answered. A call that is dropped loses nothing.
    pub(super) async fn receive(&mut self) -> Result<(Kind, Bytes), String> {
        const END: &str = "the router closed it";
        match self {
            Self::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => Ok((Kind::Message, text.into())),
                Some(Ok(Message::Binary(_))) => Err("a binary frame came".to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let code = u16::from(frame.code);
                    Err(format!("{END} with code {code} {:?}", frame.reason.as_str()))
                }
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    Ok((Kind::Pong, Bytes::new()))
                }
                Some(Ok(Message::Close(None))) | None => Err(END.to_owned()),
                Some(Err(error)) => Err(described(error)),
            },
            Self::RawSocket(socket) => match socket.next().await {
                Some(frame) => frame.map_err(|error| error.to_string()),
                None => Err(END.to_owned()),
            },
        }
    }

    /// Ends the connection. Nobody is there to be told of an error.
    pub(super) async fn close(mut self) {
        match &mut self {
            Self::WebSocket(socket) => {
                let _ = socket.close().await;
            }
            Self::RawSocket(socket) => {
                let _ = SinkExt::<(Kind, Bytes)>::close(socket).await;
            }
        }
    }
}

/// Connects, and encrypts where that is asked for.
async fn octets(
    address: &Address,
    authorities: &Authorities,
    own: Option<&OwnCertificate>,
) -> Result<Box<dyn Octets>, String> {
    let (host, port, is_secure) = match &address.place {
        Place::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
            return Ok(Box::new(stream));
        }
        Place::Tcp { host, port, is_secure } => (host, *port, *is_secure),
    };
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    if !is_secure {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let roots = authorities.roots()?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match own {
        Some(own) => own.shown_by(config)?,
        None => config.with_no_client_auth(),
    };
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
    Ok(Box::new(stream))
}

impl OwnCertificate {
    fn shown_by(&self, config: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig, String> {
        let chain = certificates(&self.chain)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            let is_missing = matches!(error, pem::Error::NoItemsFound);
            if is_missing {
                unusable(&self.key, &"no private key in it")
            } else {
                unusable(&self.key, &error)
            }
        })?;
        config.with_client_auth_cert(chain, key).map_err(|error| {
            if let rustls::Error::InconsistentKeys(_) = error {
                let text = format!("not the key of the certificate in {}", self.chain.display());
                return unusable(&self.key, &text);
            }
            unusable(&self.chain, &error)
        })
    }
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unusable(file, &"no certificate in it")),
        found => found.map_err(|error| unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

impl Authorities {
    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err("this system has no certificates of authorities; use --ca FILE".to_owned());
                }
            }
            Self::File(file) => {
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unusable(file, &error))?;
                }
            }
        }
        Ok(roots)
    }
}

/// What the library says, without its name for the kind of error.
fn described(error: WebSocketError) -> String {
    if let WebSocketError::Io(error) = error { error.to_string() } else { error.to_string() }
}

/// The first octet of a RawSocket.
const MAGIC: u8 = 0x7f;
/// The number of JSON in the handshake.
const JSON_NUMBER: u8 = 1;
/// The longest message that this client takes, 16 MiB, as the handshake tells it.
const LONGEST: u8 = 15;

/// How messages travel on a RawSocket.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many octets a message for the router may have.
    longest: usize,
}

/// What a frame is; the numbers are those of a RawSocket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Message = 0,
    Ping = 1,
    Pong = 2,
}

impl Decoder for Frames {
    type Item = (Kind, Bytes);
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let Some(header) = read.first_chunk::<4>() else { return Ok(None) };
        let header = u32::from_be_bytes(*header);
        let kind = match header >> 24 {
            0 | 8 => Kind::Message,
            1 => Kind::Ping,
            2 => Kind::Pong,
            _ => return Err(invalid("a frame of a kind that there is not")),
        };
        let length = match (header >> 24, header & 0x00ff_ffff) {
            (8, 0) => 1 << 24,
            (8, _) => return Err(invalid("a frame with a length that there is not")),
            (_, length) => length as usize,
        };
        if read.len() < 4 + length {
            read.reserve(4 + length - read.len());
            return Ok(None);
        }
        read.advance(4);
        Ok(Some((kind, read.split_to(length).freeze())))
    }
}

impl Encoder<(Kind, Bytes)> for Frames {
    type Error = io::Error;

    fn encode(&mut self, (kind, octets): (Kind, Bytes), out: &mut BytesMut) -> io::Result<()> {
        if octets.len() > self.longest {
            return Err(invalid(&format!(
                "a message of {} octets is too long: the router takes {}",
                octets.len(),
                self.longest
            )));
        }
        // A length of exactly 2^24 becomes the bit beside the kind, as the section says.
        out.put_u32(
            (kind as u32) << 24 | octets.len() as u32 & 0x00ff_ffff | ((octets.len() >> 24) as u32) << 27,
        );
        out.put(octets);
        Ok(())
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(octets: &[u8]) -> io::Result<Option<(Kind, Bytes)>> {
        Frames { longest: 512 }.decode(&mut octets.into())
    }

    #[test]
    fn a_frame_is_what_its_header_says() {
        for (octets, kind) in
            [([0, 0, 0, 2], Kind::Message), ([1, 0, 0, 2], Kind::Ping), ([2, 0, 0, 2], Kind::Pong)]
        {
            let frame = [&octets[..], b"ab"].concat();
            let read = decoded(&frame).unwrap();
            assert_eq!(read, Some((kind, Bytes::from_static(b"ab"))));
            for length in 0..frame.len() {
                assert_eq!(decoded(&frame[..length]).unwrap(), None, "{length} octets");
            }
            let mut out = BytesMut::new();
            Frames { longest: 512 }.encode((kind, Bytes::from_static(b"ab")), &mut out).unwrap();
            assert_eq!(out, frame);
        }
    }

    #[test]
    fn what_is_reserved_is_refused() {
        for header in [[3, 0, 0, 0], [7, 0, 0, 0], [8, 0, 0, 1], [9, 0, 0, 0], [16, 0, 0, 0]] {
            assert_eq!(decoded(&header).unwrap_err().kind(), io::ErrorKind::InvalidData, "{header:?}");
        }
    }

    #[test]
    fn the_longest_message_has_a_bit_of_its_own() {
        let longest = 1 << 24;
        let mut out = BytesMut::new();
        let mut frames = Frames { longest };
        frames.encode((Kind::Message, vec![b'x'; longest].into()), &mut out).unwrap();
        assert_eq!((&out[..4], out.len()), (&[8, 0, 0, 0][..], 4 + longest));
        let (kind, octets) = frames.decode(&mut out).unwrap().unwrap();
        assert_eq!((kind, octets.len()), (Kind::Message, longest));
        let error = frames.encode((Kind::Message, vec![b'x'; longest + 1].into()), &mut out).unwrap_err();
        let text = "a message of 16777217 octets is too long: the router takes 16777216";
        assert_eq!(error.to_string(), text);
    }
}
