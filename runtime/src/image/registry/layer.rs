//! A layer comes in from a registry, and is kept so that it can be given on under the digest that it came under.

use std::io::{self, Read};

use super::super::archive::compression::decompress;
use super::super::digest::{Digest, Hashing};
use super::super::layer_in::{Expected, Keep, LayerError, take_layer};
use super::super::store::{Layer, Store};
use super::error::RegistryError;

/// Checks a blob of the store whose layer is here already: what is given on under its digest must be that layer.
pub fn check_blob(store: &Store, layer: &Digest, diff_id: &Digest) -> Result<(), RegistryError> {
    let kept = |source| RegistryError::Kept { layer: *layer, source };
    let mut hashing = Hashing::new(decompress(store.open_blob("layer", layer)?).map_err(kept)?);
    io::copy(&mut hashing, &mut io::sink()).map_err(kept)?;
    let (found, ..) = hashing.finish();
    match found == *diff_id {
        true => Ok(()),
        false => Err(RegistryError::Layer { layer: *layer, expected: *diff_id, found }),
    }
}

/// Unpacks a blob into the store. `layer` is what the manifest calls it, `diff_id` what it must unpack to.
pub fn take_blob(
    store: &Store,
    blob: &mut (dyn Read + Send),
    layer: &Digest,
    diff_id: &Digest,
) -> Result<Layer, RegistryError> {
    // Work of its own: several layers come at once, each on its own thread.
    let work = store.work()?;
    let (layer, expected) = (*layer, Expected { diff_id: Some(*diff_id), blob: Some(*layer) });
    take_layer(store, &work, blob, expected, Keep::AsItCame).map_err(|error| match error {
        LayerError::Unpack { source } => RegistryError::Unpack { layer, source },
        LayerError::Read { source } => RegistryError::Kept { layer, source },
        LayerError::Blob { expected, found } => RegistryError::Blob { expected, found },
        LayerError::DiffId { expected, found } => RegistryError::Layer { layer, expected, found },
        LayerError::Image(error) => error.into(),
    })
}
