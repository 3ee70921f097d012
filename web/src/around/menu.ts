// The menu: opens and closes by itself, as a disclosure. This adds Esc, a click elsewhere, and the arrows.

import { isShown } from "../dom.js";

/** What can be reached in the menu, in order. */
const STOPS = "summary, button, input, a[href]";

export function improveMenu(): void {
  const menu = document.getElementById("menu");
  if (!(menu instanceof HTMLDetailsElement)) return;
  const summary = menu.querySelector("summary");
  document.addEventListener("pointerdown", (event) => {
    if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
  // Tab leads out of it: what is open behind one's back hides what one came for.
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !menu.contains(relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      summary?.focus();
    } else if (event.target instanceof HTMLElement && move(menu, event.target, event.key)) {
      event.preventDefault();
    }
  });
}

/** Up and down go through the menu, left and right through one choice; false: not a key of ours. */
function move(menu: HTMLDetailsElement, from: HTMLElement, key: string): boolean {
  if (!menu.open && key === "ArrowDown" && from.matches("summary")) menu.open = true;
  if (!menu.open) return false;
  const choice = from.closest<HTMLElement>(".choice");
  const all = stopsOf(menu);
  const at = all.indexOf(from);
  if (key === "Home") return focus(all[0]);
  if (key === "End") return focus(all.at(-1));
  if (choice && (key === "ArrowLeft" || key === "ArrowRight")) {
    const stops = stopsOf(choice);
    return focus(stops[stops.indexOf(from) + (key === "ArrowRight" ? 1 : -1)]);
  }
  // A choice counts as one row.
  const inRow = (stop: HTMLElement): boolean => choice !== null && choice.contains(stop);
  if (key === "ArrowDown") return focus(all.slice(at + 1).find((stop) => !inRow(stop)));
  if (key === "ArrowUp") return focus(firstOfRow(all.slice(0, Math.max(at, 0)).reverse().find((stop) => !inRow(stop))));
  return false;
}

function stopsOf(part: HTMLElement): HTMLElement[] {
  return [...part.querySelectorAll<HTMLElement>(STOPS)].filter((stop) => isShown(stop) && !stop.matches(":disabled"));
}

function firstOfRow(stop: HTMLElement | undefined): HTMLElement | undefined {
  const row = stop?.closest<HTMLElement>(".choice");
  return row ? stopsOf(row)[0] : stop;
}

function focus(stop: HTMLElement | undefined): boolean {
  stop?.focus();
  return true;
}
