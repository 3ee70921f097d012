// The yellow line is the handle between lesson and terminal: pointer, arrows, Home, End, double click.

import { byId } from "../dom.js";

/** Per cent of the width that the lesson may have; pages.rs has the same. */
const LIMITS = { min: 25, max: 60 };
const STEP = 2;
const YEAR_S = 365 * 24 * 3600;

export function improveEdge(base: string): void {
  const edge = byId("edge");
  const work = byId("work");

  const set = (percent: number | null): void => {
    const lesson = percent === null ? null : Math.round(Math.max(LIMITS.min, Math.min(LIMITS.max, percent)));
    // `initial`: the style sheet's own width, whatever the server wrote into this page.
    work.style.setProperty("--lesson", lesson === null ? "initial" : `${lesson}%`);
    edge.setAttribute("aria-valuenow", String(lesson ?? Math.round(now())));
    // A cookie, not storage: the server draws the next page with the line where it is.
    const age = lesson === null ? 0 : YEAR_S;
    document.cookie = `edge=${lesson ?? ""}; path=${base}; max-age=${age}; samesite=lax`;
  };
  const now = (): number => (100 * edge.getBoundingClientRect().left) / work.clientWidth;

  edge.addEventListener("pointerdown", (event) => {
    edge.setPointerCapture(event.pointerId);
    work.dataset.dragging = "";
  });
  edge.addEventListener("pointermove", (event) => {
    if (edge.hasPointerCapture(event.pointerId)) set((100 * event.clientX) / work.clientWidth);
  });
  edge.addEventListener("lostpointercapture", () => delete work.dataset.dragging);
  edge.addEventListener("dblclick", () => set(null));
  edge.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: now() - STEP, ArrowRight: now() + STEP, Home: LIMITS.min, End: LIMITS.max }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    set(to);
  });
}
