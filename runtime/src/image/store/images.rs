//! Images: a config, the layers that it names, and where it came from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::digest::Digest;
use super::super::oci::{CONFIG_MAX_BYTES, History, ImageConfig};
use super::super::reference::Reference;
use super::locks::{self, Sharing, write_whole};
use super::{ImageError, Layer, Store, Work};

/// An image's JSON. Ours have under 2 KiB.
const RECORD_MAX_BYTES: u64 = 64 * 1024;

/// The shortest beginning of an id that is taken for one; shorter ones are more likely names.
const PREFIX_MIN: usize = 4;

/// Says of an image, wherever it goes, that it is not the one that people expect under its name.
pub const STANDS_IN_LABEL: &str = "quayside.stands-in-for";

/// How each line of its history begins, as long as nobody has built upon it.
pub const MADE_BY: &str = "quayside image prepare";

/// An image that is here with all its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The digest of its config.
    pub id: Digest,
    pub names: Vec<Reference>,
    pub config: ImageConfig,
    /// Bottom to top.
    pub layers: Vec<Layer>,
    pub origin: Origin,
}

/// Where an image came from, and what people should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// One line for people: what it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The image that people expect under this name, when this is not that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<String>,
    /// What it was made of; when that is not today's, it is prepared anew.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub recipe: String,
    /// What the operator's line of the catalogue says that it is made of; when that is not today's, it is prepared anew.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listed: String,
    /// What an operator should know about how it was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Names with the digests that registries know it by: `docker.io/library/golang@sha256:…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repo_digests: Vec<Reference>,
    /// What it was pushed to our own registry as, by tag: `localhost:5000/web:1@sha256:…`. The digests stand above too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pushed: Vec<Reference>,
}

impl Origin {
    /// This, with what registries know the same image by already.
    fn keeping(mut self, known: &Self) -> Self {
        for (own, known) in [(&mut self.repo_digests, &known.repo_digests), (&mut self.pushed, &known.pushed)] {
            let more: Vec<Reference> = known.iter().filter(|name| !own.contains(name)).cloned().collect();
            own.extend(more);
        }
        self
    }
}

/// An image as it stands on disk; its config is a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    format: u32,
    /// Seconds since 1970.
    added: i64,
    origin: Origin,
}

const FORMAT: u32 = 2;

impl Image {
    /// Folders of the layers, bottom to top.
    pub fn layer_paths(&self) -> Vec<PathBuf> {
        self.layers.iter().map(|layer| layer.path.clone()).collect()
    }

    /// What every process finds in its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        self.config.config.env_pairs()
    }

    /// Of all its layers' files, whether or not other images have them too.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.record.size_bytes).sum()
    }

    /// A name for messages: the first, or the beginning of its id.
    pub fn shown(&self) -> String {
        self.names.first().map_or_else(|| self.id.short(), Reference::familiar)
    }
}

impl Store {
    /// Adds an image whose layers are here, and waits until all of it is on the disk. `config` are the bytes that its id
    /// is the digest of.
    pub fn add_image(&self, work: &Work, config: &[u8], origin: Origin) -> Result<Image, ImageError> {
        self.add_known_image(work, config, |known| *known = origin.keeping(known))
    }

    /// The same, where what it comes from is a change of what is known already: read, changed and written while nobody
    /// else does, for a push and a registry may be at the same image.
    pub fn add_known_image(
        &self,
        work: &Work,
        config: &[u8],
        change: impl FnOnce(&mut Origin),
    ) -> Result<Image, ImageError> {
        let id = self.write_blob(work, config)?;
        self.settle(work, &self.parts(&id)?.1)?;
        self.enter(work, id, change)
    }

    /// Adds it without waiting: it is lost when the machine stops before its layers have come to the disk.
    pub fn add_passing_image(&self, work: &Work, config: &[u8], origin: Origin) -> Result<Image, ImageError> {
        let id = self.write_blob(work, config)?;
        self.enter(work, id, |known| *known = origin.keeping(known))
    }

    fn enter(&self, work: &Work, id: Digest, change: impl FnOnce(&mut Origin)) -> Result<Image, ImageError> {
        let (config, layers) = self.parts(&id)?;
        let _lock = locks::lock(&self.root.join("lock"), Sharing::Exclusive)?;
        let known = self.contents().find_map(|content| read_record(&record_path(content, &id)));
        let mut origin = known.map(|record| record.origin).unwrap_or_default();
        change(&mut origin);
        let record = Record { format: FORMAT, added: jiff::Timestamp::now().as_second(), origin };
        let text = serde_json::to_vec_pretty(&record).expect("a record has only texts and numbers");
        write_whole(work, &record_path(&self.content, &id), &text)?;
        Ok(Image { id, names: self.names_of(&id)?, config, layers, origin: record.origin })
    }

    /// The image with this id; an error says what of it is missing.
    pub fn image(&self, id: &Digest) -> Result<Option<Image>, ImageError> {
        let names = self.names_of(id)?;
        self.image_called(id, names)
    }

    /// The image that `text` means: a name, an id, or at least four digits of an id.
    pub fn resolve(&self, text: &str) -> Result<Image, ImageError> {
        self.lookup(text)?.ok_or_else(|| self.unknown(text))
    }

    /// The same, `None` if there is no such image here.
    pub fn lookup(&self, text: &str) -> Result<Option<Image>, ImageError> {
        let names = self.names()?;
        let by_name = text.parse::<Reference>().ok().and_then(|name| self.id_called(&names, &name));
        let id = match by_name {
            Some(id) => Some(id),
            None => self.id_beginning(text)?,
        };
        let Some(id) = id else { return Ok(None) };
        self.image_called(&id, called(&names, &id))
    }

