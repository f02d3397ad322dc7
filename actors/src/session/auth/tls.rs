//! Authentication by the certificate with which a client has opened its connection. Nothing is asked: that it has the
//! key of the certificate, and who certified that, TLS has found out.

use super::cryptosign::{hex, octets};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// What a certificate says of its owner.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// The SHA-256 digest of the whole certificate.
    Fingerprint([u8; 32]),
    /// A URI of the alternative names.
    Uri(Box<str>),
    /// A DNS name of the alternative names, in lower case.
    Dns(Box<str>),
    /// The common name of the subject.
    CommonName(Box<str>),
}

/// Why a text names no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "names no certificate; must be sha256: and 64 hexadecimal digits, or uri:, dns: or cn: and the name in the certificate"
)]
pub struct InvalidName;

impl CertificateName {
    /// The fingerprint of a certificate in DER.
    pub fn fingerprint(certificate: &[u8]) -> Self {
        Self::Fingerprint(Sha256::digest(certificate).into())
    }

    /// A DNS name, whose case does not count.
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase().into())
    }
}

impl FromStr for CertificateName {
    type Err = InvalidName;

    /// The digits of a fingerprint may have colons between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or(InvalidName)?;
        match kind {
            "sha256" => octets(&name.replace(':', "")).map(Self::Fingerprint).ok_or(InvalidName),
            "uri" => Ok(Self::Uri(name.into())),
            "dns" => Ok(Self::dns(name)),
            "cn" => Ok(Self::CommonName(name.into())),
            _ => Err(InvalidName),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(digest) => write!(f, "sha256:{}", hex(digest)),
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::CommonName(name) => write!(f, "cn:{name}"),
        }
    }
}

impl fmt::Debug for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_by_its_digest_or_by_a_name_in_it() {
        let digest = CertificateName::fingerprint(b"certificate").to_string();
        assert_eq!(digest, "sha256:03d66dd08835c1ca3f128cceacd1f31ac94163096b20f445ae84285bc0832d72");
        let digits = digest.strip_prefix("sha256:").unwrap().to_uppercase();
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let with_colons = format!("sha256:{}", pairs.collect::<Vec<_>>().join(":"));
        for (text, name) in [
            (&*digest, &*digest),
            (&with_colons, &digest),
            ("uri:spiffe://example.com/a:b", "uri:spiffe://example.com/a:b"),
            ("dns:Sensor.Example.com", "dns:sensor.example.com"),
            ("cn:Sensor 7", "cn:Sensor 7"),
        ] {
            assert_eq!(text.parse::<CertificateName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for text in ["", "cn:", "cn", "sensor", "sha256:ff", "sha1:ff", "CN:a", "sha256:", &digest[..70]] {
            assert_eq!(text.parse::<CertificateName>(), Err(InvalidName), "{text}");
        }
    }
}
