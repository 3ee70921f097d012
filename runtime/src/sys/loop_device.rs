//! A file as a block device (loop(4)).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// Between asking for a free device and taking it another process may take it: ask again, so often.
const RACES_MAX: u32 = 64;

/// `struct loop_info64`; only `lo_flags` is ours to fill.
#[repr(C)]
struct LoopInfo64 {
    before_flags: [u64; 5],
    number_and_encryption: [u32; 3],
    flags: u32,
    names_and_key: [u8; 64 + 64 + 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// A loop device whose number the kernel frees when the last user (a mount, or this handle) is gone.
pub struct LoopDevice {
    pub device: File,
    /// As in `/dev/loopN`.
    pub number: u32,
}

/// Backs a free loop device with `file`, of `block_size` bytes a block.
pub fn attach(file: BorrowedFd, block_size: u32) -> io::Result<LoopDevice> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    for _ in 0..RACES_MAX {
        // SAFETY: this request takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let number = Errno::result(number).map_err(io::Error::from)? as u32;
        let device = match OpenOptions::new().read(true).write(true).open(format!("/dev/loop{number}")) {
            Ok(device) => device,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The node of a device that was just made may lag behind where udev makes it.
                std::thread::sleep(std::time::Duration::from_millis(1));
                continue;
            }
            Err(error) => return Err(error),
        };
        match configure(&device, file, block_size) {
            Ok(()) => return Ok(LoopDevice { device, number }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => continue,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

fn configure(device: &File, file: BorrowedFd, block_size: u32) -> io::Result<()> {
    let config = LoopConfig {
        fd: file.as_raw_fd() as u32,
        block_size,
        info: LoopInfo64 {
            before_flags: [0; 5],
            number_and_encryption: [0; 3],
            flags: LO_FLAGS_AUTOCLEAR,
            names_and_key: [0; 160],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: `config` has the layout of `struct loop_config` (304 bytes) and lives through the call,
    // which only reads it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

const _: () = assert!(size_of::<LoopConfig>() == 304, "struct loop_config of <linux/loop.h>");
