//! Somebody who is known to a router.

use realmkeeper_actors::{
    message::uri::Match,
    permission::{Action, Disclosure, Permission, Permissions, Role, SessionDetails},
    session::access::{Principal, Ticket},
};

/// The hash of `secret123` with the usual parameters.
pub(crate) const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cmVhbG1rZWVwZXIuc2FsdA$DGG638qyBV0EPk4wVaCzcIg9pcGyHy23ACOTc/mGIS8";

/// A principal with the role `backend`, which may do everything.
pub(crate) fn backend(authid: &str, ticket: Ticket) -> Principal {
    Principal {
        authid: authid.into(),
        role: Role::unrestricted("backend").into(),
        credentials: ticket.into(),
    }
}

/// A principal with a role that may do everything, but is told only so much of sessions.
pub(crate) fn told(authid: &str, session_details: SessionDetails, ticket: &str) -> Principal {
    let role = Role { session_details, ..Role::unrestricted("told") };
    Principal { authid: authid.into(), role: role.into(), credentials: Ticket::plain(ticket).into() }
}

/// The role `anonymous`, which may do everything but end other sessions, and is trusted so far.
pub(crate) fn trusted(trustlevel: u64) -> Role {
    let everything = |uri: &str| Permission {
        uri: uri.into(),
        matching: Match::Prefix,
        allow: Action::ALL.into_iter().collect(),
        discloses_caller: Disclosure::AsAsked,
        discloses_publisher: Disclosure::AsAsked,
        trustlevel: Some(trustlevel),
    };
    let permissions = Permissions::new(vec![everything("")]);
    Role { session_details: SessionDetails::Full, ..Role::new("anonymous", permissions) }
}

/// A ticket of which only the hash is known.
pub(crate) fn hashed(phc: &str) -> Ticket {
    Ticket::hashed(phc).expect("a hash of Argon2")
}
