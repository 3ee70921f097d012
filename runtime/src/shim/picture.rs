//! A picture of a terminal: lines that scrolled away, what stands on both its screens, the cursor.
//!
//! Made from the scrollback when somebody attaches who cannot be given all of it, or who would begin in the
//! middle of a program's drawing; nothing is parsed while nobody asks. What programs print is hostile:
//! the work has a budget, and a fault of the emulator costs the picture, not the shim.

use std::fmt::{self, Write};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vt100::Parser;
use vt100::capture::{BasicFormattedCaptureRange, BasicFormattedCaptureState};

use super::drawing::Drawing;

/// Parsing a whole scrollback of text takes a third of it. In processor time: a busy machine makes no poorer
/// pictures.
const BUDGET: Duration = Duration::from_millis(80);
/// Unoptimised, the same work takes some ten times as long.
const BUDGET_DEBUG: Duration = Duration::from_millis(1500);

/// Between two looks at the clock: the slowest bytes of so few are done within milliseconds.
const SLICE: usize = 256;

/// Cells of lines that scrolled away, at 32 bytes each for as long as the picture is made.
const SCROLLED_CELLS_MAX: usize = 200_000;

/// A larger picture, of a screen where every letter has its own colour, is more than the scrollback itself.
const PICTURE_MAX: usize = 512 * 1024;

/// Lines of the shell that are kept of what scrolled away above a full-screen program.
const BELOW_SCROLLED: usize = 200;
/// The shell's screen below a full-screen program is kept as long as that runs; one that is larger is not.
const BELOW_MAX: usize = 128 * 1024;

/// Output to draw: `pieces` of it, which begin in the modes `begin`, and end in the modes `end`.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    pub size: (u16, u16),
    /// The shell's screen, where the output begins on a program's own: see [`below`].
    pub below: &'a [u8],
    pub begin: &'a str,
    pub pieces: [&'a [u8]; 2],
    pub end: &'a str,
}

/// Draws output on a terminal: what scrolled away, both screens, the cursor.
/// `None`: too much work, or too much to say; then the bytes themselves must do.
pub fn picture(output: Output) -> Option<Vec<u8>> {
    guarded(|until| draw(output, until))
}

/// Draws the shell's screen as it is when a program switches to its own, with which `output` ends.
pub fn below(output: Output) -> Option<Vec<u8>> {
    guarded(|until| {
        let (mut parser, drawing) = drawn(output, BELOW_SCROLLED, until)?;
        parser.process(b"\x1b[?1049l");
        let mut out = Picture::of(BELOW_MAX);
        out.shell(parser.screen(), &drawing)?;
        Some(out.text.into_bytes())
    })
}

fn guarded(draw: impl FnOnce(Duration) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let budget = if cfg!(debug_assertions) { BUDGET_DEBUG } else { BUDGET };
    let until = used() + budget;
    // Neither the parser nor anything else that it touches outlives the closure.
    catch_unwind(AssertUnwindSafe(|| draw(until))).ok().flatten()
}

fn draw(output: Output, until: Duration) -> Option<Vec<u8>> {
    let scrolled = SCROLLED_CELLS_MAX / usize::from(output.size.0.max(1));
    let (mut parser, drawing) = drawn(output, scrolled, until)?;
    let front = parser.screen().alternate_screen().then(|| {
        let screen = parser.screen();
        // A region puts the cursor into its corner.
        [screen.state_formatted(), drawing.region(true), screen.cursor_state_formatted(), screen.attributes_formatted()]
    });
    if front.is_some() {
        parser.process(b"\x1b[?1049l");
    }
    let mut out = Picture::of(PICTURE_MAX);
    out.shell(parser.screen(), &drawing)?;
    if let Some(front) = front {
        out.raw("\x1b[?1049h")?;
        front.iter().try_for_each(|part| out.raw(part))?;
    }
    out.raw(&drawing.sets())?;
    out.raw(output.end)?;
    Some(out.text.into_bytes())
}

/// A terminal on which everything stands.
fn drawn(output: Output, scrolled: usize, until: Duration) -> Option<(Parser, Drawing)> {
    let (cols, rows) = output.size;
    let mut parser = Parser::new(NonZeroU16::new(rows)?, NonZeroU16::new(cols)?, scrolled);
    let mut drawing = Drawing::default();
    let [first, second] = output.pieces;
    for slice in [output.below, output.begin.as_bytes(), first, second].iter().flat_map(|piece| piece.chunks(SLICE)) {
        parser.process(&drawing.pass(slice));
        if used() > until {
            return None;
        }
    }
    // A sequence that is not complete yet goes on behind the picture, and means nothing there.
    parser.process(b"\x18");
    Some((parser, drawing))
}

/// Processor time of this thread so far.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has a thread's clock").into()
}

