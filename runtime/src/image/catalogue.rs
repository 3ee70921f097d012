//! The images that an installation offers without a registry.

/// A name of the catalogue, and how its image comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub name: &'static str,
    /// One line for people: what it is, or what it stands in for.
    pub summary: &'static str,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Copied from this machine.
    Host,
    /// Made of Debian packages.
    Debian,
}

/// In the order in which a new installation prepares them: the quick one first.
pub const CATALOGUE: &[Offer] = &[
    Offer {
        name: "host",
        summary: "Commands borrowed from this host; packages cannot be installed",
        origin: Origin::Host,
    },
    Offer { name: "learner", summary: "Debian 12 with the tools of the lessons", origin: Origin::Debian },
];

pub fn find(name: &str) -> Option<&'static Offer> {
    CATALOGUE.iter().find(|offer| offer.name == name)
}

/// `host, learner`
pub fn names() -> String {
    CATALOGUE.iter().map(|offer| offer.name).collect::<Vec<_>>().join(", ")
}
