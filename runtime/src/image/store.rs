//! Images on disk.
//!
//! ```text
//! DATA/images/          root's, 0700: layers hold setuid programs, which no user of the host may reach
//!   layers/ID/          a layer, complete; ID is a digest
//!   images/NAME.json    an image: its layers, what runs in it finds set, where it came from
//!   cache/              downloads
//!   tmp/RANDOM/         a preparation under way; its folder is locked while somebody works in it
//!   locks/NAME          locked by who prepares NAME
//!   lock                locked for a moment while a folder in tmp is made or swept
//! ```
//!
//! A layer is built in `tmp` and renamed; an image is its JSON file, renamed last. So whatever stops a preparation leaves
//! only a folder in `tmp`, which the next [`Store::open`] removes. All locks are flock(2): they end with their process.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::beneath::Root;
use super::catalogue::{self, Offer, Origin};
use super::debian::{self, DebianError};
use super::digest;
use super::host::{self, HostError};
use super::info::{ImageInfo, ImageState};
use super::progress::{Meter, Progress, watched};

/// Raised when what we make of the same recipe changes, so that images are prepared anew.
const HOST_RECIPE: &str = "host 1";
const LEARNER_RECIPE: &str = "learner 1";

/// An image's JSON. Ours have under 1 KiB.
const RECORD_MAX_BYTES: u64 = 64 * 1024;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("there is no image called {name:?}; there are {}", catalogue::names())]
    Unknown { name: String },
    #[error("cannot remove the image {name}: a sandbox still runs on its layer {layer}; end it first")]
    InUse { name: String, layer: PathBuf },
    #[error(
        "cannot prepare the image {name} as an ordinary user: its files belong to several users, which only root can give them; use sudo"
    )]
    NotRoot { name: String },
    #[error("cannot {doing} {path}")]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Debian(#[from] DebianError),
}

/// An image that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub name: String,
    pub summary: String,
    /// Folders, bottom to top.
    pub layers: Vec<PathBuf>,
    /// What every process finds in its environment, unless its terminal says otherwise.
    pub env: Vec<(String, String)>,
    pub digest: String,
    pub size_bytes: u64,
    /// What an operator should know about how it was made.
    pub notices: Vec<String>,
}

/// From where images may be made: settings, decided elsewhere.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The host's apt configuration; names the mirror unless the setting does.
    pub apt: PathBuf,
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

