//! What a step reads, looked up for it beforehand: its request only says what it is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Place, StepError};
use super::merged::Merged;
use super::request::Origin;
use crate::image::beneath::Name;
use crate::image::store::{Store, Work};

/// Where a step is carried out.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub store: &'a Store,
    /// Drafts and everything temporary lie in it.
    pub work: &'a Work,
    /// The image so far, bottom to top.
    pub layers: &'a [PathBuf],
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970: no file of the layer is younger.
    pub epoch: Option<i64>,
}

/// What there is to read.
#[derive(Default)]
pub struct Materials<'a> {
    pub context: Option<Context<'a>>,
    /// The layers of stages and images, bottom to top.
    pub trees: BTreeMap<Origin, Vec<PathBuf>>,
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of agents.
    pub agents: BTreeMap<String, PathBuf>,
    /// What has been fetched already, by its URL.
    pub fetched: BTreeMap<String, FetchedFile>,
}

/// The content of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    pub path: PathBuf,
    /// Seconds since 1970, if the server says.
    pub modified: Option<i64>,
}

/// The folder that a build is given.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub path: &'a Path,
    /// Whether anything may be left out of it.
    pub has_ignored: bool,
    /// What is part of it: for a name beneath it, and whether it is a folder. Asked for a folder before what is in it.
    pub verdict: &'a (dyn Fn(&Name, bool) -> Verdict + Sync),
    /// Which line leaves a name out, in words (`.dockerignore line 3`).
    pub ignored_by: &'a (dyn Fn(&Name) -> Option<String> + Sync),
}

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Keep,
    /// It is left out; what is below it may be kept, and then it is there too.
    Drop,
    /// Neither it nor anything below it.
    DropAll,
}

/// An origin that is open.
pub struct Tree<'a> {
    pub merged: Merged,
    pub origin: Origin,
    context: Option<Context<'a>>,
}

impl<'a> Materials<'a> {
    pub fn open(&self, origin: &Origin, site: &Site) -> Result<Tree<'a>, StepError> {
        let refused = || StepError::Refused(format!("{} is not there to be read", Place(origin.clone())));
        let (merged, context) = match origin {
            Origin::Context => {
                let context = self.context.ok_or_else(refused)?;
                (Merged::plain(context.path).map_err(at(context.path))?, Some(context))
            }
            origin => {
                let layers = match origin {
                    Origin::Scratch => &Vec::new(),
                    origin => self.trees.get(origin).ok_or_else(refused)?,
                };
                (site.read(layers)?, None)
            }
        };
        Ok(Tree { merged, origin: origin.clone(), context })
    }
}

impl Site<'_> {
    /// The time of what a step makes without a source: folders on the way, working directories, heredocs. Always the same,
    /// so that the same step makes the same layer.
    pub fn made_at(&self) -> i64 {
        self.epoch.unwrap_or(0)
    }

    /// A new empty folder of the step's.
    pub fn folder(&self) -> Result<PathBuf, StepError> {
        let path = self.work.file();
        std::fs::create_dir(&path).map_err(at(&path))?;
        Ok(path)
    }

    /// These layers as one tree.
    pub fn read(&self, layers: &[PathBuf]) -> Result<Merged, StepError> {
        Merged::read(layers, &self.folder()?).map_err(at(self.work.path()))
    }
}

impl Tree<'_> {
    pub fn is_context(&self) -> bool {
        self.context.is_some()
    }

    /// What the tree itself says of a name, whatever a request leaves out.
    pub fn verdict(&self, name: &Name, is_folder: bool) -> Verdict {
        self.context.map_or(Verdict::Keep, |context| (context.verdict)(name, is_folder))
    }

    /// Whether a name that exists is part of the tree: it and every folder that it is in.
    pub fn holds(&self, name: &Name, is_folder: bool) -> bool {
        let parts: Vec<_> = name.as_path().iter().collect();
        let mut way = Name::root();
        parts.iter().enumerate().all(|(index, part)| {
            way = way.join(part);
            let is_last = index + 1 == parts.len();
            match self.verdict(&way, !is_last || is_folder) {
                Verdict::Keep => true,
                Verdict::Drop => !is_last || is_folder,
                Verdict::DropAll => false,
            }
        })
    }

    /// Which line leaves a name out, or a folder that it is in.
    pub fn ignored_by(&self, name: &Name) -> Option<String> {
        let context = self.context?;
        let ways = name.as_path().ancestors().filter(|way| !way.as_os_str().is_empty());
        let names = ways.map(|way| way.iter().fold(Name::root(), |name, part| name.join(part)));
        names.into_iter().find_map(|name| (context.ignored_by)(&name))
    }
}

/// An error about putting layers together.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> StepError + '_ {
    move |source| StepError::Overlay { at: path.to_owned(), source }
}
