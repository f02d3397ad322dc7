//! The conversation of a client with a router: it joins, asks and is answered, is told what happens, and leaves.
//!
//! A task of its own reads all that comes, so that pings are answered whatever else this program waits for.

use super::{
    Address, Authorities, Credentials, Dialer, Failure, OwnCertificate, Refused, Serializer,
    connection::{Connection, Kind},
    credentials::Proof,
    dial::SILENCE,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json, value::RawValue};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

/// How many events and calls wait for this program at most; when there are as many, it reads no more.
const WAITING: usize = 1024;
/// How long the router may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// With whom to speak, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where the router is.
    pub(crate) address: Address,
    /// Who certifies it.
    pub(crate) authorities: Authorities,
    /// What certifies this client, if anything does.
    pub(crate) own: Option<OwnCertificate>,
    /// The realm to join.
    pub(crate) realm: String,
    /// Who joins.
    pub(crate) credentials: Credentials,
    /// How long the router may take for an answer.
    pub(crate) patience: Duration,
}

/// Arguments, or the parts of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Payload {
    /// By position.
    pub(crate) args: Vec<Value>,
    /// By keyword.
    pub(crate) kwargs: Map<String, Value>,
}

impl Payload {
    /// Only by position.
    pub(crate) fn of(args: Vec<Value>) -> Self {
        Self { args, kwargs: Map::new() }
    }

    /// The last elements of a message; an error says why they cannot be read.
    fn read(elements: &[&RawValue]) -> Result<Self, String> {
        fn part<T: Default + DeserializeOwned>(element: Option<&&RawValue>) -> Result<T, String> {
            let part = element.map(|element| serde_json::from_str(element.get()));
            part.transpose().map(Option::unwrap_or_default).map_err(|error| error.to_string())
        }
        Ok(Self { args: part(elements.first())?, kwargs: part(elements.get(1))? })
    }

    fn append_to(self, message: &mut Vec<Value>) {
        if !self.args.is_empty() || !self.kwargs.is_empty() {
            message.push(self.args.into());
        }
        if !self.kwargs.is_empty() {
            message.push(self.kwargs.into());
        }
    }
}

/// What happens without having been asked for.
#[derive(Debug)]
pub(crate) enum Happening {
    /// EVENT.
    Event(Event),
    /// INVOCATION.
    Invocation(Invocation),
}

/// What happens in a session, in order.
#[derive(Debug)]
pub(crate) struct Happenings(mpsc::Receiver<Result<Happening, Failure>>);

impl Happenings {
    /// Waits for what happens next; an error is the end of the session. A call that is dropped loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Happening, Failure> {
        self.0.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

/// What can be said of a session of which nobody knows why it ended.
fn ended() -> Failure {
    Failure::Unexpected("the session has ended".to_owned())
}

/// EVENT.
#[derive(Debug)]
pub(crate) struct Event {
    /// Of which subscription.
    pub(crate) subscription: u64,
    /// Of which publication.
    pub(crate) publication: u64,
    /// The details.
    pub(crate) details: Map<String, Value>,
    /// What was published, or why it cannot be read.
    pub(crate) payload: Result<Payload, String>,
}

/// INVOCATION.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What the answer has to name.
    pub(crate) request: u64,
    /// With what it was called, or why that cannot be read.
    pub(crate) payload: Result<Payload, String>,
}

/// What an invocation comes to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// YIELD.
    Yield(Payload),
    /// ERROR with this URI.
    Error(&'static str, Payload),
}

/// A session that has joined.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: u64,
    patience: Duration,
    orders: mpsc::UnboundedSender<Order>,
    /// Why it has ended, once it has.
    end: Arc<OnceLock<Failure>>,
}

#[derive(Debug)]
enum Order {
    /// A request: its code, and what comes behind its id; where the answer is wanted, and what it is about.
    Request { code: u64, rest: Vec<Value>, what: String, reply: oneshot::Sender<Result<Reply, Failure>> },
    /// A message that is not answered.
    Send(Vec<Value>),
    /// Goodbye.
    Leave(oneshot::Sender<()>),
}

/// How a request is answered.
#[derive(Debug)]
enum Reply {
    /// RESULT.
    Result(Payload),
    /// PUBLISHED, SUBSCRIBED or REGISTERED.
    Id(u64),
}

