// News of the session, as they happen. On connecting the server first tells how everything stands.

import { Socket, type Final } from "./socket.js";
import type { CheckView, Environment, LineView, Phase, TimeView } from "../state.js";
import type { Retry } from "./retry.js";

export type News =
  | ({ type: "phase" } & Phase)
  | ({ type: "time" } & TimeView)
  | ({ type: "line" } & LineView)
  | ({ type: "check" } & CheckView)
  | { type: "passed"; step: number }
  | { type: "script"; page: string; script: string; is: "running" | "done" | "failed"; seconds: number; output: string | null }
  | { type: "image"; name: string; is: "preparing" | "ready" | "failed"; doing: string; done: number; total: number }
  | ({ type: "environment" } & Environment)
  | { type: "terminals"; terminals: number[] }
  | { type: "notice"; level: "info" | "warn"; text: string };

export class Live {
  private readonly socket: Socket;

  constructor(path: string, retry: Retry, heard: (news: News) => void, refused: (why: Final) => void) {
    this.socket = new Socket(path, retry, {
      opened() {},
      closed() {},
      refused,
      received(data) {
        if (typeof data === "string") heard(JSON.parse(data) as News);
      },
    });
    this.socket.open();
  }

  /** Dials again: a connection that only listens does not notice that it is dead. */
  redial(): void {
    this.socket.drop();
  }

  close(): void {
    this.socket.close();
  }
}
