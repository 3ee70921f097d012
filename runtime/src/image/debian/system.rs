//! A system of packages: one tree with Debian's database, by itself or as a layer upon another system.

use super::apply::{self, Directories};
use super::database::{self, Installed};
use super::fixups::{self, FixUp};
use super::lock::Pin;
use super::tree::Tree;
use super::workshop::Workshop;
use super::{DebianError, Recipe};
use crate::image::beneath::{Meta, Name};
use crate::image::progress::in_parallel;

/// Unpacking is bound by the processor, and each thread needs the dictionary of its decompressor (8 MB).
const UNPACK_THREADS_MAX: usize = 4;

/// Makes the system in the top of `tree`, which is empty. Gives notices for the operator.
pub fn build(
    recipe: &Recipe,
    fix_ups: &[&[FixUp]],
    workshop: &Workshop,
    tree: &Tree,
) -> Result<Vec<String>, DebianError> {
    let mut notices = Vec::new();
    let pins = workshop.fetch_all(recipe, &mut notices)?;
    workshop.meter.doing("unpacking packages");
    let (installed, mut directories) = unpack_all(&pins, workshop, tree)?;
    workshop.meter.doing("setting up the system");
    for fix_ups in fix_ups {
        apply::apply(tree, fix_ups, &mut directories)?;
    }
    database::write(tree, &installed).map_err(|source| DebianError::Write { what: "dpkg's database", source })?;
    apply::dress_directories(tree, &directories)
        .map_err(|source| DebianError::Write { what: "owners of folders", source })?;
    Ok(notices)
}

fn unpack_all(pins: &[Pin], workshop: &Workshop, tree: &Tree) -> Result<(Vec<Installed>, Directories), DebianError> {
    if tree.is_lowest() {
        apply::merged_layout(tree.top).map_err(|source| DebianError::Write { what: "the layout's links", source })?;
    }
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(UNPACK_THREADS_MAX);
    let packages = in_parallel(threads, pins, |pin| {
        let result = unpack_one(pin, workshop, tree);
        workshop.meter.add(pin.size);
        result
    })?;
    // Several packages hold the same folder; the first by name says what it is, on every host the same.
    let (mut installed, mut directories) = (Vec::new(), Directories::new());
    for (package, folders) in packages {
        installed.push(package);
        for (name, meta) in folders {
            // A folder that is there below stays as it is: dpkg too leaves one alone that it finds.
            let meta = tree.meta_below(&name).unwrap_or(meta);
            directories.entry(name).or_insert(meta);
        }
    }
    Ok((installed, directories))
}

fn unpack_one(pin: &Pin, workshop: &Workshop, tree: &Tree) -> Result<(Installed, Vec<(Name, Meta)>), DebianError> {
    let control = workshop.control(pin)?;
    let data = workshop.unpack(pin, tree.top, &fixups::place)?;
    Ok((installed(control, data.names), data.directories))
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
