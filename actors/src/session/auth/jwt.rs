//! Authentication by a JSON Web Token (RFC 7519) that somebody else has signed, shown as a ticket is: CHALLENGE is
//! empty, AUTHENTICATE holds the token.
//!
//! A key is for the algorithms of its kind and no others, so that no token can choose how it is checked: a public key
//! is never taken for a secret, and there is no algorithm `none`. A token has to expire; what it lets in ends then.

use super::{Claims, Proof};
use crate::{
    codec::from_json,
    message::{Signature, value::Value},
    permission::Role,
};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    decode, decode_header,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, PublicKeyUse},
    signature,
};
use ring::{
    hmac,
    signature::{self as ring_signature, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How much the clock of who issues tokens may be ahead.
const AHEAD: Duration = Duration::from_secs(30);

/// The least octets of a secret and of the modulus of RSA.
const LEAST_SECRET: usize = 32;
const LEAST_MODULUS: usize = 256;

/// Which tokens let somebody into a realm, and as whom.
#[derive(Clone, Debug)]
pub struct Rules {
    /// By one of which a token has to be signed.
    pub keys: Vec<Key>,
    /// The claim `iss` that a token has to have; `None` for any or none.
    pub issuer: Option<Box<str>>,
    /// What has to be in the claim `aud` of a token; `None` where it may have no such claim.
    pub audience: Option<Box<str>>,
    /// The claim that is the authid.
    pub authid: Box<str>,
    /// The role that it gives.
    pub role: Grant,
}

/// The role that a token gives.
#[derive(Clone, Debug)]
pub enum Grant {
    /// Always this one.
    Fixed(Arc<Role>),
    /// The one that a claim names; the first that there is, if it is a list.
    Claim {
        /// The claim.
        name: Box<str>,
        /// The roles that there are.
        roles: Vec<Arc<Role>>,
    },
}

impl Grant {
    /// The role of this name, if a token can give it.
    pub(crate) fn named(&self, role: &str) -> Option<&Arc<Role>> {
        match self {
            Self::Fixed(fixed) => Some(fixed).filter(|fixed| *fixed.name == *role),
            Self::Claim { roles, .. } => roles.iter().find(|known| *known.name == *role),
        }
    }
}

/// What checks the signature of a token.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a text holds no key. The text is not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is neither PEM nor a set of JSON Web Keys.
    #[error("it holds neither a public key in PEM nor a JSON Web Key Set")]
    Form,
    /// It holds what only the issuer should have.
    #[error("it holds a private key, of which the public one is needed")]
    Private,
    /// There is no key in it that can check tokens.
    #[error("it holds no key of RSA, Ed25519, P-256, P-384 or HMAC for signatures")]
    Unsupported,
    /// Its key is too easily found.
    #[error("a secret has to have 32 octets or more, and a key of RSA 2048 bits or more")]
    Weak,
}

impl Key {
    /// A secret that is shared with who signs tokens, for HS256, HS384 and HS512.
    pub fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        Self::new(None, None, DecodingKey::from_secret(secret))
    }

    /// The keys in a text: one in PEM, or those of a JSON Web Key Set (RFC 7517), of which others than for signatures
    /// are left out.
    pub fn read(text: &str) -> Result<Vec<Self>, InvalidKey> {
        if text.trim_start().starts_with('{') {
            return Self::read_set(text);
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        if !text.contains("PUBLIC KEY-----") {
            return Err(InvalidKey::Form);
        }
        let text = text.as_bytes();
        let key = DecodingKey::from_rsa_pem(text)
            .or_else(|_| DecodingKey::from_ed_pem(text))
            .or_else(|_| DecodingKey::from_ec_pem(text));
        Ok(vec![Self::new(None, None, key.map_err(|_| InvalidKey::Unsupported)?)?])
    }

    fn read_set(text: &str) -> Result<Vec<Self>, InvalidKey> {
        let set: JwkSet = from_json(text.as_bytes()).map_err(|_| InvalidKey::Form)?;
        let signs = |jwk: &&Jwk| !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let mut keys = Vec::new();
        for jwk in set.keys.iter().filter(signs) {
            let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string().parse::<Algorithm>());
            let (Ok(algorithm), Ok(key)) = (named.transpose(), DecodingKey::from_jwk(jwk)) else { continue };
            match Self::new(jwk.common.key_id.clone(), algorithm, key) {
                Err(InvalidKey::Unsupported) => {}
                key => keys.push(key?),
            }
        }
        if keys.is_empty() { Err(InvalidKey::Unsupported) } else { Ok(keys) }
    }

    /// A key for the algorithm that it is named for, or for all that it can be for.
    fn new(id: Option<String>, named: Option<Algorithm>, key: DecodingKey) -> Result<Self, InvalidKey> {
        let family = key.family();
        let length = match key.kind() {
            DecodingKeyKind::SecretOrDer(octets) => octets.len(),
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        };
        let possible = match (family, length) {
            (AlgorithmFamily::Hmac, ..LEAST_SECRET) | (AlgorithmFamily::Rsa, ..LEAST_MODULUS) => {
                return Err(InvalidKey::Weak);
            }
            (AlgorithmFamily::Hmac | AlgorithmFamily::Rsa, _) => family.algorithms(),
            (AlgorithmFamily::Ed, 32) => &[Algorithm::EdDSA],
            // A point that is not compressed.
            (AlgorithmFamily::Ec, 65) => &[Algorithm::ES256],
            (AlgorithmFamily::Ec, 97) => &[Algorithm::ES384],
            (AlgorithmFamily::Ed | AlgorithmFamily::Ec, _) => return Err(InvalidKey::Unsupported),
        };
        let is_for = |algorithm: &Algorithm| named.is_none_or(|named| named == *algorithm);
        let algorithms: Vec<_> = possible.iter().copied().filter(is_for).collect();
        if algorithms.is_empty() {
            return Err(InvalidKey::Unsupported);
        }
        // Another provider stays, if the program has installed one.
        let _ = PROVIDER.install_default();
        Ok(Self { id, algorithms, key })
    }

    /// The claims of a token that is signed with this key.
    fn claims(&self, token: &[u8]) -> Option<Value> {
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&self.algorithms);
        // The claims are checked by the time that is lent, not by that of the library.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        decode(token, &self.key, &validation).ok().map(|token| token.claims)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, algorithms, .. } = self;
        f.debug_struct("Key").field("id", id).field("algorithms", algorithms).finish_non_exhaustive()
    }
}

