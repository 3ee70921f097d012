//! The parent's side of a launch: what needs rights on the host, and the conversation with the children.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::process::{PidfdFlags, pidfd_open};

use super::channel::{Channel, Message, StartedAt};
use super::event::{Clock, Event, now};
use super::lease::{self, Lease};
use super::locked;
use super::plan::{Host, Invalid, LaunchPlan, OOM_SCORE_ADJ};
use super::program;
use super::teardown::{self, Record, socket_name};
use crate::cgroup;
use crate::cgroup::plan::Member;
use crate::image::store::content_of;
use crate::rootfs::disk::{self, ReadyDisk};
use crate::spec::SandboxSpec;
use crate::spec::data_dir::DataDir;
use crate::sys::process::{self, Fork, ForkOptions, become_id, exit_now, fork};
use crate::sys::{message, mount};

/// Longest silence in a launch: a disk under load has made 2 s; more is a hang.
const SILENCE_MAX_S: i64 = 20;

/// What a shim says before it has anybody to say it to; nothing in ordinary life.
const SHIM_LOG: &str = "shim.log";

/// Descriptors that the shim finds at its start.
pub mod shim_fds {
    pub const CHANNEL: i32 = 3;
    pub const LISTENER: i32 = 4;
    pub const LEASE: i32 = 5;
}

/// What every launch on a host has in common.
pub struct Launcher {
    pub data: DataDir,
    pub host: Host,
    /// This program's own file: shim outside, init inside. It has to keep its name for as long as this launches.
    binary: fs::File,
    /// Who may connect to shims besides root.
    pub web_id: u32,
    /// Its sandboxes outlive it, and are found again by the next keeper.
    kept: bool,
}

/// An image as far as a launch needs it.
#[derive(Debug, Clone)]
pub struct Layers {
    pub bottom_to_top: Vec<PathBuf>,
    pub env: Vec<(String, String)>,
}

/// A sandbox that runs.
#[derive(Debug)]
pub struct Running {
    pub record: Record,
    pub shim: OwnedFd,
}

/// The step at which a launch stopped.
#[derive(Debug, thiserror::Error)]
#[error("step {number}, {}, {} {}: {why}", .event.who, .event.call, .event.what)]
pub struct FailedStep {
    /// Counted from 1, over all processes of the launch.
    pub number: usize,
    pub event: Event,
    pub why: String,
}

/// A launch that came to nothing, and left nothing.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("cannot start a sandbox: all {max} ids are taken; end some, or wait until they expire", max = lease::SLOTS_MAX)]
    NoSlot,
    #[error("cannot start sandbox {sandbox}: {step}")]
    Step { sandbox: String, step: Box<FailedStep> },
    #[error("cannot start sandbox {sandbox}: {why}")]
    Other { sandbox: String, why: String },
}

impl Launcher {
    /// For a command, which ends with its sandboxes.
    pub fn new(data: DataDir, host: Host, web_id: u32) -> io::Result<Self> {
        Ok(Self { data, host, binary: program::running()?, web_id, kept: false })
    }

    /// For a keeper: its sandboxes outlive it, and the program may be replaced while it launches.
    pub fn lasting(data: DataDir, host: Host, web_id: u32) -> io::Result<Self> {
        Ok(Self { binary: program::kept(&data)?, data, host, web_id, kept: true })
    }

    /// The plan for `spec`, without doing anything; the ids are those of slot 0.
    pub fn plan(&self, spec: SandboxSpec, layers: &Layers) -> Result<LaunchPlan, Invalid> {
        LaunchPlan::new(spec, lease::Ids::of(0), layers.bottom_to_top.clone(), &layers.env, &self.host)
    }

