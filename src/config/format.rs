//! The format of a configuration file. What is said here about a key is said in the JSON Schema too.

use super::{
    value::{Address, Age, Group, LogLevel, Mode, Moment, Network, Octets, Origin, Time, User},
    word::{
        Action, Beyond, ChannelBinding, ClientCertificates, Kdf, ListenerKind, LogFormat, Match, RequestIds,
        Serializer, SessionDetails, UriRule,
    },
};
use realmkeeper_actors::session::{self, auth::Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32, path::PathBuf};

/// The configuration of Realmkeeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
    /// Where the pages for operators are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub admin: Admin,
    /// What there can be at most, over all listeners and realms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// How often somebody may fail to prove who it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lockout: Lockout,
    /// How long the router takes that stops.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shutdown: Shutdown,
    /// Where WAMP clients connect.
    #[serde(default = "default_listeners")]
    #[schemars(length(min = 1))]
    pub listeners: Vec<Listener>,
    /// The realms.
    #[schemars(length(min = 1))]
    pub realms: Vec<Realm>,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace, or directives such as info,realmkeeper_actors=debug.
    pub level: LogLevel,
    /// The form of a log line.
    pub format: LogFormat,
}

/// Where the pages for operators are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The address that answers /metrics, /healthz, /readyz and /livez. Without it the first listener for
    /// WebSocket does.
    pub address: Option<Address>,
}

/// What there can be at most, over all listeners and realms. A connection beyond is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections. Without it any number.
    #[schemars(range(min = 1))]
    pub sessions: Option<usize>,
    /// Connections from one IPv4 address or one IPv6 network of 64 bits. Without it any number.
    #[schemars(range(min = 1))]
    pub sessions_per_address: Option<usize>,
    /// How often such an address may connect. Without it as often as it likes.
    pub connection_rate: Option<Rate>,
}

/// How often somebody may fail to prove who it is, by realm, address and authid. An address is an IPv4 address or an
/// IPv6 network of 64 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lockout {
    /// After how many failures it has to wait: nothing is asked of it meanwhile.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failures: NonZeroU32,
    /// How long it has to wait then. Every further failure doubles the time.
    pub delay: Time,
    /// How long it has to wait at most; at least delay.
    pub most: Time,
}

/// How long the router takes that stops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long sessions go on as before while no new ones are taken and /readyz says so, until balancers have
    /// noticed. Without it no time.
    pub wait: Option<Time>,
    /// How long calls in flight may take to be answered; new ones are refused meanwhile. Without it no time.
    pub calls: Option<Time>,
    /// The time over which the sessions are sent away, one after the other. Without it all at once.
    pub spread: Option<Time>,
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How often a second in the long run.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_second: NonZeroU32,
    /// How often at once after a rest.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: NonZeroU32,
}

/// Where and how WAMP clients connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// What clients speak: WebSocket or RawSocket.
    pub kind: ListenerKind,
    /// An IPv4 or IPv6 address and a port; port 0 takes any that is free.
    pub address: Address,
    /// The Unix domain socket on which it listens instead of an address; for RawSocket.
    #[serde(skip_serializing_if = "is_default")]
    pub unix: Option<UnixSocket>,
    /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, as balancers send it.
    pub proxy_protocol: bool,
    /// The networks of the balancers that are believed what they tell of the addresses of clients, by the PROXY
    /// protocol and by the headers Forwarded and X-Forwarded-For.
    pub trusted_proxies: Vec<Network>,
    /// The path of the WebSocket. Without effect on RawSocket, as the next.
    pub path: String,
    /// Which web pages may connect: "loopback" for those from this machine, origins such as
    /// `https://example.com`, or "*" for all.
    pub allowed_origins: Vec<Origin>,
    /// The serializers that clients can choose from.
    #[schemars(length(min = 1))]
    pub serializers: Vec<Serializer>,
    /// Whether silent clients are sent pings. Without it they are on WebSocket only: Autobahn for Python takes none
    /// on RawSocket. Where they are not, the system asks by TCP whether the other end is there.
    pub pings: Option<bool>,
    /// The certificates, if connections are encrypted.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<Tls>,
    /// Limits and times of each session.
    pub limits: SessionLimits,
}

