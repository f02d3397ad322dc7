//! Makes sessions of connections by the handshake of RawSocket.

use super::{caller::Caller, entrance::Entrance};
use bytes::BytesMut;
use realmkeeper_actors::transport::{
    framing::Framing,
    rawsocket::{Length, MAGIC, Request, Unacceptable},
};
use std::{io, os::fd::AsFd, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tracing::debug;

/// Makes a session of a connection that asks for one, or refuses it.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static>(
    mut stream: S,
    caller: Caller,
    entrance: Arc<Entrance>,
) -> io::Result<()> {
    let peer = &caller.peer;
    let terms = entrance.terms();
    let listener = &terms.listener;
    let greeting = async {
        let octets = read_request(&mut stream).await?;
        let request = Request::parse(octets, &listener.serializers);
        let request = request.inspect_err(|problem| debug!(%peer, %problem, "a RawSocket is refused"));
        let admitted = request.and_then(|request| {
            let open = entrance.admit(&caller);
            let open = open.inspect_err(|problem| debug!(%peer, %problem, "a RawSocket is refused"));
            Ok((request, open.map_err(|_| Unacceptable::Connections)?))
        });
        match admitted {
            Ok((request, open)) => {
                stream.write_all(&request.reply(Length::within(listener.session.message_limit))).await?;
                stream.flush().await?;
                Ok(Some((request, open)))
            }
            Err(unacceptable) => {
                refuse(&mut stream, unacceptable, listener.session.linger).await?;
                Ok(None)
            }
        }
    };
    let greeted = tokio::time::timeout(listener.session.handshake_timeout, greeting).await;
    let greeted = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let greeted = greeted.inspect_err(|problem: &io::Error| {
        debug!(%peer, %problem, "a connection ended in its handshake");
    });
    if let Some((Request { serializer, takes }, open)) = greeted? {
        let form = (serializer, Framing::RawSocket(takes));
        entrance.begin(&terms, stream, BytesMut::new(), caller, form, open);
    }
    Ok(())
}

/// Reads what a client sends first. The rest is not waited for if the first octet is wrong.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; 4]> {
    let mut octets = [0; 4];
    let (first, rest) = octets.split_at_mut(1);
    stream.read_exact(first).await?;
    if *first == [MAGIC] {
        stream.read_exact(rest).await?;
    }
    Ok(octets)
}

/// Tells a client why it is not taken, and waits for so long until it has gone.
async fn refuse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    unacceptable: Unacceptable,
    linger: Duration,
) -> io::Result<()> {
    let Some(reply) = unacceptable.reply() else { return Ok(()) };
    stream.write_all(&reply).await?;
    stream.shutdown().await?;
    // What it has sent already would reset the connection, and the reply might not arrive.
    let gone = tokio::time::timeout(linger, tokio::io::copy(stream, &mut tokio::io::sink())).await;
    gone.map_or(Ok(()), |gone| gone.map(drop))
}
