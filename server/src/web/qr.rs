//! A link as a picture that a phone reads.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// What an SVG needs to draw it: one path over a square of `size` units, with the quiet zone around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub size: usize,
    pub path: String,
}

/// White around the code, in modules: the standard asks for four.
const QUIET: usize = 4;

/// `None` for a text that is too long for any code.
pub fn picture(text: &str) -> Option<Picture> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, _) in code.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET).expect("a string takes everything");
    }
    Some(Picture { size: width + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_square_with_three_corners() {
        let picture = picture("http://192.168.1.20:8080/resume#K7QM4-XWD92-TF8HN").expect("a picture");
        let width = picture.size - 2 * QUIET;
        let dark = |x: usize, y: usize| picture.path.contains(&format!("M{} {}h", x + QUIET, y + QUIET));
        // The ring of a finder pattern, and the gap within it.
        for (left, top) in [(0, 0), (width - 7, 0), (0, width - 7)] {
            assert!((0..7).all(|step| dark(left + step, top) && dark(left, top + step)));
            assert!(!dark(left + 1, top + 1) && dark(left + 3, top + 3));
        }
        assert!(!dark(width - 1, width - 1) || !dark(width - 7, width - 1), "no fourth corner");
    }

    #[test]
    fn a_text_that_is_too_long_has_no_picture() {
        assert_eq!(picture(&"x".repeat(10_000)), None);
    }
}
