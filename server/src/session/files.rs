//! Files of the machine that a lesson shows or writes, by its own actions.
//!
//! Both happen inside, by a shell in the learner's own group: no path of the machine is ever followed from outside, and
//! whatever the learner's root has put in a file's place, a directory, a fifo, a link, is met as the learner would meet it.

use std::time::Duration;

use quayside_runtime::shim::protocol::{Exec, Finished, Group};
use serde::Serialize;

use super::check::plain;
use crate::lesson::model::{FileTarget, WriteHow};
use crate::sandbox::{Sandbox, ShimError, in_home};

/// What is shown of a file; more than anybody reads beside a terminal.
pub const SHOWN_BYTES_MAX: u64 = 256 << 10;

/// How long reading or writing may take: a file system of the learner's own may answer never.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub path: String,
    /// In bytes, of the whole file.
    pub size: u64,
    /// `None`: it is no text.
    pub text: Option<String>,
    /// The text is its beginning only.
    pub cut: bool,
}

/// Why a file cannot be shown or written.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// In words for the learner.
    #[error("{0}")]
    Said(String),
    #[error("The machine could not be asked: {0}.")]
    Machine(#[from] ShimError),
}

/// First a line with the size, then the beginning. Exit codes 3 to 6 say what it is instead.
const READ: &str = r#"
file=$1
[ -e "$file" ] || exit 3
[ -d "$file" ] && exit 4
[ -f "$file" ] || exit 5
[ -r "$file" ] || exit 6
stat -Lc %s -- "$file" || exit 7
head -c "$2" -- "$file"
"#;

/// The new text comes on standard input. Only builtins beside `mkdir` and `cat`.
const WRITE: &str = r#"
file=$1 how=$2 marker=$3
[ -d "$file" ] && exit 4
[ -e "$file" ] && [ ! -f "$file" ] && exit 5
case $file in */*) mkdir -p -- "${file%/*}" || exit ;; esac
IFS= read -r -d '' text
old=
[ "$how" != replace ] && [ -e "$file" ] && IFS= read -r -d '' old < "$file"
case $how in
  replace) new=$text ;;
  append) [ -n "$old" ] && [ "${old%$'\n'}" = "$old" ] && old+=$'\n'; new=$old$text ;;
  prepend) new=$text$old ;;
  insert)
    case $old in *"$marker"*) ;; *) exit 8 ;; esac
    new=${old%%"$marker"*}${text%$'\n'}${old#*"$marker"} ;;
esac
printf '%s' "$new" > "$file"
"#;

/// Reads the file at `path`.
pub async fn read(sandbox: &Sandbox, path: &str) -> Result<Shown, Trouble> {
    let limit = SHOWN_BYTES_MAX.to_string();
    // The line with the size comes on top.
    let exec = Exec {
        output_max: SHOWN_BYTES_MAX + 64,
        timeout_ms: PATIENCE.as_millis() as u64,
        ..in_home(["bash", "{script}", path, limit.as_str()], Group::Payload)
    };
    let (finished, out, said) = run(sandbox, exec, READ.as_bytes()).await?;
    if finished.code != 0 || finished.timed_out {
        return Err(Trouble::Said(why_not(&finished, path, &said)));
    }
    let split = out.iter().position(|&byte| byte == b'\n').unwrap_or(out.len());
    let (head, content) = (&out[..split], out.get(split + 1..).unwrap_or_default());
    let size: u64 = std::str::from_utf8(head).ok().and_then(|size| size.parse().ok()).unwrap_or(content.len() as u64);
    let cut = content.len() as u64 >= SHOWN_BYTES_MAX && size > SHOWN_BYTES_MAX;
    Ok(Shown { path: path.to_owned(), size, text: text_of(content, cut), cut })
}

/// Writes `text` as an action asks.
pub async fn write(sandbox: &Sandbox, target: &FileTarget, how: WriteHow, text: &str) -> Result<(), Trouble> {
    let word = match how {
        WriteHow::Replace => "replace",
        WriteHow::Append => "append",
        WriteHow::Prepend => "prepend",
        WriteHow::Insert => "insert",
    };
    let exec = Exec {
        script_is_stdin: true,
        output_max: 4096,
        timeout_ms: PATIENCE.as_millis() as u64,
        ..in_home(["bash", "-c", WRITE, "bash", &target.path, word, &target.marker], Group::Payload)
    };
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let (finished, _, said) = run(sandbox, exec, text.as_bytes()).await?;
    match finished.code {
        0 if !finished.timed_out => Ok(()),
        8 => Err(Trouble::Said(format!(
            "“{}” is not in {}, so there is no place for the text.",
            target.marker, target.path
        ))),
        _ => Err(Trouble::Said(why_not(&finished, &target.path, &said))),
    }
}

/// How it ended, its standard output, and what it said on standard error.
async fn run(sandbox: &Sandbox, exec: Exec, script: &[u8]) -> Result<(Finished, Vec<u8>, String), ShimError> {
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let running = async {
        let run = sandbox.exec(exec, script).await?;
        run.finish(
            |stream, bytes| if stream == 1 { out.extend_from_slice(bytes) } else { said.extend_from_slice(bytes) },
        )
        .await
    };
    let finished = tokio::time::timeout(PATIENCE * 2, running).await.map_err(|_| ShimError::Slow)??;
    Ok((finished, out, plain(&String::from_utf8_lossy(&said)).trim().to_owned()))
}

fn why_not(finished: &Finished, path: &str, said: &str) -> String {
    match finished.code {
        _ if finished.timed_out => format!("{path} did not answer within {} seconds.", PATIENCE.as_secs()),
        3 => format!("There is no file {path} yet."),
        4 => format!("{path} is a directory."),
        5 => format!("{path} is not a regular file."),
        6 => format!("{path} cannot be read."),
        code if said.is_empty() => format!("{path}: the shell ended with exit code {code}."),
        _ => said.to_owned(),
    }
}

/// The content as text, if it is one. The cut may have gone through a letter.
fn text_of(content: &[u8], cut: bool) -> Option<String> {
    if content.contains(&0) {
        return None;
    }
    match std::str::from_utf8(content) {
        Ok(text) => Some(text.to_owned()),
        Err(error) if cut && content.len() - error.valid_up_to() < 4 => {
            Some(String::from_utf8_lossy(&content[..error.valid_up_to()]).into_owned())
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_cut_through_a_letter_and_what_is_none_is_not_shown() {
        assert_eq!(text_of("é".as_bytes(), false).as_deref(), Some("é"));
        assert_eq!(text_of(&"aé".as_bytes()[..2], true).as_deref(), Some("a"));
        assert_eq!(text_of(&"aé".as_bytes()[..2], false), None);
        assert_eq!(text_of(b"a\0b", false), None);
    }
}
