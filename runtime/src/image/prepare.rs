//! Making the images of the catalogue.
//!
//! ```text
//! name ──▶ offer ──▶ layers, each with a key ──▶ found in an image that is here, or made ──▶ config ──▶ image ──▶ names
//! ```
//!
//! A layer's key says what it is made of. The keys stand with the image, so that another image finds the layers that it
//! shares, and a newer Quayside those that are still of today.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::archive::pack::pack;
use super::beneath::Root;
use super::catalogue::listed::{Listed, names_with};
use super::catalogue::{self, Made, Offer};
use super::debian::{self, DebianError, Mirrors, PackageSet, Site, TIME, Tree, Workshop};
use super::digest::Digest;
use super::errand::Errands;
use super::host;
use super::info::{ImageInfo, ImageState};
use super::oci::{Empty, History, ImageConfig, Platform, RootFs, RunConfig};
use super::progress::{Meter, Progress, watched};
use super::recipe::{self, Bench, RecipeError};
use super::reference::Reference;
use super::registry::{self, Access};
use super::store::locks::{self, Sharing};
use super::store::{Image, ImageError, Layer, LayerRecord, MADE_BY, Origin, STANDS_IN_LABEL, Store, Tar, Work};

/// Raised when what we make of the same commands changes, so that the image is prepared anew.
const HOST_RECIPE: &str = "host 3";

/// From where images may be made: settings, decided elsewhere.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The host's apt configuration; names the mirror unless the setting does.
    pub apt: std::path::PathBuf,
    /// As named by the operator; without it, the host's apt knows one.
    pub debian_mirror: Option<String>,
    /// A proxy for downloads. Without one, apt's own is used.
    pub proxy: Option<String>,
    /// Who runs the programs that layers are made by; without, those layers cannot be made.
    pub errands: Option<Arc<dyn Errands>>,
    /// What the operator has added to the catalogue.
    pub listed: Vec<Listed>,
    /// How registries are spoken to.
    pub access: Access,
    /// How long the registry of the image that people expect may take to answer, before what stands in for it is made;
    /// zero: it is not asked.
    pub real_within: Duration,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            apt: "/etc/apt".into(),
            debian_mirror: None,
            proxy: None,
            errands: None,
            listed: Vec::new(),
            access: Access::default(),
            real_within: Duration::ZERO,
        }
    }
}

/// What all layers of one preparation are made with.
struct Yard<'a> {
    work: &'a Work,
    site: &'a Site<'a>,
    meter: &'a Meter,
    errands: Option<&'a dyn Errands>,
}

impl Store {
    /// Every image of the catalogue, ours and then the operator's, ready or not.
    pub fn list(&self, listed: &[Listed]) -> Vec<ImageInfo> {
        let info = |name: &str, summary: String| {
            let (summary, state) = match self.find(name) {
                Some(image) => {
                    let size_bytes = image.size_bytes();
                    (image.origin.summary, ImageState::Ready { size_bytes })
                }
                None => (summary, self.state_of_missing(name)),
            };
            ImageInfo { name: name.to_owned(), summary, state }
        };
        let ours = catalogue::CATALOGUE.iter().filter(|offer| !listed.iter().any(|listed| listed.name == offer.name));
        let ours = ours.map(|offer| info(offer.name, offer.summary.to_owned()));
        ours.chain(listed.iter().map(|listed| info(&listed.name, listed.summary()))).collect()
    }

    /// An image that is ready; `None` when it is not, or when its files are damaged and it must be prepared again.
    pub fn find(&self, name: &str) -> Option<Image> {
        self.lookup(name).ok().flatten()
    }

