// The terminals of a session, T1 to T9, in tabs. One is in front and has the keys, another may stand beside it;
// the others go on.

import { Terminal, type Events, type Run } from "./terminal.js";
import type { Retry } from "../connection/retry.js";
import { sound } from "./bell.js";
import { byId, setText } from "../dom.js";
import { Halves } from "./halves.js";
import type { Copied } from "./remote-copy.js";
import { settings } from "../settings.js";
import type { Final } from "../connection/socket.js";
import type { Store } from "../state.js";
import type { Id, RunState } from "../connection/wire.js";
import { words } from "../words.js";

const TERMINALS_MAX = 9;
const LETTERS = { min: 10, max: 28, usual: 14 };

/** What tabs tell the rest of the page. */
export interface Hooks {
  path(terminal: number): string;
  runState(id: Id, state: RunState, code: number): void;
  notice(code: string, text: string): void;
  dropped(bytes: number): void;
  refused(why: Final): void;
  tooMuch(bytes: number): void;
  leave(backwards: boolean): void;
  modify(text: string): string;
  /** The terminal in front has printed. */
  printed(): void;
  copied(what: Copied): void;
  /** The bell of the terminal in front. */
  rang(): void;
}

interface Tab {
  button: HTMLButtonElement;
  status: HTMLElement;
  terminal: Terminal;
}

export class Tabs {
  private readonly tabs = new Map<number, Tab>();
  private readonly stage = byId("stage");
  private readonly list = byId("tabs");
  private readonly add = byId("tab-new", HTMLButtonElement);
  private readonly halves: Halves;
  private front = 0;
  /** The terminal in the other half, or 0. */
  private beside = 0;
  private letters: number;
  private reader = settings.get("reader") === "on";

