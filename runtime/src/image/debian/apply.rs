//! Carries the table of fix-ups out.

use std::collections::BTreeMap;
use std::io;

use super::fixups::{self, Act, Alternative, FixUp, ROOT, SHADOW, TIME};
use super::tree::Tree;
use crate::image::beneath::{Meta, Name, Root};
use crate::image::layout;

/// Folders with owner and mode, to be set when everything is written.
pub type Directories = BTreeMap<Name, Meta>;

#[derive(Debug, thiserror::Error)]
#[error("cannot set up {what} ({reason})")]
pub struct FixError {
    pub what: String,
    pub reason: &'static str,
    pub source: io::Error,
}

pub fn apply(tree: &Tree, fix_ups: &[FixUp], directories: &mut Directories) -> Result<(), FixError> {
    for fix_up in fix_ups {
        for act in fix_up.acts {
            carry_out(tree, act, directories).map_err(|source| FixError {
                what: format!("{act:?}"),
                reason: fix_up.reason,
                source,
            })?;
        }
    }
    Ok(())
}

/// The layout's links, which must be there before the first package.
pub fn merged_layout(root: &Root) -> io::Result<()> {
    for (from, to) in layout::MERGED {
        root.parents(&Name::of(to))?;
        root.directory(&Name::of(to), Meta::root(0o755, TIME), &[])?;
        root.symlink(&Name::of(from), to.as_bytes(), Meta::root(0o777, TIME))?;
    }
    Ok(())
}

/// Gives every folder its owner, its mode and the fixed time. One that nobody described is as it is below.
pub fn dress_directories(tree: &Tree, directories: &Directories) -> io::Result<()> {
    dress(tree, &Name::root(), directories)
}

fn dress(tree: &Tree, name: &Name, directories: &Directories) -> io::Result<()> {
    for part in tree.top.list(name)? {
        let child = name.join(&part);
        let mode = tree.top.stat(&child)?.st_mode;
        if rustix::fs::FileType::from_raw_mode(mode).is_dir() {
            dress(tree, &child, directories)?;
        }
    }
    let described = directories.get(name).copied().or_else(|| tree.meta_below(name));
    let meta = described.unwrap_or(Meta::root(0o755, TIME));
    tree.top.change(name, Meta { mtime: Some(TIME), ..meta }, &[])
}

fn carry_out(tree: &Tree, act: &Act, directories: &mut Directories) -> io::Result<()> {
    let root = tree.top;
    match *act {
        Act::Directory { path, mode, gid } => {
            let (name, meta) = (Name::of(path), Meta { gid, ..Meta::root(mode, TIME) });
            root.parents(&name)?;
            root.directory(&name, meta, &[])?;
            directories.insert(name, meta);
            Ok(())
        }
        Act::File { path, mode, gid, text } => put(root, path, Meta { gid, ..Meta::root(mode, TIME) }, text.as_bytes()),
        Act::Copy { from, to, mode } => put(root, to, Meta::root(mode, TIME), tree.read(&Name::of(from))?.as_bytes()),
        Act::Link { path, to } => link(root, &Name::of(path), to),
        Act::Links { paths, to } => paths.split_whitespace().try_for_each(|path| link(root, &Name::of(path), to)),
        Act::Change { path, mode, gid } => {
            root.change(&Name::of(path), Meta { mode, uid: ROOT, gid, mtime: None }, &[])
        }
        Act::Capability { path, value } => capability(root, &Name::of(path), value),
        Act::Accounts { users, groups } => accounts(tree, users, groups),
        Act::MoreAccounts { users, groups } => more_accounts(tree, users, groups),
        Act::Pam { from, to, values } => {
            put(root, to, Meta::root(0o644, TIME), fixups::pam(&tree.read(&Name::of(from))?, values).as_bytes())
        }
        Act::Certificates { from, bundle, list, links } => certificates(tree, from, bundle, list, links),
        Act::Alternative(ref alternative) => choose(root, alternative),
    }
}

