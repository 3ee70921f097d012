//! Manifests and indexes, out: under a tag, or under their own digests.
//!
//! What was pushed here under a tag goes out as it was pushed, byte for byte, as long as all that it names is here; so
//! does what was pulled. Of any other image a manifest is made, the same each time.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use quayside_runtime::image::oci::{Index, MANIFEST_MAX_BYTES, media};
use quayside_runtime::image::registry::outgoing::{self, Outgoing};
use quayside_runtime::image::registry::{Document, understand};
use quayside_runtime::image::{Digest, Image, Reference, catalogue};
use quayside_runtime::sys::memfd::sealed_bytes;

use super::super::protocol::{Answer, Code};
use super::{Holder, broken, failed, lock, refused_by};

/// An index may name another; nobody nests deeper.
pub const INDEXES_MAX: usize = 3;

/// A document as it goes out.
pub struct Shown {
    bytes: Vec<u8>,
    media_type: String,
    digest: Digest,
}

impl From<Outgoing> for Shown {
    fn from(out: Outgoing) -> Self {
        Self { bytes: out.bytes, media_type: out.media_type, digest: out.digest }
    }
}

impl Holder {
    pub(super) fn manifest(
        self: &Arc<Self>,
        repository: &str,
        reference: &str,
    ) -> Result<(Answer, Option<OwnedFd>), Answer> {
        let shown = match reference.parse::<Digest>() {
            Ok(digest) => self.by_digest(&digest)?,
            Err(_) => self.by_tag(repository, reference)?,
        };
        let fd = sealed_bytes(&shown.bytes).map_err(failed)?;
        let bytes = shown.bytes.len() as u64;
        Ok((Answer::Manifest { digest: shown.digest, media_type: shown.media_type, bytes }, Some(fd)))
    }

    fn by_tag(self: &Arc<Self>, repository: &str, tag: &str) -> Result<Shown, Answer> {
        let invalid = |error: &dyn std::fmt::Display| Answer::refused(404, Code::NameInvalid, error.to_string());
        let mut candidates: Vec<Reference> = Vec::new();
        for text in self.names_of(repository) {
            candidates.push(format!("{text}:{tag}").parse().map_err(|error| invalid(&error))?);
        }
        let names = self.store.names().map_err(broken)?;
        if let Some((name, id)) = candidates.iter().find_map(|name| names.get_key_value(name)) {
            let image = self.store.image(id).map_err(broken)?;
            let image = image.ok_or_else(|| unknown_manifest(repository, tag))?;
            let pushed = image.origin.pushed.iter().find(|pushed| is_of(pushed, name)).and_then(Reference::digest);
            return match pushed.and_then(|digest| self.as_it_came(&self.images().ok()?, &digest, INDEXES_MAX)) {
                Some(shown) => Ok(shown),
                None => self.shown(&image).map(Shown::from),
            };
        }
        let offered = candidates.iter().map(Reference::familiar).find_map(|name| {
            let short = name.strip_suffix(":latest").unwrap_or(&name).to_owned();
            [name, short].into_iter().find(|name| catalogue::find(name).is_some())
        });
        match offered {
            Some(name) => self.shown(&self.prepare(&name)?).map(Shown::from),
            None => Err(unknown_manifest(repository, tag)),
        }
    }

    fn by_digest(&self, digest: &Digest) -> Result<Shown, Answer> {
        let images = self.images()?;
        if let Some(shown) = self.as_it_came(&images, digest, INDEXES_MAX) {
            return Ok(shown);
        }
        let made = images.iter().filter_map(|image| self.shown(image).ok()).find(|out| out.digest == *digest);
        let unknown = || Answer::refused(404, Code::ManifestUnknown, format!("there is no manifest {digest} here"));
        made.map(Shown::from).ok_or_else(unknown)
    }

    /// Every image that is whole.
    pub(super) fn images(&self) -> Result<Vec<Image>, Answer> {
        Ok(self.store.images().map_err(broken)?.into_iter().flatten().collect())
    }

    /// A document that one of `images` came with, if all that it names is here.
    pub(super) fn as_it_came(&self, images: &[Image], digest: &Digest, depth: usize) -> Option<Shown> {
        let mut of = images.iter().filter(|image| came_as(image, digest)).peekable();
        of.peek()?;
        if let Some(out) = of.find_map(|image| outgoing::original_as(&self.store, image, digest)) {
            return Some(out.into());
        }
        let bytes = self.store.read_blob("index", digest, MANIFEST_MAX_BYTES).ok()?;
        let Document::Index(index) = understand("", &bytes, None).ok()? else { return None };
        if !self.has_children(images, &index, depth) {
            return None;
        }
        let media_type = index.media_type.unwrap_or_else(|| media::INDEX.to_owned());
        Some(Shown { bytes, media_type, digest: *digest })
    }

    fn has_children(&self, images: &[Image], index: &Index, depth: usize) -> bool {
        let is_here = |digest: &Digest| self.as_it_came(images, digest, depth - 1).is_some();
        depth > 0 && index.manifests.iter().all(|child| is_here(&child.digest))
    }

    /// How an image is shown: as it came, or as it is made of its files.
    pub(super) fn shown(&self, image: &Image) -> Result<Outgoing, Answer> {
        if let Some(out) = outgoing::original(&self.store, image) {
            return Ok(out);
        }
        if let Some(out) = lock(&self.shown).get(&image.id) {
            return Ok(out.clone());
        }
        let out = outgoing::plain(&self.store, image).map_err(|error| refused_by(&error))?;
        let mut shown = lock(&self.shown);
        // Images that are gone are forgotten with all others, now and then.
        if shown.len() >= 1000 {
            shown.clear();
        }
        shown.insert(image.id, out.clone());
        Ok(out)
    }
}

/// Whether an image came with a document.
pub fn came_as(image: &Image, digest: &Digest) -> bool {
    image.origin.repo_digests.iter().any(|known| known.digest() == Some(*digest))
}

/// Whether a name with a digest says what another without one was.
pub fn is_of(pushed: &Reference, name: &Reference) -> bool {
    (pushed.registry(), pushed.repository(), pushed.tag()) == (name.registry(), name.repository(), name.tag())
}

fn unknown_manifest(repository: &str, tag: &str) -> Answer {
    let message = format!("there is no image {repository}:{tag} here; quayside image ls says what there is");
    Answer::refused(404, Code::ManifestUnknown, message)
}
