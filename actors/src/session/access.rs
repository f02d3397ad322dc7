//! Who may join which realm, and as what (section "Authentication").

pub use super::auth::ticket::{InvalidHash, Ticket};

use super::auth::{Method, ticket};
use crate::{ban::BanList, collections::Map, message::uri::Uri, permission::Role};
use std::sync::Arc;

/// The doors of all realms.
#[derive(Debug, Default)]
pub struct Access {
    realms: Map<Uri, Admission>,
}

/// The door of one realm.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub anonymous: Option<Arc<Role>>,
    /// Those who prove who they are. Of two with the same authid the first counts.
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

/// A door with what is looked up when somebody stands before it.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub(crate) anonymous: Option<Arc<Role>>,
    principals: Map<Arc<str>, Principal>,
    /// Who is not let in.
    pub(crate) bans: BanList,
    /// A hash to be computed for those who have none; `None` if nobody has one.
    pub(crate) decoy: Option<Arc<ticket::Hash>>,
}

impl Access {
    /// The doors of these realms.
    pub fn new(realms: impl IntoIterator<Item = (Uri, Door)>) -> Self {
        Self { realms: realms.into_iter().map(|(realm, door)| (realm, Admission::new(door))).collect() }
    }

    /// Who is not let in to a realm.
    pub(crate) fn bans(&self, realm: &str) -> BanList {
        self.admission(realm).map(|admission| admission.bans.clone()).unwrap_or_default()
    }

    /// How a realm admits; `None` if there is no such realm.
    pub(crate) fn admission(&self, realm: &str) -> Option<&Admission> {
        self.realms.get(realm)
    }
}

impl Admission {
    fn new(Door { anonymous, principals }: Door) -> Self {
        let mut known = Map::<_, Principal>::default();
        for principal in principals {
            known.entry(principal.authid.clone()).or_insert(principal);
        }
        let decoy = known.values().find_map(|principal| principal.ticket.hash()).cloned();
        Self { anonymous, principals: known, bans: BanList::default(), decoy }
    }

    /// Whether somebody can join by this method.
    pub(crate) fn accepts(&self, method: Method) -> bool {
        match method {
            Method::Anonymous => self.anonymous.is_some(),
            Method::Ticket => !self.principals.is_empty(),
        }
    }

    /// The names of the methods by which somebody can join, for a text.
    pub(crate) fn accepted(&self) -> String {
        let accepted = Method::ALL.into_iter().filter(|method| self.accepts(*method));
        let names: Vec<_> = accepted.map(Method::name).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// Who has this authid.
    pub(crate) fn principal(&self, authid: &str) -> Option<&Principal> {
        self.principals.get(authid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_principals_with_the_same_authid_the_first_counts() {
        let principals = ["first", "second"].map(|role| {
            let role = Role::unrestricted(role).into();
            Principal { authid: "joe".into(), role, ticket: Ticket::plain("secret123") }
        });
        let door = Door { anonymous: None, principals: principals.into() };
        let access = Access::new([("realm1".into(), door)]);
        let joe = access.admission("realm1").and_then(|admission| admission.principal("joe"));
        assert_eq!(joe.map(|joe| &*joe.role.name), Some("first"));
    }
}
