//! Images that go out of one store and into another.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::super::archive::compression::Gzip;
use super::super::archive::header::{Header, fill_block, write_end};
use super::super::archive::pack::pack;
use super::super::beneath::{Meta, Name, Root};
use super::super::digest::Digest;
use super::super::layer_in::{Expected, Keep, take_layer};
use super::super::oci::{ImageConfig, RootFs, RunConfig, media};
use super::super::reference::Reference;
use super::super::store::{Image, LayerRecord, Origin, Store, Tar};
use super::*;

mod hostile;
mod peers;

/// A store of its own.
struct Shop {
    _top: tempfile::TempDir,
    store: Store,
}

impl Shop {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let store = Store::open(top.path().join("images")).unwrap();
        Self { _top: top, store }
    }

    /// An image of two layers, of which the upper one deletes and changes something.
    fn with_web(self) -> (Self, Image) {
        let lower: [(&str, &[u8]); 3] = [("etc/motd", b"old"), ("etc/gone", b"gone"), ("opt/a/deep", b"deep")];
        let upper: [(&str, &[u8]); 2] = [("etc/motd", b"new"), ("bin/web", b"#!/bin/sh\n")];
        let image = self.image("web:1", &[&lower, &upper], &["etc/gone"]);
        (self, image)
    }

    /// Makes an image of files; `gone` are deleted by its uppermost layer.
    fn image(&self, name: &str, layers: &[&[(&str, &[u8])]], gone: &[&str]) -> Image {
        let work = self.store.work().unwrap();
        let mut diff_ids = Vec::new();
        for (number, files) in layers.iter().enumerate() {
            let draft = work.layer().unwrap();
            let root = draft.root().unwrap();
            for (name, content) in *files {
                write(&root, &Name::of(name), content);
            }
            for name in gone.iter().filter(|_| number + 1 == layers.len()) {
                delete(&root, &Name::of(name));
            }
            settle(&root, &Name::root());
            let packed = pack(&root, &mut std::io::sink()).unwrap();
            let record = LayerRecord::new(packed.bytes, packed.files, Tar::Canonical { bytes: packed.archive_bytes });
            self.store.keep_layer(&work, draft, packed.diff_id, &record).unwrap();
            diff_ids.push(packed.diff_id);
        }
        let run = RunConfig { cmd: Some(vec!["/bin/web".into()]), env: vec!["A=b".into()], ..RunConfig::default() };
        let rootfs = RootFs { diff_ids, ..RootFs::default() };
        let config = ImageConfig { config: run, rootfs, ..ImageConfig::scratch() };
        let image = self.store.add_image(&work, &serde_json::to_vec(&config).unwrap(), Origin::default()).unwrap();
        self.store.tag(&work, &name.parse().unwrap(), image.id).unwrap();
        drop(work);
        self.store.resolve(name).unwrap()
    }

    fn saved(&self, names: &[&str], format: Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        save(&self.store, &self.to_save(names), format, &mut bytes).unwrap();
        bytes
    }

    fn to_save(&self, names: &[&str]) -> Vec<Saved> {
        let saved =
            |name: &&str| Saved { image: self.store.resolve(name).unwrap(), names: vec![name.parse().unwrap()] };
        names.iter().map(saved).collect()
    }

    fn load(&self, archive: Vec<u8>) -> Result<Vec<Loaded>, TransferError> {
        load(&self.store, Source::Stream(Box::new(std::io::Cursor::new(archive))), None)
    }
}

fn write(root: &Root, name: &Name, content: &[u8]) {
    root.parents(name).unwrap();
    root.file(name, Meta::root(0o644, 1), &[], &mut &content[..]).unwrap();
}

fn delete(root: &Root, name: &Name) {
    use super::super::beneath::Device;
    root.parents(name).unwrap();
    let folder = root.folder(&name.parent().unwrap()).unwrap();
    folder.device(name.last().unwrap(), Device::WHITEOUT, Meta::root(0, 0)).unwrap();
}

