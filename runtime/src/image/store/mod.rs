//! Images on disk.
//!
//! ```text
//! DATA/images/            root's, 0700: layers hold setuid programs, which no user of the host may reach
//!   content/              what sandboxes see too, read-only
//!     blobs/sha256/HEX    configs, and archives and manifests as they came
//!     layers/HEX/diff/    a layer, unpacked; HEX is its diff id, the digest of its archive before compression
//!     layers/HEX/layer.json   what is known of it
//!     images/HEX.json     an image; HEX is its id, the digest of its config
//!     names.json          what people call images
//!   holds/NAME.json       layers that somebody else wants kept
//!   cache/                downloads
//!   tmp/RANDOM/           work under way; its folder is locked while somebody works in it
//!   locks/NAME            locked by who prepares NAME
//!   lock                  locked for a moment while `names.json` or `tmp` is changed
//!   writers               shared by all who add something; to remove anything it must be one's own
//! ```
//!
//! Everything is made in `tmp` and renamed to where it belongs: first content, then what names it. So whatever ends a
//! process in the middle leaves content without a name, and a folder in `tmp`; the next [`Store::open`] removes the
//! folder, the next sweep the content. Nothing is ever changed in place. All locks are flock(2): they end with their
//! process.
//!
//! A layer is kept once however many images have it, and once unpacked it is never written again: containers share it.
//! Our own layers need no archive beside the tree, because theirs can be made again from it, byte for byte; one that came
//! from elsewhere keeps its archive as it came, or nobody could be given it under its digest.

mod error;
pub(super) mod locks;
mod work;
mod blobs;
mod layers;
mod names;
mod images;
mod sweep;

use std::path::{Path, PathBuf};

pub use error::ImageError;
pub use images::{Image, MADE_BY, Origin, STANDS_IN_LABEL};
pub use layers::{Layer, LayerRecord, Tar};
pub use sweep::{Removed, Usage};
pub use work::{LayerDraft, Work};

use locks::make_private;

/// The images of a data directory. Several processes may share one.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    content: PathBuf,
    /// The content of another store, which is only read: the host's, inside a sandbox.
    below: Option<PathBuf>,
}

impl Store {
    /// Opens `DATA/images`, makes what is missing, and sweeps what a crash left.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let root = root.into();
        let store = Self { content: content_of(&root), root, below: None };
        make_private(&store.root)?;
        for part in ["holds", "cache", "tmp", "locks", CONTENT] {
            make_private(&store.root.join(part))?;
        }
        for part in ["blobs", "blobs/sha256", "layers", "images"] {
            make_private(&store.content.join(part))?;
        }
        store.sweep_work()?;
        Ok(store)
    }

    /// The same, with all that is found in `below`, the content of another store, as if it were here. Nothing is ever
    /// written there.
    pub fn over(self, below: impl Into<PathBuf>) -> Self {
        Self { below: Some(below.into()), ..self }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where downloads are kept.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Of this store, then of the one below.
    fn contents(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.content.as_path()).chain(self.below.as_deref())
    }
}

const CONTENT: &str = "content";

/// Where in a store what may be shown to sandboxes lies. No lock is in it: who may only read could hold it for ever.
pub fn content_of(root: &Path) -> PathBuf {
    root.join(CONTENT)
}

#[cfg(test)]
mod tests;
