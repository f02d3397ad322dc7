//! The broker of a realm: subscriptions, and events to those who hold them (section "Publish and Subscribe").

mod audience;
mod delivery;
mod history;
mod kept;
mod publication;
mod retention;
mod subscription;

pub(crate) use audience::Audience;
pub(crate) use history::History;
pub use history::HistoryOptions;
pub(crate) use kept::Kept;
pub(crate) use publication::authorize;
pub(crate) use retention::RetentionLimits;
pub(crate) use subscription::Subscription;

use crate::{
    codec::Arguments,
    collections::{Map, Set},
    limit::Limit,
    message::{
        Subscribe, Subscribed, Unsubscribe, Unsubscribed, UnsubscribedDetails,
        feature::Feature,
        id::{SessionId, SubscriptionId},
        uri::{Match, Uri, UriRules},
        value::Value,
    },
    pattern::Patterns,
    permission::Action,
    refusal::{Refusal, check_uri},
    roster::{Member, Roster},
    step::Step,
};
use retention::Retained;

/// All subscriptions of a realm, and the events that are kept for them.
#[derive(Debug)]
pub(crate) struct Broker {
    subscriptions: Map<SubscriptionId, Subscription>,
    topics: Patterns<SubscriptionId>,
    by_session: Map<SessionId, Set<SubscriptionId>>,
    /// The subscriptions that have a history.
    histories: Patterns<SubscriptionId>,
    retained: Retained,
}

/// A subscription that a session does not hold any more.
#[derive(Debug)]
pub(crate) struct Dropped {
    id: SubscriptionId,
    is_reserved: bool,
    /// Whether the session was the last to hold it.
    is_deleted: bool,
}

impl Broker {
    /// A broker whose only subscriptions are those with a history.
    pub(crate) fn new(
        retention: RetentionLimits,
        histories: impl IntoIterator<Item = HistoryOptions>,
        step: &mut Step<'_>,
    ) -> Self {
        let mut broker = Self {
            subscriptions: Map::default(),
            topics: Patterns::default(),
            by_session: Map::default(),
            histories: Patterns::default(),
            retained: Retained::new(retention),
        };
        histories.into_iter().for_each(|options| broker.remember(options, step));
        broker
    }

    /// Goes on with other limits, and with these histories. Those that there are keep their events, as far as there is
    /// room for them.
    pub(crate) fn reload(
        &mut self,
        retention: RetentionLimits,
        histories: impl IntoIterator<Item = HistoryOptions>,
        step: &mut Step<'_>,
    ) {
        self.retained.limit(retention);
        let mut forgotten = Vec::new();
        for subscription in self.subscriptions.values_mut() {
            forgotten.extend(subscription.history.take().map(|history| (subscription.id, history)));
        }
        self.histories = Patterns::default();
        for options in histories {
            self.remember(options, step);
        }
        for (id, history) in forgotten {
            let Some(subscription) = self.subscriptions.get_mut(&id) else { continue };
            match &mut subscription.history {
                Some(new) => new.take_over(history, step.now()),
                None => drop(self.delete_unused(id)),
            }
        }
    }

