//! What any store must do, whatever database stands behind it.

use std::os::unix::fs::PermissionsExt;

use quayside_runtime::spec::SandboxId;

use super::*;

const ROOM: Room = Room { all_max: 10, per_learner_max: 3, line_max: 4 };

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
        instead: None,
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
    match fixture.open(one, "d").await {
        Opened::TooMany(rows) => assert_eq!(rows[0].scenario, "a", "the one not used for longest comes first"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(fixture.open(one, "a").await, Opened::Found(_)), "what is there is found all the same");

    let two = fixture.learner().await;
    let full = Room { all_max: 3, line_max: 1, ..ROOM };
    let ask = async |learner| fixture.store.open_session(&opening(learner, "a"), full, UnixMs(1)).await;
    assert!(matches!(ask(two).await.expect("an answer"), Opened::Queued(_)));
    assert!(matches!(ask(two).await.expect("an answer"), Opened::Found(_)), "asking again takes no second place");
    let three = fixture.learner().await;
    assert_eq!(ask(three).await.expect("an answer"), Opened::Full);
}

/// One place in all.
const NARROW: Room = Room { all_max: 1, ..ROOM };

impl Fixture {
    async fn ask(&self, opening: &Opening, now: i64) -> Opened {
        self.store.open_session(opening, NARROW, UnixMs(now)).await.expect("an answer")
    }

    async fn queued(&self, learner: LearnerId, scenario: &str, now: i64) -> SessionId {
        match self.ask(&opening(learner, scenario), now).await {
            Opened::Queued(row) => row.id,
            other => panic!("{other:?} instead of a place in line"),
        }
    }

    async fn end(&self, session: SessionId) {
        self.store.end_session(session, &ending(SessionState::Left, "left"), UnixMs::now()).await.expect("ended");
    }

    async fn offer(&self) -> Option<SessionId> {
        self.store.offer_place(NARROW.all_max, UnixMs(90)).await.expect("an answer")
    }
}

#[tokio::test]
async fn places_are_given_in_the_order_of_asking_and_survive_a_restart() {
    let mut fixture = fixture().await;
    let learner = fixture.learner().await;
    let first = match fixture.ask(&opening(learner, "pid"), 1).await {
        Opened::New(row) => row.id,
        other => panic!("{other:?}"),
    };
    let mut line = Vec::new();
    for now in 2..5 {
        let learner = fixture.learner().await;
        line.push(fixture.queued(learner, "pid", now).await);
    }
    assert_eq!(fixture.offer().await, None, "nothing is free");
    fixture.store.close().await;
    fixture.store = Store::open(fixture.dir.path()).await.expect("opened again");
    assert_eq!(fixture.store.line().await.expect("an answer"), line);

    fixture.end(first).await;
    let late = fixture.learner().await;
    let late = fixture.queued(late, "pid", 9).await;
    assert_eq!(fixture.offer().await, Some(line[0]), "who comes now stands behind the line");
    assert_eq!(fixture.offer().await, None, "an offered place is taken");
    assert!(!fixture.store.claim_place(line[1]).await.expect("an answer"), "it is not theirs");
    assert!(fixture.store.claim_place(line[0]).await.expect("an answer"));
    assert!(!fixture.store.claim_place(line[0]).await.expect("an answer"), "once");
    fixture.end(line[1]).await;
    assert_eq!(fixture.store.line().await.expect("an answer"), [line[2], late], "who leaves is not missed");
    fixture.end(line[0]).await;
    assert_eq!(fixture.offer().await, Some(line[2]));
}

#[tokio::test]
async fn however_many_start_at_once_no_place_is_given_twice() {
    let fixture = fixture().await;
    let room = Room { all_max: 5, per_learner_max: 1, line_max: 100 };
    let mut learners = Vec::new();
    for _ in 0..40 {
        learners.push(fixture.learner().await);
    }
    let starts: Vec<_> = learners
        .into_iter()
        .map(|learner| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.open_session(&opening(learner, "pid"), room, UnixMs::now()).await })
        })
        .collect();
    let mut new = 0;
    for start in starts {
        match start.await.expect("no panic").expect("an answer") {
            Opened::New(_) => new += 1,
            Opened::Queued(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new, fixture.store.line().await.expect("an answer").len()), (5, 35));
    // And however many look for somebody to offer it to.
    let one = fixture.store.live_sessions().await.expect("an answer").into_iter().find(|row| row.queued.is_none());
    fixture.end(one.expect("a live one").id).await;
    let offers: Vec<_> = (0..8)
        .map(|_| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.offer_place(5, UnixMs(1)).await })
        })
        .collect();
    let mut offered = 0;
    for offer in offers {
        offered += u32::from(offer.await.expect("no panic").expect("an answer").is_some());
    }
    assert_eq!(offered, 1);
}

