//! Archives that try to get out, to fill the disk, or to take for ever. Each ends in an error that says why; nothing is
//! written beside the layer, and nothing is left in it ([`Stage::unpack`] looks).

use std::io::Read;

use super::*;

#[test]
fn names_that_lead_out_are_refused() {
    assert!(refused(Archive::default().file("/canary", "dead").end()).contains("begins with /"));
    assert!(refused(Archive::default().folder("/etc").end()).contains("begins with /"));
    assert!(refused(Archive::default().folder("/..").end()).contains("begins with /"));
    assert!(refused(Archive::default().file("../canary", "dead").end()).contains("holds .."));
    assert!(refused(Archive::default().file("a/../../canary", "dead").end()).contains("holds .."));
    assert!(refused(Archive::default().pax(&[("path", b"../canary")]).file("f", "dead").end()).contains("holds .."));
    assert!(refused(Archive::default().pax(&[("path", b"a\0b")]).file("f", "").end()).contains("a zero byte"));
}

#[test]
fn a_link_is_never_written_through() {
    let through = Archive::default().symlink("way", "..").file("way/canary", "dead");
    assert_eq!(
        refused(through.end()),
        "cannot write /way/canary: /way is a symbolic link, which is never followed, not a folder"
    );
    // A deep one, and a deletion and a folder through it.
    assert!(
        refused(Archive::default().symlink("a/way", "../..").file("a/way/b/canary", "").end()).contains("/a/way is")
    );
    assert!(refused(Archive::default().symlink("way", "..").file("way/.wh.canary", "").end()).contains("/way is"));
    assert!(refused(Archive::default().symlink("way", "..").file("way/.wh..wh..opq", "").end()).contains("/way is"));
    assert!(refused(Archive::default().symlink("way", "..").folder("way/new").end()).contains("/way is"));
}

#[test]
fn a_link_that_is_written_onto_is_replaced() {
    let (stage, _) = unpacked(Archive::default().symlink("way", "../canary").file("way", "dead").end());
    assert!(stage.path("way").symlink_metadata().unwrap().is_file());
    let (stage, _) = unpacked(Archive::default().symlink("way", "..").folder("way").file("way/canary", "dead").end());
    assert!(stage.path("way").symlink_metadata().unwrap().is_dir());
    let (stage, _) = unpacked(Archive::default().symlink("way", "../canary").device("way", 0, 0).end());
    assert!(!stage.path("way").exists());
}

#[test]
fn a_hard_link_reaches_only_what_the_layer_has_itself() {
    assert!(refused(Archive::default().hard_link("hard", "../canary").end()).contains("holds .."));
    assert!(refused(Archive::default().hard_link("hard", "/canary").end()).contains("begins with /"));
    assert_eq!(
        refused(Archive::default().hard_link("hard", "missing").end()),
        "/hard is a hard link to \"missing\", which is not in this layer before it"
    );
    let behind = Archive::default().symlink("way", "..").hard_link("hard", "way/canary");
    assert!(refused(behind.end()).contains("not in this layer before it"));
    assert!(refused(Archive::default().folder("d").hard_link("hard", "d").end()).contains("which is a folder"));
    assert!(refused(Archive::default().folder("d").hard_link("hard", "./").end()).contains("not in this layer"));
    assert!(refused(Archive::default().file(".wh.f", "").hard_link("hard", "f").end()).contains("not in this layer"));
}

#[test]
fn a_hard_link_to_a_symbolic_link_is_another_name_of_the_link() {
    let archive = Archive::default().symlink("way", "../canary").hard_link("hard", "way");
    let (stage, _) = unpacked(archive.end());
    assert_eq!(std::fs::read_link(stage.path("hard")).unwrap(), Path::new("../canary"));
    // And what is written onto it is not written through it.
    unpacked(Archive::default().symlink("way", "../canary").hard_link("hard", "way").file("hard", "dead").end());
}

#[test]
fn links_in_a_ring_are_as_harmless_as_others() {
    unpacked(Archive::default().symlink("a", "b").symlink("b", "a").symlink("c", "c").end());
    assert!(refused(Archive::default().symlink("a", "b").symlink("b", "a").file("a/f", "").end()).contains("/a is"));
    // A file that is a hard link to itself is not there before itself.
    assert!(refused(Archive::default().hard_link("a", "a").end()).contains("not in this layer before it"));
    let (stage, _) = unpacked(Archive::default().file("a", "x").hard_link("a", "a").end());
    assert_eq!(std::fs::read_to_string(stage.path("a")).unwrap(), "x");
}

