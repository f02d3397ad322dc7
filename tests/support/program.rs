//! The program `realmkeeper`, started as a person would.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    time::Duration,
};

/// The environment variables that the program reads.
const VARIABLES: [&str; 16] = [
    "REALMKEEPER_CONFIG",
    "REALMKEEPER_LISTEN",
    "REALMKEEPER_ADMIN",
    "REALMKEEPER_LOG_LEVEL",
    "REALMKEEPER_LOG_FORMAT",
    "REALMKEEPER_URL",
    "REALMKEEPER_REALM",
    "REALMKEEPER_CA",
    "REALMKEEPER_CERT",
    "REALMKEEPER_KEY",
    "REALMKEEPER_AUTHID",
    "REALMKEEPER_AUTHMETHOD",
    "REALMKEEPER_TICKET",
    "REALMKEEPER_SECRET",
    "REALMKEEPER_KEY_FILE",
    "REALMKEEPER_TIMEOUT",
];

/// The program at the top of the repository, with what a person may have in the environment taken away.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realmkeeper"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Sends a process a signal.
pub(crate) fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
    assert!(sent.expect("kill can be run").success(), "the signal is sent");
}

/// A program that serves. It is killed when it is dropped.
pub(crate) struct Serving {
    process: Child,
    output: BufReader<ChildStdout>,
    /// What it has printed so far.
    printed: String,
}

impl Serving {
    /// Starts it on a free port and waits until it serves.
    pub(crate) fn start() -> Self {
        Self::run(&mut program(&["--listen", "127.0.0.1:0"]))
    }

    /// Starts it with this text of a configuration file, and waits until it serves.
    pub(crate) fn configured(name: &str, text: &str) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, text).expect("the folder of tests can be written to");
        Self::run(program(&["--config"]).arg(file))
    }

    /// Runs a command and waits until it serves.
    pub(crate) fn run(command: &mut Command) -> Self {
        Self::begin(command, Stdio::null())
    }

    /// Runs a command that logs into a new file of this name, and waits until it serves.
    pub(crate) fn logging(command: &mut Command, log: &Path) -> Self {
        Self::begin(command, File::create(log).expect("the file can be written").into())
    }

    /// Runs a command whose log waits to be read, and waits until it serves.
    pub(crate) fn unread(command: &mut Command) -> Self {
        Self::begin(command, Stdio::piped())
    }

    fn begin(command: &mut Command, log: Stdio) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let mut program = Self { process, output, printed: String::new() };
        program.line();
        program
    }

    /// The log that waits to be read.
    pub(crate) fn log(&mut self) -> ChildStderr {
        self.process.stderr.take().expect("the log is piped, and read by nobody")
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let start = self.printed.len();
        self.output.read_line(&mut self.printed).expect("the program prints text");
        self.printed[start..].trim_end().to_owned()
    }

    /// The URL that the first line names.
    pub(crate) fn url(&self) -> &str {
        self.printed.lines().next().and_then(|line| line.split(' ').next_back()).expect("a URL is printed")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        address(self.url())
    }

    /// Where its next listener listens, as the next line says.
    pub(crate) fn next_address(&mut self) -> SocketAddr {
        let line = self.line();
        address(line.strip_prefix("listens on ").expect("there is another listener"))
    }

    /// Where it answers `/metrics` and the like, as one of the next lines says.
    pub(crate) fn admin(&mut self) -> SocketAddr {
        loop {
            if let Some(address) = self.line().strip_prefix("admin: http://") {
                return address.parse().expect("it is an address");
            }
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The memory that it holds, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it has held, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// What the kernel tells of its memory under this name.
    fn status(&self, name: &str) -> u64 {
        let status = self.told("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        line.trim().trim_end_matches(" kB").parse().expect("it is a number")
    }

    /// How many files it has open, sockets included.
    pub(crate) fn files(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("the program runs").count() as u64
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = self.told("stat");
        // Behind the name in parentheses; the kernel counts in hundredths of a second.
        let fields = stat.rsplit(')').next().expect("there is something").split_whitespace().skip(11);
        let ticks: u64 = fields.take(2).map(|ticks| ticks.parse::<u64>().expect("it is a number")).sum();
        Duration::from_millis(10 * ticks)
    }

    /// What the kernel tells of it.
    fn told(&self, what: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{what}", self.process.id())).expect("the program runs")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Waits for its end; gives its exit code and all that it has printed.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.printed).expect("the program prints text");
        let status = self.process.wait().expect("the program ends");
        (status.code(), std::mem::take(&mut self.printed))
    }
}

/// The address in a URL for clients.
fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL has a scheme");
    rest.trim_end_matches("/ws").parse().expect("the URL holds an address")
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Neither fails but for a program that has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
