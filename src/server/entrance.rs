//! Where clients come in by one listener: who is let in, and how a session begins.

use super::{
    caller::Caller,
    doorkeeper::{Doorkeeper, Excess},
};
use crate::Listener;
use actix::{Actor, Addr};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use realmkeeper_actors::{
    codec::Serializer,
    roster::Transport,
    router::actor::Router,
    session::actor::{Environment, Session, Upgraded},
    transport::{framing::Framing, sockets::OpenSocket},
};
use std::{os::fd::AsFd, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Where clients come in by one listener.
#[derive(Debug)]
pub(super) struct Entrance {
    terms: ArcSwap<Terms>,
    /// Who counts the connections.
    doorkeeper: Arc<Doorkeeper>,
    /// That the router stops.
    stopping: CancellationToken,
}

/// On what terms the next connection is taken.
#[derive(Debug)]
pub(super) struct Terms {
    /// What the listener is configured as.
    pub(super) listener: Listener,
    /// What the sessions share.
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
    pub(super) fn new(
        listener: Listener,
        environment: Environment,
        doorkeeper: Arc<Doorkeeper>,
        stopping: CancellationToken,
    ) -> Self {
        let terms = Terms { listener, environment: Arc::new(environment) };
        Self { terms: ArcSwap::from_pointee(terms), doorkeeper, stopping }
    }

    /// On what terms the next connection is taken.
    pub(super) fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Takes the next connections on the terms of this configuration.
    pub(super) fn reload(&self, listener: Listener) {
        let Environment { access, verifier, router, metrics, .. } = &*self.terms().environment;
        let environment = Environment {
            settings: listener.session.clone(),
            access: access.clone(),
            verifier: verifier.clone(),
            router: router.clone(),
            metrics: metrics.clone(),
        };
        self.terms.store(Arc::new(Terms { listener, environment: Arc::new(environment) }));
    }

    /// Where the realms are.
    pub(super) fn router(&self) -> Addr<Router> {
        self.terms().environment.router.clone()
    }

    /// Lets a client in that is not one too many. What it asks for is to be looked at before, so that nothing counts
    /// that could be no session.
    pub(super) fn admit(&self, caller: &Caller) -> Result<OpenSocket, Shut> {
        if self.stopping.is_cancelled() {
            return Err(Shut::Stopping);
        }
        let open = self.doorkeeper.admit(caller.address);
        Ok(open.inspect_err(|excess| self.terms().environment.metrics.limit(excess.limit()))?)
    }

    /// Starts a session on the terms on which its client was taken; `read` is what came behind the request for it.
    pub(super) fn begin<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static>(
        &self,
        terms: &Terms,
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
        Session::new(upgraded, terms.environment.clone()).start();
    }
}
