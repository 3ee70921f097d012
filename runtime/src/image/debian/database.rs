//! dpkg's database (dpkg(1), /var/lib/dpkg): what is installed, in the words of dpkg itself, so that `dpkg -l`, `apt-get
//! install` and a lesson on packages work in the image.

use std::collections::BTreeMap;
use std::io::{self, Read};

use md5::{Digest, Md5};

use super::deb822;
use super::fixups::{self, TIME};
use super::tree::Tree;
use crate::image::beneath::{Meta, Name, Root};
use crate::image::hex;
use crate::image::unpack::Place;

/// A package after unpacking.
#[derive(Debug)]
pub struct Installed {
    /// The control file as it was shipped.
    pub control: String,
    /// The other files of its control part: `md5sums`, `postinst`, …
    pub info: Vec<(String, Vec<u8>)>,
    /// The names it holds, as they stand in the package.
    pub names: Vec<Name>,
}

impl Installed {
    fn field(&self, name: &str) -> String {
        let paragraph = deb822::parse(&self.control).into_iter().next().unwrap_or_default();
        paragraph.get(name).unwrap_or_default().to_owned()
    }

    /// The stem of its files in `info/`: packages that can be installed for several architectures carry theirs.
    fn stem(&self) -> String {
        let (package, architecture) = (self.field("Package"), self.field("Architecture"));
        if self.field("Multi-Arch") == "same" { format!("{package}:{architecture}") } else { package }
    }

