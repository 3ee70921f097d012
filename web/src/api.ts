// The server's HTTP interface, as functions. Paths are built on the base path that the server wrote into the page.

import type { Boot, CheckView, SessionView } from "./state.js";
import { inTurn } from "./turns.js";

/** The server said no, in words for the learner; `status` 0: it did not answer. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly boot: Boot) {}

  start(page: string): Promise<SessionView> {
    const path = `${this.boot.course}/${this.boot.scenario}/start`;
    return inTurn(() => this.ask("POST", path, new URLSearchParams({ page })));
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
  private async ask<T>(method: string, path: string, body?: URLSearchParams): Promise<T> {
    let response: Response;
    try {
      response = await fetch(this.boot.base + path, { method, body: body ?? null, headers: { accept: "application/json" } });
    } catch {
      throw new Refusal(0, "The server did not answer.");
    }
    if (!response.ok) throw new Refusal(response.status, await reason(response));
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
}

async function reason(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    if (body.error?.message) return body.error.message;
  } catch {
    // Not ours, or cut off: the number has to do.
  }
  return `The server answered ${response.status}.`;
}
