//! From CALL to INVOCATION: who carries a call out, and what it is told (sections "Progressive Call Invocations" and
//! "Call Re-Routing").

use super::{Dealer, registration::Callee};
use crate::{
    limit::Limit,
    message::{
        Call, Invocation, InvocationDetails, Invoke, Sparse,
        feature::Feature,
        id::{RegistrationId, RequestId, SessionId},
        uri::{Match, Uri, UriRules},
    },
    permission::{Action, Disclosure},
    refusal::{Fault, Refusal, Violation, check_uri},
    roster::{Member, Roster},
    step::{CallOutcome, Step},
};
use smallvec::SmallVec;
use std::time::Duration;

/// A call on its way: who waits for the answer, and what may become of it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) caller: SessionId,
    pub(super) request: RequestId,
    /// When it was made.
    pub(super) since: Duration,
    /// Whether results in parts go to the caller.
    pub(super) receives_progress: bool,
    /// Whether the callee was told to stop, and its answer is awaited.
    pub(super) is_killed: bool,
    /// How long it may take, where it is for the dealer to see to it.
    pub(super) timeout: Option<Timeout>,
    pub(super) kept: Kept,
}

/// The time that a call has for its answer, or from one part of its result to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeout {
    pub(super) limit: Duration,
    /// The uptime at which it is over.
    pub(super) due: Duration,
}

/// What is kept of a call until it is answered.
#[derive(Debug)]
pub(super) enum Kept {
    /// Nothing: the callee is the only one, or too much is kept of other calls of the caller.
    Nothing,
    /// Nothing: it has gone so far that no other callee could take over.
    Begun,
    /// All of it, for another callee where this one is unavailable.
    Order(Box<Order>),
    /// How it was sent to the callee: further parts of its arguments are sent so too.
    Arguments(Box<Opening>),
}

/// A call as it was made.
#[derive(Debug)]
pub(super) struct Order {
    message: Call,
    registration: RegistrationId,
    since: Duration,
    is_disclosed: bool,
    /// Whether a callee that asks for it learns who calls.
    may_be_disclosed: bool,
    /// How far the caller is trusted, where that is told.
    trustlevel: Option<u64>,
    /// Who was to carry it out so far, in order of their ids.
    tried: SmallVec<[SessionId; 2]>,
}

/// How the first part of the arguments of a call was sent to its callee.
#[derive(Debug)]
pub(super) struct Opening {
    procedure: Uri,
    registration: RegistrationId,
    details: InvocationDetails,
}

/// How a CALL stands to those that its session sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequel {
    /// It is a new call.
    None,
    /// It brings a further part of the arguments of a call.
    Part,
    /// It brings a further part of the arguments of a call that has ended.
    Late,
    /// It has the request id of a call that is not answered yet, and cannot be a part of it.
    Conflict,
}

impl Pending {
    /// How many octets of its payload are kept.
    pub(super) fn kept_octets(&self) -> usize {
        match &self.kept {
            Kept::Order(order) => order.message.payload.len(),
            Kept::Nothing | Kept::Begun | Kept::Arguments(_) => 0,
        }
    }

    /// The procedure, if further arguments are to come for it.
    pub(super) fn awaited(&self) -> Option<&Uri> {
        if let Kept::Arguments(opening) = &self.kept { Some(&opening.procedure) } else { None }
    }

    /// Whether a CALL with the same request id brings them.
    pub(super) fn is_continued_by(&self, message: &Call) -> bool {
        self.awaited() == Some(&message.procedure)
    }
}

impl Dealer {
    /// How a CALL stands to those that its session sent before.
    pub(crate) fn sequel(&self, caller: SessionId, message: &Call) -> Sequel {
        self.calls.sequel(caller, message)
    }

    /// Sends a call of a member, which came at this uptime, on to a callee.
    pub(crate) fn call(
        &mut self,
        caller: &Member,
        message: Call,
        since: Duration,
        (rules, most): (UriRules, usize),
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        check_uri(&message.procedure, Match::Exact, rules)?;
        let permission = caller.authorize(Action::Call, &message.procedure, Match::Exact)?;
        let asks = message.options.disclose_me == Some(true);
        let is_disclosed = caller.role.discloses_caller(permission, asks)?;
        if self.calls.count_of(caller.id) >= most {
            let what = "a session has too many calls that are not answered yet";
            return Err(Refusal::TooMany { limit: Limit::Calls, what, most }.into());
        }
        if let Some(limit) = time_for(&message).filter(|limit| since + *limit <= step.uptime()) {
            return Err(Refusal::Timeout(limit).into());
        }
        let Some(registration) = self.registrations.best(&message.procedure) else {
            return Err(Refusal::NoSuchProcedure(message.procedure).into());
        };
        let order = Order {
            message,
            registration,
            since,
            is_disclosed,
            may_be_disclosed: permission.discloses_caller != Disclosure::Never,
            trustlevel: permission.trustlevel,
            tried: SmallVec::new(),
        };
        self.dispatch(order, caller, roster, step)
    }

