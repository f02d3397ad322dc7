//! The dealer of a realm: registrations, and calls on their way to a callee and back (section "Remote
//! Procedure Calls").

mod party;

use crate::{
    collections::Map,
    limit::Limit,
    message::{
        Call, Error, Invocation, InvocationDetails, Register, RequestType, Result as CallResult, Sparse,
        Unregister, Yield,
        id::{RegistrationId, RequestId, SessionId},
        uri::{Match, Uri, UriRule, UriRules},
    },
    permission::{Action, Disclosure},
    refusal::{
        Fault, Refusal, Violation, check_no_passthru, check_not_reserved, check_unanswerable_uri, check_uri,
    },
    roster::{Member, Roster},
    step::{CallOutcome, Step},
};
use party::{Party, Pending};

/// All registrations and calls of a realm.
#[derive(Debug, Default)]
pub(crate) struct Dealer {
    registrations: Map<RegistrationId, Registration>,
    procedures: Map<Uri, RegistrationId>,
    parties: Map<SessionId, Party>,
}

/// A procedure and the session that carries it out.
#[derive(Debug)]
struct Registration {
    procedure: Uri,
    callee: SessionId,
    /// Whether the callee learns who calls, whether or not the caller says so.
    discloses_caller: bool,
}

impl Dealer {
    /// Registers a procedure for a member.
    pub(crate) fn register(
        &mut self,
        member: &Member,
        message: Register,
        rules: UriRules,
        most: usize,
        step: &mut Step<'_>,
    ) -> Result<RegistrationId, Refusal> {
        let Register { options, procedure, .. } = message;
        let matching = options.r#match.unwrap_or_default();
        check_uri(&procedure, matching, rules)?;
        check_not_reserved(&procedure)?;
        let permission = member.role.authorize(Action::Register, &procedure, matching)?;
        let asks = options.disclose_caller == Some(true);
        // What a role discloses of its callers is for the callers' roles to say.
        let discloses_caller = asks && member.role.discloses_caller(permission, asks)?;
        if matching != Match::Exact {
            return Err(Refusal::OptionNotAllowed("only the exact match works for registrations here"));
        }
        if self.procedures.contains_key(&procedure) {
            return Err(Refusal::ProcedureAlreadyExists(procedure));
        }
        if self.parties.get(&member.id).is_some_and(|party| party.registrations.len() >= most) {
            let what = "a session has too many registrations";
            return Err(Refusal::TooMany { limit: Limit::Registrations, what, most });
        }
        let mut id = step.registration_id();
        while self.registrations.contains_key(&id) {
            id = step.registration_id();
        }
        self.procedures.insert(procedure.clone(), id);
        self.registrations.insert(id, Registration { procedure, callee: member.id, discloses_caller });
        self.parties.entry(member.id).or_default().registrations.insert(id);
        Ok(id)
    }

    /// Ends a registration of a member. Calls that it has not answered yet stay valid.
    pub(crate) fn unregister(&mut self, member: &Member, message: &Unregister) -> Result<(), Refusal> {
        let party = self.parties.get_mut(&member.id);
        if !party.is_some_and(|party| party.registrations.swap_remove(&message.registration)) {
            return Err(Refusal::NoSuchRegistration(message.registration.get()));
        }
        self.drop_registration(message.registration);
        Ok(())
    }

    fn drop_registration(&mut self, id: RegistrationId) {
        if let Some(registration) = self.registrations.swap_remove(&id) {
            self.procedures.swap_remove(&registration.procedure);
        }
    }

    /// Whether the member has a call with this request id in flight.
    pub(crate) fn is_in_flight(&self, caller: SessionId, request: RequestId) -> bool {
        self.parties.get(&caller).is_some_and(|party| party.calls.contains_key(&request))
    }

