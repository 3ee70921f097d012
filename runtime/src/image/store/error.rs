//! What can go wrong with images.

use std::io;
use std::path::PathBuf;

use super::super::archive::pack::PackError;
use super::super::debian::DebianError;
use super::super::digest::Digest;
use super::super::host::HostError;
use super::super::recipe::RecipeError;
use super::super::reference::ReferenceError;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("there is no image called {name:?} here; {hint}")]
    Unknown { name: String, hint: String },
    #[error("{prefix:?} is the beginning of {count} images' ids; write more of it")]
    Ambiguous { prefix: String, count: usize },
    #[error("cannot remove the image {name}: {by} still runs on its layer {layer}; end it first")]
    InUse { name: String, layer: PathBuf, by: &'static str },
    #[error("cannot remove the image {id} by its id: it is called {names}; remove it by its names, or by force")]
    HasNames { id: String, names: String },
    #[error(
        "cannot prepare the image {name} as an ordinary user: its files belong to several users, which only root can give them; use sudo"
    )]
    NotRoot { name: String },
    #[error("the image {name} is not whole: {missing} is missing; get it again (quayside image prepare, pull or load)")]
    Incomplete { name: String, missing: String },
    #[error("{what} {digest} is damaged: its content has another digest, {found}; get it again")]
    Damaged { what: &'static str, digest: Digest, found: Digest },
    #[error("{what} {digest} has more than {max} bytes and is not read")]
    TooLong { what: &'static str, digest: Digest, max: u64 },
    #[error("cannot read the {what} {digest}; it is not what its name says")]
    NotUnderstood { what: &'static str, digest: Digest, source: serde_json::Error },
    #[error("there are {max} names of images here already; remove some (quayside image rm)")]
    TooManyNames { max: usize },
    #[error("cannot remove anything while another process adds images here; try again when it is done")]
    Busy,
    #[error("cannot {doing} {path}")]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error("cannot make an archive of the new layer")]
    Pack(#[from] PackError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Debian(#[from] DebianError),
    #[error("cannot prepare the image {name}, which the setting images.catalogue takes from {from}")]
    Listed { name: String, from: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot make the layer {layer}")]
    Recipe { layer: &'static str, source: Box<RecipeError> },
}

impl ImageError {
    /// For `map_err`: what was done to which path.
    pub(in crate::image) fn store(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Store { doing, path, source }
    }
}
