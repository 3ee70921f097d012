//! Control groups: where a host keeps them, the tree of one sandbox, and how a process gets in.
//!
//! Hosts differ: v2 alone (most), v1 alone, or hybrid with the controllers on v1 and a bare v2 tree
//! beside them. [`layout`] finds out, [`parent`], [`turns`] and [`plan`] decide as plain data, [`tree`] carries it out.
//!
//! ```text
//! PARENT/quayside-host          where the host's side moves, when PARENT is delegated to us
//!       /quayside/ID            the owner's
//!                 ├─ shim       the shim: nothing a learner does can take its room
//!                 ├─ check      verify scripts: pids and memory that a fork bomb cannot take
//!                 └─ payload    the learner's limits; root of the sandbox's cgroup namespace
//!                    └─ init    every process of the sandbox (on v2 a group with children that
//!                               have controllers must hold no process itself: cgroups(7))
//! ```

pub mod layout;
pub mod parent;
pub mod turns;
pub mod plan;
pub mod tree;
pub mod container;
