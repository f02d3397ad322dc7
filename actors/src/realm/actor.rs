//! The realm as an actor: its mailbox puts in order what its sessions send, and it carries out what the core
//! asks for.

use super::{
    Realm, RealmOptions,
    backlog::Backlog,
    delivery::{Delivered, Delivery, Oversized, Receiver, Undelivered},
};
use crate::{
    cause::Cause,
    codec::Arguments,
    collections::Map,
    message::{ClientMessage, RouterMessage, id::SessionId, uri::Uri},
    metrics::{Figures, Mailbox, RealmMetrics, Waiting},
    roster::{Member, Newcomer},
    router::actor::{RealmFailed, Router},
    session::{
        access::Admission,
        actor::{Answered, Ended},
        refused::Refused,
    },
    step::{Effect, Reply, Step},
    transport::{framing::Framer, outbox::Outbox},
    turn,
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient,
    SpawnHandle, WrapFuture,
};
use rand::{SeedableRng, rngs::StdRng};
use smallvec::SmallVec;
use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
    vec,
};
use tokio_util::sync::DropGuard;
use tracing::{debug, error, info};

/// The vector of effects is kept from step to step if it has room for at most so many.
const MOST_KEPT: usize = 1 << 10;

/// How many messages of one session are handled before what they ask for is carried out.
const MOST_MESSAGES: usize = 32;

/// How long a session is attended to before others have their turn.
const TURN: Duration = Duration::from_millis(10);

/// How often a realm that stops looks whether it is time for the next thing.
const TICK: Duration = Duration::from_millis(10);

/// The actor of one realm.
#[derive(Debug)]
pub struct RealmActor {
    name: Uri,
    realm: Realm,
    /// Who is let in, and as what.
    admission: Arc<Admission>,
    peers: Map<SessionId, Peer>,
    chance: StdRng,
    framer: Framer,
    /// When the realm began, for its uptime.
    started: Instant,
    /// What wakes the realm when a call has to be answered, and the uptime at which it does.
    alarm: Option<(Duration, SpawnHandle)>,
    /// An empty vector for the effects of the next step.
    effects: Vec<Effect>,
    /// What has to wait, since what its session sent before takes more than one turn.
    backlog: Backlog<Late>,
    /// Whether it is to go on with that when others have had their turn.
    goes_on: bool,
    router: Addr<Router>,
    metrics: RealmMetrics,
    /// Who wants to join and waits for the answer of a component, by number.
    asking: Map<u64, Recipient<Answered>>,
    /// The number of the next of them.
    newcomer: u64,
    /// Why everybody is sent away.
    closed: Option<Closed>,
}

/// How a member is reached.
#[derive(Debug)]
struct Peer {
    receiver: Receiver,
    session: Recipient<Ended>,
    /// How much of its credit is taken by messages that wait.
    held: usize,
}

/// Why a realm has no members any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closed {
    /// The router stops.
    Stopping,
    /// The realm is not configured any more.
    Removed,
}

impl Closed {
    /// Why its sessions leave.
    fn cause(self) -> Cause {
        match self {
            Self::Stopping => Cause::Shutdown,
            Self::Removed => Cause::RealmClosed,
        }
    }
}

impl RealmActor {
    pub(crate) fn new(
        name: Uri,
        options: RealmOptions,
        admission: Arc<Admission>,
        router: Addr<Router>,
        metrics: RealmMetrics,
    ) -> Self {
        let mut chance = StdRng::from_rng(&mut rand::rng());
        let mut step = Step::new(SystemTime::now(), Duration::ZERO, &mut chance);
        Self {
            realm: Realm::new(name.clone(), options, admission.bans.clone(), &mut step),
            name,
            admission,
            peers: Map::default(),
            chance,
            framer: Framer::default(),
            started: Instant::now(),
            alarm: None,
            effects: Vec::new(),
            backlog: Backlog::default(),
            goes_on: false,
            router,
            metrics,
            asking: Map::default(),
            newcomer: 0,
            closed: None,
        }
    }

