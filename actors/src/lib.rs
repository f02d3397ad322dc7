//! The WAMP core of Realmkeeper and the actors that carry it.

pub mod codec;
pub mod message;
