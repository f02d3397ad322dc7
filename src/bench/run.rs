//! One measurement: warm-up, measured interval, and what is counted in it.
//!
//! Operations and latencies count from the end of the warm-up to the end of the measured interval; so do the
//! CPU times, which are the differences of `/proc/PID/stat` between these two moments divided by the
//! operations. What is wrong (errors, lost, duplicated and out of order) counts from the first message to the
//! last.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::AddAssign;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::pace::Pace;
use super::print::{Lines, Results};
use super::process::Process;
use super::progress;
use super::text;

/// How long answers may take to come when nothing more is asked for.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How long to wait for what must not come.
pub(super) const SETTLE: Duration = Duration::from_millis(100);
/// The largest latency that is told apart, in nanoseconds.
const LONGEST_LATENCY: u64 = 100_000_000_000;

/// When to measure, and whose resources.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub(super) struct Timing {
    /// Seconds to measure.
    #[arg(long, default_value_t = 5.0, value_parser = super::seconds)]
    #[serde(skip)]
    pub(super) seconds: f64,
    /// Seconds of load before that, which do not count.
    #[arg(long, default_value_t = 0.5, value_parser = super::seconds)]
    pub(super) warmup: f64,
    /// Process id of the server on this machine, to measure its CPU time and memory.
    #[arg(long)]
    pub(super) pid: Option<u32>,
}

/// The tasks of a benchmark. Each lives until the benchmark is over, or until it fails.
pub(super) type Roles = JoinSet<Result<(), Failure>>;

/// What the roles of one benchmark share.
#[derive(Debug)]
pub(super) struct Run {
    phase: Cell<Phase>,
    /// When it was over.
    end: Cell<Option<Instant>>,
    /// Tells those who wait for something else.
    ended: Notify,
    tally: RefCell<Tally>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// What was counted.
#[derive(Debug)]
struct Tally {
    operations: u64,
    latency: Histogram<u64>,
    behind: u64,
    flaws: Flaws,
}

/// What went wrong. A run without flaws has only zeros here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Flaws {
    /// Requests answered by ERROR, and messages with a wrong id or payload.
    pub(super) errors: u64,
    /// What never came.
    pub(super) lost: u64,
    /// What came once too often.
    pub(super) duplicated: u64,
    /// What came too late, after a later one.
    pub(super) out_of_order: u64,
}

impl fmt::Display for Flaws {
    /// What there is of each; nothing if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errors, lost, duplicated, out_of_order } = self;
        let counted =
            [(errors, "errors"), (lost, "lost"), (duplicated, "repeated"), (out_of_order, "out of order")];
        let mut between = "";
        for (number, what) in counted.into_iter().filter(|(number, _)| **number > 0) {
            write!(f, "{between}{} {what}", text::grouped(*number))?;
            between = ", ";
        }
        Ok(())
    }
}

/// The measured interval, or the sum of several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// How long it was.
    pub(super) time: Duration,
    /// CPU time that this process used in it.
    client_cpu: Duration,
    /// CPU time that the server used in it.
    server_cpu: Option<Duration>,
}

impl AddAssign for Interval {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.client_cpu += other.client_cpu;
        self.server_cpu = self.server_cpu.zip(other.server_cpu).map(|(sum, cpu)| sum + cpu);
    }
}

/// What a benchmark has found, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Operations that ended in the measured interval.
    pub(super) operations: u64,
    /// Length of the measured interval.
    seconds: f64,
    /// Operations per second.
    per_second: f64,
    /// From the start of an operation to its end.
    latency_us: Latency,
    /// Calls or publications that were due at the end and had not begun, if there was a rate.
    behind: u64,
    /// What went wrong in the whole run.
    #[serde(flatten)]
    pub(super) flaws: Flaws,
    /// CPU time of this process per operation, in microseconds.
    client_cpu_us_per_op: f64,
    /// CPU time of the server per operation, in microseconds.
    server_cpu_us_per_op: Option<f64>,
    /// Resident memory of the server after the run, in KB.
    server_rss_kb: Option<u64>,
}

impl Results for Outcome {
    fn flaws(&self) -> Flaws {
        self.flaws
    }

    fn lines(&self) -> Lines {
        let Latency { p50, p90, p99, p999, p9999, max } = &self.latency_us;
        let latency = |named: [(&str, &f64); 3]| {
            named
                .map(|(name, time)| format!("{name:6} {:8}", text::micros(*time)))
                .join("  ")
                .trim_end()
                .to_owned()
        };
        let (operations, per_second) =
            (text::grouped(self.operations), text::grouped(self.per_second as u64));
        let server = self.server_cpu_us_per_op.map(|cpu| format!("{} us in the server, ", text::digits(cpu)));
        let cpu = format!(
            "{}{} us here, for each operation",
            server.unwrap_or_default(),
            text::digits(self.client_cpu_us_per_op)
        );
        let mut lines = vec![
            ("operations", format!("{per_second} a second: {operations} in {} s", self.seconds)),
            ("latency", latency([("p50", p50), ("p90", p90), ("p99", p99)])),
            ("", latency([("p99.9", p999), ("p99.99", p9999), ("max", max)])),
            ("CPU", cpu),
        ];
        lines.extend(
            self.server_rss_kb.map(|kb| ("memory", format!("{} in the server", text::megabytes(kb)))),
        );
        if self.behind > 0 {
            lines.push(("behind", format!("{} were due and had not begun", text::grouped(self.behind))));
        }
        let flaws = self.flaws.to_string();
        lines.push(("wrong", if flaws.is_empty() { "nothing".to_owned() } else { flaws }));
        lines
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    p9999: f64,
    max: f64,
}

impl Run {
    /// Begins with the warm-up.
    pub(super) fn new() -> Rc<Self> {
        let latency =
            Histogram::new_with_max(LONGEST_LATENCY, 3).unwrap_or_else(|_| unreachable!("valid bounds"));
        let tally = RefCell::new(Tally { operations: 0, latency, behind: 0, flaws: Flaws::default() });
        Rc::new(Self { phase: Cell::new(Phase::WarmUp), end: Cell::default(), ended: Notify::new(), tally })
    }

