//! `COPY` and `ADD`.

use crate::build::source::{Problem, Word};
use crate::build::syntax::{Mark, words};

use super::flags::Flags;
use super::read::Reader;
use super::{Add, Copy, Files, Inline, Source};

pub(super) fn copy(reader: &mut Reader<'_>) -> Result<Copy, Problem> {
    let flags = reader.flags(&["from", "chown", "chmod", "link", "exclude", "parents"])?;
    let from = flags.value("from").filter(|from| !from.text.is_empty());
    if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
        return Err(Problem::new(from.at, "--from cannot hold a variable")
            .advise("give the image a name with FROM … AS name, and copy from that"));
    }
    Ok(Copy { files: files(reader, &flags)?, from, parents: flags.switch("parents").unwrap_or(false) })
}

pub(super) fn add(reader: &mut Reader<'_>) -> Result<Add, Problem> {
    let flags = reader.flags(&["chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"])?;
    Ok(Add {
        files: files(reader, &flags)?,
        checksum: flags.value("checksum").filter(|checksum| !checksum.text.is_empty()),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

fn files(reader: &mut Reader<'_>, flags: &Flags) -> Result<Files, Problem> {
    let is_array = words::array(reader.rest()).is_some();
    let mut words = reader.list()?;
    if !is_array && !reader.node.heredocs.is_empty() {
        words = rejoin_marks(words);
    }
    let target = match words.pop() {
        Some(target) if !words.is_empty() => target,
        _ => return Err(reader.problem("needs a source and a target")),
    };
    if !is_array && Mark::parse(&target.text).is_some() {
        return Err(Problem::new(target.at, format!("{} cannot have a heredoc as its target", reader.name)));
    }
    let source = |word: Word| match Mark::parse(&word.text).filter(|_| !is_array) {
        Some(mark) => inline(reader, mark, &word),
        None => Ok(Source::Path(word)),
    };
    Ok(Files {
        sources: words.into_iter().map(source).collect::<Result<_, _>>()?,
        target,
        chown: flags.value("chown").filter(|chown| !chown.text.is_empty()),
        chmod: flags.value("chmod").filter(|chmod| !chmod.text.is_empty()),
        link: flags.switch("link").unwrap_or(false),
        excludes: flags.values("exclude").collect(),
    })
}

/// `<< EOF` are two words between blanks, and one mark.
fn rejoin_marks(words: Vec<Word>) -> Vec<Word> {
    let mut joined: Vec<Word> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(mark) if matches!(mark.text.trim_start_matches(|c: char| c.is_ascii_digit()), "<<" | "<<-") => {
                mark.text.push_str(&word.text);
                mark.at.end = word.at.end;
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// The body that belongs to a mark. If two have one name, Docker takes the later body for both.
fn inline(reader: &Reader<'_>, mark: Mark, word: &Word) -> Result<Source, Problem> {
    let heredoc = reader.node.heredocs.iter().rev().find(|heredoc| heredoc.mark.name == mark.name);
    let Some(heredoc) = heredoc else {
        let message = format!("{word} looks like a heredoc, and no shell would read it as one");
        return Err(Problem::new(word.at, message).advise("look for a quote that is not closed"));
    };
    let body = Word::new(heredoc.content(), heredoc.body.at);
    Ok(Source::Inline(Inline { name: mark.name, body, expands: mark.expands }))
}
