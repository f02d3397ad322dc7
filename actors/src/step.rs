//! One step of a realm: what it is lent, and what it asks for.

use crate::{
    cause::Cause,
    codec::{Payload, Serializer},
    label::labels,
    limit::Limit,
    message::{
        RequestType, RouterMessage,
        id::{MAX_ID, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId},
        uri::Uri,
    },
    refusal::Refusal,
    roster::Member,
};
use rand::{RngExt, rngs::StdRng};
use smallvec::SmallVec;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The time and the chance that a step of the core may use, and the effects it asks for, in order.
pub struct Step<'a> {
    now: SystemTime,
    uptime: Duration,
    chance: &'a mut StdRng,
    effects: Vec<Effect>,
    /// How many octets there are in the larger of them.
    weight: usize,
    tally: Tally,
}

/// How many effects are gathered before they are carried out, more or less.
const MOST_EFFECTS: usize = 64;

/// How many octets are gathered in larger effects before they are carried out, more or less.
const MOST_WEIGHT: usize = 64 << 10;

/// Sessions that receive the same; often there is one.
pub type Receivers = SmallVec<[SessionId; 2]>;

/// What a realm asks its actor to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Queue a message for a session. Its payload is in the serializer of the session.
    Send {
        /// The receiver.
        to: SessionId,
        /// What it receives.
        message: RouterMessage,
    },
    /// Queue the same message for several sessions, which all have the serializer of its payload.
    Broadcast {
        /// The receivers.
        to: Receivers,
        /// What each receives.
        message: RouterMessage,
    },
    /// Note that an event did not reach sessions whose serializer has no form for it.
    Undeliverable {
        /// The sessions that miss it.
        to: Receivers,
        /// What stands in the way.
        problem: String,
    },
    /// Note that a component of a role that the router asked gave no answer that can be used.
    Unanswered {
        /// The procedure that was asked.
        procedure: Uri,
        /// Why not.
        problem: String,
    },
    /// Tell who wants to join, and has had a component asked, what it answered.
    Settled {
        /// Who had it asked, by the number that it was given.
        newcomer: u64,
        /// The answer.
        reply: Reply,
    },
    /// Call [`Realm::go_on`](crate::realm::Realm::go_on) when others have had their turn: more of a session waits than
    /// there was room for in this step.
    Unfinished {
        /// The session.
        session: SessionId,
    },
    /// Take it that all messages of a session have had their effect, which had to wait.
    Released {
        /// The session.
        session: SessionId,
    },
    /// Let go of a session: it is no member any more, and gets nothing after what is queued.
    Left {
        /// The former member.
        member: Arc<Member>,
        /// Why it left.
        cause: Cause,
        /// The last message that it gets.
        farewell: Option<RouterMessage>,
    },
}

impl Effect {
    /// The message, if it is broadcast to just these sessions.
    pub(crate) fn broadcast_to(&self, sessions: &[SessionId]) -> Option<&RouterMessage> {
        if let Self::Broadcast { to, message } = self
            && **to == *sessions
        {
            Some(message)
        } else {
            None
        }
    }
}

/// What a component answers the router.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// This.
    Result(Payload),
    /// This error.
    Error(Uri, Payload),
    /// Nothing, or not in time.
    None,
}

/// What a step did, in numbers.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    /// The publications that were taken, those of the router itself included.
    pub publications: u64,
    /// The calls that ended, by [`CallOutcome`].
    pub calls: [u64; CallOutcome::LABELS.len()],
    /// At which uptime those of them were made that their callee answered, and how many in a row at that time: what a
    /// client sends at once is often answered at once.
    pub answered: SmallVec<[(Duration, u64); 2]>,
    /// The limits that members ran into.
    pub limits: Vec<Limit>,
    /// The questions to components that ended, by [`QuestionOutcome`].
    pub questions: [u64; QuestionOutcome::LABELS.len()],
}

/// What becomes of a question of the router to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionOutcome {
    /// It is answered.
    Answered,
    /// It is answered with an error.
    Error,
    /// It is answered with what makes no sense.
    Unusable,
    /// There is nobody to be asked.
    Absent,
    /// Who was asked leaves.
    Left,
    /// The time for it is over.
    Late,
    /// It is larger than who was to be asked takes.
    TooLarge,
}

labels! {
    pub QuestionOutcome {
        Self::Answered => "answered",
        Self::Error => "error",
        Self::Unusable => "unusable",
        Self::Absent => "absent",
        Self::Left => "left",
        Self::Late => "late",
        Self::TooLarge => "too_large",
    }
}

/// How the call of a procedure that a session registered ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// With a result.
    Answered,
    /// With an error of the callee, or since there is no form for what one of the two sends the other.
    Error,
    /// With an error since the caller canceled it or the callee left.
    Canceled,
    /// With an error since the time for it was over.
    Timeout,
    /// Without an answer, since the caller left.
    CallerGone,
    /// With an error before it reached a callee.
    Refused,
}

labels! {
    pub CallOutcome {
        Self::Answered => "answered",
        Self::Error => "error",
        Self::Canceled => "canceled",
        Self::Timeout => "timeout",
        Self::CallerGone => "caller_gone",
        Self::Refused => "refused",
    }
}

