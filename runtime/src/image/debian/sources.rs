//! Which mirror to fetch from: the host's own, as its apt is told (sources.list(5)).
//!
//! No mirror's address stands in Quayside. A Debian host names one; on any other, the operator sets one.

use std::fs;
use std::path::Path;

use super::deb822;
use super::lock::Archive;
use super::sets::{SECURITY_SUITE, SUITE};

/// A package that one mirror lacks is asked of the next; more than three would only make a failure slow.
const MIRRORS_MAX: usize = 3;

/// Addresses, each ending without a slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    pub main: Vec<String>,
    pub security: Vec<String>,
    /// Proxy that apt is told to use, if any.
    pub proxy: Option<String>,
}

impl Mirrors {
    pub fn of(&self, archive: Archive) -> &[String] {
        match archive {
            Archive::Main => &self.main,
            Archive::Security => &self.security,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    #[error(
        "images are made of Debian 12 packages, and {looked} names no mirror of them; \
         name one by --debian-mirror (its address ends in /debian), or add an entry for {SUITE} main to apt's sources"
    )]
    None { looked: String },
    #[error("--debian-mirror is {0:?}, which is no address; it must begin with http:// or https://")]
    Setting(String),
}

/// The mirrors of an installation: the setting if there is one, otherwise what apt in `apt` (usually /etc/apt) uses.
pub fn mirrors(setting: Option<&str>, apt: &Path) -> Result<Mirrors, SourcesError> {
    let proxy = apt_proxy(&texts(apt, "apt.conf", "apt.conf.d", &[""]));
    if let Some(setting) = setting {
        return Ok(Mirrors { proxy, ..from_setting(setting)? });
    }
    let mut entries = Vec::new();
    for text in texts(apt, "sources.list", "sources.list.d", &["list"]) {
        entries.extend(parse_lines(&text));
    }
    for text in texts(apt, "", "sources.list.d", &["sources"]) {
        entries.extend(parse_deb822(&text));
    }
    let mirrors = Mirrors { proxy, ..choose(&entries) };
    if mirrors.main.is_empty() {
        return Err(SourcesError::None { looked: apt.display().to_string() });
    }
    Ok(mirrors)
}

fn from_setting(setting: &str) -> Result<Mirrors, SourcesError> {
    if !is_fetchable(setting) {
        return Err(SourcesError::Setting(setting.to_owned()));
    }
    let main = trimmed(setting);
    // Mirrors keep both beside each other; where this one does not, its packages are resolved anew from main.
    let security = main.strip_suffix("/debian").map(|parent| format!("{parent}/debian-security"));
    Ok(Mirrors { main: vec![main], security: security.into_iter().collect(), proxy: None })
}

/// A line of sources: where, and which suites and components of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Entry {
    fn has_main(&self, suite: &str) -> bool {
        self.components.iter().any(|component| component == "main") && self.suites.iter().any(|name| name == suite)
    }

    /// The same archive also carries Debian 12 when its own suite is another one of Debian.
    fn is_debian(&self) -> bool {
        const OTHER_SUITES: &[&str] =
            &["oldoldstable", "oldstable", "stable", "testing", "unstable", "bullseye", "trixie", "forky", "sid"];
        self.looks_official() && OTHER_SUITES.iter().any(|suite| self.has_main(suite))
    }

    /// Other people's archives have suites called `bookworm` and `stable` too; Debian's mirrors end in /debian.
    fn looks_official(&self) -> bool {
        self.uri.ends_with("/debian") || self.uri.ends_with("/debian-security")
    }

    fn is_debian_security(&self) -> bool {
        let security = |suite: &String| suite.ends_with("-security") && !suite.starts_with(SUITE);
        self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(security)
            && self.uri.ends_with("debian-security")
    }
}

/// First those that carry the release by name, Debian's own before others', then archives of Debian that are used for
/// another release.
fn choose(entries: &[Entry]) -> Mirrors {
    let pick = |exact: &dyn Fn(&Entry) -> bool, other: &dyn Fn(&Entry) -> bool| {
        let rank = |entry: &&Entry| match (exact(entry), other(entry)) {
            (true, _) if entry.looks_official() => Some(0),
            (true, _) => Some(1),
            (_, true) => Some(2),
            _ => None,
        };
        let mut ranked: Vec<(u8, &str)> = entries
            .iter()
            .filter(|entry| is_fetchable(&entry.uri))
            .filter_map(|entry| Some((rank(&entry)?, entry.uri.as_str())))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut uris: Vec<String> = Vec::new();
        for (_, uri) in ranked {
            if uris.len() < MIRRORS_MAX && !uris.iter().any(|known| known == uri) {
                uris.push(uri.to_owned());
            }
        }
        uris
    };
    Mirrors {
        main: pick(&|entry| entry.has_main(SUITE), &Entry::is_debian),
        security: pick(&|entry| entry.has_main(SECURITY_SUITE), &Entry::is_debian_security),
        proxy: None,
    }
}

