//! Listening on several addresses: on all of them or on none.

use super::ServiceError;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener},
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 2048;

/// Listens on all of these addresses; nothing is listened on if one of them cannot be. Gives the addresses with
/// the ports that were free.
pub(super) fn listen(addresses: &[SocketAddr]) -> Result<Vec<(SocketAddr, TcpListener)>, ServiceError> {
    let sockets = each(addresses.iter().map(|address| (*address, bind(*address))))?;
    each(addresses.iter().zip(sockets).map(|(address, socket)| (*address, take_connections(socket))))
}

/// All results, or the first error with its address.
fn each<T>(results: impl Iterator<Item = (SocketAddr, io::Result<T>)>) -> Result<Vec<T>, ServiceError> {
    results.map(|(address, result)| result.map_err(|error| ServiceError::Listen { address, error })).collect()
}

/// A socket with this address. One of IPv6 leaves IPv4 to others, on every system and whatever its settings.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The port of a service that has just stopped is free.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn take_connections(socket: Socket) -> io::Result<(SocketAddr, TcpListener)> {
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    Ok((listener.local_addr()?, listener))
}
