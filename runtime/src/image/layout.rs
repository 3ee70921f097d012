//! The merged layout: /bin, /sbin and /lib are links into /usr, in every image of ours.
//!
//! Packages and hosts that still name `/bin/ls` are put into place by rewriting the name, not by following the link: so
//! nothing that unpacks ever follows one.

use std::path::Path;

use super::beneath::Name;

/// The top folders that are links, and what each leads to.
pub const MERGED: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib32", "usr/lib32"),
    ("lib64", "usr/lib64"),
    ("libx32", "usr/libx32"),
];

/// Where a name lies in the merged layout.
pub fn place(name: &Name) -> Name {
    for (from, to) in MERGED {
        if let Ok(rest) = name.as_path().strip_prefix(from) {
            return rest.iter().fold(Name::of(to), |place, part| place.join(part));
        }
    }
    name.clone()
}

/// The same for an absolute path, as programs and links have it.
pub fn place_of_path(path: &Path) -> Name {
    let parts = path.iter().filter(|part| *part != "/" && *part != "." && *part != "..");
    place(&parts.fold(Name::root(), |name, part| name.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_old_layout_move_below_usr() {
        assert_eq!(place(&Name::of("bin/ls")), Name::of("usr/bin/ls"));
        assert_eq!(place(&Name::of("lib")), Name::of("usr/lib"));
        assert_eq!(place(&Name::of("library/x")), Name::of("library/x"));
        assert_eq!(place_of_path(Path::new("/lib64/ld.so")), Name::of("usr/lib64/ld.so"));
    }
}
