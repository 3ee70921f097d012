// Finding a word in what a terminal holds. The work is the add-on's, which is fetched when somebody looks.

import type { SearchAddon } from "@xterm/addon-search";
import { byId, setText } from "../dom.js";
import type { Terminal } from "./terminal.js";
import { words } from "../words.js";

/** More places than this are not marked, and not counted. */
const PLACES_MAX = 1000;

export class Find {
  private readonly bar = byId("find");
  private readonly field = byId("find-text", HTMLInputElement);
  private readonly said = byId("find-said");
  private readonly exact = byId("find-case", HTMLButtonElement);
  private readonly addons = new WeakMap<Terminal, SearchAddon>();
  private terminal: Terminal | undefined;

  constructor(private readonly inFront: () => Terminal | undefined) {
    this.field.addEventListener("input", () => void this.look("on", true));
    this.bar.addEventListener("submit", (event) => event.preventDefault());
    this.bar.addEventListener("keydown", (event) => this.onKey(event));
    byId("find-next").addEventListener("click", () => void this.look("on"));
    byId("find-back").addEventListener("click", () => void this.look("back"));
    byId("find-close").addEventListener("click", () => this.close());
    this.exact.addEventListener("click", () => {
      this.exact.setAttribute("aria-pressed", String(!this.isExact));
      this.again();
    });
  }

  /** Opens the bar, with what is selected in the terminal as the word. */
  open(): void {
    this.terminal = this.inFront();
    if (!this.terminal) return;
    const selected = this.terminal.xterm.getSelection();
    if (selected && !selected.includes("\n")) this.field.value = selected;
    this.bar.hidden = false;
    this.field.focus();
    this.field.select();
    void this.look("on", true);
  }

  /** The colours have changed, and the marks of what is shown have the old ones. */
  redraw(): void {
    if (!this.bar.hidden) this.again();
  }

  /** Puts it away; the terminal has the keys again, and shows what was found last. */
  close(): void {
    if (this.bar.hidden) return;
    this.bar.hidden = true;
    if (this.terminal) this.addons.get(this.terminal)?.clearDecorations();
    this.terminal?.focus();
    this.terminal = undefined;
  }

  /** The add-on keeps its marks and their count as long as the word is the same. */
  private again(): void {
    if (this.terminal) this.addons.get(this.terminal)?.dispose();
    if (this.terminal) this.addons.delete(this.terminal);
    void this.look("on", true);
  }

  private get isExact(): boolean {
    return this.exact.getAttribute("aria-pressed") === "true";
  }

  private async look(way: "on" | "back", incremental = false): Promise<void> {
    // The terminal in front may be another by now.
    const terminal = this.inFront();
    if (!terminal) return;
    if (terminal !== this.terminal && this.terminal) this.addons.get(this.terminal)?.clearDecorations();
    this.terminal = terminal;
    const addon = await this.addonOf(terminal);
    const word = this.field.value;
    if (word === "") {
      addon.clearDecorations();
      return setText(this.said, "");
    }
    const options = { caseSensitive: this.isExact, incremental, decorations: marksOf(byId("stage")) };
    const found = way === "on" ? addon.findNext(word, options) : addon.findPrevious(word, options);
    if (!found) setText(this.said, words.find.none);
  }

  private async addonOf(terminal: Terminal): Promise<SearchAddon> {
    const known = this.addons.get(terminal);
    if (known) return known;
    const { SearchAddon: Addon } = await import("@xterm/addon-search");
    const addon = this.addons.get(terminal) ?? new Addon({ highlightLimit: PLACES_MAX });
    if (!this.addons.has(terminal)) {
      terminal.xterm.loadAddon(addon);
      addon.onDidChangeResults(({ resultIndex, resultCount }) => {
        const { none, count, many } = words.find;
        const says = resultCount === 0 ? none : resultCount >= PLACES_MAX ? many(PLACES_MAX) : count(resultIndex + 1, resultCount);
        if (terminal === this.terminal && this.field.value !== "") setText(this.said, says);
      });
      this.addons.set(terminal, addon);
    }
    return addon;
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
    } else if (event.key === "Enter" && event.target === this.field) {
      event.preventDefault();
      void this.look(event.shiftKey ? "back" : "on");
    }
  }
}

/** Every place is framed, and the one in front is filled: the water's own colours. */
function marksOf(stage: HTMLElement) {
  const token = (name: string): string => getComputedStyle(stage).getPropertyValue(`--${name}`).trim();
  const [edge, quiet] = [token("edge"), token("line-ui")];
  return {
    matchBackground: token("selection").slice(0, 7),
    matchBorder: quiet,
    matchOverviewRuler: quiet,
    activeMatchBackground: token("edge-rim") || edge,
    activeMatchBorder: edge,
    activeMatchColorOverviewRuler: edge,
  };
}
