//! WAMP-SCRAM: the client proves that it knows a password of which the router keeps only what checks the proof, and the
//! router proves that it keeps that (section "SCRAM-based Authentication", RFC 5802 and RFC 7677).
//!
//! No channel binding is offered: who asks for it cannot use this method.

use super::{Decoy, Proof, hmac, secret};
use crate::message::{
    Authenticate, Signature,
    value::{Dict, Value},
};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// How a password is made slow to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    /// PBKDF2 with HMAC-SHA256.
    Pbkdf2 {
        /// How many rounds it takes.
        iterations: u32,
    },
    /// Argon2id, version 1.3, in one lane.
    Argon2id {
        /// How often it passes over its memory.
        iterations: u32,
        /// Its memory in KiB.
        memory: u32,
    },
}

/// What is kept of a password: it checks proofs, and makes none.
#[derive(Clone)]
pub struct Keys {
    /// In base64, as it travels.
    salt: Arc<str>,
    kdf: Kdf,
    stored: [u8; 32],
    server: [u8; 32],
}

/// Why nothing can be derived of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Underivable {
    /// It holds characters that SASLprep (RFC 4013) does not let through.
    #[error("the password holds characters that no password can have, such as control characters")]
    Password,
    /// Argon2 does not take the parameters.
    #[error("Argon2 does not take these parameters: {0}")]
    Parameters(String),
}

/// What a client answers a challenge with, and how it knows the router by its WELCOME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientProof {
    /// AUTHENTICATE.Signature.
    pub signature: String,
    /// WELCOME.Details.authextra.verifier of a router that keeps the keys of the password.
    pub verifier: String,
}

/// What both sides have told each other before the proof.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// HELLO.Details.authid.
    pub authid: &'a str,
    /// HELLO.Details.authextra.nonce.
    pub client_nonce: &'a str,
    /// CHALLENGE.Extra.nonce.
    pub nonce: &'a str,
    /// CHALLENGE.Extra.salt.
    pub salt: &'a str,
    /// How the password is derived, by CHALLENGE.Extra.
    pub kdf: Kdf,
}

impl Default for Kdf {
    /// What is advised for passwords today.
    fn default() -> Self {
        Self::Argon2id { iterations: 2, memory: 19_456 }
    }
}

impl Kdf {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pbkdf2 { .. } => "pbkdf2",
            Self::Argon2id { .. } => "argon2id13",
        }
    }

    /// How many rounds or passes it takes.
    pub fn iterations(self) -> u32 {
        let (Self::Pbkdf2 { iterations } | Self::Argon2id { iterations, .. }) = self;
        iterations
    }

    /// Its memory in KiB, if it takes any.
    pub fn memory(self) -> Option<u32> {
        match self {
            Self::Pbkdf2 { .. } => None,
            Self::Argon2id { memory, .. } => Some(memory),
        }
    }

    /// Derives 32 octets of a password that is prepared.
    fn derive(self, password: &str, salt: &[u8]) -> Result<[u8; 32], Underivable> {
        let mut salted = [0; 32];
        match self {
            Self::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
            }
            Self::Argon2id { iterations, memory } => {
                let unusable = |error: argon2::Error| Underivable::Parameters(error.to_string());
                let params = Params::new(memory, iterations, 1, Some(salted.len())).map_err(unusable)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(password.as_bytes(), salt, &mut salted).map_err(unusable)?;
            }
        }
        Ok(salted)
    }
}

/// The password as SASLprep (RFC 4013) has it.
fn prepare(password: &str) -> Result<std::borrow::Cow<'_, str>, Underivable> {
    stringprep::saslprep(password).map_err(|_| Underivable::Password)
}

impl Keys {
    /// Keys that were derived before.
    pub fn new(salt: &[u8], kdf: Kdf, stored_key: [u8; 32], server_key: [u8; 32]) -> Self {
        Self { salt: BASE64_STANDARD.encode(salt).into(), kdf, stored: stored_key, server: server_key }
    }

    /// Derives the keys of a password.
    pub fn derive(password: &str, salt: &[u8], kdf: Kdf) -> Result<Self, Underivable> {
        let salted = kdf.derive(&prepare(password)?, salt)?;
        let (stored, server) = (Sha256::digest(client_key(&salted)).into(), server_key(&salted));
        Ok(Self::new(salt, kdf, stored, server))
    }

