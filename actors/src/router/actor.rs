//! The router as an actor: it starts the realms, replaces one that failed, and sends everybody away at the end.

use crate::{
    ban::BanList,
    collections::Map,
    message::uri::Uri,
    metrics::{Metrics, RealmMetrics},
    realm::{
        RealmOptions,
        actor::{Ask, Close, Drain, Join, Membership, RealmActor, Show},
    },
    session::{access::Access, actor::Answered, handshake::Refused},
    step::Reply,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// All realms of this router. They live on the arbiter on which the router is started.
#[derive(Debug)]
pub struct Router {
    realms: Map<Uri, Hosted>,
    metrics: Metrics,
    is_stopping: bool,
}

/// A realm of the router.
#[derive(Debug)]
struct Hosted {
    options: RealmOptions,
    bans: BanList,
    metrics: RealmMetrics,
    actor: Option<Addr<RealmActor>>,
}

impl Hosted {
    /// Starts the realm, or starts it again.
    fn start(&mut self, name: Uri, router: Addr<Router>) {
        let (options, bans, metrics) = (self.options.clone(), self.bans.clone(), self.metrics.clone());
        self.actor = Some(RealmActor::new(name, options, bans, router, metrics).start());
    }
}

impl Router {
    /// A router with these realms, whose doors are in `access`.
    pub fn new(
        realms: impl IntoIterator<Item = (Uri, RealmOptions)>,
        access: &Access,
        metrics: Metrics,
    ) -> Self {
        let host = |(name, options): (Uri, _)| {
            let (bans, metrics) = (access.bans(&name), metrics.realm(&name));
            let hosted = Hosted { options, bans, metrics, actor: None };
            (name, hosted)
        };
        let realms = realms.into_iter().map(host).collect();
        Self { realms, metrics, is_stopping: false }
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        for (name, realm) in &mut self.realms {
            realm.start(name.clone(), context.address());
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
            Some(Hosted { actor: Some(found), .. }) => Ok(found.clone()),
            Some(Hosted { actor: None, .. }) | None => Err(Refused::NoSuchRealm(realm)),
        };
        Box::pin(async move { found?.send(join).await.unwrap_or(Err(Refused::RealmFailed)) })
    }
}

/// Somebody who wants to join a realm has a component of the realm asked about it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AskRealm {
    pub(crate) realm: Uri,
    pub(crate) ask: Ask,
}

impl Handler<AskRealm> for Router {
    type Result = ();

    fn handle(&mut self, AskRealm { realm, ask }: AskRealm, _: &mut Self::Context) {
        match self.realms.get(&realm) {
            Some(Hosted { actor: Some(found), .. }) if !self.is_stopping => found.do_send(ask),
            Some(_) | None => ask.session.do_send(Answered { reply: Reply::None }),
        }
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
        if let Some(realm) = self.realms.get_mut(&failed.name)
            && realm.actor == Some(failed.realm)
        {
            warn!(realm = %failed.name, "the realm is replaced");
            realm.metrics.restarted();
            realm.start(failed.name, context.address());
        }
    }
}

/// Take no more calls. The answer comes when none is in flight.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishCalls;

impl Handler<FinishCalls> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FinishCalls, _: &mut Self::Context) -> Self::Result {
        let realms = self.realms.values().filter_map(|realm| realm.actor.as_ref());
        let finished = realms.map(|realm| {
            let finished = CancellationToken::new();
            realm.do_send(Drain(finished.clone().drop_guard()));
            finished
        });
        let finished: Vec<_> = finished.collect();
        Box::pin(async move {
            for realm in finished {
                realm.cancelled().await;
            }
        })
    }
}

/// Send all sessions away and admit no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// The time over which the sessions of each realm are sent away, one after the other.
    pub spread: Duration,
}

impl Handler<Shutdown> for Router {
    type Result = ();

    fn handle(&mut self, Shutdown { spread }: Shutdown, _: &mut Self::Context) {
        info!("the router stops");
        self.is_stopping = true;
        for realm in self.realms.values().filter_map(|realm| realm.actor.as_ref()) {
            realm.do_send(Close { spread });
        }
    }
}

