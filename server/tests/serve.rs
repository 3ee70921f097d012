//! `quayside serve` itself, as an operator runs it: its settings, its manager, https, figures and its log.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service of its own, with no image, in a directory that only root may enter.
struct Service {
    child: Child,
    manager: UnixDatagram,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Service {
    /// With `settings` in its file, where `DIR` stands for its directory; `files` puts something there before.
    fn start(settings: &str, files: impl FnOnce(&Path)) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "sandboxes are made by root: run the tests by `make test`");
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
        files(dir.path());
        let address = free_address();
        let data = dir.path().join("data");
        let images = if settings.contains("images.prepare") { "" } else { "images.prepare = []\n" };
        let text = format!("data = {data:?}\n{images}web.listen = \"{address}\"\n{settings}");
        let file = dir.path().join("quayside.toml");
        fs::write(&file, text.replace("DIR", &dir.path().display().to_string())).expect("written");
        let manager = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let log = fs::File::create(dir.path().join("log")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_quayside"))
            .args(["serve", "--config"])
            .arg(&file)
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("quayside runs");
        let service = Self { child, manager, address, dir };
        assert_eq!(service.manager_hears(), "READY=1\nSTATUS=serving", "{}", service.log());
        service
    }

    fn manager_hears(&self) -> String {
        let mut bytes = [0; 512];
        match self.manager.recv(&mut bytes) {
            Ok(length) => String::from_utf8_lossy(&bytes[..length]).into_owned(),
            Err(error) => panic!("the service says nothing: {error}\n{}", self.log()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("the log")
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("a signal");
    }

    /// The pid of a part.
    fn part(&self, name: &str) -> u32 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        let is = |pid: &&str| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split('\0').nth(1) == Some(name)
        };
        children.split_whitespace().find(is).unwrap_or_else(|| panic!("no {name}")).parse().expect("a pid")
    }

    fn get(&self, path: &str) -> String {
        ask(TcpStream::connect(self.address).expect("a connection"), self.address, path)
    }

    /// By https, trusting `certificate` alone.
    fn get_https(&self, certificate: &Path, path: &str) -> Result<String, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
        Ok(ask(rustls::StreamOwned::new(connection, stream), self.address, path))
    }

    /// In an orderly way; nothing of it stays.
    fn end(mut self) -> String {
        self.signal(Signal::SIGINT);
        while self.manager_hears() != "STOPPING=1" {}
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}\n{}", self.log());
        self.log()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(mut stream: impl Read + Write, address: SocketAddr, path: &str) -> String {
    let port = address.port();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // Some end without a goodbye of TLS, which is as good here.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A certificate for localhost and its key, the key with mode 0600.
fn make_pair(directory: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "new-key.pem", "-out", "new-certificate.pem"])
        .current_dir(directory)
        .output()
        .expect("openssl runs; make test installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for name in ["key.pem", "certificate.pem"] {
        fs::rename(directory.join(format!("new-{name}")), directory.join(name)).expect("renamed");
    }
    fs::set_permissions(directory.join("key.pem"), fs::Permissions::from_mode(0o600)).expect("a mode");
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status_line(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.trim().to_owned()
}

#[test]
fn a_service_manager_hears_when_it_serves_and_every_line_of_its_log_is_json() {
    let service = Service::start("log.format = \"json\"\nlog.level = \"debug\"\n", |_| {});
    let answer = service.get("/health/live?secret=hunter2");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id").to_owned();
    let log = service.end();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let of_request = |line: &&serde_json::Value| line["spans"][0]["request"] == id;
    let access = lines.iter().find(of_request).unwrap_or_else(|| panic!("no line of request {id}\n{log}"));
    assert_eq!((&access["status"], &access["spans"][0]["path"]), (&200.into(), &"/health/live".into()), "{access}");
    assert!(!log.contains("hunter2"), "a query is in the log:\n{log}");
}