#[tokio::test]
async fn a_sandbox_on_its_way_out_takes_its_place_until_it_is_gone() {
    let fixture = fixture().await;
    let (one, two) = (fixture.learner().await, fixture.learner().await);
    let Opened::New(session) = fixture.ask(&opening(one, "pid"), 1).await else { panic!("there is room") };
    let sandbox = SandboxRow {
        id: SandboxId::random(),
        session: session.id,
        generation: 1,
        image: "learner".into(),
        hostname: "ubuntu".into(),
        state: SandboxState::Prepared,
    };
    fixture.store.add_sandbox(&sandbox).await.expect("added");
    fixture.end(session.id).await;
    let waiting = fixture.queued(two, "pid", 2).await;
    assert_eq!(fixture.offer().await, None);
    assert_eq!(fixture.store.orphans().await.expect("an answer"), std::slice::from_ref(&sandbox));
    fixture.store.mark_sandbox(sandbox.id, SandboxState::Gone).await.expect("marked");
    assert_eq!(fixture.offer().await, Some(waiting));
}

#[tokio::test]
async fn a_learner_has_one_place_in_line_and_takes_it_along() {
    let fixture = fixture().await;
    let (one, two, three) = (fixture.learner().await, fixture.learner().await, fixture.learner().await);
    fixture.ask(&opening(one, "pid"), 1).await;
    let first = fixture.queued(two, "pid", 2).await;
    let behind = fixture.queued(three, "pid", 3).await;
    let moved = fixture.queued(two, "net", 4).await;
    assert_eq!(fixture.store.line().await.expect("an answer"), [moved, behind], "where the learner stood");
    let row = fixture.store.session(first).await.expect("an answer").expect("a row");
    assert_eq!((row.state, row.queued), (SessionState::Left, None));
}

#[tokio::test]
async fn a_session_that_goes_for_another_gives_it_its_place() {
    let fixture = fixture().await;
    let (one, two) = (fixture.learner().await, fixture.learner().await);
    let Opened::New(session) = fixture.ask(&opening(one, "pid"), 1).await else { panic!("there is room") };
    fixture.queued(two, "pid", 2).await;
    let instead = |learner| Opening { instead: Some(session.id), ..opening(learner, "net") };
    assert!(matches!(fixture.ask(&instead(two), 3).await, Opened::Queued(_)), "somebody else's is not given");
    assert!(matches!(fixture.ask(&instead(one), 4).await, Opened::New(_)), "nobody in line comes between");
    let row = fixture.store.session(session.id).await.expect("an answer").expect("a row");
    assert_eq!(row.state, SessionState::Left);
}

#[tokio::test]
async fn time_begins_once_grows_to_its_limit_and_survives_a_restart() {
    let mut fixture = fixture().await;
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    let hour = std::time::Duration::from_secs(3600);
    let clock = fixture.store.begin_clock(session.id, UnixMs(1000), hour).await.expect("begun");
    assert_eq!(clock, Clock { begun: UnixMs(1000), ends: UnixMs(3_601_000) });
    assert_eq!(fixture.store.begin_clock(session.id, UnixMs(9000), hour).await.expect("begun"), clock, "once");
    let ends = async |store: &Store| {
        store.extend(session.id, hour, hour * 5 / 2).await.expect("an answer").map(|clock| clock.ends.0 - 1000)
    };
    assert_eq!(ends(&fixture.store).await, Some(7_200_000));
    fixture.store.close().await;
    fixture.store = Store::open(fixture.dir.path()).await.expect("opened again");
    assert_eq!(ends(&fixture.store).await, Some(9_000_000), "no more than there is");
    assert_eq!(ends(&fixture.store).await, None);
    let pace = fixture.store.pace(hour, UnixMs::now()).await.expect("an answer");
    assert_eq!(pace, Pace { ends: vec![Some(UnixMs(9_001_000))], freed: 0 });
    fixture.end(session.id).await;
    assert_eq!(fixture.store.pace(hour, UnixMs::now()).await.expect("an answer"), Pace { ends: vec![], freed: 1 });
}

#[tokio::test]
async fn a_fresh_machine_has_run_no_scripts_and_a_used_session_comes_last() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let (a, b) = (fixture.new_session(learner, "a").await, fixture.new_session(learner, "b").await);
    fixture.new_session(learner, "c").await;
    fixture.store.enter(a.id, "intro", UnixMs(1)).await.expect("entered");
    fixture.store.forget_entered(a.id).await.expect("forgotten");
    assert_eq!(fixture.store.entered(a.id).await.expect("an answer"), Vec::<String>::new());
    fixture.store.used(a.id, UnixMs::now().plus(std::time::Duration::from_secs(60))).await.expect("noted");
    match fixture.open(learner, "d").await {
        Opened::TooMany(rows) => assert_eq!(rows[0].id, b.id),
        other => panic!("{other:?}"),
    }
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
    let orphans = || fixture.store.orphans();
    assert_eq!(orphans().await.expect("an answer"), [], "its session lives");
    fixture.store.end_session(session, &ending(SessionState::Ended, "left"), UnixMs(9)).await.expect("ended");
    assert_eq!(orphans().await.expect("an answer"), std::slice::from_ref(&found));
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
