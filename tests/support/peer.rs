//! A WAMP client of the tests: it sends what it is told, right or wrong, and shows what comes.

use super::{
    form,
    router::{PATIENCE, Router},
};
use realmkeeper::ListenerKind;
use realmkeeper_actors::codec::Serializer;
use serde_json::{Map, Value as Json, json};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};
use tungstenite::{
    Message, WebSocket,
    client::IntoClientRequest,
    http::{HeaderValue, Response},
    protocol::frame::coding::CloseCode,
};

/// A client on one WebSocket or RawSocket, over a connection of type `S`.
pub(crate) struct Peer<S = TcpStream> {
    socket: Socket<S>,
    serializer: Serializer,
    /// The id of its session, once it has joined.
    pub(crate) session: u64,
    /// Its authid, once it has joined.
    pub(crate) authid: String,
    requests: u64,
}

/// How its messages are told apart.
enum Socket<S> {
    WebSocket(Box<WebSocket<S>>),
    RawSocket(S),
}

/// What comes from the router.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Received {
    /// A WAMP message.
    Message(Json),
    /// A close frame with this code, or without.
    Close(Option<u16>),
    /// The end of the connection without a close frame.
    End,
}

impl Peer {
    /// Opens a WebSocket.
    pub(crate) fn connect(router: &Router, serializer: Serializer) -> Self {
        Self::connect_to(router.address(), serializer)
    }

    /// Opens a WebSocket to whatever router listens there.
    pub(crate) fn connect_to(address: SocketAddr, serializer: Serializer) -> Self {
        Self::connect_at(address, "/ws", serializer)
    }

    /// Opens a WebSocket at this path.
    pub(crate) fn connect_at(address: SocketAddr, path: &str, serializer: Serializer) -> Self {
        let (socket, response) = open(address, path, &[("Sec-WebSocket-Protocol", serializer.subprotocol())])
            .expect("the router upgrades the connection");
        let chosen = response.headers().get("Sec-WebSocket-Protocol").map(HeaderValue::as_bytes);
        assert_eq!(chosen, Some(serializer.subprotocol().as_bytes()));
        Self::on(socket, serializer)
    }

    /// Connects to a listener of this kind.
    pub(crate) fn connect_over(kind: ListenerKind, address: SocketAddr, serializer: Serializer) -> Self {
        match kind {
            ListenerKind::WebSocket => Self::connect_to(address, serializer),
            ListenerKind::RawSocket => {
                let stream = TcpStream::connect(address).expect("the router listens");
                stream.set_nodelay(true).expect("a socket can be set");
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
                Self::shake_hands(stream, serializer, 15)
            }
        }
    }

    /// Connects to a listener of this kind, and joins `realm1` in all roles.
    pub(crate) fn join_over(kind: ListenerKind, address: SocketAddr, serializer: Serializer) -> Self {
        let mut peer = Self::connect_over(kind, address, serializer);
        peer.say_hello("realm1", &json!({}));
        peer
    }

    /// Opens a WebSocket and joins `realm1` in all roles.
    pub(crate) fn join(router: &Router, serializer: Serializer) -> Self {
        Self::join_realm(router, serializer, "realm1")
    }

    /// Opens a WebSocket to whatever router listens there, and joins `realm1` in all roles.
    pub(crate) fn join_at(address: SocketAddr, serializer: Serializer) -> Self {
        let mut peer = Self::connect_to(address, serializer);
        peer.say_hello("realm1", &json!({}));
        peer
    }

    /// Opens a WebSocket and joins a realm in all roles.
    pub(crate) fn join_realm(router: &Router, serializer: Serializer, realm: &str) -> Self {
        let mut peer = Self::connect(router, serializer);
        peer.say_hello(realm, &json!({}));
        peer
    }
}

impl<S: Read + Write> Peer<S> {
    /// Takes a WebSocket that is open.
    pub(crate) fn on(socket: WebSocket<S>, serializer: Serializer) -> Self {
        Self::over(Socket::WebSocket(Box::new(socket)), serializer)
    }

    fn over(socket: Socket<S>, serializer: Serializer) -> Self {
        Self { socket, serializer, session: 0, authid: String::new(), requests: 0 }
    }

    /// Opens a RawSocket as a client that takes messages of 2^(9 + `length`) octets.
    pub(crate) fn shake_hands(mut stream: S, serializer: Serializer, length: u8) -> Self {
        let number = match serializer {
            Serializer::Json => 1,
            Serializer::MessagePack => 2,
            Serializer::Cbor => 3,
        };
        stream.write_all(&[0x7f, length << 4 | number, 0, 0]).expect("the router takes the handshake");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("the router answers the handshake");
        assert_eq!((answer[0], answer[1] & 15, &answer[2..]), (0x7f, number, &[0, 0][..]));
        Self::over(Socket::RawSocket(stream), serializer)
    }

    /// Joins a realm in all roles, with these details besides.
    pub(crate) fn say_hello(&mut self, realm: &str, details: &Json) {
        self.announce(realm, &[], details);
    }

