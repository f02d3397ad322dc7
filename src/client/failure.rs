//! Why something could not be done.

use super::Address;
use serde_json::Value;
use std::{io, time::Duration};

/// Why something could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for makes no sense, or cannot be done without something that is not there.
    #[error("{0}")]
    Usage(String),
    /// There is no connection.
    #[error("cannot connect to {url}: {reason}")]
    Connect { url: String, reason: String },
    /// The connection broke.
    #[error("the connection to {url} is lost: {reason}")]
    Lost { url: String, reason: String },
    /// The router is there, but says nothing.
    #[error("no answer to {what} within {}", humantime::format_duration(*.patience))]
    Silent { what: String, patience: Duration },
    /// The router says what makes no sense.
    #[error("what the router says makes no sense: {0}")]
    Unexpected(String),
    /// The router, or a callee, said no.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// A subscription or a registration is no more, and maybe why.
    #[error("the router took away the {0}")]
    Revoked(String),
    /// What is to be printed cannot be written.
    #[error("cannot write: {reason}")]
    Output { is_closed: bool, reason: String },
}

impl Failure {
    /// There is no connection to a router, and why.
    pub(super) fn connect(address: &Address, reason: String) -> Self {
        Self::Connect { url: address.to_string(), reason }
    }

    /// What makes no sense, not more of it than can be read at a glance.
    pub(crate) fn unexpected(what: &str, value: &Value) -> Self {
        let shown: String = value.to_string().chars().take(200).collect();
        Self::Unexpected(format!("{what} {shown}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output { is_closed: error.kind() == io::ErrorKind::BrokenPipe, reason: error.to_string() }
    }
}

/// Somebody said no: ABORT, ERROR or GOODBYE.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {uri}")]
pub(crate) struct Refused {
    /// What cannot be done, such as `cannot join realm1`.
    pub(crate) what: String,
    /// The reason.
    pub(crate) uri: String,
    /// What came with it: the message of ABORT and GOODBYE, the arguments of ERROR.
    pub(crate) told: Vec<Value>,
    /// The keyword arguments of ERROR.
    pub(crate) keywords: serde_json::Map<String, Value>,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}
