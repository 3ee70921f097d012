//! The resume code: fifteen letters that bring a learner to another browser, once.
//!
//! Fourteen letters are random: 70 bits, which nobody guesses over a network, nor from the hash in the store, so
//! the hash need not be slow (a slow one would let anybody keep the service busy with guesses). The fifteenth
//! letter is a check: one wrong letter, or two that changed places, is a typo and not a guess, and is said to be
//! one without a look into the store.

use std::fmt;
use std::str::FromStr;

/// How long a code works: a class that meets every fortnight, and a holiday in between.
pub const CODE_LIFE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LETTERS: usize = 15;
/// Letters that are read out in one breath.
const GROUP: usize = 5;
/// Longer than any way to write fifteen letters.
const WRITTEN_MAX: usize = 64;

/// A code as its letters' values, 0 to 31.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeCode([u8; LETTERS]);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("A code has 15 letters and digits in three groups of five. This has {0}.")]
    Length(usize),
    #[error("A code has letters and digits only, and {0:?} is neither.")]
    Letter(char),
    #[error("One letter is not as it was shown, or two have changed places. Compare it with the code once more.")]
    Typo,
}

impl ResumeCode {
    /// From random bytes, of which each gives five bits.
    pub fn from_random(bytes: [u8; LETTERS - 1]) -> Self {
        let mut letters = [0; LETTERS];
        for (letter, byte) in letters.iter_mut().zip(bytes) {
            *letter = byte & 31;
        }
        letters[LETTERS - 1] = double(remainder(&letters[..LETTERS - 1]));
        Self(letters)
    }

    /// What is hashed: the letters as they are shown, without gaps.
    pub fn bytes(&self) -> [u8; LETTERS] {
        self.0.map(|value| ALPHABET[usize::from(value)])
    }
}

/// `K7QM4-XWD92-TF8HN`.
impl fmt::Display for ResumeCode {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (at, letter) in self.bytes().into_iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                out.write_str("-")?;
            }
            write!(out, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// A code is a key: it is shown to its learner, and to nobody by way of a log.
impl fmt::Debug for ResumeCode {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("ResumeCode(…)")
    }
}

/// In capitals or not, with or without gaps; what looks like another letter is taken for it.
impl FromStr for ResumeCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let written = || text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–' | '_' | '.' | ','));
        if text.len() > WRITTEN_MAX {
            return Err(CodeError::Length(written().count()));
        }
        let values: Vec<u8> = written().map(|c| value(c).ok_or(CodeError::Letter(c))).collect::<Result<_, _>>()?;
        let letters: [u8; LETTERS] = values.try_into().map_err(|all: Vec<u8>| CodeError::Length(all.len()))?;
        if remainder(&letters) == 0 { Ok(Self(letters)) } else { Err(CodeError::Typo) }
    }
}

fn value(written: char) -> Option<u8> {
    let letter = match written.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        'U' => 'V',
        other => other,
    };
    let at = ALPHABET.iter().position(|&known| char::from(known) == letter)?;
    u8::try_from(at).ok()
}

/// The letters as a polynomial over the field of 32 elements, at its generator. It is zero for a code: as the
/// generator's first 31 powers differ, every single wrong letter and every exchange of two is seen.
fn remainder(letters: &[u8]) -> u8 {
    letters.iter().fold(0, |sum, letter| double(sum) ^ letter)
}

/// Times the generator, modulo x⁵ + x² + 1.
fn double(element: u8) -> u8 {
    let shifted = element << 1;
    if shifted & 32 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> ResumeCode {
        ResumeCode::from_random([1, 30, 7, 0, 31, 12, 9, 22, 3, 17, 200, 91, 64, 5])
    }

    #[test]
    fn a_code_reads_as_it_is_shown_and_as_people_write_it() {
        let shown = code().to_string();
        assert_eq!(shown.len(), 17);
        assert_eq!(shown.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5]);
        for written in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            shown.replace('-', " "),
            format!("  {}\n", shown.replace('-', " - ")),
            shown.replace('0', "o").replace('1', "l"),
        ] {
            assert_eq!(written.parse(), Ok(code()), "{written}");
        }
    }

    #[test]
    fn every_wrong_letter_and_every_exchange_of_two_is_a_typo() {
        let letters: Vec<char> = code().to_string().replace('-', "").chars().collect();
        let read = |letters: &[char]| letters.iter().collect::<String>().parse::<ResumeCode>();
        for at in 0..LETTERS {
            for other in ALPHABET.iter().map(|&letter| char::from(letter)).filter(|&other| other != letters[at]) {
                let mut wrong = letters.clone();
                wrong[at] = other;
                assert_eq!(read(&wrong), Err(CodeError::Typo));
            }
            for with in (0..at).filter(|&with| letters[with] != letters[at]) {
                let mut wrong = letters.clone();
                wrong.swap(at, with);
                assert_eq!(read(&wrong), Err(CodeError::Typo));
            }
        }
    }

    #[test]
    fn what_is_no_code_says_why() {
        let why = |text: &str| text.parse::<ResumeCode>().expect_err("no code");
        assert_eq!(why(""), CodeError::Length(0));
        assert_eq!(why("K7QM4-XWD92"), CodeError::Length(10));
        assert_eq!(why("K7QM4-XWD92-TF8H!"), CodeError::Letter('!'));
        assert_eq!(why("K7QM4-XWD92-TF8Hé"), CodeError::Letter('é'));
        assert_eq!(why(&"K7QM4".repeat(1000)), CodeError::Length(5000));
    }

    #[test]
    fn a_code_is_in_no_debug_text() {
        assert!(!format!("{:?}", code()).contains(&code().to_string()[..5]));
    }
}
