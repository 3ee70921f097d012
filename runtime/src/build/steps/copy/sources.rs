//! Which files a source means.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::super::error::{Hint, Place, StepError};
use super::super::material::Tree;
use crate::build::pattern;
use crate::image::archive::limits::DEPTH_MAX;
use crate::image::beneath::{Folder, Name};

/// How many names are proposed for one that is not there.
const NEAR_MAX: usize = 3;

/// Something that a source means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is in its tree, links followed.
    pub name: Name,
    /// What it is called as it was found: a link's own name.
    pub last: OsString,
    pub is_folder: bool,
    /// Where it goes below the target, with `--parents`.
    pub below: Name,
}

/// A source taken apart.
struct Pattern {
    /// Without patterns, backslashes taken away.
    fixed: Vec<String>,
    /// From the first pattern on.
    rest: Vec<String>,
}

/// What `given` means in a tree, sorted. A pattern that nothing fits gives nothing; a plain path that is not there is an
/// error, as in BuildKit.
pub fn find(tree: &Tree, given: &str) -> Result<Vec<Found>, StepError> {
    let Pattern { fixed, rest } = Pattern::parse(given)?;
    let Some(name) = follow(tree, given, &fixed)? else { return Err(missing(tree, given, &fixed)) };
    let is_folder = is_folder(tree, &name).map_err(|source| read(tree, given, source))?;
    if rest.is_empty() {
        if !tree.holds(&name, is_folder) {
            return Err(missing(tree, given, &fixed));
        }
        let last = fixed.last().map(OsString::from).unwrap_or_default();
        return Ok(vec![Found { name, last, is_folder, below: Name::root() }]);
    }
    let mut search = Search { tree, given, deep: false, found: Vec::new() };
    search.below(&name, &Name::root(), &rest)?;
    Ok(search.found)
}

/// The same with `--parents`: folders from `/./` on are kept, or all of them, and `**` is any number of folders.
pub fn find_with_parents(tree: &Tree, given: &str) -> Result<Vec<Found>, StepError> {
    let (base, pattern) = given.split_once("/./").unwrap_or(("", given));
    let base = Pattern::parse(base)?;
    if !base.rest.is_empty() {
        let why = format!("{given:?} has a pattern before /./; there only a plain folder is understood");
        return Err(StepError::Refused(why));
    }
    let Pattern { fixed, rest } = Pattern::parse(pattern)?;
    let all: Vec<String> = [&base.fixed[..], &fixed].concat();
    let Some(start) = follow(tree, given, &base.fixed)? else { return Err(missing(tree, given, &all)) };
    if rest.is_empty() && follow(tree, given, &all)?.is_none() {
        return Err(missing(tree, given, &all));
    }
    let parts: Vec<String> = fixed.iter().map(|part| escaped(part)).chain(rest.iter().cloned()).collect();
    let mut search = Search { tree, given, deep: true, found: Vec::new() };
    match parts.is_empty() {
        true => search.found.push(Found { name: start, last: OsString::new(), is_folder: true, below: Name::root() }),
        false => search.below(&start, &Name::root(), &parts)?,
    }
    if search.found.is_empty() && rest.is_empty() {
        return Err(missing(tree, given, &all));
    }
    Ok(search.found)
}

impl Pattern {
    /// The tree's root is where `/` and `..` lead.
    fn parse(given: &str) -> Result<Self, StepError> {
        let mut parts: Vec<&str> = Vec::new();
        for part in given.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let first = parts.iter().position(|part| pattern::has_wildcards(part)).unwrap_or(parts.len());
        for part in &parts {
            pattern::Pattern::glob(part).map_err(|source| StepError::Pattern { path: given.to_owned(), source })?;
        }
        let (fixed, rest) = parts.split_at(first);
        Ok(Self {
            fixed: fixed.iter().map(|part| plain(part)).collect(),
            rest: rest.iter().map(ToString::to_string).collect(),
        })
    }
}

/// A part without its backslashes.
fn plain(part: &str) -> String {
    let mut chars = part.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// A part that matches itself only.
fn escaped(part: &str) -> String {
    part.chars().flat_map(|c| ['\\', c]).collect()
}

struct Search<'a> {
    tree: &'a Tree<'a>,
    given: &'a str,
    /// `**` is understood.
    deep: bool,
    found: Vec<Found>,
}

