//! The image: its config, its history, its names.

use super::stage::End;
use super::{BuildError, Building};
use crate::build::event::What;
use crate::image::oci::{ImageConfig, Platform, RootFs};
use crate::image::store::{Image, Origin};

/// Writes the image that a stage ended with.
pub fn commit(site: &Building, end: End) -> Result<Image, BuildError> {
    let part = site.parts.image;
    let image = site.voice.within(part, || {
        let work = site.tools.store.work()?;
        let config = serde_json::to_vec(&config(site, &end)).expect("a config has only texts, numbers and lists");
        let image = site.tools.store.add_image(&work, &config, Origin::default())?;
        site.voice.say(What::Note { part, text: format!("writing image {}", image.id) });
        for name in &site.job.names {
            site.tools.store.tag(&work, name, image.id)?;
            site.voice.say(What::Note { part, text: format!("naming to {name}") });
        }
        // With the names that it has now.
        Ok::<_, BuildError>(site.tools.store.image(&image.id)?.unwrap_or(image))
    })?;
    let names = site.job.names.iter().map(crate::image::Reference::familiar).collect();
    site.voice.say(What::Built { image: image.id, names, size_bytes: image.size_bytes() });
    Ok(image)
}

fn config(site: &Building, end: &End) -> ImageConfig {
    let stage = site.plan.target_stage();
    let Platform { os, architecture, variant } = Platform::host();
    ImageConfig {
        created: end.created.map(timestamp),
        author: stage.author.clone(),
        architecture,
        os,
        variant,
        config: stage.config.clone(),
        rootfs: RootFs { diff_ids: end.layers.iter().map(|layer| layer.diff_id).collect(), ..RootFs::default() },
        history: end.history.clone(),
        other: serde_json::Map::new(),
    }
}

/// RFC 3339, of seconds since 1970.
pub fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