/// The same time for every folder, so that the same files are the same layer.
fn settle(root: &Root, name: &Name) {
    for last in root.list(name).unwrap() {
        let below = name.join(&last);
        if root.folder(&below).is_ok() {
            settle(root, &below);
        }
    }
    root.change(name, Meta::root(0o755, 1), &[]).unwrap();
}

/// The files that a container would find, and what is in them.
fn files_of(image: &Image) -> BTreeMap<String, String> {
    use super::super::archive::entry::Kind;
    use super::super::archive::limits::Limits;
    use super::super::archive::walk::{ArchiveError, walk};
    let mut archive = Vec::new();
    export(image, &mut archive).unwrap();
    let mut files = BTreeMap::new();
    walk::<ArchiveError>(&mut &archive[..], Limits::LAYER, &mut |entry, content| {
        if entry.kind == Kind::File {
            files.insert(entry.name.to_string(), String::from_utf8(content.bytes().unwrap()).unwrap());
        }
        Ok(())
    })
    .unwrap();
    files
}

fn told(result: Result<Vec<Loaded>, TransferError>) -> String {
    let error = result.unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// A tar of files, as an attacker or an old program writes it.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let header = Header { path: (*name).into(), mode: 0o644, size: content.len() as u64, ..Header::default() };
        header.write(&mut bytes).unwrap();
        bytes.extend_from_slice(content);
        fill_block(&mut bytes, content.len() as u64).unwrap();
    }
    write_end(&mut bytes).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new(Vec::new());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn an_image_is_the_same_after_a_journey_in_either_format() {
    let (from, image) = Shop::new().with_web();
    for format in [Format::Docker, Format::Oci] {
        let to = Shop::new();
        let archive = from.saved(&["web:1"], format);
        let loaded = to.load(archive.clone()).unwrap();
        assert_eq!(loaded[0].names, ["web:1".parse::<Reference>().unwrap()]);
        let arrived = to.store.resolve("web:1").unwrap();
        assert_eq!((arrived.id, &arrived.config), (image.id, &image.config));
        assert_eq!(files_of(&arrived), files_of(&image));
        // A layer of ours is recognised, and needs no archive beside it.
        assert!(arrived.layers.iter().all(|layer| matches!(layer.record.tar, Tar::Canonical { .. })));
        assert_eq!(to.saved(&["web:1"], format), archive);
    }
}

#[test]
fn a_folder_is_an_archive_too() {
    let (from, image) = Shop::new().with_web();
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("layout");
    save_to_folder(&from.store, &from.to_save(&["web:1"]), &folder).unwrap();
    let to = Shop::new();
    load(&to.store, Source::Folder(&folder), None).unwrap();
    assert_eq!(files_of(&to.store.resolve("web:1").unwrap()), files_of(&image));
    let again = save_to_folder(&from.store, &from.to_save(&["web:1"]), &folder).unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");
}

#[test]
fn several_images_share_their_layers_and_keep_all_their_names() {
    let (from, web) = Shop::new().with_web();
    let lower: [(&str, &[u8]); 3] = [("etc/motd", b"old"), ("etc/gone", b"gone"), ("opt/a/deep", b"deep")];
    let base = from.image("base", &[&lower], &[]);
    assert_eq!(base.layers[0], web.layers[0]);
    let work = from.store.work().unwrap();
    from.store.tag(&work, &"localhost:5000/web:two".parse().unwrap(), web.id).unwrap();
    for format in [Format::Docker, Format::Oci] {
        let mut images = from.to_save(&["web:1", "base"]);
        images[0].names.push("localhost:5000/web:two".parse().unwrap());
        let mut archive = Vec::new();
        save(&from.store, &images, format, &mut archive).unwrap();
        let to = Shop::new();
        assert_eq!(to.load(archive).unwrap().len(), 2);
        for name in ["web:1", "localhost:5000/web:two"] {
            assert_eq!(to.store.resolve(name).unwrap().id, web.id, "{name} {format:?}");
        }
        assert_eq!(to.store.resolve("base").unwrap().id, base.id);
    }
}

