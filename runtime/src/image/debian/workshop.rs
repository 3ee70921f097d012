//! Packages into the cache: those that are pinned, or where one is gone what takes its place.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::archive::{self, Part};
use super::fetch::{Expected, FetchError, Fetcher};
use super::lock::Pin;
use super::release::{self, Trust};
use super::resolve::{self, Prefer, Wanted};
use super::sources::Mirrors;
use super::{DebianError, Recipe, host_architecture};
use crate::image::archive::limits::Limits;
use crate::image::beneath::{Name, Root};
use crate::image::hex;
use crate::image::progress::{Meter, in_parallel};
use crate::image::unpack::{self, Place, Unpacked};

/// A mirror serves a client's few connections gladly; more do not make a download faster.
const FETCH_THREADS: usize = 4;

/// Where packages come from, and where they go.
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

impl Site<'_> {
    pub fn fetcher(&self) -> Result<Fetcher, FetchError> {
        Fetcher::new(self.proxy.or(self.mirrors.proxy.as_deref()))
    }
}

/// One preparation at a site.
pub struct Workshop<'a> {
    site: &'a Site<'a>,
    fetcher: Fetcher,
    pub meter: &'a Meter,
}

impl<'a> Workshop<'a> {
    pub fn open(site: &'a Site<'a>, meter: &'a Meter) -> Result<Self, FetchError> {
        Ok(Self { site, fetcher: site.fetcher()?, meter })
    }

    /// A folder of this preparation alone.
    pub fn work(&self) -> &Path {
        self.site.work
    }

    /// All packages into the cache; the pins that were used in the end. Counts each byte once.
    pub fn fetch_all(&self, recipe: &Recipe, notices: &mut Vec<String>) -> Result<Vec<Pin>, DebianError> {
        let host = host_architecture();
        if recipe.lock.architecture != host {
            return Err(DebianError::Architecture { pinned: recipe.lock.architecture.clone(), host });
        }
        self.meter.doing("fetching packages");
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
        // Fetched and unpacked once more, but for what is counted already.
        self.meter.expect(2 * pins.iter().map(|pin| pin.size).sum::<u64>());
        let still_gone = self.fetch(&pins)?;
        if !still_gone.is_empty() {
            return Err(DebianError::Gone { packages: names(&still_gone) });
        }
        Ok(pins)
    }

    /// Fetches what is not cached; gives the pins that no mirror has.
    pub fn fetch(&self, pins: &[Pin]) -> Result<Vec<Pin>, DebianError> {
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
        let fetched = release::fetch(&self.fetcher, mirrors, recipe.suites, &recipe.lock.architecture, trust, work)?;
        notices.extend(fetched.notices);
        let wanted = |prefer| Wanted { seeds: &recipe.seeds, reach: recipe.reach, given: &recipe.given, prefer };
        // Pins that remain may be too old for what replaces the others; then everything is taken new.
        match resolve::resolve(&fetched.index, &wanted(Prefer::Pinned(&recipe.lock))) {
            Ok(pins) => Ok(pins),
            Err(_) => Ok(resolve::resolve(&fetched.index, &wanted(Prefer::Newest))?),
        }
    }

    /// The files of a cached package beneath `root`, where `place` says. Folders are dressed by the caller.
    pub fn unpack(&self, pin: &Pin, root: &Root, place: &dyn Fn(&Name) -> Place) -> Result<Unpacked, DebianError> {
        let unpacked = unpack::unpack(self.part(pin, Part::Data)?, root, Limits::PACKAGE, place);
        unpacked.map_err(|source| DebianError::Unpack { package: pin.package.clone(), source })
    }

    /// The control part of a cached package: `control`, `md5sums`, `postinst`, …
    pub fn control(&self, pin: &Pin) -> Result<Vec<(Name, Vec<u8>)>, DebianError> {
        let files = unpack::read_small(self.part(pin, Part::Control)?, Limits::CONTROL);
        files.map_err(|source| DebianError::Unpack { package: pin.package.clone(), source })
    }

    fn part(&self, pin: &Pin, part: Part) -> Result<Box<dyn Read>, DebianError> {
        File::open(self.path_of(pin))
            .and_then(|file| archive::open(file, part))
            .map_err(|source| DebianError::Open { package: pin.package.clone(), source })
    }

    fn path_of(&self, pin: &Pin) -> PathBuf {
        self.site.cache.join(format!("{}.deb", pin.sha256))
    }
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