/// A Unix domain socket in the file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnixSocket {
    /// Its place, seen from the folder of the configuration file. A socket there on which nobody listens is replaced.
    pub path: PathBuf,
    /// Who may connect: the permissions of the file in octal digits, of which that to write counts.
    #[serde(default = "default_mode")]
    pub mode: Mode,
    /// The user who owns the file, by name or number. Without it whoever runs the router.
    #[serde(default)]
    pub user: Option<User>,
    /// The group that owns the file, by name or number. Without it the one of the router.
    #[serde(default)]
    pub group: Option<Group>,
}

/// The certificates of a listener, in PEM files whose places are seen from the folder of the configuration file. They
/// are read again when they change, and on SIGHUP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file of the certificate, and of those by which it is certified.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// The file of the authorities by one of which clients have to be certified. Without it they need no certificate.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Whether clients need a certificate where there is client_ca.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_certificates: ClientCertificates,
    /// More certificates, of which a client gets the one for the name that it asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub more: Vec<Certificate>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The file of the certificate, and of those by which it is certified.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
}

/// Limits and times of each session of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionLimits {
    /// How long a client may take from the opening of the WebSocket or RawSocket until it has joined.
    pub handshake_timeout: Time,
    /// How long a client may take to answer CHALLENGE.
    pub authentication_timeout: Time,
    /// How long a session that has ended waits for its authorizer, and for the client to close its side.
    pub linger: Time,
    /// After how long a silent client is sent a ping.
    pub ping_interval: Time,
    /// How long a client may take to answer a ping, with the pong or with anything else.
    pub ping_timeout: Time,
    /// How long a client may take no data although some waits.
    pub write_stall: Time,
    /// The largest message that is taken, in octets; at least 1KiB. On RawSocket the power of two that is in it, and at
    /// most 16MiB.
    pub message_size: Octets,
    /// How many octets may wait for a client; at least message_size.
    pub outbox: Octets,
    /// How many octets of a client may wait for its realm; at least 1KiB.
    pub credit: Octets,
    /// How deep lists and dicts may stand inside each other in a message; the message itself counts.
    #[schemars(range(min = 8, max = 120))]
    pub nesting_depth: usize,
    /// How many messages a client may send. Without it any number.
    pub message_rate: Option<Rate>,
}

/// A realm, and who may join it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Realm {
    /// The name, a URI.
    pub name: String,
    /// What characters the URIs of clients can have.
    #[serde(default)]
    pub uris: UriRule,
    /// Which request ids are taken.
    #[serde(default)]
    pub request_ids: RequestIds,
    /// Whether the realm tells who its sessions are: the procedures and topics `wamp.session.*`.
    #[serde(default = "default_true")]
    pub session_meta_api: bool,
    /// The role of those who do not say who they are. Without it they are refused.
    #[serde(default)]
    pub anonymous: Option<String>,
    /// The procedures that are asked who joins that is no principal, by the method of authentication. Without one
    /// nobody else joins by it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub authenticators: Authenticators,
    /// What becomes of those who ask for a channel binding by cryptosign: none is offered.
    #[serde(default)]
    pub channel_binding: ChannelBinding,
    /// What there can be at most in the realm.
    #[serde(default)]
    pub limits: RealmLimits,
    /// Who may not join.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bans: Vec<Ban>,
    /// Which past events are kept.
    #[serde(default)]
    pub history: Vec<History>,
    /// What those who join may do.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Those who prove who they are.
    #[serde(default)]
    pub principals: Vec<Principal>,
    /// The file with more of them; its place is seen from the folder of the configuration file. The commands
    /// "realmkeeper user" write it.
    #[serde(default)]
    pub users: Option<PathBuf>,
    /// The tokens that let others in.
    #[serde(default)]
    pub jwt: Option<Jwt>,
}

/// What there can be at most in a realm. What is beyond is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RealmLimits {
    /// Sessions. Without it any number.
    #[schemars(range(min = 1))]
    pub sessions: Option<usize>,
    /// Sessions of one authid. Without it any number.
    #[schemars(range(min = 1))]
    pub sessions_per_authid: Option<usize>,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Registrations of one session.
    pub registrations: usize,
    /// Calls of one session that are not answered yet.
    pub calls: usize,
    /// How long a component may take to answer what the router asks it.
    pub component_timeout: Time,
    /// Bans by wamp.session.kill and its like that last. Of more the one that would end first ends at once.
    pub bans: usize,
    /// Events that are retained, those of all topics together.
    pub retained_events: usize,
    /// Octets of the retained events together.
    pub retained_bytes: Octets,
    /// Octets of a URI.
    #[schemars(range(min = 64))]
    pub uri_length: usize,
}

