//! Sessions: begun, found again, ended, and what is said when one cannot begin.

use std::time::Duration;

use quayside_runtime::keeper::protocol::{Failure, FailureCode, ImageState};

use crate::VIEWER;
use crate::harness::keeper::{image, ready};
use crate::harness::{Installation, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_gets_a_shell_with_the_lessons_files_and_its_scripts_run() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let session = learner.start().await;
    assert_eq!(session["page"], "intro");
    assert_eq!(session["environment"]["hostname"], "ubuntu");
    assert_eq!(session["environment"]["address"], "172.30.1.2");
    let id = session["id"].as_str().expect("an id").to_owned();
    learner.wait_for_phase(&id, "ready").await;

    let home = installation.keeper.only_root().join("root");
    let read = |name: &str| std::fs::read_to_string(home.join(name)).expect("a file");
    assert_eq!(read("tool.sh"), "echo tool\n");
    assert_eq!(read("prepared"), "prepared\n", "the background script ran in /root");

    let mut terminal = learner.terminal(&id, 1, VIEWER, 0).await;
    terminal.shows("fore-42").await;
    terminal.keys(b"echo $HARBOUR-$((1+1))\n").await;
    terminal.shows("calm-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_learner_finds_the_same_session_and_another_learner_does_not() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let first = one.start().await["id"].clone();
    assert_eq!(one.start().await["id"], first);
    assert_ne!(two.start().await["id"], first);
    assert_eq!(installation.client().get("/harbour/first/intro").await.status, 200);
    eventually("both machines", async || installation.keeper.running() == 2).await;
    assert_eq!(installation.keeper.launched(), 2, "looking starts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_by_form_leads_back_to_the_page() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let origin = learner.origin();
    let headers = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let answer = learner.send("POST", "/harbour/first/start", &headers, "page=2").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/harbour/first/2")));
    let answer = learner.get("/harbour/first").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/harbour/first/2")), "where the learner was");
    let page = learner.get("/harbour/first/2").await;
    assert!(page.body.contains(r#""phase""#), "the page knows its session: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_ends_the_machine_and_a_new_start_gets_a_new_one() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    assert_eq!(learner.post(&format!("/api/sessions/{id}/leave"), "").await.status, 204);
    assert_eq!(installation.keeper.running(), 0);
    assert_eq!(learner.session(&id).await["phase"]["is"], "ended");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/leave"), "").await.status, 204, "twice is as good");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.status, 410);
    assert_ne!(learner.start().await["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_fails_says_which_step_and_can_be_tried_again() {
    let installation = Installation::start().await;
    let message = "cannot start sandbox: step 7 of 19, mount overlay: invalid argument".to_owned();
    installation
        .keeper
        .with(|keeper| keeper.fail = Some(Failure { code: FailureCode::Launch, message: message.clone() }));
    let learner = installation.client();
    let id = learner.start().await["id"].as_str().expect("an id").to_owned();
    learner.wait_for_phase(&id, "failed").await;
    assert_eq!(learner.session(&id).await["phase"]["output"], message);
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    assert_eq!(live.live_until("is", "failed").await["output"], message, "who comes late is told too");
    let again = learner.start_until("ready").await;
    assert_ne!(again, id);
    assert_eq!(installation.keeper.running(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ends_by_itself_is_told_to_its_own_session_alone() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let first = one.start_until("ready").await;
    let second = two.start_until("ready").await;
    let mut live = one.websocket(&format!("/api/sessions/{first}/live")).await.expect("a WebSocket");
    installation.keeper.lose_only_machine("its shim was killed");
    let lost = live.live_until("is", "lost").await;
    assert_eq!(lost["output"], "its shim was killed");
    assert!(lost["message"].as_str().expect("words").contains("a fresh machine can be started"));
    assert_eq!(two.session(&second).await["phase"]["is"], "ready");
    assert_eq!(one.start().await["id"], first.as_str(), "the session lives, and keeps its place");
    assert_eq!(one.post(&format!("/api/sessions/{first}/steps/1/check"), "").await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_whose_line_is_full_too_says_so_in_words() {
    let installation = Installation::start_with(|config| {
        config.sessions.max = 1;
        config.sessions.line_max = 0;
    })
    .await;
    let (one, two) = (installation.client(), installation.client());
    let id = one.start_until("ready").await;
    let answer = two.post("/harbour/first/start", "page=intro").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &"full".into()));
    assert!(answer.json()["error"]["message"].as_str().expect("words").contains("wait in line"));
    one.post(&format!("/api/sessions/{id}/leave"), "").await;
    assert_eq!(two.post("/harbour/first/start", "page=intro").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_starts_from_one_address_wait_but_a_session_is_always_found_again() {
    let installation = Installation::start_with(|config| config.sessions.starts_burst = 1).await;
    let one = installation.client();
    one.start().await;
    let answer = installation.client().post("/harbour/first/start", "page=intro").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
    one.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_looks_at_is_ended() {
    let installation = Installation::start_with(|config| config.sessions.idle_max_seconds = 1).await;
    let learner = installation.client();
    let id = learner.start().await["id"].as_str().expect("an id").to_owned();
    learner.wait_for_phase(&id, "ended").await;
    eventually("the machine is gone", async || installation.keeper.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_image_serves_until_the_lessons_own_is_ready() {
    let installation = Installation::start().await;
    let preparing = ImageState::Preparing { doing: "fetching packages".into(), done: 3, total: 126 };
    installation.keeper.set_image("learner", preparing);
    let learner = installation.client();
    eventually("the web process heard it", async || {
        let id = learner.start_until("ready").await;
        let image = learner.session(&id).await["environment"]["image"].clone();
        if image != "host" {
            learner.post(&format!("/api/sessions/{id}/leave"), "").await;
        }
        image == "host"
    })
    .await;
    let id = learner.start().await["id"].as_str().expect("an id").to_owned();
    assert!(learner.session(&id).await["environment"]["note"].as_str().expect("a note").contains("borrows"));
    let mut live = learner.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    let message = live.live_until("type", "image").await;
    assert_eq!((&message["is"], &message["done"], &message["total"]), (&"preparing".into(), &3.into(), &126.into()));
    installation.keeper.set_image("learner", ready());
    assert_eq!(live.live_until("type", "image").await["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_image_the_start_waits_for_the_first() {
    let installation = Installation::without_web(|_| {});
    let doing = || ImageState::Preparing { doing: "copying".into(), done: 0, total: 1 };
    installation.keeper.with(|keeper| keeper.images = vec![image("learner", doing()), image("host", doing())]);
    let mut installation = installation;
    installation.start_web().await;
    let learner = installation.client();
    let id = learner.start().await["id"].as_str().expect("an id").to_owned();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(learner.session(&id).await["phase"]["is"], "starting");
    installation.keeper.set_image("host", ready());
    learner.wait_for_phase(&id, "ready").await;
}
