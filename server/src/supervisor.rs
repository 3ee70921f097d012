//! `quayside serve`: starts keeper and web, restarts either, and does nothing else.
//!
//! ```text
//! starting ──▶ serving ──SIGTERM──▶ parts end; sandboxes go on for the next start
//!                 │ └────SIGINT, quayside stop──▶ web ends, keeper ends every sandbox, then itself
//!                 └─a part dies─▶ started again; five times without living: give up
//! ```
//!
//! It holds the data directory's lock and the listening socket: a connection made while the web process
//! is replaced waits in the backlog. Parts die with it (PR_SET_PDEATHSIG), sandboxes do not.

mod renewal;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use quayside_runtime::policy::capabilities;
use quayside_runtime::service::{self, Bind, ROOM, WebStart};
use quayside_runtime::spec::data_dir::DataDir;
use quayside_runtime::sys::process::Child;

use crate::account::Account;
use crate::config::{KeeperConfig, LogFormat, WebConfig};
use crate::control::{self, FromWeb, ToWeb, WebLine};
use crate::notify::Manager;
use crate::{reach, tls};
use renewal::Renewal;

/// A part that lives this long has started well.
const LIVES: Duration = Duration::from_secs(10);
/// Starts in a row that do not live before it is no use.
const TRIES_MAX: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long parts may take to end before they are killed.
const PARTS_END: Duration = Duration::from_secs(5);
/// How long the keeper may take to end every sandbox: each gets some seconds, several at a time.
const SANDBOXES_END: Duration = Duration::from_secs(120);

/// What the supervisor is told.
#[derive(Debug)]
pub struct Service {
    pub data: DataDir,
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub lessons: PathBuf,
    /// Whom the web process becomes.
    pub account: Account,
    pub certificate: Option<tls::Files>,
    pub keeper: KeeperConfig,
    /// Its directories are set here.
    pub web: WebConfig,
    pub manager: Manager,
}

/// Serves until it is told to end.
pub fn serve(service: Service) -> anyhow::Result<()> {
    let lock = Lock::take(&service.data)?;
    let renewal = service.certificate.clone().map(Renewal::begin).transpose().context("cannot serve https")?;
    let listener = bind(service.listen, "--listen")?;
    let metrics = service.metrics_listen.map(|listen| bind(listen, "web.metrics-listen")).transpose()?;
    let address = listener.local_addr()?;
    let base = service.web.base_path.as_str().trim_end_matches('/').to_owned();
    let format = service.web.log.format;
    let scheme = if renewal.is_some() { "https" } else { "http" };
    prepare_directories(&service)?;
    service::adopt_orphans()?;
    // Keeper and web are started by what is left.
    capabilities::keep_only_needed().context("cannot give up the capabilities that are not needed")?;
    let signals = signals()?;
    let mut parts = Parts::new(service, Listeners { web: listener, metrics }, renewal)?;
    parts.start(Part::Keeper)?;
    parts.start(Part::Web)?;
    let origins: Vec<String> = reach::origins(scheme, address).iter().map(|origin| format!("{origin}{base}")).collect();
    match format {
        LogFormat::Text => eprintln!("quayside serves on {}; Ctrl-C ends it and every machine", origins.join(" and ")),
        LogFormat::Json => tracing::info!(address = origins.join(" "), "quayside serves"),
    }
    let result = parts.supervise(&signals);
    drop(lock);
    result
}

fn bind(listen: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).with_context(|| {
        format!(
            "cannot listen on {listen}; end what listens there (ss -ltnp shows it), or name another address by {setting}"
        )
    })
}

/// The data directory's lock: one service at a time. Its file holds the supervisor's pid.
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    fn take(data: &DataDir) -> anyhow::Result<Self> {
        let path = lock_path(data.root());
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(Self { _file: file })
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid)?;
                let root = data.root().display();
                bail!(
                    "another quayside (pid {pid}) serves from {root}; end it by 'quayside stop --data {root}', or use another directory"
                )
            }
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

fn lock_path(root: &Path) -> PathBuf {
    root.join("lock")
}

/// The pid of the supervisor that serves from the data directory at `root`, if one does.
pub fn running(root: &Path) -> io::Result<Option<Pid>> {
    let mut file = match File::open(lock_path(root)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err(_) => Ok(pid.trim().parse().ok().map(Pid::from_raw)),
    }
}

fn prepare_directories(service: &Service) -> anyhow::Result<()> {
    let web = service.data.web();
    let make = |path: &Path, mode| fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    make(&web, 0o700).with_context(|| format!("cannot make {}", web.display()))?;
    hand_over(&web, service.account).with_context(|| format!("cannot hand over {}", web.display()))?;
    make(Path::new(ROOM), 0o755).with_context(|| format!("cannot make {ROOM}"))?;
    fs::read_dir(&service.lessons).with_context(|| {
        format!("cannot read the lessons at {}; name their directory by --lessons", service.lessons.display())
    })?;
    Ok(())
}

