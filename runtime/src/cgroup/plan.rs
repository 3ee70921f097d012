//! The tree of one sandbox, decided as plain data: which directories, whose, and what is written.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{LEAF, Layout};
use super::parent::Parent;
use super::turns::{Together, Turns, shares};
use crate::spec::Limits;

/// Processes that verify scripts may have: enough for pipes and loops.
const CHECK_PIDS_MAX: u64 = 64;
/// Memory that verify scripts may use: python and jq, not a build.
const CHECK_MEMORY_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Levels and groups a learner may nest below their own on v2: a lesson makes a handful.
const DESCENDANTS_MAX: u64 = 256;
/// The period of the CPU quota: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;
/// Controllers that sandboxes, and a payload's own subgroups, get on v2.
const DELEGATED: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// The four groups of a sandbox (see the module's picture).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Member {
    Shim,
    Check,
    Init,
    /// Only the launcher, and only until it has made the cgroup namespace.
    Payload,
}

impl Member {
    fn path(self) -> &'static str {
        match self {
            Self::Shim => "shim",
            Self::Check => "check",
            Self::Payload => "payload",
            Self::Init => "payload/init",
        }
    }
}

/// Whose a directory and its join files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// One directory to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    pub path: PathBuf,
    pub owner: Owner,
    /// Files of it that are handed to `owner` with mode 0664; the limits stay root's.
    pub joins: Vec<String>,
}

/// One value to write, after all directories are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub file: PathBuf,
    pub value: String,
    /// Kernels differ here (swap accounting off, no io controller): a file that is not there is no error.
    pub optional: bool,
}

/// A group whose processes have to leave it: on v2 one that holds any cannot give controllers to its
/// children (cgroups(7), "No internal processes").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vacate {
    pub from: PathBuf,
    pub to: PathBuf,
}

/// Everything about the cgroups of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vacate: Option<Vacate>,
    pub directories: Vec<Directory>,
    pub settings: Vec<Setting>,
    /// How the sandboxes stand beside the host's own programs; the same for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
    /// Settings for when PID 1 is in `init` and the launcher has left `payload`.
    pub late: Vec<Setting>,
    /// The v1 directories of the sandbox, one a hierarchy.
    pub v1: Vec<V1Top>,
    /// The v2 directory of the sandbox.
    pub v2: Option<PathBuf>,
}

/// A sandbox's directory in one v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Top {
    pub path: PathBuf,
    /// It has limits, and so the four groups. Where nothing is limited one group is all four: it is
    /// there only so that the cgroup namespace has a root, and each directory costs a tenth of a
    /// millisecond in every launch.
    pub split: bool,
}

/// Controllers that limit something: only their v1 hierarchies get all four groups.
const LIMITING: [&str; 3] = ["memory", "pids", "cpu"];

/// Ids that own parts of the tree.
#[derive(Debug, Clone, Copy)]
pub struct Owners {
    /// The shim's id.
    pub owner: u32,
    /// The sandbox's root, as the host sees it.
    pub root: u32,
}

impl Plan {
    /// `quayside/ID` below `parent` is `name`.
    pub fn new(layout: &Layout, parent: &Parent, turns: Turns, name: &str, owners: Owners, limits: &Limits) -> Self {
        let mut plan = Self {
            vacate: None,
            directories: Vec::new(),
            settings: Vec::new(),
            together: Together::new(layout, parent, turns),
            late: Vec::new(),
            v1: Vec::new(),
            v2: None,
        };
        for v1 in &layout.v1 {
            if v1.controllers.iter().any(|name| name == "cpuset") {
                plan.add_cpusets_above(&v1.mount, &parent.path);
            }
            plan.add_v1(v1.controllers.as_slice(), &v1.mount.join(&parent.path), name, owners, limits);
        }
        if let Some(v2) = &layout.v2 {
            plan.add_v2(&v2.mount, parent, name, owners, limits);
        }
        plan
    }