    /// The salt in base64.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// How they were derived.
    pub fn kdf(&self) -> Kdf {
        self.kdf
    }

    /// StoredKey and ServerKey of RFC 5802, both secrets.
    pub fn stored_and_server(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.stored, &self.server)
    }

    /// The keys of nobody, which look like those of a realm where they are derived so.
    pub(crate) fn decoy(decoy: &Decoy, authid: &str, kdf: Kdf) -> Self {
        let octets = |purpose| decoy.octets(purpose, authid);
        let (salt, stored, server) =
            (octets("scram salt"), octets("scram stored key"), octets("scram server key"));
        Self::new(&salt[..16], kdf, stored, server)
    }
}

secret!(Keys);

fn client_key(salted_password: &[u8; 32]) -> [u8; 32] {
    hmac(salted_password, &[b"Client Key"])
}

fn server_key(salted_password: &[u8; 32]) -> [u8; 32] {
    hmac(salted_password, &[b"Server Key"])
}

/// What the proofs of both sides are of.
fn auth_message(told: &Told<'_>) -> String {
    let Told { authid, client_nonce, nonce, salt, kdf } = told;
    let authid = authid.replace('=', "=3D").replace(',', "=2C");
    let iterations = kdf.iterations();
    format!("n={authid},r={client_nonce},r={nonce},s={salt},i={iterations},c=biws,r={nonce}")
}

fn xor(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|index| a[index] ^ b[index])
}

/// Proves as a client that it knows a password. `None` if the salt is not in base64.
pub fn prove(password: &str, told: &Told<'_>) -> Result<Option<ClientProof>, Underivable> {
    let Ok(salt) = BASE64_STANDARD.decode(told.salt) else { return Ok(None) };
    let salted = told.kdf.derive(&prepare(password)?, &salt)?;
    let (key, message) = (client_key(&salted), auth_message(told));
    let stored: [u8; 32] = Sha256::digest(key).into();
    let signature = xor(key, hmac(&stored, &[message.as_bytes()]));
    let verifier = hmac(&server_key(&salted), &[message.as_bytes()]);
    let [signature, verifier] = [signature, verifier].map(|octets| BASE64_STANDARD.encode(octets));
    Ok(Some(ClientProof { signature, verifier }))
}