#[test]
fn the_web_process_is_whom_the_settings_name_and_privileges_are_few() {
    let service = Service::start("web.user = \"nobody\"\n", |_| {});
    let (web, keeper) = (service.part("web"), service.part("keeper"));
    assert_eq!(status_line(web, "Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(status_line(web, "CapEff"), "0000000000000000");
    assert_eq!(status_line(web, "NoNewPrivs"), "1");
    let store = service.dir.path().join("data/web/quayside.db");
    assert_eq!(fs::metadata(store).expect("the store").uid(), 65_534);
    // Neither the supervisor nor what it starts can load a module, set the clock or reach a raw device again.
    let (sys_module, sys_rawio, sys_time, sys_admin) = (1 << 16, 1 << 17, 1 << 25, 1 << 21);
    for pid in [service.child.id(), keeper] {
        let bounding = u64::from_str_radix(&status_line(pid, "CapBnd"), 16).expect("a set");
        assert_eq!(bounding & (sys_module | sys_rawio | sys_time), 0, "{bounding:x}");
        assert_ne!(bounding & sys_admin, 0, "{bounding:x}");
    }
    let answer = service.get("/health/ready");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}{}", service.log());
    service.end();
}

#[test]
fn https_has_a_key_that_only_root_can_read_and_takes_a_new_pair_without_a_restart() {
    let settings = "web.tls-certificate = \"DIR/certificate.pem\"\nweb.tls-key = \"DIR/key.pem\"\n";
    let service = Service::start(settings, make_pair);
    let certificate = service.dir.path().join("certificate.pem");
    let answer = service.get_https(&certificate, "/health/ready").expect("https");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let astray = service.get("/harbour/first?page=1");
    let port = service.address.port();
    assert!(astray.starts_with("HTTP/1.1 307"), "{astray}");
    assert!(astray.contains(&format!("location: https://localhost:{port}/harbour/first?page=1\r\n")), "{astray}");

    let old = service.dir.path().join("old.pem");
    fs::copy(&certificate, &old).expect("copied");
    let web = service.part("web");
    make_pair(service.dir.path());
    service.signal(Signal::SIGHUP);
    eventually("the new certificate", || service.get_https(&certificate, "/health/live").is_ok());
    assert!(service.get_https(&old, "/health/live").is_err(), "the old one is given to nobody");
    assert_eq!(service.part("web"), web, "the same process");

    // A pair that does not fit is not taken.
    fs::copy(&certificate, &old).expect("copied");
    fs::write(service.dir.path().join("key.pem"), "no key").expect("written");
    service.signal(Signal::SIGHUP);
    eventually("a word about it", || service.log().contains("the old one stays"));
    assert!(service.get_https(&old, "/health/live").is_ok());
    // What the web process was given lives on in the supervisor: another one gets it, too.
    kill(Pid::from_raw(i32::try_from(web).expect("a pid")), Signal::SIGKILL).expect("killed");
    eventually("another web process", || service.get_https(&old, "/health/live").is_ok());
    service.end();
}

#[test]
fn a_pair_that_cannot_be_used_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    make_pair(dir.path());
    let serve = |certificate: PathBuf, key: PathBuf| {
        let output = Command::new(env!("CARGO_BIN_EXE_quayside"))
            .args(["serve", "--listen", &free_address().to_string(), "--data"])
            .arg(dir.path().join("data"))
            .env("QUAYSIDE_WEB_TLS_CERTIFICATE", certificate)
            .env("QUAYSIDE_WEB_TLS_KEY", key)
            .output()
            .expect("quayside runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (certificate, key) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
    let missing = serve(dir.path().join("none.pem"), key.clone());
    assert!(missing.contains("cannot read web.tls-certificate"), "{missing}");
    let swapped = serve(key, certificate);
    assert!(swapped.contains("has no certificate that reads"), "{swapped}");
}

#[test]
fn a_folder_without_a_lesson_is_named_at_the_start_and_a_usual_start_warns_of_nothing() {
    let service = Service::start("lessons = \"DIR/none\"\n", |dir| fs::create_dir(dir.join("none")).expect("a folder"));
    let folder = service.dir.path().join("none");
    eventually("a word about the lessons", || service.log().contains("no lesson is in this folder"));
    let log = service.end();
    let line = log.lines().find(|line| line.contains("no lesson is in this folder")).expect("the line");
    assert!(line.contains("WARN") && line.contains(&*folder.to_string_lossy()), "{line}");

    let service = Service::start("", |_| {});
    eventually("a keeper", || service.log().contains("the keeper is there"));
    let address = service.address;
    let log = service.end();
    assert_eq!(log.lines().find(|line| line.contains("WARN")), None, "{log}");
    assert!(log.contains(&format!("quayside serves on http://{address};")), "{log}");
}

#[test]
fn figures_are_on_their_own_address_in_a_form_that_reads() {
    let metrics = free_address();
    let service = Service::start(&format!("web.metrics-listen = \"{metrics}\"\n"), |_| {});
    let answer = ask(TcpStream::connect(metrics).expect("a connection"), metrics, "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    let families = read_exposition(body);
    for (name, kind) in [
        ("quayside_sessions", "gauge"),
        ("quayside_session_starts", "counter"),
        ("quayside_start_to_prompt_seconds", "histogram"),
        ("quayside_checks", "counter"),
        ("quayside_relayed_bytes", "counter"),
        ("quayside_build", "info"),
        ("process_resident_memory_bytes", "gauge"),
    ] {
        assert!(families.contains(&(name.to_owned(), kind.to_owned())), "{name} in {families:?}");
    }
    assert!(body.contains("\nquayside_keeper_up 1\n") && body.contains("\nquayside_store_up 1\n"), "{body}");
    assert!(service.get("/metrics").starts_with("HTTP/1.1 404"), "never where learners are");
    service.end();
}

/// Families of an OpenMetrics text with their types. Every line must be of the form, and every sample of a family
/// that was announced, with the ending that its type has.
fn read_exposition(text: &str) -> Vec<(String, String)> {
    let mut families: Vec<(String, String)> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert!(lines.peek().is_none(), "something behind the end");
            return families;
        }
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("a type");
            assert!(!families.iter().any(|(known, _)| known == name), "{name} twice");
            families.push((name.into(), kind.into()));
            continue;
        }
        if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').expect("a unit");
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let pairs = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels: {line}"));
        assert!(pairs.is_empty() || pairs.split(',').all(|pair| pair.contains("=\"") && pair.ends_with('"')), "{line}");
        let (family, kind) = families.last().unwrap_or_else(|| panic!("a sample of no family: {line}"));
        let endings: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(name.strip_prefix(family.as_str()).is_some_and(|ending| endings.contains(&ending)), "{line}");
    }
    panic!("no end in\n{text}");
}

