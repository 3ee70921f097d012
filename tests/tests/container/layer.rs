//! What is left in the layer that is written, and what it was made over.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::time::Duration;

use crate::yard::{Yard, bind};

#[test]
fn a_run_that_writes_nothing_leaves_nothing_whatever_the_image_lacks() {
    let yard = Yard::new();
    let spec = yard.spec(vec![yard.busybox()], "ls / | tr '\\n' ' '");
    assert_eq!(yard.run(&spec).succeeds(), "bin dev etc proc sys");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn the_layer_holds_what_was_written_and_the_directories_above_it_as_they_were() {
    let yard = Yard::new();
    let layers = yard.image();
    let srv = layers[1].join("srv");
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in [srv.join("data"), srv.clone(), layers[1].clone(), layers[1].join("etc")] {
        fs::File::open(path).expect("there").set_modified(old).expect("ours");
    }
    fs::set_permissions(&srv, fs::Permissions::from_mode(0o711)).expect("ours");
    let script = "rm /srv/data/a; rm -r /srv/old; mkdir /srv/old; echo new > /srv/old/file; echo c > /srv/data/c; ln -s a /srv/link";
    let written = yard.run(&yard.spec(layers, script));
    written.succeeds();
    assert_eq!(
        yard.written(),
        ["srv/", "srv/data/", "srv/data/a-", "srv/data/c", "srv/link@", "srv/old/!", "srv/old/file"]
    );
    let upper = fs::metadata(yard.path("upper")).expect("there");
    assert_eq!(
        (upper.modified().expect("a time"), upper.mode() & 0o7777),
        (old, fs::metadata(yard.path("files")).expect("there").mode() & 0o7777)
    );
    assert_eq!(fs::metadata(yard.path("upper/srv")).expect("there").mode() & 0o7777, 0o711);
    let whiteout = fs::symlink_metadata(yard.path("upper/srv/data/a")).expect("there");
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

#[test]
fn a_directory_above_a_mount_point_keeps_its_attributes_when_it_is_written_to() {
    let yard = Yard::new();
    let layers = yard.image();
    let root = layers[1].join("root");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).expect("ours");
    std::os::unix::fs::chown(&root, Some(1000), Some(50)).expect("ours");
    rustix::fs::setxattr(&root, "user.kind", b"home", rustix::fs::XattrFlags::empty())
        .expect("the disk has attributes");
    let mut spec = yard.spec(layers, "stat -c '%a %u %g' /root; touch /root/file; ls -A /root");
    spec.mounts = vec![bind(&yard.directory("cache"), "/root/.cache/go", false)];
    assert_eq!(yard.run(&spec).succeeds(), "700 1000 50\n.cache\n.keep\nfile");
    assert_eq!(yard.written(), ["root/", "root/file"]);
    let upper = fs::metadata(yard.path("upper/root")).expect("there");
    assert_eq!((upper.mode() & 0o7777, upper.uid(), upper.gid()), (0o700, 1000, 50));
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(yard.path("upper/root"), "user.kind", &mut value[..]).expect("copied up");
    assert_eq!(&value[..length], b"home");
}

#[test]
fn a_directory_of_the_image_can_be_moved() {
    let yard = Yard::new();
    assert_eq!(yard.sh("mv /srv/old /srv/new && cat /srv/new/deep/file; ls /srv"), "old\ndata\nnew");
    assert_eq!(yard.written(), ["srv/", "srv/new/", "srv/new/deep/", "srv/new/deep/file", "srv/old-"]);
}

#[test]
fn a_mount_point_that_a_layer_has_removed_is_there_again() {
    let yard = Yard::new();
    let mut layers = yard.image();
    let removed = yard.layer("removed", &[("srv/data/c", "c\n")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        yard.directory("removed/etc").join("hosts"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .expect("a whiteout");
    rustix::fs::setxattr(removed.join("srv"), "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
        .expect("opaque");
    layers.push(removed);
    let seen = yard.run(&yard.spec(layers, "head -1 /etc/hosts; ls /srv /srv/data; test ! -e /srv/data/a")).succeeds();
    assert_eq!(seen, "127.0.0.1 localhost\n/srv:\ndata\n\n/srv/data:\nc");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn as_many_layers_as_may_be_are_mounted_and_one_more_is_refused() {
    let yard = Yard::new();
    let mut layers = vec![yard.busybox()];
    // Longer together than the page of options that mount(2) takes.
    for number in 1..120 {
        layers.push(
            yard.layer(&format!("layer-with-a-long-name,and:a-comma-{number:03}"), &[(&format!("f/{number}"), "x")]),
        );
    }
    assert_eq!(yard.run(&yard.spec(layers.clone(), "ls /f | wc -l")).succeeds(), "119");
    layers.push(yard.directory("one-more"));
    let (_, message) = yard.run(&yard.spec(layers, "true")).fails();
    assert!(message.contains("number of layers is 121; at most 120"), "{message}");
}
