//! What any store must do, whatever database stands behind it.

use std::os::unix::fs::PermissionsExt;

use quayside_runtime::spec::SandboxId;

use super::*;

const ROOM: Room = Room { all_max: 10, per_learner_max: 3 };

/// A store in a directory that goes with it.
struct Fixture {
    store: Store,
    dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    Fixture { store: Store::open(dir.path()).await.expect("a store"), dir }
}

impl Fixture {
    async fn learner(&self) -> LearnerId {
        let id = LearnerId::random();
        self.store.add_learner(id, &SecretHash::of(id.to_string().as_bytes()), UnixMs(1)).await.expect("a learner");
        id
    }

    async fn open(&self, learner: LearnerId, scenario: &str) -> Opened {
        self.store.open_session(&opening(learner, scenario), ROOM, UnixMs::now()).await.expect("an answer")
    }

    async fn new_session(&self, learner: LearnerId, scenario: &str) -> SessionRow {
        match self.open(learner, scenario).await {
            Opened::New(row) => row,
            other => panic!("{other:?} instead of a new session"),
        }
    }
}

fn opening(learner: LearnerId, scenario: &str) -> Opening {
    Opening {
        learner,
        course: "namespaces".into(),
        scenario: scenario.into(),
        digest: "d1".into(),
        page: "intro".into(),
    }
}

fn ending(state: SessionState, why: &str) -> Ending {
    Ending { state, why: why.into(), detail: Some("step 7 of 19".into()) }
}

#[tokio::test]
async fn a_learner_is_found_by_the_secret_and_by_no_other() {
    let fixture = fixture().await;
    let id = LearnerId::random();
    fixture.store.add_learner(id, &SecretHash::of(b"secret"), UnixMs(5)).await.expect("added");
    let found = |secret: &'static [u8]| {
        let store = fixture.store.clone();
        async move { store.learner_by_secret(&SecretHash::of(secret)).await.expect("an answer") }
    };
    assert_eq!(found(b"secret").await, Some(id));
    assert_eq!(found(b"Secret").await, None);
}

#[tokio::test]
async fn the_same_learner_finds_the_same_session_until_it_ends() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let first = fixture.new_session(learner, "pid").await;
    assert_eq!(fixture.open(learner, "pid").await, Opened::Found(first.clone()));
    fixture.store.end_session(first.id, &ending(SessionState::Ended, "you left"), UnixMs(7)).await.expect("ended");
    fixture.store.end_session(first.id, &ending(SessionState::Failed, "again"), UnixMs(9)).await.expect("ended before");

    let ended = fixture.store.session(first.id).await.expect("an answer").expect("a row");
    assert_eq!(
        (ended.state, ended.ended, ended.why.as_deref()),
        (SessionState::Ended, Some(UnixMs(7)), Some("you left"))
    );
    assert_eq!(ended.detail.as_deref(), Some("step 7 of 19"));
    let second = fixture.new_session(learner, "pid").await;
    assert_ne!(second.id, first.id);
}

