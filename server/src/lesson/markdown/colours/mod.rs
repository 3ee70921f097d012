//! Colours for code: a text in, the same text out as HTML with its parts marked.
//!
//! Small on purpose. It knows the languages that lessons show, marks what is certain on sight (comments, strings, numbers,
//! words of the language, keys, commands) and leaves the rest alone. It never changes a letter: the text content of what
//! it returns is the text that it was given, which a test proves for every input.

mod grammar;
mod lines;
mod words;

use std::ops::{Range, RangeInclusive};

use self::grammar::Grammar;
use super::markup::escape;

/// Longer code is shown plain: nobody reads colours in so much of it.
const COLOURED_BYTES_MAX: usize = 64 << 10;

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Comment,
    Text,
    Number,
    /// A word of the language itself.
    Word,
    /// A command, or a function that is called.
    Name,
    Variable,
    Key,
    Prompt,
    /// What a command printed.
    Output,
}

impl Part {
    fn class(self) -> &'static str {
        match self {
            Self::Comment => "t-comment",
            Self::Text => "t-text",
            Self::Number => "t-number",
            Self::Word => "t-word",
            Self::Name => "t-name",
            Self::Variable => "t-variable",
            Self::Key => "t-key",
            Self::Prompt => "t-prompt",
            Self::Output => "t-output",
        }
    }
}

/// Parts in order; what lies between two is plain.
pub(super) type Parts = Vec<(Part, Range<usize>)>;

#[derive(Debug, Clone, Copy)]
pub enum Language {
    Shell,
    /// Prompts, commands and what they printed.
    Console,
    Dockerfile,
    Yaml,
    Ini,
    Json,
    Code(&'static Grammar),
}

impl Language {
    /// By the word after a fence.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "sh" | "bash" | "shell" | "zsh" | "ash" => Self::Shell,
            "console" | "shell-session" | "shellsession" | "sh-session" | "bash-session" | "terminal" => Self::Console,
            "dockerfile" | "docker" | "containerfile" => Self::Dockerfile,
            "yaml" | "yml" => Self::Yaml,
            "ini" | "toml" | "conf" | "cfg" | "properties" | "systemd" | "dotenv" | "env" => Self::Ini,
            "json" | "json5" | "jsonc" => Self::Json,
            name => Self::Code(words::grammar(name)?),
        })
    }

    /// By a file's name.
    pub fn of_file(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with("Dockerfile") || name.ends_with(".Dockerfile") || name == "Containerfile" {
            return Some(Self::Dockerfile);
        }
        match name.rsplit_once('.')?.1 {
            "service" | "timer" | "socket" | "repo" => Some(Self::Ini),
            "py" => Self::named("python"),
            "rs" => Self::named("rust"),
            extension => Self::named(extension),
        }
    }

    /// Only where it is certain.
    pub fn certain(text: &str) -> Option<Self> {
        let first = text.lines().map(str::trim_end).find(|line| !line.trim().is_empty())?;
        let starts = |starts: &[&str]| starts.iter().any(|start| first.starts_with(start));
        let is_json =
            || text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        match () {
            () if starts(&["$ "]) => Some(Self::Console),
            () if first.starts_with("#!") && first.contains("python") => Self::named("python"),
            () if first.starts_with("#!") && first.ends_with("sh") => Some(Self::Shell),
            () if starts(&["FROM "])
                && text
                    .lines()
                    .any(|line| line.starts_with("RUN ") || line.starts_with("COPY ") || line.starts_with("CMD ")) =>
            {
                Some(Self::Dockerfile)
            }
            () if starts(&["apiVersion: ", "apiVersion:\t"]) || (starts(&["---"]) && text.contains("\nkind: ")) => {
                Some(Self::Yaml)
            }
            () if starts(&["services:"]) && text.contains("image:") => Some(Self::Yaml),
            () if starts(&["#include <", "#include \""]) => Self::named("c"),
            () if starts(&["package "]) && text.contains("func ") => Self::named("go"),
            () if is_json() => Some(Self::Json),
            () => None,
        }
    }

    fn parts(self, text: &str) -> Parts {
        match self {
            Self::Shell => grammar::parts(&words::SHELL, text, 0),
            Self::Json => grammar::parts(&words::JSON, text, 0),
            Self::Code(grammar) => grammar::parts(grammar, text, 0),
            Self::Console => lines::console(text),
            Self::Dockerfile => lines::dockerfile(text),
            Self::Yaml => lines::yaml(text),
            Self::Ini => lines::ini(text),
        }
    }
}

