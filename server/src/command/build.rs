//! `quayside build`: an image from a Dockerfile.

mod given;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use nix::sys::signal::{SigSet, Signal};
use quayside_runtime::build::event::Event;
use quayside_runtime::build::plan::Wishes;
use quayside_runtime::build::scope::{Inputs, Platform};
use quayside_runtime::build::show;
use quayside_runtime::build::show::legacy::Legacy;
use quayside_runtime::build::show::plain::Plain;
use quayside_runtime::build::show::tty::{Frame, Size, Tty};
use quayside_runtime::build::solve::{self, BuildError, Job, STAGES_AT_ONCE, Stop, Tools};
use quayside_runtime::build::steps::caches;
use quayside_runtime::build::steps::request::Network;
use quayside_runtime::container::Runner;
use quayside_runtime::image::{Image, ImageError, Progress, Reference, Sources, Store, catalogue, oci};
use quayside_runtime::sys::window_size;

use given::Given;

use super::Data;
use crate::config::passed_on;

/// What a build that was stopped exits with, as shells have it for SIGINT.
const STOPPED: i32 = 130;

/// How often a live view is drawn: often enough to look alive, rarely enough to cost nothing.
const FRAME: Duration = Duration::from_millis(100);

/// Docker's own limit of a secret.
const SECRET_MAX_BYTES: u64 = 500 * 1024;

#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    data: Data,
    /// The Dockerfile, if it is not DIR/Dockerfile; `-` reads it from standard input. Of a context that is an archive, a
    /// file in it
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A name for the image; may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<Reference>,
    /// What is shown while it builds
    #[arg(long, value_enum, default_value = "auto")]
    progress: Form,
    /// A value for an ARG; without one, the variable's of this process
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_args: Vec<String>,
    /// The stage to build, by name or number; the last if not given
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Do every step, whatever is in the cache
    #[arg(long)]
    no_cache: bool,
    /// An image that may have steps of this build with it, from another machine or another time; may be given several
    /// times. Name only images that you trust: what they call a step's result is believed
    #[arg(long, value_name = "IMAGE")]
    cache_from: Vec<String>,
    /// How large a cache of `RUN --mount=type=cache` may be once a step has ended; a larger one is emptied
    #[arg(long, value_name = "BYTES", default_value_t = caches::MAX_BYTES)]
    cache_mount_max: u64,
    /// A label for the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// What the image is for: only this machine's platform is built
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// A secret for `RUN --mount=type=secret`: id=ID,src=FILE or id=ID,env=NAME
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
    /// An agent for `RUN --mount=type=ssh`: ID=SOCKET
    #[arg(long = "ssh", value_name = "ID=SOCKET")]
    agents: Vec<String>,
    /// The network of RUN
    #[arg(long, value_enum, default_value = "default")]
    network: NetworkOf,
    /// A line of /etc/hosts for RUN
    #[arg(long = "add-host", value_name = "NAME:ADDRESS")]
    hosts: Vec<String>,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Print what would be done, as JSON, and do nothing
    #[arg(long)]
    plan: bool,
    /// Print nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// The folder that the Dockerfile copies from; `-` reads it from standard input as an archive (tar, also compressed
    /// with gzip, xz or zstd), or a Dockerfile alone, which copies nothing
    #[arg(value_name = "DIR")]
    context: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// tty on a terminal, plain otherwise
    Auto,
    /// One line after the other
    Plain,
    /// A live view
    Tty,
    /// One event a line
    Json,
    /// As Docker's old builder wrote it, one stage after the other
    Legacy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NetworkOf {
    Default,
    None,
    Host,
}

