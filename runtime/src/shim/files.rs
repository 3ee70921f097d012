//! Placing files inside: a fresh child joins the sandbox and takes the connection with it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::enter::{join_rest, without_waiting};
use super::protocol::{FILES_MAX, FileHead, Finished, FromShim, ToShim};
use super::wire::{read_frame, write_frame};
use crate::cgroup::plan::Member;
use crate::cgroup::tree;
use crate::launch::child::{Sandbox, open_cgroup, restrict};
use crate::sys::process::{Fork, ForkOptions, become_id, exit_now, fork};

/// Hands `stream` to a child that writes the files and answers on it. `first` was read already.
pub fn receive(sandbox: &Sandbox, stream: UnixStream, first: Vec<u8>) -> io::Result<()> {
    let cgroup = open_cgroup(&sandbox.plan, Member::Init)?;
    if let Fork::Child = fork(ForkOptions { cgroup: cgroup.as_ref().map(AsFd::as_fd), sibling: false })? {
        let result = join(sandbox, &stream).and_then(|()| write_all(&mut io::Cursor::new(first).chain(&stream)));
        let answer = match result {
            Ok(finished) => FromShim::Finished(finished),
            Err(error) => FromShim::Failed { message: error.to_string() },
        };
        exit_now(i32::from(write_frame(&mut &stream, &answer.encode()).is_err()));
    }
    Ok(())
}

/// Into every namespace but pid's (that is for children): so no learner sees this process, or can
/// trace it.
fn join(sandbox: &Sandbox, stream: &UnixStream) -> io::Result<()> {
    tree::enter_v1(&sandbox.plan.cgroup, Member::Init).map_err(io::Error::other)?;
    nix::sched::setns(&sandbox.user_namespace, nix::sched::CloneFlags::CLONE_NEWUSER)?;
    become_id(0, 0)?;
    join_rest(sandbox)?;
    restrict()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    stream.set_nonblocking(false)
}

fn write_all(input: &mut impl Read) -> io::Result<Finished> {
    let begin = Instant::now();
    let mut total = 0;
    let mut open: Option<(FileHead, fs::File, u64)> = None;
    loop {
        let frame = read_frame(input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match (ToShim::decode(&frame).map_err(io::Error::other)?, &mut open) {
            (ToShim::File(head), _) => {
                close(open.take())?;
                total += head.size;
                if total > FILES_MAX {
                    return Err(io::Error::other(format!("files of more than {FILES_MAX} bytes at once; send fewer")));
                }
                let file = create(&head).map_err(|error| naming(&head.path, error))?;
                open = Some((head, file, 0));
            }
            (ToShim::Data(bytes), Some((head, file, written))) => {
                *written += bytes.len() as u64;
                if *written > head.size {
                    return Err(naming(&head.path, io::Error::other("more bytes than announced")));
                }
                file.write_all(&bytes).map_err(|error| naming(&head.path, error))?;
            }
            (ToShim::Data(_), None) => return Err(io::Error::other("bytes before any file")),
            (ToShim::End, _) => {
                close(open.take())?;
                let duration_ms = begin.elapsed().as_millis() as u64;
                return Ok(Finished { code: 0, timed_out: false, dropped_bytes: 0, duration_ms });
            }
        }
    }
}

fn create(head: &FileHead) -> io::Result<fs::File> {
    let path = Path::new(&head.path);
    if !path.is_absolute() {
        return Err(io::Error::other("not an absolute path"));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = without_waiting().write(true).create(true).truncate(true).mode(head.mode & 0o7777).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(head.mode & 0o7777))?;
    Ok(file)
}

fn close(open: Option<(FileHead, fs::File, u64)>) -> io::Result<()> {
    match open {
        Some((head, _, written)) if written < head.size => {
            Err(naming(&head.path, io::Error::other("fewer bytes than announced")))
        }
        _ => Ok(()),
    }
}

fn naming(path: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot place {path} in the sandbox: {error}"))
}
