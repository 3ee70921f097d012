//! A scenario's files on their way into the sandbox, and the services of its machine: first what goes where, as data,
//! then the doing.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use quayside_runtime::shim::protocol::{Exec, FILES_MAX, Group};

use crate::lesson::model::{Asset, Scenario};
use crate::sandbox::{Put, PutSource, Sandbox, ShimError, in_home};

/// Where the output of background scripts goes, as scenarios expect it.
pub const LOG_DIR: &str = "/var/log/killercoda";

/// Paths in one chmod: far below the kernel's limit for arguments.
const CHMOD_PATHS_MAX: usize = 500;

/// Where scenarios look for the address of a port, with `PORT` in place of its number.
const PORT_ADDRESS_FILE: &str = "/etc/killercoda/host";
/// Ports are reached from inside only.
const PORT_ADDRESS: &str = "http://localhost:PORT\n";

/// What is to be placed.
#[derive(Debug, Default)]
pub struct Placement {
    pub files: Vec<Put>,
    /// By mode as its author wrote it, in the order of the first file of each.
    pub modes: Vec<(String, Vec<String>)>,
    /// The program that starts the machine's services.
    pub starts: Option<String>,
    /// What cannot be placed, for the learner.
    pub remarks: Vec<String>,
}

/// Works out the placement. Looks at each file's size and nothing else.
pub fn plan(scenario: &Scenario) -> Placement {
    let mut placement = Placement { starts: scenario.environment.starts.clone(), ..Placement::default() };
    for stream in ["stdout", "stderr"] {
        placement.files.push(Put {
            path: format!("{LOG_DIR}/background0_{stream}.log"),
            mode: 0o644,
            source: PutSource::Bytes(Bytes::new()),
        });
    }
    placement.files.push(Put {
        path: PORT_ADDRESS_FILE.into(),
        mode: 0o644,
        source: PutSource::Bytes(Bytes::from_static(PORT_ADDRESS.as_bytes())),
    });
    let mut left = FILES_MAX;
    let mut modes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for asset in &scenario.assets {
        match source(asset, left) {
            Ok((source, size)) => {
                left -= size;
                placement.files.push(Put { path: asset.target.clone(), mode: 0o644, source });
                if let Some(mode) = &asset.chmod {
                    modes.entry(mode).or_default().push(asset.target.clone());
                }
            }
            Err(why) => placement.remarks.push(format!("The lesson's file {} is not there: {why}.", asset.target)),
        }
    }
    placement.modes = modes.into_iter().map(|(mode, paths)| (mode.to_owned(), paths)).collect();
    placement
}

fn source(asset: &Asset, left: u64) -> Result<(PutSource, u64), String> {
    let path: &Path = &asset.source;
    let metadata = path.metadata().map_err(|error| error.kind().to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".into());
    }
    let size = metadata.len();
    if size > left {
        return Err(format!("all files of a lesson together may have {} MiB", FILES_MAX / 1024 / 1024));
    }
    Ok((PutSource::File { path: path.to_owned(), size }, size))
}

/// Places the files, sets their modes and starts the services. A mode that chmod(1) does not take is a remark, as scenarios in the
/// wild have `+rww` and `+wr`; files that cannot be placed are an error.
pub async fn carry_out(sandbox: &Sandbox, placement: &Placement) -> Result<Vec<String>, ShimError> {
    sandbox.put(&placement.files).await?;
    let mut remarks = Vec::new();
    for (mode, paths) in &placement.modes {
        for paths in paths.chunks(CHMOD_PATHS_MAX) {
            if let Err(said) = chmod(sandbox, mode, paths).await? {
                remarks.push(format!("The mode {mode:?} of {} is not one that chmod takes: {said}", paths.join(", ")));
            }
        }
    }
    if let Some(program) = &placement.starts
        && let Err(said) = start(sandbox, program).await?
    {
        remarks.push(format!("The machine's services did not start: {said}"));
    }
    Ok(remarks)
}

/// An image borrowed from the host has no such program, and then nothing is started.
async fn start(sandbox: &Sandbox, program: &str) -> Result<Result<(), String>, ShimError> {
    let script = "[ ! -x \"$1\" ] || exec \"$1\"";
    said_by(sandbox, in_home(["sh", "-c", script, "start", program], Group::Payload)).await
}

async fn chmod(sandbox: &Sandbox, mode: &str, paths: &[String]) -> Result<Result<(), String>, ShimError> {
    let mut exec = in_home(["chmod", "--", mode], Group::Payload);
    exec.args.extend_from_slice(paths);
    said_by(sandbox, exec).await
}

/// Runs something short. `Err`: what it said when it failed.
async fn said_by(sandbox: &Sandbox, exec: Exec) -> Result<Result<(), String>, ShimError> {
    let exec = Exec { timeout_ms: 10_000, output_max: 1024, ..exec };
    let mut said = Vec::new();
    let finished = sandbox.exec(exec, b"").await?.finish(|_, bytes| said.extend_from_slice(bytes)).await?;
    let said = || String::from_utf8_lossy(&said).trim().to_owned();
    Ok(if finished.code == 0 { Ok(()) } else { Err(said()) })
}
