// One terminal's stream of bytes, both ways, as a state machine without a DOM or a socket.
//
//   apart ──opened()──▶ attaching ──Attached──▶ attached ──closed()──▶ apart
//                                                  │  ▲
//                                                  └──┘ Attached again: resync
//
// Output is numbered from 0. What has been received is `received`; what xterm.js has drawn is `drawn`, and
// that is acknowledged, cumulatively, so that the server can pace the program. While `drawn` lies before
// `replayEnd`, the past is being drawn: the emulator must not answer the queries in it.
//
// Input is numbered too. Sent and not acknowledged bytes are kept; after a loss those that are young are
// sent again, and the server drops what it already has. Nothing typed while apart is taken at all: a
// command that runs minutes after it was typed is worse than one that has to be typed again.

import { INPUT_MAX, type FromViewer, type Id, type ToViewer } from "./wire.js";

/** Drawn bytes between two acknowledgements: a quarter of the server's window. */
export const ACK_EVERY = 64 * 1024;

/** Bytes in one input frame, so that acknowledgements come while a paste is under way. */
export const INPUT_FRAME = 16 * 1024;

/** What may wait here for its turn behind a full window: a paste of a megabyte is honest work. */
export const WAITING_MAX = 1024 * 1024;

/** Input older than this is not sent again: the learner has given up on it. */
export const RESEND_MAX_MS = 10_000;

/** Ctrl-C, Ctrl-\ and Ctrl-Z overtake what waits, as they do in a kernel's terminal. */
const SIGNALS = [0x03, 0x1c, 0x1a];

/** What the owner of a stream has to do. */
export type Effect =
  | { do: "send"; frame: FromViewer }
  /** Draw these bytes, then call `drawnTo(end, epoch)`. */
  | { do: "draw"; bytes: Uint8Array; end: number; epoch: number }
  /** Forget the screen: other output follows than what was there. */
  | { do: "reset" }
  /** Say in the terminal that so many bytes of output are missing here. */
  | { do: "sayLost"; bytes: number }
  /** Tell the learner that typed bytes were dropped. */
  | { do: "sayDropped"; bytes: number }
  /** Tell the learner that a paste is too large, and that nothing of it was sent. */
  | { do: "sayTooMuch"; bytes: number };

interface Sent {
  number: number;
  bytes: Uint8Array;
  at: number;
}

export class Stream {
  private link: "apart" | "attaching" | "attached" = "apart";
  private received = 0;
  private drawn = 0;
  private acked = 0;
  private replayEnd = 0;
  /** Counts resets, so that a write callback from before one is not taken for news. */
  private epoch = 0;

  /** Bytes given to the socket in this viewer's life, and those of them that the shell's side has. */
  private sent = 0;
  private taken = 0;
  private unacked: Sent[] = [];
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;

  constructor(
    private readonly viewer: Id,
    private readonly now: () => number = () => Date.now(),
  ) {}

  get attached(): boolean {
    return this.link === "attached";
  }

  /** The past is being drawn: the emulator is not listened to. */
  get replaying(): boolean {
    return this.drawn < this.replayEnd;
  }

  /** The socket is open. */
  opened(size: { cols: number; rows: number }, restart: boolean): Effect[] {
    this.link = "attaching";
    return [send({ is: "attach", viewer: this.viewer, have: this.received, ...size, restart, roles: true })];
  }

  /** The socket is gone. What waited unsent is dropped at once. */
  closed(): Effect[] {
    this.link = "apart";
    const dropped = this.waitingBytes;
    this.waiting = [];
    this.waitingBytes = 0;
    return dropped > 0 ? [{ do: "sayDropped", bytes: dropped }] : [];
  }

  attachedAt(frame: Extract<ToViewer, { is: "attached" }>): Effect[] {
    const effects: Effect[] = [];
    if (frame.offset < this.received || frame.screen) {
      // Another stream than the one on the screen, as the machine is a new one; or a picture of what was missed.
      effects.push({ do: "reset" });
      this.epoch++;
      this.drawn = frame.offset;
    }
    if (frame.lost > 0) effects.push({ do: "sayLost", bytes: frame.lost });
    this.link = "attached";
    this.received = frame.offset;
    this.acked = frame.offset;
    this.replayEnd = frame.replay > 0 ? frame.offset + frame.replay : 0;
    return [...effects, ...this.resend(frame.input)];
  }