/// The procedures that are asked who joins a realm, by the method of authentication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authenticators {
    /// About those who do not say who they are.
    pub anonymous: Option<String>,
    /// About those who show a ticket.
    pub ticket: Option<String>,
    /// About those who sign with a secret.
    pub wampcra: Option<String>,
    /// About those who prove that they have a password.
    #[serde(rename = "wamp-scram")]
    pub wamp_scram: Option<String>,
    /// About those who sign with a private key.
    pub cryptosign: Option<String>,
}

impl Authenticators {
    /// Those that there are, with their methods.
    pub(super) fn each(&self) -> impl Iterator<Item = (Method, &str)> {
        let Self { anonymous, ticket, wampcra, wamp_scram, cryptosign } = self;
        let each = [
            (Method::Anonymous, anonymous),
            (Method::Ticket, ticket),
            (Method::WampCra, wampcra),
            (Method::WampScram, wamp_scram),
            (Method::Cryptosign, cryptosign),
        ];
        each.into_iter().filter_map(|(method, procedure)| Some((method, procedure.as_deref()?)))
    }
}

/// Somebody who may not join, with exactly one of authid and network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Who it is.
    #[serde(default)]
    pub authid: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub network: Option<Network>,
    /// When the ban ends. Without it it does not.
    #[serde(default)]
    pub until: Option<Moment>,
}

/// Past events that are kept, for wamp.subscription.get_events. Those beyond a bound go, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The topic, or the pattern of topics; a history is that of the subscription to exactly this.
    pub topic: String,
    /// How the topic matches.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// How many events are kept.
    #[serde(default = "default_history_events")]
    #[schemars(range(min = 1))]
    pub events: usize,
    /// How many octets they may have together; at least 1KiB.
    #[serde(default = "default_history_bytes")]
    pub bytes: Octets,
    /// How old they may get. Without it any age.
    #[serde(default)]
    pub age: Option<Age>,
}

/// What those who have a role may do. What no permission allows is denied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The name, which is the authrole of its sessions.
    pub name: String,
    /// Whether they may take a procedure that they may register from those who have registered it, by the option
    /// force_reregister.
    #[serde(default)]
    pub force_reregister: bool,
    /// What they are told of sessions, by wamp.session.on_join, on_leave and get.
    #[serde(default)]
    pub session_details: SessionDetails,
    /// How many sessions one authid may have in the role. Without it any number.
    #[serde(default)]
    pub sessions_per_authid: Option<SessionsPerAuthid>,
    /// The procedure that is asked what they may do. Without it the permissions say so.
    #[serde(default)]
    pub authorizer: Option<String>,
    /// Whether they may register and call the procedures that the router asks, such as authorizer.
    #[serde(default)]
    pub trusted: bool,
    /// The permissions. The most specific that matches a URI decides about it.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// How many sessions one authid may have in a role.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsPerAuthid {
    /// How many.
    #[schemars(range(min = 1))]
    pub most: usize,
    /// What happens to one more.
    #[serde(default)]
    pub beyond: Beyond,
}

/// What may be done with some URIs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The URI, or the pattern of URIs. The procedures that end what others hold, such as wamp.session.kill,
    /// need a permission whose uri begins with "wamp.".
    pub uri: String,
    /// How the uri matches.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// What may be done; an empty list denies.
    pub allow: Vec<Action>,
    /// Whether peers learn who calls or publishes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disclose: Disclose,
    /// How far those who call or publish are trusted, a number that callees and subscribers are told. Without it
    /// they are told none.
    #[serde(default)]
    pub trustlevel: Option<u32>,
}

/// Whether peers learn who calls or publishes: true is always, false is never. Without a key it is as the client
/// asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Disclose {
    /// Whether callees learn who calls.
    pub caller: Option<bool>,
    /// Whether subscribers learn who publishes.
    pub publisher: Option<bool>,
}

/// More principals of a realm, in a file of their own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Those who prove who they are.
    #[serde(default)]
    pub principals: Vec<Principal>,
}

