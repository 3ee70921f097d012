//! The container runtime, to be read as well as run.

#![deny(unsafe_code)]

pub mod spec;
pub mod image;
pub mod shim;
pub mod keeper;
