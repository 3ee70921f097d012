//! The server: lessons, sessions, terminals and pages over the runtime.

#![forbid(unsafe_code)]

pub mod config;
pub mod telemetry;
pub mod stop;
pub mod lesson;
pub mod learner;
pub mod store;
pub mod sandbox;
pub mod terminal;
pub mod session;
pub mod rehearsal;
pub mod web;
pub mod bundled;
pub mod supervisor;
pub mod doctor;
pub mod command;
