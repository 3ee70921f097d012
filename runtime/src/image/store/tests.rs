//! Stories of the store: layers shared, names moved, a crash, two processes, an image in use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::digest::Digest;
use super::super::oci::{ImageConfig, RootFs};
use super::super::reference::Reference;
use super::*;

fn fresh() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(top.path().join("images")).unwrap();
    (top, store)
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

/// A layer of one file; what it says is its diff id too.
fn layer(store: &Store, work: &Work, content: &str) -> Layer {
    let draft = work.layer().unwrap();
    fs::write(draft.diff().join("file"), content).unwrap();
    let record = LayerRecord::new(content.len() as u64, 1, Tar::Canonical { bytes: 1024 });
    store.keep_layer(work, draft, Digest::of(content.as_bytes()), &record).unwrap()
}

fn image(store: &Store, work: &Work, name: &str, layers: &[&str]) -> Image {
    let diff_ids = layers.iter().map(|content| layer(store, work, content).diff_id).collect();
    let config = ImageConfig { rootfs: RootFs { diff_ids, ..RootFs::default() }, ..ImageConfig::scratch() };
    let image = store.add_image(work, &serde_json::to_vec(&config).unwrap(), Origin::default()).unwrap();
    if !name.is_empty() {
        store.tag(work, &reference(name), image.id).unwrap();
    }
    store.image(&image.id).unwrap().unwrap()
}

fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

#[test]
fn a_new_store_is_empty_and_closed_to_others() {
    let (_top, store) = fresh();
    for path in [store.root.clone(), store.content.join("layers"), store.content.join("blobs/sha256")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert!(store.images().unwrap().is_empty());
    assert!(matches!(store.resolve("../../etc/passwd"), Err(ImageError::Unknown { .. })));
}

#[test]
fn an_image_is_found_by_name_id_and_beginning_of_its_id() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let web = image(&store, &work, "shop/web:2", &["base", "web"]);
    for text in ["shop/web:2", "docker.io/shop/web:2", &web.id.to_string(), &web.id.hex(), &web.id.hex()[..4]] {
        assert_eq!(store.resolve(text).unwrap(), web, "{text}");
    }
    assert_eq!(
        web.layer_paths().iter().map(|path| fs::read(path.join("file")).unwrap()).collect::<Vec<_>>(),
        [&b"base"[..], b"web"]
    );
    for text in ["shop/web", "web", &web.id.hex()[..3]] {
        assert!(matches!(store.resolve(text), Err(ImageError::Unknown { .. })), "{text}");
    }
}

#[test]
fn a_layer_of_two_images_is_kept_once_and_goes_with_the_second() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let (a, b) = (image(&store, &work, "a", &["base", "a"]), image(&store, &work, "b", &["base", "b"]));
    drop(work);
    assert_eq!(entries(&store.content.join("layers")), 3);
    let usage = store.usage().unwrap();
    assert_eq!((usage.layers, usage.layers_bytes), (3, 6));
    assert!(usage.images.iter().all(|image| (image.shared_bytes, image.unique_bytes) == (4, 1)));

    let removed = store.remove("a", &[], false).unwrap();
    assert_eq!(
        (removed.images, removed.layers, removed.names),
        (vec![a.id], vec![a.layers[1].diff_id], vec![reference("a")])
    );
    assert_eq!(store.resolve("b").unwrap(), b);
    store.remove("b", &[], false).unwrap();
    assert_eq!((entries(&store.content.join("layers")), entries(&store.content.join("blobs/sha256"))), (0, 0));
    assert_eq!(entries(&store.root.join("tmp")), 0);
}

#[test]
fn an_image_goes_with_its_last_name() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let web = image(&store, &work, "web:1", &["web"]);
    store.tag(&work, &reference("web:2"), web.id).unwrap();
    drop(work);
    assert!(matches!(store.remove(&web.id.hex(), &[], false), Err(ImageError::HasNames { .. })));
    assert_eq!(store.remove("web:1", &[], false).unwrap().images, []);
    assert_eq!(store.resolve("web:2").unwrap().id, web.id);
    assert_eq!(store.remove(&web.id.short(), &[], false).unwrap().images, [web.id]);
    assert!(store.names().unwrap().is_empty());
}

#[test]
fn a_name_moves_and_prune_removes_what_has_none() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let old = image(&store, &work, "web", &["old"]);
    let new = image(&store, &work, "web", &["new"]);
    drop(work);
    assert_eq!(store.resolve("web").unwrap().id, new.id);
    assert_eq!(store.prune(&old.layer_paths()).unwrap(), Removed::default(), "a sandbox runs on it");
    assert_eq!(store.prune(&[]).unwrap().images, [old.id]);
    assert_eq!(store.images().unwrap().len(), 1);
}

#[test]
fn an_image_whose_sandbox_runs_stays() {
    let (_top, store) = fresh();
    let web = image(&store, &store.work().unwrap(), "web", &["web"]);
    assert!(matches!(store.remove("web", &web.layer_paths(), true), Err(ImageError::InUse { .. })));
    assert_eq!(store.resolve("web").unwrap(), web);
}

#[test]
fn what_is_held_is_not_swept_and_nothing_is_while_somebody_adds() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let held = layer(&store, &work, "held");
    layer(&store, &work, "loose");
    store.hold(&work, "a-build", &[held.diff_id]).unwrap();
    assert!(matches!(store.sweep(&[]), Err(ImageError::Busy)));
    drop(work);
    assert_eq!(store.sweep(&[]).unwrap().layers, [Digest::of(b"loose")]);
    assert!(store.layer(&held.diff_id).is_some());
    store.release("a-build").unwrap();
    assert_eq!(store.sweep(&[]).unwrap().layers, [held.diff_id]);
}

