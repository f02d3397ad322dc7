//! Who joins, and how that is proved. What is computed is computed by the functions that the router has for it.

use super::Failure;
use base64::{Engine, prelude::BASE64_STANDARD};
use realmkeeper_actors::session::access::{
    cra::{self, Salting},
    cryptosign,
    scram::{self, Kdf, Told},
};
use serde_json::{Value, json};
use std::fmt;

/// Who joins, and how that can be proved.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// The name.
    pub(crate) authid: Option<String>,
    /// What is shown as it is.
    pub(crate) ticket: Option<String>,
    /// The secret of WAMP-CRA, the password of WAMP-SCRAM.
    pub(crate) secret: Option<String>,
    /// The private key of WAMP-Cryptosign.
    pub(crate) key: Option<[u8; 32]>,
    /// Whether the connection shows a certificate.
    pub(crate) is_certified: bool,
    /// The only method to offer, if not all that there is a proof for.
    pub(crate) method: Option<String>,
}

/// The methods, by their names on the wire; what shows the router less comes first.
pub(crate) const METHODS: [&str; 6] = ["tls", "cryptosign", "wamp-scram", "wampcra", "ticket", "anonymous"];

impl fmt::Debug for Credentials {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("authid", &self.authid).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The methods to offer: those that there is a proof for, and without any to join anonymously.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        let (key, secret, ticket) = (self.key.is_some(), self.secret.is_some(), self.ticket.is_some());
        let tls = self.is_certified;
        let can_be_proved = [tls, key, secret, secret, ticket, !(tls || key || secret || ticket)];
        let offered = METHODS.into_iter().zip(can_be_proved);
        let is_meant = |name: &str| self.method.as_deref().is_none_or(|only| only == name);
        offered.filter_map(|(name, can_be)| (can_be && is_meant(name)).then_some(name)).collect()
    }
}

/// How much a router may have this program compute: rounds of PBKDF2, passes of Argon2id and its memory in KiB.
const MOST: (u64, u64, u64) = (10_000_000, 100, 1 << 20);
/// The longest key of WAMP-CRA, in octets.
const LONGEST_KEY: u64 = 1024;

/// The proof while a session begins.
#[derive(Debug)]
pub(super) struct Proof<'a> {
    credentials: &'a Credentials,
    nonce: String,
    /// What WELCOME has to show where the router has something to prove as well.
    verifier: Option<String>,
}

impl<'a> Proof<'a> {
    pub(super) fn new(credentials: &'a Credentials) -> Self {
        let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
        Self { credentials, nonce, verifier: None }
    }

    /// HELLO.Details.authextra.
    pub(super) fn extra(&self) -> Value {
        let mut extra = json!({});
        if let Some(key) = &self.credentials.key {
            extra["pubkey"] = cryptosign::public_key(key).to_string().into();
        }
        if self.credentials.secret.is_some() {
            extra["nonce"] = self.nonce.as_str().into();
        }
        extra
    }

    /// The signature and the extra of AUTHENTICATE.
    pub(super) fn answer(&mut self, method: &str, extra: &Value) -> Result<(String, Value), Failure> {
        let broken = || Failure::Unexpected(format!("its challenge of {method} cannot be answered"));
        let challenge = || extra.get("challenge").and_then(Value::as_str).ok_or_else(broken);
        let Credentials { ticket, secret, key, .. } = self.credentials;
        match (method, ticket, secret, key) {
            ("ticket", Some(ticket), ..) => Ok((ticket.clone(), json!({}))),
            ("wampcra", _, Some(secret), _) => {
                let key = match salting(extra).map_err(|()| broken())? {
                    Some(salting) => &cra::derive(secret, &salting),
                    None => secret,
                };
                Ok((cra::sign(key, challenge()?), json!({})))
            }
            ("wamp-scram", _, Some(secret), _) => {
                let signature = self.scram(secret, extra)?.ok_or_else(broken)?;
                Ok((signature, json!({"nonce": extra.get("nonce")})))
            }
            ("cryptosign", _, _, Some(key)) => {
                let signature = cryptosign::sign(key, challenge()?).ok_or_else(broken)?;
                Ok((signature, json!({})))
            }
            _ => Err(Failure::Unexpected(format!("it asks for {method}, which was not offered"))),
        }
    }

