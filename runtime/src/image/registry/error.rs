//! What can go wrong with registries, in words that say what to do.

use super::super::archive::pack::PackError;
use super::super::archive::unpack::UnpackError;
use super::super::digest::Digest;
use super::super::store::ImageError;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("cannot {doing}: {server} does not answer ({why}; tried {tries} times); {hint}")]
    Unreachable { doing: String, server: String, why: String, tries: usize, hint: &'static str },
    #[error(
        "cannot {doing}: {server} wants a login ({words}); check the name, and give a login by --creds NAME:PASSWORD, or by 'docker login' as this user"
    )]
    Anonymous { doing: String, server: String, words: String },
    #[error("cannot {doing}: {server} does not take the login of {user:?} ({words})")]
    Login { doing: String, server: String, user: String, words: String },
    #[error("cannot {doing}: {server} does not allow it ({words}); ask whoever keeps that registry for the right")]
    Forbidden { doing: String, server: String, words: String },
    #[error("cannot {doing}: {server} has no such image ({words}); check the name and the tag")]
    NoImage { doing: String, server: String, words: String },
    #[error("cannot {doing}: {server} does not have the {what} {digest} that its own manifest names")]
    NoBlob { doing: String, server: String, what: &'static str, digest: Digest },
    #[error(
        "cannot {doing}: {server} has answered too often for now ({words}); {wait}, log in where that raises the limit, or set a mirror (images.registry-mirrors)"
    )]
    RateLimited { doing: String, server: String, words: String, wait: String },
    #[error("cannot {doing}: {server} answered {status} ({words})")]
    Refused { doing: String, server: String, status: u16, words: String },
    #[error("cannot {doing}: {server} sent something that is not understood: {why}")]
    Answer { doing: String, server: String, why: String },
    #[error("cannot {doing}: the {what} that {server} sent has the digest {found}, and {expected} was asked for")]
    Damaged { doing: String, server: String, what: &'static str, expected: Digest, found: Digest },
    #[error("cannot {doing}: {server} sent a {what} of more than {max} bytes, which is not read")]
    TooLong { doing: String, server: String, what: &'static str, max: u64 },
    #[error(
        "cannot read the manifest of {name}: it is of Docker's schema 1, which was given up in 2020; push the image anew with a current tool"
    )]
    Schema1 { name: String },
    #[error("cannot read the manifest of {name}: {why}")]
    Document { name: String, why: String },
    #[error("{name} has no image for {wanted}; it has {found}; choose one by --platform")]
    Platform { name: String, wanted: String, found: String },
    #[error("the image {name} is not whole: its config names {diff_ids} layers and its manifest {layers}")]
    Layers { name: String, diff_ids: usize, layers: usize },
    #[error("the image {name} has {count} layers, and an overlay takes {max}")]
    TooManyLayers { name: String, count: usize, max: usize },
    #[error("cannot take in the layer {layer}")]
    Unpack { layer: Digest, source: UnpackError },
    #[error("the layer {expected} is damaged: what came has the digest {found}")]
    Blob { expected: Digest, found: Digest },
    #[error("the layer {layer} is damaged: it should unpack to {expected} and unpacks to {found}")]
    Layer { layer: Digest, expected: Digest, found: Digest },
    #[error("cannot make the archive of the layer {layer}")]
    Pack { layer: Digest, source: PackError },
    #[error("cannot read the archive of the layer {layer}")]
    Kept { layer: Digest, source: std::io::Error },
    #[error(
        "cannot push to {name}: a name with a digest says what is there, and what is pushed has its own; leave it out"
    )]
    PushDigest { name: String },
    #[error("{0:?} is not a proxy's address; it must look like http://HOST:PORT")]
    Proxy(String),
    #[error("{text:?} is no mirror: {why}")]
    Mirror { text: String, why: &'static str },
    #[error("{what} is no login: {why}")]
    Credentials { what: &'static str, why: String },
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl RegistryError {
    /// Whether another server may do better: what is wrong with this image itself is wrong everywhere.
    pub(super) fn is_of_the_server(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Anonymous { .. }
                | Self::Login { .. }
                | Self::Forbidden { .. }
                | Self::NoImage { .. }
                | Self::NoBlob { .. }
                | Self::RateLimited { .. }
                | Self::Refused { .. }
                | Self::Answer { .. }
                | Self::Damaged { .. }
                | Self::TooLong { .. }
        )
    }
}
