//! The service as a browser meets it: sessions, terminals, checks, and everybody who should be turned away.

#[allow(dead_code, reason = "other suites use the rest of it")]
mod harness;

use std::time::Duration;

use harness::keeper::{image, ready};
use harness::{Client, Installation, eventually};
use quayside_runtime::keeper::protocol::{Failure, FailureCode, ImageState};
use quayside_runtime::shim::wire::{FRAME_MAX, FromViewer, RunFlags, RunState, ToViewer};
use tokio_tungstenite::tungstenite::{self, Message};

const VIEWER: u128 = 7;

fn path(session: &str, terminal: u16) -> String {
    format!("/api/sessions/{session}/terminals/{terminal}")
}

// Sessions.

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

// Restarts.

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

// Scripts and checks.

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

// Terminals.

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_twice_is_taken_once_and_a_run_is_run_once() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut terminal = learner.terminal(&id, 2, VIEWER, 0).await;
    let run = FromViewer::Run { id: 99, flags: RunFlags::default(), text: "echo run-$((2+2))".into() };
    for _ in 0..2 {
        terminal.frame(&run).await;
        terminal.frame(&FromViewer::Input { number: 0, bytes: b"echo typed-$((1+1))\n".into() }).await;
    }
    terminal.keys(b"").await;
    terminal.shows("run-4\r\n").await;
    terminal.shows("typed-2\r\n").await;
    terminal.frame(&FromViewer::Input { number: 20, bytes: b"echo end-$((3+3))\n".into() }).await;
    terminal.shows("end-6\r\n").await;
    let screen = String::from_utf8_lossy(&terminal.screen).into_owned();
    assert_eq!((screen.matches("run-4").count(), screen.matches("typed-2").count()), (1, 1), "{screen}");
    assert_eq!(learner.session(&id).await["terminals"], serde_json::json!([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_output_arrives_byte_for_byte() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(installation.keeper.only_root().join("root/noise"), &bytes).expect("written");
    let mut terminal = learner.terminal(&id, 2, VIEWER, 0).await;
    terminal.keys(b"PS1=; stty raw -echo; printf BEG; printf 'IN'; cat noise\n").await;
    terminal.shows("BEGIN").await;
    let begin = terminal.screen.windows(5).position(|window| window == b"BEGIN").expect("shown") + 5;
    terminal.reads(begin + bytes.len()).await;
    assert!(terminal.screen[begin..begin + bytes.len()] == bytes[..], "the bytes differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paste_into_a_program_that_does_not_read_leaves_its_output_flowing() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut terminal = learner.terminal(&id, 2, VIEWER, 0).await;
    terminal.keys(b"stty raw -echo; (sleep 1; echo still-$((1+1))) & sleep 5\n").await;
    for _ in 0..4 {
        terminal.keys(&vec![b'x'; 200_000]).await;
    }
    terminal.shows("still-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_end_their_connection_with_a_reason_and_nothing_else() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut witness = learner.terminal(&id, 1, VIEWER, 0).await;
    let attach = || {
        Message::Binary(
            FromViewer::Attach { viewer: 3, have: 0, cols: 1, rows: 1, restart: false, roles: false }.encode().into(),
        )
    };
    let binary = |bytes: &[u8]| Message::Binary(bytes.to_vec().into());
    let mut old = FromViewer::Attach { viewer: 3, have: 0, cols: 1, rows: 1, restart: false, roles: false }.encode();
    old[1] = 99;
    let run = [&[5_u8][..], &[0; 17], &[0xff, 0xfe]].concat();
    let long_run = [&[5_u8][..], &[0; 17], &vec![b'x'; 64 * 1024 + 1]].concat();
    for (what, messages, code) in [
        ("text", vec![Message::text("hello")], 1003),
        ("nothing", vec![binary(&[])], 1007),
        ("an unknown kind", vec![binary(&[9, 1, 2])], 1007),
        ("input before attach", vec![binary(&[0, 0, 0, 0, 0, 0, 0, 0, 0, b'x'])], 1007),
        ("another version", vec![binary(&old)], 4426),
        ("a short frame", vec![attach(), binary(&[2, 1])], 1007),
        ("text that is none", vec![attach(), binary(&run)], 1007),
        ("a run that is too long", vec![attach(), binary(&long_run)], 1007),
        ("a frame that is too long", vec![attach(), binary(&vec![0; FRAME_MAX + 65])], 1009),
    ] {
        let mut socket = learner.websocket(&path(&id, 1)).await.expect("a WebSocket");
        for message in messages {
            socket.send(message).await;
        }
        let close = socket.closed().await.unwrap_or_else(|| panic!("{what}: no reason"));
        assert_eq!(u16::from(close.code), code, "{what}: {}", close.reason);
        assert!(!close.reason.is_empty(), "{what}");
    }
    witness.keys(b"echo witness-$((1+1))\n").await;
    witness.shows("witness-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_so_many_connections_and_no_more() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(learner.terminal(&id, 1, VIEWER, 0).await);
    }
    let mut refused = learner.websocket(&path(&id, 1)).await.expect("a WebSocket");
    assert_eq!(refused.closed().await.map(|close| u16::from(close.code)), Some(1013));
    open.pop().expect("one").vanish().await;
    eventually("its place is free", async || {
        let mut socket = learner.websocket(&path(&id, 1)).await.expect("a WebSocket");
        socket.frame(&FromViewer::Attach { viewer: 4, have: 0, cols: 1, rows: 1, restart: false, roles: false }).await;
        matches!(socket.message().await, Some(Message::Binary(_)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_where_it_stands_and_a_ping_is_answered() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let mut terminal = learner.terminal(&id, 2, VIEWER, 0).await;
    terminal.frame(&FromViewer::Ping { payload: b"when".to_vec() }).await;
    terminal.frame(&FromViewer::Run { id: 5, flags: RunFlags::default(), text: "true".into() }).await;
    let (mut pong, mut state) = (false, false);
    while !(pong && state) {
        match terminal.next().await.expect("a frame") {
            ToViewer::Pong { payload } => pong = payload == b"when",
            ToViewer::RunState { id: 5, state: RunState::Sent, .. } => state = true,
            _ => {}
        }
    }
}

// Who is turned away.

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_pages_may_change_anything() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let ours = learner.origin();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        vec![form],
        vec![form, ("origin", "http://evil.example")],
        vec![form, ("origin", "null")],
        vec![form, ("origin", &ours), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = learner.send("POST", "/harbour/first/start", &headers, "page=intro").await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(installation.keeper.launched(), 0);
    assert!(learner.cookie().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_from_elsewhere_is_refused_before_it_opens() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let ours = learner.origin();
    let protocol = ("sec-websocket-protocol", "quayside.2");
    let refused = async |client: &Client, headers: &[(&'static str, &str)], status: u16| {
        for path in [path(&id, 1), format!("/api/sessions/{id}/live")] {
            match client.websocket_with(&path, headers).await {
                Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), status, "{path} {headers:?}"),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("{path} let in with {headers:?}"),
            }
        }
    };
    refused(&learner, &[protocol], 403).await;
    refused(&learner, &[protocol, ("origin", "http://evil.example")], 403).await;
    refused(&learner, &[("origin", &ours)], 400).await;
    refused(&learner, &[("origin", &ours), ("sec-websocket-protocol", "another.2")], 400).await;
    let stranger = installation.client();
    refused(&stranger, &[("origin", &ours), protocol], 404).await;
    stranger.start().await;
    refused(&stranger, &[("origin", &ours), protocol], 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_version_is_told_to_reload() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let ours = learner.origin();
    for version in ["quayside.1", "quayside.99"] {
        for path in [path(&id, 1), format!("/api/sessions/{id}/live")] {
            let headers = [("origin", ours.as_str()), ("sec-websocket-protocol", version)];
            let mut socket = learner.websocket_with(&path, &headers).await.expect("it is let in, to be told");
            let close = socket.closed().await.expect("a reason");
            assert_eq!(u16::from(close.code), 4426, "{version} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_session_is_as_unknown_as_none() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let id = one.start_until("ready").await;
    two.start().await;
    let unknown = "018f0000-0000-7000-8000-000000000000";
    let mut answers = Vec::new();
    for id in [id.as_str(), unknown, "not-an-id"] {
        let session = format!("/api/sessions/{id}");
        answers.push(two.get(&session).await);
        for path in ["leave", "pages/1/enter", "steps/1/check", "steps/1/check/stop"] {
            answers.push(two.post(&format!("{session}/{path}"), "").await);
        }
    }
    let first = &answers[0];
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (404, &first.body));
    }
    assert_eq!(one.session(&id).await["phase"]["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_not_answered() {
    let installation = Installation::start().await;
    let client = installation.client();
    for (host, status) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("learn.example.org", 200),
        ("localhost:1", 200),
        ("", 400),
    ] {
        let answer = client.send("GET", "/", &[("host", host)], "").await;
        assert!(answer.status == status || (host.is_empty() && answer.status == 421), "{host}: {}", answer.status);
    }
    let page = client.send("GET", "/", &[("host", "evil.example")], "").await;
    assert!(page.body.contains("web.hosts"), "it says what to do: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_from_the_lesson_and_nothing_else_does() {
    let installation = Installation::start().await;
    std::fs::write(installation.dir.path().join("outside.png"), "outside").expect("written");
    let lesson = installation.dir.path().join("lessons/harbour/first");
    std::os::unix::fs::symlink("../../../outside.png", lesson.join("link.png")).expect("a link");
    let client = installation.client();
    let page = client.get("/harbour/first/intro").await.body;
    let at = page.find("file/").unwrap_or_else(|| panic!("no picture in {page}"));
    let source = &page[at..at + page[at..].find('"').expect("a quote")];
    let picture = client.get(&format!("/harbour/first/{source}")).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/png")));
    assert!(picture.header("content-security-policy").expect("a policy").contains("sandbox"));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    for path in [
        "secret.txt",
        "link.png",
        "first/link.png",
        "../../outside.png",
        "..%2f..%2foutside.png",
        "%2e%2e/%2e%2e/outside.png",
        "/etc/passwd",
        "%2fetc%2fpasswd.png",
        "first/index.json",
        "nothing.png",
        "a%00.png",
        "",
    ] {
        let answer = client.get(&format!("/harbour/first/file/{path}")).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.body.contains("outside"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_the_form_that_was_asked_for() {
    let installation = Installation::start().await;
    let client = installation.client();
    for (path, status) in [
        ("/nothing", 404),
        ("/harbour/nothing", 404),
        ("/harbour/first/nothing", 404),
        ("/harbour/first/4", 404),
        ("/harbour/first/start", 405),
        ("/look", 405),
        ("/assets/nothing.js", 404),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
        assert!(answer.body.contains("All lessons"), "{path}");
    }
    let answer = client.get("/api/nothing").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &"not-found".into()));
    let origin = client.origin();
    let answer = client.send("DELETE", "/harbour/first/intro", &[("origin", &origin)], "").await;
    assert_eq!(answer.status, 405);
    let form = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let answer = client.send("POST", "/look", &form, &"x".repeat(20_000)).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_its_protections_and_every_page_its_own_nonce() {
    let installation = Installation::start().await;
    let client = installation.client();
    let mut nonces = Vec::new();
    for path in ["/", "/harbour/first/intro", "/harbour/broken", "/nothing"] {
        let answer = client.get(path).await;
        let policy = answer.header("content-security-policy").expect("a policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        assert!(answer.body.contains(nonce), "{path}: the page uses the nonce");
        nonces.push(nonce.to_owned());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

// Pages.

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_every_lesson_what_is_broken_and_where_the_learner_is() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let before = learner.get("/").await;
    assert_eq!(before.status, 200);
    for text in ["Harbour", "The first lesson", "harbour/broken", "Needs a cluster"] {
        assert!(before.body.contains(text), "{text}: {}", before.body);
    }
    let broken = learner.get("/harbour/broken").await;
    assert!(broken.body.contains("index.json"), "{}", broken.body);
    let answer = learner.post("/harbour/cluster/start", "").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &"unplayable".into()));

    let id = learner.start_until("ready").await;
    learner.post(&format!("/api/sessions/{id}/pages/2/enter"), "").await;
    assert!(learner.get("/").await.body.contains("step 2 of 3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_kept_and_leads_back_to_our_own_pages_only() {
    let installation = Installation::start().await;
    let client = installation.client();
    let origin = client.origin();
    let post = async |referer: &str, look: &str| {
        let headers =
            [("origin", origin.as_str()), ("referer", referer), ("content-type", "application/x-www-form-urlencoded")];
        installation.client().send("POST", "/look", &headers, look).await
    };
    let here = format!("{origin}/harbour/first/2");
    let answer = post(&here, "theme=dark").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/harbour/first/2")));
    assert!(answer.header("set-cookie").expect("a cookie").starts_with("theme=dark; Path=/;"));
    assert_eq!(post("http://evil.example/x", "theme=dark").await.header("location"), Some("/"));
    let answer = post(&here, "size=projector").await;
    assert!(answer.header("set-cookie").expect("a cookie").starts_with("size=projector; Path=/;"));
    for nonsense in ["theme=pink", "learner=dark", "theme=dark&water=dark"] {
        let answer = post(&here, nonsense).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (400, None), "{nonsense}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_base_path_everything_works_the_same() {
    let mut installation = Installation::without_web(|config| config.base_path = "/learn".parse().expect("a path"));
    installation.start_web_at("/learn").await;
    let learner = installation.client();
    for path in ["/learn/", "/learn/harbour/first/intro"] {
        let page = learner.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("href=\"/assets"), "{path}: every link is below the base");
    }
    assert_eq!(learner.get("/harbour/first/intro").await.status, 404);
    let answer = learner.get("/learn/harbour/first").await;
    assert_eq!(answer.header("location"), Some("/learn/harbour/first/intro"));
    let session = learner.post("/learn/harbour/first/start", "page=intro").await.json();
    let id = session["id"].as_str().expect("an id");
    let mut live = learner.websocket(&format!("/learn/api/sessions/{id}/live")).await.expect("a WebSocket");
    live.live_until("is", "ready").await;
}

// Questions and files.

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
