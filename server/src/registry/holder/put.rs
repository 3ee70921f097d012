//! Manifests and indexes, in, and names that are taken away again.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use quayside_runtime::image::oci::{CONFIG_MAX_BYTES, ImageConfig, Index, MANIFEST_MAX_BYTES, Manifest, Platform};
use quayside_runtime::image::reference::ReferenceError;
use quayside_runtime::image::registry::{Document, LAYERS_MAX, check_blob, choose, take_blob, understand};
use quayside_runtime::image::store::{Layer, Origin, Tar, Work};
use quayside_runtime::image::{Digest, Image, Reference};

use super::super::protocol::{Answer, Code};
use super::manifests::{INDEXES_MAX, came_as, is_of};
use super::{Holder, broken, chain, failed, lock};

/// What one image is known by, at most: each push under another tag or in another form adds one, and all of them stand
/// in the image's record. The oldest are forgotten.
const KNOWN_MAX: usize = 64;

impl Holder {
    pub(super) fn put(
        &self,
        repository: &str,
        reference: &str,
        media_type: Option<&str>,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, Answer> {
        let mut bytes = Vec::new();
        let file = fd.map(File::from).ok_or_else(|| bad("there is no manifest"))?;
        file.take(MANIFEST_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MANIFEST_MAX_BYTES {
            return Err(Answer::refused(413, Code::ManifestInvalid, "the manifest is larger than 4 MiB"));
        }
        let digest = Digest::of(&bytes);
        let document = understand(repository, &bytes, media_type).map_err(|error| bad(chain(&error)))?;
        let name = self.name_to_put(repository, reference, &digest)?;
        lock(&self.uploads).touch();
        let work = self.store.work().map_err(broken)?;
        let mut named = Vec::new();
        let config = match document {
            Document::Manifest(manifest) => {
                named.push(manifest.config.digest);
                named.extend(manifest.layers.iter().map(|layer| layer.digest));
                self.take_parts(&manifest)?
            }
            Document::Index(index) => {
                let image = self.image_of(repository, &index)?;
                self.store.read_blob("config", &image.id, CONFIG_MAX_BYTES).map_err(broken)?
            }
        };
        self.store.write_blob(&work, &bytes).map_err(broken)?;
        self.enter(&work, &config, &name, &digest)?;
        lock(&self.uploads).named(named.into_iter());
        Ok(Answer::Done { digest: Some(digest) })
    }

    /// Notes what an image is called and known by.
    fn enter(&self, work: &Work, config: &[u8], name: &Reference, digest: &Digest) -> Result<(), Answer> {
        let with_digest = |text: String| -> Result<Reference, Answer> { text.parse().map_err(invalid_name) };
        // The first one is what the image is shown as where no tag says better.
        let by_digest = with_digest(format!("{}/{}@{digest}", name.registry(), name.repository()))?;
        let by_tag = match name.digest() {
            Some(_) => None,
            None => Some(with_digest(format!("{name}@{digest}"))?),
        };
        let change = |origin: &mut Origin| {
            origin.repo_digests.retain(|known| *known != by_digest);
            origin.repo_digests.insert(0, by_digest);
            origin.repo_digests.truncate(KNOWN_MAX);
            if let Some(by_tag) = by_tag {
                origin.pushed.retain(|pushed| !is_of(pushed, name));
                origin.pushed.insert(0, by_tag);
                origin.pushed.truncate(KNOWN_MAX);
            }
        };
        let image = self.store.add_known_image(work, config, change).map_err(broken)?;
        self.store.tag(work, name, image.id).map_err(broken)
    }

    /// The image that an index stands for here: the one that runs on this machine, or else its first. All that the index
    /// names must be here.
    fn image_of(&self, repository: &str, index: &Index) -> Result<Image, Answer> {
        let images = self.images()?;
        for child in &index.manifests {
            if self.as_it_came(&images, &child.digest, INDEXES_MAX - 1).is_none() {
                let message = format!("the manifest {} of the index was not pushed before", child.digest);
                return Err(Answer::refused(400, Code::ManifestBlobUnknown, message));
            }
        }
        let chosen = choose(repository, index, &Platform::host()).ok().or(index.manifests.first());
        let chosen = chosen.ok_or_else(|| bad("an index without any manifest names no image"))?;
        let image = images.into_iter().find(|image| came_as(image, &chosen.digest));
        image.ok_or_else(|| bad("the index names no image"))
    }

    fn name_to_put(&self, repository: &str, reference: &str, digest: &Digest) -> Result<Reference, Answer> {
        let text = match reference.parse::<Digest>() {
            Ok(wanted) if wanted == *digest => format!("{}@{digest}", self.own(repository)),
            Ok(_) => {
                return Err(Answer::refused(400, Code::DigestInvalid, format!("the manifest has the digest {digest}")));
            }
            Err(_) => format!("{}:{reference}", self.own(repository)),
        };
        text.parse().map_err(invalid_name)
    }

    /// Unpacks the layers that are not here yet; gives the config.
    fn take_parts(&self, manifest: &Manifest) -> Result<Vec<u8>, Answer> {
        let missing = |digest: &Digest| {
            Answer::refused(400, Code::ManifestBlobUnknown, format!("the blob {digest} was not pushed before"))
        };
        let config_digest = &manifest.config.digest;
        self.store.blob(config_digest).ok_or_else(|| missing(config_digest))?;
        let bytes = self.store.read_blob("config", config_digest, CONFIG_MAX_BYTES).map_err(broken)?;
        let config: ImageConfig =
            serde_json::from_slice(&bytes).map_err(|error| bad(format!("its config: {error}")))?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() || diff_ids.len() > LAYERS_MAX {
            return Err(bad(format!("{} layers, and {} in the config", manifest.layers.len(), diff_ids.len())));
        }
        for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let is_blob = self.store.blob(&descriptor.digest).is_some();
            let here = self.store.layer(diff_id);
            let is_canonical = |layer: &Layer| matches!(layer.record.tar, Tar::Canonical { .. });
            let is_ours = descriptor.digest == *diff_id && here.as_ref().is_some_and(is_canonical);
            if !is_blob && !is_ours {
                return Err(missing(&descriptor.digest));
            }
            let fits = match here {
                None => {
                    let mut blob = self.store.open_blob("layer", &descriptor.digest).map_err(broken)?;
                    take_blob(&self.store, &mut blob, &descriptor.digest, diff_id).map(drop)
                }
                Some(layer) if is_blob && !is_kept_as(&layer, &descriptor.digest) => {
                    check_blob(&self.store, &descriptor.digest, diff_id)
                }
                Some(_) => Ok(()),
            };
            fits.map_err(|error| bad(chain(&error)))?;
        }
        Ok(bytes)
    }

    /// Takes names away from what was pushed here; the images go when somebody prunes. Names that this machine gave
    /// itself are not a client's to take.
    pub(super) fn delete(&self, repository: &str, reference: &str) -> Result<Answer, Answer> {
        let unknown = || {
            let message = format!("there is no {repository}:{reference} that was pushed here");
            Answer::refused(404, Code::ManifestUnknown, message)
        };
        let own: Reference = self.own(repository).parse().map_err(invalid_name)?;
        let names = self.store.names().map_err(broken)?;
        let here = names
            .into_iter()
            .filter(|(name, _)| (name.registry(), name.repository()) == (own.registry(), own.repository()));
        let gone: Vec<Reference> = match reference.parse::<Digest>() {
            Err(_) => here.map(|(name, _)| name).filter(|name| name.tag() == Some(reference)).collect(),
            Ok(digest) => here.filter(|(name, id)| self.is_known_as(name, id, &digest)).map(|(name, _)| name).collect(),
        };
        if gone.is_empty() {
            return Err(unknown());
        }
        let work = self.store.work().map_err(broken)?;
        self.store.untag(&work, &gone).map_err(broken)?;
        Ok(Answer::Done { digest: None })
    }

    /// Whether a name was pushed as the document with this digest.
    fn is_known_as(&self, name: &Reference, id: &Digest, digest: &Digest) -> bool {
        if let Some(own) = name.digest() {
            return own == *digest;
        }
        let image = self.store.image(id).ok().flatten();
        let pushed = |image: Image| image.origin.pushed.into_iter().find(|pushed| is_of(pushed, name));
        image.and_then(pushed).is_some_and(|pushed| pushed.digest() == Some(*digest))
    }
}

/// Whether a layer came as this blob, which was checked then.
fn is_kept_as(layer: &Layer, digest: &Digest) -> bool {
    matches!(&layer.record.tar, Tar::Kept { blob, .. } if blob == digest)
}

fn bad(message: impl Into<String>) -> Answer {
    Answer::refused(400, Code::ManifestInvalid, message)
}

fn invalid_name(error: ReferenceError) -> Answer {
    Answer::refused(400, Code::NameInvalid, error.to_string())
}
