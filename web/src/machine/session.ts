// The learner's machine: asked for as soon as the page is open, followed until it ends.

import { Refusal, type Api } from "../connection/api.js";
import { Live, type News } from "../connection/live.js";
import type { Retry } from "../connection/retry.js";
import type { Final } from "../connection/socket.js";
import { hasMachine, isOver, type Phase, type SessionView, type Store } from "../state.js";
import { counted } from "./time.js";

/** Tries to reconnect after which the server is asked whether there is still something to connect to. */
const PROBE_AFTER_TRIES = 3;

export class Session {
  private live: Live | undefined;
  private entered: string | undefined;
  private probedAt = 0;

  constructor(
    private readonly store: Store,
    private readonly api: Api,
    private readonly retry: Retry,
    private readonly on: { machine(): void; gone(): void; news(news: News): void; refused(why: Final): void; failed(why: string): void },
  ) {
    let had = false;
    store.watch((state) => {
      const has = hasMachine(state);
      const before = had;
      had = has;
      if (has && !before) this.on.machine();
      if (before && !has) this.on.gone();
      // Without a machine the session may still live, and its news go on.
      if (isOver(state)) this.over();
      void this.enter();
      if (state.lost && state.lost.tries > PROBE_AFTER_TRIES && state.lost.tries !== this.probedAt) {
        this.probedAt = state.lost.tries;
        void this.probe();
      }
    });
  }

  /** Follows the session that the page came with, if it lives; starts the machine otherwise. */
  async open(): Promise<void> {
    const { session } = this.store.state.boot;
    if (session && session.phase.is !== "ended" && session.phase.is !== "failed") this.follow(session);
    else await this.start();
  }

  /** Starts the machine, finds the one that runs already, or gets in line. `instead`: a session that goes for it. */
  async start(instead?: string): Promise<void> {
    this.store.update({ refusal: null, offer: null, phase: null, line: null });
    try {
      this.follow(await this.api.start(this.store.state.boot.page, instead));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.store.update({ refusal: error.message, offer: error.offer });
    }
  }

  /** Another machine for the one that there is, or was: progress and time stay. */
  async restart(): Promise<void> {
    const { session } = this.store.state;
    if (!session) return;
    try {
      this.turn((await this.api.restart(session.id)).phase);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // Over meanwhile, or started already by another tab: the news say which.
      if (error.status !== 410 && error.status !== 409) this.on.failed(error.message);
      else void this.probe();
    }
  }

  async leave(): Promise<void> {
    const { session } = this.store.state;
    if (session) await this.api.leave(session.id).catch(() => {});
  }

  /** Another machine for this one: what is in it goes, and the learner has said so. */
  async change(): Promise<void> {
    await this.leave();
    await this.start();
  }

  /** A connection was turned away for good. */
  refused(why: Final): void {
    if (why === "over") void this.probe();
    else this.on.refused(why);
  }

  redial(): void {
    this.live?.redial();
  }

  private follow(session: SessionView): void {
    this.live?.close();
    const path = this.api.liveSocket(session.id);
    this.live = new Live(path, this.retry, (news) => this.heard(news), (why) => this.refused(why));
    this.store.update({ session, phase: session.phase, line: session.line, time: session.time && counted(session.time) });
  }

  private heard(news: News): void {
    if (news.type === "phase") {
      const { type: _, ...phase } = news;
      this.turn(phase);
    }
    const { session } = this.store.state;
    if (news.type === "time") this.store.update({ time: counted(news) });
    if (news.type === "line") this.store.update({ line: news });
    if (news.type === "passed" && session && !session.passed.includes(news.step)) {
      this.store.update({ session: { ...session, passed: [...session.passed, news.step].sort((a, b) => a - b) } });
    }
    if (news.type === "environment" && session) {
      const { type: _, ...environment } = news;
      this.store.update({ session: { ...session, environment } });
    }
    if (news.type === "terminals" && session) {
      this.store.update({ session: { ...session, terminals: news.terminals } });
    }
    this.on.news(news);
  }

  /**
   * A server that has just been restarted says "starting" while it looks for the machine that we know of: until
   * it has found it, or knows that it has ended, terminals stay as they are. Another generation is another
   * machine: what is shown of the one before goes first, also when its end was missed.
   */
  private turn(phase: Phase): void {
    const { state } = this.store;
    if (hasMachine(state)) {
      const known = state.phase?.generation ?? 0;
      const another = known > 0 && phase.generation > 0 && phase.generation !== known;
      if (another) this.store.update({ phase: { ...phase, is: "starting" } });
      else if (phase.is === "starting") return;
    }
    this.store.update({ phase });
  }

  /** Tells the server which page the learner is on, once per page: its scripts run now. */
  private async enter(): Promise<void> {
    const { session, boot } = this.store.state;
    if (!session || !hasMachine(this.store.state)) return;
    const place = `${session.id}/${boot.page}`;
    if (this.entered === place) return;
    this.entered = place;
    try {
      await this.api.enter(session.id, boot.page);
    } catch (error) {
      // Not heard: the next change of the state tries again. A refusal would only be repeated.
      const unheard = error instanceof Refusal && error.status === 0;
      if (unheard && this.entered === place) this.entered = undefined;
    }
  }

  /** Nothing answers: is the session over, or only the network? */
  private async probe(): Promise<void> {
    const { session } = this.store.state;
    if (!session) return;
    try {
      const { phase } = await this.api.session(session.id);
      this.turn(phase);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status === 0 || error.status >= 500) return;
      this.store.update({ phase: { is: "ended", generation: 0, since_ms: Date.now(), message: null, output: null } });
    }
  }

  private over(): void {
    this.live?.close();
    this.live = undefined;
  }
}
