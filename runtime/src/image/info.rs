//! An image in a list: what the keeper tells web, and what `quayside image ls` prints.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageInfo {
    pub name: String,
    /// One line for people: what it is, or what it stands in for.
    pub summary: String,
    pub state: ImageState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum ImageState {
    Absent,
    Preparing {
        /// What is done now, in words: `fetching packages`.
        doing: String,
        done: u64,
        total: u64,
    },
    Ready {
        size_bytes: u64,
    },
    Failed {
        message: String,
    },
}
