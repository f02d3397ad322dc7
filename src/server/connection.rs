//! How long a connection may last that does not become a session.

use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use std::time::Duration;
use tracing::debug;

/// Cuts every connection that is still there after this time and has not become a session: whatever its client
/// sends slowly, or does not read.
pub(super) fn within<F>(
    limit: Duration,
    connections: F,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = F::Error, InitError = F::InitError>
where
    F: ServiceFactory<TcpStream, Config = (), Response = ()>,
{
    apply_fn_factory(connections, move |socket, service: &F::Service| {
        let connection = service.call(socket);
        async move {
            tokio::time::timeout(limit, connection).await.unwrap_or_else(|_| {
                debug!("a connection without a session was cut");
                Ok(())
            })
        }
    })
}
