//! Which hierarchies this host has, read from /proc/self/mountinfo and /proc/self/cgroup.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The group below a delegated one that its own processes move to (see [`super::parent`]).
pub const LEAF: &str = "quayside-host";

/// The hierarchies that are mounted, v1 ones by their controllers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub v1: Vec<V1>,
    pub v2: Option<V2>,
}

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1 {
    /// `["memory"]`, `["cpu", "cpuacct"]`, `["name=systemd"]`.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// This process's own group, relative to the mount; `None` where that is not in what is mounted.
    pub own: Option<PathBuf>,
}

/// The unified hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V2 {
    pub mount: PathBuf,
    /// What its root offers; empty on a hybrid host.
    pub controllers: Vec<String>,
    /// As in [`V1::own`].
    pub own: Option<PathBuf>,
}

impl Layout {
    /// Reads this host's.
    pub fn of_host() -> std::io::Result<Self> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        let own = std::fs::read_to_string("/proc/self/cgroup")?;
        let mut layout = Self::parse(&mountinfo, &own);
        if let Some(v2) = &mut layout.v2 {
            let offered = std::fs::read_to_string(v2.mount.join("cgroup.controllers")).unwrap_or_default();
            v2.controllers = offered.split_whitespace().map(String::from).collect();
        }
        Ok(layout)
    }

    /// From the text of mountinfo and of /proc/self/cgroup (proc(5), cgroups(7)).
    pub fn parse(mountinfo: &str, own: &str) -> Self {
        let mut layout = Self { v1: Vec::new(), v2: None };
        for line in mountinfo.lines() {
            let Some(Mount { root, mount, fs, options }) = mount_of(line) else { continue };
            match fs {
                "cgroup2" if layout.v2.is_none() => {
                    let own = group_of(own, "").and_then(|own| below(own, root));
                    layout.v2 = Some(V2 { mount, controllers: Vec::new(), own });
                }
                "cgroup" => {
                    let controllers = controllers_of(options);
                    if !controllers.is_empty() && !layout.v1.iter().any(|v1| v1.controllers == controllers) {
                        let own = group_of(own, &controllers[0]).and_then(|own| below(own, root));
                        layout.v1.push(V1 { controllers, mount, own });
                    }
                }
                _ => {}
            }
        }
        layout
    }

    /// This process's own group where that is the same one in every hierarchy, as seen before it moved
    /// to a leaf of it.
    pub fn own(&self) -> Option<PathBuf> {
        let v2 = self.v2.iter().map(|v2| v2.own.as_deref().map(without_leaf));
        let mut all = v2.chain(self.v1.iter().map(|v1| v1.own.as_deref()));
        let first = all.next()??;
        all.all(|own| own == Some(first)).then(|| first.to_path_buf())
    }

    /// Where `controller` lives on v1, if it does.
    pub fn v1_of(&self, controller: &str) -> Option<&V1> {
        self.v1.iter().find(|v1| v1.controllers.iter().any(|name| name == controller))
    }

    /// Whether v2 offers `controller`.
    pub fn v2_has(&self, controller: &str) -> bool {
        self.v2.as_ref().is_some_and(|v2| v2.controllers.iter().any(|name| name == controller))
    }

    /// `v2`, `v1`, `hybrid` or `none`: the word for people.
    pub fn word(&self) -> &'static str {
        match (&self.v2, self.v1.is_empty()) {
            (Some(_), true) => "v2",
            (Some(_), false) => "hybrid",
            (None, false) => "v1",
            (None, true) => "none",
        }
    }
}

/// What one line of mountinfo tells (proc(5)).
struct Mount<'a> {
    /// The directory of the file system that is mounted: not `/` in many containers.
    root: &'a Path,
    mount: PathBuf,
    fs: &'a str,
    options: &'a str,
}

fn mount_of(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, mount) = (Path::new(before.next()?), before.next()?.into());
    let mut after = after.split(' ');
    Some(Mount { root, mount, fs: after.next()?, options: after.nth(1)? })
}

/// The path of /proc/self/cgroup for the hierarchy of `controller`, which is empty for v2.
fn group_of<'a>(text: &'a str, controller: &str) -> Option<&'a Path> {
    text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(Path::new(path))
    })
}

/// `own` relative to the mount of `root`.
fn below(own: &Path, root: &Path) -> Option<PathBuf> {
    own.strip_prefix(root).map(PathBuf::from).ok()
}

fn without_leaf(own: &Path) -> &Path {
    if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own }
}

/// Controllers are among the super options of a v1 mount, beside `rw` and the like.
fn controllers_of(options: &str) -> Vec<String> {
    let plain = ["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "none"];
    let is_controller = |option: &&str| !plain.contains(option) && !option.starts_with("release_agent=");
    options.split(',').filter(is_controller).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_its_controllers_on_v1_and_a_bare_v2_tree() {
        let mountinfo = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let layout = Layout::parse(mountinfo, "8:memory:/x\n0::/user.slice\n");
        assert_eq!(layout.word(), "hybrid");
        assert_eq!(layout.v1_of("cpuacct").expect("joined with cpu").mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(layout.v1_of("name=systemd").expect("a named one").controllers, ["name=systemd"]);
        assert_eq!(layout.v1_of("memory").expect("there").own.as_deref(), Some(Path::new("x")));
        assert_eq!(layout.own(), None, "not the same everywhere");
        assert_eq!(layout.v2.expect("bare").own.as_deref(), Some(Path::new("user.slice")));
    }

    #[test]
    fn a_v2_host_has_one_tree() {
        let layout = Layout::parse("25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate", "0::/\n");
        assert_eq!(layout.word(), "v2");
        assert_eq!(layout.v2.expect("the one").mount, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn our_own_group_is_relative_to_what_a_container_has_mounted() {
        let mountinfo = "\
31 30 0:27 /docker/1 /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
32 30 0:28 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let own = |text| Layout::parse(mountinfo, text).own();
        assert_eq!(own("2:pids:/docker/1\n1:memory:/docker/1\n"), Some(PathBuf::new()));
        assert_eq!(own("2:pids:/docker/1/a\n1:memory:/docker/1/a\n"), Some("a".into()));
        assert_eq!(own("2:pids:/docker/1/a\n1:memory:/docker/1\n"), None);
        assert_eq!(own("2:pids:/\n1:memory:/\n"), None, "above what is mounted");
    }

    #[test]
    fn a_process_in_the_leaf_counts_as_one_of_the_group_above() {
        let own = |path| Layout::parse("25 1 0:22 / /cg rw - cgroup2 cgroup2 rw", path).own();
        assert_eq!(own("0::/a.service/quayside-host\n"), Some("a.service".into()));
        assert_eq!(own("0::/quayside-host\n"), Some(PathBuf::new()));
    }

    #[test]
    fn a_host_without_any_is_called_so() {
        assert_eq!(Layout::parse("1 1 0:1 / / rw - ext4 /dev/vda rw", "").word(), "none");
    }
}
