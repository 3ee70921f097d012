//! Pulling: from a name to an image in the store.

use ureq::http::Method;
use ureq::http::header::{ACCEPT, CONTENT_TYPE};

use super::super::digest::Digest;
use super::super::oci::{CONFIG_MAX_BYTES, Descriptor, ImageConfig, MANIFEST_MAX_BYTES, Manifest, Platform};
use super::super::progress::{in_parallel, watching};
use super::super::reference::Reference;
use super::super::store::{Image, Origin, Store, Work};
use super::client::{Ask, Client, Right, header};
use super::document::{self, Document, choose, understand};
use super::download::Download;
use super::error::RegistryError;
use super::layer::take_blob;
use super::meters::{Meters, PartState, Progress};
use super::place::{Place, to_pull_from};
use super::{Access, LAYERS_MAX};

/// Layers at once. One connection seldom fills a line, and more than three only share it, as does Docker.
const PARALLEL: usize = 3;

/// An index may name another; nobody nests deeper.
const INDEXES_MAX: usize = 3;

/// Digests that one image keeps of what registries call it; more come from nobody but a test.
const REPO_DIGESTS_MAX: usize = 64;

/// An image that has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    pub image: Image,
    /// Of the manifest or index that the name leads to.
    pub digest: Digest,
    /// Nothing had to be fetched, and the name meant this image before.
    pub is_unchanged: bool,
    /// The mirror that gave it, if one did.
    pub mirror: Option<String>,
}

/// A manifest or index as it came.
struct Came {
    digest: Digest,
    bytes: Vec<u8>,
    document: Document,
}

/// Everything about an image but its layers.
struct Outline {
    /// What the name leads to first, the manifest last.
    documents: Vec<Came>,
    manifest: Manifest,
    config_bytes: Vec<u8>,
    config: ImageConfig,
}

/// Brings the image that `name` means for `platform` into the store, and gives it this name there.
pub fn pull(
    store: &Store,
    access: &Access,
    name: &Reference,
    platform: &Platform,
    report: &mut dyn FnMut(Progress),
) -> Result<Pulled, RegistryError> {
    let mut last = None;
    for place in to_pull_from(name, &access.mirrors, access.insecure) {
        match pull_from(&place, store, access, name, platform, report) {
            Err(error) if place.is_mirror && error.is_of_the_server() => last = Some(error),
            result => return result,
        }
    }
    Err(last.expect("the last place is the registry itself, whose answer is returned"))
}

fn pull_from(
    place: &Place,
    store: &Store,
    access: &Access,
    name: &Reference,
    platform: &Platform,
    report: &mut dyn FnMut(Progress),
) -> Result<Pulled, RegistryError> {
    let login = match place.is_mirror {
        true => access.credentials.of_mirror(place.server.authority()),
        false => access.credentials.of(name.registry()),
    };
    let client = Client::new(place, access, Right::Pull, format!("pull {}", name.familiar()), login)?;
    // Held until the image has its name, so that nothing of it is swept meanwhile.
    let work = store.work()?;
    let outline = outline(&client, store, name, platform)?;
    let digest = outline.documents[0].digest;
    let before = store.names()?.get(name).copied();
    let moved = take_layers(&client, store, &outline, report)?;
    let image = enter(store, &work, name, &outline)?;
    let is_unchanged = !moved && before == Some(image.id);
    let mirror = place.is_mirror.then(|| place.server.authority().to_owned());
    Ok(Pulled { image, digest, is_unchanged, mirror })
}

fn outline(client: &Client, store: &Store, name: &Reference, platform: &Platform) -> Result<Outline, RegistryError> {
    let shown = name.familiar();
    let wanted = name.digest().map(|digest| digest.to_string());
    let wanted = wanted.as_deref().or(name.tag()).expect("a reference has a tag or a digest");
    let mut documents = vec![fetch_document(client, &shown, wanted, name.digest())?];
    let manifest = loop {
        let index = match &documents[documents.len() - 1].document {
            Document::Manifest(manifest) => break manifest.clone(),
            Document::Index(index) => index,
        };
        if documents.len() > INDEXES_MAX {
            let why = format!("more than {INDEXES_MAX} indexes lead to each other");
            return Err(RegistryError::Document { name: shown, why });
        }
        let digest = choose(&shown, index, platform)?.digest;
        documents.push(fetch_document(client, &shown, &digest.to_string(), Some(digest))?);
    };
    let config_bytes = fetch_config(client, store, &manifest.config)?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes)
        .map_err(|error| RegistryError::Document { name: shown.clone(), why: format!("its config: {error}") })?;
    let (diff_ids, layers) = (config.rootfs.diff_ids.len(), manifest.layers.len());
    if diff_ids != layers {
        return Err(RegistryError::Layers { name: shown, diff_ids, layers });
    }
    if layers > LAYERS_MAX {
        return Err(RegistryError::TooManyLayers { name: shown, count: layers, max: LAYERS_MAX });
    }
    Ok(Outline { documents, manifest, config_bytes, config })
}

