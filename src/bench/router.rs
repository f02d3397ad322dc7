//! The router under load, or the relay in its place.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use serde::Serialize;

use super::client::Client;
use super::failure::Failure;
use super::run::Roles;
use crate::client::{Address, Authorities, Dialer, Serializer};

/// Sessions that join at the same time while a benchmark is being set up.
const JOIN_AT_ONCE: usize = 32;
/// Files that this process has open besides its connections, generously.
const OTHER_FILES: u64 = 64;

/// Where the router is, and what is spoken to it.
#[derive(Clone, Debug, Args, Serialize)]
pub(super) struct Target {
    /// Where the router is: ws://HOST:PORT/PATH, wss://HOST/PATH, rs://HOST:PORT, rss://HOST:PORT, or the path of a
    /// Unix domain socket
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    #[serde(serialize_with = "text")]
    url: Address,
    /// A PEM file with the authorities that may certify a router of wss:// or rss://; without it those that this
    /// system trusts
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    ca: Option<PathBuf>,
    /// Realm to join, anonymously
    #[arg(long, default_value = "realm1")]
    realm: String,
    /// Serializer of all sessions
    #[arg(long, value_enum, default_value_t = Serializer::Json)]
    serializer: Serializer,
}

fn text<S: serde::Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Target {
    /// The router there, or the relay (`bench floor`) that stands in its place.
    pub(super) fn router(&self, is_relay: bool) -> Result<Router, Failure> {
        let authorities = match &self.ca {
            Some(file) => Authorities::File(file.as_path().into()),
            None => Authorities::System,
        };
        let dialer = Dialer::new(self.url.clone(), self.serializer, &authorities, None)?;
        Ok(Router { dialer, realm: self.realm.clone(), is_relay })
    }
}

/// What connections are made to.
#[derive(Clone)]
pub(super) struct Router {
    dialer: Dialer,
    realm: String,
    /// It is none, but the relay.
    pub(super) is_relay: bool,
}

impl Router {
    /// Joins the realm; returns the session id as well.
    pub(super) async fn join(&self) -> Result<(Client, u64), Failure> {
        self.join_realm(&self.realm).await
    }

    /// Joins a realm; returns the session id as well.
    pub(super) async fn join_realm(&self, realm: &str) -> Result<(Client, u64), Failure> {
        let mut client = Client::connect(&self.dialer).await?;
        let session = client.join(realm).await?;
        Ok((client, session))
    }

    /// Joins the realm or, at a relay, one side of a group.
    pub(super) async fn attach(&self, group: &str, side: Side) -> Result<Client, Failure> {
        if !self.is_relay {
            return Ok(self.join().await?.0);
        }
        let path = format!("/{group}/{}", side.name());
        let no_relay = "a relay speaks WebSocket without TLS: --url has to be ws://HOST:PORT";
        Client::connect(&self.dialer.beside(&path).ok_or(Failure::Usage(no_relay))?).await
    }

    /// Lets as many sessions join and stay until the router says GOODBYE to them. Returns their ids, which
    /// are 0 at a relay.
    pub(super) async fn populate(
        &self,
        roles: &mut Roles,
        bar: &ProgressBar,
        sessions: usize,
    ) -> Result<Vec<u64>, Failure> {
        allow_open_files(roles.len() + sessions)?;
        let join = async |_| match self.is_relay {
            false => self.join().await,
            true => Ok((self.attach("idle", Side::A).await?, 0)),
        };
        settle(roles, bar, sessions, join).await
    }
}

/// Lets as many sessions join, some at once, and stay until the router says GOODBYE to them; `join` gets the
/// number of each. Returns their ids.
pub(super) async fn settle(
    roles: &mut Roles,
    bar: &ProgressBar,
    sessions: usize,
    join: impl AsyncFn(usize) -> Result<(Client, u64), Failure>,
) -> Result<Vec<u64>, Failure> {
    let joining = stream::iter(0..sessions).map(|number| join(number));
    let mut joining = std::pin::pin!(joining.buffer_unordered(JOIN_AT_ONCE));
    let mut ids = Vec::with_capacity(sessions);
    while let Some((client, session)) = joining.try_next().await? {
        roles.spawn_local(client.await_goodbye());
        ids.push(session);
        bar.inc(1);
    }
    Ok(ids)
}

/// The sides of a relay's group: what one sends is for the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// Who calls or publishes.
    A,
    /// Who is called or subscribes.
    B,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// Raises the limit of open files as far as the system lets us, and sees whether that is enough.
pub(super) fn allow_open_files(connections: usize) -> Result<(), Failure> {
    let needed = connections as u64 + OTHER_FILES;
    let allowed = rlimit::increase_nofile_limit(u64::MAX)?;
    if needed > allowed { Err(Failure::OpenFiles { needed, allowed }) } else { Ok(()) }
}