    /// Starts a sandbox. The caller has one thread. `observe` sees every step as it is reported.
    pub fn launch(
        &self,
        spec: SandboxSpec,
        layers: &Layers,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<Running, LaunchError> {
        self.launch_on(None, spec, layers, observe)
    }

    /// The same on a disk that is ready, if it has the size asked for.
    pub fn launch_on(
        &self,
        ready: Option<ReadyDisk>,
        spec: SandboxSpec,
        layers: &Layers,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<Running, LaunchError> {
        let id = spec.id;
        let start = now();
        let other = |error: io::Error| LaunchError::Other { sandbox: id.to_string(), why: error.to_string() };
        let mut lease = lease::take(&self.data.leases()).map_err(other)?.ok_or(LaunchError::NoSlot)?;
        lease.claim(id).map_err(other)?;
        let plan = LaunchPlan::new(spec, lease.ids, layers.bottom_to_top.clone(), &layers.env, &self.host)?;
        let record = Record {
            id,
            ids: lease.ids,
            image: plan.spec.image.clone(),
            layers: plan.layers.clone(),
            hostname: plan.spec.hostname.clone(),
            cgroup: plan.cgroup.clone(),
            kept: self.kept,
            shim_pid: 0,
            launch_us: 0,
        };
        let mut launch =
            Launch { launcher: self, plan, record, clock: Clock::new("parent", start), start, observe, seen: 0 };
        let result = launch.run(lease, ready);
        let Launch { record, .. } = launch;
        match result {
            Ok((shim, shim_pid)) => {
                let launch_us = (now() - start).as_micros() as u64;
                let record = Record { shim_pid, launch_us, ..record };
                record.save(&self.data).map_err(other)?;
                Ok(Running { record, shim })
            }
            Err(failure) => {
                let failure = failure.with_log(&self.data.sandbox(id).join(SHIM_LOG));
                // Goes on past failures; the launch's own is what the caller must hear.
                let leftovers = teardown::destroy(&self.data, &record);
                Err(failure.into_error(&record, leftovers))
            }
        }
    }
}

/// One launch under way.
struct Launch<'a> {
    launcher: &'a Launcher,
    plan: LaunchPlan,
    record: Record,
    clock: Clock,
    start: Duration,
    observe: &'a mut dyn FnMut(&Event),
    /// Events so far: the number of the step that fails.
    seen: usize,
}

/// Why a launch stopped.
enum Failure {
    Step(Box<FailedStep>),
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl Failure {
    /// Adds the last that the shim wrote, where the parent knows no better.
    fn with_log(self, log: &Path) -> Self {
        let said = fs::read_to_string(log).unwrap_or_default();
        match (self, said.lines().last()) {
            (Self::Other(why), Some(last)) => Self::Other(format!("{why}; the shim said: {last}")),
            (failure, _) => failure,
        }
    }

    fn into_error(self, record: &Record, leftovers: Result<(), teardown::Leftovers>) -> LaunchError {
        let sandbox = record.id.to_string();
        let left = leftovers.err().map(|left| format!("; and its remains: {left}")).unwrap_or_default();
        match self {
            Self::Step(mut step) => {
                step.why += &left;
                LaunchError::Step { sandbox, step }
            }
            Self::Other(why) => LaunchError::Other { sandbox, why: why + &left },
        }
    }
}

impl Launch<'_> {
    fn run(&mut self, lease: Lease, ready: Option<ReadyDisk>) -> Result<(OwnedFd, i32), Failure> {
        let data = &self.launcher.data;
        let directory = data.sandbox(self.record.id);
        // 1. What this sandbox holds stands on disk before it holds it, so that a crash can be repaired.
        self.step("mkdir", directory.display().to_string(), |launch| {
            fs::DirBuilder::new().mode(0o700).create(&directory)?;
            launch.record.save(data)
        })?;
        self.step("mkdir", "the cgroups", |launch| {
            cgroup::tree::create(&launch.plan.cgroup).map_err(io::Error::other)
        })?;
        // 2. The disk, and a mount of it that hangs nowhere yet.
        let image = directory.join("disk.ext4");
        let size = self.plan.spec.limits.disk_max_bytes;
        let disk = match ready.filter(|ready| ready.size_bytes == size) {
            Some(ready) => self.step("rename", "a disk that was ready", |_| {
                fs::rename(&ready.path, &image)?;
                Ok(ready.mount)
            })?,
            None => {
                self.step("copy", "the disk's template", |launch| {
                    let template = disk::template(&launch.launcher.data.disks(), size).map_err(io::Error::other)?;
                    disk::copy_sparse(&template, &image).map_err(io::Error::other)
                })?;
                self.step("fsmount", "ext4 on a loop device", |_| {
                    disk::mount_detached(&image).map_err(io::Error::other)
                })?
            }
        };
        // 3. The shim, which is nobody on this host.
        let listener = self.step("bind", "the shim's socket", |launch| launch.bind_socket())?;
        let (ours, theirs) = message::pair()?;
        let shim =
            self.step("clone3", "the shim", |launch| launch.spawn_shim(&directory, theirs, &listener, &lease))?;
        drop(lease);
        let channel = Channel::new(ours);
        let silence = TimeVal::seconds(SILENCE_MAX_S);
        setsockopt(&channel, sockopt::ReceiveTimeout, &silence).map_err(io::Error::from)?;
        // 4. The conversation.
        self.converse(&channel, disk)?;
        Ok((shim.pidfd, shim.pid.as_raw()))
    }

