//! One publication on its way to its receivers: its payload once per serializer.

use super::{Audience, Kept};
use crate::{
    codec::{Arguments, Payload, Serializer, Untranscodable},
    message::{
        Event, EventDetails, Publish, Sparse,
        feature::Feature,
        id::{PublicationId, SubscriptionId},
        uri::{Match, Uri, UriRules},
    },
    permission::Action,
    refusal::{Fault, check_announced, check_not_reserved, check_uri},
    roster::Member,
    step::{Effect, Receivers},
};
use std::{sync::Arc, time::SystemTime};

/// What is published.
pub(super) struct Publication<'a> {
    pub(super) topic: &'a Uri,
    pub(super) content: Content<'a>,
    /// What subscribers are told besides, but for the topic.
    pub(super) details: Sparse<EventDetails>,
}

/// The arguments of a publication.
pub(super) enum Content<'a> {
    /// As a client sent them.
    Closed(&'a Payload),
    /// As values.
    Open(&'a Arguments),
}

/// A payload as it came, and in the other serializers that are needed, or why it has no form there.
#[derive(Default)]
pub(super) struct Forms<'a> {
    closed: Option<&'a Payload>,
    made: Vec<(Serializer, Result<Payload, String>)>,
}

impl Forms<'_> {
    pub(super) fn of(&self, serializer: Serializer) -> Result<&Payload, &str> {
        match (self.closed, self.made.iter().find(|(made, _)| *made == serializer)) {
            (Some(closed), _) if closed.suits(serializer) => Ok(closed),
            (_, Some((_, form))) => form.as_ref().map_err(String::as_str),
            (_, None) => Err("it was not asked for"),
        }
    }

    fn lacks(&self, serializer: Serializer) -> bool {
        !self.closed.is_some_and(|closed| closed.suits(serializer))
            && self.made.iter().all(|(made, _)| *made != serializer)
    }
}

/// Checks whether a member may publish this; gives what subscribers are told besides the arguments.
pub(crate) fn authorize(
    member: &Member,
    message: &Publish,
    rules: UriRules,
) -> Result<Sparse<EventDetails>, Fault> {
    let (topic, options) = (&message.topic, &message.options);
    let passthru = options.passthru();
    check_announced(passthru, Feature::PayloadPassthruMode, member.as_publisher())?;
    check_uri(topic, Match::Exact, rules)?;
    check_not_reserved(topic)?;
    let permission = member.authorize(Action::Publish, topic, Match::Exact)?;
    let asks = options.disclose_me == Some(true);
    let is_disclosed = member.role.discloses_publisher(permission, asks)?;
    if !is_disclosed && permission.trustlevel.is_none() && passthru.is_none() {
        return Ok(Sparse::default());
    }
    let publisher = is_disclosed.then_some(member);
    let details = EventDetails {
        publisher: publisher.map(|publisher| publisher.id),
        publisher_authid: publisher.map(|publisher| (&*publisher.authid).into()),
        publisher_authrole: publisher.map(|publisher| (&**publisher.authrole()).into()),
        trustlevel: permission.trustlevel,
        ..options.packing()
    };
    Ok(details.into())
}

impl<'a> Publication<'a> {
    /// Makes the payload for each of these serializers, once. Fails if the publisher sent it malformed.
    pub(super) fn forms(
        &self,
        serializers: impl Iterator<Item = Serializer>,
    ) -> Result<Forms<'a>, Untranscodable> {
        let closed = match self.content {
            Content::Closed(payload) => Some(payload),
            Content::Open(_) => None,
        };
        let mut forms = Forms { closed, made: Vec::new() };
        for serializer in serializers {
            if forms.lacks(serializer) {
                let form = match self.form(serializer) {
                    Ok(payload) => Ok(payload),
                    Err(error @ Untranscodable::Malformed(_)) => return Err(error),
                    Err(error @ Untranscodable::Unrepresentable { .. }) => Err(error.to_string()),
                };
                forms.made.push((serializer, form));
            }
        }
        Ok(forms)
    }

    fn form(&self, serializer: Serializer) -> Result<Payload, Untranscodable> {
        match self.content {
            Content::Closed(payload) => payload.transcode(serializer),
            Content::Open(arguments) => Payload::build(serializer, arguments),
        }
    }

    /// The EVENT for those who hold one subscription and speak one serializer.
    pub(super) fn event(
        &self,
        publication: PublicationId,
        subscription: SubscriptionId,
        matching: Match,
        to: Receivers,
        form: Result<&Payload, &str>,
    ) -> Effect {
        let payload = match form {
            Ok(payload) => payload.clone(),
            Err(problem) => return Effect::Undeliverable { to, problem: problem.to_owned() },
        };
        let details = self.details(matching);
        Effect::Broadcast { to, message: Event { subscription, publication, details, payload }.into() }
    }

    fn details(&self, matching: Match) -> Sparse<EventDetails> {
        if matching == Match::Exact {
            return self.details.clone();
        }
        EventDetails { topic: Some(self.topic.clone()), ..(*self.details).clone() }.into()
    }

    /// The publication to be kept, if it is one of a client.
    pub(super) fn kept(&self, id: PublicationId, at: SystemTime, audience: Audience) -> Option<Arc<Kept>> {
        let Content::Closed(payload) = self.content else { return None };
        let (topic, details, payload) = (self.topic.clone(), self.details.clone(), payload.detached());
        Some(Arc::new(Kept { publication: id, at, topic, details, payload, audience }))
    }
}
