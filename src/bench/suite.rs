//! Benchmarks one after the other, each in a process of its own, as somebody would run them by hand.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::Stdio;

use clap::{Args, ValueEnum as _};
use serde::Deserialize;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::bystanders;
use super::failure::Failure;
use super::run::Flaws;
use crate::client::{Address, Serializer};

/// With which router, and how often and how long.
#[derive(Clone, Debug, Args)]
pub(super) struct SuiteArgs {
    /// Where the router is; without it, one is started for this in which anonymous clients may do everything, and
    /// which logs nothing but warnings
    #[arg(long)]
    url: Option<Address>,
    /// Process id of this router if it is on this machine, to measure its CPU time and memory
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// A PEM file with the authorities that may certify a router of wss:// or rss://; without it those that this
    /// system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Realm to join, anonymously
    #[arg(long, default_value = "realm1")]
    realm: String,
    /// Serializer of all sessions
    #[arg(long, value_enum, default_value_t = Serializer::Json)]
    serializer: Serializer,
    /// How often each is run
    #[arg(long, default_value_t = 3, value_parser = super::count)]
    pub(super) rounds: usize,
    /// Seconds to measure each time
    #[arg(long, default_value_t = 3.0, value_parser = super::seconds)]
    pub(super) seconds: f64,
    /// Seconds of load before that, which do not count
    #[arg(long, default_value_t = 0.5, value_parser = super::seconds)]
    warmup: f64,
    /// Where the Markdown is written; without it to stdout
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// Runs a suite to its end, or until this process is told to end, or loses its terminal; none of the processes of the
/// suite stays.
pub(super) async fn run<T>(suite: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        done = suite => done,
        _ = interrupt.recv() => Err(Failure::Stopped),
        _ = terminate.recv() => Err(Failure::Stopped),
        _ = hangup.recv() => Err(Failure::Stopped),
    }
}

impl SuiteArgs {
    /// The router: the one that is named, or one that is started, which also has realms for bystanders.
    pub(super) async fn router(&self, realms: usize) -> Result<Server, Failure> {
        match &self.url {
            Some(url) => Ok(Server::given("router", url, self.pid)),
            None => Server::start_router(&self.realm, realms).await,
        }
    }

    /// On what machine it is run, and how, as a paragraph.
    pub(super) fn circumstances(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rounds = match self.rounds {
            1 => "one round".to_owned(),
            rounds => format!("{rounds} interleaved rounds"),
        };
        format!(
            "realmkeeper {} on {cores} cores ({}), {}, {rounds} of {} s.\nCPU is what the server takes for one operation.\n",
            env!("CARGO_PKG_VERSION"),
            processor().unwrap_or_else(|| "of a kind that is not told".to_owned()),
            self.serializer(),
            self.seconds,
        )
    }

    /// The name of the serializer.
    fn serializer(&self) -> String {
        self.serializer.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The arguments of a benchmark. Some of them go on for as long as they take.
    pub(super) fn command(&self, server: &Server, benchmark: &str, options: &str) -> Vec<String> {
        let mut command: Vec<String> = vec!["bench".to_owned(), benchmark.to_owned()];
        command.extend(options.split_whitespace().map(str::to_owned));
        let mut add = |name: &str, value: String| command.extend([name.to_owned(), value]);
        add("--url", server.url.clone());
        if self.realm != "realm1" {
            add("--realm", self.realm.clone());
        }
        if let Some(file) = &self.ca {
            add("--ca", file.display().to_string());
        }
        if self.serializer != Serializer::Json {
            add("--serializer", self.serializer());
        }
        if !matches!(benchmark, "idle" | "slow") {
            add("--seconds", self.seconds.to_string());
            add("--warmup", self.warmup.to_string());
        }
        if let Some(pid) = server.pid {
            add("--pid", pid.to_string());
        }
        if server.is_relay {
            command.push("--floor".to_owned());
        }
        command
    }
}

/// What is measured.
#[derive(Debug)]
pub(super) struct Server {
    /// How it is called.
    pub(super) name: String,
    url: String,
    /// Its process, if that can be measured.
    pub(super) pid: Option<u32>,
    /// It is none, but the relay.
    pub(super) is_relay: bool,
    /// It goes when this is dropped.
    _process: Option<Child>,
}

impl Server {
    /// One that is there.
    pub(super) fn given(name: &str, url: &Address, pid: Option<u32>) -> Self {
        Self { name: name.to_owned(), url: url.to_string(), pid, is_relay: false, _process: None }
    }

