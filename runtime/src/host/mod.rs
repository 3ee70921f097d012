//! What this host has of what a sandbox needs, found out by trying it.
//!
//! Whether a kernel allows something depends on its version, its settings, a security module and
//! whatever container we are in ourselves. No list of versions tells that, so [`probe`] does what a
//! launch does, each thing in a child of its own ([`trial`]) that ends with everything it made.
//! [`finding`] is the result as plain data; what to say about it, and what to do, is for whoever asked.

pub mod memory;
pub mod finding;
mod trial;
pub mod probe;
