//! Everything that PID 1 of a container does before it becomes the program, as plain data in order.
//!
//! The order is the security: what is opened on the host comes first, what needs rights before they go, and the
//! program last. Paths called `at` are the container's, followed inside its root; all others are the host's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::spec::{ContainerSpec, Mount, Network, Source};
use super::valid::{self, Invalid};
use crate::cgroup;
use crate::launch::plan::LEARNERS_OOM_SCORE_ADJ;
use crate::policy::{devices, masks};
use crate::rootfs::plan::Flags;

/// Where things lie in a container's work directory.
pub mod work {
    /// The overlay's own.
    pub const OVERLAY: &str = "overlay";
    /// A directory that stays empty: the lowest layer, since the kernel wants two where nothing is written.
    pub const EMPTY: &str = "empty";
    /// What the image lacks of the directories and files that are mounted over: the uppermost of the layers that are
    /// read, so that the layer that is written holds nothing of it.
    pub const MOUNT_POINTS: &str = "mount-points";
    /// The root is put together here.
    pub const ROOT: &str = "root";
    /// Files of /etc.
    pub const FILES: &str = "files";
    pub const ALL: [&str; 5] = [OVERLAY, EMPTY, MOUNT_POINTS, ROOT, FILES];
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// On v1, by itself (cgroups(7)).
    EnterGroup,
    /// namespaces(7); without a user namespace.
    Unshare {
        network: bool,
    },
    /// Nothing that happens here reaches the host, and nothing there reaches us (mount_namespaces(7)).
    MakePrivate,
    /// `lo` of a network namespace is down at first.
    LoopbackUp,
    Hostname {
        name: String,
    },
    /// Who is killed first when memory runs out (proc(5), oom_score_adj); never lowered.
    OomScore {
        at_least: i32,
    },
    MakeDirectory {
        path: PathBuf,
    },
    Write {
        path: PathBuf,
        text: String,
    },
    /// A mount that hangs nowhere yet, by its place in the list.
    Open {
        mount: usize,
        source: Source,
        read_only: bool,
    },
    /// Makes what the image lacks of `targets` in a layer of its own.
    MountPoints {
        layers: Vec<PathBuf>,
        empty: PathBuf,
        layer: PathBuf,
        upper: PathBuf,
        stage: PathBuf,
        targets: Vec<Target>,
    },
    /// The root. `lower` from the bottom.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        on: PathBuf,
    },
    /// A file system made new. Options without a value are flags.
    Mount {
        fs: String,
        at: PathBuf,
        options: Vec<(String, Option<String>)>,
        flags: Flags,
        read_only: bool,
    },
    /// A file of the host's over one of the container's.
    Bind {
        from: PathBuf,
        at: PathBuf,
        flags: Flags,
    },
    Attach {
        mount: usize,
        at: PathBuf,
    },
    /// In /dev, which is new.
    Link {
        at: PathBuf,
        to: PathBuf,
    },
    /// Covers a file by /dev/null, a directory by an empty one. What is not there needs no cover.
    Hide {
        at: PathBuf,
    },
    MakeReadOnly {
        at: PathBuf,
    },
    /// The staged root becomes `/`; the host's is gone.
    Pivot {
        root: PathBuf,
    },
    /// No descriptor of the host's can be found in /proc/self/fd from here on.
    CloseDescriptors,
    User {
        wanted: String,
    },
    WorkingDirectory {
        at: PathBuf,
    },
    RootReadOnly,
    Rlimits {
        limits: Vec<(String, u64, u64)>,
    },
    Seccomp {
        may_administer: bool,
    },
    BoundCapabilities {
        names: Vec<String>,
    },
    BecomeUser,
    KeepCapabilities {
        names: Vec<String>,
    },
    /// PR_SET_PDEATHSIG, which each change of ids clears.
    DieWithMonitor,
    Execute {
        args: Vec<String>,
        env: Vec<(String, String)>,
    },
}

/// Something that is mounted over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub at: PathBuf,
    pub like: Like,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Like {
    File,
    Directory,
    /// As [`Like::Directory`], and neither a link nor below one: the kernel's own file systems go nowhere else.
    PlainDirectory,
    /// As the mount of this number.
    Mount(usize),
}