/// Gives a directory and what is in it to `account`. Its last owner, whom nobody trusts with more than this directory,
/// may have put a link into it: the link is handed over, never what it leads to.
fn hand_over(directory: &Path, Account { uid, gid }: Account) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        lchown(entry?.path(), Some(uid), Some(gid))?;
    }
    chown(directory, Some(uid), Some(gid))
}

fn signals() -> anyhow::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Keeper,
    Web,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Web => "web",
        }
    }
}

/// One part's life.
#[derive(Debug, Default)]
struct Life {
    pid: Option<Pid>,
    since: Option<Instant>,
    tries: u32,
    /// When it is started again.
    due: Option<Instant>,
}

struct Listeners {
    web: TcpListener,
    metrics: Option<TcpListener>,
}

struct Parts {
    binary: File,
    keeper_config: Vec<u8>,
    web_config: Vec<u8>,
    listeners: Listeners,
    account: Account,
    binds: Vec<Bind>,
    manager: Manager,
    renewal: Option<Renewal>,
    /// To the web process that runs now.
    web_line: Option<WebLine>,
    keeper: Life,
    web: Life,
}

impl Parts {
    fn new(service: Service, listeners: Listeners, renewal: Option<Renewal>) -> anyhow::Result<Self> {
        let room = Path::new(ROOM);
        let web = WebConfig {
            store_dir: room.join("store"),
            sockets_dir: room.join("sockets"),
            lessons_dir: room.join("lessons"),
            lessons_from: service.lessons.clone(),
            tls: renewal.is_some(),
            metrics: listeners.metrics.is_some(),
            ..service.web
        };
        let bind = |name, from, writable| Bind { name, from, writable };
        Ok(Self {
            binary: File::open("/proc/self/exe")?,
            keeper_config: serde_json::to_vec(&service.keeper)?,
            web_config: serde_json::to_vec(&web)?,
            listeners,
            account: service.account,
            binds: vec![
                bind("store", service.data.web(), true),
                bind("sockets", service.data.run(), false),
                bind("lessons", service.lessons, false),
            ],
            manager: service.manager,
            renewal,
            web_line: None,
            keeper: Life::default(),
            web: Life::default(),
        })
    }

    fn life(&mut self, part: Part) -> &mut Life {
        match part {
            Part::Keeper => &mut self.keeper,
            Part::Web => &mut self.web,
        }
    }

    fn start(&mut self, part: Part) -> anyhow::Result<()> {
        let child = match part {
            Part::Keeper => service::start_keeper(self.binary.as_fd(), &self.keeper_config),
            Part::Web => self.start_web(),
        };
        let child = child.with_context(|| format!("cannot start the {} process", part.name()))?;
        let life = self.life(part);
        life.pid = Some(child.pid);
        life.since = Some(Instant::now());
        life.due = None;
        Ok(())
    }

    fn start_web(&mut self) -> io::Result<Child> {
        let (line, theirs) = control::pair()?;
        let start = WebStart {
            config: &self.web_config,
            listener: self.listeners.web.as_fd(),
            supervisor: theirs.as_fd(),
            metrics: self.listeners.metrics.as_ref().map(AsFd::as_fd),
            uid: self.account.uid,
            gid: self.account.gid,
            binds: &self.binds,
        };
        let child = service::start_web(self.binary.as_fd(), &start)?;
        self.web_line = Some(line);
        self.hand_over_certificate();
        Ok(child)
    }

    fn hand_over_certificate(&self) {
        let (Some(line), Some(renewal)) = (&self.web_line, &self.renewal) else { return };
        if let Err(error) = line.tell(&ToWeb::Certificate(renewal.pair().clone())) {
            tracing::warn!(%error, "cannot hand the certificate over to the web process");
        }
    }

    fn renew_certificate(&mut self) {
        if self.renewal.as_mut().is_some_and(Renewal::renew) {
            tracing::info!("the certificate was renewed");
            self.hand_over_certificate();
        }
    }

