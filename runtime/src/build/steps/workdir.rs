//! `WORKDIR`: the folder that later steps run in is there.

use std::path::Path;

use super::copy::target::{There, open_or_make, there};
use super::error::StepError;
use super::material::{Site, at};
use super::merged::{Merged, Written};
use super::owner::{self, Owner};
use super::request::WorkdirRequest;
use crate::image::beneath::Meta;
use crate::image::store::LayerDraft;

/// Makes it in a draft; false if it was there. What is made of it belongs to the current `USER` and is 0755, as BuildKit
/// does it (`dispatchWorkdir`; the older builder made it root's). Links are followed inside the image.
pub fn carry_out(request: &WorkdirRequest, site: &Site, draft: &LayerDraft) -> Result<bool, StepError> {
    let path = Path::new(&request.path);
    let failed = |source| StepError::Workdir { path: request.path.clone(), source };
    let image = site.read(site.layers)?;
    match there(&image.root, path).map_err(failed)? {
        There::Folder => return Ok(false),
        There::File(name) => return Err(failed(std::io::Error::other(format!("{name} is a file")))),
        There::Nothing => {}
    }
    let owner = if request.user.is_empty() { Owner::default() } else { owner::look_up(&request.user, &image.root)? };
    let upper = draft.diff();
    let written = Written { upper: &upper, work: &site.folder()? };
    let image = Merged::write(site.layers, &site.folder()?, written).map_err(at(&upper))?;
    let meta = Meta { mode: 0o755, uid: owner.uid, gid: owner.gid, mtime: Some(site.made_at()) };
    open_or_make(&image.root, path, meta).and_then(|made| made.leave()).map_err(failed)?;
    Ok(true)
}
