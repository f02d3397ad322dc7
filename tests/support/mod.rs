//! What the tests share: a started router, and peers that speak WAMP to it.

pub(crate) mod certificate;
pub(crate) mod clients;
pub(crate) mod form;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod peer;
pub(crate) mod principal;
pub(crate) mod program;
pub(crate) mod prometheus;
pub(crate) mod router;
pub(crate) mod scrape;

pub(crate) use peer::Peer;
pub(crate) use router::Router;
