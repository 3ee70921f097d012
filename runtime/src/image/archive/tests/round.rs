//! There and back: a tree, its archive, and the tree of the archive.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;
use rustix::fs::FileType;

use super::*;
use crate::image::beneath::{Device, Meta, attributes};
use crate::image::digest::Digest;
use crate::image::measure;

/// Something in a tree.
#[derive(Debug, Clone)]
enum Kind {
    Folder { opaque: bool },
    File { content: Vec<u8>, comment: Option<Vec<u8>> },
    Symlink(Vec<u8>),
    SecondName(usize),
    Fifo,
    Whiteout,
}

#[derive(Debug, Clone)]
struct Planted {
    parts: Vec<OsString>,
    kind: Kind,
    meta: Meta,
}

fn part() -> impl Strategy<Value = OsString> {
    // Few and alike, so that they meet; and what archives have to write in a special way.
    let usual = ["a", "b", "b.c", "b c", "-", ".hidden", "ü", "x\ny", "PaxHeader"].map(|text| text.as_bytes().to_vec());
    let mut all: Vec<Vec<u8>> = usual.to_vec();
    all.push(vec![0xff, b'x']);
    all.push(vec![b'l'; 120]);
    prop::sample::select(all).prop_map(OsString::from_vec)
}

fn kind() -> impl Strategy<Value = Kind> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        3 => any::<bool>().prop_map(|opaque| Kind::Folder { opaque }),
        4 => (bytes(1500), prop::option::of(bytes(40))).prop_map(|(content, comment)| Kind::File { content, comment }),
        1 => prop::collection::vec(1..=255_u8, 1..150).prop_map(Kind::Symlink),
        2 => any::<prop::sample::Index>().prop_map(|index| Kind::SecondName(index.index(1000))),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Whiteout),
    ]
}

fn planted() -> impl Strategy<Value = Planted> {
    let times = prop_oneof![Just(0), Just(-1), Just(1_700_000_000_i64), 0..4_000_000_000_i64];
    let meta = (0..=0o7777_u32, 0..=65_535_u32, 0..=65_535_u32, times).prop_map(|(mode, uid, gid, mtime)| Meta {
        mode,
        uid,
        gid,
        mtime: Some(mtime),
    });
    (prop::collection::vec(part(), 1..4), kind(), meta).prop_map(|(parts, kind, meta)| Planted { parts, kind, meta })
}

/// Makes the tree; what does not fit together with what is there is left out.
fn plant(stage: &Stage, all: &[Planted]) {
    let root = stage.root();
    let mut files: Vec<Name> = Vec::new();
    for planted in all {
        let name = planted.parts.iter().fold(Name::root(), |name, part| name.join(part));
        if root.exists(&name) || root.parents(&name).is_err() {
            continue;
        }
        match &planted.kind {
            Kind::Folder { opaque } => {
                let mark = ("user.overlay.opaque".to_owned(), b"y".to_vec());
                root.directory(&name, planted.meta, if *opaque { std::slice::from_ref(&mark) } else { &[] }).unwrap();
            }
            Kind::File { content, comment } => {
                let xattrs: Vec<_> = comment.iter().map(|value| ("user.comment".to_owned(), value.clone())).collect();
                root.file(&name, planted.meta, &xattrs, &mut &content[..]).unwrap();
                files.push(name);
            }
            Kind::Symlink(target) => root.symlink(&name, target, planted.meta).unwrap(),
            Kind::SecondName(which) if !files.is_empty() => {
                root.hard_link(&name, &files[which % files.len()]).unwrap();
            }
            Kind::SecondName(_) => {}
            Kind::Fifo => root.fifo(&name, planted.meta).unwrap(),
            Kind::Whiteout => {
                let meta = Meta { mode: 0, uid: 0, gid: 0, mtime: Some(0) };
                let (parent, last) = (name.parent().unwrap(), name.last().unwrap());
                root.folder(&parent).unwrap().device(last, Device::WHITEOUT, meta).unwrap();
            }
        }
    }
    settle(&root, &Name::root());
}

/// Gives every folder a time that does not depend on when the test ran; the top folder too, which is in no archive.
fn settle(root: &Root, name: &Name) {
    for last in root.list(name).unwrap() {
        let below = name.join(&last);
        if FileType::from_raw_mode(root.stat(&below).unwrap().st_mode) == FileType::Directory {
            settle(root, &below);
        }
    }
    let stat = root.stat(name).unwrap();
    let mode = if name.is_root() { 0o755 } else { stat.st_mode };
    let meta = Meta { mode, uid: stat.st_uid, gid: stat.st_gid, mtime: Some(stat.st_mtime % 1000) };
    root.change(name, Meta { mtime: if name.is_root() { Some(0) } else { meta.mtime }, ..meta }, &[]).unwrap();
}