    /// Lends the core the time and the chance for one step, and carries out what it asks for. A core that
    /// panics is not trusted any more: the realm ends.
    fn step<T>(
        &mut self,
        context: &mut Context<Self>,
        step: impl FnOnce(&mut Realm, &mut Step<'_>) -> T,
    ) -> Option<(T, Vec<Effect>)> {
        let (realm, chance, now, uptime) =
            (&mut self.realm, &mut self.chance, SystemTime::now(), self.started.elapsed());
        let effects = std::mem::take(&mut self.effects);
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let mut lent = Step::new(now, uptime, chance).gather_in(effects);
            let result = step(realm, &mut lent);
            (result, lent.finish())
        }));
        match stepped {
            Ok((result, (effects, tally))) => {
                self.metrics.add(&tally, uptime);
                self.set_alarm(uptime, context);
                Some((result, effects))
            }
            Err(_) => {
                self.fail(context);
                None
            }
        }
    }

    /// Sees to it that the realm is woken when the next call has to be answered. An alarm that has become needless
    /// stays: it does nothing but set the next.
    fn set_alarm(&mut self, uptime: Duration, context: &mut Context<Self>) {
        let Some(due) = self.realm.next_timeout() else { return };
        match self.alarm {
            Some((set, _)) if set <= due => return,
            Some((_, later)) => context.cancel_future(later),
            None => false,
        };
        let expire = |actor: &mut Self, context: &mut Context<Self>| {
            actor.alarm = None;
            if let Some(((), effects)) = actor.step(context, Realm::expire) {
                actor.carry_out(effects, context);
            }
        };
        self.alarm = Some((due, context.run_later(due.saturating_sub(uptime), expire)));
    }

    /// Says goodbye to all and makes room for a new, empty realm.
    fn fail(&mut self, context: &mut Context<Self>) {
        error!(realm = %self.name, sessions = self.peers.len(), "the realm failed and starts again empty");
        self.metrics.panicked();
        let mut delivery = Delivery::new(&self.name, &mut self.framer);
        while let Some((id, peer)) = self.peers.pop() {
            info!(realm = %self.name, session = %id, cause = Cause::RealmClosed.label(), "session left");
            self.metrics.left(&Cause::RealmClosed, self.peers.len());
            peer.end(Cause::RealmClosed, Cause::RealmClosed.farewell().as_ref(), &mut delivery);
        }
        self.metrics.sent(&delivery.finish().sent);
        self.settle_nothing();
        self.router.do_send(RealmFailed { name: self.name.clone(), realm: context.address() });
        context.stop();
    }

    /// Tells those who want to join, and about whom a component is asked, that no answer comes.
    fn settle_nothing(&mut self) {
        for (_, session) in self.asking.drain(..) {
            session.do_send(Answered { reply: Reply::None });
        }
    }

    /// Carries out what the core asked for. A panic in here leaves sessions behind that nobody can tell the state
    /// of: the realm ends as well.
    fn carry_out(&mut self, mut effects: Vec<Effect>, context: &mut Context<Self>) {
        let carried = catch_unwind(AssertUnwindSafe(|| self.carry_out_each(effects.drain(..))));
        let Ok(undelivered) = carried else { return self.fail(context) };
        if effects.capacity() <= MOST_KEPT {
            self.effects = effects;
        }
        self.go_on_after_others(context);
        if !undelivered.is_empty() {
            let answer = |realm: &mut Realm, step: &mut Step<'_>| {
                for Undelivered { to, of } in undelivered {
                    match of {
                        Oversized::Welcome(too_long) => {
                            let text = format!("WELCOME is too large: {too_long}");
                            realm.leave(to, Cause::WelcomeTooBig(text), step);
                        }
                        Oversized::Request(request_type, request) => {
                            realm.refuse_oversized(to, request_type, request, step);
                        }
                        Oversized::Opening(invocation) => realm.refuse_opening(to, invocation, step),
                    }
                }
            };
            if let Some(((), effects)) = self.step(context, answer) {
                self.carry_out(effects, context);
            }
        }
    }

    /// Gives what its receivers do not take, as far as something follows of that.
    fn carry_out_each(&mut self, mut effects: vec::Drain<'_, Effect>) -> Vec<Undelivered> {
        let mut delivery = Delivery::new(&self.name, &mut self.framer);
        while let Some(effect) = effects.next() {
            match effect {
                Effect::Send { to, message } => {
                    if let Some(peer) = self.peers.get_mut(&to) {
                        delivery.send(to, &mut peer.receiver, &message);
                    }
                }
                Effect::Broadcast { to, message } => {
                    let others = effects.as_slice().iter().map_while(|effect| effect.broadcast_to(&to));
                    let messages = iter::once(&message).chain(others).collect::<SmallVec<[_; 4]>>();
                    let peers = to.iter().filter_map(|to| self.peers.get(to));
                    delivery.broadcast(peers.map(|peer| &peer.receiver), &messages);
                    let done = messages.len() - 1;
                    drop(messages);
                    effects.by_ref().take(done).for_each(drop);
                }
                Effect::Undeliverable { to, problem } => delivery.miss(to.len(), &problem),
                Effect::Settled { newcomer, reply } => {
                    if let Some(session) = self.asking.swap_remove(&newcomer) {
                        session.do_send(Answered { reply });
                    }
                }
                Effect::Unanswered { procedure, problem } => {
                    debug!(realm = %self.name, %procedure, problem, "a component gave no answer");
                }
                Effect::Unfinished { session } => self.backlog.put_back(session, Late::Held),
                Effect::Released { session } => {
                    if let Some(peer) = self.peers.get_mut(&session) {
                        peer.receiver.outbox.give_back(std::mem::take(&mut peer.held));
                    }
                }
                Effect::Left { member, cause, farewell } => {
                    log_leave(&self.name, &member, &cause);
                    if let Some(peer) = self.peers.swap_remove(&member.id) {
                        self.metrics.left(&cause, self.peers.len());
                        peer.end(cause, farewell.as_ref(), &mut delivery);
                    }
                }
            }
        }
        let Delivered { sent, undelivered } = delivery.finish();
        self.metrics.sent(&sent);
        undelivered
    }
}

