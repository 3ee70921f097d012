//! The benchmark: every figure that the documents name, measured in one run and printed.
//!
//! `cargo run --release -p quayside-tests --bin bench -- [--bin PATH] [--data DIR] [--sessions N]
//! [--churn N] [--lesson SECONDS] [--only NAME]`, as root.
//! Nothing is asserted: machines are shared and noisy. What can be compared is measured in the same
//! run (the floor beside the launch, idle beside flooded), and the machine's load stands above it.

mod crowd;
mod floor;
mod images;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use quayside_tests::figures::{Figures, ms};
use quayside_tests::service::Service;
use quayside_tests::visitor::{Typing, Visitor};

/// Launches timed one after another.
const LAUNCHES: usize = 30;
/// Keys timed in each situation.
const KEYS: usize = 500;
/// `cat` of so many bytes.
const CAT_BYTES: usize = 100 * 1000 * 1000;

struct Options {
    binary: PathBuf,
    data: PathBuf,
    sessions: usize,
    /// Sessions that start and end.
    churn: usize,
    /// How long learners type.
    lesson: Duration,
    /// Only what has this name: `images`, `go`, `floor`, `create`, `echo`, `flood`, `cat`, `memory`, `class`,
    /// `idle-100`, `idle-300`, `active`, `churn`.
    only: Option<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }
}

