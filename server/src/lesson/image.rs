//! Pictures: from a source as an author wrote it to an address, and from an address to bytes.

use std::path::{Path, PathBuf};

use super::markdown::{Image, MissingImage};
use super::model::Scenario;
use super::source::{Folder, IMAGE_BYTES_MAX, Reach, Unreadable, read_bounded};

/// What is served, by the end of its name. Anything else beneath a lesson's folder stays there.
const MEDIA_TYPES: [(&str, &str); 8] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("svg", "image/svg+xml"),
    ("ico", "image/x-icon"),
];

/// `USER`, `courses`, a course and a scenario.
const WORDS_OF_AN_ADDRESS_MAX: usize = 4;

/// A picture to serve. An SVG may hold scripts: serve it with [`PICTURE_POLICY`].
#[derive(Debug)]
pub struct Picture {
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

/// The Content-Security-Policy under which a picture opened by itself can do nothing.
pub const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The picture at `/COURSE/SCENARIO/file/PATH`: a path, already percent-decoded, from the top of the repository.
pub fn read(scenario: &Scenario, path: &str) -> Result<Picture, Unreadable> {
    let media_type = media_type(path).ok_or(Unreadable::Missing { meant: None })?;
    let folder = Folder::open(&scenario.root, &scenario.root, &scenario.dir)?;
    let file = folder.resolve(folder.root(), path, Reach::Repository)?;
    Ok(Picture { media_type, bytes: read_bounded(&file, IMAGE_BYTES_MAX)? })
}

/// The address of a picture that a text in the directory `from` names, relative to the scenario's own.
pub fn address(folder: &mut Folder, from: &Path, source: &str) -> Image {
    let once = of_katacoda(source);
    if once.is_none() && (source.starts_with("https://") || source.starts_with("http://")) {
        return Ok(source.to_owned());
    }
    let missing = |message: String, hint| MissingImage { message, hint };
    if source.is_empty() {
        return Err(missing("a picture has no address, or one that is not allowed".into(), None));
    }
    let path = decode(source.split(['?', '#']).next().unwrap_or_default());
    if media_type(&path).is_none() {
        let known: Vec<&str> = MEDIA_TYPES.iter().map(|(extension, _)| *extension).collect();
        return Err(missing(
            format!("the picture `{source}` is of no kind that is shown"),
            Some(format!("one of: {}", known.join(", "))),
        ));
    }
    let found = find(folder, from, once.map_or(&path, |once| once.split(['?', '#']).next().unwrap_or_default()))
        .and_then(|file| folder.read(&file, IMAGE_BYTES_MAX).map(|_| file));
    match found {
        Ok(file) => Ok(encode(file.strip_prefix(folder.root()).unwrap_or(&file))),
        // Better a link that may be dead than no word of it.
        Err(_) if once.is_some() => Ok(source.to_owned()),
        Err(error) => Err(missing(format!("the picture `{source}` {error}"), error.hint())),
    }
}

/// Katacoda is no more; what was published there came from the repository: `/USER/scenarios/NAME/assets/a.png`.
fn of_katacoda(source: &str) -> Option<&str> {
    let hosts = ["https://katacoda.com", "https://www.katacoda.com", "http://katacoda.com", "http://www.katacoda.com"];
    hosts.iter().find_map(|host| source.strip_prefix(host)).filter(|path| path.starts_with('/'))
}

/// A leading `/` is the top of the repository to most authors, of the scenario to some, and of Katacoda to others.
fn find(folder: &Folder, from: &Path, path: &str) -> Result<PathBuf, Unreadable> {
    let found = folder.resolve(from, path, Reach::Repository);
    let Some(below) = path.strip_prefix('/') else { return found };
    let tops = [folder.root(), folder.dir()];
    found.or_else(|error| {
        let mut others = parts_of_an_address(below).flat_map(|part| tops.map(|top| (top, part)));
        let other = others.find_map(|(top, part)| folder.resolve(top, part, Reach::Repository).ok());
        other.ok_or(error)
    })
}

/// `USER/courses/COURSE/SCENARIO/assets/a.png` without the words before what may be a folder here.
fn parts_of_an_address(path: &str) -> impl Iterator<Item = &str> {
    let starts = path.match_indices('/').map(|(at, _)| at + 1).take(WORDS_OF_AN_ADDRESS_MAX);
    std::iter::once(0).chain(starts).map(|start| &path[start..])
}

fn media_type(path: &str) -> Option<&'static str> {
    let extension = path.rsplit_once('.')?.1.to_ascii_lowercase();
    MEDIA_TYPES.iter().find(|(known, _)| *known == extension).map(|(_, media_type)| *media_type)
}

/// `%20` and the like, decoded.
fn decode(address: &str) -> String {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code =
            (first == b'%').then(|| after.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]).1,
            None => (bytes.push(first), rest = after).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The address relative to `/COURSE/SCENARIO/`.
fn encode(path: &Path) -> String {
    let mut address = String::from("file/");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => address.push(byte as char),
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decoded_once_and_encoded_whole() {
        assert_eq!(decode("a%20b%2Fc%zz%"), "a b/c%zz%");
        assert_eq!(encode(Path::new("one/a b é.png")), "file/one/a%20b%20%C3%A9.png");
    }

    #[test]
    fn only_pictures_are_served() {
        assert_eq!(media_type("x/a.PNG"), Some("image/png"));
        assert_eq!(media_type("x/verify.sh"), None);
        assert_eq!(media_type("index.json"), None);
    }
}