/// `deb [options] uri suite component…`
fn parse_lines(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    if rest.starts_with('[') {
        rest = rest.split_once(']')?.1.trim_start();
    }
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Entry { uri: trimmed(uri), suites: vec![suite.to_owned()], components: words.map(String::from).collect() })
}

fn parse_deb822(text: &str) -> Vec<Entry> {
    let words = |value: Option<&str>| -> Vec<String> {
        value.unwrap_or_default().split_whitespace().map(String::from).collect()
    };
    let mut entries = Vec::new();
    for paragraph in deb822::parse(text) {
        let off = paragraph.get("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        if off || !words(paragraph.get("Types")).iter().any(|kind| kind == "deb") {
            continue;
        }
        for uri in words(paragraph.get("URIs")) {
            let (suites, components) = (words(paragraph.get("Suites")), words(paragraph.get("Components")));
            entries.push(Entry { uri: trimmed(&uri), suites, components });
        }
    }
    entries
}

/// `Acquire::http::Proxy "http://…";` as administrators write it; the last one counts.
fn apt_proxy(texts: &[String]) -> Option<String> {
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let mut values = lines.filter_map(|line| {
        let (key, rest) = line.split_once(char::is_whitespace)?;
        key.eq_ignore_ascii_case("Acquire::http::Proxy").then_some(rest)
    });
    let value = values.next_back()?.trim().trim_end_matches(';').trim().trim_matches('"');
    value.starts_with("http").then(|| value.to_owned())
}

fn texts(apt: &Path, file: &str, folder: &str, endings: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    if !file.is_empty() {
        paths.push(apt.join(file));
    }
    if let Ok(entries) = fs::read_dir(apt.join(folder)) {
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| {
            endings.contains(&"") || path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e))
        });
        found.sort();
        paths.extend(found);
    }
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn is_fetchable(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

fn trimmed(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mirrors chosen from a made-up /etc/apt.
    fn check(files: &[(&str, &str)]) -> Result<Mirrors, SourcesError> {
        let apt = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = apt.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        mirrors(None, apt.path())
    }

    #[test]
    fn the_new_format_names_both_archives() {
        let text = "Types: deb\nURIs: http://one.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main contrib\n\n\
                    Types: deb\nURIs: http://two.example/debian-security\nSuites: bookworm-security\nComponents: main\n";
        let mirrors = check(&[("sources.list.d/debian.sources", text)]).unwrap();
        assert_eq!(mirrors.main, ["http://one.example/debian"]);
        assert_eq!(mirrors.security, ["http://two.example/debian-security"]);
    }

    #[test]
    fn the_old_format_with_options_and_comments() {
        let text = "# deb http://off.example/debian bookworm main\n\
                    deb-src http://src.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/x.gpg] https://one.example/debian bookworm main # ours\n\
                    deb http://tools.example/debian bookworm stable\n";
        assert_eq!(check(&[("sources.list", text)]).unwrap().main, ["https://one.example/debian"]);
    }

    #[test]
    fn a_host_of_another_debian_lends_its_mirror() {
        let text =
            "deb http://one.example/debian trixie main\ndeb http://one.example/debian-security trixie-security main\n";
        let mirrors = check(&[("sources.list", text)]).unwrap();
        assert_eq!(mirrors.main, ["http://one.example/debian"]);
        assert_eq!(mirrors.security, ["http://one.example/debian-security"]);
    }

    #[test]
    fn a_host_that_is_no_debian_is_told_what_to_set() {
        let ubuntu =
            check(&[("sources.list", "deb http://archive.example/ubuntu jammy main\n")]).unwrap_err().to_string();
        assert!(ubuntu.contains("--debian-mirror"), "{ubuntu}");
        assert!(check(&[]).is_err());
        let disabled = "Types: deb\nEnabled: no\nURIs: http://one.example/debian\nSuites: bookworm\nComponents: main\n";
        assert!(check(&[("sources.list.d/x.sources", disabled)]).is_err());
    }

    #[test]
    fn a_setting_wins_and_must_be_an_address() {
        let apt = tempfile::tempdir().unwrap();
        let mirrors = mirrors(Some("https://mirror.example/debian/"), apt.path()).unwrap();
        assert_eq!(mirrors.main, ["https://mirror.example/debian"]);
        assert_eq!(mirrors.security, ["https://mirror.example/debian-security"]);
        assert!(super::mirrors(Some("mirror.example"), apt.path()).unwrap_err().to_string().contains("http://"));
    }

    #[test]
    fn the_proxy_of_apt_is_used() {
        let list = ("sources.list", "deb http://one.example/debian bookworm main\n");
        let proxy =
            ("apt.conf.d/99proxy", "Acquire::Retries \"3\";\nAcquire::http::Proxy \"http://cache.example:3142\";\n");
        assert_eq!(check(&[list, proxy]).unwrap().proxy.as_deref(), Some("http://cache.example:3142"));
        let direct = ("apt.conf", "Acquire::http::Proxy \"DIRECT\";\n");
        assert_eq!(check(&[list, direct]).unwrap().proxy, None);
    }
}
