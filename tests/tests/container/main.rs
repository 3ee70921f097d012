//! One container from layers: what its process sees, what is left in its layer, and that nothing else is left.
//!
//! The same tests run on the plain host and, by one of them (`elsewhere`), as the root of a sandbox.
//! `yard` is what they are made of; read it first, and then what you came for.

mod yard;
mod process;
mod sight;
mod mounts;
mod layer;
mod hostile;
mod faults;
mod elsewhere;
