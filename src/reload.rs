//! The configuration of a service that runs, and what becomes of it when the file is read again.

use crate::{
    Service,
    config::{self, Config, Contents, Overrides},
};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};
use tracing::{error, info, warn};

/// The configuration that a service runs by, and where it is from.
#[derive(Debug)]
pub struct Configured {
    /// The file, if there is one.
    file: Option<PathBuf>,
    overrides: Overrides,
    running: Config,
    contents: Contents,
}

impl Configured {
    /// A service was started with this configuration, which is that of the file with what goes before it.
    pub fn new(file: Option<PathBuf>, overrides: Overrides, running: Config) -> Self {
        let mut configured = Self { file, overrides, running, contents: Contents::default() };
        configured.look_at_files();
        configured
    }

    /// What the files hold now that the configuration names, where that is something else than before.
    fn look_at_files(&mut self) -> Vec<String> {
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        self.contents.look(&self.running, folder)
    }

    /// The configuration that the service runs by.
    pub fn running(&self) -> &Config {
        &self.running
    }

    /// Reads the file again, and has the service take over what can change while it runs. What changes is told in the
    /// log, and what needs a restart. If the file cannot be used, or the certificates cannot, nothing changes. Tells
    /// whether the service goes by the file.
    pub async fn reload(&mut self, service: &mut Service) -> bool {
        let Some(file) = self.file.clone() else {
            info!("there is no configuration file to read again");
            return true;
        };
        info!(file = %file.display(), "the configuration is read again");
        let taken = self.take_over(&file, service).await;
        match &taken {
            Ok(()) => service.metrics().configured(SystemTime::now(), true),
            Err(problem) => {
                problem.lines().for_each(|line| error!("{line}"));
                error!("the configuration cannot be used: nothing changes");
                service.metrics().configuration_refused();
            }
        }
        taken.is_ok()
    }

    async fn take_over(&mut self, file: &Path, service: &mut Service) -> Result<(), String> {
        let loaded = config::load(file, &self.overrides).map_err(|error| error.to_string())?;
        let (warnings, new) = (loaded.warnings.clone(), loaded.config.clone());
        let (config, settings) = loaded.taken_over_by(&self.running);
        service.reload(settings).await.map_err(|error| format!("realmkeeper: {error}"))?;
        let mut changes = self.running.changes(&config);
        self.running = config;
        changes.extend(self.look_at_files());
        let rest = self.running.changes(&new);
        warnings.iter().for_each(|warning| warn!("{warning}"));
        changes.iter().for_each(|change| info!("changed: {change}"));
        rest.iter().for_each(|change| warn!("needs a restart: {change}"));
        info!(changes = changes.len(), needing_restart = rest.len(), "the router goes by the configuration");
        Ok(())
    }
}
