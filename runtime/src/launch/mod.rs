//! Starting a sandbox: a plan, a privileged parent, and children that give up the host step by step.
//!
//! ```text
//! parent (root)                      shim (owner id)          launcher             PID 1
//!   lease ids, make cgroups, disk
//!   ├─ start the shim ─────────────▶ hello
//!   │                                 fork ──────────────────▶ unshare(USER)
//!   ◀─────────────────────────────────────────────── user namespace, please map
//!   write maps; id-map layers, disk
//!   lock what stays mounted
//!   ├─ mounts as descriptors ────────────────────────────────▶ become its root
//!   │                                                          unshare the others
//!   │                                                          network, clocks
//!   │                                                          fork ──────────────▶ mount, pivot,
//!   ◀─────────────────────────────────────────────────────────────── terminals'      seccomp
//!   enable the payload's controllers                            exit                 exec init
//!   ├─ keep these ─────────────────▶ running: owns ptys from here on
//! ```
//!
//! Every step is an [`event::Event`]: the log, the error message, the benchmark and the lessons read
//! the same ones. A launch that fails names its step and leaves nothing behind.

pub mod event;
pub mod lease;
pub mod plan;
pub mod channel;
pub mod child;
pub mod program;
pub mod locked;
pub mod parent;
pub mod teardown;
