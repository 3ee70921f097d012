//! What stands in for Alpine where Alpine cannot be had: BusyBox with certificates, which says what it is.
//!
//! `/etc/os-release` does not claim to be Alpine, so that no script is misled, and `apk` answers in words.

use crate::image::beneath::Name;
use crate::image::debian::{Act, FixUp, ROOT};
use crate::image::unpack::Place;

const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";

/// Of the packages only the certificates, with their licence.
pub fn place(package: &str, name: &Name) -> Place {
    let licence = name.as_path() == std::path::Path::new("usr/share/doc/ca-certificates/copyright");
    match package == "ca-certificates" && (name.starts_with(CERTIFICATES) || licence) {
        true => Place::At(name.clone()),
        false => Place::Nowhere,
    }
}

pub const FIX_UPS: &[FixUp] = &[
    FixUp {
        reason: "an honest name",
        acts: &[Act::File {
            path: "etc/os-release",
            mode: 0o644,
            gid: ROOT,
            text: "NAME=\"BusyBox\"\nID=busybox\nVERSION_ID=1.35\n\
                   PRETTY_NAME=\"BusyBox 1.35 from Debian 12, standing in for Alpine Linux\"\n",
        }],
    },
    FixUp {
        reason: "who calls apk is told why there is none, and what to do",
        acts: &[Act::File { path: "sbin/apk", mode: 0o755, gid: ROOT, text: include_str!("files/apk.sh") }],
    },
    FixUp {
        reason: "Dockerfiles make accounts with these, and Debian's BusyBox has neither",
        acts: &[
            Act::File { path: "usr/sbin/adduser", mode: 0o755, gid: ROOT, text: include_str!("files/adduser.sh") },
            Act::File { path: "usr/sbin/addgroup", mode: 0o755, gid: ROOT, text: include_str!("files/addgroup.sh") },
        ],
    },
    FixUp {
        reason: "https: in the two places where programs look",
        acts: &[
            Act::Certificates {
                from: CERTIFICATES,
                bundle: "etc/ssl/certs/ca-certificates.crt",
                list: "etc/ca-certificates.conf",
                links: "etc/ssl/certs",
            },
            Act::Link { path: "etc/ssl/cert.pem", to: "/etc/ssl/certs/ca-certificates.crt" },
        ],
    },
];
