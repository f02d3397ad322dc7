//! What the realm asks components before something happens: whether a session may do what it wants, and who somebody is
//! who wants to join.
//!
//! While its authorizer is asked about a message of a session, what it sends after that waits. Nobody else does.

use super::Realm;
use crate::{
    cause::Cause,
    codec::{Arguments, options_value},
    dealer::{Answer, Asked, Asker, Sequel, Unanswered},
    limit::Limit,
    message::{
        ClientMessage, RequestType,
        id::SessionId,
        uri::{Match, Uri},
        value::Value,
    },
    meta::MetaProcedure,
    permission::{Action, Actions, Disclosure, Permission, SessionDetails},
    refusal::{Refusal, Violation, check_not_reserved, check_uri},
    roster::Member,
    step::{CallOutcome, Effect, QuestionOutcome, Reply, Step},
    verdict::{Verdict, Wish},
};
use std::{collections::VecDeque, time::Duration};

/// What waits of a session.
#[derive(Debug)]
pub(super) struct Held {
    /// The message about which its authorizer is asked, if it is that for which the others wait, and not their turn.
    asked: Option<AskedAbout>,
    /// What it has sent since, in order, with the uptime at which each came. There is no more of it than the credit of
    /// the session allows.
    later: VecDeque<(ClientMessage, Duration)>,
    /// Why it leaves when all that has had its effect, if it does.
    leaves: Option<Cause>,
}

/// A message of a session whose authorizer is asked.
#[derive(Debug)]
struct AskedAbout {
    asked: Asked,
    authorizer: Uri,
    wish: Wish,
    message: ClientMessage,
    /// The uptime at which it came.
    since: Duration,
}

impl QuestionOutcome {
    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Result(_) => Self::Answered,
            Answer::Error(..) => Self::Error,
            Answer::None(Unanswered::NobodyThere) => Self::Absent,
            Answer::None(Unanswered::Left) => Self::Left,
            Answer::None(Unanswered::Late) => Self::Late,
            Answer::None(Unanswered::TooLarge) => Self::TooLarge,
        }
    }
}

impl Realm {
    /// Whether messages of a session wait. All that it has sent counts against its credit until they do not.
    pub fn is_holding(&self, session: SessionId) -> bool {
        self.held.contains_key(&session)
    }

    /// Has a message wait behind others of the same session that do.
    pub(super) fn hold(&mut self, from: SessionId, message: ClientMessage, since: Duration) {
        if let Some(held) = self.held.get_mut(&from) {
            held.later.push_back((message, since));
        }
    }

    /// Has a session leave when all that it has sent before has had its effect.
    pub fn leave_in_turn(&mut self, session: SessionId, cause: Cause, step: &mut Step<'_>) {
        match self.held.get_mut(&session) {
            Some(held) => held.leaves = Some(cause),
            None => self.leave(session, cause, step),
        }
    }

    /// Whether a message waits that came before this uptime.
    pub(super) fn is_holding_from_before(&self, uptime: Duration) -> bool {
        self.held.values().any(|Held { asked, later, .. }| {
            let first = asked.as_ref().map(|about| about.since).or(later.front().map(|(_, since)| *since));
            first.is_some_and(|since| since < uptime)
        })
    }

    /// Does what a message asks for, of which the request id has been checked, or has it wait for the authorizer of
    /// its session.
    pub(super) fn consider(
        &mut self,
        from: SessionId,
        message: ClientMessage,
        (sequel, since): (Sequel, Duration),
        step: &mut Step<'_>,
    ) -> Result<Option<Cause>, Violation> {
        let Some(member) = self.roster.get(from) else { return Ok(None) };
        let Some(authorizer) = member.role.asks() else {
            return self.act(from, message, (sequel, since), step);
        };
        let Some((wish, options)) =
            self.wish(&message, sequel).filter(|(wish, _)| !member.verdicts.has(wish))
        else {
            return self.act(from, message, (sequel, since), step);
        };
        let arguments = question(member, &self.name, &wish, options);
        let (procedure, limit) = (authorizer.clone(), self.options.limits.component_timeout);
        match self.dealer.ask(&procedure, &arguments, Asker::Member(from), limit, &self.roster, step) {
            Ok(asked) => {
                let asked = Some(AskedAbout { asked, authorizer: procedure, wish, message, since });
                self.held.insert(from, Held { asked, later: VecDeque::new(), leaves: None });
                Ok(None)
            }
            Err(unanswered) => {
                self.note_unanswered(from, QuestionOutcome::Absent, unanswered.to_string(), step);
                self.act_upon(from, message, since, (wish, Verdict::Failed, false), step)
            }
        }
    }

