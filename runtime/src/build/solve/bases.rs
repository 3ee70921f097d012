//! The images that a build starts from or copies from: looked up, or prepared if the catalogue has them.

use std::collections::BTreeMap;

use super::{BuildError, Tools, Voice};
use crate::build::event::What;
use crate::build::plan::{StagePlan, images};
use crate::build::source::Problem;
use crate::build::stages::{Base, Stages};
use crate::image::ImageError;
use crate::image::oci::{Platform, RunConfig};
use crate::image::store::Image;

/// By their names as written.
pub struct Bases {
    images: BTreeMap<String, Image>,
}

pub enum BasesError {
    Problem(Problem),
    Build(BuildError),
}

impl Bases {
    pub fn get(&self, name: &str) -> Option<&Image> {
        self.images.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &Image)> {
        self.images.iter().map(|(name, image)| (name.as_str(), image))
    }

    pub fn configs(&self) -> BTreeMap<String, RunConfig> {
        self.images.iter().map(|(name, image)| (name.clone(), image.config.config.clone())).collect()
    }

    /// The image that a stage's base is not, though it has its name.
    pub fn stands_in_for(&self, stage: &StagePlan) -> Option<&str> {
        match &stage.base {
            Base::Image(name) => self.get(name)?.origin.stands_in_for.as_deref(),
            Base::Scratch | Base::Stage(_) => None,
        }
    }
}

/// Finds every image that the needed stages read.
pub fn find(stages: &Stages, tools: &Tools, voice: &Voice) -> Result<Bases, BasesError> {
    let (bases, others) = images(stages).map_err(BasesError::Problem)?;
    let mut found = BTreeMap::new();
    for name in bases.iter().chain(&others) {
        if found.contains_key(name) {
            continue;
        }
        let image = one(name, tools, voice).map_err(|source| match source {
            Failure::Image(source) => {
                BuildError::Base { name: name.clone(), line: line_of(stages, name), source: Box::new(source) }
            }
            Failure::Other(error) => error,
        });
        found.insert(name.clone(), image.map_err(BasesError::Build)?);
    }
    Ok(Bases { images: found })
}

enum Failure {
    Image(ImageError),
    Other(BuildError),
}

fn one(name: &str, tools: &Tools, voice: &Voice) -> Result<Image, Failure> {
    let image = match tools.store.lookup(name).map_err(Failure::Image)? {
        Some(image) => image,
        None => prepare(name, tools, voice).map_err(Failure::Image)?,
    };
    let Platform { os, architecture, variant } = Platform::host();
    let of = Platform { os: image.config.os.clone(), architecture: image.config.architecture.clone(), variant: None };
    if (&of.os, &of.architecture) != (&os, &architecture) {
        let host = Platform { os, architecture, variant }.to_string();
        return Err(Failure::Other(BuildError::Platform { name: name.to_owned(), image: of.to_string(), host }));
    }
    Ok(image)
}

fn prepare(name: &str, tools: &Tools, voice: &Voice) -> Result<Image, ImageError> {
    voice.part(&format!("[internal] prepare {name}"), |part| {
        let mut report = |progress: crate::image::Progress| {
            let crate::image::Progress { doing, done, total } = progress;
            voice.say(What::Progress { part, doing, done, total });
        };
        match (tools.prepare)(name, &mut report)? {
            Some(image) => Ok(image),
            // Its error says what to do.
            None => tools.store.resolve(name),
        }
    })
}

fn line_of(stages: &Stages, name: &str) -> Option<u32> {
    let stage = stages.list.iter().find(|stage| matches!(&stage.base, Base::Image(base) if base == name))?;
    Some(stage.from.at.start.line)
}
