//! What a layer's archive means, and the form in which it lies on the disk.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;

#[test]
fn an_ordinary_layer_keeps_modes_owners_links_and_times() {
    let mut program = Archive::header(EntryType::Regular, "usr/bin/su", "", 2);
    program.set_mode(0o4755);
    program.set_uid(33);
    program.set_cksum();
    let archive = Archive::default()
        .folder("usr/")
        .folder("usr/bin/")
        .raw(&program, b"su")
        .hard_link("usr/bin/su2", "./usr/bin/su")
        .symlink("usr/bin/vi", "/etc/alternatives/vi")
        .fifo("usr/pipe");
    let (stage, unpacked) = unpacked(archive.end());
    assert_eq!((unpacked.entries, unpacked.bytes), (6, 2));
    insta::assert_snapshot!(stage.tree(), @r"
    usr: folder, 755 0:0 1000000
    usr/bin: folder, 755 0:0 1000000
    usr/bin/su: file 2, 4755 33:0 1000000
    usr/bin/su2: same as usr/bin/su, 4755 33:0 1000000
    usr/bin/vi: link to /etc/alternatives/vi, 777 0:0 1000000
    usr/pipe: pipe, 644 0:0 1000000
    ");
}

#[test]
fn deletions_become_what_overlayfs_understands() {
    let archive = Archive::default().file("etc/.wh.passwd", "").file("var/cache/.wh..wh..opq", "").file(".wh.tmp", "");
    let (stage, _) = unpacked(archive.end());
    let gone = stage.path("etc/passwd").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert!(stage.path("tmp").symlink_metadata().unwrap().file_type().is_char_device());
    insta::assert_snapshot!(stage.tree(), @r"
    etc: folder, 755 0:0 0
    etc/.wh.passwd: file 0, 0 0:0 0
    .wh.tmp: file 0, 0 0:0 0
    var: folder, 755 0:0 0
    var/cache: folder, 755 0:0 0
    var/cache/.wh..wh..opq: file 0, 0 0:0 0
    ");
}

#[test]
fn a_deletion_is_only_of_layers_below() {
    // In both orders: the file of this layer stays, and the folder of this layer stays without the old one's content.
    for both in [
        Archive::default().file("file", "new").file("dir/new", "").file(".wh.file", "").file(".wh.dir", ""),
        Archive::default().file(".wh.file", "").file(".wh.dir", "").file("file", "new").file("dir/new", ""),
        Archive::default()
            .file(".wh.file", "")
            .file(".wh.dir", "")
            .folder("dir")
            .file("file", "new")
            .file("dir/new", ""),
    ] {
        let (stage, _) = unpacked(both.end());
        assert_eq!(std::fs::read_to_string(stage.path("file")).unwrap(), "new");
        let tree = stage.tree();
        assert!(tree.contains("dir/.wh..wh..opq: ") && tree.contains("dir/new: "), "{tree}");
    }
}

#[test]
fn what_aufs_kept_for_itself_is_skipped() {
    let (stage, unpacked) = unpacked(Archive::default().file(".wh..wh.aufs", "").file(".wh..wh.plnk/1.2", "").end());
    assert_eq!((stage.tree().as_str(), unpacked.entries), ("", 0));
}

#[test]
fn the_last_of_two_entries_counts() {
    let archive = Archive::default()
        .file("a", "first")
        .file("a", "second")
        .file("b/c/d", "deep")
        .file("b", "a file now")
        .file("e", "a file")
        .folder("e")
        .file("e/f", "inside")
        .symlink("g", "nowhere")
        .file("g", "no link any more");
    let (stage, _) = unpacked(archive.end());
    assert_eq!(std::fs::read_to_string(stage.path("a")).unwrap(), "second");
    assert_eq!(std::fs::read_to_string(stage.path("b")).unwrap(), "a file now");
    assert_eq!(std::fs::read_to_string(stage.path("e/f")).unwrap(), "inside");
    assert_eq!(std::fs::read_to_string(stage.path("g")).unwrap(), "no link any more");
}

#[test]
fn a_folder_keeps_its_time_whatever_is_written_into_it_later() {
    let archive = Archive::default()
        .folder("a")
        .folder("a/b")
        .file("a/b/one", "")
        .file("c", "")
        .file("a/two", "")
        .file("a/implied/three", "")
        .hard_link("a/b/four", "c");
    let (stage, _) = unpacked(archive.end());
    let time = |name: &str| stage.path(name).metadata().unwrap().mtime();
    assert_eq!([time("a"), time("a/b"), time("a/implied"), time("")], [1_000_000, 1_000_000, 0, 0]);
}

#[test]
fn attributes_and_capabilities_survive_and_an_overlays_own_do_not() {
    // cap_net_raw=ep, as `setcap` writes it; a line's end is one of its bytes.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Archive::default()
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.comment", b"two\nlines"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .file("ping", "");
    let (stage, _) = unpacked(archive.end());
    insta::assert_snapshot!(stage.tree(), @"ping: file 0, 644 0:0 1000000 security.capability=[01, 00, 00, 02, 00, 20, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00] user.comment=[74, 77, 6f, 0a, 6c, 69, 6e, 65, 73]");
}

#[test]
fn extended_headers_say_names_owners_and_sizes() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let archive = Archive::default()
        .pax(&[("path", long.as_bytes()), ("uid", b"1000"), ("mtime", b"1700000000.5"), ("size", b"4")])
        // The header's own size is the lower bits of what an old reader would believe.
        .raw(&Archive::header(EntryType::Regular, "short", "", 0), b"four")
        .raw(&Archive::header(EntryType::GNULongName, "././@LongLink", "", 151), &[&[b'n'; 150][..], b"\0"].concat())
        .raw(&Archive::header(EntryType::GNULongLink, "././@LongLink", "", 151), &[&[b't'; 150][..], b"\0"].concat())
        .symlink("short", "short");
    let (stage, _) = unpacked(archive.end());
    let file = stage.path(&long).metadata().unwrap();
    assert_eq!((file.len(), file.uid(), file.mtime()), (4, 1000, 1_700_000_000));
    assert_eq!(std::fs::read_link(stage.path(&"n".repeat(150))).unwrap().as_os_str(), "t".repeat(150).as_str());
}

#[test]
fn numbers_may_be_binary() {
    let mut header = Archive::header(EntryType::Regular, "f", "", 3);
    // GNU's base-256: a first bit, then the number; all ones for a negative time.
    header.as_mut_bytes()[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0xff, 0xff]);
    header.as_mut_bytes()[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    header.as_mut_bytes()[136..148].copy_from_slice(&[0xff; 12]);
    header.set_cksum();
    let (stage, _) = unpacked(Archive::default().raw(&header, b"abc").end());
    let file = stage.path("f").metadata().unwrap();
    assert_eq!((file.len(), file.uid(), file.mtime()), (3, 65_535, -1));
}

#[test]
fn holes_are_written_as_holes() {
    let (front, behind) = ("a".repeat(4096), "z".repeat(4096));
    let stored = format!("{front}{behind}");
    let mut list = b"2\n0\n4096\n1044480\n4096\n".to_vec();
    list.resize(512, 0);
    let with_list = [&list[..], stored.as_bytes()].concat();
    let mut old = Archive::header(EntryType::GNUSparse, "old", "", stored.len() as u64);
    let gnu = old.as_gnu_mut().unwrap();
    gnu.sparse[0].set_offset(0);
    gnu.sparse[0].set_length(4096);
    gnu.set_real_size(1 << 20);
    gnu.set_is_extended(true);
    old.set_cksum();
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse_mut()[0].set_offset(1_044_480);
    more.sparse_mut()[0].set_length(4096);
    let archive = Archive::default()
        .raw(&old, &[more.as_bytes(), stored.as_bytes()].concat())
        .pax(&[
            ("GNU.sparse.name", b"pax0"),
            ("GNU.sparse.size", b"1048576"),
            ("GNU.sparse.map", b"0,4096,1044480,4096"),
        ])
        .file("GNUSparseFile.0/pax0", &stored)
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"pax1"),
            ("GNU.sparse.realsize", b"1048576"),
        ])
        .raw(&Archive::header(EntryType::Regular, "GNUSparseFile.0/pax1", "", with_list.len() as u64), &with_list)
        .file("behind", "it");
    let (stage, unpacked) = unpacked(archive.end());
    assert_eq!(unpacked.bytes, 3 * (1 << 20) + 2);
    let mut expected = vec![0; 1 << 20];
    expected[..4096].copy_from_slice(front.as_bytes());
    expected[1_044_480..].copy_from_slice(behind.as_bytes());
    for name in ["old", "pax0", "pax1"] {
        assert_eq!(std::fs::read(stage.path(name)).unwrap(), expected, "{name}");
        let blocks = stage.path(name).metadata().unwrap().blocks();
        assert!(blocks <= 64, "{name} has no hole: {blocks} blocks of 512 bytes");
    }
    assert_eq!(std::fs::read_to_string(stage.path("behind")).unwrap(), "it");
}