    /// Asks a component about somebody who wants to join, and whom the answer is told under this number.
    pub fn ask_about(&mut self, newcomer: u64, procedure: &Uri, arguments: &Arguments, step: &mut Step<'_>) {
        let (limit, asker) = (self.options.limits.component_timeout, Asker::Newcomer(newcomer));
        if let Err(unanswered) = self.dealer.ask(procedure, arguments, asker, limit, &self.roster, step) {
            self.settled.push_back((asker, Answer::None(unanswered)));
        }
        self.settle(step);
    }

    /// What a message wants to do, with its options. What is refused without asking is no wish.
    fn wish(&self, message: &ClientMessage, sequel: Sequel) -> Option<(Wish, Value)> {
        let (action, uri, matching, options) = match message {
            ClientMessage::Publish(message) => {
                (Action::Publish, &message.topic, Match::Exact, options_value(&message.options))
            }
            ClientMessage::Call(message) if sequel == Sequel::None => {
                (Action::Call, &message.procedure, Match::Exact, options_value(&message.options))
            }
            ClientMessage::Subscribe(message) => {
                let matching = message.options.r#match.unwrap_or_default();
                (Action::Subscribe, &message.topic, matching, options_value(&message.options))
            }
            ClientMessage::Register(message) => {
                let matching = message.options.r#match.unwrap_or_default();
                (Action::Register, &message.procedure, matching, options_value(&message.options))
            }
            ClientMessage::Call(_)
            | ClientMessage::Hello(_)
            | ClientMessage::Abort(_)
            | ClientMessage::Authenticate(_)
            | ClientMessage::Goodbye(_)
            | ClientMessage::Error(_)
            | ClientMessage::Unsubscribe(_)
            | ClientMessage::Unregister(_)
            | ClientMessage::Cancel(_)
            | ClientMessage::Yield(_) => return None,
        };
        check_uri(uri, matching, self.uri_rules()).ok()?;
        if matches!(action, Action::Publish | Action::Register) {
            check_not_reserved(uri).ok()?;
        }
        Some((Wish { action, uri: uri.clone(), matching }, options))
    }

    /// Takes the answer of a component; what it means is looked at when the message has had its effect.
    pub(super) fn take_answer(&mut self, asked: Asked, answer: Answer) {
        if let Some(asker) = self.dealer.conclude_question(asked) {
            self.settled.push_back((asker, answer));
        }
    }

    /// Ends the questions of which the time is over.
    pub(super) fn expire_questions(&mut self, step: &mut Step<'_>) {
        while let Some(asker) = self.dealer.expire_question(&self.roster, step) {
            step.run_into(Limit::ComponentTimeout);
            self.settled.push_back((asker, Answer::None(Unanswered::Late)));
        }
    }

    /// Ends what a session that leaves has asked, or was asked.
    pub(super) fn abandon(&mut self, session: SessionId, step: &mut Step<'_>) {
        if let Some(Held { asked: Some(about), .. }) = self.held.swap_remove(&session) {
            self.dealer.withdraw_question(about.asked, &self.roster, step);
        }
        let abandoned = self.dealer.abandon_questions(session);
        let left = |asker| (asker, Answer::None(Unanswered::Left));
        self.settled.extend(abandoned.into_iter().map(left));
    }