    fn scram(&mut self, password: &str, extra: &Value) -> Result<Option<String>, Failure> {
        let text = |key: &str| extra.get(key).and_then(Value::as_str);
        let (Some(authid), Some(nonce), Some(salt), Some(kdf)) =
            (&self.credentials.authid, text("nonce"), text("salt"), kdf(extra))
        else {
            return Ok(None);
        };
        // A challenge for another client proves nothing.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Ok(None);
        }
        let told = Told { authid, client_nonce: &self.nonce, nonce, salt, kdf };
        let proof = scram::prove(password, &told).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(proof.map(|proof| {
            self.verifier = Some(proof.verifier);
            proof.signature
        }))
    }

    /// Checks what the router has to prove, if it has anything to.
    pub(super) fn check(&self, welcome: &Value) -> Result<(), Failure> {
        let shown = welcome.pointer("/authextra/verifier").and_then(Value::as_str);
        match self.verifier.as_deref() {
            Some(verifier) if shown != Some(verifier) => {
                Err(Failure::Unexpected("it does not prove that it knows the secret".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// A number that is not more than it may be.
fn number(extra: &Value, key: &str, most: u64) -> Option<u32> {
    let number = extra.get(key)?.as_u64().filter(|number| (1..=most).contains(number))?;
    u32::try_from(number).ok()
}

/// How the key of WAMP-CRA is derived, if it is.
fn salting(extra: &Value) -> Result<Option<Salting>, ()> {
    let Some(salt) = extra.get("salt") else { return Ok(None) };
    let salt = salt.as_str().ok_or(())?.into();
    // What clients take where nothing is told.
    let or = |key: &str, usual: u32, most| match extra.get(key) {
        Some(_) => number(extra, key, most).ok_or(()),
        None => Ok(usual),
    };
    let (iterations, key_length) = (or("iterations", 1000, MOST.0)?, or("keylen", 32, LONGEST_KEY)?);
    Ok(Some(Salting { salt, iterations, key_length }))
}

/// How the password of WAMP-SCRAM is derived.
fn kdf(extra: &Value) -> Option<Kdf> {
    match extra.get("kdf")?.as_str()? {
        "pbkdf2" => Some(Kdf::Pbkdf2 { iterations: number(extra, "iterations", MOST.0)? }),
        "argon2id13" => Some(Kdf::Argon2id {
            iterations: number(extra, "iterations", MOST.1)?,
            memory: number(extra, "memory", MOST.2)?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            authid: Some("user".into()),
            secret: Some("pencil".into()),
            key: Some([3; 32]),
            ..Credentials::default()
        }
    }

    #[test]
    fn only_what_can_be_proved_is_offered() {
        let mut credentials = credentials();
        assert_eq!(credentials.methods(), ["cryptosign", "wamp-scram", "wampcra"]);
        credentials.method = Some("wampcra".into());
        assert_eq!(credentials.methods(), ["wampcra"]);
        credentials.method = Some("anonymous".into());
        assert_eq!(credentials.methods(), [""; 0]);
        assert_eq!(Credentials::default().methods(), ["anonymous"]);
        let ticket = Credentials { ticket: Some("t".into()), ..Credentials::default() };
        assert_eq!(ticket.methods(), ["ticket"]);
        let certified = Credentials { is_certified: true, ..ticket };
        assert_eq!(certified.methods(), ["tls", "ticket"]);
    }

    #[test]
    fn nothing_of_a_secret_is_in_what_is_printed_for_debugging() {
        assert_eq!(format!("{:?}", credentials()), r#"Credentials { authid: Some("user"), .. }"#);
    }

    #[test]
    fn a_challenge_has_to_be_one_that_this_program_can_afford_to_answer() {
        let credentials = credentials();
        let mut proof = Proof::new(&credentials);
        let nonce = proof.nonce.clone() + "more";
        let scram = |change: Value| {
            let mut extra = json!({"nonce": nonce, "salt": "AAAA", "kdf": "pbkdf2", "iterations": 2});
            for (key, value) in change.as_object().unwrap() {
                extra[key] = value.clone();
            }
            ("wamp-scram", extra)
        };
        let cra = |change: Value| ("wampcra", change);
        for (method, extra) in [
            scram(json!({"iterations": 10_000_001})),
            scram(json!({"iterations": 0})),
            scram(json!({"kdf": "argon2id13", "memory": 1_048_577})),
            scram(json!({"kdf": "argon2id13", "memory": 64, "iterations": 101})),
            scram(json!({"kdf": "md5"})),
            scram(json!({"nonce": "of another client"})),
            scram(json!({"nonce": proof.nonce})),
            scram(json!({"salt": "no base64"})),
            cra(json!({})),
            cra(json!({"challenge": "c", "salt": "s", "iterations": 10_000_001})),
            cra(json!({"challenge": "c", "salt": "s", "keylen": 1025})),
            cra(json!({"challenge": "c", "salt": 5})),
            ("cryptosign", json!({"challenge": "no key"})),
        ] {
            let error = proof.answer(method, &extra).unwrap_err();
            let text =
                format!("what the router says makes no sense: its challenge of {method} cannot be answered");
            assert_eq!(error.to_string(), text, "{extra}");
        }
        let error = proof.answer("ticket", &json!({})).unwrap_err();
        let text = "what the router says makes no sense: it asks for ticket, which was not offered";
        assert_eq!(error.to_string(), text);
        let (method, extra) = scram(json!({}));
        assert_eq!(proof.answer(method, &extra).unwrap().1, json!({"nonce": nonce}));
        let (method, extra) = cra(json!({"challenge": "c", "salt": "s"}));
        assert_eq!(proof.answer(method, &extra).unwrap().1, json!({}));
    }

    #[test]
    fn a_router_that_does_not_know_the_password_is_not_believed() {
        let credentials = credentials();
        let mut proof = Proof::new(&credentials);
        proof.check(&json!({})).unwrap();
        let nonce = proof.nonce.clone() + "more";
        let extra = json!({"nonce": nonce, "salt": "AAAA", "kdf": "pbkdf2", "iterations": 2});
        proof.answer("wamp-scram", &extra).unwrap();
        for welcome in [json!({}), json!({"authextra": {"verifier": "AAAA"}})] {
            let error = proof.check(&welcome).unwrap_err();
            let text = "what the router says makes no sense: it does not prove that it knows the secret";
            assert_eq!(error.to_string(), text);
        }
        let verifier = proof.verifier.clone();
        proof.check(&json!({"authextra": {"verifier": verifier}})).unwrap();
    }
}
