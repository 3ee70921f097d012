// The size of a terminal: as many whole cells as its pane has room for; or, for a page that only looks, the
// writer's size, in letters so small that it fits.

import { FitAddon } from "@xterm/addon-fit";
import type { Terminal } from "@xterm/xterm";

/** Between two looks at the size while the window or the edge is dragged. */
const FIT_MS = 80;

/** Limits of the server; a smaller or larger size is a mistake of layout. */
const COLS = { min: 2, max: 500 };
const ROWS = { min: 1, max: 300 };

/** Smaller letters are no letters; then the pane scrolls. */
const LETTERS_MIN = 6;

export interface Size {
  cols: number;
  rows: number;
}

export class Fit {
  private readonly addon = new FitAddon();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private own: Size = { cols: 80, rows: 24 };
  /** The writer's size, while that is another page. */
  private theirs: Size | null = null;

  /** `changed` is told this page's own size, whichever is shown. */
  constructor(
    private readonly xterm: Terminal,
    private readonly pane: HTMLElement,
    private letters: number,
    private readonly changed: (size: Size) => void,
  ) {
    xterm.loadAddon(this.addon);
    new ResizeObserver(() => this.soon()).observe(pane);
  }

  /** What this page has room for. */
  get size(): Size {
    return this.own;
  }

  setLetters(letters: number): void {
    this.letters = letters;
    this.soon();
  }

  /** Another page types, in its size; null: this one does. */
  follow(theirs: Size | null): void {
    this.theirs = theirs;
    this.now();
  }

  soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.now();
    }, FIT_MS);
  }

  now(): void {
    if (this.pane.clientHeight === 0) return;
    // Measured in the page's own letters, so that what it would take is known while it looks.
    if (this.xterm.options.fontSize !== this.letters) this.xterm.options.fontSize = this.letters;
    const proposed = this.addon.proposeDimensions();
    if (!proposed || !Number.isFinite(proposed.cols)) return;
    const own = { cols: clamp(proposed.cols, COLS), rows: clamp(proposed.rows, ROWS) };
    const isNew = own.cols !== this.own.cols || own.rows !== this.own.rows;
    this.own = own;
    const shown = this.theirs ?? own;
    if (this.theirs) this.xterm.options.fontSize = this.smaller(this.theirs, own);
    if (this.xterm.cols !== shown.cols || this.xterm.rows !== shown.rows) this.xterm.resize(shown.cols, shown.rows);
    if (isNew) this.changed(own);
  }

  private smaller(theirs: Size, own: Size): number {
    const share = Math.min(1, own.cols / theirs.cols, own.rows / theirs.rows);
    // Cells are whole pixels: half a point less than the share says fits for certain.
    return share === 1 ? this.letters : Math.max(LETTERS_MIN, Math.floor(2 * this.letters * share - 0.5) / 2);
  }
}

function clamp(value: number, { min, max }: { min: number; max: number }): number {
  return Math.max(min, Math.min(max, value));
}
