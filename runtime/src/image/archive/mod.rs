//! Layers as archives: tar streams, compressed or not, in and out.
//!
//! ```text
//! blob ─▶ compression ─▶ walk ─▶ entry: judged ─▶ unpack ─▶ directory in overlay form
//!                                                               │
//! blob ◀─ compression ◀─ header ◀─ pack ◀───────────────────────┘
//! ```
//!
//! An archive is written by a stranger. Its names are followed only beneath an open root, its sizes are counted before
//! they are believed, and whatever is wrong with it ends in an error that says so. Everything streams: memory is the same
//! for a layer of a kilobyte and of ten gigabytes.

pub mod limits;
pub mod compression;
pub mod pax;
pub mod sparse;
pub mod entry;
pub mod walk;
pub mod whiteout;
pub mod unpack;
pub mod blob;
pub mod header;
pub mod pack;
pub mod merge;
pub mod fuzz;

/// Everything in a tar stream begins at a multiple of this, and is filled up to one (tar(5)).
const BLOCK_BYTES: usize = 512;

/// How many zeros follow a content of so many bytes.
fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_BYTES as u64) as usize
}

#[cfg(test)]
mod tests;
