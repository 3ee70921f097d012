//! The words between `{{` and `}}` after a piece of code: what a click on it does.
//!
//! Both dialects, in any order and any case: `{{exec}}`, `{{execute T2 interrupt}}`, `{{copy}}`, `{{}}`.
//! It knows nothing of Markdown.

use super::diagnostic::nearest;
use super::model::{ActionVerb, Terminal};

/// What stands between the braces may be this long; more is somebody's template.
const WORDS_BYTES_MAX: usize = 80;

/// What an author asks of a piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// `{{}}`: nothing at all, not even a copy.
    Plain,
    Do(ActionVerb),
    /// `{{open}}`: the code is the name of a file to show in an editor.
    OpenFile,
    /// `{{execute HOST2}}`: run on another machine, counted from 1.
    OnHost(u16),
    /// Words that mean nothing here: the code is as if it had none.
    Unknown {
        hint: Option<String>,
    },
}

/// A directive found at the start of a text, and how many bytes it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub directive: Directive,
    pub bytes: usize,
}

/// Reads `{{…}}` at the start of `text`. `None` where the braces hold no words, as in `{{ .Values.name }}`:
/// those belong to the lesson.
pub fn leading(text: &str) -> Option<Found> {
    let inside = text.strip_prefix("{{")?;
    let end = inside.as_bytes().windows(2).take(WORDS_BYTES_MAX).position(|pair| pair == b"}}")?;
    let words = &inside[..end];
    let is_words = words.chars().all(|letter| letter.is_alphanumeric() || " \t_-\"',“”".contains(letter));
    // A port's address directly after code is a port's address.
    (is_words && !words.trim_start().starts_with("TRAFFIC_")).then(|| Found { directive: parse(words), bytes: end + 4 })
}

