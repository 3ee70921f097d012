//! The holder: has the store and answers the front, each question on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

use quayside_runtime::image::oci::{CONFIG_MAX_BYTES, ImageConfig, MANIFEST_MAX_BYTES, Manifest};
use quayside_runtime::image::registry::outgoing::{self, Outgoing};
use quayside_runtime::image::registry::{Document, LAYERS_MAX, RegistryError, take_blob, understand};
use quayside_runtime::image::store::{ImageError, Layer, Origin, Tar};
use quayside_runtime::image::{Digest, Image, Reference, Sources, Store, catalogue};
use quayside_runtime::sys::memfd::sealed_bytes;
use quayside_runtime::sys::message;

use super::protocol::{Answer, Ask, Code, Question, Reply};
use super::uploads::{Unfit, Uploads};

/// Questions at once; the front waits with the next. Each may pack a layer, and packing is bound by one core.
const THREADS_MAX: usize = 16;

/// How long a client waits while an image of the catalogue is prepared: most give up after a minute.
const PREPARE_PATIENCE: Duration = Duration::from_secs(50);

/// Names in one answer: what fits in a datagram.
const NAMES_MAX: usize = 400;

pub struct Holder {
    store: Store,
    sources: Sources,
    /// Under which images are pushed here: `localhost:5000`.
    address: String,
    uploads: Mutex<Uploads>,
    /// What images are shown as, so that a layer without a recorded length is measured once.
    shown: Mutex<BTreeMap<Digest, Outgoing>>,
    /// Catalogued images that a thread prepares.
    preparing: Mutex<BTreeSet<String>>,
}

impl Holder {
    pub fn new(store: Store, sources: Sources, port: u16) -> Self {
        let uploads = Mutex::new(Uploads::new(store.clone()));
        let address = format!("localhost:{port}");
        Self { store, sources, address, uploads, shown: Mutex::default(), preparing: Mutex::default() }
    }

    /// Answers until the front has ended.
    pub fn serve(self: &Arc<Self>, line: OwnedFd) -> io::Result<()> {
        let line = Arc::new(line);
        let room = Arc::new((Mutex::new(0_usize), Condvar::new()));
        while let Some((bytes, fds)) = message::receive(line.as_fd())? {
            let question: Question = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
            let place = Place::take(&room);
            let (holder, line) = (self.clone(), line.clone());
            thread::spawn(move || {
                let _place = place;
                let (answer, fd) = holder.answer(question.ask, fds.into_iter().next());
                let reply = Reply { number: question.number, answer };
                let bytes = serde_json::to_vec(&reply).expect("plain data serialises");
                let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
                // The front has ended when nobody takes it.
                let _ = message::send(line.as_fd(), &bytes, &fds);
            });
        }
        Ok(())
    }

    fn answer(self: &Arc<Self>, ask: Ask, fd: Option<OwnedFd>) -> (Answer, Option<OwnedFd>) {
        let result = match ask {
            Ask::Manifest { repository, reference } => self.manifest(&repository, &reference),
            Ask::Blob { digest, content } => self.blob(&digest, content),
            Ask::Tags { repository } => self.tags(&repository).map(|answer| (answer, None)),
            Ask::Catalog => self.catalog().map(|answer| (answer, None)),
            Ask::Begin => self.begin(),
            Ask::End { upload, digest } => self.end(upload, &digest).map(|answer| (answer, None)),
            Ask::Cancel { upload } => match lock(&self.uploads).cancel(upload) {
                true => Ok((Answer::Done { digest: None }, None)),
                false => Err(unknown_upload()),
            },
            Ask::Put { repository, reference, media_type } => {
                self.put(&repository, &reference, media_type.as_deref(), fd).map(|answer| (answer, None))
            }
        };
        result.unwrap_or_else(|refused| (refused, None))
    }

