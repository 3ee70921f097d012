//! How long a learner has a machine, how another one comes, and how learners wait for one. Times are settings, so
//! here they are seconds.

#[allow(dead_code, reason = "other suites use the rest of it")]
mod harness;

use std::time::Duration;

use harness::client::Socket;
use harness::{Client, Installation, PATIENCE, eventually};
use quayside::config::WebConfig;
use serde_json::Value;

const VIEWER: u128 = 7;

/// A learner of a crowd: a browser, its session, and the page's live connection.
struct Visitor {
    client: Client,
    id: String,
    live: Socket,
}

impl Visitor {
    async fn arrive(installation: &Installation) -> Self {
        Self::of(installation.client()).await
    }

    async fn of(client: Client) -> Self {
        let id = client.start().await["id"].as_str().expect("an id").to_owned();
        let live = client.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
        Self { client, id, live }
    }

    async fn post(&self, what: &str) -> harness::client::Answer {
        self.client.post(&format!("/api/sessions/{}/{what}", self.id), "").await
    }

    async fn session(&self) -> Value {
        self.client.session(&self.id).await
    }

    async fn is(&self, phase: &str) {
        self.client.wait_for_phase(&self.id, phase).await;
    }

    async fn stands(&self, place: u64) {
        let at = async || self.session().await["line"]["place"] == place;
        eventually(&format!("place {place} in line"), at).await;
    }

    /// The page is closed.
    async fn goes_away(self) -> (Client, String) {
        self.live.vanish().await;
        (self.client, self.id)
    }
}

async fn house(places: u32, change: impl FnOnce(&mut WebConfig)) -> Installation {
    Installation::start_with(|config| {
        config.sessions.max = places;
        change(config);
    })
    .await
}

// Time.

#[tokio::test(flavor = "multi_thread")]
async fn time_is_told_as_what_is_left_and_ends_the_machine_in_order() {
    let installation = house(9, |config| config.sessions.time_max_seconds = 3).await;
    let mut visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    visitor.post("steps/1/check").await;
    let time = visitor.session().await["time"].clone();
    let left = time["left_ms"].as_u64().expect("a time");
    assert!((1..=3000).contains(&left), "{time}");
    assert_eq!((&time["more_ms"], &time["most_ms"]), (&1_800_000.into(), &14_400_000.into()));
    let ended = visitor.live.live_until("is", "ended").await;
    assert!(ended["message"].as_str().expect("words").contains("Your time"), "{ended}");
    assert_eq!(visitor.live.closed().await.map(|close| u16::from(close.code)), Some(4410));
    assert_eq!(installation.keeper.running(), 0);
    assert!(visitor.client.get("/harbour/first/1").await.body.contains("Your time"), "a reload still says it");
    assert_ne!(visitor.client.start().await["id"], visitor.id.as_str(), "a fresh one can be had");
}

