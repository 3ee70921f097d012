//! The lessons as they are now: one snapshot, replaced whole.

use std::sync::{Arc, RwLock};

use crate::lesson::model::{Item, Library, Scenario};

/// A handle; clones share the snapshot.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// Guards the pointer only: whoever reads takes a clone of it and lets go.
    library: Arc<RwLock<Arc<Library>>>,
}

impl Shelf {
    pub fn new(library: Library) -> Self {
        let shelf = Self::default();
        shelf.replace(library);
        shelf
    }

    pub fn library(&self) -> Arc<Library> {
        self.library.read().expect("replacing a pointer cannot panic").clone()
    }

    /// Sessions that run keep the scenario they began with.
    pub fn replace(&self, library: Library) {
        *self.library.write().expect("replacing a pointer cannot panic") = Arc::new(library);
    }

    /// A scenario that can be played.
    pub fn scenario(&self, course: &str, scenario: &str) -> Option<Arc<Scenario>> {
        match self.library().item(course, scenario)? {
            Item::Scenario(scenario) => Some(scenario.clone()),
            Item::Broken { .. } => None,
        }
    }
}