    /// Joins a realm in all roles, announcing these features in each of them, with these details besides.
    pub(crate) fn announce(&mut self, realm: &str, features: &[&str], details: &Json) {
        let features: Map<_, _> = features.iter().map(|feature| (feature.to_string(), json!(true))).collect();
        let role = if features.is_empty() { json!({}) } else { json!({"features": features}) };
        let mut details = details.clone();
        details["roles"] = json!({"caller": role, "callee": role, "publisher": role, "subscriber": role});
        self.send(&json!([1, realm, details]));
        self.welcomed();
    }

    fn welcomed(&mut self) {
        let welcome = self.message();
        assert_eq!(welcome[0], 2, "the router answers {welcome}");
        self.session = welcome[1].as_u64().expect("a session has an id");
        self.authid = welcome[2]["authid"].as_str().expect("a session has an authid").to_owned();
    }

    /// Joins a realm in all roles, as who has this ticket.
    pub(crate) fn prove(&mut self, realm: &str, authid: &str, ticket: &str) {
        let roles = json!({"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}});
        self.send(&json!([1, realm, {"roles": roles, "authmethods": ["ticket"], "authid": authid}]));
        assert_eq!(self.message(), json!([4, "ticket", {}]));
        self.send(&json!([5, ticket, {}]));
        self.welcomed();
    }

    /// Registers a procedure with these options; gives the registration.
    pub(crate) fn register(&mut self, procedure: &str, options: &Json) -> u64 {
        let request = self.request();
        self.send(&json!([64, request, options, procedure]));
        let answer = self.message();
        assert_eq!((&answer[0], &answer[1]), (&json!(65), &json!(request)), "the router answers {answer}");
        answer[2].as_u64().expect("a registration has an id")
    }

    /// The serializer that it speaks.
    pub(crate) fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// The next id for a request.
    pub(crate) fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &Json) {
        let bytes = form::encode(self.serializer, message);
        self.send_bytes(bytes);
    }

    /// Sends bytes in the kind of frame that the serializer uses.
    pub(crate) fn send_bytes(&mut self, bytes: Vec<u8>) {
        let sent = match &mut self.socket {
            Socket::RawSocket(stream) => stream.write_all(&raw_frame(0, &bytes)),
            Socket::WebSocket(socket) => {
                let message = match String::from_utf8(bytes) {
                    Ok(text) if self.serializer.is_text() => Message::text(text),
                    Ok(text) => Message::binary(text.into_bytes()),
                    Err(error) => Message::binary(error.into_bytes()),
                };
                socket.send(message).map_err(io::Error::other)
            }
        };
        sent.expect("the router takes the message");
    }

    /// Sends bytes as they are, whatever they mean.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("the router takes the bytes");
    }

    /// A message as a frame of a client.
    pub(crate) fn frame(&self, message: &Json) -> Vec<u8> {
        let message = form::encode(self.serializer, message);
        match &self.socket {
            Socket::WebSocket(_) => frame(if self.serializer.is_text() { 0x81 } else { 0x82 }, &message),
            Socket::RawSocket(_) => raw_frame(0, &message),
        }
    }

    /// A ping with this payload as a frame of a client.
    pub(crate) fn ping(&self, payload: &[u8]) -> Vec<u8> {
        match &self.socket {
            Socket::WebSocket(_) => frame(0x89, payload),
            Socket::RawSocket(_) => raw_frame(1, payload),
        }
    }

    /// Waits until the connection has ended, and gives all that came. GOODBYE is answered.
    pub(crate) fn rest(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while all.last() != Some(&Received::End) {
            let received = self.receive();
            if matches!(&received, Received::Message(message) if message[0] == 6) {
                let answer = self.frame(&json!([6, {}, "wamp.close.goodbye_and_out"]));
                // It may have been the answer to a GOODBYE of this peer: then nobody reads this one.
                let _ = self.stream().write_all(&answer);
            }
            all.push(received);
        }
        all
    }

    /// The WebSocket itself, for frames of every kind.
    pub(crate) fn socket(&mut self) -> &mut WebSocket<S> {
        match &mut self.socket {
            Socket::WebSocket(socket) => socket,
            Socket::RawSocket(_) => panic!("this peer has no WebSocket"),
        }
    }

    /// The connection beneath.
    pub(crate) fn stream(&mut self) -> &mut S {
        match &mut self.socket {
            Socket::WebSocket(socket) => socket.get_mut(),
            Socket::RawSocket(stream) => stream,
        }
    }

    /// Gives the connection beneath away.
    pub(crate) fn into_stream(self) -> S {
        match self.socket {
            Socket::WebSocket(socket) => socket.into_inner(),
            Socket::RawSocket(stream) => stream,
        }
    }