/// Lines end as a terminal's do, and the whole has a limit.
struct Picture {
    text: String,
    max: usize,
}

impl Picture {
    fn of(max: usize) -> Self {
        Self { text: String::new(), max }
    }

    /// The shell's screen, with what scrolled away above it.
    fn shell(&mut self, screen: &vt100::Screen, drawing: &Drawing) -> Option<()> {
        self.raw("\x1b[m")?;
        let range = BasicFormattedCaptureRange::Full(&mut BasicFormattedCaptureState::new());
        screen.write_contents_formatted_basic(self, range).ok()?;
        self.raw("\x1b[m")?;
        self.raw(&drawing.region(false))?;
        self.raw(&screen.cursor_state_formatted())?;
        self.raw(&screen.attributes_formatted())
    }

    fn raw(&mut self, text: &str) -> Option<()> {
        self.text.push_str(text);
        (self.text.len() <= self.max).then_some(())
    }
}

impl Write for Picture {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('\n') {
            match piece.strip_suffix('\n') {
                Some(line) => [line, "\r\n"].iter().for_each(|part| self.text.push_str(part)),
                None => self.text.push_str(piece),
            }
        }
        if self.text.len() <= self.max { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::marks::{Mark, Marks};
    use super::super::modes::Modes;
    use super::*;

    const SIZE: (u16, u16) = (40, 10);

    fn screen_of(bytes: &[u8]) -> vt100::Screen {
        let (cols, rows) = SIZE;
        let mut parser = Parser::new(NonZeroU16::new(rows).expect("rows"), NonZeroU16::new(cols).expect("cols"), 1000);
        parser.process(bytes);
        parser.screen().clone()
    }

    fn modes_of(bytes: &[u8]) -> Modes {
        let mut modes = Modes::default();
        Marks::default().scan(bytes, |at, mark| modes.heard(at as u64, mark));
        modes
    }

    /// The picture of `pieces`, which begin at `offset` of what `modes` has heard.
    fn picture_in(modes: &Modes, offset: u64, pieces: [&[u8]; 2]) -> Option<Vec<u8>> {
        picture(Output { size: SIZE, below: b"", begin: &modes.at(offset), pieces, end: &modes.at_end() })
    }

    fn picture_of(bytes: &[u8]) -> Vec<u8> {
        picture_in(&modes_of(bytes), 0, [bytes, &[]]).expect("a picture")
    }

    fn alone(size: (u16, u16), bytes: &[u8]) -> Output<'_> {
        Output { size, below: b"", begin: "", pieces: [bytes, &[]], end: "" }
    }

    /// The picture of `bytes` looks like `bytes`.
    fn same(bytes: &[u8]) -> vt100::Screen {
        let picture = picture_of(bytes);
        let (drawn, real) = (screen_of(&picture), screen_of(bytes));
        assert_eq!(drawn.contents(), real.contents());
        assert_eq!(drawn.cursor_position(), real.cursor_position());
        assert_eq!(drawn.alternate_screen(), real.alternate_screen());
        assert_eq!(drawn.input_mode_formatted(), real.input_mode_formatted());
        assert_eq!(drawn.hide_cursor(), real.hide_cursor());
        drawn
    }

    #[test]
    fn a_shell_comes_back_with_what_scrolled_away_its_colours_and_its_cursor() {
        let mut bytes = Vec::new();
        (0..50).for_each(|n| bytes.extend(format!("\x1b[3{}mline {n}\x1b[m\r\n", n % 8).into_bytes()));
        bytes.extend(b"\x1b[?2004h$ echo h\xc3\xa9llo \xe4\xb8\xad\xe6\x96\x87");
        let mut drawn = same(&bytes);
        assert!(drawn.bracketed_paste());
        drawn.set_scrollback(1000);
        assert!(drawn.contents().starts_with("line 0\nline 1\n"), "{}", drawn.contents());
    }

    #[test]
    fn a_full_screen_program_comes_back_and_so_does_the_shell_below_it() {
        let bytes = b"$ vim\r\n\x1b[?1049h\x1b[?1h\x1b=\x1b[?1006;1002h\x1b[H\x1b[2J~\r\n~\x1b[5;3Hword\x1b[10;1H\x1b[7m-- INSERT --\x1b[m\x1b[5;7H";
        same(bytes);
        let back = [picture_of(bytes), b"\x1b[?1049l".to_vec()].concat();
        assert_eq!(screen_of(&back).contents(), screen_of(&[&bytes[..], b"\x1b[?1049l"].concat()).contents());
    }

    #[test]
    fn a_program_whose_beginning_is_not_kept_is_still_on_its_own_screen() {
        let mut modes = Modes::default();
        modes.heard(5, Mark::AlternateScreen(true));
        modes.heard(6, Mark::Mode(1, true));
        modes.begin_at(10);
        let picture = picture_in(&modes, 10, [b"\x1b[H\x1b[2Jtop", b" - 12:00"]).expect("a picture");
        let drawn = screen_of(&picture);
        assert!(drawn.alternate_screen() && drawn.application_cursor());
        assert_eq!(drawn.contents(), "top - 12:00");
    }

