//! A terminal without a pty: viewers, typed bytes and output.

use super::input::INPUT_QUEUE_MAX;
use super::*;
use crate::shim::frames::Frames;

fn running() -> Terminal {
    let mut terminal = Terminal::new(Instant::now());
    terminal.shell = Shell::Starting;
    terminal
}

fn view(terminal: &mut Terminal, viewer: u128, have: u64) -> (View, Vec<ToViewer>) {
    let mut view = terminal.view(viewer, FIRST_SIZE, true);
    let frames = terminal.attach(&mut view, have, Instant::now());
    (view, frames)
}

fn queued(terminal: &Terminal) -> Vec<u8> {
    terminal.input.iter().flat_map(|pending| pending.bytes.iter().copied()).collect()
}

#[test]
fn input_that_is_sent_again_is_taken_once() {
    let mut terminal = running();
    let mut news = News::default();
    assert!(terminal.typed_bytes(1, 0, b"abc", &mut news));
    assert!(terminal.typed_bytes(1, 0, b"abcde", &mut news));
    assert!(terminal.typed_bytes(2, 0, b"X", &mut news), "another viewer counts for itself");
    assert_eq!(queued(&terminal), b"abcdeX");
}

#[test]
fn a_viewer_that_counts_past_the_end_ends_nobody() {
    let mut terminal = running();
    let mut news = News::default();
    assert!(terminal.typed_bytes(1, u64::MAX, b"abc", &mut news));
    assert!(terminal.typed_bytes(1, u64::MAX, &[3], &mut news));
    assert!(terminal.typed_bytes(2, 0, b"X", &mut news), "another viewer types on");
    assert!(queued(&terminal).ends_with(b"X"));
}

#[test]
fn a_full_queue_takes_nothing_but_the_key_that_interrupts() {
    let mut terminal = running();
    let mut news = News::default();
    let block = vec![b'x'; INPUT_QUEUE_MAX];
    assert!(terminal.typed_bytes(1, 0, &block, &mut news));
    assert!(!terminal.typed_bytes(1, block.len() as u64, b"more", &mut news));
    assert!(terminal.typed_bytes(1, block.len() as u64, &[3], &mut news));
    assert_eq!(queued(&terminal), [3]);
    let acked = ToViewer::InputAcked { number: block.len() as u64 };
    assert_eq!(news.to_viewer, [(1, acked)], "what was given up is acknowledged too");
}

#[test]
fn a_viewer_goes_on_where_it_was_and_is_told_what_is_gone() {
    let mut terminal = running();
    let now = Instant::now();
    terminal.output(b"hello\n", now);
    let (attached, frames) = view(&mut terminal, 1, 3);
    assert_eq!(attached.next, 3);
    let expected = ToViewer::Attached { offset: 3, replay: 3, lost: 0, input: 0, ended: false, screen: false };
    assert_eq!(frames[0], expected);
    terminal.output(&b"0123456789abcd\r\n".repeat(RING_MAX / 16), now);
    let (_, frames) = view(&mut terminal, 1, 5);
    let end = terminal.ring.end();
    let start = terminal.ring.clean_start();
    let lost = start - 5;
    let expected = ToViewer::Attached { offset: end, replay: 0, lost, input: 0, ended: false, screen: true };
    assert_eq!(frames[0], expected, "a picture stands for all that is kept");
    assert!(matches!(&frames[1], ToViewer::Screen { bytes } if bytes.starts_with(b"\x1b[m0123456789abcd\r\n")));
    let (_, frames) = view(&mut terminal, 1, u64::MAX);
    let ToViewer::Attached { lost, .. } = frames[0] else { panic!("attached first") };
    assert_eq!(lost, 0);
}

#[test]
fn a_program_that_has_drawn_more_than_is_kept_leaves_the_shell_below_it() {
    let mut terminal = running();
    let now = Instant::now();
    terminal.output(b"$ make\r\nall done\r\n$ top\r\n\x1b[?1049h", now);
    let drawn = b"\x1b[Htop of it all\x1b[K\r\n".repeat(BURST_MAX / 32);
    while terminal.ring.start() < 3 * RING_MAX as u64 {
        terminal.output(&drawn, now);
    }
    let (_, frames) = view(&mut terminal, 1, 0);
    let ToViewer::Screen { bytes } = &frames[1] else { panic!("a picture") };
    let picture = String::from_utf8_lossy(bytes);
    let (shell, program) = picture.split_once("\x1b[?1049h").expect("two screens");
    assert!(shell.contains("$ make\r\nall done\r\n$ top"), "{shell:?}");
    assert!(program.contains("top of it all"), "{program:?}");
    // The next program begins on another shell.
    terminal.output(b"\x1b[?1049l$ clear\r\n", now);
    assert!(terminal.below.is_none());
}

