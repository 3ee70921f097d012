//! An image of Debian packages, made without Debian's tools: fetch, unpack, fix up, enter into dpkg's database.
//!
//! ```text
//! lock ──▶ fetch every pin ──▶ unpack into one tree ──▶ fix-ups ──▶ dpkg's database ──▶ times
//!             │ a pin is gone from the pool
//!             └──▶ index ──▶ resolve anew ──▶ fetch what is new
//! ```
//!
//! [`lock`] is the recipe, [`sources`] finds a mirror, [`resolve`] and [`fixups`] decide, the rest does. No script of a
//! package is ever run.

mod deb822;
mod version;
mod lock;
mod sources;
mod index;
mod resolve;
mod fetch;
mod release;
mod archive;
mod fixups;
mod apply;
mod database;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use fetch::FetchError;
pub use fixups::{FIX_UPS, FixUp};
pub use lock::{LEARNER_LOCK, LEARNER_SEEDS, Lock, LockError, Pin};
pub use release::{IndexError, Trust};
pub use resolve::ResolveError;
pub use sources::{Mirrors, SourcesError, mirrors};

use self::apply::Directories;
use self::archive::Part;
use self::database::Installed;
use self::fetch::{Expected, Fetcher};
use self::resolve::Prefer;
use super::archive::limits::Limits;
use super::beneath::{Meta, Name, Root};
use super::hex;
use super::progress::{Meter, in_parallel};
use super::unpack::{self, UnpackError};

/// A mirror serves a client's few connections gladly; more do not make a download faster.
const FETCH_THREADS: usize = 4;

/// Unpacking is bound by the processor, and each thread needs the dictionary of its decompressor (8 MB).
const UNPACK_THREADS_MAX: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    #[error(
        "the image `learner` is made of packages for {pinned}, and this machine is {host}; only images for {host} run here"
    )]
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

/// What an image is made of.
pub struct Recipe<'a> {
    pub lock: &'a Lock,
    /// For when a pin is gone.
    pub seeds: &'a [&'a str],
    pub fix_ups: &'a [FixUp],
}

/// Where it is made, and from where.
pub struct Site<'a> {
    pub mirrors: &'a Mirrors,
    /// Wins over the proxy of apt.
    pub proxy: Option<&'a str>,
    pub trust: Trust,
    /// Packages by their sums; kept, so that a second preparation needs no network.
    pub cache: &'a Path,
    /// A folder of this preparation alone, on the same file system as the cache.
    pub work: &'a Path,
}

/// The seeds of the learner image in one list.
pub fn learner_seeds() -> Vec<&'static str> {
    LEARNER_SEEDS.iter().flat_map(|(_, seeds)| seeds.split_whitespace()).collect()
}

/// The packages of the learner image by name.
pub fn learner_packages() -> impl Iterator<Item = &'static str> {
    let lines = LEARNER_LOCK.lines().filter(|line| !line.starts_with('#'));
    // A pin has its path and sum; `format` and `architecture` are shorter.
    lines.filter(|line| line.contains(" pool/")).filter_map(|line| line.split(' ').next())
}

/// Makes the image in `root`, which is empty. Gives notices for the operator.
pub fn build(recipe: &Recipe, site: &Site, root: &Root, meter: &Meter) -> Result<Vec<String>, DebianError> {
    let host = host_architecture();
    if recipe.lock.architecture != host {
        return Err(DebianError::Architecture { pinned: recipe.lock.architecture.clone(), host });
    }
    let workshop = Workshop { site, fetcher: site.fetcher()?, meter };
    let mut notices = Vec::new();
    meter.set_total(2 * recipe.lock.bytes());
    meter.doing("fetching packages");
    let pins = workshop.fetch_all(recipe, &mut notices)?;
    meter.doing("unpacking packages");
    let (installed, mut directories) = workshop.unpack_all(&pins, root)?;
    meter.doing("setting up the system");
    apply::apply(root, recipe.fix_ups, &mut directories)?;
    database::write(root, &installed).map_err(|source| DebianError::Write { what: "dpkg's database", source })?;
    apply::dress_directories(root, &directories)
        .map_err(|source| DebianError::Write { what: "owners of folders", source })?;
    Ok(notices)
}

