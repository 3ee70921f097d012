//! Scripts and checks of a lesson.

use std::time::Duration;

use crate::VIEWER;
use crate::harness::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn a_check_shows_its_own_words_and_passes_when_the_work_is_done() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    let check = async || learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.json();
    let failed = check().await;
    assert_eq!((&failed["is"], &failed["words"]), (&"failed".into(), &"No flag yet.".into()));
    std::fs::write(installation.keeper.only_root().join("root/flag"), "").expect("written");
    let passed = check().await;
    assert_eq!((&passed["is"], &passed["words"]), (&"passed".into(), &"It is there.".into()), "without its colours");
    assert_eq!(learner.session(&id).await["passed"], serde_json::json!([1]));
    assert_eq!(live.live_until("type", "passed").await["step"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_check_is_joined_by_the_same_step_refuses_another_and_can_be_stopped() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    let slow = format!("/api/sessions/{id}/steps/2/check");
    let stop = format!("{slow}/stop");
    let first = learner.post(&slow, "");
    let rest = async {
        assert_eq!(live.live_until("type", "check").await["is"], "running");
        let other = learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await;
        assert_eq!((other.status, &other.json()["error"]["code"]), (409, &"busy".into()));
        let second = learner.post(&slow, "");
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(learner.post(&stop, "").await.status, 204);
        };
        tokio::join!(second, stopping).0.json()
    };
    let (first, second) = tokio::join!(first, rest);
    assert_eq!((&first.json()["is"], &second["is"]), (&"stopped".into(), &"stopped".into()));
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/3/check"), "").await.status, 404, "nothing to check");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.json()["is"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_script_that_fails_is_told_with_the_end_of_its_output() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/pages/1/enter"), "").await.status, 204);
    let failed = live.live_until("is", "failed").await;
    assert_eq!((&failed["type"], &failed["page"]), (&"script".into(), &"1".into()));
    let output = failed["output"].as_str().expect("words");
    assert!(output.contains("exit code 3") && output.contains("something went wrong"), "{output}");
    let mut late = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    assert_eq!(late.live_until("type", "script").await["is"], "failed", "who comes later is told too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_into_the_middle_runs_the_scripts_before_it_first_and_loops_are_typed_whole() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let session = learner.post("/harbour/first/start", "page=3").await.json();
    let id = session["id"].as_str().expect("an id");
    assert_eq!(session["page"], "3");
    let mut terminal = learner.terminal(id, 1, VIEWER, 0).await;
    terminal.shows("turn-2\r\n").await;
    terminal.shows("here-document\r\n").await;
    let screen = String::from_utf8_lossy(&terminal.screen).into_owned();
    assert!(screen.find("fore-42") < screen.find("turn-2"), "{screen}");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/pages/9/enter"), "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_chmod_does_not_take_is_a_remark() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    let notice = live.live_until("type", "notice").await;
    assert!(notice["text"].as_str().expect("words").contains("+odd"), "{notice}");
}
