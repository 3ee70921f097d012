// OSC 52: a program puts text into the learner's clipboard. It may not read it, and it may not write behind the
// learner's back: only into the window that they look at and have just used, and the page says so.

import type { Terminal } from "@xterm/xterm";

/** Bytes of text that one sequence may copy. */
export const COPY_MAX = 100_000;
/** How long after a key or a click a program's copy counts as asked for. */
const GESTURE_MS = 10_000;

/** What came of it, for the learner. */
export type Copied = { is: "copied"; letters: number } | { is: "refused" } | { is: "tooMuch" };

export interface RemoteCopy {
  /** Whether this page may act on it now: live output, and this page is the one that types. */
  may(): boolean;
  copy(text: string): Promise<boolean>;
  say(what: Copied): void;
}

export class Clipboard52 {
  private gestureAt = -Infinity;

  constructor(xterm: Terminal, pane: HTMLElement, private readonly to: RemoteCopy) {
    for (const kind of ["keydown", "pointerdown"]) pane.addEventListener(kind, () => (this.gestureAt = Date.now()), { capture: true });
    xterm.parser.registerOscHandler(52, (data) => {
      void this.heard(data);
      return true;
    });
  }

  private async heard(data: string): Promise<void> {
    const text = written(data);
    if (text === null || !this.to.may()) return;
    if (text === "tooMuch") return this.to.say({ is: "tooMuch" });
    if (!document.hasFocus() || Date.now() - this.gestureAt > GESTURE_MS) return this.to.say({ is: "refused" });
    const copied = await this.to.copy(text.text);
    this.to.say(copied ? { is: "copied", letters: Array.from(text.text).length } : { is: "refused" });
  }
}

/** The text that `Pc ; base64` copies. A query, and what is no such thing, copies nothing. */
export function written(data: string): { text: string } | "tooMuch" | null {
  const parts = /^[cpqs0-7]*;([A-Za-z0-9+/]*={0,2})$/.exec(data);
  const base64 = parts?.[1];
  if (!base64) return null;
  if (base64.length > (COPY_MAX * 4) / 3 + 4) return "tooMuch";
  try {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return { text: new TextDecoder().decode(bytes) };
  } catch {
    return null;
  }
}