fn log_leave(realm: &Uri, member: &Member, cause: &Cause) {
    info!(
        %realm,
        session = %member.id,
        authid = &*member.authid,
        cause = cause.label(),
        detail = cause.to_string(),
        seconds = SystemTime::now().duration_since(member.since).unwrap_or_default().as_secs_f64(),
        "session left"
    );
}

impl Peer {
    /// Queues its last message and tells its session that it has ended.
    fn end(self, cause: Cause, farewell: Option<&RouterMessage>, delivery: &mut Delivery<'_>) {
        delivery.finish_with(&self.receiver, farewell);
        self.session.do_send(Ended { cause });
    }
}

impl Actor for RealmActor {
    type Context = Context<Self>;
}

/// A session asks to join.
#[derive(Message)]
#[rtype(result = "Result<Membership, Refused>")]
pub(crate) struct Join {
    pub(crate) newcomer: Newcomer,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) session: Recipient<Ended>,
}

impl Handler<Join> for RealmActor {
    type Result = Result<Membership, Refused>;

    fn handle(&mut self, join: Join, context: &mut Self::Context) -> Self::Result {
        match self.closed {
            Some(Closed::Stopping) => return Err(Refused::Stopping),
            Some(Closed::Removed) => return Err(Refused::NoSuchRealm(self.name.clone())),
            None => {}
        }
        let Join { mut newcomer, outbox, session } = join;
        // The door may be another than the one that it came in by.
        let Newcomer { authprovider, authmethod, authid, role, .. } = &newcomer;
        let role = self.admission.role_of(authprovider, authmethod, authid.as_deref(), &role.name);
        newcomer.role = role.ok_or(Refused::AccessChanged)?;
        let (serializer, framing) = (newcomer.transport.serializer, newcomer.transport.framing);
        let joined = self.step(context, |realm, step| realm.join(newcomer, step));
        let (joined, effects) = joined.ok_or(Refused::RealmFailed)?;
        let id = joined?;
        let receiver = Receiver { serializer, framing, outbox, invoked: None };
        self.peers.insert(id, Peer { receiver, session, held: 0 });
        self.metrics.joined(self.peers.len());
        if let Some(member) = self.realm.member(id) {
            info!(
                realm = %self.name,
                session = %id,
                authid = &*member.authid,
                authrole = %member.authrole(),
                peer = %member.transport.peer,
                serializer = %serializer,
                "session joined"
            );
        }
        self.carry_out(effects, context);
        let (realm, mailbox) = (context.address(), self.metrics.mailbox().clone());
        Ok(Membership { session: id, realm, mailbox, cause: None })
    }
}

/// Somebody who wants to join has a component asked about it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) procedure: Uri,
    pub(crate) arguments: Arguments,
    pub(crate) session: Recipient<Answered>,
}

impl Handler<Ask> for RealmActor {
    type Result = ();

    fn handle(&mut self, ask: Ask, context: &mut Self::Context) {
        let Ask { procedure, arguments, session } = ask;
        if self.closed.is_some() {
            return session.do_send(Answered { reply: Reply::None });
        }
        let newcomer = self.newcomer;
        self.newcomer += 1;
        self.asking.insert(newcomer, session);
        let stepped =
            self.step(context, |realm, step| realm.ask_about(newcomer, &procedure, &arguments, step));
        if let Some(((), effects)) = stepped {
            self.carry_out(effects, context);
        }
    }
}

