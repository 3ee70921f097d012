//! Whole builds without `RUN`, which needs this project's program: `tests/tests/build.rs` has those.
//!
//! They need root, because layers are put together by overlays.

use std::fs;

use super::*;
use crate::build::explain::Reason;
use crate::build::scope::{Inputs, Platform};
use crate::build::steps::request::Network;
use crate::image::Digest;

/// A store, and a context with a few files.
struct Yard {
    folder: tempfile::TempDir,
    store: Store,
}

impl Yard {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("images")).unwrap();
        for (name, text) in [("cmd/client/main.go", "client"), ("cmd/server/main.go", "server"), ("go.mod", "mod")] {
            let path = folder.path().join("context").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder, store }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("context").join(name), text).unwrap();
    }

    fn job(&self, dockerfile: &str) -> Job {
        let linux = Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() };
        Job {
            dockerfile_name: "Dockerfile".into(),
            dockerfile: dockerfile.into(),
            context: Some(self.folder.path().join("context")),
            ignore: None,
            wishes: Wishes {
                inputs: Inputs {
                    arguments: BTreeMap::new(),
                    target: None,
                    build_platform: linux.clone(),
                    target_platform: linux,
                },
                labels: BTreeMap::new(),
                network: Network::Default,
                extra_hosts: Vec::new(),
            },
            names: vec!["example".parse().unwrap()],
            no_cache: false,
            cache_from: Vec::new(),
            stages_at_once: STAGES_AT_ONCE,
            cache_mount_max_bytes: u64::MAX,
            is_passing: false,
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
        }
    }

    fn build(&self, job: &Job) -> (Result<Image, BuildError>, Vec<What>) {
        self.build_until(job, &Stop::new().unwrap())
    }

    fn build_until(&self, job: &Job, stop: &Stop) -> (Result<Image, BuildError>, Vec<What>) {
        let runner = Runner::new(&fs::File::open("/proc/self/exe").unwrap()).unwrap();
        let tools = Tools { store: &self.store, runner: &runner, prepare: &|_, _| Ok(None), stop };
        let events = Mutex::new(Vec::new());
        let built = build(job, &tools, &|event| events.lock().unwrap().push(event.what));
        (built, events.into_inner().unwrap())
    }

    /// Builds, and gives for every step whether it was in the cache, or why not.
    fn steps(&self, job: &Job) -> (Image, Vec<String>) {
        let (built, events) = self.build(job);
        let told = |what: &What| match what {
            What::Hit { from: None, .. } => Some("cached".to_owned()),
            What::Hit { from: Some(image), .. } => Some(format!("cached in {image}")),
            What::Missed { words, .. } => Some(words.clone()),
            _ => None,
        };
        (built.unwrap(), events.iter().filter_map(told).collect())
    }
}

const EXAMPLE: &str = "FROM scratch\nWORKDIR /src\nCOPY go.mod .\nCOPY . .\nENV A=b\nCMD [\"/server\"]\n";

#[test]
fn what_has_not_changed_is_cached_and_a_changed_file_is_named() {
    let yard = Yard::new();
    let job = yard.job(EXAMPLE);
    let (first, told) = yard.steps(&job);
    assert_eq!(told, ["never built before", "follows step 1/3", "follows step 2/3"]);
    assert_eq!(yard.steps(&job), (first.clone(), vec!["cached".to_owned(); 3]));
    yard.write("cmd/client/main.go", "changed");
    let (second, told) = yard.steps(&job);
    assert_eq!(told, ["cached", "cached", "cmd/client/main.go changed"]);
    assert_ne!(second.id, first.id);
    assert_eq!(second.layers[..2], first.layers[..2]);
    yard.write("go.mod", "changed");
    assert_eq!(yard.steps(&job).1, ["cached", "go.mod changed", "follows step 2/3; go.mod changed"]);
    // Back to what it was: everything is still known, however it came about.
    yard.write("go.mod", "mod");
    yard.write("cmd/client/main.go", "client");
    assert_eq!(yard.steps(&job), (first, vec!["cached".to_owned(); 3]));
}

#[test]
fn an_image_has_the_config_the_history_and_the_names_that_were_asked_for() {
    let yard = Yard::new();
    let (image, _) = yard.steps(&yard.job(EXAMPLE));
    assert_eq!(image.config.config.cmd, Some(vec!["/server".to_owned()]));
    assert_eq!(image.config.config.working_dir, "/src");
    assert!(image.config.config.env.contains(&"A=b".to_owned()));
    let created_by: Vec<&str> =
        image.config.history.iter().map(|one| one.created_by.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        created_by,
        ["WORKDIR /src", "COPY go.mod . # buildkit", "COPY . . # buildkit", "ENV A=b", "CMD [\"/server\"]"]
    );
    let layers = image.config.history.iter().filter(|one| !one.empty_layer).count();
    assert_eq!(layers, image.layers.len());
    assert_eq!(yard.store.resolve("example").unwrap().id, image.id);
    let file = image.layers[2].path.join("src/cmd/client/main.go");
    assert_eq!(fs::read_to_string(file).unwrap(), "client");
}

#[test]
fn what_is_copied_from_a_stage_counts_by_its_content() {
    let yard = Yard::new();
    let text = "FROM scratch AS all\nCOPY . /all/\nFROM scratch\nCOPY --from=all /all/go.mod /go.mod\n";
    let job = yard.job(text);
    let (first, _) = yard.steps(&job);
    yard.write("cmd/client/main.go", "changed");
    let (second, told) = yard.steps(&job);
    assert_eq!(told, ["cmd/client/main.go changed", "cached"]);
    assert_eq!(second.id, first.id);
}