    /// Starts the relay.
    pub(super) async fn start_relay() -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Listening {
            listening: String,
        }
        let (process, line) = start(&["bench", "floor"]).await?;
        let told: Listening = serde_json::from_str(&line).map_err(|_| Failure::Start(line))?;
        let (url, pid) = (format!("ws://{}/", told.listening), process.id());
        Ok(Self { name: "relay".to_owned(), url, pid, is_relay: true, _process: Some(process) })
    }

    /// Starts a router that lets anonymous clients do everything, in a realm and in those of bystanders.
    async fn start_router(realm: &str, realms: usize) -> Result<Self, Failure> {
        let file = NamedTempFile::with_suffix(".toml")?;
        fs::write(&file, configuration(realm, realms))?;
        let path = file.path().display().to_string();
        let (process, line) =
            start(&["--config", &path, "--listen", "127.0.0.1:0", "--log-level", "warn"]).await?;
        let url = line.split_once(" listens on ").map(|(_, url)| url.to_owned());
        let (url, pid) = (url.ok_or(Failure::Start(line))?, process.id());
        Ok(Self { name: "router".to_owned(), url, pid, is_relay: false, _process: Some(process) })
    }
}

/// The configuration of a router in which everybody may do everything.
fn configuration(realm: &str, realms: usize) -> String {
    let names = std::iter::once(realm.to_owned()).chain((1..=realms).map(bystanders::realm));
    let realm = |name: String| {
        let name = toml::Value::String(name);
        let permission =
            |uri: &str, allow: &str| format!("{{ uri = {uri:?}, match = \"prefix\", allow = [{allow}] }}");
        let all = permission("", r#""call", "register", "publish", "subscribe""#);
        let own = permission("wamp.", r#""call", "subscribe""#);
        format!(
            "[[realms]]\nname = {name}\nanonymous = \"anyone\"\nroles = [{{ name = \"anyone\", permissions = [{all}, {own}] \
             }}]\n"
        )
    };
    names.map(realm).collect()
}

/// Starts this program; returns the first line that it prints as well.
async fn start(arguments: &[&str]) -> Result<(Child, String), Failure> {
    let mut log = tempfile::tempfile()?;
    let mut process = program()?.args(arguments).stdout(Stdio::piped()).stderr(log.try_clone()?).spawn()?;
    let output = process.stdout.take().ok_or_else(|| Failure::Start("it has no output".to_owned()))?;
    let mut lines = BufReader::new(output).lines();
    if let Some(line) = lines.next_line().await? {
        // What it says later has to go somewhere.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        return Ok((process, line));
    }
    let mut told = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut told)?;
    Err(Failure::Start(last_line(&told)))
}

/// This program, without what the environment would tell it.
fn program() -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REALMKEEPER_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// What a benchmark has printed, as far as it is of interest.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Measured {
    /// Operations per second.
    pub(super) per_second: Option<f64>,
    /// CPU time of the server per operation, in microseconds.
    pub(super) server_cpu_us_per_op: Option<f64>,
    /// Memory of the server per session, in KB.
    pub(super) server_rss_kb_per_session: Option<f64>,
    /// Growth of the memory of the server, in KB.
    pub(super) server_rss_kb_growth: Option<u64>,
    /// Events that a slow subscriber has missed.
    pub(super) slow_lost: Option<u64>,
    /// How its session was ended.
    pub(super) slow_ended: Option<String>,
    /// What went wrong.
    #[serde(flatten)]
    pub(super) flaws: Flaws,
}

/// Runs a benchmark; an error is what it says of itself.
pub(super) async fn measure(command: &[String]) -> Result<Result<Measured, String>, Failure> {
    let output = program()?.args(command).output().await?;
    Ok(serde_json::from_slice(&output.stdout).map_err(|_| {
        let line = last_line(&output.stderr);
        line.strip_prefix("realmkeeper bench: ").unwrap_or(&line).to_owned()
    }))
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().last().unwrap_or("it says nothing").to_owned()
}

/// The name of the processor.
fn processor() -> Option<String> {
    let told = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = told.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches(['\t', ' ', ':']).to_owned())
}
