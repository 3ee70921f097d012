//! Which hierarchies this host has, read from /proc/self/mountinfo and /proc/self/cgroup.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}

/// The unified hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V2 {
    pub mount: PathBuf,
    /// What its root offers; empty on a hybrid host.
    pub controllers: Vec<String>,
    /// This process's own group, relative to the mount.
    pub own: PathBuf,
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
            let Some((mount, fs, options)) = mount_of(line) else { continue };
            match fs {
                "cgroup2" if layout.v2.is_none() => {
                    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
                    let own = PathBuf::from(own.trim_start_matches('/'));
                    layout.v2 = Some(V2 { mount, controllers: Vec::new(), own });
                }
                "cgroup" => {
                    let controllers = controllers_of(options);
                    if !controllers.is_empty() && !layout.v1.iter().any(|v1| v1.controllers == controllers) {
                        layout.v1.push(V1 { controllers, mount });
                    }
                }
                _ => {}
            }
        }
        layout
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

/// Mount point, type and super options of one line of mountinfo.
fn mount_of(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mount = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let fs = after.next()?;
    let options = after.nth(1)?;
    Some((Path::new(mount).to_path_buf(), fs, options))
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
        assert_eq!(layout.v2.expect("bare").own, Path::new("user.slice"));
    }

    #[test]
    fn a_v2_host_has_one_tree() {
        let layout = Layout::parse("25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate", "0::/\n");
        assert_eq!(layout.word(), "v2");
        assert_eq!(layout.v2.expect("the one").mount, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_host_without_any_is_called_so() {
        assert_eq!(Layout::parse("1 1 0:1 / / rw - ext4 /dev/vda rw", "").word(), "none");
    }
}
