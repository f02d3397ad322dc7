//! With which router to speak, and as whom.

use super::text;
use crate::client::{Address, Authorities, Credentials, Failure, METHODS, OwnCertificate, Peer};
use clap::{Args, builder::PossibleValuesParser};
use realmkeeper_actors::session::access::cryptosign;
use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

/// With which router to speak, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Router")]
pub(super) struct Target {
    /// Where the router is: ws://HOST:PORT/PATH, wss://HOST/PATH, rs://HOST:PORT, rss://HOST:PORT, or the path of a
    /// Unix domain socket
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "REALMKEEPER_URL",
        hide_env_values = true,
        default_value = "ws://127.0.0.1:8080/ws"
    )]
    url: Address,

    /// The realm to join
    #[arg(
        long,
        global = true,
        value_name = "REALM",
        env = "REALMKEEPER_REALM",
        hide_env_values = true,
        default_value = "realm1"
    )]
    realm: String,

    /// A PEM file with the authorities that may certify a router of wss:// or rss://; without it those that this system
    /// trusts
    #[arg(long, global = true, value_name = "FILE", env = "REALMKEEPER_CA", hide_env_values = true)]
    ca: Option<PathBuf>,

    /// A PEM file with the client certificate for a router of wss:// or rss://, and behind it those between it and its
    /// authority. By the method tls it proves who joins
    #[arg(
        long = "cert",
        global = true,
        value_name = "FILE",
        env = "REALMKEEPER_CERT",
        hide_env_values = true,
        requires = "certificate_key"
    )]
    certificate: Option<PathBuf>,

    /// A PEM file with the private key of the client certificate
    #[arg(
        long = "key",
        global = true,
        value_name = "FILE",
        env = "REALMKEEPER_KEY",
        hide_env_values = true,
        requires = "certificate"
    )]
    certificate_key: Option<PathBuf>,

    /// Who joins; without it nobody in particular. A ticket or a secret is asked for on the terminal unless something
    /// below proves it
    #[arg(long, global = true, value_name = "AUTHID", env = "REALMKEEPER_AUTHID", hide_env_values = true)]
    authid: Option<String>,

    /// The only method to offer; without it all are offered for which there is a proof. Some routers give up at the
    /// first that they do not know
    #[arg(
        long,
        global = true,
        value_name = "METHOD",
        env = "REALMKEEPER_AUTHMETHOD",
        hide_env_values = true,
        value_parser = PossibleValuesParser::new(METHODS)
    )]
    authmethod: Option<String>,

    /// The ticket. Others on this machine can see a flag, but neither the variable nor a file
    #[arg(long, global = true, value_name = "TICKET", env = "REALMKEEPER_TICKET", hide_env_values = true)]
    ticket: Option<String>,

    /// A file whose first line is the ticket; it wins over the flag and the variable
    #[arg(long, global = true, value_name = "FILE")]
    ticket_file: Option<PathBuf>,

    /// The secret of WAMP-CRA or WAMP-SCRAM. Others on this machine can see a flag, but neither the variable nor a file
    #[arg(long, global = true, value_name = "SECRET", env = "REALMKEEPER_SECRET", hide_env_values = true)]
    secret: Option<String>,

    /// A file whose first line is the secret; it wins over the flag and the variable
    #[arg(long, global = true, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// A file with the private key of WAMP-Cryptosign, 64 hexadecimal digits
    #[arg(long, global = true, value_name = "FILE", env = "REALMKEEPER_KEY_FILE", hide_env_values = true)]
    key_file: Option<PathBuf>,

    /// How long to wait for an answer of the router
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "REALMKEEPER_TIMEOUT",
        hide_env_values = true,
        default_value = "10s",
        value_parser = humantime::parse_duration
    )]
    timeout: Duration,
}

impl Target {
    /// The realm.
    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// Reads the files that are named, and asks for what is not told.
    pub(super) fn peer(&self) -> Result<Peer, Failure> {
        let authorities = match &self.ca {
            Some(file) => Authorities::File(file.as_path().into()),
            None => Authorities::System,
        };
        let own = self.own_certificate();
        if own.is_some() && !self.url.is_secure() {
            let text = format!("{} takes no client certificate; use wss:// or rss://", self.url);
            return Err(Failure::Usage(text));
        }
        Ok(Peer {
            address: self.url.clone(),
            authorities,
            own,
            realm: self.realm.clone(),
            credentials: self.credentials()?,
            patience: self.timeout,
        })
    }

    fn own_certificate(&self) -> Option<OwnCertificate> {
        let (chain, key) = self.certificate.as_deref().zip(self.certificate_key.as_deref())?;
        Some(OwnCertificate { chain: chain.into(), key: key.into() })
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let (authid, method) = (self.authid.clone(), self.authmethod.clone());
        if method.as_deref() == Some("anonymous") {
            return Ok(Credentials { authid, method, ..Credentials::default() });
        }
        let told = |file: &Option<PathBuf>, text: &Option<String>| match file {
            Some(file) => first_line(file).map(Some),
            None => Ok(text.clone()),
        };
        let mut credentials = Credentials {
            authid,
            ticket: told(&self.ticket_file, &self.ticket)?,
            secret: told(&self.secret_file, &self.secret)?,
            key: self.key_file.as_deref().map(key).transpose()?,
            is_certified: self.certificate.is_some(),
            method,
        };
        let is_shown = credentials.ticket.is_some() || credentials.secret.is_some();
        match &self.authid {
            Some(authid) if !is_shown && credentials.key.is_none() && !credentials.is_certified => {
                let asked = ask(authid)?;
                (credentials.ticket, credentials.secret) = (Some(asked.clone()), Some(asked));
            }
            None if is_shown => {
                let text = "a ticket or a secret proves who somebody is; say who with --authid or REALMKEEPER_AUTHID";
                return Err(Failure::Usage(text.to_owned()));
            }
            // A key, or a certificate, may be all that the router knows of somebody.
            Some(_) | None => {}
        }
        match &self.authmethod {
            Some(method) if credentials.methods().is_empty() => {
                Err(Failure::Usage(format!("there is nothing with which to join by {method}")))
            }
            Some(_) | None => Ok(credentials),
        }
    }
}

/// The first line of a file.
fn first_line(file: &Path) -> Result<String, Failure> {
    let cannot = |reason: &str| Failure::Usage(format!("cannot read {}: {reason}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| cannot(&error.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(cannot("its first line is empty")),
    }
}

fn key(file: &Path) -> Result<[u8; 32], Failure> {
    let no_key = || Failure::Usage(format!("{}: a private key is 64 hexadecimal digits", file.display()));
    cryptosign::private_key(first_line(file)?.trim()).ok_or_else(no_key)
}

/// Asks for what proves who somebody is.
fn ask(authid: &str) -> Result<String, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::Usage(format!(
            "nothing proves that this is {authid:?}; set REALMKEEPER_TICKET or REALMKEEPER_SECRET, or use --ticket-file, \
             --secret-file, --key-file or --cert"
        )));
    }
    rpassword::prompt_password(format!("Ticket or secret of {}: ", text::word(authid)))
        .map_err(|error| Failure::Usage(format!("no ticket was told: {error}")))
}
