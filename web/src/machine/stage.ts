// Around the terminals: the strip under them, and the card that stands where there is no machine.

import { byId, setText } from "../dom.js";
import type { Notes } from "../around/notes.js";
import { hasMachine, isOver, type State, type Store } from "../state.js";
import { words } from "../words.js";

/** A start that takes longer is counted. */
const SLOW_START_S = 3;
/** Berths that fit beside each other on a phone. */
const BERTHS_MAX = 5;

export function drawStage(store: Store, notes: Notes, act: Acts): void {
  const card = new Card(act);
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

export interface Acts {
  /** `instead`: a session that is ended for it. */
  start(instead?: string): void;
  restart(): void;
  leave(): void;
  retry(): void;
}

/** What stands in the water while there is no terminal. */
class Card {
  private readonly card = byId("wait");
  private readonly title: HTMLElement | null = document.getElementById("wait-title");
  private readonly text: HTMLElement | null = document.getElementById("wait-text");
  private readonly output: HTMLElement | null = document.getElementById("wait-output");
  private readonly form: HTMLElement | null = document.getElementById("start");
  private readonly second: HTMLElement | null = document.getElementById("wait-second");
  private readonly berths: HTMLElement | null = document.getElementById("berths");
  private readonly kept: HTMLElement | null = document.getElementById("wait-kept");
  private shown: Saying = { title: "", text: "" };

  constructor(act: Acts) {
    const does = (what: Deed): void => (what.does === "start" ? act.start(what.instead) : act[what.does]());
    this.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      does(this.shown.first ?? { does: "start" });
    });
    this.second?.addEventListener("click", () => this.shown.second && does(this.shown.second));
  }

  draw(state: State): void {
    this.card.hidden = hasMachine(state);
    this.shown = saying(state);
    const { title, text, button, second, kept, berths } = this.shown;
    this.card.dataset.is = state.refusal ? "refused" : (state.phase?.is ?? "starting");
    if (this.title) setText(this.title, title);
    if (this.text) setText(this.text, text);
    if (this.output) {
      const output = state.refusal ? "" : (state.phase?.output ?? "");
      setText(this.output, output);
      this.output.hidden = output === "";
    }
    this.card.toggleAttribute("data-line", berths !== undefined);
    if (this.kept) {
      setText(this.kept, kept ?? "");
      this.kept.hidden = !kept;
    }
    if (this.berths) drawBerths(this.berths, berths ?? 0);
    if (this.second) {
      setText(this.second, second?.label ?? "");
      this.second.hidden = !second;
    }
    if (this.form) {
      this.form.hidden = !button;
      const label = this.form.querySelector("button");
      if (label && button) setText(label, button);
    }
  }
}

/** A berth for each learner up to this one, and a sign where there are too many. */
function drawBerths(list: HTMLElement, place: number): void {
  list.hidden = place < 1 || place > BERTHS_MAX;
  if (list.hidden || list.children.length === place) return;
  list.replaceChildren(
    ...Array.from({ length: place }, (_, n) => {
      const berth = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = n + 1 === place ? words.line.you : words.line.berth(n + 1);
      berth.append(document.createElement("i"), name);
      if (n + 1 === place) berth.dataset.me = "";
      return berth;
    }),
  );
}

/** What a button of the card does. */
type Deed = { does: "start" | "restart" | "leave"; instead?: string };

interface Saying {
  title: string;
  text: string;
  kept?: string;
  /** The learner's place in line. */
  berths?: number;
  button?: string;
  first?: Deed;
  second?: Deed & { label: string };
}

/** What there is to say where there is no machine. */
export function saying({ phase, refusal, offer, line, session, time }: State): Saying {
  const { starting, failed, ended, lost, refused } = words.wait;
  if (refusal && offer) {
    const second = { label: refused.again, does: "start" } as const;
    return { title: refused.tooMany, text: refusal, button: refused.instead(offer.title), first: { does: "start", instead: offer.session }, second };
  }
  if (refusal) return { title: refused.title, text: refusal, button: refused.again };
  const kept = words.wait.kept(session?.passed ?? []);
  switch (phase?.is) {
    case "waiting":
      return { ...words.line.saying(line), ...(line && { berths: line.place }), second: { label: words.line.leave, does: "leave" } };
    case "lost":
      return { title: lost.title, text: phase.message ?? "", kept, button: lost.again, first: { does: "restart" } };
    case "failed":
      return { title: failed.title, text: phase.message ?? "", button: failed.again };
    case "ended":
      // Who never had a machine lost none.
      if (!time && line) return { title: refused.title, text: phase.message ?? "", button: ended.begin };
      return { title: ended.title, text: phase.message ?? ended.text, kept, button: ended.again };
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
  if (isOver(state) || state.phase?.is === "lost") return ["wait", strip.ended];
  if (state.phase?.is === "waiting") return ["wait", strip.waiting];
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
    const { lostTitle, lostText, lostCount, tryNow } = words.note;
    const seconds = Math.max(0, Math.ceil((lost.nextAt - Date.now()) / 1000));
    notes.show("lost", { is: "lost", title: lostTitle, count: lostCount(seconds), text: lostText, act: { label: tryNow, does: retry } });
  } else {
    notes.clear("lost");
  }
}
