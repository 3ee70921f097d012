//! The process that owns a sandbox's terminals and outlives web and keeper.

pub mod wire;
pub mod protocol;