impl Session {
    /// Connects and joins.
    pub(crate) async fn join(peer: &Peer) -> Result<(Self, Happenings), Failure> {
        let joining = async {
            let (address, own) = (peer.address.clone(), peer.own.as_ref());
            let dialer = Dialer::new(address, Serializer::Json, &peer.authorities, own)?;
            let mut connection = Connection::open(&dialer).await?;
            let id = say_hello(&mut connection, peer).await?;
            Ok::<_, Failure>((connection, id))
        };
        let url = || peer.address.to_string();
        let silent = |_| Failure::Connect {
            url: url(),
            reason: format!("no answer within {}", humantime::format_duration(peer.patience)),
        };
        let (connection, id) = timeout(peer.patience, joining).await.map_err(silent)??;
        let (orders, ordered) = mpsc::unbounded_channel();
        let (happen, happenings) = mpsc::channel(WAITING);
        let end = Arc::new(OnceLock::new());
        let conversation = Conversation { connection, url: url(), last: 0, asked: HashMap::new() };
        tokio::spawn(conversation.hold(ordered, happen, end.clone()));
        Ok((Self { id, patience: peer.patience, orders, end }, Happenings(happenings)))
    }

    /// CALL.
    pub(crate) async fn call(&self, procedure: &str, payload: Payload) -> Result<Payload, Failure> {
        let what = format!("cannot call {procedure}");
        match self.request(48, json!({}), procedure, payload, what).await? {
            Reply::Result(payload) => Ok(payload),
            Reply::Id(_) => Err(Failure::Unexpected("a call is answered by an id".to_owned())),
        }
    }

    /// PUBLISH with acknowledgement; gives the publication.
    pub(crate) async fn publish(&self, topic: &str, payload: Payload) -> Result<u64, Failure> {
        let what = format!("cannot publish to {topic}");
        self.request(16, json!({"acknowledge": true}), topic, payload, what).await?.id()
    }

    /// SUBSCRIBE; gives the subscription.
    pub(crate) async fn subscribe(&self, topic: &str, matching: &str) -> Result<u64, Failure> {
        let what = format!("cannot subscribe to {topic}");
        self.request(32, json!({"match": matching}), topic, Payload::default(), what).await?.id()
    }

    /// REGISTER; gives the registration.
    pub(crate) async fn register(&self, procedure: &str) -> Result<u64, Failure> {
        let what = format!("cannot register {procedure}");
        self.request(64, json!({}), procedure, Payload::default(), what).await?.id()
    }

    /// Answers an invocation.
    pub(crate) fn answer(&self, request: u64, answer: Answer) {
        let (mut message, payload) = match answer {
            Answer::Yield(payload) => (vec![json!(70), json!(request), json!({})], payload),
            Answer::Error(uri, payload) => {
                (vec![json!(8), json!(68), json!(request), json!({}), json!(uri)], payload)
            }
        };
        payload.append_to(&mut message);
        // The session may have ended; that happens by itself.
        let _ = self.orders.send(Order::Send(message));
    }

    /// Says goodbye and waits for the answer, but not for long.
    pub(crate) async fn leave(self) {
        let (done, left) = oneshot::channel();
        if self.orders.send(Order::Leave(done)).is_ok() {
            // It left, or it is time to go: both end here.
            let _ = timeout(FAREWELL, left).await;
        }
    }

    async fn request(
        &self,
        code: u64,
        options: Value,
        uri: &str,
        payload: Payload,
        what: String,
    ) -> Result<Reply, Failure> {
        let mut rest = vec![options, uri.into()];
        payload.append_to(&mut rest);
        let (reply, answer) = oneshot::channel();
        let gone = || self.end.get().cloned().unwrap_or_else(ended);
        let order = Order::Request { code, rest, what, reply };
        self.orders.send(order).map_err(|_| gone())?;
        match timeout(self.patience, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(Failure::Silent { what: uri.to_owned(), patience: self.patience }),
        }
    }
}

impl Reply {
    fn id(self) -> Result<u64, Failure> {
        match self {
            Self::Id(id) => Ok(id),
            Self::Result(_) => Err(Failure::Unexpected("a request is answered by a result".to_owned())),
        }
    }
}

