//! What web says to the keeper, over `keeper.sock`: JSON frames behind a 32-bit length
//! ([`crate::shim::wire::write_frame`]).
//!
//! A request carries an id and is answered once with the same id; answers may overtake each other.
//! Frames with id 0 are events, sent to every connection. Fields are only ever added, with a default.

use serde::{Deserialize, Serialize};

pub use crate::image::{ImageInfo, ImageState};
use crate::spec::{SandboxId, SandboxSpec};

pub const KEEPER_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    #[serde(flatten)]
    pub verb: Verb,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// The first request of a connection; answered with `Hello` or `Failed`.
    Hello {
        version: u32,
    },
    Create {
        spec: SandboxSpec,
    },
    /// Ends it and waits until nothing is left. An unknown one is already destroyed: `Done`.
    Destroy {
        sandbox: SandboxId,
    },
    List,
    Images,
    /// Starts preparing a catalogued image; progress comes as events. Preparing one that is ready, or
    /// under way, is `Done` too.
    PrepareImage {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    #[serde(flatten)]
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "body", rename_all = "kebab-case")]
pub enum Body {
    Hello {
        version: u32,
        build: String,
        /// The memory that all sandboxes can have together, where the host says it.
        #[serde(default)]
        memory_bytes: Option<u64>,
    },
    Created {
        sandbox: SandboxInfo,
    },
    Done,
    Sandboxes {
        sandboxes: Vec<SandboxInfo>,
    },
    Images {
        images: Vec<ImageInfo>,
    },
    Failed {
        failure: Failure,
    },
    /// Event: a sandbox ended by itself (its shim died, its PID 1 exited). Nothing of it is left.
    Ended {
        sandbox: SandboxId,
        why: String,
    },
    /// Event: an image came nearer, is ready, or cannot be had.
    Image {
        image: ImageInfo,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxInfo {
    pub id: SandboxId,
    /// File name of the shim's socket, beside `keeper.sock` in `shims/`.
    pub socket: String,
    pub image: String,
    pub hostname: String,
    /// How long the launch took.
    #[serde(default)]
    pub launch_us: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub code: FailureCode,
    /// For the operator: what, to what, why, and what to do.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The versions differ: restart the older side.
    Version,
    /// A request that does not read, or a value over its limit.
    Invalid,
    /// No more sandboxes now.
    Full,
    /// The image is not in the catalogue, or not ready.
    NoImage,
    /// A launch step failed; the message names it.
    Launch,
    Internal,
}
