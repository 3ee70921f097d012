//! Making a sandbox's cgroups, entering them, and removing them.

use std::fs;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::layout::Layout;
use super::parent::Parent;
use super::plan::{COPY_FROM_PARENT, Member, Plan, Setting, Vacate};
use super::turns::{Together, Turns};
use crate::deep;

/// How long the kernel may take to empty a group whose processes were killed: one in an
/// uninterruptible sleep, a disk that is slow.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(10);

/// Rounds of moving processes out of a group: one forks while another is moved, but not for ever.
const VACATE_TRIES: u32 = 100;

/// Each time another process would have to remove the empty parent in the moment between two mkdirs.
const CREATE_TRIES: u32 = 10;

/// A step that failed, with the file it was about.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct Error {
    doing: &'static str,
    path: String,
    source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error { doing, path, source }
}

/// Makes the directories, hands over their join files and writes the limits.
pub fn create(plan: &Plan) -> Result<(), Error> {
    for directory in &plan.directories {
        let path = &directory.path;
        create_dir_all(path).map_err(failed("cannot make the cgroup", path))?;
    }
    if let Some(group) = &plan.vacate {
        vacate(group)?;
    }
    // Settings before owners: a v2 group's join files exist at once, but the controllers' files of a
    // child only after its parent's subtree_control was written.
    apply(&plan.settings)?;
    if let Some(together) = &plan.together {
        take_turns(together)?;
    }
    for directory in &plan.directories {
        let owner = directory.owner;
        let path = &directory.path;
        chown(path, Some(owner.uid), Some(owner.gid)).map_err(failed("cannot hand over the cgroup", path))?;
        for join in &directory.joins {
            let file = path.join(join);
            chown(&file, Some(owner.uid), Some(owner.gid)).map_err(failed("cannot hand over", &file))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).map_err(failed("cannot open up", &file))?;
        }
    }
    Ok(())
}

/// Like [`fs::create_dir_all`], and once more if somebody's [`sweep_parents`] comes between.
fn create_dir_all(path: &Path) -> io::Result<()> {
    for _ in 1..CREATE_TRIES {
        match fs::create_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    fs::create_dir_all(path)
}

/// Moves every process of a delegated group to the leaf: this one, its parents, a container's shell.
fn vacate(Vacate { from, to }: &Vacate) -> Result<(), Error> {
    let (procs, leaf) = (from.join("cgroup.procs"), to.join("cgroup.procs"));
    for _ in 0..VACATE_TRIES {
        let pids = fs::read_to_string(&procs).map_err(failed("cannot read", &procs))?;
        if pids.is_empty() {
            return Ok(());
        }
        // 0 stands for a process of a pid namespace above ours, which we cannot name.
        let pids = pids.lines().filter(|&pid| pid != "0");
        fs::create_dir_all(to).map_err(failed("cannot make the cgroup", to))?;
        for pid in pids {
            match write(&leaf, pid) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                    return Err(failed("cannot move a process of the delegated cgroup to", &leaf)(error));
                }
                _ => {} // moved, or ended in the meantime
            }
        }
    }
    Err(failed("cannot empty the delegated cgroup", from)(io::ErrorKind::ResourceBusy.into()))
}

/// What had to wait until PID 1 was in its place.
pub fn finish(plan: &Plan) -> Result<(), Error> {
    apply(&plan.late)
}

fn apply(settings: &[Setting]) -> Result<(), Error> {
    for setting in settings {
        let file = &setting.file;
        let written =
            if setting.value == COPY_FROM_PARENT { copy_from_parent(file) } else { write(file, &setting.value) };
        match written {
            Err(_) if setting.optional => {}
            other => other.map_err(failed("cannot write", file))?,
        }
    }
    Ok(())
}