    /// Files into each of which a process writes `0` to enter `member` on v1 (cgroups(7): `tasks`).
    /// By itself, and while it still has an id that may: v1 compares ids when another moves it.
    pub fn v1_joins(&self, member: Member) -> impl Iterator<Item = PathBuf> {
        self.v1.iter().filter_map(move |top| match (top.split, member) {
            (true, member) => Some(top.path.join(member.path()).join("tasks")),
            (false, Member::Shim) => None,
            (false, Member::Payload | Member::Init | Member::Check) => Some(top.path.join("tasks")),
        })
    }

    /// The same for PID 1, which comes from `payload`: it is there already where that is all.
    pub fn v1_joins_from_payload(&self) -> impl Iterator<Item = PathBuf> {
        let split = self.v1.iter().filter(|top| top.split);
        split.map(|top| top.path.join(Member::Init.path()).join("tasks"))
    }

    /// Every directory at the top of the sandbox's tree.
    pub fn tops(&self) -> impl Iterator<Item = &PathBuf> {
        self.v2.iter().chain(self.v1.iter().map(|top| &top.path))
    }

    /// The v2 directory that a process of `member` starts in.
    pub fn v2_join(&self, member: Member) -> Option<PathBuf> {
        self.v2.as_ref().map(|top| top.join(member.path()))
    }

    fn add_tree(&mut self, top: &Path, owners: Owners, joins: &[&str]) {
        let owner = Owner { uid: owners.owner, gid: owners.owner };
        let inside = Owner { uid: owners.root, gid: owners.owner };
        for (path, whose) in
            [("", owner), ("shim", owner), ("check", owner), ("payload", inside), ("payload/init", inside)]
        {
            let path = if path.is_empty() { top.to_path_buf() } else { top.join(path) };
            self.directories.push(Directory {
                path,
                owner: whose,
                joins: joins.iter().map(|join| join.to_string()).collect(),
            });
        }
    }