    fn info(&self, name: &str) -> Option<&[u8]> {
        self.info.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// Writes the whole database; upon another system, what is in addition to that one's.
pub fn write(tree: &Tree, packages: &[Installed]) -> io::Result<()> {
    let (root, is_lowest) = (tree.top, tree.is_lowest());
    let below = |path: &str| match is_lowest {
        true => Ok(String::new()),
        false => tree.read(&Name::of(path)),
    };
    let mut status = below("var/lib/dpkg/status")?;
    for package in packages {
        let conffiles = conffiles(root, package)?;
        status += &status_paragraph(&package.control, &conffiles);
        write_info(root, package)?;
    }
    put(root, "var/lib/dpkg/status", 0o644, status.as_bytes())?;
    for (name, text) in triggers(packages) {
        let path = format!("var/lib/dpkg/triggers/{name}");
        // A trigger that nobody waited for has no file yet.
        put(root, &path, 0o644, (below(&path).unwrap_or_default() + &text).as_bytes())?;
    }
    match is_lowest {
        true => write_beginnings(root),
        false => Ok(()),
    }
}

/// What is there before the first package.
fn write_beginnings(root: &Root) -> io::Result<()> {
    put(root, "var/lib/dpkg/available", 0o644, b"")?;
    put(root, "var/lib/dpkg/diversions", 0o644, b"")?;
    put(root, "var/lib/dpkg/statoverride", 0o644, b"root crontab 2755 /usr/bin/crontab\n")?;
    put(root, "var/lib/dpkg/lock", 0o640, b"")?;
    put(root, "var/lib/dpkg/lock-frontend", 0o640, b"")?;
    // Says that the files in info/ are named with the architecture where a package can have several.
    put(root, "var/lib/dpkg/info/format", 0o644, b"1\n")
}

fn write_info(root: &Root, package: &Installed) -> io::Result<()> {
    let stem = package.stem();
    put(root, &format!("var/lib/dpkg/info/{stem}.list"), 0o644, list(&package.names).as_bytes())?;
    for (name, bytes) in &package.info {
        let is_script = matches!(name.as_str(), "preinst" | "postinst" | "prerm" | "postrm" | "config");
        put(root, &format!("var/lib/dpkg/info/{stem}.{name}"), if is_script { 0o755 } else { 0o644 }, bytes)?;
    }
    Ok(())
}

/// Absolute names, the root as `/.`; what the image leaves out is listed too, as dpkg does under `path-exclude`.
fn list(names: &[Name]) -> String {
    let line = |name: &Name| if name.is_root() { "/.\n".to_owned() } else { format!("{name}\n") };
    names.iter().map(line).collect()
}

fn status_paragraph(control: &str, conffiles: &[(String, String)]) -> String {
    let mut text = String::new();
    for (number, line) in control.trim_end().lines().enumerate() {
        text += line;
        text += "\n";
        if number == 0 {
            text += "Status: install ok installed\n";
        }
    }
    if !conffiles.is_empty() {
        text += "Conffiles:\n";
        for (path, md5) in conffiles {
            text += &format!(" {path} {md5}\n");
        }
    }
    text + "\n"
}

/// Configuration files with the MD5 of what was shipped: dpkg asks before it replaces one that differs from it.
fn conffiles(root: &Root, package: &Installed) -> io::Result<Vec<(String, String)>> {
    let text = String::from_utf8_lossy(package.info("conffiles").unwrap_or_default()).into_owned();
    let mut conffiles = Vec::new();
    for path in text.lines().map(str::trim).filter(|line| line.starts_with('/')) {
        let name = Name::parse(path.trim_start_matches('/').as_bytes()).map_err(|why| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the conffile {path} is refused: {why}"))
        })?;
        if let Place::At(place) = fixups::place(&name) {
            conffiles.push((path.to_owned(), md5_of(root.read(&place)?)?));
        }
    }
    Ok(conffiles)
}

/// Configuration files are small: the largest of Debian 12 has under 1 MB.
fn md5_of(mut file: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(hex::of(&Md5::digest(&bytes)))
}

/// Who waits for which trigger (deb-triggers(5)): one file for each name, and `File` for paths.
fn triggers(packages: &[Installed]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> =
        BTreeMap::from([("File".into(), String::new()), ("Unincorp".into(), String::new())]);
    for package in packages {
        let text = String::from_utf8_lossy(package.info("triggers").unwrap_or_default()).into_owned();
        for (kind, name) in text.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
            let suffix = match kind {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            let (name, stem) = (name.trim(), package.field("Package"));
            match name.starts_with('/') {
                true => *files.entry("File".into()).or_default() += &format!("{name} {stem}{suffix}\n"),
                false => *files.entry(name.into()).or_default() += &format!("{stem}{suffix}\n"),
            }
        }
    }
    files
}

fn put(root: &Root, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let name = Name::parse(path.as_bytes())
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, format!("{path} is refused: {why}")))?;
    root.parents(&name)?;
    root.remove(&name)?;
    root.file(&name, Meta::root(mode, TIME), &[], &mut &bytes[..])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(control: &str, info: &[(&str, &str)]) -> Installed {
        let info = info.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect();
        Installed { control: control.into(), info, names: vec![Name::root(), Name::of("etc"), Name::of("etc/x")] }
    }

    #[test]
    fn a_package_is_entered_as_dpkg_would() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("etc")).unwrap();
        std::fs::write(top.path().join("etc/x"), "shipped").unwrap();
        let control = "Package: x\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\nDescription: a\n long one\n";
        let packages = [package(control, &[("conffiles", "/etc/x\n"), ("postinst", "#!/bin/sh\n")])];
        write(&Tree::new(&Root::open(top.path()).unwrap(), &[]), &packages).unwrap();
        let read = |path: &str| std::fs::read_to_string(top.path().join("var/lib/dpkg").join(path)).unwrap();
        assert_eq!(
            read("status"),
            "Package: x\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n\
             Description: a\n long one\nConffiles:\n /etc/x 32b92c7aa6ac3c8a6fa49bbb20feee45\n\n"
                .replace("32b92c7aa6ac3c8a6fa49bbb20feee45", &hex::of(&Md5::digest(b"shipped")))
        );
        assert_eq!(read("info/x:amd64.list"), "/.\n/etc\n/etc/x\n");
        assert_eq!(read("info/x:amd64.postinst"), "#!/bin/sh\n");
        assert_eq!(read("info/format"), "1\n");
    }

    #[test]
    fn triggers_are_kept_by_name_and_by_path() {
        let packages = [
            package("Package: libc-bin\n", &[("triggers", "# note\ninterest-await ldconfig\n")]),
            package(
                "Package: debianutils\n",
                &[("triggers", "interest-noawait /usr/share/shells.d\nactivate ldconfig\n")],
            ),
        ];
        let files = triggers(&packages);
        assert_eq!(files["ldconfig"], "libc-bin\n");
        assert_eq!(files["File"], "/usr/share/shells.d debianutils/noawait\n");
    }
}
