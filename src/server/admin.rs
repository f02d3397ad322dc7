//! What those who run the service ask it:
//!
//! - `/metrics`: every metric, in the text format of Prometheus.
//! - `/healthz` and `/livez`: 200 while the service answers at all.
//! - `/readyz`: 200 while it takes new sessions; 503 while it starts and from the moment it begins to stop.

use super::{TEXT, connection::within, run};
use actix::Addr;
use actix_http::{HttpService, KeepAlive, StatusCode};
use actix_server::{Server, ServerHandle};
use actix_service::map_config;
use actix_web::{
    App, HttpResponse, Resource,
    dev::AppConfig,
    guard,
    web::{self, Data, ServiceConfig},
};
use realmkeeper_actors::{
    metrics::Metrics,
    router::actor::{Router, gather},
};
use std::{
    io,
    net::TcpListener,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

/// The type of the metrics.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(20);

/// What is told, and found out, about the service.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    metrics: Metrics,
    /// The router, once it is started.
    router: Arc<OnceLock<Addr<Router>>>,
    is_started: Arc<AtomicBool>,
    stopping: CancellationToken,
}

impl Admin {
    /// For a service that starts.
    pub(super) fn new(
        metrics: Metrics,
        router: Arc<OnceLock<Addr<Router>>>,
        stopping: CancellationToken,
    ) -> Self {
        Self { metrics, router, is_started: Arc::default(), stopping }
    }

    /// All listeners are up.
    pub(super) fn started(&self) {
        self.is_started.store(true, Ordering::Release);
    }

    /// Whether new sessions are taken, and if not why.
    fn readiness(&self) -> (StatusCode, &'static str) {
        if self.stopping.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "the router stops\n")
        } else if self.is_started.load(Ordering::Acquire) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the router starts\n")
        }
    }

    /// Adds the paths to an application.
    pub(super) fn add_to(&self, config: &mut ServiceConfig) {
        config
            .app_data(Data::new(self.clone()))
            .service(resource("/metrics").to(metrics))
            .service(resource("/healthz").to(health))
            .service(resource("/livez").to(health))
            .service(resource("/readyz").to(readiness));
    }

    /// Serves the paths, and nothing else, on a worker of their own: it answers however busy the router is.
    pub(super) fn serve(&self, listener: TcpListener) -> io::Result<ServerHandle> {
        let admin = self.clone();
        let server = Server::build().workers(1).disable_signals().listen("admin", listener, move || {
            let app = App::new()
                .wrap(TracingLogger::default())
                .configure(|config| admin.add_to(config))
                .default_service(web::to(elsewhere));
            let http = HttpService::build()
                .keep_alive(KeepAlive::Disabled)
                .tcp_nodelay(true)
                .finish(map_config(app, |()| AppConfig::default()))
                .tcp();
            within(LONGEST, http)
        })?;
        Ok(run(server))
    }
}

/// A path that can be read, and no more.
fn resource(path: &str) -> Resource {
    web::resource(path).guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn metrics(admin: Data<Admin>) -> HttpResponse {
    let text = match admin.router.get() {
        Some(router) => gather(router, &admin.metrics).await,
        None => admin.metrics.text(),
    };
    HttpResponse::Ok().content_type(EXPOSITION).body(text)
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("ok\n")
}

async fn readiness(admin: Data<Admin>) -> HttpResponse {
    let (status, text) = admin.readiness();
    HttpResponse::build(status).content_type(TEXT).body(text)
}

async fn elsewhere() -> HttpResponse {
    let text = "there is /metrics, /healthz, /livez and /readyz here\n";
    HttpResponse::NotFound().content_type(TEXT).body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_from_its_start_until_its_stop() {
        let stopping = CancellationToken::new();
        let admin = Admin::new(Metrics::default(), Arc::default(), stopping.clone());
        assert_eq!(admin.readiness(), (StatusCode::SERVICE_UNAVAILABLE, "the router starts\n"));
        admin.clone().started();
        assert_eq!(admin.readiness(), (StatusCode::OK, "ready\n"));
        stopping.cancel();
        assert_eq!(admin.readiness(), (StatusCode::SERVICE_UNAVAILABLE, "the router stops\n"));
    }
}
