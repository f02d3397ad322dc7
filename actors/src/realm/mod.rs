//! A realm: its members, and all that is routed among them (section "Realms").
//!
//! [`Realm`] is a plain value. Each call is lent a [`Step`] with the time and the chance it may use, and leaves
//! there what is to be sent, in order.

use crate::{
    ban::BanList,
    broker::Broker,
    cause::Cause,
    collections::Map,
    dealer::{Answer, Asker, Dealer, Sequel, Unanswered},
    limit::Limit,
    message::{
        ClientMessage, Published, Registered, RequestType, RouterMessage, Unregistered, Welcome,
        WelcomeDetails,
        feature::{Feature, Features, Roles},
        id::{RequestId, SessionId},
        uri::{Match, Uri, UriRules},
        value::Dict,
    },
    meta::{self, Testaments},
    permission::{Action, Beyond, Role, SessionsPerAuthid},
    refusal::{Fault, Refusal, Violation, check_unanswerable_uri},
    roster::{Member, Newcomer, Roster},
    step::Step,
    verdict::Verdicts,
};
use asking::Held;
use std::{collections::VecDeque, sync::Arc, time::Duration};

pub mod actor;
mod asking;
mod backlog;
mod calls;
mod delivery;
mod options;
#[cfg(test)]
mod tests;

pub use crate::broker::HistoryOptions;
pub use options::{RealmLimits, RealmOptions, RequestIds};

/// What works in the broker of every realm.
const BROKER_FEATURES: Features = Features::of(&[
    Feature::EventHistory,
    Feature::EventRetention,
    Feature::PatternBasedSubscription,
    Feature::PayloadPassthruMode,
    Feature::PublicationTrustlevels,
    Feature::PublisherExclusion,
    Feature::PublisherIdentification,
    Feature::SessionMetaApi,
    Feature::SubscriberBlackwhiteListing,
    Feature::SubscriptionMetaApi,
    Feature::SubscriptionRevocation,
]);

/// What works in the dealer of every realm.
const DEALER_FEATURES: Features = Features::of(&[
    Feature::ProgressiveCallResults,
    Feature::ProgressiveCallInvocations,
    Feature::CallTimeout,
    Feature::CallCanceling,
    Feature::CallReroute,
    Feature::CallerIdentification,
    Feature::CallTrustlevels,
    Feature::RegistrationMetaApi,
    Feature::PatternBasedRegistration,
    Feature::SharedRegistration,
    Feature::RegistrationRevocation,
    Feature::TestamentMetaApi,
    Feature::SessionMetaApi,
    Feature::PayloadPassthruMode,
]);

/// The name by which the router introduces itself.
const AGENT: &str = concat!("realmkeeper-", env!("CARGO_PKG_VERSION"));

/// What those are told who understand it from whom something is taken back that their role does not allow any more.
const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";

/// What those are told whom the realm gives no role any more, or another.
const NO_ROLE: &str = "the configuration changed: this session would not be let in with its role any more";

/// The state of a realm. Only its actor changes it.
#[derive(Debug)]
pub struct Realm {
    name: Uri,
    options: RealmOptions,
    roster: Roster,
    broker: Broker,
    dealer: Dealer,
    testaments: Testaments,
    bans: BanList,
    /// The messages that wait for what an authorizer says, by their session.
    held: Map<SessionId, Held>,
    /// The questions that have ended in this step.
    settled: VecDeque<(Asker, Answer)>,
    /// The uptime from which on no more calls are taken, since the router stops.
    drains_from: Option<Duration>,
}

impl Realm {
    /// A realm without members. The bans that there are from before go on.
    pub fn new(name: Uri, options: RealmOptions, bans: BanList, step: &mut Step<'_>) -> Self {
        bans.configure(options.bans.clone(), options.limits.bans);
        let broker = options.broker(step);
        Self {
            name,
            options,
            roster: Roster::default(),
            broker,
            dealer: Dealer::default(),
            testaments: Testaments::default(),
            bans,
            held: Map::default(),
            settled: VecDeque::new(),
            drains_from: None,
        }
    }

    /// Takes no more calls but those of its own procedures, and those that came before this uptime and wait for an
    /// authorizer. Those in flight go on.
    pub fn drain(&mut self, uptime: Duration) {
        self.drains_from = Some(uptime);
    }

    /// Whether the realm drains, and all that came before is done.
    pub fn is_drained(&self) -> bool {
        self.drains_from.is_some_and(|from| self.calls_in_flight() == 0 && !self.is_holding_from_before(from))
    }

