// One terminal: a screen (`screen`, which is xterm.js) over a Stream over a Socket. Read those first: here stands only
// who tells whom. What is typed goes down to the stream, what comes goes through the guard (`hostile`) to the screen.

import type { Terminal as Xterm } from "@xterm/xterm";
import { isReport } from "./answers.js";
import { Bell } from "./bell.js";
import { copyText } from "../clipboard.js";
import { Fit } from "./fit.js";
import { Hardware } from "./hardware.js";
import { everything, lastLines, typed } from "./held.js";
import { Guard } from "./hostile.js";
import type { Copied } from "./remote-copy.js";
import type { Retry } from "../connection/retry.js";
import { fullScreen, makeLooking, makePane, makeScreen, recolour, type Look } from "./screen.js";
import { Socket, type Final } from "../connection/socket.js";
import { Stream, type Effect } from "../connection/stream.js";
import { cleanPaste, lineCount } from "./text.js";
import { WireError, decode, encode, type FromViewer, type Id, type RunState, type ToViewer } from "../connection/wire.js";
import { words } from "../words.js";

/** A silent connection is asked whether it lives, and given up when it does not say so. */
const PING_EVERY_MS = 15_000;
const PONG_WITHIN_MS = 8_000;

export interface Run {
  id: Id;
  interrupt: boolean;
  noNewline: boolean;
  text: string;
}

/** What a terminal tells its surroundings. */
export interface Events {
  /** Attached, lost, ended, another screen in front: look again. */
  changed(): void;
  /** Live output has been drawn. */
  printed(): void;
  runState(id: Id, state: RunState, code: number): void;
  notice(code: string, text: string): void;
  dropped(bytes: number): void;
  /** The server will not have this connection any more. */
  refused(why: Final): void;
  tooMuch(bytes: number): void;
  /** Escape, then Tab. */
  leave(backwards: boolean): void;
  /** What the phone's Ctrl and Alt make of typed text. */
  modify(text: string): string;
  rang(): void;
  /** A program has put something into the clipboard, or wanted to. */
  copied(what: Copied): void;
  /** It has the keys now. */
  focused(): void;
  /** Two terminals are seen. */
  isSplit(): boolean;
}

/** Once this page has pasted lines into a shell that runs each at once, the learner knows. */
let askedAboutLines = false;

export class Terminal {
  readonly pane: HTMLDivElement;
  readonly xterm: Xterm;
  private readonly fit: Fit;
  private readonly hardware: Hardware;
  private readonly guard = new Guard(() => this.xterm);
  private readonly bell = new Bell();
  private readonly looking: HTMLElement;
  private readonly stream: Stream;
  private readonly socket: Socket;
  /** Run actions without a final answer: sent again after each attach, under the same id. */
  private readonly runs = new Map<Id, Run>();
  private hasEnded = false;
  private restart = false;
  /** This page is the one that types. An old machine says nothing about it. */
  private writer = true;
  private pongTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly pingTimer: ReturnType<typeof setInterval>;

  constructor(
    readonly number: number,
    path: string,
    viewer: Id,
    retry: Retry,
    stage: HTMLElement,
    look: Look,
    private readonly events: Events,
  ) {
    this.pane = makePane(number, stage);
    this.xterm = this.makeXterm(look);
    this.looking = makeLooking(this.pane);
    this.stream = new Stream(viewer);
    this.socket = new Socket(path, retry, {
      opened: () => this.onOpened(),
      received: (data) => this.onReceived(data),
      closed: () => this.onClosed(),
      refused: (why) => this.events.refused(why),
    });
    this.fit = new Fit(this.xterm, this.pane, look.size, (size) => this.send({ is: "resize", ...size }));
    this.fit.now();
    this.hardware = new Hardware(this.xterm);
    this.pingTimer = setInterval(() => this.ping(PONG_WITHIN_MS), PING_EVERY_MS);
    this.socket.open();
  }

  get attached(): boolean {
    return this.stream.attached;
  }

  get ended(): boolean {
    return this.hasEnded;
  }

  /** Another page types in this terminal, and this one shows its size. */
  get isLooking(): boolean {
    return !this.writer;
  }

  /** It is seen, or is not: only then is it worth a graphics card. */
  seen(on: boolean): void {
    void this.hardware.use(on);
  }

  get fullScreen(): boolean {
    return fullScreen(this.xterm);
  }

  focus(): void {
    this.xterm.focus();
  }

  /** Types text as if from the keyboard: the phone's keys. */
  type(text: string): void {
    this.perform(this.stream.typed(new TextEncoder().encode(text)));
  }

  /** Presses a key that programs may have redefined: arrows differ in application mode. */
  press(key: string): void {
    const application = this.xterm.modes.applicationCursorKeysMode;
    const arrows: Record<string, string> = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D" };
    const arrow = arrows[key];
    if (arrow) this.type(`\x1b${application ? "O" : "["}${arrow}`);
    else if (key === "Escape") this.type("\x1b");
    else if (key === "Tab") this.type("\t");
  }

  paste(text: string): void {
    const clean = cleanPaste(text);
    if (!clean) return;
    const lines = lineCount(clean);
    // Without bracketed paste every line's end is an Enter.
    if (lines > 1 && !this.xterm.modes.bracketedPasteMode && !askedAboutLines) {
      if (!confirm(words.terminal.pasteLines(lines))) return;
      askedAboutLines = true;
    }
    this.xterm.paste(clean);
  }

  run(run: Run): void {
    this.runs.set(run.id, run);
    if (this.attached) this.send({ is: "run", ...run });
  }

  /** Letters of another size. */
  setLetters(size: number): void {
    this.fit.setLetters(size);
  }

