//! The router: realms by name.

pub mod actor;
