//! Ending a sandbox: always in this order, past failures, until nothing is left.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lease::{self, Ids};
use crate::cgroup;
use crate::spec::SandboxId;
use crate::spec::data_dir::DataDir;

/// What stands on disk about a sandbox, so that whoever comes next can find or end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: SandboxId,
    pub ids: Ids,
    pub image: String,
    /// Of the image, bottom to top: they stay while this sandbox is there.
    #[serde(default)]
    pub layers: Vec<PathBuf>,
    pub hostname: String,
    pub cgroup: cgroup::plan::Plan,
    /// A keeper's, to be found again by the next one; else `quayside run`'s.
    #[serde(default)]
    pub kept: bool,
    /// 0 until the shim runs.
    pub shim_pid: i32,
    #[serde(default)]
    pub launch_us: u64,
}

const RECORD: &str = "sandbox.json";

impl Record {
    /// Writes it whole or not at all.
    pub fn save(&self, data: &DataDir) -> io::Result<()> {
        let directory = data.sandbox(self.id);
        let unfinished = directory.join("sandbox.json.tmp");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        io::Write::write_all(&mut file, &serde_json::to_vec(self)?)?;
        fs::rename(&unfinished, directory.join(RECORD))
    }

    fn load(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(directory.join(RECORD))?)?)
    }
}

/// A directory below `sandboxes/`, and whether its shim lives.
#[derive(Debug)]
pub enum Found {
    Alive(Record),
    Dead(Record),
    /// No record that reads: the launch never got that far, or the disk was full.
    Unknown(PathBuf),
}

/// Every sandbox of a data directory. Alive is who holds its lease's lock.
pub fn find_all(data: &DataDir) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data.sandboxes())? {
        let directory = entry?.path();
        let Ok(record) = Record::load(&directory) else {
            found.push(Found::Unknown(directory));
            continue;
        };
        let alive = lease::is_held_by(&data.leases(), record.ids.slot, record.id)?;
        found.push(if alive { Found::Alive(record) } else { Found::Dead(record) });
    }
    Ok(found)
}

/// What could not be removed; all of it is tried.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Leftovers(pub Vec<String>);

/// How long a shim may take to end its sandbox in order.
const ORDERLY: std::time::Duration = std::time::Duration::from_secs(4);

/// Lets the shim end everything inside in order, SIGTERM first, and waits for it a bounded time.
pub fn ask_to_end(shim: BorrowedFd) {
    use rustix::event::{PollFd, PollFlags, poll};
    if rustix::process::pidfd_send_signal(shim, rustix::process::Signal::TERM).is_ok() {
        let timeout = rustix::time::Timespec { tv_sec: ORDERLY.as_secs() as i64, tv_nsec: 0 };
        // Readable when it has ended (pidfd_open(2)); whatever comes of it, the groups are killed next.
        let _ = poll(&mut [PollFd::from_borrowed_fd(shim, PollFlags::IN)], Some(&timeout));
    }
}

/// Removes everything of a sandbox whose shim has ended or is about to be killed with its groups.
pub fn destroy(data: &DataDir, record: &Record) -> Result<(), Leftovers> {
    let mut left: Vec<String> = Vec::new();
    // 1. Processes: the groups hold the shim too, so nothing can start anything more.
    left.extend(cgroup::tree::destroy(&record.cgroup).iter().map(ToString::to_string));
    // 2. The socket, so that nobody waits on it.
    let socket = data.shims().join(socket_name(record.id));
    if let Err(error) = fs::remove_file(&socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        left.push(format!("cannot remove {}: {error}", socket.display()));
    }
    // 3. The disk and the record. Mounts and loop device went with the last process.
    let directory = data.sandbox(record.id);
    if let Err(error) = fs::remove_dir_all(&directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        left.push(format!("cannot remove {}: {error}", directory.display()));
    }
    if left.is_empty() { Ok(()) } else { Err(Leftovers(left)) }
}

/// A record follows its directory within milliseconds.
const WITHOUT_RECORD: std::time::Duration = std::time::Duration::from_secs(60);

fn is_young(directory: &Path) -> bool {
    let age = fs::metadata(directory).and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
    age.is_none_or(|age| age < WITHOUT_RECORD)
}

/// Ends what has no owner any more. Returns the living.
pub fn sweep(data: &DataDir) -> io::Result<(Vec<Record>, Vec<Leftovers>)> {
    let mut alive = Vec::new();
    let mut left = Vec::new();
    for found in find_all(data)? {
        match found {
            Found::Alive(record) => alive.push(record),
            Found::Dead(record) => left.extend(destroy(data, &record).err()),
            // A launch that begins this moment has its directory, and no record in it yet.
            Found::Unknown(directory) if is_young(&directory) => {}
            Found::Unknown(directory) => {
                if let Err(error) = fs::remove_dir_all(&directory) {
                    left.push(Leftovers(vec![format!("cannot remove {}: {error}", directory.display())]));
                }
            }
        }
    }
    Ok((alive, left))
}

/// Ends every sandbox that a keeper has left; returns how many. Only when no keeper runs.
pub fn end_all(data: &DataDir) -> io::Result<usize> {
    let (alive, _) = sweep(data)?;
    let kept: Vec<Record> = alive.into_iter().filter(|record| record.kept).collect();
    for record in &kept {
        destroy(data, record).map_err(io::Error::other)?;
    }
    Ok(kept.len())
}

/// The file name of a shim's socket.
pub fn socket_name(id: SandboxId) -> String {
    format!("{id}.sock")
}
