//! Terminals, frame by frame.

use quayside_runtime::shim::wire::{FRAME_MAX, FromViewer, RunFlags, RunState, ToViewer};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Installation, eventually};
use crate::{VIEWER, path};

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
