//! Steps that images have with them: `--cache-from`.
//!
//! The history of an image that was built here has the key of every step in the comment of its entry, and the layer of
//! the step is the image's. Both go wherever the image goes, through a registry or an archive, so that a build in a fresh
//! data directory finds what another machine has done. Only stages that the image consists of are in it.
//!
//! Whoever made an image says what its keys are: a build takes steps only from images that it was told to trust.

use std::collections::BTreeMap;

use super::{Job, Tools, Voice};
use crate::build::cache::{Hit, Record};
use crate::image::oci::History;
use crate::image::store::{Image, Layer};
use crate::image::{Digest, ImageError};

/// What the comment of a step's entry begins with; the key's digest follows, if the step has one.
const COMMENT: &str = "quayside build";

/// Steps by their keys, with the name of the image that has them.
#[derive(Debug, Default)]
pub struct Inherited {
    steps: BTreeMap<Digest, (String, Hit)>,
    /// The images that were found.
    pub images: Vec<String>,
}

impl Inherited {
    /// Reads the histories of the images that the job names. One that is not here is warned about, for a first build has none.
    pub fn read(job: &Job, tools: &Tools, voice: &Voice) -> Result<Self, ImageError> {
        let mut inherited = Self::default();
        for name in &job.cache_from {
            match tools.store.lookup(name)? {
                Some(image) => inherited.add(name, &image),
                None => voice.warn(&format!(
                    "no steps are taken from {name}: there is no such image here; get it with `quayside image pull` or \
                     `quayside image load`"
                )),
            }
        }
        Ok(inherited)
    }

    pub fn find(&self, key: &Digest) -> Option<&(String, Hit)> {
        self.steps.get(key)
    }

    fn add(&mut self, name: &str, image: &Image) {
        self.images.push(name.to_owned());
        let mut layers = image.layers.iter();
        for entry in &image.config.history {
            let layer = match entry.empty_layer {
                true => None,
                // A history that has more layers than its image says nothing that can be relied upon.
                false => match layers.next() {
                    Some(layer) => Some(layer.clone()),
                    None => return,
                },
            };
            if let Some(key) = key_in(entry) {
                self.steps.entry(key).or_insert_with(|| (name.to_owned(), hit(entry, layer)));
            }
        }
    }
}

/// The comment of a step's entry.
pub fn comment(key: Option<&Digest>) -> String {
    key.map_or_else(|| COMMENT.to_owned(), |key| format!("{COMMENT} {key}"))
}

fn key_in(entry: &History) -> Option<Digest> {
    entry.comment.as_deref()?.strip_prefix(COMMENT)?.trim().parse().ok()
}

fn hit(entry: &History, layer: Option<Layer>) -> Hit {
    let created = entry.created.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let record = Record {
        text: entry.created_by.clone().unwrap_or_default(),
        layer: layer.as_ref().map(|layer| layer.diff_id),
        created: created.map(jiff::Timestamp::as_second).unwrap_or_default(),
        took_ms: 0,
        size_bytes: layer.as_ref().map_or(0, |layer| layer.record.size_bytes),
    };
    Hit { record, layer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_has_the_key_and_another_builders_has_none() {
        let key = Digest::of(b"step");
        let entry = |comment: &str| History { comment: Some(comment.to_owned()), ..History::default() };
        assert_eq!(key_in(&entry(&comment(Some(&key)))), Some(key));
        for other in [&comment(None), "buildkit.dockerfile.v0", "quayside build sha256:short", ""] {
            assert_eq!(key_in(&entry(other)), None, "{other}");
        }
        assert_eq!(key_in(&History::default()), None);
    }
}
