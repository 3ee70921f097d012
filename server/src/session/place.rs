//! A scenario's files on their way into the sandbox: first what goes where, as data, then the doing.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use quayside_runtime::shim::protocol::{Exec, FILES_MAX, Group};

use crate::lesson::model::{Asset, Scenario};
use crate::sandbox::{Put, PutSource, Sandbox, ShimError, in_home};

/// Where the output of background scripts goes, as scenarios expect it.
pub const LOG_DIR: &str = "/var/log/killercoda";

/// How scripts of lessons ask for the address of a port: a pattern with the word PORT in it.
const HOST_FILE: &str = "/etc/killercoda/host";

/// True inside the machine. From a browser no port can be reached yet.
const HOST_PATTERN: &str = "http://172.30.1.2:PORT\n";

/// Paths in one chmod: far below the kernel's limit for arguments.
const CHMOD_PATHS_MAX: usize = 500;

/// What is to be placed.
#[derive(Debug, Default)]
pub struct Placement {
    pub files: Vec<Put>,
    /// By mode as its author wrote it, in the order of the first file of each.
    pub modes: Vec<(String, Vec<String>)>,
    /// What cannot be placed, for the learner.
    pub remarks: Vec<String>,
}

/// Works out the placement. Looks at each file's size and nothing else.
pub fn plan(scenario: &Scenario) -> Placement {
    let mut placement = Placement::default();
    for stream in ["stdout", "stderr"] {
        placement.files.push(Put {
            path: format!("{LOG_DIR}/background0_{stream}.log"),
            mode: 0o644,
            source: PutSource::Bytes(Bytes::new()),
        });
    }
    placement.files.push(Put {
        path: HOST_FILE.into(),
        mode: 0o644,
        source: PutSource::Bytes(Bytes::from_static(HOST_PATTERN.as_bytes())),
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

/// Places the files and sets their modes. A mode that chmod(1) does not take is a remark, as scenarios in the
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
    Ok(remarks)
}

async fn chmod(sandbox: &Sandbox, mode: &str, paths: &[String]) -> Result<Result<(), String>, ShimError> {
    let mut exec = Exec { timeout_ms: 10_000, output_max: 1024, ..in_home(["chmod", "--", mode], Group::Payload) };
    exec.args.extend_from_slice(paths);
    let mut said = Vec::new();
    let finished = sandbox.exec(exec, b"").await?.finish(|_, bytes| said.extend_from_slice(bytes)).await?;
    let said = || String::from_utf8_lossy(&said).trim().to_owned();
    Ok(if finished.code == 0 { Ok(()) } else { Err(said()) })
}