/// Makes the learner's lock anew from the mirror's index: the newest version of everything. Gives the lock's text.
pub fn relock(site: &Site) -> Result<(String, Vec<String>), DebianError> {
    let architecture = host_architecture();
    let fetched = release::fetch(&site.fetcher()?, site.mirrors, architecture, &site.trust, site.work)?;
    let pins = resolve::resolve(&fetched.index, &learner_seeds(), Prefer::Newest)?;
    Ok((Lock { architecture: architecture.to_owned(), pins }.to_string(), fetched.notices))
}

impl Site<'_> {
    fn fetcher(&self) -> Result<Fetcher, FetchError> {
        Fetcher::new(self.proxy.or(self.mirrors.proxy.as_deref()))
    }
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

struct Workshop<'a> {
    site: &'a Site<'a>,
    fetcher: Fetcher,
    meter: &'a Meter,
}

impl Workshop<'_> {
    /// All packages into the cache; the pins that were used in the end.
    fn fetch_all(&self, recipe: &Recipe, notices: &mut Vec<String>) -> Result<Vec<Pin>, DebianError> {
        let gone = self.fetch(&recipe.lock.pins)?;
        if gone.is_empty() {
            return Ok(recipe.lock.pins.clone());
        }
        self.meter.doing(format!("looking for newer versions of {}", names(&gone)));
        let pins = self.resolve_anew(recipe, notices)?;
        for notice in changes(&recipe.lock.pins, &pins) {
            self.meter.doing(notice.clone());
            notices.push(notice);
        }
        let missing: u64 = pins.iter().filter(|pin| !self.path_of(pin).exists()).map(|pin| pin.size).sum();
        let present: u64 = pins.iter().map(|pin| pin.size).sum::<u64>() - missing;
        self.meter.set_total(self.meter.done() + present + missing + pins.iter().map(|pin| pin.size).sum::<u64>());
        let still_gone = self.fetch(&pins)?;
        if !still_gone.is_empty() {
            return Err(DebianError::Gone { packages: names(&still_gone) });
        }
        Ok(pins)
    }

    /// Fetches what is not cached; gives the pins that no mirror has.
    fn fetch(&self, pins: &[Pin]) -> Result<Vec<Pin>, DebianError> {
        let gone = in_parallel(FETCH_THREADS, pins, |pin| match self.fetch_one(pin) {
            Err(FetchError::Gone { .. }) => Ok(Some(pin.clone())),
            result => result.map(|()| None),
        })?;
        Ok(gone.into_iter().flatten().collect())
    }

    fn fetch_one(&self, pin: &Pin) -> Result<(), FetchError> {
        let cached = self.path_of(pin);
        if is_intact(&cached, pin) {
            self.meter.add(pin.size);
            return Ok(());
        }
        let part = self.site.work.join(format!("{}.part", pin.sha256));
        let expected = Expected { size: pin.size, sha256: pin.sha256.clone() };
        // A security update moves into main with the next point release, so main is asked for it too.
        let bases = self.site.mirrors.of(pin.archive).iter().chain(&self.site.mirrors.main);
        self.ask_each(bases.map(|base| format!("{base}/{}", escaped(&pin.path))), &part, &expected)?;
        fs::rename(&part, &cached).map_err(|source| FetchError::Write { path: cached.display().to_string(), source })
    }

    /// Asks one mirror after another. Gone is what every one of them says is gone: a mirror that does not answer may well
    /// have it, and an older version must not come in its place.
    fn ask_each(&self, urls: impl Iterator<Item = String>, to: &Path, expected: &Expected) -> Result<(), FetchError> {
        let (mut gone, mut failed) = (None, None);
        for url in urls {
            match self.fetcher.known(&url, to, expected, &|bytes| self.meter.add(bytes)) {
                Ok(()) => return Ok(()),
                Err(error @ FetchError::Gone { .. }) => gone = Some(error),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.or(gone).unwrap_or(FetchError::Gone { url: to.display().to_string() }))
    }

    fn resolve_anew(&self, recipe: &Recipe, notices: &mut Vec<String>) -> Result<Vec<Pin>, DebianError> {
        let Site { mirrors, trust, work, .. } = self.site;
        let fetched = release::fetch(&self.fetcher, mirrors, &recipe.lock.architecture, trust, work)?;
        notices.extend(fetched.notices);
        // Pins that remain may be too old for what replaces the others; then everything is taken new.
        match resolve::resolve(&fetched.index, recipe.seeds, Prefer::Pinned(recipe.lock)) {
            Ok(pins) => Ok(pins),
            Err(_) => Ok(resolve::resolve(&fetched.index, recipe.seeds, Prefer::Newest)?),
        }
    }

    fn unpack_all(&self, pins: &[Pin], root: &Root) -> Result<(Vec<Installed>, Directories), DebianError> {
        apply::merged_layout(root).map_err(|source| DebianError::Write { what: "the layout's links", source })?;
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(UNPACK_THREADS_MAX);
        let packages = in_parallel(threads, pins, |pin| {
            let result = self.unpack_one(pin, root);
            self.meter.add(pin.size);
            result
        })?;
        // Several packages hold the same folder; the first by name says what it is, on every host the same.
        let (mut installed, mut directories) = (Vec::new(), Directories::new());
        for (package, folders) in packages {
            installed.push(package);
            for (name, meta) in folders {
                directories.entry(name).or_insert(meta);
            }
        }
        Ok((installed, directories))
    }

    fn unpack_one(&self, pin: &Pin, root: &Root) -> Result<(Installed, Vec<(Name, Meta)>), DebianError> {
        let open = |part| {
            File::open(self.path_of(pin))
                .and_then(|file| archive::open(file, part))
                .map_err(|source| DebianError::Open { package: pin.package.clone(), source })
        };
        let failed = |source| DebianError::Unpack { package: pin.package.clone(), source };
        let control = unpack::read_small(open(Part::Control)?, Limits::CONTROL).map_err(failed)?;
        let data = unpack::unpack(open(Part::Data)?, root, Limits::PACKAGE, &fixups::place).map_err(failed)?;
        Ok((installed(control, data.names), data.directories))
    }

    fn path_of(&self, pin: &Pin) -> PathBuf {
        self.site.cache.join(format!("{}.deb", pin.sha256))
    }
}

