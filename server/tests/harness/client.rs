//! A browser's worth of HTTP and WebSocket: no more than the tests need, and nothing that would hide a byte.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use quayside_runtime::shim::wire::{FromViewer, ToViewer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::PATIENCE;

/// One browser: it remembers its cookie and sends what browsers send.
pub struct Client {
    address: SocketAddr,
    cookie: Mutex<Option<String>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, cookie: Mutex::new(None) }
    }

    pub fn cookie(&self) -> Option<String> {
        self.cookie.lock().expect("not poisoned").clone()
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// As our own page posts.
    pub async fn post(&self, path: &str, form: &str) -> Answer {
        let origin = self.origin();
        let headers = [
            ("origin", origin.as_str()),
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", path, &headers, form).await
    }

    /// With exactly these headers besides the cookie; `host` or `cookie` among them replaces ours.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.address);
        }
        if let Some(cookie) = self.cookie()
            && !headers.iter().any(|(name, _)| *name == "cookie")
        {
            head += &format!("cookie: {cookie}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method != "GET" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        timeout(PATIENCE * 2, stream.read_to_end(&mut bytes)).await.expect("in time").expect("an answer");
        let answer = parse(&String::from_utf8_lossy(&bytes));
        if let Some(cookie) = answer.header("set-cookie").and_then(|line| line.split(';').next()) {
            *self.cookie.lock().expect("not poisoned") = Some(cookie.into());
        }
        answer
    }

    /// Starts the harness's lesson; the session as JSON.
    pub async fn start(&self) -> serde_json::Value {
        let answer = self.post("/harbour/first/start", "page=intro").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Starts the harness's lesson and waits until it is in `phase`; its id.
    pub async fn start_until(&self, phase: &str) -> String {
        let id = self.start().await["id"].as_str().expect("an id").to_owned();
        self.wait_for_phase(&id, phase).await;
        id
    }

    pub async fn session(&self, id: &str) -> serde_json::Value {
        self.get(&format!("/api/sessions/{id}")).await.json()
    }

    pub async fn wait_for_phase(&self, id: &str, phase: &str) {
        super::eventually(&format!("phase {phase}"), async || self.session(id).await["phase"]["is"] == phase).await;
    }

    pub async fn websocket(&self, path: &str) -> Result<Socket, tungstenite::Error> {
        let origin = self.origin();
        self.websocket_with(path, &[("origin", &origin), ("sec-websocket-protocol", "quayside.2")]).await
    }

    pub async fn websocket_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        if let Some(cookie) = self.cookie() {
            request.headers_mut().insert("cookie", cookie.parse().expect("a cookie"));
        }
        let stream = tokio_tungstenite::connect_async(request).await?.0;
        Ok(Socket { stream, offset: 0, screen: Vec::new(), typed: 0 })
    }

    /// Terminal `number`, attached as `viewer` who has the screen up to `have`.
    pub async fn terminal(&self, session: &str, number: u16, viewer: u128, have: u64) -> Socket {
        let path = format!("/api/sessions/{session}/terminals/{number}");
        let mut socket = self.websocket(&path).await.expect("a WebSocket");
        socket.frame(&FromViewer::Attach { viewer, have, cols: 80, rows: 24, restart: false, roles: false }).await;
        match socket.next().await {
            Some(ToViewer::Attached { offset, input, .. }) => {
                socket.offset = offset;
                socket.typed = input;
            }
            other => panic!("{other:?} instead of attached"),
        }
        socket
    }
}

/// A WebSocket, and the screen that came over it.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub offset: u64,
    pub screen: Vec<u8>,
    pub typed: u64,
}

impl Socket {
    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.expect("sent");
    }

    pub async fn frame(&mut self, frame: &FromViewer) {
        self.send(Message::Binary(frame.encode().into())).await;
    }

    /// Types, with the numbers that the protocol asks for.
    pub async fn keys(&mut self, keys: &[u8]) {
        self.frame(&FromViewer::Input { number: self.typed, bytes: keys.into() }).await;
        self.typed += keys.len() as u64;
    }

    /// The next message of any kind; `None` at the end.
    pub async fn message(&mut self) -> Option<Message> {
        match timeout(PATIENCE, self.stream.next()).await.expect("a message in time") {
            Some(Ok(message)) => Some(message),
            Some(Err(_)) | None => None,
        }
    }

    pub async fn next(&mut self) -> Option<ToViewer> {
        loop {
            match self.message().await? {
                Message::Binary(frame) => return Some(ToViewer::decode(&frame).expect("a frame")),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} instead of a frame"),
            }
        }
    }

    /// Reads until the screen shows `text`.
    pub async fn shows(&mut self, text: &str) {
        while !contains(&self.screen, text.as_bytes()) {
            match self.next().await {
                Some(ToViewer::Output { bytes }) => self.drew(&bytes).await,
                Some(_) => {}
                None => panic!("ended before {text:?}: {}", String::from_utf8_lossy(&self.screen)),
            }
        }
    }

    /// Reads `count` bytes of output.
    pub async fn reads(&mut self, count: usize) {
        while self.screen.len() < count {
            match self.next().await {
                Some(ToViewer::Output { bytes }) => self.drew(&bytes).await,
                Some(_) => {}
                None => panic!("ended after {} of {count} bytes", self.screen.len()),
            }
        }
    }

    async fn drew(&mut self, bytes: &[u8]) {
        self.screen.extend_from_slice(bytes);
        let offset = self.offset + self.screen.len() as u64;
        self.frame(&FromViewer::Ack { offset }).await;
    }

    /// The next JSON message of a live connection.
    pub async fn live(&mut self) -> Option<serde_json::Value> {
        loop {
            match self.message().await? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Reads on until a live message has `key` equal to `value`.
    pub async fn live_until(&mut self, key: &str, value: &str) -> serde_json::Value {
        let reading = async {
            loop {
                let message = self.live().await.unwrap_or_else(|| panic!("ended before {key} = {value}"));
                if message[key] == value {
                    return message;
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("waited in vain for {key} = {value}"))
    }

    /// Reads on until the server closes, and how it did.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match timeout(Duration::from_secs(40), self.stream.next()).await.expect("an end in time") {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The connection breaks without a word, as when a lid is closed.
    pub async fn vanish(self) {
        drop(self.stream);
    }
}

pub fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
    let headers: Vec<(String, String)> = headers.collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body) } else { body.into() };
    Answer { status: status.expect("a status"), headers, body }
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if size == 0 {
            break;
        }
        whole += &rest[..size];
        body = &rest[size + 2..];
    }
    whole
}
