//! The commands `check` and `schema`.

use super::{Config, Loaded, Overrides, Problem, load, schema};
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The exit code where something cannot be used as it stands.
pub(super) const UNUSABLE: u8 = 2;

/// Check a configuration file and print all that is wrong
///
/// The exit code is 0 if the file can be used, and 2 if not.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "REALMKEEPER_CONFIG", hide_env_values = true)]
    config: PathBuf,

    /// Print the configuration with all defaults, without secrets
    #[arg(long)]
    print: bool,
}

/// Runs `check`.
pub fn check(args: &CheckArgs) -> ExitCode {
    let loaded = match load(&args.config, &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error.to_string()),
    };
    say(&loaded.warnings.iter().map(Problem::to_string).collect::<Vec<_>>());
    if !args.print {
        return answer(&format!("{}: ok: {}", args.config.display(), counts(&loaded)));
    }
    match toml::to_string(&loaded.config.masked()) {
        Ok(text) => answer(text.trim_end()),
        Err(error) => refuse(&format!("realmkeeper: cannot print the configuration: {error}")),
    }
}

/// Runs `schema`.
pub fn print_schema() -> ExitCode {
    answer(&format!("{:#}", schema()))
}

impl Config {
    /// The same without secrets.
    pub(super) fn masked(&self) -> Self {
        let mut config = self.clone();
        config.realms.iter_mut().flat_map(|realm| &mut realm.principals).for_each(|one| one.mask());
        config
    }
}

fn counts(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let realms = &config.realms;
    [
        count(config.listeners.len(), "listener"),
        count(realms.len(), "realm"),
        count(realms.iter().map(|realm| realm.roles.len()).sum(), "role"),
        count(loaded.settings.realms.iter().map(|realm| realm.door.principals.len()).sum(), "principal"),
    ]
    .join(", ")
}

/// Prints an answer. Whoever closed the output does not want to read it.
pub fn answer(text: &str) -> ExitCode {
    let mut output = io::stdout();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            refuse(&format!("realmkeeper: cannot write: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints why there is none.
pub(crate) fn refuse(text: &str) -> ExitCode {
    say(&[text.to_owned()]);
    ExitCode::from(UNUSABLE)
}

/// Tells a person lines that are no output.
fn say(lines: &[String]) {
    for line in lines {
        // There is nobody else to tell.
        let _ = writeln!(io::stderr(), "{line}");
    }
}
