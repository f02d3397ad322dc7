//! RawSocket: the handshake of four octets, and frames with a length before each (section "RawSocket Transport").

use super::framing::{FrameError, MOST_HEADER, Received, is_text};
use crate::codec::Serializer;
use bytes::{Buf, BytesMut};

/// The first octet of every handshake.
pub const MAGIC: u8 = 0x7f;
/// How many octets stand before the payload of a frame.
const HEADER: usize = 4;
/// The bit of the first octet that says of a payload that it has 2^24 octets.
const LONGEST: u8 = 0x08;

/// The type of a frame with a message.
const MESSAGE: u8 = 0;
/// The type of a frame that asks for a [`PONG`].
const PING: u8 = 1;
/// The type of a frame that answers a [`PING`].
const PONG: u8 = 2;

/// How long messages may be, as a handshake tells it: a power of two, from 2^9 to 2^24 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(u8);

impl Length {
    /// The least that a client has to take, 4096 octets: what a session is told at its beginning, with all features
    /// of the router, has no room in less.
    pub const LEAST: Self = Self(3);

    /// The longest that is no longer than `octets`; 512 if that is not even as much.
    pub fn within(octets: usize) -> Self {
        (0..16).rev().map(Self).find(|length| length.octets() <= octets).unwrap_or(Self(0))
    }

    /// How many octets it is.
    pub fn octets(self) -> usize {
        1 << (9 + self.0)
    }
}

/// What a client asks for in its handshake, where that is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How its messages are encoded.
    pub serializer: Serializer,
    /// How long the messages are that it takes.
    pub takes: Length,
}

/// Why a client is sent away in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// It does not speak RawSocket.
    #[error("the first octet is not 7f")]
    Magic,
    /// It asks for a serializer that is not offered.
    #[error("the serializer is not offered")]
    Serializer,
    /// It takes so little that a session cannot be had.
    #[error("the client takes less than {} octets", Length::LEAST.octets())]
    Length,
    /// It uses octets that have no meaning yet.
    #[error("reserved octets are set")]
    Reserved,
    /// There are as many connections as there may be.
    #[error("there are too many connections")]
    Connections,
}

impl Unacceptable {
    /// What it is answered; nothing if it does not speak RawSocket.
    pub fn reply(self) -> Option<[u8; 4]> {
        let error = match self {
            Self::Magic => return None,
            Self::Serializer => 1,
            Self::Length => 2,
            Self::Reserved => 3,
            Self::Connections => 4,
        };
        Some([MAGIC, error << 4, 0, 0])
    }
}

impl Request {
    /// Reads what a client sends first, where these serializers are offered.
    pub fn parse(octets: [u8; 4], offered: &[Serializer]) -> Result<Self, Unacceptable> {
        let [MAGIC, asked, reserved @ ..] = octets else { return Err(Unacceptable::Magic) };
        if reserved != [0; 2] {
            return Err(Unacceptable::Reserved);
        }
        let serializer = offered.iter().copied().find(|offered| number(*offered) == asked & 0x0f);
        let serializer = serializer.ok_or(Unacceptable::Serializer)?;
        let takes = Length(asked >> 4);
        if takes < Length::LEAST {
            return Err(Unacceptable::Length);
        }
        Ok(Self { serializer, takes })
    }

    /// What it is answered by a router that takes messages of this length.
    pub fn reply(self, taken: Length) -> [u8; 4] {
        [MAGIC, taken.0 << 4 | number(self.serializer), 0, 0]
    }
}

/// The number of a serializer in handshakes.
fn number(serializer: Serializer) -> u8 {
    match serializer {
        Serializer::Json => 1,
        Serializer::MessagePack => 2,
        Serializer::Cbor => 3,
    }
}

/// Makes messages of the frames of one client.
#[derive(Debug)]
pub(crate) struct RawSocket {
    is_text: bool,
    /// The longest message taken.
    limit: Length,
}

impl RawSocket {
    pub(super) fn new(serializer: Serializer, limit: Length) -> Self {
        Self { is_text: serializer.is_text(), limit }
    }

    /// Takes the next thing out of what was read; `None` if it is not complete yet.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Result<Option<Received>, FrameError> {
        let Some(header) = read.first_chunk::<HEADER>() else { return Ok(None) };
        let (kind, length) = parse_header(*header)?;
        if length > self.limit.octets() {
            return Err(FrameError::too_big(self.limit.octets()));
        }
        if read.len() < HEADER + length {
            // A buffer that grew by and by would be copied, and have room for more than the frame.
            read.reserve(HEADER + length - read.len());
            return Ok(None);
        }
        read.advance(HEADER);
        let payload = read.split_to(length).freeze();
        match kind {
            MESSAGE if self.is_text && !is_text(&payload, true) => Err(FrameError::InvalidUtf8),
            MESSAGE => Ok(Some(Received::Message(payload))),
            PING => Ok(Some(Received::Ping(payload))),
            _ => Ok(Some(Received::Pong)),
        }
    }
}

