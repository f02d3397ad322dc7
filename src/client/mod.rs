//! A WAMP client for the commands of the terminal: [`connection`] carries messages over a WebSocket or a RawSocket,
//! [`session`] holds the conversation. It speaks JSON.

mod address;
mod connection;
mod failure;
mod session;

pub(crate) use address::Address;
pub(crate) use connection::Authorities;
pub(crate) use failure::{Failure, Refused};
pub(crate) use session::{Answer, Credentials, Event, Happening, Invocation, Payload, Peer, Session};