#[test]
fn a_layer_that_came_compressed_leaves_as_it_came() {
    let layer = tar(&[("z", b"not in order"), ("a", b"so not canonical")]);
    let blob = gzip(&layer);
    let shop = Shop::new();
    let image = import(&shop.store, &blob[..], RunConfig::default(), Some(&"mine".parse().unwrap())).unwrap();
    assert_eq!(image.layers[0].diff_id, Digest::of(&layer));
    let kept = Tar::Kept { blob: Digest::of(&blob), bytes: blob.len() as u64, media_type: media::LAYER_GZIP.into() };
    assert_eq!(image.layers[0].record.tar, kept);
    let archive = shop.saved(&["mine"], Format::Oci);
    assert!(archive.windows(64).any(|window| window == Digest::of(&blob).hex().as_bytes()));
    for format in [Format::Docker, Format::Oci] {
        let to = Shop::new();
        let loaded = to.load(shop.saved(&["mine"], format)).unwrap();
        assert_eq!(loaded[0].image.id, image.id);
        assert_eq!(files_of(&loaded[0].image)["/z"], "not in order");
    }
}

#[test]
fn an_exported_image_is_what_its_layers_are_together() {
    let (shop, image) = Shop::new().with_web();
    let files = files_of(&image);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["/bin/web", "/etc/motd", "/opt/a/deep"]);
    assert_eq!(files["/etc/motd"], "new");
    let mut archive = Vec::new();
    export(&image, &mut archive).unwrap();
    let imported = import(&shop.store, &archive[..], RunConfig::default(), Some(&"flat".parse().unwrap())).unwrap();
    assert_eq!((imported.layers.len(), files_of(&imported)), (1, files));
    assert_eq!(shop.store.resolve("flat").unwrap().id, imported.id);
}

#[test]
fn an_opaque_folder_and_a_folder_that_was_a_file_hide_what_is_below() {
    let shop = Shop::new();
    let work = shop.store.work().unwrap();
    let bottom = tar(&[("d/old", b""), ("f", b"a file"), ("g/old", b"")]);
    let top = tar(&[("d/.wh..wh..opq", b""), ("d/new", b""), ("f/inside", b""), ("g", b"a file now")]);
    let layers: Vec<_> = [bottom, top]
        .iter()
        .map(|layer| take_layer(&shop.store, &work, &layer[..], Expected::default(), Keep::IfNeeded).unwrap())
        .collect();
    let rootfs = RootFs { diff_ids: layers.iter().map(|layer| layer.diff_id).collect(), ..RootFs::default() };
    let config = serde_json::to_vec(&ImageConfig { rootfs, ..ImageConfig::scratch() }).unwrap();
    let image = shop.store.add_image(&work, &config, Origin::default()).unwrap();
    let names: Vec<String> = files_of(&image).into_keys().collect();
    assert_eq!(names, ["/d/new", "/f/inside", "/g"]);
}

#[test]
fn the_one_image_of_an_archive_takes_the_name_that_is_given() {
    let (from, image) = Shop::new().with_web();
    let archive = from.saved(&["web:1"], Format::Docker);
    let to = Shop::new();
    let name: Reference = "other:2".parse().unwrap();
    let source = || Source::Stream(Box::new(std::io::Cursor::new(archive.clone())));
    load(&to.store, source(), Some(&name)).unwrap();
    assert_eq!(to.store.resolve("other:2").unwrap().id, image.id);
    assert!(to.store.lookup("web:1").unwrap().is_none());
}

#[test]
fn an_archive_may_be_compressed_as_a_whole_and_may_be_a_file() {
    let (from, image) = Shop::new().with_web();
    let archive = from.saved(&["web:1"], Format::Docker);
    for bytes in [archive.clone(), gzip(&archive)] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let to = Shop::new();
        let loaded = load(&to.store, Source::File(file), None).unwrap();
        assert_eq!(loaded[0].image.id, image.id);
    }
}