/// What one read of a session's socket brought.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Inbound {
    pub(crate) from: SessionId,
    pub(crate) messages: vec::IntoIter<ClientMessage>,
    /// How many bytes of the session's credit this takes until it is handled.
    pub(crate) credit: usize,
    _waiting: Waiting,
}

impl Handler<Inbound> for RealmActor {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        let from = inbound.from;
        if let Some(Late::Inbound(inbound)) = self.backlog.queue(from, Late::Inbound(inbound))
            && let Some(rest) = self.attend_to(inbound, context)
        {
            self.backlog.put_back(from, Late::Inbound(rest));
            self.go_on_after_others(context);
        }
    }
}

/// A session has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Leave {
    session: SessionId,
    cause: Cause,
    /// Whether it leaves only when what waits of it for an authorizer is done.
    is_in_turn: bool,
}

impl Handler<Leave> for RealmActor {
    type Result = ();

    fn handle(&mut self, leave: Leave, context: &mut Self::Context) {
        if let Some(Late::Leave(leave)) = self.backlog.queue(leave.session, Late::Leave(leave)) {
            self.leave(leave, context);
        }
    }
}

/// What has to wait of a session.
#[derive(Debug)]
enum Late {
    Inbound(Inbound),
    /// What the core holds of it.
    Held,
    Leave(Leave),
}

impl RealmActor {
    /// Handles what a session sent. Gives what is left of it when its turn is over.
    fn attend_to(&mut self, mut inbound: Inbound, context: &mut Context<Self>) -> Option<Inbound> {
        let (from, start) = (inbound.from, Instant::now());
        loop {
            let stepped = self.step(context, |realm, step| {
                for message in inbound.messages.by_ref().take(MOST_MESSAGES) {
                    realm.receive(from, message, step);
                    if step.is_full() {
                        break;
                    }
                }
            });
            let Some(((), effects)) = stepped else {
                error!(realm = %self.name, session = %from, "a message of this session made the realm fail");
                return None;
            };
            let is_all = inbound.messages.len() == 0;
            // Before the effects: one of them may be that the session is let go of.
            if is_all {
                let is_held = self.realm.is_holding(from);
                if let Some(peer) = self.peers.get_mut(&from) {
                    if is_held {
                        peer.held += inbound.credit;
                    } else {
                        peer.receiver.outbox.give_back(inbound.credit);
                    }
                }
            }
            self.carry_out(effects, context);
            if is_all || !context.state().alive() {
                break;
            }
            // Who does not read what it asks for is about to be sent away.
            if self.peers.get(&from).is_none_or(|peer| peer.receiver.outbox.is_overflowed()) {
                inbound.messages = Vec::new().into_iter();
            } else if start.elapsed() > TURN {
                break;
            }
        }
        self.metrics.batch(start.elapsed());
        (inbound.messages.len() > 0 && context.state().alive()).then_some(inbound)
    }

    /// Sees to it that what waits has its turn.
    fn go_on_after_others(&mut self, context: &mut Context<Self>) {
        if self.goes_on || self.backlog.is_empty() {
            return;
        }
        self.goes_on = true;
        context.spawn(turn::others().into_actor(self).map(|(), actor, context| actor.go_on(context)));
    }

    /// Goes on with the session whose turn it is.
    fn go_on(&mut self, context: &mut Context<Self>) {
        self.goes_on = false;
        match self.backlog.next() {
            Some((session, Late::Inbound(inbound))) => {
                if let Some(rest) = self.attend_to(inbound, context) {
                    self.backlog.put_back(session, Late::Inbound(rest));
                }
            }
            Some((session, Late::Held)) => {
                // Who does not read what it asks for is about to be sent away.
                if self.peers.get(&session).is_none_or(|peer| peer.receiver.outbox.is_overflowed()) {
                    self.realm.forget_waiting(session);
                }
                if let Some(((), effects)) = self.step(context, |realm, step| realm.go_on(session, step)) {
                    self.carry_out(effects, context);
                }
            }
            Some((_, Late::Leave(leave))) => self.leave(leave, context),
            None => {}
        }
        self.go_on_after_others(context);
    }

    fn leave(&mut self, Leave { session, cause, is_in_turn }: Leave, context: &mut Context<Self>) {
        let leave = if is_in_turn { Realm::leave_in_turn } else { Realm::leave };
        if let Some(((), effects)) = self.step(context, |realm, step| leave(realm, session, cause, step)) {
            self.carry_out(effects, context);
        }
    }
}

/// The router stops: no more calls are taken. The guard is let go of when none is in flight, and nothing waits for its
/// turn or for an authorizer that came before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain(pub(crate) DropGuard);

