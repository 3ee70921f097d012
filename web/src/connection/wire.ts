// The frames a terminal speaks: the mirror of runtime/src/shim/wire.rs.
//
// A frame is one binary WebSocket message: an opcode, then fields. Integers are little-endian, ids are 16 raw
// bytes. Offsets are 64-bit on the wire and numbers here: a terminal would have to print for a million years
// at its fastest to pass 2^53. tests/wire/messages.json holds a golden message of each kind for both sides.

export const SUBPROTOCOL = "quayside.2";

/** The version that an Attach names, which shims of every age read; what was added since is behind a flag. */
export const WIRE_VERSION = 1;

/** Input that may be sent and not yet acknowledged. */
export const INPUT_MAX = 256 * 1024;

/** An id as 32 hexadecimal digits. */
export type Id = string;

export type FromViewer =
  /** `number`: how many bytes this viewer sent before these. */
  | { is: "input"; number: number; bytes: Uint8Array }
  | { is: "resize"; cols: number; rows: number }
  /** Everything before this offset of the output has been drawn. */
  | { is: "ack"; offset: number }
  /** The first frame of a connection. */
  | { is: "attach"; viewer: Id; have: number; cols: number; rows: number; restart: boolean; roles: boolean }
  | { is: "ping"; payload: Uint8Array }
  | { is: "run"; id: Id; interrupt: boolean; noNewline: boolean; text: string };

export type ToViewer =
  | { is: "output"; bytes: Uint8Array }
  /**
   * The stream goes on at `offset`; the next `replay` bytes are the past; `lost` bytes before it are gone;
   * `input` bytes of this viewer have been taken; `ended`: no shell runs; `screen`: the past comes as a picture,
   * on an empty terminal.
   */
  | { is: "attached"; offset: number; replay: number; lost: number; input: number; ended: boolean; screen: boolean }
  | { is: "exit"; status: number }
  | { is: "notice"; code: string; text: string }
  | { is: "pong"; payload: Uint8Array }
  | { is: "inputAcked"; number: number }
  | { is: "runState"; id: Id; state: RunState; code: number }
  /** Whether this viewer is the one that types, and the size of the screen, which is the writer's. */
  | { is: "role"; writer: boolean; cols: number; rows: number }
  /** A piece of a picture of everything before `attached.offset`. */
  | { is: "screen"; bytes: Uint8Array };

export type RunState = (typeof runStates)[number];
const runStates = ["queued", "sent", "running", "done", "failed", "refused"] as const;

export class WireError extends Error {}

export function encode(frame: FromViewer): Uint8Array<ArrayBuffer> {
  switch (frame.is) {
    case "input":
      return new Writer(0).u64(frame.number).bytes(frame.bytes).end();
    case "resize":
      return new Writer(1).u16(frame.cols).u16(frame.rows).end();
    case "ack":
      return new Writer(2).u64(frame.offset).end();
    case "attach": {
      const fields = new Writer(3).u8(WIRE_VERSION).id(frame.viewer).u64(frame.have).u16(frame.cols).u16(frame.rows);
      return fields.u8((frame.restart ? 1 : 0) | (frame.roles ? 2 : 0)).end();
    }
    case "ping":
      return new Writer(4).bytes(frame.payload).end();
    case "run": {
      const flags = (frame.interrupt ? 1 : 0) | (frame.noNewline ? 2 : 0);
      return new Writer(5).id(frame.id).u8(flags).text(frame.text).end();
    }
  }
}

export function decode(frame: Uint8Array): ToViewer {
  const reader = new Reader(frame);
  const opcode = reader.u8();
  switch (opcode) {
    case 0:
      return { is: "output", bytes: reader.rest() };
    case 1: {
      const [offset, replay, lost, input] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
      const bits = reader.u8();
      return { is: "attached", offset, replay, lost, input, ended: (bits & 1) !== 0, screen: (bits & 2) !== 0 };
    }
    case 2:
      return { is: "exit", status: reader.i32() };
    case 3:
      return { is: "notice", ...notice(reader.text()) };
    case 4:
      return { is: "pong", payload: reader.rest() };
    case 5:
      return { is: "inputAcked", number: reader.u64() };
    case 6:
      return { is: "runState", id: reader.id(), state: runState(reader.u8()), code: reader.i32() };
    case 7:
      return { is: "role", writer: (reader.u8() & 1) !== 0, cols: reader.u16(), rows: reader.u16() };
    case 8:
      return { is: "screen", bytes: reader.rest() };
    default:
      throw new WireError(`unknown opcode ${opcode}`);
  }
}

/** A new id from the browser's random numbers, which plain http has too. */
export function newId(): Id {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function unhex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

function notice(json: string): { code: string; text: string } {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new WireError("a notice that is not JSON");
  }
  if (typeof value === "object" && value !== null && "code" in value && "text" in value) {
    return { code: String(value.code), text: String(value.text) };
  }
  throw new WireError("a notice without code and text");
}

function runState(byte: number): RunState {
  const state = runStates[byte];
  if (!state) throw new WireError(`unknown state ${byte} of a run action`);
  return state;
}

/** Puts fields one behind the other. */
class Writer {
  private readonly parts: Uint8Array[] = [];

  constructor(opcode: number) {
    this.u8(opcode);
  }

  u8(value: number): this {
    return this.bytes(Uint8Array.of(value));
  }

  u16(value: number): this {
    return this.field(2, (view) => view.setUint16(0, value, true));
  }

  u64(value: number): this {
    return this.field(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  id(value: Id): this {
    return this.bytes(unhex(value));
  }

  text(value: string): this {
    return this.bytes(new TextEncoder().encode(value));
  }

  bytes(value: Uint8Array): this {
    this.parts.push(value);
    return this;
  }

  end(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  private field(size: number, write: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(size));
    write(view);
    return this.bytes(new Uint8Array(view.buffer));
  }
}

/** Takes fields off the front. */
class Reader {
  private at = 0;

  constructor(private readonly frame: Uint8Array) {}

  u8(): number {
    return this.view(1).getUint8(0);
  }

  u16(): number {
    return this.view(2).getUint16(0, true);
  }

  i32(): number {
    return this.view(4).getInt32(0, true);
  }

  u64(): number {
    return Number(this.view(8).getBigUint64(0, true));
  }

  id(): Id {
    const view = this.view(16);
    return hex(new Uint8Array(view.buffer, view.byteOffset, 16));
  }

  text(): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.rest());
    } catch {
      throw new WireError("text that is not UTF-8");
    }
  }

  rest(): Uint8Array {
    return this.frame.subarray(this.at);
  }

  private view(size: number): DataView {
    if (this.at + size > this.frame.length) throw new WireError(`a frame of ${this.frame.length} bytes is too short`);
    const view = new DataView(this.frame.buffer, this.frame.byteOffset + this.at, size);
    this.at += size;
    return view;
  }
}
