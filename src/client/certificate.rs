//! By whom routers have to be certified, and how this client is.

use std::{fmt, path::Path, sync::Arc};
use tokio_rustls::rustls::{
    self, ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// The certificate that a connection with TLS shows, in PEM files.
#[derive(Clone, Debug)]
pub(crate) struct OwnCertificate {
    /// It, and those between it and its authority.
    pub(crate) chain: Box<Path>,
    /// Its private key.
    pub(crate) key: Box<Path>,
}

/// By whom routers have to be certified.
#[derive(Clone, Debug)]
pub(crate) enum Authorities {
    /// Whom this system trusts.
    System,
    /// Those in a PEM file.
    File(Box<Path>),
}

/// How connections are encrypted.
pub(super) fn config(
    authorities: &Authorities,
    own: Option<&OwnCertificate>,
) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities.roots()?);
    match own {
        Some(own) => own.shown_by(config),
        None => Ok(config.with_no_client_auth()),
    }
}

impl OwnCertificate {
    fn shown_by(&self, config: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig, String> {
        let chain = certificates(&self.chain)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            let is_missing = matches!(error, pem::Error::NoItemsFound);
            if is_missing {
                unusable(&self.key, &"no private key in it")
            } else {
                unusable(&self.key, &error)
            }
        })?;
        config.with_client_auth_cert(chain, key).map_err(|error| {
            if let rustls::Error::InconsistentKeys(_) = error {
                let text = format!("not the key of the certificate in {}", self.chain.display());
                return unusable(&self.key, &text);
            }
            unusable(&self.chain, &error)
        })
    }
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unusable(file, &"no certificate in it")),
        found => found.map_err(|error| unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

impl Authorities {
    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err("this system has no certificates of authorities; use --ca FILE".to_owned());
                }
            }
            Self::File(file) => {
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unusable(file, &error))?;
                }
            }
        }
        Ok(roots)
    }
}
