//! Who may join which realm, and as what (section "Authentication").

pub use super::auth::{
    cra, cryptosign, jwt, scram,
    ticket::{InvalidHash, Ticket},
    tls::CertificateName,
};

use super::{
    auth::{Decoy, Method, made_up, ticket},
    authenticator,
    lockout::Lockout,
};
use crate::{ban::BanList, collections::Map, message::uri::Uri, permission::Role};
use arc_swap::ArcSwap;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What the places are made up for by which who is not known is like somebody who is.
const LIKENESS: &str = "likeness";

/// The doors of all realms. The router replaces them when its configuration changes.
pub struct Access {
    secret: [u8; 32],
    realms: ArcSwap<Map<Uri, Arc<Admission>>>,
    /// Who has to wait.
    pub lockout: Lockout,
}

/// The door of one realm.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The role of those who do not say who they are; `None` if they are not let in.
    pub anonymous: Option<Arc<Role>>,
    /// Those who prove who they are. Of two with the same authid the first counts, and so does the first of two with
    /// the same public key or certificate.
    pub principals: Vec<Principal>,
    /// The procedures by which components say who else may join, by the method of authentication.
    pub authenticators: Vec<(Method, Uri)>,
    /// The roles that they can give.
    pub roles: Vec<Arc<Role>>,
    /// The tokens that let others in; `None` if none do.
    pub jwt: Option<jwt::Rules>,
    /// What becomes of those who ask for a channel binding.
    pub channel_binding: ChannelBinding,
}

/// What becomes of those who ask for a channel binding by `cryptosign`, where none is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// They are challenged without one, and told so by CHALLENGE, in which it is missing.
    #[default]
    Ignore,
    /// They are refused.
    Refuse,
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
/// The tickets of one realm should be alike, hashed with the same parameters: those of who is not known are checked as if
/// they had what the first of them has. By the other methods who is not known is asked as one of those who are.
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
    /// The procedures that are asked about others, by method.
    authenticators: Vec<(Method, Uri)>,
    /// The roles that others can be given.
    pub(super) roles: Vec<Arc<Role>>,
    /// Who is not let in.
    pub(crate) bans: BanList,
    /// The authids of those who have public keys.
    owners: Map<cryptosign::PublicKey, Arc<str>>,
    /// The authids of those who have certificates.
    holders: Map<CertificateName, Arc<str>>,
    /// The tokens that let others in.
    pub(crate) jwt: Option<Arc<jwt::Rules>>,
    /// What becomes of those who ask for a channel binding.
    pub(super) channel_binding: ChannelBinding,
    /// What is made up for those who are not known.
    pub(crate) decoy: Decoy,
    /// The authids of those who are known, by the places that are made up for them.
    places: BTreeMap<[u8; 32], Arc<str>>,
    /// A hash to be computed for those who have none; `None` if nobody has one.
    pub(crate) decoy_hash: Option<Arc<ticket::Hash>>,
    /// How the keys of those are salted who are not known; `None` if nobody's are.
    pub(crate) decoy_salting: Option<cra::Salting>,
    /// How the passwords of those are derived who are not known.
    pub(crate) decoy_kdf: scram::Kdf,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("realms", &self.realms).finish_non_exhaustive()
    }
}

impl Access {
    /// No doors yet. By the secret it is made up what those are asked who are not known; as long as it is the same,
    /// each is asked the same.
    pub fn new(lockout: Lockout, secret: [u8; 32]) -> Self {
        Self { secret, realms: ArcSwap::default(), lockout }
    }

    /// Has the doors of these realms from now on, and no others. Who was banned from one of them by a procedure stays
    /// so.
    pub(crate) fn replace(&self, realms: impl IntoIterator<Item = (Uri, Door)>) {
        let before = self.realms.load_full();
        let admissions = realms.into_iter().map(|(realm, door)| {
            let decoy = Decoy::new(&self.secret, &realm);
            let bans = before.get(&realm).map(|before| before.bans.clone()).unwrap_or_default();
            (realm, Arc::new(Admission { bans, ..Admission::new(door, decoy) }))
        });
        self.realms.store(Arc::new(admissions.collect()));
    }

    /// How a realm admits; `None` if there is no such realm.
    pub(crate) fn admission(&self, realm: &str) -> Option<Arc<Admission>> {
        self.realms.load().get(realm).cloned()
    }
}