/// The type of a frame, which is one of the three, and the length of its payload.
fn parse_header([first, high, middle, low]: [u8; HEADER]) -> Result<(u8, usize), FrameError> {
    if first & 0xf0 != 0 {
        return Err(FrameError::violation("a frame has reserved bits set"));
    }
    let kind = first & 0x07;
    if kind > PONG {
        return Err(FrameError::violation("a frame has a type that is not in use"));
    }
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    match (first & LONGEST != 0, length) {
        (false, length) => Ok((kind, length)),
        (true, 0) => Ok((kind, 1 << 24)),
        (true, _) => Err(FrameError::violation("a frame has a length of more than 2^24 octets")),
    }
}

/// Writes the header of a message before it, where there is room for [`MOST_HEADER`]; gives where the frame begins.
/// A message of more than 2^24 octets has no header that is right.
pub(super) fn write_header(frame: &mut [u8]) -> usize {
    let start = MOST_HEADER - HEADER;
    let length = frame.len() - MOST_HEADER;
    frame[start..MOST_HEADER].copy_from_slice(&header(MESSAGE, length));
    start
}

fn header(kind: u8, length: usize) -> [u8; HEADER] {
    // 2^24 sets no bit below the one that stands for it.
    let [.., high, middle, low] = length.to_be_bytes();
    let longest = if length == 1 << 24 { LONGEST } else { 0 };
    [longest | kind, high, middle, low]
}

/// The frame of a pong.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    [&header(PONG, payload.len()), payload].concat()
}

/// The frame of a ping. It has a payload, since autobahn-js does not answer one without.
pub(super) fn ping() -> Vec<u8> {
    const PAYLOAD: &[u8] = b"ping";
    [&header(PING, PAYLOAD.len()), PAYLOAD].concat()
}

#[cfg(test)]
mod tests {
    use super::{
        super::framing::{Framer, Frames, Framing, receive_all},
        *,
    };
    use crate::message::{Goodbye, RouterMessage};
    use bytes::Bytes;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    const MOST: Length = Length(15);

    fn receive(serializer: Serializer, limit: Length, bytes: &[u8]) -> Result<Vec<Received>, FrameError> {
        receive_all(Frames::RawSocket(RawSocket::new(serializer, limit)), bytes)
    }

