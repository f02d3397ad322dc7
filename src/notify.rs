//! What the service manager is told, if one waits for it (`sd_notify` of systemd).

use realmkeeper::Service;
use sd_notify::NotifyState;
use tracing::warn;

/// Tells that the service serves, and from now on, if that is wanted, that it is alive: while its router answers.
pub(crate) fn started(service: &Service) {
    serving(service, true);
    if let Some(limit) = sd_notify::watchdog_enabled() {
        service.keep_alive(limit / 2, || tell(&[NotifyState::Watchdog]));
    }
}

/// Tells that the service serves, and whether by the configuration that its file has.
pub(crate) fn serving(service: &Service, is_current: bool) {
    let mut status = format!("serving on {}", service.urls().join(", "));
    if !is_current {
        status += "; the configuration in the file cannot be used, see the log";
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Tells that the service reads its configuration again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => {
            tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")])
        }
        Err(error) => warn!(%error, "there is no clock for the service manager"),
    }
}

/// Tells that the service stops.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: sessions are sent away")]);
}

/// Does nothing if nobody waits for it.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told");
    }
}
