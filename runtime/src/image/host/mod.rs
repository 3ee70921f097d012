//! The `host` image: commands borrowed from the machine that Quayside runs on.
//!
//! It needs no network and is there within a third of a second, so that the first visitor of a new installation gets a
//! prompt at once. [`wanted`] says what is borrowed, [`plan`] decides what that means on this host, and this file copies.
//! Nothing of the host's own configuration enters it: no accounts, no keys, no machine id. Setuid bits are dropped, and
//! packages cannot be installed.

mod plan;
mod wanted;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use plan::Plan;

use super::beneath::{Meta, Name, Root};
use super::elf;
use super::layout;
use plan::{Host, Program};

/// Why commands cannot be borrowed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(
        "the image `host` needs the command {command} from this machine, and {why}; install it, or prepare `learner` instead"
    )]
    Required { command: &'static str, why: String },
    #[error("cannot copy {from} into the image as {to}")]
    Copy { from: PathBuf, to: Name, source: io::Error },
    #[error("cannot write {name} into the image")]
    Write { name: Name, source: io::Error },
}

/// Decides what to borrow from this machine.
pub fn decide() -> Result<Plan, HostError> {
    plan::plan(&ThisHost)
}

/// A text by which two plans can be told apart: the host's files with their sizes and times.
pub fn fingerprint(plan: &Plan) -> String {
    let mut text = String::new();
    for (name, from) in &plan.copies {
        let (size, mtime, inode) = fs::metadata(from).map_or((0, 0, 0), |meta| (meta.len(), meta.mtime(), meta.ino()));
        text += &format!("{name} {} {size} {mtime} {inode}\n", from.display());
    }
    for (name, to) in &plan.links {
        text += &format!("{name} -> {}\n", to.display());
    }
    for own in OWN_FILES {
        text += &format!("{} {:o} {}\n", own.name, own.mode, own.text);
    }
    text
}

/// Carries the plan out. `copied` is told the bytes of each file.
pub fn copy(plan: &Plan, root: &Root, copied: &mut dyn FnMut(u64)) -> Result<u64, HostError> {
    skeleton(root)?;
    let mut bytes = 0;
    for (to, from) in &plan.copies {
        let size = copy_file(root, to, from).map_err(|source| HostError::Copy {
            from: from.clone(),
            to: to.clone(),
            source,
        })?;
        copied(size);
        bytes += size;
    }
    for (name, target) in &plan.links {
        let link = || {
            root.parents(name)?;
            root.symlink(name, target.as_os_str().as_encoded_bytes(), Meta::root(0o777, 0))
        };
        link().map_err(|source| HostError::Write { name: name.clone(), source })?;
    }
    Ok(bytes)
}

/// Bytes that the plan will copy.
pub fn size(plan: &Plan) -> u64 {
    plan.copies.values().filter_map(|from| fs::metadata(from).ok()).map(|meta| meta.len()).sum()
}

fn copy_file(root: &Root, to: &Name, from: &Path) -> io::Result<u64> {
    let mut file = File::open(from)?;
    let meta = file.metadata()?;
    // Executable for all or for nobody; setuid, setgid and the host's owners do not come along.
    let mode = if meta.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    root.parents(to)?;
    root.file(to, Meta::root(mode, meta.mtime()), &[], &mut file)
}

fn skeleton(root: &Root) -> Result<(), HostError> {
    let failed = |name: &Name, source| HostError::Write { name: name.clone(), source };
    for (path, mode) in DIRECTORIES {
        let name = Name::of(path);
        root.directory(&name, Meta::root(*mode, 0), &[]).map_err(|source| failed(&name, source))?;
    }
    for (from, to) in layout::MERGED {
        let name = Name::of(from);
        let link = root
            .directory(&Name::of(to), Meta::root(0o755, 0), &[])
            .and_then(|()| root.symlink(&name, to.as_bytes(), Meta::root(0o777, 0)));
        link.map_err(|source| failed(&name, source))?;
    }
    for (path, target) in LINKS {
        let name = Name::of(path);
        root.symlink(&name, target.as_bytes(), Meta::root(0o777, 0)).map_err(|source| failed(&name, source))?;
    }
    for own in OWN_FILES {
        let name = Name::of(own.name);
        root.file(&name, Meta::root(own.mode, 0), &[], &mut own.text.as_bytes())
            .map_err(|source| failed(&name, source))?;
    }
    Ok(())
}

/// Parents before children.
const DIRECTORIES: &[(&str, u32)] = &[
    ("", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("lab", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/sbin", 0o755),
    ("usr/share", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

const LINKS: &[(&str, &str)] = &[
    ("etc/mtab", "../proc/self/mounts"),
    ("etc/os-release", "../usr/lib/os-release"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
];

struct OwnFile {
    name: &'static str,
    mode: u32,
    text: &'static str,
}

/// Written by us, so that nothing of the host's accounts or settings is copied.
const OWN_FILES: &[OwnFile] = &[
    OwnFile {
        name: "etc/passwd",
        mode: 0o644,
        text: "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    },
    OwnFile { name: "etc/group", mode: 0o644, text: "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n" },
    OwnFile { name: "etc/nsswitch.conf", mode: 0o644, text: "passwd: files\ngroup: files\nhosts: files dns\n" },
    OwnFile { name: "etc/shells", mode: 0o644, text: "/bin/sh\n/bin/bash\n" },
    OwnFile {
        name: "etc/profile",
        mode: 0o644,
        text: "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
               if [ -n \"${PS1-}\" ] && [ -n \"${BASH-}\" ] && [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi\n",
    },
    OwnFile {
        name: "etc/bash.bashrc",
        mode: 0o644,
        text: "[ -z \"$PS1\" ] && return\nshopt -s checkwinsize\nPS1='\\u@\\h:\\w\\$ '\n",
    },
    OwnFile {
        name: "root/.profile",
        mode: 0o644,
        text: "if [ -n \"${BASH-}\" ] && [ -f ~/.bashrc ]; then . ~/.bashrc; fi\n",
    },
    OwnFile {
        name: "root/.bashrc",
        mode: 0o644,
        text: "alias ls='ls --color=auto'\nalias ll='ls -l'\nalias grep='grep --color=auto'\n",
    },
];

/// The machine we run on.
struct ThisHost;

impl Host for ThisHost {
    fn real(&self, path: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(path).ok()?;
        fs::metadata(&real).ok()?.is_file().then_some(real)
    }

    fn program(&self, real: &Path) -> Program {
        let Ok(bytes) = read_program(real) else { return Program::Other };
        if let Some(line) = bytes.strip_prefix(b"#!") {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            return Program::Script(line.split_whitespace().next().unwrap_or_default().to_owned());
        }
        elf::needs(&bytes).map_or(Program::Other, Program::Elf)
    }

    fn list(&self, directory: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths
    }

    fn library_directories(&self) -> Vec<PathBuf> {
        let mut texts = vec![fs::read_to_string("/etc/ld.so.conf").unwrap_or_default()];
        let included = self.list(Path::new("/etc/ld.so.conf.d")).into_iter();
        texts.extend(included.filter_map(|path| fs::read_to_string(path).ok()));
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        lines.filter(|line| line.starts_with('/')).map(PathBuf::from).collect()
    }
}

fn read_program(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > elf::FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a borrowed command"));
    }
    let mut bytes = Vec::new();
    file.take(elf::FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
