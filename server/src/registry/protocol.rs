//! What the front asks and the holder answers, over a pair of SOCK_SEQPACKET sockets: JSON, one message a datagram, with
//! descriptors beside it. Answers come in any order and carry the question's number.

use quayside_runtime::image::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    pub number: u64,
    pub ask: Ask,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// `reference` is a tag or a digest.
    Manifest {
        repository: String,
        reference: String,
    },
    /// With `content`, its bytes too.
    Blob {
        digest: Digest,
        content: bool,
    },
    Tags {
        repository: String,
        page: Page,
    },
    Catalog {
        page: Page,
    },
    /// A file to write an upload into.
    Begin,
    /// An upload is complete, and should have this digest.
    End {
        upload: u64,
        digest: Digest,
    },
    Cancel {
        upload: u64,
    },
    /// A manifest under a tag, or under its own digest. Its bytes come as a descriptor.
    Put {
        repository: String,
        reference: String,
        media_type: Option<String>,
    },
    /// The name of a tag, or all names that the manifest with this digest has in the repository.
    Delete {
        repository: String,
        reference: String,
    },
}

/// Names in one answer: what fits in a datagram.
pub const NAMES_MAX: usize = 400;

/// So many names of a list, at most [`NAMES_MAX`], and only those behind `last`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page {
    pub count: usize,
    pub last: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Reply {
    pub number: u64,
    pub answer: Answer,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// With its bytes as a descriptor.
    Manifest {
        digest: Digest,
        media_type: String,
        bytes: u64,
    },
    /// With a descriptor if its content was asked for: a file, or a pipe.
    Blob {
        bytes: u64,
        is_file: bool,
    },
    /// In their order; `more`: there are others behind them.
    Names {
        names: Vec<String>,
        more: bool,
    },
    /// With the file as a descriptor.
    Begun {
        upload: u64,
    },
    Done {
        digest: Option<Digest>,
    },
    /// In the specification's words.
    Refused {
        status: u16,
        code: Code,
        message: String,
    },
}

/// The specification's error codes, as far as they occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    Denied,
    Unsupported,
    Toomanyrequests,
    Unknown,
}

impl Answer {
    pub fn refused(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self::Refused { status, code, message: message.into() }
    }
}
