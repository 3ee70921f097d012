//! The frames a terminal speaks: browser ⇄ web ⇄ shim.
//!
//! One codec for both hops. Over the WebSocket a frame is one binary message; on the shim's unix
//! socket the same bytes stand behind a 32-bit length ([`read_frame`], [`write_frame`]).
//! The first byte is the opcode, integers are little-endian, ids are 16 raw bytes.
//! `tests/wire/messages.json` holds a golden message of each kind, and the page's `wire.ts` reads
//! the same file in its own tests.

use std::io::{self, Read, Write};

/// The version that an Attach names. Shims outlive upgrades, so what was added since stands behind a flag
/// that an old shim passes over; page and web, which do not, agree by the WebSocket's subprotocol.
pub const WIRE_VERSION: u8 = 1;

/// The longest frame either side sends or accepts: a window of output is several frames.
pub const FRAME_MAX: usize = 256 * 1024;

/// Bytes of output in flight to the pacing viewer before the shim stops reading the pty.
/// 20 Mbit/s at 100 ms is 250 KB; more would only sit in the tab and delay Ctrl-C.
pub const WINDOW: u64 = 256 * 1024;

/// Input that a viewer may have sent and not seen acknowledged.
pub const INPUT_MAX: u64 = 256 * 1024;

/// The longest text of one run action (19 of 38,302 counted snippets exceed 4,000 characters).
pub const RUN_TEXT_MAX: usize = 64 * 1024;

/// What a viewer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromViewer {
    /// Typed or pasted bytes. `number` is how many bytes this viewer sent before these, in the
    /// terminal's life; what overlaps with what already arrived is dropped.
    Input { number: u64, bytes: Vec<u8> },
    /// The viewer's size in cells.
    Resize { cols: u16, rows: u16 },
    /// Everything before this offset of the output has been drawn.
    Ack { offset: u64 },
    /// The first frame of a connection: who looks, and what they already have.
    /// `restart`: if the shell has ended, start another. `roles`: this viewer understands
    /// [`ToViewer::Role`] and [`ToViewer::Screen`].
    Attach { viewer: u128, have: u64, cols: u16, rows: u16, restart: bool, roles: bool },
    /// Answered with the same bytes.
    Ping { payload: Vec<u8> },
    /// A lesson's command: typed once, however often this frame arrives.
    Run { id: u128, flags: RunFlags, text: String },
}

/// How a run action is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunFlags {
    /// Send Ctrl-C first and wait for the prompt.
    pub interrupt: bool,
    /// Do not press Enter behind the text.
    pub no_newline: bool,
}

/// What a viewer is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToViewer {
    /// Bytes of the screen; their offset follows from the last [`ToViewer::Attached`].
    Output {
        bytes: Vec<u8>,
    },
    /// The stream goes on at `offset`. The next `replay` bytes are the past: a terminal must not
    /// answer queries in them. `lost` bytes before `offset` are gone. `input` is how many input
    /// bytes of this viewer have been taken. `ended`: no shell runs. `screen`: the past comes as
    /// [`ToViewer::Screen`], on an empty terminal.
    Attached {
        offset: u64,
        replay: u64,
        lost: u64,
        input: u64,
        ended: bool,
        screen: bool,
    },
    /// The shell ended: its exit code, or 128 + the signal's number.
    Exit {
        status: i32,
    },
    /// Something to tell the learner.
    Notice {
        code: String,
        text: String,
    },
    Pong {
        payload: Vec<u8>,
    },
    /// This many input bytes of the viewer have been taken.
    InputAcked {
        number: u64,
    },
    /// Where a run action stands.
    RunState {
        id: u128,
        state: RunState,
        code: i32,
    },
    /// Who types here, and in which size the screen is. Only the *writer*, the viewer that typed last,
    /// answers a program's queries, sets the size and the pace.
    Role {
        writer: bool,
        cols: u16,
        rows: u16,
    },
    /// A piece of a picture of everything before the last [`ToViewer::Attached`]'s offset: not
    /// numbered, not acknowledged, without queries.
    Screen {
        bytes: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RunState {
    /// Waits for a prompt.
    Queued = 0,
    /// Typed into something that is not our prompt: nobody will know how it ends.
    Sent = 1,
    /// Typed at the prompt, and the shell has not come back yet.
    Running = 2,
    /// The shell came back; `code` is 0.
    Done = 3,
    /// The shell came back with another code.
    Failed = 4,
    /// Not typed at all, as it could not be (the shell has ended, the queue is full).
    Refused = 5,
}

/// A frame that does not read: what it was and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("an empty frame")]
    Empty,
    #[error("unknown opcode {0}")]
    Opcode(u8),
    #[error("a frame of kind {opcode} with {length} bytes is too short")]
    Short { opcode: u8, length: usize },
    #[error("a frame of kind {opcode} holds text that is not UTF-8")]
    NotText { opcode: u8 },
    #[error("version {0} of the protocol is not spoken here; reload the page")]
    Version(u8),
    #[error("a run action of {0} bytes is over the limit of {RUN_TEXT_MAX}")]
    RunTooLong(usize),
    #[error("unknown state {0} of a run action")]
    RunState(u8),
}

