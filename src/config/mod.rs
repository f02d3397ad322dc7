//! The configuration file: TOML, checked whole before anything starts.
//!
//! A text becomes values with their places ([`tree`]), the values are checked against the JSON Schema of the format
//! and read ([`structure`]), what has to hold between them is checked ([`validate`]), and what is left becomes the
//! settings of a service ([`settings`]). Every error is noted at its place and the check goes on, so that a person
//! sees all of them at once.

mod change;
mod command;
mod credentials;
mod explain;
mod format;
mod problem;
mod schema;
mod settings;
mod structure;
mod tree;
mod validate;
mod value;
mod word;

pub(crate) use change::Contents;
pub(crate) use command::refuse;
pub use command::{CheckArgs, answer, check, print_schema};
pub use explain::{ExplainArgs, explain};
pub use format::{
    Admin, Certificate, Config, Cra, Disclose, Jwt, Limits, Listener, Log, Permission, Principal, Rate,
    Realm, RealmLimits, Role, Scram, SessionLimits, Shutdown, Tls, UnixSocket, Users,
};
pub use problem::Problem;
pub use schema::schema;
pub use value::{Address, Group, LogLevel, Mode, Network, Octets, Origin, Time, User};
pub use word::{
    Action, ClientCertificates, Kdf, ListenerKind, LogFormat, Match, RequestIds, Serializer, UriRule,
};

use crate::Settings;
use problem::Problems;
use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};
use toml::de::DeTable;
use tree::{Place, Tree};
use validate::Admitted;
pub(crate) use validate::Known;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, with defaults where the file says nothing.
    pub config: Config,
    /// What it means for a service.
    pub settings: Settings,
    /// What may not be meant as it stands.
    pub warnings: Vec<Problem>,
    /// The line on which each permission begins, by realm and role.
    pub lines: Lines,
    /// Where the file lies, from where other files are seen.
    folder: PathBuf,
}

/// The lines of permissions, by realm and role.
pub type Lines = Vec<Vec<Vec<usize>>>;

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file has errors. Its warnings are among them.
    Wrong(Vec<Problem>),
}

/// What goes before a configuration file: flags and variables.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The address of the first listener.
    pub listen: Option<Address>,
    /// The address of the pages for operators.
    pub admin: Option<Address>,
    /// What is logged.
    pub log_level: Option<LogLevel>,
    /// The form of a log line.
    pub log_format: Option<LogFormat>,
}

/// Reads a configuration file.
pub fn load(file: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { file: file.to_owned(), error };
    load_text(&fs::read_to_string(file).map_err(unreadable)?, file, overrides)
}

/// Reads the text of a configuration file.
pub(crate) fn load_text(text: &str, file: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let mut problems = Problems::new(file.display().to_string(), text);
    let folder = file.parent().unwrap_or(Path::new(""));
    let read = read(text, folder, overrides, &mut problems);
    match (read, problems.into_result()) {
        (Some((config, settings, lines)), Ok(warnings)) => {
            Ok(Loaded { config, settings, warnings, lines, folder: folder.to_owned() })
        }
        (_, Ok(problems) | Err(problems)) => Err(ConfigError::Wrong(problems)),
    }
}

/// Reads a users file; gives its text, and who stands in it: authids, names of roles, credentials.
pub(crate) fn load_users(file: &Path) -> Result<(String, Vec<Known>), ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { file: file.to_owned(), error };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let known = read_users(file, &text)?;
    Ok((text, known))
}

/// Reads the text of a users file.
pub(crate) fn read_users(file: &Path, text: &str) -> Result<Vec<Known>, ConfigError> {
    let mut problems = Problems::new(file.display().to_string(), text);
    let known = validate::validate_users(text, file, &mut HashMap::new(), None, &mut problems);
    problems.into_result().map(|_| known).map_err(ConfigError::Wrong)
}

/// Reads a text; `None` if nothing of it can be understood.
fn read(
    text: &str,
    folder: &Path,
    overrides: &Overrides,
    problems: &mut Problems<'_>,
) -> Option<(Config, Settings, Lines)> {
    let mut tree = parse(text, problems)?;
    let mut config = structure::read(&mut tree, problems)?;
    overrides.apply(&mut config);
    let admitted = validate::validate(&config, folder, &tree.place(), problems);
    let settings = config.settings(folder, admitted);
    let lines = lines(&config, &tree.place(), text);
    Some((config, settings, lines))
}

/// The values of a text; `None` if it is not TOML.
fn parse<'i>(text: &'i str, problems: &mut Problems<'_>) -> Option<Tree<'i>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let text = error.message().replace(", expected", "; expected");
        problems.error(error.span().unwrap_or_default(), "", text);
    }
    errors.is_empty().then(|| Tree::new(table))
}

/// The line on which each permission begins, by realm and role.
fn lines(config: &Config, root: &Place<'_, '_>, text: &str) -> Lines {
    let realms = config.realms.iter().enumerate().map(|(index, realm)| {
        let place = root.at("realms").item(index);
        let roles = realm.roles.iter().enumerate().map(|(index, role)| {
            let place = place.at("roles").item(index).at("permissions");
            let line = |index| problem::position(text, place.item(index).span().start).0;
            (0..role.permissions.len()).map(line).collect()
        });
        roles.collect()
    });
    realms.collect()
}

impl Overrides {
    /// The configuration without a file, and its settings.
    pub fn alone(&self) -> (Config, Settings) {
        let mut config = Config::default();
        self.apply(&mut config);
        let settings = config.settings(Path::new(""), vec![Admitted::default()]);
        (config, settings)
    }

    fn apply(&self, config: &mut Config) {
        if let (Some(address), Some(first)) = (self.listen, config.listeners.first_mut()) {
            first.address = address;
            first.unix = None;
        }
        config.admin.address = self.admin.or(config.admin.address);
        if let Some(level) = &self.log_level {
            config.log.level = level.clone();
        }
        config.log.format = self.log_format.unwrap_or(config.log.format);
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, error } => {
                write!(f, "realmkeeper: cannot read {}: {error}", file.display())
            }
            Self::Wrong(problems) => {
                let lines = problems.iter().map(Problem::to_string).collect::<Vec<_>>();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}
