//! Faults that tests ask for, to see them contained. Only in builds with the feature `fault-injection`.

use crate::message::ClientMessage;

/// A publication to this topic makes the session panic that receives it.
pub(crate) const SESSION: &str = "realmkeeper.fault.session";
/// A publication to this topic makes the realm panic that it is published in.
pub(crate) const REALM: &str = "realmkeeper.fault.realm";

/// Panics if the message is a publication to `topic`.
pub(crate) fn inject(message: &ClientMessage, topic: &str) {
    if let ClientMessage::Publish(publish) = message {
        assert_ne!(&*publish.topic, topic, "this fault was asked for");
    }
}
