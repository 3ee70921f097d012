//! Stories of the store: two preparers, a crash, a full disk, an image in use.

use super::*;

/// Only root can give files their owners; says so where a test cannot run.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root, to give an image's files their owners");
    }
    root
}

fn fresh() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(top.path().join("images")).unwrap();
    (top, store)
}

fn prepare_host(store: &Store) -> Image {
    store.prepare("host", &Sources::default(), &mut |_| {}).unwrap()
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn a_new_store_offers_the_catalogue_and_is_closed_to_others() {
    let (_top, store) = fresh();
    let images = store.list();
    assert_eq!(images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["host", "learner"]);
    assert!(images.iter().all(|image| image.state == ImageState::Absent));
    for path in [store.root.clone(), store.root.join("layers")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert_eq!(store.find("host"), None);
    assert_eq!(store.find("../../etc/passwd"), None);
}

#[test]
fn an_image_outside_the_catalogue_is_named_with_what_there_is() {
    let (_top, store) = fresh();
    let error = store.prepare("ubuntu", &Sources::default(), &mut |_| {}).unwrap_err().to_string();
    assert_eq!(error, "there is no image called \"ubuntu\"; there are host, learner");
    assert!(matches!(store.remove("ubuntu", &[]), Err(ImageError::Unknown { .. })));
}

#[test]
fn the_host_image_is_prepared_once_with_growing_progress() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let mut reports = Vec::new();
    let image = store.prepare("host", &Sources::default(), &mut |progress| reports.push(progress)).unwrap();
    assert!(reports.is_sorted_by_key(|progress| progress.done));
    let last = reports.last().unwrap();
    assert_eq!((last.done, last.total), (image.size_bytes, image.size_bytes));
    assert!(image.layers[0].join("usr/bin/bash").is_file());

    let mut again = 0;
    assert_eq!(store.prepare("host", &Sources::default(), &mut |_| again += 1).unwrap(), image);
    assert_eq!(again, 0, "it was made a second time");
    assert_eq!(store.find("host"), Some(image));
    assert_eq!(entries(&store.root.join("tmp")), 0);
}

#[test]
fn two_preparers_at_once_make_one_image() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let images: Vec<Image> = std::thread::scope(|scope| {
        let preparers: Vec<_> = (0..2).map(|_| scope.spawn(|| prepare_host(&store))).collect();
        preparers.into_iter().map(|preparer| preparer.join().unwrap()).collect()
    });
    assert_eq!(images[0], images[1]);
    assert_eq!(entries(&store.root.join("layers")), 1);
}

#[test]
fn what_a_crash_left_is_swept_and_what_is_under_way_is_not() {
    let (_top, store) = fresh();
    let under_way = Work::begin(&store).unwrap();
    let left = store.root.join("tmp/left");
    fs::create_dir_all(left.join("layer/usr/bin")).unwrap();
    fs::write(left.join("layer/usr/bin/bash"), "half").unwrap();
    Store::open(&store.root).unwrap();
    assert!(!left.exists());
    assert!(under_way.path.exists());
    drop(under_way);
    assert_eq!(entries(&store.root.join("tmp")), 0);
}

#[test]
fn a_preparation_in_another_process_shows_as_such() {
    let (_top, store) = fresh();
    let _lock = store.lock_image("learner", &mut |_| {}).unwrap();
    let learner = store.list().into_iter().find(|image| image.name == "learner").unwrap();
    assert!(matches!(learner.state, ImageState::Preparing { .. }));
}

#[test]
fn an_image_whose_sandbox_runs_stays() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let image = prepare_host(&store);
    assert!(matches!(store.remove("host", &image.layers), Err(ImageError::InUse { .. })));
    assert!(store.find("host").is_some());
    store.remove("host", &[]).unwrap();
    assert_eq!(store.find("host"), None);
    assert_eq!((entries(&store.root.join("layers")), entries(&store.root.join("tmp"))), (0, 0));
}

#[test]
fn damaged_records_are_images_that_are_not_there() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let image = prepare_host(&store);
    let path = store.record_path("host");
    let good = fs::read_to_string(&path).unwrap();
    let layer = image.digest.strip_prefix("sha256:").unwrap();
    let damaged = ["", "{", &good.replace(layer, "../../../etc"), &good.replace("\"format\": 1", "\"format\": 9")];
    for text in damaged {
        fs::write(&path, text).unwrap();
        assert_eq!(store.find("host"), None, "{text}");
    }
    assert_eq!(prepare_host(&store), image);
}

#[test]
fn a_host_image_of_an_earlier_boot_is_made_anew_and_its_layer_goes() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let mut record = store.read(&prepare_host(&store).name).unwrap();
    let (old, new) = (record.layers[0].clone(), "0".repeat(64));
    fs::rename(store.layer_path(&old), store.layer_path(&new)).unwrap();
    record.layers = vec![new.clone()];
    record.boot = Some("another".into());
    fs::write(store.record_path("host"), serde_json::to_vec(&record).unwrap()).unwrap();
    assert_eq!(store.find("host"), None);
    prepare_host(&store);
    assert!(store.layer_path(&old).exists() && !store.layer_path(&new).exists());
}

#[test]
fn layers_without_an_image_are_swept_unless_a_sandbox_runs_on_them() {
    let (_top, store) = fresh();
    let (used, unused) = (store.layer_path(&"a".repeat(64)), store.layer_path(&"b".repeat(64)));
    fs::create_dir(&used).unwrap();
    fs::create_dir(&unused).unwrap();
    store.sweep_layers(std::slice::from_ref(&used)).unwrap();
    assert!(used.exists() && !unused.exists());
}

#[test]
fn a_learner_image_without_a_mirror_says_what_to_set_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let (top, store) = fresh();
    let sources = Sources { apt: top.path().join("no-apt"), ..Sources::default() };
    let error = store.prepare("learner", &sources, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("--debian-mirror"), "{error}");
    assert_eq!((entries(&store.root.join("layers")), entries(&store.root.join("tmp"))), (0, 0));
}