#[test]
fn what_a_crash_left_is_swept_and_what_is_under_way_is_not() {
    let (_top, store) = fresh();
    let under_way = store.work().unwrap();
    let left = store.root.join("tmp/left");
    fs::create_dir_all(left.join("1/diff/usr/bin")).unwrap();
    fs::write(left.join("1/diff/usr/bin/bash"), "half").unwrap();
    Store::open(&store.root).unwrap();
    assert!(!left.exists());
    assert!(under_way.path().exists());
    drop(under_way);
    assert_eq!(entries(&store.root.join("tmp")), 0);
}

#[test]
fn layers_that_were_not_waited_for_are_lost_with_the_boot() {
    let (_top, store) = fresh();
    let work = store.work().unwrap();
    let draft = work.layer().unwrap();
    let of_another_boot =
        LayerRecord { boot: Some("another".into()), ..LayerRecord::new(0, 0, Tar::Canonical { bytes: 1024 }) };
    let diff_id = Digest::of(b"web");
    store.keep_layer(&work, draft, diff_id, &of_another_boot).unwrap();
    assert_eq!(store.layer(&diff_id), None);
    // Made again, it takes the old one's place.
    assert_eq!(fs::read(layer(&store, &work, "web").path.join("file")).unwrap(), b"web");
    assert!(store.layer(&diff_id).is_some());
}

#[test]
fn an_image_that_lost_a_part_says_which() {
    let (_top, store) = fresh();
    let web = image(&store, &store.work().unwrap(), "web", &["web"]);
    let config = store.blob(&web.id).unwrap();
    let good = fs::read(&config).unwrap();
    fs::write(&config, b"{}").unwrap();
    assert!(matches!(store.resolve("web"), Err(ImageError::Damaged { .. })));
    fs::write(&config, good).unwrap();
    fs::remove_dir_all(web.layers[0].path.parent().unwrap()).unwrap();
    let error = store.resolve("web").unwrap_err().to_string();
    assert!(error.contains("web:latest is not whole: its layer sha256:"), "{error}");
    assert!(store.images().unwrap()[0].is_err());
}

#[test]
fn a_store_over_another_sees_both_and_writes_only_its_own() {
    let (top, below) = fresh();
    let host = image(&below, &below.work().unwrap(), "golang", &["go"]);
    let store = Store::open(top.path().join("own")).unwrap().over(&below.content);
    assert_eq!(store.resolve("golang").unwrap(), host);
    let work = store.work().unwrap();
    let own = image(&store, &work, "golang", &["go", "mine"]);
    drop(work);
    assert_eq!(store.resolve("golang").unwrap().id, own.id);
    assert_eq!(below.resolve("golang").unwrap().id, host.id);
    assert_eq!(entries(&store.content.join("layers")), 1, "the layer below was not copied");
    store.remove("golang", &[], false).unwrap();
    assert_eq!(store.resolve("golang").unwrap().id, host.id);
}

#[test]
fn an_image_over_a_layer_that_the_store_below_has_not_settled_yet_is_added() {
    let (top, below) = fresh();
    layer(&below, &below.work().unwrap(), "passing");
    let store = Store::open(top.path().join("own")).unwrap().over(&below.content);
    let own = image(&store, &store.work().unwrap(), "own", &["passing", "mine"]);
    assert_eq!(store.resolve("own").unwrap().layer_paths(), own.layer_paths());
}

#[test]
fn what_an_earlier_form_of_the_store_left_is_swept_unless_a_sandbox_runs_on_it() {
    let (_top, store) = fresh();
    let (used, unused) =
        (store.content.join("layers").join("a".repeat(64)), store.content.join("layers").join("b".repeat(64)));
    fs::create_dir(&used).unwrap();
    fs::create_dir(&unused).unwrap();
    fs::write(store.content.join("images/learner.json"), "{}").unwrap();
    store.sweep(std::slice::from_ref(&used)).unwrap();
    assert!(used.exists() && !unused.exists());
    assert_eq!(entries(&store.content.join("images")), 0);
}

#[test]
fn what_many_note_of_one_image_at_once_is_all_noted() {
    let (_top, store) = fresh();
    let web = image(&store, &store.work().unwrap(), "web", &["web"]);
    let config = store.read_blob("config", &web.id, 4096).unwrap();
    let name = |number: usize| -> Reference {
        format!("shop-{number}.example/web@{}", Digest::of(&[number as u8])).parse().unwrap()
    };
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (store, config) = (&store, &config);
            scope.spawn(move || {
                let work = store.work().unwrap();
                store.add_known_image(&work, config, |origin| origin.repo_digests.push(name(number))).unwrap();
            });
        }
    });
    let known = |store: &Store| store.resolve("web").unwrap().origin.repo_digests;
    let mut noted = known(&store);
    noted.sort();
    let mut all: Vec<Reference> = (0..16).map(name).collect();
    all.sort();
    assert_eq!(noted, all);
    // Who builds or loads the same once more takes nothing of it away.
    store.add_image(&store.work().unwrap(), &config, Origin { summary: "anew".into(), ..Origin::default() }).unwrap();
    assert_eq!((known(&store).len(), store.resolve("web").unwrap().origin.summary.as_str()), (16, "anew"));
}
