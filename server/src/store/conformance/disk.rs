//! A disk that is full, and a store that cannot be opened or is not ours.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Pages after which a store is told that its disk is full: none more than it has.
async fn fill(store: &Store) {
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.expect("no more pages");
}

#[tokio::test]
async fn a_full_disk_keeps_places_line_and_progress_and_so_does_a_restart_meanwhile() {
    let mut fixture = fixture().await;
    let (learner, other) = (fixture.learner().await, fixture.learner().await);
    let narrow = Room { all_max: 1, ..ROOM };
    let session = fixture.new_session(learner, "pid").await;
    fixture.pass(session.id, 2).await;
    let Opened::Queued(waiting) =
        fixture.store.open_session(&opening(other, "pid"), narrow, UnixMs(2)).await.expect("an answer")
    else {
        panic!("the place is taken")
    };

    for restarted in [false, true] {
        if restarted {
            fixture.store.close().await;
            fixture.store = Store::open(fixture.dir.path()).await.expect("opened again");
        }
        fill(&fixture.store).await;
        let mut step = 10;
        while fixture.store.pass(session.id, &passed_step(step), UnixMs(3)).await.is_ok() {
            step += 1;
            assert!(step < 10_000, "the limit is reached");
        }
        let row = fixture.store.session(session.id).await.expect("an answer").expect("a row");
        assert_eq!((row.state, row.ended), (SessionState::Live, None));
        assert_eq!(fixture.store.line().await.expect("an answer"), [waiting.id]);
        let passed = fixture.steps_of(learner).await;
        assert!(
            passed.contains(&2) && !passed.contains(&step),
            "what was said to be kept, and no half of what was not"
        );
        assert_eq!(fixture.store.passed(session.id).await.expect("an answer"), passed, "in both places");
        let offered = fixture.store.offer_place(narrow.all_max, UnixMs(4)).await;
        assert!(!matches!(offered, Ok(Some(_))), "the place is not given a second time: {offered:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_one_and_harms_nothing_written_before() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    fill(&fixture.store).await;
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
async fn once_a_full_disk_has_room_the_next_session_begins() {
    let fixture = fixture().await;
    let learner = fixture.learner().await;
    let room = Room { all_max: 20_000, per_learner_max: 20_000, line_max: 1 };
    let start = async |scenario: &str| fixture.store.open_session(&opening(learner, scenario), room, UnixMs(1)).await;
    fill(&fixture.store).await;
    let mut failure = None;
    for number in 0..10_000 {
        if let Err(error) = start(&number.to_string()).await {
            failure = Some(error);
            break;
        }
    }
    assert!(matches!(failure, Some(StoreError::Full { .. })), "{failure:?}");
    sqlx::query("PRAGMA max_page_count = 100000").execute(&fixture.store.writer).await.expect("pages again");
    assert!(matches!(start("last").await.expect("there is room"), Opened::New(_)));
}

#[tokio::test]
async fn what_is_written_after_a_full_disk_lasts_however_often_it_was_full() {
    let mut fixture = fixture().await;
    let room = Room { all_max: 20_000, per_learner_max: 20_000, line_max: 1 };
    let learner = fixture.learner().await;
    for round in 0..3 {
        fill(&fixture.store).await;
        let mut failure = None;
        for number in 0..2000 {
            let opening = opening(learner, &format!("{round}-{number}"));
            failure = fixture.store.open_session(&opening, room, UnixMs(1)).await.err();
            if failure.is_some() {
                break;
            }
        }
        assert!(matches!(failure, Some(StoreError::Full { .. })), "{failure:?}");
        sqlx::query("PRAGMA max_page_count = 100000").execute(&fixture.store.writer).await.expect("pages again");
    }
    let learner = fixture.learner().await;
    let start =
        async |store: &Store, scenario: &str| store.open_session(&opening(learner, scenario), room, UnixMs(1)).await;
    // What was there already writes nothing: its transaction is rolled back.
    let Ok(Opened::New(first)) = start(&fixture.store, "first").await else { panic!("there is room") };
    assert!(matches!(start(&fixture.store, "first").await, Ok(Opened::Found(_))));
    let Ok(Opened::New(second)) = start(&fixture.store, "second").await else { panic!("there is room") };
    for id in [first.id, second.id] {
        assert!(fixture.store.session(id).await.expect("an answer").is_some(), "others see it");
    }
    fixture.store.close().await;
    fixture.store = Store::open(fixture.dir.path()).await.expect("opened again");
    for id in [first.id, second.id] {
        assert!(fixture.store.session(id).await.expect("an answer").is_some(), "it is on the disk");
    }
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