/// How signatures are checked: by the library that TLS is done with.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Verifier { algorithm: *algorithm, key: key.clone() })),
    // Only for what makes keys of others.
    key_utils: KeyUtils::new_unimplemented(),
};

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], shown: &Vec<u8>) -> Result<(), signature::Error> {
        // What is for another kind of key is refused, whatever octets it is made of.
        if self.key.family() != self.algorithm.family() {
            return Err(signature::Error::new());
        }
        let key = self.key.try_get_as_bytes().unwrap_or_default();
        let hmac = |algorithm| hmac::verify(&hmac::Key::new(algorithm, key), message, shown);
        let rsa = |parameters: &'static RsaParameters| match self.key.kind() {
            DecodingKeyKind::SecretOrDer(der) => {
                UnparsedPublicKey::new(parameters, der).verify(message, shown)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, shown)
            }
        };
        let verified = match self.algorithm {
            Algorithm::HS256 => hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => hmac(hmac::HMAC_SHA512),
            Algorithm::RS256 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P256_SHA256_FIXED, key).verify(message, shown)
            }
            Algorithm::ES384 => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P384_SHA384_FIXED, key).verify(message, shown)
            }
            Algorithm::EdDSA => UnparsedPublicKey::new(&ring_signature::ED25519, key).verify(message, shown),
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl Rules {
    /// What a token says at this time; `None` if it does not let in.
    fn claims(&self, token: &[u8], now: SystemTime) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        // What would have to be understood, and is not.
        if header.crit.is_some() {
            return None;
        }
        let is_named = |key: &&Key| key.id.is_none() || header.kid.is_none() || key.id == header.kid;
        let Value::Dict(claims) = self.keys.iter().filter(is_named).find_map(|key| key.claims(token))? else {
            return None;
        };
        let text = |name: &str| claims.value(name).and_then(Value::as_str);
        let expiry = claims.value("exp").and_then(time)?;
        let not_before = claims.value("nbf").map_or(Some(UNIX_EPOCH), time)?;
        let is_issuer = self.issuer.as_deref().is_none_or(|issuer| text("iss") == Some(issuer));
        let is_audience = match (&self.audience, claims.value("aud")) {
            (None, aud) => aud.is_none(),
            (Some(audience), aud) => texts(aud).any(|aud| aud == &**audience),
        };
        let authid = text(&self.authid).filter(|authid| !authid.is_empty())?;
        let role = match &self.role {
            Grant::Fixed(role) => role,
            Grant::Claim { name, roles } => {
                texts(claims.value(name)).find_map(|name| roles.iter().find(|role| &*role.name == name))?
            }
        };
        let is_valid = now < expiry && not_before <= now + AHEAD && is_issuer && is_audience;
        is_valid.then(|| Claims { authid: authid.into(), role: role.clone(), expiry })
    }
}

