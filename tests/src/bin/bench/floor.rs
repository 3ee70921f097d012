//! The floor: what the kernel alone takes for a sandbox's namespaces, mounts, groups and cable.
//!
//! The straightest program that makes the same things: one fork, one unshare of all eight namespaces,
//! no policy decisions, no protocol. What our launch takes beyond it is ours.

use std::fs;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use quayside_runtime::cgroup::layout::Layout;
use quayside_runtime::launch::child::restrict;
use quayside_runtime::network::netlink::Netlink;
use quayside_runtime::service::floor as calls;

use quayside_tests::figures::Figures;

pub fn measure(times: usize) -> anyhow::Result<Figures> {
    let layout = Layout::of_host()?;
    let room = tempfile::tempdir().context("no directory for the floor")?;
    for part in ["lower/proc", "upper", "work", "root"] {
        fs::create_dir_all(room.path().join(part))?;
    }
    let mut figures = Figures::new();
    for number in 0..times {
        let groups: Vec<PathBuf> =
            mounts(&layout).map(|mount| mount.join(format!("quayside-floor-{number}"))).collect();
        let begin = Instant::now();
        for group in &groups {
            fs::create_dir_all(group)?;
        }
        let child = calls::in_child(|| once(room.path(), &groups))?;
        let took = begin.elapsed();
        anyhow::ensure!(child, "the floor's child failed");
        figures.add(took);
        for group in groups {
            fs::remove_dir(group)?;
        }
    }
    Ok(figures)
}

fn mounts(layout: &Layout) -> impl Iterator<Item = &Path> {
    layout.v1.iter().map(|v1| v1.mount.as_path())
}

fn once(room: &Path, groups: &[PathBuf]) -> io::Result<()> {
    for group in groups {
        let _ = fs::write(group.join("tasks"), "0");
    }
    calls::unshare_all()?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", "0 0 1")?;
    fs::write("/proc/self/gid_map", "0 0 1")?;
    calls::in_child(|| {
        let peer = fs::File::open("/proc/self/ns/net")?;
        let mut netlink = Netlink::open()?;
        netlink.set_up("lo")?;
        netlink.add_veth("eth0", "eth1", peer.as_fd())?;
        netlink.set_up("eth0")?;
        calls::mount_and_pivot(room)?;
        restrict()
    })
    .and_then(|worked| if worked { Ok(()) } else { Err(io::ErrorKind::Other.into()) })
}

/// An interactive bash that ends at once: part of every prompt, whoever starts it.
pub fn bash_start(times: usize) -> anyhow::Result<Figures> {
    let mut figures = Figures::new();
    for _ in 0..times {
        let begin = Instant::now();
        std::process::Command::new("bash").args(["--norc", "-ic", "exit"]).output()?;
        figures.add(begin.elapsed());
    }
    Ok(figures)
}

/// What a terminal's output costs whoever reads it.
pub struct PtyFloor {
    pub megabytes_a_second: f64,
    /// Processor time of the reader, for a megabyte.
    pub each: Duration,
}

/// `cat` of so many bytes into a pty whose other side is read and thrown away: the kernel alone.
pub fn pty(bytes: usize) -> anyhow::Result<PtyFloor> {
    let room = tempfile::tempdir().context("no directory for the floor")?;
    let file = room.path().join("big");
    let made = std::process::Command::new("sh")
        .args(["-c", "base64 -w 79 /dev/urandom | head -c \"$1\" > \"$2\"", "sh", &bytes.to_string()])
        .arg(&file)
        .status()?;
    anyhow::ensure!(made.success(), "cannot write {}", file.display());
    let pair = native_pty_system().openpty(PtySize::default())?;
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", "stty -opost; exec cat \"$1\"", "sh"]);
    command.arg(&file);
    let mut child = pair.slave.spawn_command(command)?;
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader()?;
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let (begin, before) = (Instant::now(), used()?);
    let (mut buffer, mut read) = (vec![0; 64 * 1024], 0);
    // The end of its last reader's other side is an error (EIO), and the end here.
    while let Ok(length @ 1..) = reader.read(&mut buffer) {
        read += length;
    }
    let (took, cpu) = (begin.elapsed(), used()? - before);
    child.wait()?;
    anyhow::ensure!(read >= bytes, "{read} bytes of {bytes} came through the pty");
    let megabytes = read as f64 / 1e6;
    Ok(PtyFloor { megabytes_a_second: megabytes / took.as_secs_f64(), each: cpu.div_f64(megabytes) })
}
