//! The lines that routers in this process log.

use super::router::PATIENCE;
use std::{
    io,
    sync::{Mutex, OnceLock},
    thread,
    time::Instant,
};
use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<String> = Mutex::new(String::new());
static RECORDING: OnceLock<()> = OnceLock::new();

/// Starts to record; later calls do nothing.
pub(crate) fn record() {
    RECORDING.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .without_time()
            .with_writer(Recorder)
            .init();
    });
}

/// Waits for a line that holds all of `parts`, and gives it.
pub(crate) fn wait_for(parts: &[&str]) -> String {
    let start = Instant::now();
    loop {
        let found = lines(parts);
        if let Some(line) = found.into_iter().next() {
            return line;
        }
        assert!(start.elapsed() < PATIENCE, "no line was logged with {parts:?}");
        thread::yield_now();
    }
}

/// The lines so far that hold all of `parts`.
pub(crate) fn lines(parts: &[&str]) -> Vec<String> {
    let lines = LINES.lock().expect("no test panics while it logs");
    lines.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned).collect()
}

struct Recorder;

impl io::Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().expect("no test panics while it logs").push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Recorder {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}
