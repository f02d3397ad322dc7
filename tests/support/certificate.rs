//! Certificates of an authority that only the tests know, in files of their own.

use super::{http, peer::open_over, router::PATIENCE};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use realmkeeper::{CertificateFiles, TlsFiles};
use realmkeeper_actors::codec::Serializer;
use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process,
    sync::{Arc, OnceLock},
};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tungstenite::WebSocket;

/// A connection of a client with TLS.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A certificate and where it is.
pub(crate) struct Certificate {
    /// Its files, as a listener takes them.
    pub(crate) files: TlsFiles,
    /// When it expires, in seconds since the Unix epoch.
    pub(crate) expiry: i64,
    /// Itself.
    pub(crate) der: CertificateDer<'static>,
}

/// The authority, and the file of its certificate.
fn authority() -> &'static (Issuer<'static, KeyPair>, PathBuf) {
    static AUTHORITY: OnceLock<(Issuer<'static, KeyPair>, PathBuf)> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let key = KeyPair::generate().expect("a key is made");
        let certificate = params.self_signed(&key).expect("a certificate is made");
        let file = folder().join("authority.pem");
        fs::write(&file, certificate.pem()).expect("the folder of tests can be written to");
        (Issuer::new(params, key), file)
    })
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("certificates-{}", process::id()));
    fs::create_dir_all(&folder).expect("the folder of tests can be written to");
    folder
}

/// The file of the authority's certificate.
pub(crate) fn authority_file() -> &'static Path {
    &authority().1
}

/// Makes a certificate for these names, in files of this name or instead of those.
pub(crate) fn certificate(file: &str, names: &[&str]) -> Certificate {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    signed(file, CertificateParams::new(names).expect("the names are valid"))
}

/// Makes a certificate for a client with this common name, DNS name and URI, in files of this name.
pub(crate) fn client_certificate(file: &str, common_name: &str, dns: &str, uri: &str) -> Certificate {
    let mut params = CertificateParams::new(vec![dns.to_owned()]).expect("the name is valid");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names.push(SanType::URI(uri.try_into().expect("the name is valid")));
    signed(file, params)
}

/// Makes a certificate that no authority has signed, in files of this name.
pub(crate) fn self_signed(file: &str) -> Certificate {
    let params = CertificateParams::new(Vec::new()).expect("no names are valid names");
    let key = KeyPair::generate().expect("a key is made");
    let made = params.self_signed(&key).expect("a certificate is made");
    written(file, &made, &key, params.not_after.unix_timestamp())
}

fn signed(file: &str, mut params: CertificateParams) -> Certificate {
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let expiry = params.not_after.unix_timestamp();
    let key = KeyPair::generate().expect("a key is made");
    let made = params.signed_by(&key, &authority().0).expect("a certificate is made");
    written(file, &made, &key, expiry)
}

fn written(file: &str, made: &rcgen::Certificate, key: &KeyPair, expiry: i64) -> Certificate {
    let path = |ending: &str| folder().join(format!("{file}.{ending}"));
    let files = CertificateFiles { certificate: path("pem"), key: path("key") };
    fs::write(&files.certificate, made.pem()).expect("the folder of tests can be written to");
    fs::write(&files.key, key.serialize_pem()).expect("the folder of tests can be written to");
    Certificate {
        files: TlsFiles { certificates: vec![files], client_ca: None, allows_no_client_certificate: false },
        expiry,
        der: made.der().clone(),
    }
}

/// Connects with TLS to who is to have this name, with this certificate if with one. Gives the certificate that it got.
pub(crate) fn connect(
    stream: TcpStream,
    name: &str,
    own: Option<&Certificate>,
) -> io::Result<(Secured, CertificateDer<'static>)> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(authority_file()).expect("the authority has a certificate");
    roots.add(root).expect("it is a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there are versions")
        .with_root_certificates(roots);
    let config = match own.map(|own| &own.files.certificates[0]) {
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).expect("it is there")];
            let key = PrivateKeyDer::from_pem_file(&files.key).expect("it is there");
            config.with_client_auth_cert(chain, key).expect("they fit")
        }
        None => config.with_no_client_auth(),
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from(name.to_owned()).expect("it is a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("the configuration is valid");
    let mut stream = stream;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let certificate = connection.peer_certificates().expect("the router has one")[0].clone().into_owned();
    Ok((StreamOwned::new(connection, stream), certificate))
}

/// Opens a WebSocket with TLS to a router on this machine.
pub(crate) fn open(
    address: SocketAddr,
    own: Option<&Certificate>,
    serializer: Serializer,
) -> WebSocket<Secured> {
    let (stream, _) = connect(http::send(address, b""), "localhost", own).expect("the router takes it");
    open_on(stream, serializer)
}

/// Opens a WebSocket on a connection.
pub(crate) fn open_on(stream: Secured, serializer: Serializer) -> WebSocket<Secured> {
    let headers = [("Sec-WebSocket-Protocol", serializer.subprotocol())];
    open_over(stream, "wss://localhost/ws", &headers).expect("the router upgrades the connection").0
}
