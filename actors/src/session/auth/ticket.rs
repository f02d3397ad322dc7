//! Authentication by ticket: the client shows its secret as it is (section "Ticket-based Authentication").
//!
//! Nothing tells from outside whether an authid is known: the messages are the same, and so is the work. Where
//! somebody's ticket is hashed, each check computes one Argon2 hash, be it of a ticket that is not hashed or of
//! nobody's.

use crate::message::Signature;
use argon2::{Algorithm, Argon2, Params, Version, password_hash::phc::PasswordHash};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};
use subtle::{Choice, ConstantTimeEq};

/// What a principal shows to prove who it is. Who hears it can show it as well: it belongs on encrypted connections
/// only.
///
/// The hashes of one realm should have the same parameters: how long a check takes depends on them, and those who
/// are not known, or whose ticket is not hashed, are checked with the parameters of the first.
#[derive(Clone)]
pub struct Ticket(Secret);

#[derive(Clone)]
enum Secret {
    /// The SHA-256 digest of a ticket that was given as it is.
    Plain(Fingerprint),
    Hashed(Arc<Hash>),
}

type Fingerprint = [u8; 32];

/// The fingerprint of no ticket that anybody could name.
const NOBODY: Fingerprint = [0; 32];

/// An Argon2 hash whose parts Argon2 takes.
pub(crate) struct Hash {
    argon2: Argon2<'static>,
    salt: Box<[u8]>,
    output: Box<[u8]>,
}

/// Why a text is no hash of a ticket. The text is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// It is built otherwise.
    #[error("the hash is no PHC string such as $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>")]
    Form,
    /// It is of something else.
    #[error("the hash is not of argon2id, argon2i or argon2d")]
    Algorithm,
    /// It is of an unknown version.
    #[error("the hash is not of version 16 or 19 of Argon2")]
    Version,
    /// Its parameters are none.
    #[error("the hash has parameters that Argon2 does not take")]
    Parameters,
    /// It is not whole.
    #[error("the hash lacks the salt or the hash itself")]
    Incomplete,
}

impl Ticket {
    /// A ticket given as it is. Only its digest is kept.
    pub fn plain(ticket: &str) -> Self {
        Self(Secret::Plain(fingerprint(ticket.as_bytes())))
    }

    /// A ticket given as its Argon2 hash, a PHC string such as `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
    pub fn hashed(phc: &str) -> Result<Self, InvalidHash> {
        Ok(Self(Secret::Hashed(Arc::new(Hash::parse(phc)?))))
    }

    /// The Argon2 hash of a ticket with the usual parameters, a PHC string for [`Ticket::hashed`]. The salt should be
    /// of chance.
    pub fn hash_of(ticket: &str, salt: &[u8; 16]) -> String {
        let (argon2, mut output) = (Argon2::default(), [0; 32]);
        // The salt and the output have lengths that Argon2 takes, and a text is never too long for it.
        let hashed = argon2.hash_password_into(ticket.as_bytes(), salt, &mut output);
        debug_assert!(hashed.is_ok(), "the parameters are the usual ones");
        let params = argon2.params();
        let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        let [salt, output] = [&salt[..], &output].map(|octets| BASE64_STANDARD_NO_PAD.encode(octets));
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")
    }

    /// Its hash, if it was given as one.
    pub(crate) fn hash(&self) -> Option<&Arc<Hash>> {
        match &self.0 {
            Secret::Plain(_) => None,
            Secret::Hashed(hash) => Some(hash),
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(secret)")
    }
}

impl Hash {
    fn parse(phc: &str) -> Result<Self, InvalidHash> {
        let hash = PasswordHash::new(phc).map_err(|_| InvalidHash::Form)?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| InvalidHash::Algorithm)?;
        // A hash that names no version is older than the field.
        let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from);
        let version = version.map_err(|_| InvalidHash::Version)?;
        let params = Params::try_from(&hash).map_err(|_| InvalidHash::Parameters)?;
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(InvalidHash::Incomplete) };
        let argon2 = Argon2::new(algorithm, version, params);
        Ok(Self { argon2, salt: salt.as_ref().into(), output: output.as_bytes().into() })
    }

    /// Whether it is the hash of what is shown.
    fn matches(&self, shown: &[u8]) -> Result<Choice, argon2::Error> {
        let mut output = vec![0; self.output.len()];
        self.argon2.hash_password_into(shown, &self.salt, &mut output)?;
        Ok(output.ct_eq(&self.output))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(secret)")
    }
}

/// Digests have the same length, so that comparing them tells nothing of the length of a ticket.
fn fingerprint(ticket: &[u8]) -> Fingerprint {
    Sha256::digest(ticket).into()
}

/// What is known of a ticket before it is shown.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What is due; `None` if nobody has the authid.
    expected: Option<Ticket>,
    /// The hash that is computed where `expected` is none.
    decoy: Option<Arc<Hash>>,
}

