//! What a build is given: a Dockerfile, a context, and what is left out of it. From a folder, or from standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::fcntl::OFlag;
use quayside_runtime::build::context::stream::{self, Arrived};
use quayside_runtime::build::{ignore, syntax};
use quayside_runtime::image::Store;
use quayside_runtime::image::store::Work;

/// What standard input is called in messages.
const STDIN: &str = "standard input";

pub struct Given {
    /// For messages.
    pub dockerfile_name: String,
    pub dockerfile: Vec<u8>,
    /// None if the Dockerfile came alone.
    pub context: Option<PathBuf>,
    /// The context came as a stream, and is gone with the work.
    pub is_passing: bool,
    /// The file's name and bytes.
    pub ignore: Option<(String, Vec<u8>)>,
}

impl Given {
    /// `context` is a folder or `-`; `file` the Dockerfile, if it was named. What came as a stream is there for as long as
    /// the work is kept.
    pub fn new(context: &Path, file: Option<&Path>, store: &Store) -> anyhow::Result<(Self, Option<Work>)> {
        let stdin = Path::new("-");
        match (context == stdin, file) {
            (true, Some(file)) if file == stdin => {
                Ok((Self::alone(read_limited(io::stdin(), syntax::FILE_MAX_BYTES, STDIN)?), None))
            }
            (true, file) => {
                let work = store.work()?;
                Ok((Self::of_stream(file, &work)?, Some(work)))
            }
            (false, file) => Ok((Self::of_folder(context, file)?, None)),
        }
    }

    fn alone(dockerfile: Vec<u8>) -> Self {
        Self { dockerfile_name: STDIN.into(), dockerfile, context: None, is_passing: false, ignore: None }
    }

    fn of_folder(context: &Path, file: Option<&Path>) -> anyhow::Result<Self> {
        let context = context
            .canonicalize()
            .with_context(|| format!("cannot find the context {}; name a folder", context.display()))?;
        let (dockerfile_name, dockerfile, beside) = match file {
            Some(path) if path == Path::new("-") => {
                (STDIN.into(), read_limited(io::stdin(), syntax::FILE_MAX_BYTES, STDIN)?, None)
            }
            file => {
                let path = file.map_or_else(|| context.join("Dockerfile"), Path::to_owned);
                let shown = path.display().to_string();
                let open = File::open(&path).with_context(|| format!("cannot open {shown}; name another by -f"))?;
                (last_of(&path), read_limited(open, syntax::FILE_MAX_BYTES, &shown)?, Some(path))
            }
        };
        let ignore = ignore_file(&context, beside.as_deref())?;
        Ok(Self { dockerfile_name, dockerfile, context: Some(context), is_passing: false, ignore })
    }

    /// Nothing of it is read but beneath its own folder: it may be anybody's.
    fn of_stream(file: Option<&Path>, work: &Work) -> anyhow::Result<Self> {
        let context = work.file();
        fs::create_dir(&context).with_context(|| format!("cannot make {}", context.display()))?;
        if let Arrived::Dockerfile(text) = stream::take(io::stdin(), STDIN, &context)? {
            if let Some(file) = file {
                bail!(
                    "standard input is a Dockerfile, and -f names another ({}); leave one of them out",
                    file.display()
                );
            }
            ensure!(!text.is_empty(), "standard input is empty; it is to be an archive or a Dockerfile");
            return Ok(Self::alone(text));
        }
        let path = file.unwrap_or(Path::new("Dockerfile"));
        let read = |path: &Path, max: usize| {
            stream::file(&context, path, max).with_context(|| format!("cannot read {} of the archive", path.display()))
        };
        let dockerfile = read(path, syntax::FILE_MAX_BYTES)?
            .with_context(|| format!("the archive has no {}; name another of its files by -f", path.display()))?;
        let own = PathBuf::from(format!("{}.dockerignore", path.display()));
        let mut ignore = None;
        for path in [own, PathBuf::from(".dockerignore")] {
            if ignore.is_none() {
                ignore = read(&path, ignore::FILE_MAX_BYTES)?.map(|bytes| (last_of(&path), bytes));
            }
        }
        Ok(Self { dockerfile_name: last_of(path), dockerfile, context: Some(context), is_passing: true, ignore })
    }
}

/// `Dockerfile.dockerignore` beside the Dockerfile wins over `.dockerignore` in the context, as in Docker.
fn ignore_file(context: &Path, dockerfile: Option<&Path>) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let own = dockerfile.map(|path| PathBuf::from(format!("{}.dockerignore", path.display())));
    for path in own.into_iter().chain([context.join(".dockerignore")]) {
        let shown = path.display().to_string();
        // A pipe of a stranger's context is not waited for, and a link to a device not read without end.
        let open = fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
        let file = match open {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        ensure!(file.metadata()?.is_file(), "cannot read {shown}: it is no file; remove it, or put patterns into it");
        return Ok(Some((last_of(&path), read_limited(file, ignore::FILE_MAX_BYTES, &shown)?)));
    }
    Ok(None)
}

fn last_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// One byte more than may be, so that whoever looks at it says that it is too long.
fn read_limited(from: impl Read, max: usize, shown: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    Ok(bytes)
}
