//! One stage, step by step: from the cache, or done.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::carry::carry_out;
use super::files::{self, Origins};
use super::image::timestamp;
use super::inherited;
use super::urls::{self, Urls};
use super::{BuildError, Building};
use crate::build::cache::{Hit, Record};
use crate::build::event::What;
use crate::build::explain::{self, Before, Reason};
use crate::build::key::{Parts, base_key};
use crate::build::plan::{PlannedStep, StagePlan};
use crate::build::stages::Base;
use crate::build::steps::output::{Line, Stream};
use crate::build::steps::request::{Origin, Request};
use crate::build::steps::{Site, StepError};
use crate::container::Cancel;
use crate::image::Digest;
use crate::image::oci::History;
use crate::image::store::{Layer, Work};

/// How a build is stopped from outside, and how one stage stops the others.
#[derive(Debug)]
pub struct Stop {
    stopped: AtomicBool,
    pub(super) containers: Cancel,
}

impl Stop {
    pub fn new() -> io::Result<Self> {
        Ok(Self { stopped: AtomicBool::new(false), containers: Cancel::new()? })
    }

    /// Ends what runs; nothing new begins.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.containers.cancel();
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Where a stage ends.
#[derive(Debug, Clone)]
pub struct End {
    /// Bottom to top.
    pub layers: Vec<Layer>,
    pub history: Vec<History>,
    /// Seconds since 1970, of its newest layer; none before there is one.
    pub created: Option<i64>,
    /// The key of its last step.
    key: Digest,
    /// The last step that was not in the cache.
    missed: Option<Before>,
}

pub fn build(site: &Building, stage: &StagePlan, ends: &BTreeMap<usize, End>) -> Result<End, BuildError> {
    let mut under = Under { site, stage, ends, end: begin(site, stage, ends), is_first: true };
    if let Some(part) = site.parts.bases.get(&stage.number) {
        site.voice.say(What::Began { part: *part });
        site.voice.say(What::Done { part: *part, took_ms: 0, layer: None, bytes: 0 });
    }
    for (index, step) in stage.steps.iter().enumerate() {
        let part = site.parts.steps.get(&(stage.number, index));
        let layer = match part {
            Some(part) => under.layer(step, index, *part)?,
            None => None,
        };
        under.end.history.push(History {
            created: under.end.created.map(timestamp),
            created_by: Some(step.created_by.clone()),
            comment: Some(inherited::comment(part.map(|_| &under.end.key))),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        under.end.layers.extend(layer);
    }
    let mut end = under.end;
    // Of what came before the first layer nothing is known but that it is no younger. The time of a build would be another
    // one each time, and so would the image's id.
    let created = *end.created.get_or_insert_with(|| jiff::Timestamp::now().as_second());
    for own in end.history.iter_mut().rev().take(stage.steps.len()) {
        own.created.get_or_insert_with(|| timestamp(created));
    }
    Ok(end)
}

fn begin(site: &Building, stage: &StagePlan, ends: &BTreeMap<usize, End>) -> End {
    let created = site.plan.epoch;
    match &stage.base {
        Base::Stage(other) => ends[other].clone(),
        Base::Scratch => End { layers: Vec::new(), history: Vec::new(), created, key: base_key(&[]), missed: None },
        Base::Image(name) => {
            let image = site.bases.get(name).expect("every base was found before the plan was made");
            let of_image = image.config.created.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
            End {
                layers: image.layers.clone(),
                history: image.config.history.clone(),
                created: created.or(of_image.map(jiff::Timestamp::as_second)),
                key: base_key(&diff_ids),
                missed: None,
            }
        }
    }
}

/// A stage that is being built.
struct Under<'a> {
    site: &'a Building<'a>,
    stage: &'a StagePlan,
    ends: &'a BTreeMap<usize, End>,
    end: End,
    is_first: bool,
}

/// One of its steps.
struct Now<'a> {
    step: &'a PlannedStep,
    request: &'a Request,
    part: usize,
    /// Where it is compared with earlier ones, nearest first.
    places: Vec<String>,
    work: &'a Work,
    origins: &'a Origins,
}

impl Under<'_> {
    /// One step that may make a layer.
    fn layer(&mut self, step: &PlannedStep, index: usize, part: usize) -> Result<Option<Layer>, BuildError> {
        let voice = self.site.voice;
        if self.site.tools.stop.is_stopped() {
            voice.say(What::Cancelled { part });
            return Err(BuildError::Stopped);
        }
        voice.say(What::Began { part });
        let done = self.step(step, index, part);
        match &done {
            Ok(_) => {}
            Err(_) if self.site.tools.stop.is_stopped() => voice.say(What::Cancelled { part }),
            Err(BuildError::Step { source, .. }) => {
                // What its command said last has been told as it came.
                let message = match &**source {
                    StepError::Failed { command, exit, .. } => format!("RUN {command} failed with {exit}"),
                    other => other.to_string(),
                };
                voice.say(What::Failed { part, message });
            }
            Err(error) => voice.say(What::Failed { part, message: error.to_string() }),
        }
        self.is_first = false;
        match done {
            Err(_) if self.site.tools.stop.is_stopped() => Err(BuildError::Stopped),
            done => done,
        }
    }