fn options() -> anyhow::Result<Options> {
    let beside = std::env::current_exe()?.with_file_name("quayside");
    let mut options = Options {
        binary: beside,
        data: PathBuf::from("/var/tmp/quayside-bench"),
        sessions: 30,
        churn: 1000,
        lesson: Duration::from_secs(5 * 60),
        only: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--bin" => options.binary = value.into(),
            "--data" => options.data = value.into(),
            "--sessions" => options.sessions = value.parse().context("--sessions needs a number")?,
            "--churn" => options.churn = value.parse().context("--churn needs a number")?,
            "--lesson" => options.lesson = Duration::from_secs(value.parse().context("--lesson needs seconds")?),
            "--only" => options.only = Some(value),
            other => anyhow::bail!(
                "unknown option {other}; there are --bin, --data, --sessions, --churn, --lesson and --only"
            ),
        }
    }
    Ok(options)
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    println!("load before: {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    let size =
        std::fs::metadata(&options.binary).with_context(|| format!("no binary at {}", options.binary.display()))?;
    println!("binary: {:.1} MB", size.len() as f64 / 1e6);

    if options.wants("floor") {
        floor::measure(LAUNCHES)?.print("floor: eight namespaces, overlay, pivot, cgroups, veth, seccomp");
        floor::bash_start(LAUNCHES)?.print("bash alone: an interactive shell's start to its end, on the host");
    }
    if options.wants("images") {
        images::Images::new(&options.binary)?.measure().context("while measuring images")?;
    }
    if options.wants("go") {
        images::Images::new(&options.binary)?.go().context("while measuring builds of a Go program")?;
    }
    if matches!(options.only.as_deref(), Some("images" | "go")) {
        return Ok(());
    }
    let service = Service::start(&options.binary, &options.data)?;
    println!("service: first answer after {}, images ready after {}", ms(service.answered), ms(service.ready));
    let parts: [(&str, &dyn Fn() -> anyhow::Result<()>); 10] = [
        ("create", &|| create_to_prompt(&service)),
        ("echo", &|| echo(&service)),
        ("flood", &|| flood(&service)),
        ("cat", &|| cat(&service)),
        ("memory", &|| memory(&service)),
        ("class", &|| class(&service, options.sessions)),
        ("idle-100", &|| crowd::idle(&service, 100)),
        ("idle-300", &|| crowd::idle(&service, 300)),
        ("active", &|| crowd::active(&service, options.sessions, options.lesson)),
        ("churn", &|| crowd::churn(&service, options.churn)),
    ];
    for (name, part) in parts {
        if options.wants(name) {
            part().with_context(|| format!("while measuring {name}"))?;
        }
    }
    service.stop()?;
    println!("load after: {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    Ok(())
}

/// POST start to the first byte of the first prompt, one visitor after another.
fn create_to_prompt(service: &Service) -> anyhow::Result<()> {
    let mut create = Figures::new();
    let mut launch = Figures::new();
    for _ in 0..LAUNCHES {
        let begin = Instant::now();
        let mut visitor = Visitor::start(service)?;
        visitor.attach(1)?;
        visitor.wait_for_prompt()?;
        create.add(begin.elapsed());
        visitor.leave()?;
    }
    for line in service.launches_us()? {
        launch.add(Duration::from_micros(line));
    }
    create.print("create: POST start to prompt, over HTTP and WebSocket");
    launch.print("create: the launch alone, as the keeper measured it");
    Ok(())
}

/// What each station costs, and what a learner feels.
const HOW_TYPED: [(Typing, &str); 2] =
    [(Typing::AtOnce, "each as soon as the one before is there"), (Typing::ByHand, "5 to 15 ms apart")];

/// A key to its echo through page protocol, web, shim, pty and back.
fn echo(service: &Service) -> anyhow::Result<()> {
    let mut quiet = Visitor::start(service)?;
    quiet.attach(1)?;
    quiet.wait_for_prompt()?;
    for (typing, how) in HOW_TYPED {
        quiet.time_keys(KEYS, typing)?.print(&format!("key echo through readline, idle, {how}"));
    }
    let mut noisy = Visitor::start(service)?;
    noisy.attach(1)?;
    noisy.wait_for_prompt()?;
    let noise = noisy.flood_in_background("yes 0123456789abcdef0123456789abcdef")?;
    let mut beside = Visitor::start(service)?;
    beside.attach(1)?;
    beside.wait_for_prompt()?;
    for (typing, how) in HOW_TYPED {
        beside.time_keys(KEYS, typing)?.print(&format!("key echo beside a session that floods, {how}"));
    }
    beside.leave()?;
    noise.stop()?.leave()?;
    quiet.leave()
}

/// Ctrl-C under `yes`, seen by a page that draws 8 MB/s and acknowledges what it has drawn.
fn flood(service: &Service) -> anyhow::Result<()> {
    let mut figures = Figures::new();
    for _ in 0..5 {
        let mut visitor = Visitor::start(service)?;
        visitor.attach(1)?;
        visitor.wait_for_prompt()?;
        figures.add(visitor.interrupt_a_flood(8_000_000, Duration::from_secs(2))?);
        visitor.leave()?;
    }
    figures.print("Ctrl-C under a flood to the prompt, drawing 8 MB/s");
    Ok(())
}

fn cat(service: &Service) -> anyhow::Result<()> {
    let mut visitor = Visitor::start(service)?;
    visitor.attach(1)?;
    visitor.wait_for_prompt()?;
    visitor.run_line(&format!(
        "stty -opost; base64 -w 79 /dev/urandom | head -c {CAT_BYTES} > /tmp/big; cat /tmp/big > /dev/null"
    ))?;
    for _ in 0..3 {
        // Beside each, as what the machine does meanwhile is in both.
        let floor = floor::pty(CAT_BYTES)?;
        println!(
            "floor: cat of {:.0} MB into a pty that is read and thrown away: {:.0} MB/s; CPU a MB: the reader {}",
            CAT_BYTES as f64 / 1e6,
            floor.megabytes_a_second,
            ms(floor.each)
        );
        let cpu = service.cpu()?;
        let begin = Instant::now();
        let bytes = visitor.run_line("cat /tmp/big")?;
        let seconds = begin.elapsed().as_secs_f64();
        let (web, shim) = service.cpu()?;
        let (web, shim) = (web - cpu.0, shim - cpu.1);
        let each = |used: Duration| used.as_secs_f64() * 1000.0 / (bytes as f64 / 1e6);
        let mb = bytes as f64 / 1e6;
        println!(
            "cat of {mb:.0} MB: {:.0} MB/s, {:.2} of the floor's; CPU a MB: web {:.2} ms, shim {:.2} ms, {:.2} of the floor's",
            mb / seconds,
            mb / seconds / floor.megabytes_a_second,
            each(web),
            each(shim),
            each(web + shim) / (floor.each.as_secs_f64() * 1000.0)
        );
    }
    visitor.leave()
}

/// PSS of what one more idle session costs.
fn memory(service: &Service) -> anyhow::Result<()> {
    const IDLE: usize = 10;
    let web = service.web_pss_kib()?;
    let mut visitors = Vec::new();
    for _ in 0..IDLE {
        let mut visitor = Visitor::start(service)?;
        visitor.attach(1)?;
        visitor.wait_for_prompt()?;
        visitors.push(visitor);
    }
    std::thread::sleep(Duration::from_secs(1));
    let grown = (service.web_pss_kib()? as f64 - web as f64) / IDLE as f64;
    let parts = service.session_pss_kib()?;
    let each =
        |name: &str| parts.iter().filter(|(of, _)| of == name).map(|(_, kib)| *kib).sum::<u64>() as f64 / IDLE as f64;
    let (shim, init, bash) = (each("shim"), each("init"), each("bash"));
    let sum = (shim + init + bash + grown) / 1024.0;
    println!(
        "memory of an idle session (PSS, of {IDLE}): {sum:.2} MiB = shim {shim:.0} + init {init:.0} + bash {bash:.0} + web {grown:.0} KiB"
    );
    visitors.into_iter().try_for_each(Visitor::leave)
}

/// A class opens the lesson in the same second.
fn class(service: &Service, sessions: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let prompts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions)
            .map(|number| {
                scope.spawn(move || -> anyhow::Result<(Visitor, Duration)> {
                    std::thread::sleep(Duration::from_secs(1) * number as u32 / sessions as u32);
                    let asked = Instant::now();
                    let mut visitor = Visitor::start(service)?;
                    visitor.attach(1)?;
                    visitor.wait_for_prompt()?;
                    Ok((visitor, asked.elapsed()))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a visitor's thread")).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let all = begin.elapsed();
    let mut figures = Figures::new();
    let mut visitors = Vec::new();
    for (visitor, took) in prompts {
        figures.add(took);
        visitors.push(visitor);
    }
    figures.print(&format!("{sessions} sessions within one second: each from its start to its prompt"));
    println!("{sessions} sessions: the last prompt {} after the first start", ms(all));
    let more = crowd::prompts(&mut visitors)?;
    more.print(&format!("{sessions} sessions: a second terminal, from its connection to its prompt"));
    visitors.into_iter().try_for_each(Visitor::leave)
}
