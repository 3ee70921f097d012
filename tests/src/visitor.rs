//! A visitor without a browser: starts a session and speaks the page's protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use quayside_runtime::shim::wire::{FromViewer, ToViewer};
use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::{Bytes, Message, WebSocket};

use crate::figures::Figures;
use crate::service::Service;
use crate::turns;

/// The lesson that visitors open.
const LESSON: &str = "/containers/what-is-a-container";

/// OSC 133;B, the end of our prompt.
const PROMPT: &[u8] = b"\x1b]133;B\x07";

/// Acknowledged as a page does: every so many bytes.
const ACK_EVERY: u64 = 64 * 1024;

/// Nothing here takes this long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// How keys follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// Each as soon as the one before it is on the screen, as no hand does: what each station of a key costs.
    AtOnce,
    /// With pauses of 5 to 15 ms, in which every station goes to sleep and has to be woken: three times as fast as a
    /// key that is held down repeats.
    ByHand,
}

impl Typing {
    /// Each falls in another part of the kernel's tick.
    fn pause_before(self, number: usize) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            // Steps of the golden section spread evenly, however many there are.
            Self::ByHand => Duration::from_micros(5_000 + number as u64 * 6_180 % 10_000),
        }
    }
}

pub struct Visitor {
    origin: String,
    cookie: String,
    session: String,
    socket: Option<WebSocket<TcpStream>>,
    drawn: u64,
    acked: u64,
    typed: u64,
}

impl Visitor {
    /// POST start, as the page does.
    pub fn start(service: &Service) -> anyhow::Result<Self> {
        let origin = service.origin();
        let response = ureq::post(format!("{origin}{LESSON}/start"))
            .header("origin", &origin)
            .header("accept", "application/json")
            .send_form([("page", "intro")]);
        let mut response = response.context("cannot start a session")?;
        let cookie = response.headers().get("set-cookie").context("no cookie")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let view: serde_json::Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
        let session = view["id"].as_str().context("no session")?.to_owned();
        Ok(Self { origin, cookie, session, socket: None, drawn: 0, acked: 0, typed: 0 })
    }

    /// The same from another of this machine's loopback addresses: one address may start only so many.
    pub fn start_from(service: &Service, address: Ipv4Addr) -> anyhow::Result<Self> {
        let origin = service.origin();
        let host = origin.trim_start_matches("http://");
        let mut stream = connect_from(address, service.port)?;
        let form = "page=intro";
        write!(
            stream,
            "POST {LESSON}/start HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\naccept: application/json\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
            form.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("no answer to the start of a session")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head and a body")?;
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.with_context(|| format!("no cookie: {head}"))?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let view: serde_json::Value = serde_json::from_str(body).with_context(|| format!("no session: {answer}"))?;
        let session = view["id"].as_str().context("no session")?.to_owned();
        Ok(Self { origin, cookie, session, socket: None, drawn: 0, acked: 0, typed: 0 })
    }

    /// The button of step `step`; any answer of the check's will do.
    pub fn check(&self, step: usize) -> anyhow::Result<()> {
        let url = format!("{}/api/sessions/{}/steps/{step}/check", self.origin, self.session);
        ureq::post(url).header("origin", &self.origin).header("cookie", &self.cookie).send_empty()?;
        Ok(())
    }

    /// Looks at a terminal; before the machine is there, the server says "later", and so we ask again.
    pub fn attach(&mut self, terminal: u16) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            match self.try_attach(terminal) {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn try_attach(&mut self, terminal: u16) -> anyhow::Result<()> {
        let host = self.origin.trim_start_matches("http://").to_owned();
        let url = format!("ws://{host}/api/sessions/{}/terminals/{terminal}", self.session);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", self.origin.parse()?);
        headers.insert("cookie", self.cookie.parse()?);
        headers.insert("sec-websocket-protocol", "quayside.2".parse()?);
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (socket, _) = client(request, stream)?;
        self.socket = Some(socket);
        self.send(&FromViewer::Attach { viewer: 7, have: 0, cols: 120, rows: 40, restart: false, roles: false })?;
        match self.receive()? {
            ToViewer::Attached { offset, .. } => {
                (self.drawn, self.acked) = (offset, offset);
                Ok(())
            }
            other => bail!("instead of attached: {other:?}"),
        }
    }

    fn socket(&mut self) -> anyhow::Result<&mut WebSocket<TcpStream>> {
        self.socket.as_mut().context("not attached")
    }

    fn send(&mut self, frame: &FromViewer) -> anyhow::Result<()> {
        Ok(self.socket()?.send(Message::Binary(Bytes::from(frame.encode())))?)
    }

    fn receive(&mut self) -> anyhow::Result<ToViewer> {
        loop {
            match self.socket()?.read()? {
                Message::Binary(bytes) => return Ok(ToViewer::decode(&bytes)?),
                Message::Close(why) => bail!("closed: {why:?}"),
                _ => {}
            }
        }
    }

    fn type_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let number = self.typed;
        self.typed += bytes.len() as u64;
        self.send(&FromViewer::Input { number, bytes: bytes.to_vec() })
    }

    /// The next piece of output, drawn and acknowledged.
    fn output(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let ToViewer::Output { bytes } = self.receive()? {
                self.drawn += bytes.len() as u64;
                if self.drawn - self.acked >= ACK_EVERY {
                    self.acked = self.drawn;
                    let offset = self.drawn;
                    self.send(&FromViewer::Ack { offset })?;
                }
                return Ok(bytes);
            }
        }
    }

