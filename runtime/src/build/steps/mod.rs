//! Carrying out one step of a build: what it is asked, as plain data, and the layer that it makes.
//!
//! ```text
//! request ─┐
//! site ────┼─▶ run, copy, workdir ─▶ draft ─▶ finish ─▶ layer
//! material ┘
//! ```
//!
//! This part knows nothing of Dockerfiles, keys and caches. [`request`] says what a step is, with everything expanded;
//! the planner makes it, shows it and makes a key of it, and hands it over here when there is no layer for it yet.

pub mod request;
pub mod error;
pub mod merged;
pub mod material;
mod mode;
pub mod owner;
pub mod fetch;
pub mod add;
pub mod copy;
pub mod workdir;
mod secrets;
pub mod caches;
mod mask;
pub mod output;
pub mod run;
pub mod finish;

pub use error::StepError;
pub use material::{Context, Materials, Site, Verdict};

#[cfg(test)]
mod tests;
