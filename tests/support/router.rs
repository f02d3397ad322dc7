//! A router on a free port, in a thread of this process.

use super::log;
use realmkeeper::{
    Service, Settings,
    config::{self, Overrides},
};
use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::Path,
    process,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A started router. It stops in order when it is dropped.
pub(crate) struct Router {
    addresses: Vec<SocketAddr>,
    urls: Vec<String>,
    admin: Option<SocketAddr>,
    sockets: realmkeeper_actors::transport::sockets::OpenSockets,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    /// Starts a router with the usual settings.
    pub(crate) fn start() -> Self {
        Self::with(|_| ())
    }

    /// Starts a router with other settings. Unless they say so, nobody is sent a ping, since who waits for its turn in
    /// a test does not answer, and nobody is locked out.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        log::record();
        let mut settings = Settings::default();
        settings.listeners[0].address.set_port(0);
        settings.listeners[0].session.ping_interval = Duration::from_secs(3600);
        settings.lockout.failures = NonZeroU32::MAX;
        change(&mut settings);
        let (started, start) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let service = Service::start(settings).await.expect("the router starts");
                let (addresses, urls) = (service.addresses().collect(), service.urls().to_vec());
                let up = (addresses, urls, service.admin_address(), service.sockets().clone());
                started.send(up).expect("the test waits");
                // An error says that the test is over without having asked.
                let _ = stopped.await;
                service.stop().await;
            });
        });
        let (addresses, urls, admin, sockets) =
            start.recv_timeout(PATIENCE).expect("the router starts in time");
        Self { addresses, urls, admin, sockets, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts a router as this text of a configuration file says, which has to ask for port 0.
    pub(crate) fn configured(text: &str) -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}.toml", process::id()));
        fs::write(&file, text).expect("the folder of tests can be written to");
        let loaded = config::load(&file, &Overrides::default());
        fs::remove_file(&file).expect("what was written can be removed");
        let loaded = loaded.expect("the configuration can be used");
        Self::with(|settings| *settings = loaded.settings)
    }

    /// Where its first listener listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its listeners listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The URL of its only listener for WAMP clients.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address())
    }

    /// The URLs of its listeners for WAMP clients.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Where it answers `/metrics` and the like, if that is an address of its own.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// How many sockets of sessions it holds open.
    pub(crate) fn open_sockets(&self) -> usize {
        self.sockets.count()
    }

    /// Waits until it holds `count` sockets open; gives how long that took.
    pub(crate) fn wait_for_sockets(&self, count: usize) -> Duration {
        let start = Instant::now();
        while self.open_sockets() != count {
            assert!(start.elapsed() < PATIENCE, "{} sockets are open, not {count}", self.open_sockets());
            thread::yield_now();
        }
        start.elapsed()
    }

    /// Begins to stop it; what happens meanwhile can be looked at until it is dropped.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error says that it has stopped already.
            let _ = stop.send(());
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the router panicked");
        }
    }
}