    #[test]
    fn the_shell_below_a_program_is_kept_when_its_bytes_are_gone() {
        let shell = b"\x1b[32m$\x1b[m make\r\nall done\r\n$ top\r\n\x1b[?1049h";
        let below = below(alone(SIZE, shell)).expect("a picture");
        let output = Output { below: &below, begin: "\x1b[?1049h", ..alone(SIZE, b"\x1b[H\x1b[2Jtop - 12:00") };
        let picture = picture(output).expect("a picture");
        assert_eq!(screen_of(&picture).contents(), "top - 12:00");
        let back = screen_of(&[&picture[..], b"\x1b[?1049l"].concat());
        assert_eq!(back.contents(), "$ make\nall done\n$ top");
        assert_eq!(back.cursor_position(), (3, 0));
    }

    #[test]
    fn boxes_are_boxes_and_what_comes_next_too() {
        let bytes = b"\x1b[?1049h\x1b[H\x1b[2J\x1b(0lqk\x1b(B a\r\n\x1b(0mq";
        let picture = picture_of(bytes);
        assert_eq!(screen_of(&picture).contents(), "┌─┐ a\n└─");
        assert!(picture.ends_with(b"\x1b(0"), "the next letter is a line too");
        assert_eq!(screen_of(&picture).cursor_position(), (1, 2));
    }

    #[test]
    fn a_region_that_was_left_set_goes_on_scrolling_alone() {
        for screen in ["", "\x1b[?1049h"] {
            let bytes = format!("{screen}\x1b[H\x1b[2Jhead\x1b[10;1Hfoot\x1b[2;9r\x1b[9;1Hline").into_bytes();
            let more: Vec<u8> = (0..20).flat_map(|n| format!("\r\nline {n}").into_bytes()).collect();
            let drawn = screen_of(&[picture_of(&bytes), more.clone()].concat());
            assert_eq!(drawn.contents(), screen_of(&[bytes, more].concat()).contents());
            assert!(drawn.contents().starts_with("head\n") && drawn.contents().ends_with("\nfoot"));
        }
    }

    #[test]
    fn a_line_that_wraps_is_one_line_again() {
        let bytes = "x".repeat(100).into_bytes();
        let drawn = same(&bytes);
        assert!(drawn.row_wrapped(0) && drawn.row_wrapped(1) && !drawn.row_wrapped(2));
    }

    #[test]
    fn work_without_end_is_given_up() {
        let hostile = b"x\x1b[65535b".repeat(100_000);
        let begin = used();
        assert!(draw(alone(SIZE, &hostile), begin + Duration::from_millis(20)).is_none());
        // One slice past the budget is a small part of the whole, which takes minutes.
        assert!(used() - begin < Duration::from_secs(10));
    }

    #[test]
    fn a_screen_that_says_too_much_has_no_picture() {
        let size = (500, 300);
        let cells: String = (0..150_000).map(|n| format!("\x1b[38;2;{};1;2;48;2;3;{};4mx", n % 256, n % 255)).collect();
        let until = used() + Duration::from_secs(600);
        assert!(draw(alone(size, cells.as_bytes()), until).is_none());
    }

    /// What hostile output is made of.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[ -~]{0,50}".prop_map(String::into_bytes),
            "\\x1b\\[[?>!]?[0-9;:]{0,12}[ $'\"]?[@-~]".prop_map(String::into_bytes),
            "\\x1b[()*+#%]?[ -~]".prop_map(String::into_bytes),
            "\\x1b[\\]P_^X][ -~]{0,30}(\\x07|\\x1b\\\\)?".prop_map(String::into_bytes),
            "[中文😀é\u{301}\u{200d}\u{fe0f}\t\r\n]{0,20}".prop_map(String::into_bytes),
            (0u32..7, 0u32..70_000)
                .prop_map(|(n, count)| format!("\x1b[{count}{}", b"LMSTP@X"[n as usize] as char).into_bytes()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_printed_nothing_breaks(pieces in prop::collection::vec(piece(), 0..60), cols in 2u16..200, rows in 1u16..60, cut in any::<prop::sample::Index>()) {
            let bytes = pieces.concat();
            let at = cut.index(bytes.len() + 1);
            let modes = modes_of(&bytes[..at]);
            let (begin, end) = (modes.at(at as u64), modes.at_end());
            let output = Output { size: (cols, rows), below: b"", begin: &begin, pieces: [&bytes[at..], &[]], end: &end };
            draw(output, used() + Duration::from_secs(60));
        }
    }
}