impl Build {
    pub fn main(self) -> anyhow::Result<i32> {
        let settings = self.data.settings()?;
        let store = super::image::open(&self.data.images()?)?;
        let sources = super::sources(&settings.images)?;
        ensure!(nix::unistd::geteuid().is_root(), "a build makes containers, which only root may; use sudo");
        // A context that came as a stream is in the work until the build is over.
        let (given, _work) = Given::new(&self.context, self.file.as_deref(), &store)?;
        let job = self.job(given)?;
        let runner = Runner::new(&File::open("/proc/self/exe").context("cannot open this program")?)
            .context("cannot prepare to start containers")?;
        let stop = Arc::new(Stop::new().context("cannot prepare to be stopped")?);
        stop_when_told(stop.clone())?;
        let prepare = |name: &str, report: &mut dyn FnMut(Progress)| prepare(&store, name, &sources, report);
        let tools = Tools { store: &store, runner: &runner, prepare: &prepare, stop: &stop };
        if self.plan {
            let plan = solve::plan(&job, &tools, &|_| {})?;
            serde_json::to_writer_pretty(io::stdout(), &plan)?;
            println!();
            return Ok(0);
        }
        let built = self.show(|tell| solve::build(&job, &tools, tell));
        match built {
            Err(BuildError::Stopped) => {
                eprintln!("the build was stopped");
                Ok(STOPPED)
            }
            built => {
                let image = built?;
                if let Some(path) = &self.iidfile {
                    fs::write(path, image.id.to_string())
                        .with_context(|| format!("cannot write the image's id to {}", path.display()))?;
                }
                if self.quiet {
                    println!("{}", image.id);
                }
                Ok(0)
            }
        }
    }

    fn job(&self, given: Given) -> anyhow::Result<Job> {
        let host = oci::Platform::host();
        if let Some(wanted) = &self.platform {
            let short = format!("{}/{}", host.os, host.architecture);
            let same = *wanted == short || *wanted == host.to_string();
            ensure!(same, "cannot build for {wanted}: this machine is {short}, and nothing here imitates another");
        }
        let platform =
            Platform { os: host.os, architecture: host.architecture, variant: host.variant.unwrap_or_default() };
        let wishes = Wishes {
            inputs: Inputs {
                arguments: self.build_args.iter().filter_map(|text| argument(text)).collect(),
                target: self.target.clone(),
                build_platform: platform.clone(),
                target_platform: platform,
            },
            labels: self.labels.iter().map(|text| pair(text, '=')).collect(),
            network: match self.network {
                NetworkOf::Default => Network::Default,
                NetworkOf::None => Network::None,
                NetworkOf::Host => Network::Host,
            },
            extra_hosts: self.hosts.iter().map(|text| pair(text, ':')).collect(),
        };
        Ok(Job {
            dockerfile_name: given.dockerfile_name,
            dockerfile: given.dockerfile,
            context: given.context,
            is_passing: given.is_passing,
            ignore: given.ignore,
            wishes,
            names: self.tags.clone(),
            no_cache: self.no_cache,
            cache_from: self.cache_from.clone(),
            cache_mount_max_bytes: self.cache_mount_max,
            stages_at_once: if self.progress == Form::Legacy { 1 } else { STAGES_AT_ONCE },
            secrets: self.secrets.iter().map(|text| secret(text)).collect::<anyhow::Result<_>>()?,
            agents: self.agents.iter().map(|text| agent(text)).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Runs a build, and shows its events in the form that was asked for.
    fn show(
        &self,
        build: impl FnOnce(&(dyn Fn(Event) + Sync)) -> Result<Image, BuildError>,
    ) -> Result<Image, BuildError> {
        let form = match self.progress {
            Form::Auto if io::stderr().is_terminal() => Form::Tty,
            Form::Auto => Form::Plain,
            form => form,
        };
        // What cannot be written is nobody's to read; the build goes on.
        let out = |text: String| drop(io::stdout().write_all(text.as_bytes()));
        let err = |text: String| drop(io::stderr().write_all(text.as_bytes()));
        match form {
            _ if self.quiet => build(&|_| {}),
            Form::Tty | Form::Auto => live(build),
            Form::Plain => {
                let plain = Mutex::new(Plain::default());
                build(&|event| err(plain.lock().expect("showing does not panic").take(&event)))
            }
            Form::Legacy => {
                let legacy = Mutex::new(Legacy::default());
                build(&|event| out(legacy.lock().expect("showing does not panic").take(&event)))
            }
            Form::Json => {
                let order = Mutex::new(());
                build(&|event| {
                    let _order = order.lock().expect("showing does not panic");
                    out(show::json(&event));
                })
            }
        }
    }
}

/// A live view on standard error, drawn again and again until the build is over.
fn live(build: impl FnOnce(&(dyn Fn(Event) + Sync)) -> Result<Image, BuildError>) -> Result<Image, BuildError> {
    let view = Mutex::new(Tty::default());
    let began = Instant::now();
    let over = AtomicBool::new(false);
    let size = || {
        let (columns, rows) = window_size(io::stderr().as_fd()).unwrap_or((80, 24));
        Size { columns: columns.into(), rows: rows.into() }
    };
    let now_ms = || began.elapsed().as_millis() as u64;
    std::thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            let mut frame = Frame::default();
            let mut draw = |lines: &[String]| {
                drop(io::stderr().write_all(frame.draw(lines, size().columns).as_bytes()));
            };
            while !over.load(Ordering::Acquire) {
                let lines = view.lock().expect("showing does not panic").lines(now_ms(), size());
                draw(&lines);
                std::thread::park_timeout(FRAME);
            }
            let lines = view.lock().expect("showing does not panic").last_lines(now_ms(), size().columns);
            draw(&lines);
        });
        let built = build(&|event| view.lock().expect("showing does not panic").take(&event));
        over.store(true, Ordering::Release);
        drawing.thread().unpark();
        built
    })
}