/// All about one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    pub work: PathBuf,
    /// Its group, where limits are asked for.
    pub group: Option<cgroup::plan::Plan>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// `resolv_conf` is the host's.
    pub fn new(spec: &ContainerSpec, resolv_conf: &str, group: Option<cgroup::plan::Plan>) -> Result<Self, Invalid> {
        valid::check(spec)?;
        let place = |name: &str| spec.work.join(name);
        let mounts = by_depth(&spec.mounts);
        let mut steps = Vec::new();
        if group.as_ref().is_some_and(|group| !group.v1.is_empty()) {
            steps.push(Step::EnterGroup);
        }
        steps.extend(namespaces(spec));
        steps.extend(work::ALL.map(|name| Step::MakeDirectory { path: place(name) }));
        steps.extend(etc_files(spec, resolv_conf).map(|(name, text)| Step::Write { path: file(spec, name), text }));
        steps.extend(opened(&mounts));
        steps.extend(root(spec, &mounts));
        steps.extend(kernel_file_systems(spec.privileges.masked));
        steps.extend(dev(spec.shm_bytes));
        steps.extend(mounts.iter().enumerate().map(|(number, mount)| attached(number, mount)));
        steps.extend(ETC_FILES.map(|name| Step::Bind {
            from: file(spec, name),
            at: Path::new("/etc").join(name),
            flags: Flags { nosuid: true, nodev: true, noexec: false },
        }));
        if spec.privileges.masked {
            steps.extend(masks::HIDDEN.iter().map(|(at, _)| Step::Hide { at: at.into() }));
            steps.extend(masks::READ_ONLY.iter().map(|(at, _)| Step::MakeReadOnly { at: at.into() }));
        }
        steps.push(Step::Pivot { root: place(work::ROOT) });
        steps.extend(become_program(spec));
        Ok(Self { name: spec.name.clone(), work: spec.work.clone(), group, steps })
    }

    /// Steps of the monitor, which come before those of PID 1: its group, the pid namespace, the fork.
    pub fn steps_before(&self) -> usize {
        2 + usize::from(self.group.is_some())
    }
}

/// A mount below another comes after it, or it would be covered.
fn by_depth(mounts: &[Mount]) -> Vec<&Mount> {
    let mut mounts: Vec<&Mount> = mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.at.components().count());
    mounts
}

fn namespaces(spec: &ContainerSpec) -> Vec<Step> {
    let own_network = spec.network == Network::None;
    let mut steps = vec![Step::Unshare { network: own_network }, Step::MakePrivate];
    if own_network {
        steps.push(Step::LoopbackUp);
    }
    steps.push(Step::Hostname { name: spec.hostname.clone() });
    steps.push(Step::OomScore { at_least: LEARNERS_OOM_SCORE_ADJ });
    steps
}

/// Files that a container has of its own in /etc, bound over the image's.
const ETC_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

fn file(spec: &ContainerSpec, name: &str) -> PathBuf {
    spec.work.join(work::FILES).join(name)
}

fn etc_files(spec: &ContainerSpec, resolv_conf: &str) -> impl Iterator<Item = (&'static str, String)> {
    let hostname = &spec.hostname;
    let mut hosts = format!("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 {hostname}\n");
    for (address, name) in &spec.extra_hosts {
        hosts += &format!("{address} {name}\n");
    }
    let resolv_conf = match spec.network {
        Network::Host => resolv_conf.to_owned(),
        Network::None => "# no network\n".into(),
    };
    ETC_FILES.into_iter().zip([hosts, format!("{hostname}\n"), resolv_conf])
}

fn opened(mounts: &[&Mount]) -> Vec<Step> {
    let open = |(number, mount): (usize, &&Mount)| match &mount.from {
        Source::Tmpfs { .. } => None,
        source => Some(Step::Open { mount: number, source: source.clone(), read_only: is_read_only(mount) }),
    };
    mounts.iter().enumerate().filter_map(open).collect()
}

fn is_read_only(mount: &Mount) -> bool {
    mount.read_only || matches!(mount.from, Source::Layers { scratch: None, .. })
}

/// The image's layers, the layer of mount points, and the one that is written.
fn root(spec: &ContainerSpec, mounts: &[&Mount]) -> [Step; 2] {
    let place = |name: &str| spec.work.join(name);
    let lower = spec.layers.iter().cloned().chain([place(work::MOUNT_POINTS)]);
    [
        Step::MountPoints {
            layers: spec.layers.clone(),
            empty: place(work::EMPTY),
            layer: place(work::MOUNT_POINTS),
            upper: spec.upper.clone(),
            stage: place(work::ROOT),
            targets: targets(mounts),
        },
        Step::Overlay {
            lower: lower.collect(),
            upper: spec.upper.clone(),
            work: place(work::OVERLAY),
            on: place(work::ROOT),
        },
    ]
}

