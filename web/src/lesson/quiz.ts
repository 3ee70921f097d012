// Questions in a lesson: forms that work by themselves. With this script the answer comes without a new page.
//
//   open ─Answer─▶ right | wrong          judged by the server; the page does not know what is right
//     ▲               │
//     └── a change ───┘                   what was said was about another answer

import { Refusal, type Api } from "../connection/api.js";
import { byId, setText } from "../dom.js";
import type { Piece, Store, Verdict } from "../state.js";
import { words } from "../words.js";

/** An answer of this page's life, for who pages back without a session that keeps it. */
interface Answer {
  values: string[];
  verdict: Verdict;
}

export class Quiz {
  private readonly lesson = byId("lesson");
  private readonly answers = new Map<string, Answer>();

  constructor(
    private readonly store: Store,
    private readonly api: Api,
  ) {
    this.lesson.addEventListener("submit", (event) => this.onSubmit(event));
    this.lesson.addEventListener("input", (event) => this.onInput(event));
    this.arrived();
  }

  /** Another page is shown: what was answered to it in this window stands there again. */
  arrived(): void {
    for (const form of this.forms()) {
      const answer = this.answers.get(keyOf(form));
      if (!answer || form.dataset.is !== "open") continue;
      give(form, answer.values);
      draw(form, answer.verdict);
    }
    this.count();
  }

  private forms(): HTMLFormElement[] {
    return [...this.lesson.querySelectorAll<HTMLFormElement>("form.quiz")];
  }

  private onInput(event: Event): void {
    const form = event.target instanceof Element ? event.target.closest<HTMLFormElement>("form.quiz") : null;
    if (!form || form.dataset.is === "open") return;
    this.answers.delete(keyOf(form));
    draw(form, { is: "open", words: [] });
    this.count();
  }

  private onSubmit(event: SubmitEvent): void {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches(".quiz")) return;
    event.preventDefault();
    void this.answer(form);
  }

  private async answer(form: HTMLFormElement): Promise<void> {
    const values = new FormData(form).getAll("answer").map(String);
    if (values.every((value) => value.trim() === "")) return draw(form, { is: "open", words: [{ text: words.quiz.nothing, code: false }] });
    try {
      const verdict = await this.api.answer(form.action, values);
      this.answers.set(keyOf(form), { values, verdict });
      draw(form, verdict);
    } catch (error) {
      const said = error instanceof Refusal && error.status !== 0 ? error.message : words.quiz.unreachable;
      draw(form, { is: "open", words: [{ text: said, code: false }] });
    }
    this.count();
  }

  /** The foot of the lesson says how many are open. */
  private count(): void {
    const questions = this.forms().filter((form) => form.dataset.is !== "right").length;
    const { boot } = this.store.state;
    if (boot.questions !== questions) this.store.update({ boot: { ...boot, questions } });
  }
}

/** The same question on the same page, whichever window it is in. */
function keyOf(form: HTMLFormElement): string {
  return form.action;
}

function give(form: HTMLFormElement, values: string[]): void {
  for (const field of form.querySelectorAll<HTMLInputElement>('input[name="answer"]')) {
    if (field.type === "text") field.value = values[0] ?? "";
    else field.checked = values.includes(field.value);
  }
}

function draw(form: HTMLFormElement, { is, words: said }: Verdict): void {
  form.dataset.is = is;
  const line = form.querySelector(".quiz__words");
  if (!line) return;
  // Said again even if it is the same: the learner has asked again.
  setText(line, "");
  line.append(...said.map(element));
}

function element({ text, code }: Piece): Node {
  if (!code) return document.createTextNode(text);
  const inline = document.createElement("code");
  inline.textContent = text;
  return inline;
}
