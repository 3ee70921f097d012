//! HTTP: pages, and the files they load.

pub mod assets;
pub mod pages;
