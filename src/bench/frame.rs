//! The framing of WebSocket and of RawSocket, the little that a load generator and a relay need of it.
//!
//! `actix_http::ws::Codec` does the same for a peer that may meet anything. Here a message is one frame, and
//! what is produced goes straight into the buffer that is written, so that the generator costs less than what
//! it measures.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

/// A frame that holds a JSON message.
pub(super) const TEXT: u8 = 1;
/// A frame that holds a message in MessagePack or CBOR.
pub(super) const BINARY: u8 = 2;
/// The last frame of a peer.
pub(super) const CLOSE: u8 = 8;
/// A frame that asks for a [`PONG`].
pub(super) const PING: u8 = 9;
/// The answer to a [`PING`].
pub(super) const PONG: u8 = 10;

/// Bytes that an [`Inbox`] has room for when nothing was received yet. Ten thousand idle peers hold as many
/// inboxes.
const FIRST_READ: usize = 512;
/// Bytes that one read may bring at most, unless one frame is larger.
const LARGEST_READ: usize = 256 * 1024;
/// Bytes of payload over which a frame is taken for garbage.
const LARGEST_FRAME: u64 = 64 * 1024 * 1024;

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Framing {
    /// By the frames of a WebSocket.
    WebSocket,
    /// By their lengths.
    RawSocket,
}

/// The types of RawSocket frames, at the places of their numbers. A message is a message, whatever its serializer.
const RAW_TYPES: [u8; 3] = [BINARY, PING, PONG];

/// One whole frame, still masked if its sender masked it.
#[derive(Debug, PartialEq)]
pub(super) struct Frame<'a> {
    /// [`TEXT`], [`BINARY`], or one of the control frames.
    pub(super) opcode: u8,
    /// The key that the frame carries.
    mask: Option<[u8; 4]>,
    /// The payload as it stands in the frame.
    pub(super) payload: &'a [u8],
}

