//! The router: realms by name.

use crate::{message::uri::Uri, realm::RealmOptions, session::access::Door};

pub mod actor;

/// A realm, and who may join it.
#[derive(Clone, Debug)]
pub struct RealmSettings {
    /// Its name.
    pub name: Uri,
    /// How it takes what clients send.
    pub options: RealmOptions,
    /// Who may join, and as what.
    pub door: Door,
}
