//! A program that a layer is made by: Go's compiler fills a cache.
//!
//! Images know nothing of containers, which are made of them. So whoever prepares an image brings what runs programs
//! along, as [`Errands`]; `container` has the one there is.

use std::fmt;
use std::path::{Path, PathBuf};

/// One program, run to its end as root in a container of its own, without a network. What it writes anywhere but in
/// `kept` is thrown away.
#[derive(Debug)]
pub struct Errand<'a> {
    /// For messages: letters, digits and hyphens.
    pub name: &'a str,
    /// What it runs in, bottom to top.
    pub layers: &'a [PathBuf],
    pub args: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
    /// A folder of this machine, and where it is in the container.
    pub kept: (&'a Path, &'a Path),
    /// A folder of this machine that is not there yet, beside the layers.
    pub scratch: &'a Path,
}

/// Runs errands.
pub trait Errands: fmt::Debug + Send + Sync {
    /// `line` hears how many lines the program has written since it was last called. The error says why, in words.
    fn run(&self, errand: &Errand, lines: &mut dyn FnMut(usize)) -> Result<(), String>;
}