    /// Goes on with these options, and with the role that each member has now. What a member holds and its role does
    /// not allow any more is taken back; a member without a role leaves. Which request ids are taken changes for
    /// those who join from now on. What is beyond a limit that was lowered stays.
    pub fn reload(
        &mut self,
        options: RealmOptions,
        role_of: impl Fn(&Member) -> Option<Arc<Role>>,
        step: &mut Step<'_>,
    ) {
        self.broker.reload(options.retention(), options.histories.iter().cloned(), step);
        self.bans.configure(options.bans.clone(), options.limits.bans);
        self.options = options;
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for session in self.roster.ids().collect::<Vec<_>>() {
            let Some(member) = self.roster.get(session) else { continue };
            match role_of(member) {
                Some(role) => {
                    if self.roster.replace_role(session, role) {
                        changed.push(session);
                    }
                }
                None => gone.push(session),
            }
        }
        for session in changed {
            let Some(member) = self.roster.get(session) else { continue };
            self.broker.take_back(member, NOT_AUTHORIZED, &self.roster, step);
            let changes = self.dealer.take_back(member, NOT_AUTHORIZED, &self.roster, step);
            self.tell(&changes, step);
        }
        for procedure in &self.options.components {
            let changes = self.dealer.entrust(procedure, NOT_AUTHORIZED, &self.roster, step);
            self.tell(&changes, step);
        }
        for session in gone {
            self.part_with(session, Cause::Policy(NO_ROLE.into()), step);
        }
        self.settle(step);
    }

    fn uri_rules(&self) -> UriRules {
        UriRules { characters: self.options.uris, longest: self.options.limits.uri_length }
    }

    /// Admits a session, if there is room for it: ends those whose place it takes, welcomes it, counts it among the
    /// members, announces it.
    pub fn join(&mut self, newcomer: Newcomer, step: &mut Step<'_>) -> Result<SessionId, Refusal> {
        if self.bans.holds(newcomer.authid.as_deref(), newcomer.transport.address, step.now()) {
            return Err(Refusal::Banned);
        }
        let replaced = self.find_room(&newcomer)?;
        let mut id = newcomer.promised.unwrap_or_else(|| step.session_id());
        while self.roster.contains(id) {
            id = step.session_id();
        }
        for session in replaced {
            self.part_with(session, Cause::Replaced { by: id }, step);
        }
        let Newcomer { authid, role, authmethod, authprovider, authextra, transport, roles, .. } = newcomer;
        let is_anonymous = authid.is_none();
        let authid = authid.unwrap_or_else(|| step.authid().into());
        let since = step.now();
        let next_request = (self.options.request_ids == RequestIds::Strict).then_some(RequestId::FIRST);
        let member = Member {
            id,
            authid,
            is_anonymous,
            role,
            authmethod,
            authprovider,
            transport,
            roles,
            since,
            verdicts: Verdicts::default(),
            next_request,
        };
        step.send(id, self.welcome(&member, authextra));
        self.roster.insert(member);
        if self.options.session_meta_api
            && let Some(member) = self.roster.get(id)
        {
            let args = |level| meta::on_join(member, &self.name, level);
            self.broker.publish_session_meta("wamp.session.on_join", args, &self.roster, step);
        }
        self.settle(step);
        Ok(id)
    }

    /// Finds room for one more session: gives those that have to go for it, or refuses it where there are as many as
    /// may be.
    fn find_room(&self, newcomer: &Newcomer) -> Result<Vec<SessionId>, Refusal> {
        let RealmLimits { sessions, sessions_per_authid, .. } = self.options.limits;
        let of_authid = || newcomer.authid.iter().flat_map(|authid| self.roster.with_authid(authid));
        let mut going = Vec::new();
        if let Some(SessionsPerAuthid { most, beyond }) = newcomer.role.sessions_per_authid {
            let members = of_authid().filter_map(|session| self.roster.get(session));
            let mut held: Vec<_> = members.filter(|held| held.role.name == newcomer.role.name).collect();
            if held.len() >= most && beyond == Beyond::Reject {
                let what = "the authid has too many sessions in its role";
                return Err(Refusal::TooMany { limit: Limit::SessionsPerAuthid, what, most });
            }
            held.sort_by_key(|member| member.since);
            let excess = (held.len() + 1).saturating_sub(most);
            going.extend(held[..excess.min(held.len())].iter().map(|member| member.id));
        }
        let is_full = |held: usize, most: &usize| held - going.len() >= *most;
        if let Some(most) = sessions.filter(|most| is_full(self.roster.len(), most)) {
            let what = "the realm has too many sessions";
            return Err(Refusal::TooMany { limit: Limit::SessionsPerRealm, what, most });
        }
        if let Some(most) = sessions_per_authid.filter(|most| is_full(of_authid().count(), most)) {
            let what = "the authid has too many sessions in this realm";
            return Err(Refusal::TooMany { limit: Limit::SessionsPerAuthid, what, most });
        }
        Ok(going)
    }

