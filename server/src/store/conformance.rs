//! What any store must do, whatever database stands behind it.

mod disk;
mod line;

use quayside_runtime::spec::SandboxId;

use super::*;
use crate::lesson::progress::{PassedStep, StepMark};

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
        self.learner_at(&LearnerId::random().to_string(), UnixMs(1)).await.0
    }

    /// A learner whose only device has this secret.
    async fn learner_at(&self, secret: &str, now: UnixMs) -> (LearnerId, DeviceId) {
        let (id, device) = (LearnerId::random(), device(secret));
        self.store.add_learner(id, &device, now).await.expect("a learner");
        (id, device.id)
    }

    async fn found_by(&self, secret: &str) -> Option<LearnerId> {
        let found = self.store.device_by_secret(&SecretHash::of(secret.as_bytes())).await.expect("an answer");
        found.map(|device| device.learner)
    }

    async fn make_code(&self, learner: LearnerId, code: &str, now: i64) {
        self.store.make_code(learner, &hash(code), UnixMs(now), UnixMs(now + LIFE)).await.expect("a code");
    }

    async fn state(&self, code: &str, now: i64) -> CodeState {
        self.store.look_up_code(&hash(code), UnixMs(now)).await.expect("an answer")
    }

    async fn redeem(&self, code: &str, secret: &str, from: Option<DeviceId>, now: i64) -> Redeemed {
        self.store.redeem(&hash(code), &device(secret), from, UnixMs(now)).await.expect("an answer")
    }

    async fn pass(&self, session: SessionId, step: u32) {
        self.store.pass(session, &passed_step(step), UnixMs(3)).await.expect("passed");
    }

    async fn steps_of(&self, learner: LearnerId) -> Vec<u32> {
        self.store.passed_by(learner).await.expect("an answer").iter().map(|passed| passed.step.step).collect()
    }

    async fn end(&self, session: SessionId, at: i64) {
        self.store.end_session(session, &ending(SessionState::Ended, "left"), UnixMs(at)).await.expect("ended");
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

/// How long the codes here work.
const LIFE: i64 = 1000;
const DAY: i64 = 24 * 60 * 60 * 1000;

fn hash(secret: &str) -> SecretHash {
    SecretHash::of(secret.as_bytes())
}

fn device(secret: &str) -> NewDevice {
    NewDevice { id: DeviceId::random(), secret: hash(secret), name: "A browser".into() }
}

fn passed_step(step: u32) -> PassedStep {
    let mark = StepMark { title: format!("Title {step}"), script: format!("script {step}") };
    PassedStep { digest: "d1".into(), step, mark }
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
    let (id, _) = fixture.learner_at("secret", UnixMs(5)).await;
    assert_eq!(fixture.found_by("secret").await, Some(id));
    assert_eq!(fixture.found_by("Secret").await, None);
    assert_eq!(fixture.found_by(&id.to_string()).await, None, "an id is no secret");
}

#[tokio::test]
async fn a_code_brings_its_learner_to_another_device_once() {
    let fixture = fixture().await;
    let (learner, _) = fixture.learner_at("here", UnixMs(1)).await;
    fixture.make_code(learner, "code", 10).await;
    assert_eq!(fixture.state("code", 20).await, CodeState::Open(learner));
    assert_eq!(fixture.redeem("code", "there", None, 20).await, Redeemed::As(learner));
    assert_eq!(fixture.redeem("code", "elsewhere", None, 21).await, Redeemed::Not(CodeState::Used(UnixMs(20))));
    assert_eq!(fixture.state("code", 22).await, CodeState::Used(UnixMs(20)));
    assert_eq!(fixture.state("coda", 22).await, CodeState::Unknown);
    for (secret, found) in [("here", Some(learner)), ("there", Some(learner)), ("elsewhere", None)] {
        assert_eq!(fixture.found_by(secret).await, found, "{secret}");
    }
    assert_eq!(fixture.store.devices_of(learner).await.expect("an answer").len(), 2);
}

#[tokio::test]
async fn of_two_who_redeem_a_code_at_once_one_gets_in() {
    let fixture = fixture().await;
    let (learner, _) = fixture.learner_at("here", UnixMs(1)).await;
    fixture.make_code(learner, "code", 10).await;
    let racers: Vec<_> = (0..8)
        .map(|number| {
            let store = fixture.store.clone();
            let device = device(&format!("racer {number}"));
            tokio::spawn(async move { store.redeem(&hash("code"), &device, None, UnixMs(20)).await })
        })
        .collect();
    let mut in_front = 0;
    for racer in racers {
        in_front += u32::from(racer.await.expect("no panic").expect("an answer") == Redeemed::As(learner));
    }
    assert_eq!(in_front, 1);
    assert_eq!(fixture.store.devices_of(learner).await.expect("an answer").len(), 2);
}

#[tokio::test]
async fn a_code_works_until_another_is_made_or_its_time_is_over() {
    let fixture = fixture().await;
    let (learner, _) = fixture.learner_at("here", UnixMs(1)).await;
    fixture.make_code(learner, "first", 10).await;
    fixture.make_code(learner, "second", 11).await;
    assert_eq!(fixture.state("first", 12).await, CodeState::Replaced(UnixMs(11)));
    assert_eq!(fixture.redeem("first", "x", None, 12).await, Redeemed::Not(CodeState::Replaced(UnixMs(11))));
    let open = fixture.store.open_code(learner, UnixMs(12)).await.expect("an answer");
    assert_eq!(open, Some(OpenCode { created: UnixMs(11), expires: UnixMs(11 + LIFE) }));
    assert_eq!(fixture.state("second", 10 + LIFE).await, CodeState::Open(learner));
    assert_eq!(fixture.state("second", 11 + LIFE).await, CodeState::Expired(UnixMs(11 + LIFE)));
    let late = fixture.redeem("second", "x", None, 11 + LIFE).await;
    assert_eq!(late, Redeemed::Not(CodeState::Expired(UnixMs(11 + LIFE))));
    assert_eq!(fixture.store.open_code(learner, UnixMs(11 + LIFE)).await.expect("an answer"), None);
    fixture.make_code(learner, "third", 5000).await;
    assert_eq!(fixture.state("first", 5001).await, CodeState::Unknown, "only the one before is remembered");
}

#[tokio::test]
async fn two_learners_become_one_and_nothing_of_either_is_lost() {
    let fixture = fixture().await;
    let (theirs, _) = fixture.learner_at("theirs", UnixMs(1)).await;
    let (ours, device) = fixture.learner_at("ours", UnixMs(1)).await;
    let front = fixture.new_session(theirs, "pid").await.id;
    fixture.pass(front, 1).await;
    let aside = fixture.new_session(ours, "pid").await.id;
    let alone = fixture.new_session(ours, "net").await.id;
    fixture.pass(aside, 1).await;
    fixture.pass(aside, 2).await;
    fixture.make_code(theirs, "code", 10).await;
    fixture.make_code(ours, "of nobody soon", 10).await;
    assert_eq!(fixture.redeem("code", "new", Some(device), 20).await, Redeemed::As(theirs));

    assert_eq!(fixture.found_by("ours").await, None, "the old secret is worth nothing, whoever knew it");
    assert_eq!(fixture.found_by("new").await, Some(theirs));
    assert_eq!(fixture.state("of nobody soon", 21).await, CodeState::Unknown);
    assert_eq!(fixture.steps_of(theirs).await, [1, 2]);
    let live: std::collections::BTreeMap<_, _> = fixture
        .store
        .live_sessions_of(theirs)
        .await
        .expect("an answer")
        .into_iter()
        .map(|row| (row.id, row.aside))
        .collect();
    assert_eq!(live, [(front, false), (aside, true), (alone, false)].into());
    for id in [front, aside, alone] {
        assert_eq!(fixture.store.owner(id).await.expect("an answer"), Some(theirs));
    }

    let found = |session: Opened| match session {
        Opened::Found(row) => row.id,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(fixture.open(theirs, "pid").await), front);
    fixture.store.bring_forward(aside).await.expect("brought forward");
    assert_eq!(found(fixture.open(theirs, "pid").await), aside);
    let latest = fixture.store.latest_session(theirs, "namespaces", "pid").await.expect("an answer");
    assert_eq!(latest.map(|row| row.id), Some(aside));
    let rows = fixture.store.sessions_of(theirs).await.expect("an answer");
    assert_eq!(rows.iter().map(|row| row.id).collect::<std::collections::BTreeSet<_>>(), [aside, alone].into());
    fixture.end(aside, 30).await;
    assert!(fixture.store.bring_forward(aside).await.is_err(), "it is over");
    assert_eq!(
        fixture.store.latest_session(theirs, "namespaces", "pid").await.expect("an answer").map(|row| row.id),
        Some(front)
    );
}

#[tokio::test]
async fn a_learner_who_has_other_devices_goes_on_there_and_lends_what_was_passed() {
    let fixture = fixture().await;
    let (theirs, _) = fixture.learner_at("theirs", UnixMs(1)).await;
    let (ours, device) = fixture.learner_at("ours", UnixMs(1)).await;
    fixture.make_code(ours, "to the phone", 2).await;
    assert_eq!(fixture.redeem("to the phone", "phone", None, 3).await, Redeemed::As(ours));
    let session = fixture.new_session(ours, "pid").await.id;
    fixture.pass(session, 1).await;
    fixture.make_code(theirs, "code", 10).await;
    assert_eq!(fixture.redeem("code", "new", Some(device), 20).await, Redeemed::As(theirs));
    assert_eq!(fixture.steps_of(theirs).await, [1]);
    assert_eq!(fixture.steps_of(ours).await, [1]);
    assert_eq!(fixture.found_by("phone").await, Some(ours));
    assert_eq!(fixture.found_by("ours").await, None);
    assert_eq!(fixture.store.owner(session).await.expect("an answer"), Some(ours));
}

#[tokio::test]
async fn a_code_that_comes_home_changes_the_secret_and_nothing_else() {
    let fixture = fixture().await;
    let (learner, device) = fixture.learner_at("here", UnixMs(1)).await;
    let session = fixture.new_session(learner, "pid").await.id;
    fixture.make_code(learner, "code", 10).await;
    assert_eq!(fixture.redeem("code", "again", Some(device), 20).await, Redeemed::As(learner));
    assert_eq!(fixture.store.devices_of(learner).await.expect("an answer").len(), 1);
    assert_eq!(fixture.store.owner(session).await.expect("an answer"), Some(learner));
}

#[tokio::test]
async fn a_device_is_taken_off_by_its_learner_alone_and_there_are_so_many() {
    let fixture = fixture().await;
    let (learner, first) = fixture.learner_at("0", UnixMs(1)).await;
    let (stranger, _) = fixture.learner_at("stranger", UnixMs(1)).await;
    assert!(!fixture.store.remove_device(stranger, first).await.expect("an answer"));
    for number in 1..=i64::from(DEVICES_MAX) {
        let code = format!("code {number}");
        fixture.make_code(learner, &code, 10 * number).await;
        fixture.redeem(&code, &number.to_string(), None, 10 * number + 1).await;
    }
    let devices = fixture.store.devices_of(learner).await.expect("an answer");
    assert_eq!(devices.len(), DEVICES_MAX as usize);
    assert_eq!(fixture.found_by("0").await, None, "the one that was not seen for longest");
    assert!(fixture.store.remove_device(learner, devices[0].id).await.expect("an answer"));
    assert_eq!(fixture.found_by(&DEVICES_MAX.to_string()).await, None);
    assert!(!fixture.store.remove_device(learner, devices[0].id).await.expect("an answer"));
}

#[tokio::test]
async fn a_learner_who_is_forgotten_leaves_nothing_but_a_machine_that_is_still_to_end() {
    let fixture = fixture().await;
    let (learner, _) = fixture.learner_at("here", UnixMs(1)).await;
    let (settled, live) = (fixture.new_session(learner, "pid").await.id, fixture.new_session(learner, "net").await.id);
    fixture.pass(settled, 1).await;
    fixture.store.enter(settled, "intro", UnixMs(2)).await.expect("entered");
    fixture.make_code(learner, "code", 10).await;
    fixture.end(settled, 20).await;
    fixture.store.forget(learner).await.expect("forgotten");
    assert_eq!(fixture.found_by("here").await, None);
    assert_eq!(fixture.state("code", 21).await, CodeState::Unknown);
    assert_eq!(fixture.steps_of(learner).await, Vec::<u32>::new());
    assert_eq!(fixture.store.session(settled).await.expect("an answer"), None);
    assert!(fixture.store.session(live).await.expect("an answer").is_some(), "the roster must find it to end it");

    fixture.end(live, 30).await;
    let keep = Keep { learners_ms: 365 * DAY, sessions_ms: 30 * DAY };
    assert_eq!(fixture.store.sweep(keep, UnixMs(DAY)).await.expect("swept").learners, 0, "it has just ended");
    assert_eq!(fixture.store.sweep(keep, UnixMs(8 * DAY)).await.expect("swept").learners, 1);
    assert_eq!(fixture.store.session(live).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_sweep_takes_what_nobody_asks_for_and_leaves_the_last_session_of_each_scenario() {
    let fixture = fixture().await;
    let (learner, device) = fixture.learner_at("here", UnixMs(DAY)).await;
    let session = async |scenario: &str, created: i64| match fixture
        .store
        .open_session(&opening(learner, scenario), ROOM, UnixMs(created))
        .await
        .expect("an answer")
    {
        Opened::New(row) => row.id,
        other => panic!("{other:?}"),
    };
    let mut ids = Vec::new();
    for day in 1..=3 {
        ids.push(session("pid", day * DAY).await);
        fixture.pass(ids[0], 1).await;
        fixture.end(*ids.last().expect("one"), day * DAY + 1).await;
    }
    let keep = Keep { learners_ms: 365 * DAY, sessions_ms: 30 * DAY };
    let sweep = async |day: i64| fixture.store.sweep(keep, UnixMs(day * DAY)).await.expect("swept");
    assert_eq!(sweep(31).await, Swept::default());
    assert_eq!(sweep(32).await.sessions, 1);
    assert_eq!(sweep(60).await.sessions, 1, "the last one stays");
    assert!(fixture.store.session(ids[2]).await.expect("an answer").is_some());
    assert_eq!(fixture.steps_of(learner).await, [1], "what is passed stays passed");

    let live = session("net", 61 * DAY).await;
    fixture.store.see_device(device, UnixMs(100 * DAY)).await.expect("seen");
    assert_eq!(sweep(465).await.learners, 0, "a year has not passed since the last visit");
    assert_eq!(sweep(466).await.learners, 0, "a machine runs");
    fixture.end(live, 466 * DAY).await;
    fixture.make_code(learner, "code", 466 * DAY).await;
    assert_eq!(sweep(474).await.learners, 1, "the code has expired, the machine is gone");
    assert_eq!(fixture.found_by("here").await, None);
    assert_eq!(fixture.state("code", 475 * DAY).await, CodeState::Unknown);
}

#[tokio::test]
async fn a_sweep_of_many_goes_in_batches_and_takes_them_all() {
    let fixture = fixture().await;
    for number in 0..450 {
        fixture.learner_at(&number.to_string(), UnixMs(1)).await;
    }
    let keep = Keep { learners_ms: DAY, sessions_ms: DAY };
    assert_eq!(fixture.store.sweep(keep, UnixMs(2 * DAY)).await.expect("swept").learners, 450);
}

#[tokio::test]
async fn a_store_from_before_there_were_devices_keeps_its_learners_and_their_progress() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join(FILE)).create_if_missing(true);
    let old = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("a database");
    let first = Migrator {
        migrations: MIGRATIONS.iter().filter(|it| it.version == 1).cloned().collect::<Vec<_>>().into(),
        ..Migrator::DEFAULT
    };
    first.run(&old).await.expect("the first schema");
    let (learner, session) = (LearnerId::random().to_string(), SessionId::random().to_string());
    let insert = "INSERT INTO learner (id, secret_hash, created_ms) VALUES ($1, $2, 5)";
    sqlx::query(insert).bind(&learner).bind(hash("secret").as_str()).execute(&old).await.expect("a learner");
    let insert = "INSERT INTO session (id, learner, course, scenario, digest, page, state, created_ms, version) \
                  VALUES ($1, $2, 'namespaces', 'pid', 'd1', '2', 'live', 6, 1)";
    sqlx::query(insert).bind(&session).bind(&learner).execute(&old).await.expect("a session");
    let insert = "INSERT INTO progress (session, step, passed_ms) VALUES ($1, 2, 7)";
    sqlx::query(insert).bind(&session).execute(&old).await.expect("progress");
    old.close().await;

    let store = Store::open(dir.path()).await.expect("brought up to date");
    let found = store.device_by_secret(&hash("secret")).await.expect("an answer").expect("the cookie is still good");
    assert_eq!(found.learner.to_string(), learner);
    let passed = store.passed_in(found.learner, "namespaces", "pid").await.expect("an answer");
    let old = PassedStep { digest: "d1".into(), step: 2, mark: StepMark::default() };
    assert_eq!(passed, [old]);
    assert!(store.live_session(found.learner, "namespaces", "pid").await.expect("an answer").is_some());
}

/// 300 sessions over 200 scenarios, and nothing is looked for by reading a whole table.
#[tokio::test]
async fn what_the_catalogue_asks_for_is_found_by_an_index() {
    let fixture = fixture().await;
    for statement in [
        "SELECT id FROM session WHERE learner = 'x' AND id = (SELECT other.id FROM session AS other \
         WHERE other.learner = session.learner AND other.course = session.course \
         AND other.scenario = session.scenario ORDER BY other.created_ms DESC LIMIT 1)",
        "SELECT id FROM session WHERE learner = 'x' AND ended_ms IS NULL",
        "SELECT count(*) FROM session WHERE ended_ms IS NULL",
        "SELECT step FROM passed WHERE learner = 'x'",
        "SELECT id FROM device WHERE secret_hash = 'x'",
        "SELECT id FROM device WHERE learner = 'x'",
        "SELECT learner FROM resume_code WHERE code_hash = 'x'",
        "SELECT learner FROM resume_code WHERE learner = 'x' AND ended IS NULL",
        "DELETE FROM learner WHERE id = 'x'",
    ] {
        // What the whole statement does stands in its fourth column, a line for each loop.
        let plan = format!("EXPLAIN QUERY PLAN {statement}");
        let loops: Vec<String> = sqlx::query(sqlx::AssertSqlSafe(plan))
            .try_map(|row: sqlx::sqlite::SqliteRow| sqlx::Row::try_get(&row, 3))
            .fetch_all(&fixture.store.reader)
            .await
            .expect("a plan");
        let reads_all = |line: &&String| line.starts_with("SCAN") && !line.contains("INDEX");
        assert_eq!(loops.iter().find(reads_all), None, "{statement}: {loops:?}");
    }
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

#[tokio::test]
async fn pages_and_progress_survive_a_restart() {
    let Fixture { store, dir } = fixture().await;
    let fixture = Fixture { store, dir };
    let learner = fixture.learner().await;
    let session = fixture.new_session(learner, "pid").await;
    fixture.store.turn_page(session.id, "2").await.expect("turned");
    for step in [2, 1, 2] {
        fixture.pass(session.id, step).await;
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
    assert_eq!(passed.iter().map(|passed| passed.step.clone()).collect::<Vec<_>>(), [passed_step(1), passed_step(2)]);
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
async fn the_last_answer_to_a_question_is_found_by_its_learner_in_any_session_and_goes_with_it() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let learner = fixture.learner().await;
    let row = fixture.new_session(learner, "first").await;
    let answer =
        |given: &str, is_right| Answer { page: "1".into(), question: "k".into(), given: given.into(), is_right };
    store.answer(row.id, &answer("0", false), UnixMs(2)).await.expect("kept");
    store.answer(row.id, &answer("1", true), UnixMs(3)).await.expect("kept");
    fixture.end(row.id, 4).await;
    let again = fixture.new_session(learner, "first").await;
    let found = async |page| store.answers(learner, &row.course, "first", page).await.expect("an answer");
    assert_eq!(found("1").await, [answer("1", true)]);
    assert!(found("2").await.is_empty());
    let strange = store.answers(LearnerId::random(), &row.course, "first", "1").await.expect("an answer");
    assert!(strange.is_empty());
    fixture.end(again.id, 5).await;
    let swept = store.sweep(Keep { learners_ms: DAY, sessions_ms: DAY }, UnixMs(100 * DAY)).await.expect("swept");
    assert_eq!(swept.learners, 1);
}
