// xterm.js in its pane, as this page has it: how it looks, and what it has besides: links, a clipboard, keys of its own.
// It knows no connection; `terminal` says what becomes of what is typed.

import { Terminal as Xterm } from "@xterm/xterm";
import { answerOnlyIf } from "./answers.js";
import { copyText } from "../clipboard.js";
import { Keys, typeWithoutKeys } from "./keys.js";
import { Links } from "./links.js";
import { Clipboard52, type Copied } from "./remote-copy.js";
import { contrastOf, themeOf } from "./theme.js";
import { scrollByTouch } from "./touch.js";
import { measureLetters } from "./widths.js";
import { words } from "../words.js";

/** Lines kept above the screen; the server keeps a megabyte. */
const SCROLLBACK = 5000;

export interface Look {
  size: number;
  reader: boolean;
}

export interface ScreenHooks {
  /** By keys, or by xterm.js itself as an answer to a program. */
  data(text: string): void;
  /** What is not text: old reports of the mouse. */
  binary(bytes: Uint8Array): void;
  pasted(text: string): void;
  copySelection(): void;
  /** Live output, and this page is the one that types: programs are answered, and may copy. */
  isLive(): boolean;
  rang(): void;
  /** The other of the two screens is in front. */
  changed(): void;
  copied(what: Copied): void;
  /** Escape, then Tab. */
  leave(backwards: boolean): void;
  /** It has the keys now. */
  focused(): void;
  isSplit(): boolean;
}

/** A pane for terminal `number`, as the last of the stage. */
export function makePane(number: number, stage: HTMLElement): HTMLDivElement {
  const pane = document.createElement("div");
  pane.className = "pane";
  pane.id = `pane-${number}`;
  pane.setAttribute("role", "tabpanel");
  pane.setAttribute("aria-labelledby", `tab-${number}`);
  stage.append(pane);
  return pane;
}

/** What stands over the terminal of a page that only looks; hidden at first. */
export function makeLooking(pane: HTMLElement): HTMLElement {
  const looking = document.createElement("p");
  looking.className = "pane__looking";
  looking.textContent = words.terminal.looking;
  looking.hidden = true;
  pane.append(looking);
  return looking;
}

export function makeScreen(number: number, pane: HTMLElement, look: Look, hooks: ScreenHooks): Xterm {
  const style = getComputedStyle(pane);
  const links = new Links(pane);
  const xterm = new Xterm({
    // Its own table of widths, and marks on what a search has found.
    allowProposedApi: true,
    fontFamily: style.getPropertyValue("--font-mono"),
    fontSize: look.size,
    lineHeight: Number(style.getPropertyValue("--term-line")) || 1.4,
    theme: themeOf(style),
    scrollback: SCROLLBACK,
    minimumContrastRatio: contrastOf(style),
    screenReaderMode: look.reader,
    macOptionIsMeta: true,
    // As Shift elsewhere: a selection where a program has the mouse.
    macOptionClickForcesSelection: true,
    rightClickSelectsWord: false,
    linkHandler: links.handler,
  });
  measureLetters(xterm);
  links.find(xterm);
  xterm.open(pane);
  prepareField(number, xterm);
  scrollByTouch(pane, xterm);
  connect(xterm, pane, hooks);
  return xterm;
}

/** The stage's colours again, after a change of the looks. */
export function recolour(xterm: Xterm, pane: HTMLElement): void {
  const style = getComputedStyle(pane);
  xterm.options.theme = themeOf(style);
  xterm.options.minimumContrastRatio = contrastOf(style);
}

function connect(xterm: Xterm, pane: HTMLElement, hooks: ScreenHooks): void {
  xterm.onData((text) => hooks.data(text));
  xterm.onBinary((text) => hooks.binary(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  xterm.onBell(() => hooks.rang());
  xterm.buffer.onBufferChange(() => hooks.changed());
  answerOnlyIf(xterm, () => hooks.isLive());
  new Clipboard52(xterm, pane, { may: () => hooks.isLive(), copy: copyText, say: (what) => hooks.copied(what) });
  new Keys(xterm, {
    type: (text) => hooks.data(text),
    copy: () => hooks.copySelection(),
    leave: (backwards) => hooks.leave(backwards),
    fullScreen: () => fullScreen(xterm),
    isSplit: () => hooks.isSplit(),
  });
  typeWithoutKeys(xterm, (text) => hooks.data(text));
  // Before xterm's own listener, which would let control characters through.
  const pasted = (event: ClipboardEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    hooks.pasted(event.clipboardData?.getData("text/plain") ?? "");
  };
  pane.addEventListener("paste", pasted, { capture: true });
  pane.addEventListener("focusin", () => hooks.focused());
}

/** The hidden field that takes the keys: no phone shall correct or capitalise a command. */
function prepareField(number: number, xterm: Xterm): void {
  const field = xterm.textarea;
  if (!field) return;
  for (const name of ["autocapitalize", "autocorrect", "autocomplete"]) field.setAttribute(name, "off");
  field.spellcheck = false;
  field.setAttribute("aria-label", words.terminal.name(number));
  field.setAttribute("aria-describedby", "way-out");
  // xterm.js shows no cursor before it was focused once; a prompt without one looks dead.
  field.dispatchEvent(new FocusEvent("focus"));
  field.dispatchEvent(new FocusEvent("blur"));
}

/** A program fills the screen. */
export function fullScreen(xterm: Xterm): boolean {
  return xterm.buffer.active.type === "alternate";
}