/// What has to be there before anything is mounted. Below another mount it is made in that one, when it is there.
fn targets(mounts: &[&Mount]) -> Vec<Target> {
    let kernels = ["/proc", "/sys", "/dev"].map(|at| Target { at: at.into(), like: Like::PlainDirectory });
    let files = ETC_FILES.map(|name| Target { at: Path::new("/etc").join(name), like: Like::File });
    let mut targets: Vec<Target> = kernels.into_iter().chain(files).collect();
    for (number, mount) in mounts.iter().enumerate() {
        if !targets.iter().any(|above| mount.at.starts_with(&above.at)) {
            let like = match mount.from {
                Source::Tmpfs { .. } => Like::Directory,
                Source::Path { .. } | Source::Layers { .. } => Like::Mount(number),
            };
            targets.push(Target { at: mount.at.clone(), like });
        }
    }
    targets
}

const ALL: Flags = Flags { nosuid: true, nodev: true, noexec: true };
const NOSUID: Flags = Flags { nosuid: true, nodev: false, noexec: false };

fn mount(fs: &str, at: &str, options: &[(&str, &str)], flags: Flags) -> Step {
    let option = |&(key, value): &(&str, &str)| (key.to_owned(), Some(value.to_owned()).filter(|it| !it.is_empty()));
    let options = options.iter().map(option).collect();
    Step::Mount { fs: fs.into(), at: at.into(), options, flags, read_only: false }
}

/// sysfs is read-only by its mount and never by its file system, which it may share with the host's.
fn kernel_file_systems(masked: bool) -> [Step; 2] {
    let sysfs = Step::Mount { fs: "sysfs".into(), at: "/sys".into(), options: vec![], flags: ALL, read_only: masked };
    [mount("proc", "/proc", &[], ALL), sysfs]
}

/// Nodes are bound from the host's, because `mknod` is refused in a user namespace; so they are the only devices
/// that open in a container, as every other mount of it is `nodev`.
fn dev(shm_bytes: u64) -> Vec<Step> {
    let mut steps = vec![mount("tmpfs", "/dev", &[("mode", "755"), ("size", "64k")], NOSUID_NODEV)];
    for (name, _) in devices::NODES {
        let node = Path::new("/dev").join(name);
        steps.push(Step::Bind { from: node.clone(), at: node, flags: NOSUID });
    }
    // gid 5 is tty on every distribution; ptmxmode lets anybody inside open a terminal (pts(4)).
    let devpts = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    steps.push(mount("devpts", "/dev/pts", &devpts, Flags { nosuid: true, nodev: false, noexec: true }));
    steps.push(mount("tmpfs", "/dev/shm", &[("mode", "1777"), ("size", &shm_bytes.to_string())], ALL));
    steps.push(mount("mqueue", "/dev/mqueue", &[], ALL));
    steps.extend(devices::LINKS.map(|(name, to)| Step::Link { at: Path::new("/dev").join(name), to: to.into() }));
    steps
}

const NOSUID_NODEV: Flags = Flags { nosuid: true, nodev: true, noexec: false };

fn attached(number: usize, mount: &Mount) -> Step {
    let Source::Tmpfs { size_bytes, mode } = mount.from else {
        return Step::Attach { mount: number, at: mount.at.clone() };
    };
    let mode = ("mode".to_owned(), Some(format!("{mode:o}")));
    let size = size_bytes.map(|size| ("size".to_owned(), Some(size.to_string())));
    Step::Mount {
        fs: "tmpfs".into(),
        at: mount.at.clone(),
        options: [mode].into_iter().chain(size).collect(),
        flags: NOSUID_NODEV,
        read_only: mount.read_only,
    }
}

