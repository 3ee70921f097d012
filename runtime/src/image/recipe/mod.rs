//! How layers are made that no registry gives us: each by name, and what it is made of.
//!
//! A layer is shared by every image that has it, so a layer is what is made, not an image: BusyBox is below `alpine` and
//! below `golang`, the small Debian below every service. What each is made of is data; [`make`] carries it out.

mod alpine;
mod busybox;
mod go;
mod hello;
mod modules;
mod services;
mod go_cache;

use std::io;

use super::beneath::{Meta, Name};
use super::debian::{self, DebianError, FixUp, LockError, PackageSet, Recipe, TIME, Tree, Workshop, sets};
use super::digest::Digest;
use super::unpack::Place;

pub use go_cache::Bench;
pub use modules::ModuleError;

/// One layer.
#[derive(Debug)]
pub struct Layer {
    pub name: &'static str,
    /// Raised when what comes out of the same making changes, so that it is made anew.
    pub version: u32,
    pub making: Making,
    /// What is taken when this cannot be had from the mirror.
    pub instead: Option<&'static Layer>,
}

/// What a layer is made of.
#[derive(Debug)]
pub enum Making {
    /// Packages with dpkg's database, by itself or upon another system.
    System { set: &'static PackageSet, fix_ups: &'static [&'static [FixUp]] },
    /// Files out of packages.
    Files { set: &'static PackageSet, place: PlaceOf, fix_ups: &'static [FixUp] },
    /// One program of our own.
    Hello,
    /// A proxy of Go modules.
    GoModules { set: &'static PackageSet },
    /// The standard library, compiled by the toolchain below.
    GoCache,
}

/// Where a package's file goes.
pub type PlaceOf = fn(&str, &Name) -> Place;

#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error(transparent)]
    Debian(#[from] DebianError),
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error("the program of hello-world is known for x86_64 and aarch64, and this machine is {machine}")]
    Machine { machine: &'static str },
    #[error("cannot write {path} into the layer")]
    Write { path: &'static str, source: io::Error },
    #[error("it is made by running a program, and nothing here can: prepare the image with the quayside command")]
    NoErrands,
    #[error("{0}")]
    Errand(String),
}

impl RecipeError {
    /// Whether it is the mirror that lacks what was wanted: then something else may still be had.
    pub fn is_of_the_mirror(&self) -> bool {
        matches!(
            self,
            Self::Debian(
                DebianError::Fetch(_) | DebianError::Index(_) | DebianError::Resolve(_) | DebianError::Gone { .. }
            )
        )
    }
}

impl From<LockError> for RecipeError {
    fn from(error: LockError) -> Self {
        Self::Debian(error.into())
    }
}

const fn layer(name: &'static str, making: Making) -> Layer {
    Layer { name, version: 1, making, instead: None }
}

pub static LEARNER: Layer =
    layer("learner", Making::System { set: &sets::LEARNER, fix_ups: &[debian::SYSTEM, debian::LEARNER] });
pub static DOCKER: Layer =
    Layer { instead: Some(&DOCKER_OLDER), ..layer("docker", Making::System { set: &sets::DOCKER, fix_ups: &[] }) };
static DOCKER_OLDER: Layer =
    layer("docker-older", Making::Files { set: &sets::DOCKER_OLDER, place: docker_of_debian_12, fix_ups: &[] });
pub static HELLO: Layer = layer("hello", Making::Hello);
pub static BUSYBOX: Layer =
    layer("busybox", Making::Files { set: &sets::BUSYBOX, place: busybox::place, fix_ups: busybox::FIX_UPS });
pub static ALPINE: Layer =
    layer("alpine", Making::Files { set: &sets::BUSYBOX, place: alpine::place, fix_ups: alpine::FIX_UPS });
pub static GO: Layer = layer("go", Making::Files { set: &sets::GO, place: go::place, fix_ups: go::FIX_UPS });
pub static GO_CACHE: Layer = layer("go-cache", Making::GoCache);
pub static GO_MODULES: Layer = layer("go-modules", Making::GoModules { set: &sets::GO_MODULES });
pub static BASE: Layer = layer("base", Making::System { set: &sets::BASE, fix_ups: &[debian::SYSTEM, services::BASE] });
pub static NGINX: Layer = layer("nginx", Making::System { set: &sets::NGINX, fix_ups: &[services::NGINX] });
pub static REDIS: Layer = layer("redis", Making::System { set: &sets::REDIS, fix_ups: &[services::REDIS] });
pub static PYTHON: Layer = layer("python", Making::System { set: &sets::PYTHON, fix_ups: &[services::PYTHON] });

impl Layer {
    /// What it is made of, as a digest: the same key, the same layer. `below` is the key of the layer under it.
    pub fn key(&self, below: Option<&Digest>) -> Digest {
        let Self { name, version, making, .. } = self;
        let below = below.map(Digest::hex).unwrap_or_default();
        Digest::of(format!("{name} {version} {below} {}", making.text()).as_bytes())
    }

    /// About how many bytes it takes to fetch and unpack it, for progress.
    pub fn effort(&self) -> Result<u64, RecipeError> {
        Ok(match self.making.set() {
            Some(set) => 2 * set.lock()?.bytes(),
            None => match self.making {
                Making::GoCache => go_cache::EFFORT_BYTES,
                _ => 0,
            },
        })
    }
}

impl Making {
    pub fn set(&self) -> Option<&'static PackageSet> {
        match self {
            Self::Hello | Self::GoCache => None,
            Self::System { set, .. } | Self::Files { set, .. } | Self::GoModules { set } => Some(set),
        }
    }

    fn text(&self) -> String {
        let lock = self.set().map_or("", |set| set.lock);
        // The tables are data, so what they would do is their text.
        match self {
            Self::Hello => hello::TEXT.to_owned(),
            Self::GoCache => go_cache::text(),
            Self::GoModules { .. } => lock.to_owned(),
            Self::System { fix_ups, .. } => format!("{lock}{fix_ups:?}"),
            Self::Files { fix_ups, .. } => format!("{lock}{fix_ups:?}"),
        }
    }
}

/// What the layer comes out as where its lock is for, when everything that is pinned could be had. A difference is a
/// mistake, here or on that machine.
pub fn expected(layer: &Layer) -> Option<Digest> {
    const LAYERS: &str = include_str!("layers.lock");
    let lines = LAYERS.lines().filter_map(|line| line.split_once(' '));
    let known = lines.filter(|_| std::env::consts::ARCH == "x86_64").find(|(name, _)| *name == layer.name);
    known.and_then(|(_, digest)| digest.parse().ok())
}

/// Makes a layer in the top of `tree`, which is empty. Gives notices for the operator.
pub fn make(layer: &Layer, bench: &Bench, workshop: &Workshop, tree: &Tree) -> Result<Vec<String>, RecipeError> {
    match &layer.making {
        Making::System { set, fix_ups } => Ok(debian::build(&Recipe::of(set)?, fix_ups, workshop, tree)?),
        Making::Files { set, place, fix_ups } => Ok(debian::take(&Recipe::of(set)?, *place, fix_ups, workshop, tree)?),
        Making::GoCache => go_cache::make(bench, workshop, tree).map(|()| Vec::new()),
        Making::Hello => hello_world(tree).map(|()| Vec::new()),
        Making::GoModules { set } => Ok(modules::make(&Recipe::of(set)?, workshop, tree)?),
    }
}

fn hello_world(tree: &Tree) -> Result<(), RecipeError> {
    let machine = std::env::consts::ARCH;
    let program = hello::program(machine).ok_or(RecipeError::Machine { machine })?;
    let write = || {
        tree.top.file(&Name::of("hello"), Meta::root(0o755, TIME), &[], &mut &program[..])?;
        tree.top.change(&Name::root(), Meta::root(0o755, TIME), &[])
    };
    write().map_err(|source| RecipeError::Write { path: "/hello", source })
}

/// Of the package with daemon and command line in one, only the command line. It is not entered into dpkg's database,
/// because what else the package needs is not there.
fn docker_of_debian_12(_package: &str, name: &Name) -> Place {
    let wanted =
        ["usr/bin/docker", "usr/share/bash-completion/completions/docker", "usr/share/doc/docker.io/copyright"];
    match wanted.iter().any(|wanted| name.as_path() == std::path::Path::new(wanted)) {
        true => Place::At(name.clone()),
        false => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layers_key_changes_with_what_it_is_made_of_and_with_what_is_below() {
        let keys = [BUSYBOX.key(None), BUSYBOX.key(Some(&Digest::of(b""))), ALPINE.key(None), BASE.key(None)];
        assert!(keys.iter().enumerate().all(|(number, key)| !keys[..number].contains(key)));
        assert_eq!(BUSYBOX.key(None), keys[0]);
        let newer = Layer { version: 2, ..layer("hello", Making::Hello) };
        assert_ne!(newer.key(None), HELLO.key(None));
    }

    #[test]
    fn what_a_layer_comes_out_as_is_known_for_every_layer_but_the_one_taken_instead() {
        if std::env::consts::ARCH != "x86_64" {
            return eprintln!("skipped: needs x86_64, which the locks are for");
        }
        let layers =
            [&LEARNER, &DOCKER, &HELLO, &BUSYBOX, &ALPINE, &GO, &GO_CACHE, &GO_MODULES, &BASE, &NGINX, &REDIS, &PYTHON];
        assert!(layers.iter().all(|layer| expected(layer).is_some()));
        assert_eq!(expected(&DOCKER_OLDER), None);
    }

    #[test]
    fn of_debian_12_docker_only_the_command_line_is_taken() {
        let taken = |name| docker_of_debian_12("docker.io", &Name::of(name)) != Place::Nowhere;
        assert!(taken("usr/bin/docker") && !taken("usr/sbin/dockerd") && !taken("usr/bin/docker-proxy"));
    }
}
