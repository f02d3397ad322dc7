//! The procedures and events of the router itself (sections "Session Meta API", "Session Testament", "Subscription Meta
//! API", "Event History" and "Registration Meta API").
//!
//! They answer from what they are lent and say what should happen; [`Realm`](crate::realm::Realm) does it.

mod arguments;
mod event;
mod history;
pub(crate) mod registration;
mod session;
mod subscription;
mod testament;

pub(crate) use event::{on_join, on_leave};
pub(crate) use testament::{Scope, Testament, Testaments};

use crate::{
    broker::Broker,
    cause::Kill,
    codec::{Arguments, Payload},
    dealer::Registrations,
    message::{
        id::{RegistrationId, SessionId, SubscriptionId},
        uri::UriRules,
        value::Value,
    },
    refusal::Refusal,
    roster::{Member, Roster},
};
use arguments::Given;
use registration::RegistrationProcedure;
use std::time::{Duration, SystemTime};

/// A procedure that the router carries out itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaProcedure {
    Count,
    List,
    Get,
    Kill,
    KillByAuthid,
    KillByAuthrole,
    KillAll,
    AddTestament,
    FlushTestaments,
    Registration(RegistrationProcedure),
    Subscription(subscription::Procedure),
}

/// What a meta procedure says should happen.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The call is answered with these arguments.
    Answer(Arguments),
    /// The call is answered with this.
    Events(Payload),
    /// These sessions are ended, and then the call is answered.
    Kill {
        victims: Vec<SessionId>,
        kill: Kill,
        /// For how long they may not join again.
        ban: Option<Duration>,
        /// Whether all were meant: then nobody is told.
        all: bool,
        answer: Arguments,
    },
    /// A session loses a subscription that it holds.
    RemoveSubscriber { subscription: SubscriptionId, subscriber: SessionId, reason: Option<String> },
    /// The caller leaves a testament.
    AddTestament(Scope, Testament),
    /// The caller withdraws its testaments of one scope.
    FlushTestaments(Scope),
    /// A session is no callee of a registration any more.
    RemoveCallee {
        registration: RegistrationId,
        callee: SessionId,
        /// What the callee is told.
        reason: Option<String>,
    },
}

/// What the procedures look at.
pub(crate) struct Lent<'a> {
    pub(crate) realm: &'a str,
    pub(crate) uris: UriRules,
    pub(crate) roster: &'a Roster,
    pub(crate) broker: &'a Broker,
    pub(crate) testaments: &'a Testaments,
    pub(crate) registrations: &'a Registrations,
    pub(crate) caller: &'a Member,
    pub(crate) now: SystemTime,
}

impl MetaProcedure {
    /// The procedure of this URI; without the session meta API none of `wamp.session.` but those about testaments.
    pub(crate) fn from_uri(uri: &str, has_session_meta_api: bool) -> Option<Self> {
        let name = uri.strip_prefix("wamp.")?;
        if let Some(name) = name.strip_prefix("subscription.") {
            return subscription::Procedure::named(name).map(Self::Subscription);
        }
        if let Some(name) = name.strip_prefix("registration.") {
            return RegistrationProcedure::named(name).map(Self::Registration);
        }
        let procedure = Self::about_sessions(name.strip_prefix("session.")?)?;
        let is_about_testaments = matches!(procedure, Self::AddTestament | Self::FlushTestaments);
        (has_session_meta_api || is_about_testaments).then_some(procedure)
    }

    fn about_sessions(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "list" => Self::List,
            "get" => Self::Get,
            "kill" => Self::Kill,
            "kill_by_authid" => Self::KillByAuthid,
            "kill_by_authrole" => Self::KillByAuthrole,
            "kill_all" => Self::KillAll,
            "add_testament" => Self::AddTestament,
            "flush_testaments" => Self::FlushTestaments,
            _ => return None,
        })
    }

    /// How many octets its arguments can have.
    fn most_octets(self) -> usize {
        if matches!(self, Self::AddTestament) { 2 << 20 } else { 64 << 10 }
    }

    /// Carries the procedure out, as far as answers go.
    pub(crate) fn call(self, payload: &Payload, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
        let given = Given::open(payload, self.most_octets())?;
        match self {
            Self::Count => session::count(&given, lent),
            Self::List => session::list(&given, lent),
            Self::Get => session::get(&given, lent),
            Self::Kill => session::kill(&given, lent),
            Self::KillByAuthid => session::kill_by_authid(&given, lent),
            Self::KillByAuthrole => session::kill_by_authrole(&given, lent),
            Self::KillAll => session::kill_all(&given, lent),
            Self::AddTestament => testament::add(&given, payload, lent),
            Self::FlushTestaments => testament::flush(&given),
            Self::Registration(procedure) => procedure.call(&given, lent),
            Self::Subscription(procedure) => procedure.call(&given, lent),
        }
    }
}

/// An answer of one positional argument.
fn single(value: impl Into<Value>) -> Arguments {
    Arguments { args: vec![value.into()], ..Arguments::default() }
}
