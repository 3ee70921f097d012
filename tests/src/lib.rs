//! The harness: a machine to launch sandboxes on, and a census of what they leave behind.
//!
//! Everything goes through the real binary, started as a child: a launch forks and wants one thread,
//! and every test of libtest runs on a second one.

pub mod needs;
pub mod binary;
pub mod census;
pub mod machine;
