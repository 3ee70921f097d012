//! Terminals against the real shim: who types, what arrives whole, and what a late viewer is given.

use quayside_runtime::shim::wire::FromViewer;
use quayside_tests::machine::{Machine, Terminal};
use quayside_tests::service::memory_kib;

/// A page's two sizes.
const LARGE: (u16, u16) = (100, 30);
const SMALL: (u16, u16) = (60, 20);

#[test]
fn who_typed_last_has_the_size_and_it_goes_on_when_they_leave() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut first = Terminal::look(&sandbox.socket, 1, 1, LARGE);
    assert_eq!(first.role, Some((true, 100, 30)), "who looks alone is the writer");
    let mut second = Terminal::look(&sandbox.socket, 1, 2, SMALL);
    assert_eq!(second.role, Some((false, 100, 30)), "looking changes nothing");
    first.type_text("stty size; echo one-$((1 + 1))\r");
    first.shows("30 100");
    first.shows("one-2");
    second.shows("one-2");
    second.type_text("stty size; echo two-$((2 + 2))\r");
    second.until(|it| it.role == Some((true, 60, 20)));
    second.shows("20 60");
    second.shows("two-4");
    first.until(|it| it.role == Some((false, 60, 20)));
    first.send(&FromViewer::Resize { cols: 90, rows: 25 });
    drop(second);
    first.until(|it| it.role == Some((true, 90, 25)));
    first.type_text("stty size\r");
    first.shows("25 90");
}

#[test]
fn two_thousand_sizes_end_in_the_last() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = Terminal::look(&sandbox.socket, 1, 1, LARGE);
    terminal.shows("#");
    for n in 0..2000u16 {
        terminal.send(&FromViewer::Resize { cols: 20 + n % 300, rows: 5 + n % 100 });
    }
    terminal.send(&FromViewer::Resize { cols: 0, rows: 0 });
    terminal.send(&FromViewer::Resize { cols: 65535, rows: 65535 });
    terminal.send(&FromViewer::Resize { cols: 123, rows: 45 });
    terminal.type_text("stty size\r");
    terminal.shows("45 123");
}

#[test]
fn a_late_viewer_of_much_output_gets_a_picture_and_the_program_on_its_own_screen() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut writer = Terminal::look(&sandbox.socket, 1, 1, LARGE);
    writer.type_text("echo be''low\r");
    writer.shows("below");
    writer.type_text(
        "printf '\\033[?1049h\\033[?1h'; for n in $(seq 40000); do printf '\\033[Htop %06d is here\\033[K\\r\\n' $n; done; printf 'LA%s' ST; read\r",
    );
    writer.shows("LAST");
    let mut late = Terminal::look(&sandbox.socket, 1, 2, SMALL);
    late.until(|it| String::from_utf8_lossy(&it.picture).contains("LAST"));
    let picture = String::from_utf8_lossy(&late.picture).into_owned();
    assert!(picture.contains("\x1b[?1049h") && picture.contains("\x1b[?1h"), "{picture:?}");
    assert!(picture.contains("top 040000") && picture.contains("LAST"), "{picture:?}");
    let (shell, _) = picture.split_once("\x1b[?1049h").expect("two screens");
    assert!(shell.contains("below"), "the shell's screen is not kept: {shell:?}");
    assert!(picture.len() < 64 * 1024, "{} bytes", picture.len());
    assert_eq!((late.replay, late.lost > 0), (0, true));
}

#[test]
fn a_megabyte_goes_through_a_program_that_echoes_and_comes_back_whole() {
    const SIZE: usize = 1_000_000;
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal(1);
    terminal.type_text("stty raw -echo; echo rea''dy; head -c 1000000; stty sane; echo do''ne\r");
    terminal.shows("ready");
    let begin = terminal.screen.len();
    let paste: Vec<u8> = (0..SIZE).map(|n| (n * 31 % 251) as u8).collect();
    for piece in paste.chunks(16 * 1024) {
        // As a page does: no more than a window without an answer.
        terminal.until(|it| it.typed - it.taken < 200 * 1024);
        terminal.type_bytes(piece);
    }
    terminal.shows("done");
    let back = &terminal.screen[begin..];
    let at = back.windows(64).position(|window| window == &paste[..64]).expect("its beginning");
    assert!(back[at..at + SIZE] == paste[..], "not as it was sent");
}

#[test]
fn no_byte_of_a_flood_is_lost() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal(1);
    terminal.type_text("stty -opost -echo; echo rea''dy\r");
    terminal.shows("ready");
    for run in 0..20 {
        terminal.type_text(&format!("yes | head -c 5000000; echo e''nd-{run}-\r"));
        terminal.screen.clear();
        terminal.shows(&format!("end-{run}-"));
        let flood = terminal.screen.windows(2).filter(|pair| pair == b"y\n").count();
        assert_eq!(flood, 2_500_000, "run {run}");
    }
}

#[test]
fn a_viewer_that_stopped_reading_holds_up_nobody() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut writer = Terminal::look(&sandbox.socket, 1, 1, LARGE);
    writer.shows("#");
    let mut stuck = Terminal::look(&sandbox.socket, 1, 2, SMALL);
    stuck.stops_reading();
    // The scrollback is full then, and so is what is on its way to who does not read.
    writer.type_text("seq 300000; echo ful''l\r");
    writer.shows("full");
    let memory_kib = || memory_kib(sandbox.shim_pid() as u32, "status", "VmRSS:");
    let before = memory_kib();
    writer.type_text("seq 1000000; echo al''l\r");
    writer.shows("all");
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 1024, "the shim has {grown} KiB more than the {before} before");
    writer.type_text("echo key-$((1 + 1))\r");
    writer.shows("key-2");
    // It is told what it missed once it reads again.
    stuck.acks_again();
    stuck.until(|it| it.lost > 0);
    stuck.until(|it| String::from_utf8_lossy(&it.picture).contains("key-2") || it.text().contains("key-2"));
}