#[test]
fn a_picture_is_drawn_once_until_there_is_more_to_see_or_another_size() {
    let mut terminal = running();
    let line = b"0123456789abcde\n".repeat(RING_MAX / 16 + 1);
    terminal.output(&line, Instant::now());
    let (_, first) = view(&mut terminal, 1, 0);
    // What is kept answers, and not the output: this would be seen in a picture drawn anew.
    terminal.modes.heard(terminal.ring.end(), Mark::BracketedPaste(true));
    assert_eq!(view(&mut terminal, 2, 0).1, first);
    terminal.resize((40, 10));
    let resized = view(&mut terminal, 3, 0).1;
    assert_ne!(resized, first);
    terminal.output(b"more", Instant::now());
    assert_ne!(view(&mut terminal, 4, 0).1, resized);
}

#[test]
fn who_knows_no_pictures_gets_the_bytes_that_are_kept() {
    let mut terminal = running();
    terminal.output(&b"0123456789abcde\n".repeat(RING_MAX / 16 + 1), Instant::now());
    let mut old = terminal.view(1, FIRST_SIZE, false);
    let frames = terminal.attach(&mut old, 0, Instant::now());
    let replay = RING_MAX as u64 - 16;
    let expected = ToViewer::Attached { offset: 32, replay, lost: 32, input: 0, ended: false, screen: false };
    assert_eq!(frames, [expected]);
}

#[test]
fn the_writer_is_who_typed_last_and_before_that_who_looked_first() {
    let mut terminal = running();
    let first = terminal.view(1, (100, 30), true);
    let second = terminal.view(2, (60, 20), true);
    terminal.elect([&first, &second].into_iter());
    assert!(terminal.is_writer(1));
    assert_eq!(terminal.size(), (100, 30));
    terminal.typed_bytes(2, 0, b"x", &mut News::default());
    terminal.elect([&first, &second].into_iter());
    assert!(terminal.is_writer(2));
    assert_eq!(terminal.size(), (60, 20));
    terminal.elect([&first].into_iter());
    assert!(terminal.is_writer(1), "the other has gone");
    let again = terminal.view(2, (70, 20), true);
    terminal.elect([&first, &again].into_iter());
    assert!(terminal.is_writer(2), "and is back, after a reload");
    assert_eq!(terminal.size(), (70, 20));
    terminal.run(1, 7, RunFlags::default(), "date".into(), Instant::now());
    terminal.elect([&first, &again].into_iter());
    assert!(terminal.is_writer(1), "a lesson's command is typing too");
}

#[test]
fn a_viewer_that_cannot_follow_gets_a_picture_a_second_at_most() {
    use std::os::unix::net::UnixStream;
    let mut terminal = running();
    let now = Instant::now();
    let (mut slow, _) = view(&mut terminal, 1, 0);
    let line = b"0123456789abcde\n".repeat(RING_MAX / 16 + 1);
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let mut frames = Frames::new(ours).expect("frames");
    terminal.output(&line, now);
    terminal.feed(&mut slow, &mut frames, now).expect("fed");
    assert_eq!(slow.next, terminal.ring.end());
    terminal.output(&line, now);
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let mut frames = Frames::new(ours).expect("frames");
    terminal.feed(&mut slow, &mut frames, now).expect("fed");
    assert!(slow.next < terminal.ring.start(), "not again yet");
    let then = slow.deadline().expect("later");
    terminal.feed(&mut slow, &mut frames, then).expect("fed");
    assert_eq!((slow.next, slow.deadline()), (terminal.ring.end(), None));
}

#[test]
fn the_viewer_that_typed_last_paces_and_the_others_do_not_hold_it_up() {
    let mut terminal = running();
    let now = Instant::now();
    let (mut quick, _) = view(&mut terminal, 1, 0);
    let (slow, _) = view(&mut terminal, 2, 0);
    terminal.typed_bytes(1, 0, b"x", &mut News::default());
    terminal.elect([&quick, &slow].into_iter());
    terminal.output(&vec![b'x'; WINDOW as usize], now);
    assert!(!terminal.wants_output([&quick, &slow].into_iter(), now));
    quick.next = WINDOW;
    terminal.acked(&mut quick, WINDOW);
    assert!(terminal.wants_output([&quick, &slow].into_iter(), now));
}

#[test]
fn unwatched_output_is_held_back_and_then_drained() {
    let mut terminal = running();
    let now = Instant::now();
    terminal.unwatched(now);
    assert!(terminal.wants_output([].into_iter(), now), "the ring holds what nobody has seen");
    terminal.output(&vec![b'x'; RING_MAX - BURST_MAX], now);
    assert!(!terminal.wants_output([].into_iter(), now));
    assert_eq!(terminal.deadline(), Some(now + HOLD_BACK));
    assert!(terminal.wants_output([].into_iter(), now + HOLD_BACK));
}

#[test]
fn sizes_are_clamped() {
    let mut terminal = running();
    terminal.resize((0, 0));
    assert_eq!(terminal.size(), (2, 1));
    terminal.resize((u16::MAX, u16::MAX));
    assert_eq!(terminal.size(), (500, 300));
}
