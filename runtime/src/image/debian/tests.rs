//! A mirror of three small packages, served by a thread, with one file or another missing or spoilt.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::release::Trust;
use super::*;
use crate::image::beneath::{Name, Root};
use crate::image::measure;
use crate::image::progress::Meter;

#[test]
fn a_pinned_package_that_is_gone_is_resolved_anew_with_a_notice() {
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1"), ("beta", "1")]);
    mirror.publish(&[("alpha", "2"), ("beta", "1"), ("gamma", "1")]);
    mirror.forget("/pool/main/alpha_1.deb");

    let made = make(&mirror, &lock).unwrap();
    assert_eq!(made.text("usr/share/alpha"), "alpha 2\n");
    // Only what was gone is new: the other pin is still there and still good.
    assert_eq!(made.text("usr/share/beta"), "beta 1\n");
    assert!(made.notices.iter().any(|text| text == "alpha 1 is gone from the mirror; taking 2"), "{:?}", made.notices);
    assert!(made.notices.iter().any(|text| text.contains("without checking its signature")), "{:?}", made.notices);
}

#[test]
fn a_second_preparation_needs_no_network() {
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1"), ("beta", "1")]);
    let first = make(&mirror, &lock).unwrap();
    let asked = mirror.asked();
    let second = make_in(first.top, &mirror, &lock).unwrap();
    assert_eq!(mirror.asked(), asked);
    assert_eq!(second.digest, first.digest);
}

#[test]
fn a_cached_package_that_is_damaged_is_fetched_again() {
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1")]);
    let first = make(&mirror, &lock).unwrap();
    let cached = first.top.path().join("cache").join(format!("{}.deb", lock.pins[0].sha256));
    fs::write(&cached, vec![0; lock.pins[0].size as usize]).unwrap();
    assert_eq!(make_in(first.top, &mirror, &lock).unwrap().text("usr/share/alpha"), "alpha 1\n");
}

#[test]
fn a_mirror_that_lists_what_it_does_not_have_is_named_as_the_fault() {
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1"), ("beta", "1")]);
    mirror.forget("/pool/main/beta_1.deb");
    let error = make(&mirror, &lock).err().unwrap();
    assert!(matches!(&error, DebianError::Gone { packages } if packages == "beta"), "{error}");
}

#[test]
fn a_mirror_that_does_not_answer_does_not_make_a_package_gone() {
    let (dead, mirror) = (TcpListener::bind("127.0.0.1:0").unwrap(), Mirror::start());
    let lock = mirror.publish(&[("alpha", "1")]);
    mirror.forget("/pool/main/alpha_1.deb");
    let silent = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let top = tempfile::tempdir().unwrap();
    let mirrors = Mirrors { main: vec![silent, mirror.address.clone()], ..Mirrors::default() };
    let site =
        Site { mirrors: &mirrors, proxy: None, trust: Trust::Unsigned("test"), cache: top.path(), work: top.path() };
    let meter = Meter::default();
    let workshop = Workshop::open(&site, &meter).unwrap();
    let error = workshop.fetch(&lock.pins).unwrap_err();
    assert!(matches!(error, DebianError::Fetch(FetchError::Failed { tries: 4, .. })), "{error}");
}

#[test]
fn a_package_that_is_not_the_pinned_one_is_refused() {
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1")]);
    mirror.put("/pool/main/alpha_1.deb", vec![b'x'; lock.pins[0].size as usize]);
    let error = make(&mirror, &lock).err().unwrap().to_string();
    assert!(error.contains("SHA-256 differs") && error.contains("tried 4 times"), "{error}");
}

#[test]
fn an_index_without_a_signature_is_refused_where_signatures_can_be_checked() {
    let trust @ Trust::Signed { .. } = Trust::of_this_host() else {
        return eprintln!("skipped: needs gpgv or sqv, and Debian's keyring");
    };
    let mirror = Mirror::start();
    let lock = mirror.publish(&[("alpha", "1")]);
    mirror.forget("/pool/main/alpha_1.deb");
    let error = make_with(tempfile::tempdir().unwrap(), &mirror, &lock, trust).err().unwrap();
    assert!(matches!(error, DebianError::Index(IndexError::Signature { .. })), "{error}");
}

#[test]
fn an_image_for_another_machine_is_refused_in_words() {
    let mirror = Mirror::start();
    let lock = Lock { architecture: "sparc".into(), ..mirror.publish(&[("alpha", "1")]) };
    let error = make(&mirror, &lock).err().unwrap().to_string();
    assert!(error.contains("sparc") && error.contains(host_architecture()), "{error}");
}

