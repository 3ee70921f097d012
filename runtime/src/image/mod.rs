//! Images: where the files of a sandbox come from.
//!
//! An image is a list of layers, and a layer is a folder, unpacked once and shared read-only by every sandbox: with the
//! owners (0 to 65535), setuid bits and capabilities that it has *inside*, whatever ids a sandbox has outside.
//! [`Store`] keeps images on disk. [`catalogue`] lists what can be had without a registry: [`host`] borrows commands from
//! this machine at once, [`debian`] makes the learners' image from packages.
//!
//! This part knows nothing of sandboxes: it hands out paths of layers. See `rootfs` for what becomes of them.

pub mod beneath;
pub mod archive;
mod digest;
mod layout;
mod elf;
mod unpack;
mod progress;
mod info;
pub mod catalogue;
pub mod host;
pub mod debian;
mod store;
pub mod show;

pub use debian::learner_packages;
pub use info::{ImageInfo, ImageState};
pub use progress::Progress;
pub use store::{Image, ImageError, Sources, Store, relock};
