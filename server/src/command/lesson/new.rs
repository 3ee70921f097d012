//! `quayside lesson new`: a small lesson that is sound, to be changed into another.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

#[derive(Debug, Args)]
pub struct New {
    /// The folder to make; its name becomes the lesson's address and title
    dir: PathBuf,
}

/// Every file of it. The texts say what belongs in their place.
const FILES: [(&str, &str); 8] = [
    ("index.json", include_str!("sample/index.json")),
    ("intro.md", include_str!("sample/intro.md")),
    ("setup.sh", include_str!("sample/setup.sh")),
    ("step1/text.md", include_str!("sample/step1/text.md")),
    ("step1/hint.md", include_str!("sample/step1/hint.md")),
    ("step1/solution.sh", include_str!("sample/step1/solution.sh")),
    ("step1/verify.sh", include_str!("sample/step1/verify.sh")),
    ("finish.md", include_str!("sample/finish.md")),
];

impl New {
    pub fn main(self) -> anyhow::Result<i32> {
        let dir = &self.dir;
        let is_free = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none()) && !dir.is_file();
        ensure!(is_free, "{} is there already and not empty; name a folder that is not", dir.display());
        let title = title_of(dir).with_context(|| format!("cannot call a lesson {}", dir.display()))?;
        for (name, text) in FILES {
            write(&dir.join(name), &text.replace("TITLE", &title))
                .with_context(|| format!("cannot write {}", dir.join(name).display()))?;
        }
        let shown = dir.display();
        println!("{shown} is a lesson now, of {} files. Change them, and ask:", FILES.len());
        println!("  quayside lesson lint {shown}                what is wrong with it");
        println!("  sudo quayside lesson test --type {shown}    whether its checks can be passed");
        println!("  sudo quayside serve --lessons {shown}       how it looks");
        Ok(0)
    }
}

/// `find-a-file`: `Find a file`. A quote or a backslash would not be JSON any more.
fn title_of(dir: &Path) -> anyhow::Result<String> {
    let name = dir.file_name().and_then(|name| name.to_str()).context("its name is no text")?;
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_. ".contains(letter);
    ensure!(name.chars().all(is_plain), "its name should have letters, digits, `-`, `_` and `.` only");
    let words = name.replace(['-', '_'], " ");
    let mut letters = words.trim().chars();
    let first = letters.next().context("its name has no letter")?;
    Ok(first.to_uppercase().chain(letters).collect())
}

/// Never over a file that is there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    File::create_new(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_lesson_is_sound_and_nothing_is_written_over() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("find-a-file");
        assert_eq!(New { dir: dir.clone() }.main().expect("made"), 0);
        let library = crate::lesson::load_library(&dir);
        let remarks = crate::lesson::lint::remarks(&library, &dir);
        assert!(remarks.is_empty(), "{remarks:?}");
        assert_eq!(library.courses[0].items[0].title(), "Find a file");
        let again = New { dir }.main().expect_err("it is there");
        assert!(again.to_string().contains("there already and not empty"), "{again}");
        for name in ["a\"b", "..", "--"] {
            assert!(New { dir: home.path().join(name) }.main().is_err(), "{name}");
        }
    }
}
