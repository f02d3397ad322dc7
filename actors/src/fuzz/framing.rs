//! Frames of clients.

use crate::{
    codec::Serializer,
    transport::{
        framing::{FrameError, Frames, Framing, Received},
        rawsocket::{Length, Request},
    },
};
use bytes::BytesMut;

/// The largest message that is taken, in octets.
const LIMIT: usize = 4096;

/// Reads a stream of WebSocket frames; the first two octets choose the serializer and the size of pieces.
pub fn websocket(data: &[u8]) {
    let [first, second, stream @ ..] = data else { return };
    let serializer = Serializer::ALL[usize::from(*first) % Serializer::ALL.len()];
    both_ways((Framing::WebSocket, serializer), stream, (*second).into());
}

/// Reads the handshake of a RawSocket and the frames behind it; the first octet chooses the size of pieces.
pub fn rawsocket(data: &[u8]) {
    let Some((size, rest)) = data.split_first() else { return };
    let Some((octets, stream)) = rest.split_first_chunk() else { return };
    match Request::parse(*octets, &Serializer::ALL) {
        Ok(request) => {
            assert!(request.takes.octets() >= Length::LEAST.octets(), "WELCOME has to fit");
            let reply = request.reply(Length::within(LIMIT));
            assert_eq!((reply[0], reply[1] & 0x0f, &reply[2..]), (0x7f, octets[1] & 0x0f, &[0, 0][..]));
            both_ways((Framing::RawSocket(request.takes), request.serializer), stream, (*size).into());
        }
        Err(unacceptable) => {
            let is_magic = octets[0] == 0x7f;
            assert_eq!(unacceptable.reply().is_some(), is_magic, "others are not RawSockets");
        }
    }
}

/// Reads a stream at once and in pieces of this size. Both have to give the same, and nothing larger than is taken.
fn both_ways(how: (Framing, Serializer), stream: &[u8], size: usize) {
    let whole = read(how, [stream]);
    let pieces = read(how, stream.chunks(size.max(1)));
    assert_eq!(whole, pieces, "at once, and in pieces");
    for received in whole.0 {
        match received {
            Received::Message(octets) | Received::Ping(octets) => assert!(octets.len() <= LIMIT),
            Received::Pong | Received::Close(_) => {}
        }
    }
}

/// What came, and why nothing more can come.
fn read<'a>(
    (framing, serializer): (Framing, Serializer),
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Received>, Option<FrameError>) {
    let (mut frames, mut buffer) = (Frames::new(framing, serializer, LIMIT), BytesMut::new());
    let mut all = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match frames.next(&mut buffer) {
                Ok(Some(received)) => all.push(received),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
    }
    (all, None)
}
