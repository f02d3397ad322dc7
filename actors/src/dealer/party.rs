//! What one session has to do with procedures: as callee and as caller.

use crate::{
    collections::{Map, Set},
    message::id::{RegistrationId, RequestId, SessionId},
};
use std::time::SystemTime;

/// A call on its way: who waits for the answer, under which request, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) caller: SessionId,
    pub(super) request: RequestId,
    pub(super) since: SystemTime,
}

/// The registrations and calls of one session.
#[derive(Debug, Default)]
pub(super) struct Party {
    pub(super) registrations: Set<RegistrationId>,
    /// Its calls that are not answered yet: who carries them out, under which request.
    pub(super) calls: Map<RequestId, (SessionId, RequestId)>,
    /// What it has not answered yet.
    pub(super) invocations: Map<RequestId, Pending>,
    /// The newest request that was sent to it.
    last_invocation: Option<RequestId>,
}

impl Party {
    /// Notes a call that this session is to carry out, and gives it the next request id.
    pub(super) fn invoke(&mut self, call: Pending) -> RequestId {
        let next = self.last_invocation.map_or(RequestId::FIRST, RequestId::next);
        self.last_invocation = Some(next);
        self.invocations.insert(next, call);
        next
    }

    /// Whether this invocation was ever sent to the session.
    pub(super) fn was_sent(&self, invocation: RequestId) -> bool {
        self.last_invocation.is_some_and(|last| invocation <= last)
    }
}
