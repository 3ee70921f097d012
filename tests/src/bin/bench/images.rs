//! Images and builds, beside a peer where one is installed: buildah for builds, `zcat | tar x` for a layer.
//!
//! Whole commands are timed, from their start to their end, as a person at a terminal sees them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use quayside_tests::figures::{Figures, ms};
use quayside_tests::needs;

/// A cached build is over before a clock's noise is; so it is done more often.
const CACHED_BUILDS: usize = 20;
/// The context of an uncached COPY: so many files of so many bytes are 200 MB.
const FILES: usize = 10_000;
const FILE_BYTES: usize = 20_000;
/// A layer's archive, before compression.
const LAYER_BYTES: usize = 150_000_000;
const NAMES: usize = 200;

/// Eight steps, of which the first needs an image.
const EIGHT_STEPS: &str = "FROM host\nWORKDIR /src\nENV MODE=release\nCOPY . .\nRUN cat main.txt > /built\n\
                           RUN mkdir -p /out && cp /built /out\nLABEL kind=example\nCMD [\"cat\", \"/out/built\"]\n";

pub struct Images {
    binary: PathBuf,
    room: tempfile::TempDir,
}

impl Images {
    pub fn new(binary: &Path) -> anyhow::Result<Self> {
        // Beside the service's data and not in /tmp, which may be memory: layers want a disk.
        Ok(Self { binary: fs::canonicalize(binary)?, room: tempfile::tempdir_in("/var/tmp")? })
    }

    pub fn measure(&self) -> anyhow::Result<()> {
        self.quayside(&["image", "prepare"], &["host"])?.print("image prepare host, on an empty store");
        self.cached_build()?;
        self.uncached_copy()?;
        self.unpack()?;
        self.list()?;
        self.recipe()
    }

    /// A Go program by four Dockerfiles: built, built again, and built after a change of one source file; and what its
    /// image weighs.
    pub fn go(&self) -> anyhow::Result<()> {
        const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/builds/go-example");
        if let Err(error) = self.quayside(&["image", "prepare"], &["golang"]) {
            println!("not measured: builds of a Go program: {error:#}");
            return Ok(());
        }
        for (dockerfile, target) in [
            ("Dockerfile", None),
            ("Dockerfile.modules-first", None),
            ("Dockerfile.cache-mounts", None),
            ("Dockerfile.multi-stage", Some("client")),
            ("Dockerfile.multi-stage", Some("server")),
        ] {
            let name = format!("bench-{}", target.unwrap_or(dockerfile).to_lowercase().replace("dockerfile", "go"));
            let context = self.room.path().join(&name);
            run(Command::new("cp").arg("-r").arg(EXAMPLE).arg(&context))?;
            // Sources of its own, or steps that two Dockerfiles have in common would be cached.
            let mut source = File::options().append(true).open(context.join("cmd/client/main.go"))?;
            writeln!(source, "// for {name}")?;
            let (file, at) = (context.join(dockerfile), context.to_str().context("a path of ours is text")?);
            let file = file.to_str().context("a path of ours is text")?;
            let stage = target.map(|target| ["--target", target]);
            let stage: &[&str] = stage.as_ref().map_or(&[], |stage| stage);
            let args = [&["-f", file, "-t", &name], stage, &[at]].concat();
            let took = || Ok::<_, anyhow::Error>(ms(self.quayside(&["build", "-q"], &args)?.took));
            let (first, again) = (took()?, took()?);
            writeln!(source, "// changed")?;
            let changed = took()?;
            let size = self.size(&name)?;
            let what = target.map_or(dockerfile.to_owned(), |target| format!("{dockerfile}, target {target}"));
            println!("go, {what}: first {first}, again {again}, after a change of one file {changed}, image {size}");
        }
        Ok(())
    }

