//! From YIELD and ERROR to RESULT and ERROR, and the calls that end without them (sections "Progressive Call
//! Results", "Call Canceling" and "Call Timeout").

use super::{
    Dealer,
    invocation::{Kept, Pending},
};
use crate::{
    codec::Payload,
    message::{
        Cancel, CancelMode, Error, Interrupt, InterruptOptions, RequestType, Result as CallResult,
        ResultDetails, Sparse, Yield,
        feature::Feature,
        id::{RequestId, SessionId},
        uri::{Uri, UriRule},
    },
    refusal::{Fault, Refusal, Violation, check_announced, check_unanswerable_uri},
    roster::{Member, Roster},
    step::{CallOutcome, Step},
};
use std::time::Duration;

/// The error by which a callee asks for another callee.
const UNAVAILABLE: &str = "wamp.error.unavailable";

impl Dealer {
    /// Sends the answer of a callee, or a part of it, on to the caller.
    pub(crate) fn yield_result(
        &mut self,
        callee: &Member,
        message: Yield,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Violation> {
        let (invocation, options) = (message.request, message.options);
        let passthru = options.passthru();
        check_announced(passthru, Feature::PayloadPassthruMode, callee.as_callee())?;
        let Some((caller, call)) = self.caller(callee, invocation, "YIELD", roster)? else {
            return Ok(());
        };
        let is_part = options.progress == Some(true);
        if is_part && !call.receives_progress {
            // The caller did not ask for parts; the call goes on.
            return Ok(());
        }
        let (request, since) = (call.request, call.since);
        match payload_for(caller, message.payload, passthru) {
            Ok(payload) => {
                let details = match is_part || passthru.is_some() {
                    true => ResultDetails { progress: is_part.then_some(true), ..options.packing() }.into(),
                    false => Sparse::default(),
                };
                step.send(caller.id, CallResult { request, details, payload });
                if is_part {
                    self.go_on(callee.id, invocation, step);
                } else {
                    self.calls.conclude(callee.id, invocation);
                    step.answered(CallOutcome::Answered, since);
                }
            }
            Err(Fault::Refusal(refusal)) if is_part => {
                self.interrupt_and_end(callee.id, invocation, &refusal, CallOutcome::Error, roster, step);
            }
            Err(Fault::Refusal(refusal)) => {
                self.calls.conclude(callee.id, invocation);
                refuse_call(&refusal, caller, request, step);
                step.answered(CallOutcome::Error, since);
            }
            Err(Fault::Violation(violation)) => return Err(violation),
        }
        Ok(())
    }

    /// A part of the result has gone to the caller, which no other callee could take back.
    fn go_on(&mut self, callee: SessionId, invocation: RequestId, step: &Step<'_>) {
        self.calls.has_begun(callee, invocation);
        self.calls.rearm(callee, invocation, step.uptime());
    }

    /// Sends the error of a callee on to the caller, or the call to another callee.
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
        let passthru = message.details.passthru();
        check_announced(passthru, Feature::PayloadPassthruMode, callee.as_callee())?;
        check_unanswerable_uri("ERROR.Error", &message.error, rule)?;
        let invocation = message.request;
        let Some((caller, call)) = self.caller(callee, invocation, "ERROR", roster)? else {
            return Ok(());
        };
        if &*message.error == UNAVAILABLE
            && !call.is_killed
            && matches!(call.kept, Kept::Nothing | Kept::Order(_))
        {
            self.reroute(callee.id, invocation, caller, roster, step);
            return Ok(());
        }
        let (request, since) = (call.request, call.since);
        match payload_for(caller, message.payload, passthru) {
            Ok(payload) => {
                let Error { details, error, .. } = message;
                let request_type = RequestType::Call;
                step.send(caller.id, Error { request_type, request, details, error, payload });
            }
            Err(Fault::Refusal(refusal)) => refuse_call(&refusal, caller, request, step),
            Err(Fault::Violation(violation)) => return Err(violation),
        }
        self.calls.conclude(callee.id, invocation);
        step.answered(CallOutcome::Error, since);
        Ok(())
    }

    /// Sends a call, whose callee is unavailable, on to the next one (section "Call Re-Routing").
    fn reroute(
        &mut self,
        callee: SessionId,
        invocation: RequestId,
        caller: &Member,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let Some(Pending { request, since, kept, .. }) = self.calls.conclude(callee, invocation) else {
            return;
        };
        let rerouted = match kept {
            Kept::Order(order) => self.dispatch(*order, caller, roster, step),
            Kept::Nothing | Kept::Begun | Kept::Arguments(_) => Err(Refusal::NoAvailableCallee.into()),
        };
        let refusal = match rerouted {
            Ok(()) => return,
            Err(Fault::Refusal(refusal)) => refusal,
            // It is the payload of the caller, but not the message of the caller that is at hand.
            Err(Fault::Violation(violation)) => Refusal::InvalidArgument(violation.to_string()),
        };
        refuse_call(&refusal, caller, request, step);
        step.answered(CallOutcome::Error, since);
    }

