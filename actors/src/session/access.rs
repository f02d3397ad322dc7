//! Who may join which realm, and as what (section "Authentication").

pub use super::auth::{
    cra, cryptosign, jwt, scram,
    ticket::{InvalidHash, Ticket},
    tls::CertificateName,
};

use super::auth::{Decoy, Method, ticket};
use crate::{collections::Map, message::uri::Uri, permission::Role};
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
    /// Those who prove who they are. Of two with the same authid the first counts, and so does the first of two with
    /// the same public key or certificate.
    pub principals: Vec<Principal>,
    /// The tokens that let others in; `None` if none do.
    pub jwt: Option<jwt::Rules>,
}

/// Somebody who is known.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who it is.
    pub authid: Arc<str>,
    /// What it may do.
    pub role: Arc<Role>,
    /// How it proves that.
    pub credentials: Credentials,
}

/// By what somebody proves who it is: by each method for which there is something here.
///
/// Those of one realm should be alike, hashed or salted with the same parameters: who is not known is asked as if it
/// had what the first of them has.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// What it shows by `ticket`.
    pub ticket: Option<Ticket>,
    /// What it signs with by `wampcra`.
    pub cra: Option<cra::Key>,
    /// What checks its password by `wamp-scram`.
    pub scram: Option<scram::Keys>,
    /// The keys of which it has one by `cryptosign`.
    pub public_keys: Vec<cryptosign::PublicKey>,
    /// The certificates of which its connection has one by `tls`.
    pub certificates: Vec<CertificateName>,
}

impl Credentials {
    /// The methods that somebody can use with them.
    pub fn methods(&self) -> impl Iterator<Item = Method> {
        Method::ALL.into_iter().filter(|method| self.serve(*method))
    }

    /// Whether somebody can use this method with them.
    pub(crate) fn serve(&self, method: Method) -> bool {
        match method {
            Method::Anonymous | Method::Jwt => false,
            Method::Ticket => self.ticket.is_some(),
            Method::WampCra => self.cra.is_some(),
            Method::WampScram => self.scram.is_some(),
            Method::Cryptosign => !self.public_keys.is_empty(),
            Method::Tls => !self.certificates.is_empty(),
        }
    }
}

impl From<Ticket> for Credentials {
    fn from(ticket: Ticket) -> Self {
        Self { ticket: Some(ticket), ..Self::default() }
    }
}

/// A door with what is looked up when somebody stands before it.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub(crate) anonymous: Option<Arc<Role>>,
    /// The methods by which somebody can join.
    accepted: Vec<Method>,
    principals: Map<Arc<str>, Principal>,
    /// The authids of those who have public keys.
    owners: Map<cryptosign::PublicKey, Arc<str>>,
    /// The authids of those who have certificates.
    holders: Map<CertificateName, Arc<str>>,
    /// The tokens that let others in.
    pub(crate) jwt: Option<Arc<jwt::Rules>>,
    /// What is made up for those who are not known.
    pub(crate) decoy: Decoy,
    /// A hash to be computed for those who have none; `None` if nobody has one.
    pub(crate) decoy_hash: Option<Arc<ticket::Hash>>,
    /// How the keys of those are salted who are not known; `None` if nobody's are.
    pub(crate) decoy_salting: Option<cra::Salting>,
    /// How the passwords of those are derived who are not known.
    pub(crate) decoy_kdf: scram::Kdf,
}

impl Access {
    /// The doors of these realms. By the secret it is made up what those are asked who are not known; as long as it is
    /// the same, each is asked the same.
    pub fn new(realms: impl IntoIterator<Item = (Uri, Door)>, secret: &[u8; 32]) -> Self {
        let admissions = realms.into_iter().map(|(realm, door)| {
            let decoy = Decoy::new(secret, &realm);
            (realm, Admission::new(door, decoy))
        });
        Self { realms: admissions.collect() }
    }

    /// How a realm admits; `None` if there is no such realm.
    pub(crate) fn admission(&self, realm: &str) -> Option<&Admission> {
        self.realms.get(realm)
    }
}

impl Admission {
    fn new(Door { anonymous, principals, jwt }: Door, decoy: Decoy) -> Self {
        let mut known = Map::<Arc<str>, Principal>::default();
        let (mut owners, mut holders) = (Map::default(), Map::default());
        for principal in principals {
            if known.contains_key(&principal.authid) {
                continue;
            }
            for key in &principal.credentials.public_keys {
                owners.entry(*key).or_insert(principal.authid.clone());
            }
            for name in &principal.credentials.certificates {
                holders.entry(name.clone()).or_insert(principal.authid.clone());
            }
            known.insert(principal.authid.clone(), principal);
        }
        let credentials = known.values().map(|principal| &principal.credentials);
        let decoy_hash = credentials.clone().find_map(|one| one.ticket.as_ref()?.hash()).cloned();
        let decoy_salting = credentials.clone().find_map(|one| one.cra.as_ref()?.salting()).cloned();
        let decoy_kdf =
            credentials.clone().find_map(|one| Some(one.scram.as_ref()?.kdf())).unwrap_or_default();
        let accepts = |method: &Method| match method {
            Method::Anonymous => anonymous.is_some(),
            Method::Jwt => jwt.is_some(),
            Method::Ticket | Method::WampCra | Method::WampScram | Method::Cryptosign | Method::Tls => {
                credentials.clone().any(|one| one.serve(*method))
            }
        };
        let accepted = Method::ALL.into_iter().filter(accepts).collect();
        let (jwt, principals) = (jwt.map(Arc::new), known);
        Self {
            anonymous,
            accepted,
            principals,
            owners,
            holders,
            jwt,
            decoy,
            decoy_hash,
            decoy_salting,
            decoy_kdf,
        }
    }

    /// Whether somebody can join by this method.
    pub(crate) fn accepts(&self, method: Method) -> bool {
        self.accepted.contains(&method)
    }

    /// The names of the methods by which somebody can join, for a text.
    pub(crate) fn accepted(&self) -> String {
        let names: Vec<_> = self.accepted.iter().map(|method| method.name()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// Who has this authid.
    pub(crate) fn principal(&self, authid: &str) -> Option<&Principal> {
        self.principals.get(authid)
    }

    /// The role that is told to those who are not known: it is that of one of the principals, by chance but always the
    /// same for an authid.
    pub(crate) fn decoy_role(&self, authid: &str) -> &str {
        let index = self.decoy.choose("role", authid, self.principals.len());
        self.principals.get_index(index).map_or("", |(_, principal)| &principal.role.name)
    }

    /// Who has this public key.
    pub(crate) fn owner(&self, key: &cryptosign::PublicKey) -> Option<&Principal> {
        self.principal(self.owners.get(key)?)
    }

    /// Who has a certificate of which these are the names; of several the one that the first of them belongs to.
    pub(crate) fn holder(&self, names: &[CertificateName]) -> Option<&Principal> {
        self.principal(names.iter().find_map(|name| self.holders.get(name))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_principals_with_the_same_authid_the_first_counts() {
        let principals = ["first", "second"].map(|role| {
            let role = Role::unrestricted(role).into();
            Principal { authid: "joe".into(), role, credentials: Ticket::plain("secret123").into() }
        });
        let door = Door { principals: principals.into(), ..Door::default() };
        let access = Access::new([("realm1".into(), door)], &[0; 32]);
        let joe = access.admission("realm1").and_then(|admission| admission.principal("joe"));
        assert_eq!(joe.map(|joe| &*joe.role.name), Some("first"));
    }
}
