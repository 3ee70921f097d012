//! The harness: a machine to launch sandboxes on, a census of what they leave behind, and a whole service with
//! visitors that speak the page's protocol.
//!
//! Everything goes through the real binary, started as a child: a launch forks and wants one thread,
//! and every test of libtest runs on a second one.

pub mod needs;
pub mod binary;
pub mod census;
pub mod killing;
pub mod images;
pub mod registry;
pub mod peers;
pub mod bridge;
pub mod machine;
pub mod figures;
pub mod turns;
pub mod others;
pub mod service;
pub mod visitor;