    fn add_v1(&mut self, controllers: &[String], parent: &Path, name: &str, owners: Owners, limits: &Limits) {
        let top = parent.join("quayside").join(name);
        let has = |name: &str| controllers.iter().any(|controller| controller == name);
        let joins = ["cgroup.procs", "tasks"];
        let split = LIMITING.iter().any(|name| has(name));
        if split {
            self.add_tree(&top, owners, &joins);
        } else {
            let owner = Owner { uid: owners.root, gid: owners.owner };
            self.directories.push(Directory { path: top.clone(), owner, joins: joins.map(String::from).to_vec() });
        }
        if has("cpuset") {
            let below: &[&str] =
                if split { &["..", "", "shim", "check", "payload", "payload/init"] } else { &["..", ""] };
            for &group in below {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let group = if group == ".." { parent.join("quayside") } else { top.join(group) };
                    self.settings.push(Setting {
                        file: group.join(file),
                        value: COPY_FROM_PARENT.into(),
                        optional: true,
                    });
                }
            }
        }
        if has("memory") {
            self.set_v1_memory(&top.join("payload"), limits.memory_max_bytes);
            self.set_v1_memory(&top.join("check"), CHECK_MEMORY_MAX_BYTES);
        }
        if has("pids") {
            self.set(top.join("payload/pids.max"), limits.pids_max);
            self.set(top.join("check/pids.max"), CHECK_PIDS_MAX);
        }
        if has("cpu") {
            let quota = limits.cpu_max_millis * CPU_PERIOD_US / 1000;
            self.set_optional(top.join("payload/cpu.cfs_quota_us"), quota);
            self.set_optional(top.join("payload/cpu.shares"), shares(limits.cpu_weight));
        }
        self.v1.push(V1Top { path: top, split });
    }

    /// A new cpuset is empty, and nothing can enter an empty one (cpuset(7)); those above ours may be new, too.
    fn add_cpusets_above(&mut self, mount: &Path, parent: &Path) {
        let mut above: Vec<&Path> = parent.ancestors().filter(|path| *path != Path::new("")).collect();
        above.reverse();
        for group in above {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let file = mount.join(group).join(file);
                self.settings.push(Setting { file, value: COPY_FROM_PARENT.into(), optional: true });
            }
        }
    }

    fn add_v2(&mut self, mount: &Path, parent: &Parent, name: &str, owners: Owners, limits: &Limits) {
        let above = mount.join(&parent.path);
        let quayside = above.join("quayside");
        let top = quayside.join(name);
        if parent.vacate {
            self.vacate = Some(Vacate { from: above.clone(), to: above.join(LEAF) });
        }
        self.add_tree(&top, owners, &["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"]);
        let has = |name: &str| parent.has(name);
        let wanted: Vec<String> = DELEGATED.iter().filter(|name| has(name)).map(|name| format!("+{name}")).collect();
        if !wanted.is_empty() {
            let enable = |group: &Path, optional| Setting {
                file: group.join("cgroup.subtree_control"),
                value: wanted.join(" "),
                optional,
            };
            // From the root down, as a group can give only what it was given. Above `parent` it is for
            // others to decide: what is missing there shows at `parent`.
            let others = parent.path.ancestors().skip(1).map(|path| mount.join(path));
            let mut others: Vec<PathBuf> = others.collect();
            others.reverse();
            self.settings.extend(others.iter().map(|group| enable(group, true)));
            self.settings.extend([&above, &quayside, &top].map(|group| enable(group, false)));
            self.late.push(enable(&top.join("payload"), false));
        }
        if has("memory") {
            for (group, max) in [("payload", limits.memory_max_bytes), ("check", CHECK_MEMORY_MAX_BYTES)] {
                self.set(top.join(group).join("memory.max"), max);
                self.set_optional(top.join(group).join("memory.swap.max"), 0);
            }
        }
        if has("pids") {
            self.set(top.join("payload/pids.max"), limits.pids_max);
            self.set(top.join("check/pids.max"), CHECK_PIDS_MAX);
        }
        if has("cpu") {
            let quota = limits.cpu_max_millis * CPU_PERIOD_US / 1000;
            let value = format!("{quota} {CPU_PERIOD_US}");
            self.settings.push(Setting { file: top.join("payload/cpu.max"), value, optional: true });
            self.set_optional(top.join("payload/cpu.weight"), limits.cpu_weight);
        }
        self.set_optional(top.join("payload/cgroup.max.descendants"), DESCENDANTS_MAX);
        self.v2 = Some(top);
    }

    fn set_v1_memory(&mut self, group: &Path, max: u64) {
        self.set(group.join("memory.limit_in_bytes"), max);
        // With swap: the same number, so none. Absent where swap accounting is off.
        self.set_optional(group.join("memory.memsw.limit_in_bytes"), max);
    }

    fn set(&mut self, file: PathBuf, value: u64) {
        self.settings.push(Setting { file, value: value.to_string(), optional: false });
    }

    fn set_optional(&mut self, file: PathBuf, value: u64) {
        self.settings.push(Setting { file, value: value.to_string(), optional: true });
    }
}

/// A setting's value that stands for the same file one directory up (cpusets start empty).
pub const COPY_FROM_PARENT: &str = "(as above)";

#[cfg(test)]
mod tests {
    use super::super::layout::{V1, V2};
    use super::*;

    fn plan(layout: &Layout) -> Plan {
        plan_below(layout, &Parent { controllers: v2_controllers(), ..Parent::default() })
    }

    fn plan_below(layout: &Layout, parent: &Parent) -> Plan {
        Plan::new(layout, parent, Turns::Behind, "ID", Owners { owner: 900, root: 1000 }, &Limits::default())
    }

    fn v2_controllers() -> Vec<String> {
        ["cpu", "memory", "pids"].map(String::from).to_vec()
    }

    fn v2() -> Layout {
        let v2 = V2 { mount: "/cg".into(), controllers: v2_controllers(), own: Some(PathBuf::new()) };
        Layout { v1: Vec::new(), v2: Some(v2) }
    }

    /// Where controllers are enabled, and whether it may fail.
    fn enabled(plan: &Plan) -> Vec<(&str, bool)> {
        let enables = plan.settings.iter().filter(|setting| setting.file.ends_with("cgroup.subtree_control"));
        enables.map(|one| (one.file.parent().unwrap().to_str().unwrap(), one.optional)).collect()
    }