    /// Sends a call of a member on to the callee.
    pub(crate) fn call(
        &mut self,
        caller: &Member,
        message: Call,
        rules: UriRules,
        most: usize,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        let Call { request, options, procedure, payload } = message;
        check_uri(&procedure, Match::Exact, rules)?;
        let permission = caller.role.authorize(Action::Call, &procedure, Match::Exact)?;
        let is_disclosed = caller.role.discloses_caller(permission, options.disclose_me == Some(true))?;
        if self.parties.get(&caller.id).is_some_and(|party| party.calls.len() >= most) {
            let what = "a session has too many calls that are not answered yet";
            return Err(Refusal::TooMany { limit: Limit::Calls, what, most }.into());
        }
        let found = self.procedures.get(&procedure).and_then(|id| Some((*id, self.registrations.get(id)?)));
        let Some((registration, Registration { callee, discloses_caller, .. })) = found else {
            return Err(Refusal::NoSuchProcedure(procedure).into());
        };
        let Some(callee) = roster.get(*callee) else {
            return Err(Refusal::NoSuchProcedure(procedure).into());
        };
        let payload = payload.transcode(callee.serializer())?;
        let by_callee = *discloses_caller && permission.discloses_caller != Disclosure::Never;
        let disclosed = (is_disclosed || by_callee).then_some(caller);
        let details = InvocationDetails {
            caller: disclosed.map(|caller| caller.id),
            caller_authid: disclosed.map(|caller| (&*caller.authid).into()),
            caller_authrole: disclosed.map(|caller| (&**caller.authrole()).into()),
            ..InvocationDetails::default()
        };
        let pending = Pending { caller: caller.id, request, since: step.now() };
        let invocation = self.parties.entry(callee.id).or_default().invoke(pending);
        self.parties.entry(caller.id).or_default().calls.insert(request, (callee.id, invocation));
        step.send(
            callee.id,
            Invocation { request: invocation, registration, details: details.into(), payload },
        );
        Ok(())
    }