/// The images of a data directory. Several processes may share one.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens `DATA/images`, makes what is missing, and sweeps what a crash left.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let store = Self { root: root.into() };
        make_private(&store.root)?;
        for part in ["layers", "images", "cache", "tmp", "locks"] {
            make_private(&store.root.join(part))?;
        }
        store.sweep()?;
        Ok(store)
    }

    /// Every image of the catalogue, ready or not.
    pub fn list(&self) -> Vec<ImageInfo> {
        let info = |offer: &Offer| {
            let (summary, state) = match self.find(offer.name) {
                Some(image) => (image.summary, ImageState::Ready { size_bytes: image.size_bytes }),
                None => (offer.summary.to_owned(), self.state_of_missing(offer.name)),
            };
            ImageInfo { name: offer.name.to_owned(), summary, state }
        };
        catalogue::CATALOGUE.iter().map(info).collect()
    }

    /// An image that is ready; `None` when it is not, or when its files are damaged and it must be prepared again.
    pub fn find(&self, name: &str) -> Option<Image> {
        self.read(name).filter(|record| record.is_of_this_boot()).map(|record| self.image(record))
    }

    /// Makes an image of the catalogue, unless it is there already and made of today's recipe. When another process is at
    /// it, waits for that one and takes its result.
    pub fn prepare(
        &self,
        name: &str,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, ImageError> {
        let offer = catalogue::find(name).ok_or_else(|| ImageError::Unknown { name: name.to_owned() })?;
        if let Some(image) = self.up_to_date(offer) {
            return Ok(image);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(ImageError::NotRoot { name: name.to_owned() });
        }
        let _lock = self.lock_image(name, report)?;
        if let Some(image) = self.up_to_date(offer) {
            return Ok(image);
        }
        let work = Work::begin(self)?;
        let record = match offer.origin {
            Origin::Host => self.make_host(offer, &work, report)?,
            Origin::Debian => self.make_learner(offer, &work, sources, report)?,
        };
        let replaced = self.read(name);
        self.write(&work, &record)?;
        if let Some(replaced) = replaced.filter(|old| !old.is_of_this_boot() && old.layers != record.layers) {
            self.remove_layers(&replaced)?;
        }
        Ok(self.image(record))
    }

    /// Removes an image and its layers. `used` are the layers that sandboxes run on.
    pub fn remove(&self, name: &str, used: &[PathBuf]) -> Result<(), ImageError> {
        let Some(record) = self.read(name) else { return Err(ImageError::Unknown { name: name.to_owned() }) };
        let _lock = self.lock_image(name, &mut |_| {})?;
        let layers = self.layer_paths(&record);
        if let Some(layer) = layers.iter().find(|layer| used.contains(layer)) {
            return Err(ImageError::InUse { name: name.to_owned(), layer: layer.clone() });
        }
        let path = self.record_path(name);
        fs::remove_file(&path).map_err(|source| ImageError::Store { doing: "remove", path, source })?;
        self.remove_layers(&record)
    }

    /// Removes what is left of preparations that ended in the middle, and nothing of those that are under way.
    pub fn sweep(&self) -> Result<(), ImageError> {
        let _lock = lock(&self.root.join("lock"))?;
        let tmp = self.root.join("tmp");
        let entries = fs::read_dir(&tmp).map_err(|source| ImageError::Store { doing: "list", path: tmp, source })?;
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(folder) = File::open(&path) else { continue };
            if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Removes layers that no image names, other than those in `used`.
    pub fn sweep_layers(&self, used: &[PathBuf]) -> Result<(), ImageError> {
        // A preparation renames its layer before it writes its image, so none may be under way.
        let _locks = catalogue::CATALOGUE
            .iter()
            .map(|offer| self.lock_image(offer.name, &mut |_| {}))
            .collect::<Result<Vec<_>, _>>()?;
        let named: Vec<PathBuf> = catalogue::CATALOGUE
            .iter()
            .filter_map(|offer| self.read(offer.name))
            .flat_map(|record| self.layer_paths(&record))
            .collect();
        let layers = self.root.join("layers");
        let entries =
            fs::read_dir(&layers).map_err(|source| ImageError::Store { doing: "list", path: layers, source })?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if !named.contains(&path) && !used.contains(&path) {
                self.discard(&path)?;
            }
        }
        Ok(())
    }

    fn make_host(&self, offer: &Offer, work: &Work, report: &mut dyn FnMut(Progress)) -> Result<Record, ImageError> {
        let plan = host::decide()?;
        let id = digest::of_bytes(format!("{}{}", boot_id(), host::fingerprint(&plan)).as_bytes());
        let mut progress =
            Progress { doing: "copying commands from this host".into(), done: 0, total: host::size(&plan) };
        report(progress.clone());
        let root = work.layer()?;
        let size_bytes = host::copy(&plan, &root, &mut |bytes| {
            progress.done += bytes;
            report(progress.clone());
        })?;
        self.keep_layer(work, &id)?;
        // It is not waited for until it is on the disk: after a crash of the machine it is made anew.
        let record = self.record(offer, id, size_bytes, HOST_RECIPE.to_owned());
        Ok(Record { boot: Some(boot_id()), ..record })
    }

    fn make_learner(
        &self,
        offer: &Offer,
        work: &Work,
        sources: &Sources,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Record, ImageError> {
        let recipe = debian::Recipe::of(&debian::sets::LEARNER).map_err(DebianError::from)?;
        let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
        let cache = self.root.join("cache");
        let site = debian::Site {
            mirrors: &mirrors,
            proxy: sources.proxy.as_deref(),
            trust: debian::Trust::of_this_host(),
            cache: &cache,
            work: &work.path,
        };
        let root = work.layer()?;
        let meter = Meter::default();
        let (notices, measured) = watched(&meter, report, || {
            meter.expect(2 * recipe.lock.bytes());
            let workshop = debian::Workshop::open(&site, &meter).map_err(DebianError::from)?;
            let notices = debian::build(&recipe, &[debian::SYSTEM, debian::LEARNER], &workshop, &debian::Tree::new(&root, &[]))?;
            meter.doing("writing to disk");
            let failed = |source| ImageError::Store { doing: "write", path: work.path.clone(), source };
            let measured = digest::tree(&root).map_err(failed)?;
            root.sync().map_err(failed)?;
            Ok::<_, ImageError>((notices, measured))
        })?;
        self.keep_layer(work, &measured.sha256)?;
        let record = self.record(offer, measured.sha256, measured.bytes, current_recipe(offer));
        Ok(Record { notices, ..record })
    }

    fn record(&self, offer: &Offer, layer: String, size_bytes: u64, recipe: String) -> Record {
        Record {
            format: 1,
            name: offer.name.to_owned(),
            summary: offer.summary.to_owned(),
            digest: format!("sha256:{layer}"),
            layers: vec![layer],
            env: vec![("PATH".into(), PATH.into()), ("LANG".into(), "C.UTF-8".into())],
            size_bytes,
            recipe,
            boot: None,
            notices: Vec::new(),
        }
    }

    /// Moves the finished layer into place. One of the same digest is the same.
    fn keep_layer(&self, work: &Work, id: &str) -> Result<(), ImageError> {
        let (from, to) = (work.path.join("layer"), self.layer_path(id));
        if to.exists() {
            return Ok(());
        }
        fs::rename(from, &to).map_err(|source| ImageError::Store {
            doing: "move the finished layer to",
            path: to,
            source,
        })
    }

    fn write(&self, work: &Work, record: &Record) -> Result<(), ImageError> {
        let (from, to) = (work.path.join("image.json"), self.record_path(&record.name));
        let text = serde_json::to_vec_pretty(record).expect("a record has only texts and numbers");
        let write = || {
            let mut file = File::create(&from)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&from, &to)
        };
        write().map_err(|source| ImageError::Store { doing: "write", path: to.clone(), source })
    }

    fn read(&self, name: &str) -> Option<Record> {
        let path = self.record_path(name);
        if !is_image_name(name) || fs::metadata(&path).ok()?.len() > RECORD_MAX_BYTES {
            return None;
        }
        let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let whole = record.format == 1
            && record.name == name
            && record.layers.iter().all(|id| digest::is_hex(id) && self.layer_path(id).is_dir());
        whole.then_some(record)
    }

    fn up_to_date(&self, offer: &Offer) -> Option<Image> {
        let record = self.read(offer.name)?;
        (record.is_of_this_boot() && record.recipe == current_recipe(offer)).then(|| self.image(record))
    }

    fn image(&self, record: Record) -> Image {
        Image {
            layers: self.layer_paths(&record),
            name: record.name,
            summary: record.summary,
            env: record.env,
            digest: record.digest,
            size_bytes: record.size_bytes,
            notices: record.notices,
        }
    }

    /// Locks an image for this preparation; says so when it has to wait.
    fn lock_image(&self, name: &str, report: &mut dyn FnMut(Progress)) -> Result<File, ImageError> {
        let path = self.root.join("locks").join(name);
        let failed = |source| ImageError::Store { doing: "lock", path: path.clone(), source };
        let file = open_lock(&path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(failed(error.into())),
        }
        report(Progress { doing: "waiting for another preparation".into(), done: 0, total: 0 });
        flock(&file).map_err(failed)?;
        Ok(file)
    }

    fn state_of_missing(&self, name: &str) -> ImageState {
        let held = File::open(self.root.join("locks").join(name)).is_ok_and(|file| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
        });
        match held {
            true => ImageState::Preparing { doing: "in another process".into(), done: 0, total: 0 },
            false => ImageState::Absent,
        }
    }

    /// Moves a layer out of the way before its files go, so that half a layer is never found under its name.
    fn discard(&self, layer: &Path) -> Result<(), ImageError> {
        let work = Work::begin(self)?;
        match fs::rename(layer, work.path.join("layer")) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(ImageError::Store { doing: "remove", path: layer.to_owned(), source }),
        }
    }

    /// Layers that another image has too stay.
    fn remove_layers(&self, record: &Record) -> Result<(), ImageError> {
        let others: Vec<PathBuf> = catalogue::CATALOGUE
            .iter()
            .filter(|offer| offer.name != record.name)
            .filter_map(|offer| self.read(offer.name))
            .flat_map(|other| self.layer_paths(&other))
            .collect();
        self.layer_paths(record)
            .iter()
            .filter(|layer| !others.contains(layer))
            .try_for_each(|layer| self.discard(layer))
    }

    fn layer_paths(&self, record: &Record) -> Vec<PathBuf> {
        record.layers.iter().map(|id| self.layer_path(id)).collect()
    }

    fn layer_path(&self, id: &str) -> PathBuf {
        self.root.join("layers").join(id)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.root.join("images").join(format!("{name}.json"))
    }
}

