//! A WAMP client for the commands of the terminal, which speaks JSON: [`connection`] carries messages over a WebSocket
//! or a RawSocket, [`session`] holds the conversation, [`credentials`] proves who it is. [`dial`] opens connections, those
//! of the load generator as well.

mod address;
mod certificate;
mod connection;
mod credentials;
mod dial;
mod failure;
mod session;

pub(crate) use address::Address;
pub(crate) use certificate::{Authorities, OwnCertificate};
pub(crate) use credentials::{Credentials, METHODS};
pub(crate) use dial::{Dialed, Dialer, Octets, Serializer};
pub(crate) use failure::{Failure, Refused};
pub(crate) use session::{Answer, Event, Happening, Happenings, Invocation, Payload, Peer, Session};
