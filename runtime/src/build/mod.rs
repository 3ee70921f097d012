//! Building an image from a Dockerfile.

pub mod steps;
pub mod context;
pub mod key;
pub mod explain;