/// Makes the lock of a set of packages anew from the mirror's index. Gives its new text and notices.
pub fn relock(store: &Store, set: &debian::PackageSet, sources: &Sources) -> Result<(String, Vec<String>), ImageError> {
    let mirrors = debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt).map_err(DebianError::from)?;
    let (work, cache) = (Work::begin(store)?, store.root.join("cache"));
    let site = debian::Site {
        mirrors: &mirrors,
        proxy: sources.proxy.as_deref(),
        trust: debian::Trust::of_this_host(),
        cache: &cache,
        work: &work.path,
    };
    Ok(debian::relock(set, &site)?)
}

/// An image as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: u32,
    name: String,
    summary: String,
    digest: String,
    /// Ids, bottom to top.
    layers: Vec<String>,
    env: Vec<(String, String)>,
    size_bytes: u64,
    /// What it was made of; when that is not today's, it is prepared anew.
    recipe: String,
    /// Only valid while the machine runs since then: its files were not waited for.
    #[serde(default)]
    boot: Option<String>,
    #[serde(default)]
    notices: Vec<String>,
}

impl Record {
    fn is_of_this_boot(&self) -> bool {
        self.boot.as_ref().is_none_or(|boot| *boot == boot_id())
    }
}

/// A folder in `tmp`, locked and removed when dropped.
struct Work {
    path: PathBuf,
    _lock: File,
}

