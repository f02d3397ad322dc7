//! How far a benchmark is, on stderr if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::time::{Instant, sleep, sleep_until};

/// How often the bar of a time moves.
const STEP: Duration = Duration::from_millis(100);

/// A bar that goes when it is dropped.
fn bar(template: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style.progress_chars("=> ")).with_finish(ProgressFinish::AndClear)
}

/// The bar of something that is counted.
pub(super) fn count(what: &'static str, length: usize) -> ProgressBar {
    bar("{msg:11} [{wide_bar}] {human_pos}/{human_len}", length as u64).with_message(what)
}

/// The bar of something that takes a time which is known, in milliseconds.
pub(super) fn time(what: &'static str, length: Duration) -> ProgressBar {
    bar("{msg:11} [{wide_bar}] {percent:>3}%", length.as_millis() as u64).with_message(what)
}

/// The bar of runs one after the other, below a line for the one that goes on.
pub(super) fn runs(length: usize) -> ProgressBar {
    bar("{wide_msg}\n[{wide_bar}] {pos}/{len}", length as u64)
}

/// Waits, with a bar.
pub(super) async fn wait(what: &'static str, length: Duration) {
    let bar = time(what, length);
    if bar.is_hidden() {
        return sleep(length).await;
    }
    let start = Instant::now();
    while start.elapsed() < length {
        bar.set_position(start.elapsed().as_millis() as u64);
        sleep_until((start + length).min(Instant::now() + STEP)).await;
    }
}
