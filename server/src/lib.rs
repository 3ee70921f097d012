//! The server: lessons, sessions, terminals and pages over the runtime.

#![forbid(unsafe_code)]

pub mod config;
pub mod telemetry;
pub mod metrics;
pub mod stop;
pub mod account;
pub mod notify;
pub mod tls;
pub mod control;
pub mod lesson;
pub mod learner;
pub mod store;
pub mod sandbox;
pub mod terminal;
pub mod session;
pub mod rehearsal;
pub mod web;
pub mod bundled;
mod reach;
pub mod supervisor;
pub mod doctor;
pub mod registry;
pub mod command;
