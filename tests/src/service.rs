//! The service under measurement, in a data directory of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Long enough to fetch the learners' image over a slow line.
const READY: Duration = Duration::from_secs(600);

/// What a session is counted with: several times what an idle one takes, so that hundreds find room on a small machine.
const SESSION_MEMORY: &str = "32MiB";

pub struct Service {
    binary: PathBuf,
    data: PathBuf,
    child: Child,
    log: PathBuf,
    pub port: u16,
    pub answered: Duration,
    pub ready: Duration,
}

impl Service {
    /// With the learners' image.
    pub fn start(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut service = Self::spawn(binary, data, &[])?;
        let begin = Instant::now();
        while !service.image_ready()? {
            ensure!(begin.elapsed() < READY, "the learners' image does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        service.ready = service.answered + begin.elapsed();
        Ok(service)
    }

    /// With the image borrowed from the host alone: nothing is fetched, and nothing built beside what is measured.
    pub fn start_on_host_image(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut service = Self::spawn(binary, data, &["--debian-mirror", "http://127.0.0.1:9/debian"])?;
        let begin = Instant::now();
        while service.get("/health/ready").is_err() {
            ensure!(begin.elapsed() < READY, "the service does not become ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        service.ready = service.answered + begin.elapsed();
        Ok(service)
    }

    fn spawn(binary: &Path, data: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        fs::create_dir_all(data)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = data.join("bench.log");
        let begin = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--sessions-max", "400"])
            .args(flags)
            .env("QUAYSIDE_SESSIONS_MEMORY_PER_SESSION", SESSION_MEMORY)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut service = Self {
            binary: binary.into(),
            data: data.into(),
            child,
            log,
            port,
            answered: Duration::ZERO,
            ready: Duration::ZERO,
        };
        while service.get("/health/live").is_err() {
            let ended = service.child.try_wait()?;
            ensure!(ended.is_none() && begin.elapsed() < READY, "the service does not answer; ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        service.answered = begin.elapsed();
        Ok(service)
    }

    fn image_ready(&self) -> anyhow::Result<bool> {
        let output = Command::new(&self.binary).args(["image", "ls", "--data"]).arg(&self.data).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().any(|line| line.starts_with("learner") && line.contains("ready")))
    }

    /// The supervisor's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        Ok(ureq::get(format!("{}{path}", self.origin())).call()?.body_mut().read_to_string()?)
    }

    /// `launch_us` of every launch that the web process logged.
    pub fn launches_us(&self) -> anyhow::Result<Vec<u64>> {
        let log = fs::read_to_string(&self.log)?;
        let after = |line: &str| line.split("launch_us=").nth(1)?.split_whitespace().next()?.parse().ok();
        Ok(log.lines().filter_map(after).collect())
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Sandboxes that run, by their records: id and the shim's pid.
    pub fn sandboxes(&self) -> Vec<(String, u32)> {
        let entries = fs::read_dir(self.data.join("sandboxes")).into_iter().flatten().flatten();
        let records = entries.filter_map(|entry| {
            let record: serde_json::Value =
                serde_json::from_slice(&fs::read(entry.path().join("sandbox.json")).ok()?).ok()?;
            Some((entry.file_name().into_string().ok()?, record["shim_pid"].as_u64()? as u32))
        });
        records.collect()
    }

    /// Pids of processes of this service's sandboxes and parts, by their part's name.
    pub fn pids(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let mut pids = Vec::new();
        let mut ours = vec![self.child.id()];
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let name = name_of(&String::from_utf8_lossy(&cmdline));
            parents.push((pid, parent.unwrap_or(0), name));
        }
        // Children of ours are ours, however deep.
        while let Some(parent) = ours.pop() {
            for (pid, _, name) in parents.iter().filter(|(_, of, _)| *of == parent) {
                pids.push((name.clone(), *pid));
                ours.push(*pid);
            }
        }
        Ok(pids)
    }

    /// CPU time that web and shims have used.
    pub fn cpu(&self) -> anyhow::Result<(Duration, Duration)> {
        let (mut web, mut shims) = (Duration::ZERO, Duration::ZERO);
        for (name, pid) in self.pids()? {
            match name.as_str() {
                "web" => web += cpu_of(pid)?,
                "shim" => shims += cpu_of(pid)?,
                _ => {}
            }
        }
        Ok((web, shims))
    }

    pub fn web_pss_kib(&self) -> anyhow::Result<u64> {
        Ok(self.pids()?.iter().filter(|(name, _)| name == "web").map(|(_, pid)| pss_kib(*pid)).sum())
    }

    /// PSS of every process that is not a part, by name.
    pub fn session_pss_kib(&self) -> anyhow::Result<Vec<(String, u64)>> {
        Ok(self.pids()?.into_iter().map(|(name, pid)| (name, pss_kib(pid))).collect())
    }

    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let status =
            Command::new(&self.binary).arg("stop").arg("--data").arg(&self.data).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "cannot stop the service");
        self.child.wait()?;
        Ok(())
    }
}

/// A test that fails leaves no service and no sandbox behind.
impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}

/// User and system time, from proc_pid_stat(5), in ticks of 10 ms.
pub fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |field: usize| fields.get(field).context("a short line")?.parse::<u64>().context("not a number");
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

fn name_of(cmdline: &str) -> String {
    let mut words = cmdline.split('\0');
    let program = words.next().unwrap_or("").rsplit('/').next().unwrap_or("");
    if program == "quayside" { words.next().unwrap_or("").into() } else { program.into() }
}

fn pss_kib(pid: u32) -> u64 {
    memory_kib(pid, "smaps_rollup", "Pss:")
}

/// The line `name` of a file of /proc/PID.
pub fn memory_kib(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
