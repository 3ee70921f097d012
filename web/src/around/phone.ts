// The phone's two views, and the keys that its keyboard lacks.

import { readText } from "../clipboard.js";
import { byId } from "../dom.js";
import type { Tabs } from "../terminal/tabs.js";
import { withCtrl } from "../terminal/text.js";

type Modifier = "ctrl" | "alt";

/** How a modifier stands: for the next key, or until it is tapped again. */
type Held = "off" | "once" | "locked";

export class Phone {
  private readonly work = byId("work");
  private readonly paste = byId("paste");
  private readonly field = byId("paste-text", HTMLTextAreaElement);
  private readonly held: Record<Modifier, Held> = { ctrl: "off", alt: "off" };

  constructor(private readonly tabs: () => Tabs) {
    for (const button of document.querySelectorAll<HTMLElement>("[data-view-to]")) {
      button.addEventListener("click", () => this.turn(button.dataset.viewTo === "terminal" ? "terminal" : "lesson"));
    }
    const keys = byId("keys");
    keys.hidden = false;
    // The keyboard stays up: the focus does not leave the terminal.
    keys.addEventListener("pointerdown", (event) => event.preventDefault());
    keys.addEventListener("click", (event) => {
      if (event.target instanceof HTMLElement) void this.tap(event.target);
    });
    this.paste.addEventListener("submit", (event) => {
      event.preventDefault();
      this.tabs().inFront?.paste(this.field.value);
      this.closePaste();
    });
    byId("paste-close").addEventListener("click", () => this.closePaste());
    this.paste.addEventListener("keydown", (event) => event.key === "Escape" && this.closePaste());
    const peek = byId("peek");
    peek.hidden = false;
    peek.addEventListener("click", () => this.show("terminal"));
  }

  /** What held modifiers make of typed text. */
  modify(text: string): string {
    let out = text;
    if (this.held.ctrl !== "off") out = withCtrl(out);
    if (this.held.alt !== "off" && text.length === 1) out = `\x1b${out}`;
    for (const modifier of ["ctrl", "alt"] as const) {
      if (this.held[modifier] === "once") this.hold(modifier, "off");
    }
    return out;
  }

  /** The terminal has printed: the switch says so. */
  printed(): void {
    if (this.work.dataset.view === "lesson") byId("switch-new").hidden = false;
  }

  /** Goes to a view; where both are in sight, the focus goes there. */
  show(view: "lesson" | "terminal"): void {
    this.turn(view);
    if (view === "lesson") byId("lesson").focus();
    else this.tabs().inFront?.focus();
  }

  /** Which of the two views a phone shows; where both are in sight, nothing moves. */
  turn(view: "lesson" | "terminal"): void {
    this.work.dataset.view = view;
    for (const button of document.querySelectorAll<HTMLElement>("[data-view-to]")) {
      button.setAttribute("aria-selected", String(button.dataset.viewTo === view));
    }
    if (view === "terminal") byId("switch-new").hidden = true;
  }

  private async tap(button: HTMLElement): Promise<void> {
    const { key, text, modifier } = button.dataset;
    const terminal = this.tabs().inFront;
    if (modifier === "ctrl" || modifier === "alt") {
      const next: Record<Held, Held> = { off: "once", once: "locked", locked: "off" };
      this.hold(modifier, next[this.held[modifier]]);
    } else if (text !== undefined) {
      terminal?.type(this.modify(text));
    } else if (key === "Paste") {
      const text = await readText();
      if (text === null) return this.askForPaste();
      terminal?.paste(text);
    } else if (key !== undefined) {
      terminal?.press(key);
    }
    terminal?.focus();
  }

  /** Where a page may not read the clipboard, the learner's own paste goes into a field first. */
  private askForPaste(): void {
    this.paste.hidden = false;
    this.field.focus();
  }

  private closePaste(): void {
    this.paste.hidden = true;
    this.field.value = "";
    this.tabs().inFront?.focus();
  }

  private hold(modifier: Modifier, held: Held): void {
    this.held[modifier] = held;
    const button = byId("keys").querySelector(`[data-modifier="${modifier}"]`);
    button?.setAttribute("aria-pressed", String(held !== "off"));
    button?.toggleAttribute("data-locked", held === "locked");
  }
}
