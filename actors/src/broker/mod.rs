//! The broker of a realm: subscriptions, and events to those who hold them (section "Publish and Subscribe").

mod publication;
mod subscription;

pub(crate) use publication::{Content, Publication};

use crate::{
    codec::Arguments,
    collections::{Map, Set},
    limit::Limit,
    message::{
        Publish, Subscribe, Unsubscribe,
        id::{PublicationId, SessionId, SubscriptionId},
        uri::{Match, Uri, UriRules},
    },
    pattern::Patterns,
    permission::Action,
    refusal::{Fault, Refusal, check_no_passthru, check_not_reserved, check_uri},
    roster::{Member, Roster},
    step::Step,
};
use smallvec::SmallVec;
use subscription::Subscription;

/// All subscriptions of a realm.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    subscriptions: Map<SubscriptionId, Subscription>,
    topics: Patterns<SubscriptionId>,
    by_session: Map<SessionId, Set<SubscriptionId>>,
}

impl Broker {
    /// Subscribes a member. Sessions that subscribe to the same topic and match share the subscription.
    pub(crate) fn subscribe(
        &mut self,
        member: &Member,
        message: Subscribe,
        rules: UriRules,
        most: usize,
        step: &mut Step<'_>,
    ) -> Result<SubscriptionId, Refusal> {
        let matching = message.options.r#match.unwrap_or_default();
        check_uri(&message.topic, matching, rules)?;
        member.role.authorize(Action::Subscribe, &message.topic, matching)?;
        let known = self.topics.get(&message.topic, matching);
        let held = self.by_session.get(&member.id);
        let is_held = held.zip(known).is_some_and(|(held, known)| held.contains(&known));
        if !is_held && held.is_some_and(|held| held.len() >= most) {
            let what = "a session has too many subscriptions";
            return Err(Refusal::TooMany { limit: Limit::Subscriptions, what, most });
        }
        let id = match known {
            Some(id) => id,
            None => self.create(message.topic, matching, step),
        };
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.subscribers.insert(member.id, member.serializer());
        }
        self.by_session.entry(member.id).or_default().insert(id);
        Ok(id)
    }

    fn create(&mut self, topic: Uri, matching: Match, step: &mut Step<'_>) -> SubscriptionId {
        let mut id = step.subscription_id();
        while self.subscriptions.contains_key(&id) {
            id = step.subscription_id();
        }
        self.topics.insert(&topic, matching, id);
        self.subscriptions.insert(id, Subscription { topic, matching, subscribers: Map::default() });
        id
    }

    /// Ends a subscription of a member.
    pub(crate) fn unsubscribe(&mut self, member: &Member, message: &Unsubscribe) -> Result<(), Refusal> {
        let held = self.by_session.get_mut(&member.id);
        if !held.is_some_and(|held| held.swap_remove(&message.subscription)) {
            return Err(Refusal::NoSuchSubscription(message.subscription.get()));
        }
        self.drop_subscriber(message.subscription, member.id);
        Ok(())
    }

    /// Forgets all subscriptions of a session.
    pub(crate) fn forget(&mut self, session: SessionId) {
        for subscription in self.by_session.swap_remove(&session).into_iter().flatten() {
            self.drop_subscriber(subscription, session);
        }
    }

    fn drop_subscriber(&mut self, id: SubscriptionId, session: SessionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.subscribers.swap_remove(&session);
        if subscription.subscribers.is_empty() {
            self.topics.remove(&subscription.topic, subscription.matching);
            self.subscriptions.swap_remove(&id);
        }
    }

    /// Publishes what a member sent.
    pub(crate) fn publish(
        &self,
        member: &Member,
        message: &Publish,
        rules: UriRules,
        step: &mut Step<'_>,
    ) -> Result<PublicationId, Fault> {
        check_no_passthru(message.options.passthru())?;
        check_uri(&message.topic, Match::Exact, rules)?;
        check_not_reserved(&message.topic)?;
        let permission = member.role.authorize(Action::Publish, &message.topic, Match::Exact)?;
        let asks = message.options.disclose_me == Some(true);
        let is_disclosed = member.role.discloses_publisher(permission, asks)?;
        let publication = Publication {
            topic: &message.topic,
            content: Content::Closed(&message.payload),
            publisher: is_disclosed.then_some(member),
            excluded: (message.options.exclude_me != Some(false)).then_some(member.id),
        };
        self.deliver(&publication, step)
    }

    /// Whether somebody holds a subscription that matches this topic of the router.
    pub(crate) fn is_heard(&self, topic: &str) -> bool {
        let mut is_heard = false;
        self.topics.matching(topic, |_| is_heard = true);
        is_heard
    }

    /// Publishes an event of the router itself. Who subscribed to a pattern receives it if its role may
    /// subscribe to the topic.
    pub(crate) fn publish_meta(
        &self,
        topic: &'static str,
        args: Arguments,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let topic = Uri::from(topic);
        let publication =
            Publication { topic: &topic, content: Content::Open(&args), publisher: None, excluded: None };
        let may_receive = |session| {
            let role = roster.get(session).map(|member| &member.role);
            role.is_some_and(|role| role.permissions.decide(Action::Subscribe, &topic).is_allowed)
        };
        let delivered = self.deliver_to(&publication, step, |session, matching| {
            matching == Match::Exact || may_receive(session)
        });
        debug_assert!(delivered.is_ok(), "the router's own events have a form in every serializer");
    }

    /// Sends a publication to every session that holds a matching subscription, once for each of them.
    pub(crate) fn deliver(
        &self,
        publication: &Publication<'_>,
        step: &mut Step<'_>,
    ) -> Result<PublicationId, Fault> {
        self.deliver_to(publication, step, |session, _| Some(session) != publication.excluded)
    }

    fn deliver_to(
        &self,
        publication: &Publication<'_>,
        step: &mut Step<'_>,
        receives: impl Fn(SessionId, Match) -> bool,
    ) -> Result<PublicationId, Fault> {
        let mut audiences = SmallVec::<[_; 2]>::new();
        self.topics.matching(publication.topic, |id| {
            if let Some(subscription) = self.subscriptions.get(&id) {
                let matching = subscription.matching;
                for (serializer, audience) in subscription.audiences(|session| receives(session, matching)) {
                    audiences.push((id, matching, serializer, audience));
                }
            }
        });
        let forms = publication.forms(audiences.iter().map(|(_, _, serializer, _)| *serializer))?;
        let id = step.publication_id();
        step.published();
        for (subscription, matching, serializer, audience) in audiences {
            step.ask(publication.event(id, subscription, matching, audience, forms.of(serializer)));
        }
        Ok(id)
    }

    /// How many subscriptions there are.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(test)]
    pub(crate) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let pairs = |(session, held): (&SessionId, &Set<SubscriptionId>)| {
            is_member(*session)
                && held.iter().all(|id| {
                    self.subscriptions.get(id).is_some_and(|found| found.subscribers.contains_key(session))
                })
        };
        self.by_session.iter().all(pairs)
            && self.subscriptions.iter().all(|(id, subscription)| {
                !subscription.subscribers.is_empty()
                    && self.topics.get(&subscription.topic, subscription.matching) == Some(*id)
                    && subscription
                        .subscribers
                        .keys()
                        .all(|session| self.by_session.get(session).is_some_and(|held| held.contains(id)))
            })
    }
}
