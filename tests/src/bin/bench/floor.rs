//! The floor: what the kernel alone takes for a sandbox's namespaces, mounts, groups and cable.
//!
//! The straightest program that makes the same things: one fork, one unshare of all eight namespaces,
//! no policy decisions, no protocol. What our launch takes beyond it is ours.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
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