impl Handler<Drain> for RealmActor {
    type Result = ();

    fn handle(&mut self, Drain(guard): Drain, context: &mut Self::Context) {
        self.realm.drain(self.started.elapsed());
        let mut guard = Some(guard);
        context.run_interval(TICK, move |realm, _| {
            if realm.realm.is_drained() && realm.backlog.is_empty() {
                guard.take();
            }
        });
    }
}

/// The configuration has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ReloadRealm {
    pub(crate) options: RealmOptions,
    pub(crate) admission: Arc<Admission>,
}

impl Handler<ReloadRealm> for RealmActor {
    type Result = ();

    fn handle(&mut self, reload: ReloadRealm, context: &mut Self::Context) {
        let ReloadRealm { options, admission } = reload;
        self.admission = admission.clone();
        let role_of = |member: &Member| {
            let Member { authprovider, authmethod, authid, .. } = member;
            admission.role_of(authprovider, authmethod, Some(authid), member.authrole())
        };
        if let Some(((), effects)) = self.step(context, |realm, step| realm.reload(options, role_of, step)) {
            self.carry_out(effects, context);
        }
    }
}

/// Nobody is let in any more, and everybody is sent away, one after the other over this time.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Close {
    pub(crate) why: Closed,
    pub(crate) spread: Duration,
}

impl Handler<Close> for RealmActor {
    type Result = ();

    fn handle(&mut self, Close { why, spread }: Close, context: &mut Self::Context) {
        self.closed = Some(why);
        if spread < TICK {
            return self.close(why.cause(), context);
        }
        let (began, all) = (Instant::now(), self.peers.len());
        let mut sessions = self.peers.keys().copied().collect::<Vec<_>>();
        context.run_interval(TICK, move |realm, context| {
            let left = 1.0 - began.elapsed().as_secs_f64() / spread.as_secs_f64();
            if left <= 0.0 {
                return realm.close(why.cause(), context);
            }
            for session in sessions.drain(sessions.len().min((all as f64 * left).ceil() as usize)..) {
                let leave = |realm: &mut Realm, step: &mut Step<'_>| realm.leave(session, why.cause(), step);
                if let Some(((), effects)) = realm.step(context, leave) {
                    realm.carry_out(effects, context);
                }
            }
        });
    }
}

impl RealmActor {
    /// Sends away all that there are.
    fn close(&mut self, cause: Cause, context: &mut Context<Self>) {
        if let Some(((), effects)) = self.step(context, |realm, step| realm.close(&cause, step)) {
            self.carry_out(effects, context);
        }
        self.settle_nothing();
        self.metrics.show_nothing();
    }
}

/// The metrics are to show what there is.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Show;

impl Handler<Show> for RealmActor {
    type Result = ();

    fn handle(&mut self, _: Show, _: &mut Self::Context) {
        if let Some(Closed::Removed) = self.closed {
            return;
        }
        self.metrics.show(&Figures {
            subscriptions: self.realm.subscriptions(),
            registrations: self.realm.registrations(),
            calls_in_flight: self.realm.calls_in_flight(),
            outbox: self.peers.values().map(|peer| peer.receiver.outbox.waiting()).sum(),
        });
    }
}

/// A session's place in its realm. Dropping it is leaving, so a session cannot end unnoticed.
#[derive(Debug)]
pub(crate) struct Membership {
    session: SessionId,
    realm: Addr<RealmActor>,
    mailbox: Mailbox,
    /// Why it leaves, once that is known. In a box, as for most of the time there is none.
    cause: Option<Box<Cause>>,
}

impl Membership {
    /// Hands the realm what one read brought.
    pub(crate) fn receive(&self, messages: Vec<ClientMessage>, credit: usize) {
        let messages = messages.into_iter();
        self.realm.do_send(Inbound { from: self.session, messages, credit, _waiting: self.mailbox.add() });
    }

    /// Leaves for this cause: in its turn, if it lies in what the client has sent, and else at once.
    pub(crate) fn leave(&mut self, cause: Cause) {
        self.cause = Some(cause.clone().into());
        let is_in_turn = cause.comes_in_turn();
        self.realm.do_send(Leave { session: self.session, cause, is_in_turn });
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let cause = self.cause.take().map_or_else(
            || if std::thread::panicking() { Cause::Panic } else { Cause::TransportLost },
            |cause| *cause,
        );
        // Who has left already has no effect by this.
        self.realm.do_send(Leave { session: self.session, cause, is_in_turn: false });
    }
}