    /// Answers the calls of a member that have no answer yet, since it is sent away together with those who would carry
    /// them out.
    pub(super) fn cut_off(&mut self, caller: SessionId, step: &mut Step<'_>) {
        let mut answered = self.dealer.cut_off(caller, &self.roster, step);
        let Some(Held { asked, later, .. }) = self.held.swap_remove(&caller) else { return };
        let asked = asked.map(|about| {
            self.dealer.withdraw_question(about.asked, &self.roster, step);
            about.message
        });
        let Some(member) = self.roster.get(caller) else { return };
        let sent = asked.into_iter().chain(later.into_iter().map(|(message, _)| message));
        let is_last = |message: &_| matches!(message, ClientMessage::Goodbye(_) | ClientMessage::Abort(_));
        for message in sent.take_while(|message| !is_last(message)) {
            let ClientMessage::Call(call) = message else { continue };
            // Others are parts of calls that are answered.
            if self.dealer.sequel(caller, &call) == Sequel::None && answered.insert(call.request) {
                let (refusal, request) = (Refusal::RealmClosed, call.request);
                step.refuse(caller, &refusal, RequestType::Call, request, member.serializer());
                if MetaProcedure::from_uri(&call.procedure, self.options.session_meta_api).is_none() {
                    step.called(CallOutcome::Canceled);
                }
            }
        }
    }

    /// Lets go on what has waited for the answers that have come.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) {
        while let Some((asker, answer)) = self.settled.pop_front() {
            match asker {
                Asker::Member(session) => self.resume(session, answer, step),
                Asker::Newcomer(newcomer) => {
                    step.asked(QuestionOutcome::of(&answer));
                    let reply = match answer {
                        Answer::Result(payload) => Reply::Result(payload),
                        Answer::Error(error, payload) => Reply::Error(error, payload),
                        Answer::None(_) => Reply::None,
                    };
                    step.ask(Effect::Settled { newcomer, reply });
                }
            }
        }
    }

    /// Lets go on what a session wanted to do, by what its authorizer said, and what it has sent since.
    fn resume(&mut self, session: SessionId, answer: Answer, step: &mut Step<'_>) {
        let Some(held) = self.held.get_mut(&session) else { return };
        let Some(AskedAbout { authorizer, wish, message, since, .. }) = held.asked.take() else { return };
        let outcome = QuestionOutcome::of(&answer);
        let (verdict, is_kept) = match read(answer, &wish) {
            Ok(verdict) => {
                step.asked(outcome);
                verdict
            }
            Err(problem) => {
                let outcome =
                    if outcome == QuestionOutcome::Answered { QuestionOutcome::Unusable } else { outcome };
                self.note_unanswered(session, outcome, problem, step);
                (Verdict::Failed, false)
            }
        };
        // What is said by one that is not asked any more counts for this message alone.
        let is_current =
            self.roster.get(session).is_some_and(|member| member.role.asks() == Some(&authorizer));
        let verdict = (wish, verdict, is_kept && is_current);
        let acted = self.act_upon(session, message, since, verdict, step);
        self.conclude(session, acted, step);
        self.go_on_with(session, step);
    }

    /// Lets go on what a session has sent while it had to wait, as far as there is room in this step.
    pub fn go_on(&mut self, session: SessionId, step: &mut Step<'_>) {
        self.go_on_with(session, step);
        self.settle(step);
    }

    fn go_on_with(&mut self, session: SessionId, step: &mut Step<'_>) {
        if self.held.get(&session).is_none_or(|held| held.asked.is_some()) {
            return;
        }
        let Some(Held { mut later, leaves, .. }) = self.held.swap_remove(&session) else { return };
        while let Some((message, since)) = later.pop_front() {
            if step.is_full() {
                later.push_front((message, since));
                self.held.insert(session, Held { asked: None, later, leaves });
                return step.ask(Effect::Unfinished { session });
            }
            self.take_one(session, message, since, step);
            if let Some(held) = self.held.get_mut(&session) {
                (held.later, held.leaves) = (later, leaves);
                return;
            }
            if !self.roster.contains(session) {
                return;
            }
        }
        match leaves {
            Some(cause) => self.part_with(session, cause, step),
            None => step.ask(Effect::Released { session }),
        }
    }

    /// Forgets what waits of a session, as far as nobody is asked about it.
    pub(super) fn forget_waiting(&mut self, session: SessionId) {
        if let Some(Held { later, .. }) = self.held.get_mut(&session) {
            later.clear();
        }
    }

    fn note_unanswered(
        &self,
        session: SessionId,
        outcome: QuestionOutcome,
        problem: String,
        step: &mut Step<'_>,
    ) {
        step.asked(outcome);
        let role = self.roster.get(session).map(|member| &member.role);
        if let Some(procedure) = role.and_then(|role| role.asks().cloned()) {
            step.ask(Effect::Unanswered { procedure, problem });
        }
    }

    /// Does what a message asks for, by this verdict on it, which may be kept.
    fn act_upon(
        &mut self,
        from: SessionId,
        message: ClientMessage,
        since: Duration,
        (wish, verdict, is_kept): (Wish, Verdict, bool),
        step: &mut Step<'_>,
    ) -> Result<Option<Cause>, Violation> {
        if let Some(member) = self.roster.get_mut(from) {
            member.verdicts.learn(wish, verdict, is_kept);
        }
        let acted = self.act(from, message, (Sequel::None, since), step);
        if let Some(member) = self.roster.get_mut(from) {
            member.verdicts.done();
        }
        acted
    }

    /// Whether what waits is what is asked about.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_holding_soundly(&self) -> bool {
        self.settled.is_empty()
            && self.held.iter().all(|(session, Held { asked, .. })| {
                let is_asked = asked.as_ref().is_none_or(|about| self.dealer.is_asked(about.asked));
                self.roster.contains(*session) && is_asked
            })
    }
}

