//! Reading a scenario's files: never a path that leads out of its folder, never more than a limit.
//!
//! A reference is resolved twice: as words, so that `../` may not climb past what it may see, and as the
//! disk sees it, so that a symbolic link may not either. It knows nothing of what the files mean.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::diagnostic::{SourceText, nearest};

/// A text that a person wrote to be read in a lesson: ten times the longest of the 226 public scenarios that the loader
/// was tried on.
pub const TEXT_BYTES_MAX: u64 = 256 << 10;

/// A script is sent into the machine through memory.
pub const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// One asset; Katacoda allowed 1 MiB, and 13 assets of public scenarios have more.
pub const ASSET_BYTES_MAX: u64 = 32 << 20;

/// One picture, sent to every learner who opens the page.
pub const IMAGE_BYTES_MAX: u64 = 8 << 20;

/// Names read from one directory to guess what was meant.
const NEIGHBOURS_MAX: usize = 1000;

/// Why a file could not be had. The words follow "`intro.md`".
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("does not exist")]
    Missing { meant: Option<String> },
    #[error("lies outside {allowed}")]
    Outside { allowed: &'static str },
    #[error("is not a file")]
    NotAFile,
    #[error("has {bytes} bytes; at most {limit} are read")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

impl Unreadable {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { meant } => meant.as_ref().map(|name| format!("did you mean `{name}`?")),
            Self::Outside { allowed } => Some(format!("copy the file into {allowed}")),
            Self::TooLarge { .. } => Some("make it smaller, or make it in a background script".into()),
            Self::NotAFile | Self::Io(_) => None,
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { meant: None },
            _ => Self::Io(error),
        }
    }
}

/// Missing files of one scenario for which a similar name is looked for: more are not a typo.
const GUESSES_MAX: usize = 100;

/// How far a reference may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The scenario's own folder: texts, scripts, assets.
    Scenario,
    /// The repository that it came with: images, which scenarios share.
    Repository,
}

/// One scenario's folder. Remembers what was read of it: that is the scenario's version.
#[derive(Debug)]
pub struct Folder {
    /// What names in messages are relative to.
    lessons: PathBuf,
    root: PathBuf,
    dir: PathBuf,
    read: BTreeMap<String, [u8; 32]>,
    guesses: Cell<usize>,
}

impl Folder {
    /// `lessons` holds `root`, the repository, which holds `dir`, the scenario.
    pub fn open(lessons: &Path, root: &Path, dir: &Path) -> io::Result<Self> {
        let (lessons, root, dir) = (lessons.canonicalize()?, root.canonicalize()?, dir.canonicalize()?);
        if !dir.starts_with(&root) {
            return Err(io::Error::other("the scenario lies outside its repository"));
        }
        Ok(Self { lessons, root, dir, read: BTreeMap::new(), guesses: Cell::new(0) })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path as messages name it: relative to the lessons' folder.
    pub fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.lessons).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Where `reference`, written in a file of the directory `from`, leads. A leading `/` means the top of
    /// what it may reach.
    pub fn resolve(&self, from: &Path, reference: &str, reach: Reach) -> Result<PathBuf, Unreadable> {
        let (top, allowed) = match reach {
            Reach::Scenario => (&self.dir, "the scenario's folder"),
            Reach::Repository => (&self.root, "the repository"),
        };
        let start = if reference.starts_with('/') { top } else { from };
        let path = beneath(top, start, reference).ok_or(Unreadable::Outside { allowed })?;
        let real = path.canonicalize().map_err(|error| self.with_guess(error.into(), &path))?;
        if !real.starts_with(top) {
            return Err(Unreadable::Outside { allowed });
        }
        // Anything but a file (a directory, a fifo that would block for ever) is refused before it is opened.
        if real.metadata()?.is_file() { Ok(real) } else { Err(Unreadable::NotAFile) }
    }

    fn with_guess(&self, error: Unreadable, path: &Path) -> Unreadable {
        match error {
            Unreadable::Missing { .. } if self.guesses.get() < GUESSES_MAX => {
                self.guesses.set(self.guesses.get() + 1);
                Unreadable::Missing { meant: guess(path) }
            }
            other => other,
        }
    }

