//! What `quayside doctor` says of a host, and `serve` when it refuses: words for each finding.

use std::fmt::Write;

use quayside_runtime::host::{Cause, Finding, Need, State};
use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub name: String,
    /// `present`, `weak` or `missing`.
    pub state: &'static str,
    /// How it is there, or why it is not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What is weaker, or does not work, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The whole report, in words.
pub fn lines(findings: &[Finding]) -> Vec<Line> {
    findings.iter().map(line).collect()
}

/// Whether sandboxes can be served.
pub fn can_serve(findings: &[Finding]) -> bool {
    !findings.iter().any(Finding::is_missing)
}

/// For a terminal: one line a finding, remedies below those that need one, and a last line that sums up.
pub fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for line in lines(findings) {
        out.push_str(&shown(&line));
    }
    let sum = if can_serve(findings) { "this host can serve" } else { "this host cannot serve yet" };
    let _ = writeln!(out, "{sum}");
    out
}

/// Only what is missing: why `serve` does not start.
pub fn refusal(findings: &[Finding]) -> String {
    lines(findings).iter().filter(|line| line.state == "missing").map(shown).collect()
}

fn shown(line: &Line) -> String {
    let Line { name, state, detail, without, remedy } = line;
    let mut out = format!("{state:<8} {name}");
    if !detail.is_empty() {
        let _ = write!(out, ": {detail}");
    }
    if let Some(without) = without {
        let _ = write!(out, "; without it {without}");
    }
    if let Some(remedy) = remedy {
        let _ = write!(out, "; {remedy}");
    }
    out + "\n"
}

fn line(finding: &Finding) -> Line {
    let name = name(finding.need);
    match &finding.state {
        State::Present(detail) => Line { name, state: "present", detail: detail.clone(), without: None, remedy: None },
        State::Weak(cause) => wanting(name, "weak", finding.need, cause),
        State::Missing(cause) => wanting(name, "missing", finding.need, cause),
    }
}

fn wanting(name: String, state: &'static str, need: Need, cause: &Cause) -> Line {
    Line { name, state, detail: why(cause), without: Some(without(need)), remedy: Some(remedy(need, cause)) }
}

fn name(need: Need) -> String {
    match need {
        Need::Root => "root".into(),
        Need::Clone3 => "clone3 and pidfd".into(),
        Need::Namespace(which) => format!("{} namespace", which.word()),
        Need::Cgroups => "cgroups".into(),
        Need::Controller(name) => format!("cgroup controller {name}"),
        Need::CgroupKill => "cgroup.kill".into(),
        Need::Overlay => "overlay in a user namespace".into(),
        Need::IdMaps => "id-mapped mounts".into(),
        Need::LoopDevices => "loop devices".into(),
        Need::Mke2fs => "mke2fs".into(),
        Need::Ext4 => "ext4".into(),
        Need::Seccomp => "seccomp".into(),
        Need::Veth => "veth".into(),
        Need::Ids => "ids to lease".into(),
        Need::Bash => "bash".into(),
        Need::Mirror => "Debian mirror".into(),
        Need::DataDirectory => "data directory".into(),
        Need::Disk => "disk".into(),
        Need::Memory => "memory".into(),
        Need::Port => "port".into(),
    }
}

/// What is weaker without it.
fn without(need: Need) -> &'static str {
    match need {
        Need::Root => "no ids can be leased and no layers id-mapped",
        Need::Clone3 => "no process can be started in its group",
        Need::Namespace(_) | Need::Overlay | Need::IdMaps | Need::Seccomp | Need::Veth | Need::Ids => {
            "no sandbox can be made"
        }
        Need::Cgroups => "sandboxes cannot be limited or ended as a whole",
        Need::Controller("memory") => "a sandbox may use all of the machine's memory",
        Need::Controller("pids") => "a fork bomb in one sandbox stops the machine",
        Need::Controller(_) => "one sandbox may take all CPUs",
        Need::CgroupKill => "a sandbox's processes are killed one by one",
        Need::LoopDevices | Need::Mke2fs | Need::Ext4 => "no session has a disk of its own",
        Need::Bash => "there is no image until Debian's has been fetched",
        Need::Mirror => "only the host's own commands make an image",
        Need::DataDirectory => "nothing can be kept",
        Need::Disk => "sessions' disks run full early",
        Need::Memory => "only a few learners fit",
        Need::Port => "nobody can connect",
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Setting { name, is, .. } => format!("{name} is {is}"),
        Cause::Confined => "a security module forbids it to this program".into(),
        Cause::NotRoot => "only root may".into(),
        Cause::Kernel => "this kernel does not have it".into(),
        Cause::DependsOn(need) => format!("could not be tried without: {}", name(*need)),
        Cause::NotFound(path) => format!("{} is not there", path.display()),
        Cause::Absent => "not offered here".into(),
        Cause::FileSystem { path, kind } => format!("{} is on {kind}, which cannot", path.display()),
        Cause::BusyGroup(path) => format!("{} holds processes of its own", path.display()),
        Cause::SharedIds(whose) => format!("some belong to {whose}"),
        Cause::FewIds => "this is a user namespace with fewer ids itself".into(),
        Cause::Little { has, wanted } => format!("{} MB of {} MB wanted", has / 1_000_000, wanted / 1_000_000),
        Cause::Taken => "somebody listens there already".into(),
        Cause::NotOurs => "this machine has no such address".into(),
        Cause::Other(words) => words.clone(),
    }
}

