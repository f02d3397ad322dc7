//! Where clients come in by one listener: who is let in, and how a session begins.

use super::{
    caller::Caller,
    doorkeeper::{Doorkeeper, Excess},
};
use crate::Listener;
use actix::Actor;
use bytes::BytesMut;
use realmkeeper_actors::{
    codec::Serializer,
    roster::Transport,
    session::actor::{Environment, Session, Upgraded},
    transport::{framing::Framing, sockets::OpenSocket},
};
use std::{os::fd::AsFd, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Where clients come in by one listener.
#[derive(Debug)]
pub(super) struct Entrance {
    /// What it was configured as.
    pub(super) listener: Listener,
    /// Who counts the connections.
    pub(super) doorkeeper: Arc<Doorkeeper>,
    /// That the router stops.
    pub(super) stopping: CancellationToken,
    /// What its sessions share.
    pub(super) environment: Arc<Environment>,
}

/// Why a client is not let in, although there is nothing wrong with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Shut {
    /// No more sessions are taken.
    #[error("the router stops")]
    Stopping,
    /// It is one too many.
    #[error(transparent)]
    Excess(#[from] Excess),
}

impl Entrance {
    /// Lets a client in that is not one too many. What it asks for is to be looked at before, so that nothing counts
    /// that could be no session.
    pub(super) fn admit(&self, caller: &Caller) -> Result<OpenSocket, Shut> {
        if self.stopping.is_cancelled() {
            return Err(Shut::Stopping);
        }
        let open = self.doorkeeper.admit(caller.address);
        Ok(open.inspect_err(|excess| self.environment.metrics.limit(excess.limit()))?)
    }

    /// Starts a session; `read` is what came behind the request for it.
    pub(super) fn begin<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static>(
        &self,
        socket: S,
        read: BytesMut,
        caller: Caller,
        (serializer, framing): (Serializer, Framing),
        open: OpenSocket,
    ) {
        let Caller { address, peer, via, channel, certificate } = caller;
        let transport = Transport { serializer, framing, channel, address, peer, via };
        let upgraded =
            Upgraded { socket, read, transport, certificate, open, stopping: self.stopping.clone() };
        Session::new(upgraded, self.environment.clone()).start();
    }
}
