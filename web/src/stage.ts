// Around the terminals: the strip under them, and the card that stands where there is no machine.

import { byId, setText } from "./dom.js";
import type { Notes } from "./notes.js";
import { hasMachine, type State, type Store } from "./state.js";
import { words } from "./words.js";

/** A start that takes longer is counted. */
const SLOW_START_S = 3;

export function drawStage(store: Store, notes: Notes, act: { start: () => void; retry: () => void }): void {
  const card = new Card(act.start);
  store.watch((state) => {
    if (state.boot.playable) card.draw(state);
    drawStrip(state);
    byId("stage").toggleAttribute("data-late", hasMachine(state) && state.lost !== null);
    byId("leave", HTMLButtonElement).disabled = !hasMachine(state);
    drawNotes(state, notes, act.retry);
  });
  // Counted seconds.
  setInterval(() => {
    if (store.state.boot.playable) card.draw(store.state);
    drawNotes(store.state, notes, act.retry);
  }, 1000);
}

/** How long the strip shows that the bell rang. */
const RING_MS = 1500;
let ring: ReturnType<typeof setTimeout> | undefined;

/** The bell of the terminal in front. */
export function ringStrip(): void {
  const strip = byId("strip");
  strip.dataset.rang = "";
  clearTimeout(ring);
  ring = setTimeout(() => delete strip.dataset.rang, RING_MS);
}

/** What stands in the water while there is no terminal. */
class Card {
  private readonly card = byId("wait");
  private readonly title: HTMLElement | null = document.getElementById("wait-title");
  private readonly text: HTMLElement | null = document.getElementById("wait-text");
  private readonly output: HTMLElement | null = document.getElementById("wait-output");
  private readonly form: HTMLElement | null = document.getElementById("start");

  constructor(start: () => void) {
    this.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
  }

  draw(state: State): void {
    this.card.hidden = hasMachine(state);
    const { title, text, button } = saying(state);
    this.card.dataset.is = state.refusal ? "refused" : (state.phase?.is ?? "starting");
    if (this.title) setText(this.title, title);
    if (this.text) setText(this.text, text);
    if (this.output) {
      const output = state.refusal ? "" : (state.phase?.output ?? "");
      setText(this.output, output);
      this.output.hidden = output === "";
    }
    if (this.form) {
      this.form.hidden = !button;
      const label = this.form.querySelector("button");
      if (label && button) setText(label, button);
    }
  }
}

/** What there is to say where there is no machine. */
export function saying({ phase, refusal }: State): { title: string; text: string; button?: string } {
  const { starting, failed, ended, refused } = words.wait;
  if (refusal) return { title: refused.title, text: refusal, button: refused.again };
  switch (phase?.is) {
    case "failed":
      return { title: failed.title, text: phase.message ?? "", button: failed.again };
    case "ended":
      return { title: ended.title, text: phase.message ?? ended.text, button: ended.again };
    default: {
      const seconds = phase ? Math.round((Date.now() - phase.since_ms) / 1000) : 0;
      const soFar = seconds >= SLOW_START_S ? starting.soFar(seconds) : "";
      return { title: starting.title, text: (phase?.message ?? starting.text) + soFar };
    }
  }
}

function drawStrip(state: State): void {
  const [is, text] = connection(state);
  byId("strip-state").dataset.is = is;
  setText(byId("strip-text"), text);
  const where = hasMachine(state) ? state.session?.environment : undefined;
  const line = byId("strip-where");
  setText(line, where ? `${where.hostname}, ${where.address}${where.note ? ` · ${where.note}` : ""}` : "");
  line.title = where?.note ?? "";
}

function connection(state: State): ["ok" | "wait" | "lost", string] {
  const { strip } = words;
  if (state.phase?.is === "ended" || state.phase?.is === "failed") return ["wait", strip.ended];
  if (!hasMachine(state)) return ["wait", state.boot.playable && !state.refusal ? strip.starting : strip.ended];
  if (state.lost) return ["lost", strip.lost];
  return state.attached ? ["ok", strip.connected] : ["wait", strip.connecting];
}

/** Notes that follow from the state alone. */
function drawNotes({ phase, lost }: State, notes: Notes, retry: () => void): void {
  if (phase?.is === "preparing") {
    const seconds = Math.max(0, Math.round((Date.now() - phase.since_ms) / 1000));
    const { preparing, preparingText } = words.note;
    notes.show("phase", { is: "wait", title: preparing, count: words.seconds(seconds), text: phase.message ?? preparingText });
  } else {
    notes.clear("phase");
  }
  // The first try follows at once; a note that only flashes says nothing.
  if (lost && lost.tries > 1) {
    const { lostTitle, lostText, tryNow } = words.note;
    const seconds = Math.max(0, Math.ceil((lost.nextAt - Date.now()) / 1000));
    notes.show("lost", { is: "lost", title: lostTitle, text: lostText(seconds, lost.tries), act: { label: tryNow, does: retry } });
  } else {
    notes.clear("lost");
  }
}
