//! `quayside serve` and `quayside stop`, and the two parts that `serve` starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use quayside_runtime::cgroup::tree::sweep_parents;
use quayside_runtime::host::memory::memory_bytes;
use quayside_runtime::image::Sources;
use quayside_runtime::keeper;
use quayside_runtime::launch::lease;
use quayside_runtime::launch::parent::Launcher;
use quayside_runtime::launch::teardown;
use quayside_runtime::service::part_fds;
use quayside_runtime::spec::data_dir::DataDir;
use quayside_runtime::sys::process::{self, inherited_fd};

use super::Data;
use crate::config::{KeeperConfig, WebConfig};
use crate::supervisor::{self, Settings};
use crate::{bundled, doctor, telemetry, web};

/// `quayside stop` waits so long for the service to end everything.
const STOP_PATIENCE: Duration = Duration::from_secs(130);

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    data: Data,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Directory of courses, or one scenario repository; without it, the bundled lessons
    #[arg(long, value_name = "DIR")]
    lessons: Option<PathBuf>,
    /// A name under which this machine is reached, besides its own, localhost and its addresses
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Sessions at once
    #[arg(long, value_name = "N", default_value_t = 100)]
    sessions_max: u32,
    /// Where Debian packages come from, if not from where this host's apt takes them
    #[arg(long, value_name = "URL")]
    debian_mirror: Option<String>,
}

impl Serve {
    pub fn main(self) -> anyhow::Result<i32> {
        telemetry::start(telemetry::LogFormat::default(), tracing::Level::INFO);
        let report = doctor::examine(&self.data.data, self.listen, self.debian_mirror.as_deref());
        if let Some(refusal) = report.refusal() {
            bail!(refusal);
        }
        let data = self.data.open()?;
        let lessons = match &self.lessons {
            Some(lessons) => std::fs::canonicalize(lessons).with_context(|| {
                format!("cannot find the lessons at {}; name their directory by --lessons", lessons.display())
            })?,
            None => bundled::unpack(&data.root().join("lessons")).context("cannot unpack the bundled lessons")?,
        };
        let mut web = WebConfig::new();
        web.hosts = self.hosts;
        web.sessions.max = self.sessions_max;
        let keeper = KeeperConfig {
            data: data.root().to_path_buf(),
            sandboxes_max: self.sessions_max as usize,
            debian_mirror: self.debian_mirror,
            prepare: ["host", "learner"].map(String::from).to_vec(),
        };
        supervisor::serve(Settings { data, listen: self.listen, lessons, keeper, web })?;
        Ok(0)
    }
}

/// `quayside keeper`, started by the supervisor.
pub fn keeper() -> anyhow::Result<i32> {
    telemetry::start(telemetry::LogFormat::default(), tracing::Level::INFO);
    let config: KeeperConfig = told()?;
    let data = DataDir::open(&config.data).context("cannot use the data directory")?;
    let mut launcher = Launcher::new(data, super::host()?, lease::WEB_ID)?;
    launcher.kept = true;
    let config = keeper::Config {
        sandboxes_max: config.sandboxes_max,
        sources: Sources { debian_mirror: config.debian_mirror, ..Sources::default() },
        prepare: config.prepare,
        build: env!("CARGO_PKG_VERSION").into(),
        memory_bytes: memory_bytes(&launcher.host.cgroups, &launcher.host.cgroup_parent),
    };
    let mut log = |tone: keeper::Tone, line: &str| match tone {
        keeper::Tone::Progress => tracing::info!("{line}"),
        keeper::Tone::Trouble => tracing::warn!("{line}"),
    };
    keeper::run(launcher, config, &mut log)?;
    Ok(0)
}

/// `quayside web`, started by the supervisor, as an id without an account.
pub fn web() -> anyhow::Result<i32> {
    telemetry::start(telemetry::LogFormat::default(), tracing::Level::INFO);
    let config: WebConfig = told()?;
    let listener = std::net::TcpListener::from(inherited_fd(part_fds::LISTENER)?);
    // A key passes here twice, and would wait for its neighbours' turns. Where it is refused, nothing else changes.
    let _ = process::take_short_turns();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(web::serve(config, listener))?;
    Ok(0)
}

fn told<T: serde::de::DeserializeOwned>() -> anyhow::Result<T> {
    let config = inherited_fd(part_fds::CONFIG).context("this is started by 'quayside serve', not by hand")?;
    serde_json::from_reader(std::fs::File::from(config)).context("cannot read what the supervisor said")
}

#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    data: Data,
}

impl Stop {
    /// Ends the service and every sandbox of its data directory; those that a killed service left, too.
    pub fn main(self) -> anyhow::Result<i32> {
        let data = self.data.open()?;
        let Some(pid) = supervisor::running(data.root())? else {
            let ended = teardown::end_all(&data)?;
            let host = super::host()?;
            sweep_parents(&host.cgroups, &host.cgroup_parent);
            match ended {
                0 => println!("nothing runs in {}", data.root().display()),
                _ => println!("no service ran; ended {ended} sandboxes that one had left"),
            }
            return Ok(0);
        };
        kill(pid, Signal::SIGINT).with_context(|| format!("cannot signal the service, pid {pid}; use sudo"))?;
        let deadline = Instant::now() + STOP_PATIENCE;
        while supervisor::running(data.root())? == Some(pid) {
            if Instant::now() > deadline {
                bail!("the service, pid {pid}, has not ended within {STOP_PATIENCE:?}; its log says what it waits for");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("stopped");
        Ok(0)
    }
}
