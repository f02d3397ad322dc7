//! The procedures of the router itself (sections "Session Meta API", "Session Testament", "Subscription Meta API"
//! and "Event History").
//!
//! They answer from what they are lent and say what should happen; [`Realm`](crate::realm::Realm) does it.

mod arguments;
mod event;
mod history;
mod session;
mod subscription;
mod testament;

pub(crate) use event::{on_join, on_leave};
pub(crate) use testament::{Scope, Testament, Testaments};

use crate::{
    broker::Broker,
    cause::Kill,
    codec::{Arguments, Payload},
    message::{
        id::{SessionId, SubscriptionId},
        uri::UriRules,
        value::Value,
    },
    refusal::Refusal,
    roster::{Member, Roster},
};
use arguments::Given;
use std::time::SystemTime;

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
    Subscription(subscription::Procedure),
}

/// What a meta procedure says should happen.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The call is answered with these arguments.
    Answer(Arguments),
    /// These sessions are ended, and then the call is answered.
    Kill {
        victims: Vec<SessionId>,
        kill: Kill,
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
}

/// What the procedures look at.
pub(crate) struct Lent<'a> {
    pub(crate) realm: &'a str,
    pub(crate) uris: UriRules,
    pub(crate) roster: &'a Roster,
    pub(crate) broker: &'a Broker,
    pub(crate) testaments: &'a Testaments,
    pub(crate) caller: &'a Member,
    pub(crate) now: SystemTime,
}

impl MetaProcedure {
    /// The procedure of this URI; without the session meta API none that tells of sessions or ends them.
    pub(crate) fn from_uri(uri: &str, has_session_meta_api: bool) -> Option<Self> {
        let procedure = Self::named(uri)?;
        let is_of_session_meta_api =
            !matches!(procedure, Self::AddTestament | Self::FlushTestaments | Self::Subscription(_));
        (has_session_meta_api || !is_of_session_meta_api).then_some(procedure)
    }

    fn named(uri: &str) -> Option<Self> {
        if let Some(name) = uri.strip_prefix("wamp.subscription.") {
            return subscription::Procedure::named(name).map(Self::Subscription);
        }
        Some(match uri.strip_prefix("wamp.session.")? {
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

    /// Carries the procedure out, as far as answers go.
    pub(crate) fn call(self, payload: &Payload, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
        let given = Given::open(payload)?;
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
            Self::Subscription(procedure) => procedure.call(&given, lent),
        }
    }
}

/// An answer of one positional argument.
fn single(value: impl Into<Value>) -> Arguments {
    Arguments { args: vec![value.into()], ..Arguments::default() }
}
