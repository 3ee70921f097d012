//! How much one archive may hold. Over a limit unpacking stops: a small archive can hold gigabytes of zeros.
//!
//! The length of a name is limited where a [`Name`](crate::image::beneath::Name) is made: the kernel takes no longer one.

/// The limits of one archive.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of content, holes counted as if they were none, and of extended headers.
    pub bytes_max: u64,
    /// Headers, extended ones too.
    pub entries_max: u64,
    /// Parts of one name.
    pub depth_max: usize,
}

impl Limits {
    /// A layer of an image. The largest in use, with a machine learning framework or a whole TeX, have 10 GB and 200,000
    /// files, and a file with attributes takes two headers.
    pub const LAYER: Limits = Limits { bytes_max: 16 * 1024 * 1024 * 1024, entries_max: 500_000, depth_max: DEPTH_MAX };

    /// A package. The largest that a lesson needs (a Go toolchain) has 500 MB in 15,000 files.
    pub const PACKAGE: Limits =
        Limits { bytes_max: 2 * 1024 * 1024 * 1024, entries_max: 200_000, depth_max: DEPTH_MAX };

    /// The control part of a package, which is read into memory: names, sums and scripts.
    pub const CONTROL: Limits = Limits { bytes_max: 16 * 1024 * 1024, entries_max: 100, depth_max: DEPTH_MAX };
}

/// Nested package folders, the deepest that people make, reach 50. Who walks a tree holds a descriptor for each level, and
/// a process has 1,024 of them.
pub const DEPTH_MAX: usize = 256;

/// One extended header (long name, attributes). GNU and PAX names fit in PATH_MAX; the largest attribute is 64 KiB.
pub const EXTENSION_MAX_BYTES: u64 = 1024 * 1024;

/// What may follow the end of an archive. tar fills up to 10 KiB; a tape's largest block is some mebibytes.
pub const TRAILER_MAX_BYTES: u64 = 16 * 1024 * 1024;