/// What an authorizer is asked.
fn question(member: &Member, realm: &str, wish: &Wish, options: Value) -> Arguments {
    let details = member.details(realm, SessionDetails::Full);
    let args = vec![details.into(), Value::copied(&wish.uri), wish.action.name().into(), options];
    Arguments { args, ..Arguments::default() }
}

/// What an authorizer says, and whether that may be kept.
fn read(answer: Answer, wish: &Wish) -> Result<(Verdict, bool), String> {
    let payload = match answer {
        Answer::Result(payload) => payload,
        Answer::Error(error, _) => return Err(format!("it answered with the error {error}")),
        Answer::None(unanswered) => return Err(unanswered.to_string()),
    };
    let arguments = payload.open()?;
    let allowed = |discloses| {
        let allow = Actions::from_iter([wish.action]);
        let permission = Permission::bare(wish.uri.clone(), wish.matching, allow);
        Verdict::Allowed(Permission {
            discloses_caller: discloses,
            discloses_publisher: discloses,
            ..permission
        })
    };
    match &arguments.args[..] {
        [Value::Bool(true)] => Ok((allowed(Disclosure::AsAsked), false)),
        [Value::Bool(false)] => Ok((Verdict::Denied, false)),
        [Value::Dict(answer)] => {
            let (mut allow, mut disclose, mut cache) = (None, None, None);
            for (key, value) in answer.iter() {
                let place = match key {
                    "allow" => &mut allow,
                    "disclose" => &mut disclose,
                    "cache" => &mut cache,
                    "validate" if *value == Value::Null => continue,
                    _ => return Err(format!("it answered with the key {key:?}, which is not known")),
                };
                match value.as_bool() {
                    None if *value == Value::Null => {}
                    None => return Err(format!("it answered with no boolean for the key {key:?}")),
                    is_set @ Some(_) => *place = is_set,
                }
            }
            let discloses = match disclose {
                None => Disclosure::AsAsked,
                Some(true) => Disclosure::Always,
                Some(false) => Disclosure::Never,
            };
            match allow {
                Some(true) => Ok((allowed(discloses), cache == Some(true))),
                Some(false) => Ok((Verdict::Denied, cache == Some(true))),
                None => Err("it answered without the key \"allow\"".to_owned()),
            }
        }
        _ => Err("it answered neither a boolean nor a dict".to_owned()),
    }
}
