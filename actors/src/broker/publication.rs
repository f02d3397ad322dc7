//! One publication on its way to its receivers: its payload once per serializer.

use crate::{
    codec::{Arguments, Payload, Serializer, Untranscodable},
    message::{
        Event, EventDetails, Sparse,
        id::{PublicationId, SessionId, SubscriptionId},
        uri::{Match, Uri},
    },
    roster::Member,
    step::{Effect, Receivers},
};

/// What is published.
pub(crate) struct Publication<'a> {
    pub(crate) topic: &'a Uri,
    pub(crate) content: Content<'a>,
    /// The publisher, where it is disclosed.
    pub(crate) publisher: Option<&'a Member>,
    /// The session that does not receive it.
    pub(crate) excluded: Option<SessionId>,
}

/// The arguments of a publication.
pub(crate) enum Content<'a> {
    /// As a client sent them.
    Closed(&'a Payload),
    /// As values.
    Open(&'a Arguments),
}

/// A payload in each serializer that is needed, or why it has no form there.
#[derive(Default)]
pub(super) struct Forms([Option<Result<Payload, String>>; 3]);

impl Forms {
    pub(super) fn of(&self, serializer: Serializer) -> Result<&Payload, &str> {
        match &self.0[serializer as usize] {
            Some(form) => form.as_ref().map_err(String::as_str),
            None => Err("it was not asked for"),
        }
    }
}

impl Publication<'_> {
    /// Makes the payload for each of these serializers, once. Fails if the publisher sent it malformed.
    pub(super) fn forms(
        &self,
        serializers: impl Iterator<Item = Serializer>,
    ) -> Result<Forms, Untranscodable> {
        let mut forms = Forms::default();
        for serializer in serializers {
            let form = &mut forms.0[serializer as usize];
            if form.is_none() {
                *form = Some(match self.form(serializer) {
                    Ok(payload) => Ok(payload),
                    Err(error @ Untranscodable::Malformed(_)) => return Err(error),
                    Err(error @ Untranscodable::Unrepresentable { .. }) => Err(error.to_string()),
                });
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
        if self.publisher.is_none() && matching == Match::Exact {
            return Sparse::default();
        }
        let details = EventDetails {
            publisher: self.publisher.map(|publisher| publisher.id),
            publisher_authid: self.publisher.map(|publisher| (&*publisher.authid).into()),
            publisher_authrole: self.publisher.map(|publisher| (&**publisher.authrole()).into()),
            topic: (matching != Match::Exact).then(|| self.topic.clone()),
            ..EventDetails::default()
        };
        details.into()
    }
}
