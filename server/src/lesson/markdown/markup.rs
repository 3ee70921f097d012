//! The HTML of actions, as the page's styles and script know it.
//!
//! The text to type or copy is the `<code>`'s text content, byte for byte.

use crate::lesson::model::{ActionVerb, Lack, Terminal, WriteHow};

/// Text for an element or a double-quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The inverse of [`escape`], and of what a serialiser writes for a no-break space.
pub fn unescape(html: &str) -> String {
    html.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&")
}

/// What fits beside the button of an action on a phone. A wider page has each command beside its buttons or above
/// them, as it fits (`actions.css`).
const ROW_LETTERS: usize = 32;

/// A block with an action, numbered on its page; `code` is the HTML of `text`.
///
/// A block keeps its height whatever its buttons say: where they stand follows from the command alone.
pub fn block(number: usize, verb: ActionVerb, text: &str, code: &str) -> String {
    let attributes = attributes(number, verb);
    let class = if text.contains('\n') || text.chars().count() > ROW_LETTERS { "act act--long" } else { "act" };
    match verb {
        ActionVerb::Run { terminal, interrupt, .. } => format!(
            "<div class=\"{class}\" {attributes}><span class=\"act__state\" aria-hidden=\"true\">$</span><pre><code>{code}</code></pre>\
             <div class=\"act__do\"><span class=\"act__say\" role=\"status\">{}</span>\
             <button type=\"button\" class=\"btn btn--quiet btn--icon act__copy\" aria-label=\"Copy\"><span class=\"i i-copy\" aria-hidden=\"true\"></span></button>\
             <button type=\"button\" class=\"btn btn--small go\">Run</button></div></div>",
            where_and_how(terminal, interrupt)
        ),
        ActionVerb::Copy | ActionVerb::Open | ActionVerb::Write(_) => format!(
            "<div class=\"{class}\" {attributes}><span class=\"act__state\" aria-hidden=\"true\"></span><pre><code>{code}</code></pre>\
             <div class=\"act__do\"><span class=\"act__say\" role=\"status\"></span>\
             <button type=\"button\" class=\"btn btn--small act__copy\">Copy</button></div></div>"
        ),
    }
}

/// A block that names a file to show.
pub fn open_block(number: usize, name: &str) -> String {
    let attributes = attributes(number, ActionVerb::Open);
    format!(
        "<div class=\"act\" {attributes}><span class=\"act__state\" aria-hidden=\"true\"><span class=\"i i-file\"></span></span><pre><code>{name}</code></pre>\
         <div class=\"act__do\"><span class=\"act__say\" role=\"status\"></span>\
         <button type=\"button\" class=\"btn btn--small go\">Open</button></div></div>"
    )
}

/// A text for a file of the machine, and the button that writes it there.
pub fn write_block(number: usize, how: WriteHow, name: &str, code: &str) -> String {
    let attributes = attributes(number, ActionVerb::Write(how));
    let name = escape(name);
    let short = name.rsplit('/').next().unwrap_or(&name);
    let does = match how {
        WriteHow::Replace => "Write to",
        WriteHow::Append => "Append to",
        WriteHow::Prepend => "Prepend to",
        WriteHow::Insert => "Insert into",
    };
    format!(
        "<div class=\"act act--file\" {attributes}><div class=\"act__head\"><span class=\"i i-file\" aria-hidden=\"true\"></span><span class=\"act__file\">{name}</span>\
         <span class=\"act__say\" role=\"status\"></span>\
         <button type=\"button\" class=\"btn btn--quiet btn--icon act__copy\" aria-label=\"Copy\"><span class=\"i i-copy\" aria-hidden=\"true\"></span></button>\
         <button type=\"button\" class=\"btn btn--small go\">{does} {short}</button></div><pre><code>{code}</code></pre></div>"
    )
}

/// An action within a line of text.
pub fn inline(number: usize, verb: ActionVerb, code: &str) -> String {
    let attributes = attributes(number, verb);
    format!("<button type=\"button\" class=\"act-inline\" {attributes}><code>{code}</code></button>")
}

/// Code without an action.
pub fn plain_block(language: &str, code: &str) -> String {
    match language {
        "" => format!("<pre class=\"code\"><code>{code}</code></pre>"),
        language => format!("<pre class=\"code\" data-lang=\"{}\"><code>{code}</code></pre>", escape(language)),
    }
}

pub fn plain_inline(code: &str) -> String {
    format!("<code>{code}</code>")
}

/// Something recognised that is missing, at its place; `html` is what the author wrote there.
pub fn lack(lack: &Lack, html: &str) -> String {
    format!("{}{html}{}", lack_start(lack), lack_end(lack))
}

pub fn lack_start(lack: &Lack) -> String {
    format!("<span class=\"lack\" data-lack=\"{}\">", escape(&lack.what))
}

pub fn lack_end(lack: &Lack) -> String {
    format!(" <small>not available here: {}</small></span>", escape(&lack.says))
}

fn attributes(number: usize, verb: ActionVerb) -> String {
    match verb {
        ActionVerb::Copy => format!("data-action=\"{number}\" data-do=\"copy\" data-is=\"idle\""),
        ActionVerb::Open => format!("data-action=\"{number}\" data-do=\"open\" data-is=\"idle\""),
        ActionVerb::Write(_) => format!("data-action=\"{number}\" data-do=\"write\" data-is=\"idle\""),
        ActionVerb::Run { terminal, interrupt, no_newline, ctrl_seq } => {
            let terminal = match terminal {
                Terminal::Active => "active".to_owned(),
                Terminal::Number(terminal) => terminal.to_string(),
            };
            let flag = |set, name| if set { name } else { "" };
            format!(
                "data-action=\"{number}\" data-do=\"run\" data-terminal=\"{terminal}\"{}{}{} data-is=\"idle\"",
                flag(interrupt, " data-interrupt"),
                flag(no_newline, " data-no-newline"),
                flag(ctrl_seq, " data-ctrl-seq"),
            )
        }
    }
}

fn where_and_how(terminal: Terminal, interrupt: bool) -> String {
    match (terminal, interrupt) {
        (Terminal::Number(number), false) => format!("Terminal {number}"),
        (Terminal::Number(number), true) => format!("Terminal {number}, Ctrl-C first"),
        (Terminal::Active, true) => "Ctrl-C first".into(),
        (Terminal::Active, false) => String::new(),
    }
}
