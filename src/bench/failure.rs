//! Why a benchmark could not be run to its end.

use std::io;

use super::decode::Message;

/// Ends the benchmark: there is no result. Figures that are merely bad, such as lost events, are results.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Options that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// The relay cannot have its address, or accepts no more.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    /// No connection to the server.
    #[error(transparent)]
    Connect(#[from] crate::client::Failure),
    /// ABORT, ERROR or GOODBYE instead of the expected answer.
    #[error("{url} refused {what}: {reason}")]
    Refused { url: String, what: String, reason: String },
    /// The server did not answer in time.
    #[error("{url} did not answer {what} within {seconds} s")]
    Silent { url: String, what: String, seconds: u64 },
    /// The connection broke in the middle of the benchmark.
    #[error("connection to {url} lost: {reason}")]
    Lost { url: String, reason: String },
    /// A message that no router should send at this point.
    #[error("unexpected message from the server: {0}")]
    Unexpected(String),
    /// GOODBYE to a session that should have stayed.
    #[error("the server ended a session in the middle of the benchmark")]
    Ended,
    /// `--pid` names no process that can be measured.
    #[error("cannot measure process {pid}: {source}")]
    Process { pid: u32, source: io::Error },
    /// The router or the relay that a suite starts.
    #[error("what is to be measured does not start: {0}")]
    Start(String),
    /// SIGINT, SIGTERM or SIGHUP.
    #[error("stopped before there was a result")]
    Stopped,
    /// `--output` cannot be written.
    #[error("cannot write {file}: {source}")]
    Write { file: String, source: io::Error },
    /// More sessions than this process may hold open.
    #[error(
        "{needed} open files are needed and {allowed} allowed: raise the limit (ulimit -n) or ask for less"
    )]
    OpenFiles { needed: u64, allowed: u64 },
    /// The operating system did not do something ordinary.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// Why a connection was lost; of all else, what there is to say.
    pub(super) fn reason(self) -> String {
        if let Self::Lost { reason, .. } = self { reason } else { self.to_string() }
    }

    /// A message that the benchmark did not ask for.
    pub(super) fn unexpected(message: &Message<'_>) -> Self {
        Self::Unexpected(format!("{message:?}"))
    }
}
