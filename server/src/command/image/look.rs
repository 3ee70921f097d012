//! `quayside image inspect`, `history`, `df`, `tag` and `prune`: what images are, what they take, what they are called.

use clap::Args;
use quayside_runtime::image::store::Usage;
use quayside_runtime::image::{Image, Reference, show};
use quayside_runtime::printable;
use serde_json::json;

use super::super::Data;
use super::{layers_in_use, open};

#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    data: Data,
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    data: Data,
    name: String,
}

#[derive(Debug, Args)]
pub struct Df {
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, Args)]
pub struct Tag {
    #[command(flatten)]
    data: Data,
    /// A name or the beginning of an id
    image: String,
    name: String,
}

#[derive(Debug, Args)]
pub struct Prune {
    #[command(flatten)]
    data: Data,
    /// Images that have a name but no sandbox, too
    #[arg(short, long)]
    all: bool,
}

impl Inspect {
    pub fn main(self) -> anyhow::Result<()> {
        let store = open(&self.data.images()?)?;
        let images = self.names.iter().map(|name| store.resolve(name));
        let all = images.map(|image| image.map(|image| inspected(&image))).collect::<Result<Vec<_>, _>>()?;
        println!("{}", printable::json(&serde_json::to_string_pretty(&all)?));
        Ok(())
    }
}

impl History {
    pub fn main(self) -> anyhow::Result<()> {
        let image = open(&self.data.images()?)?.resolve(&self.name)?;
        print!("{}", history_lines(&image));
        Ok(())
    }
}

impl Df {
    pub fn main(self) -> anyhow::Result<()> {
        print!("{}", usage_lines(&open(&self.data.images()?)?.usage()?));
        Ok(())
    }
}

impl Tag {
    pub fn main(self) -> anyhow::Result<()> {
        let store = open(&self.data.images()?)?;
        let name: Reference = self.name.parse()?;
        if name.digest().is_some() {
            anyhow::bail!("{} has a digest, which nobody can give; name a tag", self.name);
        }
        let work = store.work()?;
        let image = store.resolve(&self.image)?;
        store.tag(&work, &name, image.id)?;
        Ok(())
    }
}

impl Prune {
    pub fn main(self) -> anyhow::Result<()> {
        let data = self.data.images()?;
        let store = open(&data)?;
        let used = layers_in_use(&data)?;
        let mut bytes = 0;
        if self.all {
            for image in store.images()?.into_iter().flatten() {
                let is_used = image.layers.iter().any(|layer| used.contains(&layer.path));
                if !is_used {
                    let removed = store.remove(&image.id.to_string(), &used, true)?;
                    removed.names.iter().for_each(|name| println!("Untagged: {}", name.familiar()));
                    removed.images.iter().for_each(|id| println!("Deleted: {id}"));
                    bytes += removed.bytes;
                }
            }
        }
        let removed = store.prune(&used)?;
        removed.images.iter().for_each(|id| println!("Deleted: {id}"));
        println!("Total reclaimed space: {}", show::size(bytes + removed.bytes));
        Ok(())
    }
}

/// In the words of `docker image inspect`, as far as they mean something here.
fn inspected(image: &Image) -> serde_json::Value {
    let tags: Vec<String> =
        image.names.iter().filter(|name| name.digest().is_none()).map(Reference::familiar).collect();
    let digests: Vec<String> = image.origin.repo_digests.iter().map(Reference::familiar).collect();
    let layers: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    json!({
        "Id": image.id,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": image.config.created,
        "Author": image.config.author.clone().unwrap_or_default(),
        "Architecture": image.config.architecture,
        "Os": image.config.os,
        "Size": image.size_bytes(),
        "Config": image.config.config,
        "RootFS": { "Type": "layers", "Layers": layers },
        "Summary": image.origin.summary,
        "StandsInFor": image.origin.stands_in_for,
        "Notices": image.origin.notices,
    })
}

/// One step a line, the newest first, as `docker history`.
fn history_lines(image: &Image) -> String {
    let mut layers = image.layers.iter();
    let mut rows = Vec::new();
    for step in &image.config.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        let size = layer.map_or_else(|| "-".to_owned(), |layer| show::size(layer.record.size_bytes));
        let created = step.created.clone().unwrap_or_else(|| "-".into());
        let by = one_line(step.created_by.as_deref().unwrap_or("-"));
        rows.push([created, size, by]);
    }
    // Layers that no step tells of.
    rows.extend(layers.map(|layer| ["-".into(), show::size(layer.record.size_bytes), "-".into()]));
    rows.push(["CREATED", "SIZE", "CREATED BY"].map(String::from));
    rows.reverse();
    show::table(&rows)
}

fn usage_lines(usage: &Usage) -> String {
    let mut rows = vec![["IMAGE", "SIZE", "SHARED", "UNIQUE"].map(String::from)];
    for one in &usage.images {
        let size = one.shared_bytes + one.unique_bytes;
        rows.push([one.image.shown(), show::size(size), show::size(one.shared_bytes), show::size(one.unique_bytes)]);
    }
    format!(
        "{}\n{} layers: {}, each counted once\nof these, in no image: {}\narchives and documents: {}\ndownloads: {}\n",
        show::table(&rows),
        usage.layers,
        show::size(usage.layers_bytes),
        show::size(usage.unnamed_bytes),
        show::size(usage.blobs_bytes),
        show::size(usage.downloads_bytes),
    )
}

/// A stranger's words: no control characters.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
