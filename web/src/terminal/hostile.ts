// What a terminal is shown of what a program prints. xterm.js does what a sequence says: insert a thousand
// million lines, keep fifty megabytes of a string that never ends; the page would stand still for as long.
//
// What honest programs print passes as it is, without a copy. A number that is larger than any terminal is made
// smaller, which changes nothing about what is seen; a string or a sequence that does not end is left out, and so
// are marks on a letter that no writing has; and much work is handed over in pieces, between which xterm.js lets the page breathe.

/** Other numbers, as in "move to column 9999", are compared and cost nothing; xterm.js's own limit is far above. */
const NUMBER_MAX = 9_999;
/** A sequence with more parameters than this is none; true colours and an underline's together take 60 bytes. */
const SEQUENCE_MAX = 256;
/** Titles, links and the clipboard's 100 kB fit. */
export const STRING_MAX = 160 * 1024;
/** Marks on one letter, and signs without a width: no writing has as many, and a browser draws thousands for seconds. */
const MARKS_MAX = 32;
const MARK = /^[\p{M}\p{Cf}]$/u;
/** UTF-8's first byte of U+0300, the first of the marks. */
const FIRST_MARK = 0xcc;
/** Work in one piece, in lines moved or cleared, at up to a tenth of a millisecond each. */
const PIECE_WORK = 500;

const [BEL, CAN, SUB, ESC] = [0x07, 0x18, 0x1a, 0x1b];
/** UTF-8's first byte of the controls from U+0080, which xterm.js obeys as well. */
const C1 = 0xc2;
/** `CSI … n` that does something n times: more than the screen has columns is the same as so many. */
const COUNTED = new Set(Array.from("@LMPSTXZIb}~", (letter) => letter.charCodeAt(0)));
/** Those that move a line each time: so many as the screen has are all of them. */
const MOVING = new Set(Array.from("LMST", (letter) => letter.charCodeAt(0)));
/** Sequences that touch the whole screen: erase it, switch it or its modes. */
const WHOLE = new Set(Array.from("Jhl", (letter) => letter.charCodeAt(0)));
const WHOLE_WORK = 40;

/** `skip` leaves out the rest of a string, `skipSequence` that of a sequence. */
type State = "ground" | "string" | "skip" | "skipSequence";

export class Guard {
  private state: State = "ground";
  /** Bytes of the string so far. */
  private length = 0;
  /** Marks on the letter that was last. */
  private marks = 0;
  /** A sequence whose end has not come yet. */
  private held = new Uint8Array(0);

  /** The size of the screen. */
  constructor(private readonly size: () => { cols: number; rows: number }) {}

  /** Other output follows than what began. */
  reset(): void {
    this.state = "ground";
    this.held = new Uint8Array(0);
  }

  /** The same bytes where they are honest. */
  pass(bytes: Uint8Array): Uint8Array[] {
    if (this.state === "ground" && this.held.length === 0 && !bytes.includes(ESC) && !bytes.includes(C1) && !hasMarks(bytes)) return [bytes];
    const input = this.held.length > 0 ? joined([this.held, bytes]) : bytes;
    this.held = new Uint8Array(0);
    return this.filter(input);
  }

  private filter(bytes: Uint8Array): Uint8Array[] {
    const out = new Pieces(bytes);
    let at = 0;
    while (at < bytes.length) {
      if (this.state !== "ground") {
        at = this.state === "skipSequence" ? this.skipSequence(bytes, at, out) : this.string(bytes, at, out);
        continue;
      }
      const text = at;
      at = nextControl(bytes, at);
      this.thin(bytes, text, at, out);
      if (at === bytes.length) break;
      this.marks = 0;
      const next = bytes[at + 1];
      if (next === undefined) {
        this.held = bytes.slice(at);
        out.cut(at);
        return out.end(bytes.length);
      }
      const kind = bytes[at] === ESC ? next : next >= 0x80 && next < 0xa0 ? next - 0x40 : 0;
      if (kind === 0x5b) {
        const end = this.sequence(bytes, at, out);
        if (end === null) return out.end(bytes.length);
        at = end;
      } else if (isString(kind)) {
        this.state = "string";
        this.length = 0;
        at += 2;
      } else {
        // ESC c and ESC # 8 touch the whole screen.
        if (kind === 0x63 || kind === 0x23) out.work(WHOLE_WORK, at);
        at += bytes[at] === ESC && next === ESC ? 1 : 2;
      }
    }
    return out.end(bytes.length);
  }