/// Puts the group of all sandboxes behind the host's own programs, or gives it a share beside them.
pub fn take_turns(together: &Together) -> Result<(), Error> {
    let Together { turns, idle, weight, weight_value } = together;
    let is = fs::read_to_string(idle).ok().map(|text| text.trim() == "1");
    let put = |value: &str| write(idle, value).map_err(failed("cannot write", idle));
    match (turns, is) {
        (Turns::Behind, Some(true)) => return Ok(()),
        (Turns::Behind, Some(false)) => return put("1"),
        (Turns::Weighed, Some(true)) => put("0")?, // which makes its share that of one process
        (_, None) | (Turns::Weighed, Some(false)) => {}
    }
    match write(weight, &weight_value.to_string()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("cannot write", weight)(error)),
        _ => Ok(()), // a kernel without shares of processors
    }
}

/// Opens without O_CREAT: a missing file must be an error, not a file.
fn write(file: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

fn copy_from_parent(file: &Path) -> io::Result<()> {
    if !fs::read_to_string(file)?.trim().is_empty() {
        return Ok(());
    }
    let (Some(name), Some(above)) = (file.file_name(), file.parent().and_then(Path::parent)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    write(file, fs::read_to_string(above.join(name))?.trim())
}

/// Enters `member` on every v1 hierarchy: the calling process, which has one thread.
pub fn enter_v1(plan: &Plan, member: Member) -> Result<(), Error> {
    enter(plan.v1_joins(member))
}

/// PID 1 enters `init` on v1, coming from `payload`.
pub fn enter_v1_from_payload(plan: &Plan) -> Result<(), Error> {
    enter(plan.v1_joins_from_payload())
}

fn enter(files: impl Iterator<Item = PathBuf>) -> Result<(), Error> {
    for file in files {
        write(&file, "0").map_err(failed("cannot enter the cgroup by", &file))?;
    }
    Ok(())
}

/// Kills everything in the sandbox's groups and waits until they are empty, then removes them.
/// Goes on past failures and returns all of them.
pub fn destroy(plan: &Plan) -> Vec<Error> {
    let deadline = Instant::now() + EMPTY_TIMEOUT;
    for top in plan.tops() {
        let _ = write(&top.join("cgroup.kill"), "1"); // v2 since 5.14; elsewhere the loop below does it
    }
    loop {
        let remove = |top: &PathBuf| {
            deep::remove_directories(top).err().map(|error| failed("cannot remove the cgroup", top)(error))
        };
        let left: Vec<Error> = plan.tops().filter_map(remove).collect();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        // All of them, for each that is left: what is frozen in one hierarchy of v1 empties none of the others.
        plan.tops().for_each(|top| kill_all(top));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// SIGKILL to every process of a tree; frozen ones are thawed first, or they would wait for ever.
fn kill_all(top: &Path) {
    // What cannot be walked shows when it cannot be removed.
    let _ = deep::each(top, |group| {
        let _ = write_at(group, "freezer.state", "THAWED");
        let _ = write_at(group, "cgroup.freeze", "0");
        let pids = read_at(group, "cgroup.procs").unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    });
}

fn open_at(group: BorrowedFd, file: &str, flags: OFlags) -> io::Result<fs::File> {
    Ok(rustix::fs::openat(group, file, flags | OFlags::CLOEXEC, Mode::empty())?.into())
}

fn write_at(group: BorrowedFd, file: &str, value: &str) -> io::Result<()> {
    open_at(group, file, OFlags::WRONLY)?.write_all(value.as_bytes())
}

fn read_at(group: BorrowedFd, file: &str) -> io::Result<String> {
    io::read_to_string(open_at(group, file, OFlags::RDONLY)?)
}

/// Removes the `quayside` directories if no sandbox is left in them: for whoever does not expect to
/// start another one soon.
pub fn sweep_parents(layout: &Layout, parent: &Parent) {
    for mount in layout.v1.iter().map(|v1| &v1.mount).chain(layout.v2.iter().map(|v2| &v2.mount)) {
        let _ = fs::remove_dir(mount.join(&parent.path).join("quayside"));
    }
}
