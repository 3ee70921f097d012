//! Sessions: one learner in one scenario, with a machine of their own.
//!
//! [`Roster`] starts and finds them; each has a task that owns it ([`actor`]); [`view`] is what may be known of
//! one from outside; [`line`] is who waits for a place. This module knows nothing of HTTP, cookies or JSON.

pub mod view;

pub mod check;
pub mod place;
pub mod script;
mod clock;
mod line;
mod launch;
mod handle;
mod actor;
mod shelf;
mod roster;

pub use actor::PREPARING_MAX;
pub use handle::{CONNECTIONS_MAX, Handle, Refusal};
pub use roster::{Found, LeastUsed, Roster, Start, StartError};
pub use shelf::Shelf;
