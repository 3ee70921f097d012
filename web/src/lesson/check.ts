// "Your turn": the check's button and its words, in a room that is always there.

import { Refusal, type Api } from "../connection/api.js";
import { setText } from "../dom.js";
import { obstacle, type CheckView, type State, type Store } from "../state.js";
import { words } from "../words.js";

type Saying = { is: string; strong: string; count?: string; text: string; output?: string };

export class Check {
  private startedAt = 0;
  private unfolded = false;

  constructor(
    private readonly store: Store,
    private readonly api: Api,
  ) {
    document.addEventListener("click", (event) => {
      if (!(event.target instanceof Element)) return;
      if (event.target.closest("#check")) this.press();
      if (event.target.closest("#says-all")) this.unfold(!this.unfolded);
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.unfolded && this.unfold(false));
    addEventListener("resize", () => this.drawAll());
    store.watch(() => this.draw());
    setInterval(() => store.state.check?.is === "running" && this.draw(), 1000);
  }

  /** The server says how a check goes: the answer to our question, or news of one that another tab asked for. */
  heard(view: CheckView): void {
    if (String(view.step) !== this.store.state.boot.page) return;
    if (view.is === "running" && this.store.state.check?.is !== "running") this.startedAt = Date.now() - view.seconds * 1000;
    this.store.update({ check: view });
  }

  private press(): void {
    const { state } = this.store;
    const { session, boot, check } = state;
    if (!session || !boot.check || obstacle(state)) return;
    const step = Number(boot.page);
    if (check?.is === "running") void this.api.stopCheck(session.id, step).catch(() => {});
    else void this.ask(session.id, step);
  }

  private async ask(session: string, step: number): Promise<void> {
    this.startedAt = Date.now();
    this.heard({ step, is: "running", words: "", seconds: 0 });
    try {
      this.heard(await this.api.check(session, step));
    } catch (error) {
      const said = error instanceof Refusal && error.status !== 0 ? error.message : words.check.unreachable;
      this.heard({ step, is: "broken", words: said, seconds: 0 });
    }
  }

  /** Draws the foot of the lesson that is shown. */
  draw(): void {
    const { state } = this.store;
    const turn = document.getElementById("turn");
    if (turn) turn.dataset.passed = String(state.boot.passed);
    const says = document.getElementById("says");
    if (says && drawSaying(says, this.saying(state))) this.unfolded = false;
    this.drawAll();
    const button = document.getElementById("check");
    if (!(button instanceof HTMLButtonElement)) return;
    const { check } = words;
    const running = state.check?.is === "running";
    // Not `disabled`: the focus would be lost with each connection.
    button.disabled = false;
    button.setAttribute("aria-disabled", String(obstacle(state) !== null));
    button.toggleAttribute("data-stop", running);
    setText(button, running ? check.stop : state.check || state.boot.passed ? check.again : check.check);
  }

  /** Words longer than their room: all of them lie over the lesson while they are asked for. */
  private unfold(all: boolean): void {
    this.unfolded = all;
    this.drawAll();
  }

  private drawAll(): void {
    const says = document.getElementById("says");
    const button = document.getElementById("says-all");
    if (!says?.parentElement || !button) return;
    if (!this.unfolded) says.parentElement.removeAttribute("data-all");
    button.hidden = !this.unfolded && says.scrollHeight <= says.clientHeight + 1;
    if (button.hidden) this.unfolded = false;
    says.parentElement.toggleAttribute("data-all", this.unfolded);
    button.setAttribute("aria-expanded", String(this.unfolded));
    setText(button, this.unfolded ? words.check.less : words.check.all);
  }

  private saying({ boot, check, ...rest }: State): Saying {
    const { says } = words.check;
    const plain = (is: string, [strong, text]: [string, string]): Saying => ({ is, strong, text });
    const why = obstacle({ boot, check, ...rest });
    if (!boot.playable) return plain("waiting", says.never);
    if (why === "connection") return plain("off", says.off);
    if (check) return this.answer(check);
    if (boot.passed) return plain("passed", says.before);
    if (!boot.check) return plain("idle", boot.questions > 1 ? says.questions : boot.questions === 1 ? says.question : asks() ? says.answered : says.none);
    return why === "machine" ? plain("waiting", says.waiting) : plain("idle", says.idle);
  }

  private answer(check: CheckView): Saying {
    const { says, passed } = words.check;
    const output = check.words.trim();
    switch (check.is) {
      case "running": {
        const count = words.seconds(Math.floor((Date.now() - this.startedAt) / 1000));
        return { is: "running", strong: says.running[0], count, text: output || says.running[1] };
      }
      case "passed":
        return { is: "passed", strong: passed(check.seconds), text: output };
      case "failed":
        return { is: "failed", strong: output ? says.failedWith[0] : says.failed[0], text: "", output };
      case "broken":
        return { is: "broken", strong: says.broken[0], text: output };
      case "stopped":
        return { is: "idle", strong: says.stopped[0], text: output || says.stopped[1] };
    }
  }
}

/** The page that is shown has questions. */
function asks(): boolean {
  return document.querySelector("#lesson form.quiz") !== null;
}

/** True: it says something else than before. */
function drawSaying(says: HTMLElement, saying: Saying): boolean {
  const [strong, count, text, output] = says.querySelectorAll("strong, strong ~ span, samp");
  const before = says.textContent;
  if (says.dataset.is !== saying.is) says.scrollTop = 0;
  says.dataset.is = saying.is;
  if (strong) setText(strong, saying.strong);
  if (count) setText(count, saying.count ?? "");
  if (text) setText(text, saying.text);
  if (output) setText(output, saying.output ?? "");
  return saying.is !== "running" && before !== says.textContent;
}
