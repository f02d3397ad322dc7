//! WAMP-CRA: the client signs a challenge with a secret that both know (section "Challenge Response Authentication").
//!
//! The secret is kept as it is, or as a key that PBKDF2 derived of it with a salt. CHALLENGE then tells the salt, so
//! that the client can derive the key as well: who has the key can sign, but does not know the secret.

use super::{Decoy, Method, hmac, secret};
use crate::{
    codec::{Serializer, Writer},
    message::{
        Signature,
        id::SessionId,
        timestamp,
        value::{Dict, Value},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::Sha256;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use subtle::ConstantTimeEq;

/// What a principal signs challenges with.
#[derive(Clone)]
pub struct Key {
    /// What HMAC takes: the secret, or the derived key in base64; but the secret of a key that is yet to be derived.
    key: Arc<str>,
    salting: Option<Salting>,
    is_derived: bool,
}

/// How a key is derived of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salting {
    /// The salt. Its characters are taken as they are, whatever they encode.
    pub salt: Arc<str>,
    /// How many rounds PBKDF2 takes.
    pub iterations: u32,
    /// How many octets the key has.
    pub key_length: u32,
}

impl Key {
    /// The key of a secret given as it is.
    pub fn plain(secret: &str) -> Self {
        Self { key: secret.into(), salting: None, is_derived: true }
    }

    /// A key that was derived with this salting, in base64.
    pub fn salted(key: &str, salting: Salting) -> Self {
        Self { key: key.into(), salting: Some(salting), is_derived: true }
    }

    /// The key of a secret with this salting. It is derived when a signature is checked, not before.
    pub(crate) fn to_be_salted(secret: &str, salting: Salting) -> Self {
        Self { key: secret.into(), salting: Some(salting), is_derived: false }
    }

    /// How it was derived, if it was.
    pub(crate) fn salting(&self) -> Option<&Salting> {
        self.salting.as_ref()
    }

    /// The key of nobody, which looks like those of a realm where keys are derived so.
    pub(crate) fn decoy(decoy: &Decoy, authid: &str, like: Option<&Salting>) -> Self {
        let salt = decoy.octets("wampcra salt", authid);
        let salting = like.map(|like| Salting { salt: salt_text(&salt).into(), ..like.clone() });
        let key = BASE64_STANDARD.encode(decoy.octets("wampcra key", authid));
        Self { key: key.into(), salting, is_derived: true }
    }

    /// How it is still to be derived.
    fn derivation(&self) -> Option<&Salting> {
        self.salting.as_ref().filter(|_| !self.is_derived)
    }

    /// Signs a challenge.
    fn sign(&self, challenge: &str) -> String {
        match self.derivation() {
            Some(salting) => sign(&derive(&self.key, salting), challenge),
            None => sign(&self.key, challenge),
        }
    }
}

secret!(Key);

/// A salt as text, of 16 octets of these.
fn salt_text(octets: &[u8; 32]) -> String {
    BASE64_STANDARD.encode(&octets[..16])
}

/// Derives a key of a secret, in base64: what [`sign`] takes where CHALLENGE tells a salt.
pub fn derive(secret: &str, salting: &Salting) -> String {
    let mut key = vec![0; salting.key_length as usize];
    let Salting { salt, iterations, .. } = salting;
    pbkdf2::pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt.as_bytes(), *iterations, &mut key);
    BASE64_STANDARD.encode(key)
}

/// Signs the text `challenge` of CHALLENGE.Extra with a secret, or with what [`derive()`] made of it. Gives
/// AUTHENTICATE.Signature.
pub fn sign(key: &str, challenge: &str) -> String {
    BASE64_STANDARD.encode(hmac(key.as_bytes(), &[challenge.as_bytes()]))
}

/// For whom a challenge is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) authid: &'a str,
    pub(crate) authrole: &'a str,
    pub(crate) authprovider: &'a str,
    /// The session that is to begin.
    pub(crate) session: SessionId,
}

/// A challenge, and what signs it.
#[derive(Debug)]
pub(crate) struct Exchange {
    challenge: String,
    key: Key,
}

impl Exchange {
    /// `nonce` is of this exchange alone.
    pub(crate) fn begin(key: Key, subject: Subject<'_>, nonce: [u8; 16], now: SystemTime) -> Self {
        let nonce = BASE64_STANDARD.encode(nonce);
        // Clients read it as JavaScript writes it, to the millisecond.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000);
        let timestamp = timestamp::written(UNIX_EPOCH + since);
        let mut text = Vec::new();
        let mut writer = Writer::new(Serializer::Json, &mut text);
        writer.dict(7);
        for (name, value) in [
            ("authid", subject.authid),
            ("authrole", subject.authrole),
            ("authmethod", Method::WampCra.name()),
            ("authprovider", subject.authprovider),
            ("nonce", &nonce),
            ("timestamp", &timestamp),
        ] {
            writer.key(name);
            writer.string(value);
        }
        writer.key("session");
        writer.integer(subject.session.get());
        writer.end_dict();
        Self { challenge: String::from_utf8_lossy(&text).into_owned(), key }
    }

