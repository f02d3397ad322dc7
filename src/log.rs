//! The log of the program. Lines wait in a queue to be written by a thread of their own: whoever is slow to read the
//! standard error holds up nobody, and what is too much meanwhile is lost and counted.

use realmkeeper::config::{Log, LogFormat, LogLevel};
use realmkeeper_actors::metrics::Metrics;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, BufWriter, IsTerminal},
    panic::{self, PanicHookInfo},
};
use tracing::{error, field, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::reload;

/// How many lines wait at most.
const MOST_LINES: usize = 4096;

/// How many octets of lines that wait already are written at once.
const MOST_AT_ONCE: usize = 64 << 10;

/// The log that was started. What waits is written when it is dropped, unless nobody reads that.
pub(crate) struct RunningLog {
    set_level: Box<dyn Fn(&LogLevel)>,
    /// Counts the lines that were lost.
    lost: ErrorCounter,
    /// How many of them were told.
    told: usize,
    _writer: WorkerGuard,
}

impl RunningLog {
    /// Starts to log, faults included.
    pub(crate) fn start(log: &Log) -> Self {
        let queue = NonBlockingBuilder::default().buffered_lines_limit(MOST_LINES).thread_name("log");
        let (lines, writer) = queue.finish(BufWriter::with_capacity(MOST_AT_ONCE, io::stderr()));
        let lost = lines.error_counter();
        let builder = tracing_subscriber::fmt().with_env_filter(log.level.filter()).with_writer(lines);
        let set_level: Box<dyn Fn(&LogLevel)> = match log.format {
            LogFormat::Text => {
                let builder = builder.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |level| set_filter(handle.reload(level.filter())))
            }
            LogFormat::Json => {
                let builder = builder.json().with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |level| set_filter(handle.reload(level.filter())))
            }
        };
        panic::set_hook(Box::new(tell_panic));
        Self { set_level, lost, told: 0, _writer: writer }
    }

    /// Sets the level anew.
    pub(crate) fn set_level(&self, level: &LogLevel) {
        (self.set_level)(level);
    }

    /// Tells how many lines were lost since this was told last.
    pub(crate) fn tell_what_is_lost(&mut self, metrics: &Metrics) {
        let all = self.lost.dropped_lines();
        let lines = all - self.told;
        if lines > 0 {
            self.told = all;
            metrics.log_lines_lost(lines);
            warn!(lines, "lines of this log were lost: they are not read as fast as they are written");
        }
    }
}

/// Tells of a fault as of anything else, with a backtrace if the environment variable RUST_BACKTRACE asks for one.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let (payload, backtrace) = (panic.payload(), Backtrace::capture());
    let text = payload.downcast_ref::<&str>().copied();
    error!(
        text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)),
        place = panic.location().map(field::display),
        backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| field::display(&backtrace)),
        "panicked"
    );
}

fn set_filter(set: Result<(), reload::Error>) {
    if let Err(error) = set {
        error!(%error, "the level of the log cannot be set");
    }
}