    fn manifest(self: &Arc<Self>, repository: &str, reference: &str) -> Result<(Answer, Option<OwnedFd>), Answer> {
        let out = match reference.parse::<Digest>() {
            Ok(digest) => self.by_digest(&digest)?,
            Err(_) => self.shown(&self.by_tag(repository, reference)?)?,
        };
        let fd = sealed_bytes(&out.bytes).map_err(failed)?;
        let answer = Answer::Manifest { digest: out.digest, media_type: out.media_type, bytes: out.bytes.len() as u64 };
        Ok((answer, Some(fd)))
    }

    fn by_tag(self: &Arc<Self>, repository: &str, tag: &str) -> Result<Image, Answer> {
        let invalid = |error: &dyn std::fmt::Display| Answer::refused(404, Code::NameInvalid, error.to_string());
        let mut candidates: Vec<Reference> = Vec::new();
        for text in self.names_of(repository) {
            candidates.push(format!("{text}:{tag}").parse().map_err(|error| invalid(&error))?);
        }
        let names = self.store.names().map_err(broken)?;
        if let Some(id) = candidates.iter().find_map(|name| names.get(name)) {
            let image = self.store.image(id).map_err(broken)?;
            return image.ok_or_else(|| unknown_manifest(repository, tag));
        }
        let offered = candidates.iter().map(Reference::familiar).find_map(|name| {
            let short = name.strip_suffix(":latest").unwrap_or(&name).to_owned();
            [name, short].into_iter().find(|name| catalogue::find(name).is_some())
        });
        match offered {
            Some(name) => self.prepare(&name),
            None => Err(unknown_manifest(repository, tag)),
        }
    }

    /// What a repository of ours may be called in the store, the likeliest first.
    fn names_of(&self, repository: &str) -> [String; 2] {
        [format!("{}/{repository}", self.address), format!("docker.io/{repository}")]
    }

    /// Makes a catalogued image ready while the client waits; if that takes too long it goes on without one.
    fn prepare(self: &Arc<Self>, name: &str) -> Result<Image, Answer> {
        let later = || {
            let message = format!("{name} is being prepared, which takes some minutes the first time; try again then");
            Answer::refused(503, Code::Toomanyrequests, message)
        };
        if !lock(&self.preparing).insert(name.to_owned()) {
            return Err(later());
        }
        let (done, wait) = mpsc::channel();
        let (holder, owned) = (self.clone(), name.to_owned());
        thread::spawn(move || {
            let image = holder.store.prepare(&owned, &holder.sources, &mut |_| {});
            lock(&holder.preparing).remove(&owned);
            // Nobody waits any longer: the next one finds it.
            let _ = done.send(image);
        });
        match wait.recv_timeout(PREPARE_PATIENCE) {
            Ok(image) => image.map_err(|error| {
                Answer::refused(503, Code::Unknown, format!("cannot prepare {name}: {}", chain(&error)))
            }),
            Err(_) => Err(later()),
        }
    }

    fn by_digest(&self, digest: &Digest) -> Result<Outgoing, Answer> {
        for image in self.store.images().map_err(broken)?.into_iter().flatten() {
            if let Ok(out) = self.shown(&image)
                && out.digest == *digest
            {
                return Ok(out);
            }
        }
        Err(Answer::refused(404, Code::ManifestUnknown, format!("there is no manifest {digest} here")))
    }

