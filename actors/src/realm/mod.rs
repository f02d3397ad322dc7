//! A realm: its members, and all that is routed among them (section "Realms").
//!
//! [`Realm`] is a plain value. Each call is lent a [`Step`] with the time and the chance it may use, and leaves
//! there what is to be sent, in order.

use crate::{
    broker::{Broker, RetentionLimits},
    cause::Cause,
    codec::{Arguments, Payload},
    dealer::Dealer,
    limit::Limit,
    message::{
        Call, ClientMessage, Published, Registered, RequestType, Result as CallResult, RouterMessage, Sparse,
        Unregistered, Welcome, WelcomeDetails,
        feature::{Feature, Features, Roles},
        id::{RequestId, SessionId},
        uri::{Match, Uri, UriRule, UriRules},
    },
    meta::{self, Lent, MetaProcedure, Outcome, Testaments},
    permission::Action,
    refusal::{Fault, Refusal, Violation, check_no_passthru, check_unanswerable_uri},
    roster::{Member, Newcomer, Roster},
    step::{CallOutcome, Step},
};

pub mod actor;
pub use crate::broker::HistoryOptions;
#[cfg(test)]
mod tests;

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
const DEALER_FEATURES: Features =
    Features::of(&[Feature::CallerIdentification, Feature::SessionMetaApi, Feature::TestamentMetaApi]);

/// The name by which the router introduces itself.
const AGENT: &str = concat!("realmkeeper-", env!("CARGO_PKG_VERSION"));

/// How a realm takes what clients send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmOptions {
    /// What characters URIs can have.
    pub uris: UriRule,
    /// Which request ids are taken.
    pub request_ids: RequestIds,
    /// Whether the realm tells who its sessions are: `wamp.session.*` but for testaments.
    pub session_meta_api: bool,
    /// Which past events are kept. Of several with the same topic and match the first counts.
    pub histories: Vec<HistoryOptions>,
    /// What there can be at most.
    pub limits: RealmLimits,
}

impl Default for RealmOptions {
    fn default() -> Self {
        Self {
            uris: UriRule::default(),
            request_ids: RequestIds::default(),
            session_meta_api: true,
            histories: Vec::new(),
            limits: RealmLimits::default(),
        }
    }
}

/// What there can be at most in a realm. What is beyond is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmLimits {
    /// Sessions; `None` for any number, here and below.
    pub sessions: Option<usize>,
    /// Sessions that are one authid.
    pub sessions_per_authid: Option<usize>,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Registrations of one session.
    pub registrations: usize,
    /// Calls of one session that are not answered yet.
    pub calls: usize,
    /// Events that are retained, those of all topics together.
    pub retained: usize,
    /// The octets of those.
    pub retained_octets: usize,
    /// Octets of a URI.
    pub uri_length: usize,
}

impl Default for RealmLimits {
    fn default() -> Self {
        Self {
            sessions: None,
            sessions_per_authid: None,
            subscriptions: 10_000,
            registrations: 10_000,
            calls: 10_000,
            retained: 10_000,
            retained_octets: 1 << 20,
            uri_length: 1024,
        }
    }
}

impl RealmOptions {
    /// The broker of a realm that begins.
    fn broker(&self, step: &mut Step<'_>) -> Broker {
        let RealmLimits { retained: events, retained_octets: octets, .. } = self.limits;
        Broker::new(RetentionLimits { events, octets }, self.histories.iter().cloned(), step)
    }
}

/// Which ids a client may give its requests (section "IDs").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIds {
    /// Any but the one of a call that is in flight.
    #[default]
    Lenient,
    /// 1, then each one more than the one before.
    Strict,
}

/// The state of a realm. Only its actor changes it.
#[derive(Debug)]
pub struct Realm {
    name: Uri,
    options: RealmOptions,
    roster: Roster,
    broker: Broker,
    dealer: Dealer,
    testaments: Testaments,
}

impl Realm {
    /// A realm without members.
    pub fn new(name: Uri, options: RealmOptions, step: &mut Step<'_>) -> Self {
        let broker = options.broker(step);
        Self {
            name,
            options,
            roster: Roster::default(),
            broker,
            dealer: Dealer::default(),
            testaments: Testaments::default(),
        }
    }

    fn uri_rules(&self) -> UriRules {
        UriRules { characters: self.options.uris, longest: self.options.limits.uri_length }
    }

