//! What the kernel knows about a process: its CPU time and its memory.

use std::fs;
use std::io;
use std::time::Duration;

use super::failure::Failure;

/// The unit of CPU times in `/proc`: the kernel reports them in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// This process.
    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    /// CPU time used so far, in user space and in the kernel, by all threads.
    pub(super) fn cpu_time(self) -> Result<Duration, Failure> {
        let ticks = self.read("stat", |stat| {
            // The second field is the name in parentheses, which may hold anything; 14 and 15 are the times.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
            let (user, kernel) = (fields.next()?, fields.next()?);
            Some(user.parse::<u32>().ok()? + kernel.parse::<u32>().ok()?)
        })?;
        Ok(TICK * ticks)
    }

    /// Memory that is resident, in KB.
    pub(super) fn resident_kb(self) -> Result<u64, Failure> {
        self.read("status", |status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse().ok()
        })
    }

    fn read<T>(self, file: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        let failure = |source| Failure::Process { pid: self.0, source };
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.0)).map_err(failure)?;
        parse(&text).ok_or_else(|| failure(io::ErrorKind::InvalidData.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let before = Process::own().cpu_time().unwrap();
        let mut sum = 0_u64;
        while Process::own().cpu_time().unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(Process::own().resident_kb().unwrap() > 500);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let failure = Process(u32::MAX).cpu_time().unwrap_err().to_string();
        assert!(failure.starts_with("cannot measure process 4294967295: "), "{failure}");
    }
}
