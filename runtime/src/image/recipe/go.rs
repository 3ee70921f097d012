//! The Go toolchain at `/usr/local/go`, where Docker's image has it, without what compiling programs does not need.

use crate::image::beneath::Name;
use crate::image::debian::{Act, FixUp, ROOT};
use crate::image::unpack::Place;

/// Where Debian has the two halves of it: programs, and what is the same on every machine.
const HALVES: [&str; 2] = ["usr/lib/go-1.21", "usr/share/go-1.21"];
const GOROOT: &str = "usr/local/go";

/// Not taken, from GOROOT on: tests and documents of Go itself, the source of its own commands (40 MB; the commands are
/// there), and tools that look into running programs or build Go.
const LEFT_OUT: &[&str] = &[
    "api",
    "doc",
    "misc",
    "test",
    "src/cmd",
    "pkg/tool/linux_amd64/dist",
    "pkg/tool/linux_amd64/distpack",
    "pkg/tool/linux_amd64/pprof",
    "pkg/tool/linux_amd64/trace",
];

/// Links of the first half into the second, which here lie in one place.
const JOINTS: &[&str] = &["src", "pkg/include"];

pub fn place(_package: &str, name: &Name) -> Place {
    let licence = ["usr/share/doc/golang-1.21-go/copyright", "usr/share/doc/golang-1.21-src/copyright"];
    if licence.iter().any(|licence| name.as_path() == std::path::Path::new(licence)) {
        return Place::At(name.clone());
    }
    for half in HALVES {
        let Ok(rest) = name.as_path().strip_prefix(half) else { continue };
        let is_joint = half == HALVES[0] && JOINTS.iter().any(|joint| rest == std::path::Path::new(joint));
        if is_joint || LEFT_OUT.iter().any(|left_out| rest.starts_with(left_out)) || is_for_tests(rest) {
            return Place::Nowhere;
        }
        return Place::At(rest.iter().fold(Name::of(GOROOT), |place, part| place.join(part)));
    }
    Place::Nowhere
}

/// The standard library's own tests: two thirds of its files.
pub fn is_for_tests(path: &std::path::Path) -> bool {
    path.iter().any(|part| part == "testdata") || path.as_os_str().as_encoded_bytes().ends_with(b"_test.go")
}

pub const FIX_UPS: &[FixUp] = &[FixUp {
    reason: "where programs and their sources go, writable by everybody as in Docker's image",
    acts: &[
        Act::Directory { path: "go", mode: 0o1777, gid: ROOT },
        Act::Directory { path: "go/bin", mode: 0o1777, gid: ROOT },
        Act::Directory { path: "go/src", mode: 0o1777, gid: ROOT },
    ],
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_come_to_one_place_and_tests_stay_behind() {
        let check = |name: &str| match place("", &Name::of(name)) {
            Place::At(name) => name.to_string(),
            Place::Nowhere => "-".into(),
        };
        assert_eq!(check("usr/lib/go-1.21/bin/go"), "/usr/local/go/bin/go");
        assert_eq!(check("usr/share/go-1.21/src/fmt/print.go"), "/usr/local/go/src/fmt/print.go");
        assert_eq!(check("usr/share/go-1.21/src"), "/usr/local/go/src");
        for left_out in [
            "usr/lib/go-1.21/src",
            "usr/lib/go-1.21/pkg/include",
            "usr/share/go-1.21/src/fmt/fmt_test.go",
            "usr/share/go-1.21/src/image/testdata/video-001.png",
            "usr/share/go-1.21/src/cmd/go/main.go",
            "usr/share/doc/golang-1.21-go/changelog.Debian.gz",
        ] {
            assert_eq!(check(left_out), "-", "{left_out}");
        }
    }
}