    #[test]
    fn on_v2_controllers_are_enabled_from_the_root_down() {
        assert_eq!(enabled(&plan(&v2())), [("/cg", false), ("/cg/quayside", false), ("/cg/quayside/ID", false)]);
        let parent = Parent { path: "a/b".into(), controllers: v2_controllers(), vacate: true };
        let plan = plan_below(&v2(), &parent);
        assert_eq!(
            enabled(&plan),
            [
                ("/cg", true),
                ("/cg/a", true),
                ("/cg/a/b", false),
                ("/cg/a/b/quayside", false),
                ("/cg/a/b/quayside/ID", false)
            ]
        );
        assert_eq!(plan.vacate, Some(Vacate { from: "/cg/a/b".into(), to: "/cg/a/b/quayside-host".into() }));
    }

    #[test]
    fn what_the_parent_was_not_given_is_not_asked_for() {
        let parent = Parent { path: "a".into(), controllers: vec!["pids".into()], vacate: true };
        let plan = plan_below(&v2(), &parent);
        assert!(plan.settings.iter().all(|setting| !setting.value.contains("memory")));
        assert!(plan.settings.iter().all(|setting| !setting.file.ends_with("memory.max")));
        assert_eq!(plan.late[0].value, "+pids");
    }

    #[test]
    fn on_v2_the_payloads_controllers_are_enabled_late() {
        let plan = plan(&v2());
        let late: Vec<_> = plan.late.iter().map(|setting| (setting.file.to_str().unwrap(), &*setting.value)).collect();
        assert_eq!(late, [("/cg/quayside/ID/payload/cgroup.subtree_control", "+cpu +memory +pids")]);
        assert!(plan.settings.iter().all(|setting| !setting.file.ends_with("payload/cgroup.subtree_control")));
        assert_eq!(plan.v2_join(Member::Init).unwrap(), Path::new("/cg/quayside/ID/payload/init"));
    }

    #[test]
    fn on_v1_every_cpuset_from_the_root_down_is_filled_before_anything_enters() {
        let cpuset = V1 { controllers: vec!["cpuset".into()], mount: "/cg/cpuset".into(), own: None };
        let parent = Parent { path: "system.slice/a.service".into(), ..Parent::default() };
        let plan = plan_below(&Layout { v1: vec![cpuset], v2: None }, &parent);
        let filled = plan.settings.iter().filter(|setting| setting.file.ends_with("cpuset.cpus"));
        let filled: Vec<&str> = filled.map(|one| one.file.parent().unwrap().to_str().unwrap()).collect();
        let base = "/cg/cpuset/system.slice";
        let service = format!("{base}/a.service");
        let (quayside, top) = (format!("{service}/quayside"), format!("{service}/quayside/ID"));
        assert_eq!(filled, [base, &service, &quayside, &top]);
    }

    #[test]
    fn a_v1_hierarchy_without_limits_gets_one_group_that_the_sandbox_owns() {
        let v1 = V1 { controllers: vec!["freezer".into()], mount: "/f".into(), own: None };
        let plan = plan(&Layout { v1: vec![v1], v2: None });
        let paths: Vec<_> = plan.directories.iter().map(|directory| directory.path.as_path()).collect();
        assert_eq!(paths, [Path::new("/f/quayside/ID")]);
        assert_eq!(plan.v1_joins(Member::Shim).count(), 0);
        assert_eq!(plan.v1_joins(Member::Check).collect::<Vec<_>>(), [Path::new("/f/quayside/ID/tasks")]);
        assert_eq!(plan.v1_joins_from_payload().count(), 0);
    }

    #[test]
    fn limits_stay_roots_and_only_the_join_files_are_handed_over() {
        let v1 = V1 { controllers: vec!["memory".into()], mount: "/m".into(), own: None };
        let plan = plan(&Layout { v1: vec![v1], v2: None });
        for directory in &plan.directories {
            assert_eq!(directory.joins, ["cgroup.procs", "tasks"]);
        }
        let payload = plan.directories.iter().find(|directory| directory.path.ends_with("payload")).unwrap();
        assert_eq!(payload.owner, Owner { uid: 1000, gid: 900 });
        let joins: Vec<_> = plan.v1_joins(Member::Check).collect();
        assert_eq!(joins, [Path::new("/m/quayside/ID/check/tasks")]);
    }
}
