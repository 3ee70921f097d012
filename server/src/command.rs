//! The command line: what each subcommand is asked, and nothing of how it is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use quayside_runtime::cgroup::layout::Layout;
use quayside_runtime::cgroup::parent::Parent;
use quayside_runtime::cgroup::turns::Turns;
use quayside_runtime::container::InContainers;
use quayside_runtime::image::Sources;
use quayside_runtime::image::catalogue::listed::Listed;
use quayside_runtime::image::registry::Credentials;
use quayside_runtime::launch::plan::{Host, staging_directory};
use quayside_runtime::rootfs::plan::IMAGES_INSIDE;
use quayside_runtime::spec::data_dir::DataDir;

use crate::config::{self, Given, Loaded, Origin, Raw, Settings};

mod build;
mod builder;
mod config_verbs;
mod doctor;
mod image;
mod lesson;
mod registry;
mod run;
mod serve;

/// A self-hosted teaching sandbox: a lesson, a shell, and a fresh container for every learner.
#[derive(Debug, Parser)]
#[command(name = "quayside", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one container on this host, without a service
    Run(run::Run),
    /// Serve lessons until Ctrl-C, SIGTERM or `quayside stop`
    Serve(serve::Serve),
    /// End the service and every sandbox
    Stop(serve::Stop),
    /// Say what this host has of what is needed, and what to do where it has not
    Doctor(doctor::Doctor),
    /// Say what the settings are, and whether a file of them is right
    Config(config_verbs::Config),
    /// Build an image from a Dockerfile
    Build(build::Build),
    /// See and remove what builds keep
    Builder(builder::Builder),
    /// List, prepare and remove images
    Image(image::Image),
    /// Serve images to Docker, podman and skopeo of this machine
    Registry(registry::Registry),
    /// Make lessons, and try them out
    Lesson(lesson::Lesson),
    /// (the supervisor's business) creates and ends sandboxes
    #[command(hide = true)]
    Keeper,
    /// (the supervisor's business) pages, lessons and sessions
    #[command(hide = true)]
    Web,
    /// (the registry's business) speaks HTTP
    #[command(hide = true)]
    RegistryFront,
    /// (the keeper's business) the process that owns one sandbox
    #[command(hide = true)]
    Shim,
    /// (the shim's business) PID 1 of a sandbox
    #[command(hide = true)]
    Init,
    /// (a build's business) starts one container and waits for its end
    #[command(hide = true)]
    ContainerInit,
}

/// Where images are kept in a sandbox: beside what the engine keeps.
const DATA_INSIDE: &str = "/var/lib/docker/quayside";

/// What every command takes.
#[derive(Debug, Args)]
pub struct Data {
    /// File of settings, instead of /etc/quayside/quayside.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory for images, sandboxes and the store; /var/lib/quayside if nothing else is set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Data {
    /// The settings, with `flags` over everything else.
    fn load(&self, mut flags: Vec<Given>) -> anyhow::Result<Loaded> {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        flags.extend(flag("--data", "data", data));
        Ok(config::load(self.config.as_deref(), flags)?)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        Ok(self.load(Vec::new())?.merged.settings)
    }

    fn open(&self) -> anyhow::Result<DataDir> {
        open(&self.settings()?)
    }

    /// Where images are. In a sandbox, unless somebody names another place, it is on the session's disk: the root there is
    /// an overlay, and no overlay can be written upon another. The host's images are found below (see `image::open`).
    fn images(&self) -> anyhow::Result<DataDir> {
        if self.data.is_some() || !Path::new(IMAGES_INSIDE).is_dir() {
            return self.open();
        }
        DataDir::open(Path::new(DATA_INSIDE)).with_context(|| format!("cannot use {DATA_INSIDE}"))
    }

    fn host(&self) -> anyhow::Result<Host> {
        host(self.settings()?.cgroup.parent.as_deref())
    }
}

/// What a flag says, if it was given.
fn flag(flag: &'static str, name: &str, value: Option<String>) -> Option<Given> {
    value.map(|value| Given { name: name.into(), raw: Raw::One(value), origin: Origin::Flag(flag) })
}

fn open(settings: &Settings) -> anyhow::Result<DataDir> {
    let path = settings.data.display();
    DataDir::open(&settings.data)
        .with_context(|| format!("cannot use the data directory {path}; name another by --data"))
}

/// From where images are made, and who runs the programs that some layers are made by.
fn sources(images: &config::Images) -> anyhow::Result<Sources> {
    let errands = InContainers::of_this_program().context("cannot open this program")?;
    Ok(Sources {
        debian_mirror: images.debian_mirror.clone(),
        errands: Some(Arc::new(errands)),
        listed: Listed::parse_all(&images.catalogue).context("cannot use the setting images.catalogue")?,
        access: image::access(images, Credentials::default())?,
        real_within: Duration::from_secs(images.real_within_seconds.into()),
        ..Sources::default()
    })
}

/// What this host is, as far as launches depend on it.
fn host(cgroup_parent: Option<&Path>) -> anyhow::Result<Host> {
    let cgroups = Layout::of_host().context("cannot read which cgroups this host has")?;
    let cgroup_parent = Parent::wanted(&cgroups, cgroup_parent).context("cannot use the setting cgroup.parent")?;
    Ok(Host { cgroups, cgroup_parent, turns: Turns::default(), staging: staging_directory() })
}

/// Runs the subcommand; the result is the process's exit code.
pub fn main(cli: Cli) -> anyhow::Result<i32> {
    match cli.command {
        Command::Run(run) => run.main(),
        Command::Serve(serve) => serve.main(),
        Command::Stop(stop) => stop.main(),
        Command::Doctor(doctor) => doctor.main(),
        Command::Config(config) => config.main(),
        Command::Build(build) => build.main(),
        Command::Builder(builder) => builder.main(),
        Command::Image(image) => image.main(),
        Command::Lesson(lesson) => lesson.main(),
        Command::Registry(registry) => registry.main(),
        Command::RegistryFront => registry::front(),
        Command::Keeper => serve::keeper(),
        Command::Web => serve::web(),
        Command::Shim => quayside_runtime::shim::run().map(|()| 0).map_err(Into::into),
        Command::Init => quayside_runtime::init::run().map(|()| 0).map_err(Into::into),
        Command::ContainerInit => quayside_runtime::container::monitor::run().map(|()| 0).map_err(Into::into),
    }
}