    /// Waits for what comes next. Pings are answered on the way.
    pub(crate) fn receive(&mut self) -> Received {
        let Socket::WebSocket(socket) = &mut self.socket else { return self.receive_raw() };
        let start = Instant::now();
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => return self.shown(text.as_bytes(), true),
                Ok(Message::Binary(bytes)) => return self.shown(&bytes, false),
                Ok(Message::Ping(_) | Message::Pong(_)) => be_patient(start),
                Ok(Message::Close(frame)) => {
                    let code = frame.map(|frame| frame.code);
                    return Received::Close(code.filter(|code| *code != CloseCode::Status).map(u16::from));
                }
                Ok(Message::Frame(_)) => unreachable!("frames are not read raw"),
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing came within {PATIENCE:?}")
                }
                // The process was stopped for a moment.
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    be_patient(start);
                }
                Err(_) => return Received::End,
            }
        }
    }

    fn receive_raw(&mut self) -> Received {
        let start = Instant::now();
        loop {
            match self.raw() {
                Some((0, message)) => return Received::Message(form::decode(self.serializer, &message)),
                Some((1, payload)) => {
                    be_patient(start);
                    // The router may have ended it meanwhile, which is read next.
                    let _ = self.stream().write_all(&raw_frame(2, &payload));
                }
                Some((2, _)) => be_patient(start),
                Some((first, _)) => panic!("a frame begins with {first:#x}"),
                None => return Received::End,
            }
        }
    }

    /// The next frame of a RawSocket: its first octet, and its payload. None comes after the end.
    pub(crate) fn raw(&mut self) -> Option<(u8, Vec<u8>)> {
        let stream = self.stream();
        let mut header = [0; 4];
        match stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("nothing came within {PATIENCE:?}")
            }
            Err(_) => return None,
        }
        let [first, high, middle, low] = header;
        let longest = if first & 8 == 0 { 0 } else { 1 << 24 };
        let mut payload = vec![0; longest + u32::from_be_bytes([0, high, middle, low]) as usize];
        // A connection that is reset may end in the middle of a frame.
        stream.read_exact(&mut payload).ok()?;
        Some((first, payload))
    }

    fn shown(&self, bytes: &[u8], is_text: bool) -> Received {
        assert_eq!(is_text, self.serializer.is_text(), "a frame of the wrong kind");
        Received::Message(form::decode(self.serializer, bytes))
    }

    /// Waits for a message.
    pub(crate) fn message(&mut self) -> Json {
        match self.receive() {
            Received::Message(message) => message,
            other @ (Received::Close(_) | Received::End) => panic!("{other:?} came instead of a message"),
        }
    }

    /// Calls a procedure and waits for the answer: RESULT or ERROR, whole.
    pub(crate) fn call(&mut self, procedure: &str, args: &Json, kwargs: &Json) -> Json {
        let request = self.request();
        self.send(&json!([48, request, {}, procedure, args, kwargs]));
        self.message()
    }

    /// Subscribes to a topic; gives the subscription.
    pub(crate) fn subscribe(&mut self, topic: &str) -> u64 {
        let request = self.request();
        self.send(&json!([32, request, {}, topic]));
        let answer = self.message();
        assert_eq!((&answer[0], &answer[1]), (&json!(33), &json!(request)), "the router answers {answer}");
        answer[2].as_u64().expect("a subscription has an id")
    }

    /// Publishes large events to a topic until so many octets are on their way.
    pub(crate) fn flood(&mut self, topic: &str, octets: usize) {
        let event = "x".repeat(60_000);
        for _ in 0..octets.div_ceil(event.len()) {
            let request = self.request();
            self.send(&json!([16, request, {}, topic, [event]]));
        }
    }

    /// Says GOODBYE and waits until the connection has ended.
    pub(crate) fn leave(mut self) {
        self.send(&json!([6, {}, "wamp.close.close_realm"]));
        loop {
            match self.receive() {
                Received::Message(_) => {}
                Received::Close(code) => assert_eq!(code, Some(1000)),
                Received::End => return,
            }
        }
    }
}

/// Asserts that there is time left to wait for more than pings.
fn be_patient(start: Instant) {
    assert!(start.elapsed() < PATIENCE, "nothing but pings came within {PATIENCE:?}");
}

/// A masked frame whose header begins with this octet: the flags and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = header(first, payload.len() as u64);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

/// A frame of a RawSocket with this type.
pub(crate) fn raw_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of a test is short").to_be_bytes();
    [&[length[0] << 3 | kind], &length[1..], payload].concat()
}

/// The header of a masked frame, up to the mask.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => header.push(0x80 | length),
        (_, Ok(length)) => {
            header.push(0x80 | 126);
            header.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

/// The response to an upgrade.
pub(crate) type Upgrade = Response<Option<Vec<u8>>>;

/// Opens a WebSocket with these headers; gives the refusal if there is one.
pub(crate) fn open(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocket<TcpStream>, Upgrade), tungstenite::Error> {
    let stream = TcpStream::connect(address)?;
    open_on(stream, path, headers)
}

/// Opens a WebSocket on a connection.
pub(crate) fn open_on(
    stream: TcpStream,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocket<TcpStream>, Upgrade), tungstenite::Error> {
    let url = format!("ws://{}{path}", stream.peer_addr()?);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    open_over(stream, &url, headers)
}

/// Opens a WebSocket over any connection.
pub(crate) fn open_over<S: Read + Write>(
    stream: S,
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocket<S>, Upgrade), tungstenite::Error> {
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, HeaderValue::from_str(value).expect("a header of the test is valid"));
    }
    tungstenite::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("the router did not answer the upgrade"),
    })
}
