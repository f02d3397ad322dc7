//! The router as an actor: it starts the realms, replaces one that failed, and sends everybody away at the end.

use super::RealmSettings;
use crate::{
    collections::Map,
    message::uri::Uri,
    metrics::{Metrics, RealmMetrics},
    realm::{
        RealmOptions,
        actor::{Ask, Close, Closed, Drain, Join, Membership, RealmActor, ReloadRealm, Show},
    },
    session::{
        access::{Access, Admission},
        actor::Answered,
        refused::Refused,
    },
    step::Reply,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// All realms of this router. They live on the arbiter on which the router is started.
#[derive(Debug)]
pub struct Router {
    realms: Map<Uri, Hosted>,
    access: Arc<Access>,
    metrics: Metrics,
    is_stopping: bool,
}

/// A realm of the router.
#[derive(Clone, Debug)]
struct Hosted {
    options: RealmOptions,
    admission: Arc<Admission>,
    metrics: RealmMetrics,
    actor: Addr<RealmActor>,
}

impl Hosted {
    /// Starts a realm.
    fn new(
        name: &Uri,
        options: RealmOptions,
        admission: Arc<Admission>,
        metrics: RealmMetrics,
        router: Addr<Router>,
    ) -> Self {
        let realm =
            RealmActor::new(name.clone(), options.clone(), admission.clone(), router, metrics.clone());
        Self { options, admission, metrics, actor: realm.start() }
    }

    /// The same realm, which is told of its new configuration.
    fn reload(self, options: RealmOptions, admission: Arc<Admission>) -> Self {
        self.actor.do_send(ReloadRealm { options: options.clone(), admission: admission.clone() });
        Self { options, admission, ..self }
    }
}

impl Router {
    /// Starts a router with these realms, each name once. Their doors stand in `access` from now on.
    pub fn host(realms: Vec<RealmSettings>, access: Arc<Access>, metrics: Metrics) -> Addr<Self> {
        Self::create(|context| {
            let mut router = Self { realms: Map::default(), access, metrics, is_stopping: false };
            router.reload(realms, context);
            router
        })
    }

    /// Has these realms from now on. The doors and all that is told to the realms change in one turn: whoever has seen
    /// a new door comes to its realm after the news.
    fn reload(&mut self, realms: Vec<RealmSettings>, context: &mut Context<Self>) {
        self.access.replace(realms.iter().map(|realm| (realm.name.clone(), realm.door.clone())));
        let mut before = std::mem::take(&mut self.realms);
        for RealmSettings { name, options, .. } in realms {
            let Some(admission) = self.access.admission(&name) else { continue };
            let realm = match before.swap_remove(&name) {
                Some(realm) => realm.reload(options, admission),
                None => Hosted::new(&name, options, admission, self.metrics.realm(&name), context.address()),
            };
            self.realms.insert(name, realm);
        }
        for realm in before.into_values() {
            realm.actor.do_send(Close { why: Closed::Removed, spread: Duration::ZERO });
        }
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

/// These are the realms from now on. The sessions of a realm that is not among them are sent away; those of the others
/// stay, as far as [`Realm::reload`](crate::realm::Realm::reload) says so.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload {
    /// The realms, each name once.
    pub realms: Vec<RealmSettings>,
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
            Some(Hosted { actor, .. }) => Ok(actor.clone()),
            None => Err(Refused::NoSuchRealm(realm)),
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
            Some(found) if !self.is_stopping => found.actor.do_send(ask),
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
            && realm.actor == failed.realm
        {
            warn!(realm = %failed.name, "the realm is replaced");
            realm.metrics.restarted();
            let Hosted { options, admission, metrics, .. } = realm.clone();
            *realm = Hosted::new(&failed.name, options, admission, metrics, context.address());
        }
    }
}

impl Handler<Reload> for Router {
    type Result = ();

    fn handle(&mut self, Reload { realms }: Reload, context: &mut Self::Context) {
        self.reload(realms, context);
    }
}

/// Say that the router is at work.
#[derive(Message)]
#[rtype(result = "()")]
struct Respond;

impl Handler<Respond> for Router {
    type Result = ();

    fn handle(&mut self, _: Respond, _: &mut Self::Context) {}
}

/// Take no more calls. The answer comes when none is in flight.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishCalls;

impl Handler<FinishCalls> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FinishCalls, _: &mut Self::Context) -> Self::Result {
        let finished = self.realms.values().map(|realm| {
            let finished = CancellationToken::new();
            realm.actor.do_send(Drain(finished.clone().drop_guard()));
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
        for realm in self.realms.values() {
            realm.actor.do_send(Close { why: Closed::Stopping, spread });
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
        let realms: Vec<_> = self.realms.values().map(|realm| realm.actor.clone()).collect();
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

/// Calls `alive` so often, each time after the router has answered, for as long as there is a router. Has to be called
/// in an actix system.
pub fn keep_alive(router: Addr<Router>, every: Duration, alive: impl Fn() + 'static) {
    actix::spawn(async move {
        while router.send(Respond).await.is_ok() {
            alive();
            actix::clock::sleep(every).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Serializer,
        message::feature::Roles,
        permission::Role,
        roster::{Newcomer, Transport},
        session::{
            access::{Door, Principal, Ticket},
            actor::Ended,
            auth::Method,
            lockout::Lockout,
        },
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

    /// Somebody who was let in by this method, with a role of this name.
    fn join(authmethod: &'static str, authid: Option<&str>, role: &str) -> Join {
        let newcomer = Newcomer {
            promised: None,
            authid: authid.map(Into::into),
            role: Role::unrestricted(role).into(),
            authmethod,
            authprovider: "static",
            authextra: None,
            transport: Transport::example(Serializer::Json),
            roles: Roles::default(),
        };
        Join { newcomer, outbox: Arc::new(Outbox::new(1 << 20)), session: Anybody.start().recipient() }
    }

    fn anonymous() -> Join {
        join("anonymous", None, "anonymous")
    }

    /// A realm in which the anonymous have this role, and joe that one.
    fn settings(name: &str, anonymous: &str, joe: Option<&str>) -> RealmSettings {
        let role = |name| Arc::new(Role::unrestricted(name));
        let principal = |name| Principal {
            authid: "joe".into(),
            role: role(name),
            credentials: Ticket::plain("secret123").into(),
        };
        let door = Door {
            anonymous: Some(role(anonymous)),
            principals: joe.map(principal).into_iter().collect(),
            // No component says anything about those whom none let in.
            authenticators: vec![(Method::Ticket, "com.ask".into())],
            roles: vec![role("backend")],
            ..Door::default()
        };
        RealmSettings { name: name.into(), options: RealmOptions::default(), door }
    }

    fn host(realms: Vec<RealmSettings>) -> Addr<Router> {
        Router::host(realms, Access::new(Lockout::default(), [7; 32]).into(), Metrics::default())
    }

    async fn ask(router: &Addr<Router>, realm: &str, join: Join) -> Result<Membership, Refused> {
        router.send(JoinRealm { realm: realm.into(), join }).await.unwrap()
    }

    #[test]
    fn who_asks_to_join_when_the_router_or_the_realm_stops_is_told_so() {
        actix::System::new().block_on(async {
            let router = host(vec![settings("realm1", "anonymous", None)]);
            assert!(ask(&router, "realm1", anonymous()).await.is_ok());
            let access = Access::new(Lockout::default(), [7; 32]);
            access.replace([("realm1".into(), Door::default())]);
            let realm = RealmActor::new(
                "realm1".into(),
                RealmOptions::default(),
                access.admission("realm1").unwrap(),
                router.clone(),
                Metrics::default().realm(&"realm1".into()),
            )
            .start();
            for (why, refused) in [
                (Closed::Stopping, Refused::Stopping),
                (Closed::Removed, Refused::NoSuchRealm("realm1".into())),
            ] {
                realm.do_send(Close { why, spread: Duration::ZERO });
                assert_eq!(realm.send(anonymous()).await.unwrap().err(), Some(refused));
            }
            router.do_send(Shutdown { spread: Duration::ZERO });
            assert_eq!(ask(&router, "realm1", anonymous()).await.err(), Some(Refused::Stopping));
        });
    }

    #[test]
    fn who_comes_by_an_old_door_is_let_in_only_as_the_new_one_would() {
        actix::System::new().block_on(async {
            let router = host(vec![
                settings("realm1", "anonymous", Some("backend")),
                settings("realm2", "anonymous", None),
            ]);
            let joe = || join("ticket", Some("joe"), "backend");
            let kept = ask(&router, "realm1", joe()).await.unwrap();
            assert!(ask(&router, "realm2", anonymous()).await.is_ok());
            router.do_send(Reload {
                realms: vec![settings("realm1", "guest", Some("backend")), settings("realm3", "guest", None)],
            });
            assert!(ask(&router, "realm1", joe()).await.is_ok());
            assert_eq!(ask(&router, "realm1", anonymous()).await.err(), Some(Refused::AccessChanged));
            let guest = || join("anonymous", None, "guest");
            for realm in ["realm1", "realm3"] {
                assert!(ask(&router, realm, guest()).await.is_ok());
            }
            let gone = Refused::NoSuchRealm("realm2".into());
            assert_eq!(ask(&router, "realm2", guest()).await.err(), Some(gone));
            for role in [None, Some("other")] {
                router.do_send(Reload { realms: vec![settings("realm1", "guest", role)] });
                assert_eq!(ask(&router, "realm1", joe()).await.err(), Some(Refused::AccessChanged));
            }
            drop(kept);
        });
    }

    #[test]
    fn the_doors_change_together_with_the_realms() {
        actix::System::new().block_on(async {
            let access = Arc::new(Access::new(Lockout::default(), [7; 32]));
            let router =
                Router::host(vec![settings("realm1", "anonymous", None)], access.clone(), Metrics::default());
            let names = || ["realm1", "realm2"].map(|realm| access.admission(realm).is_some());
            assert_eq!(names(), [true, false], "before the first message");
            router.send(Reload { realms: vec![settings("realm2", "anonymous", None)] }).await.unwrap();
            assert_eq!(names(), [false, true]);
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
    fn a_router_is_alive_only_while_it_answers() {
        actix_rt::System::new().block_on(async {
            let busy = Context::<Router>::new();
            let (alive, mut told) = tokio::sync::mpsc::unbounded_channel();
            keep_alive(busy.address(), Duration::ZERO, move || {
                let _ = alive.send(());
            });
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(told.try_recv().is_err(), "it has not answered");
            let (realms, access, metrics) =
                (Map::default(), Access::new(Lockout::default(), [7; 32]).into(), Metrics::default());
            let router = busy.run(Router { realms, access, metrics, is_stopping: false });
            assert_eq!([told.recv().await, told.recv().await], [Some(()); 2]);
            drop(router);
        });
    }

    #[test]
    fn a_router_that_is_gone_is_not_waited_for() {
        let gone = Context::<Router>::new().address();
        let text = scrape(&gone);
        assert!(text.contains("\nrealmkeeper_stale_scrapes_total 1\n"), "{text}");
    }
}