#[test]
fn gigabytes_of_zeros_are_refused_before_they_are_read() {
    let huge = Archive::header(EntryType::Regular, "zeros", "", 8 << 30);
    let mut read = 0;
    let mut zeros = std::io::repeat(0).take(1 << 40);
    let mut archive = Counting { inner: huge.as_bytes().chain(&mut zeros), read: &mut read };
    assert!(refused_of(&mut archive, SMALL).contains("more than 4194304 bytes"));
    assert!(read < 4096, "{read} bytes were read");
}

#[test]
fn a_hole_counts_as_what_it_pretends_to_be() {
    let archive = Archive::default()
        .pax(&[("GNU.sparse.name", b"f"), ("GNU.sparse.size", b"9000000000000000000"), ("GNU.sparse.map", b"")])
        .file("f", "");
    let told = refused(archive.end());
    assert!(told.contains("does not read") || told.contains("more than 4194304 bytes"), "{told}");
    let archive = Archive::default()
        .pax(&[("GNU.sparse.name", b"f"), ("GNU.sparse.size", b"9000000000000000000"), ("GNU.sparse.map", b"0,1")])
        .file("f", "x");
    assert!(refused(archive.end()).contains("more than 4194304 bytes"));
}

#[test]
fn many_small_files_are_too_much_at_the_same_bytes() {
    let header = Archive::header(EntryType::Regular, "f", "", 100 * 1024);
    let content = vec![0; 100 * 1024];
    let archive = (0..100).fold(Archive::default(), |archive, _| archive.raw(&header, &content));
    assert!(refused(archive.end()).contains("more than 4194304 bytes"));
}

#[test]
fn a_million_entries_are_refused() {
    // Made while it is read, as a small compressed archive would be.
    struct Entries(u64);
    impl Read for Entries {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 1_000_000 {
                return Ok(0);
            }
            let header = Archive::header(EntryType::Regular, &format!("f{}", self.0), "", 0);
            self.0 += 1;
            buffer[..512].copy_from_slice(header.as_bytes());
            Ok(512)
        }
    }
    assert!(refused_of(&mut Entries(0), SMALL).contains("more than 1000 entries"));
    const { assert!(Limits::LAYER.entries_max < 1_000_000) };
}

#[test]
fn a_size_that_lies_is_an_error() {
    let header = Archive::header(EntryType::Regular, "f", "", 3000);
    let told = refused(Archive::default().file("before", "x").raw(&header, b"short").0);
    assert_eq!(
        told,
        "cannot read the archive after /before; it is damaged or not what its name says: it ends in the middle of an entry"
    );
    // Too small: the rest of the content stands where a header should.
    let header = Archive::header(EntryType::Regular, "f", "", 5);
    assert!(refused(Archive::default().raw(&header, &[b'x'; 2000]).end()).contains("sum is wrong"));
    let negative = {
        let mut header = Archive::header(EntryType::Regular, "f", "", 0);
        header.as_mut_bytes()[124..136].copy_from_slice(&[0xff; 12]);
        header.set_cksum();
        header
    };
    assert!(refused(Archive::default().raw(&negative, b"").end()).contains("more than 4194304 bytes"));
    let mut text = Archive::header(EntryType::Regular, "f", "", 0);
    text.as_mut_bytes()[124..136].copy_from_slice(b"many bytes\0\0");
    text.set_cksum();
    assert_eq!(refused(Archive::default().raw(&text, b"").end()), "\"f\" has no size that can be read");
}

#[test]
fn an_archive_cut_anywhere_within_is_an_error() {
    let whole = Archive::default().pax(&[("path", b"long")]).file("f", "content").file("g", &"x".repeat(600)).0;
    for cut in (1..whole.len()).step_by(17).filter(|cut| cut % 512 != 0) {
        let told = refused(whole[..cut].to_vec());
        assert!(told.contains("ends in the middle") || told.contains("without the entry"), "cut at {cut}: {told}");
    }
    assert!(refused(whole[..1024].to_vec()).contains("without the entry that it describes"));
}

#[test]
fn a_deletion_of_something_else_is_refused() {
    assert!(refused(Archive::default().file("etc/.wh...", "").end()).contains("the one above"));
    assert!(refused(Archive::default().file(".wh..", "").end()).contains("its own folder"));
    assert!(refused(Archive::default().file("etc/.wh.", "").end()).contains("names nothing"));
    assert!(refused(Archive::default().file("etc/.wh..wh.", "").end()).contains("names nothing"));
    assert!(refused(Archive::default().file(".wh.etc/passwd", "").end()).contains("whose name means a deletion"));
}

