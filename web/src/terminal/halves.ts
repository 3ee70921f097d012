// The stage in two halves: side by side or above each other, with an edge that moves. Which terminal stands in
// which half is the tabs' business. The way and the place of the edge are remembered by this browser.

import { byId, setText } from "../dom.js";
import { settings } from "../settings.js";
import { words } from "../words.js";

type Way = "row" | "column";

/** Per cent of the stage that the first half has. */
const LIMITS = { min: 20, max: 80 };
const MIDDLE = 50;
const STEP = 2;
/** On a phone there is room for one. */
const NARROW = matchMedia("(max-width: 760px)");

export class Halves {
  private way: Way | null = null;
  /** What was closed because the window became narrow. */
  private narrowed: Way | null = null;
  private readonly edge = byId("halves");
  private readonly button = byId("split", HTMLButtonElement);

  /** `changed` is told when there are two halves, or one again. */
  constructor(private readonly stage: HTMLElement, private readonly changed: () => void) {
    this.button.addEventListener("click", () => this.choose(this.next()));
    NARROW.addEventListener("change", () => this.turn(NARROW.matches));
    this.edge.addEventListener("pointerdown", (event) => this.edge.setPointerCapture(event.pointerId));
    this.edge.addEventListener("pointermove", (event) => {
      if (!this.edge.hasPointerCapture(event.pointerId)) return;
      const { left, top, width, height } = this.stage.getBoundingClientRect();
      this.place(this.way === "row" ? (100 * (event.clientX - left)) / width : (100 * (event.clientY - top)) / height);
    });
    this.edge.addEventListener("dblclick", () => this.place(MIDDLE));
    this.edge.addEventListener("keydown", (event) => this.onKey(event));
    this.place(Number(settings.get("split-at")) || MIDDLE);
    this.draw();
  }

  get isSplit(): boolean {
    return this.way !== null;
  }

  /** As this browser had it last. */
  restore(): void {
    const way = settings.get("split");
    if ((way === "row" || way === "column") && !NARROW.matches) this.choose(way);
  }

  toggle(way: Way): void {
    if (!NARROW.matches) this.choose(this.way === way ? null : way);
  }

  /** One half again, until there is room for two or something to stand in them. */
  close(): void {
    this.narrowed = null;
    if (this.way === null) return;
    this.way = null;
    this.draw();
    this.changed();
  }

  /** The window, or a tablet that is turned, has room for one half only, or for two again. */
  private turn(narrow: boolean): void {
    const { way, narrowed } = this;
    if (narrow) {
      this.close();
      this.narrowed = way;
    } else if (narrowed) {
      this.choose(narrowed);
    }
  }

  private next(): Way | null {
    return this.way === null ? "row" : this.way === "row" ? "column" : null;
  }

  private choose(way: Way | null): void {
    this.way = way;
    settings.set("split", way ?? "");
    this.draw();
    this.changed();
  }

  private draw(): void {
    if (this.way) this.stage.dataset.split = this.way;
    else delete this.stage.dataset.split;
    this.edge.hidden = this.way === null;
    this.edge.setAttribute("aria-orientation", this.way === "column" ? "horizontal" : "vertical");
    const next = this.next();
    const says = next ? words.split[next] : words.split.one;
    this.button.dataset.next = next ?? "one";
    this.button.title = says;
    const label = this.button.querySelector(".sr");
    if (label) setText(label, says);
  }

  private place(percent: number): void {
    const at = Math.round(Math.max(LIMITS.min, Math.min(LIMITS.max, percent)));
    this.stage.style.setProperty("--split", `${at}%`);
    this.edge.setAttribute("aria-valuenow", String(at));
    settings.set("split-at", String(at));
  }

  private onKey(event: KeyboardEvent): void {
    const at = Number(this.edge.getAttribute("aria-valuenow"));
    const back = event.key === "ArrowLeft" || event.key === "ArrowUp";
    const on = event.key === "ArrowRight" || event.key === "ArrowDown";
    const to = event.key === "Home" ? LIMITS.min : event.key === "End" ? LIMITS.max : back ? at - STEP : on ? at + STEP : null;
    if (to === null) return;
    event.preventDefault();
    this.place(to);
  }
}
