//! Which files of `assets/` go where in the machine.
//!
//! A file named plainly lands under its own name, whatever directory it came from; files matched by a pattern keep
//! their path below `assets/`. Nothing that is missing stops a scenario: it is said, and left out.

use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Report, SourceText};
use super::index::RawAsset;
use super::model::{Asset, Diagnostic};
use super::source::{ASSET_BYTES_MAX, Folder, Reach, Unreadable};

/// Files placed for one scenario; the official example for assets places 71.
pub const ASSETS_MAX: usize = 2000;

/// Entries of `assets`; each pattern is compared with every file.
const ENTRIES_MAX: usize = 500;

/// All of a scenario's files together: they are sent into the machine before its first prompt.
pub const ASSETS_BYTES_MAX: u64 = 64 << 20;

/// Directories below `assets/`.
const DEPTH_MAX: usize = 16;

/// Resolves the assets of host 1, in order; later ones win where they meet.
pub fn resolve(folder: &mut Folder, index: &SourceText, raw: &[RawAsset], report: &mut Report) -> Vec<Asset> {
    let mut placed = Placed::default();
    let mut available = None;
    if raw.len() > ENTRIES_MAX {
        report.push(Diagnostic::warning(
            index.whole(),
            format!("{} assets are listed: only the first {ENTRIES_MAX} are read", raw.len()),
        ));
    }
    for asset in raw.iter().take(ENTRIES_MAX).filter(|asset| is_first_host(&asset.host)) {
        match is_pattern(&asset.file.text) {
            true => {
                let names = available.get_or_insert_with(|| list(&folder.dir().join("assets")));
                placed.add_matching(folder, index, asset, names, report);
            }
            false => placed.add_named(folder, index, asset, report),
        }
    }
    placed.assets
}

/// Names that mean the machine which the learner's terminal is on.
fn is_first_host(host: &str) -> bool {
    matches!(host, "host01" | "host1" | "client" | "controlplane" | "master" | "ubuntu" | "quayside")
}

#[derive(Default)]
struct Placed {
    assets: Vec<Asset>,
    bytes: u64,
}

impl Placed {
    fn add_named(&mut self, folder: &mut Folder, index: &SourceText, raw: &RawAsset, report: &mut Report) {
        let assets = folder.dir().join("assets");
        let name = raw.file.text.trim_start_matches('/');
        let found = folder.resolve(&assets, name, Reach::Scenario).or_else(|error| {
            // Some authors name the file from the scenario's folder.
            let from_folder = folder.resolve(folder.dir(), name, Reach::Scenario);
            from_folder.map_err(|_| error)
        });
        let source = match found {
            Ok(source) => source,
            Err(error) => return report.push(complaint(index, raw, &error)),
        };
        let basename = name.rsplit('/').next().unwrap_or(name);
        self.add(folder, index, raw, source, basename, report);
    }

    fn add_matching(
        &mut self,
        folder: &mut Folder,
        index: &SourceText,
        raw: &RawAsset,
        names: &[String],
        report: &mut Report,
    ) {
        let pattern = raw.file.text.trim_start_matches("./").trim_start_matches('/');
        let matching: Vec<&String> = names.iter().filter(|name| matches(pattern, name)).collect();
        if matching.is_empty() {
            let message = format!("no file in assets/ matches `{}`", raw.file.text);
            report.push(Diagnostic::warning(index.at(raw.file.at), message));
        }
        let assets = folder.dir().join("assets");
        for name in matching {
            match folder.resolve(&assets, name, Reach::Scenario) {
                Ok(source) => self.add(folder, index, raw, source, name, report),
                Err(error) => report.push(complaint(index, raw, &error)),
            }
        }
    }

