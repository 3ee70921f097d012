//! Loading a filter (seccomp(2)).

use std::io;

use nix::errno::Errno;
use seccompiler::BpfProgramRef;

#[repr(C)]
struct SockFprog {
    len: u16,
    filter: *const seccompiler::sock_filter,
}

/// Loads `program` for this thread and everything that it will start.
///
/// Without NO_NEW_PRIVS, which would break sudo, su, newuidmap and ping: so the caller must have
/// CAP_SYS_ADMIN in its user namespace (seccomp(2), EACCES).
pub fn load(program: BpfProgramRef) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let fprog = SockFprog { len, filter: program.as_ptr() };
    // SAFETY: `fprog` points to `len` instructions that live through the call; the kernel copies and
    // verifies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