    /// CHALLENGE.Extra.
    pub(crate) fn extra(&self) -> Dict {
        let salted = self.key.salting.iter().flat_map(|salting| {
            let Salting { salt, iterations, key_length } = salting;
            [
                ("salt", Value::copied(salt)),
                ("keylen", u64::from(*key_length).into()),
                ("iterations", u64::from(*iterations).into()),
            ]
        });
        [("challenge", Value::copied(&self.challenge))].into_iter().chain(salted).collect()
    }

    pub(crate) fn answer(self, signature: Signature) -> Check {
        Check { signature, exchange: self }
    }
}

/// A signature, and what it is to be of.
#[derive(Debug)]
pub(crate) struct Check {
    signature: Signature,
    exchange: Exchange,
}

impl Check {
    pub(crate) fn is_costly(&self) -> bool {
        self.exchange.key.derivation().is_some()
    }

    pub(crate) fn run(&self) -> bool {
        let expected = self.exchange.key.sign(&self.exchange.challenge);
        expected.as_bytes().ct_eq(self.signature.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The challenge of the section, and what has to come out of `secret123`.
    const CHALLENGE: &str = r#"{"authid":"peter","authrole":"user","authmethod":"wampcra","authprovider":"userdb","nonce":"LHRTC9zeOIrt_9U3","timestamp":"2014-06-22T16:36:25.448Z","session":3251278072152162}"#;
    const DERIVED: &str = "Eu7CQLfR+/Ffb+275A4s9/6H/RGKYxM4s6IMrsNKzC8=";

    fn salting() -> Salting {
        Salting { salt: "salt123".into(), iterations: 1000, key_length: 32 }
    }

    fn exchange(key: Key, nonce: u8) -> Exchange {
        let subject = Subject {
            authid: "peter \"\u{0}\"",
            authrole: "user",
            authprovider: "static",
            session: SessionId::new(3_251_278_072_152_162).unwrap(),
        };
        Exchange::begin(key, subject, [nonce; 16], UNIX_EPOCH + Duration::from_micros(1_403_454_985_448_999))
    }

    #[test]
    fn a_challenge_is_signed_as_other_implementations_sign_it() {
        assert_eq!(sign("secret123", CHALLENGE), "gzUNiJ8tCk/HtlObQVIKGmTS66MJMepc/ubXxpSHVys=");
        assert_eq!(derive("secret123", &salting()), DERIVED);
        assert_eq!(sign(DERIVED, CHALLENGE), "ZjTRXS6ri5Obbrm3Ih+retS0yPh5m/ojH7Wa7hTRyWc=");
    }

    #[test]
    fn a_challenge_tells_for_whom_and_when_it_is() {
        let text = r#"{"authid":"peter \"\u0000\"","authrole":"user","authmethod":"wampcra","authprovider":"static","nonce":"AQEBAQEBAQEBAQEBAQEBAQ==","timestamp":"2014-06-22T16:36:25.448Z","session":3251278072152162}"#;
        let plain = exchange(Key::plain("secret123"), 1);
        assert_eq!(plain.extra(), Dict::from([("challenge", text.into())]));
        let salted = exchange(Key::salted(DERIVED, salting()), 1);
        let extra = Dict::from([
            ("challenge", text.into()),
            ("salt", "salt123".into()),
            ("keylen", 32.into()),
            ("iterations", 1000.into()),
        ]);
        assert_eq!(salted.extra(), extra);
    }

    #[test]
    fn only_the_signature_of_the_very_challenge_is_right() {
        for (key, secret) in [
            (Key::plain("secret123"), "secret123"),
            (Key::salted(DERIVED, salting()), DERIVED),
            (Key::to_be_salted("secret123", salting()), DERIVED),
        ] {
            let run = |signature: &str| exchange(key.clone(), 1).answer(signature.into()).run();
            let right = sign(secret, &exchange(key.clone(), 1).challenge);
            assert!(run(&right));
            let other = exchange(key.clone(), 2).challenge;
            for wrong in [
                "",
                "secret123",
                DERIVED,
                right.trim_end_matches('='),
                &format!("{right} "),
                &sign(secret, &other),
                &sign("secret12", &exchange(key.clone(), 1).challenge),
            ] {
                assert!(!run(wrong), "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_key_that_is_yet_to_be_derived_makes_the_check_costly_and_shows_the_same_to_the_client() {
        let [derived, to_be] = [Key::salted(DERIVED, salting()), Key::to_be_salted("secret123", salting())]
            .map(|key| {
                let exchange = exchange(key, 1);
                (exchange.extra(), exchange.answer("".into()).is_costly())
            });
        assert_eq!((&derived.0, derived.1, to_be.1), (&to_be.0, false, true));
    }

    #[test]
    fn nobody_is_salted_like_those_who_are_known_and_always_the_same() {
        let decoy = |realm: &str, authid: &str| {
            let key = Key::decoy(&Decoy::new(&[1; 32], realm), authid, Some(&salting()));
            key.salting().unwrap().clone()
        };
        let nobody = decoy("realm1", "nobody");
        assert_eq!((nobody.iterations, nobody.key_length, nobody.salt.len()), (1000, 32, 24));
        assert_eq!(decoy("realm1", "nobody"), nobody);
        assert_ne!(decoy("realm1", "nobod"), nobody);
        assert_ne!(decoy("realm2", "nobody"), nobody);
    }
}
