//! From what was said in several places to the settings: flag over environment over file over default.

use std::fmt;
use std::path::PathBuf;

use super::settings::Settings;
use super::slot::Raw;
use super::table::{ROWS, nearest, position, variable};

/// Where a value comes from, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize, column: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line, .. } => write!(out, "{}:{line}", path.display()),
            Self::Environment(name) => out.write_str(name),
            Self::Flag(flag) => out.write_str(flag),
        }
    }
}

/// A value that somebody wrote somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub name: String,
    pub raw: Raw,
    pub origin: Origin,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// The setting's name; none where the file does not read at all.
    pub name: Option<String>,
    pub says: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match &self.origin {
            Origin::File { path, line, column } => write!(out, "{}:{line}:{column}: ", path.display())?,
            Origin::Default => {}
            other => write!(out, "{other}: ")?,
        }
        match &self.name {
            Some(name) => write!(out, "{name}: {}", self.says),
            None => out.write_str(&self.says),
        }
    }
}

/// The settings, and where each comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    pub settings: Settings,
    /// In the order of [`ROWS`].
    pub origins: Vec<Origin>,
}

impl Merged {
    pub fn origin(&self, name: &str) -> &Origin {
        &self.origins[position(name).expect("a name of the table")]
    }
}

/// Takes what was given, the weaker sources first. Everything that is wrong is said at once, also what a
/// stronger source covers: it would come to light at the worst time.
pub fn merge(given: impl IntoIterator<Item = Given>) -> Result<Merged, Vec<Problem>> {
    let mut merged = Merged { settings: Settings::default(), origins: vec![Origin::Default; ROWS.len()] };
    let mut problems = Vec::new();
    for Given { name, raw, origin } in given {
        let taken = match position(&name) {
            None => Err(unknown(&name, &origin)),
            Some(at) => (ROWS[at].slot)(&mut merged.settings).set(&raw).map(|()| at).map_err(|how| wrong(&raw, &how)),
        };
        match taken {
            Ok(at) => merged.origins[at] = origin,
            Err(says) => problems.push(Problem { origin, name: Some(name), says }),
        }
    }
    problems.extend(contradictions(&merged));
    if problems.is_empty() { Ok(merged) } else { Err(problems) }
}

fn unknown(name: &str, origin: &Origin) -> String {
    let meant = nearest(name).map(|meant| match origin {
        Origin::Environment(_) => format!("; did you mean {}?", variable(meant)),
        _ => format!("; did you mean {meant}?"),
    });
    format!("there is no such setting{}", meant.unwrap_or_default())
}

fn wrong(raw: &Raw, how: &str) -> String {
    match raw {
        Raw::One(text) => format!("{text:?} does not fit; {how}"),
        Raw::Many(items) => format!("{items:?} does not fit; {how}"),
        Raw::Alien(_) => how.to_owned(),
    }
}

/// What two settings say against each other.
fn contradictions(merged: &Merged) -> Vec<Problem> {
    let web = &merged.settings.web;
    let mut found = Vec::new();
    let mut says = |name: &str, says: &str| {
        let origin = merged.origin(name).clone();
        found.push(Problem { origin, name: Some(name.into()), says: says.into() });
    };
    match (&web.tls_certificate, &web.tls_key) {
        (Some(_), None) => says("web.tls-certificate", "a certificate needs its key; set web.tls-key too"),
        (None, Some(_)) => says("web.tls-key", "a key needs its certificate; set web.tls-certificate too"),
        _ => {}
    }
    if web.metrics_listen == Some(web.listen) {
        says("web.metrics-listen", "this is web.listen, which learners reach; take another port");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn file(text: &str) -> Vec<Given> {
        file::read(text, "/etc/q.toml".as_ref()).expect("TOML")
    }

    fn variable(name: &str, value: &str) -> Given {
        let raw = Raw::One(value.into());
        Given { name: name.into(), raw, origin: Origin::Environment(super::variable(name)) }
    }

    fn flag(flag: &'static str, name: &str, value: &str) -> Given {
        Given { name: name.into(), raw: Raw::One(value.into()), origin: Origin::Flag(flag) }
    }

    fn problems(given: Vec<Given>) -> Vec<String> {
        merge(given).expect_err("something is wrong").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_flag_wins_over_a_variable_over_a_file_over_the_default() {
        let mut given = file("[sessions]\nmax = 10\nidle-max = \"5 min\"\n[web]\nhosts = [\"a\", \"b\"]\n");
        given.push(variable("sessions.max", "20"));
        given.push(variable("sandbox.memory", "256 MiB"));
        given.push(flag("--sessions-max", "sessions.max", "30"));
        let merged = merge(given).expect("it fits");
        let settings = &merged.settings;
        assert_eq!((settings.sessions.max, settings.sessions.idle_max_seconds), (30, 300));
        assert_eq!((settings.sandbox.memory_max_bytes, settings.sandbox.pids_max), (256 << 20, 512));
        assert_eq!(settings.web.hosts, ["a", "b"]);
        let origin = |name: &str| merged.origin(name).to_string();
        assert_eq!(origin("sessions.max"), "--sessions-max");
        assert_eq!(origin("sandbox.memory"), "QUAYSIDE_SANDBOX_MEMORY");
        assert_eq!(origin("sessions.idle-max"), "/etc/q.toml:3");
        assert_eq!(origin("sandbox.pids"), "default");
    }

    #[test]
    fn every_mistake_is_said_with_its_place_and_what_to_write() {
        let text = "data = 7\ncolour = true\n\n[sessions]\n  max = 0\nidle-max = \"30 minuts\"\nidel-max = 1\n\
                    [web]\nlisten = \"8080\"\nhosts = [1]\nbase-path = \"/a b\"\ntrusted-proxies = \"10.0.0.0/40\"\n\
                    tls-key = \"/k\"\n[log]\nlevel = \"loud\"\n[sandbox]\nmemory = \"1 MiB\"\ncpu = -1\n";
        insta::assert_snapshot!(problems(file(text)).join("\n"));
    }

    #[test]
    fn a_file_that_is_no_toml_says_where() {
        let problem = file::read("[web]\nlisten = 1.2.3.4:80\n", "/etc/q.toml".as_ref()).expect_err("no TOML");
        assert!(problem.to_string().starts_with("/etc/q.toml:2:"), "{problem}");
    }

    #[test]
    fn a_variable_and_a_flag_are_named_where_they_are_wrong() {
        let given = vec![variable("web.listen", "here"), flag("--sessions-max", "sessions.max", "many")];
        assert_eq!(
            problems(given),
            [
                "QUAYSIDE_WEB_LISTEN: web.listen: \"here\" does not fit; write an address with a port, as \
                 \"127.0.0.1:8080\" or \"[::1]:8080\"",
                "--sessions-max: sessions.max: \"many\" does not fit; write a number, from 1 to 4096",
            ]
        );
    }

    #[test]
    fn an_empty_text_takes_back_what_a_file_has_set() {
        let mut given = file("[web]\nuser = \"www\"\nhosts = [\"a\"]\n");
        given.extend([variable("web.user", ""), variable("web.hosts", "")]);
        let web = merge(given).expect("it fits").settings.web;
        assert_eq!((web.user, web.hosts), (None, vec![]));
    }

    #[test]
    fn what_contradicts_itself_is_no_setting() {
        let given = file("[web]\ntls-certificate = \"/c\"\nmetrics-listen = \"127.0.0.1:8080\"\n");
        let found = problems(given);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("needs its key") && found[1].contains("take another port"), "{found:?}");
    }
}
