//! What a host lacks, what is weaker without it, and what to do: the words of `quayside doctor`, which
//! `serve` uses too when it refuses.
//!
//! The runtime tries things and knows no words ([`quayside_runtime::host`]); here nothing is tried.

use quayside_runtime::host::finding::{Cause, Finding, Need, State};
use quayside_runtime::host::probe::{self, Place};
use quayside_runtime::image::show::size;
use serde::Serialize;

use crate::config::Settings;
use crate::supervisor;

/// Everything that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub can_serve: bool,
    pub findings: Vec<Line>,
}

/// One need, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub name: String,
    pub state: Word,
    /// How it is met, or why it is not.
    pub found: String,
    /// What is weaker without it, where it is weak or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Present,
    /// Served, with less.
    Weak,
    /// Not served.
    Missing,
}

/// Looks at this host. The process has one thread; nothing lasts that is changed.
pub fn examine(settings: &Settings) -> Report {
    let data = settings.data.as_path();
    // A service of this data directory holds the address itself, or another one; it says so better.
    let serves = supervisor::running(data).is_ok_and(|pid| pid.is_some());
    let listen = (!serves).then_some(settings.web.listen);
    let debian_mirror = settings.images.debian_mirror.as_deref();
    let cgroup_parent = settings.cgroup.parent.as_deref();
    Report::new(&probe::examine(&Place { data, listen, debian_mirror, cgroup_parent, limits: &settings.sandbox }))
}

impl Report {
    pub fn new(findings: &[Finding]) -> Self {
        Self {
            can_serve: !findings.iter().any(Finding::is_missing),
            findings: findings.iter().map(Line::new).collect(),
        }
    }

    /// One line a need, then one that sums up.
    pub fn text(&self) -> String {
        let lines: String = self.findings.iter().map(Line::text).collect();
        let count = |word| self.findings.iter().filter(|line| line.state == word).count();
        let weak = match count(Word::Weak) {
            0 => String::new(),
            some => format!("; {some} weak"),
        };
        match count(Word::Missing) {
            0 => format!("{lines}this host can serve{weak}\n"),
            some => format!("{lines}this host cannot serve: {some} missing{weak}\n"),
        }
    }

    /// What has to be mended, as [`Report::text`] says it: why a service does not start.
    pub fn refusal(&self) -> Option<String> {
        let to_mend = self.findings.iter().filter(|line| line.state == Word::Missing && line.remedy.is_some());
        let lines: String = to_mend.map(Line::text).collect();
        (!self.can_serve).then(|| format!("this host cannot serve:\n{}", lines.trim_end()))
    }
}

impl Line {
    fn new(finding: &Finding) -> Self {
        let name = name(finding.need);
        let (state, cause) = match &finding.state {
            State::Present(how) => {
                return Self { name, state: Word::Present, found: how.clone(), without: None, remedy: None };
            }
            State::Weak(cause) => (Word::Weak, cause),
            State::Missing(cause) => (Word::Missing, cause),
        };
        // What could not be tried may well be there: what to mend stands at the need it hangs on.
        let known = !matches!(cause, Cause::DependsOn(_));
        Self {
            name,
            state,
            found: found(cause),
            without: known.then(|| without(finding.need)),
            remedy: known.then(|| remedy(finding.need, cause)),
        }
    }

