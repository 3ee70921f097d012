//! What an author would want to know although the lesson plays: checks that cannot fail, files that nothing uses, and
//! scenarios that nobody sees.
//!
//! It looks, and runs nothing; `quayside lesson test` plays.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::check;
use super::diagnostic::{Place, SourceText, nearest};
use super::model::{Diagnostic, Item, Library, PageKind, Scenario, Verify};
use super::source::read_bounded;
use super::structure;

/// Files of one scenario that are looked at.
const FILES_MAX: usize = 5000;

/// Folders within its folder.
const DEPTH_MAX: usize = 8;

/// Unused files of one scenario that are named: where there are more, its author knows a folder full of them.
const UNUSED_NAMED_MAX: usize = 5;

/// A check's file, to be pointed into.
const CHECK_BYTES_MAX: u64 = 1 << 20;

/// Everything that is said about a library: what was found when it was read, and what is found here.
pub fn remarks(library: &Library, lessons: &Path) -> Vec<Diagnostic> {
    let lessons = lessons.canonicalize().unwrap_or_else(|_| lessons.to_owned());
    let mut all = Vec::new();
    for course in &library.courses {
        all.extend(course.diagnostics.iter().cloned());
        for item in &course.items {
            match item {
                Item::Broken { diagnostics, .. } => all.extend(diagnostics.iter().cloned()),
                Item::Scenario(scenario) => {
                    all.extend(scenario.diagnostics.iter().cloned());
                    all.extend(of_scenario(scenario, &lessons));
                }
            }
        }
    }
    all.extend(unlisted(library, &lessons));
    all
}

/// Scenarios that a course's list leaves out: they vanish without a word, and that is seldom meant.
fn unlisted(library: &Library, lessons: &Path) -> Vec<Diagnostic> {
    let items = library.courses.iter().flat_map(|course| &course.items);
    let listed: HashSet<PathBuf> = items.filter_map(|item| item.dir().canonicalize().ok()).collect();
    let remark = |dir: &PathBuf| {
        let place = Place::file(name_of(lessons, &dir.join("index.json")));
        Diagnostic::warning(place, "this scenario is in no list of its course, so nobody sees it")
            .hint("list it, or keep it in a folder whose name begins with `_`")
    };
    scenarios_below(lessons).iter().filter(|dir| !listed.contains(*dir)).map(remark).collect()
}

fn scenarios_below(lessons: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut to_see = vec![(lessons.to_owned(), 0)];
    while let Some((dir, depth)) = to_see.pop() {
        if structure::is_scenario(&dir) {
            found.push(dir);
        } else if depth < DEPTH_MAX && found.len() < structure::SCENARIOS_MAX {
            to_see.extend(structure::folders(&dir).into_iter().map(|dir| (dir, depth + 1)));
        }
    }
    found.sort();
    found
}

fn of_scenario(scenario: &Scenario, lessons: &Path) -> Vec<Diagnostic> {
    let checks = scenario.pages.iter().filter_map(|page| match (page.kind, &page.verify) {
        (PageKind::Step(step), Some(verify)) => always_passes(scenario, lessons, step, verify),
        _ => None,
    });
    checks.chain(unused(scenario, lessons)).collect()
}

/// A check of which no command can fail.
fn always_passes(scenario: &Scenario, lessons: &Path, step: u32, verify: &Verify) -> Option<Diagnostic> {
    let script = String::from_utf8_lossy(&verify.script.bytes);
    if !check::cannot_fail(&script) {
        return None;
    }
    let path = scenario.dir.join(&verify.script.path);
    let message = format!("the check of step {step} passes whatever the learner does");
    let place = match read_bounded(&path, CHECK_BYTES_MAX) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let last = text.lines().count().max(1) as u32;
            SourceText { file: name_of(lessons, &path), text }.character(last, 1)
        }
        Err(_) => Place::file(name_of(lessons, &path)),
    };
    Some(Diagnostic::warning(place, message).hint("test something, and end with `exit 1` where it is not so"))
}

