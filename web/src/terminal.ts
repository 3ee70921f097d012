// One terminal: xterm.js over a Stream over a Socket.

import { FitAddon } from "@xterm/addon-fit";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal as Xterm, type ITheme } from "@xterm/xterm";
import { copyText } from "./clipboard.js";
import type { Retry } from "./retry.js";
import { Socket, type Final } from "./socket.js";
import { Stream, type Effect } from "./stream.js";
import { cleanPaste } from "./text.js";
import { scrollByTouch } from "./touch.js";
import { WireError, decode, encode, type FromViewer, type Id, type RunState, type ToViewer } from "./wire.js";
import { words } from "./words.js";

/** Lines kept above the screen; the server keeps a megabyte. */
const SCROLLBACK = 5000;

/** Between two looks at the size while the window or the edge is dragged. */
const FIT_MS = 80;

/** Limits of the server; a smaller or larger size is a mistake of layout. */
const COLS = { min: 2, max: 500 };
const ROWS = { min: 1, max: 300 };

/** How long after Escape a Tab still means "out of here". */
const LEAVE_MS = 1000;

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
}

export class Terminal {
  readonly pane = document.createElement("div");
  private readonly xterm: Xterm;
  private readonly fit = new FitAddon();
  private readonly stream: Stream;
  private readonly socket: Socket;
  /** Run actions without a final answer: sent again after each attach, under the same id. */
  private readonly runs = new Map<Id, Run>();
  private hasEnded = false;
  private restart = false;
  private escapedAt = 0;
  private size = { cols: 80, rows: 24 };
  private fitTimer: ReturnType<typeof setTimeout> | undefined;
  private pongTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly pingTimer: ReturnType<typeof setInterval>;

  constructor(
    readonly number: number,
    path: string,
    viewer: Id,
    retry: Retry,
    stage: HTMLElement,
    look: { size: number; reader: boolean },
    private readonly events: Events,
  ) {
    this.pane.className = "pane";
    this.pane.id = `pane-${number}`;
    this.pane.setAttribute("role", "tabpanel");
    this.pane.setAttribute("aria-labelledby", `tab-${number}`);
    stage.append(this.pane);
    this.xterm = this.makeXterm(stage, look);
    this.stream = new Stream(viewer);
    this.socket = new Socket(path, retry, {
      opened: () => this.onOpened(),
      received: (data) => this.onReceived(data),
      closed: () => this.onClosed(),
      refused: (why) => this.events.refused(why),
    });
    new ResizeObserver(() => this.fitSoon()).observe(this.pane);
    this.fitNow();
    this.pingTimer = setInterval(() => this.ping(PONG_WITHIN_MS), PING_EVERY_MS);
    this.socket.open();
  }

  get attached(): boolean {
    return this.stream.attached;
  }

  get ended(): boolean {
    return this.hasEnded;
  }

  get fullScreen(): boolean {
    return this.xterm.buffer.active.type === "alternate";
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
    if (clean) this.xterm.paste(clean);
  }

  run(run: Run): void {
    this.runs.set(run.id, run);
    if (this.attached) this.send({ is: "run", ...run });
  }

  /** Letters of another size. */
  setLetters(size: number): void {
    this.xterm.options.fontSize = size;
    this.fitSoon();
  }

  /** The stage's colours again, after a change of the looks. */
  recolour(): void {
    const style = getComputedStyle(this.pane);
    this.xterm.options.theme = themeOf(style);
    this.xterm.options.minimumContrastRatio = contrastOf(style);
  }

  setReader(on: boolean): void {
    this.xterm.options.screenReaderMode = on;
  }

  /** The last lines that say something, for the phone's peek. */
  lastLines(count: number): string[] {
    const buffer = this.xterm.buffer.active;
    const lines: string[] = [];
    for (let y = buffer.baseY + buffer.cursorY; y >= 0 && lines.length < count; y--) {
      const text = buffer.getLine(y)?.translateToString(true) ?? "";
      if (text) lines.unshift(text);
    }
    return lines;
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
    this.perform(this.stream.opened(this.size, this.restart));
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
          this.xterm.write(bytes, () => {
            this.perform(this.stream.drawnTo(end, epoch));
            if (!this.stream.replaying) this.events.printed();
          });
          break;
        }
        case "reset":
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

