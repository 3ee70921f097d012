//! The sums of `go.sum` (Go modules reference, "go.sum files"): a SHA-256 over the SHA-256 of every file.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::image::hex;

/// `h1:` of files by name: the digest of lines of digest and name, sorted by name, in base64.
#[derive(Debug, Default)]
pub struct Sum {
    files: BTreeMap<String, String>,
}

impl Sum {
    pub fn add(&mut self, name: &str, content: &[u8]) {
        self.files.insert(name.to_owned(), hex::of(&Sha256::digest(content)));
    }

    pub fn finish(&self) -> String {
        let lines: String = self.files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        format!("h1:{}", base64(&Sha256::digest(lines.as_bytes())))
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_its_paddings() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order() {
        let (mut one, mut other) = (Sum::default(), Sum::default());
        one.add("a", b"1");
        one.add("b", b"2");
        other.add("b", b"2");
        other.add("a", b"1");
        assert_eq!(one.finish(), other.finish());
        // What Go itself writes for this go.mod, in every go.sum that names the module.
        let mut known = Sum::default();
        known.add("go.mod", b"module github.com/google/uuid\n");
        assert_eq!(known.finish(), "h1:TIyPZe4MgqvfeYDBFedMoGGpEw/LqOeaOT+nhxU+yHo=");
    }
}
