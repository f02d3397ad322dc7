//! `wamp.registration.*`: who carries out which procedures, and the means to take one from a session (section
//! "Registration Meta API").

use super::{Lent, Outcome, arguments::Given, session::ids, single};
use crate::{
    codec::Arguments,
    dealer::{Change, ChangeKind, Registration, Registrations},
    message::{
        RegisterOptions,
        id::RegistrationId,
        uri::Match,
        value::{Dict, Value},
    },
    refusal::Refusal,
};

/// A procedure of the registration meta API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationProcedure {
    List,
    Lookup,
    Match,
    Get,
    ListCallees,
    CountCallees,
    RemoveCallee,
}

impl RegistrationProcedure {
    /// The procedure of this name behind `wamp.registration.`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "list" => Self::List,
            "lookup" => Self::Lookup,
            "match" => Self::Match,
            "get" => Self::Get,
            "list_callees" => Self::ListCallees,
            "count_callees" => Self::CountCallees,
            "remove_callee" => Self::RemoveCallee,
            _ => return None,
        })
    }

    pub(super) fn call(self, given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
        let registrations = lent.registrations;
        Ok(Outcome::Answer(match self {
            Self::List => list(registrations),
            Self::Lookup => {
                let procedure = given.string(0, "procedure")?;
                let options: RegisterOptions = given.options(1, "options", "lookup")?;
                id_or_null(registrations.of(procedure, options.r#match.unwrap_or_default()))
            }
            Self::Match => id_or_null(registrations.best(&given.string(0, "procedure")?.into())),
            Self::Get => {
                let (id, registration) = existing(given, lent)?;
                single(details(id, registration))
            }
            Self::ListCallees => single(ids(existing(given, lent)?.1.callees())),
            Self::CountCallees => single(existing(given, lent)?.1.callees().len() as u64),
            Self::RemoveCallee => return remove_callee(given, lent),
        }))
    }
}

/// The ids of all registrations, by match.
fn list(registrations: &Registrations) -> Arguments {
    let of = |matching: Match| {
        let those = registrations.iter().filter(|(_, registration)| registration.matching == matching);
        those.map(|(id, _)| Value::from(id.get())).collect::<Vec<_>>()
    };
    let lists =
        [Match::Exact, Match::Prefix, Match::Wildcard].map(|matching| (matching.word(), of(matching).into()));
    single(Dict::from(lists))
}

/// Takes a procedure from a session; answers nothing.
fn remove_callee(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let registration = given.registration()?;
    let callee = given.callee()?;
    let reason = given.short_text("reason")?;
    let (_, held) = existing(given, lent)?;
    if !held.callees().any(|session| session == callee) {
        return Err(Refusal::NoSuchCallee(callee.get()));
    }
    Ok(Outcome::RemoveCallee { registration, callee, reason })
}

/// The registration that is asked about.
fn existing<'a>(given: &Given<'_>, lent: &Lent<'a>) -> Result<(RegistrationId, &'a Registration), Refusal> {
    let id = given.registration()?;
    let registration = lent.registrations.get(id).ok_or(Refusal::UnknownRegistration(id.get()))?;
    Ok((id, registration))
}

fn id_or_null(id: Option<RegistrationId>) -> Arguments {
    single(id.map_or(Value::Null, |id| id.get().into()))
}

/// What the meta API tells of a registration.
fn details(id: RegistrationId, registration: &Registration) -> Dict {
    let Registration { procedure, matching, invoke, created, .. } = registration;
    Dict::from([
        ("id", id.get().into()),
        ("created", Value::from(humantime::format_rfc3339_millis(*created).to_string())),
        ("uri", Value::copied(procedure)),
        ("match", matching.word().into()),
        ("invoke", invoke.word().into()),
    ])
}

/// The topic by which a change is told.
pub(crate) fn topic(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "wamp.registration.on_create",
        ChangeKind::Registered => "wamp.registration.on_register",
        ChangeKind::Unregistered => "wamp.registration.on_unregister",
        ChangeKind::Deleted => "wamp.registration.on_delete",
    }
}

/// The arguments of the event that tells of a change.
pub(crate) fn on_change(change: Change, registrations: &Registrations) -> Arguments {
    let Change { kind, session, registration: id } = change;
    let registration = match kind {
        ChangeKind::Created => {
            registrations.get(id).map_or(Value::Null, |created| details(id, created).into())
        }
        ChangeKind::Registered | ChangeKind::Unregistered | ChangeKind::Deleted => id.get().into(),
    };
    Arguments { args: vec![session.get().into(), registration], ..Arguments::default() }
}