#[tokio::test]
async fn two_tabs_that_start_at_once_share_one_session() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let tabs: Vec<_> = (0..8)
        .map(|_| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.open_session(&opening(learner, "pid"), ROOM, UnixMs(1)).await })
        })
        .collect();
    let mut new = 0;
    let mut ids = std::collections::BTreeSet::new();
    for tab in tabs {
        match tab.await.expect("no panic").expect("an answer") {
            Opened::New(row) => {
                new += 1;
                ids.insert(row.id);
            }
            Opened::Found(row) => {
                ids.insert(row.id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
}

#[tokio::test]
async fn a_full_house_and_a_learner_with_too_many_are_told_apart() {
    let fixture = fixture().await;
    let one = fixture.learner().await;
    for scenario in ["a", "b", "c"] {
        fixture.new_session(one, scenario).await;
    }
    assert_eq!(fixture.open(one, "d").await, Opened::TooMany);
    assert!(matches!(fixture.open(one, "a").await, Opened::Found(_)), "what is there is found all the same");

    let two = fixture.learner().await;
    let full = Room { all_max: 3, per_learner_max: 3 };
    let answer = fixture.store.open_session(&opening(two, "a"), full, UnixMs(1)).await.expect("an answer");
    assert_eq!(answer, Opened::Full);
}

#[tokio::test]
async fn pages_and_progress_survive_a_restart() {
    let Fixture { store, dir } = fixture().await;
    let fixture = Fixture { store, dir };
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    fixture.store.turn_page(session.id, "2").await.expect("turned");
    for step in [2, 1, 2] {
        fixture.store.pass(session.id, step, UnixMs(3)).await.expect("passed");
    }
    assert!(fixture.store.enter(session.id, "intro", UnixMs(1)).await.expect("an answer"));
    assert!(!fixture.store.enter(session.id, "intro", UnixMs(2)).await.expect("an answer"));
    assert!(fixture.store.enter(session.id, "1", UnixMs(2)).await.expect("an answer"));
    fixture.store.close().await;

    let store = Store::open(fixture.dir.path()).await.expect("opened again");
    assert_eq!(store.session(session.id).await.expect("an answer").expect("a row").page, "2");
    assert_eq!(store.passed(session.id).await.expect("an answer"), [1, 2]);
    assert_eq!(store.entered(session.id).await.expect("an answer"), ["intro", "1"]);
    assert_eq!(store.live_sessions().await.expect("an answer").len(), 1);
    let passed = store.passed_by(learner).await.expect("an answer");
    assert_eq!(passed.iter().map(|passed| passed.step).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.sessions_of(learner).await.expect("an answer").len(), 1);
}

#[tokio::test]
async fn a_session_that_ended_turns_no_more_pages() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    fixture.store.end_session(session.id, &ending(SessionState::Ended, "left"), UnixMs(1)).await.expect("ended");
    assert!(matches!(fixture.store.turn_page(session.id, "1").await, Err(StoreError::Stale)));
}

#[tokio::test]
async fn the_newest_generation_is_a_sessions_sandbox() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await.id;
    let row = |generation| SandboxRow {
        id: SandboxId::random(),
        session,
        generation,
        image: "learner".into(),
        hostname: "ubuntu".into(),
        state: SandboxState::Launching,
    };
    let (first, second) = (row(1), row(2));
    fixture.store.add_sandbox(&first).await.expect("added");
    fixture.store.mark_sandbox(first.id, SandboxState::Gone).await.expect("marked");
    fixture.store.add_sandbox(&second).await.expect("added");
    fixture.store.mark_sandbox(second.id, SandboxState::Prepared).await.expect("marked");
    let found = fixture.store.sandbox_of(session).await.expect("an answer").expect("a row");
    assert_eq!(found, SandboxRow { state: SandboxState::Prepared, ..second.clone() });
    let orphan = || fixture.store.orphan(found.id);
    assert_eq!(orphan().await.expect("an answer"), None, "its session lives");
    fixture.store.end_session(session, &ending(SessionState::Ended, "left"), UnixMs(9)).await.expect("ended");
    assert_eq!(orphan().await.expect("an answer"), Some(found.clone()));
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_one_and_harms_nothing_written_before() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    sqlx::query("PRAGMA max_page_count = 1").execute(&fixture.store.writer).await.expect("no more pages");
    let mut failure = None;
    for page in 0..10_000 {
        if let Err(error) = fixture.store.enter(session.id, &format!("{page:0>200}"), UnixMs(1)).await {
            failure = Some(error);
            break;
        }
    }
    let failure = failure.expect("the limit is reached");
    assert!(matches!(failure, StoreError::Full { .. }), "{failure:?}");
    assert!(failure.to_string().contains("is full"), "{failure}");
    assert!(fixture.store.session(session.id).await.expect("still read").is_some());
}

#[tokio::test]
async fn what_cannot_be_opened_names_the_path_and_the_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = Store::open(&file).await.expect_err("a file is no directory").to_string();
    assert!(error.contains(&*file.to_string_lossy()) && error.contains("--data"), "{error}");

    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).expect("made");
    std::fs::write(foreign.join(FILE), "not a database, but long enough to be read as one ".repeat(100))
        .expect("written");
    let error = Store::open(&foreign).await.expect_err("no database").to_string();
    assert!(error.contains("is not one of ours"), "{error}");

    if nix::unistd::geteuid().is_root() {
        return; // root may read everything; the suites try it as another user
    }
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).expect("made");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("closed");
    let error = Store::open(&closed).await.expect_err("no permission").to_string();
    assert!(error.contains("readable and writable"), "{error}");
}

#[tokio::test]
async fn a_store_from_a_newer_version_is_left_alone() {
    let fixture = fixture().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, X'00', 0)",
    )
    .execute(&fixture.store.writer)
    .await
    .expect("a later migration");
    fixture.store.close().await;
    let error = Store::open(fixture.dir.path()).await.expect_err("refused");
    assert!(matches!(error, StoreError::Newer { .. }), "{error:?}");
}
