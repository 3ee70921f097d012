//! A registry of our own: the images of this installation for Docker, podman, skopeo and everybody who speaks `/v2/`.
//!
//! ```text
//! docker pull localhost:5000/golang ──http──▶ front: an id without an account, no privilege, no path of the store
//!                                               │  questions and answers, and descriptors: a blob to read,
//!                                               ▼  a file to write an upload into
//!                                             holder: root, has the store; parses no HTTP
//! ```
//!
//! The OCI distribution specification, version 1.1. Layers of our own go out uncompressed, under their diff ids: they are
//! made from their files while they are sent, and nothing is kept for it. Layers that came from outside go as they came,
//! and what was pushed here under a tag, an index of several platforms too, goes out under the digest that it came under.
//!
//! Names: what is `docker.io/library/x` or `docker.io/x` here is `localhost:5000/x` and `localhost:5000/library/x` there.
//! What is pushed to `localhost:5000/x` keeps that name, and hides the other one here.

pub mod path;
pub mod protocol;
pub mod uploads;
pub mod holder;
pub mod answer;
pub mod front;

/// One blob, uncompressed layers above all. The largest in use have 10 GB; a disk is gone sooner than this limit.
pub const UPLOAD_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
