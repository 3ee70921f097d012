//! The worst program that a learner can run, of each kind: `pest KIND`, inside a sandbox.
//!
//! It takes as much as it gets of one thing, says `at work` when it gets no more (or is in full swing), and
//! goes on trying until it is killed. `tests/neighbours.rs` runs it in one sandbox and looks at another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use quayside_runtime::sys::process::{CLONE_NEWTIME, Fork, ForkOptions, fork};

/// Written at once, where much is written.
const BLOCK: usize = 1 << 20;
/// The highest there is (proc_pid_oom_score_adj(5)).
const KILLED_FIRST: &str = "1000";
/// Where the session's disk is that is not an overlay.
const LAB: &str = "/lab/pest";

fn main() {
    let kind = std::env::args().nth(1).expect("pest KIND");
    match kind.as_str() {
        "forks" => forks(),
        "zombies" => zombies(),
        "memory" => memory(),
        "processors" => processors(),
        "disk" => disk(),
        "inodes" => inodes(),
        "files" => in_many_processes(|| hold(|| File::open("/dev/null"))),
        "pipes" => in_many_processes(|| hold(full_pipe)),
        "sockets" => in_many_processes(|| hold(full_socket)),
        "terminals" => hold(|| File::options().read(true).write(true).open("/dev/ptmx")),
        "watches" => in_many_processes(|| hold(watch)),
        "timers" => in_many_processes(|| hold(timer)),
        "queues" => queues(),
        "deep" => deep(),
        "mounts" => mounts(),
        "user" => in_many_processes(user_namespaces),
        "mnt" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWNS, "mnt")),
        "net" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWNET, "net")),
        "pid" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWPID, "pid_for_children")),
        "ipc" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWIPC, "ipc")),
        "uts" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWUTS, "uts")),
        "time" => {
            in_many_processes(|| namespaces(CloneFlags::from_bits_retain(CLONE_NEWTIME), "time_for_children"));
        }
        "cgroup" => in_many_processes(|| namespaces(CloneFlags::CLONE_NEWCGROUP, "cgroup")),
        other => panic!("no such pest: {other}"),
    }
}

fn at_work() {
    println!("at work");
    let _ = io::stdout().flush();
}

/// A child that does `body` and never returns from it.
fn child(body: impl FnOnce()) -> bool {
    match fork(ForkOptions::default()) {
        Ok(Fork::Child) => {
            body();
            std::process::exit(0)
        }
        Ok(Fork::Parent(_)) => true,
        Err(_) => false,
    }
}

/// Takes and keeps until there is no more, and asks again for ever: each answer costs the kernel something too.
fn hold<T>(mut take: impl FnMut() -> io::Result<T>) {
    let mut held = Vec::new();
    let mut told = false;
    loop {
        match take() {
            Ok(one) => held.push(one),
            Err(_) if !told => {
                told = true;
                at_work();
            }
            Err(_) => {}
        }
    }
}

/// One process may have 4,096 files, and the kernel kills who takes too much memory: eight at it, and another
/// for each that is killed, which is as much as there is to get too. Whoever starts them is killed after them:
/// anybody may raise their own score, and the kernel takes the highest first.
fn in_many_processes(body: impl Fn()) {
    let one = || {
        let _ = fs::write("/proc/self/oom_score_adj", KILLED_FIRST);
        body();
    };
    for _ in 0..8 {
        child(one);
    }
    loop {
        if nix::sys::wait::wait().is_ok() {
            at_work();
            child(one);
        }
    }
}

// Processes, memory, processors.

/// Whichever process first finds that there are no more says so: a turn of the first one may be seconds away.
fn forks() {
    let mut told = false;
    loop {
        if !child(forks) && !told {
            told = true;
            at_work();
        }
    }
}

/// Children that have ended and are never waited for.
fn zombies() {
    while child(|| ()) {}
    at_work();
    loop {
        child(|| ());
    }
}

/// Each victim of the kernel's is followed by the next.
fn memory() {
    at_work();
    loop {
        let mut hog = Command::new("dd");
        let _ = hog.args(["if=/dev/zero", "of=/dev/null", "bs=1100M", "count=1"]).stderr(Stdio::null()).status();
    }
}

