//! The WAMP core of Realmkeeper and the actors that carry it.

mod broker;
pub mod cause;
pub mod codec;
mod collections;
mod dealer;
#[cfg(feature = "fault-injection")]
mod fault;
pub mod message;
mod meta;
mod pattern;
pub mod realm;
pub mod refusal;
pub mod roster;
pub mod router;
pub mod session;
pub mod step;
pub mod transport;
