//! Files from Debian packages, without Debian's tools: fetch, unpack, and for a system fix up and enter into dpkg's
//! database.
//!
//! ```text
//! lock ──▶ fetch every pin ──▶ unpack into one tree ──▶ fix-ups ──▶ dpkg's database ──▶ times
//!             │ a pin is gone from the pool
//!             └──▶ index ──▶ resolve anew ──▶ fetch what is new
//! ```
//!
//! [`sets`] names what is wanted and [`lock`] pins it, [`sources`] finds a mirror, [`resolve`] and [`fixups`] decide, the
//! rest does. A [`system`] may lie upon another as a layer of its own. No script of a package is ever run.

mod deb822;
mod version;
mod lock;
pub mod sets;
mod sources;
mod index;
mod resolve;
mod fetch;
mod release;
mod archive;
mod workshop;
mod fixups;
mod tree;
mod apply;
mod database;
mod system;
mod take;

use std::io;

pub use apply::dress_directories;
pub use fetch::{FetchError, Fetcher};
pub use fixups::{Act, FixUp, LEARNER, ROOT, SYSTEM, TIME, simple};
pub use lock::{Lock, LockError, Pin};
pub use release::{IndexError, Trust};
pub use resolve::ResolveError;
pub use sets::{PackageSet, Reach, Suite};
pub use sources::{Mirrors, SourcesError, mirrors};
pub use system::build;
pub use take::take;
pub use tree::Tree;
pub use workshop::{Site, Workshop};

use self::resolve::Prefer;
use super::unpack::UnpackError;

#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    #[error("the packages are those for {pinned}, and this machine is {host}; only images for {host} run here")]
    Architecture { pinned: String, host: &'static str },
    #[error(transparent)]
    Sources(#[from] SourcesError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("the mirror lists {packages} in its index and does not have the files; use another mirror, or try later")]
    Gone { packages: String },
    #[error("cannot open the package {package}")]
    Open { package: String, source: io::Error },
    #[error("cannot unpack the package {package}")]
    Unpack { package: String, source: UnpackError },
    #[error(transparent)]
    FixUp(#[from] apply::FixError),
    #[error("cannot write {what} into the image")]
    Write { what: &'static str, source: io::Error },
}

/// Which packages, pinned, and how to find others when a pin is gone.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    pub lock: Lock,
    pub suites: &'static [Suite],
    pub reach: Reach,
    pub seeds: Vec<&'a str>,
    /// What is installed already below, and not to be taken again.
    pub given: Vec<Pin>,
}

impl Recipe<'static> {
    pub fn of(set: &PackageSet) -> Result<Self, LockError> {
        Ok(Self { lock: set.lock()?, suites: set.suites, reach: set.reach, seeds: set.seeds(), given: set.given()? })
    }
}

/// The packages of the learner image by name.
pub fn learner_packages() -> impl Iterator<Item = &'static str> {
    let lines = sets::LEARNER.lock.lines().filter(|line| !line.starts_with('#'));
    // A pin has its path and sum; `format` and `architecture` are shorter.
    lines.filter(|line| line.contains(" pool/")).filter_map(|line| line.split(' ').next())
}

/// Makes the lock of a set anew from the mirror's index: the newest version of everything. Gives the lock's text.
pub fn relock(set: &PackageSet, site: &Site) -> Result<(String, Vec<String>), DebianError> {
    let (recipe, notices) = newest_of(set.suites, set.reach, set.seeds(), set.given()?, site)?;
    Ok((recipe.lock.to_text(set.title), notices))
}

/// What the mirror has now of some packages and of all that they need, upon a system of Debian 12: nothing is pinned.
pub fn newest<'a>(seeds: Vec<&'a str>, given: Vec<Pin>, site: &Site) -> Result<(Recipe<'a>, Vec<String>), DebianError> {
    newest_of(sets::BOOKWORM, Reach::Closure, seeds, given, site)
}

fn newest_of<'a>(
    suites: &'static [Suite],
    reach: Reach,
    seeds: Vec<&'a str>,
    given: Vec<Pin>,
    site: &Site,
) -> Result<(Recipe<'a>, Vec<String>), DebianError> {
    let architecture = host_architecture();
    let fetched = release::fetch(&site.fetcher()?, site.mirrors, suites, architecture, &site.trust, site.work)?;
    let wanted = resolve::Wanted { seeds: &seeds, reach, given: &given, prefer: Prefer::Newest };
    let pins = resolve::resolve(&fetched.index, &wanted)?;
    let lock = Lock { architecture: architecture.to_owned(), pins };
    Ok((Recipe { lock, suites, reach, seeds, given }, fetched.notices))
}

/// Debian's name for the machine we run on.
fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

#[cfg(test)]
mod tests;
