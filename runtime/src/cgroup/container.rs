//! The group of one container without a user namespace: limits of its own, below the group of who starts it.
//!
//! On v1 that is a group in our own. On v2 a group whose children have controllers holds no process (cgroups(7),
//! "No internal processes"), and ours holds us: so it is a neighbour of ours, below the nearest group that
//! gives its children what is needed. In a sandbox that is its payload.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::layout::{Layout, V2};
use super::plan::{Directory, Owner, Plan, Setting, V1Top};

/// Limits that were asked for and that nothing here can keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no group here can limit {0}; leave the limit out, or give this process's group the controller {0}")]
pub struct NoController(&'static str);

/// A plan for the group `name`; `None` where nothing is to be limited, as then none is needed.
pub fn group(
    layout: &Layout,
    name: &str,
    memory_max_bytes: Option<u64>,
    pids_max: Option<u64>,
) -> Result<Option<Plan>, NoController> {
    let above = layout.v2.as_ref().and_then(nearest_that_gives);
    decide(layout, above.as_ref(), name, memory_max_bytes, pids_max)
}

/// A v2 group, and which controllers it gives its children.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Giving {
    path: PathBuf,
    controllers: Vec<String>,
}

fn nearest_that_gives(v2: &V2) -> Option<Giving> {
    within(v2.own.as_deref()?)?.ancestors().find_map(|group| {
        let path = v2.mount.join(group);
        let given = fs::read_to_string(path.join("cgroup.subtree_control")).ok()?;
        let controllers: Vec<String> = given.split_whitespace().map(String::from).collect();
        controllers.iter().any(|name| name == "memory" || name == "pids").then_some(Giving { path, controllers })
    })
}

fn decide(
    layout: &Layout,
    above: Option<&Giving>,
    name: &str,
    memory_max_bytes: Option<u64>,
    pids_max: Option<u64>,
) -> Result<Option<Plan>, NoController> {
    let wanted = [
        ("memory", memory_max_bytes, ["memory.limit_in_bytes", "memory.max"]),
        ("pids", pids_max, ["pids.max", "pids.max"]),
    ];
    let mut plan = Plan {
        vacate: None,
        directories: vec![],
        settings: vec![],
        together: None,
        late: vec![],
        v1: vec![],
        v2: None,
    };
    for (controller, max, [on_v1, on_v2]) in wanted {
        let Some(max) = max else { continue };
        let v1 = layout.v1_of(controller).and_then(|v1| Some(v1.mount.join(within(v1.own.as_deref()?)?)));
        let v2 = above.filter(|above| above.controllers.iter().any(|given| given == controller));
        let file = match (v1, v2) {
            (Some(own), _) => add_v1(&mut plan, &own.join(name)).join(on_v1),
            (None, Some(above)) => add_v2(&mut plan, above.path.join(name)).join(on_v2),
            (None, None) => return Err(NoController(controller)),
        };
        plan.settings.push(Setting { file: file.clone(), value: max.to_string(), optional: false });
        if controller == "memory" {
            // No swap beside it; absent where swap is not accounted.
            let (swap, value) = match file.ends_with(on_v1) {
                true => ("memory.memsw.limit_in_bytes", max),
                false => ("memory.swap.max", 0),
            };
            plan.settings.push(Setting { file: file.with_file_name(swap), value: value.to_string(), optional: true });
        }
    }
    Ok((!plan.directories.is_empty()).then_some(plan))
}

/// A process that came from outside has a group outside of what its cgroup namespace shows (cgroup_namespaces(7)).
fn within(own: &Path) -> Option<&Path> {
    (!own.components().any(|part| part == Component::ParentDir)).then_some(own)
}

fn add_v1(plan: &mut Plan, group: &Path) -> PathBuf {
    if !plan.v1.iter().any(|top| top.path == group) {
        plan.directories.push(directory(group));
        plan.v1.push(V1Top { path: group.into(), split: false });
    }
    group.into()
}

fn add_v2(plan: &mut Plan, group: PathBuf) -> PathBuf {
    if plan.v2.is_none() {
        plan.directories.push(directory(&group));
        plan.v2 = Some(group.clone());
    }
    group
}

/// Root's, as the caller is.
fn directory(path: &Path) -> Directory {
    Directory { path: path.into(), owner: Owner { uid: 0, gid: 0 }, joins: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::layout::V1;
    use super::*;

    fn v1(controller: &str, own: Option<&str>) -> V1 {
        let mount = Path::new("/cg").join(controller);
        V1 { controllers: vec![controller.into()], mount, own: own.map(PathBuf::from) }
    }

    fn files(plan: &Plan) -> Vec<String> {
        plan.settings.iter().map(|setting| format!("{} {}", setting.file.display(), setting.value)).collect()
    }

    #[test]
    fn without_limits_there_is_no_group() {
        let layout = Layout { v1: vec![v1("memory", Some("a"))], v2: None };
        assert_eq!(decide(&layout, None, "quayside-x", None, None), Ok(None));
    }

    #[test]
    fn on_v1_it_lies_in_our_own_of_each_hierarchy() {
        let layout = Layout { v1: vec![v1("memory", Some("a/b")), v1("pids", Some(""))], v2: None };
        let plan = decide(&layout, None, "quayside-x", Some(1 << 20), Some(9)).expect("it can").expect("asked for");
        assert_eq!(
            files(&plan),
            [
                "/cg/memory/a/b/quayside-x/memory.limit_in_bytes 1048576",
                "/cg/memory/a/b/quayside-x/memory.memsw.limit_in_bytes 1048576",
                "/cg/pids/quayside-x/pids.max 9",
            ]
        );
        assert_eq!(plan.v1_joins(super::super::plan::Member::Init).count(), 2);
    }

    #[test]
    fn on_v2_it_is_a_neighbour_of_ours() {
        let layout =
            Layout { v1: vec![], v2: Some(V2 { mount: "/cg".into(), controllers: vec![], own: Some("init".into()) }) };
        let above = Giving { path: "/cg".into(), controllers: vec!["memory".into(), "pids".into()] };
        let plan = decide(&layout, Some(&above), "quayside-x", Some(7), Some(9)).expect("it can").expect("asked for");
        let expected = ["/cg/quayside-x/memory.max 7", "/cg/quayside-x/memory.swap.max 0", "/cg/quayside-x/pids.max 9"];
        assert_eq!(files(&plan), expected);
        assert_eq!((plan.directories.len(), plan.v2), (1, Some("/cg/quayside-x".into())));
    }

    #[test]
    fn a_limit_that_cannot_be_kept_is_refused() {
        let outside = Layout { v1: vec![v1("memory", None)], v2: None };
        let refused = decide(&outside, None, "x", Some(7), None).expect_err("above what is mounted");
        let above = Layout { v1: vec![v1("memory", Some("../../a"))], v2: None };
        assert_eq!(decide(&above, None, "x", Some(7), None), Err(refused.clone()));
        assert!(refused.to_string().starts_with("no group here can limit memory"), "{refused}");
    }
}
