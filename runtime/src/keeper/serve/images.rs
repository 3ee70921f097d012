//! How the images of the catalogue stand, and who hears of it.

use super::{Caller, Keeper, Tone, failed};
use crate::keeper::protocol::{Body, FailureCode, ImageInfo, ImageState};

impl Keeper<'_> {
    pub(super) fn images(&self) -> Vec<ImageInfo> {
        let mut images = self.store.list(&self.config.sources.listed);
        for image in &mut images {
            if let Some(state) = self.images.get(&image.name) {
                image.state = state.clone();
            }
        }
        images
    }

    pub(super) fn prepare_on_demand(&mut self, caller: Caller, name: String) {
        let known = self.images().into_iter().find(|image| image.name == name);
        let body = match known.map(|image| image.state) {
            None => failed(FailureCode::NoImage, format!("there is no image {name} in the catalogue")),
            Some(ImageState::Ready { .. } | ImageState::Preparing { .. }) => Body::Done,
            Some(ImageState::Absent | ImageState::Failed { .. }) => {
                if !self.images_wanted.contains(&name) {
                    self.images_wanted.push_back(name);
                }
                Body::Done
            }
        };
        self.answer(caller, body);
    }

    pub(super) fn image_is(&mut self, name: &str, state: Option<ImageState>) {
        self.tell_operator(name, state.as_ref());
        match state {
            Some(state) => drop(self.images.insert(name.to_owned(), state)),
            None => drop(self.images.remove(name)),
        }
        if let Some(image) = self.images().into_iter().find(|image| image.name == name) {
            self.tell_all(&Body::Image { image });
        }
    }

    /// A line for each stage of a preparation, and for each tenth of it.
    fn tell_operator(&mut self, name: &str, state: Option<&ImageState>) {
        let tenth = |done: u64, total: u64| (done * 10).checked_div(total).unwrap_or(0);
        let before = match self.images.get(name) {
            Some(ImageState::Preparing { doing, done, total }) => Some((doing.clone(), tenth(*done, *total))),
            _ => None,
        };
        let line = match state {
            None => format!("image {name} is ready"),
            Some(ImageState::Preparing { doing, done, total }) => {
                let now = (doing.clone(), tenth(*done, *total));
                if before == Some(now.clone()) {
                    return;
                }
                format!("preparing image {name}: {doing}, {} %", now.1 * 10)
            }
            // Told with its reason already.
            Some(_) => return,
        };
        (self.log)(Tone::Progress, None, &line);
    }
}
