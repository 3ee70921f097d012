//! `quayside registry`: images of this installation for Docker, podman and skopeo of this machine.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use quayside_runtime::service::{self, part_fds};
use quayside_runtime::sys::message;
use quayside_runtime::sys::process::inherited_fd;

use super::{Data, flag};
use crate::account::Account;
use crate::registry::holder::Holder;
use crate::registry::{UPLOAD_MAX_BYTES, front};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Registry {
    #[command(flatten)]
    data: Data,
    /// Where to listen; an address of this machine alone
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Where Debian packages come from, if not from where this host's apt takes them
    #[arg(long, value_name = "URL")]
    debian_mirror: Option<String>,
}

impl Registry {
    pub fn main(self) -> anyhow::Result<i32> {
        if !self.listen.ip().is_loopback() {
            bail!(
                "the registry listens for this machine alone, and {} can be reached from others, who could then change the images here; take 127.0.0.1 or [::1]",
                self.listen
            );
        }
        let flags = flag("--debian-mirror", "images.debian-mirror", self.debian_mirror);
        let settings = self.data.load(flags.into_iter().collect())?.merged.settings;
        telemetry::start(settings.log);
        let account = Account::of(settings.web.user.as_deref())?;
        let store = super::image::open(&self.data.images()?)?;
        let listener = TcpListener::bind(self.listen).with_context(|| {
            format!("cannot listen on {}; end what listens there, or name another address by --listen", self.listen)
        })?;
        let address = listener.local_addr()?;
        let (ours, theirs) = message::pair()?;
        let binary = std::fs::File::open("/proc/self/exe")?;
        // Before this process has a second thread.
        let child = service::start_registry(
            binary.as_fd(),
            &serde_json::to_vec(&settings.log)?,
            [listener.as_fd(), theirs.as_fd()],
            (account.uid, account.gid),
            UPLOAD_MAX_BYTES,
        )
        .context("cannot start the process that speaks HTTP")?;
        drop((theirs, listener));
        eprintln!("images are served on {address}: docker pull localhost:{}/NAME; Ctrl-C ends it", address.port());
        let sources = super::sources(&settings.images)?;
        let served = Arc::new(Holder::new(store, sources, address.port())).serve(ours);
        let _ = kill(child.pid, Signal::SIGKILL);
        let ended = waitpid(child.pid, None);
        served.context("the process that speaks HTTP says what is not understood")?;
        bail!("the process that speaks HTTP has ended ({ended:?})")
    }
}

/// `quayside registry-front`, started by the above as somebody who is not root.
pub fn front() -> anyhow::Result<i32> {
    let config = inherited_fd(part_fds::CONFIG).context("this is started by 'quayside registry', not by hand")?;
    let log = serde_json::from_reader(std::fs::File::from(config)).context("cannot read what we were told")?;
    telemetry::start(log);
    let listener = TcpListener::from(inherited_fd(part_fds::LISTENER)?);
    let line = inherited_fd(part_fds::SUPERVISOR)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(front::serve(listener, line))?;
    Ok(0)
}
