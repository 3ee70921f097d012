//! Sessions: one learner in one scenario, with a machine of their own.
//!
//! [`Roster`] starts and finds them; each has a task that owns it ([`actor`]); [`view`] is what may be known of
//! one from outside. This module knows nothing of HTTP, cookies or JSON.

pub mod view;

pub mod check;
pub mod files;
pub mod place;
pub mod script;
mod launch;
mod actor;
mod shelf;
mod roster;

pub use actor::{CONNECTIONS_MAX, Handle, PREPARING_MAX, Refusal};
pub use roster::{Found, Roster, StartError};
pub use shelf::Shelf;