fn processors() {
    let threads = 2 * std::thread::available_parallelism().map_or(2, usize::from);
    for _ in 1..threads {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    at_work();
    loop {
        std::hint::spin_loop();
    }
}

// The disk.

/// Most of it at once, without waiting for the host's own disk to take it; the rest byte by byte, for ever.
fn disk() {
    const PIECE: u64 = 16 << 20;
    let _ = fs::create_dir_all(LAB);
    let hold = File::create(format!("{LAB}/hold")).expect("room for a first file");
    let mut size = 0;
    while rustix::fs::fallocate(&hold, rustix::fs::FallocateFlags::empty(), size, PIECE).is_ok() {
        size += PIECE;
    }
    let block = vec![0x5a; BLOCK];
    let mut told = false;
    let mut cargo = File::create(format!("{LAB}/cargo")).expect("room for a second file");
    loop {
        if cargo.write_all(&block).is_err() {
            if !told {
                told = true;
                at_work();
            }
            cargo = File::create(format!("{LAB}/cargo")).expect("it is there already");
        }
    }
}

fn inodes() {
    let mut told = false;
    for number in 0u64.. {
        if number % 1000 == 0 {
            let _ = fs::create_dir_all(format!("{LAB}/{}", number / 1000));
        }
        let made = OpenOptions::new().create(true).append(true).open(format!("{LAB}/{}/{number}", number / 1000));
        let full = made.is_err_and(|error| error.kind() == ErrorKind::StorageFull);
        if full && !told {
            told = true;
            at_work();
        }
    }
}

/// Directories in each other, further than a path, a stack or a process' descriptors reach; then it ends.
fn deep() {
    for _ in 0..20_000 {
        fs::create_dir("deep").expect("ours to make");
        std::env::set_current_dir("deep").expect("it is there");
    }
}

// What a file descriptor holds.

fn full_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK)?;
    let mut file = File::from(write);
    while file.write(&[0x5a; 65536]).is_ok() {}
    Ok((read, file.into()))
}

fn full_socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_NONBLOCK)?;
    let mut file = File::from(pair.0);
    while file.write(&[0x5a; 65536]).is_ok() {}
    Ok((file.into(), pair.1))
}

fn watch() -> io::Result<OwnedFd> {
    let inotify = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty())?;
    for entry in fs::read_dir("/usr/bin")?.flatten() {
        rustix::fs::inotify::add_watch(&inotify, entry.path(), rustix::fs::inotify::WatchFlags::ALL_EVENTS)?;
    }
    Ok(inotify)
}

fn timer() -> io::Result<nix::sys::timer::Timer> {
    use nix::sys::signal::{SigEvent, SigevNotify};
    let event = SigEvent::new(SigevNotify::SigevNone);
    Ok(nix::sys::timer::Timer::new(nix::time::ClockId::CLOCK_MONOTONIC, event)?)
}

/// A file in that file system is a queue (mq_overview(7)).
fn queues() {
    let mut number = 0;
    hold(|| {
        number += 1;
        OpenOptions::new().create_new(true).write(true).open(format!("/dev/mqueue/{number}"))
    });
}

// Mounts and namespaces.

/// In a namespace of their own, so that they end with this process.
fn mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("ours to make");
    let _ = fs::create_dir_all("/tmp/mounts");
    let flags = MsFlags::empty();
    mount(Some("mounts"), "/tmp/mounts", Some("tmpfs"), flags, None::<&str>).expect("ours to mount");
    for number in 0.. {
        let over = mount(Some("/tmp/mounts"), "/tmp/mounts", None::<&str>, MsFlags::MS_BIND, None::<&str>);
        // All that one namespace may have are 100,000, and take a minute.
        if number == 5000 || over.is_err() && number < 5000 {
            at_work();
        }
    }
}

/// Each is kept by a descriptor of it; when there are no more, one is made and lost again and again.
fn namespaces(kind: CloneFlags, file: &str) {
    let path = format!("/proc/self/ns/{file}");
    hold(|| {
        unshare(kind)?;
        File::open(&path)
    });
}

/// They nest only 32 deep, so each is a child's.
fn user_namespaces() {
    let mut told = false;
    loop {
        let made = child(|| {
            if unshare(CloneFlags::CLONE_NEWUSER).is_ok() {
                std::thread::sleep(Duration::from_secs(3600));
            }
        });
        if !made && !told {
            told = true;
            at_work();
        }
    }
}