    fn add(
        &mut self,
        folder: &mut Folder,
        index: &SourceText,
        raw: &RawAsset,
        source: PathBuf,
        name: &str,
        report: &mut Report,
    ) {
        let room = ASSET_BYTES_MAX.min(ASSETS_BYTES_MAX - self.bytes);
        if self.assets.len() == ASSETS_MAX {
            let message = format!("more than {ASSETS_MAX} assets: `{name}` and what follows are left out");
            return report.push(Diagnostic::warning(index.at(raw.file.at), message));
        }
        match folder.read(&source, room) {
            Ok(content) => {
                self.bytes += content.len() as u64;
                let target = format!("{}/{name}", directory(&raw.target).trim_end_matches('/'));
                self.assets.push(Asset { source, target, chmod: raw.chmod.clone() });
            }
            Err(error) => report.push(complaint(index, raw, &error)),
        }
    }
}

fn complaint(index: &SourceText, raw: &RawAsset, error: &Unreadable) -> Diagnostic {
    let message = format!("the asset `{}` {error}; it is left out", raw.file.text);
    Diagnostic::warning(index.at(raw.file.at), message).maybe_hint(error.hint())
}

/// The directory of the machine that `target` means: `~` is /root, and so is what a relative path starts at.
fn directory(target: &str) -> String {
    let target = target.trim();
    let path = match target.strip_prefix('~') {
        Some(below) => format!("/root/{below}"),
        None if target.starts_with('/') => target.to_owned(),
        None => format!("/root/{target}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

fn is_pattern(file: &str) -> bool {
    file.contains(['*', '?'])
}

/// Whether a path below `assets/` fits: `*` and `?` within a name, `**` over any number of directories.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    // Row by row, whether the first i parts of the path fit the first j of the pattern: no backtracking to blow up.
    let mut fits = vec![false; path.len() + 1];
    fits[0] = true;
    for (position, part) in pattern.iter().enumerate() {
        let is_last = position + 1 == pattern.len();
        let mut next = vec![false; path.len() + 1];
        for i in 0..=path.len() {
            next[i] = match *part {
                // As the last part it stands for the files below, so for at least one name.
                "**" if is_last => (0..i).any(|before| fits[before]),
                "**" => (0..=i).any(|before| fits[before]),
                name => i > 0 && fits[i - 1] && name_matches(name, path[i - 1]),
            };
        }
        fits = next;
    }
    fits[path.len()]
}

/// One name against a pattern of `*` and `?`.
fn name_matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for letter in pattern.chars() {
        let next = (0..=name.len()).map(|i| match letter {
            '*' => fits[..=i].contains(&true),
            '?' => i > 0 && fits[i - 1],
            letter => i > 0 && fits[i - 1] && name[i - 1] == letter,
        });
        fits = next.collect();
    }
    fits[name.len()]
}

/// The files below a directory, sorted, as paths relative to it. Links are not followed into directories.
fn list(top: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(top, "", 0, &mut names);
    names.sort();
    names
}

fn collect(dir: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        let path = format!("{prefix}{name}");
        if names.len() > ASSETS_MAX {
            return;
        } else if !kind.is_dir() {
            names.push(path);
        } else if depth < DEPTH_MAX {
            collect(&entry.path(), &format!("{path}/"), depth + 1, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_official_example_uses_them() {
        for (pattern, path, fits) in [
            ("*", "a.txt", true),
            ("*", "dir/a.txt", false),
            ("**", "a.txt", true),
            ("**", "dir/sub/a.txt", true),
            ("**/*.json", "a.json", true),
            ("**/*.json", "x/y/a.json", true),
            ("app1/*/*.json", "app1/x/a.json", true),
            ("app1/*/*.json", "app1/x/y/a.json", false),
            ("app*/**/*.*", "app2/x/y/a.conf", true),
            ("*.sh", "run.shell", false),
            ("?.md", "a.md", true),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        assert!(!name_matches(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn targets_are_directories_of_the_machine() {
        for (target, directory_there) in [
            ("~/", "/root"),
            ("~", "/root"),
            ("", "/root"),
            ("lab", "/root/lab"),
            ("/opt//x/", "/opt/x"),
            ("~/../../../etc", "/etc"),
        ] {
            assert_eq!(directory(target), directory_there, "{target}");
        }
    }
}
