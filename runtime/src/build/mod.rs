//! Building an image from a Dockerfile.

pub mod steps;
