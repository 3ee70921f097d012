//! What PID 1 mounts and writes before it gives up the host's root, as plain data in order.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::layout::Layout;
use crate::network::plan::{ADDRESS, GATEWAY};
use crate::policy::devices;
use crate::spec::SandboxSpec;

/// Where the sandbox finds the binary that is its PID 1 (and, later, its engine).
pub const BINARY_INSIDE: &str = "/run/quayside/quayside";

/// Where it finds the content of the host's image store, which it can only read.
pub const IMAGES_INSIDE: &str = "/run/quayside/images";

/// Layers that an overlay of ours is made of: the kernel takes 500, an option string of a page fewer.
pub const LAYERS_MAX: usize = 120;

/// One step. Paths under the staging directory are the host's until [`Step::Pivot`], the sandbox's after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Nothing that happens here reaches the host, and nothing there reaches us (mount_namespaces(7)).
    MakePrivate,
    MakeDirectory {
        path: PathBuf,
    },
    /// A file system made new.
    Mount {
        fs: String,
        source: String,
        at: PathBuf,
        options: String,
        flags: Flags,
    },
    /// A detached mount that the parent prepared, by its place in the list of descriptors.
    Attach {
        which: Prepared,
        at: PathBuf,
    },
    /// `mount --bind`; the target is made, as file or directory like the source.
    Bind {
        from: PathBuf,
        at: PathBuf,
    },
    Link {
        at: PathBuf,
        to: PathBuf,
    },
    /// The staged root becomes `/`; the host's is gone.
    Pivot {
        root: PathBuf,
    },
    Write {
        path: PathBuf,
        text: String,
        mode: u32,
    },
}

/// Flags of mount(2) that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags {
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
}

impl Flags {
    const ALL: Self = Self { nosuid: true, nodev: true, noexec: true };
    const NOSUID: Self = Self { nosuid: true, nodev: false, noexec: false };
    const NOSUID_NODEV: Self = Self { nosuid: true, nodev: true, noexec: false };
}

/// A mount that the keeper made with rights that the sandbox lacks, and passed as a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepared {
    /// From the bottom, 0.
    Layer(usize),
    Disk,
    Binary,
    /// The content of the host's image store.
    Images,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub layers: usize,
}