/// All metrics as text, gauges of what there is included.
#[derive(Message)]
#[rtype(result = "String")]
struct Gather;

impl Handler<Gather> for Router {
    type Result = ResponseFuture<String>;

    fn handle(&mut self, _: Gather, _: &mut Self::Context) -> Self::Result {
        self.realms.values().for_each(|realm| realm.metrics.show_mailbox());
        let realms: Vec<_> = self.realms.values().filter_map(|realm| realm.actor.clone()).collect();
        let metrics = self.metrics.clone();
        Box::pin(async move {
            for realm in realms {
                // One that has just failed shows what there was before, until the one in its place is asked.
                let _ = realm.send(Show).await;
            }
            // On the arbiter of the realms, so that no step of theirs is half counted.
            metrics.text()
        })
    }
}

/// How long the realms have to show what there is.
const PATIENCE: Duration = Duration::from_secs(1);

/// All metrics as Prometheus reads them, with what there is at this moment. If the realms do not answer in time
/// the text comes without their answers, and `realmkeeper_stale_scrapes_total` counts it.
pub async fn gather(router: &Addr<Router>, metrics: &Metrics) -> String {
    router.send(Gather).timeout(PATIENCE).await.unwrap_or_else(|_| {
        metrics.stale_scrape();
        metrics.text()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Serializer,
        message::feature::Roles,
        permission::Role,
        roster::{Channel, Newcomer, Transport},
        session::actor::Ended,
        transport::framing::Framing,
        transport::outbox::Outbox,
    };
    use std::{net::Ipv4Addr, sync::Arc};

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
            promised: None,
            authid: None,
            role: Role::unrestricted("anonymous").into(),
            authmethod: "anonymous",
            authprovider: "static",
            authextra: None,
            transport: Transport {
                serializer: Serializer::Json,
                address: Some(Ipv4Addr::LOCALHOST.into()),
                peer: "tcp4:127.0.0.1:4711".into(),
                via: None,
                framing: Framing::WebSocket,
                channel: Channel::Tcp,
            },
            roles: Roles::default(),
        };
        Join { newcomer, outbox: Arc::new(Outbox::new(1 << 20)), session: Anybody.start().recipient() }
    }

    #[test]
    fn who_asks_to_join_when_the_router_or_the_realm_stops_is_told_so() {
        actix::System::new().block_on(async {
            let name = || Uri::from("realm1");
            let router =
                Router::new([(name(), RealmOptions::default())], &Access::default(), Metrics::default());
            let router = router.start();
            let realm = RealmActor::new(
                name(),
                RealmOptions::default(),
                BanList::default(),
                router.clone(),
                Metrics::default().realm(&name()),
            )
            .start();
            assert!(realm.send(join()).await.unwrap().is_ok());
            realm.do_send(Close { spread: Duration::ZERO });
            assert_eq!(realm.send(join()).await.unwrap().err(), Some(Refused::Stopping));

            let ask = || JoinRealm { realm: name(), join: join() };
            assert!(router.send(ask()).await.unwrap().is_ok());
            router.do_send(Shutdown { spread: Duration::ZERO });
            assert_eq!(router.send(ask()).await.unwrap().err(), Some(Refused::Stopping));
        });
    }

    fn scrape(router: &Addr<Router>) -> String {
        let metrics = Metrics::default();
        actix_rt::System::new().block_on(gather(router, &metrics))
    }

    #[test]
    fn a_router_that_does_not_answer_a_scrape_is_not_waited_for_forever() {
        let busy = Context::<Router>::new();
        let text = scrape(&busy.address());
        assert!(text.contains("\nrealmkeeper_stale_scrapes_total 1\n"), "{text}");
    }

    #[test]
    fn a_router_that_is_gone_is_not_waited_for() {
        let gone = Context::<Router>::new().address();
        let text = scrape(&gone);
        assert!(text.contains("\nrealmkeeper_stale_scrapes_total 1\n"), "{text}");
    }
}
