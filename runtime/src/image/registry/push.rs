//! Pushing: an image of the store to a registry, blobs first, the manifest last.

use std::path::PathBuf;

use ureq::http::Method;
use ureq::http::header::CONTENT_TYPE;

use super::super::digest::Digest;
use super::super::oci::{CONFIG_MAX_BYTES, Descriptor};
use super::super::progress::{in_parallel, watching};
use super::super::reference::Reference;
use super::super::store::{Image, ImageError, Origin, Store, Work};
use super::Access;
use super::client::{Ask, Client, Content, Right};
use super::error::RegistryError;
use super::meters::{Meters, PartState, Progress};
use super::outgoing::{Outgoing, Source, compressed, original, packed};
use super::place::of_name;
use super::pull::by_digest;
use super::upload::From;

/// Blobs at once: Docker's number. Most of an upload's time is spent in the registry's disk.
const PARALLEL: usize = 5;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest, as the registry has it now.
    pub digest: Digest,
    pub manifest_bytes: usize,
    /// Of its config and its layers.
    pub blobs: usize,
    /// Those that the registry did not have.
    pub sent: usize,
}

/// A blob to be there before the manifest.
struct Parcel {
    descriptor: Descriptor,
    what: What,
}

enum What {
    Config(Vec<u8>),
    /// A blob of the store, or a file of our own.
    File(PathBuf),
    Files(super::super::store::Layer),
}

/// Sends `image` to the registry of `name`, where it is called so afterwards.
pub fn push(
    store: &Store,
    access: &Access,
    image: &Image,
    name: &Reference,
    report: &mut dyn FnMut(Progress),
) -> Result<Pushed, RegistryError> {
    let Some(tag) = name.tag().filter(|_| name.digest().is_none()) else {
        return Err(RegistryError::PushDigest { name: name.familiar() });
    };
    let place = of_name(name, access.insecure);
    let login = access.credentials.of(name.registry());
    let mount_from = mountable(image, name);
    let client = Client::new(&place, access, Right::Push, format!("push {}", name.familiar()), login)?
        .reading_also(mount_from.clone());
    let work = store.work()?;
    let (outgoing, files) = match original(store, image) {
        Some(outgoing) => {
            let none = outgoing.layers.iter().map(|_| None).collect();
            (outgoing, none)
        }
        None => compressed(store, &work, image)?,
    };
    let parcels = parcels(store, &outgoing, files)?;
    let meters = Meters::new(parcels.iter().map(|parcel| (parcel.descriptor.digest, parcel.descriptor.size)));
    let places: Vec<usize> = (0..parcels.len()).collect();
    let send = |&place: &usize| {
        let (parcel, meter) = (&parcels[place], meters.of(place));
        if client.has_blob(&parcel.descriptor.digest)? {
            meter.turn(PartState::Present);
            return Ok::<bool, RegistryError>(false);
        }
        meter.turn(PartState::Moving);
        send(store, &client, parcel, mount_from.as_deref(), meter)?;
        meter.turn(PartState::Done);
        Ok(true)
    };
    let sent = watching(&|| meters.now(), report, || in_parallel(PARALLEL, &places, send))?;
    let put = Ask::new(Method::PUT, client.url(&format!("manifests/{tag}")))
        .header(CONTENT_TYPE.as_str(), &*outgoing.media_type)
        .body(Content::Bytes(&outgoing.bytes));
    client.ask_for(&put, &[200, 201, 202])?;
    remember(store, &work, image, name, &outgoing)?;
    let sent = sent.into_iter().filter(|sent| *sent).count();
    let (blobs, manifest_bytes) = (parcels.len(), outgoing.bytes.len());
    Ok(Pushed { digest: outgoing.digest, manifest_bytes, blobs, sent })
}

fn parcels(store: &Store, outgoing: &Outgoing, files: Vec<Option<PathBuf>>) -> Result<Vec<Parcel>, RegistryError> {
    let config = store.read_blob("config", &outgoing.config.digest, CONFIG_MAX_BYTES)?;
    let mut parcels: Vec<Parcel> = Vec::new();
    for ((descriptor, source), file) in outgoing.layers.iter().zip(files) {
        let what = match (source, file) {
            (_, Some(file)) => What::File(file),
            (Source::Files(layer), None) => What::Files(layer.clone()),
            (Source::Blob, None) => {
                let missing = || ImageError::Incomplete { name: String::new(), missing: descriptor.digest.to_string() };
                What::File(store.blob(&descriptor.digest).ok_or_else(missing)?)
            }
        };
        // One that stands in the image twice goes once.
        if parcels.iter().all(|parcel| parcel.descriptor.digest != descriptor.digest) {
            parcels.push(Parcel { descriptor: descriptor.clone(), what });
        }
    }
    parcels.push(Parcel { descriptor: outgoing.config.clone(), what: What::Config(config) });
    Ok(parcels)
}

fn send(
    store: &Store,
    client: &Client,
    parcel: &Parcel,
    mount_from: Option<&str>,
    meter: &super::meters::Meter,
) -> Result<(), RegistryError> {
    let blob = &parcel.descriptor;
    match &parcel.what {
        What::Config(bytes) => client.upload(blob, From::Bytes(bytes), None, meter),
        What::File(path) => client.upload(blob, From::File(path), mount_from, meter),
        What::Files(layer) => {
            // A file of its own, because a cut upload goes on in the middle.
            let work = store.work()?;
            let path = work.file();
            let written = |source| ImageError::Store { doing: "write", path: path.clone(), source };
            let mut file = std::fs::File::create_new(&path).map_err(written)?;
            packed(layer, &mut file)?;
            client.upload(blob, From::File(&path), mount_from, meter)
        }
    }
}

/// Another repository of the same registry that this image came from or went to.
fn mountable(image: &Image, name: &Reference) -> Option<String> {
    let other = |known: &&Reference| known.registry() == name.registry() && known.repository() != name.repository();
    image.origin.repo_digests.iter().find(other).map(|known| known.repository().to_owned())
}

/// Notes what the registry knows it by, so that the next push goes out under the same manifest.
fn remember(
    store: &Store,
    work: &Work,
    image: &Image,
    name: &Reference,
    outgoing: &Outgoing,
) -> Result<(), ImageError> {
    let known = by_digest(name, &outgoing.digest);
    if image.origin.repo_digests.contains(&known) {
        return Ok(());
    }
    let config = store.read_blob("config", &image.id, CONFIG_MAX_BYTES)?;
    store.write_blob(work, &outgoing.bytes)?;
    let change = |origin: &mut Origin| {
        if !origin.repo_digests.contains(&known) {
            origin.repo_digests.push(known);
        }
    };
    store.add_known_image(work, &config, change).map(drop)
}