impl Work {
    fn begin(store: &Store) -> Result<Self, ImageError> {
        // Held while the folder is there and not locked yet, when a sweep would take it for abandoned.
        let _lock = lock(&store.root.join("lock"))?;
        let path = store.root.join("tmp").join(uuid::Uuid::new_v4().simple().to_string());
        make_private(&path)?;
        let folder = File::open(&path).and_then(|folder| {
            flock(&folder)?;
            Ok(folder)
        });
        let folder = folder.map_err(|source| ImageError::Store { doing: "lock", path: path.clone(), source })?;
        Ok(Self { path, _lock: folder })
    }

    /// The empty root of a new layer.
    fn layer(&self) -> Result<Root, ImageError> {
        let path = self.path.join("layer");
        let make = || {
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            Root::open(&path)
        };
        make().map_err(|source| ImageError::Store { doing: "make", path: path.clone(), source })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn current_recipe(offer: &Offer) -> String {
    match offer.origin {
        Origin::Host => HOST_RECIPE.to_owned(),
        Origin::Debian => {
            // The table of fix-ups is data, so what it would do is its text.
            let recipe = format!("{}{:?}{:?}", debian::sets::LEARNER.lock, debian::SYSTEM, debian::LEARNER);
            format!("{LEARNER_RECIPE} {}", digest::of_bytes(recipe.as_bytes()))
        }
    }
}

/// What the kernel calls its present run; empty where /proc is not there, and then everything is of this boot.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn is_image_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn make_private(path: &Path) -> Result<(), ImageError> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    };
    make().map_err(|source| ImageError::Store { doing: "make the folder", path: path.to_owned(), source })
}

fn lock(path: &Path) -> Result<File, ImageError> {
    let file = open_lock(path)?;
    flock(&file).map_err(|source| ImageError::Store { doing: "lock", path: path.to_owned(), source })?;
    Ok(file)
}

fn open_lock(path: &Path) -> Result<File, ImageError> {
    let options = File::options().create(true).truncate(false).write(true).open(path);
    options.map_err(|source| ImageError::Store { doing: "open", path: path.to_owned(), source })
}

/// Waits for the lock; a signal meanwhile is no reason to give up.
fn flock(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn remove_tree(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| ImageError::Store { doing: "remove", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
