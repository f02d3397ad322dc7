//! What a call or an event costs beside sessions, subscriptions, registrations and realms that have nothing to do with it:
//! it must not cost more for them.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::findings::{Cell, Findings, commands};
use super::progress;
use super::suite::{SuiteArgs, measure};
use super::text;

/// The letters of the bar of the point that costs most.
const LONGEST_BAR: f64 = 24.0;

/// What is measured, and beside what.
#[derive(Clone, Debug, Args)]
pub(super) struct CurvesArgs {
    #[command(flatten)]
    pub(super) suite: SuiteArgs,
    /// Sessions beside it, each with a subscription and a registration of its own; several with commas between them
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000, 10_000], value_parser = super::count)]
    sessions: Vec<usize>,
    /// Realms over which sessions beside it are spread; a router that is named must have bench1, bench2 and so on
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100], value_parser = super::count)]
    realms: Vec<usize>,
    /// Sessions that are spread over the realms
    #[arg(long, default_value_t = 1000, value_parser = super::count)]
    spread: usize,
    /// Only these benchmarks, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "BENCHMARKS")]
    only: Vec<Kind>,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Rpc,
    Pubsub,
    Fanout,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Rpc, Self::Pubsub, Self::Fanout];

    /// The benchmark, its options, and what its operation is.
    fn benchmark(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Rpc => ("rpc", "--callers 4 --callees 4 --window 32", "call"),
            Self::Pubsub => ("pubsub", "--publishers 4 --window 8", "event"),
            Self::Fanout => ("fanout", "--subscribers 100 --window 4", "event"),
        }
    }
}

/// What a benchmark costs beside more and more of something.
struct Curve {
    kind: Kind,
    /// Of what there is more and more.
    beside: String,
    points: Vec<Point>,
}

struct Point {
    /// How much of it there is.
    number: usize,
    /// What says so to the benchmark.
    options: String,
    cell: Cell,
}

/// Draws the curves; says what went wrong as well.
pub(super) async fn run(args: &CurvesArgs) -> Result<Findings, Failure> {
    let CurvesArgs { suite, sessions, realms, spread, only } = args;
    let router = suite.router(realms.iter().copied().max().unwrap_or_default()).await?;
    let mut curves = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| only.is_empty() || only.contains(kind)) {
        let (_, options, _) = kind.benchmark();
        let point = |number: &usize, beside: String| Point {
            number: *number,
            options: format!("{options} {beside}"),
            cell: Cell::default(),
        };
        let sessions = sessions.iter().map(|number| point(number, format!("--bystanders {number}")));
        curves.push(Curve { kind, beside: "sessions".to_owned(), points: sessions.collect() });
        let realms = realms
            .iter()
            .map(|number| point(number, format!("--bystanders {spread} --bystander-realms {number}")));
        let beside = format!("realms with {} sessions in all", text::grouped(*spread as u64));
        curves.push(Curve { kind, beside, points: realms.collect() });
    }
    let mut findings = Findings::default();
    let points = curves.iter().map(|curve| curve.points.len()).sum::<usize>();
    let bar = progress::runs(points * suite.rounds);
    for round in 1..=suite.rounds {
        for Curve { kind, beside, points } in &mut curves {
            let (benchmark, ..) = kind.benchmark();
            for Point { number, options, cell } in points {
                let title = format!("{benchmark} beside {beside}: {}", text::grouped(*number as u64));
                bar.set_message(format!("round {round}: {title}"));
                bar.tick();
                let measured = measure(&suite.command(&router, benchmark, options)).await?;
                let wrong = cell.add(measured.as_ref().map_err(String::as_str));
                findings.wrong.extend(wrong.map(|wrong| format!("{title}, round {round}: {wrong}")));
                bar.inc(1);
            }
        }
    }
    let mut drawn = suite.circumstances();
    for curve in &curves {
        curve.draw(&mut drawn);
    }
    let _ = write!(drawn, "\n{}", findings.verdict());
    let run = curves.iter().flat_map(|Curve { kind, points, .. }| {
        points.iter().map(|point| suite.command(&router, kind.benchmark().0, &point.options))
    });
    findings.markdown = format!("{drawn}{}", commands(run));
    findings.lines = Some(drawn);
    Ok(findings)
}

impl Curve {
    fn draw(&self, out: &mut String) {
        let Self { kind, beside, points } = self;
        let (benchmark, _, operation) = kind.benchmark();
        let has_cpu = points.iter().any(|point| point.cell.has_cpu());
        let cost = if has_cpu { "CPU us" } else { "us" };
        let _ = writeln!(
            out,
            "\n`{benchmark}` beside {beside}:\n\n| | {operation}s/s | {cost} | |\n|--:|---|---|---|"
        );
        let most = points.iter().filter_map(|point| point.cell.cost()).fold(0.0, f64::max);
        for Point { number, cell, .. } in points {
            let cpu = if has_cpu { cell.cpu() } else { cell.cost().map(text::digits).unwrap_or_default() };
            let bar = cell.cost().filter(|_| most > 0.0).map_or(0.0, |cost| cost / most * LONGEST_BAR);
            let bar = "█".repeat(bar.round() as usize);
            let number = text::grouped(*number as u64);
            let _ = writeln!(out, "| {number} | {} | {cpu} | {bar} |", cell.figures());
        }
    }
}
