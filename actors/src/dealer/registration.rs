//! Registrations: which sessions carry out a procedure or a pattern of procedures, and who of them is next
//! (sections "Pattern-based Registrations" and "Shared Registration").

use crate::{
    collections::{Map, Set},
    limit::Limit,
    message::{
        Invoke,
        id::{RegistrationId, SessionId},
        uri::{Match, Uri},
    },
    pattern::Patterns,
    refusal::Refusal,
    step::Step,
};
use smallvec::SmallVec;
use std::time::SystemTime;

/// All registrations of a realm.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    all: Map<RegistrationId, Registration>,
    procedures: Patterns<RegistrationId>,
    by_session: Map<SessionId, Set<RegistrationId>>,
}

/// What all callees share that registered the same procedure and match.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) procedure: Uri,
    pub(crate) matching: Match,
    pub(crate) invoke: Invoke,
    pub(crate) created: SystemTime,
    /// In the order in which they registered.
    callees: SmallVec<[Callee; 1]>,
    /// The place of the callee whose turn it is.
    next: usize,
}

/// A session that carries a procedure out, and what it asked for when it registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee {
    pub(super) session: SessionId,
    /// Whether it learns who calls, whether or not the caller says so.
    pub(super) discloses_caller: bool,
    /// Whether it keeps the time of calls itself.
    pub(super) forwards_timeout: bool,
}

/// What happened to a registration (section "Registration Meta API").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    /// The callee by which it happened.
    pub(crate) session: SessionId,
    pub(crate) registration: RegistrationId,
}

/// What can happen to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It is there, since it has a first callee.
    Created,
    /// It has one more callee.
    Registered,
    /// It has one callee less.
    Unregistered,
    /// It is gone with its last callee.
    Deleted,
}

/// What happened to registrations, in this order.
pub(crate) type Changes = SmallVec<[Change; 2]>;

impl Registrations {
    /// The registration with this id.
    pub(crate) fn get(&self, id: RegistrationId) -> Option<&Registration> {
        self.all.get(&id)
    }

    /// The registration of exactly this procedure or pattern.
    pub(crate) fn of(&self, procedure: &str, matching: Match) -> Option<RegistrationId> {
        self.procedures.get(procedure, matching)
    }

    /// The registration that a call of this procedure goes to. No pattern reaches what is the router's.
    pub(crate) fn best(&self, procedure: &Uri) -> Option<RegistrationId> {
        if procedure.is_reserved() { None } else { self.procedures.best(procedure, |_| true) }
    }