impl Exchange {
    pub(crate) fn begin(expected: Option<&Ticket>, decoy: Option<&Arc<Hash>>) -> Self {
        Self { expected: expected.cloned(), decoy: decoy.cloned() }
    }

    pub(crate) fn answer(self, shown: Signature) -> Check {
        Check { shown, against: self }
    }
}

/// A ticket that was shown, and what it is compared with.
#[derive(Debug)]
pub(crate) struct Check {
    shown: Signature,
    against: Exchange,
}

impl Check {
    pub(crate) fn is_costly(&self) -> bool {
        self.against.decoy.is_some()
    }

    /// Does the same work whatever is expected.
    pub(crate) fn run(&self) -> Result<bool, argon2::Error> {
        let expected = self.against.expected.as_ref().map(|ticket| &ticket.0);
        let (plain, hash) = match expected {
            Some(Secret::Plain(plain)) => (plain, self.against.decoy.as_ref()),
            Some(Secret::Hashed(hash)) => (&NOBODY, Some(hash)),
            None => (&NOBODY, self.against.decoy.as_ref()),
        };
        let shown = self.shown.as_bytes();
        let is_plain = fingerprint(shown).ct_eq(plain);
        let is_hashed = hash.map_or(Ok(Choice::from(0)), |hash| hash.matches(shown))?;
        Ok(match expected {
            Some(Secret::Plain(_)) => is_plain.into(),
            Some(Secret::Hashed(_)) => is_hashed.into(),
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of `secret123`, made by the reference implementation.
    const HASHES: [&str; 4] = [
        "$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$Mv5STjIxSpnL5c5hA1ZVL9MtOunSNAQmRLEmT64bzZM",
        "$argon2i$v=16$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$OxJlM/8EdAQKd6G5D7rtuXCRXynKWhBqWqTArM7un54",
        "$argon2i$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$OxJlM/8EdAQKd6G5D7rtuXCRXynKWhBqWqTArM7un54",
        "$argon2d$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$dxFZnOha7SJBw2GHchPbden5leMgebZc/DZrXIjqJ/w",
    ];

    fn run(expected: Option<&Ticket>, decoy: Option<&Arc<Hash>>, shown: &str) -> bool {
        Exchange::begin(expected, decoy).answer(shown.into()).run().unwrap()
    }

    #[test]
    fn a_ticket_is_right_if_it_is_the_same_text() {
        let hashed = HASHES.map(|hash| Ticket::hashed(hash).unwrap());
        let decoys = hashed.iter().map(Ticket::hash).chain([None]);
        for decoy in decoys {
            for ticket in hashed.iter().chain([&Ticket::plain("secret123")]) {
                assert!(run(Some(ticket), decoy, "secret123"));
                for wrong in ["", "secret12", "secret1234", "Secret123"] {
                    assert!(!run(Some(ticket), decoy, wrong), "{wrong:?}");
                }
            }
            assert!(!run(None, decoy, "secret123"), "nobody has a ticket");
        }
    }

    #[test]
    fn a_hash_that_is_made_here_is_taken_here() {
        let hash = Ticket::hash_of("secret123", &[7; 16]);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{hash}");
        let ticket = Ticket::hashed(&hash).unwrap();
        assert!(run(Some(&ticket), ticket.hash(), "secret123"));
        assert!(!run(Some(&ticket), ticket.hash(), "secret12"));
    }

    #[test]
    fn a_decoy_decides_nothing() {
        let [hashed, ..] = HASHES.map(|hash| Ticket::hashed(hash).unwrap());
        let other = Ticket::plain("another");
        assert!(!run(Some(&other), hashed.hash(), "secret123"));
        assert!(run(Some(&other), hashed.hash(), "another"));
    }

    #[test]
    fn a_text_that_is_no_hash_is_refused_without_showing_it() {
        let form = "the hash is no PHC string such as $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>";
        let incomplete = "the hash lacks the salt or the hash itself";
        let parameters = "the hash has parameters that Argon2 does not take";
        for (text, problem) in [
            ("", form),
            ("secret123", form),
            ("$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA$!", form),
            ("$2b$12$abcdefghijklmnopqrstuv", form),
            ("$scrypt$ln=1$cmVhbG1rZWVwZXIuc2FsdA", "the hash is not of argon2id, argon2i or argon2d"),
            ("$argon2id$v=18$m=8,t=1,p=1", "the hash is not of version 16 or 19 of Argon2"),
            ("$argon2id$v=19$m=1,t=1,p=1", parameters),
            ("$argon2id$v=19$m=8,t=0,p=1", parameters),
            ("$argon2id$v=19$m=8,t=1,p=1,x=1", parameters),
            ("$argon2id$v=19$m=8,t=1,p=1", incomplete),
            ("$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA", incomplete),
        ] {
            let error = Ticket::hashed(text).expect_err(text);
            assert_eq!(error.to_string(), problem, "{text}");
        }
    }
}
