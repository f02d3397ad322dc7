//! Every metric of the router: its name, its help, its labels.
//!
//! Counters are added to where things happen, by the actors, and never more often than once for a read of a
//! socket, a write to it, or a step of a realm. Gauges of what there is are set by
//! [`gather`](crate::router::actor::gather), which asks the realms. No label is anything that a client chose.

use crate::{
    cause::Cause,
    limit::Limit,
    message::{ClientMessage, RouterMessage, uri::Uri},
    proxy::{Belief, ProxyHeader},
    session::{handshake::Outcome, refused::Refused},
    step::{CallOutcome, QuestionOutcome, Tally},
};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, local::LocalHistogram, process_collector::ProcessCollector,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

/// How many types of messages clients send.
const RECEIVED: usize = ClientMessage::NAMES.len();
/// How many types of messages the router sends.
const SENT: usize = RouterMessage::NAMES.len();

/// In seconds, from a callee in the same process to one that asks a person.
const CALL_BUCKETS: &[f64] =
    &[1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// In seconds, from one small message to what starves every other session.
const BATCH_BUCKETS: &[f64] = &[1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.1, 1.0];

/// What comes of reading certificates again.
const CERTIFICATE_READS: [&str; 2] = ["used", "unusable"];

/// What comes of reading the configuration again.
const CONFIG_RELOADS: [&str; 2] = ["success", "failure"];

/// The metrics of one router, in a registry of their own.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    handshakes: IntCounterVec,
    limits: IntCounterVec,
    proxy_headers: IntCounterVec,
    session_panics: IntCounter,
    realm_panics: IntCounter,
    received: [IntCounter; RECEIVED],
    sent: [IntCounter; SENT],
    bytes_received: IntCounter,
    bytes_sent: IntCounter,
    stale_scrapes: IntCounter,
    log_lines_lost: IntCounter,
    certificate_expiry: IntGaugeVec,
    certificate_reads: IntCounterVec,
    /// By [`CONFIG_RELOADS`].
    config_reloads: [IntCounter; CONFIG_RELOADS.len()],
    config_is_current: IntGauge,
    config_time: IntGauge,
    realms: Realms,
}

