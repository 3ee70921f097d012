//! Below which group sandboxes are made, where the host's owner has not said it.
//!
//! A *delegated* group is one that whoever rules the host has left to us: the only group that a
//! container sees, or a unit of systemd's with `Delegate=yes`. Sandboxes then live in it, and what
//! limits it limits them all together. Anywhere else a group belongs to somebody who may remove it or
//! take its controllers away, so the hierarchy's root is the safe place.
//!
//! On v2 a group whose children have controllers must hold no process itself, except the machine's
//! root (cgroups(7), "No internal processes"). So in a delegated one everybody moves to a leaf first.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{Layout, V2};

/// Without these no sandbox can be kept in bounds.
const NEEDED: [&str; 2] = ["memory", "pids"];

/// Where sandboxes' groups go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Relative to each hierarchy's mount; empty for the root.
    pub path: PathBuf,
    /// What it can give its children on v2.
    pub controllers: Vec<String>,
    /// Its processes have to move to a [`LEAF`](super::layout::LEAF) below it, or its children get no controllers.
    pub vacate: bool,
}

/// What a layout does not tell, asked of the files of [`Layout::own`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The root of the v2 mount is the machine's, not a container's.
    pub root_is_machines: bool,
    /// We may make groups in our own, in every hierarchy.
    pub own_is_writable: bool,
    /// systemd's mark of `Delegate=yes` is on our own v2 group.
    pub own_is_marked: bool,
    /// What our own v2 group can give its children.
    pub own_controllers: Vec<String>,
}

/// Why a group that somebody named cannot be the parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("{} is no path of a group, as system.slice/quayside-machines.service is", .0.display())]
    Path(PathBuf),
    #[error("there is no group {}; make it, or have a systemd unit with Delegate=yes make it", .0.display())]
    Missing(PathBuf),
    #[error("the group {} does not have the controller {controller}; add it to cgroup.subtree_control of the groups above", .group.display())]
    Controller { group: PathBuf, controller: &'static str },
    #[error("processes are in the group {} itself, so groups in it can have no limits; name one that is empty", .0.display())]
    Inhabited(PathBuf),
}

/// What the files of a group tell that somebody named, where controllers are on v2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    pub exists: bool,
    pub controllers: Vec<String>,
    /// Processes are in it; ours do not count if it is our own, as they can move.
    pub inhabited: bool,
}

impl Parent {
    /// The group that the setting `wanted` names, else this host's default.
    pub fn wanted(layout: &Layout, wanted: Option<&Path>) -> Result<Self, Unfit> {
        let Some(wanted) = wanted else { return Ok(Self::of_host(layout)) };
        let path = relative(wanted)?;
        Self::named(layout, &path, root_is_machines(layout), Named::of_host(layout, &path))
    }

    /// The group at `path`, if sandboxes can live in it. On v1 any group will do, and is made by the first sandbox.
    pub fn named(layout: &Layout, path: &Path, root_is_machines: bool, named: Named) -> Result<Self, Unfit> {
        let limits = |v2: &&V2| NEEDED.iter().any(|name| has(&v2.controllers, name));
        let Some(v2) = layout.v2.as_ref().filter(limits) else {
            return Ok(Self { path: path.into(), controllers: named.controllers, vacate: false });
        };
        let group = || v2.mount.join(path);
        if !named.exists {
            return Err(Unfit::Missing(group()));
        }
        let on_v2 = |name: &&&str| has(&v2.controllers, name);
        if let Some(controller) = NEEDED.iter().filter(on_v2).find(|name| !has(&named.controllers, name)) {
            return Err(Unfit::Controller { group: group(), controller });
        }
        let at_machines_root = path == Path::new("") && root_is_machines;
        let own = layout.own().as_deref() == Some(path);
        if named.inhabited && !own && !at_machines_root {
            return Err(Unfit::Inhabited(group()));
        }
        Ok(Self { path: path.into(), controllers: named.controllers, vacate: own && !at_machines_root })
    }

    /// This host's default.
    pub fn of_host(layout: &Layout) -> Self {
        Self::choose(layout, Seen::of_host(layout))
    }