    /// Reads until the prompt stands; returns how many bytes came before it.
    pub fn wait_for_prompt(&mut self) -> anyhow::Result<u64> {
        let begin = self.drawn;
        let mut tail = Vec::new();
        loop {
            tail.extend(self.output()?);
            if tail.windows(PROMPT.len()).any(|window| window == PROMPT) {
                return Ok(self.drawn - begin);
            }
            let keep = tail.len().saturating_sub(PROMPT.len());
            tail.drain(..keep);
        }
    }

    /// Types a line and waits for the next prompt; returns the bytes of output.
    pub fn run_line(&mut self, line: &str) -> anyhow::Result<u64> {
        self.type_bytes(format!("{line}\r").as_bytes())?;
        self.wait_for_prompt()
    }

    /// Types keys one by one and times each echo, without the pauses.
    pub fn time_keys(&mut self, keys: usize, typing: Typing) -> anyhow::Result<Figures> {
        self.time_those_keys(keys, typing, || true)
    }

    /// Of those keys after whose echo `counts` says so.
    pub fn time_those_keys(
        &mut self,
        keys: usize,
        typing: Typing,
        mut counts: impl FnMut() -> bool,
    ) -> anyhow::Result<Figures> {
        let mut figures = Figures::new();
        for number in 0..keys {
            let key = b'a' + (number % 26) as u8;
            std::thread::sleep(typing.pause_before(number));
            let begin = Instant::now();
            self.type_bytes(&[key])?;
            while !self.output()?.contains(&key) {}
            let took = begin.elapsed();
            if counts() {
                figures.add(took);
            }
            if number % 40 == 39 {
                self.type_bytes(&[0x15])?; // Ctrl-U: the line stays short
                std::thread::sleep(Duration::from_millis(20));
                self.drain(Duration::from_millis(20))?;
            }
        }
        Ok(figures)
    }

    fn drain(&mut self, quiet: Duration) -> anyhow::Result<()> {
        self.socket()?.get_ref().set_read_timeout(Some(quiet))?;
        while self.output().is_ok() {}
        self.socket()?.get_ref().set_read_timeout(Some(PATIENCE))?;
        Ok(())
    }

    /// `yes` while a page draws `rate` bytes a second; then Ctrl-C, and the time to the prompt.
    pub fn interrupt_a_flood(&mut self, rate: u64, flood: Duration) -> anyhow::Result<Duration> {
        self.type_bytes(b"yes 0123456789abcdef\r")?;
        let begin = Instant::now();
        let start = self.drawn;
        let pace = |drawn: u64| {
            let due = Duration::from_secs_f64((drawn - start) as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        };
        while begin.elapsed() < flood {
            self.output()?;
            pace(self.drawn);
        }
        self.type_bytes(&[0x03])?;
        let pressed = Instant::now();
        let mut tail = Vec::new();
        while !tail.windows(PROMPT.len()).any(|window| window == PROMPT) {
            ensure!(pressed.elapsed() < PATIENCE, "no prompt after Ctrl-C");
            let keep = tail.len().saturating_sub(PROMPT.len());
            tail.drain(..keep);
            tail.extend(self.output()?);
            pace(self.drawn);
        }
        Ok(pressed.elapsed())
    }

    /// Floods from a thread that reads as fast as it comes.
    pub fn flood_in_background(mut self, command: &str) -> anyhow::Result<Noise> {
        self.type_bytes(format!("{command}\r").as_bytes())?;
        Ok(self.in_background(u64::MAX, || ()))
    }

    /// Draws `rate` bytes a second of what comes, in a thread, as a page on another machine does.
    pub fn draw_in_background(self, rate: u64) -> Noise {
        self.in_background(rate, turns::go_last)
    }

    fn in_background(mut self, rate: u64, begins: fn()) -> Noise {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let (begin, start) = (Instant::now(), self.drawn);
        let thread = std::thread::spawn(move || {
            begins();
            while !stopping.load(Ordering::Relaxed) && self.output().is_ok() {
                let due = Duration::from_secs_f64((self.drawn - start) as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(begin.elapsed()));
            }
            self
        });
        Noise { stop, thread }
    }

    pub fn leave(self) -> anyhow::Result<()> {
        let url = format!("{}/api/sessions/{}/leave", self.origin, self.session);
        ureq::post(url).header("origin", &self.origin).header("cookie", &self.cookie).send_empty()?;
        Ok(())
    }
}

fn connect_from(address: Ipv4Addr, port: u16) -> anyhow::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(address, 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(TcpStream::from(socket))
}

/// A visitor whose terminal floods.
pub struct Noise {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<Visitor>,
}

impl Noise {
    pub fn stop(self) -> anyhow::Result<Visitor> {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(self.thread.join().expect("the flood's thread"))
    }
}
