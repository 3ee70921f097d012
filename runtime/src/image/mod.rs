//! Images: where the files of a container come from.
//!
//! ```text
//! reference ──▶ names ──▶ image ──▶ config      what runs in it
//!                           └─────▶ layers      folders, bottom to top
//! ```
//!
//! An image is a list of layers, and a layer is a folder, unpacked once and shared read-only by every container: with the
//! owners (0 to 65535), setuid bits and capabilities that it has *inside*, whatever ids a sandbox has outside.
//! [`archive`] is how layers travel, [`Store`] keeps images on disk, [`oci`] has the documents that describe them.
//! [`catalogue`] lists what can be had without a registry: [`host`] borrows commands from this machine at once, [`recipe`]
//! makes layers of files that [`debian`] takes out of packages. [`registry`] pulls from elsewhere and pushes there,
//! [`transfer`] reads and writes archives.
//!
//! This part knows nothing of sandboxes: it hands out paths of layers. See `rootfs` for what becomes of them.

pub mod beneath;
pub mod digest;
pub mod archive;
pub mod reference;
pub mod oci;
mod hex;
#[cfg(test)]
mod measure;
mod http;
mod layout;
mod elf;
mod unpack;
mod progress;
mod info;
pub mod errand;
pub mod host;
pub mod debian;
pub mod recipe;
pub mod catalogue;
pub mod store;
pub mod layer_in;
pub mod transfer;
pub mod registry;
mod prepare;
pub mod show;

pub use debian::learner_packages;
pub use digest::Digest;
pub use info::{ImageInfo, ImageState};
pub use prepare::{Sources, relock};
pub use progress::Progress;
pub use reference::Reference;
pub use store::{Image, ImageError, Store};
