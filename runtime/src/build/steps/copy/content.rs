//! The bytes of one file, by the quickest way that the kernel has, and with its holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, Stat, copy_file_range, seek};
use rustix::io::Errno;

/// What is copied at once where the kernel does not do it.
const COPY_BYTES: usize = 128 * 1024;

/// The kernel copies at most this in one call (copy_file_range(2)); a round number below it.
const RANGE_BYTES: u64 = 1 << 30;

/// st_blocks counts these (stat(3type)), whatever a file system's own blocks are.
const STAT_BLOCK_BYTES: u64 = 512;

/// How contents are copied.
#[derive(Debug, Default)]
pub struct Contents {
    /// copy_file_range(2) is refused between these two file systems, so it is not asked again.
    by_hand: bool,
}

impl Contents {
    /// Copies a file into one that is new and empty. Gives its size.
    pub fn copy(&mut self, from: &File, stat: &Stat, to: &File) -> io::Result<u64> {
        let size = stat.st_size as u64;
        if stat.st_blocks as u64 * STAT_BLOCK_BYTES >= size {
            self.piece(from, to, 0, size)?;
            return Ok(size);
        }
        // Fewer blocks than bytes: there are holes (lseek(2), SEEK_DATA).
        let mut at = 0;
        while at < size {
            let data = match seek(from, SeekFrom::Data(at)) {
                // Nothing but a hole up to the end.
                Err(Errno::NXIO) => break,
                data => data?,
            };
            let hole = seek(from, SeekFrom::Hole(data))?.min(size);
            if data >= size {
                break;
            }
            self.piece(from, to, data, hole)?;
            at = hole;
        }
        to.set_len(size)?;
        Ok(size)
    }

    fn piece(&mut self, from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
        let mut at = start;
        while !self.by_hand && at < end {
            let (mut read, mut written) = (at, at);
            let most = (end - at).min(RANGE_BYTES) as usize;
            match copy_file_range(from, Some(&mut read), to, Some(&mut written), most) {
                // Some file systems say so of files that have more; reading tells.
                Ok(0) => break,
                Ok(count) => at += count as u64,
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => self.by_hand = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if at == end {
            return Ok(());
        }
        let mut buffer = vec![0; COPY_BYTES.min((end - at) as usize)];
        while at < end {
            let part = (end - at).min(buffer.len() as u64) as usize;
            match from.read_at(&mut buffer[..part], at) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter meanwhile")),
                Ok(count) => {
                    to.write_all_at(&buffer[..count], at)?;
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn holes_stay_holes_and_bytes_stay_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = File::options().create_new(true).read(true).write(true).open(&from).unwrap();
        file.write_all_at(b"middle", 5 << 20).unwrap();
        file.set_len(64 << 20).unwrap();
        for by_hand in [false, true] {
            let copy = File::options().create(true).truncate(true).read(true).write(true).open(&to).unwrap();
            let stat = rustix::fs::fstat(&file).unwrap();
            assert_eq!(Contents { by_hand }.copy(&file, &stat, &copy).unwrap(), 64 << 20);
            assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20, "holes were filled");
            let mut bytes = [0; 8];
            copy.read_exact_at(&mut bytes, (5 << 20) - 1).unwrap();
            assert_eq!(&bytes, b"\0middle\0");
        }
    }
}
