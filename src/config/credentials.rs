//! By what principals prove who they are: where their secrets come from. No text made here shows one.

use super::{
    format::{Cra, Principal, Scram},
    schema::one_of,
    word::Kdf,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use realmkeeper_actors::session::access::{
    Credentials, Ticket,
    cra::{self, Salting},
    scram,
};
use std::{env, fs, path::Path};

/// The keys of which a principal has at most one: those of the ticket, and those of the secret of wampcra.
pub(super) const TICKETS: [&str; 4] = ["ticket", "ticket_hash", "ticket_env", "ticket_file"];
pub(super) const SECRETS: [&str; 4] = ["secret", "secret_env", "secret_file", "cra"];

/// The other keys that hold credentials.
const OTHERS: [&str; 3] = ["scram", "public_keys", "certificates"];

/// What stands for a secret where a configuration is shown.
const MASK: &str = "********";

/// What is wrong with the credentials of a principal.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The key that is wrong; empty if it is the principal as a whole.
    pub(super) key: &'static str,
    /// Which element of the key is wrong, if it is a list.
    pub(super) index: Option<usize>,
    /// What is wrong with it.
    pub(super) text: String,
}

impl Principal {
    /// Hides its secrets.
    pub(super) fn mask(&mut self) {
        let Self { ticket, ticket_hash, secret, cra, scram, .. } = self;
        let derived = cra.iter_mut().map(|cra| &mut cra.key);
        let derived =
            derived.chain(scram.iter_mut().flat_map(|scram| [&mut scram.stored_key, &mut scram.server_key]));
        let secrets = [ticket, ticket_hash, secret].into_iter().flatten();
        secrets.chain(derived).for_each(|secret| *secret = MASK.into());
    }

    /// Its credentials, and all that is wrong with them. Files are seen from `folder`.
    pub(super) fn credentials(&self, folder: &Path) -> (Credentials, Vec<Wrong>) {
        let mut wrong = Vec::new();
        let mut found = Credentials::default();
        let file = |file: &Path, what| from_file(&folder.join(file), what);
        let tickets = [
            self.ticket.as_ref().map(|ticket| plain(ticket, "ticket").map(|()| Ticket::plain(ticket))),
            self.ticket_hash.as_ref().map(|hash| Ticket::hashed(hash).map_err(|error| error.to_string())),
            self.ticket_env.as_ref().map(|name| Ok(Ticket::plain(&from_environment(name, "ticket")?))),
            self.ticket_file.as_ref().map(|name| Ok(Ticket::plain(&file(name, "ticket")?))),
        ];
        let secrets = [
            self.secret.as_ref().map(|secret| plain(secret, "secret").map(|()| cra::Key::plain(secret))),
            self.secret_env.as_ref().map(|name| Ok(cra::Key::plain(&from_environment(name, "secret")?))),
            self.secret_file.as_ref().map(|name| Ok(cra::Key::plain(&file(name, "secret")?))),
            self.cra.as_ref().map(Cra::key),
        ];
        found.ticket = only("ticket", &TICKETS, tickets, &mut wrong);
        found.cra = only("secret of wampcra", &SECRETS, secrets, &mut wrong);
        if let Some(scram) = &self.scram {
            match scram.keys() {
                Ok(keys) => found.scram = Some(keys),
                Err(text) => wrong.push(Wrong { key: "scram", index: None, text }),
            }
        }
        found.public_keys = each("public_keys", &self.public_keys, &mut wrong);
        found.certificates = each("certificates", &self.certificates, &mut wrong);
        if wrong.is_empty() && found.methods().next().is_none() {
            let keys = [&TICKETS[..], &SECRETS, &OTHERS].concat();
            let text = format!("has nothing to prove who it is by; must have one of {}", one_of(&keys));
            wrong.push(Wrong { key: "", index: None, text });
        }
        (found, wrong)
    }
}

/// What the only one of these keys holds that is there.
fn only<T>(
    what: &str,
    keys: &[&'static str; 4],
    found: [Option<Result<T, String>>; 4],
    wrong: &mut Vec<Wrong>,
) -> Option<T> {
    let mut found = keys.iter().zip(found).filter_map(|(key, found)| Some((*key, found?)));
    let (key, first) = found.next()?;
    if found.next().is_some() {
        let text = format!("has more than one {what}; must have one of {}", one_of(keys));
        wrong.push(Wrong { key: "", index: None, text });
    }
    first.map_err(|text| wrong.push(Wrong { key, index: None, text })).ok()
}

/// What the elements of a key are.
fn each<T>(key: &'static str, texts: &[String], wrong: &mut Vec<Wrong>) -> Vec<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let mut found = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<T>() {
            Ok(one) => found.push(one),
            // The text is not shown: it could be a private key that stands in the wrong place.
            Err(error) => wrong.push(Wrong { key, index: Some(index), text: error.to_string() }),
        }
    }
    found
}

impl Cra {
    fn key(&self) -> Result<cra::Key, String> {
        let Self { salt, iterations, keylen, key } = self;
        let length = BASE64_STANDARD.decode(key).ok().map(|octets| octets.len());
        if length != Some(*keylen as usize) {
            return Err(format!("has a key that is not {keylen} octets in base64"));
        }
        let salting = Salting { salt: salt.as_str().into(), iterations: *iterations, key_length: *keylen };
        Ok(cra::Key::salted(key, salting))
    }
}

impl Scram {
    fn keys(&self) -> Result<scram::Keys, String> {
        let Self { kdf, salt, iterations, memory, stored_key, server_key } = self;
        let iterations = *iterations;
        let kdf = match (kdf, memory) {
            (Kdf::Pbkdf2, None) => scram::Kdf::Pbkdf2 { iterations },
            (Kdf::Argon2id13, Some(memory)) => scram::Kdf::Argon2id { iterations, memory: *memory },
            (Kdf::Pbkdf2, Some(_)) => return Err("has memory, which is for argon2id13 only".into()),
            (Kdf::Argon2id13, None) => return Err("lacks memory, which argon2id13 needs".into()),
        };
        let key = |name: &str, key: &str| {
            let key = BASE64_STANDARD.decode(key).ok().and_then(|octets| octets.try_into().ok());
            key.ok_or_else(|| format!("has a {name} that is not 32 octets in base64"))
        };
        let salt = BASE64_STANDARD.decode(salt).ok().filter(|salt| salt.len() >= 8);
        let salt = salt.ok_or("has a salt that is not 8 octets or more in base64")?;
        Ok(scram::Keys::new(&salt, kdf, key("stored_key", stored_key)?, key("server_key", server_key)?))
    }
}

fn plain(secret: &str, what: &str) -> Result<(), String> {
    if secret.is_empty() {
        return Err(format!("is an empty {what}; must have at least one character"));
    }
    Ok(())
}

/// The secret in an environment variable.
pub(super) fn from_environment(name: &str, what: &str) -> Result<String, String> {
    let secret = env::var(name).map_err(|_| {
        format!(
            "names no environment variable that is set to a text; must be the name of one with the {what}"
        )
    })?;
    plain(&secret, what)?;
    Ok(secret)
}

/// The secret in a file. A line end behind it does not count.
pub(super) fn from_file(file: &Path, what: &str) -> Result<String, String> {
    let unreadable = |error| {
        format!("cannot read {}: {error}; must be the name of a file with the {what}", file.display())
    };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    plain(secret, what)?;
    Ok(secret.to_owned())
}
