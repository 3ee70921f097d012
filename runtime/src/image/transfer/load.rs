//! `load`: the images of an archive come into the store, with their names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::super::beneath::Root;
use super::super::digest::Digest;
use super::super::layer_in::{Expected, Keep, take_layer};
use super::super::oci::{CONFIG_MAX_BYTES, Descriptor, ImageConfig, Index, MANIFEST_MAX_BYTES, Manifest, Platform};
use super::super::reference::Reference;
use super::super::store::{Image, ImageError, Origin, Store, Work};
use super::members::Members;
use super::{LAYERS_MAX, TransferError, docker, layout};

/// Where an archive is.
pub enum Source<'a> {
    /// An OCI layout as a folder, or a `docker save` that somebody unpacked.
    Folder(&'a Path),
    File(File),
    Stream(Box<dyn Read + Send + 'a>),
}

/// An image that was loaded.
#[derive(Debug)]
pub struct Loaded {
    pub image: Image,
    /// Names that it got from the archive; the image may have others too.
    pub names: Vec<Reference>,
}

/// Loads every image of an archive that runs on this machine. `name` is given to the image of an archive with only one.
pub fn load(store: &Store, from: Source, name: Option<&Reference>) -> Result<Vec<Loaded>, TransferError> {
    let work = store.work()?;
    let members = match from {
        Source::Folder(path) => Members::Folder(Root::open(path).map_err(|source| TransferError::Read { source })?),
        Source::File(file) => Members::of_file(file, &work)?,
        Source::Stream(stream) => Members::of_stream(stream, &work)?,
    };
    // An archive of today's Docker is both, and only the first says all names.
    let mut found = if members.has(docker::MANIFEST) {
        of_docker(&members)?
    } else if members.has(layout::INDEX) {
        of_layout(&members)?
    } else {
        return Err(TransferError::NoImages);
    };
    if let Some(name) = name {
        match &mut found[..] {
            [only] => only.names = vec![name.clone()],
            several => return Err(TransferError::OneName { count: several.len() }),
        }
    }
    found.into_iter().map(|found| take(store, &work, &members, found)).collect()
}

/// An image that an archive holds.
struct Found {
    config: Vec<u8>,
    names: Vec<Reference>,
    /// Bottom to top.
    layers: Vec<Part>,
}

/// A layer's archive: where it is, and its digest if the archive says one.
struct Part {
    member: String,
    blob: Option<Digest>,
}

fn of_docker(members: &Members) -> Result<Vec<Found>, TransferError> {
    let entries: Vec<docker::Entry> = members.read_json(docker::MANIFEST, docker::MANIFEST_MAX_BYTES)?;
    let found = |entry: docker::Entry| {
        let config = members.read(&entry.config, CONFIG_MAX_BYTES)?;
        check_name(&entry.config, &config)?;
        let names = entry.repo_tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let layers = entry.layers.into_iter().map(|member| Part { blob: digest_in(&member), member }).collect();
        Ok(Found { config, names, layers })
    };
    entries.into_iter().map(found).collect()
}

/// Docker calls a config by its id: `HEX.json` or `blobs/sha256/HEX`. Where a name says a digest, it is the content's.
fn check_name(member: &str, content: &[u8]) -> Result<(), TransferError> {
    let last = member.rsplit('/').next().unwrap_or(member);
    let said = Digest::from_hex(last.strip_suffix(".json").unwrap_or(last));
    let found = Digest::of(content);
    match said {
        Some(said) if said != found => Err(TransferError::Damaged { member: member.to_owned(), found }),
        _ => Ok(()),
    }
}

/// The digest that a member's name says, where it lies among the blobs of a layout.
fn digest_in(member: &str) -> Option<Digest> {
    Digest::from_hex(member.strip_prefix("blobs/sha256/")?)
}

fn of_layout(members: &Members) -> Result<Vec<Found>, TransferError> {
    let index: Index = members.read_json(layout::INDEX, MANIFEST_MAX_BYTES)?;
    if index.manifests.len() > layout::MANIFESTS_MAX {
        return Err(TransferError::Members { max: layout::MANIFESTS_MAX });
    }
    // One image may stand there under several names.
    let mut images: BTreeMap<Digest, Vec<Reference>> = BTreeMap::new();
    let mut order = Vec::new();
    for descriptor in &index.manifests {
        let Some(manifest) = manifest_of(members, descriptor, layout::DEPTH_MAX)? else { continue };
        let names = images.entry(manifest.digest).or_insert_with(|| {
            order.push(manifest.clone());
            Vec::new()
        });
        names.extend(layout::name_of(descriptor));
    }
    let found = |descriptor: &Descriptor| {
        let manifest: Manifest = read_checked(members, descriptor, MANIFEST_MAX_BYTES)?;
        let config = bytes_checked(members, &manifest.config, CONFIG_MAX_BYTES)?;
        let part = |layer: &Descriptor| Part { member: blob_member(&layer.digest), blob: Some(layer.digest) };
        let names = images[&descriptor.digest].clone();
        Ok(Found { config, names, layers: manifest.layers.iter().map(part).collect() })
    };
    order.iter().map(found).collect()
}

/// The manifest that a descriptor means on this machine; `None` where it is of something else than an image.
fn manifest_of(members: &Members, descriptor: &Descriptor, depth: usize) -> Result<Option<Descriptor>, TransferError> {
    if layout::is_manifest(descriptor) {
        let runs = descriptor.platform.as_ref().is_none_or(Platform::runs_here);
        return Ok(runs.then(|| descriptor.clone()));
    }
    if !layout::is_index(descriptor) || depth == 0 {
        return Ok(None);
    }
    let index: Index = read_checked(members, descriptor, MANIFEST_MAX_BYTES)?;
    if let Some(manifest) = layout::for_this_machine(&index) {
        return Ok(Some(manifest.clone()));
    }
    for below in index.manifests.iter().filter(|below| layout::is_index(below)) {
        if let Some(manifest) = manifest_of(members, below, depth - 1)? {
            return Ok(Some(manifest));
        }
    }
    Err(TransferError::Platform { wanted: Platform::host().to_string(), found: layout::platforms(&index) })
}

fn blob_member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn bytes_checked(members: &Members, descriptor: &Descriptor, max: u64) -> Result<Vec<u8>, TransferError> {
    let member = blob_member(&descriptor.digest);
    let bytes = members.read(&member, max)?;
    let found = Digest::of(&bytes);
    if found == descriptor.digest { Ok(bytes) } else { Err(TransferError::Damaged { member, found }) }
}

fn read_checked<T: serde::de::DeserializeOwned>(
    members: &Members,
    descriptor: &Descriptor,
    max: u64,
) -> Result<T, TransferError> {
    serde_json::from_slice(&bytes_checked(members, descriptor, max)?)
        .map_err(|source| TransferError::NotUnderstood { member: blob_member(&descriptor.digest), source })
}

fn take(store: &Store, work: &Work, members: &Members, found: Found) -> Result<Loaded, TransferError> {
    let Found { config, names, layers } = found;
    let shown = names.first().map_or_else(|| Digest::of(&config).short(), Reference::familiar);
    let parsed: ImageConfig = serde_json::from_slice(&config)
        .map_err(|source| TransferError::NotUnderstood { member: format!("the config of {shown}"), source })?;
    let diff_ids = &parsed.rootfs.diff_ids;
    if diff_ids.len() != layers.len() {
        return Err(TransferError::Layers { image: shown, diff_ids: diff_ids.len(), layers: layers.len() });
    }
    if layers.len() > LAYERS_MAX {
        return Err(TransferError::TooManyLayers { image: shown, max: LAYERS_MAX });
    }
    check_platform(&parsed)?;
    for (diff_id, part) in diff_ids.iter().zip(&layers) {
        take_part(store, work, members, part, diff_id)?;
    }
    let image = store.add_image(work, &config, Origin::default())?;
    for name in &names {
        store.tag(work, name, image.id)?;
    }
    let image = store
        .image(&image.id)?
        .ok_or_else(|| ImageError::Incomplete { name: shown, missing: "what was just loaded".to_owned() })?;
    Ok(Loaded { image, names })
}

/// Configs of before 2017 say no platform; they are taken for this machine's.
fn check_platform(config: &ImageConfig) -> Result<(), TransferError> {
    let host = Platform::host();
    let other = |said: &str, ours: &str| !said.is_empty() && said != ours;
    if other(&config.os, &host.os) || other(&config.architecture, &host.architecture) {
        let found = format!("{}/{}", config.os, config.architecture);
        return Err(TransferError::Platform { wanted: host.to_string(), found });
    }
    Ok(())
}

fn take_part(
    store: &Store,
    work: &Work,
    members: &Members,
    part: &Part,
    diff_id: &Digest,
) -> Result<(), TransferError> {
    if store.layer(diff_id).is_some() {
        return Ok(());
    }
    let (content, _) = members.open(&part.member)?;
    let expected = Expected { diff_id: Some(*diff_id), blob: part.blob };
    let taken = take_layer(store, work, content, expected, Keep::IfNeeded);
    taken.map(drop).map_err(TransferError::of_layer(Some(*diff_id)))
}
