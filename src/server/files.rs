//! How many files this process may have open. Each connection is one.

use tracing::{info, warn};

/// The files that are open besides connections: listeners, logs, what the runtime needs.
const OTHERS: u64 = 64;

/// Raises the limit of open files as far as it goes, and warns if so many sessions do not fit under it.
pub(super) fn raise_limit(sessions: Option<usize>) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => {
            let fitting = files.saturating_sub(OTHERS);
            match sessions.and_then(|sessions| u64::try_from(sessions).ok()) {
                Some(sessions) if sessions > fitting => warn!(
                    sessions,
                    files, fitting, "the limit sessions is higher than the limit of open files allows"
                ),
                _ => info!(files, "limit of open files"),
            }
        }
        Err(error) => warn!(%error, "the limit of open files cannot be raised"),
    }
}