#[test]
fn names_longer_than_the_kernel_takes_are_refused() {
    let long = "n".repeat(5000);
    assert!(
        refused(Archive::default().pax(&[("path", long.as_bytes())]).file("f", "").end()).contains("longer than 4095")
    );
    let part = "n".repeat(300);
    assert!(refused(Archive::default().pax(&[("path", part.as_bytes())]).file("f", "").end()).contains("too long"));
    let target = Archive::default().pax(&[("linkpath", long.as_bytes())]).symlink("l", "");
    assert!(refused(target.end()).contains("too long"));
}

#[test]
fn extended_headers_of_megabytes_are_refused() {
    let one = Archive::header(EntryType::XHeader, "pax", "", 2 << 20);
    assert!(refused(Archive::default().raw(&one, &vec![b'x'; 2 << 20]).end()).contains("longer than 1048576"));
    let name = Archive::header(EntryType::GNULongName, "././@LongLink", "", 1 << 40);
    assert!(refused(Archive::default().raw(&name, b"").end()).contains("more than 4194304 bytes"));
    // Many small ones before one entry are one large one.
    let value = vec![b'v'; 60_000];
    let many = (0..30)
        .fold(Archive::default(), |archive, number| archive.pax(&[(&format!("SCHILY.xattr.user.n{number}"), &value)]));
    assert!(refused(many.file("f", "").end()).contains("longer than 1048576"));
    let global = Archive::header(EntryType::XGlobalHeader, "pax", "", 2 << 20);
    assert!(refused(Archive::default().raw(&global, &vec![b'x'; 2 << 20]).end()).contains("longer than 1048576"));
}

#[test]
fn records_that_do_not_read_are_refused() {
    let header = Archive::header(EntryType::XHeader, "pax", "", 12);
    assert!(
        refused(Archive::default().raw(&header, b"99 path=abc\n").file("f", "").end())
            .contains("longer than its header")
    );
    assert!(
        refused(Archive::default().pax(&[("mtime", b"soon")]).file("f", "").end()).contains("no time that can be read")
    );
    assert!(refused(Archive::default().pax(&[("uid", b"70000")]).file("f", "").end()).contains("belongs to id 70000"));
    assert!(
        refused(Archive::default().pax(&[("size", b"-1")]).file("f", "").end()).contains("no size that can be read")
    );
}

#[test]
fn times_of_any_year_harm_nothing() {
    for time in ["-1", "-9223372036854775808", "9223372036854775807", "0"] {
        let (stage, _) = unpacked(Archive::default().pax(&[("mtime", time.as_bytes())]).file("f", "").end());
        // The file system takes the nearest that it knows; the archive that is made of it reads back.
        stage.tree();
    }
}

#[test]
fn folders_in_folders_without_end_are_refused() {
    let deep = "d/".repeat(21);
    assert!(
        refused(Archive::default().pax(&[("path", deep.as_bytes())]).folder("d").end()).contains("20 folders deep")
    );
    // Step by step, as far as names go.
    let mut archive = Archive::default();
    for depth in 1..10_000 {
        archive = archive.pax(&[("path", "d/".repeat(depth).as_bytes())]).folder("d");
        if archive.0.len() > 3 << 20 {
            break;
        }
    }
    assert!(refused(archive.end()).contains("folders deep"));
    let ten_thousand = "d/".repeat(10_000);
    let archive = Archive::default().pax(&[("path", ten_thousand.as_bytes())]).folder("d");
    assert!(refused(archive.end()).contains("longer than 4095"));
}

#[test]
fn a_file_where_a_folder_is_needed_is_an_error() {
    let told = refused(Archive::default().file("a", "").file("a/b", "").end());
    assert_eq!(told, "cannot write /a/b: /a is a file, not a folder");
    assert!(refused(Archive::default().fifo("a").file("a/b/c", "").end()).contains("/a is a pipe"));
    assert_eq!(refused(Archive::default().file(".", "").end()), "the archive's root is a file, not a folder");
}

#[test]
fn what_is_no_archive_is_an_error() {
    let told = refused(b"PK\x03\x04 a zip file".repeat(100));
    assert_eq!(
        told,
        "cannot read the archive after its beginning; it is damaged or not what its name says: a header's sum is wrong"
    );
    let header = Archive::header(EntryType::new(b'V'), "volume", "", 0);
    assert!(refused(Archive::default().raw(&header, b"").end()).contains("not supported"));
}

#[test]
fn what_follows_the_end_is_not_read_for_ever() {
    let archive = Archive::default().file("f", "").end();
    let mut endless = archive.chain(std::io::repeat(0));
    assert!(refused_of(&mut endless, SMALL).contains("after its end"));
}

struct Counting<'a, R> {
    inner: R,
    read: &'a mut usize,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        *self.read += read;
        Ok(read)
    }
}
