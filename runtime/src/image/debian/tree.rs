//! A layer in the making, and what lies below it.
//!
//! What is written goes into the layer; what is read may be in any, and the highest counts, as it will for whoever runs on
//! all of them.

use std::io::{self, Read};

use crate::image::beneath::{Meta, Name, Root};

pub struct Tree<'a> {
    pub top: &'a Root,
    /// The layers below, the lowest first.
    below: &'a [Root],
}

impl<'a> Tree<'a> {
    pub fn new(top: &'a Root, below: &'a [Root]) -> Self {
        Self { top, below }
    }

    /// Whether nothing is below.
    pub fn is_lowest(&self) -> bool {
        self.below.is_empty()
    }

    /// A text of the highest layer that has the name.
    pub fn read(&self, name: &Name) -> io::Result<String> {
        let layers = std::iter::once(self.top).chain(self.below.iter().rev());
        let holder = layers.into_iter().find(|layer| layer.exists(name));
        let mut text = String::new();
        holder.unwrap_or(self.top).read(name)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Owner and mode of what the layers below have under this name.
    pub fn meta_below(&self, name: &Name) -> Option<Meta> {
        let stat = self.below.iter().rev().find_map(|layer| layer.stat(name).ok())?;
        Some(Meta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime: None })
    }
}
