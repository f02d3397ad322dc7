//! Where the tickets of principals come from. No text made here shows one.

use super::{format::Principal, schema::one_of};
use realmkeeper_actors::session::access::Ticket;
use std::{env, fs, path::Path};

/// The keys of which a principal has exactly one.
pub(super) const SOURCES: [&str; 4] = ["ticket", "ticket_hash", "ticket_env", "ticket_file"];

/// What stands for a secret where a configuration is shown.
const MASK: &str = "********";

/// Why there is no ticket.
#[derive(Debug)]
pub(super) struct NoTicket {
    /// The key that is wrong; `None` if it is the principal as a whole.
    pub(super) key: Option<&'static str>,
    /// What is wrong with it.
    pub(super) text: String,
}

impl Principal {
    /// Hides its secrets.
    pub(super) fn mask(&mut self) {
        for secret in [&mut self.ticket, &mut self.ticket_hash].into_iter().flatten() {
            *secret = MASK.into();
        }
    }

    /// The ticket, from where the principal has it. Files are seen from `folder`.
    pub(super) fn find_ticket(&self, folder: &Path) -> Result<Ticket, NoTicket> {
        let (key, found) = match (&self.ticket, &self.ticket_hash, &self.ticket_env, &self.ticket_file) {
            (Some(ticket), None, None, None) => ("ticket", plain(ticket)),
            (None, Some(hash), None, None) => ("ticket_hash", hashed(hash)),
            (None, None, Some(name), None) => ("ticket_env", from_environment(name)),
            (None, None, None, Some(file)) => ("ticket_file", from_file(&folder.join(file))),
            (None, None, None, None) => return Err(NoTicket::at_all("has no ticket")),
            _ => return Err(NoTicket::at_all("has several tickets")),
        };
        found.map_err(|text| NoTicket { key: Some(key), text })
    }
}

impl NoTicket {
    fn at_all(problem: &str) -> Self {
        Self { key: None, text: format!("{problem}; must have one of {}", one_of(&SOURCES)) }
    }
}

fn plain(ticket: &str) -> Result<Ticket, String> {
    if ticket.is_empty() {
        return Err("is an empty ticket; must have at least one character".into());
    }
    Ok(Ticket::plain(ticket))
}

fn hashed(text: &str) -> Result<Ticket, String> {
    Ticket::hashed(text).map_err(|error| error.to_string())
}

fn from_environment(name: &str) -> Result<Ticket, String> {
    let unset =
        "names no environment variable that is set to a text; must be the name of one with the ticket";
    plain(&env::var(name).map_err(|_| unset)?)
}

fn from_file(file: &Path) -> Result<Ticket, String> {
    let unreadable = |error| {
        format!("cannot read {}: {error}; must be the name of a file with the ticket", file.display())
    };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    plain(line.strip_suffix('\r').unwrap_or(line))
}