impl<'a> Step<'a> {
    /// A step that happens `now`, when the realm has been there for `uptime` by a clock that never goes back.
    pub fn new(now: SystemTime, uptime: Duration, chance: &'a mut StdRng) -> Self {
        Self { now, uptime, chance, effects: Vec::new(), weight: 0, tally: Tally::default() }
    }

    /// Has the effects gathered behind those in this vector.
    pub(crate) fn gather_in(self, effects: Vec<Effect>) -> Self {
        Self { effects, ..self }
    }

    /// When the step happens, as people write it.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// When the step happens, as durations are measured and timeouts come due.
    pub fn uptime(&self) -> Duration {
        self.uptime
    }

    /// Whether enough is gathered to be carried out before more is done.
    pub(crate) fn is_full(&self) -> bool {
        self.effects.len() >= MOST_EFFECTS || self.weight >= MOST_WEIGHT
    }

    /// Counts the octets of an effect that may be large.
    pub(crate) fn weigh(&mut self, octets: usize) {
        self.weight += octets;
    }

    /// What the step asked for, in order.
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }

    /// What the step asked for, in order, and what it did in numbers.
    pub fn finish(self) -> (Vec<Effect>, Tally) {
        (self.effects, self.tally)
    }

    /// Counts a publication.
    pub(crate) fn published(&mut self) {
        self.tally.publications += 1;
    }

    /// Counts a question to a component that has ended.
    pub(crate) fn asked(&mut self, outcome: QuestionOutcome) {
        self.tally.questions[outcome as usize] += 1;
    }

    /// Counts a call that has ended.
    pub(crate) fn called(&mut self, outcome: CallOutcome) {
        self.tally.calls[outcome as usize] += 1;
    }

    /// Counts a call that its callee answered.
    pub(crate) fn answered(&mut self, outcome: CallOutcome, since: Duration) {
        self.called(outcome);
        match self.tally.answered.last_mut() {
            Some((last, calls)) if *last == since => *calls += 1,
            _ => self.tally.answered.push((since, 1)),
        }
    }

    #[inline]
    pub(crate) fn send(&mut self, to: SessionId, message: impl Into<RouterMessage>) {
        self.effects.push(Effect::Send { to, message: message.into() });
    }

    /// Answers a request with the ERROR of a refusal, and counts the limit that it ran into.
    pub(crate) fn refuse(
        &mut self,
        to: SessionId,
        refusal: &Refusal,
        request_type: RequestType,
        request: RequestId,
        serializer: Serializer,
    ) {
        self.tally.limits.extend(refusal.limit());
        self.send(to, refusal.answer(request_type, request, serializer));
    }

    /// Counts the limit that a request ran into which nobody is to be answered.
    pub(crate) fn drop_request(&mut self, refusal: &Refusal) {
        self.tally.limits.extend(refusal.limit());
    }

    /// Counts a limit that was run into without a request being refused.
    pub(crate) fn run_into(&mut self, limit: Limit) {
        self.tally.limits.push(limit);
    }

    /// Lets go of a former member, with the farewell that its cause asks for.
    pub(crate) fn let_go(&mut self, member: Arc<Member>, cause: Cause) {
        let farewell = cause.farewell();
        self.effects.push(Effect::Left { member, cause, farewell });
    }

    pub(crate) fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn session_id(&mut self) -> SessionId {
        self.draw(SessionId::new)
    }

    pub(crate) fn publication_id(&mut self) -> PublicationId {
        self.draw(PublicationId::new)
    }

    pub(crate) fn subscription_id(&mut self) -> SubscriptionId {
        self.draw(SubscriptionId::new)
    }

    pub(crate) fn registration_id(&mut self) -> RegistrationId {
        self.draw(RegistrationId::new)
    }

    /// One of so many places, drawn at random; `count` is not 0.
    pub(crate) fn place(&mut self, count: usize) -> usize {
        self.chance.random_range(0..count)
    }

    /// A name for somebody who has none, of letters that are not easily confused: 58 bits of chance.
    pub(crate) fn authid(&mut self) -> String {
        const LETTERS: &[u8; 30] = b"3456789ABCDEFGHJKLMNPQRSTUVWXY";
        let mut name = String::with_capacity(14);
        for position in 0..12 {
            if position > 0 && position % 4 == 0 {
                name.push('-');
            }
            name.push(LETTERS[self.chance.random_range(0..LETTERS.len())].into());
        }
        name
    }

    /// An id drawn at random over the whole range.
    fn draw<T>(&mut self, new: impl Fn(u64) -> Option<T>) -> T {
        loop {
            if let Some(id) = new(self.chance.random_range(1..=MAX_ID)) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_of_outcomes_stand_in_the_order_of_the_outcomes() {
        use CallOutcome as O;
        let outcomes = [O::Answered, O::Error, O::Canceled, O::Timeout, O::CallerGone, O::Refused];
        assert_eq!(
            outcomes.map(|outcome| CallOutcome::LABELS[outcome as usize]),
            outcomes.map(|o| o.label())
        );
        use QuestionOutcome as Q;
        let outcomes = [Q::Answered, Q::Error, Q::Unusable, Q::Absent, Q::Left, Q::Late, Q::TooLarge];
        assert_eq!(
            outcomes.map(|outcome| QuestionOutcome::LABELS[outcome as usize]),
            outcomes.map(|o| o.label())
        );
    }
}
