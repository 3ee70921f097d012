//! `quayside image`: what sandboxes can be made from.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use quayside_runtime::image::catalogue::listed::Listed;
use quayside_runtime::image::debian::sets;
use quayside_runtime::image::registry::{Access, Credentials, Mirror};
use quayside_runtime::image::{Image as Ready, Progress, Sources, Store, relock, show};
use quayside_runtime::launch::teardown::{self, Found};
use quayside_runtime::rootfs::plan::IMAGES_INSIDE;
use quayside_runtime::spec::data_dir::DataDir;

use super::{DATA_INSIDE, Data, flag};
use crate::config::Images;

mod files;
mod look;
mod registry;

#[derive(Debug, Args)]
pub struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the catalogue, then all images that are here: each a heading, then one name a line
    Ls {
        #[command(flatten)]
        data: Data,
    },
    /// Make images ready, all of the catalogue if none is named
    Prepare {
        #[command(flatten)]
        data: Data,
        /// Where Debian packages come from, if not from where this host's apt takes them
        #[arg(long, value_name = "URL")]
        debian_mirror: Option<String>,
        names: Vec<String>,
    },
    /// Get an image from a registry
    Pull(registry::Pull),
    /// Send an image to a registry
    Push(registry::Push),
    /// Give an image one more name
    Tag(look::Tag),
    /// Say everything about images, as JSON
    Inspect(look::Inspect),
    /// Say how an image came to be, the last step first
    History(look::History),
    /// Say how much room images take, and what they share
    Df(look::Df),
    /// Remove images without a name, and what belongs to none
    Prune(look::Prune),
    /// Load the images of an archive: docker save's, or an OCI layout
    Load(files::Load),
    /// Write images into an archive that others load
    Save(files::Save),
    /// Make an image of an archive of files
    Import(files::Import),
    /// Write the files of an image into an archive
    Export(files::Export),
    /// Print the lock of a set of packages anew, with the newest version that the mirror has of everything
    Relock {
        #[command(flatten)]
        data: Data,
        /// Where Debian packages come from, if not from where this host's apt takes them
        #[arg(long, value_name = "URL")]
        debian_mirror: Option<String>,
        /// A set of packages, called as its lock file is
        #[arg(default_value = "learner")]
        name: String,
    },
    /// Take a name from an image, and remove the image with its last name
    Rm {
        #[command(flatten)]
        data: Data,
        /// Remove an image by its id, whatever names it has
        #[arg(short, long)]
        force: bool,
        name: String,
    },
}

impl Image {
    pub fn main(self) -> anyhow::Result<i32> {
        match self.verb {
            Verb::Ls { data } => {
                let listed = Listed::parse_all(&data.settings()?.images.catalogue)?;
                let store = open(&data.images()?)?;
                print!("{}", show::ls_lines(&store.list(&listed)));
                let (here, broken): (Vec<_>, Vec<_>) = store.images()?.into_iter().partition(Result::is_ok);
                let here: Vec<Ready> = here.into_iter().flatten().collect();
                if !here.is_empty() {
                    print!("\n{}", show::image_lines(&here));
                }
                broken.into_iter().filter_map(Result::err).for_each(|error| eprintln!("{error}"));
            }
            Verb::Prepare { data, debian_mirror, names } => {
                let (data, sources) = sources(&data, debian_mirror)?;
                let all = || {
                    open(&data).map(|store| store.list(&sources.listed).into_iter().map(|image| image.name).collect())
                };
                let names: Vec<String> = if names.is_empty() { all()? } else { names };
                for name in names {
                    let image = prepare(&data, &name, &sources)?;
                    eprintln!("{name} is ready: {}, {}", show::size(image.size_bytes()), image.origin.summary);
                    image.origin.notices.iter().for_each(|notice| eprintln!("    {notice}"));
                }
            }
            Verb::Pull(pull) => pull.main()?,
            Verb::Push(push) => push.main()?,
            Verb::Tag(tag) => tag.main()?,
            Verb::Inspect(inspect) => inspect.main()?,
            Verb::History(history) => history.main()?,
            Verb::Df(df) => df.main()?,
            Verb::Prune(prune) => prune.main()?,
            Verb::Load(load) => load.main()?,
            Verb::Save(save) => save.main()?,
            Verb::Import(import) => import.main()?,
            Verb::Export(export) => export.main()?,
            Verb::Relock { data, debian_mirror, name } => {
                let set = sets::find(&name).with_context(|| {
                    let names: Vec<&str> = sets::SETS.iter().map(|set| set.name).collect();
                    format!("there is no set of packages called {name:?}; there are {}", names.join(", "))
                })?;
                let (data, sources) = sources(&data, debian_mirror)?;
                let (lock, notices) = relock(&open(&data)?, set, &sources)?;
                notices.iter().for_each(|notice| eprintln!("{notice}"));
                print!("{lock}");
            }
            Verb::Rm { data, force, name } => {
                let data = data.images()?;
                let removed = open(&data)?.remove(&name, &layers_in_use(&data)?, force)?;
                removed.names.iter().for_each(|name| println!("Untagged: {}", name.familiar()));
                removed.images.iter().for_each(|id| println!("Deleted: {id}"));
            }
        }
        Ok(0)
    }
}

