//! `save`: images of the store become one archive that others load.
//!
//! Layers are written without compression: an archive is mostly carried over a cable or a stick, and who wants it smaller
//! compresses the whole. Layers that came compressed stay as they came in an OCI layout, where they are known by that
//! digest. The same images give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::archive::header::{Header, fill_block, write_end};
use super::super::digest::{Digest, Hashing};
use super::super::oci::{Descriptor, Index, Manifest, Platform, media};
use super::super::reference::Reference;
use super::super::store::{Image, Layer, Store};
use super::layer_out::{archive_bytes, kept, plain, write_layer};
use super::{TransferError, docker, layout};

/// How an archive is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `docker save` writes and everybody loads.
    Docker,
    /// An OCI image layout.
    Oci,
}

/// Writes an archive as one tar stream. Of each image all names stand in it, or only those in `names`.
pub fn save(store: &Store, images: &[Saved], format: Format, out: &mut dyn Write) -> Result<(), TransferError> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut archive = Tar { out: &mut out };
    write(store, images, format, &mut archive)?;
    write_end(&mut out).and_then(|()| out.flush()).map_err(|source| TransferError::Write { source })
}

/// Writes an OCI layout into a folder, which is made or must be empty.
pub fn save_to_folder(store: &Store, images: &[Saved], folder: &Path) -> Result<(), TransferError> {
    let failed = |source| TransferError::Write { source };
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(TransferError::NotEmpty { folder: folder.display().to_string() });
    }
    write(store, images, Format::Oci, &mut Folder { path: folder.to_owned() })
}

/// An image to be saved, and the names that it is saved under.
#[derive(Debug, Clone)]
pub struct Saved {
    pub image: Image,
    pub names: Vec<Reference>,
}

fn write(store: &Store, images: &[Saved], format: Format, target: &mut dyn Target) -> Result<(), TransferError> {
    match format {
        Format::Docker => write_docker(store, images, target),
        Format::Oci => write_layout(store, images, target),
    }
}

fn write_docker(store: &Store, images: &[Saved], target: &mut dyn Target) -> Result<(), TransferError> {
    for layer in each_layer(images) {
        let size = archive_bytes(store, layer)?;
        target
            .member(&docker::layer_member(&layer.diff_id), size, &mut |out| write_layer(store, layer, out).map(drop))?;
    }
    let mut entries = Vec::new();
    for saved in images {
        let config = config_of(store, &saved.image)?;
        target.document(&docker::config_member(&saved.image.id), &config)?;
        entries.push(docker::entry(&saved.image.id, &saved.names, &diff_ids(&saved.image)));
    }
    let layers: Vec<Vec<Digest>> = images.iter().map(|saved| diff_ids(&saved.image)).collect();
    let named = images.iter().zip(&layers).map(|(saved, layers)| (&saved.names[..], &layers[..]));
    let repositories = docker::repositories(named);
    target.document(docker::MANIFEST, &json(&entries))?;
    target.document(docker::REPOSITORIES, &json(&repositories))
}

fn write_layout(store: &Store, images: &[Saved], target: &mut dyn Target) -> Result<(), TransferError> {
    target.document(layout::MARK, layout::MARK_CONTENT.as_bytes())?;
    let mut described: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for layer in each_layer(images) {
        let descriptor = match kept(layer) {
            Some(descriptor) => descriptor,
            None => plain(store, layer)?,
        };
        target.member(&blob_member(&descriptor.digest), descriptor.size, &mut |out| write_blob(store, layer, out))?;
        described.insert(layer.diff_id, descriptor);
    }
    let mut index = Index { schema_version: 2, media_type: Some(media::INDEX.into()), manifests: Vec::new() };
    for saved in images {
        let config = config_of(store, &saved.image)?;
        target.document(&blob_member(&saved.image.id), &config)?;
        let layers = diff_ids(&saved.image).iter().map(|diff_id| described[diff_id].clone()).collect();
        let config = Descriptor::new(media::CONFIG, saved.image.id, config.len() as u64);
        let manifest = json(&Manifest::new(config, layers));
        let digest = Digest::of(&manifest);
        target.document(&blob_member(&digest), &manifest)?;
        let described = Descriptor {
            platform: platform(&saved.image),
            ..Descriptor::new(media::MANIFEST, digest, manifest.len() as u64)
        };
        index.manifests.extend(named(described, &saved.names));
    }
    target.document(layout::INDEX, &json(&index))
}