    /// As `image ls` says it.
    fn size(&self, name: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        let output = command.args(["image", "ls", "--data"]).arg(self.room.path().join("data")).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = text.lines().find(|line| line.starts_with(&format!("{name}:"))).context("the image is not listed")?;
        Ok(row.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" "))
    }

    /// The same eight steps again, with nothing changed; and by buildah from the same base.
    fn cached_build(&self) -> anyhow::Result<()> {
        let context = self.room.path().join("eight");
        fs::create_dir_all(&context)?;
        fs::write(context.join("Dockerfile"), EIGHT_STEPS)?;
        fs::write(context.join("main.txt"), "hello\n")?;
        let build = ["build", "-q", "-t", "bench-eight"];
        let at = [context.to_str().context("a path of ours is text")?];
        self.quayside(&build, &at)?.print("build of eight steps, nothing cached");
        let mut ours = Figures::new();
        for _ in 0..CACHED_BUILDS {
            ours.add(self.quayside(&build, &at)?.took);
        }
        ours.print("build of eight steps, all cached");
        let Some(buildah) = self.buildah()? else { return Ok(()) };
        let arguments = ["--layers", "--isolation", "chroot", "-q", "-t", "bench-eight"];
        let mut theirs = Figures::new();
        buildah.build(&arguments, &context)?;
        for _ in 0..5 {
            theirs.add(buildah.build(&arguments, &context)?);
        }
        theirs.print("the same by buildah, all cached");
        let ratio = theirs.at(0.5).as_secs_f64() / ours.at(0.5).as_secs_f64();
        println!("a cached build here takes one part in {ratio:.0} of buildah's time");
        Ok(())
    }

    fn uncached_copy(&self) -> anyhow::Result<()> {
        let context = self.room.path().join("many");
        fill(&context)?;
        fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY . /\n")?;
        let at = [context.to_str().context("a path of ours is text")?];
        self.quayside(&["build", "-q", "-t", "bench-many"], &at)?.print("COPY of 10,000 files and 200 MB, not cached");
        let again = self.quayside(&["build", "-q", "-t", "bench-many"], &at)?;
        again.print("the same again, nothing changed: metadata alone");
        let Some(buildah) = self.buildah()? else { return Ok(()) };
        println!("the same COPY by buildah, not cached: {}", ms(buildah.build(&["-q", "-t", "bench-many"], &context)?));
        Ok(())
    }

    /// A layer of random words, which compress about as programs do.
    fn unpack(&self) -> anyhow::Result<()> {
        let tree = self.room.path().join("tree");
        fs::create_dir_all(&tree)?;
        for number in 0..LAYER_BYTES / 1_000_000 {
            words(&tree.join(number.to_string()), 1_000_000, number as u64)?;
        }
        let archive = self.room.path().join("layer.tar.gz");
        let path = archive.to_str().context("a path of ours is text")?;
        run(Command::new("tar").args(["-C", tree.to_str().context("text")?, "-czf", path, "."]))?;
        let size = fs::metadata(&archive)?.len();
        let ours = self.quayside(&["image", "import"], &[path, "bench-layer"])?;
        ours.print(&format!("a layer of 150 MB unpacked and hashed, from {:.0} MB of gzip", size as f64 / 1e6));
        let to = self.room.path().join("untarred");
        fs::create_dir_all(&to)?;
        let begin = Instant::now();
        run(Command::new("sh").arg("-c").arg(format!("zcat {path} | tar -C {} -x", to.display())))?;
        println!("the same by zcat | tar x: {}", ms(begin.elapsed()));
        Ok(())
    }

    fn list(&self) -> anyhow::Result<()> {
        let archive = self.room.path().join("small.tar");
        for number in 0..NAMES {
            let tree = self.room.path().join("small");
            fs::create_dir_all(&tree)?;
            fs::write(tree.join("number"), number.to_string())?;
            let path = archive.to_str().context("a path of ours is text")?;
            run(Command::new("tar").args(["-C", tree.to_str().context("text")?, "-cf", path, "."]))?;
            self.quayside(&["image", "import"], &[path, &format!("bench-list:{number}")])?;
        }
        self.quayside(&["image", "ls"], &[])?.print(&format!("image ls with {NAMES} images and more"));
        Ok(())
    }

    /// The learners' image from its packages: fetched, then once more with the packages at hand.
    fn recipe(&self) -> anyhow::Result<()> {
        match self.quayside(&["image", "prepare"], &["learner"]) {
            Ok(cold) => cold.print("image prepare learner, packages fetched"),
            Err(error) => {
                println!("not measured: the learners' image from its recipe: {error:#}");
                return Ok(());
            }
        }
        self.quayside(&["image", "rm"], &["learner"])?;
        self.quayside(&["image", "prepare"], &["learner"])?.print("image prepare learner, packages cached");
        Ok(())
    }

    fn quayside(&self, verb: &[&str], args: &[&str]) -> anyhow::Result<Run> {
        let mut command = Command::new(&self.binary);
        command.args(verb).arg("--data").arg(self.room.path().join("data")).args(args);
        let begin = Instant::now();
        let log = self.room.path().join("log");
        let child = command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::create(&log)?).spawn()?;
        let peak_kib = watch(child).with_context(|| {
            format!("{} {}: {}", verb.join(" "), args.join(" "), fs::read_to_string(&log).unwrap_or_default().trim())
        })?;
        Ok(Run { took: begin.elapsed(), peak_kib })
    }

    fn buildah(&self) -> anyhow::Result<Option<Buildah>> {
        if !needs::has_program("buildah") {
            println!("not measured: buildah beside it; it is not installed");
            return Ok(None);
        }
        let buildah = Buildah { root: self.room.path().join("buildah") };
        let archive = self.room.path().join("host.tar");
        let path = archive.to_str().context("a path of ours is text")?;
        if !archive.exists() {
            self.quayside(&["image", "save"], &["-o", path, "host"])?;
            run(buildah.command().args(["pull", "-q", &format!("docker-archive:{path}")]))?;
        }
        Ok(Some(buildah))
    }
}

