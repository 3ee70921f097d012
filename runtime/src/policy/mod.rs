//! What a sandbox may do: policy as data, a reason on each entry.

pub mod seccomp;
pub mod capabilities;
pub mod devices;
pub mod masks;
