//! Between the socket and the session: frames on one side, messages on the other, and what waits for a peer.

pub(crate) mod connection;
pub mod framing;
pub(crate) mod outbox;
pub mod rawsocket;
pub mod sockets;
pub(crate) mod websocket;
