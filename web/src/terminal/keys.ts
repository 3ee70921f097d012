// Keys that are the page's and not the shell's.

import type { Terminal } from "@xterm/xterm";

/** How long after Escape a Tab still means "out of here". */
const LEAVE_MS = 1000;
/** How long a shell's Escape waits for the Tab. To readline it says nothing before the next key comes. */
const HOLD_MS = 600;

/** What a key asks of the page. */
export type Shortcut = "find" | "beside" | "below" | "other";

/** Ctrl+Shift with a letter, which no shell can tell from Ctrl alone. `split`: two terminals are seen. */
export function shortcut(event: KeyboardEvent, split: boolean): Shortcut | null {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return null;
  const key = event.key.toLowerCase();
  if (key === "f") return "find";
  if (key === "e") return "beside";
  if (key === "o") return "below";
  return split && key.startsWith("arrow") ? "other" : null;
}

export interface KeyHooks {
  /** Into the shell, as typed. */
  type(text: string): void;
  copy(): void;
  leave(backwards: boolean): void;
  /** A program fills the screen: to it Escape is a command. */
  fullScreen(): boolean;
  isSplit(): boolean;
}

export class Keys {
  private escapedAt = -Infinity;
  private held: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly xterm: Terminal, private readonly hooks: KeyHooks) {
    xterm.attachCustomKeyEventHandler((event) => this.onKey(event));
    // Whatever else is typed or pasted comes behind an Escape that waits.
    xterm.textarea?.addEventListener("paste", () => this.release(), { capture: true });
    xterm.textarea?.addEventListener("blur", () => this.release());
  }

  /** False: the key is ours or the browser's, not the shell's. */
  private onKey(event: KeyboardEvent): boolean {
    if (event.type !== "keydown") return true;
    if (event.key === "Shift") return true;
    if (event.key === "Tab" && Date.now() - this.escapedAt < LEAVE_MS) {
      event.preventDefault();
      // The Escape was for us: left in readline, it would swallow the beginning of the next paste.
      clearTimeout(this.held);
      this.held = undefined;
      this.escapedAt = -Infinity;
      this.hooks.leave(event.shiftKey);
      return false;
    }
    this.release();
    this.escapedAt = -Infinity;
    const modified = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey;
    if (event.key === "Escape" && !modified && !event.isComposing) {
      this.escapedAt = Date.now();
      if (this.hooks.fullScreen()) return true;
      this.held = setTimeout(() => this.release(), HOLD_MS);
      event.preventDefault();
      return false;
    }
    return this.isForShell(event);
  }

  private isForShell(event: KeyboardEvent): boolean {
    const key = event.key.toLowerCase();
    if (shortcut(event, this.hooks.isSplit())) return false;
    if (!event.ctrlKey || event.altKey || event.metaKey) return true;
    // As every other terminal has it and xterm.js has not: "undo" to readline, "go to line" to nano.
    if (key === "/") {
      event.preventDefault();
      this.hooks.type("\x1f");
      return false;
    }
    // Ctrl+Shift+V is left to the browser, which answers it with a paste event, on plain http too.
    if (event.shiftKey && key === "v") return false;
    if (key === "c" && (event.shiftKey || this.xterm.hasSelection())) {
      event.preventDefault();
      this.hooks.copy();
      return false;
    }
    return true;
  }

  private release(): void {
    if (this.held === undefined) return;
    clearTimeout(this.held);
    this.held = undefined;
    this.hooks.type("\x1b");
  }
}

/**
 * In screen reader mode xterm.js leaves text that comes without a key (from an input method, a table of emoji,
 * dictation) to the reader and types nothing of it.
 */
export function typeWithoutKeys(xterm: Terminal, type: (text: string) => void): void {
  const field = xterm.textarea;
  if (!field) return;
  let keyDown = false;
  field.addEventListener("keydown", () => (keyDown = true), { capture: true });
  field.addEventListener("keyup", () => (keyDown = false), { capture: true });
  field.addEventListener("input", (event) => {
    if (!xterm.options.screenReaderMode || !(event instanceof InputEvent)) return;
    if (event.inputType !== "insertText" || !event.data || event.isComposing || keyDown) return;
    type(event.data);
    field.value = "";
  });
}