impl Search<'_> {
    fn below(&mut self, folder: &Name, way: &Name, parts: &[String]) -> Result<(), StepError> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        if folder.depth() >= DEPTH_MAX {
            return Err(StepError::Depth { path: folder.to_string(), max: DEPTH_MAX });
        }
        let any_depth = self.deep && part == "**";
        if any_depth && !rest.is_empty() {
            self.below(folder, way, rest)?;
        }
        let own = pattern::Pattern::glob(part).ok();
        let Ok(open) = open_folder(self.tree, folder) else { return Ok(()) };
        for last in open.list().map_err(|source| read(self.tree, self.given, source))? {
            let Some(text) = last.to_str() else { continue };
            let (name, below) = (folder.join(&last), way.join(&last));
            let stat = open.find(&last).map_err(|source| read(self.tree, self.given, source))?;
            let is_real_folder = stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if any_depth && !rest.is_empty() {
                // A folder is kept as often as it matches; what follows decides.
                if is_real_folder {
                    self.below(&name, &below, parts)?;
                }
                continue;
            }
            if !any_depth && !own.as_ref().is_some_and(|own| own.matches(text)) {
                continue;
            }
            match rest.is_empty() {
                true => self.take(&name, &last, below)?,
                false if is_real_folder => self.below(&name, &below, rest)?,
                false => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &Name, last: &OsStr, below: Name) -> Result<(), StepError> {
        // With `--parents` a link is copied as one.
        let followed = match self.deep {
            true => Some(name.clone()),
            false => resolve(self.tree, name.as_path()).map_err(|source| read(self.tree, self.given, source))?,
        };
        let Some(name) = followed else { return Ok(()) };
        let is_folder = is_folder(self.tree, &name).map_err(|source| read(self.tree, self.given, source))?;
        let known = self.deep && self.found.iter().any(|found| found.below == below);
        if !known && self.tree.holds(&name, is_folder) {
            self.found.push(Found { name, last: last.to_owned(), is_folder, below });
        }
        Ok(())
    }
}

/// Opens a folder of a tree whose name has no links in it.
pub fn open_folder(tree: &Tree, name: &Name) -> io::Result<Folder> {
    tree.merged.root.find_directory(name.as_path()).map(Folder::new)
}

fn follow(tree: &Tree, given: &str, parts: &[String]) -> Result<Option<Name>, StepError> {
    resolve(tree, &parts.iter().collect::<PathBuf>()).map_err(|source| read(tree, given, source))
}

/// Where a path leads, all links followed inside; none if there is nothing.
fn resolve(tree: &Tree, path: &Path) -> io::Result<Option<Name>> {
    let resolved = match tree.merged.root.resolve(path) {
        // A file on the way is nothing too.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        resolved => resolved?,
    };
    let name = Name::parse(resolved.path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    Ok((resolved.missing == 0).then_some(name))
}

fn is_folder(tree: &Tree, name: &Name) -> io::Result<bool> {
    let Some(last) = name.last() else { return Ok(true) };
    let stat = open_folder(tree, &name.parent().unwrap_or_else(Name::root))?.find(last)?;
    Ok(stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
}

fn read(tree: &Tree, given: &str, source: io::Error) -> StepError {
    StepError::Read { path: given.to_owned(), place: Place(tree.origin.clone()), source }
}

fn missing(tree: &Tree, given: &str, parts: &[String]) -> StepError {
    let name = parts.iter().fold(Name::root(), |name, part| name.join(OsStr::new(part)));
    let ignored_by = tree.ignored_by(&name);
    let link_to = link_to(tree, &name);
    let near = if ignored_by.is_some() || link_to.is_some() { Vec::new() } else { near(tree, &name) };
    let hint = Hint { ignored_by, link_to, near };
    StepError::Missing { path: given.to_owned(), place: Place(tree.origin.clone()), hint }
}

/// What a name says that is a link itself.
fn link_to(tree: &Tree, name: &Name) -> Option<String> {
    let folder = resolve(tree, name.parent()?.as_path()).ok().flatten()?;
    let target = open_folder(tree, &folder).ok()?.read_link(name.last()?).ok()?;
    Some(String::from_utf8_lossy(&target).into_owned())
}

/// Names beside it that a slip may have made it of.
fn near(tree: &Tree, name: &Name) -> Vec<String> {
    let (Some(parent), Some(last)) = (name.parent(), name.last().and_then(OsStr::to_str)) else { return Vec::new() };
    let names = open_folder(tree, &parent).and_then(|folder| folder.list()).unwrap_or_default();
    let there = names.iter().filter_map(|name| name.to_str());
    let there = there.filter(|name| tree.holds(&parent.join(OsStr::new(name)), false));
    let apart = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &last.to_lowercase());
    // A third of the letters may be wrong: more of them, and the proposal is a guess.
    let close = there.map(|name| (apart(name), name)).filter(|(apart, name)| 3 * apart <= name.len().max(3));
    let mut close: Vec<(usize, &str)> = close.collect();
    close.sort_unstable();
    close.iter().take(NEAR_MAX).map(|(_, name)| parent.join(OsStr::new(name)).as_path().display().to_string()).collect()
}