  output(bytes: Uint8Array): Effect[] {
    if (this.link !== "attached") return [];
    // Past and present are drawn apart, so that a query in the one is not taken for one in the other.
    const past = this.replayEnd - this.received;
    const pieces = past > 0 && past < bytes.length ? [bytes.subarray(0, past), bytes.subarray(past)] : [bytes];
    return pieces.map((piece) => {
      this.received += piece.length;
      return { do: "draw", bytes: piece, end: this.received, epoch: this.epoch };
    });
  }

  /** A piece of a picture: no part of the numbered stream. */
  picture(bytes: Uint8Array): Effect[] {
    return this.link === "attached" ? [{ do: "draw", bytes, end: this.received, epoch: this.epoch }] : [];
  }

  /** xterm.js has drawn everything before `end`. */
  drawnTo(end: number, epoch: number): Effect[] {
    if (epoch !== this.epoch) return [];
    this.drawn = Math.max(this.drawn, end);
    if (this.link !== "attached" || this.drawn - this.acked < ACK_EVERY) return [];
    this.acked = this.drawn;
    return [send({ is: "ack", offset: this.drawn })];
  }

  /** Typed, pasted, or answered by the emulator, which answers nothing of the past (answers.ts). */
  typed(bytes: Uint8Array): Effect[] {
    if (this.link !== "attached" || bytes.length === 0) return [];
    if (bytes.length === 1 && SIGNALS.includes(bytes[0]!)) {
      this.waiting = [];
      this.waitingBytes = 0;
      return [this.sendInput(bytes)];
    }
    if (this.waitingBytes + bytes.length > WAITING_MAX) return [{ do: "sayTooMuch", bytes: bytes.length }];
    for (let at = 0; at < bytes.length; at += INPUT_FRAME) this.waiting.push(bytes.subarray(at, at + INPUT_FRAME));
    this.waitingBytes += bytes.length;
    return this.flush();
  }

  inputAcked(number: number): Effect[] {
    this.taken = Math.max(this.taken, Math.min(number, this.sent));
    this.unacked = this.unacked.filter((it) => it.number + it.bytes.length > this.taken);
    return this.flush();
  }

  /** Sends what waits, as far as the window reaches. */
  private flush(): Effect[] {
    const effects: Effect[] = [];
    for (let next = this.waiting[0]; next; next = this.waiting[0]) {
      if (this.sent - this.taken + next.length > INPUT_MAX) break;
      this.waiting.shift();
      this.waitingBytes -= next.length;
      effects.push(this.sendInput(next));
    }
    return effects;
  }

  private sendInput(bytes: Uint8Array): Effect {
    const number = this.sent;
    this.sent += bytes.length;
    this.unacked.push({ number, bytes, at: this.now() });
    return send({ is: "input", number, bytes });
  }

  /** The other side has `input` bytes of ours: sends the rest again, without what is too old. */
  private resend(input: number): Effect[] {
    const rest = this.unacked.flatMap((it) => {
      const bytes = it.bytes.subarray(Math.max(0, Math.min(input - it.number, it.bytes.length)));
      return bytes.length > 0 ? [{ bytes, at: it.at }] : [];
    });
    const oldest = this.now() - RESEND_MAX_MS;
    const young = rest.filter((it) => it.at >= oldest);
    const dropped = rest.filter((it) => it.at < oldest).reduce((sum, it) => sum + it.bytes.length, 0);
    this.sent = input;
    this.taken = input;
    this.unacked = [];
    const effects: Effect[] = dropped > 0 ? [{ do: "sayDropped", bytes: dropped }] : [];
    for (const { bytes, at } of young) {
      const number = this.sent;
      this.sent += bytes.length;
      // The age counts from when it was typed, or a flapping connection would keep it young for ever.
      this.unacked.push({ number, bytes, at });
      effects.push(send({ is: "input", number, bytes }));
    }
    return effects;
  }
}

function send(frame: FromViewer): Effect {
  return { do: "send", frame };
}
