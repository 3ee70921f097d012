// The note that floats over the water: one at a time, the newest, and none over the line that is typed.

import { byId, isShown, setText } from "../dom.js";
import { words } from "../words.js";

export interface Note {
  is: "wait" | "lost" | "warn" | "info";
  title: string;
  /** Counts beside the title, unheard: a reader is not told every second. */
  count?: string;
  text?: string;
  /** What a program printed. */
  output?: string | null;
  act?: { label: string; does: () => void };
  /** The learner has put it away. */
  closed?: () => void;
  /** The learner may put it away; one that ends by itself has no such button. */
  closes?: boolean;
}

/** Between two looks at where the cursor is. */
const EVERY_MS = 150;

export class Notes {
  /** By what they are about, in the order in which they came. */
  private readonly notes = new Map<string, Note>();
  private readonly box = byId("note");
  private readonly title = byId("note-title");
  private readonly count = byId("note-count");
  private readonly text = byId("note-text");
  private readonly output = byId("note-output");
  private readonly act = byId("note-act", HTMLButtonElement);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly closer = byId("note-close", HTMLButtonElement);

  /** `drawn`: a note came or went; `typed`: where the learner types, as far as that can be seen. */
  constructor(
    private readonly drawn: () => void,
    private readonly typed: () => DOMRect | null,
  ) {
    setText(this.closer, words.note.close);
    this.act.addEventListener("click", () => this.newest()?.[1].act?.does());
    this.closer.addEventListener("click", () => {
      const newest = this.newest();
      if (newest) this.clear(newest[0]);
      newest?.[1].closed?.();
    });
  }

  /** Shows a note; one about the same replaces the older without coming to the front again. */
  show(about: string, note: Note): void {
    this.notes.set(about, note);
    this.draw();
  }

  clear(about: string): void {
    if (this.notes.delete(about)) this.draw();
  }

  /** A terminal has printed, and its cursor may have come under the note. */
  printed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.keepClear();
    }, EVERY_MS);
  }

  /** Puts the focus on what a note offers; false: nothing is offered. */
  focus(): boolean {
    const button = [this.act, this.closer].find((it) => isShown(it));
    button?.focus();
    return button !== undefined;
  }

  get shown(): Note | undefined {
    return this.newest()?.[1];
  }

  private newest(): [string, Note] | undefined {
    return [...this.notes].at(-1);
  }

  private draw(): void {
    const note = this.newest()?.[1];
    this.box.hidden = !note;
    if (!note) {
      this.keepClear();
      return this.drawn();
    }
    this.box.dataset.is = note.is;
    setText(this.title, note.title);
    setText(this.count, note.count ?? "");
    setText(this.text, note.text ?? "");
    setText(this.output, note.output ?? "");
    this.output.hidden = !note.output;
    this.act.hidden = !note.act;
    setText(this.act, note.act?.label ?? "");
    this.closer.hidden = !note.closes;
    byId("note-do").hidden = !note.act && !note.closes;
    this.keepClear();
    this.drawn();
  }

  /** A note stands at the top; below, where it would lie over what is typed; and it moves for nothing else. */
  private keepClear(): void {
    if (this.box.hidden) return void this.box.removeAttribute("data-low");
    const typed = this.typed();
    if (!typed || !overlap(typed, this.box.getBoundingClientRect())) return;
    this.box.toggleAttribute("data-low");
    if (overlap(typed, this.box.getBoundingClientRect())) this.box.toggleAttribute("data-low");
  }
}

function overlap(a: DOMRect, b: DOMRect): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
