//! Making the images of the catalogue.

use std::fs::File;

use super::archive::pack::pack;
use super::beneath::Root;
use super::catalogue::{self, Offer, Origin as Made};
use super::debian::{self, DebianError, Lock};
use super::digest::Digest;
use super::host;
use super::info::{ImageInfo, ImageState};
use super::oci::{History, ImageConfig, RootFs, RunConfig};
use super::progress::{Meter, Progress, watched};
use super::reference::Reference;
use super::store::locks::{self, Sharing};
use super::store::{Image, ImageError, LayerRecord, Origin, Store, Tar, Work};

/// Raised when what we make of the same recipe changes, so that images are prepared anew.
const HOST_RECIPE: &str = "host 2";
const LEARNER_RECIPE: &str = "learner 2";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// From where images may be made: settings, decided elsewhere.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The host's apt configuration; names the mirror unless the setting does.
    pub apt: std::path::PathBuf,
    /// As named by the operator; without it, the host's apt knows one.
    pub debian_mirror: Option<String>,
    /// A proxy for downloads. Without one, apt's own is used.
    pub proxy: Option<String>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { apt: "/etc/apt".into(), debian_mirror: None, proxy: None }
    }
}

impl Store {
    /// Every image of the catalogue, ready or not.
    pub fn list(&self) -> Vec<ImageInfo> {
        let info = |offer: &Offer| {
            let (summary, state) = match self.find(offer.name) {
                Some(image) => {
                    let size_bytes = image.size_bytes();
                    (image.origin.summary, ImageState::Ready { size_bytes })
                }
                None => (offer.summary.to_owned(), self.state_of_missing(offer.name)),
            };
            ImageInfo { name: offer.name.to_owned(), summary, state }
        };
        catalogue::CATALOGUE.iter().map(info).collect()
    }

    /// An image that is ready; `None` when it is not, or when its files are damaged and it must be prepared again.
    pub fn find(&self, name: &str) -> Option<Image> {
        self.lookup(name).ok().flatten()
    }

