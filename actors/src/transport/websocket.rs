//! The WebSocket framing of messages (RFC 6455), on the server's side of an upgraded connection.

use super::framing::{FrameError, MOST_HEADER, Received, is_text};
use crate::codec::Serializer;
use actix_http::ws::{OpCode, Parser, ProtocolError};
use bytes::BytesMut;

/// A control frame carries at most this many octets.
const MOST_CONTROL: u8 = 125;

/// Makes messages of the frames of one client.
#[derive(Debug)]
pub(crate) struct WebSocket {
    serializer: Serializer,
    /// The largest message taken, in octets.
    limit: usize,
    /// The message of which fragments have come.
    fragments: Option<BytesMut>,
}

impl WebSocket {
    pub(super) fn new(serializer: Serializer, limit: usize) -> Self {
        Self { serializer, limit, fragments: None }
    }

    /// Takes the next thing out of what was read; `None` if it is not complete yet.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Result<Option<Received>, FrameError> {
        loop {
            self.check_header(read)?;
            let parsed = Parser::parse(read, true, self.limit).map_err(frame_error)?;
            let Some((is_final, opcode, payload)) = parsed else { return Ok(None) };
            let payload = payload.unwrap_or_default();
            let received = match opcode {
                OpCode::Ping => Some(Received::Ping(payload.freeze())),
                OpCode::Pong => Some(Received::Pong),
                OpCode::Close => {
                    let reason = Parser::try_parse_close_payload(&payload).map_err(frame_error)?;
                    Some(Received::Close(reason.map(|reason| reason.code.into())))
                }
                OpCode::Text | OpCode::Binary | OpCode::Continue => self.data(opcode, is_final, payload)?,
                OpCode::Bad => return Err(FrameError::violation("a frame has an opcode that is not in use")),
            };
            if received.is_some() {
                return Ok(received);
            }
        }
    }

    /// Looks at the header of the frame that comes next, before its payload is there.
    fn check_header(&self, read: &[u8]) -> Result<(), FrameError> {
        let [first, second, rest @ ..] = read else { return Ok(()) };
        let is_control = first & 0x08 != 0;
        // What is wrong whatever the length is told, whether or not all of that has come.
        if OpCode::from(first & 0x0f) == OpCode::Bad {
            return Err(FrameError::violation("a frame has an opcode that is not in use"));
        }
        if first & 0x70 != 0 {
            return Err(FrameError::violation("a frame has reserved bits set"));
        }
        if second & 0x80 == 0 {
            return Err(FrameError::violation("a frame is not masked"));
        }
        if is_control && (first & 0x80 == 0 || second & 0x7f > MOST_CONTROL) {
            return Err(FrameError::violation("a control frame is fragmented or longer than 125 octets"));
        }
        let length = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => u16::from_be_bytes([*a, *b]).into(),
            (127, _) => match rest.first_chunk() {
                Some(length) => u64::from_be_bytes(*length),
                None => return Ok(()),
            },
            (126, _) => return Ok(()),
            (length, _) => length.into(),
        };
        let before = self.fragments.as_ref().map_or(0, BytesMut::len);
        let left = self.limit.saturating_sub(if is_control { 0 } else { before });
        if length > left as u64 {
            return Err(FrameError::too_big(self.limit));
        }
        Ok(())
    }

    /// Takes a frame of data; gives the message that it completes.
    fn data(
        &mut self,
        opcode: OpCode,
        is_final: bool,
        payload: BytesMut,
    ) -> Result<Option<Received>, FrameError> {
        let is_first = opcode != OpCode::Continue;
        if is_first && (opcode == OpCode::Text) != self.serializer.is_text() {
            return Err(FrameError::violation(if self.serializer.is_text() {
                "a binary frame was sent where the subprotocol uses text"
            } else {
                "a text frame was sent where the subprotocol uses binary"
            }));
        }
        let (message, checked) = match (self.fragments.take(), is_first) {
            (Some(_), true) => return Err(FrameError::violation("a message begins inside of another")),
            (None, false) => return Err(FrameError::violation("a fragment continues no message")),
            (None, true) => (payload, 0),
            (Some(mut message), false) => {
                let checked = complete_text(&message);
                message.extend_from_slice(&payload);
                (message, checked)
            }
        };
        if self.serializer.is_text() && !is_text(message.get(checked..).unwrap_or_default(), is_final) {
            return Err(FrameError::InvalidUtf8);
        }
        if is_final {
            return Ok(Some(Received::Message(message.freeze())));
        }
        self.fragments = Some(message);
        Ok(None)
    }
}

