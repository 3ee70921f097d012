//! The cache on a real file system: no root needed.

use super::super::key::{Aspect, Facet};
use super::*;
use crate::image::store::{LayerRecord, Tar};

fn store(folder: &Path) -> Store {
    Store::open(folder.join("images")).unwrap()
}

fn parts(text: &str) -> Parts {
    let facets = vec![Facet { is: Aspect::Instruction, value: text.into() }];
    Parts { parent: None, base: None, facets, files: BTreeMap::new() }
}

fn record(layer: Option<Digest>) -> Record {
    Record { text: "RUN make".into(), layer, created: 1, took_ms: 10, size_bytes: 100 }
}

/// A layer with one file in it, whose digest is that of the file's name.
fn layer(store: &Store, work: &Work, name: &str) -> Digest {
    let draft = work.layer().unwrap();
    fs::write(draft.diff().join(name), name).unwrap();
    let diff_id = Digest::of(name.as_bytes());
    let record = LayerRecord::new(name.len() as u64, 1, Tar::Canonical { bytes: 0 });
    store.keep_layer(work, draft, diff_id, &record).unwrap();
    diff_id
}

#[test]
fn a_step_is_found_by_its_key_as_long_as_its_layer_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let cache = Cache::open(&store).unwrap();
    let work = store.work().unwrap();
    let diff_id = layer(&store, &work, "a");
    assert_eq!(cache.find(&parts("a").key()), None);
    cache.add(&work, &parts("a"), &record(Some(diff_id))).unwrap();
    cache.add(&work, &parts("nothing"), &record(None)).unwrap();
    drop(work);
    // The record keeps the layer, though no image has it.
    assert_eq!(store.sweep(&[]).unwrap().layers, []);
    let hit = cache.find(&parts("a").key()).unwrap();
    assert_eq!(hit.layer.unwrap().diff_id, diff_id);
    assert_eq!(cache.find(&parts("nothing").key()).unwrap().layer, None);
    assert_eq!(cache.parts(&parts("a").key()), Some(parts("a")));

    fs::remove_dir_all(store.layer(&diff_id).unwrap().path).unwrap();
    assert_eq!(cache.find(&parts("a").key()), None);
}

#[test]
fn pruning_removes_the_least_recently_used_first_and_then_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let cache = Cache::open(&store).unwrap();
    let work = store.work().unwrap();
    for (age, name) in ["old", "middle", "new"].iter().enumerate() {
        let diff_id = layer(&store, &work, name);
        cache.add(&work, &parts(name), &record(Some(diff_id))).unwrap();
        let used = SystemTime::now() - Duration::from_secs(1000 * (3 - age as u64));
        File::open(cache.step(&parts(name).key())).unwrap().set_modified(used).unwrap();
    }
    drop(work);
    let pruned = cache.prune(&Prune { keep_bytes: Some(200), ..Prune::default() }, &[]).unwrap();
    assert_eq!(pruned, Pruned { steps: 1, mounts: 0, bytes: 100 });
    assert!(store.layer(&Digest::of(b"old")).is_none());
    assert!(store.layer(&Digest::of(b"middle")).is_some());
    let by_age = Prune { unused_for: Some(Duration::from_secs(1500)), ..Prune::default() };
    assert_eq!(cache.prune(&by_age, &[]).unwrap().steps, 1);
    assert!(cache.find(&parts("new").key()).is_some());
    assert_eq!(cache.prune(&Prune { all: true, ..Prune::default() }, &[]).unwrap().steps, 1);
    assert!(store.layer(&Digest::of(b"new")).is_none());
}

#[test]
fn cache_mounts_are_pruned_with_the_steps_by_age_and_by_size() {
    use crate::build::steps::request::Sharing;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let cache = Cache::open(&store).unwrap();
    let work = store.work().unwrap();
    let mount = |id: &str| caches::open(&store, &work, id, Sharing::Shared, &mut |_| Ok(()), &|| true).unwrap();
    for (id, hours) in [("old", 30), ("recent", 1)] {
        let mount = mount(id);
        fs::write(mount.data.join("content"), vec![1; 40_000]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(3600 * hours);
        File::open(mount.data.parent().unwrap().join("lock")).unwrap().set_modified(used).unwrap();
    }
    cache.add(&work, &parts("a"), &record(None)).unwrap();
    drop(work);
    let ids = || cache.mounts().unwrap().into_iter().map(|mount| mount.id).collect::<Vec<_>>();
    let by_age = Prune { unused_for: Some(Duration::from_secs(24 * 3600)), ..Prune::default() };
    let pruned = cache.prune(&by_age, &[]).unwrap();
    assert!(pruned.mounts == 1 && pruned.steps == 0 && pruned.bytes >= 40_000, "{pruned:?}");
    assert_eq!(ids(), ["recent"]);
    // The mount was used before the step, and is over what may stay.
    let by_size = Prune { keep_bytes: Some(1000), ..Prune::default() };
    let pruned = cache.prune(&by_size, &[]).unwrap();
    assert_eq!((pruned.mounts, pruned.steps), (1, 0), "{pruned:?}");
    assert_eq!(ids(), Vec::<String>::new());
}

#[test]
fn a_place_remembers_its_last_step_and_a_damaged_record_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let cache = Cache::open(&store).unwrap();
    assert_eq!(cache.latest("here"), None);
    cache.set_latest("here", &parts("a").key()).unwrap();
    cache.set_latest("here", &parts("b").key()).unwrap();
    assert_eq!(cache.latest("here"), Some(parts("b").key()));
    fs::write(cache.step(&parts("a").key()), "{").unwrap();
    assert_eq!(cache.find(&parts("a").key()), None);
}

#[test]
fn two_builds_do_one_step_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&store(folder.path())).unwrap();
    let key = parts("a").key();
    let mut waits = 0;
    let first = cache.lock(&key, &|| false, &mut || waits += 1).unwrap().unwrap();
    assert!(cache.lock(&key, &|| true, &mut || {}).unwrap().is_none());
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut waits = 0;
            let lock = cache.lock(&key, &|| false, &mut || waits += 1).unwrap();
            (lock.is_some(), waits)
        });
        std::thread::sleep(2 * WAIT);
        cache.unlock(&key, first);
        assert_eq!(second.join().unwrap(), (true, 1));
    });
    assert_eq!(waits, 0);
}