    /// Does what a caller asks for who does not want the answer any more. What is over cannot be canceled.
    pub(crate) fn cancel(
        &mut self,
        caller: SessionId,
        message: &Cancel,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let Some((callee, invocation)) = self.calls.find(caller, message.request) else { return };
        let mode = message.options.mode.unwrap_or(CancelMode::KillNoWait);
        match mode {
            CancelMode::Kill if can_be_interrupted(callee, roster) => {
                if let Some(call) = self.calls.pending_mut(callee, invocation)
                    && !call.is_killed
                {
                    call.is_killed = true;
                    let options = InterruptOptions { mode: Some(CancelMode::Kill), reason: None };
                    step.send(callee, Interrupt { request: invocation, options });
                }
            }
            CancelMode::Skip | CancelMode::Kill => {
                self.end(callee, invocation, &Refusal::Canceled, CallOutcome::Canceled, roster, step);
            }
            CancelMode::KillNoWait => {
                let (refusal, outcome) = (Refusal::Canceled, CallOutcome::Canceled);
                self.interrupt_and_end(callee, invocation, &refusal, outcome, roster, step);
            }
        }
    }

    /// When the next call has to be answered, by the uptime of the realm.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.calls.next_timeout().into_iter().chain(self.questions.next_timeout()).min()
    }

    /// Ends the calls whose time is over.
    pub(crate) fn expire(&mut self, roster: &Roster, step: &mut Step<'_>) {
        while let Some((callee, invocation, limit)) = self.calls.overdue(step.uptime()) {
            let refusal = Refusal::Timeout(limit);
            self.interrupt_and_end(callee, invocation, &refusal, CallOutcome::Timeout, roster, step);
        }
    }

    /// Refuses a call of which the invocation, none of which was sent, is larger than its callee takes.
    pub(crate) fn refuse_opening(
        &mut self,
        callee: SessionId,
        invocation: RequestId,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        self.end(callee, invocation, &Refusal::TooLarge, CallOutcome::Error, roster, step);
    }

    /// Refuses a request whose answer, or a further part of whose invocation, is larger than its receiver takes. That was
    /// not sent.
    pub(crate) fn refuse_oversized(
        &mut self,
        receiver: &Member,
        request_type: RequestType,
        request: RequestId,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let (refusal, outcome) = (Refusal::TooLarge, CallOutcome::Error);
        match request_type {
            RequestType::Invocation => {
                self.interrupt_and_end(receiver.id, request, &refusal, outcome, roster, step);
            }
            RequestType::Call => match self.calls.find(receiver.id, request) {
                // It was a part of the result.
                Some((callee, invocation)) => {
                    self.interrupt_and_end(callee, invocation, &refusal, outcome, roster, step);
                }
                None => refuse_call(&refusal, receiver, request, step),
            },
            RequestType::Publish
            | RequestType::Subscribe
            | RequestType::Unsubscribe
            | RequestType::Register
            | RequestType::Unregister => {
                step.refuse(receiver.id, &refusal, request_type, request, receiver.serializer());
            }
        }
    }

    /// Ends a call with an ERROR of the dealer.
    pub(super) fn end(
        &mut self,
        callee: SessionId,
        invocation: RequestId,
        refusal: &Refusal,
        outcome: CallOutcome,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        let Some(call) = self.calls.conclude(callee, invocation) else { return };
        if let Some(caller) = roster.get(call.caller) {
            refuse_call(refusal, caller, call.request, step);
            step.called(outcome);
        }
    }

    /// Ends a call with an ERROR of the dealer, and tells the callee to stop.
    pub(super) fn interrupt_and_end(
        &mut self,
        callee: SessionId,
        invocation: RequestId,
        refusal: &Refusal,
        outcome: CallOutcome,
        roster: &Roster,
        step: &mut Step<'_>,
    ) {
        // What the caller wants itself needs no reason.
        let reason = (*refusal != Refusal::Canceled).then(|| refusal.uri().into());
        interrupt(callee, invocation, reason, roster, step);
        self.end(callee, invocation, refusal, outcome, roster, step);
    }

    /// The call behind an invocation, and who waits for its answer. Nobody does if the call has
    /// ended otherwise; an invocation that the callee was never sent is a violation.
    fn caller<'r>(
        &self,
        callee: &Member,
        invocation: RequestId,
        message: &'static str,
        roster: &'r Roster,
    ) -> Result<Option<(&'r Member, &Pending)>, Violation> {
        match self.calls.pending(callee.id, invocation) {
            Some(call) => Ok(roster.get(call.caller).map(|caller| (caller, call))),
            None if self.calls.was_sent(callee.id, invocation) => Ok(None),
            None => Err(Violation::UnknownInvocation { message, request: invocation }),
        }
    }
}

fn can_be_interrupted(callee: SessionId, roster: &Roster) -> bool {
    roster.get(callee).is_some_and(|callee| callee.as_callee().contains(Feature::CallCanceling))
}

/// Tells a callee, if it knows what that means, to stop and that its answer is not awaited.
pub(super) fn interrupt(
    callee: SessionId,
    request: RequestId,
    reason: Option<Uri>,
    roster: &Roster,
    step: &mut Step<'_>,
) {
    if can_be_interrupted(callee, roster) {
        let options = InterruptOptions { mode: Some(CancelMode::KillNoWait), reason };
        step.send(callee, Interrupt { request, options });
    }
}

fn refuse_call(refusal: &Refusal, caller: &Member, request: RequestId, step: &mut Step<'_>) {
    step.refuse(caller.id, refusal, RequestType::Call, request, caller.serializer());
}

/// What a callee sends in the form that its caller can take.
fn payload_for(caller: &Member, payload: Payload, passthru: Option<&'static str>) -> Result<Payload, Fault> {
    let feature = Feature::PayloadPassthruMode;
    if passthru.is_some() && !caller.as_caller().contains(feature) {
        return Err(Refusal::FeatureNotSupported { who: "the caller", feature }.into());
    }
    Ok(payload.into_form_for(caller.serializer())?)
}