/// Whether a client may have chosen this nonce: characters that SCRAM lets be one, and not too many.
pub(crate) fn is_nonce(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// A challenge, and what checks the proof.
#[derive(Debug)]
pub(crate) struct Exchange {
    authid: Box<str>,
    client_nonce: Box<str>,
    nonce: String,
    keys: Keys,
}

impl Exchange {
    /// `server_nonce` is of this exchange alone.
    pub(crate) fn begin(keys: Keys, authid: &str, client_nonce: &str, server_nonce: [u8; 18]) -> Self {
        let nonce = format!("{client_nonce}{}", BASE64_STANDARD.encode(server_nonce));
        Self { authid: authid.into(), client_nonce: client_nonce.into(), nonce, keys }
    }

    /// CHALLENGE.Extra.
    pub(crate) fn extra(&self) -> Dict {
        let kdf = self.keys.kdf;
        Dict::from([
            ("nonce", Value::copied(&self.nonce)),
            ("salt", Value::copied(self.keys.salt())),
            ("kdf", kdf.name().into()),
            ("iterations", u64::from(kdf.iterations()).into()),
            ("memory", kdf.memory().map_or(Value::Null, |memory| u64::from(memory).into())),
        ])
    }

    /// An answer to another challenge, or with a channel binding, is as wrong as one without a proof.
    pub(crate) fn answer(self, Authenticate { signature, extra }: Authenticate) -> Check {
        let is_of_this = extra.value("nonce").and_then(Value::as_str) == Some(&self.nonce);
        let is_bound = extra.value("channel_binding").or(extra.value("cbind_data")).is_some();
        Check { signature, fits: is_of_this && !is_bound, exchange: self }
    }
}

/// A proof, and what checks it.
#[derive(Debug)]
pub(crate) struct Check {
    signature: Signature,
    /// Whether the rest of the answer is as it has to be.
    fits: bool,
    exchange: Exchange,
}

impl Check {
    pub(crate) fn run(&self) -> Option<Proof> {
        let Exchange { authid, client_nonce, nonce, keys } = &self.exchange;
        let told = Told { authid, client_nonce, nonce, salt: &keys.salt, kdf: keys.kdf };
        let message = auth_message(&told);
        let shown = BASE64_STANDARD.decode(self.signature.as_bytes()).ok();
        let shown = shown.and_then(|shown| <[u8; 32]>::try_from(shown).ok());
        let client_key = xor(shown.unwrap_or_default(), hmac(&keys.stored, &[message.as_bytes()]));
        let is_right = bool::from(Sha256::digest(client_key).as_slice().ct_eq(&keys.stored));
        let verifier = BASE64_STANDARD.encode(hmac(&keys.server, &[message.as_bytes()]));
        let authextra = Some(Dict::from([("verifier", verifier.into())]));
        (is_right & self.fits & shown.is_some()).then_some(Proof { authextra, claims: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PBKDF2: Kdf = Kdf::Pbkdf2 { iterations: 4096 };
    const ARGON2: Kdf = Kdf::Argon2id { iterations: 2, memory: 64 };

    /// The values of RFC 7677 section 3.
    fn told() -> Told<'static> {
        Told {
            authid: "user",
            client_nonce: "rOprNGfwEbeRWgbNEkqO",
            nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
            kdf: PBKDF2,
        }
    }

    fn keys(password: &str, kdf: Kdf) -> Keys {
        Keys::derive(password, &BASE64_STANDARD.decode(told().salt).unwrap(), kdf).unwrap()
    }

    /// An exchange with the keys of `pencil`.
    fn exchange(kdf: Kdf, server_nonce: u8) -> Exchange {
        Exchange::begin(keys("pencil", kdf), "a=b,c", "client", [server_nonce; 18])
    }

    /// What a client that knows this password answers to an exchange.
    fn proof(exchange: &Exchange, password: &str) -> ClientProof {
        let Exchange { authid, client_nonce, nonce, keys } = exchange;
        let told = Told { authid, client_nonce, nonce, salt: &keys.salt, kdf: keys.kdf };
        prove(password, &told).unwrap().unwrap()
    }

    fn extra(nonce: &str) -> Dict {
        let nonce = Value::copied(nonce);
        Dict::from([("nonce", nonce), ("channel_binding", Value::Null), ("cbind_data", Value::Null)])
    }

    fn run(exchange: Exchange, signature: &str, extra: Dict) -> Option<Proof> {
        exchange.answer(Authenticate { signature: signature.into(), extra }).run()
    }

    #[test]
    fn a_password_is_proved_as_the_rfc_has_it() {
        let keys = keys("pencil", PBKDF2);
        let (stored, server) = keys.stored_and_server();
        assert_eq!(BASE64_STANDARD.encode(stored), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        assert_eq!(BASE64_STANDARD.encode(server), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
        let proof = ClientProof {
            signature: "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".into(),
            verifier: "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".into(),
        };
        assert_eq!(prove("pencil", &told()), Ok(Some(proof)));
        // The nonces and the salt of the example in the section.
        let example = Told {
            client_nonce: "egVDf3DMJh0=",
            nonce: "egVDf3DMJh0=SBmkFIh7sSo=",
            salt: "aBc+fx0NAVA=",
            ..told()
        };
        let proof = ClientProof {
            signature: "L1uwjEEL7BdbtlWMKxNcQ1A/CmNjct+7xdAguB/rpnA=".into(),
            verifier: "AyTAljdPHv74Zx+gn+6DqiFnl4XOZUXpC7k/pSkjBOg=".into(),
        };
        assert_eq!(prove("pencil", &example), Ok(Some(proof)));
        assert_eq!(prove("pencil", &Told { salt: "!", ..told() }), Ok(None));
    }

    #[test]
    fn a_password_is_prepared() {
        // A soft hyphen is nothing, and a Roman numeral its letters.
        let derived = |password| *keys(password, PBKDF2).stored_and_server().0;
        assert_eq!(derived("I\u{ad}X"), derived("IX"));
        assert_eq!(derived("\u{2168}"), derived("IX"));
        let bell = Keys::derive("\u{7}", b"salt", PBKDF2);
        assert_eq!(bell.err(), Some(Underivable::Password));
        let little = Keys::derive("pencil", b"saltsalt", Kdf::Argon2id { iterations: 1, memory: 1 });
        assert!(matches!(little, Err(Underivable::Parameters(_))), "{little:?}");
    }

    #[test]
    fn a_challenge_tells_how_the_password_is_derived() {
        let nonce = "clientAQEBAQEBAQEBAQEBAQEBAQEB";
        let told = |kdf: &'static str, iterations: u64, memory| {
            Dict::from([
                ("nonce", nonce.into()),
                ("salt", "W22ZaJ0SNY7soEsUEjb6gQ==".into()),
                ("kdf", kdf.into()),
                ("iterations", iterations.into()),
                ("memory", memory),
            ])
        };
        assert_eq!(exchange(PBKDF2, 1).extra(), told("pbkdf2", 4096, Value::Null));
        assert_eq!(exchange(ARGON2, 1).extra(), told("argon2id13", 2, Value::Integer(64)));
    }

    #[test]
    fn only_a_proof_for_the_very_challenge_is_right_and_brings_one_of_the_router() {
        for kdf in [PBKDF2, ARGON2] {
            let begin = || exchange(kdf, 1);
            let nonce = &*begin().nonce;
            let ClientProof { signature, verifier } = proof(&begin(), "pencil");
            let authextra = Some(Dict::from([("verifier", Value::copied(&verifier))]));
            assert_eq!(run(begin(), &signature, extra(nonce)), Some(Proof { authextra, claims: None }));
            let other = exchange(kdf, 2);
            for (wrong, extra) in [
                (&*signature, Dict::default()),
                (&signature, extra("client")),
                (&signature, extra(&other.nonce)),
                (
                    &signature,
                    Dict::from([("nonce", Value::copied(nonce)), ("channel_binding", "tls-unique".into())]),
                ),
                (&signature, Dict::from([("nonce", Value::copied(nonce)), ("cbind_data", "AAAA".into())])),
                (&signature, Dict::from([("nonce", Value::Integer(1))])),
                (&proof(&other, "pencil").signature, extra(nonce)),
                (&proof(&begin(), "Pencil").signature, extra(nonce)),
                (&verifier, extra(nonce)),
                ("", extra(nonce)),
                ("pencil", extra(nonce)),
                (&signature[4..], extra(nonce)),
                (&format!("{signature}AAAA"), extra(nonce)),
            ] {
                assert_eq!(run(begin(), wrong, extra.clone()), None, "{wrong} {extra:?}");
            }
        }
    }

    #[test]
    fn nobody_has_a_salt_that_is_always_the_same_and_no_password() {
        let decoy = |realm: &str, authid: &str| Keys::decoy(&Decoy::new(&[1; 32], realm), authid, ARGON2);
        let nobody = decoy("realm1", "nobody");
        assert_eq!((nobody.salt().len(), nobody.kdf()), (24, ARGON2));
        assert_eq!(decoy("realm1", "nobody").salt(), nobody.salt());
        assert_ne!(decoy("realm1", "nobod").salt(), nobody.salt());
        assert_ne!(decoy("realm2", "nobody").salt(), nobody.salt());
        let begin = || Exchange::begin(nobody.clone(), "nobody", "client", [1; 18]);
        let nonce = begin().nonce;
        for password in ["", "nobody", "pencil"] {
            let ClientProof { signature, .. } = proof(&begin(), password);
            assert_eq!(run(begin(), &signature, extra(&nonce)), None);
        }
    }

    #[test]
    fn a_nonce_has_only_characters_that_part_nothing() {
        for nonce in ["a", "rOprNGfwEbeRWgbNEkqO", "a=b/c+", &"x".repeat(256)] {
            assert!(is_nonce(nonce), "{nonce}");
        }
        for nonce in ["", "a,b", "a b", "a\u{7f}", "\u{e9}", &"x".repeat(257)] {
            assert!(!is_nonce(nonce), "{nonce:?}");
        }
    }
}
