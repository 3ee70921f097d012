//! Go's build cache with the standard library compiled, where root's builds look for it.
//!
//! Since Go 1.20 a toolchain brings the standard library as source, and the first build in a fresh container compiles what
//! it needs of it: half a minute and more of a classroom's machine, for each learner. The toolchain of the layers below does
//! it once, here, and the cache becomes a layer.
//!
//! Go finds a result by what it was made of: sources, compiler, settings, and no times. Two things of the cache are of the
//! moment nevertheless. Each entry of its index notes when it was made, which is put to one time, so that the layer is
//! the same wherever it is made. And a build marks what it uses by the file's time when that is an hour old, and removes
//! what is five days old: on an overlay that would copy the whole cache into the layer of the first `RUN go build`. So
//! all files have a time that is still to come ([`AHEAD`]).

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::RecipeError;
use crate::image::beneath::{Meta, Name, Root};
use crate::image::debian::{TIME, Tree, Workshop, dress_directories};
use crate::image::errand::{Errand, Errands};
use std::collections::BTreeMap;

/// Where `go` looks as root when GOCACHE is not set.
const CACHE: &str = "root/.cache/go-build";

/// All of it, so that no build compiles any of it again. At the lowest priority: a class may be at work meanwhile.
const COMMAND: &[&str] = &["sh", "-c", "renice -n 19 -p $$ && exec go build -v std"];

/// As in the image, but that nothing is fetched. What has a part in Go's keys (GOFLAGS, CGO_ENABLED, GOAMD64) is set
/// neither here nor there.
const ENV: &[(&str, &str)] = &[
    ("PATH", "/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("GOPATH", "/go"),
    ("GOTOOLCHAIN", "local"),
    ("GOPROXY", "off"),
];

/// 2037-01-01: later than any build, and the last year that every file system can write down.
const AHEAD: i64 = 2_114_380_800;

/// How many lines the command writes, one for each package, and how long one takes, in the bytes that are unpacked
/// meanwhile; both only for progress.
const PACKAGES: u64 = 270;
const PACKAGE_BYTES: u64 = 1_000_000;

/// For progress.
pub const EFFORT_BYTES: u64 = PACKAGES * PACKAGE_BYTES;

/// The longest entry of the index, and more.
const ENTRY_MAX_BYTES: u64 = 1024;

/// What it is made by, for the layer's key.
pub fn text() -> String {
    format!("{COMMAND:?} {ENV:?} {TIME} {AHEAD}")
}

/// What a layer is made with that is made by running what is below.
pub struct Bench<'a> {
    /// The layers below, bottom to top.
    pub layers: &'a [PathBuf],
    /// The layer's own folder.
    pub top: &'a Path,
    /// Who runs programs, if there is somebody.
    pub errands: Option<&'a dyn Errands>,
}

pub fn make(bench: &Bench, workshop: &Workshop, tree: &Tree) -> Result<(), RecipeError> {
    let failed = |source| RecipeError::Write { path: "/root/.cache/go-build", source };
    let errands = bench.errands.ok_or(RecipeError::NoErrands)?;
    let cache = Name::of(CACHE);
    tree.top.parents(&cache).and_then(|()| tree.top.directory(&cache, Meta::root(0o755, TIME), &[])).map_err(failed)?;
    workshop.meter.doing("compiling Go's standard library");
    let errand = Errand {
        name: "go-cache",
        layers: bench.layers,
        args: COMMAND,
        env: ENV,
        kept: (&bench.top.join(CACHE), &Path::new("/").join(CACHE)),
        scratch: &workshop.work().join("go-cache"),
    };
    let mut left = PACKAGES;
    let ran = errands.run(&errand, &mut |lines| {
        let counted = left.min(lines as u64);
        left -= counted;
        workshop.meter.add(counted * PACKAGE_BYTES);
    });
    ran.map_err(RecipeError::Errand)?;
    workshop.meter.add(left * PACKAGE_BYTES);
    settle(tree.top, &cache).and_then(|()| dress_directories(tree, &BTreeMap::new())).map_err(failed)
}