  /** Leaves out the marks of a text that are too many on their letter. */
  private thin(bytes: Uint8Array, from: number, to: number, out: Pieces): void {
    for (let at = from; at < to; ) {
      const byte = bytes[at]!;
      const length = byte < FIRST_MARK ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      if (length > 1 && isMark(bytes, at, length)) {
        this.marks++;
        if (this.marks > MARKS_MAX) out.leaveOut(at, at + length);
      } else if (byte < 0x80 || byte >= 0xc0) {
        // What is cut off at the end of a piece counts as neither.
        if (at + length <= to) this.marks = 0;
      }
      at += length;
    }
  }

  /** A control sequence from `at` on; where it ends, or null if that has not come yet. */
  private sequence(bytes: Uint8Array, at: number, out: Pieces): number | null {
    let end = at + 2;
    for (; end < bytes.length; end++) {
      const byte = bytes[end]!;
      if (byte >= 0x40 || byte === ESC || byte === CAN || byte === SUB) break;
    }
    const long = end - at > SEQUENCE_MAX;
    if (end === bytes.length && !long) {
      this.held = bytes.slice(at);
      out.cut(at);
      return null;
    }
    if (long) {
      this.state = "skipSequence";
      return this.skipSequence(bytes, at + 2, out, at);
    }
    const last = bytes[end]!;
    // What most sequences are, colours and short moves, has no number that could be too large.
    if (end - at < 4 && !MOVING.has(last)) {
      if (WHOLE.has(last)) out.work(WHOLE_WORK, at);
      return last === ESC ? end : end + 1;
    }
    const { cols, rows } = this.size();
    const limit = MOVING.has(last) ? rows : COUNTED.has(last) ? cols : NUMBER_MAX;
    const [first, text] = smaller(bytes, at + 2, end, limit);
    if (text) out.instead(at + 2, end, text);
    if (MOVING.has(last)) out.work(Math.max(1, first), at);
    else if (WHOLE.has(last)) out.work(WHOLE_WORK, at);
    return last === ESC ? end : end + 1;
  }

  /** Leaves out a sequence's bytes from `from` on, with the one that ends it; where that is. */
  private skipSequence(bytes: Uint8Array, at: number, out: Pieces, from = at): number {
    let end = at;
    while (end < bytes.length && bytes[end]! < 0x40 && bytes[end] !== ESC && bytes[end] !== CAN && bytes[end] !== SUB) end++;
    if (end < bytes.length) this.state = "ground";
    // Its last byte would be text without it.
    if (end < bytes.length && bytes[end]! >= 0x40) end++;
    return out.leaveOut(from, end);
  }

  /** A string from `at` on, or what is left out of one; where that ends. */
  private string(bytes: Uint8Array, at: number, out: Pieces): number {
    const skipping = this.state === "skip";
    let end = at;
    for (; end < bytes.length; end++) {
      const byte = bytes[end]!;
      if (byte === BEL || byte === ESC || byte === CAN || byte === SUB || (byte === C1 && bytes[end + 1] === 0x9c)) break;
      if (!skipping && this.length + end - at > STRING_MAX) {
        // CAN ends it, and the rest is not text.
        out.instead(end, end, Uint8Array.of(CAN));
        this.state = "skip";
        return end;
      }
    }
    this.length += end - at;
    if (skipping) out.leaveOut(at, end);
    if (end === bytes.length) return end;
    this.state = "ground";
    if (bytes[end] === ESC || bytes[end] === C1) return end;
    return skipping ? out.leaveOut(end, end + 1) : end + 1;
  }
}