    fn text(&self) -> String {
        let state = match self.state {
            Word::Present => "present",
            Word::Weak => "weak",
            Word::Missing => "missing",
        };
        let mut line = format!("{state:<8} {:<24} {}", self.name, self.found);
        if let Some(without) = self.without {
            line += &format!("; without it {without}");
        }
        if let Some(remedy) = &self.remedy {
            line += &format!("; to mend it: {remedy}");
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

fn name(need: Need) -> String {
    match need {
        Need::Root => "root".into(),
        Need::Clone3 => "clone3 and pidfd".into(),
        Need::Namespace(which) => format!("{} namespace", which.word()),
        Need::Cgroups => "cgroups".into(),
        Need::Controller(controller) => format!("cgroup controller {controller}"),
        Need::CgroupKill => "cgroup.kill".into(),
        Need::Overlay => "overlay, userxattr".into(),
        Need::IdMaps => "id-mapped mounts".into(),
        Need::LoopDevices => "loop devices".into(),
        Need::Mke2fs => "mke2fs".into(),
        Need::Ext4 => "ext4 session disk".into(),
        Need::Seccomp => "seccomp".into(),
        Need::Veth => "veth".into(),
        Need::Ids => "ids to lease".into(),
        Need::HostImage => "image from the host".into(),
        Need::Mirror => "Debian mirror".into(),
        Need::DataDirectory => "data directory".into(),
        Need::Disk => "room on disk".into(),
        Need::Memory => "memory".into(),
        Need::Learners => "learners at once".into(),
        Need::OpenFiles => "open files".into(),
        Need::Neighbours => "neighbours of all".into(),
        Need::Port => "address to listen on".into(),
    }
}

/// Behind "without it".
fn without(need: Need) -> &'static str {
    match need {
        Need::Root => "nothing that a sandbox is made of can be made",
        Need::Clone3 | Need::Namespace(_) | Need::Overlay | Need::IdMaps | Need::Veth => "no sandbox can be started",
        Need::Cgroups => "no sandbox can be limited, or ended for sure",
        Need::Controller("memory") => "one learner can use up the memory of all",
        Need::Controller("pids") => "one learner's fork bomb stops everybody",
        Need::Controller(_) => "one learner can slow down everybody",
        Need::CgroupKill => "a sandbox's processes are killed one by one when it ends, which takes longer",
        Need::LoopDevices | Need::Mke2fs | Need::Ext4 => "no session can have a disk",
        Need::Seccomp => "sandboxes could make every system call, so none is started",
        Need::Ids => "sandboxes have no ids of their own on this host",
        Need::HostImage => "nothing can be started until the Debian image is fetched",
        Need::Mirror => "there is only the image borrowed from this host, and no Debian image",
        Need::DataDirectory => "images and sessions cannot be kept, or programs in a sandbox do not run as they should",
        Need::Disk => "the Debian image cannot be made, or sessions run out of room",
        Need::Memory => "few sessions can run at once",
        Need::Learners => "a session may be refused, or be slow",
        Need::OpenFiles => "one learner can use up the open files of all",
        Need::Neighbours => "one learner can keep every network of this machine from finding a new neighbour",
        Need::Port => "nobody can reach the lessons",
    }
}

fn found(cause: &Cause) -> String {
    match cause {
        Cause::FewFiles { max, each } => {
            format!("fs.file-max lets the whole host have {max} open, and one sandbox may have {each}")
        }
        Cause::FewNeighbours { setting, max, .. } => {
            format!("{setting} lets all networks of the host together know {max}, and one sandbox can hold as many")
        }
        Cause::Setting { name, is, .. } => format!("forbidden: {name} is {is}"),
        Cause::Confined => {
            "forbidden to this program by a security module, such as AppArmor, or by an outer container".into()
        }
        Cause::NotRoot => "this is not run as root".into(),
        Cause::Kernel => "this kernel does not know it".into(),
        Cause::DependsOn(need) => format!("cannot be tried without: {}", name(*need)),
        Cause::NotFound(path) => format!("there is no {}", path.display()),
        Cause::Absent => "there is none".into(),
        Cause::FileSystem { path, kind } => format!("{kind} at {} cannot do it", path.display()),
        Cause::MountedWith { path, option } => {
            format!("the file system at {} is mounted with {option}", path.display())
        }
        Cause::SharedIds(who) => format!("somebody else has some of them: {who}"),
        Cause::FewIds => "the user namespace that this runs in does not have them".into(),
        Cause::Little { has, wanted } => format!("{} free, of {} wanted", size(*has), size(*wanted)),
        Cause::Taken(listen) => format!("somebody listens on {listen} already"),
        Cause::NotOurs(listen) => format!("{} is no address of this machine", listen.ip()),
        Cause::Other(words) => words.clone(),
    }
}

fn remedy(need: Need, cause: &Cause) -> String {
    match (need, cause) {
        (_, Cause::NotRoot) => "run it with sudo".into(),
        (_, Cause::Setting { name, wanted, .. }) => {
            format!("sysctl -w {name}={wanted}; to keep it, the line {name}={wanted} in /etc/sysctl.d/60-quayside.conf")
        }
        (_, Cause::FewFiles { .. }) => {
            let no_bound = "fs.file-max=9223372036854775807";
            format!(
                "take that bound away, as systemd does at boot: memory limits count open files too; \
                 sysctl -w {no_bound} (the largest number that the kernel takes), and to keep it that line in \
                 /etc/sysctl.d/60-quayside.conf"
            )
        }
        (_, Cause::FewNeighbours { wanted, .. }) => {
            // From the second bound on the kernel looks for what it may forget.
            format!(
                "sysctl -w net.ipv4.neigh.default.gc_thresh2={} net.ipv4.neigh.default.gc_thresh3={wanted}, \
                 and the same of net.ipv6; to keep it, those lines in /etc/sysctl.d/60-quayside.conf",
                wanted / 2
            )
        }
        (_, Cause::Confined) => {
            "aa-status shows which profile confines it; allow userns and mount there; in a container, run it privileged"
                .into()
        }
        (Need::Cgroups, Cause::Absent) => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".into(),
        (Need::Cgroups, _) => {
            "run it at the root of the cgroups, or in a group delegated to it (Delegate=yes in its systemd unit)".into()
        }
        (Need::Controller("memory"), _) => "start the kernel with cgroup_enable=memory".into(),
        (Need::Controller(controller), _) => {
            format!("a kernel with the {controller} controller; in a systemd unit, Delegate=yes")
        }
        (Need::CgroupKill, _) => "Linux 5.14 or newer with a cgroup v2 tree mounted".into(),
        (Need::Namespace(which), _) => {
            format!("Linux 5.12 or newer, built with {}", kernel_option(which.word()))
        }
        (Need::Overlay, _) => "Linux 5.11 or newer, and modprobe overlay".into(),
        (_, Cause::FileSystem { .. }) => {
            "keep the data on ext4, xfs or btrfs and Linux 5.12 or newer: name such a directory by --data".into()
        }
        (Need::LoopDevices, _) => "modprobe loop; in a container, give it /dev/loop-control and /dev/loop*".into(),
        (Need::Mke2fs, _) => "apt-get install e2fsprogs".into(),
        (Need::Ext4, _) => "modprobe ext4".into(),
        (Need::Seccomp, _) => "a kernel built with CONFIG_SECCOMP_FILTER".into(),
        (Need::Veth, _) => "modprobe veth".into(),
        (Need::Ids, Cause::FewIds) => "run it outside of that namespace, or as the host's root".into(),
        (Need::Ids, _) => "give those names other ids, in those files".into(),
        (Need::HostImage, _) => "apt-get install bash".into(),
        (Need::Mirror, _) => "name one by --debian-mirror (its address ends in /debian), or in apt's sources".into(),
        (Need::DataDirectory, Cause::MountedWith { path, option }) => {
            let opposite = match *option {
                "ro" => "rw".to_owned(),
                option => option.trim_start_matches("no").to_owned(),
            };
            format!("mount -o remount,{opposite} {}, or name another directory by --data", path.display())
        }
        (Need::DataDirectory, _) => "name another directory by --data".into(),
        (Need::Disk, _) => "make room, or name a directory on a larger disk by --data".into(),
        (Need::Memory, _) => "end what else uses memory".into(),
        (Need::OpenFiles, _) => "mount /proc".into(),
        (Need::Neighbours, _) => "run it on the host itself, with /proc mounted".into(),
        (Need::Learners, _) => "give this machine more of what limits it, or the sandboxes less".into(),
        (Need::Port, Cause::NotOurs(_)) => "ip address shows this machine's; name one by --listen".into(),
        (Need::Port, Cause::Taken(_)) => {
            "end what listens there (ss -ltnp shows it), or name another address by --listen".into()
        }
        (Need::Port, _) => "name another address by --listen".into(),
        (Need::Root, _) => "run it with sudo".into(),
        (Need::Clone3 | Need::IdMaps, _) => {
            "Linux 5.12 or newer; in a container, a seccomp profile that allows it".into()
        }
    }
}

/// What the namespace is called where kernels are built.
fn kernel_option(namespace: &str) -> &'static str {
    match namespace {
        "user" => "CONFIG_USER_NS",
        "pid" => "CONFIG_PID_NS",
        "network" => "CONFIG_NET_NS",
        "uts" => "CONFIG_UTS_NS",
        "ipc" => "CONFIG_IPC_NS",
        "time" => "CONFIG_TIME_NS",
        "cgroup" => "CONFIG_CGROUPS",
        _ => "CONFIG_NAMESPACES",
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use quayside_runtime::host::finding::Namespace;

    use super::*;

    fn finding(need: Need, state: State) -> Finding {
        Finding::new(need, state)
    }

    fn some_findings() -> Vec<Finding> {
        let listen: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let setting = |name, is: &str, wanted| Cause::Setting { name, is: is.into(), wanted };
        vec![
            finding(Need::Root, State::Present(String::new())),
            finding(Need::Cgroups, State::Present("v2; sandboxes' groups go below the root".into())),
            finding(Need::Controller("memory"), State::Weak(Cause::Absent)),
            finding(Need::CgroupKill, State::Weak(Cause::Kernel)),
            finding(
                Need::Namespace(Namespace::User),
                State::Missing(setting("user.max_user_namespaces", "used up", "65536")),
            ),
            finding(
                Need::Namespace(Namespace::Pid),
                State::Missing(Cause::DependsOn(Need::Namespace(Namespace::User))),
            ),
            finding(Need::Mke2fs, State::Missing(Cause::NotFound("mke2fs".into()))),
            finding(
                Need::IdMaps,
                State::Missing(Cause::FileSystem { path: "/var/lib".into(), kind: "overlay".into() }),
            ),
            finding(Need::DataDirectory, State::Weak(Cause::MountedWith { path: "/srv".into(), option: "nosuid" })),
            finding(Need::Disk, State::Weak(Cause::Little { has: 700 << 20, wanted: 2 << 30 })),
            finding(Need::Mirror, State::Weak(Cause::Absent)),
            finding(Need::OpenFiles, State::Weak(Cause::FewFiles { max: 2_466_177, each: 2_097_152 })),
            finding(
                Need::Neighbours,
                State::Weak(Cause::FewNeighbours {
                    setting: "net.ipv4.neigh.default.gc_thresh3",
                    max: 1024,
                    wanted: 1 << 22,
                }),
            ),
            finding(Need::Port, State::Missing(Cause::Taken(listen))),
        ]
    }

    #[test]
    fn a_report_has_one_line_a_need_and_each_says_what_to_do() {
        let report = Report::new(&some_findings());
        assert!(!report.can_serve);
        insta::assert_snapshot!(report.text());
    }

    #[test]
    fn a_report_is_the_same_as_json() {
        let json = serde_json::to_string_pretty(&Report::new(&some_findings()[..3])).expect("plain data serialises");
        insta::assert_snapshot!(json);
    }

    #[test]
    fn a_refusal_has_what_is_to_be_mended_as_the_report_has_it() {
        let report = Report::new(&some_findings());
        let refusal = report.refusal().expect("something is missing");
        let text = report.text();
        assert_eq!(refusal.lines().count(), 1 + 4, "without what could not be tried: {refusal}");
        assert!(refusal.lines().skip(1).all(|line| line.starts_with("missing") && text.contains(line)), "{refusal}");
    }

    #[test]
    fn weaknesses_alone_do_not_refuse() {
        let weak = some_findings().into_iter().filter(|finding| !finding.is_missing());
        let report = Report::new(&weak.collect::<Vec<_>>());
        assert!(report.can_serve);
        assert_eq!(report.refusal(), None);
        assert!(report.text().ends_with("this host can serve; 7 weak\n"), "{}", report.text());
    }
}