/// Texts, scripts and pictures of the folder that nothing refers to.
fn unused(scenario: &Scenario, lessons: &Path) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    list(&scenario.dir, 0, &mut found);
    let root = &scenario.root;
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let used = |path: &Path| scenario.files.contains(&relative(path));
    let unused: Vec<&PathBuf> = found.iter().filter(|path| is_for_a_page(path) && !used(path)).collect();
    let (named, more) = unused.split_at(unused.len().min(UNUSED_NAMED_MAX));
    let remark = |path: &&PathBuf| {
        let name = path.file_name()?.to_str()?;
        let missing: Vec<&str> = scenario
            .diagnostics
            .iter()
            .filter_map(|diagnostic| diagnostic.message.strip_prefix('`')?.split('`').next()?.rsplit('/').next())
            .collect();
        let meant = nearest(name, missing).map(|missing| format!("`{missing}` is missing: is it this one?"));
        Some(Diagnostic::warning(Place::file(name_of(lessons, path)), "nothing uses this file").maybe_hint(meant))
    };
    let more = (!more.is_empty()).then(|| {
        let words = format!("nothing uses {} more files of this scenario", more.len());
        Diagnostic::warning(Place::file(name_of(lessons, &scenario.dir)), words)
    });
    named.iter().filter_map(remark).chain(more).collect()
}

fn is_for_a_page(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    let about = ["README", "LICENSE", "CHANGELOG", "CONTRIBUTING"]
        .iter()
        .any(|start| name.to_ascii_uppercase().starts_with(start));
    !about && ["md", "sh", "png", "jpg", "jpeg", "gif", "svg", "webp"].contains(&extension.as_str())
}

/// Files beneath a scenario's folder; other scenarios within it speak for themselves.
fn list(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || found.len() == FILES_MAX {
            continue;
        }
        match path.is_dir() {
            true if depth < DEPTH_MAX && !path.join("index.json").is_file() => list(&path, depth + 1, found),
            true => {}
            false => found.push(path),
        }
    }
}

/// As the other messages name it: relative to the lessons' folder; of a lone scenario, to the folder that it lies in.
fn name_of(lessons: &Path, path: &Path) -> String {
    let base = if lessons.join("index.json").is_file() { lessons.parent().unwrap_or(lessons) } else { lessons };
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::load_library;

    fn said(files: &[(&str, &str)]) -> Vec<String> {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("one");
        for (name, text) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("written");
        }
        let library = load_library(&dir);
        remarks(&library, &dir).iter().map(ToString::to_string).collect()
    }

    const INDEX: &str =
        r#"{"details": {"steps": [{"text": "a.md", "verify": "v.sh"}]}, "backend": {"imageid": "ubuntu"}}"#;

    #[test]
    fn a_check_that_cannot_fail_is_named_at_its_last_line() {
        let passes = |script: &str| said(&[("index.json", INDEX), ("a.md", "x"), ("v.sh", script)]);
        assert_eq!(
            passes("#!/bin/bash\necho done\n"),
            [
                "one/v.sh:2:1: warning: the check of step 1 passes whatever the learner does (test something, and end with `exit 1` where it is not so)"
            ]
        );
        assert_eq!(passes("exit 0\n").len(), 1);
        for script in ["test -f x", "[[ -f x ]]", "grep -q a b", "if [ -f x ]; then echo done; fi", "false"] {
            assert_eq!(passes(script), [""; 0], "{script}");
        }
    }

    #[test]
    fn a_folder_full_of_unused_files_is_said_in_a_few_lines() {
        let names: Vec<String> = (0..30).map(|number| format!("old/{number}.md")).collect();
        let files: Vec<(&str, &str)> = [("index.json", INDEX), ("a.md", "x"), ("v.sh", "test -f x")]
            .into_iter()
            .chain(names.iter().map(|name| (name.as_str(), "x")))
            .collect();
        let said = said(&files);
        assert_eq!(said.len(), UNUSED_NAMED_MAX + 1);
        assert_eq!(said.last().expect("a line"), "one: warning: nothing uses 25 more files of this scenario");
    }

    #[test]
    fn a_scenario_that_its_course_does_not_list_is_named() {
        let home = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("written");
        };
        write("structure.json", r#"{"items": [{"path": "one"}]}"#);
        for dir in ["one", "two", "group/three", "_drafts/four"] {
            write(&format!("{dir}/index.json"), r#"{"title": "T", "backend": {"imageid": "ubuntu"}}"#);
        }
        let library = load_library(home.path());
        let said: Vec<String> = remarks(&library, home.path()).iter().map(|remark| remark.file.clone()).collect();
        assert_eq!(said, ["group/three/index.json", "two/index.json"]);
    }

    #[test]
    fn a_file_that_nothing_uses_is_named_and_perhaps_meant() {
        let said =
            said(&[("index.json", INDEX), ("a.md", "x"), ("V.sh", "test -f x"), ("README.md", "x"), ("data.txt", "x")]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("`v.sh` does not exist"), "{said:?}");
        assert!(said[1].starts_with("one/V.sh: warning: nothing uses this file"), "{said:?}");
    }
}