/// The texts of a claim that is one, or a list of them.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = match claim {
        Some(Value::List(list)) => &list[..],
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

/// The point in time that a claim is, which is a number of seconds since the Unix epoch.
fn time(claim: &Value) -> Option<SystemTime> {
    let since = if let Value::Float(seconds) = claim {
        Duration::try_from_secs_f64(*seconds).ok()?
    } else if let Value::Integer(seconds) = claim {
        Duration::from_secs(*seconds)
    } else {
        return None;
    };
    UNIX_EPOCH.checked_add(since)
}

/// What a token is checked by.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// `None` if no token lets anybody in.
    rules: Option<Arc<Rules>>,
    /// Who the client says it is, if it says so.
    authid: Option<Box<str>>,
}

impl Exchange {
    pub(crate) fn begin(rules: Option<Arc<Rules>>, authid: Option<&str>) -> Self {
        Self { rules, authid: authid.map(Into::into) }
    }

    pub(crate) fn answer(self, token: Signature, now: SystemTime) -> Check {
        Check { token, now, exchange: self }
    }
}

/// A token that was shown, and when.
#[derive(Debug)]
pub(crate) struct Check {
    token: Signature,
    now: SystemTime,
    exchange: Exchange,
}

impl Check {
    pub(crate) fn run(&self) -> Option<Proof> {
        let Exchange { rules, authid } = &self.exchange;
        let claims = rules.as_ref()?.claims(self.token.as_bytes(), self.now)?;
        let is_named = authid.as_deref().is_none_or(|authid| authid == &*claims.authid);
        is_named.then(|| Proof { authextra: None, claims: Some(claims) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
    };

    const SECRET: &[u8] = b"a secret of more than 32 octets, shared by two";
    const NOW: u64 = 1_800_000_000;

    fn encode(octets: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(octets)
    }

    /// A token with this header and these claims, signed by `sign`.
    fn token(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn hs256(message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message).as_ref().to_vec()
    }

    fn role(name: &str) -> Arc<Role> {
        Role::unrestricted(name).into()
    }

    /// Rules by which tokens of one issuer, signed with these keys, give the role `member`.
    fn rules(keys: Vec<Key>) -> Rules {
        Rules {
            keys,
            issuer: Some("https://id.example.com".into()),
            audience: Some("shop".into()),
            authid: "sub".into(),
            role: Grant::Fixed(role("member")),
        }
    }

    fn by_secret() -> Rules {
        rules(vec![Key::secret(SECRET).unwrap()])
    }

    fn claims(rules: &Rules, token: &str) -> Option<(String, String, u64)> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let Claims { authid, role, expiry } = rules.claims(token.as_bytes(), now)?;
        let expiry = expiry.duration_since(UNIX_EPOCH).unwrap().as_secs();
        Some((authid.to_string(), role.name.to_string(), expiry))
    }

    /// The claims that the rules ask for.
    fn good() -> String {
        let exp = NOW + 60;
        format!(r#"{{"sub":"joe","iss":"https://id.example.com","aud":"shop","exp":{exp}}}"#)
    }

    fn joe() -> Option<(String, String, u64)> {
        Some(("joe".into(), "member".into(), NOW + 60))
    }

    #[test]
    fn a_token_lets_in_whom_it_names_until_it_expires() {
        let rules = by_secret();
        let signed = |claims: &str| token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, hs256);
        assert_eq!(claims(&rules, &signed(&good())), joe());
        let exp = |seconds: &str| good().replace(&(NOW + 60).to_string(), seconds);
        let with = |claim: &str| good().replacen('{', &format!("{{{claim},"), 1);
        for right in [
            with(&format!(r#""nbf":{}"#, NOW + 29)),
            with(r#""nbf":1800000000.5"#),
            with(r#""iat":9e300,"admin":true,"x":{"y":[1]}"#),
            good().replace(r#""shop""#, r#"["other","shop"]"#),
        ] {
            assert_eq!(claims(&rules, &signed(&right)), joe(), "{right}");
        }
        for wrong in [
            exp(&NOW.to_string()),
            exp("1"),
            exp("-1"),
            exp("1e300"),
            exp(r#""1900000000""#),
            exp("null"),
            exp("[]"),
            good().replace("exp", "expires"),
            with(&format!(r#""nbf":{}"#, NOW + 31)),
            with(r#""nbf":"now""#),
            good().replace("id.example.com", "id.example.org"),
            good().replace("iss", "issuer"),
            good().replace(r#""shop""#, r#""shops""#),
            good().replace(r#""shop""#, r#"["other"]"#),
            good().replace(r#""shop""#, r#"{"shop":"shop"}"#),
            good().replace("aud", "audience"),
            good().replace("joe", ""),
            good().replace(r#""joe""#, "7"),
            good().replace("sub", "name"),
            "[]".into(),
            "7".into(),
            String::new(),
        ] {
            assert_eq!(claims(&rules, &signed(&wrong)), None, "{wrong}");
        }
        let unbound = Rules { audience: None, issuer: None, ..by_secret() };
        assert_eq!(claims(&unbound, &signed(&good())), None, "it is for somebody else");
        let for_anybody = good().replace(r#""aud":"shop","#, "");
        assert_eq!(claims(&unbound, &signed(&for_anybody)), joe());
    }

    #[test]
    fn claims_may_name_the_authid_and_the_role() {
        let grant = Grant::Claim { name: "groups".into(), roles: vec![role("member"), role("admin")] };
        let rules = Rules { authid: "email".into(), role: grant, ..by_secret() };
        let given = |groups: &str| {
            let claim =
                good().replacen('{', &format!(r#"{{"email":"joe@example.com","groups":{groups},"#), 1);
            claims(&rules, &token(r#"{"alg":"HS256"}"#, &claim, hs256))
                .map(|(authid, role, _)| (authid, role))
        };
        let joe = |role: &str| Some(("joe@example.com".to_owned(), role.to_owned()));
        assert_eq!(given(r#""admin""#), joe("admin"));
        assert_eq!(given(r#"["staff","member","admin"]"#), joe("member"));
        for none in [r#""root""#, r#"["root"]"#, "[]", "null", "{}", r#"{"admin":true}"#] {
            assert_eq!(given(none), None, "{none}");
        }
    }

    #[test]
    fn only_the_very_token_is_right() {
        let rules = by_secret();
        let right = token(r#"{"alg":"HS256"}"#, &good(), hs256);
        let [header, body, signature] = right.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
        let admin = encode(good().replace("joe", "root"));
        for wrong in [
            String::new(),
            "a.b.c".into(),
            "..".into(),
            header.into(),
            format!("{header}.{body}"),
            format!("{header}.{body}."),
            format!("{header}.{admin}.{signature}"),
            format!("{right}."),
            format!("{right}A"),
            format!(" {right}"),
            format!("{header}.{body}.{}", encode("x")),
            token(r#"{"alg":"none"}"#, &good(), |_| Vec::new()),
            token(r#"{"alg":"None"}"#, &good(), hs256),
            token(r#"{"alg":"HS384"}"#, &good(), hs256),
            token(r#"{"typ":"JWT"}"#, &good(), hs256),
            token(r#"{"alg":"HS256","crit":["exp"]}"#, &good(), hs256),
            token(r#"{"alg":"HS256"}"#, &good(), |message| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"another"), message).as_ref().to_vec()
            }),
        ] {
            assert_eq!(claims(&rules, &wrong), None, "{wrong}");
        }
    }

    /// A set with an Ed25519 key called `ed`, a P-256 key called `ec`, and one that cannot sign; and what signs by
    /// them.
    fn set() -> (String, Ed25519KeyPair, EcdsaKeyPair) {
        let ed = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let (x, point) = (encode(ed.public_key()), ec.public_key().as_ref());
        let (ec_x, ec_y) = (encode(&point[1..33]), encode(&point[33..]));
        let set = format!(
            r#"{{"keys":[
                {{"kty":"OKP","crv":"Ed25519","kid":"ed","use":"sig","x":"{x}"}},
                {{"kty":"EC","crv":"P-256","kid":"ec","alg":"ES256","x":"{ec_x}","y":"{ec_y}"}},
                {{"kty":"EC","crv":"P-256","kid":"enc","use":"enc","x":"{ec_x}","y":"{ec_y}"}}
            ]}}"#
        );
        (set, ed, ec)
    }

    #[test]
    fn a_key_of_a_set_checks_what_it_is_for() {
        let (set, ed, ec) = set();
        let keys = Key::read(&set).unwrap();
        assert_eq!(
            format!("{keys:?}"),
            r#"[Key { id: Some("ed"), algorithms: [EdDSA], .. }, Key { id: Some("ec"), algorithms: [ES256], .. }]"#
        );
        let rules = rules(keys);
        let random = SystemRandom::new();
        let by_ed = |message: &[u8]| ed.sign(message).as_ref().to_vec();
        let by_ec = |message: &[u8]| ec.sign(&random, message).unwrap().as_ref().to_vec();
        for header in [r#"{"alg":"EdDSA","kid":"ed"}"#, r#"{"alg":"EdDSA"}"#] {
            assert_eq!(claims(&rules, &token(header, &good(), by_ed)), joe(), "{header}");
        }
        assert_eq!(claims(&rules, &token(r#"{"alg":"ES256","kid":"ec"}"#, &good(), by_ec)), joe());
        for header in [r#"{"alg":"EdDSA","kid":"ec"}"#, r#"{"alg":"EdDSA","kid":"x"}"#, r#"{"alg":"ES256"}"#]
        {
            assert_eq!(claims(&rules, &token(header, &good(), by_ed)), None, "{header}");
        }
        // The public keys are known to everybody: they are no secrets to sign with.
        for public in [ed.public_key().as_ref(), ec.public_key().as_ref(), set.as_bytes()] {
            for header in [r#"{"alg":"HS256","kid":"ed"}"#, r#"{"alg":"HS256"}"#] {
                let forged = token(header, &good(), |message| {
                    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), message).as_ref().to_vec()
                });
                assert_eq!(claims(&rules, &forged), None, "{header}");
            }
        }
    }

    #[test]
    fn a_text_that_holds_no_key_is_told_why() {
        let private =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAUFBQUF\n-----END PRIVATE KEY-----\n";
        let garbage = "-----BEGIN PUBLIC KEY-----\nMC4CAQAwBQYDK2VwBCIEIAUFBQUF\n-----END PUBLIC KEY-----\n";
        let short = encode([0xff; 128]);
        for (text, problem) in [
            ("", InvalidKey::Form),
            ("secret", InvalidKey::Form),
            ("{}", InvalidKey::Form),
            (r#"{"keys":[{}]}"#, InvalidKey::Unsupported),
            (r#"{"keys":[{"kty":7}]}"#, InvalidKey::Unsupported),
            (r#"{"keys":{}}"#, InvalidKey::Form),
            (r#"{"keys":[]}"#, InvalidKey::Unsupported),
            (r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}"#, InvalidKey::Unsupported),
            (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, InvalidKey::Weak),
            (&format!(r#"{{"keys":[{{"kty":"RSA","n":"{short}","e":"AQAB"}}]}}"#), InvalidKey::Weak),
            (private, InvalidKey::Private),
            (garbage, InvalidKey::Unsupported),
        ] {
            assert_eq!(Key::read(text).err(), Some(problem), "{text}");
        }
        assert_eq!(Key::secret(&SECRET[..31]).err(), Some(InvalidKey::Weak));
    }

    /// A public key of RSA, and what openssl signed with the private one: the good claims, by RS256 and by PS256.
    const RSA: &str = "-----BEGIN PUBLIC KEY-----\n\
         MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAp5wOstdEirfJH3gaOJQD\n\
         z0g7yDJGFZJe1qinzMPYaM+dYQkfIrNQ14CHMisMvlBY4yHUjq9KLgO21/c2uwyK\n\
         tye424QpqV6WT4HDzsroF1eRBXL/G3maMwTGjxtXQxiLZJoZATysMYu7WF/xh35J\n\
         ZxaacGFKAZNQvmN8yzvfxTnHm/6eQW/rUXKQWRcWPXXAAG2JPerKfVHvauvLNCYL\n\
         PaQqISHyNtzaSjzMlmEgyCdJFeIb+Xq6uwNJkyyj8ouSL5Ckc8GJ+lq+kflWteLS\n\
         EvLb9PegEqP0FPgMiotzaZRW6J3r+PF8rTbLWqeAy+ksDGZZF9FmChxbTN9btg8g\n\
         EwIDAQAB\n\
         -----END PUBLIC KEY-----";
    const BY_RS256: &str = "h0TKWU4Nb03HZDh9-wFIH8Li--xBwEXL9l20vQwoAkbrc_qAEsI1E4htJyDsX9WRbelmMAha1smMLx47fNW_KCBN-t\
         HqeUk6pYRY9dJwCl9y7XXJvcDKoQfiC5fCmrm2hkOPZrA2fwILlBOB95Q2IyaQJwiPXd4ye8cyOXZPLgCn7zKaDsX6\
         Ir5lX4ChmYWAD6LZObUZqyr8Q0H_FfwL-XpY3fx8HzF7w4rbB-a5QtziXDqYITz1MYnd21rMhxez-kfQ1pfzJPsErt\
         ZCroGsWZj6wpQ2cHVJ4fQ9PnbIIhvNDZ0HXyj0w8sL4_aGAMUtWxahF7eS-KrKNEUv3jDF4Q";
    const BY_PS256: &str = "RFWGu0j0YCYiqg6pByZPsh3FuVSdqZicSYCId-C9TPSXf2YE7xcHTJzEme6W71n0-AuxIjZ3vKSzwN1QkLEF01hfPe\
         CGM-RdXBiLapLZ1YgVX_TK5VRiiu6MmBxz-c_uNEVEmgPRIme99t5hqZK6WJy9K3C5366CCQcZI3uU0XWv1_CbAzOD\
         OLBc_BtEFmiQOCZfCLVMMfWontFb2jBJf-pliaM-hQekuIwV95IdWQTXc8lwXi812g0gOkIp740B481LAkqTmV6MCp\
         zFnbgWVgmlkecfFj7BuqkHYN0pzBg3uAKbJQAlAaXdh0tjMVKhxB7urQkZmXCYfGMvg4AqFQ";

    #[test]
    fn a_key_in_pem_checks_what_others_sign() {
        let keys = Key::read(RSA).unwrap();
        let by = |signature: &str| {
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            move |_: &[u8]| signature.clone()
        };
        let (rs256, ps256) = (r#"{"alg":"RS256"}"#, r#"{"alg":"PS256"}"#);
        let rules = rules(keys);
        assert_eq!(claims(&rules, &token(rs256, &good(), by(BY_RS256))), joe());
        assert_eq!(claims(&rules, &token(ps256, &good(), by(BY_PS256))), joe());
        assert_eq!(claims(&rules, &token(ps256, &good(), by(BY_RS256))), None);
        assert_eq!(claims(&rules, &token(rs256, &good().replace("joe", "root"), by(BY_RS256))), None);
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS512"}"#] {
            let forged = token(header, &good(), |message| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, RSA.as_bytes()), message).as_ref().to_vec()
            });
            assert_eq!(claims(&rules, &forged), None, "{header}");
        }
    }

    #[test]
    fn a_key_in_pem_is_for_the_algorithms_of_its_kind() {
        let p384 = "-----BEGIN PUBLIC KEY-----\n\
         MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEITh028Wkode63sYhQ9r/zu2vvjwMRzjH\n\
         TnRVZVUm2McREINRZ4IZQO1hpxogtwYx2q4NfJszKVxa4uDjPIRtzMzi4ArjdHAu\n\
         50UC3IsAC4hJ+FJCzbUEaLX2uXL8b+qa\n\
         -----END PUBLIC KEY-----";
        let ed25519 = "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEAIM9HTXHelyLEZG5WDkm501VYWIdHUsSZ86WH6Sz2oH0=\n\
         -----END PUBLIC KEY-----";
        for (pem, algorithms) in
            [(RSA, "[RS256, RS384, RS512, PS256, PS384, PS512]"), (p384, "[ES384]"), (ed25519, "[EdDSA]")]
        {
            let keys = Key::read(pem).unwrap();
            assert_eq!(format!("{keys:?}"), format!("[Key {{ id: None, algorithms: {algorithms}, .. }}]"));
        }
    }
}