    fn welcome(&self, member: &Member, authextra: Option<Dict>) -> Welcome {
        let offered = |features: Features| match self.options.session_meta_api {
            true => features,
            false => features.without(Feature::SessionMetaApi),
        };
        let (broker, dealer) = (Some(offered(BROKER_FEATURES)), Some(offered(DEALER_FEATURES)));
        let details = WelcomeDetails {
            roles: Some(Roles { broker, dealer, ..Roles::default() }),
            agent: Some(AGENT.into()),
            realm: Some(self.name.clone()),
            authid: Some(member.authid.clone()),
            authrole: Some(member.authrole().clone()),
            authmethod: Some(member.authmethod.into()),
            authprovider: Some(member.authprovider.into()),
            authextra,
        };
        Welcome { session: member.id, details: details.into() }
    }

    /// Forgets a session, whatever ended it. For a session that is no member it does nothing.
    pub fn leave(&mut self, session: SessionId, cause: Cause, step: &mut Step<'_>) {
        self.part_with(session, cause, step);
        self.settle(step);
    }

    /// Forgets a session; what that settles goes on later in the step.
    fn part_with(&mut self, session: SessionId, cause: Cause, step: &mut Step<'_>) {
        if cause.is_of_the_realm() {
            self.cut_off(session, step);
        }
        let Some(member) = self.roster.remove(session).map(Arc::new) else { return };
        let is_announced = cause.is_announced();
        step.let_go(member.clone(), cause);
        self.abandon(session, step);
        let dropped = self.broker.forget(session);
        let changes = self.dealer.forget(session, &self.roster, step); // callers left waiting get their ERROR here
        self.tell(&changes, step);
        self.broker.announce_dropped(session, &dropped, &self.roster, step);
        if is_announced {
            let rules = self.uri_rules();
            self.testaments.carry_out(&member, &mut self.broker, rules, &self.roster, step);
            if self.options.session_meta_api {
                let args = |level| meta::on_leave(&member, level);
                self.broker.publish_session_meta("wamp.session.on_leave", args, &self.roster, step);
            }
        } else {
            self.testaments.forget(session);
        }
    }

    /// Ends every session, for a cause that nobody remains to be told of.
    pub fn close(&mut self, cause: &Cause, step: &mut Step<'_>) {
        debug_assert!(!cause.is_announced(), "nobody remains to be told");
        for session in self.roster.ids().collect::<Vec<_>>() {
            self.cut_off(session, step);
        }
        let roster = std::mem::take(&mut self.roster);
        self.broker = self.options.broker(step);
        (self.dealer, self.testaments, self.held, self.settled) = Default::default();
        for member in roster.into_members() {
            step.let_go(member.into(), cause.clone());
        }
    }

    /// Takes a message of a member. What comes from anybody else is too late and has no effect.
    pub fn receive(&mut self, from: SessionId, message: ClientMessage, step: &mut Step<'_>) {
        #[cfg(feature = "fault-injection")]
        crate::fault::inject(&message, crate::fault::REALM);
        self.take_one(from, message, step.uptime(), step);
        if !self.settled.is_empty() {
            self.settle(step);
        }
    }

    /// Takes a message that came at this uptime, or has it wait behind others of its session.
    #[inline]
    fn take_one(&mut self, from: SessionId, message: ClientMessage, since: Duration, step: &mut Step<'_>) {
        if self.is_holding(from) {
            return self.hold(from, message, since);
        }
        // Messages are large, and each hand that they pass through costs a copy.
        let acted = match self.check_request(from, &message) {
            Ok(sequel) if self.roster.is_asked_about() => self.consider(from, message, (sequel, since), step),
            Ok(sequel) => self.act(from, message, (sequel, since), step),
            Err(violation) => Err(violation),
        };
        self.conclude(from, acted, step);
    }

    /// Parts with a session if it ends by its message.
    fn conclude(&mut self, from: SessionId, acted: Result<Option<Cause>, Violation>, step: &mut Step<'_>) {
        let end = match acted {
            Ok(None) => return,
            Ok(Some(cause)) => cause,
            Err(violation) => Cause::ProtocolViolation(violation),
        };
        self.part_with(from, end, step);
    }

