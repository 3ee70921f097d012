// Keys that work everywhere in the workspace. Ctrl+Shift with a digit or Enter belongs to no browser and no
// desktop, and the shell sees no difference to the key without Shift; each can be switched off in the menu.

import { settings } from "../settings.js";

/** By the key's place, as a digit with Shift is another sign on each keyboard. */
const KEYS: Record<string, Shortcut> = { Digit1: "lesson", Digit2: "terminal", Enter: "check", NumpadEnter: "check" };

export type Shortcut = "lesson" | "terminal" | "check";

export function improveShortcuts(does: Record<Shortcut, () => void>): void {
  for (const box of document.querySelectorAll<HTMLInputElement>("input[data-shortcut]")) {
    const name = box.dataset.shortcut as Shortcut;
    box.checked = isOn(name);
    box.addEventListener("change", () => settings.set(`shortcut.${name}`, box.checked ? "on" : "off"));
  }
  // Before the terminal, to which every other key belongs.
  document.addEventListener("keydown", (event) => {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey || event.isComposing) return;
    const name = KEYS[event.code];
    if (!name || !isOn(name)) return;
    // Who is in the terminal already means the shell: Ctrl+Shift+2 is Ctrl+@ there.
    if (name === "terminal" && event.target instanceof Element && event.target.closest(".pane")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) does[name]();
  }, { capture: true });
}

function isOn(name: Shortcut): boolean {
  return settings.get(`shortcut.${name}`) !== "off";
}