/// Ctrl-C and SIGTERM stop a build, and a second one ends this process wherever it is: what it has begun ends with it, and
/// what it has written is whole or nothing. Called before there are other threads: all of them inherit that these signals wait
/// for the one that is started here.
fn stop_when_told(stop: Arc<Stop>) -> anyhow::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("cannot listen for Ctrl-C")?;
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            stop.stop();
        }
        if signals.wait().is_ok() {
            std::process::exit(STOPPED);
        }
    });
    Ok(())
}

/// An image of the catalogue, made ready if it is not; none if the catalogue does not have it.
fn prepare(
    store: &Store,
    name: &str,
    sources: &Sources,
    report: &mut dyn FnMut(Progress),
) -> Result<Option<Image>, ImageError> {
    let wanted: Reference = name.parse()?;
    let is_offered =
        catalogue::answering(&wanted).is_some() || sources.listed.iter().any(|listed| listed.is_called(&wanted));
    if is_offered { store.prepare(name, sources, report).map(Some) } else { Ok(None) }
}

/// `NAME=VALUE`, or `NAME` for the value that it has here.
fn argument(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => passed_on(text).map(|value| (text.to_owned(), value)),
    }
}

fn pair(text: &str, between: char) -> (String, String) {
    let (name, value) = text.split_once(between).unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn secret(text: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let fields: BTreeMap<&str, &str> = text.split(',').filter_map(|field| field.split_once('=')).collect();
    let Some(id) = fields.get("id") else { bail!("the secret {text:?} has no id; write id=ID,src=FILE") };
    let file = fields.get("src").or(fields.get("source"));
    let variable = fields.get("env").copied().unwrap_or(id);
    let bytes = match file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot open the secret {id} at {path}"))?;
            let mut bytes = Vec::new();
            file.take(SECRET_MAX_BYTES + 1).read_to_end(&mut bytes)?;
            bytes
        }
        None => passed_on(variable)
            .with_context(|| format!("the secret {id} has no file, and there is no variable {variable}"))?
            .into_bytes(),
    };
    ensure!(bytes.len() as u64 <= SECRET_MAX_BYTES, "the secret {id} has more than {SECRET_MAX_BYTES} bytes");
    Ok(((*id).to_owned(), bytes))
}

fn agent(text: &str) -> anyhow::Result<(String, PathBuf)> {
    let (id, socket) = text.split_once('=').unwrap_or((text, ""));
    let socket = match socket {
        "" => passed_on("SSH_AUTH_SOCK").context("there is no SSH_AUTH_SOCK; write --ssh ID=SOCKET")?,
        socket => socket.to_owned(),
    };
    Ok((id.to_owned(), PathBuf::from(socket)))
}
