//! The sandbox's file system: layers, the session's disk, and everything mounted over them.

pub mod plan;
pub mod build;
pub mod disk;
