//! WAMP clients of other projects, in their own languages: pinned, installed once, run as programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

/// Where the client programs are, and the lists of what they need.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Where the clients are installed, each set of pinned versions in a directory of its own.
const INSTALLATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");

/// The lists of pinned versions.
const PINNED: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];

/// How a program ended and what it printed.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program of `tests/clients` to its end.
pub(crate) fn run(program: &str, args: &[&str]) -> Outcome {
    let mut command = if program.ends_with(".py") { python() } else { node() };
    finish(command.arg(Path::new(PROGRAMS).join(program)).args(args))
}

/// A Python that has the pinned packages and prints at once.
pub(crate) fn python() -> Command {
    let mut command = Command::new(installed().join("venv/bin/python"));
    command.arg("-u");
    command
}

/// A Node.js that has the pinned packages, and a `WebSocket` even where that is not yet the default.
pub(crate) fn node() -> Command {
    let mut command = Command::new("node");
    command.args(["--no-warnings", "--experimental-websocket"]);
    command.env("NODE_PATH", installed().join("node_modules"));
    command
}

/// Where the pinned packages are. The first to ask installs them, whichever test process that is.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let directory = Path::new(INSTALLATIONS).join(fingerprint());
        fs::create_dir_all(&directory).expect("a directory for the clients");
        let lock = File::create(directory.join("lock")).expect("a lock file for the installation");
        lock.lock().expect("the lock of the installation");
        let finished = directory.join("finished");
        if !finished.exists() {
            install(&directory);
            File::create(finished).expect("a marker for the finished installation");
        }
        directory
    })
}

/// The same for the same pinned versions only: 64-bit FNV-1a over all of [`PINNED`].
fn fingerprint() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for name in PINNED {
        for byte in fs::read(Path::new(PROGRAMS).join(name)).expect("a list of pinned versions") {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// Installs the pinned packages, over what an interrupted installation may have left.
fn install(directory: &Path) {
    for name in PINNED {
        fs::copy(Path::new(PROGRAMS).join(name), directory.join(name))
            .expect("a copy of the pinned versions");
    }
    let steps = [
        "python3 -m venv --clear venv",
        "venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt",
        "npm ci --ignore-scripts --no-audit --no-fund",
    ];
    for step in steps {
        let Outcome { status, stdout, stderr } =
            finish(Command::new("sh").args(["-c", step]).current_dir(directory));
        assert!(status.success(), "`{step}` failed with {status}:\n{stdout}{stderr}");
    }
}

/// Runs a command to its end.
fn finish(command: &mut Command) -> Outcome {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
