//! `quayside image load`, `save`, `import` and `export`: images and their files, in and out.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use quayside_runtime::build::changes::config_of;
use quayside_runtime::image::Store;
use quayside_runtime::image::transfer::{self, Format, Loaded, Saved, Source};

use crate::command::Data;

#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    data: Data,
    /// The archive, or an OCI layout's folder; standard input if none is named
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Call the image so, whatever the archive calls it; for an archive with one image
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Save {
    #[command(flatten)]
    data: Data,
    /// Where to; standard output if nothing is named
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[arg(long, value_enum, default_value_t = Kind::DockerArchive)]
    format: Kind,
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    data: Data,
    /// An instruction of a Dockerfile for the image's config, as CMD, ENV or USER; may be given several times
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// An archive of a root file system, compressed or not; - is standard input
    file: PathBuf,
    /// What to call the image
    name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    data: Data,
    /// Where to; standard output if nothing is named
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// As `docker save` writes it; everybody loads it
    DockerArchive,
    /// An OCI layout as one file
    OciArchive,
    /// An OCI layout as a folder
    OciDir,
}

impl Load {
    pub fn main(self) -> anyhow::Result<()> {
        let store = super::open(&self.data.images()?)?;
        let name = self.name.map(|name| name.parse()).transpose()?;
        let shown = shown(&self.input);
        let source = if is_standard(&self.input) {
            if io::stdin().is_terminal() {
                bail!("there is no archive on standard input; name one: quayside image load -i FILE");
            }
            Source::Stream(Box::new(io::stdin()))
        } else if self.input.is_dir() {
            Source::Folder(&self.input)
        } else {
            Source::File(open_to_read(&self.input)?)
        };
        let loaded = transfer::load(&store, source, name.as_ref()).with_context(|| format!("cannot load {shown}"))?;
        loaded.iter().for_each(tell);
        Ok(())
    }
}

/// In the words of `docker load`, for scripts read them.
fn tell(loaded: &Loaded) {
    loaded.names.iter().for_each(|name| println!("Loaded image: {}", name.familiar()));
    if loaded.names.is_empty() {
        println!("Loaded image ID: {}", loaded.image.id);
    }
}

impl Save {
    pub fn main(self) -> anyhow::Result<()> {
        let store = super::open(&self.data.images()?)?;
        let images = saved(&store, &self.names)?;
        let save = |format, out: &mut dyn Write| Ok(transfer::save(&store, &images, format, out)?);
        match self.format {
            Kind::DockerArchive => write_to(&self.output, |out| save(Format::Docker, out)),
            Kind::OciArchive => write_to(&self.output, |out| save(Format::Oci, out)),
            Kind::OciDir if is_standard(&self.output) => bail!("a folder needs a name: --output FOLDER"),
            Kind::OciDir => Ok(transfer::save_to_folder(&store, &images, &self.output)?),
        }
    }
}

/// Each image once, under the names that it was asked for by. One that was named by its id goes without a name.
fn saved(store: &Store, asked: &[String]) -> anyhow::Result<Vec<Saved>> {
    let mut images: Vec<Saved> = Vec::new();
    for text in asked {
        let image = store.resolve(text)?;
        let name = text.parse().ok().filter(|name| image.names.contains(name));
        match images.iter_mut().find(|saved| saved.image.id == image.id) {
            Some(saved) => saved.names.extend(name),
            None => images.push(Saved { image, names: name.into_iter().collect() }),
        }
    }
    Ok(images)
}

impl Import {
    pub fn main(self) -> anyhow::Result<()> {
        let store = super::open(&self.data.images()?)?;
        let name = self.name.map(|name| name.parse()).transpose()?;
        let config = config_of(&self.changes)?;
        let image = match is_standard(&self.file) {
            true => transfer::import(&store, io::stdin(), config, name.as_ref()),
            false => transfer::import(&store, open_to_read(&self.file)?, config, name.as_ref()),
        };
        println!("{}", image.with_context(|| format!("cannot import {}", shown(&self.file)))?.id);
        Ok(())
    }
}

impl Export {
    pub fn main(self) -> anyhow::Result<()> {
        let store = super::open(&self.data.images()?)?;
        let image = store.resolve(&self.name)?;
        write_to(&self.output, |out| {
            transfer::export(&image, out)?;
            Ok(())
        })
    }
}

/// Writes a file whole or not at all, or standard output.
fn write_to(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if is_standard(path) {
        if io::stdout().is_terminal() {
            bail!("an archive is nothing for a terminal; name a file: --output FILE");
        }
        return write(&mut io::stdout().lock());
    }
    let failed = || format!("cannot write {}", path.display());
    // A device or a pipe is written as it is.
    if path.exists() && !path.is_file() {
        return write(&mut File::options().write(true).open(path).with_context(failed)?);
    }
    let partial = path.with_added_extension("partial");
    let result = File::create(&partial).with_context(failed).and_then(|mut file| write(&mut file));
    match result {
        Ok(()) => fs::rename(&partial, path).with_context(failed),
        Err(error) => {
            // What is there of it is of no use to anybody.
            let _ = fs::remove_file(&partial);
            Err(error)
        }
    }
}

fn open_to_read(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

fn shown(path: &Path) -> String {
    if is_standard(path) { "standard input".into() } else { path.display().to_string() }
}
