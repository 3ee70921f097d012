//! Carrying out one step of a build: what it is asked, as plain data, and the layer that it makes.
//!
//! This part knows nothing of Dockerfiles, keys and caches. [`request`] says what a step is, with everything expanded;
//! the planner makes it, shows it and makes a key of it, and hands it over here when there is no layer for it yet.

pub mod request;
