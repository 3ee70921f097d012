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
pub mod environment;
mod shell;
pub mod check;
pub mod needs;
pub mod actions;
pub mod markdown;
pub mod image;
pub mod assets;
pub mod scenario;
pub mod structure;
pub mod progress;

use std::path::Path;

use model::{Course, Item, Library};
use scenario::Spot;

/// Reads every course beneath `root`: a folder of courses, one repository, or a single scenario.
pub fn load_library(root: &Path) -> Library {
    let outlines = structure::discover(root);
    let courses = outlines.into_iter().map(|outline| Course {
        slug: outline.slug,
        title: outline.title,
        description: outline.description,
        items: outline.spots.iter().map(scenario::load).collect(),
        diagnostics: outline.diagnostics,
    });
    Library { courses: courses.collect() }
}

/// Reads one scenario again, wherever its course put it.
pub fn load_scenario(spot: &Spot) -> Item {
    scenario::load(spot)
}

#[cfg(test)]
mod tests;