/// What is counted for each realm.
#[derive(Clone, Debug)]
struct Realms {
    sessions: IntGaugeVec,
    joined: IntCounterVec,
    left: IntCounterVec,
    calls: IntCounterVec,
    questions: IntCounterVec,
    call_duration: HistogramVec,
    calls_in_flight: IntGaugeVec,
    publications: IntCounterVec,
    deliveries: IntCounterVec,
    undeliverable: IntCounterVec,
    subscriptions: IntGaugeVec,
    registrations: IntGaugeVec,
    outbox: IntGaugeVec,
    mailbox: IntGaugeVec,
    batch: HistogramVec,
    restarts: IntCounterVec,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let define = Define(&registry);
        let messages = define.counter(
            "realmkeeper_messages_total",
            "Messages that came from clients and could be read, and messages that were queued for them",
            &["type", "direction"],
        );
        let bytes = define.counter(
            "realmkeeper_bytes_total",
            "What was read from and written to the sockets of WAMP clients, framing included",
            &["direction"],
        );
        let panics = define.counter("realmkeeper_panics_total", "Faults that were contained", &["where"]);
        let config_reloads = define.counter(
            "realmkeeper_config_reloads_total",
            "How often the configuration was read again on SIGHUP, by whether it could be used",
            &["result"],
        );
        let build = define.gauge("realmkeeper_build_info", "1, for the version that runs", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = define.collect(ProcessCollector::for_self());
        debug_assert!(process.is_ok(), "nothing else has the names of the process");
        let of_type = |direction| {
            let messages = messages.clone();
            move |name: &str| messages.with_label_values(&[&*name.to_lowercase(), direction])
        };
        let metrics = Self {
            handshakes: define.counter(
                "realmkeeper_handshakes_total",
                "WebSockets and RawSockets that were opened, by how the way to a session ended",
                &["outcome"],
            ),
            limits: define.counter(
                "realmkeeper_limits_hit_total",
                "How often somebody ran into a limit",
                &["limit"],
            ),
            proxy_headers: define.counter(
                "realmkeeper_proxy_headers_total",
                "How often the address of a client was told by others, by whether it was believed",
                &["header", "outcome"],
            ),
            session_panics: panics.with_label_values(&["session"]),
            realm_panics: panics.with_label_values(&["realm"]),
            received: ClientMessage::NAMES.map(of_type("received")),
            sent: RouterMessage::NAMES.map(of_type("sent")),
            bytes_received: bytes.with_label_values(&["received"]),
            bytes_sent: bytes.with_label_values(&["sent"]),
            stale_scrapes: define
                .counter(
                    "realmkeeper_stale_scrapes_total",
                    "Scrapes that the realms did not answer in time, so that gauges are those of the scrape before",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            log_lines_lost: define
                .counter(
                    "realmkeeper_log_lines_lost_total",
                    "Lines of the log that were lost since they were not read as fast as they were written",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            certificate_expiry: define.gauge(
                "realmkeeper_certificate_expiry_timestamp_seconds",
                "When the certificate of a listener expires, in seconds since the Unix epoch",
                &["certificate"],
            ),
            certificate_reads: define.counter(
                "realmkeeper_certificate_reloads_total",
                "How often the certificates of a listener were read again, by whether they could be used",
                &["outcome"],
            ),
            config_reloads: CONFIG_RELOADS.map(|result| config_reloads.with_label_values(&[result])),
            config_is_current: define
                .gauge(
                    "realmkeeper_config_last_reload_successful",
                    "1 if the configuration could be used when it was last read, else 0",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            config_time: define
                .gauge(
                    "realmkeeper_config_last_reload_success_timestamp_seconds",
                    "When the configuration was last read that the router goes by, in seconds since the Unix epoch",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            realms: Realms::new(&define),
            registry,
        };
        for outcome in Outcome::LABELS.into_iter().chain(Refused::LABELS) {
            metrics.handshakes.with_label_values(&[outcome]);
        }
        for limit in Limit::LABELS {
            metrics.limits.with_label_values(&[limit]);
        }
        for outcome in CERTIFICATE_READS {
            metrics.certificate_reads.with_label_values(&[outcome]);
        }
        for header in ProxyHeader::LABELS {
            for outcome in Belief::LABELS {
                metrics.proxy_headers.with_label_values(&[header, outcome]);
            }
        }
        metrics
    }
}

impl Realms {
    fn new(define: &Define<'_>) -> Self {
        let realm = &["realm"];
        Self {
            sessions: define.gauge(
                "realmkeeper_sessions",
                "Sessions; at every scrape those that joined less those that left",
                realm,
            ),
            joined: define.counter("realmkeeper_sessions_joined_total", "Sessions that joined", realm),
            left: define.counter(
                "realmkeeper_sessions_left_total",
                "Sessions that left, by the cause that their log line names",
                &["realm", "cause"],
            ),
            calls: define.counter(
                "realmkeeper_calls_total",
                "Calls of procedures that sessions registered, by how they ended",
                &["realm", "outcome"],
            ),
            questions: define.counter(
                "realmkeeper_questions_total",
                "Questions of the router to authorizers and authenticators, by what became of them",
                &["realm", "outcome"],
            ),
            call_duration: define.histogram(
                "realmkeeper_call_duration_seconds",
                "From CALL to the answer of the callee, a result or an error, as the router sees it",
                realm,
                CALL_BUCKETS,
            ),
            calls_in_flight: define.gauge(
                "realmkeeper_calls_in_flight",
                "Calls that their callee has not answered yet",
                realm,
            ),
            publications: define.counter(
                "realmkeeper_publications_total",
                "Publications that were taken, testaments and those of the router itself included",
                realm,
            ),
            deliveries: define.counter(
                "realmkeeper_deliveries_total",
                "Events that were queued for subscribers",
                realm,
            ),
            undeliverable: define.counter(
                "realmkeeper_undeliverable_events_total",
                "Events that subscribers missed since their serializer has no form for them, or since they take less",
                realm,
            ),
            subscriptions: define.gauge(
                "realmkeeper_subscriptions",
                "Subscriptions; sessions with the same topic and match share one",
                realm,
            ),
            registrations: define.gauge("realmkeeper_registrations", "Registrations", realm),
            outbox: define.gauge(
                "realmkeeper_outbox_bytes",
                "What waits for the sessions of the realm",
                realm,
            ),
            mailbox: define.gauge(
                "realmkeeper_realm_mailbox_depth",
                "Batches of messages, one for each read of a socket, that the realm has not handled yet",
                realm,
            ),
            batch: define.histogram(
                "realmkeeper_realm_batch_seconds",
                "What a realm takes to handle one batch of messages, or as much of it as fits in a turn",
                realm,
                BATCH_BUCKETS,
            ),
            restarts: define.counter(
                "realmkeeper_realm_restarts_total",
                "How often the realm failed and was started again, empty",
                realm,
            ),
        }
    }
}

/// Defines metrics in a registry.
struct Define<'a>(&'a Registry);

impl Define<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.define(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.define(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.define(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }

    /// Defines a metric. Every name, label and bucket is a constant of this file: what fails here fails whenever
    /// a router is made.
    fn define<M: Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let defined = metric.and_then(|metric| self.collect(metric.clone()).map(|()| metric));
        defined.unwrap_or_else(|error| unreachable!("a metric is not well defined: {error}"))
    }

    fn collect(&self, metric: impl Collector + 'static) -> prometheus::Result<()> {
        self.0.register(Box::new(metric))
    }
}

impl Metrics {
    /// Counts that somebody ran into a limit.
    pub fn limit(&self, limit: Limit) {
        self.limits.with_label_values(&[limit.label()]).inc();
    }

    /// Counts what came of what was told of a client's address.
    pub fn proxy_header(&self, header: ProxyHeader, outcome: Belief) {
        self.proxy_headers.with_label_values(&[header.label(), outcome.label()]).inc();
    }

    /// Tells when the certificate of this file expires, in seconds since the Unix epoch.
    pub fn certificate_expiry(&self, file: &str, expiry: i64) {
        self.certificate_expiry.with_label_values(&[file]).set(expiry);
    }

    /// Tells of no certificate any more when it expires.
    pub fn forget_certificates(&self) {
        self.certificate_expiry.reset();
    }

    /// Tells that the configuration was read at this time, when the router started or `again`.
    pub fn configured(&self, at: SystemTime, again: bool) {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.config_time.set(since_epoch.as_secs() as i64);
        self.config_is_current.set(1);
        if again {
            self.config_reloads[0].inc();
        }
    }

    /// Counts that the configuration was read again and cannot be used.
    pub fn configuration_refused(&self) {
        self.config_reloads[1].inc();
        self.config_is_current.set(0);
    }

    /// Counts that certificates were read again, and whether they can be used.
    pub fn certificates_read(&self, are_usable: bool) {
        let [used, unusable] = CERTIFICATE_READS;
        self.certificate_reads.with_label_values(&[if are_usable { used } else { unusable }]).inc();
    }

    /// Counts lines of the log that were lost.
    pub fn log_lines_lost(&self, lines: usize) {
        self.log_lines_lost.inc_by(lines as u64);
    }

    /// All metrics as Prometheus reads them. Gauges of what there is are those of the last
    /// [`gather`](crate::router::actor::gather).
    pub fn text(&self) -> String {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// Counts the end of a handshake, by its label.
    pub(crate) fn handshake(&self, outcome: &'static str) {
        self.handshakes.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn session_panic(&self) {
        self.session_panics.inc();
    }

    pub(crate) fn read(&self, octets: usize) {
        self.bytes_received.inc_by(octets as u64);
    }

    pub(crate) fn written(&self, octets: usize) {
        self.bytes_sent.inc_by(octets as u64);
    }

    pub(crate) fn received(&self, received: &Received) {
        add(&self.received, &received.0);
    }

    pub(crate) fn sent(&self, message: &RouterMessage) {
        self.sent[message.place()].inc();
    }

    pub(crate) fn stale_scrape(&self) {
        self.stale_scrapes.inc();
    }

    /// What is counted for a realm. All of it is there from now on, at zero where it is new.
    pub(crate) fn realm(&self, name: &Uri) -> RealmMetrics {
        let (realm, of) = (&[&**name], &self.realms);
        for cause in Cause::LABELS {
            of.left.with_label_values(&[&**name, cause]);
        }
        RealmMetrics {
            name: name.clone(),
            sessions: of.sessions.with_label_values(realm),
            joined: of.joined.with_label_values(realm),
            left: of.left.clone(),
            calls: CallOutcome::LABELS.map(|outcome| of.calls.with_label_values(&[&**name, outcome])),
            questions: QuestionOutcome::LABELS
                .map(|outcome| of.questions.with_label_values(&[&**name, outcome])),
            call_duration: of.call_duration.with_label_values(realm).local(),
            calls_in_flight: of.calls_in_flight.with_label_values(realm),
            publications: of.publications.with_label_values(realm),
            deliveries: of.deliveries.with_label_values(realm),
            undeliverable: of.undeliverable.with_label_values(realm),
            subscriptions: of.subscriptions.with_label_values(realm),
            registrations: of.registrations.with_label_values(realm),
            outbox: of.outbox.with_label_values(realm),
            mailbox_depth: of.mailbox.with_label_values(realm),
            mailbox: Mailbox::default(),
            batch: of.batch.with_label_values(realm),
            restarts: of.restarts.with_label_values(realm),
            panics: self.realm_panics.clone(),
            limits: self.limits.clone(),
            sent: self.sent.clone(),
        }
    }
}

fn add<const N: usize>(counters: &[IntCounter; N], counts: &[u64; N]) {
    for (counter, count) in counters.iter().zip(counts) {
        if *count > 0 {
            counter.inc_by(*count);
        }
    }
}

/// The messages of one read of a socket, by type.
#[derive(Debug, Default)]
pub(crate) struct Received([u64; RECEIVED]);

impl Received {
    pub(crate) fn note(&mut self, message: &ClientMessage) {
        self.0[message.place()] += 1;
    }
}

/// What one step of a realm queued for its sessions.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    messages: [u64; SENT],
    deliveries: u64,
    undeliverable: u64,
}

impl Sent {
    /// Notes that a message was queued for so many sessions.
    pub(crate) fn note(&mut self, message: &RouterMessage, sessions: usize) {
        self.messages[message.place()] += sessions as u64;
        if matches!(message, RouterMessage::Event(_)) {
            self.deliveries += sessions as u64;
        }
    }

    /// Notes that so many sessions missed an event.
    pub(crate) fn note_undeliverable(&mut self, sessions: usize) {
        self.undeliverable += sessions as u64;
    }
}

/// What is counted for one realm.
#[derive(Clone, Debug)]
pub(crate) struct RealmMetrics {
    name: Uri,
    sessions: IntGauge,
    joined: IntCounter,
    left: IntCounterVec,
    calls: [IntCounter; CallOutcome::LABELS.len()],
    questions: [IntCounter; QuestionOutcome::LABELS.len()],
    /// Added up here first, so that the shared histogram is written to once a step.
    call_duration: LocalHistogram,
    calls_in_flight: IntGauge,
    publications: IntCounter,
    deliveries: IntCounter,
    undeliverable: IntCounter,
    subscriptions: IntGauge,
    registrations: IntGauge,
    outbox: IntGauge,
    mailbox_depth: IntGauge,
    mailbox: Mailbox,
    batch: Histogram,
    restarts: IntCounter,
    panics: IntCounter,
    limits: IntCounterVec,
    sent: [IntCounter; SENT],
}

/// What there is in a realm.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) subscriptions: usize,
    pub(crate) registrations: usize,
    pub(crate) calls_in_flight: usize,
    /// Octets that wait for its sessions.
    pub(crate) outbox: usize,
}

impl RealmMetrics {
    /// Counts a session that joined; so many there are now.
    pub(crate) fn joined(&self, sessions: usize) {
        self.joined.inc();
        self.sessions.set(sessions as i64);
    }

    /// Counts a session that left; so many there are now.
    pub(crate) fn left(&self, cause: &Cause, sessions: usize) {
        self.left.with_label_values(&[&*self.name, cause.label()]).inc();
        self.sessions.set(sessions as i64);
    }

    /// Adds what one step did, and when it did so.
    pub(crate) fn add(&self, tally: &Tally, uptime: Duration) {
        if tally.publications > 0 {
            self.publications.inc_by(tally.publications);
        }
        add(&self.calls, &tally.calls);
        add(&self.questions, &tally.questions);
        if !tally.answered.is_empty() {
            for (since, calls) in &tally.answered {
                let duration = uptime.saturating_sub(*since).as_secs_f64();
                (0..*calls).for_each(|_| self.call_duration.observe(duration));
            }
            self.call_duration.flush();
        }
        for limit in &tally.limits {
            self.limits.with_label_values(&[limit.label()]).inc();
        }
    }

    /// Adds what one step queued for the sessions.
    pub(crate) fn sent(&self, sent: &Sent) {
        add(&self.sent, &sent.messages);
        if sent.deliveries > 0 {
            self.deliveries.inc_by(sent.deliveries);
        }
        if sent.undeliverable > 0 {
            self.undeliverable.inc_by(sent.undeliverable);
        }
    }

    /// Counts a batch of messages by what it took to handle it.
    pub(crate) fn batch(&self, took: Duration) {
        self.batch.observe(took.as_secs_f64());
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    pub(crate) fn restarted(&self) {
        self.restarts.inc();
    }

    /// Counts what is in the mailbox of the realm.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Shows how deep the mailbox is at this moment. For others than the realm: when it looks itself, it has
    /// handled what was there.
    pub(crate) fn show_mailbox(&self) {
        self.mailbox_depth.set(self.mailbox.depth() as i64);
    }

    /// Shows that nothing is there any more.
    pub(crate) fn show_nothing(&self) {
        self.show(&Figures::default());
        self.mailbox_depth.set(0);
    }

    /// Shows what there is.
    pub(crate) fn show(&self, figures: &Figures) {
        self.subscriptions.set(figures.subscriptions as i64);
        self.registrations.set(figures.registrations as i64);
        self.calls_in_flight.set(figures.calls_in_flight as i64);
        self.outbox.set(figures.outbox as i64);
    }
}

/// How many batches are in the mailbox of a realm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Arc<AtomicUsize>);

/// A batch in the mailbox. It counts until it is dropped, handled or not.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Mailbox {
    /// Counts one more.
    pub(crate) fn add(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiting(self.0.clone())
    }

    fn depth(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_mailbox_counts_until_it_is_handled_or_dropped() {
        let metrics = Metrics::default();
        let realm = metrics.realm(&"realm1".into());
        let depth = || {
            realm.show_mailbox();
            let text = metrics.text();
            let line = text.lines().find(|line| line.starts_with("realmkeeper_realm_mailbox_depth"));
            line.map(str::to_owned)
        };
        let shown =
            |depth: usize| Some(format!("realmkeeper_realm_mailbox_depth{{realm=\"realm1\"}} {depth}"));
        assert_eq!(depth(), shown(0));
        let waiting = [realm.mailbox().add(), realm.mailbox().clone().add()];
        assert_eq!(depth(), shown(2));
        drop(waiting);
        assert_eq!(depth(), shown(0));
    }
}
