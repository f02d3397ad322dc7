//! The program `realmkeeper`.

mod greeting;
mod log;
mod notify;

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind,
    parser::ValueSource,
};
use clap_complete::Shell;
use log::RunningLog;
use realmkeeper::{
    Configured, Service, Settings,
    bench::{self, BenchArgs},
    config::{self, CheckArgs, Config, ExplainArgs, Overrides, Problem},
    terminal::{self, CallArgs, PublishArgs, RegisterArgs, SessionsArgs, SubscribeArgs},
    user::{self, UserArgs},
};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::interval,
};
use tracing::warn;

/// Keeps what is opened for a moment apart from what stays, so that a connection leaves no hole beside its session.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often it is looked whether lines of the log were lost.
const LOG_TICK: Duration = Duration::from_secs(1);

/// What was asked for cannot be done as it stands.
const UNUSABLE: u8 = 2;

/// A WAMP v2 router.
///
/// Without a configuration file it serves the realm realm1 on ws://127.0.0.1:8080/ws to anonymous clients of this
/// machine. A flag wins over its environment variable, and that over the file.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeArgs,
}

/// How to serve. The texts are parsed after it is known where each comes from.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "REALMKEEPER_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// The address of the first listener; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", env = "REALMKEEPER_LISTEN", hide_env_values = true)]
    listen: Option<String>,

    /// The address of /metrics, /healthz, /livez and /readyz; without one they are on the first listener for WebSocket
    #[arg(long, value_name = "ADDR", env = "REALMKEEPER_ADMIN", hide_env_values = true)]
    admin: Option<String>,

    /// What is logged: error, warn, info (the default), debug or trace, or directives such as
    /// info,realmkeeper_actors=debug
    #[arg(long, value_name = "LEVEL", env = "REALMKEEPER_LOG_LEVEL", hide_env_values = true)]
    log_level: Option<String>,

    /// The form of a log line: text (the default) or json
    #[arg(long, value_name = "FORMAT", env = "REALMKEEPER_LOG_FORMAT", hide_env_values = true)]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckArgs),
    Explain(ExplainArgs),
    /// Print the JSON Schema of the configuration file
    Schema,
    User(UserArgs),
    /// Measure a WAMP router, or the limit of this machine
    Bench(BenchArgs),
    Sessions(SessionsArgs),
    Call(CallArgs),
    Publish(PublishArgs),
    Subscribe(SubscribeArgs),
    Register(RegisterArgs),
    /// Print what a shell needs to complete the commands and flags of this program
    Completion {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let parsed = Arguments::command().try_get_matches().and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((matches, arguments))
    });
    let (matches, arguments) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return refuse(&format!("realmkeeper: {}", first.trim_start_matches("error: ")));
        }
        Err(error) => error.exit(),
    };
    match arguments.command {
        Some(Command::Check(arguments)) => config::check(&arguments),
        Some(Command::Explain(arguments)) => config::explain(&arguments),
        Some(Command::Schema) => config::print_schema(),
        Some(Command::User(arguments)) => user::run(&arguments),
        Some(Command::Bench(arguments)) => bench::run(arguments),
        Some(Command::Sessions(arguments)) => terminal::run(terminal::Command::Sessions(arguments)),
        Some(Command::Call(arguments)) => terminal::run(terminal::Command::Call(arguments)),
        Some(Command::Publish(arguments)) => terminal::run(terminal::Command::Publish(arguments)),
        Some(Command::Subscribe(arguments)) => terminal::run(terminal::Command::Subscribe(arguments)),
        Some(Command::Register(arguments)) => terminal::run(terminal::Command::Register(arguments)),
        Some(Command::Completion { shell }) => complete(shell),
        None => serve(&arguments.serve, &matches).unwrap_or_else(|text| refuse(&text)),
    }
}

/// Prints the completion of a shell.
fn complete(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "realmkeeper", &mut script);
    config::answer(String::from_utf8_lossy(&script).trim_end())
}