/// A cursor over the fields of one frame.
struct Fields<'a> {
    opcode: u8,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(frame: &'a [u8]) -> Result<Self, WireError> {
        let (&opcode, rest) = frame.split_first().ok_or(WireError::Empty)?;
        Ok(Self { opcode, length: frame.len(), rest })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let short = WireError::Short { opcode: self.opcode, length: self.length };
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.take().map(u64::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, WireError> {
        self.take().map(i32::from_le_bytes)
    }

    fn id(&mut self) -> Result<u128, WireError> {
        self.take().map(u128::from_be_bytes)
    }

    fn bytes(self) -> Vec<u8> {
        self.rest.to_vec()
    }

    fn text(self) -> Result<String, WireError> {
        let opcode = self.opcode;
        String::from_utf8(self.rest.to_vec()).map_err(|_| WireError::NotText { opcode })
    }
}

/// The opcode of [`ToViewer::Output`].
const OUTPUT: u8 = 0;
const RUN_INTERRUPT: u8 = 1;
const RUN_NO_NEWLINE: u8 = 2;
const ATTACH_RESTART: u8 = 1;
const ATTACH_ROLES: u8 = 2;
const ATTACHED_ENDED: u8 = 1;
const ATTACHED_SCREEN: u8 = 2;
const ROLE_WRITER: u8 = 1;

impl FromViewer {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Input { number, bytes } => {
                out.push(0);
                out.extend(number.to_le_bytes());
                out.extend(bytes);
            }
            Self::Resize { cols, rows } => {
                out.push(1);
                out.extend(cols.to_le_bytes());
                out.extend(rows.to_le_bytes());
            }
            Self::Ack { offset } => {
                out.push(2);
                out.extend(offset.to_le_bytes());
            }
            Self::Attach { viewer, have, cols, rows, restart, roles } => {
                out.extend([3, WIRE_VERSION]);
                out.extend(viewer.to_be_bytes());
                out.extend(have.to_le_bytes());
                out.extend(cols.to_le_bytes());
                out.extend(rows.to_le_bytes());
                out.push(flag(*restart, ATTACH_RESTART) | flag(*roles, ATTACH_ROLES));
            }
            Self::Ping { payload } => {
                out.push(4);
                out.extend(payload);
            }
            Self::Run { id, flags, text } => {
                out.push(5);
                out.extend(id.to_be_bytes());
                out.push(flag(flags.interrupt, RUN_INTERRUPT) | flag(flags.no_newline, RUN_NO_NEWLINE));
                out.extend(text.as_bytes());
            }
        }
        out
    }

    pub fn decode(frame: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of(frame)?;
        Ok(match fields.opcode {
            0 => Self::Input { number: fields.u64()?, bytes: fields.bytes() },
            1 => Self::Resize { cols: fields.u16()?, rows: fields.u16()? },
            2 => Self::Ack { offset: fields.u64()? },
            3 => {
                let version = fields.u8()?;
                if version != WIRE_VERSION {
                    return Err(WireError::Version(version));
                }
                let (viewer, have) = (fields.id()?, fields.u64()?);
                let (cols, rows, bits) = (fields.u16()?, fields.u16()?, fields.u8()?);
                let (restart, roles) = (bits & ATTACH_RESTART != 0, bits & ATTACH_ROLES != 0);
                Self::Attach { viewer, have, cols, rows, restart, roles }
            }
            4 => Self::Ping { payload: fields.bytes() },
            5 => {
                let id = fields.id()?;
                let bits = fields.u8()?;
                let flags = RunFlags { interrupt: bits & RUN_INTERRUPT != 0, no_newline: bits & RUN_NO_NEWLINE != 0 };
                let text = fields.text()?;
                if text.len() > RUN_TEXT_MAX {
                    return Err(WireError::RunTooLong(text.len()));
                }
                Self::Run { id, flags, text }
            }
            other => return Err(WireError::Opcode(other)),
        })
    }
}