    /// Every image that is whole, newest first, and those that are not with what they lack.
    pub fn images(&self) -> Result<Vec<Result<Image, ImageError>>, ImageError> {
        let names = self.names()?;
        let mut ids: Vec<(i64, Digest)> = self.ids()?.into_iter().map(|(id, record)| (-record.added, id)).collect();
        ids.sort();
        let image = |(_, id): (i64, Digest)| self.image_called(&id, called(&names, &id)).transpose();
        Ok(ids.into_iter().filter_map(image).collect())
    }

    pub fn names_of(&self, id: &Digest) -> Result<Vec<Reference>, ImageError> {
        Ok(called(&self.names()?, id))
    }

    pub(in crate::image) fn unknown(&self, text: &str) -> ImageError {
        let hint = "quayside image ls says what there is, quayside image pull gets it from a registry".to_owned();
        ImageError::Unknown { name: text.to_owned(), hint }
    }

    /// A name with a digest means the image that a registry gave under it.
    fn id_called(&self, names: &BTreeMap<Reference, Digest>, name: &Reference) -> Option<Digest> {
        if let Some(id) = names.get(name) {
            return Some(*id);
        }
        let digest = name.digest()?;
        let known = |origin: &Origin| {
            origin
                .repo_digests
                .iter()
                .any(|known| known.digest() == Some(digest) && known.repository() == name.repository())
        };
        self.ids().ok()?.into_iter().find(|(_, record)| known(&record.origin)).map(|(id, _)| id)
    }

    fn id_beginning(&self, text: &str) -> Result<Option<Digest>, ImageError> {
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.len() < PREFIX_MIN || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let ids = self.ids()?;
        let found: Vec<&Digest> = ids.keys().filter(|id| id.hex().starts_with(prefix)).collect();
        match found[..] {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            _ => Err(ImageError::Ambiguous { prefix: text.to_owned(), count: found.len() }),
        }
    }

    fn image_called(&self, id: &Digest, names: Vec<Reference>) -> Result<Option<Image>, ImageError> {
        let Some(record) = self.contents().find_map(|content| read_record(&record_path(content, id))) else {
            return Ok(None);
        };
        let shown = names.first().map_or_else(|| id.short(), Reference::familiar);
        let (config, layers) = self.parts(id).map_err(|error| match error {
            ImageError::Incomplete { missing, .. } => ImageError::Incomplete { name: shown, missing },
            other => other,
        })?;
        let stands_in_for = record.origin.stands_in_for.or_else(|| label_of_a_stand_in(&config));
        Ok(Some(Image { id: *id, names, config, layers, origin: Origin { stands_in_for, ..record.origin } }))
    }

    fn parts(&self, id: &Digest) -> Result<(ImageConfig, Vec<Layer>), ImageError> {
        let config: ImageConfig = self.read_json("config", id, CONFIG_MAX_BYTES)?;
        let layer = |diff_id: &Digest| {
            let missing = || ImageError::Incomplete { name: id.short(), missing: format!("its layer {diff_id}") };
            self.layer(diff_id).ok_or_else(missing)
        };
        let layers = config.rootfs.diff_ids.iter().map(layer).collect::<Result<_, _>>()?;
        Ok((config, layers))
    }

    /// Every image's id with its record.
    fn ids(&self) -> Result<BTreeMap<Digest, Record>, ImageError> {
        let mut ids = BTreeMap::new();
        for content in self.contents() {
            for id in ids_in(content)? {
                if let Some(record) = read_record(&record_path(content, &id)) {
                    ids.entry(id).or_insert(record);
                }
            }
        }
        Ok(ids)
    }
}

/// What an image that came by a registry or an archive stands in for. Who builds upon one inherits its label, and has a
/// history of more.
fn label_of_a_stand_in(config: &ImageConfig) -> Option<String> {
    let is_ours = |step: &History| step.created_by.as_deref().is_some_and(|by| by.starts_with(MADE_BY));
    let label = config.config.labels.get(STANDS_IN_LABEL)?;
    let is_whole = !config.history.is_empty() && config.history.iter().all(is_ours);
    // A stranger's text: what is no image's name is not shown.
    let name = label.parse::<Reference>().ok()?;
    is_whole.then(|| name.familiar_name())
}

/// The ids of the images that one store itself has.
pub(super) fn ids_in(content: &Path) -> Result<Vec<Digest>, ImageError> {
    let folder = content.join("images");
    let entries = fs::read_dir(&folder).map_err(ImageError::store("list", &folder))?;
    let id = |name: std::ffi::OsString| Digest::from_hex(name.to_str()?.strip_suffix(".json")?);
    Ok(entries.flatten().filter_map(|entry| id(entry.file_name())).collect())
}

pub(super) fn record_path(content: &Path, id: &Digest) -> PathBuf {
    content.join("images").join(format!("{}.json", id.hex()))
}

fn read_record(path: &Path) -> Option<Record> {
    if fs::metadata(path).ok()?.len() > RECORD_MAX_BYTES {
        return None;
    }
    let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (record.format == FORMAT).then_some(record)
}

fn called(names: &BTreeMap<Reference, Digest>, id: &Digest) -> Vec<Reference> {
    names.iter().filter(|(_, of)| *of == id).map(|(name, _)| name.clone()).collect()
}