  private makeXterm(stage: HTMLElement, look: { size: number; reader: boolean }): Xterm {
    const style = getComputedStyle(stage);
    const xterm = new Xterm({
      fontFamily: style.getPropertyValue("--font-mono"),
      fontSize: look.size,
      lineHeight: Number(style.getPropertyValue("--term-line")) || 1.4,
      theme: themeOf(style),
      scrollback: SCROLLBACK,
      minimumContrastRatio: contrastOf(style),
      screenReaderMode: look.reader,
      macOptionIsMeta: true,
      rightClickSelectsWord: false,
      linkHandler: { activate: (_event, uri) => openLink(uri) },
    });
    xterm.loadAddon(this.fit);
    xterm.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri)));
    xterm.open(this.pane);
    this.prepareField(xterm);
    scrollByTouch(this.pane, xterm);
    xterm.onData((text) => this.onData(text));
    xterm.onBinary((text) => this.perform(this.stream.typed(Uint8Array.from(text, (c) => c.charCodeAt(0)))));
    xterm.buffer.onBufferChange(() => this.events.changed());
    xterm.attachCustomKeyEventHandler((event) => this.onKey(event));
    // Before xterm's own listener, which would let control characters through.
    this.pane.addEventListener("paste", (event) => this.onPaste(event), { capture: true });
    return xterm;
  }

  /** The hidden field that takes the keys: no phone shall correct or capitalise a command. */
  private prepareField(xterm: Xterm): void {
    const field = xterm.textarea;
    if (!field) return;
    for (const name of ["autocapitalize", "autocorrect", "autocomplete"]) field.setAttribute(name, "off");
    field.spellcheck = false;
    field.setAttribute("aria-label", words.terminal.name(this.number));
    field.setAttribute("aria-describedby", "way-out");
    // xterm.js shows no cursor before it was focused once; a prompt without one looks dead.
    field.dispatchEvent(new FocusEvent("focus"));
    field.dispatchEvent(new FocusEvent("blur"));
  }

  private onData(text: string): void {
    if (this.hasEnded) {
      if (text === "\r" && this.attached) this.startAgain();
      return;
    }
    this.type(this.stream.replaying ? text : this.events.modify(text));
  }

  private onPaste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    this.paste(event.clipboardData?.getData("text/plain") ?? "");
  }

  /** False: the key is ours or the browser's, not the shell's. */
  private onKey(event: KeyboardEvent): boolean {
    if (event.type !== "keydown") return true;
    if (event.key === "Tab" && Date.now() - this.escapedAt < LEAVE_MS) {
      event.preventDefault();
      this.events.leave(event.shiftKey);
      return false;
    }
    this.escapedAt = event.key === "Escape" ? Date.now() : event.key === "Shift" ? this.escapedAt : 0;
    const key = event.key.toLowerCase();
    if (!event.ctrlKey || event.altKey || event.metaKey) return true;
    // Ctrl+Shift+V is left to the browser, which answers it with a paste event, on plain http too.
    if (event.shiftKey && key === "v") return false;
    if (key === "c" && (event.shiftKey || this.xterm.hasSelection())) {
      event.preventDefault();
      this.copySelection();
      return false;
    }
    return true;
  }

  private copySelection(): void {
    const text = this.xterm.getSelection();
    if (!text) return;
    void copyText(text);
    // The next Ctrl-C is an interrupt again.
    this.xterm.clearSelection();
  }

  private fitSoon(): void {
    this.fitTimer ??= setTimeout(() => {
      this.fitTimer = undefined;
      this.fitNow();
    }, FIT_MS);
  }

  /** Takes as many whole cells as the pane has room for, and tells the shell. */
  private fitNow(): void {
    const proposed = this.fit.proposeDimensions();
    if (!proposed || !Number.isFinite(proposed.cols) || this.pane.clientHeight === 0) return;
    const cols = clamp(proposed.cols, COLS);
    const rows = clamp(proposed.rows, ROWS);
    if (cols === this.size.cols && rows === this.size.rows && this.xterm.cols === cols && this.xterm.rows === rows) return;
    this.size = { cols, rows };
    this.xterm.resize(cols, rows);
    this.send({ is: "resize", cols, rows });
  }
}

/** xterm's theme is the water's tokens. */
function themeOf(style: CSSStyleDeclaration): ITheme {
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const hue = (name: string) => token(`ansi-${name}`);
  return {
    background: token("land"),
    foreground: hue("white"),
    cursor: token("edge-rim"),
    cursorAccent: token("on-edge"),
    selectionBackground: token("selection"),
    black: hue("black"),
    red: hue("red"),
    green: hue("green"),
    yellow: hue("yellow"),
    blue: hue("blue"),
    magenta: hue("magenta"),
    cyan: hue("cyan"),
    white: hue("white"),
    brightBlack: hue("dim"),
    brightRed: hue("red"),
    brightGreen: hue("green"),
    brightYellow: hue("yellow"),
    brightBlue: hue("blue"),
    brightMagenta: hue("magenta"),
    brightCyan: hue("cyan"),
    brightWhite: hue("bright"),
    scrollbarSliderBackground: `${token("line-ui")}66`,
    scrollbarSliderHoverBackground: `${token("line-ui")}aa`,
    scrollbarSliderActiveBackground: token("line-ui"),
  };
}

/** What a program's own colours are held to. */
function contrastOf(style: CSSStyleDeclaration): number {
  return Number(style.getPropertyValue("--term-contrast")) || 4.5;
}

/** Text that is ours, not the program's. */
function aside(text: string): string {
  return `\x1b[0;3;90m${text}\x1b[0m`;
}

/** What a program prints is not to be trusted: http and https only, and no way back to this page. */
function openLink(uri: string): void {
  if (/^https?:\/\//i.test(uri)) window.open(uri, "_blank", "noopener,noreferrer");
}

function clamp(value: number, { min, max }: { min: number; max: number }): number {
  return Math.max(min, Math.min(max, value));
}