#[tokio::test(flavor = "multi_thread")]
async fn extend_adds_time_to_its_limit_and_then_says_that_there_is_no_more() {
    let installation = house(9, |config| {
        config.sessions.time_max_seconds = 100;
        config.sessions.extend_seconds = 60;
        config.sessions.extend_max_seconds = 200;
    })
    .await;
    let mut visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    let (mut tab, second) = (visitor.post("extend").await.json(), visitor.post("extend").await.json());
    let seconds = |session: &Value, what: &str| session["time"][what].as_u64().expect("a time").div_ceil(1000);
    assert!((101..=160).contains(&seconds(&tab, "left_ms")), "{tab}");
    assert_eq!(seconds(&tab, "more_ms"), 40, "what is left of the limit");
    assert!((161..=200).contains(&seconds(&second, "left_ms")), "{second}");
    assert_eq!(second["time"]["more_ms"], 0);
    let refused = visitor.post("extend").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &"no-more-time".into()));
    // Other tabs hear of it.
    while tab["more_ms"] != 0 {
        tab = visitor.live.live_until("type", "time").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_kept_while_the_web_process_is_away() {
    let mut installation = house(9, |config| config.sessions.time_max_seconds = 2).await;
    let visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    installation.stop_web().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    installation.start_web().await;
    visitor.is("ended").await;
    eventually("the machine is gone", async || installation.keeper.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_keeps_its_machine_and_a_closed_one_only_while_something_types() {
    let installation = house(9, |config| config.sessions.idle_max_seconds = 4).await;
    let looked_at = Visitor::arrive(&installation).await;
    let left_alone = Visitor::arrive(&installation).await;
    left_alone.is("ready").await;
    looked_at.is("ready").await;
    let typed_into = Visitor::arrive(&installation).await;
    typed_into.is("ready").await;
    let (typist, typed) = typed_into.goes_away().await;
    let (client, id) = left_alone.goes_away().await;
    let begun = std::time::Instant::now();
    // Somebody whom this web process does not see types into the last of the three.
    while client.session(&id).await["phase"]["is"] == "ready" {
        assert!(begun.elapsed() < PATIENCE, "nobody looks at it");
        installation.keeper.newest_is_typed_into();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(typist.session(&typed).await["phase"]["is"], "ready");
    typist.wait_for_phase(&typed, "ended").await;
    assert!(client.session(&id).await["phase"]["message"].as_str().expect("words").contains("Nobody looked"));
    assert_eq!(looked_at.session().await["phase"]["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_machine_is_announced_in_the_learners_other_lesson() {
    let installation = house(9, |config| config.sessions.idle_max_seconds = 8).await;
    let mut visitor = Visitor::arrive(&installation).await;
    let other = visitor.client.post("/harbour/second/start", "page=1").await;
    assert_eq!(other.status, 200, "{}", other.body);
    // The lesson has a remark of its own to make as well.
    let mut text = String::new();
    while !text.contains("will be ended in") {
        text = visitor.live.live_until("type", "notice").await["text"].as_str().expect("words").to_owned();
    }
    assert!(text.contains("“The second lesson”"), "{text}");
}

// Another machine.

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_machine_has_all_that_the_lesson_did_and_nothing_that_the_learner_did() {
    let installation = house(9, |_| ()).await;
    let mut visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    let mut terminal = visitor.client.terminal(&visitor.id, 1, VIEWER, 0).await;
    terminal.shows("fore-42").await;
    terminal.keys(b"touch flag mine; echo made-$((1+1))\n").await;
    terminal.shows("made-2").await;
    assert_eq!(visitor.post("steps/1/check").await.json()["is"], "passed");
    for page in ["1", "2", "3"] {
        assert_eq!(visitor.post(&format!("pages/{page}/enter")).await.status, 204);
    }
    terminal.shows("here-document").await;
    let before = visitor.session().await;

    let restarted = visitor.post("restart").await;
    assert_eq!((restarted.status, &restarted.json()["phase"]["generation"]), (200, &2.into()), "{}", restarted.body);
    visitor.live.live_until("is", "preparing").await;
    visitor.is("ready").await;
    let after = visitor.session().await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!((&after["passed"], &after["page"]), (&serde_json::json!([1]), &"3".into()), "progress stays");
    assert!(after["time"]["left_ms"].as_u64() <= before["time"]["left_ms"].as_u64(), "no time is won by it");
    assert_eq!((installation.keeper.launched(), installation.keeper.running()), (2, 1));

    // Typed by the intro, then by step 3, in this order and once each.
    let mut terminal = visitor.client.terminal(&visitor.id, 1, VIEWER, 0).await;
    terminal.shows("here-document").await;
    let screen = String::from_utf8_lossy(&terminal.screen).into_owned();
    assert_eq!(screen.matches("fore-42").count(), 1, "{screen}");
    assert!(screen.find("fore-42") < screen.find("turn-2"), "{screen}");
    let home = installation.keeper.only_root().join("root");
    assert_eq!(std::fs::read_to_string(home.join("times")).expect("a file"), "once\n");
    assert!(!home.join("mine").exists(), "the machine is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_lost_is_replaced_in_the_same_session() {
    let mut installation = house(1, |_| ()).await;
    let mut visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    installation.keeper.lose_only_machine("its first process has ended");
    visitor.live.live_until("is", "lost").await;
    installation.stop_web().await;
    installation.start_web().await;
    visitor.is("lost").await;
    assert_eq!(installation.keeper.launched(), 1, "nothing is started that nobody asked for");
    let waiting = Visitor::arrive(&installation).await;
    waiting.stands(1).await;
    assert_eq!(visitor.post("restart").await.status, 200, "the place is still the learner's");
    visitor.is("ready").await;
    assert_eq!(visitor.post("restart").await.status, 200);
    visitor.is("ready").await;
    assert_eq!((installation.keeper.launched(), installation.keeper.running()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_machine_keeps_its_place_while_its_page_is_open_and_for_no_idle_time_after_it() {
    let mut installation = house(1, |config| {
        config.sessions.idle_max_seconds = 8;
        config.sessions.offer_max_seconds = 1;
    })
    .await;
    let mut visitor = Visitor::arrive(&installation).await;
    visitor.is("ready").await;
    // As after `quayside stop` in the evening: every machine has ended, and nobody is there.
    installation.stop_web().await;
    installation.keeper.lose_only_machine("its first process has ended");
    installation.start_web().await;
    visitor.live = visitor.client.websocket(&format!("/api/sessions/{}/live", visitor.id)).await.expect("a WebSocket");
    visitor.is("lost").await;
    let next = Visitor::arrive(&installation).await;
    next.stands(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    visitor.is("lost").await;
    let (client, id) = visitor.goes_away().await;
    let begin = std::time::Instant::now();
    next.is("ready").await;
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    let session = client.session(&id).await;
    assert!(session["phase"]["message"].as_str().expect("words").contains("had ended by itself"), "{session}");
}

// Places.

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_has_a_line_and_a_place_that_is_left_goes_to_its_first() {
    let installation = house(1, |_| ()).await;
    let first = Visitor::arrive(&installation).await;
    first.is("ready").await;
    let mut second = Visitor::arrive(&installation).await;
    let third = Visitor::arrive(&installation).await;
    let fourth = Visitor::arrive(&installation).await;
    second.is("waiting").await;
    fourth.stands(3).await;
    let line = fourth.session().await["line"].clone();
    assert_eq!((&line["of"], &line["capacity"]), (&3.into(), &1.into()), "{line}");
    assert_eq!((&line["from_minutes"], &line["to_minutes"]), (&Value::Null, &Value::Null), "one end tells nothing");
    let told = second.session().await["line"]["to_minutes"].as_u64().expect("the only end tells something");
    assert!((59..=60).contains(&told), "{told}");
    // The lesson can be read; nothing else can be done.
    assert_eq!(second.client.get("/harbour/first/2").await.status, 200);
    assert_eq!(second.post("steps/1/check").await.status, 409);
    assert_eq!(second.client.start().await["id"], second.id.as_str(), "asking again takes no second place");

    assert_eq!(third.post("leave").await.status, 204);
    fourth.stands(2).await;
    first.post("leave").await;
    second.live.live_until("is", "starting").await;
    second.is("ready").await;
    fourth.stands(1).await;
    assert_eq!(installation.keeper.with(|keeper| keeper.most), 1, "never more than there is room for");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_survives_a_restart_of_the_web_process() {
    let mut installation = house(1, |_| ()).await;
    let first = Visitor::arrive(&installation).await;
    first.is("ready").await;
    let second = Visitor::arrive(&installation).await;
    let third = Visitor::arrive(&installation).await;
    third.stands(2).await;
    installation.stop_web().await;
    installation.start_web().await;
    third.stands(2).await;
    second.stands(1).await;
    first.post("leave").await;
    // Whose page comes back takes the place.
    let _live = second.client.websocket(&format!("/api/sessions/{}/live", second.id)).await.expect("a WebSocket");
    second.is("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_nobody_takes_is_passed_on() {
    let installation = house(1, |config| config.sessions.offer_max_seconds = 2).await;
    let first = Visitor::arrive(&installation).await;
    first.is("ready").await;
    let (away, their) = Visitor::arrive(&installation).await.goes_away().await;
    let third = Visitor::arrive(&installation).await;
    third.stands(2).await;
    first.post("leave").await;
    eventually("it is offered", async || away.session(&their).await["line"]["offered"] == true).await;
    assert_eq!(third.session().await["phase"]["is"], "waiting", "it is held");
    third.is("ready").await;
    let session = away.session(&their).await;
    assert!(session["phase"]["message"].as_str().expect("words").contains("the next in line"), "{session}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_away_too_long_leaves_the_line() {
    let installation = house(1, |config| config.sessions.away_max_seconds = 2).await;
    let first = Visitor::arrive(&installation).await;
    first.is("ready").await;
    let (away, their) = Visitor::arrive(&installation).await.goes_away().await;
    let third = Visitor::arrive(&installation).await;
    away.wait_for_phase(&their, "failed").await;
    third.stands(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_starts_at_once_never_has_more_machines_than_there_is_room_for() {
    // The host has room for fewer than the setting allows.
    let mut installation = Installation::without_web(|config| {
        config.sessions.memory_reserve_bytes = 1 << 30;
        config.sessions.memory_per_session_bytes = 1 << 28;
    });
    installation.keeper.with(|keeper| keeper.memory_bytes = Some((1 << 30) + 4 * (1 << 28)));
    installation.start_web().await;
    let clients: Vec<Client> = (0..20).map(|_| installation.client()).collect();
    let starting = clients.into_iter().map(|client| tokio::spawn(Visitor::of(client)));
    let mut visitors = Vec::new();
    for visitor in starting.collect::<Vec<_>>() {
        visitors.push(visitor.await.expect("a visitor"));
    }
    eventually("the house is full", async || installation.keeper.running() == 4).await;
    // Everybody has a turn.
    let mut served = 0;
    let begun = std::time::Instant::now();
    while !visitors.is_empty() {
        assert!(begun.elapsed() < 4 * PATIENCE, "{served} were served");
        let mut waiting = Vec::new();
        for visitor in visitors {
            if visitor.session().await["phase"]["is"] == "ready" {
                assert_eq!(visitor.post("leave").await.status, 204);
                served += 1;
            } else {
                waiting.push(visitor);
            }
        }
        visitors = waiting;
    }
    assert_eq!((served, installation.keeper.launched()), (20, 20));
    assert_eq!(installation.keeper.with(|keeper| keeper.most), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_with_enough_machines_may_end_the_one_not_used_for_longest() {
    let installation = house(2, |config| config.sessions.per_learner_max = 1).await;
    let one = Visitor::arrive(&installation).await;
    one.is("ready").await;
    let refused = one.client.post("/harbour/second/start", "page=1").await;
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["code"]), (409, &"too-many".into()));
    assert!(error["message"].as_str().expect("words").contains("“The first lesson”"), "{error}");
    assert_eq!(
        (&error["offer"]["session"], &error["offer"]["title"]),
        (&one.id.clone().into(), &"The first lesson".into())
    );
    assert_eq!(one.session().await["phase"]["is"], "ready", "offered, not done");

    // Somebody else cannot end it so.
    let other = installation.client();
    let answer = other.post("/harbour/second/start", &format!("page=1&instead={}", one.id)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(one.session().await["phase"]["is"], "ready");

    // The house is full and somebody waits; the place goes from one lesson of the learner's to the other.
    let waiting = Visitor::arrive(&installation).await;
    waiting.is("waiting").await;
    let swapped = one.client.post("/harbour/second/start", &format!("page=1&instead={}", one.id)).await;
    assert_eq!(swapped.status, 200, "{}", swapped.body);
    let id = swapped.json()["id"].as_str().expect("an id").to_owned();
    one.client.wait_for_phase(&id, "ready").await;
    assert_eq!(one.session().await["phase"]["is"], "ended");
    assert_eq!(waiting.session().await["phase"]["is"], "waiting");
    assert_eq!(installation.keeper.with(|keeper| keeper.most), 2);
}
