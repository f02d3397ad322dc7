//! A session: one client's connection from the handshake to its end.

pub mod access;
pub mod actor;
pub(crate) mod handshake;
mod settings;

pub use settings::{Rate, SessionSettings};
