//! Images in and out of the store, as files.
//!
//! ```text
//! load     docker-archive or OCI layout, a file or a folder ──▶ images with their names
//! save     images ──▶ docker-archive, or OCI layout as a file or a folder
//! import   one archive of files ──▶ an image of one layer
//! export   an image ──▶ one archive of the files that a container of it would see
//! ```
//!
//! Everything that comes was written by a stranger: each document is checked against the digest that it goes by, each
//! layer against its diff id, and only what fits is kept. Nothing is held in memory but documents.
//!
//! Where the formats are described: the OCI image layout specification, and for `docker save` the image specification
//! 1.2 of the moby project.

mod members;
mod layer_out;
mod docker;
mod layout;
mod load;
mod save;
mod files;

use std::io;

use super::archive::pack::PackError;
use super::archive::unpack::UnpackError;
use super::archive::walk::ArchiveError;
use super::digest::Digest;
use super::layer_in::LayerError;
use super::reference::ReferenceError;
use super::store::ImageError;

pub use files::{export, import};
pub use layer_out::write_layer;
pub use load::{Loaded, Source, load};
pub use save::{Format, Saved, save, save_to_folder};

/// Why images did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("cannot read the archive of images")]
    Read { source: io::Error },
    #[error("cannot read the archive of images")]
    Archive { source: ArchiveError },
    #[error("this is no archive of images: it holds neither manifest.json (docker save) nor index.json (OCI layout)")]
    NoImages,
    #[error("the archive of images holds more than {max} files")]
    Members { max: usize },
    #[error("the archive of images is not whole: {member:?} is missing")]
    Missing { member: String },
    #[error("{member:?} of the archive has more than {max} bytes and is not read")]
    TooLong { member: String, max: u64 },
    #[error("cannot understand {member:?} of the archive")]
    NotUnderstood { member: String, source: serde_json::Error },
    #[error("{member:?} of the archive is damaged: its content has the digest {found}")]
    Damaged { member: String, found: Digest },
    #[error("the image {image} is not whole: its config names {diff_ids} layers and the archive {layers}")]
    Layers { image: String, diff_ids: usize, layers: usize },
    #[error("the image {image} has more than {max} layers, and an overlay takes no more")]
    TooManyLayers { image: String, max: usize },
    #[error("the archive holds no image for {wanted}; it has {found}")]
    Platform { wanted: String, found: String },
    #[error("the archive holds {count} images, and one name cannot be given to all of them")]
    OneName { count: usize },
    #[error("cannot take in the layer {layer}")]
    Unpack { layer: String, source: UnpackError },
    #[error("the layer {expected} is damaged: its content has the digest {found}")]
    Layer { expected: Digest, found: Digest },
    #[error("cannot write out the layer {layer}")]
    Pack { layer: String, source: PackError },
    #[error("cannot write the archive")]
    Write { source: io::Error },
    #[error("cannot write to {folder}: it is there already and not empty")]
    NotEmpty { folder: String },
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl TransferError {
    /// What happened to a layer, which an archive may not call anything.
    fn of_layer(diff_id: Option<Digest>) -> impl FnOnce(LayerError) -> Self {
        let layer = diff_id.map_or_else(|| "of the archive".to_owned(), |diff_id| diff_id.to_string());
        move |error| match error {
            LayerError::Unpack { source } => Self::Unpack { layer, source },
            LayerError::Read { source } => Self::Read { source },
            LayerError::Blob { expected, found } | LayerError::DiffId { expected, found } => {
                Self::Layer { expected, found }
            }
            LayerError::Image(error) => error.into(),
        }
    }
}

/// Layers of one image: the kernel mounts an overlay of 500, Docker makes at most 127 of them, and the mount's options
/// have to fit in a page with the layers' paths (see `rootfs`).
pub const LAYERS_MAX: usize = 127;

#[cfg(test)]
mod tests;