    /// Makes an image of the catalogue, unless it is there already and made of today's recipe. When another process is at
    /// it, waits for that one and takes its result.
    pub fn prepare(
        &self,
        name: &str,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let offer = catalogue::find(name).ok_or_else(|| not_offered(name))?;
        if let Some(image) = self.up_to_date(offer) {
            return Ok(image);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(ImageError::NotRoot { name: name.to_owned() });
        }
        let _lock = self.lock_name(name, report)?;
        if let Some(image) = self.up_to_date(offer) {
            return Ok(image);
        }
        let work = self.work()?;
        let replaced = self.names()?.get(&reference(offer)).copied();
        let image = match offer.origin {
            Made::Host => self.make_host(offer, &work, report)?,
            Made::Debian => self.make_learner(offer, &work, sources, report)?,
        };
        self.tag(&work, &reference(offer), image.id)?;
        if let Some(replaced) = replaced.filter(|old| *old != image.id) {
            self.forget_if_nameless(&replaced)?;
        }
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    fn make_host(&self, offer: &Offer, work: &Work, report: &mut dyn FnMut(Progress)) -> Result<Image, ImageError> {
        let plan = host::decide()?;
        let mut progress =
            Progress { doing: "copying commands from this host".into(), done: 0, total: host::size(&plan) };
        report(progress.clone());
        let draft = work.layer()?;
        host::copy(&plan, &draft.root()?, &mut |bytes| {
            progress.done += bytes;
            report(progress.clone());
        })?;
        let (diff_id, record) = measured(&draft.root()?)?;
        self.keep_layer(work, draft, diff_id, &record)?;
        // Its files are not waited for: after a crash of the machine it is made anew.
        self.add_passing_image(work, &config(diff_id), origin(offer, HOST_RECIPE.to_owned(), Vec::new()))
    }

    fn make_learner(
        &self,
        offer: &Offer,
        work: &Work,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let lock = Lock::parse(debian::LEARNER_LOCK).map_err(DebianError::from)?;
        let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
        let (seeds, cache) = (debian::learner_seeds(), self.cache());
        let recipe = debian::Recipe { lock: &lock, seeds: &seeds, fix_ups: debian::FIX_UPS };
        let site = debian::Site {
            mirrors: &mirrors,
            proxy: sources.proxy.as_deref(),
            trust: debian::Trust::of_this_host(),
            cache: &cache,
            work: &work.file(),
        };
        std::fs::create_dir(site.work).map_err(ImageError::store("make", site.work))?;
        let draft = work.layer()?;
        let root = draft.root()?;
        let meter = Meter::default();
        let (notices, (diff_id, record)) = watched(&meter, report, || {
            let notices = debian::build(&recipe, &site, &root, &meter)?;
            meter.doing("writing to disk");
            Ok::<_, ImageError>((notices, measured(&root)?))
        })?;
        self.keep_layer(work, draft, diff_id, &record)?;
        self.add_image(work, &config(diff_id), origin(offer, current_recipe(offer), notices))
    }

    fn up_to_date(&self, offer: &Offer) -> Option<Image> {
        self.find(offer.name).filter(|image| image.origin.recipe == current_recipe(offer))
    }

    /// Locks a name for this preparation; says so when it has to wait.
    pub(super) fn lock_name(&self, name: &str, report: &mut dyn FnMut(Progress)) -> Result<File, ImageError> {
        let path = self.root().join("locks").join(name);
        if let Some(lock) = locks::try_lock(&path, Sharing::Exclusive)? {
            return Ok(lock);
        }
        report(Progress { doing: "waiting for another preparation".into(), done: 0, total: 0 });
        locks::lock(&path, Sharing::Exclusive)
    }

    fn state_of_missing(&self, name: &str) -> ImageState {
        match locks::is_held(&self.root().join("locks").join(name)) {
            true => ImageState::Preparing { doing: "in another process".into(), done: 0, total: 0 },
            false => ImageState::Absent,
        }
    }
}

/// Makes the learner's lock anew from the mirror's index. Gives the new text of `learner.lock` and notices.
pub fn relock(store: &Store, sources: &Sources) -> Result<(String, Vec<String>), ImageError> {
    let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
    let (work, cache) = (store.work()?, store.cache());
    let site = debian::Site {
        mirrors: &mirrors,
        proxy: sources.proxy.as_deref(),
        trust: debian::Trust::of_this_host(),
        cache: &cache,
        work: work.path(),
    };
    Ok(debian::relock(&site)?)
}

fn not_offered(name: &str) -> ImageError {
    let hint = format!("the catalogue offers {}", catalogue::names());
    ImageError::Unknown { name: name.to_owned(), hint }
}

fn reference(offer: &Offer) -> Reference {
    offer.name.parse().expect("a name of our own catalogue is an image's name; its test says so")
}

fn measured(root: &Root) -> Result<(Digest, LayerRecord), ImageError> {
    let packed = pack(root, &mut std::io::sink())?;
    let tar = Tar::Canonical { bytes: packed.archive_bytes };
    Ok((packed.diff_id, LayerRecord::new(packed.bytes, packed.files, tar)))
}

/// One layer, and what a shell in it finds set.
fn config(layer: Digest) -> Vec<u8> {
    let run = RunConfig { env: vec![format!("PATH={PATH}"), "LANG=C.UTF-8".into()], ..RunConfig::default() };
    let config = ImageConfig {
        config: RunConfig { cmd: Some(vec!["bash".into()]), ..run },
        rootfs: RootFs { diff_ids: vec![layer], ..RootFs::default() },
        history: vec![History { created_by: Some("quayside image prepare".into()), ..History::default() }],
        ..ImageConfig::scratch()
    };
    serde_json::to_vec(&config).expect("a config has only texts, numbers and lists")
}

fn origin(offer: &Offer, recipe: String, notices: Vec<String>) -> Origin {
    Origin { summary: offer.summary.to_owned(), recipe, notices, ..Origin::default() }
}

fn current_recipe(offer: &Offer) -> String {
    match offer.origin {
        Made::Host => HOST_RECIPE.to_owned(),
        Made::Debian => {
            // The table of fix-ups is data, so what it would do is its text.
            let recipe = format!("{}{:?}", debian::LEARNER_LOCK, debian::FIX_UPS);
            format!("{LEARNER_RECIPE} {}", Digest::of(recipe.as_bytes()).hex())
        }
    }
}

#[cfg(test)]
mod tests;