  /** The stage's colours again, after a change of the looks. */
  recolour(): void {
    recolour(this.xterm, this.pane);
  }

  setReader(on: boolean): void {
    this.xterm.options.screenReaderMode = on;
  }

  /** The last lines that say something, for the phone's peek. */
  lastLines(count: number): string[] {
    return lastLines(this.xterm, count);
  }

  /** Where the line that is typed stands on the page, up to its cursor; null: it is scrolled away. */
  typed(): DOMRect | null {
    return typed(this.xterm);
  }

  /** Everything that the terminal holds, as text: wrapped lines are whole again. */
  transcript(): string {
    return everything(this.xterm);
  }

  /** Asks the other end whether it is there; without an answer the connection counts as lost. */
  ping(within: number): void {
    if (!this.socket.isOpen || this.pongTimer !== undefined) return;
    this.send({ is: "ping", payload: new Uint8Array(0) });
    this.pongTimer = setTimeout(() => this.socket.drop(), within);
  }

  close(): void {
    clearInterval(this.pingTimer);
    clearTimeout(this.pongTimer);
    this.socket.close();
    this.xterm.dispose();
    this.pane.remove();
  }

  // The connection

  private onOpened(): void {
    this.perform(this.stream.opened(this.fit.size, this.restart));
    this.restart = false;
  }

  private onClosed(): void {
    clearTimeout(this.pongTimer);
    this.pongTimer = undefined;
    this.perform(this.stream.closed());
    this.events.changed();
  }

  private onReceived(data: ArrayBuffer | string): void {
    if (typeof data === "string") return;
    try {
      this.obey(decode(new Uint8Array(data)));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.events.notice("reload", words.note.refused);
    }
  }

  private obey(frame: ToViewer): void {
    switch (frame.is) {
      case "output":
        return this.perform(this.stream.output(frame.bytes));
      case "attached":
        this.perform(this.stream.attachedAt(frame));
        for (const run of this.runs.values()) this.send({ is: "run", ...run });
        if (frame.ended && !this.hasEnded) this.sayEnded(0);
        this.hasEnded = frame.ended;
        return this.events.changed();
      case "exit":
        this.sayEnded(frame.status);
        this.hasEnded = true;
        return this.events.changed();
      case "notice":
        return this.events.notice(frame.code, frame.text);
      case "pong":
        clearTimeout(this.pongTimer);
        this.pongTimer = undefined;
        return;
      case "inputAcked":
        return this.perform(this.stream.inputAcked(frame.number));
      case "runState":
        if (frame.state !== "queued" && frame.state !== "running") this.runs.delete(frame.id);
        return this.events.runState(frame.id, frame.state, frame.code);
      case "screen":
        return this.perform(this.stream.picture(frame.bytes));
      case "role":
        this.writer = frame.writer;
        this.looking.hidden = frame.writer;
        this.pane.toggleAttribute("data-looking", !frame.writer);
        return this.fit.follow(frame.writer ? null : { cols: frame.cols, rows: frame.rows });
    }
  }

  private perform(effects: Effect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case "send":
          this.send(effect.frame);
          break;
        case "draw": {
          const { bytes, end, epoch } = effect;
          const pieces = this.guard.pass(bytes);
          const last = pieces.pop() ?? "";
          for (const piece of pieces) this.xterm.write(piece);
          this.xterm.write(last, () => {
            this.perform(this.stream.drawnTo(end, epoch));
            if (!this.stream.replaying) this.events.printed();
          });
          break;
        }
        case "reset":
          this.guard.reset();
          this.xterm.reset();
          break;
        case "sayLost":
          // CAN ends a sequence that was cut, DECSTR undoes modes that nobody will undo.
          this.xterm.write(`\x18\x1b[!p\r\n${aside(words.terminal.lost(effect.bytes))}\r\n`);
          break;
        case "sayDropped":
          this.events.dropped(effect.bytes);
          break;
        case "sayTooMuch":
          this.events.tooMuch(effect.bytes);
          break;
      }
    }
  }

  private send(frame: FromViewer): void {
    this.socket.send(encode(frame));
  }

  private sayEnded(status: number): void {
    this.xterm.write(`\r\n${aside(words.terminal.shellEnded(status))}\r\n`);
  }

  /** Enter, after the shell has ended: the same terminal, another shell. */
  private startAgain(): void {
    this.restart = true;
    this.hasEnded = false;
    this.socket.drop();
  }

  // The screen

  private makeXterm(look: Look): Xterm {
    return makeScreen(this.number, this.pane, look, {
      data: (text) => this.onData(text),
      binary: (bytes) => {
        if (this.writer) this.perform(this.stream.typed(bytes));
      },
      pasted: (text) => this.paste(text),
      copySelection: () => this.copySelection(),
      isLive: () => this.writer && !this.stream.replaying,
      rang: () => this.onBell(),
      changed: () => this.events.changed(),
      copied: (what) => this.events.copied(what),
      leave: (backwards) => this.events.leave(backwards),
      focused: () => this.events.focused(),
      isSplit: () => this.events.isSplit(),
    });
  }

  private onBell(): void {
    if (!this.stream.replaying && this.bell.rings()) this.events.rang();
  }

  private onData(text: string): void {
    if (this.hasEnded) {
      if (text === "\r" && this.attached) this.startAgain();
      return;
    }
    if (this.isLooking && isReport(text)) return;
    this.type(this.events.modify(text));
  }

  private copySelection(): void {
    const text = this.xterm.getSelection();
    if (!text) return;
    void copyText(text);
    // The next Ctrl-C is an interrupt again.
    this.xterm.clearSelection();
  }
}

/** Text that is ours, not the program's. */
function aside(text: string): string {
  return `\x1b[0;3;90m${text}\x1b[0m`;
}
