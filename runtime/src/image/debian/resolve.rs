//! From seeds and an index to the list of packages: what apt would install into nothing, without recommendations.
//!
//! A plain closure over `Depends` and `Pre-Depends`: of alternatives, one that is chosen already, else the first that can
//! be had. Nothing here goes back on a choice; for a fixed release and fixed seeds that is enough, and the result is
//! checked by apt itself in a test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::index::{Candidate, Index, Relation};
use super::lock::{Lock, Pin};
use super::sets::Reach;
use super::version;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("the index has no package {package}, which the image needs; the mirror may be of another release")]
    NoSeed { package: String },
    #[error(
        "{package} needs {wanted}, and the index has nothing that meets it; the mirror may be in the middle of an update"
    )]
    Unmet { package: String, wanted: String },
}

/// Which version to take when the index has several.
#[derive(Debug, Clone, Copy)]
pub enum Prefer<'a> {
    Newest,
    /// The pinned one as long as the index still has it: so one package that is gone does not change all others.
    Pinned(&'a Lock),
}

/// What is to be resolved.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub seeds: &'a [&'a str],
    pub reach: Reach,
    /// What is installed already, in exactly these versions.
    pub given: &'a [Pin],
    pub prefer: Prefer<'a>,
}

/// The packages in addition to those that are given, sorted by name.
pub fn resolve(index: &Index, wanted: &Wanted) -> Result<Vec<Pin>, ResolveError> {
    let given: Vec<Candidate> = wanted.given.iter().map(|pin| index.given(pin)).collect();
    let mut resolver = Resolver {
        index,
        prefer: wanted.prefer,
        chosen: given.iter().map(|candidate| (candidate.pin.package.as_str(), candidate)).collect(),
        waiting: VecDeque::new(),
        seeds: wanted.seeds.iter().copied().collect(),
    };
    for seed in wanted.seeds.iter().filter(|seed| !given.iter().any(|given| given.pin.package == **seed)) {
        let best = resolver.best(&Relation { package: seed.to_string(), version: None });
        resolver.choose(best.ok_or_else(|| ResolveError::NoSeed { package: seed.to_string() })?);
    }
    while let Some(candidate) = resolver.waiting.pop_front().filter(|_| wanted.reach == Reach::Closure) {
        for group in candidate.depends() {
            resolver.meet(candidate, &group)?;
        }
    }
    let new = resolver.chosen.into_values().filter(|candidate| !wanted.given.contains(&candidate.pin));
    Ok(new.map(|candidate| candidate.pin.clone()).collect())
}

struct Resolver<'a> {
    index: &'a Index,
    prefer: Prefer<'a>,
    chosen: BTreeMap<&'a str, &'a Candidate>,
    /// Chosen, with dependencies not looked at yet.
    waiting: VecDeque<&'a Candidate>,
    seeds: BTreeSet<&'a str>,
}

impl<'a> Resolver<'a> {
    fn meet(&mut self, asking: &Candidate, group: &[Relation]) -> Result<(), ResolveError> {
        if group.iter().any(|relation| self.is_met(relation)) {
            return Ok(());
        }
        let found = group.iter().find_map(|relation| self.best(relation).or_else(|| self.provider(relation)));
        let Some(candidate) = found else {
            let wanted = group.iter().map(|relation| relation.package.as_str()).collect::<Vec<_>>().join(" or ");
            return Err(ResolveError::Unmet { package: asking.pin.package.clone(), wanted });
        };
        self.choose(candidate);
        Ok(())
    }

    fn is_met(&self, relation: &Relation) -> bool {
        let named = self.chosen.get(relation.package.as_str()).is_some_and(|found| relation.allows(&found.pin.version));
        named || self.chosen.values().any(|candidate| provides(candidate, relation))
    }

    fn choose(&mut self, candidate: &'a Candidate) {
        if self.chosen.insert(&candidate.pin.package, candidate).is_none() {
            self.waiting.push_back(candidate);
        }
    }

    /// The package of that name, in the preferred version that the relation allows.
    fn best(&self, relation: &Relation) -> Option<&'a Candidate> {
        // One that is chosen in a version which this relation forbids cannot be had twice.
        if self.chosen.contains_key(relation.package.as_str()) {
            return None;
        }
        let allowed = self.index.named(&relation.package).filter(|candidate| relation.allows(&candidate.pin.version));
        allowed.max_by(|a, b| {
            let pinned = |candidate: &Candidate| self.is_pinned(&candidate.pin);
            pinned(a).cmp(&pinned(b)).then_with(|| version::compare(&a.pin.version, &b.pin.version))
        })
    }

    /// A package that stands in for the name: a seed first, then by name, so that the choice is always the same.
    fn provider(&self, relation: &Relation) -> Option<&'a Candidate> {
        let providers = self.index.providers(&relation.package).map(|(candidate, _)| candidate);
        let name = providers
            .filter(|candidate| provides(candidate, relation))
            .map(|candidate| candidate.pin.package.as_str())
            .min_by_key(|name| (!self.seeds.contains(name), *name))?;
        self.best(&Relation { package: name.to_owned(), version: None })
    }

    fn is_pinned(&self, pin: &Pin) -> bool {
        match self.prefer {
            Prefer::Newest => false,
            Prefer::Pinned(lock) => lock.pins.iter().any(|known| known.sha256 == pin.sha256),
        }
    }
}

