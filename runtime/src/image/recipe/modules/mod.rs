//! A proxy of Go modules as a folder (Go modules reference, "GOPROXY protocol"), made of Debian's packages of Go source.
//!
//! ```text
//! usr/local/share/goproxy/
//!   MODULE/@v/list            the versions there are: one
//!   MODULE/@v/VERSION.info    what it is called
//!   MODULE/@v/VERSION.mod     its go.mod, with the versions at hand
//!   MODULE/@v/VERSION.zip     its files
//!   MODULE/@latest            the same as .info
//!   go.sum                    sums of all of them, for a lesson's go.sum
//!   README                    where they come from
//! ```
//!
//! Debian builds all its programs from one version of each module, and so do lessons here: every `go.mod` requires exactly
//! what the folder has. The versions are those of upstream, the files are Debian's, without tests; so their sums are not
//! those of the public checksum database, which must be off (`GOSUMDB=off`).

mod gomod;
mod sums;
mod version;
mod zip;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::FileType;

use super::go;
use crate::image::beneath::{Meta, Name, Root};
use crate::image::debian::{DebianError, Pin, Recipe, TIME, Tree, Workshop, dress_directories};
use crate::image::unpack::Place;
use gomod::GoMod;
use sums::Sum;
use zip::ZipWriter;

/// Where Debian's packages have their sources.
const SOURCES: &str = "usr/share/gocode/src";

/// Where the proxy is in the image.
const PROXY: &str = "usr/local/share/goproxy";

/// The largest source file of a module that is read into memory; tables of all scripts of the world have 400 KB.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The longest way down into a module's folders, so that a strange package does not make us go on for ever.
const DEPTH_MAX: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error(transparent)]
    Debian(#[from] DebianError),
    #[error("the package {package} holds no Go module that we can find")]
    NoModule { package: String },
    #[error(
        "the version {version} of the package {package} names a commit whose name in Go is not known here; add it to COMMITS, or pin another"
    )]
    NoVersion { package: String, version: String },
    #[error("cannot make a Go module of the package {package}")]
    Make { package: String, source: io::Error },
    #[error("cannot write the proxy's list of sums")]
    Write { source: io::Error },
}

/// A package that is unpacked, as a module.
struct Module {
    package: String,
    /// Its sources, on this machine, and where in them the module begins.
    root: Root,
    at: Name,
    said: GoMod,
    version: String,
}

/// Writes the proxy into the top of `tree`. Gives notices for the operator.
pub fn make(recipe: &Recipe, workshop: &Workshop, tree: &Tree) -> Result<Vec<String>, ModuleError> {
    let mut notices = Vec::new();
    let pins = workshop.fetch_all(recipe, &mut notices)?;
    workshop.meter.doing("making a proxy of Go modules");
    let mut modules = Vec::new();
    for pin in &pins {
        let folder = workshop.work().join(format!("module-{}", pin.package));
        modules.push(open(pin, workshop, &folder)?);
        workshop.meter.add(pin.size);
    }
    write_all(&modules, tree.top)?;
    dress_directories(tree, &BTreeMap::new()).map_err(|source| ModuleError::Write { source })?;
    Ok(notices)
}

fn write_all(modules: &[Module], top: &Root) -> Result<(), ModuleError> {
    let at_hand = modules.iter().map(|module| (module.said.path.clone(), module.version.clone())).collect();
    let mut lines = String::new();
    for module in modules {
        let made = write(module, &at_hand, top);
        lines += &made.map_err(|source| ModuleError::Make { package: module.package.clone(), source })?;
    }
    put(top, "go.sum", lines.as_bytes())
        .and_then(|()| put(top, "README", include_bytes!("README")))
        .map_err(|source| ModuleError::Write { source })
}

/// Unpacks a package and finds its module.
fn open(pin: &Pin, workshop: &Workshop, folder: &Path) -> Result<Module, ModuleError> {
    let failed = |source| ModuleError::Make { package: pin.package.clone(), source };
    fs::create_dir(folder).map_err(failed)?;
    let root = Root::open(folder).map_err(failed)?;
    workshop.unpack(pin, &root, &sources)?;
    let found = find(&root).map_err(failed)?;
    let (at, said) = found.ok_or_else(|| ModuleError::NoModule { package: pin.package.clone() })?;
    let (package, debian) = (pin.package.clone(), pin.version.clone());
    let version = version::of(&said.path, &debian)
        .ok_or_else(|| ModuleError::NoVersion { package: package.clone(), version: debian })?;
    Ok(Module { package, root, at, said, version })
}

/// Sources without the folders above them, and without tests.
fn sources(name: &Name) -> Place {
    match name.as_path().strip_prefix(SOURCES) {
        Ok(rest) if rest.as_os_str().is_empty() || go::is_for_tests(rest) => Place::Nowhere,
        Ok(rest) => Place::At(rest.iter().fold(Name::root(), |name, part| name.join(part))),
        Err(_) => Place::Nowhere,
    }
}

