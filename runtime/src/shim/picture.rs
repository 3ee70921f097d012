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

use super::modes::Modes;

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

/// Draws `pieces` of output, which begin in the modes of `modes`, on a terminal of `size`.
/// `None`: too much work, or too much to say; then the bytes themselves must do.
pub fn picture(size: (u16, u16), modes: &Modes, pieces: [&[u8]; 2]) -> Option<Vec<u8>> {
    let budget = if cfg!(debug_assertions) { BUDGET_DEBUG } else { BUDGET };
    let draw = || draw(size, modes, pieces, used() + budget);
    // Neither the parser nor anything else that it touches outlives the closure.
    catch_unwind(AssertUnwindSafe(draw)).ok().flatten()
}

fn draw((cols, rows): (u16, u16), modes: &Modes, pieces: [&[u8]; 2], until: Duration) -> Option<Vec<u8>> {
    let scrolled = SCROLLED_CELLS_MAX / usize::from(cols.max(1));
    let mut parser = Parser::new(NonZeroU16::new(rows)?, NonZeroU16::new(cols)?, scrolled);
    parser.process(modes.at_start().as_bytes());
    for slice in pieces.iter().flat_map(|piece| piece.chunks(SLICE)) {
        parser.process(slice);
        if used() > until {
            return None;
        }
    }
    let front = parser.screen().alternate_screen().then(|| parser.screen().state_formatted());
    // A sequence that is not complete yet goes on behind the picture, and means nothing there.
    parser.process(b"\x18");
    if front.is_some() {
        parser.process(b"\x1b[?1049l");
    }
    let mut out = Picture::default();
    out.write_str("\x1b[m").ok()?;
    let screen = parser.screen();
    let range = BasicFormattedCaptureRange::Full(&mut BasicFormattedCaptureState::new());
    screen.write_contents_formatted_basic(&mut out, range).ok()?;
    out.write_str("\x1b[m").ok()?;
    out.raw(&screen.cursor_state_formatted())?;
    out.raw(&screen.attributes_formatted())?;
    if let Some(front) = front {
        out.raw("\x1b[?1049h")?;
        out.raw(&front)?;
    }
    out.raw(&modes.at_end())?;
    Some(out.text.into_bytes())
}

/// Processor time of this thread so far.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has a thread's clock").into()
}

/// Lines end as a terminal's do, and the whole has a limit.
#[derive(Default)]
struct Picture {
    text: String,
}

impl Picture {
    fn raw(&mut self, text: &str) -> Option<()> {
        self.text.push_str(text);
        (self.text.len() <= PICTURE_MAX).then_some(())
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
        if self.text.len() <= PICTURE_MAX { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::marks::{Mark, Marks};
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

    /// The picture of `bytes` looks like `bytes`.
    fn same(bytes: &[u8]) -> vt100::Screen {
        let picture = picture(SIZE, &modes_of(bytes), [bytes, &[]]).expect("a picture");
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
        let back =
            [picture(SIZE, &modes_of(bytes), [bytes, &[]]).expect("a picture"), b"\x1b[?1049l".to_vec()].concat();
        assert_eq!(screen_of(&back).contents(), screen_of(&[&bytes[..], b"\x1b[?1049l"].concat()).contents());
    }

    #[test]
    fn a_program_whose_beginning_is_not_kept_is_still_on_its_own_screen() {
        let mut modes = Modes::default();
        modes.heard(5, Mark::AlternateScreen(true));
        modes.heard(6, Mark::Mode(1, true));
        modes.begin_at(10);
        let picture = picture(SIZE, &modes, [b"\x1b[H\x1b[2Jtop", b" - 12:00"]).expect("a picture");
        let drawn = screen_of(&picture);
        assert!(drawn.alternate_screen() && drawn.application_cursor());
        assert_eq!(drawn.contents(), "top - 12:00");
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
        assert!(draw(SIZE, &Modes::default(), [&hostile, &[]], begin + Duration::from_millis(20)).is_none());
        // One slice past the budget is a small part of the whole, which takes minutes.
        assert!(used() - begin < Duration::from_secs(10));
    }

    #[test]
    fn a_screen_that_says_too_much_has_no_picture() {
        let size = (500, 300);
        let cells: String = (0..150_000).map(|n| format!("\x1b[38;2;{};1;2;48;2;3;{};4mx", n % 256, n % 255)).collect();
        let until = used() + Duration::from_secs(600);
        assert!(draw(size, &Modes::default(), [cells.as_bytes(), &[]], until).is_none());
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
            draw((cols, rows), &modes_of(&bytes[..at]), [&bytes[at..], &[]], used() + Duration::from_secs(60));
        }
    }
}
