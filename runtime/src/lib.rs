//! The container runtime, to be read as well as run.

#![deny(unsafe_code)]

#[cfg(test)]
mod numbers;
pub mod printable;
pub mod sys;
mod deep;
pub mod spec;
pub mod image;
pub mod cgroup;
pub mod policy;
pub mod network;
pub mod rootfs;
pub mod launch;
pub mod container;
pub mod build;
pub mod sizing;
pub mod init;
pub mod shim;
pub mod keeper;
pub mod service;
pub mod host;
