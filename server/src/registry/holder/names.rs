//! What repositories and tags here are called in the store, and the other way round.

use std::collections::BTreeSet;
use std::ops::Bound;

use quayside_runtime::image::Reference;
use quayside_runtime::image::reference::DEFAULT_REGISTRY;

use super::super::protocol::{Answer, Code, NAMES_MAX, Page};
use super::{Holder, broken};

impl Holder {
    /// What a repository of ours may be called in the store, the likeliest first.
    pub(super) fn names_of(&self, repository: &str) -> [String; 2] {
        [self.own(repository), format!("docker.io/{repository}")]
    }

    /// What it is called when it was pushed here.
    pub(super) fn own(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    pub(super) fn tags(&self, repository: &str, page: &Page) -> Result<Answer, Answer> {
        let names = self.store.names().map_err(broken)?;
        let here: Vec<Reference> = self.names_of(repository).iter().filter_map(|text| text.parse().ok()).collect();
        let same = |name: &&Reference| {
            here.iter().any(|own| (own.registry(), own.repository()) == (name.registry(), name.repository()))
        };
        let tags: BTreeSet<&str> = names.keys().filter(same).filter_map(Reference::tag).collect();
        if tags.is_empty() {
            return Err(Answer::refused(404, Code::NameUnknown, format!("there is no repository {repository} here")));
        }
        Ok(part(&tags, page))
    }

    pub(super) fn catalog(&self, page: &Page) -> Result<Answer, Answer> {
        let names = self.store.names().map_err(broken)?;
        let short = |name: &Reference| match name.registry() {
            DEFAULT_REGISTRY => Some(name.familiar_name()),
            registry => (registry == self.address).then(|| name.repository().to_owned()),
        };
        let repositories: BTreeSet<String> = names.keys().filter_map(short).collect();
        Ok(part(&repositories.iter().map(String::as_str).collect(), page))
    }
}

fn part(names: &BTreeSet<&str>, page: &Page) -> Answer {
    let from = page.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = names.range::<str, _>((from, Bound::Unbounded)).map(|name| (*name).to_owned());
    let names: Vec<String> = rest.by_ref().take(page.count.min(NAMES_MAX)).collect();
    Answer::Names { names, more: rest.next().is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_comes_behind_the_last_name_and_says_whether_there_is_more() {
        let names = BTreeSet::from(["a", "b", "c"]);
        let page = |count, last: Option<&str>| match part(&names, &Page { count, last: last.map(str::to_owned) }) {
            Answer::Names { names, more } => (names.concat(), more),
            other => panic!("{other:?}"),
        };
        assert_eq!(page(2, None), ("ab".into(), true));
        assert_eq!(page(2, Some("b")), ("c".into(), false));
        assert_eq!(page(3, None), ("abc".into(), false));
        // A name that is gone meanwhile, none at all, and the end.
        assert_eq!(page(1, Some("aa")), ("b".into(), true));
        assert_eq!(page(0, None), (String::new(), true));
        assert_eq!(page(9, Some("c")), (String::new(), false));
    }
}
