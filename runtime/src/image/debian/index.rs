//! The index of an archive: what packages there are, and what each asks for.

use std::collections::HashMap;
use std::io::{self, BufRead};

use super::deb822::{Paragraph, Paragraphs};
use super::lock::{Archive, Pin};
use super::version;

/// Debian 12 has 64,000 packages for one architecture.
const PACKAGES_MAX: usize = 300_000;

/// A package as the index describes it; only the fields that the resolver reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub pin: Pin,
    /// `Pre-Depends` and `Depends` as they stand: of 64,000 packages, a few hundred are ever asked.
    depends: String,
    /// Names that it also answers to, each with the version it claims.
    pub provides: Vec<(String, Option<String>)>,
}

impl Candidate {
    /// Every group must be met by one of its alternatives.
    pub fn depends(&self) -> Vec<Vec<Relation>> {
        relations(&self.depends)
    }
}

/// `libc6 (>= 2.34)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub package: String,
    pub version: Option<(Comparison, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Earlier,
    EarlierOrSame,
    Same,
    LaterOrSame,
    Later,
}

impl Relation {
    /// Whether this version of the package will do.
    pub fn allows(&self, found: &str) -> bool {
        let Some((comparison, wanted)) = &self.version else { return true };
        let order = version::compare(found, wanted);
        match comparison {
            Comparison::Earlier => order.is_lt(),
            Comparison::EarlierOrSame => order.is_le(),
            Comparison::Same => order.is_eq(),
            Comparison::LaterOrSame => order.is_ge(),
            Comparison::Later => order.is_gt(),
        }
    }
}

/// All candidates, found by name or by what they provide.
#[derive(Debug, Default)]
pub struct Index {
    candidates: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
    by_provided: HashMap<String, Vec<usize>>,
}

impl Index {
    /// Adds a `Packages` file. Paragraphs that do not read are passed over: one bad entry is not the end of an archive.
    pub fn add(&mut self, archive: Archive, packages: impl BufRead) -> io::Result<()> {
        for paragraph in Paragraphs::new(packages) {
            let Some(candidate) = candidate(archive, &paragraph?) else { continue };
            if self.candidates.len() >= PACKAGES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("it has more than {PACKAGES_MAX} packages"),
                ));
            }
            let number = self.candidates.len();
            self.by_name.entry(candidate.pin.package.clone()).or_default().push(number);
            for (name, _) in &candidate.provides {
                self.by_provided.entry(name.clone()).or_default().push(number);
            }
            self.candidates.push(candidate);
        }
        Ok(())
    }

    pub fn named(&self, package: &str) -> impl Iterator<Item = &Candidate> {
        self.by_name.get(package).into_iter().flatten().map(|number| &self.candidates[*number])
    }

    /// A package that is installed already. What else it answers to is taken from any version of it in the index.
    pub fn given(&self, pin: &Pin) -> Candidate {
        let provides = self.named(&pin.package).next().map(|known| known.provides.clone()).unwrap_or_default();
        Candidate { pin: pin.clone(), depends: String::new(), provides }
    }

    /// Packages that provide a name, each with the version it claims for it.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (&Candidate, Option<&str>)> {
        let numbers = self.by_provided.get(name).into_iter().flatten();
        numbers.map(|number| &self.candidates[*number]).filter_map(move |candidate| {
            let provided = candidate.provides.iter().find(|(provided, _)| provided == name)?;
            Some((candidate, provided.1.as_deref()))
        })
    }
}

fn candidate(archive: Archive, paragraph: &Paragraph) -> Option<Candidate> {
    let pin = Pin {
        package: paragraph.get("Package")?.to_owned(),
        version: paragraph.get("Version")?.to_owned(),
        archive,
        path: paragraph.get("Filename")?.to_owned(),
        size: paragraph.get("Size")?.parse().ok()?,
        sha256: paragraph.get("SHA256")?.to_owned(),
    };
    pin.check().ok()?;
    let field = |name| paragraph.get(name).unwrap_or_default();
    let depends = format!("{},{}", field("Pre-Depends"), field("Depends"));
    let provides = relations(field("Provides"));
    let provides = provides.into_iter().flatten().map(|name| (name.package, name.version.map(|(_, version)| version)));
    Some(Candidate { pin, depends, provides: provides.collect() })
}

/// `a (>= 1) | b, c` as groups of alternatives (deb-control(5)).
pub fn relations(text: &str) -> Vec<Vec<Relation>> {
    let groups = text.split(',').map(|group| group.split('|').filter_map(relation).collect::<Vec<_>>());
    groups.filter(|group| !group.is_empty()).collect()
}

fn relation(text: &str) -> Option<Relation> {
    let text = text.trim();
    let (name, condition) = match text.split_once('(') {
        Some((name, condition)) => (name.trim(), Some(condition.split_once(')')?.0.trim())),
        None => (text, None),
    };
    // `python3:any`: which architecture the other may have makes no difference in an image of one.
    let package = name.split(':').next()?.trim();
    let version = match condition {
        Some(condition) => Some(comparison(condition)?),
        None => None,
    };
    (!package.is_empty()).then(|| Relation { package: package.to_owned(), version })
}

fn comparison(text: &str) -> Option<(Comparison, String)> {
    const SIGNS: [(&str, Comparison); 5] = [
        ("<<", Comparison::Earlier),
        ("<=", Comparison::EarlierOrSame),
        (">=", Comparison::LaterOrSame),
        (">>", Comparison::Later),
        ("=", Comparison::Same),
    ];
    let (sign, comparison) = SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    Some((comparison, text[sign.len()..].trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_groups_of_alternatives() {
        let groups = relations("libc6 (>= 2.34), usrmerge | usr-is-merged, python3:any (<< 3.12)");
        assert_eq!(groups.len(), 3);
        assert!(groups[0][0].allows("2.36-9+deb12u14") && !groups[0][0].allows("2.31"));
        assert_eq!(groups[1][1].package, "usr-is-merged");
        assert_eq!(groups[2][0].package, "python3");
        assert!(!groups[2][0].allows("3.12"));
        assert!(relations("").is_empty());
    }
}
