//! `wamp.subscription.get_events`: the past events of a subscription (section "Event History").

use super::{Lent, Outcome, arguments::Given};
use crate::{
    broker::{Kept, Subscription},
    codec::{Payload, Writer},
    limit::Limit,
    message::{Element, timestamp, value::Value},
    permission::Action,
    refusal::Refusal,
};
use std::time::SystemTime;

/// How many octets the events of one answer can have together: it has to fit into an outbox.
const MOST_OCTETS: usize = 1 << 21;
/// How many octets an answer takes for an event besides its own, about.
const AROUND: usize = 256;

/// Answers the events that the caller might have received, each as one argument. One that has no form in the
/// serializer of the caller is left out.
pub(super) fn get_events(
    subscription: &Subscription,
    given: &Given<'_>,
    lent: &Lent<'_>,
) -> Result<Outcome, Refusal> {
    lent.caller.authorize(Action::Subscribe, &subscription.topic, subscription.matching)?;
    let id = subscription.id().get();
    let history = subscription.history.as_ref().ok_or(Refusal::NoHistory(id))?;
    let events = history.events(lent.now).collect::<Vec<_>>();
    let filter = Filter::new(given)?;
    let (begin, end) = range(&events, given)?;
    let is_reversed = given.optional("reverse", "a boolean", Value::as_bool)?.unwrap_or_default();
    let limit = given.optional_integer("limit")?.map_or(usize::MAX, |limit| limit as usize);
    let serializer = lent.caller.serializer();
    let mut found = events.get(begin..end).unwrap_or_default().to_vec();
    found.retain(|event| filter.lets_pass(event) && event.audience.admits(lent.caller));
    if is_reversed {
        found.reverse();
    }
    let shown = found.iter().filter_map(|event| Some((*event, event.payload.transcode(serializer).ok()?)));
    let (mut events, mut octets) = (Vec::new(), 0);
    for (event, payload) in shown.take(limit) {
        octets += payload.len() + AROUND;
        if octets > MOST_OCTETS {
            let what = "the events have too many octets for one answer, limit makes them fewer";
            return Err(Refusal::TooMany { limit: Limit::History, what, most: MOST_OCTETS });
        }
        events.push((event, payload));
    }
    let write = |writer: &mut Writer<'_>| {
        events.iter().for_each(|(event, payload)| write(event, payload, id, writer));
    };
    Ok(Outcome::Events(Payload::of_args(serializer, events.len(), write)))
}

/// From where and to where events are asked for by the publications before, between or behind which they stand.
fn range(events: &[&Kept], given: &Given<'_>) -> Result<(usize, usize), Refusal> {
    let place = |name| {
        let Some(publication) = given.optional_integer(name)? else { return Ok(None) };
        let place = events.iter().position(|event| event.publication.get() == publication);
        let unknown =
            || Refusal::InvalidArgument(format!("{name} is {publication}, which is not in the history"));
        place.map(Some).ok_or_else(unknown)
    };
    let begins = [place("from_publication")?, place("after_publication")?.map(|place| place + 1)];
    let ends = [place("before_publication")?, place("until_publication")?.map(|place| place + 1)];
    let begin = begins.into_iter().flatten().max().unwrap_or_default();
    let end = ends.into_iter().flatten().min().unwrap_or(events.len());
    Ok((begin, end.max(begin)))
}

/// Writes an event as it is told, with its payload in the serializer of the caller.
fn write(event: &Kept, payload: &Payload, subscription: u64, writer: &mut Writer<'_>) {
    let (args, kwargs) = payload.parts();
    let arguments = [("args", args), ("kwargs", kwargs)];
    let arguments = arguments.into_iter().filter_map(|(key, part)| Some((key, part?)));
    writer.dict(4 + arguments.clone().count());
    writer.key("timestamp");
    writer.string(&timestamp::written(event.at));
    writer.key("subscription");
    writer.integer(subscription);
    writer.key("publication");
    writer.integer(event.publication.get());
    writer.key("details");
    event.details().write_element(writer);
    for (key, part) in arguments {
        writer.key(key);
        writer.raw(part);
    }
    writer.end_dict();
}

/// Which of the events are asked for; all filters have to be met.
struct Filter<'a> {
    from_time: Option<SystemTime>,
    after_time: Option<SystemTime>,
    before_time: Option<SystemTime>,
    until_time: Option<SystemTime>,
    topic: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn new(given: &'a Given<'_>) -> Result<Self, Refusal> {
        let time = |name| {
            let read = |value: &Value| value.as_str().and_then(timestamp::read);
            given.optional(name, "a time, a string as RFC 3339 has it", read)
        };
        Ok(Self {
            from_time: time("from_time")?,
            after_time: time("after_time")?,
            before_time: time("before_time")?,
            until_time: time("until_time")?,
            topic: given.optional_text("topic")?,
        })
    }

    fn lets_pass(&self, event: &Kept) -> bool {
        self.from_time.is_none_or(|time| event.at >= time)
            && self.after_time.is_none_or(|time| event.at > time)
            && self.before_time.is_none_or(|time| event.at < time)
            && self.until_time.is_none_or(|time| event.at <= time)
            && self.topic.is_none_or(|topic| *event.topic == *topic)
    }
}
