//! The only privileged part: admits, creates, lists and destroys sandboxes.

pub mod protocol;
