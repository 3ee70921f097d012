//! One process in a fresh container made from layers, as Docker does it: a `RUN` of a Dockerfile.
//!
//! Not a sandbox: it has no user namespace of its own. Its root is the root of whoever starts it (the host's, or a
//! sandbox's), with Docker's few capabilities. What that is worth is in docs/SECURITY.md.
//!
//! ```text
//! caller (any thread of many)        monitor (one thread)          PID 1 (one thread)
//!   plan, as data
//!   ├─ start `container-init` ─────▶ plan read
//!   │                                its group, unshare(PID)
//!   │                                fork ───────────────────────▶ unshare(the others)
//!   ◀──────────────────────────────────────────────────── events ── mounts, pivot, seccomp, ids
//!   ◀─────────────────────────────── it runs ◀──────────────────── exec
//!   ◀─ output, by two pipes ────────────────────────────────────── writes
//!   ├─ end it (cancel, time, death) ▶ kill
//!   ◀─────────────────────────────── how it ended ◀──────────────── exit
//! ```
//!
//! The caller may have threads, so it never forks by itself: it starts this program anew, which has one. Who dies
//! takes those to its right along: the monitor sees its channel close, and PID 1 has a death signal; with PID 1
//! goes everything in its pid namespace (pid_namespaces(7)).

pub mod spec;
pub mod valid;
pub mod error;
pub mod in_root;
pub mod user;
pub mod plan;
mod words;
mod message;
mod overlay;
mod mount_points;
mod program;
mod steps;
pub mod monitor;
pub mod run;
mod errands;

pub use errands::InContainers;
pub use error::ContainerError;
pub use run::{Cancel, Runner};
pub use spec::{ContainerSpec, Exit, Input, Said};
