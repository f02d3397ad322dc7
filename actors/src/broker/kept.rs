//! An event that is kept after it was published.

use super::Audience;
use crate::{
    codec::Payload,
    message::{EventDetails, Sparse, id::PublicationId, uri::Uri},
};
use std::time::SystemTime;

/// A publication with all that it takes to deliver it later. The payload stays as it came.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) publication: PublicationId,
    pub(crate) at: SystemTime,
    pub(crate) topic: Uri,
    /// What subscribers are told besides, but for the topic.
    pub(crate) details: Sparse<EventDetails>,
    pub(crate) payload: Payload,
    pub(crate) audience: Audience,
}

impl Kept {
    /// How much it holds.
    pub(crate) fn octets(&self) -> usize {
        self.topic.len() + self.payload.len() + self.details.octets() + self.audience.octets()
    }

    /// The details with the topic.
    pub(crate) fn details(&self) -> EventDetails {
        EventDetails { topic: Some(self.topic.clone()), ..(*self.details).clone() }
    }
}
