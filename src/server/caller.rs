//! Who is at the other end of a connection, as far as it is known before a session begins.

use super::{route::Route, stream::Stream};
use realmkeeper_actors::{roster::Channel, session::access::CertificateName};
use std::{io, net::IpAddr};
use tokio::net::UnixStream;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Its address; none for a process of this machine.
    pub(super) address: Option<IpAddr>,
    /// What the meta API tells of it, such as `tcp4:127.0.0.1:48638` or `unix:pid=4711,uid=1000`.
    pub(super) peer: Box<str>,
    /// The balancer through which it came.
    pub(super) via: Option<Box<str>>,
    /// What its connection is made of.
    pub(super) channel: Channel,
    /// The names in its certificate; none if it has none.
    pub(super) certificate: Box<[CertificateName]>,
}

impl Caller {
    /// Who came this way over a connection.
    pub(super) fn over(stream: &Stream, route: &Route) -> Self {
        Self {
            address: Some(route.client.address),
            peer: route.client.to_string().into(),
            via: route.via.map(|via| via.to_string().into()),
            channel: if stream.is_secure() { Channel::Tls } else { Channel::Tcp },
            certificate: stream.certificate(),
        }
    }

    /// The process that connected a Unix domain socket, as the system tells it.
    pub(super) fn local(stream: &UnixStream) -> io::Result<Self> {
        let process = stream.peer_cred()?;
        let uid = process.uid();
        let peer = match process.pid() {
            Some(pid) => format!("unix:pid={pid},uid={uid}"),
            None => format!("unix:uid={uid}"),
        };
        let (channel, certificate) = (Channel::Unix, Box::default());
        Ok(Self { address: None, peer: peer.into(), via: None, channel, certificate })
    }
}