    /// Our own group where it is the same one in every hierarchy and delegated, else the root.
    pub fn choose(layout: &Layout, seen: Seen) -> Self {
        let root = layout.v2.as_ref().map(|v2| v2.controllers.clone()).unwrap_or_default();
        let delegated = seen.own_is_writable
            && match root.is_empty() {
                // Root may write to any group, so that says nothing: the mark does.
                false => seen.own_is_marked && NEEDED.iter().all(|&name| has(&seen.own_controllers, name)),
                // v1 has no mark. systemd leaves a service at the root of at least one hierarchy
                // (cpuset, say), a container's manager of none.
                true => true,
            };
        let (path, controllers) = match layout.own() {
            Some(own) if delegated && own != Path::new("") => (own, seen.own_controllers),
            _ => (PathBuf::new(), root),
        };
        let at_machines_root = path == Path::new("") && seen.root_is_machines;
        Self { vacate: !controllers.is_empty() && !at_machines_root, path, controllers }
    }

    /// Whether it can give `controller` to its children on v2.
    pub fn has(&self, controller: &str) -> bool {
        has(&self.controllers, controller)
    }
}

fn has(controllers: &[String], controller: &str) -> bool {
    controllers.iter().any(|name| name == controller)
}

/// From a hierarchy's root, without a leading slash.
fn relative(path: &Path) -> Result<PathBuf, Unfit> {
    let parts = path.components().filter(|part| !matches!(part, Component::RootDir));
    let plain = |part| if let Component::Normal(name) = part { Some(name) } else { None };
    parts.map(plain).collect::<Option<PathBuf>>().ok_or_else(|| Unfit::Path(path.into()))
}

impl Named {
    fn of_host(layout: &Layout, path: &Path) -> Self {
        let Some(v2) = &layout.v2 else { return Self::default() };
        let group = v2.mount.join(path);
        let read = |name: &str| std::fs::read_to_string(group.join(name)).unwrap_or_default();
        Self {
            exists: group.is_dir(),
            controllers: read("cgroup.controllers").split_whitespace().map(String::from).collect(),
            inhabited: !read("cgroup.procs").is_empty(),
        }
    }
}

impl Seen {
    fn of_host(layout: &Layout) -> Self {
        let Some(own) = layout.own() else {
            return Self { root_is_machines: root_is_machines(layout), ..Self::default() };
        };
        let v1 = layout.v1.iter().map(|v1| &v1.mount);
        let v2 = layout.v2.as_ref().map(|v2| v2.mount.join(&own));
        let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        let controllers = v2.as_ref().map(|v2| std::fs::read_to_string(v2.join("cgroup.controllers")));
        let controllers = controllers.and_then(io::Result::ok).unwrap_or_default();
        Self {
            root_is_machines: root_is_machines(layout),
            own_is_writable: v1.map(|mount| mount.join(&own)).chain(v2.clone()).all(|path| writable(&path)),
            own_is_marked: v2.is_some_and(|v2| is_marked(&v2)),
            own_controllers: controllers.split_whitespace().map(String::from).collect(),
        }
    }
}

/// Every v2 group but the machine's root has a type (cgroups(7)).
fn root_is_machines(layout: &Layout) -> bool {
    layout.v2.as_ref().is_some_and(|v2| !v2.mount.join("cgroup.type").exists())
}

/// systemd writes it, for whom it concerns (systemd.resource-control(5), `Delegate=`).
fn is_marked(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::getxattr(group, name, &mut value[..]).is_ok_and(|length| value[..length] == *b"1")
    })
}

#[cfg(test)]
mod tests {
    use super::super::layout::{LEAF, V1};
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn v2(own: &str) -> Layout {
        let controllers = strings(&["cpu", "memory", "pids", "io"]);
        Layout { v1: vec![], v2: Some(V2 { mount: "/cg".into(), controllers, own: Some(own.into()) }) }
    }

    fn v1(groups: &[(&str, &str)]) -> Layout {
        let one = |&(name, own): &(&str, &str)| V1 {
            controllers: strings(&[name]),
            mount: Path::new("/cg").join(name),
            own: Some(own.into()),
        };
        Layout { v1: groups.iter().map(one).collect(), v2: None }
    }

    /// Root on a machine, in a unit that systemd delegated with every controller.
    fn seen() -> Seen {
        Seen {
            root_is_machines: true,
            own_is_writable: true,
            own_is_marked: true,
            own_controllers: strings(&["cpu", "memory", "pids"]),
        }
    }

    fn check(layout: &Layout, seen: Seen, path: &str, vacate: bool) -> Parent {
        let parent = Parent::choose(layout, seen);
        assert_eq!((parent.path.to_str(), parent.vacate), (Some(path), vacate));
        parent
    }

    #[test]
    fn a_unit_with_delegate_keeps_its_sandboxes_and_moves_to_a_leaf() {
        let parent = check(&v2("system.slice/quayside.service"), seen(), "system.slice/quayside.service", true);
        assert!(parent.has("memory") && !parent.has("io"), "what the unit was given, not what the root has");
    }

