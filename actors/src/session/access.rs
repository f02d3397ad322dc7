//! Who may join which realm, and as what (section "Authentication").

pub use super::auth::ticket::{InvalidHash, Ticket};

use super::auth::{Method, ticket};
use crate::{collections::Map, message::uri::Uri, permission::Role};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The doors of all realms. The router replaces them when its configuration changes.
#[derive(Debug, Default)]
pub struct Access {
    realms: ArcSwap<Map<Uri, Arc<Admission>>>,
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
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub(crate) anonymous: Option<Arc<Role>>,
    principals: Map<Arc<str>, Principal>,
    /// A hash to be computed for those who have none; `None` if nobody has one.
    pub(crate) decoy: Option<Arc<ticket::Hash>>,
}

impl Access {
    /// Has the doors of these realms from now on, and no others.
    pub(crate) fn replace(&self, realms: impl IntoIterator<Item = (Uri, Door)>) {
        let realms = realms.into_iter().map(|(realm, door)| (realm, Arc::new(Admission::new(door))));
        self.realms.store(Arc::new(realms.collect()));
    }

    /// How a realm admits; `None` if there is no such realm.
    pub(crate) fn admission(&self, realm: &str) -> Option<Arc<Admission>> {
        self.realms.load().get(realm).cloned()
    }
}

impl Admission {
    fn new(Door { anonymous, principals }: Door) -> Self {
        let mut known = Map::<_, Principal>::default();
        for principal in principals {
            known.entry(principal.authid.clone()).or_insert(principal);
        }
        let decoy = known.values().find_map(|principal| principal.ticket.hash()).cloned();
        Self { anonymous, principals: known, decoy }
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

    /// The role of somebody who was let in with a role of this name: by this door or, if the configuration has changed
    /// since, by the one that was in its place. `None` if this one would give no such role; whether it would ask for
    /// the same proof does not matter.
    pub(crate) fn role_of(&self, authmethod: &str, authid: Option<&str>, role: &str) -> Option<Arc<Role>> {
        let given = if authmethod == Method::Anonymous.name() {
            self.anonymous.as_ref()
        } else {
            self.principal(authid?).map(|principal| &principal.role)
        };
        given.filter(|given| *given.name == *role).cloned()
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
    fn who_was_let_in_keeps_a_role_of_the_same_name_only() {
        let role = |name| Arc::new(Role::unrestricted(name));
        let joe =
            Principal { authid: "joe".into(), role: role("backend"), ticket: Ticket::plain("secret123") };
        let door = Admission::new(Door { anonymous: Some(role("guest")), principals: vec![joe] });
        for (authmethod, authid, role, expected) in [
            ("anonymous", Some("9XYZ"), "guest", Some("guest")),
            ("anonymous", None, "guest", Some("guest")),
            ("anonymous", Some("joe"), "backend", None),
            ("ticket", Some("joe"), "backend", Some("backend")),
            ("ticket", Some("joe"), "guest", None),
            ("ticket", Some("jim"), "backend", None),
        ] {
            let found = door.role_of(authmethod, authid, role);
            assert_eq!(
                found.map(|role| role.name.to_string()).as_deref(),
                expected,
                "{authmethod} {authid:?}"
            );
        }
        assert_eq!(Admission::default().role_of("anonymous", None, "guest"), None);
    }

    #[test]
    fn of_two_principals_with_the_same_authid_the_first_counts() {
        let principals = ["first", "second"].map(|role| {
            let role = Role::unrestricted(role).into();
            Principal { authid: "joe".into(), role, ticket: Ticket::plain("secret123") }
        });
        let door = Door { anonymous: None, principals: principals.into() };
        let access = Access::default();
        access.replace([("realm1".into(), door)]);
        let admission = access.admission("realm1").unwrap();
        assert_eq!(admission.principal("joe").map(|joe| &*joe.role.name), Some("first"));
    }
}
