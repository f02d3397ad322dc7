//! `wamp.session.*`: who is in the realm, and the means to end a session (section "Session Meta API").

use super::{Lent, Outcome, arguments::Given, single};
use crate::{
    cause::Kill,
    codec::Arguments,
    message::{id::SessionId, value::Value},
    refusal::Refusal,
};

/// How many sessions there are, those only that have one of the given roles.
pub(super) fn count(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let count = match given.strings(0, "filter_authroles")? {
        None => lent.roster.len(),
        Some(_) => filtered(given, lent)?.len(),
    };
    Ok(Outcome::Answer(single(count as u64)))
}

/// Their ids.
pub(super) fn list(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    Ok(Outcome::Answer(single(ids(filtered(given, lent)?))))
}

/// What is known of one of them.
pub(super) fn get(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let session = given.session()?;
    let member = lent.roster.get(session).ok_or(Refusal::NoSuchSession(session.get()))?;
    Ok(Outcome::Answer(single(member.details(lent.realm))))
}

/// Ends one session, not the caller's own.
pub(super) fn kill(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let session = given.session()?;
    let kill = how(given, lent)?;
    if session == lent.caller.id || !lent.roster.contains(session) {
        return Err(Refusal::NoOtherSession(session.get()));
    }
    Ok(Outcome::Kill { victims: vec![session], kill, all: false, answer: Arguments::default() })
}

/// Ends the sessions of one authid but the caller's own; answers which.
pub(super) fn kill_by_authid(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let authid = given.string(0, "authid")?;
    let kill = how(given, lent)?;
    let victims = others(lent, lent.roster.with_authid(authid));
    let answer = single(ids(victims.iter().copied()));
    Ok(Outcome::Kill { victims, kill, all: false, answer })
}

/// Ends the sessions of one authrole but the caller's own; answers how many.
pub(super) fn kill_by_authrole(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let authrole = given.string(0, "authrole")?;
    let kill = how(given, lent)?;
    let victims = others(lent, lent.roster.with_authrole(authrole));
    let answer = single(victims.len() as u64);
    Ok(Outcome::Kill { victims, kill, all: false, answer })
}

/// Ends all sessions but the caller's own; answers how many.
pub(super) fn kill_all(given: &Given<'_>, lent: &Lent<'_>) -> Result<Outcome, Refusal> {
    let kill = how(given, lent)?;
    let victims = others(lent, lent.roster.ids());
    let answer = single(victims.len() as u64);
    Ok(Outcome::Kill { victims, kill, all: true, answer })
}

/// The sessions whose role is among those asked for; all, if none is asked for.
fn filtered(given: &Given<'_>, lent: &Lent<'_>) -> Result<Vec<SessionId>, Refusal> {
    let Some(mut roles) = given.strings(0, "filter_authroles")? else {
        return Ok(lent.roster.ids().collect());
    };
    roles.sort_unstable();
    roles.dedup();
    Ok(roles.into_iter().flat_map(|role| lent.roster.with_authrole(role)).collect())
}

fn others(lent: &Lent<'_>, sessions: impl Iterator<Item = SessionId>) -> Vec<SessionId> {
    sessions.filter(|session| *session != lent.caller.id).collect()
}

pub(super) fn ids(sessions: impl IntoIterator<Item = SessionId>) -> Vec<Value> {
    sessions.into_iter().map(|session| Value::from(session.get())).collect()
}

/// The keywords that all kinds of kill share; the message is checked before the reason.
fn how(given: &Given<'_>, lent: &Lent<'_>) -> Result<Kill, Refusal> {
    let message = given.short_text("message")?;
    let reason = given.reason(lent.uris)?;
    Ok(Kill { by: lent.caller.id, reason, message })
}
