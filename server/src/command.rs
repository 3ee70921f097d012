//! The command line: what each subcommand is asked, and nothing of how it is done.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use quayside_runtime::cgroup::layout::Layout;
use quayside_runtime::cgroup::parent::Parent;
use quayside_runtime::launch::plan::{Host, staging_directory};
use quayside_runtime::spec::data_dir::{self, DataDir};

mod doctor;
mod image;
mod lesson;
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
    /// List, prepare and remove images
    Image(image::Image),
    /// Try lessons out
    Lesson(lesson::Lesson),
    /// (the supervisor's business) creates and ends sandboxes
    #[command(hide = true)]
    Keeper,
    /// (the supervisor's business) pages, lessons and sessions
    #[command(hide = true)]
    Web,
    /// (the keeper's business) the process that owns one sandbox
    #[command(hide = true)]
    Shim,
    /// (the shim's business) PID 1 of a sandbox
    #[command(hide = true)]
    Init,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Data {
    /// Directory for images, sandboxes and the store
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    pub data: PathBuf,
}

impl Data {
    fn open(&self) -> anyhow::Result<DataDir> {
        let path = self.data.display();
        DataDir::open(&self.data)
            .with_context(|| format!("cannot use the data directory {path}; name another by --data"))
    }
}

/// What this host is, as far as launches depend on it.
fn host() -> anyhow::Result<Host> {
    let cgroups = Layout::of_host().context("cannot read which cgroups this host has")?;
    let cgroup_parent = Parent::of_host(&cgroups);
    Ok(Host { cgroups, cgroup_parent, staging: staging_directory() })
}

/// Runs the subcommand; the result is the process's exit code.
pub fn main(cli: Cli) -> anyhow::Result<i32> {
    match cli.command {
        Command::Run(run) => run.main(),
        Command::Serve(serve) => serve.main(),
        Command::Stop(stop) => stop.main(),
        Command::Doctor(doctor) => doctor.main(),
        Command::Image(image) => image.main(),
        Command::Lesson(lesson) => lesson.main(),
        Command::Keeper => serve::keeper(),
        Command::Web => serve::web(),
        Command::Shim => quayside_runtime::shim::run().map(|()| 0).map_err(Into::into),
        Command::Init => quayside_runtime::init::run().map(|()| 0).map_err(Into::into),
    }
}
