//! Carries a [`Plan`](super::plan::Plan) out, as PID 1 of the container: a process of one thread, made for it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::in_root::{InRoot, Kind};
use super::message::{self, Message};
use super::plan::{Like, Plan, Step, work};
use super::program::{self, NOT_RUNNABLE, NotRun};
use super::spec::Source;
use super::user::{self, Unknown, User};
use super::{mount_points, overlay, valid};
use crate::cgroup::plan::Member;
use crate::cgroup::tree;
use crate::launch::event::Clock;
use crate::network::netlink::Netlink;
use crate::policy::{capabilities, seccomp};
use crate::rootfs::plan::Flags;
use crate::sys;
use crate::sys::process::{become_user, cloexec_from, close_all_but, exit_now, reset_signals};

/// Never returns: either the process becomes the program, or it says at which step it stopped, and ends.
/// `alive` closes when the program runs; its other end is the monitor's.
pub fn run(plan: &Plan, channel: BorrowedFd, alive: BorrowedFd, start: Duration) -> ! {
    let clock = Clock::new("pid 1", start);
    let mut inside = Inside { plan, channel, alive, opened: BTreeMap::new(), root: None, user: None };
    // No terminal of the caller's, and none of its umask.
    let _ = nix::unistd::setsid();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    for step in &plan.steps {
        let (call, what) = step.words();
        let (event, result) = clock.time(call, what, || inside.carry_out(step));
        let failed = result.err();
        let message = match &failed {
            None => Message::Event(event),
            Some(error) => Message::Failed { event, why: in_full(error), code: code_of(error) },
        };
        if failed.is_some() {
            // The monitor takes a word on this pipe for an end before the program ran.
            let _ = rustix::io::write(alive, b"!");
        }
        let told = message::send(channel, &message, &[]);
        if failed.is_some() || told.is_err() {
            break;
        }
    }
    exit_now(1)
}

/// An error with its causes.
pub fn in_full(error: &io::Error) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        // Some errors say their cause themselves.
        let said = cause.to_string();
        if !words.ends_with(&said) {
            words += &format!(": {said}");
        }
        next = cause.source();
    }
    words
}

/// Where the fault is the image's, or that of who named a program or a user.
fn code_of(error: &io::Error) -> Option<i32> {
    let not_run = error.get_ref().and_then(|cause| cause.downcast_ref::<NotRun>());
    not_run.map(|not_run| not_run.code)
}

/// What PID 1 holds on its way.
struct Inside<'a> {
    plan: &'a Plan,
    channel: BorrowedFd<'a>,
    alive: BorrowedFd<'a>,
    /// Detached mounts, by their number in the plan.
    opened: BTreeMap<usize, OwnedFd>,
    /// From the overlay to pivot_root.
    root: Option<InRoot>,
    user: Option<User>,
}

