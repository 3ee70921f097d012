//! Making what an operator has added to the catalogue: pulled, loaded, or made of packages.

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;

use super::super::beneath::Root;
use super::super::catalogue::listed::{From, Listed};
use super::super::catalogue::{self, Made, Offer};
use super::super::debian::{self, DebianError, Tree, Workshop};
use super::super::digest::Digest;
use super::super::oci::{CONFIG_MAX_BYTES, History, ImageConfig, Platform};
use super::super::progress::{Meter, Progress, watched};
use super::super::reference::Reference;
use super::super::registry;
use super::super::store::{Image, ImageError, MADE_BY, Origin, STANDS_IN_LABEL, Store, Work};
use super::super::transfer::{self, Source};
use super::{Sources, created, measured};

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Store {
    /// What is here already stays as long as its line says the same; a class without internet does not wait for it.
    pub(super) fn prepare_listed(
        &self,
        listed: &Listed,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let key = key(listed);
        let of_today = || self.find(&listed.name).filter(|image| image.origin.listed == key);
        if let Some(image) = of_today() {
            return Ok(image);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(ImageError::NotRoot { name: listed.name.clone() });
        }
        let _lock = self.lock_name(&listed.name, report)?;
        if let Some(image) = of_today() {
            return Ok(image);
        }
        let work = self.work()?;
        let image = match &listed.from {
            From::Registry(reference) => self.pull_listed(reference, sources, report),
            From::Archive { path, digest } => self.load_listed(path, digest.as_ref(), own_name(listed)),
            From::Packages { on, packages } => self.make_listed(listed, on, packages, &work, sources, report),
        };
        let failed = |source| ImageError::Listed { name: listed.name.clone(), from: listed.from.to_string(), source };
        let image = image.map_err(failed)?;
        let summary = Some(image.origin.summary.clone()).filter(|summary| !summary.is_empty());
        let origin = Origin { summary: summary.unwrap_or_else(|| listed.summary()), listed: key, ..image.origin };
        self.describe(&work, &image.id, origin)?;
        self.tag(&work, &own_name(listed), image.id)?;
        self.find(&listed.name).ok_or_else(|| self.unknown(&listed.name))
    }

    fn pull_listed(
        &self,
        reference: &Reference,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Cause> {
        let mut told = |progress: registry::Progress| {
            let doing = format!("pulling {}", reference.familiar());
            report(Progress { doing, done: progress.done_bytes, total: progress.total_bytes });
        };
        Ok(registry::pull(self, &sources.access, reference, &Platform::host(), &mut told)?.image)
    }

    /// The sum is made of the very file that is loaded then.
    fn load_listed(&self, path: &std::path::Path, digest: Option<&Digest>, name: Reference) -> Result<Image, Cause> {
        let mut file = File::open(path)?;
        if let Some(expected) = digest {
            let found = Digest::of_reader(&mut file)?;
            if found != *expected {
                return Err(format!(
                    "its sum is {found}, and not {expected}; get the archive again, or correct the line"
                )
                .into());
            }
            file.rewind()?;
        }
        let mut loaded = transfer::load(self, Source::File(file), Some(&name))?;
        Ok(loaded.remove(0).image)
    }

    fn make_listed(
        &self,
        listed: &Listed,
        on: &str,
        packages: &[String],
        work: &Work,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Cause> {
        let offer = catalogue::find(on).expect("a base is an offer; listed.rs has them");
        let base = self.prepare(on, sources, report)?;
        let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
        let (cache, folder) = (self.cache(), work.file());
        std::fs::create_dir(&folder)?;
        let site = sources.site(&mirrors, &cache, &folder);
        let below = base.layer_paths().iter().map(|path| Root::open(path)).collect::<io::Result<Vec<_>>>()?;
        let draft = work.layer()?;
        let root = draft.root()?;
        let meter = Meter::default();
        let notices = watched(&meter, report, || {
            meter.doing("asking the mirror for packages");
            let seeds = packages.iter().map(String::as_str).collect();
            let (recipe, mut notices) = debian::newest(seeds, given(offer)?, &site)?;
            meter.expect(2 * recipe.lock.bytes());
            let workshop = Workshop::open(&site, &meter).map_err(DebianError::from)?;
            notices.extend(debian::build(&recipe, &[], &workshop, &Tree::new(&root, &below))?);
            notices.push(format!("made of {} packages; their own scripts were not run", recipe.lock.pins.len()));
            Ok::<_, DebianError>(notices)
        })?;
        let (diff_id, record) = measured(&root)?;
        self.keep_layer(work, draft, diff_id, &record)?;
        let mut config: ImageConfig = base.config.clone();
        config.rootfs.diff_ids.push(diff_id);
        // It stands in for nothing any more.
        config.config.labels.remove(STANDS_IN_LABEL);
        config.config.labels.insert("org.opencontainers.image.title".into(), listed.name.clone());
        config.config.labels.insert("org.opencontainers.image.description".into(), listed.from.to_string());
        config.history.push(History {
            created: created(),
            created_by: Some(format!("{MADE_BY} {}: {}", listed.name, packages.join(" "))),
            ..History::default()
        });
        let config = serde_json::to_vec(&config)?;
        Ok(self.add_image(work, &config, Origin { notices, ..Origin::default() })?)
    }

    /// Says anew where an image came from.
    fn describe(&self, work: &Work, id: &Digest, origin: Origin) -> Result<(), ImageError> {
        let config = self.read_blob("config", id, CONFIG_MAX_BYTES)?;
        self.add_image(work, &config, origin).map(drop)
    }
}

/// Which packages an offer's system has, as far as they are pinned.
fn given(offer: &Offer) -> Result<Vec<debian::Pin>, DebianError> {
    let Made::Of(layers) = offer.made else { return Ok(Vec::new()) };
    let sets = layers.iter().filter_map(|layer| layer.making.set());
    let pins = sets.map(|set| Ok(set.lock()?.pins)).collect::<Result<Vec<_>, DebianError>>()?;
    Ok(pins.into_iter().flatten().collect())
}

/// What the image is prepared of: when it changes, it is prepared anew. An archive that cannot be seen has not changed.
fn key(listed: &Listed) -> String {
    match &listed.from {
        From::Registry(reference) => format!("registry {reference}"),
        From::Archive { path, digest: Some(digest) } => format!("archive {} {digest}", path.display()),
        From::Archive { path, digest: None } => {
            let seen = std::fs::metadata(path).map(|file| format!("{} {}", file.len(), file.mtime()));
            format!("archive {} {}", path.display(), seen.unwrap_or_default())
        }
        From::Packages { on, packages } => {
            let keys = catalogue::find(on).map(Offer::keys).unwrap_or_default();
            format!("packages {} {}", keys.last().map(Digest::hex).unwrap_or_default(), packages.join(" "))
        }
    }
}

fn own_name(listed: &Listed) -> Reference {
    listed.name.parse().expect("a line's name is an image's name; listed.rs looked at it")
}