struct Made {
    top: tempfile::TempDir,
    digest: String,
    notices: Vec<String>,
}

impl Made {
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.top.path().join("root").join(path)).unwrap()
    }
}

fn make(mirror: &Mirror, lock: &Lock) -> Result<Made, DebianError> {
    make_in(tempfile::tempdir().unwrap(), mirror, lock)
}

fn make_in(top: tempfile::TempDir, mirror: &Mirror, lock: &Lock) -> Result<Made, DebianError> {
    make_with(top, mirror, lock, Trust::Unsigned("this is a test"))
}

fn make_with(top: tempfile::TempDir, mirror: &Mirror, lock: &Lock, trust: Trust) -> Result<Made, DebianError> {
    let path = |name: &str| top.path().join(name);
    let _ = fs::remove_dir_all(path("root"));
    for folder in ["root", "cache", "work"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    let mirrors = Mirrors { main: vec![mirror.address.clone()], ..Mirrors::default() };
    let (cache, work, root) = (path("cache"), path("work"), Root::open(&path("root")).unwrap());
    let recipe = recipe(lock);
    let site = Site { mirrors: &mirrors, proxy: None, trust, cache: &cache, work: &work };
    let meter = Meter::default();
    let notices = build(&recipe, &[], &Workshop::open(&site, &meter)?, &Tree::new(&root, &[]))?;
    assert!(root.exists(&Name::of("var/lib/dpkg/status")));
    let digest = measure::tree(&root).unwrap().sha256;
    Ok(Made { top, digest, notices })
}

fn recipe(lock: &Lock) -> Recipe<'_> {
    let seeds = lock.pins.iter().map(|pin| pin.package.as_str()).collect();
    Recipe { lock: lock.clone(), suites: sets::BOOKWORM, reach: Reach::Closure, seeds, given: Vec::new() }
}

/// A mirror over HTTP/1.1 without keep-alive: paths and what they hold.
struct Mirror {
    address: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
}

impl Mirror {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mirror = Self { address, files: Arc::default(), asked: Arc::default() };
        let (files, asked) = (mirror.files.clone(), mirror.asked.clone());
        // The thread waits for connections until the test's process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::Relaxed);
                serve(stream, &files);
            }
        });
        mirror
    }

    /// Puts packages and an index of exactly these on the mirror, and gives the lock that pins them.
    fn publish(&self, packages: &[(&str, &str)]) -> Lock {
        let (mut index, mut pins) = (String::new(), Vec::new());
        for (package, version) in packages {
            let (path, bytes) = (format!("pool/main/{package}_{version}.deb"), deb(package, version));
            let (size, sha256) = (bytes.len() as u64, crate::image::Digest::of(&bytes).hex());
            self.put(&format!("/{path}"), bytes);
            index += &format!(
                "Package: {package}\nVersion: {version}\nFilename: {path}\nSize: {size}\nSHA256: {sha256}\n\n"
            );
            let (package, version) = (package.to_string(), version.to_string());
            pins.push(Pin { package, version, archive: lock::Archive::Main, path, size, sha256 });
        }
        let architecture = host_architecture();
        let name = format!("main/binary-{architecture}/Packages.xz");
        let packed = xz(index.as_bytes());
        let release =
            format!("Suite: test\nSHA256:\n {} {} {name}\n", crate::image::Digest::of(&packed).hex(), packed.len());
        self.put("/dists/bookworm/InRelease", release.into_bytes());
        self.put(&format!("/dists/bookworm/{name}"), packed);
        Lock { architecture: architecture.to_owned(), pins }
    }

    fn put(&self, path: &str, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes);
    }

    fn forget(&self, path: &str) {
        self.files.lock().unwrap().remove(path).unwrap();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: std::net::TcpStream, files: &Mutex<BTreeMap<String, Vec<u8>>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or_default();
    let body = files.lock().unwrap().get(path).cloned();
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&body);
}

/// A package of one file, `/usr/share/NAME`.
fn deb(package: &str, version: &str) -> Vec<u8> {
    let control = format!("Package: {package}\nVersion: {version}\nArchitecture: {}\n", host_architecture());
    let control = xz(&tar(&[("./control", control.as_bytes())]));
    let data = xz(&tar(&[(&format!("./usr/share/{package}"), format!("{package} {version}\n").as_bytes())]));
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", &control), ("data.tar.xz", &data)] {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100644, content.len()).unwrap();
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&b"\n"[..content.len() % 2]);
    }
    bytes
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}
