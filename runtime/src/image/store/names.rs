//! What people call images: one file of names, changed as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::super::digest::Digest;
use super::super::reference::Reference;
use super::locks::{self, Sharing, write_whole};
use super::{ImageError, Store, Work};

/// Names of one store. A class that tags an image a minute each has some hundreds.
const NAMES_MAX: usize = 20_000;
/// Each has at most about 500 bytes.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

pub type Names = BTreeMap<Reference, Digest>;

impl Store {
    /// Every name with the id of its image; a name of this store hides the same one of the store below.
    pub fn names(&self) -> Result<Names, ImageError> {
        let mut names = Names::new();
        for content in self.contents() {
            for (name, id) in read(content)? {
                names.entry(name).or_insert(id);
            }
        }
        Ok(names)
    }

    /// Gives an image a name; whatever had it before loses it.
    pub fn tag(&self, work: &Work, name: &Reference, id: Digest) -> Result<(), ImageError> {
        self.change_names(work, |names| {
            names.insert(name.clone(), id);
            if names.len() > NAMES_MAX { Err(ImageError::TooManyNames { max: NAMES_MAX }) } else { Ok(()) }
        })
    }

    /// Takes names away; the images stay.
    pub fn untag(&self, work: &Work, gone: &[Reference]) -> Result<(), ImageError> {
        self.change_names(work, |names| {
            names.retain(|name, _| !gone.contains(name));
            Ok(())
        })
    }

    fn change_names(
        &self,
        work: &Work,
        change: impl FnOnce(&mut Names) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let _lock = locks::lock(&self.root.join("lock"), Sharing::Exclusive)?;
        let before = read(&self.content)?;
        let mut names = before.clone();
        change(&mut names)?;
        if names == before {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&names).expect("names are texts");
        write_whole(work, &self.content.join("names.json"), &text)
    }
}

pub(super) fn read(content: &Path) -> Result<Names, ImageError> {
    let path = content.join("names.json");
    let read = || {
        if fs::metadata(&path)?.len() > FILE_MAX_BYTES {
            return Err(io::Error::other(format!("it has more than {FILE_MAX_BYTES} bytes")));
        }
        Ok(serde_json::from_slice(&fs::read(&path)?)?)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Names::new()),
        result => result.map_err(ImageError::store("read the names of images in", path)),
    }
}