    fn converse(&mut self, channel: &Channel, disk: OwnedFd) -> Result<(), Failure> {
        let nanos = self.start.as_nanos() as u64;
        channel.send(&Message::Plan(Box::new(self.plan.clone()), StartedAt(nanos)), &[])?;
        // 5. Maps, then mounts through them: before the maps are written, id-mapping is EINVAL.
        let (pid, user_namespace) = match self.expect(channel)? {
            (Message::UserNamespace { pid }, fds) => (pid, one(fds)?),
            (other, _) => return Err(out_of_step(&other)),
        };
        self.step("write", "uid_map and gid_map", |launch| {
            fs::write(format!("/proc/{pid}/uid_map"), &launch.plan.id_map)?;
            fs::write(format!("/proc/{pid}/gid_map"), &launch.plan.id_map)
        })?;
        let layers = self.step("mount_setattr", "layers id-mapped, read-only", |launch| {
            let flags = mount::MOUNT_ATTR_RDONLY | mount::MOUNT_ATTR_NODEV;
            launch
                .plan
                .layers
                .iter()
                .map(|layer| clone_idmapped(layer, &user_namespace, flags))
                .collect::<io::Result<Vec<_>>>()
        })?;
        self.step("mount_setattr", "disk id-mapped", |_| mount::idmap(disk.as_fd(), user_namespace.as_fd(), 0))?;
        let binary = self.step("open_tree", "this program, read-only", |launch| launch.clone_binary())?;
        let images = self.step("mount_setattr", "the store of images id-mapped, read-only", |launch| {
            let flags = mount::MOUNT_ATTR_RDONLY | mount::MOUNT_ATTR_NODEV | mount::MOUNT_ATTR_NOSUID;
            clone_idmapped(&content_of(&launch.launcher.data.images()), &user_namespace, flags)
        })?;
        // The layers are not among them: PID 1 stacks them and leaves them behind when it changes its root.
        let [disk, binary, images] =
            self.step("unshare", "a copy of the other mounts, whose flags are locked", |launch| {
                let mounts = [disk.as_fd(), binary.as_fd(), images.as_fd()];
                let locked = locked::lock(&mounts, user_namespace.as_fd(), &launch.launcher.host.staging)?;
                locked.try_into().map_err(|_| io::Error::other("descriptors are missing"))
            })?;
        let (exec_read, exec_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut fds = vec![exec_write.as_fd(), disk.as_fd(), binary.as_fd(), images.as_fd()];
        fds.extend(layers.iter().map(AsFd::as_fd));
        channel.send(&Message::Mounts, &fds)?;
        drop((exec_write, disk, binary, images, layers));
        // 6. PID 1 mounts while the launcher leaves; either may be heard first.
        let mut pid1 = None;
        let mut mounted = None;
        let mut launcher_gone = false;
        while pid1.is_none() || mounted.is_none() || !launcher_gone {
            match self.expect(channel)? {
                (Message::Pid1 { pid }, _) => pid1 = Some(pid),
                (Message::Mounted, fds) => mounted = Some(fds),
                (Message::LauncherGone, _) => launcher_gone = true,
                (other, _) => return Err(out_of_step(&other)),
            }
        }
        // 7. On v2 a group whose children have controllers must hold no process: so not before now.
        self.step("write", "controllers of payload", |launch| {
            cgroup::tree::finish(&launch.plan.cgroup).map_err(io::Error::other)
        })?;
        let (Some(pid1), Some(mounted)) = (pid1, mounted) else { unreachable!("the loop above waits for both") };
        let mut fds = vec![user_namespace.as_fd()];
        fds.extend(mounted.iter().map(AsFd::as_fd));
        channel.send(&Message::Keep { pid1 }, &fds)?;
        match self.expect(channel)? {
            (Message::Kept, _) => {}
            (other, _) => return Err(out_of_step(&other)),
        }
        self.await_exec(channel, &exec_read)
    }

    /// The pipe's end means that PID 1's exec worked, or that PID 1 is gone and told why.
    fn await_exec(&mut self, channel: &Channel, exec_read: &OwnedFd) -> Result<(), Failure> {
        let mut byte = [0];
        rustix::io::read(exec_read, &mut byte).map_err(io::Error::from)?;
        rustix::io::ioctl_fionbio(channel, true).map_err(io::Error::from)?;
        loop {
            match channel.receive() {
                Ok(Some((Message::Event(event), _))) => self.observe(event)?,
                Ok(Some((Message::Failed { doing, why }, _))) => return Err(Failure::Other(format!("{doing}{why}"))),
                Ok(Some(_)) | Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message that is not an event.
    fn expect(&mut self, channel: &Channel) -> Result<(Message, Vec<OwnedFd>), Failure> {
        loop {
            match channel.receive() {
                Ok(Some((Message::Event(event), _))) => self.observe(event)?,
                Ok(Some((Message::Failed { doing, why }, _))) => return Err(Failure::Other(format!("{doing}{why}"))),
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {
                    return Err(Failure::Other(
                        "the shim ended in the middle of the launch; its log may say why".into(),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Failure::Other(format!("no word from the children for {SILENCE_MAX_S} s")));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Passes an event on; one that failed ends the launch.
    fn observe(&mut self, event: Event) -> Result<(), Failure> {
        self.seen += 1;
        (self.observe)(&event);
        match event.errno {
            None => Ok(()),
            Some(errno) => {
                let why = io::Error::from_raw_os_error(errno).to_string();
                Err(Failure::Step(Box::new(FailedStep { number: self.seen, event, why })))
            }
        }
    }

    fn step<T>(
        &mut self,
        call: &str,
        what: impl Into<String>,
        step: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let clock = self.clock.clone();
        let (event, result) = clock.time(call, what, || step(self));
        match result {
            Ok(value) => self.observe(event).map(|()| value),
            Err(error) => {
                self.seen += 1;
                (self.observe)(&event);
                Err(Failure::Step(Box::new(FailedStep { number: self.seen, event, why: error.to_string() })))
            }
        }
    }

    /// Through a descriptor of the directory: a long data directory would not fit into sun_path.
    fn bind_socket(&self) -> io::Result<UnixListener> {
        let directory = fs::File::open(self.launcher.data.shims())?;
        let name = socket_name(self.record.id);
        let path = Path::new("/proc/self/fd").join(std::os::fd::AsRawFd::as_raw_fd(&directory).to_string()).join(name);
        let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(&path);
        nix::sys::stat::umask(old);
        let listener = listener?;
        chown(&path, Some(self.launcher.web_id), Some(self.launcher.web_id))?;
        Ok(listener)
    }

    fn spawn_shim(
        &self,
        directory: &Path,
        channel: OwnedFd,
        listener: &UnixListener,
        lease: &Lease,
    ) -> io::Result<process::Child> {
        let log = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(directory.join(SHIM_LOG))?;
        let null = fs::File::open("/dev/null")?;
        let cgroup = super::child::open_cgroup(&self.plan, Member::Shim)?;
        let shim = || -> io::Result<()> {
            cgroup::tree::enter_v1(&self.plan.cgroup, Member::Shim).map_err(io::Error::other)?;
            fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ.to_string())?;
            nix::unistd::setsid()?;
            nix::unistd::chdir("/")?;
            // Copies first: the numbers wanted below may be taken by one of these.
            let keep = [null.as_fd(), null.as_fd(), log.as_fd(), channel.as_fd(), listener.as_fd(), lease.file.as_fd()];
            let high = keep.map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 32));
            let program = rustix::io::fcntl_dupfd_cloexec(&self.launcher.binary, 32)?;
            for (number, fd) in high.into_iter().enumerate() {
                process::place_fd(fd?.as_fd(), number as i32)?;
            }
            process::cloexec_from(6)?;
            let ids = self.plan.ids;
            become_id(ids.owner, ids.owner)?;
            if !self.launcher.kept {
                // After the change of ids, which clears it. A keeper's shims outlive it instead.
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
            }
            Err(process::exec_fd(program.as_fd(), &[c"quayside", c"shim"], &[]))
        };
        match fork(ForkOptions { cgroup: cgroup.as_ref().map(AsFd::as_fd), sibling: false })? {
            Fork::Parent(child) => Ok(child),
            Fork::Child => {
                let error = shim().expect_err("exec returns only on failure");
                let _ = io::Write::write_all(&mut &log, format!("cannot start the shim: {error}\n").as_bytes());
                exit_now(1)
            }
        }
    }

    fn clone_binary(&self) -> io::Result<OwnedFd> {
        let tree = mount::clone_tree(&program::path_of(&self.launcher.binary))?;
        mount::restrict(tree.as_fd(), mount::MOUNT_ATTR_RDONLY | mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV)?;
        Ok(tree)
    }
}

fn clone_idmapped(layer: &Path, user_namespace: &OwnedFd, flags: u64) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(layer)?;
    mount::idmap(tree.as_fd(), user_namespace.as_fd(), flags)?;
    Ok(tree)
}

fn one(fds: Vec<OwnedFd>) -> Result<OwnedFd, Failure> {
    fds.into_iter().next().ok_or_else(|| Failure::Other("the launch went out of step: a descriptor is missing".into()))
}

fn out_of_step(message: &Message) -> Failure {
    Failure::Other(format!("the launch went out of step: {message:?}"))
}

/// A pidfd of a shim that an earlier keeper started, if it still runs.
pub fn reopen_shim(record: &Record) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(record.shim_pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