/// The module's folder and what its `go.mod` says: the one nearest to the top, or else where a repository begins.
fn find(root: &Root) -> io::Result<Option<(Name, GoMod)>> {
    let mut files = Vec::new();
    list(root, &Name::root(), 0, &mut files)?;
    let depth = |name: &Name| name.as_path().iter().count();
    let go_mod = files.iter().filter(|name| name.as_path().ends_with("go.mod")).min_by_key(|name| depth(name));
    if let Some(name) = go_mod {
        let said = gomod::parse(&String::from_utf8_lossy(&content(root, name)?));
        return Ok(said.zip(name.parent()).map(|(said, at)| (at, said)));
    }
    let Some(first) = files.iter().find(|name| name.as_path().extension().is_some_and(|ending| ending == "go")) else {
        return Ok(None);
    };
    let parts: Vec<&std::ffi::OsStr> = first.as_path().iter().collect();
    // gopkg.in/NAME.vN, and on other hosts OWNER/NAME.
    let length = if parts[0] == "gopkg.in" { 2 } else { 3 };
    let at = parts.iter().take(length).fold(Name::root(), |name, part| name.join(part));
    let path = at.as_path().to_string_lossy().into_owned();
    Ok(Some((at, GoMod { path, ..GoMod::default() })))
}

/// Regular files below a folder, sorted, links left out: what they lead to is there under its own name.
fn list(root: &Root, folder: &Name, depth: usize, files: &mut Vec<Name>) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!("its folders are more than {DEPTH_MAX} deep")));
    }
    for part in root.list(folder)? {
        let name = folder.join(&part);
        match FileType::from_raw_mode(root.stat(&name)?.st_mode) {
            FileType::Directory => list(root, &name, depth + 1, files)?,
            FileType::RegularFile => files.push(name),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a module's four files; gives its two lines of `go.sum`.
fn write(module: &Module, at_hand: &BTreeMap<String, String>, top: &Root) -> io::Result<String> {
    let Module { said, version, .. } = module;
    let go_mod = gomod::rewritten(said, at_hand);
    let (archive, sum) = pack(module, &go_mod)?;
    let info = format!("{{\"Version\":\"{version}\"}}\n");
    let folder = version::escaped(&said.path);
    let file = version::escaped(version);
    put(top, &format!("{folder}/@v/list"), format!("{version}\n").as_bytes())?;
    put(top, &format!("{folder}/@v/{file}.info"), info.as_bytes())?;
    put(top, &format!("{folder}/@latest"), info.as_bytes())?;
    put(top, &format!("{folder}/@v/{file}.mod"), go_mod.as_bytes())?;
    put(top, &format!("{folder}/@v/{file}.zip"), &archive)?;
    let mut mod_sum = Sum::default();
    mod_sum.add("go.mod", go_mod.as_bytes());
    let (path, mod_sum) = (&said.path, mod_sum.finish());
    Ok(format!("{path} {version} {sum}\n{path} {version}/go.mod {mod_sum}\n"))
}

/// The module's archive and its sum. Modules within it are others and stay out.
fn pack(module: &Module, go_mod: &str) -> io::Result<(Vec<u8>, String)> {
    let mut files = Vec::new();
    list(&module.root, &module.at, 0, &mut files)?;
    let own = |name: &Name| name.as_path() == module.at.as_path().join("go.mod");
    let nested: Vec<Name> = files
        .iter()
        .filter(|name| name.as_path().ends_with("go.mod") && !own(name))
        .filter_map(|name| name.parent())
        .collect();
    let prefix = format!("{}@{}", module.said.path, module.version);
    let (mut zip, mut sum) = (ZipWriter::new(Vec::new()), Sum::default());
    let mut add = |name: &str, content: &[u8]| {
        let name = format!("{prefix}/{name}");
        sum.add(&name, content);
        zip.file(&name, content)
    };
    add("go.mod", go_mod.as_bytes())?;
    for name in files.iter().filter(|name| !own(name)) {
        if nested.iter().any(|folder| name.as_path().starts_with(folder.as_path())) {
            continue;
        }
        let within = name.as_path().strip_prefix(module.at.as_path()).map_err(io::Error::other)?;
        let within = within.to_str().ok_or_else(|| io::Error::other(format!("{name} is not in UTF-8")))?;
        add(within, &content(&module.root, name)?)?;
    }
    Ok((zip.finish()?, sum.finish()))
}

fn content(root: &Root, name: &Name) -> io::Result<Vec<u8>> {
    let file: File = root.read(name)?;
    if file.metadata()?.len() > FILE_MAX_BYTES {
        return Err(io::Error::other(format!("{name} has more than {FILE_MAX_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn put(top: &Root, path: &str, bytes: &[u8]) -> io::Result<()> {
    let name = Name::parse(format!("{PROXY}/{path}").as_bytes()).map_err(io::Error::other)?;
    top.parents(&name)?;
    top.file(&name, Meta::root(0o644, TIME), &[], &mut &bytes[..])?;
    Ok(())
}

#[cfg(test)]
mod tests;
