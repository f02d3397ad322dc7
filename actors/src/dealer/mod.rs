//! The dealer of a realm: registrations, and calls on their way to a callee and back (section "Remote
//! Procedure Calls").
//!
//! A call is in [`party::Calls`] from the moment its INVOCATION is sent until its caller is answered or gone. What
//! ends it takes it out there, with [`party::Calls::conclude`]: so every call is answered once.

mod answer;
mod invocation;
mod party;
mod question;
mod registration;
mod timeouts;

pub(crate) use invocation::Sequel;
pub(crate) use question::{Answer, Asked, Asker, Unanswered};
pub(crate) use registration::{Change, ChangeKind, Changes, Registration, Registrations};

use crate::{
    message::{
        Register, Unregister, Unregistered, UnregisteredDetails,
        feature::Feature,
        id::{RegistrationId, RequestId, SessionId},
        uri::{Match, Uri, UriRules},
    },
    permission::Action,
    refusal::{Refusal, check_not_reserved, check_uri},
    roster::{Member, Roster},
    step::{CallOutcome, Step},
};
use answer::interrupt;
use party::Calls;
use question::Questions;
use registration::Callee;
use std::collections::BTreeSet;

/// All registrations and calls of a realm.
#[derive(Debug, Default)]
pub(crate) struct Dealer {
    registrations: Registrations,
    calls: Calls,
    questions: Questions,
}

impl Dealer {
    /// Registers a procedure, or a pattern of procedures, for a member.
    pub(crate) fn register(
        &mut self,
        member: &Member,
        message: Register,
        rules: UriRules,
        most: usize,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(RegistrationId, Changes), Refusal> {
        let Register { options, procedure, .. } = message;
        let matching = options.r#match.unwrap_or_default();
        check_uri(&procedure, matching, rules)?;
        check_not_reserved(&procedure)?;
        let permission = member.authorize(Action::Register, &procedure, matching)?;
        let asks = options.disclose_caller == Some(true);
        // What a role discloses of its callers is for the callers' roles to say.
        let discloses_caller = asks && member.role.discloses_caller(permission, asks)?;
        let forwards_timeout = options.forward_timeout == Some(true);
        let invoke = options.invoke.unwrap_or_default();
        let takes_over = options.force_reregister == Some(true) && member.role.takes_over;
        let mut changes = Changes::new();
        let held = self.registrations.of(&procedure, matching);
        if let Some(held) = held.filter(|_| !takes_over)
            && self.registrations.check_joins(held, member.id, invoke)?
        {
            return Ok((held, changes));
        }
        self.registrations.check_room(member.id, most)?;
        if let Some(held) = held.filter(|_| takes_over) {
            changes = self.revoke_those(held, |_| true, None, roster, step);
        }
        let callee = Callee { session: member.id, discloses_caller, forwards_timeout };
        let id = self.registrations.add(callee, (procedure, matching), invoke, step, &mut changes);
        Ok((id, changes))
    }

    /// Ends a registration of a member. Calls that it has not answered yet stay valid.
    pub(crate) fn unregister(&mut self, member: &Member, message: &Unregister) -> Result<Changes, Refusal> {
        let mut changes = Changes::new();
        if !self.registrations.remove(member.id, message.registration, &mut changes) {
            return Err(Refusal::NoSuchRegistration(message.registration.get()));
        }
        Ok(changes)
    }

    /// Takes a callee from a registration, and tells it where it knows what that means (section "Registration
    /// Revocation"). Calls that it has not answered yet stay valid.
    pub(crate) fn revoke(
        &mut self,
        registration: RegistrationId,
        callee: SessionId,
        reason: Option<&str>,
        roster: &Roster,
        step: &mut Step<'_>,
        changes: &mut Changes,
    ) {
        if self.registrations.remove(callee, registration, changes)
            && let Some(member) = roster.get(callee)
            && member.as_callee().contains(Feature::RegistrationRevocation)
        {
            let reason = reason.map(Into::into);
            let details = UnregisteredDetails { registration: Some(registration), reason };
            step.send(callee, Unregistered::Revoked(details));
        }
    }

    /// Takes from a registration those of its callees that are meant.
    fn revoke_those(
        &mut self,
        registration: RegistrationId,
        is_meant: impl Fn(&Member) -> bool,
        reason: Option<&str>,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Changes {
        let mut changes = Changes::new();
        let callees = self.registrations.get(registration).into_iter().flat_map(Registration::callees);
        let meant = callees.filter(|callee| roster.get(*callee).is_some_and(&is_meant));
        for callee in meant.collect::<Vec<_>>() {
            self.revoke(registration, callee, reason, roster, step, &mut changes);
        }
        changes
    }

    /// Takes from a member the registrations that its role does not allow. Calls that it has not answered yet stay
    /// valid.
    pub(crate) fn take_back(
        &mut self,
        member: &Member,
        reason: &str,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Changes {
        let mut changes = Changes::new();
        let held = self.registrations.held_by(member.id);
        let denied = held.filter(|(_, Registration { procedure, matching, .. })| {
            member.role.authorize(Action::Register, procedure, *matching).is_err()
        });
        for registration in denied.map(|(id, _)| id).collect::<Vec<_>>() {
            self.revoke(registration, member.id, Some(reason), roster, step, &mut changes);
        }
        changes
    }

    /// Takes a procedure from those of its callees that are not trusted with what the router asks. Calls that they have
    /// not answered yet stay valid.
    pub(crate) fn entrust(
        &mut self,
        procedure: &Uri,
        reason: &str,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Changes {
        let Some(registration) = self.registrations.of(procedure, Match::Exact) else {
            return Changes::new();
        };
        let is_untrusted = |member: &Member| !member.role.is_trusted;
        self.revoke_those(registration, is_untrusted, Some(reason), roster, step)
    }

    /// Answers the calls of a member that are in flight, since it is sent away together with those who carry them out;
    /// gives their requests.
    pub(crate) fn cut_off(
        &mut self,
        caller: SessionId,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> BTreeSet<RequestId> {
        let calls = self.calls.made_by(caller);
        for (callee, invocation) in calls.values() {
            let (refusal, outcome) = (Refusal::RealmClosed, CallOutcome::Canceled);
            self.interrupt_and_end(*callee, *invocation, &refusal, outcome, roster, step);
        }
        calls.into_keys().collect()
    }

    /// Forgets a session that is no member any more: who carries out its calls is told to stop, who waits for
    /// its answers gets an ERROR, and its registrations are gone.
    pub(crate) fn forget(&mut self, session: SessionId, roster: &Roster, step: &mut Step<'_>) -> Changes {
        for (callee, invocation) in self.calls.made_by(session).into_values() {
            if self.calls.conclude(callee, invocation).is_some() {
                interrupt(callee, invocation, None, roster, step);
                step.called(CallOutcome::CallerGone);
            }
        }
        for invocation in self.calls.carried_out_by(session) {
            self.end(session, invocation, &Refusal::CalleeGone, CallOutcome::Canceled, roster, step);
        }
        self.calls.forget(session);
        let mut changes = Changes::new();
        self.registrations.forget(session, &mut changes);
        changes
    }

    /// All registrations.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// How many calls are not answered yet.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        self.registrations.is_sound(&is_member)
            && self.calls.is_sound(&is_member)
            && self.questions.is_sound(&is_member)
    }
}
