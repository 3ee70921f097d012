//! The table of contents of `docker save`: `manifest.json`, and `repositories` for readers of before 2016.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::super::digest::Digest;
use super::super::reference::Reference;

pub const MANIFEST: &str = "manifest.json";
pub const REPOSITORIES: &str = "repositories";

/// The largest of either: some hundred images with a hundred layers each.
pub const MANIFEST_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// An image of the archive; all paths are members' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    pub config: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub repo_tags: Vec<String>,
    /// Bottom to top.
    #[serde(default, deserialize_with = "null_as_default")]
    pub layers: Vec<String>,
}

/// Name, then tag, then the id of the uppermost layer.
pub type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// An image as it is saved.
pub fn entry(id: &Digest, names: &[Reference], layers: &[Digest]) -> Entry {
    Entry {
        config: config_member(id),
        repo_tags: names.iter().filter(|name| name.tag().is_some()).map(tagged).collect(),
        layers: layers.iter().map(layer_member).collect(),
    }
}

pub fn repositories<'a>(images: impl Iterator<Item = (&'a [Reference], &'a [Digest])>) -> Repositories {
    let mut repositories = Repositories::new();
    for (names, layers) in images {
        let Some(top) = layers.last() else { continue };
        for name in names {
            let Some(tag) = name.tag() else { continue };
            repositories.entry(name.familiar_name()).or_default().insert(tag.to_owned(), top.hex());
        }
    }
    repositories
}

pub fn config_member(id: &Digest) -> String {
    format!("{}.json", id.hex())
}

pub fn layer_member(diff_id: &Digest) -> String {
    format!("{}/layer.tar", diff_id.hex())
}

/// Without a digest, which `docker load` does not take.
fn tagged(name: &Reference) -> String {
    format!("{}:{}", name.familiar_name(), name.tag().unwrap_or_default())
}

/// Go writes an empty list as `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let text = r#"[{"Config":"ab.json","RepoTags":null,"Layers":["a/layer.tar"]},
            {"Config":"blobs/sha256/cd","RepoTags":["web:1"],"Layers":null,"LayerSources":{}}]"#;
        let read: Vec<Entry> = serde_json::from_str(text).unwrap();
        assert_eq!(read[0].repo_tags, Vec::<String>::new());
        assert_eq!((read[1].repo_tags.as_slice(), read[1].layers.as_slice()), (&["web:1".to_owned()][..], &[][..]));
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        let names: Vec<Reference> = ["golang:1.20", "localhost:5000/shop/web"].map(|it| it.parse().unwrap()).to_vec();
        let (id, layer) = (Digest::of(b"config"), Digest::of(b"layer"));
        let entry = entry(&id, &names, &[layer]);
        assert_eq!(entry.repo_tags, ["golang:1.20", "localhost:5000/shop/web:latest"]);
        let repositories = repositories([(&names[..], &[layer][..])].into_iter());
        assert_eq!(repositories["golang"]["1.20"], layer.hex());
        assert_eq!(repositories["localhost:5000/shop/web"]["latest"], layer.hex());
    }
}
