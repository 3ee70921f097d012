//! Images from registries, and to them.
//!
//! ```text
//! name ──▶ place: which servers ──▶ client: asks, logs in, tries again
//!                                      │ manifest, or an index of several
//!                                      ▼
//!                                   document: which of them runs here
//!                                      │ config, then the layers that are not here
//!                                      ▼
//!                                   download ──▶ layer: unpacked while it comes ──▶ store
//! ```
//!
//! The OCI distribution specification, version 1.1, which is Docker's registry API v2. A registry is a stranger, and so is
//! everybody between it and us: each document and each layer is checked against its digest, nothing longer than was said
//! is read, and what a registry says in words is cut and cleaned before it is shown.
//!
//! This part knows no environment and no files of settings: who calls it says what it may use, as an [`Access`].

mod error;
mod words;
pub mod credentials;
pub mod place;
mod challenge;
mod client;
mod answers;
mod document;
mod meters;
mod download;
mod layer;
mod pull;
pub mod outgoing;
mod upload;
mod push;

pub use answers::answers;
pub use credentials::{Credentials, Login};
pub use document::{Document, choose, understand};
pub use error::RegistryError;
pub use layer::{check_blob, take_blob};
pub use meters::{Part, PartState, Progress};
pub use place::Mirror;
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};

/// What a caller lets this part use.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub credentials: Credentials,
    /// Asked before the registry itself, in this order.
    pub mirrors: Vec<Mirror>,
    /// `http://HOST:PORT`: where requests go instead of to the server itself; never for loopback.
    pub proxy: Option<String>,
    /// Speak http, without any protection, to a registry that is not on this machine.
    pub insecure: bool,
}

/// Layers of one image: an overlay of this many can still be named in one mount(2), and Docker makes no more either.
pub const LAYERS_MAX: usize = 127;

#[cfg(test)]
pub(in crate::image) mod fake;
#[cfg(test)]
mod tests;
