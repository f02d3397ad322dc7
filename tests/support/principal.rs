//! Somebody who is known to a router.

use realmkeeper_actors::{
    permission::Role,
    session::access::{Principal, Ticket},
};

/// The hash of `secret123` with the usual parameters.
pub(crate) const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cmVhbG1rZWVwZXIuc2FsdA$DGG638qyBV0EPk4wVaCzcIg9pcGyHy23ACOTc/mGIS8";

/// A principal with the role `backend`, which may do everything.
pub(crate) fn backend(authid: &str, ticket: Ticket) -> Principal {
    Principal { authid: authid.into(), role: Role::unrestricted("backend").into(), ticket }
}

/// A ticket of which only the hash is known.
pub(crate) fn hashed(phc: &str) -> Ticket {
    Ticket::hashed(phc).expect("a hash of Argon2")
}