    /// Does what a message asks for, of which is known how it stands to those before it and at which uptime it came;
    /// gives the cause if the session ends by it.
    fn act(
        &mut self,
        from: SessionId,
        message: ClientMessage,
        (sequel, since): (Sequel, Duration),
        step: &mut Step<'_>,
    ) -> Result<Option<Cause>, Violation> {
        let Some(member) = self.roster.get(from) else { return Ok(None) };
        let (rules, limits) = (self.uri_rules(), self.options.limits);
        match message {
            ClientMessage::Hello(_) | ClientMessage::Authenticate(_) => {
                let problem = "has no place in a session that has joined";
                return Err(Violation::Unexpected { message: message.name(), problem });
            }
            ClientMessage::Goodbye(message) => {
                check_unanswerable_uri("GOODBYE.Reason", &message.reason, rules.characters)?;
                return Ok(Some(Cause::Goodbye));
            }
            ClientMessage::Abort(_) => return Ok(Some(Cause::Aborted)),
            ClientMessage::Publish(message) => {
                let published = self.broker.publish(member, &message, rules, &self.roster, step);
                let request = message.request;
                if message.options.acknowledge == Some(true) {
                    let published = published.map(|publication| Published { request, publication });
                    answer(published, RequestType::Publish, request, member, step)?;
                } else if let Err(fault) = published {
                    match fault {
                        Fault::Refusal(refusal) => step.drop_request(&refusal),
                        Fault::Violation(violation) => return Err(violation),
                    }
                }
            }
            ClientMessage::Subscribe(message) => {
                let request = message.request;
                let most = (rules, limits.subscriptions);
                let subscribed = self.broker.subscribe(member, message, most, &self.roster, step);
                subscribed.or_else(|refusal| {
                    refuse(refusal.into(), RequestType::Subscribe, request, member, step)
                })?;
            }
            ClientMessage::Unsubscribe(message) => {
                let request = message.request;
                let ended = self.broker.unsubscribe(member, &message, &self.roster, step);
                ended.or_else(|refusal| {
                    refuse(refusal.into(), RequestType::Unsubscribe, request, member, step)
                })?;
            }
            ClientMessage::Register(message)
                if message.options.r#match.unwrap_or_default() == Match::Exact
                    && self.is_kept_from(member, &message.procedure) =>
            {
                let (role, uri) = (member.authrole().clone(), message.procedure);
                let refusal = Refusal::NotAuthorized { role, action: Action::Register.name(), uri };
                step.refuse(from, &refusal, RequestType::Register, message.request, member.serializer());
            }
            ClientMessage::Register(message) => {
                let request = message.request;
                let (dealer, roster) = (&mut self.dealer, &self.roster);
                match dealer.register(member, message, rules, limits.registrations, roster, step) {
                    Ok((registration, changes)) => {
                        step.send(from, Registered { request, registration });
                        self.tell(&changes, step);
                    }
                    Err(refusal) => {
                        step.refuse(from, &refusal, RequestType::Register, request, member.serializer());
                    }
                }
            }
            ClientMessage::Unregister(message) => {
                let request = message.request;
                match self.dealer.unregister(member, &message) {
                    Ok(changes) => {
                        step.send(from, Unregistered::Answer(request));
                        self.tell(&changes, step);
                    }
                    Err(refusal) => {
                        step.refuse(from, &refusal, RequestType::Unregister, request, member.serializer());
                    }
                }
            }
            ClientMessage::Call(message) => match sequel {
                Sequel::None | Sequel::Conflict => self.call(from, message, since, step)?,
                Sequel::Part => self.dealer.call_on(member, message, &self.roster, step)?,
                Sequel::Late => self.dealer.drop_part(from, &message),
            },
            ClientMessage::Cancel(message) => self.dealer.cancel(from, &message, &self.roster, step),
            ClientMessage::Yield(message) if self.dealer.is_asked((from, message.request)) => {
                // Nobody asks a component for parts.
                if message.options.progress != Some(true) {
                    self.take_answer((from, message.request), Answer::Result(message.payload));
                }
            }
            ClientMessage::Error(message)
                if message.request_type == RequestType::Invocation
                    && self.dealer.is_asked((from, message.request)) =>
            {
                self.take_answer((from, message.request), Answer::Error(message.error, message.payload));
            }
            ClientMessage::Yield(message) => self.dealer.yield_result(member, message, &self.roster, step)?,
            ClientMessage::Error(message) => {
                self.dealer.error(member, message, rules.characters, &self.roster, step)?;
            }
        }
        Ok(None)
    }

    /// Whether a procedure is one of those that the router asks, and not for this member to register or call.
    fn is_kept_from(&self, member: &Member, procedure: &Uri) -> bool {
        !member.role.is_trusted && self.options.components.contains(procedure)
    }

