//! What a step fetches by URL, before it is known whether it has to be done.
//!
//! A URL says nothing about what is behind it, so the server is asked in every build, and the key of the step has the
//! digest of what came. A server that gives its files an ETag or a time is only asked whether the file is still the one
//! of the last build; if it is, nothing is downloaded. With `--checksum` the key is known, and nobody is asked.

use std::collections::BTreeMap;

use super::Building;
use crate::build::cache::RememberedUrl;
use crate::build::event::What;
use crate::build::key::{Aspect, Facet};
use crate::build::steps::fetch::{Answer, Fetched, Validators, fetch_if_changed};
use crate::build::steps::material::FetchedFile;
use crate::build::steps::request::{CopySource, Request};
use crate::image::store::Work;

/// What is behind each URL of a step.
pub struct Urls<'a> {
    site: &'a Building<'a>,
    work: &'a Work,
    part: usize,
    known: BTreeMap<String, RememberedUrl>,
    files: BTreeMap<String, FetchedFile>,
}

/// Asks for every URL of a request.
pub fn ask<'a>(
    site: &'a Building<'a>,
    request: &Request,
    work: &'a Work,
    part: usize,
) -> Result<Urls<'a>, super::files::FilesError> {
    let mut urls = Urls { site, work, part, known: BTreeMap::new(), files: BTreeMap::new() };
    let Request::Copy(copy) = request else { return Ok(urls) };
    for source in copy.sources.iter().filter(|_| copy.checksum.is_none()) {
        let CopySource::Url(url) = source else { continue };
        match site.cache.url(url).filter(|_| !site.job.no_cache) {
            Some(remembered) => urls.ask_again(url, remembered)?,
            None => urls.download(url)?,
        }
    }
    Ok(urls)
}

impl Urls<'_> {
    /// What the key has of them.
    pub fn facets(&self) -> impl Iterator<Item = Facet> {
        self.known.iter().map(|(url, known)| {
            let modified = known.modified.map(|seconds| format!(" of {seconds}")).unwrap_or_default();
            Facet { is: Aspect::Source(url.clone()), value: format!("{}{modified}", known.digest) }
        })
    }

    /// Downloads what the server had no need to send; true if there was any, which may be another file by now.
    pub fn download_missing(&mut self) -> Result<bool, super::files::FilesError> {
        let missing: Vec<String> = self.known.keys().filter(|url| !self.files.contains_key(*url)).cloned().collect();
        missing.iter().try_for_each(|url| self.download(url))?;
        Ok(!missing.is_empty())
    }

    pub fn files(&self) -> &BTreeMap<String, FetchedFile> {
        &self.files
    }

    fn ask_again(&mut self, url: &str, remembered: RememberedUrl) -> Result<(), super::files::FilesError> {
        let by = match &remembered.validators {
            Validators { etag: Some(_), .. } => "its ETag",
            _ => "the server's time of it",
        };
        if self.get(url, &remembered.validators)? {
            let text = format!("{url} is what it was, by {by}; not downloaded");
            self.site.voice.say(What::Note { part: self.part, text });
            self.known.insert(url.to_owned(), remembered);
        }
        Ok(())
    }

    fn download(&mut self, url: &str) -> Result<(), super::files::FilesError> {
        self.get(url, &Validators::default()).map(drop)
    }

    /// True if nothing came because nothing has changed.
    fn get(&mut self, url: &str, known: &Validators) -> Result<bool, super::files::FilesError> {
        let path = self.work.file();
        let Answer::Fetched(Fetched { digest, modified, validators }) = fetch_if_changed(url, known, &path)? else {
            return Ok(true);
        };
        let remembered = RememberedUrl { url: url.to_owned(), digest, modified, validators };
        self.site.cache.set_url(&remembered)?;
        self.known.insert(url.to_owned(), remembered);
        self.files.insert(url.to_owned(), FetchedFile { path, modified });
        Ok(false)
    }
}

impl Drop for Urls<'_> {
    fn drop(&mut self) {
        // What cannot be removed goes with the work's folder.
        self.files.values().for_each(|file| drop(std::fs::remove_file(&file.path)));
    }
}
