// The machine's time: the pill in the bar, the note before the end, and what is said aloud.
//
// The server tells how much is left, never when it ends: the two clocks may differ by anything. From then on the
// page counts by itself, and is told again every so often.

import type { Api } from "../connection/api.js";
import { Refusal } from "../connection/api.js";
import { byId, setText } from "../dom.js";
import type { Notes } from "../around/notes.js";
import { hasMachine, type State, type Store } from "../state.js";
import { words } from "../words.js";

const MINUTE = 60_000;
/** Below these the pill is amber, and a note asks. */
const SOON_MS = 10 * MINUTE;
const CLOSING_MS = 2 * MINUTE;

export type Urgency = "calm" | "soon" | "closing";

export function urgency(leftMs: number): Urgency {
  if (leftMs < CLOSING_MS) return "closing";
  return leftMs < SOON_MS ? "soon" : "calm";
}

/** What is left, as short as it can be said: whole minutes, and seconds only when they count. */
export function remaining(leftMs: number): string {
  const seconds = Math.ceil(Math.max(leftMs, 0) / 1000);
  if (leftMs < CLOSING_MS) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export type Milestone = "two" | "one" | "ten";
const MILESTONES: [Milestone, number][] = [["ten", 10_000], ["one", MINUTE], ["two", CLOSING_MS]];

/** What has to be said aloud when `before` became `after`: the last milestone that was passed, if one was. */
export function passed(before: number, after: number): Milestone | null {
  return MILESTONES.find(([, at]) => after <= at && before > at)?.[0] ?? null;
}

export class Clock {
  private readonly pill = byId("time");
  private readonly left = byId("time-left");
  private readonly most = byId("time-most");
  private readonly extend = byId("extend", HTMLButtonElement);
  private before = Infinity;
  private asking = false;
  /** The learner has put the note away. */
  private dismissed = false;

  constructor(
    private readonly store: Store,
    private readonly api: Api,
    private readonly notes: Notes,
  ) {
    this.extend.addEventListener("click", () => void this.ask());
    store.watch(() => this.draw());
    setInterval(() => this.draw(), 1000);
  }

  private draw(): void {
    const { state } = this.store;
    const { time } = state;
    const counts = time && (hasMachine(state) || state.phase?.is === "lost" || state.phase?.is === "starting");
    if (!time || !counts) {
      this.pill.dataset.is = "none";
      this.before = Infinity;
      this.dismissed = false;
      return this.notes.clear("time");
    }
    const left = Math.max(0, time.endsAt - Date.now());
    const is = urgency(left);
    this.pill.dataset.is = is;
    setText(this.left, remaining(left));
    const canMore = time.moreMs > 0;
    this.extend.hidden = !canMore;
    this.extend.disabled = this.asking || state.lost !== null;
    this.extend.title = canMore ? words.time.adds(time.moreMs) : "";
    setText(this.most, canMore ? "" : words.time.noMore);
    this.most.title = canMore ? "" : words.time.all(time.mostMs);
    this.speak(passed(this.before, left));
    this.before = left;
    this.drawNote(state, is, left);
  }

  private drawNote({ time }: State, is: Urgency, left: number): void {
    if (is !== "closing" || !time) {
      this.dismissed = false;
      return this.notes.clear("time");
    }
    if (this.dismissed) return;
    const { closing, closingText, closingMost, extendBy } = words.time;
    this.notes.show("time", {
      is: "warn",
      title: closing,
      count: ` ${remaining(left)}`,
      text: time.moreMs > 0 ? closingText : closingMost(time.mostMs),
      ...(time.moreMs > 0 && { act: { label: extendBy(time.moreMs), does: () => void this.ask() } }),
      closes: true,
      closed: () => (this.dismissed = true),
    });
  }

  /** Aloud, and only at the milestones: the pill itself is not a live region. */
  private speak(milestone: Milestone | null): void {
    if (!milestone) return;
    setText(byId(milestone === "two" ? "time-alert" : "time-said"), words.time.aloud[milestone]);
  }

  private async ask(): Promise<void> {
    const { session } = this.store.state;
    if (!session || this.asking) return;
    this.asking = true;
    try {
      const { time } = await this.api.extend(session.id);
      this.before = Infinity;
      setText(byId("time-alert"), "");
      this.store.update({ time: time && counted(time) });
      if (time) setText(byId("time-said"), words.time.added(remaining(time.left_ms)));
    } catch (error) {
      const text = error instanceof Refusal && error.status !== 0 ? error.message : words.time.unreachable;
      this.notes.show("extend", { is: "warn", title: words.time.notAdded, text, closes: true });
    } finally {
      this.asking = false;
      this.draw();
    }
  }
}

/** The server's lengths as a moment of this browser's clock. */
export function counted(time: { left_ms: number; more_ms: number; most_ms: number }, now = Date.now()): { endsAt: number; moreMs: number; mostMs: number } {
  return { endsAt: now + time.left_ms, moreMs: time.more_ms, mostMs: time.most_ms };
}
