//! The lessons as they are now: one snapshot, replaced whole.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock, TryLockError};
use std::time::Duration;

use crate::lesson::model::{Item, Library, Scenario};
use crate::lesson::{has_changed, load_library_with};

/// However often an author's page asks, the lessons are read no more often than that.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A handle; clones share the snapshot.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// Guards the pointer only: whoever reads takes a clone of it and lets go.
    library: Arc<RwLock<Arc<Library>>>,
    /// Held by whoever looks for changes: of many who ask at once, one looks.
    looking: Arc<Mutex<()>>,
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

    /// Sessions that run keep the scenario they began with; who comes to one that is broken now gets its last good
    /// version.
    pub fn replace(&self, library: Library) {
        let library = library.keeping_the_good_of(&self.library());
        *self.library.write().expect("replacing a pointer cannot panic") = Arc::new(library);
    }

    /// Reads the lessons in `root` again if something in `dir` was changed since they were read, and not too soon after
    /// the last time. It blocks. Anybody may ask, so who comes while somebody looks gets what there is.
    pub fn look_again(&self, root: &Path, dir: &Path) {
        let _looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            // A lesson on which the reader panicked is looked at again all the same: it may have been mended.
            Err(TryLockError::Poisoned(looking)) => looking.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let library = self.library();
        let Some(read_at) = library.read_at else { return };
        let is_soon = read_at.elapsed().is_ok_and(|age| age < LOOK_EVERY);
        if !is_soon && has_changed(dir, read_at) {
            self.replace(load_library_with(root, &library.machines));
        }
    }

    /// A scenario that can be played.
    pub fn scenario(&self, course: &str, scenario: &str) -> Option<Arc<Scenario>> {
        match self.library().item(course, scenario)? {
            Item::Scenario(scenario) => Some(scenario.clone()),
            Item::Broken { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_who_ask_for_changes_one_looks() {
        let home = tempfile::tempdir().expect("a directory");
        let lesson = home.path().join("course/one");
        std::fs::create_dir_all(&lesson).expect("a lesson's folder");
        let shelf = Shelf::new(load_library_with(home.path(), &[]));
        let read_at = shelf.library().read_at;
        std::thread::sleep(LOOK_EVERY);
        std::fs::write(lesson.join("index.json"), "{}").expect("a change");

        let looking = shelf.looking.lock().expect("nobody looks");
        shelf.look_again(home.path(), &lesson);
        assert_eq!(shelf.library().read_at, read_at, "somebody else looks already");
        drop(looking);
        shelf.look_again(home.path(), &lesson);
        assert!(shelf.library().read_at > read_at, "now it is ours to look");
    }
}
