//! Testaments: what is published for a session when it has ended (section "Session Testament").

use super::{
    Lent, Outcome,
    arguments::{Given, invalid},
};
use crate::{
    broker::{Audience, Broker, authorize},
    codec::{Arguments, Payload, read_options},
    collections::Map,
    limit::Limit,
    message::{
        Publish, PublishOptions,
        id::{RequestId, SessionId},
        uri::{Uri, UriRules},
        value::Value,
    },
    refusal::{Fault, Refusal},
    roster::{Member, Roster},
    step::Step,
};

/// How many testaments a session can leave, over both scopes.
const MOST_TESTAMENTS: usize = 100;
/// How many octets their topics and arguments can have together.
const MOST_OCTETS: usize = 1 << 20;

/// When a testament is carried out. Without session resumption both are at the end of the session, those of
/// detaching first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Detached,
    Destroyed,
}

/// What is to be published. Its arguments stay closed until then: as values they would take many times the room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Testament {
    message: Publish,
    /// How much it holds.
    octets: usize,
}

/// The testaments of all sessions of a realm.
#[derive(Debug, Default)]
pub(crate) struct Testaments(Map<SessionId, Vec<(Scope, Testament)>>);

impl Testaments {
    pub(crate) fn add(&mut self, session: SessionId, scope: Scope, testament: Testament) {
        self.0.entry(session).or_default().push((scope, testament));
    }

    pub(crate) fn flush(&mut self, session: SessionId, scope: Scope) {
        if let Some(testaments) = self.0.get_mut(&session) {
            testaments.retain(|(kept, _)| *kept != scope);
            if testaments.is_empty() {
                self.0.swap_remove(&session);
            }
        }
    }

    /// Withdraws the testaments of a session: they will not be carried out.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.0.swap_remove(&session);
    }

    /// Publishes the testaments of a former member, each as if it had just been sent.
    pub(crate) fn carry_out(
        &mut self,
        member: &Member,
        broker: &mut Broker,
        rules: UriRules,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let testaments = self.0.swap_remove(&member.id).unwrap_or_default();
        for scope in [Scope::Detached, Scope::Destroyed] {
            for (_, testament) in testaments.iter().filter(|(of, _)| *of == scope) {
                let published = broker.publish(member, &testament.message, rules, roster, step);
                if let Err(Fault::Refusal(refusal)) = published {
                    step.drop_request(&refusal);
                }
            }
        }
    }

    /// Whether it names no session for which `is_member` is false.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        self.0.iter().all(|(session, testaments)| is_member(*session) && !testaments.is_empty())
    }
}

/// `wamp.session.add_testament`.
pub(super) fn add(given: &Given<'_>, payload: &Payload, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let topic = Uri::from(given.string(0, "topic")?);
    let (args, kwargs) = (given.list(1, "args")?, given.dict(2, "kwargs")?);
    let options: PublishOptions = match given.keyword("publish_options") {
        None => PublishOptions::default(),
        Some(Value::Dict(options)) => read_options(options, "add_testament", "publish_options")
            .map_err(|error| invalid(&error.to_string()))?,
        Some(_) => return Err(invalid("publish_options must be a dict")),
    };
    let scope = scope(given)?;
    let content = Arguments { args: args.to_vec(), kwargs: kwargs.clone() };
    let payload =
        Payload::build(payload.serializer(), &content).map_err(|error| invalid(&error.to_string()))?;
    let message = Publish { request: RequestId::FIRST, options: options.into(), topic, payload };
    let details = authorize(lent.caller, &message, lent.uris).map_err(|fault| match fault {
        Fault::Refusal(refusal) => refusal,
        Fault::Violation(violation) => invalid(&violation.to_string()),
    })?;
    let left = lent.testaments.0.get(&lent.caller.id).map_or(&[][..], Vec::as_slice);
    if left.len() >= MOST_TESTAMENTS {
        let what = "the session has left too many testaments";
        return Err(Refusal::TooMany { limit: Limit::Testaments, what, most: MOST_TESTAMENTS });
    }
    let octets = message.topic.len()
        + message.payload.len()
        + details.octets()
        + Audience::new(&message.options).octets();
    if octets + left.iter().map(|(_, left)| left.octets).sum::<usize>() > MOST_OCTETS {
        let what = "the testaments of the session have too many octets";
        return Err(Refusal::TooMany { limit: Limit::Testaments, what, most: MOST_OCTETS });
    }
    Ok(Outcome::AddTestament(scope, Testament { message, octets }))
}

/// `wamp.session.flush_testaments`.
pub(super) fn flush(given: &Given<'_>) -> Result<Outcome, Refusal> {
    scope(given).map(Outcome::FlushTestaments)
}

fn scope(given: &Given<'_>) -> Result<Scope, Refusal> {
    match given.keyword("scope") {
        None => Ok(Scope::Destroyed),
        Some(Value::String(scope)) if scope == "destroyed" => Ok(Scope::Destroyed),
        Some(Value::String(scope)) if scope == "detached" => Ok(Scope::Detached),
        Some(_) => Err(invalid("scope must be a string, one of destroyed and detached")),
    }
}
