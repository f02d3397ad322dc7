//! How the messages on a connection are told apart: by WebSocket or by RawSocket.
//!
//! What the two have in common stands here, and the choice between them: whoever reads or writes asks a [`Framing`].

use super::{
    rawsocket::{self, Length, RawSocket},
    websocket::{self, WebSocket},
};
use crate::{
    cause::Cause,
    codec::{Serializer, is_ascii},
    message::RouterMessage,
    refusal::Violation,
};
use bytes::{Bytes, BytesMut};

/// How the messages on a connection are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// They are messages of a WebSocket.
    WebSocket,
    /// Each has its length before it (section "RawSocket Transport"). The client takes messages up to this length.
    RawSocket(Length),
}

impl Framing {
    /// Its name, as `transport.channel_framing` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawSocket(_) => "rawsocket",
        }
    }

    /// Whether a message has the same frame here as there.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Whether a message of so many octets can be sent.
    pub(crate) fn takes(self, octets: usize) -> Result<(), TooLong> {
        match self {
            Self::RawSocket(most) if octets > most.octets() => Err(TooLong { octets, most: most.octets() }),
            Self::WebSocket | Self::RawSocket(_) => Ok(()),
        }
    }

    /// Writes the header into the room before a message; gives where in the room it begins.
    fn write_header(self, serializer: Serializer, octets: &mut [u8]) -> usize {
        match self {
            Self::WebSocket => websocket::write_header(serializer.is_text(), octets),
            Self::RawSocket(_) => rawsocket::write_header(octets),
        }
    }

    /// The frame of a ping.
    pub(crate) fn ping(self) -> Vec<u8> {
        match self {
            Self::WebSocket => websocket::ping(),
            Self::RawSocket(_) => rawsocket::ping(),
        }
    }

    /// The frame that answers a ping; none if its payload is larger than the client takes.
    pub(crate) fn pong(self, payload: &[u8]) -> Option<Vec<u8>> {
        self.takes(payload.len()).ok().map(|()| match self {
            Self::WebSocket => websocket::pong(payload),
            Self::RawSocket(_) => rawsocket::pong(payload),
        })
    }

    /// The frame that closes, with this code if there is one. It is empty where the end of what is sent says it.
    pub(crate) fn close(self, code: Option<u16>) -> Vec<u8> {
        match self {
            Self::WebSocket => websocket::close(code),
            Self::RawSocket(_) => Vec::new(),
        }
    }

    /// Whether a client is told by a frame that nothing more comes, and answers it.
    pub(crate) fn has_close_frames(self) -> bool {
        self == Self::WebSocket
    }
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {octets} octets, and the client takes at most {most}")]
pub(crate) struct TooLong {
    pub(super) octets: usize,
    pub(super) most: usize,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A whole message of the kind that the serializer uses.
    Message(Bytes),
    /// To be answered with the same octets.
    Ping(Bytes),
    /// An answer to a ping.
    Pong,
    /// The client closes, with this code.
    Close(Option<u16>),
}

/// Why a client can no longer be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A frame that has no place.
    Violation(Violation),
    /// A text that is not UTF-8.
    InvalidUtf8,
    /// A message of more octets than allowed.
    TooBig(String),
}

impl FrameError {
    pub(super) fn violation(problem: &'static str) -> Self {
        Self::Violation(Violation::Frame(problem))
    }

    /// A message of more than `most` octets.
    pub(super) fn too_big(most: usize) -> Self {
        Self::TooBig(format!("a message may have at most {most} octets"))
    }
}

impl From<FrameError> for Cause {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Violation(violation) => Self::ProtocolViolation(violation),
            FrameError::InvalidUtf8 => Self::InvalidUtf8,
            FrameError::TooBig(text) => Self::MessageTooBig(text),
        }
    }
}

/// Makes messages of the frames of one client.
#[derive(Debug)]
pub(crate) enum Frames {
    WebSocket(WebSocket),
    RawSocket(RawSocket),
}

impl Frames {
    /// Takes messages of at most `limit` octets; over a RawSocket of as many as the handshake could tell of that.
    pub(crate) fn new(framing: Framing, serializer: Serializer, limit: usize) -> Self {
        match framing {
            Framing::WebSocket => Self::WebSocket(WebSocket::new(serializer, limit)),
            Framing::RawSocket(_) => Self::RawSocket(RawSocket::new(serializer, Length::within(limit))),
        }
    }

    /// Takes the next thing out of what was read; `None` if it is not complete yet.
    pub(crate) fn next(&mut self, read: &mut BytesMut) -> Result<Option<Received>, FrameError> {
        match self {
            Self::WebSocket(websocket) => websocket.next(read),
            Self::RawSocket(rawsocket) => rawsocket.next(read),
        }
    }
}

/// All that whole frames in these octets hold, for those who test.
#[cfg(test)]
pub(super) fn receive_all(mut frames: Frames, octets: &[u8]) -> Result<Vec<Received>, FrameError> {
    let mut read = BytesMut::from(octets);
    std::iter::from_fn(|| frames.next(&mut read).transpose()).collect()
}

