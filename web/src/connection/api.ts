// The server's HTTP interface, as functions. Paths are built on the base path that the server wrote into the page.

import type { Boot, CheckView, FileView, Offer, SessionView, Verdict } from "../state.js";
import { inTurn } from "./turns.js";

/** The server said no, in words for the learner; `status` 0: it did not answer. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What can be ended to get on. */
    readonly offer: Offer | null = null,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly boot: Boot) {}

  /** `instead`: a session that is ended for it. */
  start(page: string, instead?: string): Promise<SessionView> {
    const path = `${this.boot.course}/${this.boot.scenario}/start`;
    return inTurn(() => this.ask("POST", path, new URLSearchParams(instead ? { page, instead } : { page })));
  }

  session(id: string): Promise<SessionView> {
    return this.ask("GET", `api/sessions/${id}`);
  }

  enter(id: string, page: string): Promise<void> {
    return this.ask("POST", `api/sessions/${id}/pages/${page}/enter`);
  }

  check(id: string, step: number): Promise<CheckView> {
    return this.ask("POST", `api/sessions/${id}/steps/${step}/check`);
  }

  stopCheck(id: string, step: number): Promise<void> {
    return this.ask("POST", `api/sessions/${id}/steps/${step}/check/stop`);
  }

  extend(id: string): Promise<SessionView> {
    return this.ask("POST", `api/sessions/${id}/extend`);
  }

  restart(id: string): Promise<SessionView> {
    return this.ask("POST", `api/sessions/${id}/restart`);
  }

  /** The file that an action of a page names, as it is now. */
  file(id: string, page: string, action: string): Promise<FileView> {
    return this.ask("GET", `api/sessions/${id}/pages/${page}/actions/${action}/file`);
  }

  /** Writes the file that an action of a page is for. */
  write(id: string, page: string, action: string): Promise<{ path: string }> {
    return this.ask("POST", `api/sessions/${id}/pages/${page}/actions/${action}/write`);
  }

  /** What an answer is worth; `href` is the question's own form. */
  answer(href: string, values: string[]): Promise<Verdict> {
    return this.askAt("POST", href, new URLSearchParams(values.map((value) => ["answer", value])));
  }

  leave(id: string): Promise<void> {
    return this.ask("POST", `api/sessions/${id}/leave`);
  }

  /** Paths of the session's WebSockets. */
  liveSocket(id: string): string {
    return `${this.boot.base}api/sessions/${id}/live`;
  }

  terminalSocket(id: string, terminal: number): string {
    return `${this.boot.base}api/sessions/${id}/terminals/${terminal}`;
  }

  /** The answer's JSON, or nothing where the answer has none. */
  private ask<T>(method: string, path: string, body?: URLSearchParams): Promise<T> {
    return this.askAt(method, this.boot.base + path, body);
  }

  private async askAt<T>(method: string, href: string, body?: URLSearchParams): Promise<T> {
    let response: Response;
    try {
      response = await fetch(href, { method, body: body ?? null, headers: { accept: "application/json" } });
    } catch {
      throw new Refusal(0, "The server did not answer.");
    }
    if (!response.ok) {
      const { message, offer } = await reason(response);
      throw new Refusal(response.status, message, offer);
    }
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
}

async function reason(response: Response): Promise<{ message: string; offer: Offer | null }> {
  try {
    const body = (await response.json()) as { error?: { message?: string; offer?: Offer } };
    if (body.error?.message) return { message: body.error.message, offer: body.error.offer ?? null };
  } catch {
    // Not ours, or cut off: the number has to do.
  }
  return { message: `The server answered ${response.status}.`, offer: null };
}