fn frame_error(error: ProtocolError) -> FrameError {
    FrameError::violation(match error {
        ProtocolError::UnmaskedFrame => "a frame is not masked",
        ProtocolError::InvalidOpcode(_) => "a frame has an opcode that is not in use",
        ProtocolError::BadOpCode | ProtocolError::InvalidLength(_) => {
            "a close frame has a payload that is not valid"
        }
        ProtocolError::MaskedFrame
        | ProtocolError::Overflow
        | ProtocolError::ContinuationNotStarted
        | ProtocolError::ContinuationStarted
        | ProtocolError::ContinuationFragment(_)
        | ProtocolError::Io(_) => "a frame has a length that is not valid",
    })
}

/// How many octets of a text that is cut somewhere make whole characters. Looks at the last ones only.
fn complete_text(bytes: &[u8]) -> usize {
    let lead = bytes.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    match bytes.get(lead..).map(std::str::from_utf8) {
        Some(Ok(_)) => bytes.len(),
        _ => lead,
    }
}

/// The frame of a pong.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    control(0xa, payload)
}

/// The frame of a ping without payload.
pub(super) fn ping() -> Vec<u8> {
    control(0x9, &[])
}

/// The frame that closes, with this code if there is one.
pub(super) fn close(code: Option<u16>) -> Vec<u8> {
    let code = code.map(u16::to_be_bytes);
    control(0x8, code.as_ref().map_or(&[], |code| &code[..]))
}

fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; MOST_HEADER];
    frame.extend_from_slice(payload);
    let start = write_opcode(opcode, &mut frame);
    frame.split_off(start)
}

/// Writes the header of a message before it, where there is room for [`MOST_HEADER`]; gives where the frame begins.
pub(super) fn write_header(is_text: bool, frame: &mut [u8]) -> usize {
    write_opcode(if is_text { 0x1 } else { 0x2 }, frame)
}

