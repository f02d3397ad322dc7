//! What the configuration says of a realm.

use crate::{
    ban::Ban,
    broker::{Broker, HistoryOptions, RetentionLimits},
    message::uri::{Uri, UriRule},
    meta::MetaProcedure,
    step::Step,
};
use std::time::Duration;

/// How a realm takes what clients send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmOptions {
    /// What characters URIs can have.
    pub uris: UriRule,
    /// Which request ids are taken.
    pub request_ids: RequestIds,
    /// Whether the realm tells who its sessions are: `wamp.session.*` but for testaments.
    pub session_meta_api: bool,
    /// The procedures that the router asks. Only sessions of trusted roles register and call them.
    pub components: Vec<Uri>,
    /// Who may not join.
    pub bans: Vec<Ban>,
    /// Which past events are kept. Of several with the same topic and match the first counts.
    pub histories: Vec<HistoryOptions>,
    /// What there can be at most.
    pub limits: RealmLimits,
}

impl Default for RealmOptions {
    fn default() -> Self {
        Self {
            uris: UriRule::default(),
            request_ids: RequestIds::default(),
            session_meta_api: true,
            components: Vec::new(),
            bans: Vec::new(),
            histories: Vec::new(),
            limits: RealmLimits::default(),
        }
    }
}

impl RealmOptions {
    /// Whether this is a procedure or topic of the session meta API where there is none.
    pub fn lacks(&self, uri: &str) -> bool {
        let has_procedure = |has_api| MetaProcedure::from_uri(uri, has_api).is_some();
        let is_of_the_api = matches!(uri, "wamp.session.on_join" | "wamp.session.on_leave")
            || (has_procedure(true) && !has_procedure(false));
        is_of_the_api && !self.session_meta_api
    }
}

/// What there can be at most in a realm. What is beyond is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmLimits {
    /// Sessions; `None` for any number, here and below.
    pub sessions: Option<usize>,
    /// Sessions that are one authid.
    pub sessions_per_authid: Option<usize>,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Registrations of one session.
    pub registrations: usize,
    /// Calls of one session that are not answered yet.
    pub calls: usize,
    /// How long a component may take to answer what the router asks it.
    pub component_timeout: Duration,
    /// Bans that procedures made, besides those that the options name.
    pub bans: usize,
    /// Events that are retained, those of all topics together.
    pub retained: usize,
    /// The octets of those.
    pub retained_octets: usize,
    /// Octets of a URI.
    pub uri_length: usize,
}

impl Default for RealmLimits {
    fn default() -> Self {
        Self {
            sessions: None,
            sessions_per_authid: None,
            subscriptions: 10_000,
            registrations: 10_000,
            calls: 10_000,
            component_timeout: Duration::from_secs(5),
            bans: 10_000,
            retained: 10_000,
            retained_octets: 1 << 20,
            uri_length: 1024,
        }
    }
}

impl RealmOptions {
    /// The broker of a realm that begins.
    pub(super) fn broker(&self, step: &mut Step<'_>) -> Broker {
        Broker::new(self.retention(), self.histories.iter().cloned(), step)
    }

    pub(super) fn retention(&self) -> RetentionLimits {
        let RealmLimits { retained: events, retained_octets: octets, .. } = self.limits;
        RetentionLimits { events, octets }
    }
}

/// Which ids a client may give its requests (section "IDs").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIds {
    /// Any but the one of a call that is in flight.
    #[default]
    Lenient,
    /// 1, then each one more than the one before.
    Strict,
}