/// What a `ctrl-seq` action presses, piece by piece: `^C` is one key, and so is `^ESC`; what stands between the names
/// of keys is typed as it is, in a piece of its own. The page's `pressed` in text.ts reads it the same way.
pub fn keys(text: &str) -> Vec<String> {
    let mut pieces: Vec<(bool, String)> = Vec::new();
    let mut add = |is_key: bool, letters: &str| match pieces.last_mut() {
        Some((before, piece)) if *before == is_key => piece.push_str(letters),
        _ => pieces.push((is_key, letters.to_owned())),
    };
    let mut rest = text.trim();
    while let Some(letter) = rest.chars().next() {
        let length = match key_name(rest) {
            Some(name) => {
                match key(name) {
                    Some(pressed) => add(true, &pressed.to_string()),
                    None => add(false, &rest[..=name.len()]),
                }
                name.len() + 1
            }
            None => {
                add(false, &rest[..letter.len_utf8()]);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    let typed = pieces.into_iter().map(|(is_key, piece)| if is_key { piece } else { piece.trim().to_owned() });
    typed.filter(|piece| !piece.is_empty()).collect()
}

/// What stands behind a caret: as many letters as there are, or one character that Ctrl makes something of.
fn key_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('^')?;
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    let one = name.starts_with(['@', '[', ']', '\\', '^', '_', '?']);
    (letters > 0 || one).then(|| &name[..letters.max(1)])
}

fn key(name: &str) -> Option<char> {
    match name.to_ascii_uppercase().as_str() {
        "ESC" | "ESCAPE" => Some('\u{1b}'),
        "TAB" => Some('\t'),
        "ENTER" => Some('\r'),
        "SPACE" => Some(' '),
        "?" => Some('\u{7f}'),
        one if one.len() == 1 => Some(char::from(one.as_bytes()[0] & 0x1f)),
        _ => None,
    }
}

/// The words, as they add up.
fn parse(words: &str) -> Directive {
    let words = words.to_lowercase();
    let separator = |letter: char| letter.is_whitespace() || "\"',“”".contains(letter);
    let mut wish = Wish::default();
    for word in words.split(separator).filter(|word| !word.is_empty()) {
        if let Err(hint) = wish.add(word) {
            return Directive::Unknown { hint };
        }
    }
    wish.into_directive()
}

#[derive(Default)]
struct Wish {
    run: bool,
    copy: bool,
    open: bool,
    interrupt: bool,
    no_newline: bool,
    ctrl_seq: bool,
    terminal: Option<u16>,
    host: Option<u16>,
}

/// Every word there is, for guessing at misspelt ones.
const VOCABULARY: [&str; 7] = ["exec", "execute", "copy", "open", "interrupt", "no-newline", "ctrl-seq"];

impl Wish {
    /// Takes one lower-case word in; `Err` holds the guess at a word that is none.
    fn add(&mut self, word: &str) -> Result<(), Option<String>> {
        match word {
            "exec" | "execute" => self.run = true,
            "copy" => self.copy = true,
            "open" => self.open = true,
            "interrupt" => self.interrupt = true,
            "no-newline" => self.no_newline = true,
            "ctrl-seq" => self.ctrl_seq = true,
            _ => self.add_target(word)?,
        }
        Ok(())
    }

    /// `T2` or `HOST2`.
    fn add_target(&mut self, word: &str) -> Result<(), Option<String>> {
        let number = |prefix| {
            word.strip_prefix(prefix).and_then(|digit: &str| digit.parse().ok()).filter(|digit| (1..=9).contains(digit))
        };
        match (number("t"), number("host")) {
            (Some(terminal), _) => self.terminal = Some(terminal),
            (_, Some(host)) => self.host = Some(host),
            (None, None) => return Err(nearest(word, VOCABULARY).map(str::to_owned)),
        }
        Ok(())
    }

    fn into_directive(self) -> Directive {
        // `{{T1}}`, `{{interrupt}}` alone: who names a terminal wants to run something in it.
        let runs = self.run
            || self.interrupt
            || self.no_newline
            || self.ctrl_seq
            || self.terminal.is_some()
            || self.host.is_some();
        match self {
            Self { host: Some(host @ 2..), .. } => Directive::OnHost(host),
            Self { interrupt, no_newline, ctrl_seq, terminal, .. } if runs => {
                let terminal = terminal.map_or(Terminal::Active, Terminal::Number);
                Directive::Do(ActionVerb::Run { terminal, interrupt, no_newline, ctrl_seq })
            }
            Self { copy: true, .. } => Directive::Do(ActionVerb::Copy),
            Self { open: true, .. } => Directive::OpenFile,
            _ => Directive::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(terminal: Terminal, interrupt: bool, no_newline: bool, ctrl_seq: bool) -> Directive {
        Directive::Do(ActionVerb::Run { terminal, interrupt, no_newline, ctrl_seq })
    }

    #[test]
    fn every_spelling_of_the_wild_is_understood() {
        let plain_run = run(Terminal::Active, false, false, false);
        let in_first = run(Terminal::Number(1), false, false, false);
        let in_first_after_interrupt = run(Terminal::Number(1), true, false, false);
        let cases = [
            ("{{exec}}", plain_run.clone()),
            ("{{ EXECUTE }}", plain_run.clone()),
            ("{{execute HOST1}}", plain_run),
            ("{{execute \"T1\"}}", in_first.clone()),
            ("{{T1}}", in_first),
            ("{{execute T1 interrupt}}", in_first_after_interrupt.clone()),
            ("{{interrupt T1}}", in_first_after_interrupt),
            ("{{exec interrupt}}", run(Terminal::Active, true, false, false)),
            ("{{execute no-newline}}", run(Terminal::Active, false, true, false)),
            ("{{execute ctrl-seq}}", run(Terminal::Active, false, false, true)),
            ("{{Copy}}", Directive::Do(ActionVerb::Copy)),
            ("{{open}}", Directive::OpenFile),
            ("{{execute HOST2}}", Directive::OnHost(2)),
            ("{{}}", Directive::Plain),
        ];
        for (text, directive) in cases {
            assert_eq!(leading(text), Some(Found { directive, bytes: text.len() }), "{text}");
        }
    }

    #[test]
    fn a_misspelt_word_is_guessed_and_does_nothing() {
        for (typo, meant) in [
            ("exeute", "execute"),
            ("exectue", "execute"),
            ("excute", "execute"),
            ("exex", "exec"),
            ("ecopy", "copy"),
            ("cope", "copy"),
        ] {
            let expected = Directive::Unknown { hint: Some(meant.into()) };
            assert_eq!(leading(&format!("{{{{{typo}}}}}")).map(|found| found.directive), Some(expected), "{typo}");
        }
        assert_eq!(leading("{{T0}}").map(|found| found.directive), Some(Directive::Unknown { hint: None }));
    }

    #[test]
    fn keys_are_pressed_and_not_spelt() {
        assert_eq!(keys("^C"), ["\u{3}"]);
        assert_eq!(keys("^Z^d"), ["\u{1a}\u{4}"]);
        assert_eq!(keys("^ESC :wq ^ENTER"), ["\u{1b}", ":wq", "\r"]);
        assert_eq!(keys("^nokey 2^"), ["^nokey 2^"]);
        assert_eq!(keys(" "), [""; 0]);
    }

    #[test]
    fn templates_are_left_to_the_lesson() {
        for text in
            ["{{ .Values.name }}", "{{.Config.Env}}", "{{TRAFFIC_HOST1_80}}", "{{ range $i }}", "{exec}", "{{exec"]
        {
            assert_eq!(leading(text), None, "{text}");
        }
    }
}
