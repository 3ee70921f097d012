//! `import` and `export`: the files alone, without what an image says beside them.

use std::io::{Read, Write};

use super::super::archive::merge::merge;
use super::super::archive::pack::Packed;
use super::super::beneath::Root;
use super::super::layer_in::{Expected, Keep, take_layer};
use super::super::oci::{History, ImageConfig, RootFs, RunConfig};
use super::super::reference::Reference;
use super::super::store::{Image, ImageError, Origin, Store};
use super::TransferError;

/// Makes an image of one layer of an archive of files, compressed or not: a root file system as others make them. Nothing
/// is known of what runs in it but what `config` says.
pub fn import(
    store: &Store,
    archive: impl Read + Send,
    config: RunConfig,
    name: Option<&Reference>,
) -> Result<Image, TransferError> {
    let work = store.work()?;
    let layer = take_layer(store, &work, archive, Expected::default(), Keep::IfNeeded)
        .map_err(TransferError::of_layer(None))?;
    let history = History { created_by: Some("quayside image import".into()), ..History::default() };
    let config = ImageConfig {
        config,
        rootfs: RootFs { diff_ids: vec![layer.diff_id], ..RootFs::default() },
        history: vec![history],
        ..ImageConfig::scratch()
    };
    let config = serde_json::to_vec(&config).expect("a config has only texts and numbers");
    let image = store.add_image(&work, &config, Origin::default())?;
    if let Some(name) = name {
        store.tag(&work, name, image.id)?;
    }
    Ok(Image { names: store.names_of(&image.id)?, ..image })
}

/// Writes the files that a container of the image would find, as one archive.
pub fn export(image: &Image, out: &mut dyn Write) -> Result<Packed, TransferError> {
    let open =
        |layer: &super::super::store::Layer| Root::open(&layer.path).map_err(ImageError::store("open", &layer.path));
    let layers = image.layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    merge(&layers, out).map_err(|source| TransferError::Pack { layer: image.shown(), source })
}
