//! Realmkeeper as a service: it listens, upgrades connections, and stops in order.
//!
//! The WAMP core and the actors are in [`realmkeeper_actors`]; how a message travels is told in its docs.

pub mod bench;
mod origin;
mod server;

pub use server::{Service, ServiceError};

use realmkeeper_actors::{message::uri::Uri, realm::RealmOptions, session::SessionSettings};
use std::net::SocketAddr;

/// What a service is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The realms, by name.
    pub realms: Vec<(Uri, RealmOptions)>,
    /// Limits and times of every session.
    pub session: SessionSettings,
}

impl Default for Settings {
    /// One realm for whoever is on this machine.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            realms: vec![("realm1".into(), RealmOptions::default())],
            session: SessionSettings::default(),
        }
    }
}