  constructor(
    private readonly store: Store,
    private readonly retry: Retry,
    private readonly viewer: Id,
    private readonly hooks: Hooks,
  ) {
    this.letters = this.usualLetters();
    this.add.addEventListener("click", () => this.openNext());
    for (const button of document.querySelectorAll<HTMLElement>("[data-letters]")) {
      button.addEventListener("click", () => this.setLetters(this.letters + Number(button.dataset.letters)));
    }
    this.drawLetters();
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.reveal()).observe(this.list);
    this.halves = new Halves(this.stage, () => this.divide());
  }

  get inFront(): Terminal | undefined {
    return this.tabs.get(this.front)?.terminal;
  }

  get readerMode(): boolean {
    return this.reader;
  }

  /** Opens the terminals of a session; the first of them stands in front. */
  openAll(numbers: number[]): void {
    for (const number of numbers.length > 0 ? numbers : [1]) this.open(number);
    if (!this.inFront) this.show(Math.min(...this.tabs.keys()));
    byId("sizes").hidden = false;
    // As it was when this browser last had two.
    if (this.tabs.size > 1) this.halves.restore();
  }

  /** The session is over: its terminals go with it. */
  closeAll(): void {
    for (const { terminal, button } of this.tabs.values()) {
      terminal.close();
      button.remove();
    }
    this.tabs.clear();
    this.front = 0;
    this.beside = 0;
    this.halves.close();
    this.add.hidden = true;
    byId("sizes").hidden = true;
    this.tellStore();
  }

  /** Another window has opened some of these: they get their tabs here, and nothing comes to the front. */
  follow(numbers: number[]): void {
    if (this.tabs.size === 0) return;
    for (const number of numbers) this.open(number);
  }

  /** Types a lesson's command into a terminal, which is opened if need be and comes to the front. */
  run(target: number | "active", ...runs: Run[]): number {
    const number = target === "active" ? this.front : target;
    const terminal = this.open(number);
    for (const run of runs) terminal.run(run);
    this.show(number);
    return number;
  }

  /** Ctrl-C. */
  interrupt(number: number): void {
    this.tabs.get(number)?.terminal.type("\x03");
  }

  show(number: number): void {
    if (this.front === number) return;
    // The other half keeps its terminal, and only the keys go there; otherwise this half changes.
    if (number === this.beside) this.beside = this.front;
    this.front = number;
    this.place();
    this.reveal();
    this.drawTab(number, { fresh: false, rang: false });
    this.tellStore();
  }

  /** The tab in front can be seen, in a row that has more than there is room for. */
  private reveal(): void {
    this.tabs.get(this.front)?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  get isSplit(): boolean {
    return this.halves.isSplit;
  }

  /** Two terminals side by side or above each other; the same again: one. */
  split(way: "row" | "column"): void {
    this.halves.toggle(way);
  }

  /** The keys go to the other half. */
  focusOther(): void {
    if (this.beside !== 0) this.show(this.beside);
    this.inFront?.focus();
  }

  /** One half or two, as the halves say. */
  private divide(): void {
    if (!this.halves.isSplit) this.beside = 0;
    else if (this.beside === 0) {
      const others = [...this.tabs.keys()].filter((n) => n !== this.front).sort((a, b) => a - b);
      const beside = others[0] ?? this.free();
      if (beside === undefined || this.front === 0) return this.halves.close();
      this.open(beside);
      this.beside = beside;
      this.drawTab(beside, { fresh: false, rang: false });
    }
    this.place();
    this.inFront?.focus();
  }

  /** Which panes are seen, and where. A terminal stays in its half, whichever has the keys. */
  private place(): void {
    for (const [n, { button, terminal }] of this.tabs) {
      const selected = n === this.front;
      const seen = selected || n === this.beside;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
      button.toggleAttribute("data-beside", n === this.beside);
      terminal.pane.toggleAttribute("data-front", selected);
      if (!seen || !this.halves.isSplit) delete terminal.pane.dataset.half;
      terminal.seen(seen);
    }
    if (!this.halves.isSplit) return;
    const [front, beside] = [this.inFront?.pane, this.tabs.get(this.beside)?.terminal.pane];
    if (!front || !beside) return;
    const taken = front.dataset.half ?? (beside.dataset.half === "first" ? "second" : "first");
    front.dataset.half = taken;
    beside.dataset.half = taken === "first" ? "second" : "first";
  }

  setReader(on: boolean): void {
    this.reader = on;
    settings.set("reader", on ? "on" : "off");
    for (const { terminal } of this.tabs.values()) terminal.setReader(on);
  }

  /** Asks every connection whether it lives. */
  pingAll(within: number): void {
    for (const { terminal } of this.tabs.values()) terminal.ping(within);
  }

  focusTab(): void {
    this.tabs.get(this.front)?.button.focus();
  }

  private open(number: number): Terminal {
    const known = this.tabs.get(number);
    if (known) return known.terminal;
    const { button, status } = this.makeButton(number);
    const look = { size: this.letters, reader: this.reader };
    const terminal = new Terminal(number, this.hooks.path(number), this.viewer, this.retry, this.stage, look, this.eventsOf(number));
    this.tabs.set(number, { button, status, terminal });
    this.add.hidden = this.tabs.size >= TERMINALS_MAX;
    return terminal;
  }

  private openNext(): void {
    const free = this.free();
    if (free === undefined) return;
    this.open(free);
    this.show(free);
    this.inFront?.focus();
  }

  private free(): number | undefined {
    return Array.from({ length: TERMINALS_MAX }, (_, i) => i + 1).find((n) => !this.tabs.has(n));
  }

  private makeButton(number: number): { button: HTMLButtonElement; status: HTMLElement } {
    const button = document.createElement("button");
    button.type = "button";
    button.id = `tab-${number}`;
    button.setAttribute("role", "tab");
    button.setAttribute("aria-controls", `pane-${number}`);
    button.setAttribute("aria-selected", "false");
    button.tabIndex = -1;
    const name = document.createElement("span");
    const given = this.store.state.boot.terminals.find(([its]) => its === number)?.[1];
    name.textContent = given ?? words.terminal.name(number);
    name.dataset.short = words.terminal.short(number);
    const dot = document.createElement("span");
    dot.className = "new";
    const status = document.createElement("span");
    status.className = "sr";
    const bell = document.createElement("span");
    bell.className = "i i-bell rang";
    bell.setAttribute("aria-hidden", "true");
    button.append(name, dot, bell, status);
    button.addEventListener("click", () => {
      this.show(number);
      this.inFront?.focus();
    });
    const after = [...this.tabs.keys()].filter((n) => n < number).length;
    this.list.insertBefore(button, this.list.children[after] ?? null);
    return { button, status };
  }

  private eventsOf(number: number): Events {
    return {
      ...this.hooks,
      changed: () => {
        this.drawTab(number, {});
        this.tellStore();
      },
      printed: () => {
        if (number === this.front) this.hooks.printed();
        else if (number !== this.beside) this.drawTab(number, { fresh: true });
      },
      rang: () => {
        sound();
        if (number === this.front) this.hooks.rang();
        else this.drawTab(number, { rang: true });
      },
      focused: () => this.show(number),
      isSplit: () => this.halves.isSplit,
    };
  }

  private drawTab(number: number, { fresh, rang }: { fresh?: boolean; rang?: boolean }): void {
    const tab = this.tabs.get(number);
    if (!tab) return;
    if (fresh !== undefined) tab.button.toggleAttribute("data-new", fresh);
    if (rang !== undefined) tab.button.toggleAttribute("data-rang", rang);
    const { ended } = tab.terminal;
    tab.button.toggleAttribute("data-ended", ended);
    const is = (name: string): boolean => tab.button.hasAttribute(name);
    const news = is("data-rang") ? words.terminal.bell : is("data-new") ? words.terminal.newOutput : "";
    tab.status.textContent = ended ? words.terminal.ended : news;
  }

  private tellStore(): void {
    const attached = this.inFront?.attached ?? false;
    const fullScreen = this.inFront?.fullScreen ?? false;
    const { state } = this.store;
    if (state.attached !== attached || state.fullScreen !== fullScreen) this.store.update({ attached, fullScreen });
  }

  /** Size and colours again, after a change of the looks. */
  redraw(): void {
    this.letters = this.usualLetters();
    this.drawLetters();
    for (const { terminal } of this.tabs.values()) terminal.recolour();
  }

  private setLetters(size: number): void {
    this.letters = Math.max(LETTERS.min, Math.min(LETTERS.max, size));
    settings.set(lettersKey(), String(this.letters));
    this.drawLetters();
  }

  private drawLetters(): void {
    setText(byId("letters"), String(this.letters));
    for (const { terminal } of this.tabs.values()) terminal.setLetters(this.letters);
  }

  /** What was chosen here before, or else what the style sheet says. */
  private usualLetters(): number {
    const token = parseFloat(getComputedStyle(this.stage).getPropertyValue("--term-size"));
    return Number(settings.get(lettersKey())) || token || LETTERS.usual;
  }

  /** Arrows move between tabs, as in every list of tabs. */
  private onKey(event: KeyboardEvent): void {
    const numbers = [...this.tabs.keys()].sort((a, b) => a - b);
    const at = numbers.indexOf(this.front);
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: numbers.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const number = numbers[(next + numbers.length) % numbers.length];
    if (number === undefined) return;
    this.show(number);
    this.focusTab();
  }
}

/** Letters for a room are chosen apart from those for a desk. */
function lettersKey(): string {
  return document.documentElement.dataset.size === "projector" ? "letters.projector" : "letters";
}
