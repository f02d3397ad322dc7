//! A connection to a router, and how messages travel on it: in the frames of a WebSocket, or behind the lengths of a
//! RawSocket (section "RawSocket Transport").

use super::{
    Failure,
    dial::{Dialed, Dialer, Octets, described},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::io;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, protocol::Role},
};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedParts};

/// A connection to a router.
pub(super) enum Connection {
    WebSocket(Box<WebSocketStream<Box<dyn Octets>>>),
    RawSocket(Framed<Box<dyn Octets>, Frames>),
}

impl Connection {
    /// Connects; an error says why it cannot.
    pub(super) async fn open(dialer: &Dialer) -> Result<Self, Failure> {
        let Dialed { octets, read, longest } = dialer.dial().await?;
        if dialer.address().is_web_socket() {
            let socket = WebSocketStream::from_partially_read(octets, read.into(), Role::Client, None);
            return Ok(Self::WebSocket(Box::new(socket.await)));
        }
        let mut parts = FramedParts::new(octets, Frames { longest });
        parts.read_buf = read;
        Ok(Self::RawSocket(Framed::from_parts(parts)))
    }

    /// Sends a message, or a ping, or the answer to one.
    pub(super) async fn send(&mut self, kind: Kind, octets: Bytes) -> Result<(), String> {
        match self {
            Self::WebSocket(socket) => {
                let frame = match kind {
                    Kind::Message => {
                        Message::Text(Utf8Bytes::try_from(octets).map_err(|error| error.to_string())?)
                    }
                    Kind::Ping => Message::Ping(octets),
                    Kind::Pong => Message::Pong(octets),
                };
                socket.send(frame).await.map_err(described)
            }
            Self::RawSocket(socket) => socket.send((kind, octets)).await.map_err(|error| error.to_string()),
        }
    }

    /// Waits for what comes; a ping has to be answered. A call that is dropped loses nothing.
    pub(super) async fn receive(&mut self) -> Result<(Kind, Bytes), String> {
        const END: &str = "the router closed it";
        match self {
            Self::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => Ok((Kind::Message, text.into())),
                Some(Ok(Message::Binary(_))) => Err("a binary frame came".to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let code = u16::from(frame.code);
                    Err(format!("{END} with code {code} {:?}", frame.reason.as_str()))
                }
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    Ok((Kind::Pong, Bytes::new()))
                }
                Some(Ok(Message::Close(None))) | None => Err(END.to_owned()),
                Some(Err(error)) => Err(described(error)),
            },
            Self::RawSocket(socket) => match socket.next().await {
                Some(frame) => frame.map_err(|error| error.to_string()),
                None => Err(END.to_owned()),
            },
        }
    }

    /// Ends the connection. Nobody is there to be told of an error.
    pub(super) async fn close(mut self) {
        match &mut self {
            Self::WebSocket(socket) => {
                let _ = socket.close().await;
            }
            Self::RawSocket(socket) => {
                let _ = SinkExt::<(Kind, Bytes)>::close(socket).await;
            }
        }
    }
}

/// How messages travel on a RawSocket.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many octets a message for the router may have.
    longest: usize,
}

/// What a frame is; the numbers are those of a RawSocket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Message = 0,
    Ping = 1,
    Pong = 2,
}

impl Decoder for Frames {
    type Item = (Kind, Bytes);
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let Some(header) = read.first_chunk::<4>() else { return Ok(None) };
        let header = u32::from_be_bytes(*header);
        let kind = match header >> 24 {
            0 | 8 => Kind::Message,
            1 => Kind::Ping,
            2 => Kind::Pong,
            _ => return Err(invalid("a frame of a kind that there is not")),
        };
        let length = match (header >> 24, header & 0x00ff_ffff) {
            (8, 0) => 1 << 24,
            (8, _) => return Err(invalid("a frame with a length that there is not")),
            (_, length) => length as usize,
        };
        if read.len() < 4 + length {
            read.reserve(4 + length - read.len());
            return Ok(None);
        }
        read.advance(4);
        Ok(Some((kind, read.split_to(length).freeze())))
    }
}

impl Encoder<(Kind, Bytes)> for Frames {
    type Error = io::Error;

    fn encode(&mut self, (kind, octets): (Kind, Bytes), out: &mut BytesMut) -> io::Result<()> {
        if octets.len() > self.longest {
            return Err(invalid(&format!(
                "a message of {} octets is too long: the router takes {}",
                octets.len(),
                self.longest
            )));
        }
        // A length of exactly 2^24 becomes the bit beside the kind, as the section says.
        out.put_u32(
            (kind as u32) << 24 | octets.len() as u32 & 0x00ff_ffff | ((octets.len() >> 24) as u32) << 27,
        );
        out.put(octets);
        Ok(())
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(octets: &[u8]) -> io::Result<Option<(Kind, Bytes)>> {
        Frames { longest: 512 }.decode(&mut octets.into())
    }

    #[test]
    fn a_frame_is_what_its_header_says() {
        for (octets, kind) in
            [([0, 0, 0, 2], Kind::Message), ([1, 0, 0, 2], Kind::Ping), ([2, 0, 0, 2], Kind::Pong)]
        {
            let frame = [&octets[..], b"ab"].concat();
            let read = decoded(&frame).unwrap();
            assert_eq!(read, Some((kind, Bytes::from_static(b"ab"))));
            for length in 0..frame.len() {
                assert_eq!(decoded(&frame[..length]).unwrap(), None, "{length} octets");
            }
            let mut out = BytesMut::new();
            Frames { longest: 512 }.encode((kind, Bytes::from_static(b"ab")), &mut out).unwrap();
            assert_eq!(out, frame);
        }
    }

    #[test]
    fn what_is_reserved_is_refused() {
        for header in [[3, 0, 0, 0], [7, 0, 0, 0], [8, 0, 0, 1], [9, 0, 0, 0], [16, 0, 0, 0]] {
            assert_eq!(decoded(&header).unwrap_err().kind(), io::ErrorKind::InvalidData, "{header:?}");
        }
    }

    #[test]
    fn the_longest_message_has_a_bit_of_its_own() {
        let longest = 1 << 24;
        let mut out = BytesMut::new();
        let mut frames = Frames { longest };
        frames.encode((Kind::Message, vec![b'x'; longest].into()), &mut out).unwrap();
        assert_eq!((&out[..4], out.len()), (&[8, 0, 0, 0][..], 4 + longest));
        let (kind, octets) = frames.decode(&mut out).unwrap().unwrap();
        assert_eq!((kind, octets.len()), (Kind::Message, longest));
        let error = frames.encode((Kind::Message, vec![b'x'; longest + 1].into()), &mut out).unwrap_err();
        let text = "a message of 16777217 octets is too long: the router takes 16777216";
        assert_eq!(error.to_string(), text);
    }
}