/** The output as pieces of the input, with what stands instead of others. */
class Pieces {
  private readonly pieces: Uint8Array[] = [];
  private current: Uint8Array[] = [];
  private from = 0;
  private done = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Work to be done for the sequence that begins at `at`: with too much of it, another piece begins there. */
  work(amount: number, at: number): void {
    this.done += amount;
    if (this.done <= PIECE_WORK) return;
    this.take(at);
    this.finish();
    this.done = amount;
  }

  instead(from: number, to: number, text: Uint8Array): void {
    this.take(from);
    this.current.push(text);
    this.from = to;
  }

  leaveOut(from: number, to: number): number {
    this.take(from);
    this.from = to;
    return to;
  }

  /** Everything from `at` on is kept back. */
  cut(at: number): void {
    this.take(at);
    this.from = this.bytes.length;
  }

  end(at: number): Uint8Array[] {
    if (this.pieces.length === 0 && this.current.length === 0 && this.from === 0) return [this.bytes];
    this.take(at);
    this.finish();
    return this.pieces;
  }

  private take(to: number): void {
    if (to > this.from) this.current.push(this.bytes.subarray(this.from, to));
    this.from = Math.max(this.from, to);
  }

  private finish(): void {
    if (this.current.length > 0) this.pieces.push(this.current.length === 1 ? this.current[0]! : joined(this.current));
    this.current = [];
  }
}

/** Whether the code point of so many bytes is a mark, or a sign without a width; one that is cut off is neither. */
function isMark(bytes: Uint8Array, at: number, length: number): boolean {
  let code = bytes[at]! & (0x7f >> length);
  for (let n = 1; n < length; n++) code = (code << 6) | ((bytes[at + n] ?? 0) & 0x3f);
  return at + length <= bytes.length && code <= 0x10ffff && MARK.test(String.fromCodePoint(code));
}

function hasMarks(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte >= FIRST_MARK) return true;
  return false;
}

/** Where the next ESC or C1 control may begin. */
function nextControl(bytes: Uint8Array, at: number): number {
  for (; at < bytes.length; at++) if (bytes[at] === ESC || bytes[at] === C1) return at;
  return at;
}

/** Operating system command, device control, and the strings that nobody uses. */
function isString(kind: number): boolean {
  return kind === 0x5d || kind === 0x50 || kind === 0x58 || kind === 0x5e || kind === 0x5f;
}

/** The first parameter as it will be, and all of them rewritten if one is over the limit. */
function smaller(bytes: Uint8Array, from: number, to: number, limit: number): [number, Uint8Array | null] {
  let first: number | null = null;
  let value = 0;
  let large = false;
  for (let at = from; at <= to; at++) {
    const byte = at < to ? bytes[at]! : 0x3b;
    if (byte >= 0x30 && byte <= 0x39) {
      value = Math.min(value * 10 + byte - 0x30, limit + 1);
      large ||= value > limit;
    } else if (byte >= 0x20) {
      // A control inside a sequence is obeyed, and the number goes on behind it.
      first ??= Math.min(value, limit);
      value = 0;
    }
  }
  return [first ?? 0, large ? rewritten(bytes.subarray(from, to), limit) : null];
}

function rewritten(parameters: Uint8Array, limit: number): Uint8Array {
  const out: number[] = [];
  let digits = "";
  const number = (): void => {
    if (digits !== "") for (const letter of Number(digits) > limit ? String(limit) : digits) out.push(letter.charCodeAt(0));
    digits = "";
  };
  for (const byte of parameters) {
    if (byte >= 0x30 && byte <= 0x39) {
      digits += String.fromCharCode(byte);
      continue;
    }
    if (byte >= 0x20) number();
    out.push(byte);
  }
  number();
  return Uint8Array.from(out);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
