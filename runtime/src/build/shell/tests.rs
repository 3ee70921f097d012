//! What Docker's shell makes of a text, form by form.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1024;

fn variables(name: &str) -> Option<&'static str> {
    match name {
        "HOME" => Some("/root"),
        "EMPTY" => Some(""),
        "PAIR" => Some("a  b"),
        "FILE" => Some("src/main.tar.gz"),
        _ => None,
    }
}

/// The text as one word, or the reason.
fn word(text: &str) -> String {
    match Shell::new('\\', MAX).expand(text, &variables) {
        Ok(expanded) => expanded.text,
        Err(error) => format!("! {error}"),
    }
}

fn words(text: &str) -> Vec<String> {
    Shell::new('\\', MAX).expand(text, &variables).unwrap().words
}

#[test]
fn variables_are_named_with_and_without_braces() {
    assert_eq!(word("$HOME/bin"), "/root/bin");
    assert_eq!(word("${HOME}bin"), "/rootbin");
    assert_eq!(word("$NOPE."), ".");
    assert_eq!(word("a$"), "a$");
    assert_eq!(word("a$."), "a$.");
    assert_eq!(word("$0$1$12x$001y$@$$"), "xy");
    assert_eq!(word("${}"), "! ${ is not followed by a variable's name");
    assert_eq!(word("${HOME"), "! ${ is not closed by }");
    assert_eq!(word("${HOME=x}"), "! = is not a form of ${variable} that Dockerfiles have");
}

#[test]
fn an_alternative_stands_in_for_what_is_unset_or_with_a_colon_empty() {
    assert_eq!(word("${NOPE-x}${EMPTY-x}${HOME-x}"), "x/root");
    assert_eq!(word("${NOPE:-x}${EMPTY:-x}${HOME:-x}"), "xx/root");
    assert_eq!(word("${NOPE+x}${EMPTY+y}${HOME+z}"), "yz");
    assert_eq!(word("${NOPE:+x}${EMPTY:+y}${HOME:+z}"), "z");
    assert_eq!(word("${NOPE:-${NADA:-${HOME}}}"), "/root");
    assert_eq!(word("${NOPE:-a } b"), "a  b");
    assert_eq!(word("${NOPE:-'}'}"), "}");
    assert_eq!(word(r"${NOPE:-\}}"), "}");
}

#[test]
fn a_required_variable_says_in_whose_words_it_is_missing() {
    assert_eq!(word("${NOPE?}"), "! NOPE: is not allowed to be unset");
    assert_eq!(word("${NOPE:?set it with --build-arg}"), "! NOPE: set it with --build-arg");
    assert_eq!(word("${EMPTY?}"), "");
    assert_eq!(word("${EMPTY:?}"), "! EMPTY: is not allowed to be empty");
}

#[test]
fn a_pattern_takes_away_or_replaces() {
    assert_eq!(word("${FILE#*/}"), "main.tar.gz");
    assert_eq!(word("${FILE%.*}"), "src/main.tar");
    assert_eq!(word("${FILE%%.*}"), "src/main");
    assert_eq!(word("${FILE##*.}"), "gz");
    assert_eq!(word("${FILE/a/o}"), "src/moin.tar.gz");
    assert_eq!(word("${FILE//a/o}"), "src/moin.tor.gz");
    assert_eq!(word(r"${FILE//\//-}"), "src-main.tar.gz");
    assert_eq!(word("${FILE/a}"), "! ${variable/pattern/replacement} has no second slash");
    assert_eq!(word("${FILE:#x}"), "! :# is not a form of ${variable} that Dockerfiles have");
    assert_eq!(word("${NOPE#x}"), "");
}

#[test]
fn quotes_and_escapes_work_as_in_docker() {
    assert_eq!(word(r"a\tb"), "atb");
    assert_eq!(word(r#""a\tb""#), r"a\tb");
    assert_eq!(word(r#""a\"b\$c\\d""#), r#"a"b$c\d"#);
    assert_eq!(word(r"'a\tb$HOME'"), r"a\tb$HOME");
    assert_eq!(word(r#""it's $HOME""#), "it's /root");
    assert_eq!(word(r"\$HOME"), "$HOME");
    assert_eq!(word(r"end\"), "end");
    assert_eq!(word("'a"), "! a single quote is not closed");
    assert_eq!(word("\"a"), "! a double quote is not closed");
    assert_eq!(Shell::new('`', MAX).expand(r"C:\x`$HOME", &variables).unwrap().text, r"C:\x$HOME");
}

#[test]
fn words_are_split_where_blanks_are_not_quoted() {
    assert_eq!(words("  a 'b c'\td"), ["a", "b c", "d"]);
    assert_eq!(words("x$PAIR"), ["xa", "b"]);
    assert_eq!(words("\"$PAIR\"x"), ["a  bx"]);
    assert_eq!(words(r"a\ b"), ["a b"]);
    assert_eq!(words("'' x"), ["x"]);
    assert_eq!(words("80${NOPE:-80} 9"), ["8080", "9"]);
}

#[test]
fn a_heredoc_and_the_blank_before_its_delimiter_are_one_word() {
    let shell = Shell { keeps_quotes: true, keeps_escapes: true, keeps_unset: true, ..Shell::new('\\', MAX) };
    let found = shell.expand("COPY << 'E F' <<-G$x /a/", &|_| None).unwrap();
    assert_eq!(found.words, ["COPY", "<< 'E F'", "<<-G$x", "/a/"]);
}

#[test]
fn what_is_unset_can_be_kept_and_is_always_told() {
    let shell = Shell { keeps_unset: true, ..Shell::new('\\', MAX) };
    let kept = shell.expand("$a${b}${c:-$d}${e#x}${f/x/y}$HOME", &variables).unwrap();
    assert_eq!(kept.text, "$a${b}${c:-$d}${e#x}${f/x/y}/root");
    assert_eq!(kept.unset.into_iter().collect::<String>(), "abcdef");
}

#[test]
fn nesting_and_length_have_an_end() {
    let deep = format!("{}x{}", "${a:-".repeat(1000), "}".repeat(1000));
    assert_eq!(word(&deep), "! variables nest deeper than 50 levels");
    let long = Shell::new('\\', 10).expand("$HOME$HOME$HOME", &variables);
    assert_eq!(long, Err(ShellError::Length(10)));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[${}:/#%?+\\-'\"\\\\<*a-c \n]{0,40}|.{0,60}", flags in 0u8..16) {
        let shell = Shell {
            keeps_quotes: flags & 1 != 0,
            keeps_escapes: flags & 2 != 0,
            keeps_unset: flags & 4 != 0,
            ignores_quotes: flags & 8 != 0,
            ..Shell::new('\\', MAX)
        };
        if let Ok(expanded) = shell.expand(&text, &variables) {
            prop_assert!(expanded.text.len() <= MAX);
        }
    }
}
