//! What each step is called: the system call and what it is about, for events and messages.

use super::plan::Step;
use super::spec::Source;

impl Step {
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::EnterGroup => ("write", "0 to tasks of its group".into()),
            Self::Unshare { network: false } => ("unshare", "CLONE_NEWNS|NEWUTS|NEWIPC|NEWCGROUP".into()),
            Self::Unshare { network: true } => ("unshare", "CLONE_NEWNS|NEWUTS|NEWIPC|NEWCGROUP|NEWNET".into()),
            Self::MakePrivate => ("mount", "make / private".into()),
            Self::LoopbackUp => ("netlink", "ip link set lo up".into()),
            Self::Hostname { name } => ("sethostname", name.clone()),
            Self::OomScore { at_least } => ("write", format!("{at_least} to oom_score_adj")),
            Self::MakeDirectory { path } => ("mkdir", path.display().to_string()),
            Self::Write { path, .. } => ("write", path.display().to_string()),
            Self::Open { source, .. } => ("open_tree", what(source)),
            Self::MountPoints { targets, layer, .. } => {
                ("mkdir", format!("what the image lacks of {} mount points in {}", targets.len(), layer.display()))
            }
            Self::Overlay { lower, on, .. } => {
                ("mount", format!("overlay on {} ({} layers)", on.display(), lower.len()))
            }
            Self::Mount { fs, at, options, .. } if options.is_empty() => {
                ("fsmount", format!("{fs} on {}", at.display()))
            }
            Self::Mount { fs, at, options, .. } => {
                let option = |(key, value): &(String, Option<String>)| match value {
                    Some(value) => format!("{key}={value}"),
                    None => key.clone(),
                };
                let options: Vec<String> = options.iter().map(option).collect();
                ("fsmount", format!("{fs} on {} ({})", at.display(), options.join(",")))
            }
            Self::Bind { from, at, .. } => ("move_mount", format!("{} on {}", from.display(), at.display())),
            Self::Attach { at, .. } => ("move_mount", format!("on {}", at.display())),
            Self::Link { at, to } => ("symlink", format!("{} -> {}", at.display(), to.display())),
            Self::Hide { at } => ("move_mount", format!("nothing on {}", at.display())),
            Self::MakeReadOnly { at } => ("mount_setattr", format!("{} read-only", at.display())),
            Self::Pivot { root } => ("pivot_root", root.display().to_string()),
            Self::CloseDescriptors => ("close_range", "everything of the host's".into()),
            Self::User { wanted } if wanted.is_empty() => ("openat2", "/etc/passwd, for root".into()),
            Self::User { wanted } => ("openat2", format!("/etc/passwd, for {}", wanted.escape_debug())),
            Self::WorkingDirectory { at } => ("chdir", at.display().to_string()),
            Self::RootReadOnly => ("mount_setattr", "/ read-only".into()),
            Self::Rlimits { limits } => {
                let limits: Vec<String> = limits.iter().map(|(name, soft, _)| format!("{name}={soft}")).collect();
                ("setrlimit", limits.join(" "))
            }
            Self::Seccomp { .. } => ("seccomp", "the table of policy".into()),
            Self::BoundCapabilities { names } => ("prctl", format!("PR_CAPBSET_DROP, all but {}", names.len())),
            Self::BecomeUser => ("setresuid", "the user's ids and groups".into()),
            Self::KeepCapabilities { .. } => ("capset", "no more than those".into()),
            Self::DieWithMonitor => ("prctl", "PR_SET_PDEATHSIG SIGKILL".into()),
            Self::Execute { args, .. } => {
                ("execve", args.first().map_or_else(String::new, |arg| arg.escape_debug().to_string()))
            }
        }
    }
}

fn what(source: &Source) -> String {
    match source {
        Source::Path { root, path } => format!("{} in {}", path.display(), root.display()),
        Source::Layers { layers, path, .. } => format!("{} in {} layers", path.display(), layers.len()),
        Source::Tmpfs { .. } => "tmpfs".into(),
    }
}
