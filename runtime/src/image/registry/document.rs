//! What a name leads to: a manifest, or an index of several, of which one runs here.

use serde::Deserialize;

use super::super::oci::{Descriptor, Index, Manifest, Platform, media};
use super::error::RegistryError;
use super::words::shown;

/// What we take, best first.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// What every document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest or an index. What it says of itself counts more than what the server calls it (`content_type`).
pub fn understand(name: &str, bytes: &[u8], content_type: Option<&str>) -> Result<Document, RegistryError> {
    let refused = |why: String| RegistryError::Document { name: name.to_owned(), why: shown(&why) };
    let json = |error: serde_json::Error| refused(error.to_string());
    let kind: Kind = serde_json::from_slice(bytes).map_err(json)?;
    if kind.schema_version == 1 {
        return Err(RegistryError::Schema1 { name: name.to_owned() });
    }
    let content_type = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
    let media_type = kind.media_type.as_deref().or(content_type);
    let is_index = match media_type {
        Some(media::INDEX | media::DOCKER_INDEX) => true,
        Some(media::MANIFEST | media::DOCKER_MANIFEST) => false,
        // Registries that keep plain files say `application/json`.
        _ => kind.manifests.is_some(),
    };
    if is_index {
        return serde_json::from_slice(bytes).map(Document::Index).map_err(json);
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(json)?;
    match &*manifest.config.media_type {
        media::CONFIG | media::DOCKER_CONFIG => Ok(Document::Manifest(manifest)),
        other => Err(refused(format!("it is no image of a container, but {other}"))),
    }
}

/// The manifest of an index that runs on `wanted`.
pub fn choose<'a>(name: &str, index: &'a Index, wanted: &Platform) -> Result<&'a Descriptor, RegistryError> {
    let images = || index.manifests.iter().filter(|entry| is_image(entry));
    let fit = |entry: &&Descriptor| entry.platform.as_ref().map_or(Some(0), |platform| closeness(platform, wanted));
    // Of several that fit as well the first counts, as everywhere.
    if let Some(found) = images().rev().filter(|entry| fit(entry).is_some()).max_by_key(fit) {
        return Ok(found);
    }
    let found: Vec<String> =
        images().filter_map(|entry| entry.platform.as_ref()).map(|platform| shown(&platform.to_string())).collect();
    let found = if found.is_empty() { "none at all".to_owned() } else { found.join(", ") };
    Err(RegistryError::Platform { name: name.to_owned(), wanted: wanted.to_string(), found })
}

/// Builders put descriptions of how an image was made beside it.
fn is_image(entry: &Descriptor) -> bool {
    let is_attestation = entry.annotations.contains_key("vnd.docker.reference.type");
    let is_unknown = entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    !is_attestation && !is_unknown
}

/// How well an image for `platform` suits; `None`: not at all.
fn closeness(platform: &Platform, wanted: &Platform) -> Option<u32> {
    if (&platform.os, &platform.architecture) != (&wanted.os, &wanted.architecture) {
        return None;
    }
    match (platform.variant.as_deref(), wanted.variant.as_deref()) {
        (None, None) => Some(u32::MAX),
        (Some(has), Some(wants)) if has == wants => Some(u32::MAX),
        // The oldest runs everywhere.
        (None, Some(_)) => Some(1),
        // Nothing was said of the variant: x86's higher levels and ARM's newest may not run here, so the lowest.
        (Some(has), None) => Some(100 - variant_number(has)?.min(99)),
        // A newer ARM runs what was made for an older one, and that for the newest of these best.
        (Some(has), Some(wants)) => {
            let (has, wants) = (variant_number(has)?, variant_number(wants)?);
            (has <= wants).then_some(2 + has)
        }
    }
}

/// `v7`
fn variant_number(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::digest::Digest;
    use super::*;

    fn entry(text: &str) -> Descriptor {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (os, architecture, variant) = (next(), next(), next());
        let variant = (!variant.is_empty()).then_some(variant);
        let platform = Some(Platform { os, architecture, variant });
        Descriptor { platform, ..Descriptor::new(media::MANIFEST, Digest::of(text.as_bytes()), 1) }
    }

    fn chosen(entries: &[&str], wanted: &str) -> Result<String, String> {
        let manifests = entries.iter().map(|text| entry(text)).collect();
        let index = Index { schema_version: 2, media_type: None, manifests };
        let wanted = entry(wanted).platform.unwrap();
        let chosen = choose("x:1", &index, &wanted).map_err(|error| error.to_string())?;
        Ok(chosen.platform.as_ref().unwrap().to_string())
    }

    #[test]
    fn the_platform_of_this_host_is_chosen_and_the_closest_variant() {
        let all = ["linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "linux/amd64/v3", "linux/amd64", "windows/amd64"];
        assert_eq!(chosen(&all, "linux/amd64").unwrap(), "linux/amd64");
        assert_eq!(chosen(&all, "linux/arm64/v8").unwrap(), "linux/arm64/v8");
        assert_eq!(chosen(&all, "linux/arm/v6").unwrap(), "linux/arm/v5");
        assert_eq!(chosen(&all, "linux/arm/v7").unwrap(), "linux/arm/v7");
        assert_eq!(chosen(&["linux/arm64"], "linux/arm64/v8").unwrap(), "linux/arm64");
        assert_eq!(chosen(&["linux/amd64/v3", "linux/amd64/v1"], "linux/amd64").unwrap(), "linux/amd64/v1");
    }

    #[test]
    fn what_there_is_stands_in_the_error_without_attestations() {
        let said = chosen(&["linux/s390x", "unknown/unknown", "windows/amd64"], "linux/amd64").unwrap_err();
        assert_eq!(
            said,
            "x:1 has no image for linux/amd64; it has linux/s390x, windows/amd64; choose one by --platform"
        );
        assert!(chosen(&[], "linux/amd64").unwrap_err().contains("none at all"));
    }

    #[test]
    fn documents_are_known_by_what_they_say_then_by_what_they_are_called() {
        let read = |text: &str, called: Option<&str>| understand("x:1", text.as_bytes(), called);
        let config = |media_type: &str| {
            let digest = Digest::of(b"");
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{media_type}","digest":"{digest}","size":2}},"layers":[]}}"#
            )
        };
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(read(index, Some("application/json")), Ok(Document::Index(_))));
        assert!(matches!(
            read(index, Some("application/vnd.oci.image.index.v1+json; charset=utf-8")),
            Ok(Document::Index(_))
        ));
        assert!(matches!(read(&config(media::DOCKER_CONFIG), None), Ok(Document::Manifest(_))));
        assert!(matches!(read(&config(media::CONFIG), Some(media::MANIFEST)), Ok(Document::Manifest(_))));
        let chart = read(&config("application/vnd.cncf.helm.config.v1+json"), None).unwrap_err().to_string();
        assert!(chart.contains("no image of a container, but application/vnd.cncf.helm"), "{chart}");
    }

    #[test]
    fn schema_1_is_refused_in_words() {
        let old = r#"{"schemaVersion":1,"name":"x","tag":"1","fsLayers":[],"history":[]}"#;
        let said = understand("x:1", old.as_bytes(), Some("application/vnd.docker.distribution.manifest.v1+prettyjws"));
        assert!(said.unwrap_err().to_string().contains("schema 1, which was given up in 2020"));
    }
}
