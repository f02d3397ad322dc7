//! Publications: who receives them, and which are kept.

use super::{
    Audience, Broker, Subscription,
    publication::{Content, Publication, authorize},
};
use crate::{
    codec::{Arguments, Serializer},
    message::{
        Event, EventDetails, Publish, Sparse,
        id::{PublicationId, SessionId, SubscriptionId},
        uri::{Match, Uri, UriRules},
    },
    permission::{Action, SessionDetails},
    refusal::{Fault, Refusal},
    roster::{Member, Roster},
    step::{Effect, Receivers, Step},
};
use smallvec::{SmallVec, smallvec};
use std::cell::OnceCell;

/// Those who hold one subscription, speak one serializer and receive a publication.
type Receiving = (SubscriptionId, Match, Serializer, Receivers);

impl Broker {
    /// Publishes what a member sent, or left as its testament.
    pub(crate) fn publish(
        &mut self,
        member: &Member,
        message: &Publish,
        rules: UriRules,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<PublicationId, Fault> {
        let details = authorize(member, message, rules)?;
        let options = &message.options;
        let (topic, content) = (&message.topic, Content::Closed(&message.payload));
        let publication = Publication { topic, content, details };
        let audience = Audience::new(options);
        let excluded = (options.exclude_me != Some(false)).then_some(member.id);
        // Without lists nobody has to be looked up.
        let receiving = if audience.is_everybody() {
            self.receiving(topic, |session, _| Some(session) != excluded)
        } else {
            let is_admitted = |session| roster.get(session).is_some_and(|member| audience.admits(member));
            self.receiving(topic, |session, _| Some(session) != excluded && is_admitted(session))
        };
        let forms = publication.forms(receiving.iter().map(|(_, _, serializer, _)| *serializer))?;
        let id = step.publication_id();
        self.keep(&publication, id, audience, options.retain == Some(true), step)?;
        step.published();
        for (subscription, matching, serializer, receivers) in receiving {
            step.ask(publication.event(id, subscription, matching, receivers, forms.of(serializer)));
        }
        Ok(id)
    }

    /// Keeps a publication where it is to be kept.
    fn keep(
        &mut self,
        publication: &Publication<'_>,
        id: PublicationId,
        audience: Audience,
        is_retained: bool,
        step: &Step<'_>,
    ) -> Result<(), Refusal> {
        if !is_retained && self.histories.is_empty() {
            return Ok(());
        }
        let mut histories = SmallVec::<[_; 2]>::new();
        // Ids of sessions say nothing about who asks for the history one day.
        if !audience.names_sessions() {
            self.histories.matching(publication.topic, |id| histories.push(id));
        }
        if !is_retained && histories.is_empty() {
            return Ok(());
        }
        let Some(kept) = publication.kept(id, step.now(), audience) else { return Ok(()) };
        if is_retained {
            self.retained.keep(kept.clone())?;
        }
        for id in histories {
            let subscription = self.subscriptions.get_mut(&id);
            if let Some(history) = subscription.and_then(|subscription| subscription.history.as_mut()) {
                history.keep(kept.clone(), step.now());
            }
        }
        Ok(())
    }

    /// Sends a subscriber the retained events that it may receive, the newest of each topic.
    pub(super) fn send_retained(&self, member: &Member, subscription: &Subscription, step: &mut Step<'_>) {
        for kept in self.retained.newest(&subscription.topic, subscription.matching, member) {
            let topic = (subscription.matching != Match::Exact).then(|| kept.topic.clone());
            let details = EventDetails { topic, retained: Some(true), ..(*kept.details).clone() };
            match kept.payload.transcode(member.serializer()) {
                Ok(payload) => {
                    let (subscription, publication) = (subscription.id, kept.publication);
                    let details = Sparse::from(details);
                    step.send(member.id, Event { subscription, publication, details, payload });
                }
                Err(problem) => {
                    let (to, problem) = (smallvec![member.id], problem.to_string());
                    step.ask(Effect::Undeliverable { to, problem });
                }
            }
        }
    }

    /// Publishes an event of the router itself. Its arguments are made only if somebody receives it. Who
    /// subscribed to a pattern receives it if its role may subscribe to the topic.
    pub(crate) fn publish_meta(
        &self,
        topic: &'static str,
        args: impl FnOnce() -> Arguments,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        step.published();
        self.send_meta(topic, args, |_| true, &mut None, roster, step);
    }

    /// Publishes an event of the router itself about a session, of which each subscriber is told as much as its role
    /// may know. Where all may know the same it costs what any other event of the router does.
    pub(crate) fn publish_session_meta(
        &self,
        topic: &'static str,
        args: impl Fn(SessionDetails) -> Arguments,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        step.published();
        let mut id = None;
        let mut levels = roster.levels();
        match (levels.next(), levels.next()) {
            (None, _) => {}
            (Some(only), None) => self.send_meta(topic, || args(only), |_| true, &mut id, roster, step),
            (Some(_), Some(_)) => {
                for level in roster.levels() {
                    let is_told_so = |session| {
                        roster.get(session).is_some_and(|member| member.role.session_details == level)
                    };
                    self.send_meta(topic, || args(level), is_told_so, &mut id, roster, step);
                }
            }
        }
    }

    /// Sends an event of the router to those for whom `is_meant` is true. Its id is drawn for the first of them.
    fn send_meta(
        &self,
        topic: &'static str,
        args: impl FnOnce() -> Arguments,
        is_meant: impl Fn(SessionId) -> bool,
        id: &mut Option<PublicationId>,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        // Most events of the router reach nobody.
        let uri = OnceCell::new();
        let uri = || uri.get_or_init(|| Uri::from(topic));
        let may_receive = |session| {
            let member = roster.get(session);
            member.is_some_and(|member| member.authorize(Action::Subscribe, uri(), Match::Exact).is_ok())
        };
        let receiving = self.receiving(topic, |session, matching| {
            is_meant(session) && (matching == Match::Exact || may_receive(session))
        });
        if receiving.is_empty() {
            return;
        }
        let args = args();
        let (content, details) = (Content::Open(&args), Sparse::default());
        let publication = Publication { topic: uri(), content, details };
        let forms = publication.forms(receiving.iter().map(|(_, _, serializer, _)| *serializer));
        debug_assert!(forms.is_ok(), "values have no malformed form");
        let (forms, id) = (forms.unwrap_or_default(), *id.get_or_insert_with(|| step.publication_id()));
        for (subscription, matching, serializer, receivers) in receiving {
            step.ask(publication.event(id, subscription, matching, receivers, forms.of(serializer)));
        }
    }

    /// Who receives a publication: each session once for each of its subscriptions that match.
    fn receiving(
        &self,
        topic: &str,
        receives: impl Fn(SessionId, Match) -> bool,
    ) -> SmallVec<[Receiving; 2]> {
        let mut receiving = SmallVec::new();
        self.topics.matching(topic, |id| {
            if let Some(subscription) = self.subscriptions.get(&id) {
                let matching = subscription.matching;
                for (serializer, receivers) in subscription.audiences(|session| receives(session, matching)) {
                    receiving.push((id, matching, serializer, receivers));
                }
            }
        });
        receiving
    }
}