    fn message(text: &'static str) -> Received {
        Received::Message(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_handshake_is_answered_octet_by_octet() {
        let taken = Length::within(1 << 20);
        for (request, reply) in [
            ([0x7f, 0xf1, 0, 0], Some([0x7f, 0xb1, 0, 0])),
            ([0x7f, 0xf2, 0, 0], Some([0x7f, 0xb2, 0, 0])),
            ([0x7f, 0xf3, 0, 0], Some([0x7f, 0xb3, 0, 0])),
            ([0x7f, 0x31, 0, 0], Some([0x7f, 0xb1, 0, 0])),
            // Messages of 2048 octets are too short.
            ([0x7f, 0x21, 0, 0], Some([0x7f, 0x20, 0, 0])),
            ([0x7f, 0x01, 0, 0], Some([0x7f, 0x20, 0, 0])),
            // Illegal, UBJSON, FlatBuffers, reserved.
            ([0x7f, 0xf0, 0, 0], Some([0x7f, 0x10, 0, 0])),
            ([0x7f, 0xf4, 0, 0], Some([0x7f, 0x10, 0, 0])),
            ([0x7f, 0xf5, 0, 0], Some([0x7f, 0x10, 0, 0])),
            ([0x7f, 0xff, 0, 0], Some([0x7f, 0x10, 0, 0])),
            ([0x7f, 0xf1, 1, 0], Some([0x7f, 0x30, 0, 0])),
            ([0x7f, 0xf1, 0, 1], Some([0x7f, 0x30, 0, 0])),
            ([0x7f, 0xf0, 0x80, 0], Some([0x7f, 0x30, 0, 0])),
            (*b"GET ", None),
            ([0xff, 0xf1, 0, 0], None),
            ([0, 0, 0, 0], None),
        ] {
            let parsed = Request::parse(request, &Serializer::ALL);
            let found = parsed.map_or_else(Unacceptable::reply, |request| Some(request.reply(taken)));
            assert_eq!(found, reply, "{request:02x?}");
        }
        let offered = [Serializer::Cbor];
        assert_eq!(Request::parse([0x7f, 0xf1, 0, 0], &offered), Err(Unacceptable::Serializer));
        assert_eq!(Unacceptable::Connections.reply(), Some([0x7f, 0x40, 0, 0]));
    }

    #[test]
    fn every_octet_of_a_handshake_means_one_thing() {
        let (good, taken) = ([0x7f, 0xf3, 0, 0], Length::within(1 << 24));
        for (place, octet) in (0..good.len()).flat_map(|place| (0..=255).map(move |octet| (place, octet))) {
            let mut request = good;
            request[place] = octet;
            let expected = match (place, octet) {
                (0, 0x7f) | (2 | 3, 0) => Some([0x7f, 0xf3, 0, 0]),
                (0, _) => None,
                (2 | 3, _) => Some([0x7f, 0x30, 0, 0]),
                (_, octet) if !(1..=3).contains(&(octet & 15)) => Some([0x7f, 0x10, 0, 0]),
                (_, 0..0x30) => Some([0x7f, 0x20, 0, 0]),
                (_, octet) => Some([0x7f, 0xf0 | octet & 15, 0, 0]),
            };
            let parsed = Request::parse(request, &Serializer::ALL);
            let found = parsed.map_or_else(Unacceptable::reply, |request| Some(request.reply(taken)));
            assert_eq!(found, expected, "{request:02x?}");
        }
    }

    #[test]
    fn a_length_is_the_power_of_two_that_an_allowance_holds() {
        for (octets, length) in [
            (0, 512),
            (512, 512),
            (1000, 512),
            (1024, 1024),
            ((1 << 20) - 1, 1 << 19),
            (1 << 20, 1 << 20),
            ((1 << 24) - 1, 1 << 23),
            (1 << 24, 1 << 24),
            (usize::MAX, 1 << 24),
        ] {
            assert_eq!(Length::within(octets).octets(), length);
        }
    }

    #[test]
    fn frames_are_told_apart_octet_by_octet() {
        let violation = |text| Err(FrameError::violation(text));
        let reserved = || violation("a frame has reserved bits set");
        let unused = || violation("a frame has a type that is not in use");
        let longer = || violation("a frame has a length of more than 2^24 octets");
        for (bytes, expected) in [
            (&b""[..], Ok(vec![])),
            (b"\0\0\0\x02[]", Ok(vec![message("[]")])),
            (b"\0\0\0\0", Ok(vec![message("")])),
            (b"\0\0\0\x02[]\0\0\0\x03[1]\0", Ok(vec![message("[]"), message("[1]")])),
            (b"\x01\0\0\x02hi", Ok(vec![Received::Ping(Bytes::from_static(b"hi"))])),
            (b"\x01\0\0\x01\xff", Ok(vec![Received::Ping(Bytes::from_static(b"\xff"))])),
            (b"\x02\0\0\x02hi\x02\0\0\0", Ok(vec![Received::Pong, Received::Pong])),
            (b"\0\0\0\x01\xff", Err(FrameError::InvalidUtf8)),
            (b"\x03\0\0\0", unused()),
            (b"\x07\0\0\0", unused()),
            (b"\x10\0\0\0", reserved()),
            (b"\x80\0\0\0", reserved()),
            (b"\x08\0\0\x01", longer()),
            (b"\x09\x01\0\0", longer()),
            (b"\x08\0\0\0", Ok(vec![])),
        ] {
            assert_eq!(receive(Serializer::Json, MOST, bytes), expected, "{}", bytes.escape_ascii());
        }
        let binary = vec![Received::Message(Bytes::from_static(b"\xff"))];
        assert_eq!(receive(Serializer::Cbor, MOST, b"\0\0\0\x01\xff"), Ok(binary));
    }

    #[test]
    fn the_limit_is_checked_at_the_header() {
        let too_big = |octets| Err(FrameError::too_big(octets));
        for (bytes, limit, expected) in [
            (&b"\0\0\x02\0"[..], Length(0), Ok(vec![])),
            (b"\0\0\x02\x01", Length(0), too_big(512)),
            (b"\x01\0\x02\x01", Length(0), too_big(512)),
            (b"\x02\0\x02\x01", Length(0), too_big(512)),
            (b"\0\xff\xff\xff", Length(14), too_big(1 << 23)),
            (b"\0\xff\xff\xff", Length(15), Ok(vec![])),
            (b"\x08\0\0\0", Length(14), too_big(1 << 23)),
        ] {
            assert_eq!(receive(Serializer::Json, limit, bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn two_to_the_24_octets_are_a_message_and_one_more_is_none() {
        let longest = [&b"\x08\0\0\0"[..], &vec![b' '; 1 << 24]].concat();
        let all = receive(Serializer::Json, Length(15), &longest).unwrap();
        assert!(matches!(&all[..], [Received::Message(message)] if message.len() == 1 << 24));
        assert_eq!(pong(&longest[4..])[..4], *b"\x0a\0\0\0");
        assert_eq!(pong(&longest[5..])[..4], *b"\x02\xff\xff\xff");
        assert_eq!(pong(b"hi"), b"\x02\0\0\x02hi");
        assert_eq!(ping(), b"\x01\0\0\x04ping");
    }

    #[test]
    fn a_message_is_framed_for_who_takes_it() {
        let message = RouterMessage::from(Goodbye::new("a.b", None));
        let mut framer = Framer::default();
        let mut encoded = framer.encode(&message, Serializer::Json);
        let rawsocket = Framing::RawSocket;
        assert_eq!(encoded.length(), 12);
        assert_eq!(encoded.frame_within(rawsocket(Length(3))), Ok(&b"\0\0\0\x0c[6,{},\"a.b\"]"[..]));
        assert_eq!(encoded.frame_within(Framing::WebSocket), Ok(&b"\x81\x0c[6,{},\"a.b\"]"[..]));
        assert_eq!(encoded.frame(rawsocket(Length(3))), b"\0\0\0\x0c[6,{},\"a.b\"]");
        let long = RouterMessage::from(Goodbye::new("a.b", Some(&"x".repeat(4096))));
        let mut encoded = framer.encode(&long, Serializer::Cbor);
        let too_long = encoded.frame_within(rawsocket(Length(3))).unwrap_err();
        let text = format!("it has {} octets, and the client takes at most 4096", encoded.length());
        assert_eq!(too_long.to_string(), text);
        assert_eq!(encoded.frame_within(rawsocket(Length(4))).map(<[u8]>::len), Ok(encoded.length() + 4));
    }

    #[test]
    fn what_is_cut_anywhere_is_waited_for() {
        let stream = b"\0\0\0\x02[]\x01\0\0\x02hi\0\0\0\x03[1]\x02\0\0\0\0\0\0\0";
        let expected = receive(Serializer::Json, MOST, stream).unwrap();
        assert_eq!(expected.len(), 5);
        for cut in 0..stream.len() {
            let (mut socket, mut read) = (RawSocket::new(Serializer::Json, MOST), BytesMut::new());
            let mut all = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                read.extend_from_slice(part);
                while let Some(received) = socket.next(&mut read).unwrap() {
                    all.push(received);
                }
            }
            assert_eq!(all, expected, "cut at {cut}");
            let before = receive(Serializer::Json, MOST, &stream[..cut]).unwrap();
            assert_eq!(before, expected[..before.len()], "cut at {cut}");
        }
    }

    /// Whatever comes, in whatever pieces, is understood alike, and no more is taken than there is.
    #[test]
    fn noise_is_understood_alike_in_whatever_pieces_it_comes() {
        for seed in 0..2000 {
            let mut chance = StdRng::seed_from_u64(seed);
            let mut stream = Vec::new();
            for _ in 0..chance.random_range(1..8) {
                let length = chance.random_range(0..40);
                let payload: Vec<u8> = (0..length).map(|_| chance.random_range(0x20..0x7f)).collect();
                stream.extend(header(chance.random_range(0..3), length));
                stream.extend(payload);
            }
            for _ in 0..chance.random_range(0..3) {
                let place = chance.random_range(0..stream.len());
                stream[place] = chance.random();
            }
            let serializer = Serializer::ALL[seed as usize % 3];
            let whole = receive(serializer, Length(0), &stream);
            let (mut socket, mut read) = (RawSocket::new(serializer, Length(0)), BytesMut::new());
            let (mut all, mut rest) = (Vec::new(), &stream[..]);
            let pieces = loop {
                match socket.next(&mut read) {
                    Ok(Some(received)) => all.push(received),
                    Err(error) => break Err(error),
                    Ok(None) if rest.is_empty() => break Ok(all),
                    Ok(None) => {
                        let (piece, after) = rest.split_at(chance.random_range(1..=rest.len()));
                        read.extend_from_slice(piece);
                        rest = after;
                    }
                }
            };
            assert_eq!(pieces, whole, "seed {seed}");
        }
    }
}
