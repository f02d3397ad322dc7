//! `wamp.subscription.*`: which subscriptions there are, who holds them, and the means to take one away (section
//! "Subscription Meta API").

use super::{
    Lent, Outcome,
    arguments::{Given, invalid},
    history, single,
};
use crate::{
    broker::Subscription,
    codec::read_options,
    message::{
        SubscribeOptions,
        id::{SessionId, SubscriptionId},
        uri::Match,
        value::{Dict, Value},
    },
    refusal::Refusal,
};

/// A procedure about subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Procedure {
    List,
    Lookup,
    Match,
    Get,
    ListSubscribers,
    CountSubscribers,
    GetEvents,
    RemoveSubscriber,
}

impl Procedure {
    /// The procedure whose URI ends so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "list" => Self::List,
            "lookup" => Self::Lookup,
            "match" => Self::Match,
            "get" => Self::Get,
            "list_subscribers" => Self::ListSubscribers,
            "count_subscribers" => Self::CountSubscribers,
            "get_events" => Self::GetEvents,
            "remove_subscriber" => Self::RemoveSubscriber,
            _ => return None,
        })
    }

    pub(super) fn call(self, given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
        let answer = match self {
            Self::List => list(lent),
            Self::Lookup => lookup(given, lent)?,
            Self::Match => matching(given, lent)?,
            Self::Get => found(given, lent)?.details().into(),
            Self::ListSubscribers => found(given, lent)?
                .subscribers()
                .map(|session| session.get().into())
                .collect::<Vec<_>>()
                .into(),
            Self::CountSubscribers => (found(given, lent)?.subscribers().len() as u64).into(),
            Self::GetEvents => return history::get_events(found(given, lent)?, given, lent),
            Self::RemoveSubscriber => return remove_subscriber(found(given, lent)?, given),
        };
        Ok(Outcome::Answer(single(answer)))
    }
}

/// The subscription that is asked for.
fn found<'a>(given: &Given<'_>, lent: &Lent<'a>) -> Result<&'a Subscription, Refusal> {
    let id = given.subscription()?;
    lent.broker.subscription(id).ok_or(Refusal::UnknownSubscription(id.get()))
}

/// The ids of all, by how they match.
fn list(lent: &Lent<'_>) -> Value {
    let by = |matching: Match| (matching.word(), ids(lent.broker.subscriptions_by(matching)));
    Dict::from([Match::Exact, Match::Prefix, Match::Wildcard].map(by)).into()
}

/// The id of the one to this topic with this match, or null.
fn lookup(given: &Given<'_>, lent: &Lent<'_>) -> Result<Value, Refusal> {
    let topic = given.string(0, "topic")?;
    let options: SubscribeOptions = match given.optional_dict(1, "options")? {
        None => SubscribeOptions::default(),
        Some(options) => {
            read_options(options, "lookup", "options").map_err(|error| invalid(&error.to_string()))?
        }
    };
    let found = lent.broker.subscription_to(topic, options.r#match.unwrap_or_default());
    Ok(found.map_or(Value::Null, |subscription| subscription.id().get().into()))
}

/// The ids of all that match a topic, or null if none does.
fn matching(given: &Given<'_>, lent: &Lent<'_>) -> Result<Value, Refusal> {
    let found = lent.broker.subscriptions_matching(given.string(0, "topic")?);
    Ok(if found.is_empty() { Value::Null } else { ids(found.into_iter()) })
}

/// Takes a subscription away from a session.
fn remove_subscriber(subscription: &Subscription, given: &Given<'_>) -> Result<Outcome, Refusal> {
    let subscriber = given.id(1, &["subscriber"], SessionId::new)?;
    let reason = given.short_text("reason")?;
    if !subscription.is_held_by(subscriber) {
        return Err(Refusal::NoSuchSubscriber(subscriber.get()));
    }
    Ok(Outcome::RemoveSubscriber { subscription: subscription.id(), subscriber, reason })
}

fn ids(subscriptions: impl Iterator<Item = SubscriptionId>) -> Value {
    subscriptions.map(|id| Value::from(id.get())).collect::<Vec<_>>().into()
}