    /// Sends the answer of a callee on to the caller.
    pub(crate) fn yield_result(
        &mut self,
        callee: &Member,
        message: Yield,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Violation> {
        check_no_passthru(message.options.passthru())?;
        let Some((caller, call)) = self.caller(callee, message.request, "YIELD", roster)? else {
            return Ok(());
        };
        if message.options.progress == Some(true) {
            // No caller can have asked for results in parts; the call goes on.
            return Ok(());
        }
        let request = call.request;
        let outcome = match message.payload.transcode(caller.serializer()).map_err(Fault::from) {
            Ok(payload) => {
                step.send(caller.id, CallResult { request, details: Sparse::default(), payload });
                CallOutcome::Answered
            }
            Err(Fault::Refusal(refusal)) => {
                refuse_call(&refusal, caller, request, step);
                CallOutcome::Error
            }
            Err(Fault::Violation(violation)) => return Err(violation),
        };
        step.answered(outcome, call.since);
        self.finish(callee.id, message.request);
        Ok(())
    }

    /// Sends the error of a callee on to the caller.
    pub(crate) fn error(
        &mut self,
        callee: &Member,
        message: Error,
        rule: UriRule,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Violation> {
        if message.request_type != RequestType::Invocation {
            let problem = "from a client can only answer an INVOCATION, type 68";
            return Err(Violation::Unexpected { message: "ERROR", problem });
        }
        check_no_passthru(message.details.passthru())?;
        check_unanswerable_uri("ERROR.Error", &message.error, rule)?;
        let Some((caller, call)) = self.caller(callee, message.request, "ERROR", roster)? else {
            return Ok(());
        };
        let request = call.request;
        match message.payload.transcode(caller.serializer()).map_err(Fault::from) {
            Ok(payload) => {
                let (request_type, details) = (RequestType::Call, Sparse::default());
                step.send(caller.id, Error { request_type, request, details, error: message.error, payload });
            }
            Err(Fault::Refusal(refusal)) => refuse_call(&refusal, caller, request, step),
            Err(Fault::Violation(violation)) => return Err(violation),
        }
        step.answered(CallOutcome::Error, call.since);
        self.finish(callee.id, message.request);
        Ok(())
    }

    /// The call behind an invocation, and who waits for its answer. Nobody does if the call has
    /// ended otherwise; an invocation that the callee was never sent is a violation.
    fn caller<'r>(
        &self,
        callee: &Member,
        invocation: RequestId,
        message: &'static str,
        roster: &'r Roster,
    ) -> Result<Option<(&'r Member, Pending)>, Violation> {
        let party = self.parties.get(&callee.id);
        if !party.is_some_and(|party| party.was_sent(invocation)) {
            return Err(Violation::UnknownInvocation { message, request: invocation });
        }
        let waiting = party.and_then(|party| party.invocations.get(&invocation));
        Ok(waiting.and_then(|call| Some((roster.get(call.caller)?, *call))))
    }

    fn finish(&mut self, callee: SessionId, invocation: RequestId) {
        let party = self.parties.get_mut(&callee);
        let call = party.and_then(|party| party.invocations.swap_remove(&invocation));
        if let Some(Pending { caller, request, .. }) = call
            && let Some(party) = self.parties.get_mut(&caller)
        {
            party.calls.swap_remove(&request);
        }
    }

    /// Forgets a session that is no member any more: its registrations are gone, who waits for its answers
    /// gets an ERROR, and what others answer to its calls is dropped.
    pub(crate) fn forget(&mut self, session: SessionId, roster: &Roster, step: &mut Step<'_>) {
        let Some(party) = self.parties.swap_remove(&session) else { return };
        for registration in party.registrations {
            self.drop_registration(registration);
        }
        for (_, (callee, invocation)) in party.calls {
            if let Some(callee) = self.parties.get_mut(&callee) {
                callee.invocations.swap_remove(&invocation);
            }
            step.called(CallOutcome::CallerGone);
        }
        for (_, Pending { caller, request, .. }) in party.invocations {
            if let Some(party) = self.parties.get_mut(&caller) {
                party.calls.swap_remove(&request);
            }
            if let Some(caller) = roster.get(caller) {
                refuse_call(&Refusal::CalleeGone, caller, request, step);
                step.called(CallOutcome::Canceled);
            }
        }
    }

    /// How many registrations there are.
    pub(crate) fn registrations(&self) -> usize {
        self.registrations.len()
    }

    /// How many calls are not answered yet.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.parties.values().map(|party| party.calls.len()).sum()
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(test)]
    pub(crate) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let party = |session: &SessionId| self.parties.get(session);
        let procedures = self.procedures.iter().all(|(uri, id)| {
            self.registrations.get(id).is_some_and(|registration| registration.procedure == *uri)
        });
        let registrations = self.registrations.iter().all(|(id, registration)| {
            self.procedures.get(&registration.procedure) == Some(id)
                && party(&registration.callee).is_some_and(|party| party.registrations.contains(id))
        });
        let parties = self.parties.iter().all(|(session, own)| {
            let registered = own.registrations.iter().all(|id| {
                self.registrations.get(id).is_some_and(|registration| registration.callee == *session)
            });
            let calling = own.calls.iter().all(|(request, (callee, invocation))| {
                party(callee)
                    .and_then(|party| party.invocations.get(invocation))
                    .is_some_and(|call| (call.caller, call.request) == (*session, *request))
            });
            let called = own.invocations.iter().all(|(invocation, call)| {
                party(&call.caller)
                    .is_some_and(|party| party.calls.get(&call.request) == Some(&(*session, *invocation)))
            });
            is_member(*session) && registered && calling && called
        });
        procedures && registrations && parties
    }
}

fn refuse_call(refusal: &Refusal, caller: &Member, request: RequestId, step: &mut Step<'_>) {
    step.refuse(caller.id, refusal, RequestType::Call, request, caller.serializer());
}
