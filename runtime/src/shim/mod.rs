//! The process that owns a sandbox's terminals, and outlives web and keeper.
//!
//! One thread, one epoll loop, no capability. It keeps what must not be lost when anything above it
//! dies: the numbered scrollback of every terminal, which input of which viewer it has taken, which
//! run actions it has typed, and which scripts have run. Everything inside the sandbox is done by a
//! fresh child that joins the user namespace first and the others after it ([`enter`]).

pub mod wire;
pub mod protocol;
mod ring;
mod marks;
mod modes;
mod drawing;
mod picture;
mod typing;
mod enter;
mod pty;
pub(crate) mod frames;
mod terminal;
mod exec;
mod files;
mod serve;
pub mod client;

pub use serve::run;
