//! Messages of clients, and their payloads in every serializer.

use crate::{
    codec::{Payload, Serializer},
    message::ClientMessage,
};
use bytes::Bytes;

/// As deep as a listener lets lists and dicts stand inside each other.
const DEPTH: usize = 64;

/// Decodes a frame; the first octet chooses its serializer. Its payload has to become the same in another serializer
/// with and without values in between, and if it can be opened, to survive every way through the serializers that have
/// a form for it.
pub fn codec(data: &[u8]) {
    let Some((first, frame)) = data.split_first() else { return };
    let serializer = Serializer::ALL[usize::from(*first) % Serializer::ALL.len()];
    let frame = Bytes::copy_from_slice(frame);
    let Ok(mut message) = ClientMessage::decode(serializer, &frame, DEPTH) else { return };
    let Some(payload) = payload(&mut message) else { return };
    let opened = payload.open();
    for to in Serializer::ALL.into_iter().filter(|to| *to != serializer && !payload.is_empty()) {
        let transcoded = payload.transcode(to);
        match &opened {
            Ok(arguments) => assert_eq!(transcoded, Payload::build(to, arguments), "to {to}"),
            Err(_) => assert!(transcoded.is_err(), "to {to} came what cannot be read"),
        }
    }
    let Ok(arguments) = opened else { return };
    for through in Serializer::ALL {
        let Ok(form) = Payload::build(through, &arguments) else { continue };
        let read = form.open().expect("what the router wrote can be read");
        // Compared as octets, since there are numbers that are not equal to themselves.
        for to in Serializer::ALL {
            let (direct, indirect) = (Payload::build(to, &arguments), Payload::build(to, &read));
            assert_eq!(direct, indirect, "to {to}, and to {to} through {through}");
        }
    }
}

/// The payload of a message that has one.
pub(super) fn payload(message: &mut ClientMessage) -> Option<&mut Payload> {
    match message {
        ClientMessage::Publish(message) => Some(&mut message.payload),
        ClientMessage::Call(message) => Some(&mut message.payload),
        ClientMessage::Yield(message) => Some(&mut message.payload),
        ClientMessage::Error(message) => Some(&mut message.payload),
        ClientMessage::Hello(_)
        | ClientMessage::Abort(_)
        | ClientMessage::Authenticate(_)
        | ClientMessage::Goodbye(_)
        | ClientMessage::Subscribe(_)
        | ClientMessage::Unsubscribe(_)
        | ClientMessage::Cancel(_)
        | ClientMessage::Register(_)
        | ClientMessage::Unregister(_) => None,
    }
}