    /// Checks the id of a request against those before it; tells how a CALL stands to them.
    fn check_request(&mut self, from: SessionId, message: &ClientMessage) -> Result<Sequel, Violation> {
        let found = match message {
            ClientMessage::Publish(message) => message.request,
            ClientMessage::Subscribe(message) => message.request,
            ClientMessage::Unsubscribe(message) => message.request,
            ClientMessage::Register(message) => message.request,
            ClientMessage::Unregister(message) => message.request,
            ClientMessage::Call(message) => message.request,
            ClientMessage::Hello(_)
            | ClientMessage::Abort(_)
            | ClientMessage::Authenticate(_)
            | ClientMessage::Goodbye(_)
            | ClientMessage::Error(_)
            | ClientMessage::Cancel(_)
            | ClientMessage::Yield(_) => return Ok(Sequel::None),
        };
        let sequel = if let ClientMessage::Call(message) = message {
            self.dealer.sequel(from, message)
        } else {
            Sequel::None
        };
        if matches!(sequel, Sequel::Part | Sequel::Late) {
            return Ok(sequel);
        }
        if let Some(member) = self.roster.get_mut(from)
            && let Some(expected) = member.next_request
        {
            if found != expected {
                return Err(Violation::OutOfSequence { found, expected });
            }
            member.next_request = Some(expected.next());
        }
        if sequel == Sequel::Conflict {
            return Err(Violation::RequestInFlight(found));
        }
        Ok(sequel)
    }

    /// Ends the calls whose time is over.
    pub fn expire(&mut self, step: &mut Step<'_>) {
        self.dealer.expire(&self.roster, step);
        self.expire_questions(step);
        self.settle(step);
    }

    /// Refuses a call of which the invocation is larger than its callee takes, or goes on without the answer of a
    /// component that was to be asked so. Nothing of it was sent.
    pub(crate) fn refuse_opening(&mut self, callee: SessionId, invocation: RequestId, step: &mut Step<'_>) {
        self.take_answer((callee, invocation), Answer::None(Unanswered::TooLarge));
        self.dealer.refuse_opening(callee, invocation, &self.roster, step);
        self.settle(step);
    }

    /// Refuses a request whose answer, or a further part of whose invocation, is larger than its receiver takes. That was
    /// not sent.
    pub(crate) fn refuse_oversized(
        &mut self,
        receiver: SessionId,
        request_type: RequestType,
        request: RequestId,
        step: &mut Step<'_>,
    ) {
        if let Some(receiver) = self.roster.get(receiver) {
            self.dealer.refuse_oversized(receiver, request_type, request, &self.roster, step);
        }
    }

    /// When [`Realm::expire`] is to be called next, as [`Step::uptime`] counts.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.dealer.next_timeout()
    }

    /// A session that is a member.
    pub fn member(&self, session: SessionId) -> Option<&Member> {
        self.roster.get(session)
    }

    /// How many subscriptions there are. Sessions with the same topic and match share one.
    pub fn subscriptions(&self) -> usize {
        self.broker.subscriptions()
    }

    /// How many registrations there are.
    pub fn registrations(&self) -> usize {
        self.dealer.registrations().len()
    }

    /// How many calls are not answered yet.
    pub fn calls_in_flight(&self) -> usize {
        self.dealer.calls_in_flight()
    }

    /// Whether no index names a session that is not a member, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_sound(&self) -> bool {
        let is_member = |session| self.roster.contains(session);
        self.roster.is_sound()
            && self.broker.is_sound(is_member)
            && self.dealer.is_sound(is_member)
            && self.testaments.is_sound(is_member)
            && self.is_holding_soundly()
    }
}

/// Answers a request of a member, with what it asked for or with an ERROR.
fn answer(
    result: Result<impl Into<RouterMessage>, Fault>,
    request_type: RequestType,
    request: RequestId,
    member: &Member,
    step: &mut Step<'_>,
) -> Result<(), Violation> {
    match result {
        Ok(message) => {
            step.send(member.id, message);
            Ok(())
        }
        Err(fault) => refuse(fault, request_type, request, member, step),
    }
}

/// Answers a request of a member with an ERROR, unless the member is at fault itself.
fn refuse(
    fault: Fault,
    request_type: RequestType,
    request: RequestId,
    member: &Member,
    step: &mut Step<'_>,
) -> Result<(), Violation> {
    match fault {
        Fault::Refusal(refusal) => {
            step.refuse(member.id, &refusal, request_type, request, member.serializer());
            Ok(())
        }
        Fault::Violation(violation) => Err(violation),
    }
}
