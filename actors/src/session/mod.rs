//! A session: one client's connection from the handshake to its end.

pub mod access;
pub mod actor;
mod applicant;
pub mod auth;
pub(crate) mod authenticator;
mod clock;
pub(crate) mod handshake;
pub mod lockout;
pub(crate) mod refused;
mod settings;
pub(crate) mod verification;

pub use settings::{Rate, SessionSettings};
pub use verification::Verifier;
