// What can be clicked in a lesson: commands to run and texts to copy, each with its true state.
//
//   idle ─press─▶ queued ─▶ running ─▶ done | failed        the shell's marks say how it ended
//                        └▶ sent                            typed into something that is not our shell
//
// A press makes an id; whatever happens to the connection, the same id is sent again and the other side types
// it once. States live here by page and place, so that they are still there when the learner pages back.

import { copyText } from "../clipboard.js";
import { byId, setText } from "../dom.js";
import { obstacle, type State, type Store } from "../state.js";
import type { Tabs } from "../terminal/tabs.js";
import { pressed } from "../terminal/text.js";
import { newId, type Id, type RunState } from "../connection/wire.js";
import { words } from "../words.js";

/** A second click of a double click must not meet a Stop. */
const STOP_AFTER_MS = 1000;
const COPIED_MS = 2000;

interface Run {
  id: Id;
  state: RunState;
  code: number;
  terminal: number;
  startedAt: number;
  endedAt: number;
}

export class Actions {
  private readonly lesson = byId("lesson");
  private readonly runs = new Map<string, Run>();

  constructor(
    private readonly store: Store,
    private readonly tabs: Tabs,
    private readonly afterRun: () => void,
  ) {
    this.lesson.addEventListener("click", (event) => this.onClick(event));
    store.watch(() => this.draw());
    setInterval(() => this.drawRunning(), 1000);
  }

  /** The server says how a run goes. */
  runState(id: Id, state: RunState, code: number): void {
    for (const run of this.runs.values()) {
      if (run.id !== id) continue;
      if (state === "running" && run.state !== "running") run.startedAt = Date.now();
      if (state !== "queued" && state !== "running") run.endedAt = Date.now();
      run.state = state;
      run.code = code;
    }
    this.draw();
  }

  /** The machine is gone, and what ran in it. */
  forget(): void {
    this.runs.clear();
    this.draw();
  }

  /** Draws every action of the page that is shown. */
  draw(): void {
    for (const [place, action] of this.all().entries()) {
      const run = this.runs.get(this.key(place));
      if (action.dataset.do === "run") this.drawRun(action, run);
      // Files say themselves how it went.
      if (action.dataset.do === "run" || action.dataset.said || action.dataset.do === "copy") drawSay(action, run);
    }
  }

  private drawRunning(): void {
    if ([...this.runs.values()].some((run) => run.state === "running")) this.draw();
  }

  private all(): HTMLElement[] {
    return [...this.lesson.querySelectorAll<HTMLElement>("[data-do]")];
  }

  private key(place: number): string {
    return `${this.store.state.boot.page}/${place}`;
  }

  private onClick(event: MouseEvent): void {
    if (!(event.target instanceof Element)) return;
    const action = event.target.closest<HTMLElement>("[data-do]");
    if (!action) return;
    const inline = action.matches("button");
    if (event.target.closest(".act__copy") || (inline && action.dataset.do === "copy")) void this.copy(action);
    else if (action.dataset.do === "run" && (event.target.closest(".go") || inline)) this.press(action);
  }

  private press(action: HTMLElement): void {
    const key = this.key(this.all().indexOf(action));
    const before = this.runs.get(key);
    if (isUnderWay(before)) {
      if (isStoppable(before)) this.tabs.interrupt(before.terminal);
      return;
    }
    if (this.whyOff(action)) return;
    const { terminal: target = "active", interrupt, noNewline } = action.dataset;
    const keys = action.dataset.ctrlSeq !== undefined;
    // Keys that a text names are pressed piece by piece; the state is that of the last.
    const texts = keys ? pressed(textOf(action)) : [textOf(action)];
    const how = { interrupt: interrupt !== undefined, noNewline: keys || noNewline !== undefined };
    const presses = texts.map((text) => ({ id: newId(), text, ...how }));
    const last = presses.at(-1);
    if (!last) return;
    const terminal = this.tabs.run(target === "active" ? "active" : Number(target), ...presses);
    this.runs.set(key, { id: last.id, state: "queued", code: 0, terminal, startedAt: Date.now(), endedAt: 0 });
    this.draw();
    this.afterRun();
  }

  private async copy(action: HTMLElement): Promise<void> {
    const copied = await copyText(textOf(action));
    action.dataset.said = copied ? words.action.copied : words.action.notCopied;
    this.draw();
    setTimeout(() => {
      delete action.dataset.said;
      if (action.dataset.do === "write") setText(action.querySelector(".act__say") ?? action, "");
      this.draw();
    }, COPIED_MS);
  }

  /** Why a run action cannot be pressed now, or null. */
  private whyOff(action: HTMLElement): string | null {
    const { state } = this.store;
    const { off } = words.action;
    const obstacleNow = obstacle(state);
    if (obstacleNow) return off[obstacleNow];
    return fillsScreen(state, action) ? off.screen : null;
  }

  private drawRun(action: HTMLElement, run: Run | undefined): void {
    const off = this.whyOff(action);
    const pressable = isUnderWay(run) ? isStoppable(run) && !off : !off;
    action.dataset.is = run ? (run.state === "refused" ? "failed" : run.state) : off ? "off" : "idle";
    const go = action.querySelector<HTMLButtonElement>(".go");
    const button = go ?? (action instanceof HTMLButtonElement ? action : null);
    if (!button) return;
    // Not `disabled`: the focus would be lost each time a command runs.
    button.setAttribute("aria-disabled", String(!pressable));
    button.title = off ?? (go || !run ? "" : sayOf(run));
    if (go) setText(go, isUnderWay(run) && isStoppable(run) ? words.check.stop : run ? words.action.again : words.action.run);
  }
}

/** The exact text to type or copy. */
function textOf(action: HTMLElement): string {
  return action.querySelector("code")?.textContent ?? "";
}

function fillsScreen(state: State, action: HTMLElement): boolean {
  // Keys are what ends such a program.
  if (action.dataset.ctrlSeq !== undefined) return false;
  return state.fullScreen && (action.dataset.terminal ?? "active") === "active";
}

function isUnderWay(run: Run | undefined): run is Run {
  return run?.state === "queued" || run?.state === "running";
}

function isStoppable(run: Run): boolean {
  return run.state === "running" && Date.now() - run.startedAt >= STOP_AFTER_MS;
}

function sayOf(run: Run): string {
  const { action } = words;
  switch (run.state) {
    case "queued":
      // Usually over before it can be read.
      return Date.now() - run.startedAt < STOP_AFTER_MS ? "" : action.queued;
    case "running":
      return action.running;
    case "sent":
      return action.sent;
    case "done":
      return action.done(clock(run.endedAt));
    case "failed":
      return action.failed(run.code);
    case "refused":
      return action.refused;
  }
}

function drawSay(action: HTMLElement, run: Run | undefined): void {
  const say = action.querySelector<HTMLElement>(".act__say");
  if (!say) return;
  // What the server wrote into the row: where it goes, that it interrupts.
  say.dataset.usual ??= say.textContent ?? "";
  setText(say, action.dataset.said ?? (run ? sayOf(run) : say.dataset.usual));
  const seconds = run?.state === "running" ? Math.floor((Date.now() - run.startedAt) / 1000) : 0;
  if (seconds > 0 && !action.dataset.said) say.dataset.seconds = words.seconds(seconds);
  else delete say.dataset.seconds;
}

function clock(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}
