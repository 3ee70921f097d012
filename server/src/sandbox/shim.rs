//! What is asked of one sandbox: each purpose is a connection of its own to its shim.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use quayside_runtime::shim::protocol::{
    Exec, FILES_MAX, FileHead, Finished, FromShim, Group, Open, Purpose, SCRIPT_MAX, State, ToShim,
};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Sandbox;
use super::frame::{FrameReader, FrameWriter, framed};

/// How long a shim may take to accept a connection; it is one loop that never waits.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long all files of a scenario may take.
const PUT_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a script or a file in one frame.
const CHUNK: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// Its shim is not there: the sandbox has ended.
    #[error("the machine is gone")]
    Gone(#[source] io::Error),
    #[error("the machine does not answer")]
    Slow,
    /// In the shim's words.
    #[error("{0}")]
    Failed(String),
    #[error("the machine's answer does not read: {0}")]
    Protocol(String),
    #[error("{0} bytes are over the limit of {1}")]
    TooLarge(u64, u64),
    #[error("cannot read {path}")]
    Source {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl From<io::Error> for ShimError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData { Self::Protocol(error.to_string()) } else { Self::Gone(error) }
    }
}

/// An open connection to a terminal: [`quayside_runtime::shim::wire`] frames in both directions.
#[derive(Debug)]
pub struct TerminalLink {
    pub reader: FrameReader,
    pub writer: FrameWriter,
}

/// A script that runs. Dropping it ends the script, unless it has a name.
#[derive(Debug)]
pub struct ExecRun {
    reader: FrameReader,
    /// Kept open: a shim takes the end of the connection as "nobody waits any more".
    _writer: FrameWriter,
}

#[derive(Debug)]
pub enum ExecEvent {
    /// 1: standard output, 2: standard error.
    Output {
        stream: u8,
        bytes: Bytes,
    },
    Finished(Finished),
}

/// One file to place in a sandbox.
#[derive(Debug, Clone)]
pub struct Put {
    /// Absolute, inside the sandbox.
    pub path: String,
    pub mode: u32,
    pub source: PutSource,
}

#[derive(Debug, Clone)]
pub enum PutSource {
    Bytes(Bytes),
    /// A regular file here, with the size that it had when it was looked at.
    File {
        path: PathBuf,
        size: u64,
    },
}

impl PutSource {
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

/// Something to run in /root, for as long as it takes, with its output coming back.
pub fn in_home<const N: usize>(args: [&str; N], group: Group) -> Exec {
    Exec {
        name: None,
        args: args.map(String::from).to_vec(),
        script_is_stdin: false,
        env: Vec::new(),
        cwd: "/root".into(),
        group,
        timeout_ms: 0,
        output_max: 64 * 1024,
        stdout_path: None,
        stderr_path: None,
    }
}

impl Sandbox {
    /// Opens terminal `number`, which is made if it is not there, with `greeting` above its first prompt. The first
    /// frame must be an attach.
    pub async fn terminal(&self, number: u16, greeting: Option<&str>) -> Result<TerminalLink, ShimError> {
        let command = greeting.map(shell_with).unwrap_or_default();
        let (reader, writer) = self.open(Purpose::Terminal { number, command }).await?;
        Ok(TerminalLink { reader, writer })
    }

    /// Runs `script`; `{script}` in the arguments becomes a path to it.
    pub async fn exec(&self, exec: Exec, script: &[u8]) -> Result<ExecRun, ShimError> {
        if script.len() > SCRIPT_MAX {
            return Err(ShimError::TooLarge(script.len() as u64, SCRIPT_MAX as u64));
        }
        let (mut reader, mut writer) = self.open(Purpose::Exec(exec)).await?;
        let sending = async {
            for chunk in script.chunks(CHUNK) {
                writer.write(&ToShim::Data(chunk.to_vec()).encode()[..]).await?;
            }
            writer.write(&ToShim::End.encode()[..]).await
        };
        if let Err(error) = sending.await {
            return Err(reason(&mut reader, error).await);
        }
        Ok(ExecRun { reader, _writer: writer })
    }