    /// How an image is shown: as it came, or as it is made of its files.
    fn shown(&self, image: &Image) -> Result<Outgoing, Answer> {
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

    fn blob(&self, digest: &Digest, content: bool) -> Result<(Answer, Option<OwnedFd>), Answer> {
        if self.store.blob(digest).is_some() {
            let file = self.store.open_blob("blob", digest).map_err(broken)?;
            let bytes = file.metadata().map_err(failed)?.len();
            return Ok((Answer::Blob { bytes, is_file: true }, content.then(|| file.into())));
        }
        let unknown = || Answer::refused(404, Code::BlobUnknown, format!("there is no blob {digest} here"));
        let layer = self.store.layer(digest).ok_or_else(unknown)?;
        let Tar::Canonical { bytes } = layer.record.tar else { return Err(unknown()) };
        let bytes = match bytes {
            0 => outgoing::packed(&layer, &mut io::sink()).map_err(|error| refused_by(&error))?.archive_bytes,
            bytes => bytes,
        };
        let content = content.then(|| packed_pipe(layer)).transpose().map_err(failed)?;
        Ok((Answer::Blob { bytes, is_file: false }, content))
    }

    fn tags(&self, repository: &str) -> Result<Answer, Answer> {
        let names = self.store.names().map_err(broken)?;
        let here = self.names_of(repository).into_iter().filter_map(|text| text.parse::<Reference>().ok());
        let here: Vec<Reference> = here.collect();
        let same = |name: &&Reference| {
            here.iter().any(|own| (own.registry(), own.repository()) == (name.registry(), name.repository()))
        };
        let tags: BTreeSet<String> =
            names.keys().filter(same).filter_map(|name| name.tag().map(str::to_owned)).take(NAMES_MAX).collect();
        if tags.is_empty() {
            return Err(Answer::refused(404, Code::NameUnknown, format!("there is no repository {repository} here")));
        }
        Ok(Answer::Names { names: tags.into_iter().collect() })
    }

    fn catalog(&self) -> Result<Answer, Answer> {
        let names = self.store.names().map_err(broken)?;
        let hub = quayside_runtime::image::reference::DEFAULT_REGISTRY;
        let here = names.keys().filter(|name| name.registry() == hub || name.registry() == self.address);
        let short = |name: &Reference| match name.registry() == hub {
            true => name.familiar_name(),
            false => name.repository().to_owned(),
        };
        let repositories: BTreeSet<String> = here.map(short).take(NAMES_MAX).collect();
        Ok(Answer::Names { names: repositories.into_iter().collect() })
    }

    fn begin(&self) -> Result<(Answer, Option<OwnedFd>), Answer> {
        let many =
            || Answer::refused(429, Code::Toomanyrequests, "there are too many uploads; try again when they are done");
        let (upload, file) = lock(&self.uploads).begin().map_err(broken)?.ok_or_else(many)?;
        Ok((Answer::Begun { upload }, Some(file)))
    }

    fn end(&self, upload: u64, digest: &Digest) -> Result<Answer, Answer> {
        lock(&self.uploads).end(upload, digest).map_err(|unfit| match unfit {
            Unfit::Unknown => unknown_upload(),
            Unfit::Digest { found } => {
                Answer::refused(400, Code::DigestInvalid, format!("what came has the digest {found}, not {digest}"))
            }
            Unfit::TooLarge => Answer::refused(413, Code::SizeInvalid, "the blob is too large"),
            Unfit::Store(error) => broken(error),
        })?;
        Ok(Answer::Done { digest: Some(*digest) })
    }

    fn put(
        &self,
        repository: &str,
        reference: &str,
        media_type: Option<&str>,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, Answer> {
        let bad = |message: String| Answer::refused(400, Code::ManifestInvalid, message);
        let mut bytes = Vec::new();
        let file = fd.map(File::from).ok_or_else(|| bad("there is no manifest".into()))?;
        file.take(MANIFEST_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MANIFEST_MAX_BYTES {
            return Err(Answer::refused(413, Code::ManifestInvalid, "the manifest is larger than 4 MiB"));
        }
        let digest = Digest::of(&bytes);
        let manifest = match understand(repository, &bytes, media_type).map_err(|error| bad(chain(&error)))? {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => {
                let message = "an index of several platforms is not kept here; push the image of one platform";
                return Err(Answer::refused(400, Code::Unsupported, message));
            }
        };
        let name = self.name_to_put(repository, reference, &digest)?;
        lock(&self.uploads).touch();
        let work = self.store.work().map_err(broken)?;
        let config = self.take_parts(&manifest)?;
        self.store.write_blob(&work, &bytes).map_err(broken)?;
        let mut origin: Origin =
            self.store.image(&manifest.config.digest).ok().flatten().map(|image| image.origin).unwrap_or_default();
        let by_digest = format!("{}/{repository}@{digest}", self.address).parse::<Reference>();
        let by_digest = by_digest.map_err(|error| Answer::refused(400, Code::NameInvalid, error.to_string()))?;
        // The first one is what the image is shown as.
        origin.repo_digests.retain(|known| *known != by_digest);
        origin.repo_digests.insert(0, by_digest);
        let image = self.store.add_image(&work, &config, origin).map_err(broken)?;
        self.store.tag(&work, &name, image.id).map_err(broken)?;
        Ok(Answer::Done { digest: Some(digest) })
    }

    fn name_to_put(&self, repository: &str, reference: &str, digest: &Digest) -> Result<Reference, Answer> {
        let text = match reference.parse::<Digest>() {
            Ok(wanted) if wanted == *digest => format!("{}/{repository}@{digest}", self.address),
            Ok(_) => {
                return Err(Answer::refused(400, Code::DigestInvalid, format!("the manifest has the digest {digest}")));
            }
            Err(_) => format!("{}/{repository}:{reference}", self.address),
        };
        text.parse().map_err(|error: quayside_runtime::image::reference::ReferenceError| {
            Answer::refused(400, Code::NameInvalid, error.to_string())
        })
    }

    /// Unpacks the layers that are not here yet; gives the config.
    fn take_parts(&self, manifest: &Manifest) -> Result<Vec<u8>, Answer> {
        let missing = |digest: &Digest| {
            Answer::refused(400, Code::ManifestBlobUnknown, format!("the blob {digest} was not pushed before"))
        };
        let bad = |message: String| Answer::refused(400, Code::ManifestInvalid, message);
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
            if here.is_none() {
                let mut blob = self.store.open_blob("layer", &descriptor.digest).map_err(broken)?;
                take_blob(&self.store, &mut blob, &descriptor.digest, diff_id).map_err(|error| bad(chain(&error)))?;
            }
        }
        Ok(bytes)
    }
}

/// A place among the threads, given back when it is dropped.
struct Place(Arc<(Mutex<usize>, Condvar)>);

impl Place {
    fn take(room: &Arc<(Mutex<usize>, Condvar)>) -> Self {
        let taken = room.1.wait_while(lock(&room.0), |taken| *taken >= THREADS_MAX);
        *taken.unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        Self(room.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.0) -= 1;
        self.0.1.notify_one();
    }
}

/// The layer's archive, as it is made, from a pipe.
fn packed_pipe(layer: Layer) -> io::Result<OwnedFd> {
    let (ours, theirs) = io::pipe()?;
    thread::spawn(move || {
        let mut out = io::BufWriter::new(theirs);
        // Who reads may have had enough; what is cut short is seen by its length and its digest.
        let _ = outgoing::packed(&layer, &mut out);
    });
    Ok(ours.into())
}

/// A panic in one question is no reason to answer no other.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn unknown_manifest(repository: &str, tag: &str) -> Answer {
    let message = format!("there is no image {repository}:{tag} here; quayside image ls says what there is");
    Answer::refused(404, Code::ManifestUnknown, message)
}

fn unknown_upload() -> Answer {
    Answer::refused(404, Code::BlobUploadUnknown, "there is no such upload")
}

fn broken(error: ImageError) -> Answer {
    Answer::refused(500, Code::Unknown, chain(&error))
}

fn refused_by(error: &RegistryError) -> Answer {
    Answer::refused(500, Code::Unknown, chain(error))
}

fn failed(error: io::Error) -> Answer {
    Answer::refused(500, Code::Unknown, error.to_string())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
