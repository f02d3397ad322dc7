//! TLS on a listener, whose certificates can be replaced while it serves.

use super::certificates::{Certificate, Choice, provider, read_authorities};
use crate::TlsFiles;
use arc_swap::ArcSwap;
use realmkeeper_actors::metrics::Metrics;
use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};
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
    current: ArcSwap<Read>,
    metrics: Metrics,
}

/// What was read of the files.
#[derive(Debug)]
pub(super) struct Read {
    files: TlsFiles,
    /// The state of the files before they were read.
    stamps: Vec<Stamp>,
    /// What came of it, or of what was read before if this cannot be used.
    config: Arc<ServerConfig>,
    /// The files of the certificates, and when those expire.
    expiries: Vec<(String, i64)>,
}

impl Tls {
    /// Reads the files for the first time.
    pub(super) fn new(files: TlsFiles, metrics: Metrics) -> Result<Self, String> {
        let read = Read::new(files)?;
        read.show(&metrics);
        Ok(Self { current: ArcSwap::from_pointee(read), metrics })
    }

    /// What accepts the next connection. Those that there are keep what they began with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.load().config.clone().into()
    }

    /// Reads the files again. If they cannot be used, what was read before stays.
    pub(super) fn reload(&self) {
        let before = self.current.load_full();
        let files = before.files.clone();
        match Read::new(files.clone()) {
            Ok(read) => self.take(read),
            Err(problem) => {
                self.metrics.certificates_read(false);
                error!(problem, "certificates that cannot be used: those from before stay");
                let (stamps, expiries) = (stamps(&files), before.expiries.clone());
                let read = Read { files, stamps, config: before.config.clone(), expiries };
                self.current.store(Arc::new(read));
            }
        }
    }

    /// Whether these are the files that were read.
    pub(super) fn is_of(&self, files: &TlsFiles) -> bool {
        self.current.load().files == *files
    }

    /// Goes on with what was read before.
    pub(super) fn keep(&self) {
        self.current.load().show(&self.metrics);
    }

    /// Goes on with what was read.
    pub(super) fn take(&self, read: Read) {
        self.metrics.certificates_read(true);
        read.show(&self.metrics);
        let file = read.files.certificates.first().map(|files| files.certificate.display());
        info!(file = file.map(tracing::field::display), "certificates read again");
        self.current.store(Arc::new(read));
    }

    /// Reads the files again whenever they change. Runs for as long as somebody else has this.
    pub(super) fn keep_watching(self: &Arc<Self>) {
        let tls = Arc::downgrade(self);
        actix_rt::spawn(async move {
            while let Some(tls) = tls.upgrade() {
                let current = tls.current.load_full();
                if current.stamps != stamps(&current.files) {
                    tls.reload();
                }
                drop((tls, current));
                tokio::time::sleep(POLL).await;
            }
        });
    }
}

impl Read {
    /// Reads all files.
    pub(super) fn new(files: TlsFiles) -> Result<Self, String> {
        let stamps = stamps(&files);
        let certificates = files.certificates.iter().map(Certificate::read).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|unusable| unusable.to_string())?;
        let clients = match &files.client_ca {
            Some(file) => read_authorities(file, files.allows_no_client_certificate)?,
            None => Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>,
        };
        let expiries = files.certificates.iter().zip(&certificates);
        let expiries =
            expiries.map(|(files, read)| (files.certificate.display().to_string(), read.expiry)).collect();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config =
            config.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(Choice(certificates)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, stamps, config: Arc::new(config), expiries })
    }

    /// Tells when the certificates expire.
    fn show(&self, metrics: &Metrics) {
        self.expiries.iter().for_each(|(file, expiry)| metrics.certificate_expiry(file, *expiry));
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