    /// Sends a call on to the next callee that it was not tried with.
    pub(super) fn dispatch(
        &mut self,
        mut order: Order,
        caller: &Member,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        let Order { registration, since, .. } = order;
        let selected = self.registrations.select(registration, &order.tried, step);
        let found = selected.and_then(|(callee, held)| Some((callee, roster.get(callee.session)?, held)));
        let Some((callee, member, held)) = found else {
            return Err(Refusal::NoAvailableCallee.into());
        };
        let is_shared = held.invoke != Invoke::Single;
        let procedure = (held.matching != Match::Exact).then(|| order.message.procedure.clone());
        let mut details = order.details(procedure, callee, member, caller)?;
        let options = &order.message.options;
        let request = order.message.request;
        let limit = time_for(&order.message).filter(|_| details.timeout.is_none());
        let timeout = limit.map(|limit| Timeout { limit, due: since + limit });
        let receives_progress = details.receive_progress == Some(true);
        let is_kept = is_shared
            && options.progress != Some(true)
            && self.calls.can_keep(caller.id, order.message.payload.len());
        let payload = match is_kept {
            true => order.message.payload.transcode(member.serializer())?,
            false => order.message.payload.take().into_form_for(member.serializer())?,
        };
        let options = &order.message.options;
        let kept = if options.progress == Some(true) {
            let (procedure, opening) = (order.message.procedure, InvocationDetails::clone(&details));
            details = InvocationDetails { progress: Some(true), ..opening.clone() }.into();
            Kept::Arguments(Box::new(Opening { procedure, registration, details: opening }))
        } else if is_kept {
            order.note_tried(member.id);
            Kept::Order(Box::new(order))
        } else {
            Kept::Nothing
        };
        let pending =
            Pending { caller: caller.id, request, since, receives_progress, is_killed: false, timeout, kept };
        let request = self.calls.place(member.id, pending);
        step.send(member.id, Invocation { request, registration, details, payload });
        Ok(())
    }

    /// Sends a further part of the arguments of a call on to its callee.
    pub(crate) fn call_on(
        &mut self,
        caller: &Member,
        message: Call,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<(), Violation> {
        let Some((callee, request)) = self.calls.find(caller.id, message.request) else { return Ok(()) };
        let Some(member) = roster.get(callee) else { return Ok(()) };
        let Some(pending) = self.calls.pending_mut(callee, request) else { return Ok(()) };
        let Kept::Arguments(opening) = &pending.kept else { return Ok(()) };
        match message.payload.transcode(member.serializer()).map_err(Fault::from) {
            Ok(payload) => {
                let is_last = message.options.progress != Some(true);
                let progress = (!is_last).then_some(true);
                let details = InvocationDetails { progress, ..opening.details.clone() };
                let registration = opening.registration;
                if is_last {
                    pending.kept = Kept::Begun;
                }
                step.send(callee, Invocation { request, registration, details: details.into(), payload });
                Ok(())
            }
            Err(Fault::Refusal(refusal)) => {
                self.interrupt_and_end(callee, request, &refusal, CallOutcome::Error, roster, step);
                self.drop_part(caller.id, &message);
                Ok(())
            }
            Err(Fault::Violation(violation)) => Err(violation),
        }
    }

    /// Takes a further part of the arguments of a call that has ended: it has no effect.
    pub(crate) fn drop_part(&mut self, caller: SessionId, message: &Call) {
        if message.options.progress != Some(true) {
            self.calls.forget_cut_short(caller, message.request);
        }
    }

    /// Notes that a call was refused of whose arguments further parts are on their way.
    pub(crate) fn cut_short(&mut self, caller: SessionId, request: RequestId, procedure: &Uri) {
        self.calls.cut_short(caller, request, procedure);
    }
}

/// How long a call may take, if its caller says so.
fn time_for(message: &Call) -> Option<Duration> {
    message.options.timeout.filter(|limit| *limit > 0).map(Duration::from_millis)
}

impl Order {
    /// Notes who is to carry it out. From the first time on it is kept for longer.
    fn note_tried(&mut self, callee: SessionId) {
        if self.tried.is_empty() {
            self.message.payload = self.message.payload.detached();
        }
        if let Err(place) = self.tried.binary_search(&callee) {
            self.tried.insert(place, callee);
        }
    }

    /// What a callee is told about the call, but for whether its arguments are complete. Refuses a call that needs
    /// what the callee lacks.
    fn details(
        &self,
        procedure: Option<Uri>,
        callee: Callee,
        member: &Member,
        caller: &Member,
    ) -> Result<Sparse<InvocationDetails>, Refusal> {
        let (options, announced) = (&self.message.options, member.as_callee());
        let disclosed = self.is_disclosed || callee.discloses_caller && self.may_be_disclosed;
        if options.is_empty() && procedure.is_none() && !disclosed && self.trustlevel.is_none() {
            return Ok(Sparse::default());
        }
        let check = |feature| match announced.contains(feature) {
            true => Ok(()),
            false => Err(Refusal::FeatureNotSupported { who: "the callee", feature }),
        };
        if options.progress == Some(true) {
            check(Feature::ProgressiveCallInvocations)?;
            check(Feature::CallCanceling)?;
        }
        if options.passthru().is_some() {
            check(Feature::PayloadPassthruMode)?;
        }
        let disclosed = disclosed.then_some(caller);
        let progresses =
            announced.contains(Feature::ProgressiveCallResults) && announced.contains(Feature::CallCanceling);
        let keeps_time = callee.forwards_timeout && announced.contains(Feature::CallTimeout);
        let details = InvocationDetails {
            procedure,
            caller: disclosed.map(|caller| caller.id),
            caller_authid: disclosed.map(|caller| (&*caller.authid).into()),
            caller_authrole: disclosed.map(|caller| (&**caller.authrole()).into()),
            trustlevel: self.trustlevel,
            timeout: options.timeout.filter(|timeout| *timeout > 0 && keeps_time),
            receive_progress: options.receive_progress.filter(|asks| *asks && progresses),
            ..options.packing()
        };
        Ok(details.into())
    }
}
