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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::io::{Errno, write};
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    use super::*;

    /// A pty whose slave is open and read by nobody.
    fn unread() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).expect("a pty");
        unlockpt(&master).expect("unlocked");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its slave");
        rustix::io::ioctl_fionbio(&master, true).expect("non-blocking");
        (master, slave)
    }

    fn fill(master: &OwnedFd) {
        let mut lines = 0;
        loop {
            match write(master, b"0123456789012345678901234567890123456789012345678901234567890\n") {
                Ok(_) => lines += 1,
                Err(error) => break assert_eq!(error, Errno::AGAIN),
            }
            // The kernel moves bytes to the slave when it has time to.
            std::thread::sleep(std::time::Duration::from_micros(200));
            assert!(lines < 100_000, "the queue has an end");
        }
    }

    #[test]
    fn a_key_that_interrupts_passes_a_queue_that_nobody_reads() {
        let (master, _slave) = unread();
        fill(&master);
        flush_ahead_of_signal(master.as_fd()).expect("flushed");
        assert_eq!(write(&master, b"\x03"), Ok(1));
    }

    #[test]
    fn a_terminal_without_such_keys_keeps_what_was_typed() {
        let (master, slave) = unread();
        let mut modes = tcgetattr(&slave).expect("modes");
        modes.local_modes -= LocalModes::ISIG;
        tcsetattr(&slave, OptionalActions::Now, &modes).expect("set");
        write(&master, b"kept\n").expect("room");
        flush_ahead_of_signal(master.as_fd()).expect("nothing to do");
        let mut line = [0; 16];
        assert_eq!(rustix::io::read(&slave, &mut line), Ok(5));
    }
}
