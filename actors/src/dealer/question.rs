//! Questions of the router itself, which components answer: invocations without a caller.

use super::{Dealer, answer::interrupt, timeouts::Timeouts};
use crate::{
    codec::{Arguments, Payload},
    collections::Map,
    message::{
        Invocation, Sparse,
        id::{RequestId, SessionId},
        uri::{Match, Uri},
    },
    roster::Roster,
    step::Step,
};
use std::time::Duration;

/// The questions that are not answered yet, by the component and the request under which it was asked.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: Map<Asked, Question>,
    timeouts: Timeouts,
}

/// A component, and the request under which it was asked.
pub(crate) type Asked = (SessionId, RequestId);

#[derive(Debug)]
struct Question {
    asker: Asker,
    /// The uptime at which the time for it is over.
    due: Duration,
}

/// For whom the router asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A member that wants to do something.
    Member(SessionId),
    /// Somebody who wants to join, by the number that it was given.
    Newcomer(u64),
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The component answered this.
    Result(Payload),
    /// It answered with an error.
    Error(Uri, Payload),
    /// It answered nothing.
    None(Unanswered),
}

/// Why a question is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// There is nobody to be asked.
    #[error("no session of a trusted role has registered it")]
    NobodyThere,
    /// Who was asked left.
    #[error("the session that was asked left before it answered")]
    Left,
    /// The time was over.
    #[error("the session that was asked did not answer in time")]
    Late,
    /// The question is larger than who was to be asked takes.
    #[error("the question is larger than the session that was to be asked takes")]
    TooLarge,
}

impl Dealer {
    /// Asks a component: the next callee of exactly this procedure, which has to have a trusted role.
    pub(crate) fn ask(
        &mut self,
        procedure: &Uri,
        arguments: &Arguments,
        asker: Asker,
        limit: Duration,
        roster: &Roster,
        step: &mut Step<'_>,
    ) -> Result<Asked, Unanswered> {
        let registration = self.registrations.of(procedure, Match::Exact).ok_or(Unanswered::NobodyThere)?;
        let selected = self.registrations.select(registration, &[], step);
        let component = selected.and_then(|(callee, _)| roster.get(callee.session));
        let component = component.filter(|member| member.role.is_trusted).ok_or(Unanswered::NobodyThere)?;
        // What the router tells has a form in every serializer.
        let payload =
            Payload::build(component.serializer(), arguments).map_err(|_| Unanswered::NobodyThere)?;
        let request = self.calls.next_invocation(component.id);
        let (asked, due) = ((component.id, request), step.uptime() + limit);
        self.questions.asked.insert(asked, Question { asker, due });
        self.questions.timeouts.insert(due, component.id, request);
        step.send(component.id, Invocation { request, registration, details: Sparse::default(), payload });
        Ok(asked)
    }

    /// For whom an invocation asks that a component answers, if it is a question. It is none any more.
    pub(crate) fn conclude_question(&mut self, asked: Asked) -> Option<Asker> {
        let Question { asker, due } = self.questions.asked.swap_remove(&asked)?;
        self.questions.timeouts.remove(due, asked.0, asked.1);
        Some(asker)
    }

    /// Whether a component is asked so, and has not answered.
    pub(crate) fn is_asked(&self, asked: Asked) -> bool {
        self.questions.asked.contains_key(&asked)
    }

    /// Ends a question that nobody waits for any more, and tells the component to stop.
    pub(crate) fn withdraw_question(&mut self, asked: Asked, roster: &Roster, step: &mut Step<'_>) {
        if self.conclude_question(asked).is_some() {
            interrupt(asked.0, asked.1, None, roster, step);
        }
    }

    /// Ends a question whose time is over, and tells the component to stop; gives for whom it was.
    pub(crate) fn expire_question(&mut self, roster: &Roster, step: &mut Step<'_>) -> Option<Asker> {
        let asked = self.questions.timeouts.overdue(step.uptime())?;
        let asker = self.conclude_question(asked);
        interrupt(asked.0, asked.1, Some("wamp.error.timeout".into()), roster, step);
        asker
    }

    /// Ends the questions that a component, which has left, did not answer; gives for whom they were.
    pub(crate) fn abandon_questions(&mut self, component: SessionId) -> Vec<Asker> {
        let asked: Vec<_> =
            self.questions.asked.keys().filter(|asked| asked.0 == component).copied().collect();
        asked.into_iter().filter_map(|asked| self.conclude_question(asked)).collect()
    }
}

impl Questions {
    /// When the time for the first is over.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.timeouts.next()
    }

    /// Whether no question is to a session for which `is_member` is false, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let is_sound = |(asked, question): (&Asked, &Question)| {
            is_member(asked.0) && self.timeouts.contains(question.due, asked.0, asked.1)
        };
        self.asked.iter().all(is_sound) && self.asked.len() == self.timeouts.len()
    }
}