/// What to do.
fn remedy(need: Need, cause: &Cause) -> String {
    match (need, cause) {
        (_, Cause::Setting { name, wanted, .. }) => format!("sysctl -w {name}={wanted}"),
        (_, Cause::Confined) => "run it outside that profile (aa-status shows it), or allow userns in it".into(),
        (_, Cause::NotRoot) => "run it with sudo".into(),
        (_, Cause::DependsOn(need)) => format!("see {}", name(*need)),
        (Need::Namespace(_), Cause::Kernel) => "use Linux 6.1 or newer with this namespace built in".into(),
        (Need::Mke2fs, _) => "apt-get install e2fsprogs".into(),
        (Need::Bash, _) => "apt-get install bash".into(),
        (Need::LoopDevices, _) => {
            "modprobe loop; in a container, give it /dev/loop-control and the loop devices".into()
        }
        (Need::Ext4, _) => "modprobe ext4".into(),
        (Need::Overlay, _) => "modprobe overlay, on Linux 5.11 or newer".into(),
        (Need::Veth, _) => "modprobe veth".into(),
        (Need::IdMaps, _) => "put the data directory on ext4, xfs or btrfs: --data DIR".into(),
        (Need::Cgroups, Cause::Absent) => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".into(),
        (Need::Cgroups, _) => "in a container, let it have its own writable cgroups".into(),
        (Need::Controller(name), _) => {
            format!("boot with cgroup_enable={name}, or enable it in cgroup.subtree_control above")
        }
        (Need::CgroupKill, _) => "use Linux 5.14 or newer with cgroup v2 mounted".into(),
        (Need::Ids, Cause::SharedIds(_)) => "move those ranges in /etc/subuid and /etc/subgid".into(),
        (Need::Ids, _) => "run it outside of that user namespace".into(),
        (Need::Mirror, _) => "name one: --debian-mirror URL".into(),
        (Need::DataDirectory, _) => "name another: --data DIR".into(),
        (Need::Disk, _) => "free some room, or name another directory: --data DIR".into(),
        (Need::Memory, _) => "lower --sessions-max, or use a larger machine".into(),
        (Need::Port, Cause::NotOurs) => "ip address shows this machine's; name one: --listen ADDR".into(),
        (Need::Port, _) => "ss -ltnp shows who; end that, or name another: --listen ADDR".into(),
        (Need::Clone3 | Need::Seccomp, _) => "use Linux 6.1 or newer".into(),
        (Need::Root | Need::Namespace(_), _) => "see the kernel's log: dmesg".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quayside_runtime::host::Namespace;

    fn findings() -> Vec<Finding> {
        let setting = Cause::Setting { name: "user.max_user_namespaces", is: "used up".into(), wanted: "65536" };
        vec![
            Finding::new(Need::Root, State::Present(String::new())),
            Finding::new(Need::Namespace(Namespace::User), State::Missing(setting)),
            Finding::new(Need::Controller("pids"), State::Weak(Cause::Absent)),
            Finding::new(Need::Port, State::Missing(Cause::Taken)),
        ]
    }

    #[test]
    fn each_finding_is_a_line_with_what_is_weaker_and_the_remedy() {
        insta::assert_snapshot!(text(&findings()));
    }

    #[test]
    fn serve_refuses_with_the_same_words() {
        let refusal = refusal(&findings());
        assert_eq!(refusal.lines().count(), 2);
        assert!(refusal.lines().all(|line| text(&findings()).contains(line)));
    }

    #[test]
    fn what_is_only_weak_does_not_stop_a_service() {
        let weak = Finding::new(Need::Mirror, State::Weak(Cause::Absent));
        assert!(can_serve(&[weak]));
        assert!(!can_serve(&findings()));
    }
}