/// HELLO, CHALLENGE and AUTHENTICATE, WELCOME; gives the session id.
async fn say_hello(connection: &mut Connection, peer: &Peer) -> Result<u64, Failure> {
    let lost = |reason: String| Failure::Lost { url: peer.address.to_string(), reason };
    let mut proof = Proof::new(&peer.credentials);
    let mut details = json!({
        "agent": concat!("realmkeeper/", env!("CARGO_PKG_VERSION")),
        "authmethods": peer.credentials.methods(),
        "authextra": proof.extra(),
        "roles": {
            "caller": {},
            "callee": {"features": {"registration_revocation": true}},
            "publisher": {},
            "subscriber": {"features": {"pattern_based_subscription": true, "subscription_revocation": true}},
        },
    });
    if let Some(authid) = &peer.credentials.authid {
        details["authid"] = authid.as_str().into();
    }
    let hello = json!([1, peer.realm, details]).to_string();
    connection.send(Kind::Message, hello.into()).await.map_err(lost)?;
    loop {
        let message = match connection.receive().await.map_err(lost)? {
            (Kind::Message, octets) => read(&octets)?.0,
            (Kind::Ping, octets) => {
                connection.send(Kind::Pong, octets).await.map_err(lost)?;
                continue;
            }
            (Kind::Pong, _) => continue,
        };
        match (code(&message), &message[..]) {
            (2, [_, session, details, ..]) => {
                proof.check(details)?;
                return session.as_u64().ok_or_else(|| unexpected(&message));
            }
            (4, [_, Value::String(method), extra, ..]) => {
                let (signature, extra) = proof.answer(method, extra)?;
                let authenticate = json!([5, signature, extra]).to_string();
                connection.send(Kind::Message, authenticate.into()).await.map_err(lost)?;
            }
            (3, [_, details, Value::String(reason), ..]) => {
                return Err(farewell(format!("cannot join realm {}", peer.realm), details, reason));
            }
            _ => return Err(unexpected(&message)),
        }
    }
}

/// What is said on a connection.
struct Conversation {
    connection: Connection,
    url: String,
    /// The id of the last request.
    last: u64,
    /// The requests that are not answered.
    asked: HashMap<u64, Asked>,
}

/// A request that is not answered.
struct Asked {
    code: u64,
    /// What cannot be done if it is refused.
    what: String,
    reply: oneshot::Sender<Result<Reply, Failure>>,
}