    fn step(&mut self, step: &PlannedStep, index: usize, part: usize) -> Result<Option<Layer>, BuildError> {
        let request = step.request.as_ref().expect("only steps with a request are parts");
        let work = &self.site.tools.store.work()?;
        let origins = &self.origins();
        let of_files = self.parts(step, request, work, origins)?;
        let mut urls = urls::ask(self.site, request, work, part).map_err(|error| self.failed(step, error))?;
        let with = |urls: &Urls| {
            let mut parts = of_files.clone();
            parts.facets.extend(urls.facets());
            parts
        };
        let mut parts = with(&urls);
        let places = self.places(step, index, &parts);
        let now = Now { step, request, part, places, work, origins };
        let cache = self.site.cache;
        let is_looked_up = !self.site.job.no_cache;
        let find = |key: &Digest| if is_looked_up { cache.find(key) } else { None };
        let mut key = parts.key();
        let mut found = find(&key);
        if found.is_none() && urls.download_missing().map_err(|error| self.failed(step, error))? {
            parts = with(&urls);
            key = parts.key();
            found = find(&key);
        }
        if let Some(hit) = found {
            return self.hit(hit, None, &parts, &now);
        }
        let inherited = self.site.inherited.find(&key).filter(|_| is_looked_up);
        if let Some((image, hit)) = inherited {
            // From now on it is found here, also without the image.
            cache.add(work, &parts, &Record { text: step.text.clone(), ..hit.record.clone() })?;
            return self.hit(hit.clone(), Some(image), &parts, &now);
        }
        self.tell_why(&parts, &now);
        let (voice, stop) = (self.site.voice, self.site.tools.stop);
        let mut waits = || voice.say(What::Note { part, text: "waiting for another build that does the same".into() });
        let lock = cache.lock(&key, &|| stop.is_stopped(), &mut waits)?.ok_or(BuildError::Stopped)?;
        // Whoever had the lock before may have done it.
        let done = match find(&key) {
            Some(hit) => self.hit(hit, None, &parts, &now),
            None => self.carry_out(&parts, &urls, &now),
        };
        cache.unlock(&key, lock);
        done
    }

    fn parts(
        &self,
        step: &PlannedStep,
        request: &Request,
        work: &Work,
        origins: &Origins,
    ) -> Result<Parts, BuildError> {
        let base = match &self.stage.base {
            Base::Image(name) if self.is_first => Some(name.clone()),
            _ => None,
        };
        let mut parts = Parts::of(request, self.end.key, base, &step.arguments, &step.uncounted);
        let files = files::of(self.site, request, work, origins);
        parts.files = files.map_err(|error| self.failed(step, error))?;
        Ok(parts)
    }

    /// `image` is the one that had it, if it was not built here.
    fn hit(&mut self, hit: Hit, image: Option<&String>, parts: &Parts, now: &Now) -> Result<Option<Layer>, BuildError> {
        self.site.voice.say(What::Hit { part: now.part, from: image.cloned() });
        self.end.missed = None;
        self.advance(parts, now, &hit.record)?;
        Ok(hit.layer)
    }

