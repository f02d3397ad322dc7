//! Who may join which realm, and as what (section "Authentication").

use crate::{collections::Map, message::uri::Uri, permission::Role};
use std::sync::Arc;

/// The doors of all realms.
#[derive(Debug, Default)]
pub struct Access {
    realms: Map<Uri, Door>,
}

/// The door of one realm.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub anonymous: Option<Arc<Role>>,
    /// Those who prove who they are.
    pub principals: Vec<Principal>,
}

/// Somebody who is known.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who it is.
    pub authid: Arc<str>,
    /// What it may do.
    pub role: Arc<Role>,
    /// How it proves that.
    pub ticket: Ticket,
}

/// What a principal shows to prove who it is.
#[derive(Clone)]
pub enum Ticket {
    /// The ticket itself.
    Plain(Box<str>),
    /// The Argon2 hash of the ticket, as a PHC string.
    Hashed(Box<str>),
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(secret)")
    }
}

impl Access {
    /// The doors of these realms.
    pub fn new(realms: impl IntoIterator<Item = (Uri, Door)>) -> Self {
        Self { realms: realms.into_iter().collect() }
    }

    /// The door of a realm.
    pub(crate) fn door(&self, realm: &str) -> Option<&Door> {
        self.realms.get(realm)
    }
}