    /// Reads a resolved file, as part of the scenario's version.
    pub fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
        let bytes = read_bounded(path, limit)?;
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        self.read.insert(name, Sha256::digest(&bytes).into());
        Ok(bytes)
    }

    /// The names of everything read, relative to the repository.
    pub fn files(&self) -> Vec<String> {
        self.read.keys().cloned().collect()
    }

    /// sha256 over the names and contents of everything read.
    pub fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (name, content) in &self.read {
            sum.update(name.as_bytes());
            sum.update([0]);
            sum.update(content);
        }
        sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads a whole file, or refuses it by its size.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > limit {
        return Err(Unreadable::TooLarge { bytes, limit });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    // One byte more than allowed: a file that grew meanwhile is noticed, and not read to its end.
    file.take(limit + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        bytes if bytes > limit => Err(Unreadable::TooLarge { bytes, limit }),
        _ => Ok(content),
    }
}

/// What had to be put right to make text of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    pub not_utf8: bool,
    pub carriage_returns: bool,
}

/// The bytes as text: no byte-order mark, `\n` at the end of lines, nothing that HTML cannot carry.
pub fn decode(file: String, bytes: &[u8]) -> (SourceText, Tidied) {
    let decoded = String::from_utf8_lossy(bytes);
    let tidied = Tidied { not_utf8: std::str::from_utf8(bytes).is_err(), carriage_returns: bytes.contains(&b'\r') };
    let text = decoded.trim_start_matches('\u{feff}');
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    (SourceText { file, text }, tidied)
}

/// `reference` applied to `start` word by word; `None` when it climbs above `top`.
fn beneath(top: &Path, start: &Path, reference: &str) -> Option<PathBuf> {
    let mut path = start.to_path_buf();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." if path == top || !path.pop() => return None,
            ".." => {}
            name => path.push(name),
        }
    }
    path.starts_with(top).then_some(path)
}

/// A name in the same directory that differs by case or by a letter or two.
fn guess(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let entries = fs::read_dir(path.parent()?).ok()?.take(NEIGHBOURS_MAX);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let scenario = home.path().join("repo/one");
        fs::create_dir_all(scenario.join("img")).unwrap();
        fs::write(scenario.join("intro.md"), "hello").unwrap();
        fs::write(home.path().join("repo/shared.png"), "picture").unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../../secret", scenario.join("leak.md")).unwrap();
        std::os::unix::fs::symlink("intro.md", scenario.join("link.md")).unwrap();
        home
    }

    fn folder(home: &Path) -> Folder {
        Folder::open(home, &home.join("repo"), &home.join("repo/one")).unwrap()
    }

    fn outcome(home: &Path, reference: &str, reach: Reach) -> String {
        let folder = folder(home);
        match folder.resolve(folder.dir(), reference, reach) {
            Ok(path) => folder.name_of(&path),
            Err(error) => format!("{error} {}", error.hint().unwrap_or_default()),
        }
    }

    #[test]
    fn a_reference_stays_in_the_folder_in_words_and_through_links() {
        let home = repository();
        let seen = |reference| outcome(home.path(), reference, Reach::Scenario);
        assert_eq!(seen("intro.md"), "repo/one/intro.md");
        assert_eq!(seen("/./img/../intro.md"), "repo/one/intro.md");
        assert_eq!(seen("link.md"), "repo/one/intro.md");
        for outside in ["../shared.png", "../../secret", "img/../../../secret", "leak.md", "/../one/intro.md"] {
            assert!(seen(outside).starts_with("lies outside the scenario's folder"), "{outside}: {}", seen(outside));
        }
        assert!(seen("img").starts_with("is not a file"));
    }

    #[test]
    fn a_picture_may_come_from_the_repository_and_no_further() {
        let home = repository();
        assert_eq!(outcome(home.path(), "../shared.png", Reach::Repository), "repo/shared.png");
        assert_eq!(outcome(home.path(), "/shared.png", Reach::Repository), "repo/shared.png");
        assert!(outcome(home.path(), "../../secret", Reach::Repository).starts_with("lies outside the repository"));
    }

    #[test]
    fn a_missing_file_is_guessed_and_a_large_one_refused() {
        let home = repository();
        assert_eq!(outcome(home.path(), "Intro.md", Reach::Scenario), "does not exist did you mean `intro.md`?");
        let mut folder = folder(home.path());
        let path = folder.resolve(folder.dir(), "intro.md", Reach::Scenario).unwrap();
        assert!(matches!(folder.read(&path, 4), Err(Unreadable::TooLarge { bytes: 5, limit: 4 })));
    }
}
