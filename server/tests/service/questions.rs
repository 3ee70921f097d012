//! Questions, files and greetings.

use crate::VIEWER;
use crate::harness::Installation;

/// The key of a page's first question.
fn question_of(page: &str) -> String {
    let from = page.find("id=\"question-").expect("a question") + "id=\"question-".len();
    page[from..].split('"').next().expect("a key").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_judged_on_the_server_and_kept_with_the_session() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let page = learner.get("/harbour/asking/1").await.body;
    assert!(!page.contains("Never that") && !page.contains("Because of"), "{page}");
    let path = format!("/harbour/asking/1/questions/{}", question_of(&page));
    // Without a session it is judged, and nothing is kept.
    assert_eq!(learner.post(&path, "answer=1").await.json()["is"], "wrong");
    assert!(learner.get("/harbour/asking/1").await.body.contains("data-is=\"open\""));
    assert_eq!(learner.post("/harbour/asking/start", "page=1").await.status, 200);
    let wrong = learner.post(&path, "answer=1").await.json();
    assert_eq!((&wrong["is"], &wrong["words"][0]["text"]), (&"wrong".into(), &"Never that.".into()));
    let right = learner.post(&path, "answer=0").await.json();
    assert_eq!((&right["is"], &right["words"][2]["code"]), (&"right".into(), &true.into()), "{right}");
    let page = learner.get("/harbour/asking/1").await.body;
    assert!(page.contains("data-is=\"right\"") && page.contains("Because of <code>it</code>"), "{page}");
    assert!(!page.contains("Never that"));
    assert_eq!(learner.post(&path, "answer=9").await.json()["is"], "open");
    assert_eq!(learner.post("/harbour/asking/1/questions/none", "answer=0").await.status, 404);
    assert!(installation.client().get("/harbour/asking/1").await.body.contains("data-is=\"open\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_script_is_led_back_to_the_question() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let page = learner.get("/harbour/asking/1").await.body;
    let key = question_of(&page);
    let origin = learner.origin();
    let headers = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let answer = learner.send("POST", &format!("/harbour/asking/1/questions/{key}"), &headers, "answer=1").await;
    let back = format!("/harbour/asking/1?question={key}&answer=1#question-{key}");
    assert_eq!((answer.status, answer.header("location")), (303, Some(back.as_str())));
    let page = learner.get(back.split('#').next().expect("an address")).await.body;
    assert!(page.contains("data-is=\"wrong\"") && page.contains("Never that."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_and_shown_by_a_lessons_actions_alone() {
    let installation = Installation::start().await;
    let (learner, stranger) = (installation.client(), installation.client());
    let started = learner.post("/harbour/asking/start", "page=2").await.json();
    let id = started["id"].as_str().expect("an id").to_owned();
    learner.wait_for_phase(&id, "ready").await;
    let action = |number: usize, verb: &str| format!("/api/sessions/{id}/pages/2/actions/{number}/{verb}");
    let show = async || learner.get(&action(0, "file")).await;
    let missing = show().await;
    assert_eq!(missing.status, 409);
    assert!(missing.body.contains("There is no file /root/notes.txt yet"), "{}", missing.body);
    for _ in 0..2 {
        assert_eq!(learner.post(&action(1, "write"), "").await.json()["path"], "/root/notes.txt");
    }
    let shown = show().await.json();
    assert_eq!((&shown["text"], &shown["size"]), (&"a line\na line\n".into(), &14.into()));
    let lost = learner.post(&action(2, "write"), "").await;
    assert!(lost.status == 409 && lost.body.contains("MARK” is not in"), "{}", lost.body);
    let home = installation.keeper.only_root().join("root");
    std::fs::write(home.join("notes.txt"), "one MARK, two MARK").expect("written");
    learner.post(&action(2, "write"), "").await;
    assert_eq!(show().await.json()["text"], "one here, two MARK");
    std::fs::write(home.join("notes.txt"), [0, 1, 2]).expect("written");
    assert_eq!(show().await.json()["text"], serde_json::Value::Null);
    // Nothing but what the lesson names, and nobody but the learner.
    for path in [action(0, "write"), action(9, "write"), format!("/api/sessions/{id}/pages/1/actions/0/write")] {
        assert_eq!(learner.post(&path, "path=/etc/passwd").await.status, 404, "{path}");
    }
    assert_eq!(stranger.get(&action(0, "file")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_stands_above_the_first_prompt_and_terminals_are_open_from_the_start() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let started = learner.post("/harbour/asking/start", "page=1").await.json();
    let id = started["id"].as_str().expect("an id").to_owned();
    learner.wait_for_phase(&id, "ready").await;
    assert_eq!(learner.session(&id).await["terminals"], serde_json::json!([1, 2]));
    let mut watch = learner.terminal(&id, 2, VIEWER, 0).await;
    watch.shows("watch-2").await;
    let mut first = learner.terminal(&id, 1, VIEWER, 0).await;
    first.shows("\u{1b}[32mGood morning\u{1b}[0m").await;
}
