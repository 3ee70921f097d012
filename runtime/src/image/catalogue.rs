//! The images that an installation offers without a registry: for which names, of which layers, and what runs in them.
//!
//! What an offer is not, it says: `stands_in_for` names the image that people expect under its names, and is shown wherever
//! the image is. The settings of each are those of the image that it stands in for, so that Dockerfiles and commands that
//! were written for that one do the same here.

mod offers;
pub mod listed;

use super::digest::Digest;
use super::recipe::Layer;
use super::reference::Reference;

pub use offers::CATALOGUE;

/// An image of the catalogue.
#[derive(Debug)]
pub struct Offer {
    /// What it is called here: a name of one word.
    pub name: &'static str,
    /// Other repositories whose images it is offered for, and which of their tags.
    pub answers: &'static [Answer],
    /// One line for people: what it is, or what it stands in for.
    pub summary: &'static str,
    /// The image that people expect under these names, when this is not that one.
    pub stands_in_for: Option<&'static str>,
    /// Whether learners' machines are made from it.
    pub is_machine: bool,
    pub made: Made,
    pub runs: Runs,
}

/// How an image comes to be.
#[derive(Debug, Clone, Copy)]
pub enum Made {
    /// Copied from this machine.
    Host,
    /// Layers, bottom to top.
    Of(&'static [&'static Layer]),
}

/// Names of Docker Hub that an offer answers to.
#[derive(Debug)]
pub struct Answer {
    /// `golang`
    pub repository: &'static str,
    /// Tags that begin so are of an older language, which this does not speak.
    pub but: &'static [&'static str],
}

/// What a container from it does, in the words of an image's config.
#[derive(Debug)]
pub struct Runs {
    pub env: &'static [&'static str],
    pub entrypoint: &'static [&'static str],
    pub cmd: &'static [&'static str],
    pub working_dir: &'static str,
    pub exposed_ports: &'static [&'static str],
    pub volumes: &'static [&'static str],
    pub stop_signal: &'static str,
}

impl Offer {
    /// The keys of its layers, bottom to top: what it is made of today.
    pub fn keys(&self) -> Vec<Digest> {
        let Made::Of(layers) = self.made else { return Vec::new() };
        layers.iter().fold(Vec::new(), |mut keys: Vec<Digest>, layer| {
            keys.push(layer.key(keys.last()));
            keys
        })
    }

    fn answers_to(&self, reference: &Reference) -> bool {
        let tag = reference.tag().unwrap_or_default();
        let named = self.answers.iter().any(|answer| {
            let fits = !is_of_windows(tag) && !answer.but.iter().any(|but| tag.starts_with(but));
            reference.familiar_name() == answer.repository && fits
        });
        // Its own name is its alone; by digest somebody wants exactly one image, and not one that stands in.
        reference.digest().is_none() && (named || (reference.familiar_name() == self.name && tag == "latest"))
    }
}

/// Tags of images for another system, as Docker Hub has them.
fn is_of_windows(tag: &str) -> bool {
    ["windowsservercore", "nanoserver"].iter().any(|system| tag.contains(system))
}

pub fn find(name: &str) -> Option<&'static Offer> {
    CATALOGUE.iter().find(|offer| offer.name == name)
}

/// The offer for a name as it stands in a Dockerfile: `golang:1.20-alpine`.
pub fn answering(reference: &Reference) -> Option<&'static Offer> {
    CATALOGUE.iter().find(|offer| offer.answers_to(reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> &'static str {
        answering(&text.parse().unwrap()).map_or("-", |offer| offer.name)
    }

    #[test]
    fn names_of_dockerfiles_find_their_offer() {
        for (name, offer) in [
            ("golang:1.20-alpine", "golang"),
            ("golang", "golang"),
            ("docker.io/library/golang:alpine", "golang"),
            ("golang:1.21-windowsservercore", "-"),
            ("nginx:1.25", "nginx"),
            ("alpine:3.20", "alpine"),
            ("python:3.12-slim", "python"),
            ("python:2.7", "-"),
            ("debian:bookworm-slim", "debian"),
            ("ubuntu:22.04", "ubuntu"),
            ("hello-world", "hello-world"),
            ("learner", "learner"),
            ("learner:2", "-"),
            ("learner-docker", "learner-docker"),
            ("quay.io/library/golang", "-"),
            ("somebody/nginx", "-"),
            ("postgres", "-"),
        ] {
            assert_eq!(answer(name), offer, "{name}");
        }
        let exact = format!("golang@{}", Digest::of(b""));
        assert_eq!(answer(&exact), "-");
    }

    #[test]
    fn the_catalogue_as_people_see_it() {
        let line = |offer: &Offer| {
            let layers = match offer.made {
                Made::Host => "this host".to_owned(),
                Made::Of(layers) => layers.iter().map(|layer| layer.name).collect::<Vec<_>>().join(" + "),
            };
            let stands_in = offer.stands_in_for.map(|for_what| format!(" [for {for_what}]")).unwrap_or_default();
            format!("{}: {layers}{stands_in}\n    {}", offer.name, offer.summary)
        };
        let lines: Vec<String> = CATALOGUE.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_offer_answers_to_its_own_name_and_no_other_does() {
        for offer in CATALOGUE {
            assert_eq!(answer(offer.name), offer.name);
            assert!(offer.answers.is_empty() == offer.is_machine, "{}: machines have names of ours", offer.name);
            assert!(!offer.summary.ends_with('.') && offer.summary.len() <= 100, "{}", offer.summary);
        }
    }

    #[test]
    fn what_stands_in_says_so_in_its_summary_too() {
        for offer in CATALOGUE.iter().filter(|offer| offer.stands_in_for.is_some()) {
            assert!(offer.summary.contains("stands in for"), "{}", offer.summary);
        }
    }
}