    /// Makes the image that the catalogue offers for a name, unless it is there already and made of today's recipe. When
    /// another process is at it, waits for that one and takes its result. An image of that name which came from elsewhere
    /// is taken as it is: it is what people expect.
    pub fn prepare(
        &self,
        name: &str,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let wanted: Reference = name.parse()?;
        if let Some(listed) = sources.listed.iter().find(|listed| listed.is_called(&wanted)) {
            return self.prepare_listed(listed, sources, report);
        }
        if let Some(image) = self.find(name).filter(|image| image.origin.recipe.is_empty()) {
            return Ok(image);
        }
        let offer = catalogue::answering(&wanted).ok_or_else(|| not_offered(name, sources))?;
        if let Some(image) = self.up_to_date(offer, &wanted) {
            return Ok(image);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(ImageError::NotRoot { name: name.to_owned() });
        }
        let _lock = self.lock_name(offer.name, report)?;
        if let Some(image) = self.up_to_date(offer, &wanted) {
            return Ok(image);
        }
        if let Some(image) = self.real(offer, &wanted, sources, report) {
            return Ok(image);
        }
        let work = self.work()?;
        let before = self.find(offer.name);
        let image = match (self.of_today(offer), offer.made) {
            (Some(image), _) => image,
            (None, Made::Host) => self.make_host(offer, &work, report)?,
            (None, Made::Of(layers)) => self.make_image(offer, layers, &work, sources, report)?,
        };
        // Whatever it was called before, it is called still.
        let replaced = before.filter(|old| old.id != image.id && !old.origin.recipe.is_empty());
        let names = replaced.iter().flat_map(|old| old.names.clone()).chain([own_name(offer), wanted]);
        names.into_iter().try_for_each(|name| self.tag(&work, &name, image.id))?;
        if let Some(replaced) = replaced {
            self.forget_if_nameless(&replaced.id)?;
        }
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    /// The image that people expect under a name that something stands in for, where the operator wants it to be asked for
    /// and its registry answers in time.
    fn real(
        &self,
        offer: &Offer,
        wanted: &Reference,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Option<Image> {
        let patience = sources.real_within;
        let is_asked = offer.stands_in_for.is_some() && !patience.is_zero();
        if !is_asked || !registry::answers(&sources.access, wanted, patience) {
            return None;
        }
        let mut told = |progress: registry::Progress| {
            let doing = format!("pulling {}", wanted.familiar());
            report(Progress { doing, done: progress.done_bytes, total: progress.total_bytes });
        };
        match registry::pull(self, &sources.access, wanted, &Platform::host(), &mut told) {
            Ok(pulled) => Some(pulled.image),
            Err(error) => {
                let doing = format!("{error}; what stands in for it is made instead");
                report(Progress { doing, done: 0, total: 0 });
                None
            }
        }
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
        let history = [("host", diff_id)];
        // Its files are not waited for: after a crash of the machine it is made anew.
        self.add_passing_image(work, &config(offer, &history), origin(offer, Vec::new()))
    }

    fn make_image(
        &self,
        offer: &Offer,
        layers: &[&'static recipe::Layer],
        work: &Work,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let known = self.layers_by_key()?;
        let steps: Vec<_> = layers.iter().copied().zip(offer.keys()).collect();
        let missing = || steps.iter().filter(|(_, key)| !known.contains_key(key)).map(|(layer, _)| *layer);
        let mirrors = match missing().any(|layer| layer.making.set().is_some()) {
            true => debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?,
            false => Mirrors::default(),
        };
        let (cache, folder) = (self.cache(), work.file());
        std::fs::create_dir(&folder).map_err(ImageError::store("make", &folder))?;
        let site = sources.site(&mirrors, &cache, &folder);
        let meter = Meter::default();
        missing().try_for_each(|layer| layer.effort().map(|bytes| meter.expect(bytes)).map_err(failed(layer)))?;
        let yard = Yard { work, site: &site, meter: &meter, errands: sources.errands.as_deref() };
        let (made, notices) = watched(&meter, report, || {
            let (mut made, mut notices) = (Vec::<Layer>::new(), Vec::new());
            for (layer, key) in &steps {
                made.push(match known.get(key) {
                    Some(layer) => layer.clone(),
                    None => self.make_layer(layer, &made, &yard, &mut notices)?,
                });
            }
            Ok::<_, ImageError>((made, notices))
        })?;
        let history: Vec<_> = layers.iter().zip(&made).map(|(layer, made)| (layer.name, made.diff_id)).collect();
        self.add_image(work, &config(offer, &history), origin(offer, notices))
    }

    fn make_layer(
        &self,
        layer: &'static recipe::Layer,
        below: &[Layer],
        yard: &Yard,
        notices: &mut Vec<String>,
    ) -> Result<Layer, ImageError> {
        let Yard { work, site, meter, errands } = *yard;
        let paths: Vec<PathBuf> = below.iter().map(|layer| layer.path.clone()).collect();
        let below: Vec<Root> = below
            .iter()
            .map(|layer| Root::open(&layer.path).map_err(ImageError::store("open", &layer.path)))
            .collect::<Result<_, _>>()?;
        let draft = work.layer()?;
        let root = draft.root()?;
        let bench = Bench { layers: &paths, top: &draft.diff(), errands };
        let made = Workshop::open(site, meter)
            .map_err(|error| RecipeError::from(DebianError::from(error)))
            .and_then(|workshop| recipe::make(layer, &bench, &workshop, &Tree::new(&root, &below)));
        let new = match (made, layer.instead) {
            (Ok(new), _) => new,
            (Err(error), Some(instead)) if error.is_of_the_mirror() => {
                let why = format!("{} cannot be had from the mirror ({error}); taking {}", layer.name, instead.name);
                meter.doing(why.clone());
                notices.push(why);
                drop(draft);
                return self.make_layer(instead, &[], yard, notices);
            }
            (Err(error), _) => return Err(failed(layer)(error)),
        };
        meter.doing("writing to disk");
        let (diff_id, record) = measured(&root)?;
        // With a notice something else was taken, and something else must come out.
        let surprise = recipe::expected(layer).filter(|expected| new.is_empty() && *expected != diff_id);
        notices.extend(new);
        notices.extend(surprise.map(|expected| {
            format!(
                "the layer {} came out as {diff_id}, and not as {expected}, which this version is known to make",
                layer.name
            )
        }));
        self.keep_layer(work, draft, diff_id, &record)
    }

    /// The layers of images that were made of recipes, by their keys.
    fn layers_by_key(&self) -> Result<BTreeMap<Digest, Layer>, ImageError> {
        let mut layers = BTreeMap::new();
        for image in self.images()?.into_iter().flatten() {
            let keys = image.origin.recipe.split(' ').filter_map(Digest::from_hex);
            layers.extend(keys.zip(image.layers));
        }
        Ok(layers)
    }

    /// The offer's image, if it is there, of today, and called so.
    fn up_to_date(&self, offer: &Offer, wanted: &Reference) -> Option<Image> {
        self.of_today(offer).filter(|image| image.names.contains(wanted))
    }

    fn of_today(&self, offer: &Offer) -> Option<Image> {
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

impl Sources {
    fn site<'a>(&'a self, mirrors: &'a Mirrors, cache: &'a std::path::Path, work: &'a std::path::Path) -> Site<'a> {
        Site { mirrors, proxy: self.proxy.as_deref(), trust: debian::Trust::of_this_host(), cache, work }
    }
}

/// Makes the lock of a set of packages anew from the mirror's index. Gives its new text and notices.
pub fn relock(store: &Store, set: &PackageSet, sources: &Sources) -> Result<(String, Vec<String>), ImageError> {
    let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
    let (work, cache) = (store.work()?, store.cache());
    Ok(debian::relock(set, &sources.site(&mirrors, &cache, work.path()))?)
}

fn not_offered(name: &str, sources: &Sources) -> ImageError {
    let hint = format!("the catalogue offers {}", names_with(&sources.listed));
    ImageError::Unknown { name: name.to_owned(), hint }
}

fn own_name(offer: &Offer) -> Reference {
    offer.name.parse().expect("a name of our own catalogue is an image's name; its test says so")
}

fn failed(layer: &'static recipe::Layer) -> impl FnOnce(RecipeError) -> ImageError {
    |source| ImageError::Recipe { layer: layer.name, source: Box::new(source) }
}

fn measured(root: &Root) -> Result<(Digest, LayerRecord), ImageError> {
    let packed = pack(root, &mut std::io::sink())?;
    let tar = Tar::Canonical { bytes: packed.archive_bytes };
    Ok((packed.diff_id, LayerRecord::new(packed.bytes, packed.files, tar)))
}

/// The image's config: layers with their names, bottom to top, and what the offer says runs in them.
fn config(offer: &Offer, layers: &[(&'static str, Digest)]) -> Vec<u8> {
    let created = created();
    let history = layers.iter().map(|(name, _)| History {
        created: created.clone(),
        created_by: Some(format!("{MADE_BY} {}: the layer {name}", offer.name)),
        comment: Some(offer.summary.to_owned()),
        ..History::default()
    });
    let config = ImageConfig {
        created: created.clone(),
        config: run_config(offer),
        rootfs: RootFs { diff_ids: layers.iter().map(|(_, diff_id)| *diff_id).collect(), ..RootFs::default() },
        history: history.collect(),
        ..ImageConfig::scratch()
    };
    serde_json::to_vec(&config).expect("a config has only texts, numbers and lists")
}

/// Not the time of making: the same layers and settings are the same image, on every host.
fn created() -> Option<String> {
    jiff::Timestamp::from_second(TIME).map(|time| time.to_string()).ok()
}

fn run_config(offer: &Offer) -> RunConfig {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let keys = |texts: &[&str]| texts.iter().map(|text| ((*text).to_owned(), Empty {})).collect();
    let some = |list: &[&str]| (!list.is_empty()).then(|| texts(list));
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), offer.name.to_owned()),
        ("org.opencontainers.image.description".to_owned(), offer.summary.to_owned()),
    ]);
    labels.extend(offer.stands_in_for.map(|for_what| (STANDS_IN_LABEL.to_owned(), for_what.to_owned())));
    let runs = &offer.runs;
    RunConfig {
        env: texts(runs.env),
        entrypoint: some(runs.entrypoint),
        cmd: some(runs.cmd),
        working_dir: runs.working_dir.to_owned(),
        exposed_ports: keys(runs.exposed_ports),
        volumes: keys(runs.volumes),
        stop_signal: runs.stop_signal.to_owned(),
        labels,
        ..RunConfig::default()
    }
}

fn origin(offer: &Offer, notices: Vec<String>) -> Origin {
    Origin {
        summary: offer.summary.to_owned(),
        stands_in_for: offer.stands_in_for.map(str::to_owned),
        recipe: current_recipe(offer),
        notices,
        ..Origin::default()
    }
}

/// The keys of its layers; for what is borrowed from the host, how it is borrowed.
fn current_recipe(offer: &Offer) -> String {
    match offer.made {
        Made::Host => HOST_RECIPE.to_owned(),
        Made::Of(_) => offer.keys().iter().map(Digest::hex).collect::<Vec<_>>().join(" "),
    }
}

mod listed;

#[cfg(test)]
mod tests;