/// The attributes of everything in the tree.
fn all_attributes(root: &Root, name: &Name, found: &mut Vec<String>) {
    let stat = root.stat(name).unwrap();
    let kind = FileType::from_raw_mode(stat.st_mode);
    if matches!(kind, FileType::Directory | FileType::RegularFile) {
        let open = match name.parent() {
            Some(parent) => root.folder(&parent).unwrap().read(name.last().unwrap()).unwrap(),
            None => {
                return root.list(name).unwrap().iter().for_each(|last| all_attributes(root, &name.join(last), found));
            }
        };
        found.push(format!("{name}: {:?}", attributes(&open).unwrap()));
    }
    if kind == FileType::Directory {
        root.list(name).unwrap().iter().for_each(|last| all_attributes(root, &name.join(last), found));
    }
}

fn same(before: &Stage, after: &Stage) {
    assert_eq!(measure::tree(&before.root()).unwrap(), measure::tree(&after.root()).unwrap());
    let (mut one, mut other) = (Vec::new(), Vec::new());
    all_attributes(&before.root(), &Name::root(), &mut one);
    all_attributes(&after.root(), &Name::root(), &mut other);
    assert_eq!(one, other);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_of_a_trees_archive_is_the_tree(all in prop::collection::vec(planted(), 0..25)) {
        let (before, after) = (Stage::new(), Stage::new());
        plant(&before, &all);
        let (packed, archive) = before.pack();
        after.unpack(&mut &archive[..], Limits::LAYER).unwrap();
        same(&before, &after);
        let (again, second) = after.pack();
        prop_assert_eq!(packed, again);
        prop_assert_eq!(archive, second);
    }
}

#[test]
fn an_archive_is_the_same_whatever_the_order_in_which_the_tree_was_made() {
    let (one, other) = (Stage::new(), Stage::new());
    unpack_into(&one, Archive::default().file("b", "1").file("a", "2").hard_link("c", "b").end());
    unpack_into(&other, Archive::default().file("c", "1").hard_link("b", "c").file("a", "2").end());
    assert_eq!(one.pack(), other.pack());
    let (packed, archive) = one.pack();
    assert_eq!(packed.archive_bytes, archive.len() as u64);
    assert_eq!(packed.diff_id, Digest::of(&archive));
    assert_eq!(packed.entries, 3);
    insta::assert_snapshot!(one.tree(), @r"
    a: file 1, 644 0:0 1000000
    b: file 1, 644 0:0 1000000
    c: same as b, 644 0:0 1000000
    ");
}

#[test]
fn an_empty_layer_is_two_blocks_of_zeros() {
    let (packed, archive) = Stage::new().pack();
    assert_eq!(archive, vec![0; 1024]);
    assert_eq!(packed.diff_id.hex(), "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

#[test]
fn a_name_that_would_mean_a_deletion_is_not_packed() {
    let stage = Stage::new();
    std::fs::write(stage.path(".wh.passwd"), "").unwrap();
    let error = pack(&stage.root(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "/.wh.passwd cannot be in a layer: names that begin with .wh. mean deletions there");
}

#[test]
fn a_socket_and_an_overlays_bookkeeping_are_not_packed() {
    let stage = Stage::new();
    unpack_into(&stage, Archive::default().folder("d").end());
    drop(std::os::unix::net::UnixListener::bind(stage.path("socket")).unwrap());
    let folder = stage.root().folder(&name("d")).unwrap();
    folder.set_xattr("user.overlay.origin", b"\0\xfb").unwrap();
    folder.set_xattr("user.overlay.impure", b"y").unwrap();
    assert_eq!(stage.tree(), "d: folder, 755 0:0 1000000\n");
    folder.set_xattr("user.overlay.redirect", b"/etc").unwrap();
    let error = pack(&stage.root(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("/d is an overlay's reference to another layer"), "{error}");
}

#[test]
fn an_archive_that_cannot_be_written_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let stage = Stage::new();
    unpack_into(&stage, Archive::default().file("f", "x").end());
    assert!(chain(&pack(&stage.root(), &mut Full).unwrap_err()).contains("cannot write the archive"));
}

fn unpack_into(stage: &Stage, archive: Vec<u8>) {
    stage.unpack(&mut &archive[..], SMALL).unwrap();
}