    /// Keeps events from now on; of two histories of the same topic and match the first counts.
    fn remember(&mut self, options: HistoryOptions, step: &mut Step<'_>) {
        let (topic, matching) = (options.topic.clone(), options.matching);
        if self.histories.get(&topic, matching).is_some() {
            return;
        }
        let known = self.topics.get(&topic, matching);
        let id = known.unwrap_or_else(|| self.create(topic.clone(), matching, step));
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.history = Some(History::new(options));
        }
        self.histories.insert(&topic, matching, id);
    }

    /// Subscribes a member: answers it, sends it the retained events that it wants, and announces what is new.
    /// Sessions that subscribe to the same topic and match share the subscription.
    pub(crate) fn subscribe(
        &mut self,
        member: &Member,
        message: Subscribe,
        (rules, most): (UriRules, usize),
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let Subscribe { request, options, topic } = message;
        let matching = options.r#match.unwrap_or_default();
        check_uri(&topic, matching, rules)?;
        member.authorize(Action::Subscribe, &topic, matching)?;
        let known = self.topics.get(&topic, matching);
        let held = self.by_session.get(&member.id);
        let is_held = held.zip(known).is_some_and(|(held, known)| held.contains(&known));
        if !is_held && held.is_some_and(|held| held.len() >= most) {
            let what = "a session has too many subscriptions";
            return Err(Refusal::TooMany { limit: Limit::Subscriptions, what, most });
        }
        let id = known.unwrap_or_else(|| self.create(topic, matching, step));
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.subscribers.insert(member.id, member.serializer());
        }
        self.by_session.entry(member.id).or_default().insert(id);
        step.send(member.id, Subscribed { request, subscription: id });
        let Some(subscription) = self.subscriptions.get(&id) else { return Ok(()) };
        if options.get_retained == Some(true) {
            self.send_retained(member, subscription, step);
        }
        if !is_held && !subscription.topic.is_reserved() {
            let session = member.id.get();
            if known.is_none() {
                let args = || vec![session.into(), subscription.details().into()];
                self.announce("wamp.subscription.on_create", args, roster, step);
            }
            let args = || vec![session.into(), id.get().into()];
            self.announce("wamp.subscription.on_subscribe", args, roster, step);
        }
        Ok(())
    }

    fn create(&mut self, topic: Uri, matching: Match, step: &mut Step<'_>) -> SubscriptionId {
        let mut id = step.subscription_id();
        while self.subscriptions.contains_key(&id) {
            id = step.subscription_id();
        }
        self.topics.insert(&topic, matching, id);
        let (created, subscribers, history) = (step.now(), Map::default(), None);
        self.subscriptions.insert(id, Subscription { id, topic, matching, created, subscribers, history });
        id
    }

    /// Ends a subscription of a member: answers it, and announces what is gone.
    pub(crate) fn unsubscribe(
        &mut self,
        member: &Member,
        message: &Unsubscribe,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let id = message.subscription;
        let dropped = self.take_from(member.id, id).ok_or(Refusal::NoSuchSubscription(id.get()))?;
        step.send(member.id, Unsubscribed::Answer(message.request));
        self.announce_dropped(member.id, &[dropped], roster, step);
        Ok(())
    }

    /// Takes a subscription away from a member, who is told if it understands that (section "Subscription
    /// Revocation").
    pub(crate) fn revoke(
        &mut self,
        member: &Member,
        subscription: SubscriptionId,
        reason: Option<&str>,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let Some(dropped) = self.take_from(member.id, subscription) else { return };
        if member.roles.subscriber.is_some_and(|role| role.contains(Feature::SubscriptionRevocation)) {
            let reason = reason.map(Into::into);
            let details = UnsubscribedDetails { subscription: Some(subscription), reason };
            step.send(member.id, Unsubscribed::Revoked(details));
        }
        self.announce_dropped(member.id, &[dropped], roster, step);
    }

    /// Takes from a member the subscriptions that its role does not allow.
    pub(crate) fn take_back(&mut self, member: &Member, reason: &str, roster: &Roster, step: &mut Step<'_>) {
        let held = self.by_session.get(&member.id).into_iter().flatten();
        let held = held.filter_map(|id| self.subscriptions.get(id));
        let denied = held.filter(|Subscription { topic, matching, .. }| {
            member.role.authorize(Action::Subscribe, topic, *matching).is_err()
        });
        for id in denied.map(|subscription| subscription.id).collect::<Vec<_>>() {
            self.revoke(member, id, Some(reason), roster, step);
        }
    }

    /// Forgets all subscriptions of a session; gives what is to be announced.
    pub(crate) fn forget(&mut self, session: SessionId) -> Vec<Dropped> {
        let held = self.by_session.swap_remove(&session).into_iter().flatten();
        held.filter_map(|id| self.drop_subscriber(id, session)).collect()
    }

    fn take_from(&mut self, session: SessionId, id: SubscriptionId) -> Option<Dropped> {
        let held = self.by_session.get_mut(&session)?;
        held.swap_remove(&id).then(|| self.drop_subscriber(id, session))?
    }

    fn drop_subscriber(&mut self, id: SubscriptionId, session: SessionId) -> Option<Dropped> {
        let subscription = self.subscriptions.get_mut(&id)?;
        subscription.subscribers.swap_remove(&session);
        let is_reserved = subscription.topic.is_reserved();
        let is_deleted = self.delete_unused(id);
        Some(Dropped { id, is_reserved, is_deleted })
    }

    /// Deletes a subscription that nobody holds and that has no history; tells whether it did.
    fn delete_unused(&mut self, id: SubscriptionId) -> bool {
        let Some(subscription) = self.subscriptions.get(&id) else { return false };
        let is_unused = subscription.subscribers.is_empty() && subscription.history.is_none();
        if is_unused {
            self.topics.remove(&subscription.topic, subscription.matching);
            self.subscriptions.swap_remove(&id);
        }
        is_unused
    }

    /// Announces what a session does not hold any more.
    pub(crate) fn announce_dropped(
        &self,
        session: SessionId,
        dropped: &[Dropped],
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        for Dropped { id, is_deleted, .. } in dropped.iter().filter(|dropped| !dropped.is_reserved) {
            let args = || vec![session.get().into(), id.get().into()];
            self.announce("wamp.subscription.on_unsubscribe", args, roster, step);
            if *is_deleted {
                self.announce("wamp.subscription.on_delete", args, roster, step);
            }
        }
    }

    fn announce(
        &self,
        topic: &'static str,
        args: impl FnOnce() -> Vec<Value>,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        self.publish_meta(topic, || Arguments { args: args(), ..Arguments::default() }, roster, step);
    }

    /// The subscription of this id, unless it is one to events of the router: those are not told of.
    pub(crate) fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(&id).filter(|subscription| !subscription.topic.is_reserved())
    }

    /// The subscription to this topic with this match, if it is told of.
    pub(crate) fn subscription_to(&self, topic: &str, matching: Match) -> Option<&Subscription> {
        self.subscription(self.topics.get(topic, matching)?)
    }

    /// The subscriptions that an event of this topic reaches and that are told of.
    pub(crate) fn subscriptions_matching(&self, topic: &str) -> Vec<SubscriptionId> {
        let mut matching = Vec::new();
        self.topics.matching(topic, |id| matching.extend(self.subscription(id).map(|found| found.id)));
        matching
    }

    /// The subscriptions that are told of and match so.
    pub(crate) fn subscriptions_by(&self, matching: Match) -> impl Iterator<Item = SubscriptionId> {
        let told = self.subscriptions.values().filter(|subscription| !subscription.topic.is_reserved());
        told.filter(move |subscription| subscription.matching == matching).map(|subscription| subscription.id)
    }

    /// How many subscriptions there are.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Who holds which subscription of those that are told of.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> impl Iterator<Item = (SessionId, u64)> {
        let told = self.subscriptions.values().filter(|subscription| !subscription.topic.is_reserved());
        told.flat_map(|subscription| {
            subscription.subscribers().map(|session| (session, subscription.id.get()))
        })
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let pairs = |(session, held): (&SessionId, &Set<SubscriptionId>)| {
            is_member(*session)
                && held.iter().all(|id| {
                    self.subscriptions.get(id).is_some_and(|found| found.subscribers.contains_key(session))
                })
        };
        self.by_session.iter().all(pairs)
            && self.retained.is_sound()
            && self.subscriptions.iter().all(|(id, subscription)| {
                let key = (&*subscription.topic, subscription.matching);
                let has_history = subscription.history.is_some();
                *id == subscription.id
                    && (has_history || !subscription.subscribers.is_empty())
                    && subscription.history.as_ref().is_none_or(History::is_sound)
                    && self.topics.get(key.0, key.1) == Some(*id)
                    && self.histories.get(key.0, key.1) == has_history.then_some(*id)
                    && subscription
                        .subscribers
                        .keys()
                        .all(|session| self.by_session.get(session).is_some_and(|held| held.contains(id)))
            })
    }
}
