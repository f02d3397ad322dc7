//! Calls on their way, as their callers and their callees know them.

use super::{
    invocation::{Kept, Pending, Sequel},
    timeouts::Timeouts,
};
use crate::{
    collections::Lookup,
    message::{
        Call,
        id::{RequestId, SessionId},
        uri::Uri,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
    time::Duration,
};

/// How many calls of a session, whose arguments had not all come when they ended, are remembered.
const MOST_CUT_SHORT: usize = 1000;

/// How many octets of the calls of a session are kept for callees that might take over, beside those of a single one.
const MOST_KEPT: usize = 1 << 20;

/// All calls of a realm that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    parties: Lookup<SessionId, Party>,
    timeouts: Timeouts,
}

/// What one session has to do with calls: as caller and as callee.
#[derive(Debug, Default)]
struct Party {
    /// Its calls that are not answered yet: who carries them out, under which request.
    calls: Lookup<RequestId, (SessionId, RequestId)>,
    /// The octets that are kept of them.
    kept: usize,
    /// What it has not answered yet.
    invocations: Lookup<RequestId, Pending>,
    /// The newest request that was sent to it.
    last_invocation: Option<RequestId>,
    /// Calls that ended before all their arguments had come, with the hashes of their procedures: what follows has no
    /// effect. Of too many the oldest are forgotten, which have the smallest ids.
    cut_short: BTreeMap<RequestId, u64>,
}

