//! Frames of clients.

use crate::{
    codec::Serializer,
    transport::websocket::{FrameError, Received, WebSocket},
};
use bytes::BytesMut;

/// The largest message that is taken, in octets.
const LIMIT: usize = 4096;

/// What came, and why nothing more can come.
type Stream = (Vec<Received>, Option<FrameError>);

/// Reads a stream of frames at once and in pieces; the first two octets choose the serializer and the size of the
/// pieces. Both have to give the same, and nothing larger than is taken.
pub fn websocket(data: &[u8]) {
    let [first, second, stream @ ..] = data else { return };
    let serializer = Serializer::ALL[usize::from(*first) % Serializer::ALL.len()];
    let whole = read(serializer, [stream]);
    let pieces = read(serializer, stream.chunks(usize::from(*second).max(1)));
    assert_eq!(whole, pieces, "at once, and in pieces");
    for received in whole.0 {
        match received {
            Received::Message(message) => assert!(message.len() <= LIMIT, "a message of {}", message.len()),
            Received::Ping(payload) => assert!(payload.len() <= 125, "a ping of {}", payload.len()),
            Received::Pong | Received::Close(_) => {}
        }
    }
}

fn read<'a>(serializer: Serializer, pieces: impl IntoIterator<Item = &'a [u8]>) -> Stream {
    let (mut socket, mut buffer) = (WebSocket::new(serializer, LIMIT), BytesMut::new());
    let mut all = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match socket.next(&mut buffer) {
                Ok(Some(received)) => all.push(received),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
    }
    (all, None)
}