impl Plan {
    /// `staging` is any directory that exists on the host: it is covered by a tmpfs of our own
    /// mount namespace.
    pub fn new(spec: &SandboxSpec, layers: usize, staging: &Path, cgroups: &Layout) -> Self {
        let root = staging.join("root");
        let mut steps = vec![Step::MakePrivate];
        steps.extend(stage(staging, layers));
        steps.extend(kernel_file_systems(&root));
        steps.extend(device_nodes(&root));
        steps.extend(cgroup_mounts(&root, cgroups));
        steps.extend(session_directories(staging, &root));
        steps.push(Step::Attach { which: Prepared::Binary, at: inside(&root, BINARY_INSIDE) });
        steps.push(Step::Attach { which: Prepared::Images, at: inside(&root, IMAGES_INSIDE) });
        steps.push(Step::Pivot { root });
        steps.extend(files(spec));
        Self { steps, layers }
    }
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn mount(fs: &str, at: PathBuf, options: &str, flags: Flags) -> Step {
    Step::Mount { fs: fs.into(), source: fs.into(), at, options: options.into(), flags }
}

/// The layers, the disk, and the overlay of both.
fn stage(staging: &Path, layers: usize) -> Vec<Step> {
    let mut steps = vec![mount("tmpfs", staging.into(), "mode=755,size=1m", Flags::NOSUID_NODEV)];
    let layer = |index: usize| staging.join(format!("l{index}"));
    for index in 0..layers {
        steps.push(Step::Attach { which: Prepared::Layer(index), at: layer(index) });
    }
    let disk = staging.join("disk");
    steps.push(Step::Attach { which: Prepared::Disk, at: disk.clone() });
    // overlayfs wants the uppermost first. `userxattr`: trusted.* is not for a user namespace.
    let lower: Vec<String> = (0..layers).rev().map(|index| layer(index).display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        lower.join(":"),
        disk.join("upper").display(),
        disk.join("work").display()
    );
    steps.push(mount("overlay", staging.join("root"), &options, Flags::default()));
    steps
}

/// /proc unmasked and sysfs twice, neither read-only: a nested mount of either is allowed only while
/// a full one is visible, and a read-only superblock would make every later one read-only.
fn kernel_file_systems(root: &Path) -> Vec<Step> {
    vec![
        mount("proc", inside(root, "/proc"), "", Flags::ALL),
        mount("sysfs", inside(root, "/sys"), "", Flags::ALL),
        mount("tmpfs", inside(root, "/run"), "mode=755,size=64m", Flags::NOSUID_NODEV),
        mount("sysfs", inside(root, "/run/.sysfs"), "", Flags::ALL),
    ]
}

/// Terminals of one sandbox: 16 that the page shows, tmux in each, and the shells of many containers. All of a
/// host share 3,072 by default (kernel.pty.max less its reserve).
const PTYS_MAX: u32 = 256;

/// A small /dev of mode 755: with a tmpfs's default 1777, `> /dev/null` is refused even to root, as
/// the directory is sticky and the node belongs to nobody.
fn device_nodes(root: &Path) -> Vec<Step> {
    let dev = inside(root, "/dev");
    let mut steps = vec![mount("tmpfs", dev.clone(), "mode=755,size=64k", Flags::NOSUID)];
    for (name, _) in devices::NODES {
        steps.push(Step::Bind { from: Path::new("/dev").join(name), at: dev.join(name) });
    }
    // gid 5 is tty on every distribution; ptmxmode lets anybody inside open a terminal (pts(4)).
    let devpts = format!("newinstance,ptmxmode=0666,mode=0620,gid=5,max={PTYS_MAX}");
    steps.push(mount("devpts", dev.join("pts"), &devpts, Flags { nodev: false, ..Flags::ALL }));
    steps.push(mount("tmpfs", dev.join("shm"), "mode=1777,size=64m", Flags::NOSUID_NODEV));
    steps.push(mount("mqueue", dev.join("mqueue"), "", Flags::ALL));
    for (name, to) in devices::LINKS {
        steps.push(Step::Link { at: dev.join(name), to: to.into() });
    }
    steps
}

/// The sandbox's own view of its groups, laid out as on the host (cgroup_namespaces(7)).
fn cgroup_mounts(root: &Path, layout: &Layout) -> Vec<Step> {
    let top = inside(root, "/sys/fs/cgroup");
    if layout.v1.is_empty() {
        return layout.v2.iter().map(|_| mount("cgroup2", top.clone(), "", Flags::ALL)).collect();
    }
    let mut steps = vec![mount("tmpfs", top.clone(), "mode=755,size=64k", Flags::ALL)];
    for v1 in &layout.v1 {
        let joined = v1.controllers.join(",");
        let name = joined.strip_prefix("name=").unwrap_or(&joined).to_owned();
        steps.push(mount("cgroup", top.join(&name), &joined, Flags::ALL));
        if v1.controllers.len() > 1 {
            let links = v1.controllers.iter().map(|one| Step::Link { at: top.join(one), to: name.clone().into() });
            steps.extend(links);
        }
    }
    if layout.v2.is_some() {
        steps.push(mount("cgroup2", top.join("unified"), "", Flags::ALL));
    }
    steps
}

/// Room that is not overlay, so that a learner's own overlays can have their upper directory there.
fn session_directories(staging: &Path, root: &Path) -> Vec<Step> {
    let disk = staging.join("disk");
    vec![
        Step::Bind { from: disk.join("docker"), at: inside(root, "/var/lib/docker") },
        Step::Bind { from: disk.join("lab"), at: inside(root, "/lab") },
    ]
}

fn files(spec: &SandboxSpec) -> Vec<Step> {
    let write = |path: &str, text: String, mode| Step::Write { path: path.into(), text, mode };
    let hostname = &spec.hostname;
    vec![
        write("/etc/hostname", format!("{hostname}\n"), 0o644),
        write("/etc/hosts", format!("127.0.0.1 localhost\n{ADDRESS} {hostname}\n::1 localhost ip6-localhost\n"), 0o644),
        // Nobody answers there, and says so at once: a lookup fails in no time instead of in twelve seconds.
        write("/etc/resolv.conf", format!("nameserver {GATEWAY}\n"), 0o644),
        write("/root/.bashrc", bashrc(&spec.prompt), 0o644),
    ]
}

/// The learner's bashrc. Prompts carry OSC 133 marks with the exit code, so that the page knows when
/// a command ended and how; all built-ins, no fork: a fork here would shift every pid a lesson prints.
fn bashrc(prompt: &str) -> String {
    let quoted = prompt.replace('\'', r"'\''");
    format!(
        r#"# Interactive shells only.
case $- in *i*) ;; *) return ;; esac

HISTSIZE=10000
HISTFILESIZE=20000
HISTCONTROL=ignoredups
shopt -s checkwinsize histappend

# Marks for the page beside this terminal (OSC 133): a prompt begins and ends, a command runs, and
# how it ended. `history -a` writes each command down at once. A prompt of one's own gets the marks too.
__quayside_prompt() {{
  local code=$?
  history -a
  printf '\e]133;D;%s\a' "$code"
  case $PS1 in *'133;B'*) ;; *) PS1='\[\e]133;A\a\]'$PS1'\[\e]133;B\a\]' ;; esac
}}
PROMPT_COMMAND=__quayside_prompt
PS0='\e]133;C\a'
PS1='\[\e]133;A\a\]'
PS1+='{quoted}'
PS1+='\[\e]133;B\a\]'

