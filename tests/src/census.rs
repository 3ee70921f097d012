//! What is left of a data directory's sandboxes on this machine. After a test: nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel takes a loop device or an empty cgroup away a little after its last user ended.
const ASYNCHRONOUS_ENDS: Duration = Duration::from_secs(5);

/// Panics with everything that is left of `data` and of the sandboxes `ids`.
pub fn assert_nothing_left(data: &Path, ids: &[String]) {
    let begin = Instant::now();
    loop {
        let left = count(data, ids);
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed() < ASYNCHRONOUS_ENDS, "left behind:\n  {}", left.join("\n  "));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One line for each thing that is left.
pub fn count(data: &Path, ids: &[String]) -> Vec<String> {
    let data = canonical(data);
    let mut left = things(&data, ids);
    left.extend(loop_devices(&data));
    left.extend(processes(&data, |_| false));
    left
}

/// The same while the service runs: its own processes `parts` and the disks that it keeps ready are no sandbox's.
pub fn count_beside(data: &Path, ids: &[String], parts: &[u32]) -> Vec<String> {
    let data = canonical(data);
    let mut left = things(&data, ids);
    left.extend(processes(&data, |pid| parts.contains(&pid)));
    left
}

fn canonical(data: &Path) -> PathBuf {
    fs::canonicalize(data).expect("a machine's data directory is there while it is")
}

fn things(data: &Path, ids: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(entries(&data.join("sandboxes")).into_iter().map(|path| format!("record {}", path.display())));
    left.extend(entries(&data.join("run/shims")).into_iter().map(|path| format!("socket {}", path.display())));
    left.extend(cgroups(ids));
    left
}

/// Files of /proc and /sys come and go: what does not open is not there.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn loop_devices(data: &Path) -> Vec<String> {
    let devices = entries(Path::new("/sys/block")).into_iter().filter_map(|device| {
        let backing = fs::read_to_string(device.join("loop/backing_file")).ok()?;
        backing.contains(text(data)).then(|| format!("{} on {}", device.display(), backing.trim()))
    });
    devices.collect()
}

/// Whoever has a mount or an open file of the data directory. A learner's process has the disk
/// mounted, a shim holds its lease; our own mounts are seen here too.
fn processes(data: &Path, is_known: impl Fn(u32) -> bool) -> Vec<String> {
    let numbers = entries(Path::new("/proc")).into_iter().filter(|path| {
        let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        pid.is_some_and(|pid| !is_known(pid))
    });
    let holders = numbers.filter_map(|process| {
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        let open = || entries(&process.join("fd")).into_iter().filter_map(|fd| fs::read_link(fd).ok());
        let what = match mounts.lines().find(|line| line.contains(text(data))) {
            Some(mount) => format!("mount {mount}"),
            None => format!("file {}", open().find(|path| path.starts_with(data))?.display()),
        };
        let command = fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ");
        Some(format!("{} ({command}) with {what}", process.display()))
    });
    holders.collect()
}

/// `quayside/ID` in every hierarchy, wherever the host's sandboxes go.
fn cgroups(ids: &[String]) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("every process has mounts");
    let mut hierarchies: Vec<&str> = mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup").then(|| place.split(' ').nth(4)).flatten()
        })
        .collect();
    hierarchies.dedup();
    let mut found = Vec::new();
    for hierarchy in hierarchies {
        find(Path::new(hierarchy), ids, &mut found);
    }
    found
}

fn find(group: &Path, ids: &[String], found: &mut Vec<String>) {
    for path in entries(group) {
        if !path.is_dir() || path.is_symlink() {
            continue;
        }
        let is_ours = path.file_name().is_some_and(|name| ids.iter().any(|id| name == id.as_str()));
        if is_ours { found.push(format!("cgroup {}", path.display())) } else { find(&path, ids, found) }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary directory's name is plain")
}
