//! The table of contents of an OCI layout: which of its manifests are images for this machine, and what they are called.
//!
//! An index may name manifests, or further indexes with one manifest for each platform. Builders also put attestations
//! there, which are manifests of no platform.

use super::super::oci::{Descriptor, Index, Platform, media};
use super::super::reference::Reference;

pub const INDEX: &str = "index.json";
pub const MARK: &str = "oci-layout";
pub const MARK_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The specification's annotation: a tag, or for many writers a whole name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's and Docker's annotation: a whole name.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// Indexes in indexes: the layout's own, and one for platforms.
pub const DEPTH_MAX: usize = 3;

/// Manifests of one index: the platforms of some hundred images.
pub const MANIFESTS_MAX: usize = 2_000;

pub fn is_index(descriptor: &Descriptor) -> bool {
    matches!(descriptor.media_type.as_str(), media::INDEX | media::DOCKER_INDEX)
}

pub fn is_manifest(descriptor: &Descriptor) -> bool {
    matches!(descriptor.media_type.as_str(), media::MANIFEST | media::DOCKER_MANIFEST)
}

/// The one manifest of an index of platforms that this machine runs.
pub fn for_this_machine(index: &Index) -> Option<&Descriptor> {
    let fits = |descriptor: &&Descriptor| {
        is_manifest(descriptor) && descriptor.platform.as_ref().is_some_and(Platform::runs_here)
    };
    index.manifests.iter().find(fits).or_else(|| match &index.manifests[..] {
        // One without a platform is for whoever has it.
        [only] if is_manifest(only) && only.platform.is_none() => Some(only),
        _ => None,
    })
}

/// What platforms there are, for a message.
pub fn platforms(index: &Index) -> String {
    let names: Vec<String> = index.manifests.iter().filter_map(|it| Some(it.platform.as_ref()?.to_string())).collect();
    if names.is_empty() { "none that says what it runs on".into() } else { names.join(", ") }
}

/// The name that a descriptor carries. A bare word is only a tag, of what it does not say.
pub fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let whole = |key: &str| descriptor.annotations.get(key).filter(|name| name.contains(['/', ':']));
    whole(IMAGE_NAME).or_else(|| whole(REF_NAME))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest::Digest;

    fn descriptor(media_type: &str, platform: Option<(&str, &str)>) -> Descriptor {
        let platform = platform.map(|(os, architecture)| Platform {
            os: os.into(),
            architecture: architecture.into(),
            variant: None,
        });
        Descriptor { platform, ..Descriptor::new(media_type, Digest::of(b"x"), 1) }
    }

    fn index(manifests: Vec<Descriptor>) -> Index {
        Index { schema_version: 2, media_type: None, manifests }
    }

    #[test]
    fn the_manifest_of_this_machine_is_taken() {
        let host = Platform::host();
        let ours = descriptor(media::MANIFEST, Some((&host.os, &host.architecture)));
        let foreign = descriptor(media::MANIFEST, Some(("linux", "sparc")));
        let attestation = descriptor(media::MANIFEST, Some(("unknown", "unknown")));
        assert_eq!(for_this_machine(&index(vec![attestation.clone(), foreign.clone(), ours.clone()])), Some(&ours));
        assert_eq!(for_this_machine(&index(vec![foreign.clone()])), None);
        assert_eq!(platforms(&index(vec![foreign, attestation])), "linux/sparc, unknown/unknown");
        let plain = descriptor(media::DOCKER_MANIFEST, None);
        assert_eq!(for_this_machine(&index(vec![plain.clone()])), Some(&plain));
    }

    #[test]
    fn a_bare_tag_names_nothing() {
        let named = |key: &str, name: &str| {
            let mut named = descriptor(media::MANIFEST, None);
            named.annotations.insert(key.into(), name.into());
            name_of(&named).map(|name| name.familiar())
        };
        assert_eq!(named(REF_NAME, "latest"), None);
        assert_eq!(named(REF_NAME, "docker.io/library/web:1").as_deref(), Some("web:1"));
        assert_eq!(named(IMAGE_NAME, "docker.io/library/web:1").as_deref(), Some("web:1"));
        assert_eq!(named(REF_NAME, "no:such:name:"), None);
    }
}
