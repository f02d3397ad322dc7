//! One subscription and its subscribers.

use super::History;
use crate::{
    codec::Serializer,
    collections::Map,
    message::{
        id::{SessionId, SubscriptionId},
        timestamp,
        uri::{Match, Uri},
        value::{Dict, Value},
    },
    step::Receivers,
};
use std::time::SystemTime;

/// What all sessions share that subscribed to the same topic and match.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(crate) topic: Uri,
    pub(crate) matching: Match,
    pub(super) created: SystemTime,
    pub(super) subscribers: Map<SessionId, Serializer>,
    /// Its past events. It stays without subscribers then.
    pub(crate) history: Option<History>,
}

impl Subscription {
    /// What the meta API tells of it (section "Subscription Meta API").
    pub(crate) fn details(&self) -> Dict {
        Dict::from([
            ("id", self.id.get().into()),
            ("created", timestamp::written(self.created).into()),
            ("uri", Value::copied(&self.topic)),
            ("match", Value::from(self.matching.word())),
        ])
    }

    pub(crate) fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The sessions that hold it.
    pub(crate) fn subscribers(&self) -> impl ExactSizeIterator<Item = SessionId> {
        self.subscribers.keys().copied()
    }

    pub(crate) fn is_held_by(&self, session: SessionId) -> bool {
        self.subscribers.contains_key(&session)
    }

    /// The subscribers that receive something, by serializer.
    pub(super) fn audiences<F: Fn(SessionId) -> bool>(
        &self,
        receives: F,
    ) -> impl Iterator<Item = (Serializer, Receivers)> + use<F> {
        let mut audiences = Serializer::ALL.map(|serializer| (serializer, Receivers::new()));
        for (session, serializer) in &self.subscribers {
            if receives(*session) {
                audiences[*serializer as usize].1.push(*session);
            }
        }
        audiences.into_iter().filter(|(_, audience)| !audience.is_empty())
    }
}