#[test]
fn a_stage_that_nobody_needs_is_not_built() {
    let yard = Yard::new();
    let text = "FROM scratch AS one\nCOPY missing /\nFROM scratch AS two\nCOPY go.mod /\n";
    let (built, events) = yard.build(&yard.job(text));
    built.unwrap();
    assert_eq!(events.iter().filter(|what| matches!(what, What::Missed { .. })).count(), 1);
}

#[test]
fn without_the_cache_every_step_is_done_and_remembered() {
    let yard = Yard::new();
    let mut job = yard.job(EXAMPLE);
    let (first, _) = yard.steps(&job);
    job.no_cache = true;
    assert_eq!(yard.steps(&job).1, vec!["--no-cache"; 3]);
    job.no_cache = false;
    let (again, told) = yard.steps(&job);
    assert_eq!(told, ["cached"; 3]);
    // The same files make the same layers.
    assert_eq!(again.config.rootfs, first.config.rootfs);
}

#[test]
fn an_ignored_file_changes_nothing() {
    let yard = Yard::new();
    let mut job = yard.job(EXAMPLE);
    job.ignore = Some((".dockerignore".into(), b"**/*.log\n".to_vec()));
    let (first, _) = yard.steps(&job);
    yard.write("cmd/x.log", "noise");
    assert_eq!(yard.steps(&job), (first.clone(), vec!["cached".to_owned(); 3]));
    assert!(!first.layers[2].path.join("src/cmd/x.log").exists());
}

#[test]
fn a_step_that_fails_is_named_with_its_line_and_what_was_done_stays() {
    let yard = Yard::new();
    let (built, events) = yard.build(&yard.job("FROM scratch\nCOPY go.mod /\nCOPY go.sum /\n"));
    let error = built.unwrap_err();
    assert_eq!(error.to_string(), "[2/2] COPY go.sum /, line 3");
    let BuildError::Step { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().starts_with("cannot copy \"go.sum\": there is no such file"), "{source}");
    assert!(matches!(events.last(), Some(What::Failed { part: 4, .. })), "{events:?}");
    yard.write("go.sum", "sum");
    assert_eq!(yard.steps(&yard.job("FROM scratch\nCOPY go.mod /\nCOPY go.sum /\n")).1[0], "cached");
}

#[test]
fn a_stopped_build_does_nothing_more() {
    let yard = Yard::new();
    let stop = Stop::new().unwrap();
    stop.stop();
    let (built, events) = yard.build_until(&yard.job(EXAMPLE), &stop);
    assert!(matches!(built, Err(BuildError::Stopped)), "{built:?}");
    assert!(events.iter().any(|what| matches!(what, What::Cancelled { .. })));
    assert!(yard.store.lookup("example").unwrap().is_none());
}

#[test]
fn two_builds_at_once_make_the_same_image() {
    let yard = Yard::new();
    let job = yard.job(EXAMPLE);
    let ids: Vec<Digest> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|_| scope.spawn(|| yard.build(&job).0.unwrap().id)).collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn a_pruned_step_says_so_and_an_unknown_base_what_to_do() {
    let yard = Yard::new();
    let job = yard.job(EXAMPLE);
    let (image, _) = yard.steps(&job);
    fs::remove_dir_all(&image.layers[2].path).unwrap();
    let (_, events) = yard.build(&job);
    let reasons: Vec<&Vec<Reason>> = events
        .iter()
        .filter_map(|what| match what {
            What::Missed { reasons, .. } => Some(reasons),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [&vec![Reason::Pruned]]);
    let error = yard.build(&yard.job("FROM nowhere\n")).0.unwrap_err();
    assert_eq!(error.to_string(), "cannot get the image nowhere of line 1");
}

#[test]
fn a_dockerfile_alone_has_nothing_to_copy_from() {
    let yard = Yard::new();
    let job = Job { context: None, ..yard.job("FROM scratch\nCOPY a b\n") };
    let error = yard.build(&job).0.unwrap_err();
    assert!(error.to_string().starts_with("COPY a b needs a folder to read from"), "{error}");
}

#[test]
fn a_fresh_store_takes_steps_from_an_image_that_was_saved_and_loaded() {
    use crate::image::transfer::{self, Format, Saved, Source};
    let there = Yard::new();
    let mut job = there.job(EXAMPLE);
    let (image, _) = there.steps(&job);
    let mut archive = Vec::new();
    let saved = [Saved { image: image.clone(), names: Vec::new() }];
    transfer::save(&there.store, &saved, Format::Docker, &mut archive).unwrap();

    let here = Yard { store: Store::open(there.folder.path().join("elsewhere")).unwrap(), ..there };
    transfer::load(&here.store, Source::Stream(Box::new(&archive[..])), Some(&"cached".parse().unwrap())).unwrap();
    job.cache_from = vec!["cached".into(), "nowhere".into()];
    here.write("cmd/client/main.go", "changed");
    let told = here.steps(&job).1;
    assert_eq!(told, ["cached in cached", "cached in cached", "never built here, and no step of cached"]);
    here.write("cmd/client/main.go", "client");
    let (again, told) = here.steps(&job);
    assert_eq!(told, ["cached", "cached", "cached in cached"]);
    assert_eq!(again.id, image.id);
    // What was taken is this store's own from now on.
    job.cache_from.clear();
    assert_eq!(here.steps(&job).1, ["cached"; 3]);
    job.no_cache = true;
    job.cache_from = vec!["cached".into()];
    assert_eq!(here.steps(&job).1, ["--no-cache"; 3]);
}
