//! What outlives a web process and a keeper.

use crate::VIEWER;
use crate::harness::{Installation, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_web_process_that_is_restarted_finds_the_session_the_screen_and_does_nothing_twice() {
    let mut installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut terminal = learner.terminal(&id, 1, VIEWER, 0).await;
    terminal.shows("fore-42").await;
    terminal.keys(b"touch flag; echo before-$((1+1))\n").await;
    terminal.shows("before-2").await;
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.json()["is"], "passed");
    learner.post(&format!("/api/sessions/{id}/pages/2/enter"), "").await;

    installation.stop_web().await;
    assert_eq!(terminal.closed().await.map(|close| u16::from(close.code)), Some(1012));
    installation.start_web().await;

    let learner_again = installation.client();
    assert_eq!(learner_again.get(&format!("/api/sessions/{id}")).await.status, 404, "without the cookie");
    learner.wait_for_phase(&id, "ready").await;
    let session = learner.session(&id).await;
    assert_eq!((&session["page"], &session["passed"]), (&"2".into(), &serde_json::json!([1])));
    let have = terminal.offset + terminal.screen.len() as u64;
    let mut terminal = learner.terminal(&id, 1, VIEWER, have).await;
    assert_eq!(terminal.offset, have, "the stream goes on where it was");
    terminal.keys(b"echo after-$((1+1))\n").await;
    terminal.shows("after-2").await;

    let home = installation.keeper.only_root().join("root");
    assert_eq!(std::fs::read_to_string(home.join("times")).expect("a file"), "once\n");
    let mut all = learner.terminal(&id, 1, 8, 0).await;
    all.shows("after-2").await;
    let screen = String::from_utf8_lossy(&all.screen).into_owned();
    assert_eq!(screen.matches("fore-42").count(), 1, "typed once: {screen}");
    assert_eq!(installation.keeper.launched(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_restarted_is_found_again_and_meanwhile_nothing_is_lost() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let id = one.start_until("ready").await;
    let mut terminal = one.terminal(&id, 1, VIEWER, 0).await;
    installation.keeper.kill();
    eventually("the web process noticed", async || one.get("/health/ready").await.status == 503).await;
    terminal.keys(b"echo still-$((1+1))\n").await;
    terminal.shows("still-2").await;
    let other = two.start().await["id"].as_str().expect("an id").to_owned();
    assert_eq!(two.session(&other).await["phase"]["is"], "starting", "it waits for the keeper");
    installation.keeper.revive();
    two.wait_for_phase(&other, "ready").await;
    assert_eq!(one.session(&id).await["phase"]["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_only_while_the_keeper_is_there() {
    let installation = Installation::start().await;
    let client = installation.client();
    let answer = client.get("/health/ready").await;
    assert_eq!((answer.status, &answer.json()["keeper"]), (200, &"ok".into()));
    installation.keeper.kill();
    eventually("it says so", async || client.get("/health/ready").await.status == 503).await;
    let answer = client.get("/health/ready").await;
    assert_eq!(answer.json()["keeper"], "unreachable", "{}", answer.body);
    assert_eq!(client.get("/health/live").await.status, 200);
    installation.keeper.revive();
    eventually("it is ready again", async || client.get("/health/ready").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_lost_while_the_web_process_is_away_can_be_replaced() {
    let mut installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    installation.stop_web().await;
    installation.keeper.lose_only_machine("killed");
    installation.start_web().await;
    learner.wait_for_phase(&id, "lost").await;
    assert_eq!(learner.post(&format!("/api/sessions/{id}/restart"), "").await.status, 200);
    learner.wait_for_phase(&id, "ready").await;
}