/// One command that has ended well.
struct Run {
    took: Duration,
    peak_kib: u64,
}

impl Run {
    fn print(&self, what: &str) {
        println!("{what}: {}, at most {:.1} MiB of memory", ms(self.took), self.peak_kib as f64 / 1024.0);
    }
}

struct Buildah {
    root: PathBuf,
}

impl Buildah {
    /// With a store of its own, which goes with the benchmark's folder.
    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.root.join("root")).arg("--runroot").arg(self.root.join("run"));
        command.args(["--storage-driver", "vfs"]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn build(&self, arguments: &[&str], context: &Path) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let mut command = self.command();
        run(command.arg("bud").args(["--pull-never", "--network", "host"]).args(arguments).arg(context))?;
        Ok(begin.elapsed())
    }
}

/// Waits for a command's good end, and says how much memory it had at most, in KiB.
///
/// Looked at every few milliseconds: the kernel tells the peak only while the process is there (proc_pid_status(5), VmHWM).
fn watch(mut child: Child) -> anyhow::Result<u64> {
    const EVERY: Duration = Duration::from_millis(2);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak_kib = peak_kib.max(now.unwrap_or(0));
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "the command ended with {ended}");
            return Ok(peak_kib);
        }
        thread::sleep(EVERY);
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn fill(context: &Path) -> anyhow::Result<()> {
    for number in 0..FILES {
        let folder = context.join((number / 100).to_string());
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        words(&folder.join(number.to_string()), FILE_BYTES, number as u64)?;
    }
    Ok(())
}

/// A file of pseudo-random words (splitmix64), the same for the same seed.
fn words(path: &Path, bytes: usize, seed: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..bytes / 10 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        writeln!(file, "{:09x}", mixed >> 28)?;
    }
    Ok(file.flush()?)
}
