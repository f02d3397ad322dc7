//! `wamp.session.*`: who is in the realm, and the means to end a session (section "Session Meta API").

use super::{Lent, Outcome, arguments::Given, single};
use crate::{
    ban::LONGEST_BAN,
    cause::Kill,
    codec::Arguments,
    message::{id::SessionId, value::Value},
    permission::SessionDetails,
    refusal::Refusal,
};
use std::time::Duration;

/// How many sessions there are, those only that have one of the given roles.
pub(super) fn count(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let count = match asked_roles(given, lent)? {
        None => lent.roster.len(),
        Some(roles) => having(&roles, lent).count(),
    };
    Ok(Outcome::Answer(single(count as u64)))
}

/// Their ids.
pub(super) fn list(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let sessions = match asked_roles(given, lent)? {
        None => ids(lent.roster.ids()),
        Some(roles) => ids(having(&roles, lent)),
    };
    Ok(Outcome::Answer(single(sessions)))
}

/// What is known of one of them.
pub(super) fn get(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let session = given.session()?;
    let member = lent.roster.get(session).ok_or(Refusal::NoSuchSession(session.get()))?;
    let level = lent.caller.role.session_details;
    Ok(Outcome::Answer(single(member.details(lent.realm, level))))
}

/// Ends one session, not the caller's own.
pub(super) fn kill(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let session = given.session()?;
    let (kill, ban) = how(given, lent)?;
    if session == lent.caller.id || !lent.roster.contains(session) {
        return Err(Refusal::NoOtherSession(session.get()));
    }
    Ok(Outcome::Kill { victims: vec![session], kill, ban, all: false, answer: Arguments::default() })
}

/// Ends the sessions of one authid but the caller's own; answers which.
pub(super) fn kill_by_authid(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let authid = given.string(0, "authid")?;
    let (kill, ban) = how(given, lent)?;
    let victims = others(lent, lent.roster.with_authid(authid));
    let answer = single(ids(victims.iter().copied()));
    Ok(Outcome::Kill { victims, kill, ban, all: false, answer })
}

/// Ends the sessions of one authrole but the caller's own; answers how many.
pub(super) fn kill_by_authrole(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let authrole = given.string(0, "authrole")?;
    let (kill, ban) = how(given, lent)?;
    let victims = others(lent, lent.roster.with_authrole(authrole));
    let answer = single(victims.len() as u64);
    Ok(Outcome::Kill { victims, kill, ban, all: false, answer })
}

/// Ends all sessions but the caller's own; answers how many.
pub(super) fn kill_all(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let (kill, ban) = how(given, lent)?;
    let victims = others(lent, lent.roster.ids());
    let answer = single(victims.len() as u64);
    Ok(Outcome::Kill { victims, kill, ban, all: true, answer })
}

/// The roles that are asked for, each once. Who is told ids only may not find out by them what role a session has.
fn asked_roles<'a>(given: &'a Given<'_>, lent: &Lent<'_>) -> Result<Option<Vec<&'a str>>, Refusal> {
    let Some(mut roles) = given.strings(0, "filter_authroles")? else { return Ok(None) };
    let asking = &lent.caller.role;
    if asking.session_details == SessionDetails::Ids && !roles.is_empty() {
        return Err(Refusal::RolesNotTold(asking.name.clone()));
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(Some(roles))
}

/// The sessions that have one of these roles.
fn having(roles: &[&str], lent: &Lent<'_>) -> impl Iterator<Item = SessionId> {
    roles.iter().flat_map(|role| lent.roster.with_authrole(role))
}

fn others(lent: &Lent<'_>, sessions: impl Iterator<Item = SessionId>) -> Vec<SessionId> {
    sessions.filter(|session| *session != lent.caller.id).collect()
}

pub(super) fn ids(sessions: impl IntoIterator<Item = SessionId>) -> Vec<Value> {
    // First side by side, as values are made of numbers in one go far quicker than of members.
    let sessions: Vec<SessionId> = sessions.into_iter().collect();
    sessions.into_iter().map(|session| Value::Integer(session.get())).collect()
}

/// The keywords that all kinds of kill share; the reason is checked last.
fn how(given: &Given<'_>, lent: &Lent<'_>) -> Result<(Kill, Option<Duration>), Refusal> {
    let message = given.short_text("message")?;
    let ban = given.seconds("ban", LONGEST_BAN)?;
    let reason = given.reason(lent.uris)?;
    Ok((Kill { by: lent.caller.id, reason, message }, ban))
}