/// The data directory, and where packages come from.
fn sources(data: &Data, debian_mirror: Option<String>) -> anyhow::Result<(DataDir, Sources)> {
    let flags = flag("--debian-mirror", "images.debian-mirror", debian_mirror);
    let settings = data.load(flags.into_iter().collect())?.merged.settings;
    let access = access(&settings.images, registry::logins()?)?;
    Ok((data.images()?, Sources { access, ..super::sources(&settings.images)? }))
}

/// The images of a data directory; over those of the host, where it is a sandbox's own.
pub fn open(data: &DataDir) -> anyhow::Result<Store> {
    let images = data.images();
    let store = Store::open(&images).with_context(|| format!("cannot open the images at {}", images.display()))?;
    let is_of_sandbox = fs::canonicalize(DATA_INSIDE).is_ok_and(|own| images.starts_with(own));
    Ok(if is_of_sandbox && Path::new(IMAGES_INSIDE).is_dir() { store.over(IMAGES_INSIDE) } else { store })
}

/// How registries are spoken to, as the settings say.
pub fn access(images: &Images, credentials: Credentials) -> anyhow::Result<Access> {
    let mirrors = images.registry_mirrors.iter().map(|text| Mirror::parse(text));
    let mirrors = mirrors.collect::<Result<_, _>>().context("cannot use the setting images.registry-mirrors")?;
    Ok(Access { credentials, mirrors, proxy: images.proxy.clone(), insecure: false })
}

/// Makes `name` ready if it is not, with its progress on standard error.
pub fn prepare(data: &DataDir, name: &str, sources: &Sources) -> anyhow::Result<Ready> {
    let on_terminal = io::stderr().is_terminal();
    let mut last = String::new();
    let mut report = |progress: Progress| {
        let Progress { doing, done, total } = progress;
        let share = (done * 100).checked_div(total).map(|percent| format!(" {percent} %")).unwrap_or_default();
        let mut stderr = io::stderr();
        // A terminal sees every step of the way, a log each stage once.
        let _ = if on_terminal {
            let line = format!("preparing {name}: {doing}{share}");
            write!(stderr, "\r\x1b[K{}", fitting(&line, columns()))
        } else if doing != last {
            writeln!(stderr, "preparing {name}: {doing}")
        } else {
            Ok(())
        };
        last = doing;
    };
    let image = open(data)?.prepare(name, sources, &mut report);
    if on_terminal && !last.is_empty() {
        eprint!("\r\x1b[K");
    }
    Ok(image?)
}

/// What fits in one row: of a line that is broken, only the last row could be written over.
fn fitting(line: &str, columns: usize) -> String {
    // The last column is left free: some terminals go on to the next row after it.
    let room = columns.saturating_sub(1);
    match line.chars().count() > room {
        true => line.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

fn columns() -> usize {
    quayside_runtime::sys::window_size(io::stderr().as_fd()).map_or(80, |(columns, _)| columns.into())
}

/// The layers that sandboxes run on.
pub fn layers_in_use(data: &DataDir) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let found = teardown::find_all(data).context("cannot list the sandboxes")?;
    let store = open(data)?;
    let layers = |found| match found {
        // A record of before layers stood in it: the image of its name, if it is there.
        Found::Alive(record) if record.layers.is_empty() => {
            store.find(&record.image).map(|image| image.layer_paths()).unwrap_or_default()
        }
        Found::Alive(record) => record.layers,
        Found::Dead(_) | Found::Unknown(_) => Vec::new(),
    };
    Ok(found.into_iter().flat_map(layers).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_is_never_wider_than_its_terminal() {
        assert_eq!(fitting("preparing nginx: fetching", 80), "preparing nginx: fetching");
        assert_eq!(fitting("preparing nginx: fetching", 12), "preparing …");
        assert_eq!(fitting("preparing", 10), "preparing");
        assert_eq!(fitting("preparing", 0), "…");
    }
}