fn installed(files: Vec<(Name, Vec<u8>)>, names: Vec<Name>) -> Installed {
    let mut package = Installed { control: String::new(), info: Vec::new(), names };
    for (name, bytes) in files {
        match name.as_path().to_str() {
            Some("control") => package.control = String::from_utf8_lossy(&bytes).into_owned(),
            Some(name) => package.info.push((name.to_owned(), bytes)),
            None => {}
        }
    }
    package
}

/// Letters of versions that have another meaning in an address.
fn escaped(path: &str) -> String {
    path.replace(':', "%3a").replace('~', "%7e").replace('+', "%2b")
}

/// A cached file is looked at again: the power may have failed while it was written.
fn is_intact(path: &Path, pin: &Pin) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    if file.metadata().map_or(0, |meta| meta.len()) != pin.size {
        return false;
    }
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).is_ok() && hex::of(&hash.finalize()) == pin.sha256
}

fn names(pins: &[Pin]) -> String {
    /// More names than this say nothing more.
    const SHOWN: usize = 5;
    let mut text = pins.iter().take(SHOWN).map(|pin| pin.package.as_str()).collect::<Vec<_>>().join(", ");
    if pins.len() > SHOWN {
        text += &format!(" and {} more", pins.len() - SHOWN);
    }
    text
}

/// What a new resolution changed, in words.
fn changes(old: &[Pin], new: &[Pin]) -> Vec<String> {
    let find =
        |pins: &[Pin], package: &str| pins.iter().find(|pin| pin.package == package).map(|pin| pin.version.clone());
    let mut notices = Vec::new();
    for pin in new {
        match find(old, &pin.package) {
            Some(version) if version != pin.version => {
                notices.push(format!("{} {version} is gone from the mirror; taking {}", pin.package, pin.version));
            }
            Some(_) => {}
            None => notices.push(format!("{} {} is needed in addition", pin.package, pin.version)),
        }
    }
    notices
}

#[cfg(test)]
mod tests;