    /// Places files, in order, so that a later one wins. All or, after an error, the first few.
    pub async fn put(&self, files: &[Put]) -> Result<(), ShimError> {
        let total: u64 = files.iter().map(|file| file.source.size()).sum();
        if total > FILES_MAX {
            return Err(ShimError::TooLarge(total, FILES_MAX));
        }
        let (mut reader, mut writer) = self.open(Purpose::Files).await?;
        let putting = async {
            for file in files {
                match send_file(&mut writer, file).await {
                    Err(ShimError::Gone(error)) => return Err(reason(&mut reader, error).await),
                    other => other?,
                }
            }
            if let Err(error) = writer.write(&ToShim::End.encode()[..]).await {
                return Err(reason(&mut reader, error).await);
            }
            match answer(&mut reader).await? {
                FromShim::Finished(_) => Ok(()),
                other => Err(ShimError::Protocol(format!("{other:?} behind files"))),
            }
        };
        timeout(PUT_PATIENCE, putting).await.map_err(|_| ShimError::Slow)?
    }

    /// Its terminals and named scripts.
    pub async fn state(&self) -> Result<State, ShimError> {
        let (mut reader, _writer) = self.open(Purpose::State).await?;
        match timeout(CONNECT_PATIENCE, answer(&mut reader)).await.map_err(|_| ShimError::Slow)?? {
            FromShim::State(state) => Ok(state),
            other => Err(ShimError::Protocol(format!("{other:?} instead of its state"))),
        }
    }

    async fn open(&self, purpose: Purpose) -> Result<(FrameReader, FrameWriter), ShimError> {
        let opening = async {
            let (reader, mut writer) = framed(UnixStream::connect(&self.socket).await?)?;
            writer.write(&Open::new(purpose).encode()[..]).await?;
            Ok((reader, writer))
        };
        timeout(CONNECT_PATIENCE, opening).await.map_err(|_| ShimError::Slow)?
    }
}

/// A shell that says something first.
fn shell_with(greeting: &str) -> Vec<String> {
    ["bash", "-c", "printf '%s' \"$1\"; exec bash", "bash", greeting].map(String::from).to_vec()
}

impl ExecRun {
    /// Waits for the end, and hands every piece of output to `output`: 1 is standard output, 2 standard error.
    pub async fn finish(mut self, mut output: impl FnMut(u8, &[u8])) -> Result<Finished, ShimError> {
        loop {
            match self.next().await? {
                ExecEvent::Output { stream, bytes } => output(stream, &bytes),
                ExecEvent::Finished(finished) => return Ok(finished),
            }
        }
    }

    /// What happens next. The end comes exactly once, as [`ExecEvent::Finished`] or as an error.
    pub async fn next(&mut self) -> Result<ExecEvent, ShimError> {
        match answer(&mut self.reader).await? {
            FromShim::Output { stream, bytes } => Ok(ExecEvent::Output { stream, bytes: bytes.into() }),
            FromShim::Finished(finished) => Ok(ExecEvent::Finished(finished)),
            other => Err(ShimError::Protocol(format!("{other:?} from a script"))),
        }
    }
}

/// The next message; what the shim could not do is an error in its words.
async fn answer(reader: &mut FrameReader) -> Result<FromShim, ShimError> {
    let frame = reader.next().await?.ok_or_else(|| ShimError::Gone(io::ErrorKind::UnexpectedEof.into()))?;
    match FromShim::decode(&frame).map_err(|error| ShimError::Protocol(error.0))? {
        FromShim::Failed { message } => Err(ShimError::Failed(message)),
        message => Ok(message),
    }
}

/// Why a shim stopped reading: it says so before it closes, and that is worth more than "broken pipe".
async fn reason(reader: &mut FrameReader, error: io::Error) -> ShimError {
    match timeout(CONNECT_PATIENCE, answer(reader)).await {
        Ok(Err(said @ ShimError::Failed(_))) => said,
        _ => error.into(),
    }
}

async fn send_file(writer: &mut FrameWriter, file: &Put) -> Result<(), ShimError> {
    let head = FileHead { path: file.path.clone(), mode: file.mode, size: file.source.size() };
    match &file.source {
        PutSource::Bytes(bytes) => {
            writer.write(&ToShim::File(head).encode()[..]).await?;
            for chunk in bytes.chunks(CHUNK) {
                writer.write(&ToShim::Data(chunk.to_vec()).encode()[..]).await?;
            }
        }
        PutSource::File { path, size } => {
            let unreadable = |source| ShimError::Source { path: path.clone(), source };
            let mut source = File::open(path).await.map_err(unreadable)?.take(*size);
            writer.write(&ToShim::File(head).encode()[..]).await?;
            let mut sent = 0;
            let mut chunk = vec![0; CHUNK];
            while sent < *size {
                let count = source.read(&mut chunk).await.map_err(unreadable)?;
                if count == 0 {
                    return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
                }
                sent += count as u64;
                writer.write(&ToShim::Data(chunk[..count].to_vec()).encode()[..]).await?;
            }
        }
    }
    Ok(())
}