fn capability(root: &Root, name: &Name, value: &[u8]) -> io::Result<()> {
    let stat = root.stat(name)?;
    let meta = Meta { mode: stat.st_mode & 0o777, uid: stat.st_uid, gid: stat.st_gid, mtime: None };
    root.change(name, meta, &[("security.capability".to_owned(), value.to_vec())])
}

fn accounts(tree: &Tree, users: &[&str], groups: &[&str]) -> io::Result<()> {
    let passwd = tree.read(&Name::of("usr/share/base-passwd/passwd.master"))?;
    let group = tree.read(&Name::of("usr/share/base-passwd/group.master"))?;
    write_accounts(tree.top, &fixups::accounts(&passwd, &group, users, groups))
}

fn more_accounts(tree: &Tree, users: &[&str], groups: &[&str]) -> io::Result<()> {
    let read = |path| tree.read(&Name::of(path));
    write_accounts(tree.top, &fixups::accounts(&read("etc/passwd")?, &read("etc/group")?, users, groups))
}

fn write_accounts(root: &Root, accounts: &fixups::Accounts) -> io::Result<()> {
    let (public, secret) = (Meta::root(0o644, TIME), Meta { gid: SHADOW, ..Meta::root(0o640, TIME) });
    put(root, "etc/passwd", public, accounts.passwd.as_bytes())?;
    put(root, "etc/group", public, accounts.group.as_bytes())?;
    put(root, "etc/shadow", secret, accounts.shadow.as_bytes())?;
    put(root, "etc/gshadow", secret, accounts.gshadow.as_bytes())
}

fn certificates(tree: &Tree, from: &str, bundle: &str, list: &str, links: &str) -> io::Result<()> {
    let (root, folder) = (tree.top, Name::of(from));
    let (mut all, mut names) = (String::new(), String::new());
    for file in root.list(&folder)? {
        let text = file.to_string_lossy().into_owned();
        let Some(stem) = text.strip_suffix(".crt") else { continue };
        all += &tree.read(&Name::of(&format!("{from}/{text}")))?;
        names += &format!("mozilla/{text}\n");
        link(root, &Name::of(links).join(format!("{stem}.pem").as_ref()), &format!("/{from}/{text}"))?;
    }
    put(root, bundle, Meta::root(0o644, TIME), all.as_bytes())?;
    put(root, list, Meta::root(0o644, TIME), names.as_bytes())
}

/// The name leads to /etc/alternatives, and that to the best choice.
fn choose(root: &Root, alternative: &Alternative) -> io::Result<()> {
    let (best, _, followers) = alternative.choices[0];
    let mut chosen = vec![(alternative.name, alternative.link, best)];
    chosen.extend(alternative.slaves.iter().zip(followers).map(|((name, link), target)| (*name, *link, *target)));
    for (name, place, target) in chosen {
        let middle = format!("etc/alternatives/{name}");
        link(root, &Name::of(&middle), target)?;
        link(root, &layout::place_of_path(place.as_ref()), &format!("/{middle}"))?;
    }
    let state = fixups::alternative_state(alternative);
    put(root, &format!("var/lib/dpkg/alternatives/{}", alternative.name), Meta::root(0o644, TIME), state.as_bytes())
}

/// Writes a file of ours, in place of one that a package brought.
pub fn put(root: &Root, path: &str, meta: Meta, bytes: &[u8]) -> io::Result<()> {
    let name = Name::of(path);
    root.parents(&name)?;
    root.remove(&name)?;
    root.file(&name, meta, &[], &mut &bytes[..])?;
    Ok(())
}

/// Makes a link of ours, in place of what a package brought.
pub fn link(root: &Root, name: &Name, to: &str) -> io::Result<()> {
    root.parents(name)?;
    root.remove(name)?;
    root.symlink(name, to.as_bytes(), Meta::root(0o777, TIME))
}
