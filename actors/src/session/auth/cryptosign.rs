//! WAMP-Cryptosign: the client signs a challenge with its Ed25519 key (section "Cryptosign-based Authentication").
//!
//! No channel binding is offered: who asks for it is challenged without, and goes on or gives up, or is refused where the
//! realm says so. Certificates and trust roots in HELLO
//! are not looked at; the keys that may join are those that principals have.

use crate::message::{Signature, value::Dict};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;

/// The public half of a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is built otherwise.
    #[error("is not built as a public key is; must be 64 hexadecimal digits")]
    Form,
    /// It is none of Ed25519, or one that anybody could sign for.
    #[error("is no public key of Ed25519")]
    Weak,
}

impl PublicKey {
    /// Reads what a client announces; it need not be a key.
    pub(crate) fn announced(text: &str) -> Option<Self> {
        octets(text).map(Self)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octets = octets(text).ok_or(InvalidKey::Form)?;
        match VerifyingKey::from_bytes(&octets) {
            Ok(key) if !key.is_weak() => Ok(Self(octets)),
            _ => Err(InvalidKey::Weak),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Reads a private key, written in 64 hexadecimal digits.
pub fn private_key(text: &str) -> Option<[u8; 32]> {
    octets(text)
}

/// The public key of a private one, which is 32 octets of chance.
pub fn public_key(private_key: &[u8; 32]) -> PublicKey {
    PublicKey(SigningKey::from_bytes(private_key).verifying_key().to_bytes())
}

/// Signs the text `challenge` of CHALLENGE.Extra with a private key. Gives AUTHENTICATE.Signature: the signature and
/// what is signed, in hexadecimal digits. `None` if the challenge is not one.
pub fn sign(private_key: &[u8; 32], challenge: &str) -> Option<String> {
    let challenge = octets::<32>(challenge)?;
    let signature = SigningKey::from_bytes(private_key).sign(&challenge);
    Some(hex(&signature.to_bytes()) + &hex(&challenge))
}

/// What of these hexadecimal digits is written.
pub(super) fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut octets = [0; N];
    for (octet, digits) in octets.iter_mut().zip(text.chunks(2)) {
        for digit in digits {
            *octet = *octet << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(octets)
}

/// Writes octets in hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A challenge, and the key that is to sign it.
#[derive(Debug)]
pub(crate) struct Exchange {
    key: PublicKey,
    /// Whether the key may join.
    is_known: bool,
    challenge: [u8; 32],
}

impl Exchange {
    /// `announced` is the key that the client says it has, `challenge` is of this exchange alone.
    pub(crate) fn begin(known: &[PublicKey], announced: PublicKey, challenge: [u8; 32]) -> Self {
        Self { key: announced, is_known: known.contains(&announced), challenge }
    }

    /// CHALLENGE.Extra.
    pub(crate) fn extra(&self) -> Dict {
        Dict::from([("challenge", hex(&self.challenge).into())])
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
    /// Does the same work whoever has the key.
    pub(crate) fn run(&self) -> bool {
        let Exchange { key, is_known, challenge } = &self.exchange;
        let shown = std::str::from_utf8(self.signature.as_bytes()).ok().and_then(octets::<96>);
        let Some((signature, signed)) = shown.as_ref().and_then(|shown| shown.split_first_chunk::<64>())
        else {
            return false;
        };
        let is_valid = VerifyingKey::from_bytes(&key.0)
            .and_then(|key| key.verify_strict(challenge, &ed25519_dalek::Signature::from_bytes(signature)));
        *is_known & bool::from(signed.ct_eq(challenge)) & is_valid.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private keys, their public keys, challenges, and the signatures of those: test vectors of other
    /// implementations.
    const VECTORS: [[&str; 4]; 2] = [
        [
            "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
            "1adfc8bfe1d35616e64dffbd900096f23b066f914c8c2ffbb66f6075b96e116d",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0c\
             ae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03",
        ],
        [
            "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
            "6ed32739ff04a6074044ff0b0e3bfc7c856bc9d5f1d25efc57363bda0af3a8b0",
            "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
            "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372\
             190374886a70207b042294af5bd64ce725cd8dceb344e6d11c09d1aaaf4d660f",
        ],
    ];

    fn run(known: &[PublicKey], announced: &str, challenge: &str, signature: &str) -> bool {
        let announced = PublicKey::announced(announced).unwrap();
        Exchange::begin(known, announced, octets(challenge).unwrap()).answer(signature.into()).run()
    }

    #[test]
    fn a_challenge_is_signed_as_other_implementations_sign_it() {
        for [private, public, challenge, signature] in VECTORS {
            let private = octets(private).unwrap();
            assert_eq!(public_key(&private).to_string(), public);
            assert_eq!(sign(&private, challenge), Some(format!("{signature}{challenge}")));
        }
        assert_eq!(sign(&[1; 32], "ff"), None);
    }

    #[test]
    fn only_the_signature_of_the_very_challenge_by_a_known_key_is_right() {
        let known = VECTORS.map(|[_, public, ..]| public.parse::<PublicKey>().unwrap());
        let [[_, key, challenge, signature], [_, other_key, other_challenge, other_signature]] = VECTORS;
        let right = format!("{signature}{challenge}");
        assert!(run(&known, key, challenge, &right));
        assert!(run(&known, key, challenge, &right.to_uppercase()));
        assert!(!run(&known[1..], key, challenge, &right), "nobody has the key");
        assert!(!run(&[], key, challenge, &right), "nobody has a key");
        assert!(!run(&known, other_key, challenge, &right), "the key of another");
        assert!(!run(&known, key, other_challenge, &right), "the challenge of another exchange");
        for wrong in [
            "",
            signature,
            &format!("{signature}{other_challenge}"),
            &format!("{other_signature}{challenge}"),
            &format!("{other_signature}{other_challenge}"),
            &format!("{right}00"),
            &format!("{}g", &right[..191]),
            &format!("+{}", &right[1..]),
            &"0".repeat(192),
            &"\u{e9}".repeat(96),
        ] {
            assert!(!run(&known, key, challenge, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        let zero = "0".repeat(64);
        // The order of the point is small: the zero signature would hold for any text.
        let weak = format!("01{}", "0".repeat(62));
        let signature = |challenge: &str| format!("{weak}{zero}{challenge}");
        for key in [&*weak, &*zero, &format!("02{}", "0".repeat(62))] {
            let announced = PublicKey::announced(key).unwrap();
            assert!(!run(&[announced], key, &zero, &signature(&zero)), "{key}");
            assert_eq!(key.parse::<PublicKey>(), Err(InvalidKey::Weak), "{key}");
        }
        for text in ["", "ff", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"\u{e9}".repeat(32)] {
            assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey::Form), "{text}");
        }
    }
}