/// Why received bytes are not frames.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum FrameError {
    /// A message in several frames, or a continuation.
    #[error("fragmented messages are not supported")]
    Fragmented,
    /// A RawSocket frame that begins with something else than a type.
    #[error("a frame begins with {0:#04x}")]
    Type(u8),
    /// A frame over [`LARGEST_FRAME`].
    #[error("a frame of {0} bytes is too large")]
    TooLarge(u64),
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes` and how many bytes it takes; `None` while it is not complete.
    fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = first & 0x0f;
        if first & 0x80 == 0 || opcode == 0 {
            return Err(FrameError::Fragmented);
        }
        let (length, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        if length > LARGEST_FRAME {
            return Err(FrameError::TooLarge(length));
        }
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => match rest.split_first_chunk::<4>() {
                Some((mask, rest)) => (Some(*mask), rest),
                None => return Ok(None),
            },
        };
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
        Ok(Some((Self { opcode, mask, payload }, bytes.len() - rest.len())))
    }

    /// Reads the RawSocket frame at the start of `bytes`. One of 2^24 octets is not expected.
    fn parse_raw(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(([kind, length @ ..], rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let opcode = *RAW_TYPES.get(usize::from(*kind)).ok_or(FrameError::Type(*kind))?;
        let length = length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        Ok(Some((Self { opcode, mask: None, payload }, 4 + length)))
    }

    /// Appends a RawSocket frame. Its payload has less than 2^24 octets.
    pub(super) fn put_raw(opcode: u8, payload: &[u8], out: &mut BytesMut) {
        let kind = RAW_TYPES.iter().position(|known| *known == opcode).unwrap_or_default();
        out.reserve(4 + payload.len());
        out.extend_from_slice(&((kind << 24 | payload.len()) as u32).to_be_bytes());
        out.extend_from_slice(payload);
    }

    /// Appends the frame. `key` turns its plain payload into a masked one, or the other way round.
    fn put(&self, key: Option<[u8; 4]>, out: &mut BytesMut) {
        let mut header = [0; 14];
        header[0] = 0x80 | self.opcode;
        let mut size = match self.payload.len() {
            length @ 0..=125 => {
                header[1] = length as u8;
                2
            }
            length @ 126..=0xffff => {
                header[1] = 126;
                header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            length => {
                header[1] = 127;
                header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            header[1] |= 0x80;
            header[size..size + 4].copy_from_slice(&mask);
            size += 4;
        }
        out.reserve(size + self.payload.len());
        out.extend_from_slice(&header[..size]);
        let start = out.len();
        out.extend_from_slice(self.payload);
        if let Some(key) = key {
            apply_mask(&mut out[start..], key);
        }
    }

    /// Appends the frame as a client sends it: `self.payload` is plain, what is appended is masked with
    /// `key`.
    pub(super) fn put_masked(opcode: u8, payload: &[u8], key: [u8; 4], out: &mut BytesMut) {
        Frame { opcode, mask: Some(key), payload }.put(Some(key), out);
    }

    /// Appends the frame as a server sends it: not masked, whatever it was when it arrived.
    pub(super) fn put_plain(&self, out: &mut BytesMut) {
        Frame { opcode: self.opcode, mask: None, payload: self.payload }.put(self.mask, out);
    }
}

/// Masks or unmasks `bytes` in place.
fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// What was received and not yet handled. Grows with what its peer sends: a read that fills it doubles it.
#[derive(Debug)]
pub(super) struct Inbox {
    framing: Framing,
    bytes: Vec<u8>,
    /// Where the next frame begins. Frames are lent from a shared inbox, several at a time.
    start: Cell<usize>,
    end: usize,
}

impl Inbox {
    /// Makes an inbox that holds what was read already.
    pub(super) fn new(framing: Framing, read: &[u8]) -> Self {
        let mut bytes = read.to_vec();
        bytes.resize(read.len().max(FIRST_READ), 0);
        Self { framing, bytes, start: Cell::new(0), end: read.len() }
    }

    /// Reads once from the stream. The end of the stream is an error.
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.make_room();
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(context, &mut free))?;
        match free.filled().len() {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => {
                self.end += read;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn make_room(&mut self) {
        let was_full = self.end == self.bytes.len();
        let start = self.start.get();
        if start == self.end || was_full {
            self.bytes.copy_within(start..self.end, 0);
            self.start.set(0);
            self.end -= start;
        }
        if was_full && (self.bytes.len() < LARGEST_READ || self.end == self.bytes.len()) {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    /// Takes the next frame, if it has arrived whole.
    pub(super) fn frame(&self) -> Result<Option<Frame<'_>>, FrameError> {
        let start = self.start.get();
        let bytes = &self.bytes[start..self.end];
        let parsed = match self.framing {
            Framing::WebSocket => Frame::parse(bytes)?,
            Framing::RawSocket => Frame::parse_raw(bytes)?,
        };
        let Some((frame, size)) = parsed else { return Ok(None) };
        self.start.set(start + size);
        Ok(Some(frame))
    }

    /// Takes all that stands before the first `pattern`, and the pattern; nothing if it has not arrived yet.
    pub(super) fn until(&self, pattern: &[u8]) -> Option<&[u8]> {
        let start = self.start.get();
        let bytes = &self.bytes[start..self.end];
        let size = bytes.windows(pattern.len()).position(|window| window == pattern)?;
        self.start.set(start + size + pattern.len());
        Some(&bytes[..size])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_every_length_encoding_survives_the_way_through_mask_and_relay() {
        for length in [0, 1, 7, 8, 125, 126, 127, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut sent = BytesMut::new();
            Frame::put_masked(BINARY, &payload, [1, 2, 3, 255], &mut sent);
            let (frame, size) = Frame::parse(&sent).unwrap().unwrap();
            assert_eq!(size, sent.len());
            assert!(length == 0 || frame.payload != payload, "{length} bytes left unmasked");

            let mut relayed = BytesMut::new();
            frame.put_plain(&mut relayed);
            let (frame, size) = Frame::parse(&relayed).unwrap().unwrap();
            assert_eq!(size, relayed.len());
            assert_eq!(frame, Frame { opcode: BINARY, mask: None, payload: &payload });
        }
    }

    #[test]
    fn every_prefix_of_a_frame_is_incomplete() {
        for length in [3, 126, 65_536] {
            let mut sent = BytesMut::new();
            Frame::put_masked(TEXT, &vec![7; length], [1, 2, 3, 4], &mut sent);
            for end in (0..20).chain([sent.len() - 1]).filter(|end| *end < sent.len()) {
                assert_eq!(Frame::parse(&sent[..end]), Ok(None), "{end} of {} bytes", sent.len());
            }
        }
    }

    #[test]
    fn a_raw_frame_of_every_kind_survives_the_way() {
        for (opcode, length) in [(BINARY, 0), (BINARY, 70_001), (PING, 3), (PONG, 300)] {
            let payload = vec![7; length];
            let mut sent = BytesMut::new();
            Frame::put_raw(opcode, &payload, &mut sent);
            for end in (0..5).chain([sent.len() - 1]).filter(|end| *end < sent.len()) {
                assert_eq!(Frame::parse_raw(&sent[..end]), Ok(None), "{end} of {} bytes", sent.len());
            }
            let frame = Frame { opcode, mask: None, payload: &payload };
            assert_eq!(Frame::parse_raw(&sent), Ok(Some((frame, sent.len()))));
        }
        assert_eq!(Frame::parse_raw(&[3, 0, 0, 0]), Err(FrameError::Type(3)));
        assert_eq!(Frame::parse_raw(&[0x10, 0, 0, 0]), Err(FrameError::Type(0x10)));
    }

    #[test]
    fn fragments_and_absurd_lengths_are_refused() {
        assert_eq!(Frame::parse(&[0x01, 0]), Err(FrameError::Fragmented));
        assert_eq!(Frame::parse(&[0x80, 0]), Err(FrameError::Fragmented));
        let huge = [0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0];
        assert_eq!(Frame::parse(&huge), Err(FrameError::TooLarge(1 << 40)));
    }
}