fn refuse(text: &str) -> ExitCode {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(UNUSABLE)
}

/// Serves until it is told to stop; an error if it cannot start.
fn serve(arguments: &ServeArgs, matches: &ArgMatches) -> Result<ExitCode, String> {
    let mut errors = Vec::new();
    let overrides = Overrides {
        listen: parse(matches, "listen", arguments.listen.as_deref(), &mut errors),
        admin: parse(matches, "admin", arguments.admin.as_deref(), &mut errors),
        log_level: parse(matches, "log_level", arguments.log_level.as_deref(), &mut errors),
        log_format: parse(matches, "log_format", arguments.log_format.as_deref(), &mut errors),
    };
    let configuration = configuration(arguments, &overrides).map_err(|error| errors.push(error));
    let (Ok((config, settings, warnings)), true) = (configuration, errors.is_empty()) else {
        return Err(errors.join("\n"));
    };
    let log = RunningLog::start(&config.log);
    for warning in &warnings {
        warn!("{warning}");
    }
    let configured = Configured::new(arguments.config.clone(), overrides, config);
    actix_rt::System::new().block_on(run(settings, configured, log))
}

/// Parses the text of a flag or a variable; an error names it.
fn parse<T>(matches: &ArgMatches, id: &str, text: Option<&str>, errors: &mut Vec<String>) -> Option<T>
where
    T: FromStr<Err = &'static str>,
{
    let text = text?;
    let parsed = text.parse().map_err(|allowed| {
        let name = match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => {
                format!("environment variable REALMKEEPER_{}", id.to_uppercase())
            }
            _ => format!("--{}", id.replace('_', "-")),
        };
        format!("realmkeeper: {name}: is {text:?}; {allowed}")
    });
    parsed.map_err(|error| errors.push(error)).ok()
}

/// The configuration, what it means, and what may not be meant so.
fn configuration(
    arguments: &ServeArgs,
    overrides: &Overrides,
) -> Result<(Config, Settings, Vec<Problem>), String> {
    if let Some(file) = &arguments.config {
        let loaded = config::load(file, overrides).map_err(|error| error.to_string())?;
        return Ok((loaded.config, loaded.settings, loaded.warnings));
    }
    if let Some(address) = overrides.listen.map(|address| address.0)
        && !address.ip().is_loopback()
    {
        return Err(format!(
            "realmkeeper: will not listen on {address}: without a configuration file anonymous clients may do \
             everything, so that only this machine may connect; use --listen 127.0.0.1:{port}, or say in a file who \
             may do what and add --config FILE",
            port = address.port()
        ));
    }
    let (config, settings) = overrides.alone();
    Ok((config, settings, Vec::new()))
}

async fn run(
    settings: Settings,
    mut configured: Configured,
    mut log: RunningLog,
) -> Result<ExitCode, String> {
    let cannot_wait = |error| format!("realmkeeper: cannot wait for signals: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_wait)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_wait)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot_wait)?;
    let realms = settings.realms.clone();
    let mut service = Service::start(settings).await.map_err(|error| format!("realmkeeper: {error}"))?;
    // Whoever closed the output does not want to read it.
    let _ = io::stdout().write_all(greeting::greeting(&service, &realms).as_bytes());
    notify::started(&service);
    let mut tick = interval(LOG_TICK);
    let mut told = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    loop {
        tokio::select! {
            () = told() => break,
            _ = tick.tick() => log.tell_what_is_lost(service.metrics()),
            _ = hangup.recv() => {
                notify::reloading();
                let is_current = configured.reload(&mut service).await;
                log.set_level(&configured.running().log.level);
                notify::serving(&service, is_current);
            }
        }
    }
    notify::stopping();
    tokio::select! {
        () = service.stop() => Ok(ExitCode::SUCCESS),
        () = told() => {
            warn!("told to stop once more: the router ends now");
            Ok(ExitCode::FAILURE)
        }
    }
}
