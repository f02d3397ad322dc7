//! One step of a realm: what it is lent, and what it asks for.

use crate::{
    cause::Cause,
    message::{
        RouterMessage,
        id::{MAX_ID, PublicationId, RegistrationId, SessionId, SubscriptionId},
    },
    roster::Member,
};
use rand::{RngExt, rngs::StdRng};
use smallvec::SmallVec;
use std::time::SystemTime;

/// The time and the chance that a step of the core may use, and the effects it asks for, in order.
pub struct Step<'a> {
    now: SystemTime,
    chance: &'a mut StdRng,
    effects: Vec<Effect>,
}

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
    /// Let go of a session: it is no member any more, and gets nothing after what is queued.
    Left {
        /// The former member.
        member: Box<Member>,
        /// Why it left.
        cause: Cause,
        /// The last message that it gets.
        farewell: Option<RouterMessage>,
    },
}

impl<'a> Step<'a> {
    /// A step that happens `now`.
    pub fn new(now: SystemTime, chance: &'a mut StdRng) -> Self {
        Self { now, chance, effects: Vec::new() }
    }

    /// Has the effects gathered behind those in this vector.
    pub(crate) fn gather_in(self, effects: Vec<Effect>) -> Self {
        Self { effects, ..self }
    }

    /// When the step happens.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// What the step asked for, in order.
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }

    pub(crate) fn send(&mut self, to: SessionId, message: impl Into<RouterMessage>) {
        self.effects.push(Effect::Send { to, message: message.into() });
    }

    /// Lets go of a former member, with the farewell that its cause asks for.
    pub(crate) fn let_go(&mut self, member: Member, cause: Cause) {
        let farewell = cause.farewell();
        self.effects.push(Effect::Left { member: Box::new(member), cause, farewell });
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
