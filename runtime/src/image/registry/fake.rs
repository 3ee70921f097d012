//! A registry of a test: it answers as the test says, one request a connection, on a port of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::digest::Digest;
use super::super::oci::{Descriptor, ImageConfig, Manifest, RootFs, media};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /v2/x/manifests/1`
    pub line: String,
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// So many bytes are sent, then the connection breaks.
    cut: Option<usize>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }

    fn send(self, to: &mut TcpStream) -> std::io::Result<()> {
        write!(to, "HTTP/1.1 {} Said\r\nContent-Length: {}\r\nConnection: close\r\n", self.status, self.body.len())?;
        for (name, value) in &self.headers {
            write!(to, "{name}: {value}\r\n")?;
        }
        to.write_all(b"\r\n")?;
        to.write_all(&self.body[..self.cut.unwrap_or(self.body.len())])
    }
}

/// Answers until the test's process ends; a thread that waits for a connection costs nothing.
pub struct Fake {
    /// `localhost:PORT`
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub fn answering(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || {
                    let Some((asked, mut stream)) = read(stream) else { return };
                    seen.lock().unwrap().push(asked.clone());
                    let _ = answer(&asked).send(&mut stream);
                });
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn read(stream: TcpStream) -> Option<(Asked, TcpStream)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).ok()?;
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    Some((Asked { line, headers }, reader.into_inner()))
}

/// An image as a registry has it.
#[derive(Clone, Default)]
pub struct Shelf {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub layers: Vec<Descriptor>,
    pub diff_ids: Vec<Digest>,
    pub config: Option<Digest>,
    pub manifest: Option<Digest>,
}

impl Shelf {
    /// An image under `tag`, with a layer of one file for each of `contents`.
    pub fn image(tag: &str, contents: &[&[u8]]) -> Self {
        let mut shelf = Self::default();
        for (place, content) in contents.iter().enumerate() {
            let archive = archive(&format!("file{place}"), content);
            shelf.diff_ids.push(Digest::of(&archive));
            let blob = gzip(&archive);
            shelf.layers.push(Descriptor::new(media::LAYER_GZIP, Digest::of(&blob), blob.len() as u64));
            shelf.blobs.insert(Digest::of(&blob).to_string(), blob);
        }
        let rootfs = RootFs { diff_ids: shelf.diff_ids.clone(), ..RootFs::default() };
        let config = serde_json::to_vec(&ImageConfig { rootfs, ..ImageConfig::scratch() }).unwrap();
        let descriptor = Descriptor::new(media::CONFIG, Digest::of(&config), config.len() as u64);
        shelf.config = Some(descriptor.digest);
        shelf.blobs.insert(descriptor.digest.to_string(), config);
        let manifest = serde_json::to_vec_pretty(&Manifest::new(descriptor, shelf.layers.clone())).unwrap();
        shelf.manifest = Some(Digest::of(&manifest));
        shelf.document(tag, media::MANIFEST, manifest);
        shelf
    }

    pub fn document(&mut self, tag: &str, media_type: &str, bytes: Vec<u8>) {
        let entry = (media_type.to_owned(), bytes);
        self.manifests.insert(Digest::of(&entry.1).to_string(), entry.clone());
        self.manifests.insert(tag.to_owned(), entry);
    }

    /// As a registry without any trouble answers for the repository `web`.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        if let Some((media_type, bytes)) =
            path.strip_prefix("/v2/web/manifests/").and_then(|name| self.manifests.get(name))
        {
            return Reply::new(200, bytes.clone()).header("Content-Type", media_type);
        }
        let blob = path.strip_prefix("/v2/web/blobs/").and_then(|digest| self.blobs.get(digest));
        match (blob, asked.header("range")) {
            (Some(blob), None) => Reply::new(200, blob.clone()),
            (Some(blob), Some(range)) => {
                let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
                let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
                Reply::new(206, &blob[from..]).header("Content-Range", range)
            }
            (None, _) => Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
        }
    }
}

fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
