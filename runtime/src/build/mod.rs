//! Building an image from a Dockerfile.
//!
//! ```text
//! bytes → syntax → instruction → stages → scope → plan → key → cache: hit, or steps: layer → image
//!                                                   ↑                  ↓
//!                                        context, base images        explain → events → show
//! ```
//!
//! Everything up to the planner is data in, data out: no file is opened and nothing of the machine is looked at.

pub mod source;
pub mod warning;
pub mod shell;
pub mod syntax;
pub mod instruction;
pub mod dockerfile;
pub mod scope;
pub mod stages;
pub mod pattern;
pub mod ignore;
pub mod steps;
pub mod plan;
pub mod changes;
pub mod context;
pub mod key;
pub mod explain;
pub mod cache;
pub mod event;
pub mod show;
pub mod solve;
pub mod fuzz;

pub use dockerfile::{Dockerfile, Stage, parse, parse_trigger};
