//! The only privileged part: admits, creates, lists and destroys sandboxes, and prepares images.
//!
//! A synchronous loop of one thread. Whatever takes time (a launch, a tear-down, an image) is done by
//! a forked worker, so that thirty starts in one second share the cores and none waits for another;
//! a worker dies with the keeper, and what it held is found and ended by the next one.
//! What can be asked of it stands in [`protocol`]; `serve` is the loop.

pub mod protocol;
mod worker;
mod serve;

pub use serve::{Config, Tone, run};
