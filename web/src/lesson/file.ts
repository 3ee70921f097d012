// Files of the machine that a lesson names: shown as they are now in a sheet over the water, or written by a button.
//
// A page names an action by its number; which file that is, the server knows. Nothing is edited here.

import { Refusal, type Api } from "../connection/api.js";
import { byId, setText } from "../dom.js";
import { obstacle, type FileView, type Store } from "../state.js";
import { words } from "../words.js";

const WRITTEN_MS = 4000;

export class Files {
  private readonly lesson = byId("lesson");
  private readonly sheet = new Sheet(() => this.close(), () => void this.load());
  /** The action whose file is shown. */
  private shown: HTMLElement | null = null;
  private page = "";
  private number = "";

  constructor(
    private readonly store: Store,
    private readonly api: Api,
    /** On a phone the sheet is where the terminal is. */
    private readonly reveal: (view: "lesson" | "terminal") => void,
    /** Why a file was not written, which is a sentence and has no room in the block; null: that is over. */
    private readonly say: (why: { file: string; text: string } | null) => void,
  ) {
    this.lesson.addEventListener("click", (event) => this.onClick(event));
    store.watch(() => this.draw());
  }

  /** The machine is gone, and its files. */
  forget(): void {
    if (this.shown) this.close();
    this.say(null);
  }

  /** Draws every action of the page that is shown. */
  draw(): void {
    const why = obstacle(this.store.state);
    for (const action of this.lesson.querySelectorAll<HTMLElement>('[data-do="open"], [data-do="write"]')) {
      const button = action.querySelector<HTMLButtonElement>(".go") ?? action;
      button.setAttribute("aria-disabled", String(why !== null));
      button.title = why ? words.action.off[why] : "";
      if (action.dataset.is !== "done" && action.dataset.is !== "failed") action.dataset.is = why ? "off" : "idle";
    }
  }

  private onClick(event: MouseEvent): void {
    if (!(event.target instanceof Element)) return;
    const action = event.target.closest<HTMLElement>('[data-do="open"], [data-do="write"]');
    if (!action || obstacle(this.store.state)) return;
    const pressed = action.matches("button") || event.target.closest(".go") !== null;
    if (!pressed) return;
    if (action.dataset.do === "write") void this.write(action);
    else this.open(action);
  }

  private open(action: HTMLElement): void {
    this.shown = action;
    this.page = this.store.state.boot.page;
    this.number = action.dataset.action ?? "";
    this.sheet.show(action.querySelector("code")?.textContent ?? "");
    this.reveal("terminal");
    void this.load();
  }

  private close(): void {
    const from = this.shown;
    this.shown = null;
    this.sheet.hide();
    this.reveal("lesson");
    if (from?.isConnected) (from.querySelector<HTMLElement>(".go") ?? from).focus({ preventScroll: true });
  }

  private async load(): Promise<void> {
    const { session } = this.store.state;
    if (!session || !this.shown) return;
    const shown = this.shown;
    this.sheet.waits();
    try {
      const file = await this.api.file(session.id, this.page, this.number);
      if (this.shown === shown) this.sheet.draw(file);
    } catch (error) {
      if (this.shown === shown) this.sheet.fails(wordsOf(error));
    }
  }

  private async write(action: HTMLElement): Promise<void> {
    const { session, boot } = this.store.state;
    const say = action.querySelector(".act__say");
    if (!session || !say || action.dataset.is === "running") return;
    action.dataset.is = "running";
    setText(say, words.file.writing);
    this.say(null);
    try {
      await this.api.write(session.id, boot.page, action.dataset.action ?? "");
      action.dataset.is = "done";
      setText(say, words.file.written);
    } catch (error) {
      action.dataset.is = "failed";
      setText(say, words.file.notWritten);
      this.say({ file: action.querySelector(".act__file")?.textContent ?? "", text: wordsOf(error) });
      return;
    }
    if (this.shown && this.sheet.is(action)) void this.load();
    setTimeout(() => {
      if (action.dataset.is !== "done") return;
      action.dataset.is = "idle";
      setText(say, "");
    }, WRITTEN_MS);
  }
}

/** A file over the water: its name, its lines with their numbers, Reload and Close. */
class Sheet {
  private readonly root = make("section", "paper");
  private readonly name = make("h2", "paper__name");
  private readonly about = make("p", "paper__about");
  private readonly lines = make("pre", "paper__lines");
  private readonly closing = button(words.file.close);

  constructor(close: () => void, reload: () => void) {
    this.root.id = "file";
    this.root.hidden = true;
    this.root.setAttribute("aria-labelledby", "file-name");
    this.name.id = "file-name";
    this.about.setAttribute("role", "status");
    this.lines.tabIndex = 0;
    this.lines.setAttribute("aria-label", words.file.content);
    const head = make("header", "paper__head");
    const icon = make("span", "i i-file");
    icon.setAttribute("aria-hidden", "true");
    const again = button(words.file.reload);
    head.append(icon, this.name, this.about, again, this.closing);
    this.root.append(head, this.lines);
    byId("deep").append(this.root);
    again.addEventListener("click", reload);
    this.closing.addEventListener("click", close);
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
  }

  show(name: string): void {
    this.root.hidden = false;
    setText(this.name, name);
    setText(this.about, "");
    this.lines.replaceChildren();
    this.closing.focus({ preventScroll: true });
  }

  hide(): void {
    this.root.hidden = true;
    this.lines.replaceChildren();
  }

  /** This action's file is the one that is shown. */
  is(action: HTMLElement): boolean {
    const file = action.querySelector(".act__file")?.textContent ?? "";
    return file !== "" && (this.name.textContent ?? "").endsWith(file.replace(/^\.\//, ""));
  }

  waits(): void {
    this.root.setAttribute("aria-busy", "true");
  }

  draw({ path, size, text, cut }: FileView): void {
    this.root.removeAttribute("aria-busy");
    setText(this.name, path);
    const { binary, empty, part, whole } = words.file;
    setText(this.about, text === null ? binary(size) : size === 0 ? empty : cut ? part(size) : whole(size));
    const lines = (text ?? "").replace(/\n$/, "").split("\n");
    this.lines.replaceChildren(...(text ? lines.map(line) : []));
    this.lines.hidden = !text;
  }

  fails(why: string): void {
    this.root.removeAttribute("aria-busy");
    setText(this.about, why);
    this.lines.replaceChildren();
    this.lines.hidden = true;
  }
}

/** The number stands in the style sheet's hands, so that a selection has the text alone. */
function line(text: string, index: number): HTMLElement {
  const row = make("span", "paper__line");
  row.dataset.n = String(index + 1);
  row.textContent = `${text}\n`;
  return row;
}

function make(tag: string, classes: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = classes;
  return element;
}

function button(label: string): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "btn btn--small";
  element.textContent = label;
  return element;
}

function wordsOf(error: unknown): string {
  return error instanceof Refusal && error.status !== 0 ? error.message : words.file.unreachable;
}
