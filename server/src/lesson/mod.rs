//! Scenarios in Killercoda's format, and Katacoda's: from files to plain data.

pub mod model;
