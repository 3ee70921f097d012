//! `quayside image pull` and `push`: images from registries, and to them.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use clap::Args;
use quayside_runtime::image::oci::Platform;
use quayside_runtime::image::registry::{self, Access, Credentials, Login, PartState, Progress};
use quayside_runtime::image::{Reference, show};

use super::super::Data;
use super::open;
use crate::config::{self, Settings};

#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    asking: Asking,
    /// For another machine than this one, as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
    name: String,
}

#[derive(Debug, Args)]
pub struct Push {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    asking: Asking,
    name: String,
}

#[derive(Debug, Args)]
struct Asking {
    /// Speak http, without any protection, to a registry that is not on this machine
    #[arg(long)]
    insecure: bool,
    /// A login; without it, the one that `docker login` left for this registry
    #[arg(long, value_name = "NAME:PASSWORD")]
    creds: Option<String>,
}

impl Pull {
    pub fn main(self) -> anyhow::Result<()> {
        let settings = self.data.settings()?;
        let store = open(&self.data.images()?)?;
        let name: Reference = self.name.parse()?;
        let platform = self.platform.map_or_else(|| Ok(Platform::host()), |text| platform(&text))?;
        let mut meter = Meter::new("pulling");
        let pulled =
            registry::pull(&store, &self.asking.access(&settings)?, &name, &platform, &mut |it| meter.show(&it));
        meter.clear();
        let pulled = pulled?;
        println!("Digest: {}", pulled.digest);
        if let Some(mirror) = pulled.mirror {
            eprintln!("it came from the mirror {mirror}");
        }
        let shown = name.familiar();
        let size = show::size(pulled.image.size_bytes());
        match pulled.is_unchanged {
            true => println!("{shown} is up to date: {}, {size}", pulled.image.id.short()),
            false => println!("{shown} is here: {}, {size}", pulled.image.id.short()),
        }
        Ok(())
    }
}

impl Push {
    pub fn main(self) -> anyhow::Result<()> {
        let settings = self.data.settings()?;
        let store = open(&self.data.images()?)?;
        let name: Reference = self.name.parse()?;
        let image = store.resolve(&self.name).with_context(|| {
            format!("cannot push {}; give an image this name first (quayside image tag IMAGE {0})", name.familiar())
        })?;
        let mut meter = Meter::new("pushing");
        let pushed = registry::push(&store, &self.asking.access(&settings)?, &image, &name, &mut |it| meter.show(&it));
        meter.clear();
        let pushed = pushed?;
        eprintln!("{} of {} blobs were not there yet", pushed.sent, pushed.blobs);
        let tag = name.tag().unwrap_or_default();
        println!("{tag}: digest: {} size: {}", pushed.digest, pushed.manifest_bytes);
        Ok(())
    }
}

impl Asking {
    fn access(&self, settings: &Settings) -> anyhow::Result<Access> {
        let logins = logins()?;
        let credentials = match &self.creds {
            Some(text) => logins.with(Login::parse(text)?),
            None => logins,
        };
        Ok(Access { insecure: self.insecure, ..super::access(&settings.images, credentials)? })
    }
}

/// What `docker login` left; nothing if nobody has logged in.
pub fn logins() -> anyhow::Result<Credentials> {
    let Some(path) = config::docker_config() else { return Ok(Credentials::default()) };
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Credentials::of_docker(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Credentials::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read the logins in {}", path.display())),
    }
}

fn platform(text: &str) -> anyhow::Result<Platform> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts[..] {
        [os, architecture] => (os, architecture, None),
        [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
        _ => anyhow::bail!("{text:?} is no platform; write OS/ARCHITECTURE, as linux/arm64"),
    };
    Ok(Platform { os: os.into(), architecture: architecture.into(), variant })
}

/// Progress on standard error: a line that moves on a terminal, a line for each finished layer in a log.
struct Meter {
    verb: &'static str,
    on_terminal: bool,
    /// Of each part, what was told of it last.
    told: Vec<PartState>,
}

impl Meter {
    fn new(verb: &'static str) -> Self {
        Self { verb, on_terminal: io::stderr().is_terminal(), told: Vec::new() }
    }

    fn show(&mut self, progress: &Progress) {
        self.told.resize(progress.parts.len(), PartState::Waiting);
        for (part, told) in progress.parts.iter().zip(&mut self.told) {
            let ended = match part.state {
                PartState::Done => "done",
                PartState::Present => "there already",
                PartState::Waiting | PartState::Moving => continue,
            };
            if *told != part.state {
                *told = part.state;
                let clear = if self.on_terminal { "\r\x1b[K" } else { "" };
                eprintln!("{clear}{}: {ended}, {}", part.digest.short(), show::size(part.total_bytes));
            }
        }
        if self.on_terminal && progress.total_bytes > 0 {
            let (done, total) = (show::size(progress.done_bytes), show::size(progress.total_bytes));
            let moving = progress.parts.iter().filter(|part| part.state == PartState::Moving).count();
            // What a terminal does not show is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K{}: {done} of {total}, {moving} layers at once", self.verb);
        }
    }

    fn clear(&self) {
        if self.on_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_two_or_three_parts() {
        assert_eq!(platform("linux/arm/v7").unwrap().to_string(), "linux/arm/v7");
        assert_eq!(platform("linux/amd64").unwrap().variant, None);
        assert!(platform("amd64").is_err() && platform("a/b/c/d").is_err());
    }
}
