//! The server: lessons, sessions, terminals and pages over the runtime.

#![forbid(unsafe_code)]

pub mod lesson;
pub mod web;
pub mod command;