    #[test]
    fn a_part_that_starts_in_the_leaf_finds_the_same_parent() {
        let own = format!("system.slice/quayside.service/{LEAF}");
        check(&v2(&own), seen(), "system.slice/quayside.service", true);
        check(&v2(LEAF), Seen { root_is_machines: false, ..seen() }, "", true);
    }

    #[test]
    fn a_login_shell_on_a_machine_leaves_its_own_group_alone() {
        let shell = v2("user.slice/user-0.slice/session-1.scope");
        let parent = check(&shell, Seen { own_is_marked: false, ..seen() }, "", false);
        assert!(parent.has("io"), "the root's");
    }

    #[test]
    fn a_unit_without_the_controllers_that_limits_need_is_no_place() {
        check(&v2("a.service"), Seen { own_controllers: strings(&["pids"]), ..seen() }, "", false);
    }

    #[test]
    fn the_machines_root_may_hold_processes_and_a_containers_may_not() {
        check(&v2(""), Seen { own_is_marked: false, ..seen() }, "", false);
        check(&v2(""), Seen { own_is_marked: false, root_is_machines: false, ..seen() }, "", true);
    }

    #[test]
    fn on_v1_our_own_group_counts_when_it_is_the_same_everywhere_and_writable() {
        let v1_seen = || Seen { own_is_marked: false, root_is_machines: false, own_controllers: vec![], ..seen() };
        let container = v1(&[("memory", "docker/1"), ("pids", "docker/1")]);
        check(&container, v1_seen(), "docker/1", false);
        check(&container, Seen { own_is_writable: false, ..v1_seen() }, "", false);
        check(&v1(&[("memory", "system.slice/a.service"), ("cpuset", "")]), v1_seen(), "", false);
    }

    #[test]
    fn on_a_hybrid_host_the_bare_v2_tree_needs_no_leaf() {
        let mut hybrid = v1(&[("memory", "docker/1"), ("pids", "docker/1")]);
        hybrid.v2 = Some(V2 { mount: "/cg/unified".into(), controllers: vec![], own: Some("docker/1".into()) });
        check(&hybrid, Seen { own_controllers: vec![], own_is_marked: false, ..seen() }, "docker/1", false);
    }

    #[test]
    fn a_group_that_is_named_is_taken_if_its_children_can_have_limits() {
        let empty = || Named { exists: true, controllers: strings(&["memory", "pids"]), inhabited: false };
        let named = |path: &str, own: &str, named| Parent::named(&v2(own), Path::new(path), true, named);
        let pool = named("pool", "system.slice/a.service", empty()).expect("it fits");
        assert_eq!((pool.path.to_str(), pool.vacate, pool.has("pids")), (Some("pool"), false, true));
        let own = named("a.service", "a.service", Named { inhabited: true, ..empty() }).expect("ours can move");
        assert!(own.vacate);
        let root = named("", "a.service", Named { inhabited: true, ..empty() }).expect("the machine's root");
        assert!(!root.vacate);
        let group = || PathBuf::from("/cg/pool");
        let unfit = |state| named("pool", "a.service", state).expect_err("it does not fit");
        assert_eq!(unfit(Named { exists: false, ..empty() }), Unfit::Missing(group()));
        assert_eq!(unfit(Named { inhabited: true, ..empty() }), Unfit::Inhabited(group()));
        let few = Named { controllers: strings(&["memory"]), ..empty() };
        assert_eq!(unfit(few), Unfit::Controller { group: group(), controller: "pids" });
    }

    #[test]
    fn a_group_is_named_from_the_hierarchys_root_and_stays_below_it() {
        assert_eq!(relative(Path::new("/a/b")), Ok("a/b".into()));
        assert_eq!(relative(Path::new("a/b/")), Ok("a/b".into()));
        assert_eq!(relative(Path::new("/")), Ok("".into()));
        assert!(relative(Path::new("a/../../b")).is_err());
    }

    #[test]
    fn on_v1_any_named_group_will_do() {
        let layout = v1(&[("memory", "docker/1"), ("pids", "docker/1")]);
        let parent = Parent::named(&layout, Path::new("pool"), false, Named::default()).expect("it fits");
        assert_eq!((parent.path.to_str(), parent.vacate), (Some("pool"), false));
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_no_place() {
        let mut outside = v2("");
        outside.v2.as_mut().expect("it is v2").own = None;
        check(&outside, Seen { root_is_machines: false, ..Seen::default() }, "", true);
    }
}