fn fetch_document(client: &Client, name: &str, wanted: &str, digest: Option<Digest>) -> Result<Came, RegistryError> {
    let ask =
        Ask::new(Method::GET, client.url(&format!("manifests/{wanted}"))).header(ACCEPT.as_str(), document::ACCEPT);
    let response = client.ask_for(&ask, &[200])?;
    let content_type = header(&response, CONTENT_TYPE.as_str()).map(str::to_owned);
    let bytes = client.read(response, "manifest", MANIFEST_MAX_BYTES)?;
    let found = Digest::of(&bytes);
    if let Some(expected) = digest.filter(|digest| *digest != found) {
        let (doing, server) = (client.doing(), client.server());
        return Err(RegistryError::Damaged { doing, server, what: "manifest", expected, found });
    }
    let document = understand(name, &bytes, content_type.as_deref())?;
    Ok(Came { digest: found, bytes, document })
}

fn fetch_config(client: &Client, store: &Store, config: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    if config.size > CONFIG_MAX_BYTES {
        let (doing, server) = (client.doing(), client.server());
        return Err(RegistryError::TooLong { doing, server, what: "config", max: CONFIG_MAX_BYTES });
    }
    if store.blob(&config.digest).is_some()
        && let Ok(bytes) = store.read_blob("config", &config.digest, CONFIG_MAX_BYTES)
    {
        return Ok(bytes);
    }
    let meters = Meters::new([(config.digest, config.size)].into_iter());
    let mut download = Download::new(client, "config", config, meters.of(0));
    let mut bytes = Vec::new();
    match std::io::Read::read_to_end(&mut download, &mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(download.error(error)),
    }
}

/// Fetches the layers that are not here; whether there were any.
fn take_layers(
    client: &Client,
    store: &Store,
    outline: &Outline,
    report: &mut dyn FnMut(Progress),
) -> Result<bool, RegistryError> {
    let layers = &outline.manifest.layers;
    let meters = Meters::new(layers.iter().map(|layer| (layer.digest, layer.size)));
    let places: Vec<usize> = (0..layers.len()).collect();
    let take = |&place: &usize| {
        let (layer, diff_id, meter) = (&layers[place], &outline.config.rootfs.diff_ids[place], meters.of(place));
        // The same layer can stand in an image twice; the second time it waits or comes twice, and is kept once.
        if store.layer(diff_id).is_some() {
            meter.turn(PartState::Present);
            return Ok::<bool, RegistryError>(false);
        }
        meter.turn(PartState::Moving);
        let mut download = Download::new(client, "layer", layer, meter);
        let taken = take_blob(store, &mut download, &layer.digest, diff_id);
        // Who unpacks sees a stream that breaks off; why it did is known here.
        taken.map_err(|error| download.failed.take().unwrap_or(error))?;
        download.finish()?;
        meter.turn(PartState::Done);
        Ok(true)
    };
    let moved = watching(&|| meters.now(), report, || in_parallel(PARALLEL, &places, take))?;
    Ok(moved.into_iter().any(|moved| moved))
}

fn enter(store: &Store, work: &Work, name: &Reference, outline: &Outline) -> Result<Image, RegistryError> {
    for came in &outline.documents {
        store.write_blob(work, &came.bytes)?;
    }
    let change = |origin: &mut Origin| {
        for known in outline.documents.iter().map(|came| by_digest(name, &came.digest)) {
            if !origin.repo_digests.contains(&known) && origin.repo_digests.len() < REPO_DIGESTS_MAX {
                origin.repo_digests.push(known);
            }
        }
    };
    let image = store.add_known_image(work, &outline.config_bytes, change)?;
    store.tag(work, name, image.id)?;
    let names = store.names_of(&image.id)?;
    Ok(Image { names, ..image })
}

/// `docker.io/library/nginx@sha256:…`
pub fn by_digest(name: &Reference, digest: &Digest) -> Reference {
    let text = format!("{}/{}@{digest}", name.registry(), name.repository());
    text.parse().expect("a name with a digest instead of its tag is a name")
}