/// From root of the new `/` to the program.
fn become_program(spec: &ContainerSpec) -> Vec<Step> {
    let names = spec.privileges.capabilities.clone();
    let mut steps = vec![
        Step::CloseDescriptors,
        Step::User { wanted: spec.user.clone() },
        Step::WorkingDirectory { at: spec.cwd.clone() },
    ];
    if spec.read_only_root {
        steps.push(Step::RootReadOnly);
    }
    if !spec.limits.rlimits.is_empty() {
        steps.push(Step::Rlimits { limits: spec.limits.rlimits.clone() });
    }
    // Loading a filter needs a right that goes next, as nothing forbids new privileges (seccomp(2)).
    steps.push(Step::Seccomp { may_administer: names.iter().any(|name| name == "SYS_ADMIN") });
    steps.extend([
        Step::BoundCapabilities { names: names.clone() },
        Step::BecomeUser,
        Step::KeepCapabilities { names },
        Step::DieWithMonitor,
        Step::Execute { args: spec.args.clone(), env: spec.env.clone() },
    ]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        let layers = vec!["/images/layers/a".into(), "/images/layers/b".into()];
        ContainerSpec::new("build-7", layers, "/build/7/upper".into(), "/build/7/work".into(), &["sh", "-c", "make"])
    }

    fn plan(spec: &ContainerSpec) -> Plan {
        Plan::new(spec, "nameserver 192.0.2.1\n", None).expect("a good spec")
    }

    fn position(plan: &Plan, is: impl Fn(&Step) -> bool) -> usize {
        plan.steps.iter().position(is).expect("the plan has such a step")
    }

    #[test]
    fn a_run_as_root() {
        insta::assert_json_snapshot!(plan(&spec()));
    }

    #[test]
    fn a_run_with_mounts_a_user_and_without_a_network() {
        let mut spec = spec();
        let cache = Source::Path { root: "/build/caches".into(), path: "go".into() };
        let stage = Source::Layers { layers: vec!["/images/layers/a".into()], path: "/src".into(), scratch: None };
        spec.mounts = vec![
            Mount { from: cache, at: "/root/.cache/go".into(), read_only: false },
            Mount { from: stage, at: "/src".into(), read_only: true },
            Mount { from: Source::Tmpfs { size_bytes: Some(4096), mode: 0o1777 }, at: "/tmp".into(), read_only: false },
        ];
        spec.network = Network::None;
        spec.user = "app".into();
        spec.read_only_root = true;
        spec.extra_hosts = vec![("192.0.2.7".into(), "pier".into())];
        spec.limits.rlimits = vec![("nofile".into(), 1024, 4096)];
        insta::assert_json_snapshot!(plan(&spec));
    }

    #[test]
    fn what_needs_rights_comes_before_they_go_and_the_program_last() {
        let plan = plan(&spec());
        let order = [
            position(&plan, |step| matches!(step, Step::Overlay { .. })),
            position(&plan, |step| matches!(step, Step::Pivot { .. })),
            position(&plan, |step| matches!(step, Step::CloseDescriptors)),
            position(&plan, |step| matches!(step, Step::WorkingDirectory { .. })),
            position(&plan, |step| matches!(step, Step::Seccomp { may_administer: false })),
            position(&plan, |step| matches!(step, Step::BecomeUser)),
            position(&plan, |step| matches!(step, Step::KeepCapabilities { .. })),
            position(&plan, |step| matches!(step, Step::DieWithMonitor)),
            position(&plan, |step| matches!(step, Step::Execute { .. })),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(order[8], plan.steps.len() - 1);
    }

    #[test]
    fn every_file_system_that_is_written_lets_no_device_be_opened() {
        for step in plan(&spec()).steps {
            if let Step::Mount { fs, flags, .. } = step {
                assert!(flags.nodev || fs == "devpts", "{fs}");
            }
        }
    }

    #[test]
    fn a_mount_below_another_comes_after_it_and_is_made_in_it() {
        let mount =
            |at: &str| Mount { from: Source::Tmpfs { size_bytes: None, mode: 0o755 }, at: at.into(), read_only: false };
        let spec = ContainerSpec { mounts: vec![mount("/a/b/c"), mount("/a")], ..spec() };
        let plan = plan(&spec);
        let at = |place: &'static str| {
            position(&plan, move |step| matches!(step, Step::Mount { at, .. } if at == Path::new(place)))
        };
        assert!(at("/a") < at("/a/b/c"));
        let Some(Step::MountPoints { targets, .. }) =
            plan.steps.iter().find(|step| matches!(step, Step::MountPoints { .. }))
        else {
            panic!("the plan makes mount points")
        };
        assert!(!targets.iter().any(|target| target.at == Path::new("/a/b/c")));
    }

    #[test]
    fn an_unmasked_container_that_may_administer_has_all_of_proc_and_the_shorter_table() {
        let mut spec = spec();
        spec.privileges.masked = false;
        spec.privileges.capabilities.push("SYS_ADMIN".into());
        let plan = plan(&spec);
        assert!(!plan.steps.iter().any(|step| matches!(step, Step::Hide { .. } | Step::MakeReadOnly { .. })));
        position(&plan, |step| matches!(step, Step::Seccomp { may_administer: true }));
    }
}