/// Somebody who proves who it is, by each method of authentication for which there is a key here; by at least one. Of
/// the keys that begin with ticket there is at most one, and so there is of those that begin with secret and cra.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Who it is.
    pub authid: String,
    /// The name of its role.
    pub role: String,
    /// The ticket itself. Better one of the next three.
    #[serde(default)]
    pub ticket: Option<String>,
    /// The Argon2 hash of the ticket, as a PHC string.
    #[serde(default)]
    pub ticket_hash: Option<String>,
    /// The environment variable that holds the ticket.
    #[serde(default)]
    pub ticket_env: Option<String>,
    /// The file that holds the ticket; its place is seen from the folder of the configuration file.
    #[serde(default)]
    pub ticket_file: Option<PathBuf>,
    /// The secret of wampcra itself. Better one of the next three.
    #[serde(default)]
    pub secret: Option<String>,
    /// The environment variable that holds the secret of wampcra.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// The file that holds the secret of wampcra; its place is seen from the folder of the configuration file.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// What is derived of the secret of wampcra.
    #[serde(default)]
    pub cra: Option<Cra>,
    /// What is derived of the password of wamp-scram.
    #[serde(default)]
    pub scram: Option<Scram>,
    /// The public keys of cryptosign, each 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub public_keys: Vec<String>,
    /// The client certificates of tls, each by a name in it: "cn:" and the common name, "dns:" or "uri:" and an
    /// alternative name, or "sha256:" and the fingerprint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub certificates: Vec<String>,
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authid, role, .. } = self;
        f.debug_struct("Principal").field("authid", authid).field("role", role).finish_non_exhaustive()
    }
}

/// What is derived of a secret by PBKDF2 with HMAC-SHA256. "realmkeeper user passwd" makes it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cra {
    /// The salt, a text.
    pub salt: String,
    /// How many rounds it took.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub iterations: u32,
    /// The octets of the key.
    #[serde(default = "default_keylen")]
    #[schemars(range(min = 16, max = 64))]
    pub keylen: u32,
    /// The key in base64.
    pub key: String,
}

/// What is derived of a password for SCRAM. "realmkeeper user passwd" makes it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scram {
    /// How it was derived.
    pub kdf: Kdf,
    /// The salt in base64.
    pub salt: String,
    /// How many rounds it took, or passes over the memory.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub iterations: u32,
    /// The memory of argon2id13 in KiB.
    #[serde(default)]
    #[schemars(range(min = 8, max = 4_194_304))]
    pub memory: Option<u32>,
    /// StoredKey of RFC 5802 in base64.
    pub stored_key: String,
    /// ServerKey of RFC 5802 in base64.
    pub server_key: String,
}

/// The JSON Web Tokens that let somebody into a realm: signed with one of the keys, and not expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The files of the public keys of who signs them, each in PEM or as a JSON Web Key Set; their places are seen from
    /// the folder of the configuration file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keys: Vec<PathBuf>,
    /// The environment variable that holds the secret with which they are signed; at least 32 octets.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// The file that holds the secret with which they are signed; its place is seen from the folder of the
    /// configuration file.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The claim iss that they have to have. Without it they may have any.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What has to be in their claim aud. Without it those are refused that are for somebody.
    #[serde(default)]
    pub audience: Option<String>,
    /// The claim that is the authid.
    #[serde(default = "default_authid_claim")]
    pub authid_claim: String,
    /// The role that they give. Exactly one of this and the next.
    #[serde(default)]
    pub role: Option<String>,
    /// The claim that names the role, or several of which the first is taken that the realm has.
    #[serde(default)]
    pub role_claim: Option<String>,
}

/// Shows no secret, since a derived one can be tried against.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
hidden!(Cra, Scram);

impl From<session::Rate> for Rate {
    fn from(rate: session::Rate) -> Self {
        let session::Rate { per_second, burst } = rate;
        Self { per_second, burst }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_true() -> bool {
    true
}

fn default_keylen() -> u32 {
    32
}

fn default_authid_claim() -> String {
    "sub".into()
}

fn default_history_events() -> usize {
    1000
}

fn default_history_bytes() -> Octets {
    Octets(1 << 20)
}

fn default_mode() -> Mode {
    Mode(0o660)
}

fn default_listeners() -> Vec<Listener> {
    vec![Listener::default()]
}
