//! The calls of a realm: for its dealer, or of procedures of the router itself, and what those change.

use super::{Realm, refuse};
use crate::{
    ban::Culprit,
    cause::Cause,
    codec::{Payload, Serializer, Untranscodable},
    dealer::{Change, Changes},
    limit::Limit,
    message::{Call, RequestType, Result as CallResult, Sparse, feature::Feature, id::SessionId, uri::Match},
    meta::{Lent, MetaProcedure, Outcome, registration},
    permission::Action,
    refusal::{Fault, Refusal, Violation, check_announced},
    step::{CallOutcome, Step},
};
use std::time::Duration;

impl Realm {
    /// Takes a call that came at this uptime: for the dealer, or for the router itself.
    pub(super) fn call(
        &mut self,
        from: SessionId,
        message: Call,
        since: Duration,
        step: &mut Step<'_>,
    ) -> Result<(), Violation> {
        let Some(member) = self.roster.get(from) else { return Ok(()) };
        let (request, options) = (message.request, &message.options);
        let is_open = options.progress == Some(true);
        let (progress, passthru) = (is_open.then_some("CALL.Options.progress"), options.passthru());
        check_announced(progress, Feature::ProgressiveCallInvocations, member.as_caller())?;
        check_announced(passthru, Feature::PayloadPassthruMode, member.as_caller())?;
        let has_session_meta_api = self.options.session_meta_api;
        let open = is_open.then(|| message.procedure.clone());
        let called = match MetaProcedure::from_uri(&message.procedure, has_session_meta_api) {
            Some(procedure) => self.call_meta(from, procedure, &message, step).map_err(Fault::from),
            None => {
                let rules = (self.uri_rules(), self.options.limits.calls);
                let called = match self.drains_from {
                    Some(from) if since >= from => Err(Refusal::Stopping.into()),
                    _ if self.is_kept_from(member, &message.procedure) => {
                        let (role, uri) = (member.authrole().clone(), message.procedure);
                        Err(Refusal::NotAuthorized { role, action: Action::Call.name(), uri }.into())
                    }
                    _ => self.dealer.call(member, message, since, rules, &self.roster, step),
                };
                if let Err(Fault::Refusal(_)) = called {
                    step.called(CallOutcome::Refused);
                }
                called
            }
        };
        let Err(fault) = called else { return Ok(()) };
        let Some(member) = self.roster.get(from) else { return Ok(()) };
        if let Some(procedure) = open {
            self.dealer.cut_short(from, request, &procedure);
        }
        refuse(fault, RequestType::Call, request, member, step)
    }

    /// Carries out a procedure of the router itself, and answers the call.
    fn call_meta(
        &mut self,
        from: SessionId,
        procedure: MetaProcedure,
        message: &Call,
        step: &mut Step<'_>,
    ) -> Result<(), Refusal> {
        let Some(member) = self.roster.get(from) else { return Ok(()) };
        let (serializer, options) = (member.serializer(), &message.options);
        member.authorize(Action::Call, &message.procedure, Match::Exact)?;
        for (is_used, feature) in [
            (options.progress == Some(true), Feature::ProgressiveCallInvocations),
            (options.passthru().is_some(), Feature::PayloadPassthruMode),
        ] {
            if is_used {
                return Err(Refusal::FeatureNotSupported { who: "the procedures of the router", feature });
            }
        }
        let lent = Lent {
            realm: &self.name,
            uris: self.uri_rules(),
            roster: &self.roster,
            broker: &self.broker,
            testaments: &self.testaments,
            registrations: self.dealer.registrations(),
            caller: member,
            now: step.now(),
        };
        let outcome = procedure.call(&message.payload, &lent)?;
        let payload = self.carry_out(from, serializer, outcome, step);
        let payload = payload.map_err(|error| Refusal::InvalidArgument(error.to_string()))?;
        step.weigh(payload.len());
        step.send(from, CallResult { request: message.request, details: Sparse::default(), payload });
        Ok(())
    }

    /// Does what a meta procedure said should happen; gives what its caller is answered, in its serializer.
    fn carry_out(
        &mut self,
        caller: SessionId,
        serializer: Serializer,
        outcome: Outcome,
        step: &mut Step<'_>,
    ) -> Result<Payload, Untranscodable> {
        match outcome {
            Outcome::Answer(answer) => return Payload::build(serializer, &answer),
            Outcome::Events(events) => return Ok(events),
            Outcome::Kill { victims, kill, ban, all, answer } => {
                for victim in victims {
                    if let Some(ban) = ban {
                        self.ban(victim, ban, step);
                    }
                    let kill = kill.clone();
                    self.part_with(
                        victim,
                        if all { Cause::KilledAll(kill) } else { Cause::Killed(kill) },
                        step,
                    );
                }
                return Payload::build(serializer, &answer);
            }
            Outcome::RemoveSubscriber { subscription, subscriber, reason } => {
                if let Some(member) = self.roster.get(subscriber) {
                    self.broker.revoke(member, subscription, reason.as_deref(), &self.roster, step);
                }
            }
            Outcome::AddTestament(scope, testament) => self.testaments.add(caller, scope, testament),
            Outcome::FlushTestaments(scope) => self.testaments.flush(caller, scope),
            Outcome::RemoveCallee { registration, callee, reason } => {
                let (reason, mut changes) = (reason.as_deref(), Changes::new());
                self.dealer.revoke(registration, callee, reason, &self.roster, step, &mut changes);
                self.tell(&changes, step);
            }
        }
        Ok(Payload::EMPTY)
    }

    /// Bans a member for a time, by its authid or, as who is anonymous has another the next time, by its address.
    fn ban(&self, member: SessionId, time: Duration, step: &mut Step<'_>) {
        let Some(member) = self.roster.get(member) else { return };
        let culprit = match (member.is_anonymous, member.transport.address) {
            (false, _) => Culprit::Authid(member.authid.clone()),
            (true, Some(address)) => Culprit::Network(address.into()),
            // Nothing tells it from others of this machine.
            (true, None) => return,
        };
        if self.bans.ban(culprit, step.now() + time, step.now()) {
            step.run_into(Limit::Bans);
        }
    }

    /// Tells those who want to know what happened to registrations.
    pub(super) fn tell(&self, changes: &[Change], step: &mut Step<'_>) {
        for change in changes {
            let args = || registration::on_change(*change, self.dealer.registrations());
            self.broker.publish_meta(registration::topic(change.kind), args, &self.roster, step);
        }
    }
}
