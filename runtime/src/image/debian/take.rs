//! Files out of packages, put where they are wanted: no system, no database.

use super::apply::{self, Directories};
use super::fixups::FixUp;
use super::lock::Pin;
use super::tree::Tree;
use super::workshop::Workshop;
use super::{DebianError, Recipe};
use crate::image::beneath::Name;
use crate::image::unpack::Place;

/// Takes from each package what `place` wants of it, given the package's name. Folders are root's, 0755, unless a fix-up
/// says otherwise. Gives notices for the operator.
pub fn take(
    recipe: &Recipe,
    place: fn(&str, &Name) -> Place,
    fix_ups: &[FixUp],
    workshop: &Workshop,
    tree: &Tree,
) -> Result<Vec<String>, DebianError> {
    let mut notices = Vec::new();
    let pins = workshop.fetch_all(recipe, &mut notices)?;
    workshop.meter.doing("unpacking packages");
    for pin in &pins {
        take_one(pin, place, workshop, tree)?;
    }
    let mut directories = Directories::new();
    apply::apply(tree, fix_ups, &mut directories)?;
    apply::dress_directories(tree, &directories)
        .map_err(|source| DebianError::Write { what: "owners of folders", source })?;
    Ok(notices)
}

fn take_one(pin: &Pin, place: fn(&str, &Name) -> Place, workshop: &Workshop, tree: &Tree) -> Result<(), DebianError> {
    workshop.unpack(pin, tree.top, &|name| place(&pin.package, name))?;
    workshop.meter.add(pin.size);
    Ok(())
}
