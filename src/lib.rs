//! Realmkeeper as a service: it listens, upgrades connections, and stops in order.
//!
//! The WAMP core and the actors are in [`realmkeeper_actors`]; how a message travels is told in its docs. The commands
//! of [`terminal`] know a router only as any client does.

pub mod bench;
mod client;
pub mod config;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod reload;
mod server;
pub mod terminal;
pub mod user;

pub use realmkeeper_actors::router::RealmSettings;
pub use reload::Configured;
pub use server::{Service, ServiceError};

use ipnet::IpNet;
use realmkeeper_actors::{
    codec::Serializer,
    permission::Role,
    realm::RealmOptions,
    session::{Rate, SessionSettings, access::Door, lockout::LockoutOptions},
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// What a service is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens for WAMP clients; at least one.
    pub listeners: Vec<Listener>,
    /// Where it answers `/metrics`, `/healthz`, `/readyz` and `/livez`; on the first listener for WebSocket if there is
    /// no address for them.
    pub admin: Option<SocketAddr>,
    /// The realms.
    pub realms: Vec<RealmSettings>,
    /// What there can be at most, over all listeners and realms.
    pub limits: NodeLimits,
    /// Who has to wait that fails to prove who it is.
    pub lockout: LockoutOptions,
    /// How it stops.
    pub shutdown: ShutdownTimes,
}

/// How long a service takes that stops. Each is none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownTimes {
    /// How long its sessions go on as before, while it takes no new ones, until balancers have noticed.
    pub wait: Duration,
    /// How long it waits for calls in flight to be answered, while it takes no new ones.
    pub calls: Duration,
    /// The time over which the sessions are sent away, one after the other.
    pub spread: Duration,
}

/// What clients speak to a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerKind {
    /// WAMP over WebSocket.
    #[default]
    WebSocket,
    /// WAMP over RawSocket.
    RawSocket,
}

/// Where and how WAMP clients connect.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What clients speak.
    pub kind: ListenerKind,
    /// The address; port 0 takes any that is free. Without effect where there is a Unix domain socket.
    pub address: SocketAddr,
    /// The Unix domain socket on which it listens instead of an address. Only for RawSocket.
    pub unix: Option<UnixSocket>,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Where the balancers are that are believed what they tell of the addresses of clients.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificates, where connections are encrypted.
    pub tls: Option<TlsFiles>,
    /// The path of the WebSocket.
    pub path: String,
    /// Which web pages may connect.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// The serializers that clients can choose from.
    pub serializers: Vec<Serializer>,
    /// Limits and times of the sessions.
    pub session: SessionSettings,
}

/// A Unix domain socket in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its file. One that is left over from before is replaced.
    pub path: PathBuf,
    /// The permissions of the file, such as `0o660`: to connect takes that of writing.
    pub mode: u32,
    /// The number of the user who owns it; whoever runs the service, if none.
    pub user: Option<u32>,
    /// The number of the group that owns it; that of the process, if none.
    pub group: Option<u32>,
}

/// The PEM files of a listener with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates. A client gets the one for the name that it asks for, else the first.
    pub certificates: Vec<CertificateFiles>,
    /// The certificates of the authorities by one of which clients have to be certified; `None` if they need not be.
    pub client_ca: Option<PathBuf>,
    /// Whether clients may come without a certificate all the same: those who show one still have to be certified.
    pub allows_no_client_certificate: bool,
}

/// The PEM files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those by which it is certified.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which web pages may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Those of every origin.
    Any,
    /// Those from this machine.
    Loopback,
    /// Those of this origin, such as `https://example.com`.
    Exactly(String),
}

/// What there can be at most on this node. What is beyond is refused before a WebSocket is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Connections; `None` for any number, here and below.
    pub sessions: Option<usize>,
    /// Connections from one IPv4 address or one IPv6 network of 64 bits.
    pub sessions_per_address: Option<usize>,
    /// How often such an address may connect.
    pub connection_rate: Option<Rate>,
}

impl Default for Settings {
    /// One realm for whoever is on this machine.
    fn default() -> Self {
        let anonymous = Some(Arc::new(Role::unrestricted("anonymous")));
        Self {
            listeners: vec![Listener::default()],
            admin: None,
            realms: vec![RealmSettings {
                name: "realm1".into(),
                options: RealmOptions::default(),
                door: Door { anonymous, ..Door::default() },
            }],
            limits: NodeLimits::default(),
            lockout: LockoutOptions::default(),
            shutdown: ShutdownTimes::default(),
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            kind: ListenerKind::default(),
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            unix: None,
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            tls: None,
            path: "/ws".into(),
            allowed_origins: vec![AllowedOrigin::Loopback],
            serializers: Serializer::ALL.to_vec(),
            session: SessionSettings::default(),
        }
    }
}
