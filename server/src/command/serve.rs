//! `quayside serve` and `quayside stop`, and the two parts that `serve` starts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use quayside_runtime::cgroup::tree::sweep_parents;
use quayside_runtime::host::memory::memory_bytes;
use quayside_runtime::keeper;
use quayside_runtime::launch::parent::Launcher;
use quayside_runtime::launch::teardown;
use quayside_runtime::service::part_fds;
use quayside_runtime::spec::SandboxId;
use quayside_runtime::spec::data_dir::DataDir;
use quayside_runtime::sys::process::inherited_fd;

use super::{Data, flag};
use crate::account::Account;
use crate::config::{self, Given, KeeperConfig, Loaded, LogFormat, Origin, Raw, Settings, WebConfig};
use crate::notify::Manager;
use crate::supervisor::{self, Service};
use crate::{bundled, doctor, telemetry, tls, web};

/// `quayside stop` waits so long for the service to end everything.
const STOP_PATIENCE: Duration = Duration::from_secs(130);

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    data: Data,
    /// Where to listen [setting: web.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Directory of courses, or one scenario repository; without it, the bundled lessons [setting: lessons]
    #[arg(long, value_name = "DIR")]
    lessons: Option<String>,
    /// A name under which this machine is reached, besides its own, localhost and its addresses [setting: web.hosts]
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// The part of every URL before the lessons' [setting: web.base-path]
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
    /// Sessions at once [setting: sessions.max]
    #[arg(long, value_name = "N")]
    sessions_max: Option<String>,
    /// Where Debian packages come from, if not from where this host's apt takes them [setting: images.debian-mirror]
    #[arg(long, value_name = "URL")]
    debian_mirror: Option<String>,
    /// text or json [setting: log.format]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace [setting: log.level]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Print every setting, its value and where that comes from, and do nothing
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    pub fn main(self) -> anyhow::Result<i32> {
        let Loaded { merged, file, remarks } = self.data.load(self.flags())?;
        if self.print_config {
            print!("{}", config::as_file(&merged));
            return Ok(0);
        }
        let settings = merged.settings;
        telemetry::start(settings.log);
        let json = settings.log.format == LogFormat::Json;
        match serve(settings, file, &remarks) {
            // A collector wants this line as it wants the others.
            Err(error) if json => {
                tracing::error!(error = format!("{error:#}"), "the service ends");
                Ok(1)
            }
            served => served.map(|()| 0),
        }
    }

    fn flags(&self) -> Vec<Given> {
        let one = [
            flag("--listen", "web.listen", self.listen.clone()),
            flag("--lessons", "lessons", self.lessons.clone()),
            flag("--base-path", "web.base-path", self.base_path.clone()),
            flag("--sessions-max", "sessions.max", self.sessions_max.clone()),
            flag("--debian-mirror", "images.debian-mirror", self.debian_mirror.clone()),
            flag("--log-format", "log.format", self.log_format.clone()),
            flag("--log-level", "log.level", self.log_level.clone()),
        ];
        let mut given: Vec<Given> = one.into_iter().flatten().collect();
        if !self.hosts.is_empty() {
            let (name, raw) = ("web.hosts".into(), Raw::Many(self.hosts.clone()));
            given.push(Given { name, raw, origin: Origin::Flag("--host") });
        }
        given
    }
}

/// `file`: what was read; `remarks`: what was odd about the settings.
fn serve(settings: Settings, file: Option<PathBuf>, remarks: &[String]) -> anyhow::Result<()> {
    match &file {
        Some(file) => tracing::info!(file = %file.display(), "settings read"),
        None => tracing::info!(file = config::FILE, "no file of settings"),
    }
    remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    let report = doctor::examine(&settings);
    if let Some(refusal) = report.refusal() {
        bail!(refusal);
    }
    let account = Account::of(settings.web.user.as_deref())?;
    let data = super::open(&settings)?;
    let lessons = match &settings.lessons {
        Some(lessons) => std::fs::canonicalize(lessons).with_context(|| {
            format!("cannot find the lessons at {}; name their directory by --lessons", lessons.display())
        })?,
        None => bundled::unpack(&data.root().join("lessons")).context("cannot unpack the bundled lessons")?,
    };
    let certificate = settings.web.tls_certificate.clone().zip(settings.web.tls_key.clone());
    supervisor::serve(Service {
        listen: settings.web.listen,
        metrics_listen: settings.web.metrics_listen,
        lessons,
        account,
        certificate: certificate.map(|(certificate, key)| tls::Files { certificate, key }),
        keeper: KeeperConfig::new(&settings, data.root().to_path_buf(), account.uid),
        web: WebConfig::new(&settings),
        manager: Manager::at(config::notify_socket().as_deref()).context("cannot reach the service manager")?,
        data,
    })
}

/// `quayside keeper`, started by the supervisor.
pub fn keeper() -> anyhow::Result<i32> {
    let config: KeeperConfig = told()?;
    telemetry::start(config.log);
    let data = DataDir::open(&config.data).context("cannot use the data directory")?;
    let host = super::host(config.cgroup_parent.as_deref())?;
    let launcher = Launcher::lasting(data, host, config.web_uid)
        .context("cannot keep the program's file by a name in the data directory, from which sandboxes have it")?;
    let config = keeper::Config {
        sandboxes_max: config.sandboxes_max,
        sources: super::sources(&config.images)?,
        prepare: config.images.prepare,
        build: env!("CARGO_PKG_VERSION").into(),
        memory_bytes: memory_bytes(&launcher.host.cgroups, &launcher.host.cgroup_parent),
    };
    let mut log = |tone: keeper::Tone, sandbox: Option<SandboxId>, line: &str| {
        let sandbox = sandbox.map(tracing::field::display);
        match tone {
            keeper::Tone::Progress => tracing::info!(sandbox, "{line}"),
            keeper::Tone::Trouble => tracing::warn!(sandbox, "{line}"),
        }
    };
    keeper::run(launcher, config, &mut log)?;
    Ok(0)
}

/// `quayside web`, started by the supervisor, as somebody who is not root.
pub fn web() -> anyhow::Result<i32> {
    let config: WebConfig = told()?;
    telemetry::start(config.log);
    let listener = |number| inherited_fd(number).map(std::net::TcpListener::from);
    let inherited = web::Inherited {
        listener: listener(part_fds::LISTENER)?,
        supervisor: Some(inherited_fd(part_fds::SUPERVISOR)?),
        metrics: config.metrics.then(|| listener(part_fds::METRICS)).transpose()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(web::serve(config, inherited))?;
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
        // Opening it would make it, and a mistyped name would look like a service that has ended.
        let directory = self.data.settings()?.data;
        if !directory.exists() {
            let directory = directory.display();
            bail!(
                "there is no data directory {directory}; name the one that the service was started with by --data or --config"
            );
        }
        let data = self.data.open()?;
        let Some(pid) = supervisor::running(data.root())? else {
            let ended = teardown::end_all(&data)?;
            let host = self.data.host()?;
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