    /// Compares with the nearest earlier step, and says what is different.
    fn tell_why(&self, parts: &Parts, now: &Now) {
        let cache = self.site.cache;
        let reasons = if self.site.job.no_cache {
            vec![Reason::Unwanted]
        } else {
            let earlier = now.places.iter().find_map(|place| cache.latest(place)).and_then(|key| cache.parts(&key));
            let reasons = explain::explain(parts, earlier.as_ref(), self.end.missed.as_ref());
            match (&reasons[..], &self.site.inherited.images[..]) {
                ([Reason::NeverBuilt], images @ [_, ..]) => vec![Reason::NotIn { images: images.to_vec() }],
                _ => reasons,
            }
        };
        let words = explain::line(&reasons);
        self.site.voice.say(What::Missed { part: now.part, reasons, words });
    }

    fn carry_out(&mut self, parts: &Parts, urls: &Urls, now: &Now) -> Result<Option<Layer>, BuildError> {
        let Now { step, request, part, work, origins, .. } = *now;
        let began = Instant::now();
        let layers: Vec<PathBuf> = self.end.layers.iter().map(|layer| layer.path.clone()).collect();
        let site = Site { store: self.site.tools.store, work, layers: &layers, epoch: self.site.plan.epoch };
        let voice = self.site.voice;
        let mut said = |line: Line| {
            let stderr = line.stream == Stream::Err;
            voice.say(What::Output { part, stderr, line: line.text.to_owned() });
        };
        let done = files::with_materials(self.site, origins, urls.files(), |materials| {
            carry_out(self.site, request, &site, materials, &mut said)
        });
        let layer = done.map_err(|error| self.failed(step, error.into()))?;
        files::check_unchanged(self.site, request, parts)?;
        let took_ms = began.elapsed().as_millis() as u64;
        let size_bytes = layer.as_ref().map_or(0, |layer| layer.record.size_bytes);
        let record = Record {
            text: step.text.clone(),
            layer: layer.as_ref().map(|layer| layer.diff_id),
            created: self.site.plan.epoch.unwrap_or_else(|| jiff::Timestamp::now().as_second()),
            took_ms,
            size_bytes,
        };
        self.site.cache.add(work, parts, &record)?;
        self.end.missed = step.place.as_ref().map(|place| match self.site.plan.stages.len() {
            1 => Before { step: place.clone(), part },
            _ => Before { step: format!("{place} of {}", self.stage.name), part },
        });
        self.advance(parts, now, &record)?;
        voice.say(What::Done { part, took_ms, layer: record.layer, bytes: size_bytes });
        Ok(layer)
    }

    fn advance(&mut self, parts: &Parts, now: &Now, record: &Record) -> Result<(), BuildError> {
        self.end.key = parts.key();
        self.end.created = self.site.plan.epoch.or(self.end.created.max(Some(record.created)));
        for place in &now.places {
            self.site.cache.set_latest(place, &self.end.key)?;
        }
        Ok(())
    }

    /// Where this step is, nearest first: the same instruction on the same files, and the same place in the same file.
    fn places(&self, step: &PlannedStep, index: usize, parts: &Parts) -> Vec<String> {
        let job = self.site.job;
        let context = match &job.context {
            Some(path) if !job.is_passing => path.display().to_string(),
            // One that comes by the same way each time is compared with the last.
            Some(_) => "-".into(),
            None => String::new(),
        };
        vec![
            format!("after {} {}", self.end.key, parts.instruction().unwrap_or_default()),
            format!("in {context} {} {} {}", self.site.job.dockerfile_name, self.stage.name, step.text),
            format!("at {context} {} {} {index}", self.site.job.dockerfile_name, self.stage.name),
        ]
    }

    /// The layers that this step may read: of stages before it, and of images.
    fn origins(&self) -> Origins {
        let stages = self.ends.iter().map(|(number, end)| (Origin::Stage(*number), end.layers.clone()));
        Origins::new(stages.collect(), self.site.bases)
    }

    fn failed(&self, step: &PlannedStep, error: files::FilesError) -> BuildError {
        match error {
            files::FilesError::Step(source) => {
                BuildError::Step { shown: step.shown.clone(), line: step.line, source: Box::new(source) }
            }
            files::FilesError::Build(error) => error,
        }
    }
}