#[expect(clippy::cast_possible_truncation, reason = "each arm has checked the range")]
fn write_opcode(opcode: u8, frame: &mut [u8]) -> usize {
    let first = 0x80 | opcode;
    let length = frame.len() - MOST_HEADER;
    let (header, size) = match length {
        0..=125 => ([first, length as u8, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        126..=0xffff => {
            let [a, b] = (length as u16).to_be_bytes();
            ([first, 126, a, b, 0, 0, 0, 0, 0, 0], 4)
        }
        _ => {
            let [a, b, c, d, e, f, g, h] = (length as u64).to_be_bytes();
            ([first, 127, a, b, c, d, e, f, g, h], MOST_HEADER)
        }
    };
    let start = MOST_HEADER - size;
    frame[start..MOST_HEADER].copy_from_slice(&header[..size]);
    start
}

#[cfg(test)]
mod tests {
    use super::{
        super::framing::{Frames, receive_all},
        *,
    };
    use bytes::Bytes;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// A masked frame of a client.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn receive(serializer: Serializer, limit: usize, bytes: &[u8]) -> Result<Vec<Received>, FrameError> {
        receive_all(Frames::WebSocket(WebSocket::new(serializer, limit)), bytes)
    }

    #[test]
    fn fragments_make_one_message_with_control_frames_between() {
        let bytes = [frame(0x01, b"[1,"), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, b"2]")].concat();
        let all = receive(Serializer::Json, 100, &bytes);
        let expected =
            vec![Received::Ping(Bytes::from_static(b"?")), Received::Message(Bytes::from_static(b"[1,2]"))];
        assert_eq!(all, Ok(expected));
    }

    #[test]
    fn a_message_may_come_in_single_octets() {
        let (mut socket, mut read) = (WebSocket::new(Serializer::Json, 300), BytesMut::new());
        let bytes = frame(0x81, &[b'x'; 300]);
        let (last, before) = bytes.split_last().unwrap();
        for byte in before {
            read.extend_from_slice(&[*byte]);
            assert_eq!(socket.next(&mut read), Ok(None));
        }
        read.extend_from_slice(&[*last]);
        assert_eq!(socket.next(&mut read), Ok(Some(Received::Message(vec![b'x'; 300].into()))));
    }

    #[test]
    fn text_is_checked_across_fragments() {
        let text = "[\"ä€𝄞\"]".as_bytes();
        for cut in 0..=text.len() {
            let bytes = [frame(0x01, &text[..cut]), frame(0x80, &text[cut..])].concat();
            let whole = vec![Received::Message(Bytes::copy_from_slice(text))];
            assert_eq!(receive(Serializer::Json, 100, &bytes), Ok(whole), "cut at {cut}");
        }
        let early = frame(0x01, &[b'[', 0xff]);
        assert_eq!(receive(Serializer::Json, 100, &early), Err(FrameError::InvalidUtf8));
        let late = [frame(0x01, &[0xe2, 0x82]), frame(0x80, b"x")].concat();
        assert_eq!(receive(Serializer::Json, 100, &late), Err(FrameError::InvalidUtf8));
        let short = frame(0x81, &[0xe2, 0x82]);
        assert_eq!(receive(Serializer::Json, 100, &short), Err(FrameError::InvalidUtf8));
    }

    #[test]
    fn the_limit_is_checked_at_the_header() {
        let mut tebibyte = vec![0x82, 0x80 | 127];
        tebibyte.extend((1u64 << 40).to_be_bytes());
        let too_big = || Err(FrameError::TooBig("a message may have at most 100 octets".into()));
        assert_eq!(receive(Serializer::Cbor, 100, &tebibyte), too_big());
        assert_eq!(receive(Serializer::Json, 100, &frame(0x81, &[b'x'; 101])[..4]), too_big());
        let fragments = [frame(0x01, &[b'x'; 60]), frame(0x80, &[b'x'; 41])[..2].to_vec()].concat();
        assert_eq!(receive(Serializer::Json, 100, &fragments), too_big());
        let just = [frame(0x01, &[b'x'; 60]), frame(0x80, &[b'x'; 40])].concat();
        assert_eq!(receive(Serializer::Json, 100, &just).map(|all| all.len()), Ok(1));
    }

    #[test]
    fn frames_that_have_no_place_are_named() {
        let unmasked = vec![0x81, 0x01, b'x'];
        for (bytes, problem) in [
            (frame(0x82, b"x"), "a binary frame was sent where the subprotocol uses text"),
            (frame(0x80, b"x"), "a fragment continues no message"),
            ([frame(0x01, b"x"), frame(0x81, b"x")].concat(), "a message begins inside of another"),
            (unmasked, "a frame is not masked"),
            (frame(0x83, b"x"), "a frame has an opcode that is not in use"),
            (frame(0xc1, b"x"), "a frame has reserved bits set"),
            (frame(0x09, b"x"), "a control frame is fragmented or longer than 125 octets"),
            (frame(0x89, &[0; 126]), "a control frame is fragmented or longer than 125 octets"),
            // Of a length that is too large besides, which need not have come.
            (vec![0x07, 0xff], "a frame has an opcode that is not in use"),
            (
                vec![0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
                "a frame has an opcode that is not in use",
            ),
            (vec![0x89, 0xfe], "a control frame is fragmented or longer than 125 octets"),
            (vec![0xc1, 0xff], "a frame has reserved bits set"),
            (vec![0x81, 0x7f], "a frame is not masked"),
            (frame(0x88, &[3]), "a close frame has a payload that is not valid"),
            (frame(0x88, &1005u16.to_be_bytes()), "a close frame has a payload that is not valid"),
        ] {
            assert_eq!(receive(Serializer::Json, 1000, &bytes), Err(FrameError::violation(problem)));
        }
        let text = "a text frame was sent where the subprotocol uses binary";
        assert_eq!(
            receive(Serializer::MessagePack, 1000, &frame(0x81, b"x")),
            Err(FrameError::violation(text))
        );
    }

    #[test]
    fn a_close_frame_has_a_code_or_none() {
        assert_eq!(receive(Serializer::Json, 9, &frame(0x88, b"")), Ok(vec![Received::Close(None)]));
        let code = [&4000u16.to_be_bytes()[..], b"why"].concat();
        assert_eq!(receive(Serializer::Json, 9, &frame(0x88, &code)), Ok(vec![Received::Close(Some(4000))]));
        assert_eq!(close(Some(1000)), [0x88, 2, 3, 232]);
        assert_eq!(close(None), [0x88, 0]);
    }

    #[test]
    fn a_header_tells_the_length_in_the_shortest_form() {
        for (length, header) in [
            (0, vec![0x8a, 0]),
            (125, vec![0x8a, 125]),
            (126, vec![0x8a, 126, 0, 126]),
            (0xffff, vec![0x8a, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x8a, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![1; length];
            assert_eq!(pong(&payload), [header, payload].concat());
        }
    }
}
