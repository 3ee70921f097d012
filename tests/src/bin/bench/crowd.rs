//! Many sessions: idle ones, people who type, and a thousand one after another.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use quayside_tests::census;
use quayside_tests::figures::{Figures, ms};
use quayside_tests::service::{self, Service};
use quayside_tests::visitor::{Typing, Visitor};

/// How long idle sessions are watched.
const WATCHED: Duration = Duration::from_secs(60);
/// Between two keys of somebody who types: 300 in a minute.
const KEY: Duration = Duration::from_millis(200);
/// A learner presses the check's button after so many keys.
const KEYS_A_CHECK: usize = 150;
/// Sessions that start and end, and after how many the memory is looked at.
const CHURN_STEP: usize = 250;
/// Of them at once.
const CHURN_AT_ONCE: usize = 8;
/// Terminals that are opened at once in machines that run.
const OPENED_AT_ONCE: usize = 16;

/// What a service with so many idle sessions takes: memory by part, processor time, descriptors, loop devices.
pub fn idle(service: &Service, sessions: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut visitors = Vec::new();
    for number in 0..sessions {
        let mut visitor = Visitor::start_from(service, address(number))?;
        visitor.attach(1)?;
        visitor.wait_for_prompt()?;
        visitors.push(visitor);
    }
    println!("{sessions} idle sessions: started in {:.1} s, one after another", begin.elapsed().as_secs_f64());
    let before = cpu(service)?;
    std::thread::sleep(WATCHED);
    let after = cpu(service)?;
    println!(
        "{sessions} idle sessions, by part: processes, PSS in KiB, RSS in KiB, processor time of {WATCHED:?}, descriptors"
    );
    for (name, part) in parts(service)? {
        let used = after
            .get(&name)
            .copied()
            .unwrap_or_default()
            .saturating_sub(before.get(&name).copied().unwrap_or_default());
        println!("  {name}: {}, {}, {}, {}, {}", part.processes, part.pss_kib, part.rss_kib, ms(used), part.files);
    }
    println!("{sessions} idle sessions: {} loop devices", loop_devices(service));
    prompts(&mut visitors)?
        .print(&format!("{sessions} sessions: a second terminal, from its connection to its prompt"));
    let begin = Instant::now();
    visitors.into_iter().try_for_each(Visitor::leave)?;
    wait_until_none(service);
    println!("{sessions} idle sessions: ended in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// What a prompt takes without a machine's start: everybody opens another terminal, so many at once.
pub fn prompts(visitors: &mut [Visitor]) -> anyhow::Result<Figures> {
    let mut figures = Figures::new();
    for some in visitors.chunks_mut(OPENED_AT_ONCE) {
        let took: Vec<anyhow::Result<Duration>> = std::thread::scope(|scope| {
            let open = |visitor: &mut Visitor| -> anyhow::Result<Duration> {
                let begin = Instant::now();
                visitor.attach(2)?;
                visitor.wait_for_prompt()?;
                Ok(begin.elapsed())
            };
            let threads: Vec<_> = some.iter_mut().map(|visitor| scope.spawn(move || open(visitor))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a visitor's thread")).collect()
        });
        for took in took {
            figures.add(took?);
        }
    }
    Ok(figures)
}

/// Learners who type at a human speed, and check now and then.
pub fn active(service: &Service, learners: usize, lesson: Duration) -> anyhow::Result<()> {
    let before = cpu(service)?;
    let results: Vec<anyhow::Result<(Figures, Figures)>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..learners).map(|number| scope.spawn(move || learner(service, number, lesson))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a learner's thread")).collect()
    });
    let after = cpu(service)?;
    let (mut keys, mut checks, mut errors) = (Figures::new(), Figures::new(), 0);
    for result in results {
        match result {
            Ok((more_keys, more_checks)) => {
                keys.extend(more_keys);
                checks.extend(more_checks);
            }
            Err(error) => {
                errors += 1;
                println!("  a learner: {error:#}");
            }
        }
    }
    keys.print(&format!("{learners} learners who type for {lesson:?}: a key's echo"));
    checks.print(&format!("{learners} learners: a check"));
    println!("{learners} learners: {errors} errors");
    for (name, used) in after {
        let used = used.saturating_sub(before.get(&name).copied().unwrap_or_default());
        println!("  {name}: {:.2} % of a processor", used.as_secs_f64() / lesson.as_secs_f64() * 100.0);
    }
    wait_until_none(service);
    Ok(())
}

fn learner(service: &Service, number: usize, lesson: Duration) -> anyhow::Result<(Figures, Figures)> {
    let mut visitor = Visitor::start_from(service, address(number))?;
    visitor.attach(1)?;
    visitor.wait_for_prompt()?;
    let (mut keys, mut checks) = (Figures::new(), Figures::new());
    let begin = Instant::now();
    for key in 1.. {
        if begin.elapsed() >= lesson {
            break;
        }
        keys.extend(visitor.time_keys(1, Typing::AtOnce)?);
        if key % 40 == 0 {
            visitor.run_line("\u{15}ls / | wc -l")?;
        }
        if key % KEYS_A_CHECK == KEYS_A_CHECK / 2 {
            let asked = Instant::now();
            visitor.check(1)?;
            checks.add(asked.elapsed());
        }
        std::thread::sleep(KEY);
    }
    visitor.leave()?;
    Ok((keys, checks))
}

/// Sessions that start, show a prompt and end: how many a second, and what of them is left.
pub fn churn(service: &Service, sessions: usize) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    let mut web = vec![report(service, 0)?];
    for done in (0..sessions).step_by(CHURN_STEP) {
        let begin = Instant::now();
        let ids: Vec<anyhow::Result<Vec<String>>> = std::thread::scope(|scope| {
            let lanes = (0..CHURN_AT_ONCE).map(|number| scope.spawn(move || lane(service, done, number)));
            lanes.collect::<Vec<_>>().into_iter().map(|lane| lane.join().expect("a visitor's thread")).collect()
        });
        for ids in ids {
            seen.extend(ids?);
        }
        wait_until_none(service);
        let rate = CHURN_STEP as f64 / begin.elapsed().as_secs_f64();
        println!("sessions started and ended: {rate:.1} a second, {CHURN_AT_ONCE} at once");
        web.push(report(service, done + CHURN_STEP)?);
    }
    // The first step fills caches that have a limit; what grows without one grows in every step.
    if let [_, first, .., last] = web[..] {
        let steps = web.len() - 2;
        let each = (last as f64 - first as f64) * 1024.0 / (steps * CHURN_STEP) as f64;
        println!(
            "web after {sessions} sessions: {:.2} of what it was after {CHURN_STEP}; {each:.0} bytes a session",
            last as f64 / first as f64
        );
    }
    let data = service.data();
    // The service's own processes, and this one.
    let parts = service.pids()?.into_iter().map(|(_, pid)| pid).chain([service.pid(), std::process::id()]);
    let left = census::count_beside(data, &seen, &parts.collect::<Vec<_>>());
    println!("left of {sessions} sessions: {} records, sockets, groups, processes and mounts {left:?}", left.len());
    println!(
        "left of {sessions} sessions: {} loop devices, {} files of leases",
        loop_devices(service),
        entries(&data.join("leases"))
    );
    Ok(())
}

