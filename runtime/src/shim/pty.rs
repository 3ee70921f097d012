//! A sandbox's terminal behind portable-pty's traits: code above does not know whose pty it is.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use portable_pty::{MasterPty, PtySize};

/// The master of a pty that lives in a sandbox's devpts.
#[derive(Debug)]
pub struct SandboxPty {
    master: OwnedFd,
}

impl SandboxPty {
    /// Takes a master that an envoy opened.
    pub fn new(master: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master })
    }

    fn file(&self) -> io::Result<std::fs::File> {
        Ok(self.master.try_clone()?.into())
    }
}

impl MasterPty for SandboxPty {
    fn resize(&self, size: PtySize) -> anyhow::Result<()> {
        let PtySize { rows, cols, pixel_width, pixel_height } = size;
        let size =
            rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: pixel_width, ws_ypixel: pixel_height };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    fn get_size(&self) -> anyhow::Result<PtySize> {
        let size = rustix::termios::tcgetwinsize(&self.master)?;
        Ok(PtySize { rows: size.ws_row, cols: size.ws_col, pixel_width: size.ws_xpixel, pixel_height: size.ws_ypixel })
    }

    fn try_clone_reader(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.file()?))
    }

    fn take_writer(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.file()?))
    }

    fn process_group_leader(&self) -> Option<libc::pid_t> {
        rustix::termios::tcgetpgrp(self.master.as_fd()).ok().map(|pid| pid.as_raw_nonzero().get())
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.master.as_raw_fd())
    }

    fn tty_name(&self) -> Option<std::path::PathBuf> {
        None
    }
}

/// Drops what the kernel holds of a terminal's input, as it would itself for the key that comes next.
///
/// Its line discipline takes nothing, not even Ctrl-C, while 4096 bytes of lines wait for a program that
/// does not read. A program that has switched signals or this flushing off (termios(3): ISIG, NOFLSH)
/// keeps its input.
pub fn flush_ahead_of_signal(master: BorrowedFd) -> io::Result<()> {
    use rustix::termios::{LocalModes, QueueSelector, tcflush, tcgetattr};
    let modes = tcgetattr(master)?.local_modes;
    if modes.contains(LocalModes::ISIG) && !modes.contains(LocalModes::NOFLSH) {
        let slave =
            rustix::pty::ioctl_tiocgptpeer(master, rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)?;
        tcflush(&slave, QueueSelector::IFlush)?;
    }
    Ok(())
}
