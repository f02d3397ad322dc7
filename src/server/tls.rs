//! TLS on a listener, whose certificates can be replaced while it serves.

use super::certificates::{Certificate, Choice, provider, read_authorities};
use crate::TlsFiles;
use realmkeeper_actors::metrics::Metrics;
use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        server::{NoClientAuth, danger::ClientCertVerifier},
    },
};
use tracing::{error, info};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: which file it is, its size, when it was changed.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The TLS of a listener.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    /// The state of the files when they were last read.
    stamps: watch::Sender<Vec<Stamp>>,
    current: watch::Sender<Arc<ServerConfig>>,
    metrics: Metrics,
}

impl Tls {
    /// Reads the files for the first time.
    pub(super) fn new(files: TlsFiles, metrics: Metrics) -> Result<Self, String> {
        let stamps = stamps(&files);
        let current = read(&files, &metrics)?;
        Ok(Self { files, stamps: watch::Sender::new(stamps), current: watch::Sender::new(current), metrics })
    }

    /// What accepts the next connection. Those that there are keep what they began with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.borrow().clone().into()
    }

    /// Reads the files again. If they cannot be used, what was read before stays.
    pub(super) fn reload(&self) {
        self.stamps.send_replace(stamps(&self.files));
        let file = self.files.certificates.first().map(|files| files.certificate.display());
        let read = read(&self.files, &self.metrics);
        self.metrics.certificates_read(read.is_ok());
        match read {
            Ok(current) => {
                self.current.send_replace(current);
                info!(file = file.map(tracing::field::display), "certificates read again");
            }
            Err(problem) => {
                error!(problem, "certificates that cannot be used: those from before stay");
            }
        }
    }

    /// Reads the files again whenever they change. Runs for as long as somebody else has this.
    pub(super) fn keep_watching(self: &Arc<Self>) {
        let tls = Arc::downgrade(self);
        actix_rt::spawn(async move {
            while let Some(tls) = tls.upgrade() {
                if *tls.stamps.borrow() != stamps(&tls.files) {
                    tls.reload();
                }
                drop(tls);
                tokio::time::sleep(POLL).await;
            }
        });
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let pairs = files.certificates.iter().flat_map(|files| [&files.certificate, &files.key]);
    pairs.chain(&files.client_ca).map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Reads all files; tells when the certificates expire.
fn read(files: &TlsFiles, metrics: &Metrics) -> Result<Arc<ServerConfig>, String> {
    let certificates = files.certificates.iter().map(Certificate::read).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|unusable| unusable.to_string())?;
    let clients = match &files.client_ca {
        Some(file) => read_authorities(file, files.allows_no_client_certificate)?,
        None => Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>,
    };
    for (files, certificate) in files.certificates.iter().zip(&certificates) {
        metrics.certificate_expiry(&files.certificate.display().to_string(), certificate.expiry);
    }
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config =
        config.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(Choice(certificates)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