    /// Admits a session, if there is room for it: welcomes it, counts it among the members, announces it.
    pub fn join(&mut self, newcomer: Newcomer, step: &mut Step<'_>) -> Result<SessionId, Refusal> {
        self.check_room(newcomer.authid.as_deref())?;
        let mut id = step.session_id();
        while self.roster.contains(id) {
            id = step.session_id();
        }
        let Newcomer { authid, role, authmethod, authprovider, transport, roles } = newcomer;
        let authid = authid.unwrap_or_else(|| step.authid().into());
        let (since, next_request) = (step.now(), RequestId::FIRST);
        let member =
            Member { id, authid, role, authmethod, authprovider, transport, roles, since, next_request };
        step.send(id, self.welcome(&member));
        self.roster.insert(member);
        if self.options.session_meta_api
            && let Some(member) = self.roster.get(id)
        {
            let args = || meta::on_join(member, &self.name);
            self.broker.publish_meta("wamp.session.on_join", args, &self.roster, step);
        }
        Ok(id)
    }

    /// Refuses one more session, of this authid, where there are as many as may be.
    fn check_room(&self, authid: Option<&str>) -> Result<(), Refusal> {
        let RealmLimits { sessions, sessions_per_authid, .. } = self.options.limits;
        if let Some(most) = sessions.filter(|most| self.roster.len() >= *most) {
            let what = "the realm has too many sessions";
            return Err(Refusal::TooMany { limit: Limit::SessionsPerRealm, what, most });
        }
        let held = authid.map_or(0, |authid| self.roster.count_of_authid(authid));
        if let Some(most) = sessions_per_authid.filter(|most| held >= *most) {
            let what = "the authid has too many sessions in this realm";
            return Err(Refusal::TooMany { limit: Limit::SessionsPerAuthid, what, most });
        }
        Ok(())
    }

    fn welcome(&self, member: &Member) -> Welcome {
        let offered = |features: Features| match self.options.session_meta_api {
            true => features,
            false => features.without(Feature::SessionMetaApi),
        };
        let (broker, dealer) = (Some(offered(BROKER_FEATURES)), Some(offered(DEALER_FEATURES)));
        let details = WelcomeDetails {
            roles: Some(Roles { broker, dealer, ..Roles::default() }),
            agent: Some(AGENT.into()),
            realm: Some(self.name.clone()),
            authid: Some((&*member.authid).into()),
            authrole: Some((&**member.authrole()).into()),
            authmethod: Some(member.authmethod.into()),
            authprovider: Some(member.authprovider.into()),
            authextra: None,
        };
        Welcome { session: member.id, details: details.into() }
    }

    /// Forgets a session, whatever ended it. For a session that is no member it does nothing.
    pub fn leave(&mut self, session: SessionId, cause: Cause, step: &mut Step<'_>) {
        let Some(member) = self.roster.remove(session) else { return };
        let is_announced = cause.is_announced();
        step.let_go(member.clone(), cause);
        let dropped = self.broker.forget(session);
        self.dealer.forget(session, &self.roster, step); // callers left waiting get their ERROR here
        self.broker.announce_dropped(session, &dropped, &self.roster, step);
        if is_announced {
            let rules = self.uri_rules();
            self.testaments.carry_out(&member, &mut self.broker, rules, &self.roster, step);
            if self.options.session_meta_api {
                let args = || meta::on_leave(&member);
                self.broker.publish_meta("wamp.session.on_leave", args, &self.roster, step);
            }
        } else {
            self.testaments.forget(session);
        }
    }

    /// Ends every session, for a cause that nobody remains to be told of.
    pub fn close(&mut self, cause: &Cause, step: &mut Step<'_>) {
        debug_assert!(!cause.is_announced(), "nobody remains to be told");
        let roster = std::mem::take(&mut self.roster);
        self.broker = self.options.broker(step);
        (self.dealer, self.testaments) = Default::default();
        for member in roster.into_members() {
            step.let_go(member, cause.clone());
        }
    }

    /// Takes a message of a member. What comes from anybody else is too late and has no effect.
    pub fn receive(&mut self, from: SessionId, message: ClientMessage, step: &mut Step<'_>) {
        #[cfg(feature = "fault-injection")]
        crate::fault::inject(&message, crate::fault::REALM);
        let end = match self.take(from, message, step) {
            Ok(None) => return,
            Ok(Some(cause)) => cause,
            Err(violation) => Cause::ProtocolViolation(violation),
        };
        self.leave(from, end, step);
    }

