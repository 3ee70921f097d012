//! A context that comes as a stream: `quayside build - < context.tar.gz`.
//!
//! The stream is an archive, compressed or not, or else a Dockerfile alone; its first bytes tell, as in Docker. An archive
//! is unpacked by the code that `ADD` unpacks with: links in it lead inside its folder, and it has limits. Files of it
//! that are read before the build are found by a path that is followed beneath the folder too.

use std::io::{self, Read};
use std::path::Path;

use crate::build::steps::StepError;
use crate::build::steps::add::{self, Unpacking};
use crate::build::steps::copy::Copied;
use crate::build::steps::copy::target::open_or_make;
use crate::build::steps::owner::Owner;
use crate::build::syntax::FILE_MAX_BYTES;
use crate::container::in_root::InRoot;
use crate::image::archive::compression::Compression;
use crate::image::archive::limits::{DEPTH_MAX, Limits};
use crate::image::beneath::Meta;

/// Larger than the sources of the largest programs, with their history (Linux: 4 GB in 90,000 files), and little enough
/// for a disk. Whoever has more to build from has it in a folder, which is not copied.
pub const LIMITS: Limits = Limits { bytes_max: 8 * 1024 * 1024 * 1024, entries_max: 500_000, depth_max: DEPTH_MAX };

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A context, which is in the folder now.
    Context,
    /// A Dockerfile, of which no more is read than it may have.
    Dockerfile(Vec<u8>),
}

/// Takes what a stream has. `folder` is empty and ours; `shown` is what the stream is called in messages.
pub fn take(mut stream: impl Read + Send, shown: &str, folder: &Path) -> Result<Arrived, StepError> {
    let unread = |source: io::Error| StepError::Unpack { path: shown.to_owned(), source: source.into() };
    let mut first = Vec::new();
    stream.by_ref().take(add::HEADER_BYTES as u64).read_to_end(&mut first).map_err(unread)?;
    add::refuse_bzip2(&first, shown)?;
    let is_archive = Compression::of(&first) != Compression::None || add::is_header(&first);
    let whole = first.chain(stream);
    if !is_archive {
        let mut text = Vec::new();
        whole.take(FILE_MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(unread)?;
        return Ok(Arrived::Dockerfile(text));
    }
    let root = InRoot::open(folder).map_err(unread)?;
    let implied = Meta { mode: 0o755, uid: 0, gid: 0, mtime: Some(0) };
    let how = Unpacking { owner: Some(Owner::default()), implied, epoch: None, limits: LIMITS };
    let top = open_or_make(&root, Path::new("/"), implied).map_err(unread)?;
    add::unpack(whole, shown, &top, &root, &how, &mut Copied::default())?;
    Ok(Arrived::Context)
}

/// A file of a context that came: no link of it leads out of the folder.
pub fn file(folder: &Path, name: &Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    InRoot::open(folder)?.read(name, max_bytes as u64)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::image::archive::compression::Gzip;

    fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o640);
            header.set_uid(12);
            header.set_gid(34);
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            let target = text.strip_prefix("-> ");
            let content = if target.is_some() { "" } else { *text };
            if let Some(target) = target {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name(target).unwrap();
            }
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn taken(bytes: &[u8]) -> (tempfile::TempDir, Result<Arrived, StepError>) {
        let folder = tempfile::tempdir().unwrap();
        let arrived = take(bytes, "standard input", folder.path());
        (folder, arrived)
    }

    #[test]
    fn an_archive_becomes_a_folder_and_anything_else_is_a_dockerfile() {
        let tar = archive(&[("Dockerfile", "FROM scratch\n"), ("src/main.c", "main"), (".wh.kept", "no deletion")]);
        for bytes in [tar.clone(), gzip(&tar)] {
            let (folder, arrived) = taken(&bytes);
            assert_eq!(arrived.unwrap(), Arrived::Context);
            assert_eq!(fs::read_to_string(folder.path().join("src/main.c")).unwrap(), "main");
            assert!(folder.path().join(".wh.kept").exists());
            let owner = fs::metadata(folder.path().join("Dockerfile")).unwrap();
            assert_eq!((owner.uid(), owner.gid()), (0, 0));
        }
        for text in ["FROM scratch\nCOPY <<a /b\nx\na\n", "", &"#".repeat(2000)] {
            assert_eq!(taken(text.as_bytes()).1.unwrap(), Arrived::Dockerfile(text.into()));
        }
        let long = vec![b'#'; FILE_MAX_BYTES + 100];
        assert_eq!(taken(&long).1.unwrap(), Arrived::Dockerfile(long[..=FILE_MAX_BYTES].to_vec()));
    }

    #[test]
    fn a_hostile_archive_stays_in_its_folder_and_a_broken_one_says_what_it_is() {
        let outside = tempfile::tempdir().unwrap();
        let way = format!("-> {}", outside.path().display());
        let (_folder, arrived) = taken(&archive(&[("way", &way), ("way/x", "x")]));
        arrived.unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        for name in ["../x", "/x"] {
            let error = taken(&archive(&[(name, "x")])).1.unwrap_err();
            assert_eq!(error.to_string(), "cannot unpack \"standard input\"");
        }
        let whole = gzip(&archive(&[("a", &"a".repeat(5000))]));
        taken(&whole[..whole.len() / 2]).1.unwrap_err();
        assert!(taken(b"BZh91AY&SY rest").1.unwrap_err().to_string().contains("bzip2"));
    }

    #[test]
    fn a_link_of_a_context_that_came_leads_nowhere_outside() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "secret").unwrap();
        fs::create_dir(top.path().join("docker")).unwrap();
        fs::write(top.path().join("docker/Dockerfile"), "FROM scratch").unwrap();
        symlink("docker/Dockerfile", top.path().join("Dockerfile")).unwrap();
        symlink(outside.path().join("secret"), top.path().join(".dockerignore")).unwrap();
        let read = |name: &str| file(top.path(), Path::new(name), 100).unwrap();
        assert_eq!(read("Dockerfile").as_deref(), Some(&b"FROM scratch"[..]));
        assert_eq!(read(".dockerignore"), None);
        assert_eq!(read("../secret"), None);
    }
}