/// The longest header of a frame that a server sends.
pub(super) const MOST_HEADER: usize = 10;

/// With how many octets a row of frames is long enough.
const LONG_ROW: usize = 16 << 10;

/// Builds frames, in a buffer that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Framer(Vec<u8>);

/// A message in the form of a serializer, for which frames are built.
#[derive(Debug)]
pub(crate) struct Encoded<'f> {
    /// Room for the header, and the message.
    octets: &'f mut [u8],
    serializer: Serializer,
}

/// The frames of messages for the same receivers, one behind the other.
#[derive(Debug)]
pub(crate) struct Row<'f> {
    pub(crate) frames: &'f [u8],
    /// How many messages they are.
    pub(crate) count: usize,
    /// How many octets the longest message has.
    pub(crate) longest: usize,
}

impl Framer {
    /// Gives a message the form of a serializer.
    pub(crate) fn encode(&mut self, message: &RouterMessage, serializer: Serializer) -> Encoded<'_> {
        self.0.clear();
        self.0.resize(MOST_HEADER, 0);
        message.encode(serializer, &mut self.0);
        Encoded { octets: &mut self.0, serializer }
    }

    /// The frames of the first of these messages: of one at least, and of more until the row is long enough.
    pub(crate) fn row(
        &mut self,
        messages: &[&RouterMessage],
        serializer: Serializer,
        framing: Framing,
    ) -> Row<'_> {
        let buffer = &mut self.0;
        buffer.clear();
        let (mut first, mut count, mut longest) = (0, 0, 0);
        for message in messages {
            let start = buffer.len();
            buffer.resize(start + MOST_HEADER, 0);
            message.encode(serializer, buffer);
            let octets = buffer.get_mut(start..).unwrap_or_default();
            let (end, length) = (start + octets.len(), octets.len() - MOST_HEADER);
            let unused = framing.write_header(serializer, octets);
            if count == 0 {
                first = unused;
            } else {
                buffer.copy_within(start + unused.., start);
                buffer.truncate(end - unused);
            }
            (count, longest) = (count + 1, longest.max(length));
            if buffer.len() >= LONG_ROW {
                break;
            }
        }
        Row { frames: buffer.get(first..).unwrap_or_default(), count, longest }
    }

    /// Takes a message that has its form.
    #[cfg(feature = "echo")]
    pub(crate) fn copy(&mut self, message: &[u8], serializer: Serializer) -> Encoded<'_> {
        self.0.clear();
        self.0.resize(MOST_HEADER, 0);
        self.0.extend_from_slice(message);
        Encoded { octets: &mut self.0, serializer }
    }
}

impl Encoded<'_> {
    /// How many octets the message has.
    pub(crate) fn length(&self) -> usize {
        self.octets.len() - MOST_HEADER
    }

    /// Its frame, whether or not a client takes as much.
    pub(crate) fn frame(&mut self, framing: Framing) -> &[u8] {
        let start = framing.write_header(self.serializer, self.octets);
        self.octets.get(start..).unwrap_or_default()
    }

    /// Its frame for a client that takes as much.
    pub(crate) fn frame_within(&mut self, framing: Framing) -> Result<&[u8], TooLong> {
        framing.takes(self.length()).map(|()| self.frame(framing))
    }
}

/// Whether these octets are UTF-8; the last character may be cut short if more is to come.
pub(super) fn is_text(bytes: &[u8], is_final: bool) -> bool {
    // Most is ASCII, which is quicker to tell.
    is_ascii(bytes)
        || match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => !is_final && error.error_len().is_none(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Goodbye;

    #[test]
    fn short_messages_are_framed_in_a_row() {
        let message = |octets: usize| RouterMessage::from(Goodbye::new("a", Some(&"x".repeat(octets))));
        let messages = [100, 1, 200, LONG_ROW, 3, LONG_ROW - 500, 600, 4].map(message);
        for (framing, serializer) in [
            (Framing::WebSocket, Serializer::Json),
            (Framing::WebSocket, Serializer::Cbor),
            (Framing::RawSocket(rawsocket::Length::within(1 << 20)), Serializer::MessagePack),
        ] {
            let (mut framer, mut alone) = (Framer::default(), Framer::default());
            let mut rest = messages.iter().collect::<Vec<_>>();
            let mut counts = Vec::new();
            while !rest.is_empty() {
                let row = framer.row(&rest, serializer, framing);
                let these = rest.drain(..row.count).map(|message| {
                    let mut encoded = alone.encode(message, serializer);
                    (encoded.length(), encoded.frame(framing).to_vec())
                });
                let (lengths, frames): (Vec<_>, Vec<_>) = these.unzip();
                assert_eq!((Some(&row.longest), row.frames), (lengths.iter().max(), &*frames.concat()));
                counts.push(row.count);
            }
            assert_eq!(counts, [4, 3, 1]);
        }
    }
}