impl Inside<'_> {
    fn carry_out(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::EnterGroup => match &self.plan.group {
                Some(group) => tree::enter_v1(group, Member::Init).map_err(io::Error::other),
                None => Ok(()),
            },
            Step::Unshare { network } => Ok(unshare(namespaces(*network))?),
            Step::MakePrivate => {
                Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?)
            }
            Step::LoopbackUp => Netlink::open()?.set_up("lo"),
            Step::Hostname { name } => Ok(nix::unistd::sethostname(name)?),
            Step::OomScore { at_least } => raise_oom_score(*at_least),
            Step::MakeDirectory { path } => fs::DirBuilder::new().mode(0o755).create(path),
            Step::Write { path, text } => fs::write(path, text),
            Step::Open { mount, source, read_only } => self.open(*mount, source, *read_only),
            Step::MountPoints { layers, empty, layer, upper, stage, targets } => {
                let view = overlay::view(layers, empty, stage)?;
                // The container's / is what the uppermost layer says of it.
                mount_points::copy_attributes(view.as_fd(), InRoot::open(upper)?.as_fd())?;
                mount_points::make(&view, layer, targets, |like| self.kind_of(like))
            }
            Step::Overlay { lower, upper, work, on } => {
                overlay::mount_on(on, lower, Some((upper, work)))?;
                self.root = Some(InRoot::open(on)?);
                Ok(())
            }
            Step::Mount { fs, at, options, flags, read_only } => {
                let mut all = vec![("source", Some(fs.as_str()))];
                all.extend(options.iter().map(|(key, value)| (key.as_str(), value.as_deref())));
                let mount = sys::mount::make(fs, &all, attributes(*flags, *read_only))?;
                self.attach(mount, at, Kind::Directory)
            }
            Step::Bind { from, at, flags } => self.bind(from, at, *flags),
            Step::Attach { mount, at } => {
                let mount = self.opened.remove(mount).ok_or(io::ErrorKind::NotFound)?;
                let kind = Kind::of(mount.as_fd())?;
                self.attach(mount, at, kind)
            }
            Step::Link { at, to } => {
                let (Some(above), Some(name)) = (at.parent(), at.file_name()) else {
                    return Err(io::ErrorKind::InvalidInput.into());
                };
                Ok(rustix::fs::symlinkat(to, self.root()?.find_directory(above)?, name)?)
            }
            Step::Hide { at } => self.hide(at),
            Step::MakeReadOnly { at } => self.make_read_only(at),
            Step::Pivot { root } => sys::mount::pivot_root_here(root),
            Step::CloseDescriptors => {
                self.opened.clear();
                self.root = None;
                close_all_but(&[self.channel, self.alive])
            }
            Step::User { wanted } => {
                self.user = Some(user::look_up(wanted, &InRoot::open(Path::new("/"))?).map_err(not_run_without_user)?);
                Ok(())
            }
            Step::WorkingDirectory { at } => {
                let directory = InRoot::open(Path::new("/"))?.make(at, Kind::Directory)?;
                Ok(rustix::process::fchdir(directory)?)
            }
            Step::RootReadOnly => {
                let root = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                sys::mount::restrict(root.as_fd(), sys::mount::MOUNT_ATTR_RDONLY)
            }
            Step::Rlimits { limits } => limits.iter().try_for_each(|(name, soft, hard)| {
                let resource = valid::resource(name).ok_or(io::ErrorKind::InvalidInput)?;
                Ok(nix::sys::resource::setrlimit(resource, *soft, *hard)?)
            }),
            Step::Seccomp { may_administer } => {
                let programs = seccomp::container_programs(*may_administer).map_err(io::Error::other)?;
                programs.iter().try_for_each(|program| sys::seccomp::load(program))
            }
            Step::BoundCapabilities { names } => capabilities::bound(valid::capabilities(names)),
            Step::BecomeUser => {
                let user = self.user()?;
                become_user(user.uid, user.gid, &user.groups)
            }
            Step::KeepCapabilities { names } => capabilities::keep(valid::capabilities(names)),
            Step::DieWithMonitor => self.die_with_monitor(),
            Step::Execute { args, env } => self.execute(args, env),
        }
    }

    fn root(&self) -> io::Result<&InRoot> {
        self.root.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn user(&self) -> io::Result<&User> {
        self.user.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&mut self, number: usize, source: &Source, read_only: bool) -> io::Result<()> {
        let place = |name: &str| self.plan.work.join(name);
        let mount = match source {
            Source::Path { root, path } => {
                let file = InRoot::open(root).and_then(|root| root.find(path)).map_err(overlay::of(path))?;
                sys::mount::clone_tree_of(file.as_fd())?
            }
            Source::Layers { layers, path, scratch } => {
                let written = scratch.as_ref().map(|scratch| (scratch.upper.as_path(), scratch.work.as_path()));
                overlay::part(layers, path, written, &place(work::EMPTY), &place(work::ROOT))?
            }
            Source::Tmpfs { .. } => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let read_only = if read_only { sys::mount::MOUNT_ATTR_RDONLY } else { 0 };
        sys::mount::restrict_tree(mount.as_fd(), sys::mount::MOUNT_ATTR_NODEV | read_only)?;
        self.opened.insert(number, mount);
        Ok(())
    }

    fn kind_of(&self, like: &Like) -> io::Result<Kind> {
        match like {
            Like::File => Ok(Kind::File),
            Like::Directory | Like::PlainDirectory => Ok(Kind::Directory),
            Like::Mount(number) => Kind::of(self.opened.get(number).ok_or(io::ErrorKind::NotFound)?.as_fd()),
        }
    }

    fn attach(&self, mount: OwnedFd, at: &Path, kind: Kind) -> io::Result<()> {
        let target = self.root()?.make(at, kind)?;
        sys::mount::attach_over(mount.as_fd(), target.as_fd())
    }

    fn bind(&self, from: &Path, at: &Path, flags: Flags) -> io::Result<()> {
        self.attach(clone(from, attributes(flags, false))?, at, Kind::File)
    }

    fn hide(&self, at: &Path) -> io::Result<()> {
        let Some(target) = if_there(self.root()?.find(at))? else { return Ok(()) };
        let flags = Flags { nosuid: true, nodev: true, noexec: true };
        let cover = match Kind::of(target.as_fd())? {
            Kind::Directory => sys::mount::make("tmpfs", &[("source", Some("tmpfs"))], attributes(flags, true))?,
            Kind::File => clone(Path::new("/dev/null"), attributes(Flags { nodev: false, ..flags }, false))?,
        };
        sys::mount::attach_over(cover.as_fd(), target.as_fd())
    }

    fn make_read_only(&self, at: &Path) -> io::Result<()> {
        let Some(target) = if_there(self.root()?.find(at))? else { return Ok(()) };
        let same = sys::mount::clone_tree_of(target.as_fd())?;
        sys::mount::restrict_tree(same.as_fd(), sys::mount::MOUNT_ATTR_RDONLY)?;
        sys::mount::attach_over(same.as_fd(), target.as_fd())
    }

    fn die_with_monitor(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // It may have died before: then nobody has the other end of the pipe any more (poll(2), POLLERR).
        let mut fds = [PollFd::from_borrowed_fd(self.alive, PollFlags::OUT)];
        poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        match fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    fn execute(&self, args: &[String], env: &[(String, String)]) -> io::Result<()> {
        let mut env = env.to_vec();
        if !env.iter().any(|(key, _)| key == "HOME") {
            env.push(("HOME".into(), self.user()?.home.clone()));
        }
        cloexec_from(3)?;
        reset_signals();
        let not_run = program::execute(args, &env);
        let kind =
            if not_run.code == program::NOT_FOUND { io::ErrorKind::NotFound } else { io::ErrorKind::PermissionDenied };
        Err(io::Error::new(kind, not_run))
    }
}

/// All but user and pid: the monitor has made the pid namespace, and time's clocks are no business of a build's.
fn namespaces(network: bool) -> CloneFlags {
    let all =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    if network { all | CloneFlags::CLONE_NEWNET } else { all }
}

fn raise_oom_score(at_least: i32) -> io::Result<()> {
    let file = "/proc/self/oom_score_adj";
    let now: i32 = fs::read_to_string(file)?.trim().parse().unwrap_or(0);
    if now < at_least { fs::write(file, at_least.to_string()) } else { Ok(()) }
}

fn attributes(flags: Flags, read_only: bool) -> MountAttrFlags {
    let mut attributes = MountAttrFlags::empty();
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, flags.nosuid);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, flags.nodev);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, flags.noexec);
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    attributes
}

/// A detached copy of a file of the host's.
fn clone(from: &Path, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let file = rustix::fs::openat(CWD, from, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mount = sys::mount::clone_tree_of(file.as_fd())?;
    sys::mount::restrict_tree(mount.as_fd(), attributes.bits().into())?;
    Ok(mount)
}

fn if_there(found: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// A user that the image does not have is a fault of who named it, as a missing program is.
fn not_run_without_user(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Unknown>()) {
        Some(unknown) => io::Error::new(error.kind(), NotRun { why: unknown.to_string(), code: NOT_RUNNABLE }),
        None => error,
    }
}
