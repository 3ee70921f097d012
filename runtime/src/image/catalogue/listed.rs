//! Images that an operator adds to the catalogue: a line of the setting `images.catalogue` for each.
//!
//! ```text
//! postgres=registry:docker.io/library/postgres:16@sha256:…
//! tools=archive:/srv/images/tools.tar@sha256:…
//! c=learner:gcc make gdb             a learner's machine with packages of Debian 12 more
//! web=debian:apache2                 the small Debian with them
//! ```

use std::fmt;
use std::path::PathBuf;

use super::{CATALOGUE, find};
use crate::image::digest::Digest;
use crate::image::reference::Reference;

/// More packages than anybody lists in a line.
const PACKAGES_MAX: usize = 200;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// One word, as the names of our own offers.
    pub name: String,
    pub from: From,
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With a digest, exactly that image.
    Registry(Reference),
    /// An archive of one image, as `docker save` and skopeo write it. With a digest, only if its bytes are those.
    Archive { path: PathBuf, digest: Option<Digest> },
    /// Packages upon an offer of ours, in the newest versions that the mirror has when it is prepared.
    Packages { on: &'static str, packages: Vec<String> },
}

/// What can be continued with packages.
const BASES: [&str; 2] = ["learner", "debian"];

/// Why a line is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} names no image for the catalogue: {why}")]
pub struct ListedError {
    line: String,
    why: String,
}

impl Listed {
    pub fn parse(line: &str) -> Result<Self, ListedError> {
        let refused = |why: &str| ListedError { line: line.to_owned(), why: why.to_owned() };
        const FORM: &str =
            "write NAME=registry:REFERENCE, NAME=archive:/PATH, NAME=learner:PACKAGES or NAME=debian:PACKAGES";
        let (name, from) = line.split_once('=').ok_or_else(|| refused(FORM))?;
        let name = name.trim();
        let is_word = name.parse::<Reference>().is_ok_and(|reference| reference.familiar() == format!("{name}:latest"));
        if !is_word || name.contains('/') {
            return Err(refused("its name has to be one word of small letters, digits and hyphens"));
        }
        if find(name).is_some_and(|offer| offer.stands_in_for.is_none()) {
            return Err(refused("lessons run on the image of this name; choose another"));
        }
        let (kind, rest) = from.split_once(':').ok_or_else(|| refused(FORM))?;
        let from = match kind.trim() {
            "registry" => {
                let reference = rest.trim().parse().map_err(|error| refused(&format!("{error}")))?;
                From::Registry(reference)
            }
            "archive" => archive(rest.trim()).map_err(refused)?,
            base => {
                let on = BASES.into_iter().find(|on| *on == base).ok_or_else(|| refused(FORM))?;
                From::Packages { on, packages: packages(rest).map_err(refused)? }
            }
        };
        Ok(Self { name: name.to_owned(), from })
    }

    /// All lines of a setting; no name twice.
    pub fn parse_all(lines: &[String]) -> Result<Vec<Self>, ListedError> {
        let mut all: Vec<Self> = Vec::new();
        for line in lines {
            let listed = Self::parse(line)?;
            if all.iter().any(|other| other.name == listed.name) {
                return Err(ListedError { line: line.clone(), why: "the name is there twice".into() });
            }
            all.push(listed);
        }
        Ok(all)
    }

    pub fn is_called(&self, reference: &Reference) -> bool {
        reference.digest().is_none() && reference.familiar() == format!("{}:latest", self.name)
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        format!("Of this installation's own catalogue: {}", self.from)
    }
}

impl fmt::Display for From {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(out, "{}", reference.familiar()),
            Self::Archive { path, .. } => write!(out, "the archive {}", path.display()),
            Self::Packages { on, packages } => write!(out, "{on} with {}", packages.join(", ")),
        }
    }
}

fn archive(text: &str) -> Result<From, &'static str> {
    let (path, digest) = match text.rsplit_once("@sha256:") {
        Some((path, hex)) => (path, Some(Digest::from_hex(hex).ok_or("what follows @sha256: is no SHA-256")?)),
        None => (text, None),
    };
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err("the archive's path has to begin with /, for the service has another folder than you");
    }
    Ok(From::Archive { path, digest })
}

fn packages(text: &str) -> Result<Vec<String>, &'static str> {
    let packages: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if packages.is_empty() || packages.len() > PACKAGES_MAX || !packages.iter().all(|name| name.bytes().all(letter)) {
        return Err("names of Debian packages are asked for, with blanks between them");
    }
    Ok(packages)
}

/// What the catalogue has, ours and the operator's, with commas between.
pub fn names_with(listed: &[Listed]) -> String {
    let ours =
        CATALOGUE.iter().map(|offer| offer.name).filter(|name| !listed.iter().any(|listed| listed.name == *name));
    ours.chain(listed.iter().map(|listed| listed.name.as_str())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(line: &str) -> From {
        Listed::parse(line).unwrap().from
    }

    #[track_caller]
    fn refused(line: &str, words: &str) {
        let error = Listed::parse(line).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(line), "{error}");
    }

    #[test]
    fn each_kind_of_line_is_read() {
        let hex = "a".repeat(64);
        assert_eq!(from("postgres=registry:postgres:16"), From::Registry("postgres:16".parse().unwrap()));
        let exact = format!("quay.io/x/y:1@sha256:{hex}");
        assert_eq!(from(&format!("y=registry:{exact}")), From::Registry(exact.parse().unwrap()));
        let path = PathBuf::from("/srv/a=b:c.tar");
        assert_eq!(from("tools=archive:/srv/a=b:c.tar"), From::Archive { path: path.clone(), digest: None });
        let digest = Digest::from_hex(&hex);
        assert_eq!(from(&format!("tools=archive:/srv/a=b:c.tar@sha256:{hex}")), From::Archive { path, digest });
        let packages = ["g++".to_owned(), "make".to_owned()].to_vec();
        assert_eq!(from(" c = learner: g++  make "), From::Packages { on: "learner", packages });
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        refused("postgres", "write NAME=registry:REFERENCE");
        refused("postgres=postgres:16", "write NAME=registry:REFERENCE");
        refused("a/b=registry:x", "one word");
        refused("a:1=registry:x", "one word");
        refused("Big=registry:x", "one word");
        refused("learner=registry:ubuntu", "lessons run on");
        refused("x=registry:UPPER", "UPPER");
        refused("x=archive:tools.tar", "begin with /");
        refused("x=archive:/t@sha256:12", "no SHA-256");
        refused("x=debian:", "names of Debian packages");
        refused("x=debian:gcc;rm", "names of Debian packages");
    }

    #[test]
    fn what_stands_in_may_be_replaced_and_no_name_stands_twice() {
        let lines = ["nginx=registry:nginx:1.27".to_owned(), "nginx=archive:/n.tar".to_owned()];
        assert!(Listed::parse_all(&lines[..1]).is_ok());
        assert!(Listed::parse_all(&lines).unwrap_err().to_string().contains("twice"));
        assert!(Listed::parse("nginx=archive:/n.tar").unwrap().is_called(&"nginx".parse().unwrap()));
        assert!(!Listed::parse("nginx=archive:/n.tar").unwrap().is_called(&"nginx:1".parse().unwrap()));
    }
}
