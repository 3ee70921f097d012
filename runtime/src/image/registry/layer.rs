//! A layer comes in from a registry, and is kept so that it can be given on under the digest that it came under.

use std::io::Read;

use super::super::digest::Digest;
use super::super::layer_in::{Expected, Keep, LayerError, take_layer};
use super::super::store::{Layer, Store};
use super::error::RegistryError;

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
