//! Where clients come in by one listener: who is let in, and how a session begins.

use super::{
    doorkeeper::{Doorkeeper, Excess},
    forwarded::Hop,
    route::Route,
    stream::Stream,
};
use crate::Listener;
use actix::Actor;
use bytes::BytesMut;
use realmkeeper_actors::{
    codec::Serializer,
    roster::{Channel, Transport},
    session::actor::{Environment, Session, Upgraded},
    transport::{framing::Framing, sockets::OpenSocket},
};
use std::{net::IpAddr, sync::Arc};
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
    pub(super) fn admit(&self, client: IpAddr) -> Result<OpenSocket, Shut> {
        if self.stopping.is_cancelled() {
            return Err(Shut::Stopping);
        }
        let open = self.doorkeeper.admit(client);
        Ok(open.inspect_err(|excess| self.environment.metrics.limit(excess.limit()))?)
    }

    /// Starts a session; `read` is what came behind the request for it.
    pub(super) fn begin(
        &self,
        socket: Stream,
        read: BytesMut,
        route: &Route,
        (serializer, framing): (Serializer, Framing),
        open: OpenSocket,
    ) {
        let address = |hop: Hop| hop.to_string().into_boxed_str();
        let transport = Transport {
            serializer,
            framing,
            channel: if socket.is_secure() { Channel::Tls } else { Channel::Tcp },
            peer: address(route.client),
            via: route.via.map(address),
        };
        let upgraded = Upgraded { socket, read, transport, open, stopping: self.stopping.clone() };
        Session::new(upgraded, self.environment.clone()).start();
    }
}
