//! A proxy made of three small packages.

use super::*;
use std::os::unix::fs::symlink;

/// A package's sources as they are after unpacking.
fn package(top: &Path, package: &str, debian: &str, files: &[(&str, &str)]) -> Module {
    let folder = top.join(package);
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let root = Root::open(&folder).unwrap();
    let (at, said) = find(&root).unwrap().unwrap();
    let version = version::of(&said.path, debian).unwrap();
    Module { package: package.into(), root, at, said, version }
}

#[test]
fn packages_become_a_proxy() {
    let top = tempfile::tempdir().unwrap();
    let modules = [
        package(
            top.path(),
            "a",
            "1.2.0-1",
            &[
                (
                    "example.org/me/Alpha/go.mod",
                    "module example.org/me/Alpha\n\ngo 1.18\n\nrequire example.org/me/beta v1.0.0\n",
                ),
                ("example.org/me/Alpha/alpha.go", "package alpha\n"),
                ("example.org/me/Alpha/tools/go.mod", "module example.org/me/Alpha/tools\n"),
                ("example.org/me/Alpha/tools/tool.go", "package tools\n"),
            ],
        ),
        package(top.path(), "b", "1:0.3.1+ds-2", &[("example.org/me/beta/deep/beta.go", "package deep\n")]),
        package(top.path(), "c", "3.0.1-3", &[("gopkg.in/gamma.v3/gamma.go", "package gamma\n")]),
    ];
    // An old name of a package leads to its sources again.
    symlink("me/beta", top.path().join("b/example.org/old")).unwrap();

    let out = tempfile::tempdir().unwrap();
    write_all(&modules, &Root::open(out.path()).unwrap()).unwrap();
    let proxy = Root::open(&out.path().join(PROXY)).unwrap();
    let mut names = Vec::new();
    list(&proxy, &Name::root(), 0, &mut names).unwrap();
    let names: Vec<String> = names.iter().map(Name::to_string).collect();
    insta::assert_snapshot!(names.join("\n"), @"
    /README
    /example.org/me/!alpha/@latest
    /example.org/me/!alpha/@v/list
    /example.org/me/!alpha/@v/v1.2.0.info
    /example.org/me/!alpha/@v/v1.2.0.mod
    /example.org/me/!alpha/@v/v1.2.0.zip
    /example.org/me/beta/@latest
    /example.org/me/beta/@v/list
    /example.org/me/beta/@v/v0.3.1.info
    /example.org/me/beta/@v/v0.3.1.mod
    /example.org/me/beta/@v/v0.3.1.zip
    /go.sum
    /gopkg.in/gamma.v3/@latest
    /gopkg.in/gamma.v3/@v/list
    /gopkg.in/gamma.v3/@v/v3.0.1.info
    /gopkg.in/gamma.v3/@v/v3.0.1.mod
    /gopkg.in/gamma.v3/@v/v3.0.1.zip
    ");
    let text = |path: &str| String::from_utf8(content(&proxy, &Name::of(path)).unwrap()).unwrap();
    assert_eq!(text("example.org/me/!alpha/@v/list"), "v1.2.0\n");
    assert_eq!(text("example.org/me/!alpha/@v/v1.2.0.info"), "{\"Version\":\"v1.2.0\"}\n");
    insta::assert_snapshot!(text("example.org/me/!alpha/@v/v1.2.0.mod"), @"
    module example.org/me/Alpha

    go 1.18

    require (
    	example.org/me/beta v0.3.1
    )
    ");
    assert_eq!(text("gopkg.in/gamma.v3/@v/v3.0.1.mod"), "module gopkg.in/gamma.v3\n");
    // A module within a module is another, and not in its archive.
    let zip = content(&proxy, &Name::of("example.org/me/!alpha/@v/v1.2.0.zip")).unwrap();
    let has = |name: &str| zip.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(has("example.org/me/Alpha@v1.2.0/alpha.go") && has("example.org/me/Alpha@v1.2.0/go.mod"));
    assert!(!has("tool.go"));
    assert_eq!(text("go.sum").lines().count(), 6);
}

#[test]
fn tests_of_modules_stay_behind() {
    let at = |name: &str| match sources(&Name::of(name)) {
        Place::At(name) => name.to_string(),
        Place::Nowhere => "-".into(),
    };
    assert_eq!(at("usr/share/gocode/src/example.org/a/a.go"), "/example.org/a/a.go");
    assert_eq!(at("usr/share/gocode/src/example.org/a/a_test.go"), "-");
    assert_eq!(at("usr/share/gocode/src/example.org/a/testdata/x"), "-");
    assert_eq!(at("usr/share/doc/a/copyright"), "-");
}

#[test]
fn a_package_without_go_files_is_no_module() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("README"), "").unwrap();
    assert!(find(&Root::open(top.path()).unwrap()).unwrap().is_none());
}
