//! The only place that reads the environment.

use super::merge::{Given, Origin};
use super::slot::Raw;
use super::table::{PREFIX, ROWS, nearest, variable};

/// Names the file of settings.
pub const FILE: &str = "QUAYSIDE_CONFIG";
/// Where a service manager wants to hear that we serve (sd_notify(3)).
const NOTIFY: &str = "NOTIFY_SOCKET";

/// What the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub file: Option<String>,
    pub given: Vec<Given>,
    /// Variables that look like settings and are none, in words.
    pub remarks: Vec<String>,
}

impl Environment {
    pub fn of_process() -> Self {
        Self::of(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut this = Self::default();
        let mut ours: Vec<(String, String)> =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        ours.sort();
        for (name, value) in ours {
            if name == FILE {
                this.file = Some(value);
                continue;
            }
            match ROWS.iter().find(|row| variable(row.name) == name) {
                Some(row) => this.given.push(Given {
                    name: row.name.into(),
                    raw: Raw::One(value),
                    origin: Origin::Environment(name),
                }),
                None => this.remarks.extend(remark(&name)),
            }
        }
        this
    }
}

/// Others may have variables of that prefix, as our own tests do: only what is nearly a setting is told.
fn remark(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_')?;
    let meant = nearest(&format!("{section}.{}", key.replace('_', "-")))?;
    Some(format!("the variable {name} sets nothing; did you mean {}?", variable(meant)))
}

/// Where `docker login` leaves what it was told, for the user that we run as: `DOCKER_CONFIG`, else below the home folder.
pub fn docker_config() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(std::path::PathBuf::from);
    let home = || Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    Some(folder.or_else(home)?.join("config.json"))
}

/// The socket of the service manager that started us, if one did.
pub fn notify_socket() -> Option<std::ffi::OsString> {
    std::env::var_os(NOTIFY)
}

/// A variable that somebody at a command line asks to be passed on, as `--build-arg NAME` does.
pub fn passed_on(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_sets_its_setting_and_a_misspelt_one_is_told() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = Environment::of([
            pair("PATH", "/bin"),
            pair("QUAYSIDE_CONFIG", "/etc/other.toml"),
            pair("QUAYSIDE_WEB_BASE_PATH", "/learn"),
            pair("QUAYSIDE_WEB_LISTNE", "x"),
            pair("QUAYSIDE_BIN", "x"),
        ]);
        assert_eq!(environment.file.as_deref(), Some("/etc/other.toml"));
        let given: Vec<_> = environment.given.iter().map(|given| given.name.as_str()).collect();
        assert_eq!(given, ["web.base-path"]);
        assert_eq!(
            environment.remarks,
            ["the variable QUAYSIDE_WEB_LISTNE sets nothing; did you mean QUAYSIDE_WEB_LISTEN?"]
        );
    }
}