/// One visitor after another; the ids of some sandboxes that ran meanwhile.
fn lane(service: &Service, done: usize, number: usize) -> anyhow::Result<Vec<String>> {
    let mut seen = Vec::new();
    for session in (number..CHURN_STEP).step_by(CHURN_AT_ONCE) {
        start_and_leave(service, done + session)?;
        seen.extend(service.sandboxes().into_iter().map(|(id, _)| id));
    }
    Ok(seen)
}

fn start_and_leave(service: &Service, number: usize) -> anyhow::Result<()> {
    let mut visitor = Visitor::start_from(service, address(number))?;
    visitor.attach(1)?;
    visitor.wait_for_prompt()?;
    visitor.leave().with_context(|| format!("session {number} does not end"))
}

/// Addresses of this machine, so many that no one of them starts more sessions than an address may.
fn address(number: usize) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::new(127, 0, 1, 1 + (number % 250) as u8)
}

/// Says it, and returns the web process's PSS in KiB.
fn report(service: &Service, sessions: usize) -> anyhow::Result<u64> {
    let mut line = format!("after {sessions} sessions:");
    let parts = parts(service)?;
    for (name, part) in parts.iter().filter(|(name, _)| *name == "web" || *name == "keeper") {
        line += &format!(" {name} PSS {} KiB, RSS {} KiB, {} descriptors;", part.pss_kib, part.rss_kib, part.files);
    }
    println!("{line} {} loop devices", loop_devices(service));
    Ok(parts.get("web").map_or(0, |web| web.pss_kib))
}

#[derive(Default)]
struct Part {
    processes: usize,
    pss_kib: u64,
    rss_kib: u64,
    files: usize,
}

fn parts(service: &Service) -> anyhow::Result<BTreeMap<String, Part>> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for (name, pid) in service.pids()? {
        let part = parts.entry(name).or_default();
        part.processes += 1;
        part.pss_kib += service::memory_kib(pid, "smaps_rollup", "Pss:");
        part.rss_kib += service::memory_kib(pid, "status", "VmRSS:");
        part.files += entries(std::path::Path::new(&format!("/proc/{pid}/fd")));
    }
    Ok(parts)
}

fn cpu(service: &Service) -> anyhow::Result<BTreeMap<String, Duration>> {
    let mut parts: BTreeMap<String, Duration> = BTreeMap::new();
    for (name, pid) in service.pids()? {
        *parts.entry(name).or_default() += service::cpu_of(pid).unwrap_or_default();
    }
    Ok(parts)
}

fn entries(directory: &std::path::Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

fn loop_devices(service: &Service) -> usize {
    let data = service.data().to_string_lossy();
    let backing = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten().filter_map(backing);
    devices.filter(|file| file.contains(&*data)).count()
}

fn wait_until_none(service: &Service) {
    let begin = Instant::now();
    while !service.sandboxes().is_empty() && begin.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(20));
    }
}