#[test]
fn it_is_ready_only_while_the_store_can_be_written_and_its_disk_has_room() {
    // The smallest disk that has room, and so much more.
    const DISK: &str = "size=96m";
    let service = Service::start("", |dir| {
        let web = dir.join("data/web");
        fs::create_dir_all(&web).expect("a directory");
        mount(&["-t", "tmpfs", "-o", DISK, "tmpfs"], &web);
    });
    let web = service.dir.path().join("data/web");
    let unmount = Unmount(web.clone());
    let body = || service.get("/health/ready").split_once("\r\n\r\n").expect("a body").1.to_owned();
    let says = |what: &str| eventually(what, || body().contains(what));
    says(r#""status":"ok""#);
    fs::write(web.join("ballast"), vec![1; 64 << 20]).expect("written");
    says(r#""disk":"full""#);
    assert!(service.get("/health/ready").starts_with("HTTP/1.1 503"));
    assert!(service.get("/health/live").starts_with("HTTP/1.1 200"), "it lives");
    fs::remove_file(web.join("ballast")).expect("removed");
    says(r#""status":"ok""#);
    let mut ballast = fs::File::create(web.join("ballast")).expect("a file");
    while ballast.write_all(&[1; 4096]).is_ok() {}
    drop(ballast);
    says(r#""store":"not writable""#);
    fs::remove_file(web.join("ballast")).expect("removed");
    says(r#""status":"ok""#);
    service.end();
    drop(unmount);
}

#[test]
fn machines_live_below_the_group_that_the_settings_name() {
    let name = format!("quayside-test-{}", std::process::id());
    let groups = Groups::make(&name);
    let settings = format!("images.prepare = [\"host\"]\ncgroup.parent = \"{name}\"\n");
    let service = Service::start(&settings, |_| {});
    let host = format!("localhost:{}", service.address.port());
    let mut stream = TcpStream::connect(service.address).expect("a connection");
    let head = format!("host: {host}\r\norigin: http://{host}\r\nconnection: close");
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 0";
    let path = "/containers/what-is-a-container/start";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\n{form}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let sandboxes = service.dir.path().join("data/sandboxes");
    let in_group = || {
        let ids = fs::read_dir(&sandboxes).expect("sandboxes").flatten().map(|entry| entry.file_name());
        let mut ids = ids.filter(|id| groups.0.iter().all(|group| group.join("quayside").join(id).is_dir()));
        ids.next().is_some()
    };
    eventually("a machine in that group", in_group);
    service.end();
    assert!(groups.0.iter().all(|group| !group.join("quayside").exists()), "nothing is left in it");
}

/// Groups of one name in every hierarchy that limits something.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(name: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let v1 = ["memory", "pids"].map(|controller| root.join(controller)).to_vec();
        let tops = if root.join("cgroup.controllers").exists() { vec![root.to_path_buf()] } else { v1 };
        let groups = tops.into_iter().map(|top| top.join(name)).collect::<Vec<_>>();
        groups.iter().for_each(|group| fs::create_dir(group).expect("a group"));
        Self(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let name = self.0[0].file_name().expect("a name").to_owned();
        // On v1 the service has made it in the other hierarchies, too.
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        hierarchies.for_each(|hierarchy| drop(fs::remove_dir(hierarchy.path().join(&name))));
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(&name));
    }
}

fn mount(args: &[&str], at: &Path) {
    let status = Command::new("mount").args(args).arg(at).status().expect("mount runs");
    assert!(status.success(), "mount {args:?}: {status}");
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_command_ends_without_a_word_when_nobody_reads_any_more() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut list = Command::new(env!("CARGO_BIN_EXE_quayside"));
    let ended = list.args(["config", "list"]).stdout(writer).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(141), "as by SIGPIPE");
}