    /// Every registration with its id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        self.all.iter().map(|(id, registration)| (*id, registration))
    }

    /// Those that a session is a callee of.
    pub(super) fn held_by(
        &self,
        session: SessionId,
    ) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        let held = self.by_session.get(&session).into_iter().flatten();
        held.filter_map(|id| Some((*id, self.all.get(id)?)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of them a session is a callee of.
    pub(super) fn count_of(&self, session: SessionId) -> usize {
        self.by_session.get(&session).map_or(0, Set::len)
    }

    /// Refuses a callee that cannot join this registration; gives `true` if it is among the callees already.
    pub(super) fn check_joins(
        &self,
        id: RegistrationId,
        session: SessionId,
        invoke: Invoke,
    ) -> Result<bool, Refusal> {
        match self.all.get(&id) {
            Some(held) if held.invoke != invoke || invoke == Invoke::Single => {
                Err(Refusal::ProcedureAlreadyExists(held.procedure.clone()))
            }
            Some(_) => Ok(self.by_session.get(&session).is_some_and(|held| held.contains(&id))),
            None => Ok(false),
        }
    }

    /// Refuses one more registration of a session that has as many as may be.
    pub(super) fn check_room(&self, session: SessionId, most: usize) -> Result<(), Refusal> {
        if self.count_of(session) >= most {
            let what = "a session has too many registrations";
            return Err(Refusal::TooMany { limit: Limit::Registrations, what, most });
        }
        Ok(())
    }

    /// Adds a callee to the registration of a procedure, which is created if there is none.
    pub(super) fn add(
        &mut self,
        callee: Callee,
        (procedure, matching): (Uri, Match),
        invoke: Invoke,
        step: &mut Step<'_>,
        changes: &mut Changes,
    ) -> RegistrationId {
        let session = callee.session;
        let registration = match self.of(&procedure, matching) {
            Some(known) => known,
            None => {
                let new = self.create(procedure, matching, invoke, step);
                changes.push(Change { kind: ChangeKind::Created, session, registration: new });
                new
            }
        };
        if let Some(held) = self.all.get_mut(&registration) {
            held.callees.push(callee);
        }
        self.by_session.entry(session).or_default().insert(registration);
        changes.push(Change { kind: ChangeKind::Registered, session, registration });
        registration
    }

    fn create(
        &mut self,
        procedure: Uri,
        matching: Match,
        invoke: Invoke,
        step: &mut Step<'_>,
    ) -> RegistrationId {
        let mut id = step.registration_id();
        while self.all.contains_key(&id) {
            id = step.registration_id();
        }
        self.procedures.insert(&procedure, matching, id);
        let (created, callees) = (step.now(), SmallVec::new());
        self.all.insert(id, Registration { procedure, matching, invoke, created, callees, next: 0 });
        id
    }

    /// Takes a callee from a registration, which ends with its last one. Gives whether it was a callee of it.
    pub(super) fn remove(
        &mut self,
        session: SessionId,
        registration: RegistrationId,
        changes: &mut Changes,
    ) -> bool {
        let Some(held) = self.by_session.get_mut(&session) else { return false };
        if !held.swap_remove(&registration) {
            return false;
        }
        if held.is_empty() {
            self.by_session.swap_remove(&session);
        }
        self.drop_callee(session, registration, changes);
        true
    }

    /// Takes a session from all its registrations.
    pub(super) fn forget(&mut self, session: SessionId, changes: &mut Changes) {
        for registration in self.by_session.swap_remove(&session).into_iter().flatten() {
            self.drop_callee(session, registration, changes);
        }
    }

    fn drop_callee(&mut self, session: SessionId, registration: RegistrationId, changes: &mut Changes) {
        let Some(held) = self.all.get_mut(&registration) else { return };
        held.drop_callee(session);
        changes.push(Change { kind: ChangeKind::Unregistered, session, registration });
        if held.callees.is_empty() {
            self.procedures.remove(&held.procedure, held.matching);
            self.all.swap_remove(&registration);
            changes.push(Change { kind: ChangeKind::Deleted, session, registration });
        }
    }

    /// The callee that carries out the next call, of those that it was not tried with. Those stand in order.
    pub(super) fn select(
        &mut self,
        registration: RegistrationId,
        tried: &[SessionId],
        step: &mut Step<'_>,
    ) -> Option<(Callee, &Registration)> {
        let held = self.all.get_mut(&registration)?;
        held.select(tried, step).map(|callee| (callee, &*held))
    }

    /// Whether no index names a session for which `is_member` is false, and all indices agree.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_sound(&self, is_member: impl Fn(SessionId) -> bool) -> bool {
        let held = self.by_session.iter().all(|(session, held)| {
            let is_callee = |id: &RegistrationId| {
                self.all.get(id).is_some_and(|held| held.callees().any(|callee| callee == *session))
            };
            is_member(*session) && !held.is_empty() && held.iter().all(is_callee)
        });
        let registered = self.all.iter().all(|(id, held)| {
            let is_held = |callee| self.by_session.get(&callee).is_some_and(|held| held.contains(id));
            let distinct: Set<_> = held.callees().collect();
            self.of(&held.procedure, held.matching) == Some(*id)
                && !held.callees.is_empty()
                && distinct.len() == held.callees.len()
                && held.next <= held.callees.len()
                && held.callees().all(is_held)
        });
        held && registered
    }
}

impl Registration {
    /// Its callees, in the order in which they registered.
    pub(crate) fn callees(&self) -> impl ExactSizeIterator<Item = SessionId> {
        self.callees.iter().map(|callee| callee.session)
    }

    fn drop_callee(&mut self, session: SessionId) {
        if let Some(place) = self.callees.iter().position(|callee| callee.session == session) {
            self.callees.remove(place);
            // Whose turn it was keeps it.
            if place < self.next {
                self.next -= 1;
            }
        }
    }

    fn select(&mut self, tried: &[SessionId], step: &mut Step<'_>) -> Option<Callee> {
        let (callees, count) = (&self.callees, self.callees.len());
        let is_free = |place: &usize| tried.binary_search(&callees[*place].session).is_err();
        let place = match self.invoke {
            Invoke::Single | Invoke::First => (0..count).find(is_free),
            Invoke::Last => (0..count).rev().find(is_free),
            Invoke::RoundRobin => (self.next..count).chain(0..self.next).find(is_free),
            Invoke::Random => match (0..count).filter(is_free).count() {
                0 => None,
                free => (0..count).filter(is_free).nth(step.place(free)),
            },
        }?;
        let callee = callees[place];
        if self.invoke == Invoke::RoundRobin {
            self.next = place + 1;
        }
        Some(callee)
    }
}
