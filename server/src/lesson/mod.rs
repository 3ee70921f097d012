//! Scenarios in Killercoda's format, and Katacoda's: from files to plain data.
//!
//! [`load_library`] reads a folder of courses into a [`Library`]; nothing here starts, runs or stores anything, and nothing
//! here knows who asks. The format and what public scenarios make of it is told module by module:
//! `json` and `index` read `index.json`, `structure` finds courses, `markdown` and `actions` read the texts, `assets`,
//! `check`, `environment` and `needs` say what a scenario wants of its machine, and `scenario` puts one together.
//!
//! A lesson is data from a stranger. No file of it is opened outside its own folder, everything read has a limit, its
//! HTML passes an allow-list, and what is wrong with one lesson is said about that lesson and stops no other.

pub mod model;
pub mod diagnostic;
pub mod source;
pub mod json;
pub mod index;
mod keys;
mod greeting;
pub mod environment;
mod shell;
pub mod check;
pub mod needs;
pub mod actions;
pub mod placeholders;
pub mod quiz;
pub mod markdown;
pub mod image;
pub mod assets;
pub mod scenario;
mod katacoda;
pub mod structure;
pub mod lint;
pub mod progress;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use model::{Course, Library};

/// Reads every course beneath `root`: a folder of courses, one repository, or a single scenario.
pub fn load_library(root: &Path) -> Library {
    load_library_with(root, &[])
}

/// The same, where `machines` of the operator's own catalogue can be asked for by their names.
pub fn load_library_with(root: &Path, machines: &[String]) -> Library {
    let read_at = Some(SystemTime::now());
    let outlines = structure::discover(root);
    let courses = outlines.into_iter().map(|outline| Course {
        slug: outline.slug,
        title: outline.title,
        description: outline.description,
        items: outline.spots.iter().map(|spot| scenario::load(spot, machines)).collect(),
        diagnostics: outline.diagnostics,
    });
    Library { courses: courses.collect(), faults: Vec::new(), read_at, machines: machines.to_vec() }
}

/// Entries of one scenario's folder that are asked for their age.
const AGES_MAX: usize = 2000;

/// Whether anything beneath `dir` was changed after `since`.
pub fn has_changed(dir: &Path, since: SystemTime) -> bool {
    let mut folders = vec![dir.to_owned()];
    let mut looked_at = 0;
    let is_newer = |path: &Path| path.metadata().and_then(|it| it.modified()).is_ok_and(|modified| modified > since);
    while let Some(folder) = folders.pop() {
        // A folder is as old as its last new, renamed or deleted entry.
        if is_newer(&folder) {
            return true;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked_at += 1;
            let path = entry.path();
            if looked_at > AGES_MAX || is_newer(&path) {
                return looked_at <= AGES_MAX;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
