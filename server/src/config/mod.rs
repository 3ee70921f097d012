//! What an installation is told: flag over environment over file over default, merged in one place.
//!
//! ```text
//!   file ───────► file::read ──┐
//!   environment ► environment ─┼─► merge ──► Settings ──► WebConfig, KeeperConfig
//!   flags ─────────────────────┘   (pure)    + origins
//! ```
//!
//! [`table`] has one line for each setting; a new one is a field in [`settings`] and a line there. Only this
//! module may know where a setting comes from: nothing else reads the environment.

mod address;
mod quantity;
mod settings;
mod slot;
mod table;
mod merge;
mod file;
mod environment;
mod show;

use std::io;
use std::path::{Path, PathBuf};

pub use address::{AddressError, BasePath, Network};

pub use environment::{docker_config, notify_socket, passed_on};
pub use merge::{Given, Merged, Origin, Problem};
pub use settings::{
    CONNECTIONS_MAX, Cgroup, Images, KeepDays, KeeperConfig, Log, LogFormat, LogLevel, SessionLimits, Settings, Web,
    WebConfig,
};
pub use show::{as_file, as_table};
pub use slot::Raw;

use environment::Environment;

/// Read if it is there and no other is named.
pub const FILE: &str = "/etc/quayside/quayside.toml";

/// The settings of this process, and what is worth a warning.
#[derive(Debug)]
pub struct Loaded {
    pub merged: Merged,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    pub remarks: Vec<String>,
}

/// Why there are no settings: each with its place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the settings at {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the settings are wrong:\n{}", lines(.0))]
    Wrong(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads the file that is named, by `file` or by the environment, or the usual one; then the environment;
/// then takes `flags`.
pub fn load(file: Option<&Path>, flags: Vec<Given>) -> Result<Loaded, ConfigError> {
    load_with(Environment::of_process(), file, flags)
}

/// The same for the file alone: whether it says anything that is wrong.
pub fn check(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let named = Environment { file: Environment::of_process().file, ..Environment::default() };
    load_with(named, file, Vec::new())
}

fn load_with(environment: Environment, file: Option<&Path>, flags: Vec<Given>) -> Result<Loaded, ConfigError> {
    let named = file.map(Path::to_path_buf).or(environment.file.map(PathBuf::from));
    let (text, path) = match &named {
        Some(path) => (Some(text_of(path)?), path.clone()),
        None => match text_of(FILE.as_ref()) {
            Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                (None, FILE.into())
            }
            read => (Some(read?), FILE.into()),
        },
    };
    let mut given = match &text {
        Some(text) => file::read(text, &path).map_err(|problem| ConfigError::Wrong(vec![problem]))?,
        None => Vec::new(),
    };
    given.extend(environment.given);
    given.extend(flags);
    let merged = merge::merge(given).map_err(ConfigError::Wrong)?;
    Ok(Loaded { merged, file: text.map(|_| path), remarks: environment.remarks })
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })
}
