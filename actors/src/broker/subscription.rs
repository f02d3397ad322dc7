//! One subscription and its subscribers.

use crate::{
    codec::Serializer,
    collections::Map,
    message::{
        id::SessionId,
        uri::{Match, Uri},
    },
    step::Receivers,
};

/// What all sessions share that subscribed to the same topic and match.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) topic: Uri,
    pub(super) matching: Match,
    pub(super) subscribers: Map<SessionId, Serializer>,
}

impl Subscription {
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
