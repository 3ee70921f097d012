//! The service as a browser meets it: sessions, terminals, checks, and everybody who should be turned away.
//! A keeper and shims are played by the harness.

#[allow(dead_code, reason = "other suites use the rest of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod sessions;
mod restarts;
mod checks;
mod terminals;
mod turned_away;
mod pages;
mod questions;

const VIEWER: u128 = 7;

fn path(session: &str, terminal: u16) -> String {
    format!("/api/sessions/{session}/terminals/{terminal}")
}