alias ls='ls --color=auto'
alias ll='ls -l'
alias grep='grep --color=auto'

# Completion is read at the first Tab: at the start it would take five times as long as bash itself.
if [ -r /usr/share/bash-completion/bash_completion ]; then
  __quayside_complete() {{
    complete -r -D
    . /usr/share/bash-completion/bash_completion
    return 124
  }}
  complete -D -F __quayside_complete
fi
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::layout::{V1, V2};
    use crate::spec::SandboxId;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            id: "0190b5a2-0000-7000-8000-000000000001".parse::<SandboxId>().expect("a UUID"),
            image: "learner".into(),
            hostname: "ubuntu".into(),
            prompt: "ubuntu $ ".into(),
            limits: Default::default(),
            egress: Default::default(),
        }
    }

    fn hybrid() -> Layout {
        Layout {
            v1: vec![
                V1 { controllers: vec!["cpu".into(), "cpuacct".into()], mount: "/c/cpu,cpuacct".into(), own: None },
                V1 { controllers: vec!["name=systemd".into()], mount: "/c/systemd".into(), own: None },
            ],
            v2: Some(V2 { mount: "/c/unified".into(), controllers: vec![], own: None }),
        }
    }

    #[test]
    fn a_root_of_two_layers_on_a_hybrid_host() {
        insta::assert_json_snapshot!(Plan::new(&spec(), 2, Path::new("/tmp"), &hybrid()));
    }

    #[test]
    fn nothing_of_sysfs_or_proc_is_read_only_or_masked() {
        let plan = Plan::new(&spec(), 1, Path::new("/tmp"), &hybrid());
        let mut sysfs = 0;
        for step in &plan.steps {
            if let Step::Mount { fs, options, at, .. } = step {
                assert!(!options.split(',').any(|option| option == "ro"), "{fs}");
                assert_ne!(at.parent(), Some(Path::new("/tmp/root/proc")), "a mount over a part of /proc");
                sysfs += u32::from(fs == "sysfs");
            }
        }
        assert_eq!(sysfs, 2);
    }

    #[test]
    fn a_prompt_with_a_quote_stays_one_word_of_shell() {
        assert!(bashrc("it's $ ").contains(r"PS1+='it'\''s $ '"));
    }
}