/// Takes out of a cache what is of the moment.
fn settle(root: &Root, cache: &Name) -> io::Result<()> {
    for part in root.list(cache)? {
        let child = cache.join(&part);
        let is_folder = rustix::fs::FileType::from_raw_mode(root.stat(&child)?.st_mode).is_dir();
        if is_folder {
            root.list(&child)?.iter().try_for_each(|file| settle_file(root, &child.join(file)))?;
        } else {
            // README comes again by itself, and when it was last swept is of the moment.
            root.remove(&child)?;
        }
    }
    Ok(())
}

fn settle_file(root: &Root, name: &Name) -> io::Result<()> {
    if name.as_path().as_os_str().as_encoded_bytes().ends_with(b"-a") {
        let mut text = String::new();
        root.read(name)?.take(ENTRY_MAX_BYTES).read_to_string(&mut text)?;
        let settled = entry(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{name} is no entry of an index as Go 1.21 writes it"))
        })?;
        root.remove(name)?;
        root.file(name, Meta::root(0o644, AHEAD), &[], &mut settled.as_bytes())?;
    }
    root.change(name, Meta::root(0o644, AHEAD), &[])
}

/// An entry of the index (`v1 ACTION OUTPUT SIZE TIME`, the last two 20 wide) with the time at which all of it was made.
fn entry(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.strip_suffix('\n')?.split_ascii_whitespace().collect();
    let [version @ "v1", action, output, size, time] = fields[..] else { return None };
    time.parse::<u64>().ok()?;
    let nanoseconds = TIME.checked_mul(1_000_000_000)?;
    let settled = format!("{version} {action} {output} {size:>20} {nanoseconds:>20}\n");
    (settled.len() == text.len()).then_some(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::catalogue;

    #[test]
    fn an_entry_of_the_index_loses_its_time_and_nothing_else() {
        let (action, output) = ("a".repeat(64), "b".repeat(64));
        let of = |time: &str| format!("v1 {action} {output} {:>20} {time:>20}\n", 571);
        let settled = entry(&of("1795824369830127622")).unwrap();
        assert_eq!(settled, entry(&of("1795824391847283904")).unwrap());
        assert_eq!(settled[..154], of("1795824369830127622")[..154]);
        assert_eq!(settled.len(), 175);
        for strange in ["", "v2 a b 1 2\n", &of("x"), of("1").trim_end(), &of("1").replace("  571", " 571")] {
            assert_eq!(entry(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_settled_cache_has_neither_moments_nor_what_is_rewritten_at_every_build() {
        let top = tempfile::tempdir().unwrap();
        let cache = top.path().join("cache");
        std::fs::create_dir_all(cache.join("0a")).unwrap();
        let line = format!("v1 {0} {0} {1:>20} {1:>20}\n", "a".repeat(64), 7);
        for (name, text) in [("trim.txt", "1"), ("README", "r"), ("0a/x-a", line.as_str()), ("0a/x-d", "compiled")] {
            std::fs::write(cache.join(name), text).unwrap();
        }
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root, to give files their owners");
        }
        settle(&Root::open(top.path()).unwrap(), &Name::of("cache")).unwrap();
        let left: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["0a"]);
        for name in ["0a/x-a", "0a/x-d"] {
            let file = std::fs::metadata(cache.join(name)).unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mtime(&file), AHEAD, "{name}");
        }
        assert_eq!(std::fs::read_to_string(cache.join("0a/x-a")).unwrap(), entry(&line).unwrap());
    }

    #[test]
    fn the_image_sets_nothing_that_would_make_go_look_for_other_results() {
        let golang = catalogue::find("golang").expect("it is in the catalogue");
        for name in ["GOCACHE", "GOFLAGS", "CGO_ENABLED", "GOAMD64", "GOEXPERIMENT", "GOROOT"] {
            let prefix = format!("{name}=");
            assert!(!golang.runs.env.iter().any(|line| line.starts_with(&prefix)), "{name}");
            assert!(!ENV.iter().any(|(key, _)| *key == name), "{name}");
        }
    }
}
