// Under the lesson on a phone: the terminal's last two lines, or what is the matter with it, in words.

import { byId, setText } from "../dom.js";
import type { Notes } from "./notes.js";
import { saying } from "../machine/stage.js";
import { hasMachine, type State, type Store } from "../state.js";
import { words } from "../words.js";

/** Between two looks at a terminal that prints. */
const EVERY_MS = 150;

export class Peek {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly notes: Notes,
    private readonly lastLines: () => string[],
  ) {
    store.watch(() => this.draw());
  }

  /** The terminal in front has printed. */
  printed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw();
    }, EVERY_MS);
  }

  draw(): void {
    const { state } = this.store;
    const note = this.notes.shown;
    const said = hasMachine(state) ? note && [note.title + (note.count ?? ""), note.text ?? ""] : without(state);
    const lines = byId("peek-lines");
    byId("peek").dataset.is = said ? "words" : "lines";
    setText(lines, (said || this.lastLines()).join("\n"));
  }
}

/** What there is instead of a machine. */
function without(state: State): string[] {
  const { title, text } = state.boot.playable ? saying(state) : words.wait.never;
  return [title, text];
}
