//! Certificates and their keys, in PEM files.

use crate::CertificateFiles;
use realmkeeper_actors::session::access::CertificateName;
use std::{fmt, path::Path, sync::Arc};
use tokio_rustls::rustls::{
    self, InconsistentKeys, RootCertStore,
    client::verify_server_name,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{
        ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use x509_parser::extensions::GeneralName;

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    key: Arc<CertifiedKey>,
    /// When it expires, in seconds since the Unix epoch.
    pub(super) expiry: i64,
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// Which file is wrong, as a key of the configuration.
    pub(crate) key: &'static str,
    text: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The algorithms that are used for all.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Certificate {
    /// Reads a certificate and its key.
    pub(crate) fn read(files: &CertificateFiles) -> Result<Self, Unusable> {
        let CertificateFiles { certificate, key } = files;
        let wrong = |key, text| Unusable { key, text };
        let chain = read_certificates(certificate).map_err(|text| wrong("certificate", text))?;
        let expiry = chain.first().and_then(|first| x509_parser::parse_x509_certificate(first).ok());
        let expiry = expiry.map(|(_, certificate)| certificate.validity().not_after.timestamp());
        let expiry = expiry.ok_or_else(|| {
            wrong("certificate", format!("{}: no X.509 certificate", certificate.display()))
        })?;
        let unusable = |error: &dyn fmt::Display| wrong("key", format!("{}: {error}", key.display()));
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
        let secret = provider().key_provider.load_private_key(secret).map_err(|error| unusable(&error))?;
        let certified = CertifiedKey::new(chain, secret);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(unusable(&format_args!("not the key of {}", certificate.display()))),
        }
        Ok(Self { key: Arc::new(certified), expiry })
    }

    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
    }
}

/// Reads the authorities by one of which clients have to be certified, if they have a certificate or need one.
pub(crate) fn read_authorities(
    file: &Path,
    is_optional: bool,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let unusable = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = if is_optional { verifier.allow_unauthenticated() } else { verifier };
    verifier.build().map(|verifier| verifier as _).map_err(|error| unusable(&error))
}

/// The names in the certificate of a client, in the order in which they are looked up: the fewer there can be of a
/// name, the earlier it comes.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let mut names = vec![CertificateName::fingerprint(certificate)];
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return names };
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |alternatives| &alternatives.value.general_names);
    let uri = |name: &GeneralName<'_>| {
        if let GeneralName::URI(uri) = name { Some(CertificateName::Uri((*uri).into())) } else { None }
    };
    let dns = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name { Some(CertificateName::dns(name)) } else { None }
    };
    names.extend(alternatives.iter().filter_map(uri));
    names.extend(alternatives.iter().filter_map(dns));
    let common_names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.extend(common_names.map(|name| CertificateName::CommonName(name.into())));
    names
}

/// All certificates of a file, at least one.
fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unusable(&error))?;
    if read.is_empty() { Err(unusable(&"no certificate in it")) } else { Ok(read) }
}

/// The certificates of a listener, of which a client gets the one for the name that it asks for, else the first.
#[derive(Debug)]
pub(super) struct Choice(pub(super) Vec<Certificate>);

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let asked_for = name.and_then(|name| self.0.iter().find(|certificate| certificate.is_for(&name)));
        asked_for.or(self.0.first()).map(|certificate| certificate.key.clone())
    }
}
