//! The router as an actor: it starts the realms, replaces one that failed, and sends everybody away at the end.

use crate::{
    collections::Map,
    message::uri::Uri,
    metrics::Metrics,
    realm::{
        RealmOptions,
        actor::{Close, Join, Membership, RealmActor},
    },
    session::handshake::Refused,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use tracing::{info, warn};

/// All realms of this router. They live on the arbiter on which the router is started.
#[derive(Debug)]
pub struct Router {
    realms: Map<Uri, (RealmOptions, Option<Addr<RealmActor>>)>,
    metrics: Metrics,
    is_stopping: bool,
}

impl Router {
    /// A router with these realms.
    pub fn new(realms: impl IntoIterator<Item = (Uri, RealmOptions)>, metrics: Metrics) -> Self {
        let realms = realms.into_iter().map(|(name, options)| (name, (options, None))).collect();
        Self { realms, metrics, is_stopping: false }
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        for (name, (options, realm)) in &mut self.realms {
            let actor = RealmActor::new(name.clone(), *options, context.address(), self.metrics.clone());
            *realm = Some(actor.start());
        }
    }
}

/// A session asks to join a realm.
#[derive(Message)]
#[rtype(result = "Result<Membership, Refused>")]
pub(crate) struct JoinRealm {
    pub(crate) realm: Uri,
    pub(crate) join: Join,
}

impl Handler<JoinRealm> for Router {
    type Result = ResponseFuture<Result<Membership, Refused>>;

    fn handle(&mut self, JoinRealm { realm, join }: JoinRealm, _: &mut Self::Context) -> Self::Result {
        let found = match self.realms.get(&realm) {
            _ if self.is_stopping => Err(Refused::Stopping),
            Some((_, Some(found))) => Ok(found.clone()),
            Some((_, None)) | None => Err(Refused::NoSuchRealm(realm)),
        };
        Box::pin(async move { found?.send(join).await.unwrap_or(Err(Refused::RealmFailed)) })
    }
}

/// The core of a realm panicked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RealmFailed {
    pub(crate) name: Uri,
    pub(crate) realm: Addr<RealmActor>,
}

impl Handler<RealmFailed> for Router {
    type Result = ();

    fn handle(&mut self, failed: RealmFailed, context: &mut Self::Context) {
        if let Some((options, realm)) = self.realms.get_mut(&failed.name)
            && *realm == Some(failed.realm)
        {
            warn!(realm = %failed.name, "the realm is replaced");
            let actor = RealmActor::new(failed.name, *options, context.address(), self.metrics.clone());
            *realm = Some(actor.start());
        }
    }
}

/// Send all sessions away and admit no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Shutdown;

impl Handler<Shutdown> for Router {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        info!("the router stops");
        self.is_stopping = true;
        for (_, realm) in self.realms.values() {
            if let Some(realm) = realm {
                realm.do_send(Close);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Serializer,
        message::feature::Roles,
        permission::Role,
        roster::{Newcomer, Transport},
        session::actor::Ended,
        transport::outbox::Outbox,
    };
    use std::sync::Arc;

    /// Stands where a session would.
    struct Anybody;

    impl Actor for Anybody {
        type Context = Context<Self>;
    }

    impl Handler<Ended> for Anybody {
        type Result = ();

        fn handle(&mut self, _: Ended, _: &mut Self::Context) {}
    }

    fn join() -> Join {
        let newcomer = Newcomer {
            authid: None,
            role: Role::unrestricted("anonymous").into(),
            authmethod: "anonymous",
            authprovider: "static",
            transport: Transport { serializer: Serializer::Json, peer: "tcp4:127.0.0.1:4711".into() },
            roles: Roles::default(),
        };
        Join { newcomer, outbox: Arc::new(Outbox::new(1 << 20)), session: Anybody.start().recipient() }
    }

    #[test]
    fn who_asks_to_join_when_the_router_or_the_realm_stops_is_told_so() {
        actix::System::new().block_on(async {
            let name = || Uri::from("realm1");
            let router = Router::new([(name(), RealmOptions::default())], Metrics::default()).start();
            let realm =
                RealmActor::new(name(), RealmOptions::default(), router.clone(), Metrics::default()).start();
            assert!(realm.send(join()).await.unwrap().is_ok());
            realm.do_send(Close);
            assert_eq!(realm.send(join()).await.unwrap().err(), Some(Refused::Stopping));

            let ask = || JoinRealm { realm: name(), join: join() };
            assert!(router.send(ask()).await.unwrap().is_ok());
            router.do_send(Shutdown);
            assert_eq!(router.send(ask()).await.unwrap().err(), Some(Refused::Stopping));
        });
    }
}
