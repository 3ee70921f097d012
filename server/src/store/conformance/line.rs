//! Places, the line for them, and the time of those who have one.

use super::*;

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

    async fn leave(&self, session: SessionId) {
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

    fixture.leave(first).await;
    let late = fixture.learner().await;
    let late = fixture.queued(late, "pid", 9).await;
    assert_eq!(fixture.offer().await, Some(line[0]), "who comes now stands behind the line");
    assert_eq!(fixture.offer().await, None, "an offered place is taken");
    assert!(!fixture.store.claim_place(line[1]).await.expect("an answer"), "it is not theirs");
    assert!(fixture.store.claim_place(line[0]).await.expect("an answer"));
    assert!(!fixture.store.claim_place(line[0]).await.expect("an answer"), "once");
    fixture.leave(line[1]).await;
    assert_eq!(fixture.store.line().await.expect("an answer"), [line[2], late], "who leaves is not missed");
    fixture.leave(line[0]).await;
    assert_eq!(fixture.offer().await, Some(line[2]));
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nobody_jump_the_line() {
    let fixture = fixture().await;
    let (first, moving) = (fixture.learner().await, fixture.learner().await);
    let Opened::New(taken) = fixture.ask(&opening(first, "pid"), 1000).await else { panic!("there is room") };
    fixture.queued(moving, "pid", 1001).await;
    let early = fixture.learner().await;
    let early = fixture.queued(early, "pid", 5).await;
    let moved = fixture.queued(moving, "uts", 6).await;
    assert_eq!(
        fixture.store.line().await.expect("an answer"),
        [moved, early],
        "the place goes along to another lesson"
    );
    fixture.leave(taken.id).await;
    assert_eq!(fixture.offer().await, Some(moved));
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
    fixture.leave(one.expect("a live one").id).await;
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
    fixture.leave(session.id).await;
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
    fixture.leave(session.id).await;
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