/// One descriptor for each name, for readers take one name from each; one without where there is none.
fn named(descriptor: Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let with = |name: &Reference| {
        let mut named = descriptor.clone();
        named.annotations.insert(layout::REF_NAME.into(), name.to_string());
        named.annotations.insert(layout::IMAGE_NAME.into(), name.to_string());
        named
    };
    if names.is_empty() { vec![descriptor] } else { names.iter().map(with).collect() }
}

fn platform(image: &Image) -> Option<Platform> {
    let config = &image.config;
    let (os, architecture) = (config.os.clone(), config.architecture.clone());
    (!os.is_empty() && !architecture.is_empty()).then(|| Platform { os, architecture, variant: config.variant.clone() })
}

/// A layer's archive as the layout names it: as it came, or without compression.
fn write_blob(store: &Store, layer: &Layer, out: &mut dyn Write) -> Result<(), TransferError> {
    let Some(descriptor) = kept(layer) else { return write_layer(store, layer, out).map(drop) };
    let mut blob = store.open_blob("layer", &descriptor.digest)?;
    let mut hashing = Hashing::new(out);
    io::copy(&mut blob, &mut hashing).map_err(|source| TransferError::Write { source })?;
    let (found, ..) = hashing.finish();
    match found == descriptor.digest {
        true => Ok(()),
        false => Err(TransferError::Layer { expected: descriptor.digest, found }),
    }
}

/// Every layer of these images once, in an order that does not change.
fn each_layer(images: &[Saved]) -> Vec<&Layer> {
    let mut seen = BTreeSet::new();
    images.iter().flat_map(|saved| &saved.image.layers).filter(|layer| seen.insert(layer.diff_id)).collect()
}

fn diff_ids(image: &Image) -> Vec<Digest> {
    image.layers.iter().map(|layer| layer.diff_id).collect()
}

/// The very bytes that the id is the digest of.
fn config_of(store: &Store, image: &Image) -> Result<Vec<u8>, TransferError> {
    Ok(store.read_blob("config", &image.id, super::super::oci::CONFIG_MAX_BYTES)?)
}

fn blob_member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document of ours has only texts and numbers")
}

type Fill<'a> = dyn FnMut(&mut dyn Write) -> Result<(), TransferError> + 'a;

/// Where members go.
trait Target {
    /// A member of `size` bytes, which `content` writes.
    fn member(&mut self, name: &str, size: u64, content: &mut Fill) -> Result<(), TransferError>;

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), TransferError> {
        self.member(name, bytes.len() as u64, &mut |out| {
            out.write_all(bytes).map_err(|source| TransferError::Write { source })
        })
    }
}

struct Tar<'a> {
    out: &'a mut dyn Write,
}

impl Target for Tar<'_> {
    fn member(&mut self, name: &str, size: u64, content: &mut Fill) -> Result<(), TransferError> {
        let failed = |source| TransferError::Write { source };
        let header = Header { path: name.into(), mode: 0o644, size, ..Header::default() };
        header.write(self.out).map_err(failed)?;
        let mut counting = Exactly { out: self.out, left: size };
        content(&mut counting)?;
        counting.end().and_then(|()| fill_block(self.out, size)).map_err(failed)
    }
}

struct Folder {
    path: PathBuf,
}

impl Target for Folder {
    fn member(&mut self, name: &str, size: u64, content: &mut Fill) -> Result<(), TransferError> {
        let failed = |source| TransferError::Write { source };
        let path = self.path.join(name);
        let parent = path.parent().expect("a member lies in the folder");
        fs::create_dir_all(parent).map_err(failed)?;
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        let mut counting = Exactly { out: &mut file, left: size };
        content(&mut counting)?;
        counting.end().map_err(failed)?;
        file.flush().map_err(failed)
    }
}

/// Lets through as many bytes as were announced: one more would be read as the next member's header.
struct Exactly<'a> {
    out: &'a mut dyn Write,
    left: u64,
}

impl Exactly<'_> {
    fn end(&self) -> io::Result<()> {
        if self.left == 0 { Ok(()) } else { Err(io::Error::other(format!("{} bytes are missing", self.left))) }
    }
}

impl Write for Exactly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other("it became longer while it was written"))?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
