//! The recipe: which packages an image is made of, each pinned to one file by its SHA-256.
//!
//! The files in `locks/` are such recipes. They name files of Debian's pool and no mirror, so that any mirror serves. They
//! are written by [`super::relock`], never by hand.

use crate::image::hex;

const FORMAT: &str = "format 1";

/// The larger limits of a lock, so that a damaged one is refused with words.
const PINS_MAX: usize = 2000;
const PACKAGE_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Which of Debian's two archives holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archive {
    Main,
    Security,
}

impl Archive {
    const ALL: [Archive; 2] = [Archive::Main, Archive::Security];

    pub fn name(self) -> &'static str {
        match self {
            Archive::Main => "debian",
            Archive::Security => "debian-security",
        }
    }
}

/// One package, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub package: String,
    pub version: String,
    pub archive: Archive,
    /// Beneath the archive's root: `pool/main/b/bash/…`.
    pub path: String,
    pub size: u64,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Debian's name of it: `amd64`.
    pub architecture: String,
    /// Sorted by package.
    pub pins: Vec<Pin>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the package lock does not read: {why}; make it anew with `quayside image relock`")]
pub struct LockError {
    pub line: usize,
    pub why: &'static str,
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let mut lock = Lock { architecture: String::new(), pins: Vec::new() };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (index, (number, text)) in lines.enumerate() {
            let failed = |why| LockError { line: number + 1, why };
            match (index, text.split_once(' ')) {
                (0, _) if text == FORMAT => {}
                (0, _) => return Err(failed("it is not of a format that this version reads")),
                (_, Some(("architecture", name))) => lock.architecture = name.to_owned(),
                _ => lock.pins.push(Pin::parse(text).map_err(failed)?),
            }
            if lock.pins.len() > PINS_MAX {
                return Err(failed("it has too many packages"));
            }
        }
        if lock.architecture.is_empty() || lock.pins.is_empty() {
            return Err(LockError { line: 1, why: "it names no architecture, or no package" });
        }
        Ok(lock)
    }

    /// As it stands in a file, with `title` in its first line: what these packages are.
    pub fn to_text(&self, title: &str) -> String {
        let mut text = format!("# {title}. Made by `quayside image relock`.\n");
        text += "# package version archive path size sha256\n";
        text += &format!("{FORMAT}\narchitecture {}\n", self.architecture);
        for pin in &self.pins {
            let Pin { package, version, archive, path, size, sha256 } = pin;
            text += &format!("{package} {version} {} {path} {size} {sha256}\n", archive.name());
        }
        text
    }

    pub fn bytes(&self) -> u64 {
        self.pins.iter().map(|pin| pin.size).sum()
    }
}

impl Pin {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = line.split(' ').collect();
        let [package, version, archive, path, size, sha256] = words[..] else {
            return Err("it must have six words");
        };
        let archive = Archive::ALL.into_iter().find(|known| known.name() == archive).ok_or("its archive is unknown")?;
        let size =
            size.parse().ok().filter(|size| *size <= PACKAGE_MAX_BYTES).ok_or("its size is no number, or too large")?;
        let pin = Self {
            package: package.into(),
            version: version.into(),
            archive,
            path: path.into(),
            size,
            sha256: sha256.into(),
        };
        pin.check()?;
        Ok(pin)
    }

    /// What an index or a lock says ends up in addresses and file names.
    pub fn check(&self) -> Result<(), &'static str> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~:%_/".contains(&b))
        };
        if !plain(&self.package) || self.package.contains(['/', ':', '%']) || self.package.starts_with('.') {
            return Err("the package's name holds letters that no package's name has");
        }
        if !plain(&self.version) || self.version.contains('/') {
            return Err("the version holds letters that no version has");
        }
        if !plain(&self.path) || !self.path.starts_with("pool/") || self.path.split('/').any(|part| part == "..") {
            return Err("the path is not one of Debian's pool");
        }
        if !hex::is_sha256(&self.sha256) {
            return Err("its sha256 is not 64 hexadecimal digits");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn line(line: &str) -> Result<Lock, LockError> {
        Lock::parse(&format!("# head\nformat 1\narchitecture amd64\n{line}\n"))
    }

    #[test]
    fn a_pin_that_could_leave_the_pool_is_refused_with_its_line() {
        assert!(line(&format!("a 1 debian pool/main/a/a_1.deb 5 {HASH}")).is_ok());
        for bad in [
            format!("a 1 debian pool/../../etc 5 {HASH}"),
            format!("a 1 debian /pool/x 5 {HASH}"),
            format!("../a 1 debian pool/x 5 {HASH}"),
            format!("a 1 elsewhere pool/x 5 {HASH}"),
            format!("a 1 debian pool/x many {HASH}"),
            format!("a 1 debian pool/x 99999999999999 {HASH}"),
            "a 1 debian pool/x 5 abc".into(),
            "a 1 debian".into(),
        ] {
            assert_eq!(line(&bad).unwrap_err().line, 4, "{bad}");
        }
        assert!(Lock::parse("format 9\n").is_err());
    }
}
