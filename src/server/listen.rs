//! Listening in several places: in all of them or in none.

use super::{
    ServiceError,
    unix::{self, SocketFile},
};
use crate::UnixSocket;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 2048;

/// Where to listen.
#[derive(Debug)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Unix(UnixSocket),
}

/// What takes connections.
#[derive(Debug)]
pub(super) enum Bound {
    /// With the port that was free.
    Tcp(SocketAddr, TcpListener),
    Unix(UnixListener, SocketFile),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

/// Listens in all of these places; nowhere if it cannot in one of them.
pub(super) fn listen(places: &[Place]) -> Result<Vec<Bound>, ServiceError> {
    let folders = places.iter().filter_map(|place| match place {
        Place::Tcp(_) => None,
        Place::Unix(wanted) => Some((place, unix::folder(wanted).map(|folder| (folder, place)))),
    });
    // In order, so that two routers do not wait for each other.
    let folders: BTreeMap<_, _> = each(folders)?.into_iter().collect();
    let _reserved =
        each(folders.iter().map(|(folder, place)| (*place, unix::reserve(folder, unix::PATIENCE))))?;
    let sockets = each(places.iter().map(|place| (place, bind(place))))?;
    each(places.iter().zip(sockets).map(|(place, (socket, file))| (place, take_connections(socket, file))))
}

/// All results, or the first error with its place.
fn each<'p, T>(results: impl Iterator<Item = (&'p Place, io::Result<T>)>) -> Result<Vec<T>, ServiceError> {
    results
        .map(|(place, result)| {
            result.map_err(|error| ServiceError::Listen { place: place.to_string(), error })
        })
        .collect()
}

fn bind(place: &Place) -> io::Result<(Socket, Option<SocketFile>)> {
    match place {
        Place::Tcp(address) => Ok((bind_tcp(*address)?, None)),
        Place::Unix(wanted) => unix::bind(wanted).map(|(socket, file)| (socket, Some(file))),
    }
}

/// A socket with this address. One of IPv6 leaves IPv4 to others, on every system and whatever its settings.
fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The port of a service that has just stopped is free.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn take_connections(socket: Socket, file: Option<SocketFile>) -> io::Result<Bound> {
    socket.listen(BACKLOG)?;
    if let Some(file) = file {
        return Ok(Bound::Unix(socket.into(), file));
    }
    let listener = TcpListener::from(socket);
    Ok(Bound::Tcp(listener.local_addr()?, listener))
}