impl Calls {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.parties.values().map(|party| party.calls.len()).sum()
    }

    /// How many a session has made.
    pub(super) fn count_of(&self, caller: SessionId) -> usize {
        self.parties.get(&caller).map_or(0, |party| party.calls.len())
    }

    /// Notes a call that a callee is to carry out; gives the request id of its invocation, the next of the callee.
    pub(super) fn place(&mut self, callee: SessionId, call: Pending) -> RequestId {
        let (caller, request) = (call.caller, call.request);
        let (timeout, kept) = (call.timeout, call.kept_octets());
        let invocation = self.parties.entry(callee).or_default().invoke(call);
        let party = self.parties.entry(caller).or_default();
        party.calls.insert(request, (callee, invocation));
        party.cut_short.remove(&request);
        party.kept += kept;
        if let Some(timeout) = timeout {
            self.timeouts.insert(timeout.due, callee, invocation);
        }
        invocation
    }

    /// The request id of an invocation that no session has called for.
    pub(super) fn next_invocation(&mut self, callee: SessionId) -> RequestId {
        self.parties.entry(callee).or_default().next_invocation()
    }

    /// Forgets a call, which has ended.
    pub(super) fn conclude(&mut self, callee: SessionId, invocation: RequestId) -> Option<Pending> {
        let call = self.parties.get_mut(&callee)?.invocations.remove(&invocation)?;
        let awaited = call.awaited().map(|procedure| self.hash(procedure));
        if let Some(timeout) = call.timeout {
            self.timeouts.remove(timeout.due, callee, invocation);
        }
        if let Some(party) = self.parties.get_mut(&call.caller) {
            party.calls.remove(&call.request);
            party.kept -= call.kept_octets();
            if let Some(procedure) = awaited {
                party.cut_short(call.request, procedure);
            }
        }
        Some(call)
    }

    /// How a CALL stands to those that its session sent before.
    pub(super) fn sequel(&self, caller: SessionId, message: &Call) -> Sequel {
        let Some(party) = self.parties.get(&caller) else { return Sequel::None };
        match party.calls.get(&message.request) {
            Some((callee, invocation)) => match self.pending(*callee, *invocation) {
                Some(call) if call.is_continued_by(message) => Sequel::Part,
                Some(_) | None => Sequel::Conflict,
            },
            None => match party.cut_short.get(&message.request) {
                Some(procedure) if *procedure == self.hash(&message.procedure) => Sequel::Late,
                _ => Sequel::None,
            },
        }
    }

    /// What is remembered of a procedure that may have any length.
    fn hash(&self, procedure: &Uri) -> u64 {
        self.parties.hasher().hash_one(procedure)
    }

    /// Who carries out a call, under which request.
    pub(super) fn find(&self, caller: SessionId, request: RequestId) -> Option<(SessionId, RequestId)> {
        self.parties.get(&caller)?.calls.get(&request).copied()
    }

    pub(super) fn pending(&self, callee: SessionId, invocation: RequestId) -> Option<&Pending> {
        self.parties.get(&callee)?.invocations.get(&invocation)
    }

    pub(super) fn pending_mut(&mut self, callee: SessionId, invocation: RequestId) -> Option<&mut Pending> {
        self.parties.get_mut(&callee)?.invocations.get_mut(&invocation)
    }

    /// Whether so many octets of a call of this session can be kept besides what is kept of others.
    pub(super) fn can_keep(&self, caller: SessionId, octets: usize) -> bool {
        let kept = self.parties.get(&caller).map_or(0, |party| party.kept);
        kept == 0 || kept + octets <= MOST_KEPT
    }

    /// Notes that no other callee can take over a call, so that nothing of it is kept any more.
    pub(super) fn has_begun(&mut self, callee: SessionId, invocation: RequestId) {
        if let Some(call) = self.pending_mut(callee, invocation)
            && call.awaited().is_none()
        {
            let (caller, kept) = (call.caller, call.kept_octets());
            call.kept = Kept::Begun;
            if let Some(party) = self.parties.get_mut(&caller) {
                party.kept -= kept;
            }
        }
    }

    /// Whether this invocation was ever sent to the session.
    pub(super) fn was_sent(&self, callee: SessionId, invocation: RequestId) -> bool {
        let last = self.parties.get(&callee).and_then(|party| party.last_invocation);
        last.is_some_and(|last| invocation <= last)
    }

    /// Begins the time of a call anew, since a part of its result came at `now`.
    pub(super) fn rearm(&mut self, callee: SessionId, invocation: RequestId, now: Duration) {
        let call = self.parties.get_mut(&callee).and_then(|party| party.invocations.get_mut(&invocation));
        if let Some(timeout) = call.and_then(|call| call.timeout.as_mut()) {
            self.timeouts.remove(timeout.due, callee, invocation);
            timeout.due = now + timeout.limit;
            self.timeouts.insert(timeout.due, callee, invocation);
        }
    }

    /// When the next call has to be answered.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.timeouts.next()
    }

    /// A call that had to be answered until `now`, and how long it could take.
    pub(super) fn overdue(&self, now: Duration) -> Option<(SessionId, RequestId, Duration)> {
        let (callee, invocation) = self.timeouts.overdue(now)?;
        let timeout = self.pending(callee, invocation)?.timeout?;
        Some((callee, invocation, timeout.limit))
    }

    /// Remembers that a call has ended before all its arguments had come.
    pub(super) fn cut_short(&mut self, caller: SessionId, request: RequestId, procedure: &Uri) {
        let procedure = self.hash(procedure);
        self.parties.entry(caller).or_default().cut_short(request, procedure);
    }

    /// Forgets a call that was cut short, since all its arguments have come now.
    pub(super) fn forget_cut_short(&mut self, caller: SessionId, request: RequestId) {
        if let Some(party) = self.parties.get_mut(&caller) {
            party.cut_short.remove(&request);
        }
    }

    /// The calls that a session has made, as callees with their requests, by its own requests.
    pub(super) fn made_by(&self, caller: SessionId) -> BTreeMap<RequestId, (SessionId, RequestId)> {
        let calls = self.parties.get(&caller).map(|party| &party.calls);
        calls.into_iter().flatten().map(|(request, call)| (*request, *call)).collect()
    }

    /// The invocations that a session has not answered, in order.
    pub(super) fn carried_out_by(&self, callee: SessionId) -> BTreeSet<RequestId> {
        let invocations = self.parties.get(&callee).map(|party| &party.invocations);
        invocations.into_iter().flatten().map(|(invocation, _)| *invocation).collect()
    }

    /// Forgets a session that has no calls any more.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.parties.remove(&session);
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let parties = self.parties.iter().all(|(session, own)| {
            let calling = own.calls.iter().all(|(request, (callee, invocation))| {
                self.pending(*callee, *invocation)
                    .is_some_and(|call| (call.caller, call.request) == (*session, *request))
            });
            let called = own.invocations.iter().all(|(invocation, call)| {
                self.find(call.caller, call.request) == Some((*session, *invocation))
                    && self.was_sent(*session, *invocation)
                    && call
                        .timeout
                        .is_none_or(|timeout| self.timeouts.contains(timeout.due, *session, *invocation))
            });
            let pending = own.calls.values().filter_map(|(callee, call)| self.pending(*callee, *call));
            let kept = pending.map(Pending::kept_octets).sum::<usize>() == own.kept;
            let ended = own.cut_short.keys().all(|request| !own.calls.contains_key(request));
            is_member(*session) && calling && called && kept && ended && own.cut_short.len() <= MOST_CUT_SHORT
        });
        let pending = self.parties.values().flat_map(|party| party.invocations.values());
        parties && pending.filter(|call| call.timeout.is_some()).count() == self.timeouts.len()
    }
}

impl Party {
    fn invoke(&mut self, call: Pending) -> RequestId {
        let next = self.next_invocation();
        self.invocations.insert(next, call);
        next
    }

    fn next_invocation(&mut self) -> RequestId {
        let next = self.last_invocation.map_or(RequestId::FIRST, RequestId::next);
        self.last_invocation = Some(next);
        next
    }

    fn cut_short(&mut self, request: RequestId, procedure: u64) {
        self.cut_short.insert(request, procedure);
        if self.cut_short.len() > MOST_CUT_SHORT {
            self.cut_short.pop_first();
        }
    }
}
