//! What GNU tar writes is read here, and what is written here GNU tar reads.

use std::process::Command;

use super::*;
use crate::image::measure;

/// A tree with what archives have to write in a special way.
fn plant(stage: &Stage) {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let archive = Archive::default()
        .folder("etc")
        .file("etc/motd", "hello")
        .hard_link("etc/second", "etc/motd")
        .symlink("etc/link", &"t".repeat(90))
        .fifo("pipe")
        .pax(&[("path", long.as_bytes())])
        .file("f", "long")
        .pax(&[
            ("GNU.sparse.name", b"holes"),
            ("GNU.sparse.size", b"3000000"),
            ("GNU.sparse.map", b"65536,4,2000000,4"),
        ])
        .file("f", "onetwo!!")
        .pax(&[("SCHILY.xattr.user.comment", b"a\nb")])
        .file("attributed", "x");
    unpack_into(stage, &archive.end());
}

fn unpack_into(stage: &Stage, archive: &[u8]) {
    stage.unpack(&mut &archive[..], SMALL).unwrap();
}

#[test]
fn what_gnu_tar_writes_is_the_same_tree_here() {
    for format in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0", "--xattrs"],
        &["--format=posix", "--sort=name"],
    ] {
        let (stage, here) = (Stage::new(), Stage::new());
        plant(&stage);
        let output = Command::new("tar").args(format).arg("-C").arg(stage.path("")).args(["-cf", "-", "."]).output();
        let output = output.expect("GNU tar is part of every Debian");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        unpack_into(&here, &output.stdout);
        assert_eq!(measure::tree(&stage.root()).unwrap(), measure::tree(&here.root()).unwrap(), "{format:?}");
        if format.contains(&"--xattrs") {
            assert_eq!(stage.pack().0, here.pack().0);
        }
    }
}

#[test]
fn what_is_written_here_is_the_same_tree_for_gnu_tar() {
    let (stage, there) = (Stage::new(), Stage::new());
    plant(&stage);
    let archive = stage.top.path().join("layer.tar");
    std::fs::write(&archive, stage.pack().1).unwrap();
    let tar = Command::new("tar").arg("-C").arg(there.path("")).args(["--xattrs", "-xpf"]).arg(&archive).output();
    let output = tar.expect("GNU tar is part of every Debian");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stage.pack().0, there.pack().0);
}