/// A versioned relation is met only by a provider that claims a version.
fn provides(candidate: &Candidate, relation: &Relation) -> bool {
    candidate.provides.iter().any(|(name, version)| {
        *name == relation.package
            && match version {
                Some(version) => relation.allows(version),
                None => relation.version.is_none(),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::debian::lock::Archive;

    /// An index from lines of `package version | depends | provides`.
    fn index(lines: &[&str]) -> Index {
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let parts: Vec<&str> = line.split('@').map(str::trim).collect();
            let (package, version) = parts[0].split_once(' ').unwrap();
            let (depends, provides) = (parts.get(1).unwrap_or(&""), parts.get(2).unwrap_or(&""));
            text += &format!(
                "Package: {package}\nVersion: {version}\nFilename: pool/{package}_{version}.deb\nSize: 1\nSHA256: {number:064x}\n\
                 Depends: {depends}\nProvides: {provides}\n\n"
            );
        }
        let mut index = Index::default();
        index.add(Archive::Main, text.as_bytes()).unwrap();
        index
    }

    fn wanted<'a>(seeds: &'a [&'a str], prefer: Prefer<'a>) -> Wanted<'a> {
        Wanted { seeds, reach: Reach::Closure, given: &[], prefer }
    }

    fn check(lines: &[&str], seeds: &[&str]) -> String {
        match resolve(&index(lines), &wanted(seeds, Prefer::Newest)) {
            Ok(pins) => {
                pins.iter().map(|pin| format!("{} {}", pin.package, pin.version)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn dependencies_are_followed_to_their_end_and_loops_end() {
        assert_eq!(check(&["a 1 @ b", "b 1 @ c (>= 2)", "c 2 @ a", "c 1", "d 1"], &["a"]), "a 1, b 1, c 2");
    }

    #[test]
    fn a_seed_decides_between_alternatives() {
        let lines = ["init 1 @ usrmerge | usr-is-merged", "usrmerge 1 @ perl", "perl 5", "usr-is-merged 1"];
        assert_eq!(check(&lines, &["init"]), "init 1, perl 5, usrmerge 1");
        assert_eq!(check(&lines, &["usr-is-merged", "init"]), "init 1, usr-is-merged 1");
    }

    #[test]
    fn a_name_that_is_only_provided_is_met_by_a_seed_or_the_first_by_name() {
        let lines = ["base 1 @ awk", "mawk 1 @ @ awk", "gawk 1 @ @ awk"];
        assert_eq!(check(&lines, &["base"]), "base 1, gawk 1");
        assert_eq!(check(&lines, &["base", "mawk"]), "base 1, mawk 1");
    }

    #[test]
    fn a_versioned_dependency_needs_a_versioned_provider() {
        let lines = ["a 1 @ abi (= 5)", "new 1 @ @ abi (= 5)", "any 1 @ @ abi"];
        assert_eq!(check(&lines, &["a"]), "a 1, new 1");
    }

    #[test]
    fn what_cannot_be_met_is_named() {
        assert!(check(&["a 1 @ b (>= 2)", "b 1"], &["a"]).contains("a needs b"));
        assert!(check(&[], &["a"]).contains("no package a"));
    }

    #[test]
    fn a_pinned_version_stays_while_the_index_has_it() {
        let index = index(&["a 1", "a 2", "b 2"]);
        let pins = resolve(&index, &wanted(&["a"], Prefer::Newest)).unwrap();
        assert_eq!(pins[0].version, "2");
        let old = index.named("a").next().unwrap().pin.clone();
        let lock = Lock { architecture: "amd64".into(), pins: vec![old] };
        assert_eq!(resolve(&index, &wanted(&["a"], Prefer::Pinned(&lock))).unwrap()[0].version, "1");
    }

    #[test]
    fn what_is_given_is_not_taken_again_and_keeps_its_version() {
        let index = index(&["lib 2 @ @ abi", "a 1 @ lib (>= 1), abi, b", "b 1", "c 1 @ lib (>= 2)"]);
        let lib = Pin { version: "1".into(), ..index.named("lib").next().unwrap().pin.clone() };
        let wanted = |seeds| Wanted { given: std::slice::from_ref(&lib), ..wanted(seeds, Prefer::Newest) };
        let pins = resolve(&index, &wanted(&["a"])).unwrap();
        assert_eq!(pins.iter().map(|pin| pin.package.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(resolve(&index, &wanted(&["c"])).unwrap_err().to_string().contains("c needs lib"));
    }

    #[test]
    fn files_are_taken_out_of_the_seeds_alone() {
        let index = index(&["a 1 @ b", "b 1"]);
        let wanted = Wanted { reach: Reach::Seeds, ..wanted(&["a"], Prefer::Newest) };
        assert_eq!(resolve(&index, &wanted).unwrap().len(), 1);
    }
}
