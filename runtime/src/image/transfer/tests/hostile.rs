//! Archives of images that lie. Each is refused with what is wrong, and nothing of it has a name afterwards.

use super::*;

/// The members of a saved image, to be changed one at a time.
fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut members = Vec::new();
    let mut at = 0;
    while archive[at] != 0 {
        let header = tar::Header::from_byte_slice(&archive[at..at + 512]);
        let size = header.entry_size().unwrap() as usize;
        let name = String::from_utf8(header.path_bytes().into_owned()).unwrap();
        members.push((name, archive[at + 512..at + 512 + size].to_vec()));
        at += 512 + size.next_multiple_of(512);
    }
    members
}

fn changed(archive: &[u8], change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let mut members = members(archive);
    members.iter_mut().for_each(|(name, content)| change(name, content));
    let borrowed: Vec<(&str, &[u8])> = members.iter().map(|(name, content)| (&name[..], &content[..])).collect();
    super::tar(&borrowed)
}

fn refused(archive: Vec<u8>) -> String {
    let shop = Shop::new();
    let told = told(shop.load(archive));
    assert!(shop.store.names().unwrap().is_empty());
    assert!(shop.store.images().unwrap().is_empty());
    told
}

#[test]
fn what_is_no_archive_of_images_is_refused() {
    assert!(refused(super::tar(&[("etc/passwd", b"x")])).contains("neither manifest.json"));
    assert!(refused(b"PK\x03\x04".repeat(300)).contains("cannot read the archive"));
    assert!(refused(super::tar(&[("manifest.json", b"{")])).contains("cannot understand \"manifest.json\""));
    assert!(refused(super::tar(&[("index.json", b"[]")])).contains("cannot understand \"index.json\""));
}

#[test]
fn a_member_that_is_missing_or_leads_out_is_named() {
    let of = |config: &str| format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":[]}}]"#);
    for config in ["nothing.json", "/etc/passwd", "../../../etc/passwd"] {
        let told = refused(super::tar(&[("manifest.json", of(config).as_bytes())]));
        assert!(told.contains("is missing") && told.contains(config), "{told}");
    }
}

#[test]
fn a_link_in_an_archive_leads_only_to_its_members() {
    let mut archive = Vec::new();
    let link =
        Header { kind: b'2', path: b"manifest.json".to_vec(), link: b"/etc/passwd".to_vec(), ..Header::default() };
    link.write(&mut archive).unwrap();
    let ring = Header { kind: b'2', path: b"index.json".to_vec(), link: b"index.json".to_vec(), ..Header::default() };
    ring.write(&mut archive).unwrap();
    write_end(&mut archive).unwrap();
    assert!(refused(archive).contains("neither manifest.json"));
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("manifest.json")).unwrap();
    let told = told(load(&Shop::new().store, Source::Folder(folder.path()), None));
    assert!(told.contains("neither manifest.json"), "{told}");
}

#[test]
fn a_layer_or_document_that_is_not_what_its_digest_says_is_refused() {
    let (from, _) = Shop::new().with_web();
    for format in [Format::Docker, Format::Oci] {
        let archive = from.saved(&["web:1"], format);
        let layer = changed(&archive, |_, content| {
            if let Some(at) = content.windows(4).position(|window| window == b"deep") {
                // A byte of a file in the layer, not of its name.
                let at = content[at + 4..].windows(4).position(|window| window == b"deep").map_or(at, |it| at + 4 + it);
                content[at] = b'D';
            }
        });
        let told = refused(layer);
        assert!(told.contains("damaged"), "{told}");
        let config = changed(&archive, |_, content| {
            if content.starts_with(b"{\"architecture\"") || content.windows(8).any(|window| window == b"diff_ids") {
                content.push(b'\n');
            }
        });
        assert!(refused(config).contains("damaged: its content has the digest"));
    }
}

#[test]
fn layers_that_are_not_as_many_as_the_config_says_are_refused() {
    let (from, _) = Shop::new().with_web();
    let archive = from.saved(&["web:1"], Format::Docker);
    let fewer = changed(&archive, |name, content| {
        if name == "manifest.json" {
            let mut entries: Vec<docker::Entry> = serde_json::from_slice(content).unwrap();
            entries[0].layers.pop();
            *content = serde_json::to_vec(&entries).unwrap();
        }
    });
    assert!(refused(fewer).contains("its config names 2 layers and the archive 1"));
}

#[test]
fn a_name_that_is_none_is_refused() {
    let (from, _) = Shop::new().with_web();
    let archive = from.saved(&["web:1"], Format::Docker);
    let named = changed(&archive, |name, content| {
        if name == "manifest.json" {
            *content = String::from_utf8(content.clone()).unwrap().replace("web:1", "../web:1").into_bytes();
        }
    });
    assert!(refused(named).contains("is no image's name"));
}

#[test]
fn an_image_of_another_machine_is_refused_in_words() {
    let config = r#"{"architecture":"sparc","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = r#"[{"Config":"c","RepoTags":["a:b"],"Layers":[]}]"#;
    let told = refused(super::tar(&[("c", config.as_bytes()), ("manifest.json", manifest.as_bytes())]));
    assert!(told.contains("it has linux/sparc"), "{told}");
}

#[test]
fn documents_of_megabytes_are_not_read() {
    let long = vec![b' '; 17 << 20];
    assert!(refused(super::tar(&[("manifest.json", &long)])).contains("more than 16777216 bytes"));
}

#[test]
fn an_archive_cut_short_is_refused() {
    let (from, _) = Shop::new().with_web();
    let archive = from.saved(&["web:1"], Format::Docker);
    for cut in [300, archive.len() / 2 + 100, archive.len() - 1200] {
        let told = refused(archive[..cut].to_vec());
        assert!(told.contains("in the middle of an entry") || told.contains("neither"), "cut at {cut}: {told}");
    }
    let blob = gzip(&archive);
    assert!(refused(blob[..blob.len() - 9].to_vec()).contains("cannot write the archive to"));
}