impl ToViewer {
    /// Whether a frame is [`ToViewer::Output`], without a copy of its bytes.
    pub fn is_output(frame: &[u8]) -> bool {
        frame.first() == Some(&OUTPUT)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Output { bytes } => {
                out.push(OUTPUT);
                out.extend(bytes);
            }
            Self::Attached { offset, replay, lost, input, ended, screen } => {
                out.push(1);
                for number in [offset, replay, lost, input] {
                    out.extend(number.to_le_bytes());
                }
                out.push(flag(*ended, ATTACHED_ENDED) | flag(*screen, ATTACHED_SCREEN));
            }
            Self::Exit { status } => {
                out.push(2);
                out.extend(status.to_le_bytes());
            }
            Self::Notice { code, text } => {
                out.push(3);
                out.extend(serde_json::json!({ "code": code, "text": text }).to_string().as_bytes());
            }
            Self::Pong { payload } => {
                out.push(4);
                out.extend(payload);
            }
            Self::InputAcked { number } => {
                out.push(5);
                out.extend(number.to_le_bytes());
            }
            Self::RunState { id, state, code } => {
                out.push(6);
                out.extend(id.to_be_bytes());
                out.push(*state as u8);
                out.extend(code.to_le_bytes());
            }
            Self::Role { writer, cols, rows } => {
                out.extend([7, flag(*writer, ROLE_WRITER)]);
                out.extend(cols.to_le_bytes());
                out.extend(rows.to_le_bytes());
            }
            Self::Screen { bytes } => {
                out.push(8);
                out.extend(bytes);
            }
        }
        out
    }

    pub fn decode(frame: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of(frame)?;
        Ok(match fields.opcode {
            OUTPUT => Self::Output { bytes: fields.bytes() },
            1 => {
                let (offset, replay) = (fields.u64()?, fields.u64()?);
                let (lost, input, bits) = (fields.u64()?, fields.u64()?, fields.u8()?);
                let (ended, screen) = (bits & ATTACHED_ENDED != 0, bits & ATTACHED_SCREEN != 0);
                Self::Attached { offset, replay, lost, input, ended, screen }
            }
            2 => Self::Exit { status: fields.i32()? },
            3 => {
                #[derive(serde::Deserialize)]
                struct Notice {
                    code: String,
                    text: String,
                }
                let not_text = WireError::NotText { opcode: 3 };
                let Notice { code, text } = serde_json::from_slice(fields.rest).map_err(|_| not_text)?;
                Self::Notice { code, text }
            }
            4 => Self::Pong { payload: fields.bytes() },
            5 => Self::InputAcked { number: fields.u64()? },
            6 => Self::RunState { id: fields.id()?, state: RunState::from_byte(fields.u8()?)?, code: fields.i32()? },
            7 => Self::Role { writer: fields.u8()? & ROLE_WRITER != 0, cols: fields.u16()?, rows: fields.u16()? },
            8 => Self::Screen { bytes: fields.bytes() },
            other => return Err(WireError::Opcode(other)),
        })
    }
}

fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}

impl RunState {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            0 => Self::Queued,
            1 => Self::Sent,
            2 => Self::Running,
            3 => Self::Done,
            4 => Self::Failed,
            5 => Self::Refused,
            other => return Err(WireError::RunState(other)),
        })
    }
}

/// Writes one frame behind its 32-bit little-endian length.
pub fn write_frame(out: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(frame)
}

/// Reads one frame; `None` at a clean end. A length over [`FRAME_MAX`] plus its header is an error.
pub fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if let Err(error) = input.read_exact(&mut length) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_MAX + 64 {
        let message = format!("a frame of {length} bytes is over the limit of {FRAME_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut frame = vec![0; length];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}