    /// What the web process has to say.
    fn hear_web(&mut self) {
        let Some(line) = &self.web_line else { return };
        match line.hear() {
            Ok(Some(FromWeb::Serving)) => self.manager.ready("serving"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Its end is seen by its exit status too, which says more.
            Ok(None) | Err(_) => self.web_line = None,
        }
    }

    /// When something is to be done even if nothing happens.
    fn next_due(&self) -> Option<Instant> {
        let look = self.renewal.as_ref().map(|renewal| renewal.due());
        [self.keeper.due, self.web.due, look].into_iter().flatten().min()
    }

    fn supervise(&mut self, signals: &SignalFd) -> anyhow::Result<()> {
        loop {
            let timeout = self.next_due().map_or(PollTimeout::NONE, |due| {
                let wait = due.saturating_duration_since(Instant::now()).as_millis() + 1;
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            });
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.web_line.as_ref().map(|line| PollFd::new(line.as_fd(), PollFlags::POLLIN)));
            poll(&mut fds, timeout)?;
            self.hear_web();
            while let Some(info) = signals.read_signal()? {
                match Signal::try_from(info.ssi_signo as i32) {
                    Ok(Signal::SIGTERM) => return self.end(Signal::SIGTERM, PARTS_END),
                    Ok(Signal::SIGINT) => return self.end(Signal::SIGINT, SANDBOXES_END),
                    Ok(Signal::SIGHUP) => {
                        self.renew_certificate();
                        // The web process reads its lessons anew; one that is gone reads them when it starts.
                        let _ = self.web.pid.map(|pid| kill(pid, Signal::SIGHUP));
                    }
                    _ => {}
                }
            }
            self.reap()?;
            if self.renewal.as_ref().is_some_and(|renewal| renewal.due() <= Instant::now()) {
                self.renew_certificate();
            }
            for part in [Part::Keeper, Part::Web] {
                if self.life(part).due.is_some_and(|due| due <= Instant::now()) {
                    self.start(part)?;
                }
            }
        }
    }

    /// Parts that have died are due again; whoever else ended was a shim without a keeper.
    fn reap(&mut self) -> anyhow::Result<()> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return Ok(()),
                Ok(status) => status,
            };
            for part in [Part::Keeper, Part::Web] {
                if self.life(part).pid == status.pid() {
                    self.died(part, status)?;
                }
            }
        }
    }

    fn died(&mut self, part: Part, status: WaitStatus) -> anyhow::Result<()> {
        let life = self.life(part);
        life.pid = None;
        let lived = life.since.is_some_and(|since| since.elapsed() >= LIVES);
        life.tries = if lived { 0 } else { life.tries + 1 };
        if life.tries >= TRIES_MAX {
            let name = part.name();
            let _ = self.end(Signal::SIGTERM, PARTS_END);
            bail!(
                "the {name} process ended {TRIES_MAX} times within {LIVES:?} of its start; its last lines above say why"
            );
        }
        let pause = FIRST_PAUSE * 2u32.pow(life.tries);
        life.due = Some(Instant::now() + pause);
        self.manager.status(&format!("the {} process has ended and is started again", part.name()));
        tracing::warn!(part = part.name(), ?status, "a part has ended; it is started again");
        Ok(())
    }

    /// Web first, so that nobody starts anything more; then the keeper, by `signal`.
    fn end(&mut self, signal: Signal, patience: Duration) -> anyhow::Result<()> {
        self.manager.stopping();
        if let Some(pid) = self.web.pid.take() {
            end_child(pid, Signal::SIGTERM, PARTS_END);
        }
        if signal == Signal::SIGINT && self.keeper.pid.is_none() {
            // It is between two lives, but somebody must end the sandboxes.
            self.start(Part::Keeper)?;
        }
        if let Some(pid) = self.keeper.pid.take() {
            end_child(pid, signal, patience);
        }
        Ok(())
    }
}

/// Sends `signal` and waits; SIGKILL to one that takes too long.
fn end_child(pid: Pid, signal: Signal, patience: Duration) {
    let deadline = Instant::now() + patience;
    let _ = kill(pid, signal);
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(WaitStatus::StillAlive) => {
                tracing::warn!(pid = pid.as_raw(), "a part did not end in time and is killed");
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, None);
                return;
            }
            _ => return,
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_struct("Parts").field("listener", &self.listeners.web.as_raw_fd()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_stores_directory_gives_nothing_of_the_hosts_away() {
        let room = tempfile::tempdir().expect("a directory");
        let (host, web) = (room.path().join("host"), room.path().join("web"));
        fs::write(&host, "root's").expect("a file");
        fs::create_dir(&web).expect("a directory");
        fs::write(web.join("store.db"), "").expect("a file");
        symlink(&host, web.join("link")).expect("a link");
        let ours = fs::metadata(&host).expect("a file").uid();
        let account = Account { uid: ours + 1, gid: ours + 1 };
        hand_over(&web, account).expect("tests of the service run as root");
        let owner = |path: &Path| fs::symlink_metadata(path).expect("it is there").uid();
        assert_eq!([owner(&web), owner(&web.join("store.db")), owner(&web.join("link"))], [account.uid; 3]);
        assert_eq!(owner(&host), ours);
    }
}
