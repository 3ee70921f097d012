//! A learner without an account: the name that pages call them by, the code that carries them to another
//! browser, and what a browser is called in their list of devices.
//!
//! Pure data; the store keeps it and the pages show it. `docs/decisions/0010` says why a code is what it is.

mod code;
mod handle;
mod browser;

pub use browser::browser_name;
pub use code::{CODE_LIFE_MS, CodeError, ResumeCode};
pub use handle::handle;
