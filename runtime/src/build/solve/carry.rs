//! One request, carried out: a draft, and the layer that it becomes.

use super::Building;
use crate::build::steps::output::Line;
use crate::build::steps::request::Request;
use crate::build::steps::run::Runs;
use crate::build::steps::{Materials, Site, StepError, copy, finish, run, workdir};
use crate::image::store::Layer;

/// Does what a step asks. None if it wrote nothing.
pub fn carry_out(
    building: &Building,
    request: &Request,
    site: &Site,
    materials: &Materials,
    said: &mut dyn FnMut(Line),
) -> Result<Option<Layer>, StepError> {
    let draft = site.work.layer()?;
    let changed = match request {
        Request::Run(request) => {
            let runs = Runs {
                runner: building.tools.runner,
                cancel: &building.tools.stop.containers,
                name: "build",
                cache_max_bytes: building.job.cache_mount_max_bytes,
            };
            run::carry_out(request, materials, site, &draft, &runs, said)?;
            true
        }
        Request::Copy(request) => {
            copy::carry_out(request, materials, site, &draft)?;
            true
        }
        Request::Workdir(request) => workdir::carry_out(request, site, &draft)?,
    };
    if changed { finish::keep(site, draft, false) } else { Ok(None) }
}