impl Admission {
    fn new(door: Door, decoy: Decoy) -> Self {
        let Door { anonymous, principals, jwt, authenticators, roles, channel_binding } = door;
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
        let is_asked = |method: &Method| authenticators.iter().any(|(asked, _)| asked == method);
        let accepted = Method::ALL.into_iter().filter(|method| accepts(method) || is_asked(method)).collect();
        let place = |authid: &Arc<str>| (decoy.octets(LIKENESS, authid), authid.clone());
        let places = known.keys().map(place).collect();
        let (jwt, principals) = (jwt.map(Arc::new), known);
        Self {
            anonymous,
            accepted,
            principals,
            authenticators,
            roles,
            bans: BanList::default(),
            owners,
            holders,
            jwt,
            channel_binding,
            decoy,
            places,
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

    /// The procedure that is asked about those who join by this method and are not known.
    pub(crate) fn authenticator(&self, method: Method) -> Option<&Uri> {
        self.authenticators.iter().find(|(asked, _)| *asked == method).map(|(_, procedure)| procedure)
    }

    /// The role of this name, if components can give it.
    pub(super) fn role(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.iter().find(|role| &*role.name == name)
    }

    /// The role of somebody who was let in with a role of this name: by this door or, if the configuration has changed
    /// since, by the one that was in its place. `None` if this one would give no such role; whether it would ask for
    /// the same proof does not matter. Who was let in by a component stays a component's to let in, and nobody else
    /// becomes so.
    pub(crate) fn role_of(
        &self,
        authprovider: &str,
        authmethod: &str,
        authid: Option<&str>,
        role: &str,
    ) -> Option<Arc<Role>> {
        let method = Method::from_name(authmethod)?;
        let given = match method {
            // A component may give every role.
            _ if authprovider == authenticator::PROVIDER => {
                self.authenticator(method).and_then(|_| self.role(role))
            }
            Method::Anonymous => self.anonymous.as_ref(),
            Method::Jwt => self.jwt.as_ref().and_then(|rules| rules.role.named(role)),
            Method::Ticket | Method::WampCra | Method::WampScram | Method::Cryptosign | Method::Tls => {
                self.principal(authid?).map(|principal| &principal.role)
            }
        };
        given.filter(|given| *given.name == *role).cloned()
    }

    /// Who has this authid.
    pub(crate) fn principal(&self, authid: &str) -> Option<&Principal> {
        self.principals.get(authid)
    }

    /// Who has this authid or, if nobody has, one of those who are known, by chance but always the same for an authid:
    /// the one whose place comes next. One more who is known takes the place of one other for those alone that are
    /// between the two. `None` if nobody is known.
    pub(crate) fn likeness(&self, authid: &str) -> Option<&Principal> {
        let place = self.decoy.octets(LIKENESS, authid);
        let next = self.places.range(place..).next().or_else(|| self.places.first_key_value());
        let other = made_up(next.and_then(|(_, other)| self.principal(other)));
        self.principal(authid).or(other)
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
    fn who_was_let_in_keeps_a_role_of_the_same_name_only() {
        let role = |name| Arc::new(Role::unrestricted(name));
        let joe =
            Principal { authid: "joe".into(), role: role("backend"), credentials: Ticket::plain("x").into() };
        let claim = jwt::Grant::Claim { name: "role".into(), roles: vec![role("guest"), role("visitor")] };
        let mut rules = jwt::Rules {
            keys: Vec::new(),
            issuer: None,
            audience: None,
            authid: "sub".into(),
            role: jwt::Grant::Fixed(role("visitor")),
        };
        let door = |rules: &jwt::Rules| {
            let (anonymous, principals) = (Some(role("guest")), vec![joe.clone()]);
            let door = Door { anonymous, principals, jwt: Some(rules.clone()), ..Door::default() };
            Admission::new(door, Decoy::new(&[0; 32], "realm1"))
        };
        let fixed = door(&rules);
        rules.role = claim;
        let (claimed, nobody) =
            (door(&rules), Admission::new(Door::default(), Decoy::new(&[0; 32], "realm1")));
        let authenticators = [Method::Anonymous, Method::WampCra].map(|method| (method, "com.ask".into()));
        let door = Door {
            principals: vec![joe.clone()],
            authenticators: authenticators.into(),
            roles: vec![role("member"), role("backend")],
            ..Door::default()
        };
        let asking = Admission::new(door, Decoy::new(&[0; 32], "realm1"));
        for (door, authmethod, authid, role, expected) in [
            (&fixed, "anonymous", Some("9XYZ"), "guest", Some("guest")),
            (&fixed, "anonymous", None, "guest", Some("guest")),
            (&fixed, "anonymous", Some("joe"), "backend", None),
            (&fixed, "ticket", Some("joe"), "backend", Some("backend")),
            (&fixed, "cryptosign", Some("joe"), "backend", Some("backend")),
            (&fixed, "ticket", Some("joe"), "guest", None),
            (&fixed, "ticket", Some("jim"), "backend", None),
            (&fixed, "jwt", Some("jim"), "visitor", Some("visitor")),
            (&fixed, "jwt", Some("jim"), "guest", None),
            (&claimed, "jwt", Some("jim"), "guest", Some("guest")),
            (&claimed, "jwt", Some("jim"), "backend", None),
            (&nobody, "anonymous", None, "guest", None),
            (&nobody, "jwt", Some("jim"), "guest", None),
            (&nobody, "wampcra", Some("joe"), "backend", None),
            // Those whom no component let in go by their principal, though one is asked about others.
            (&asking, "anonymous", None, "member", None),
            (&asking, "wampcra", Some("jim"), "member", None),
            (&asking, "wampcra", Some("joe"), "member", None),
            (&asking, "wampcra", Some("joe"), "backend", Some("backend")),
            (&asking, "ticket", Some("joe"), "backend", Some("backend")),
        ] {
            let found = door.role_of("static", authmethod, authid, role);
            let found = found.map(|role| role.name.to_string());
            assert_eq!(found.as_deref(), expected, "{authmethod} {authid:?}");
        }
        for (door, authmethod, authid, role, expected) in [
            (&asking, "anonymous", None, "member", Some("member")),
            (&asking, "wampcra", Some("jim"), "member", Some("member")),
            (&asking, "wampcra", Some("jim"), "other", None),
            (&asking, "ticket", Some("jim"), "member", None),
            (&asking, "wampcra", Some("joe"), "member", Some("member")),
            (&fixed, "anonymous", None, "guest", None),
            (&fixed, "ticket", Some("joe"), "backend", None),
        ] {
            let found = door.role_of("dynamic", authmethod, authid, role);
            let found = found.map(|role| role.name.to_string());
            assert_eq!(found.as_deref(), expected, "{authmethod} {authid:?}");
        }
    }

    #[test]
    fn those_who_are_not_known_are_like_another_only_where_that_one_is_new() {
        let door = |count| {
            let principal = |number| Principal {
                authid: format!("known {number}").into(),
                role: Role::unrestricted("user").into(),
                credentials: Ticket::plain("secret123").into(),
            };
            let door = Door { principals: (0..count).map(principal).collect(), ..Door::default() };
            Admission::new(door, Decoy::new(&[0; 32], "realm1"))
        };
        let (before, after) = (door(20), door(21));
        let likeness =
            |door: &Admission, name: &str| door.likeness(name).map(|like| like.authid.to_string()).unwrap();
        let names = (0..1000).map(|number| format!("unknown {number}"));
        let changed = names.filter(|name| likeness(&before, name) != likeness(&after, name));
        let changed = changed.map(|name| likeness(&after, &name)).collect::<Vec<_>>();
        assert!(changed.iter().all(|like| like == "known 20"));
        assert!((1..300).contains(&changed.len()), "{} of 1000", changed.len());
    }

    #[test]
    fn of_two_principals_with_the_same_authid_the_first_counts() {
        let principals = ["first", "second"].map(|role| {
            let role = Role::unrestricted(role).into();
            Principal { authid: "joe".into(), role, credentials: Ticket::plain("secret123").into() }
        });
        let door = Door { principals: principals.into(), ..Door::default() };
        let admission = Admission::new(door, Decoy::new(&[0; 32], "realm1"));
        assert_eq!(admission.principal("joe").map(|joe| &*joe.role.name), Some("first"));
    }
}