    /// Whether to ask for nothing more.
    pub(super) fn is_over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    /// Counts an operation that has just succeeded.
    pub(super) fn complete(&self, latency: Duration) {
        if self.phase.get() == Phase::Measured {
            let mut tally = self.tally.borrow_mut();
            tally.operations += 1;
            tally.latency.saturating_record(latency.as_nanos() as u64);
        }
    }

    /// Counts the operations of a session that were due when the run was over, and had not begun.
    pub(super) fn fall_behind(&self, pace: &Pace) {
        self.tally.borrow_mut().behind += self.end.get().map_or(0, |end| pace.behind(end));
    }

    /// Counts what went wrong, with `self.flaw(|flaws| flaws.lost += 1)`.
    pub(super) fn flaw(&self, count: impl FnOnce(&mut Flaws)) {
        count(&mut self.tally.borrow_mut().flaws);
    }

    /// Runs the roles through warm-up and measured interval, then waits until `drivers` of them have ended:
    /// those that ask. The others, that answer, go on until they are dropped.
    pub(super) async fn conduct(
        &self,
        roles: &mut Roles,
        drivers: usize,
        timing: &Timing,
    ) -> Result<Interval, Failure> {
        let interval = tokio::select! {
            interval = self.measure(timing) => interval?,
            ended = finished(roles, 1) => return Err(ended.err().unwrap_or(Failure::Ended)),
        };
        if let Ok(finished) = timeout(GRACE, finished(roles, drivers)).await {
            finished?;
        }
        sleep(SETTLE).await;
        Ok(interval)
    }

    async fn measure(&self, timing: &Timing) -> Result<Interval, Failure> {
        progress::wait("warming up", Duration::from_secs_f64(timing.warmup)).await;
        self.end_warmup();
        let meter = Meter::start(timing.pid.map(Process))?;
        progress::wait("measuring", Duration::from_secs_f64(timing.seconds)).await;
        self.end();
        meter.stop()
    }

    /// Ends the warm-up of a benchmark that measures its intervals itself.
    pub(super) fn end_warmup(&self) {
        self.phase.set(Phase::Measured);
    }

    /// Lets nothing more be asked for.
    pub(super) fn end(&self) {
        self.phase.set(Phase::Over);
        self.end.set(Some(Instant::now()));
        self.ended.notify_waiters();
    }

    /// Waits until there is nothing more to ask for.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Sums up.
    pub(super) fn outcome(&self, interval: Interval, pid: Option<u32>) -> Result<Outcome, Failure> {
        let tally = self.tally.borrow();
        let per_op = |cpu: Duration| micros(cpu.as_secs_f64() * 1e6 / tally.operations.max(1) as f64);
        let percentile = |percent| micros(tally.latency.value_at_percentile(percent) as f64 / 1e3);
        let seconds = interval.time.as_secs_f64();
        Ok(Outcome {
            operations: tally.operations,
            seconds: (seconds * 1e3).round() / 1e3,
            per_second: (tally.operations as f64 / seconds).round(),
            latency_us: Latency {
                p50: percentile(50.0),
                p90: percentile(90.0),
                p99: percentile(99.0),
                p999: percentile(99.9),
                p9999: percentile(99.99),
                max: percentile(100.0),
            },
            behind: tally.behind,
            flaws: tally.flaws,
            client_cpu_us_per_op: per_op(interval.client_cpu),
            server_cpu_us_per_op: interval.server_cpu.map(per_op),
            server_rss_kb: pid.map(|pid| Process(pid).resident_kb()).transpose()?,
        })
    }
}

/// Waits until that many roles have ended, or one has failed.
pub(super) async fn finished(roles: &mut Roles, drivers: usize) -> Result<(), Failure> {
    for _ in 0..drivers {
        match roles.join_next().await {
            Some(Ok(ended)) => ended?,
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => break,
        }
    }
    Ok(())
}

/// Rounds microseconds to nanoseconds.
fn micros(micros: f64) -> f64 {
    (micros * 1e3).round() / 1e3
}

/// Reads clocks at the start and at the end of something.
#[derive(Debug)]
pub(super) struct Meter {
    server: Option<Process>,
    server_cpu: Option<Duration>,
    client_cpu: Duration,
    start: Instant,
}

impl Meter {
    /// Reads the clocks.
    pub(super) fn start(server: Option<Process>) -> Result<Self, Failure> {
        let server_cpu = server.map(Process::cpu_time).transpose()?;
        Ok(Self { server, server_cpu, client_cpu: Process::own().cpu_time()?, start: Instant::now() })
    }

    /// Reads the clocks again and subtracts.
    pub(super) fn stop(self) -> Result<Interval, Failure> {
        let time = self.start.elapsed();
        let server_cpu = self.server.map(Process::cpu_time).transpose()?;
        let server_cpu = server_cpu.zip(self.server_cpu).map(|(after, before)| after - before);
        Ok(Interval { time, client_cpu: Process::own().cpu_time()? - self.client_cpu, server_cpu })
    }
}