/// The code as HTML, with its parts marked and the lines in `highlighted` (counted from 1) lit.
pub fn html(text: &str, language: Option<Language>, highlighted: &[RangeInclusive<u32>]) -> String {
    let language = language.filter(|_| text.len() <= COLOURED_BYTES_MAX);
    let parts = language.map(|language| language.parts(text)).unwrap_or_default();
    let is_lit = |number: u32| highlighted.iter().any(|lines| lines.contains(&number));
    let mut html = String::with_capacity(text.len() * 2);
    let mut parts = parts.into_iter().peekable();
    let mut start = 0;
    for (number, line) in (1..).zip(text.split('\n')) {
        let end = start + line.len();
        if number > 1 {
            html.push('\n');
        }
        html.push_str(if is_lit(number) { "<mark>" } else { "" });
        let mut at = start;
        while let Some((part, range)) = parts.peek().cloned() {
            if range.start >= end {
                break;
            }
            html.push_str(&escape(&text[at..range.start.max(at)]));
            let piece = range.start.max(at)..range.end.min(end);
            html.push_str(&format!("<span class=\"{}\">{}</span>", part.class(), escape(&text[piece.clone()])));
            at = piece.end;
            // A part that goes on in the next line stays for it.
            if range.end > end {
                break;
            }
            parts.next();
        }
        html.push_str(&escape(&text[at..end]));
        html.push_str(if is_lit(number) { "</mark>" } else { "" });
        start = end + 1;
    }
    html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 14] = [
        "sh",
        "console",
        "dockerfile",
        "yaml",
        "ini",
        "json",
        "go",
        "python",
        "c",
        "js",
        "rust",
        "java",
        "sql",
        "make",
    ];

    fn text_of(html: &str) -> String {
        let mut text = String::new();
        let mut inside = false;
        for letter in html.chars() {
            match letter {
                '<' => inside = true,
                '>' if inside => inside = false,
                letter if !inside => text.push(letter),
                _ => {}
            }
        }
        super::super::markup::unescape(&text)
    }

    /// `part:text` for everything that is marked.
    fn marked(language: &str, text: &str) -> String {
        let language = Language::named(language).expect("a language");
        let parts = language.parts(text);
        parts
            .iter()
            .map(|(part, range)| format!("{}:{}", &part.class()[2..], &text[range.clone()]))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn each_language_marks_what_is_certain() {
        assert_eq!(
            marked("sh", "sudo apt-get install -y jq # now\necho \"$HOME\" | grep 'x y'"),
            "name:sudo name:apt-get comment:# now name:echo text:\"$HOME\" name:grep text:'x y'"
        );
        assert_eq!(
            marked("sh", "for i in 1 2; do echo $i; done"),
            "word:for word:in number:1 number:2 word:do name:echo variable:$i word:done"
        );
        assert_eq!(marked("sh", "cat <<EOF > a\nif x\nEOF\nls"), "name:cat text:if x name:ls");
        assert_eq!(marked("console", "$ ls -l\ntotal 0"), "prompt:$ name:ls output:total 0");
        assert_eq!(
            marked("dockerfile", "FROM a AS b\n# c\nRUN echo hi"),
            "word:FROM word:AS comment:# c word:RUN name:echo"
        );
        assert_eq!(
            marked("yaml", "a: 1 # x\nb:\n  - c: \"d\"\ne: |\n  f: g\nh: true"),
            "key:a number:1 comment: # x key:b key:c text:\"d\" key:e text:  f: g key:h word:true"
        );
        assert_eq!(marked("json", "{\"a\": [\"b\", 1, null]}"), "key:\"a\" text:\"b\" number:1 word:null");
        assert_eq!(marked("ini", "[a]\n# b\nc = \"d\""), "word:[a] comment:# b key:c text:\"d\"");
        assert_eq!(
            marked("go", "func main() { fmt.Println(\"x\", 0x1f) } // y"),
            "word:func name:main name:Println text:\"x\" number:0x1f comment:// y"
        );
        assert_eq!(
            marked("python", "def f(x):\n  '''a\n  b'''\n  return 1"),
            "word:def name:f text:'''a\n  b''' word:return number:1"
        );
        assert_eq!(
            marked("c", "#include <a.h>\nint x = 'a'; /* b */"),
            "word:#include word:int text:'a' comment:/* b */"
        );
    }

    #[test]
    fn only_the_certain_is_guessed() {
        let guessed = |text: &str| {
            Language::certain(text).map(|language| format!("{language:?}").chars().take(4).collect::<String>())
        };
        assert_eq!(guessed("{\"a\": 1}").as_deref(), Some("Json"));
        assert_eq!(guessed("FROM debian\nRUN ls").as_deref(), Some("Dock"));
        assert_eq!(guessed("apiVersion: v1\nkind: Pod").as_deref(), Some("Yaml"));
        assert_eq!(guessed("$ ls\na b").as_deref(), Some("Cons"));
        for text in ["hello", "a: b", "{not json}", "FROM here on", "total 12", "", "# ls"] {
            assert_eq!(guessed(text), None, "{text}");
        }
    }

    #[test]
    fn a_lit_line_keeps_its_colours_and_a_part_over_two_lines_is_marked_in_both() {
        let html = html("a: 'b\nc'", Language::named("js"), &[2..=2]);
        assert_eq!(html, "a: <span class=\"t-text\">'b</span>\n<mark>c<span class=\"t-text\">'</span></mark>");
    }

    proptest! {
        #[test]
        fn no_letter_is_changed(text in "[ -~\n\té日{}'\"`$#\\\\/*:<&-]{0,120}", name in prop::sample::select(NAMES.to_vec())) {
            let html = html(&text, Language::named(name), &[2..=3]);
            prop_assert_eq!(text_of(&html), text);
        }
    }

    #[test]
    fn what_is_made_to_be_slow_is_not() {
        for piece in
            ["'", "\"", "$(", "${", "<<E\n", "/*", "'''", "`", "- ", "a: |\n", "$ ", "RUN ", "#", "\\", "[", "a("]
        {
            let text = piece.repeat(COLOURED_BYTES_MAX / piece.len());
            let begun = std::time::Instant::now();
            NAMES.iter().for_each(|name| drop(html(&text, Language::named(name), &[])));
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{piece:?} took {:?}", begun.elapsed());
        }
    }
}
