//! Bytes as a file without a path (memfd_create(2)).

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A sealed copy of some bytes: whoever gets the descriptor can read them and nobody can change them.
pub fn sealed_bytes(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("quayside", flags)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    // A shell opens it anew through /dev/fd; as standard input it is read from here.
    file.rewind()?;
    Ok(file.into())
}