impl Conversation {
    /// Until the session ends, or nobody is interested any more.
    async fn hold(
        mut self,
        mut ordered: mpsc::UnboundedReceiver<Order>,
        happen: mpsc::Sender<Result<Happening, Failure>>,
        end: Arc<OnceLock<Failure>>,
    ) {
        let mut beat = interval_at(Instant::now() + SILENCE, SILENCE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = 0;
        // The router may take as long again for a sign of life.
        let pings = matches!(self.connection, Connection::WebSocket(_));
        let failure = loop {
            let reads = happen.capacity() > 0;
            let done = tokio::select! {
                order = ordered.recv() => match order {
                    Some(Order::Leave(done)) => {
                        self.leave().await;
                        // Who waited may have gone.
                        let _ = done.send(());
                        return;
                    }
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                // There is room again.
                _ = happen.reserve(), if !reads => Ok(()),
                received = self.connection.receive(), if reads => {
                    silent = 0;
                    match received {
                        Ok((Kind::Message, octets)) => self.take(&octets, &happen).await,
                        Ok((Kind::Ping, octets)) => self.send(Kind::Pong, octets).await,
                        Ok((Kind::Pong, _)) => Ok(()),
                        Err(reason) => Err(self.lost(reason)),
                    }
                }
                _ = beat.tick(), if reads && pings => {
                    silent += 1;
                    match silent {
                        // Not all answer a ping without a payload.
                        1 => self.send(Kind::Ping, Bytes::from_static(b"ping")).await,
                        _ => Err(self.lost("it does not answer a ping".to_owned())),
                    }
                }
            };
            if let Err(failure) = done {
                break failure;
            }
        };
        end.get_or_init(|| failure.clone());
        // Those who wait for an answer find the end there.
        self.asked.clear();
        // Nobody may be interested any more.
        let _ = happen.send(Err(failure)).await;
        self.connection.close().await;
    }

    async fn carry_out(&mut self, order: Order) -> Result<(), Failure> {
        let message = match order {
            Order::Request { code, rest, what, reply } => {
                self.last += 1;
                self.asked.insert(self.last, Asked { code, what, reply });
                let mut message = vec![code.into(), self.last.into()];
                message.extend(rest);
                message
            }
            Order::Send(message) => message,
            Order::Leave(_) => return Ok(()),
        };
        self.say(message).await
    }

    async fn say(&mut self, message: Vec<Value>) -> Result<(), Failure> {
        self.send(Kind::Message, Value::from(message).to_string().into()).await
    }

    async fn send(&mut self, kind: Kind, octets: Bytes) -> Result<(), Failure> {
        self.connection.send(kind, octets).await.map_err(|reason| self.lost(reason))
    }

    fn lost(&self, reason: String) -> Failure {
        Failure::Lost { url: self.url.clone(), reason }
    }

    async fn leave(mut self) {
        let goodbye = vec![json!(6), json!({}), json!("wamp.close.close_realm")];
        if self.say(goodbye).await.is_ok() {
            while let Ok((kind, octets)) = self.connection.receive().await {
                if kind == Kind::Message && read(&octets).is_ok_and(|(message, _)| code(&message) == 6) {
                    break;
                }
            }
        }
        self.connection.close().await;
    }

    /// Takes what came. An error ends the session.
    async fn take(
        &mut self,
        bytes: &[u8],
        happen: &mpsc::Sender<Result<Happening, Failure>>,
    ) -> Result<(), Failure> {
        let (message, payload) = read(bytes)?;
        let id = |at: usize| message.get(at).and_then(Value::as_u64).ok_or_else(|| unexpected(&message));
        let code = code(&message);
        match code {
            50 => {
                let unreadable = |reason| Failure::Unexpected(format!("the result cannot be read: {reason}"));
                self.reply(48, id(1)?, payload.map(Reply::Result).map_err(unreadable));
            }
            17 | 33 | 65 => self.reply(code - 1, id(1)?, Ok(Reply::Id(id(2)?))),
            8 => {
                let (request, Some(uri)) = (id(2)?, message.get(4).and_then(Value::as_str)) else {
                    return Err(unexpected(&message));
                };
                let unreadable = |reason| format!("the rest cannot be read: {reason}").into();
                let payload = payload.unwrap_or_else(|reason| Payload::of(vec![unreadable(reason)]));
                let what = self.asked.get(&request).map(|asked| asked.what.clone()).unwrap_or_default();
                let refused =
                    Refused { what, uri: uri.to_owned(), told: payload.args, keywords: payload.kwargs };
                self.reply(id(1)?, request, Err(refused.into()));
            }
            36 => {
                let details = message.get(3).and_then(Value::as_object).cloned().unwrap_or_default();
                let event = Event { subscription: id(1)?, publication: id(2)?, details, payload };
                // Nobody may be interested any more.
                let _ = happen.send(Ok(Happening::Event(event))).await;
            }
            68 => {
                let invocation = Invocation { request: id(1)?, payload };
                let _ = happen.send(Ok(Happening::Invocation(invocation))).await;
            }
            35 | 67 if id(1)? == 0 => {
                let taken = if code == 35 { "subscription" } else { "registration" };
                let reason = message.get(2).and_then(|details| details.get("reason")).and_then(Value::as_str);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                return Err(Failure::Revoked(format!("{taken}{reason}")));
            }
            3 | 6 => {
                let (Some(details), Some(reason)) = (message.get(1), message.get(2).and_then(Value::as_str))
                else {
                    return Err(unexpected(&message));
                };
                if code == 6 {
                    let answer = vec![json!(6), json!({}), json!("wamp.close.goodbye_and_out")];
                    // The router ends the session in any case.
                    let _ = self.say(answer).await;
                }
                return Err(farewell("the router ended this session".to_owned(), details, reason));
            }
            _ => return Err(unexpected(&message)),
        }
        Ok(())
    }

    /// Hands an answer to who waits for it. It may be late: then nobody does.
    fn reply(&mut self, code: u64, request: u64, reply: Result<Reply, Failure>) {
        if self.asked.get(&request).is_some_and(|asked| asked.code == code)
            && let Some(asked) = self.asked.remove(&request)
        {
            // Who asked may not want to know any more.
            let _ = asked.reply.send(reply);
        }
    }
}

/// ABORT or GOODBYE.
fn farewell(what: String, details: &Value, reason: &str) -> Failure {
    let told = details.get("message").cloned().into_iter().collect();
    Refused { what, uri: reason.to_owned(), told, keywords: Map::new() }.into()
}

/// The elements of a message up to its payload, which are the router's, and the payload, which may be what another
/// client wrote: JSON, but maybe with numbers or text that cannot be read.
fn read(bytes: &[u8]) -> Result<(Vec<Value>, Result<Payload, String>), Failure> {
    let nonsense = |error: serde_json::Error| Failure::Unexpected(error.to_string());
    let value = |element: &&RawValue| serde_json::from_str(element.get()).map_err(nonsense);
    let elements: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(nonsense)?;
    let first: Vec<Value> = elements.first().map(value).transpose()?.into_iter().collect();
    let own = match code(&first) {
        50 => 3,
        36 | 68 => 4,
        8 => 5,
        _ => elements.len(),
    };
    let (own, payload) = elements.split_at(own.min(elements.len()));
    Ok((own.iter().map(value).collect::<Result<_, _>>()?, Payload::read(payload)))
}

/// The code of a message; 0, which none has, if it has none.
fn code(message: &[Value]) -> u64 {
    message.first().and_then(Value::as_u64).unwrap_or_default()
}

fn unexpected(message: &[Value]) -> Failure {
    Failure::unexpected("the message", &Value::from(message))
}