    /// Does what a message asks for; gives the cause if the session ends by it.
    fn take(
        &mut self,
        from: SessionId,
        message: ClientMessage,
        step: &mut Step<'_>,
    ) -> Result<Option<Cause>, Violation> {
        self.check_request(from, &message)?;
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
            ClientMessage::Register(message) => {
                let request = message.request;
                let registered = self.dealer.register(member, message, rules, limits.registrations, step);
                let registered = registered.map(|registration| Registered { request, registration });
                answer(registered.map_err(Fault::from), RequestType::Register, request, member, step)?;
            }
            ClientMessage::Unregister(message) => {
                let request = message.request;
                let ended = self.dealer.unregister(member, &message).map(|()| Unregistered::Answer(request));
                answer(ended.map_err(Fault::from), RequestType::Unregister, request, member, step)?;
            }
            ClientMessage::Call(message) => self.call(from, message, step)?,
            // What a CANCEL may end is answered all the same.
            ClientMessage::Cancel(_) => {}
            ClientMessage::Yield(message) => self.dealer.yield_result(member, message, &self.roster, step)?,
            ClientMessage::Error(message) => {
                self.dealer.error(member, message, rules.characters, &self.roster, step)?;
            }
        }
        Ok(None)
    }

    /// Checks the id of a request against those before it.
    fn check_request(&mut self, from: SessionId, message: &ClientMessage) -> Result<(), Violation> {
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
            | ClientMessage::Yield(_) => return Ok(()),
        };
        if self.options.request_ids == RequestIds::Strict
            && let Some(member) = self.roster.get_mut(from)
        {
            let expected = member.next_request;
            if found != expected {
                return Err(Violation::OutOfSequence { found, expected });
            }
            member.next_request = expected.next();
        }
        if matches!(message, ClientMessage::Call(_)) && self.dealer.is_in_flight(from, found) {
            return Err(Violation::RequestInFlight(found));
        }
        Ok(())
    }

    fn call(&mut self, from: SessionId, message: Call, step: &mut Step<'_>) -> Result<(), Violation> {
        let Some(member) = self.roster.get(from) else { return Ok(()) };
        if message.options.progress == Some(true) {
            let (option, feature) = ("CALL.Options.progress", "progressive_call_invocations");
            return Err(Violation::NotAnnounced { option, feature });
        }
        check_no_passthru(message.options.passthru())?;
        let request = message.request;
        let has_session_meta_api = self.options.session_meta_api;
        let Some(procedure) = MetaProcedure::from_uri(&message.procedure, has_session_meta_api) else {
            let (rules, most) = (self.uri_rules(), self.options.limits.calls);
            let called = self.dealer.call(member, message, rules, most, &self.roster, step);
            if let Err(Fault::Refusal(_)) = called {
                step.called(CallOutcome::Refused);
            }
            return called.or_else(|fault| refuse(fault, RequestType::Call, request, member, step));
        };
        let lent = Lent {
            realm: &self.name,
            uris: self.uri_rules(),
            roster: &self.roster,
            broker: &self.broker,
            testaments: &self.testaments,
            caller: member,
            now: step.now(),
        };
        let serializer = member.serializer();
        let permitted = member.role.authorize(Action::Call, &message.procedure, Match::Exact);
        let outcome = permitted.and_then(|_| procedure.call(&message.payload, &lent));
        let result = outcome.map(|outcome| self.carry_out(from, outcome, step)).and_then(|answer| {
            let payload = Payload::build(serializer, &answer);
            let payload = payload.map_err(|error| Refusal::InvalidArgument(error.to_string()))?;
            Ok(CallResult { request, details: Sparse::default(), payload })
        });
        match result {
            Ok(result) => step.send(from, result),
            Err(refusal) => step.refuse(from, &refusal, RequestType::Call, request, serializer),
        }
        Ok(())
    }

    /// Does what a meta procedure said should happen; gives what its caller is answered.
    fn carry_out(&mut self, caller: SessionId, outcome: Outcome, step: &mut Step<'_>) -> Arguments {
        match outcome {
            Outcome::Answer(answer) => return answer,
            Outcome::Kill { victims, kill, all, answer } => {
                for victim in victims {
                    let kill = kill.clone();
                    self.leave(victim, if all { Cause::KilledAll(kill) } else { Cause::Killed(kill) }, step);
                }
                return answer;
            }
            Outcome::RemoveSubscriber { subscription, subscriber, reason } => {
                if let Some(member) = self.roster.get(subscriber) {
                    self.broker.revoke(member, subscription, reason.as_deref(), &self.roster, step);
                }
            }
            Outcome::AddTestament(scope, testament) => self.testaments.add(caller, scope, testament),
            Outcome::FlushTestaments(scope) => self.testaments.flush(caller, scope),
        }
        Arguments::default()
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
        self.dealer.registrations()
    }

    /// How many calls are not answered yet.
    pub fn calls_in_flight(&self) -> usize {
        self.dealer.calls_in_flight()
    }

    /// Whether no index names a session that is not a member, and all indices agree.
    #[cfg(test)]
    fn is_sound(&self) -> bool {
        let is_member = |session| self.roster.contains(session);
        self.roster.is_sound()
            && self.broker.is_sound(is_member)
            && self.dealer.is_sound(is_member)
            && self.testaments.is_sound(is_member)
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