#[test]
fn an_archive_without_its_end_or_with_something_behind_it_is_whole() {
    let without_end = Archive::default().file("f", "x").0;
    unpacked(without_end.clone());
    let (stage, _) = unpacked([Archive::default().file("f", "x").end(), vec![7; 5000]].concat());
    assert!(stage.path("f").exists());
    assert_eq!(unpacked(Vec::new()).1, Unpacked::default());
}

#[test]
fn an_entry_for_the_root_dresses_the_layers_own_folder_however_it_is_written() {
    for name in [".", "./", "/", "//", "/./"] {
        let mut top = Archive::header(EntryType::Directory, name, "", 0);
        top.set_mode(0o1770);
        top.set_uid(5);
        top.set_cksum();
        let (stage, _) = unpacked(Archive::default().raw(&top, b"").file("f", "").end());
        let meta = stage.path("").metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.mtime()), (0o1770, 5, 1_000_000), "{name}");
    }
    assert!(refused(Archive::default().symlink("/", "..").end()).contains("root is a symbolic link"));
}

#[test]
fn devices_are_made_where_the_kernel_allows_it_and_counted_where_not() {
    let (stage, unpacked) = unpacked(Archive::default().device("null", 1, 3).device("disguised", 0, 0).end());
    // A whiteout that is written as a device is left out on every host.
    assert_eq!(unpacked.left_out.first.last(), Some(&name("disguised")));
    match unpacked.left_out.count {
        1 => assert!(stage.path("null").symlink_metadata().unwrap().file_type().is_char_device()),
        count => assert_eq!((count, stage.path("null").exists()), (2, false)),
    }
}

#[test]
fn setuid_survives_the_change_of_owner() {
    let mut header = Archive::header(EntryType::Regular, "su", "", 0);
    header.set_uid(1000);
    header.set_mode(0o6755);
    header.set_cksum();
    let (stage, _) = unpacked(Archive::default().raw(&header, b"").end());
    assert_eq!(mode(&stage.path("su")), 0o6755);
}
