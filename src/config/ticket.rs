//! Where the tickets of principals come from. No text made here shows one.

use super::format::Principal;
use argon2::{Params, PasswordHash};
use realmkeeper_actors::session::access::Ticket;
use std::{env, fs, path::Path};

/// The keys of which a principal has exactly one.
pub(super) const SOURCES: [&str; 4] = ["ticket", "ticket_hash", "ticket_env", "ticket_file"];

/// What stands for a secret where a configuration is shown.
const MASK: &str = "********";

/// Why there is no ticket: the key, empty for the principal as a whole, and what is wrong there.
pub(super) type NoTicket = (&'static str, String);

impl Principal {
    /// Hides its secrets.
    pub(super) fn mask(&mut self) {
        for secret in [&mut self.ticket, &mut self.ticket_hash].into_iter().flatten() {
            *secret = MASK.into();
        }
    }

    /// The ticket, from where the principal has it. Files are seen from `folder`.
    pub(super) fn find_ticket(&self, folder: &Path) -> Result<Ticket, NoTicket> {
        let found = match (&self.ticket, &self.ticket_hash, &self.ticket_env, &self.ticket_file) {
            (Some(ticket), None, None, None) => ("ticket", Ok(ticket.clone())),
            (None, Some(hash), None, None) => return hashed(hash),
            (None, None, Some(name), None) => {
                ("ticket_env", env::var(name).map_err(|_| "names no variable that is set to a text".into()))
            }
            (None, None, None, Some(path)) => {
                let path = folder.join(path);
                let text = fs::read_to_string(&path);
                let text = text.map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned());
                ("ticket_file", text.map_err(|error| format!("cannot read {}: {error}", path.display())))
            }
            (None, None, None, None) => {
                return Err(("", format!("has no ticket; must have one of {}", SOURCES.join(", "))));
            }
            _ => return Err(("", format!("has several tickets; must have one of {}", SOURCES.join(", ")))),
        };
        match found {
            (key, Ok(ticket)) if ticket.is_empty() => {
                Err((key, "is an empty ticket; must be one of at least one character".into()))
            }
            (_, Ok(ticket)) => Ok(Ticket::Plain(ticket.into())),
            (key, Err(text)) => Err((key, text)),
        }
    }
}

fn hashed(text: &str) -> Result<Ticket, NoTicket> {
    let is_argon2 = PasswordHash::new(text).is_ok_and(|hash| {
        hash.algorithm.as_str().starts_with("argon2")
            && hash.hash.is_some()
            && Params::try_from(&hash).is_ok()
    });
    if is_argon2 {
        return Ok(Ticket::Hashed(text.into()));
    }
    let allowed = "must be a PHC string such as $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH";
    Err(("ticket_hash", format!("is no Argon2 hash; {allowed}")))
}
