// A page in any state: its connections pass through here, so that they can be cut, and so that it can hear news that
// the service would take long to have.

import { pause, until } from "./until.mjs";
import { Visitor } from "./visitor.mjs";

/** A visitor whose connections can be cut, and who can be told news that the service would take long to have. */
export class Stage {
  #live;
  #cut = false;
  #sockets = new Set();
  /** Kinds of news that only the test tells. */
  #told = new Set();

  static async open(service, path, options) {
    const stage = new Stage();
    stage.visitor = await Visitor.arrive(service, { viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
    stage.page = stage.visitor.page;
    await stage.page.routeWebSocket(/\/(live|terminals\/\d+)$/, (socket) => stage.#route(socket));
    await stage.visitor.open(path);
    await until(() => stage.#live, "the page listens to news");
    return stage;
  }

  #route(socket) {
    if (this.#cut) return void socket.close({ code: 1001 });
    const server = socket.connectToServer();
    this.#sockets.add(socket);
    if (!socket.url().endsWith("/live")) return;
    this.#live = socket;
    server.onMessage((news) => this.#told.has(JSON.parse(news).type) || socket.send(news));
  }

  /** As if the server had said it. */
  hear(...news) {
    for (const it of news) this.#live.send(JSON.stringify(it));
    return pause(100);
  }

  phase(is, more = {}) {
    return this.hear({ type: "phase", is, generation: 1, since_ms: Date.now() - 9000, message: null, output: null, ...more });
  }

  /** From now on the server's own word about the time is not heard: it would say another one. */
  time(leftMs, moreMs = 3_600_000) {
    this.#told.add("time");
    return this.hear({ type: "time", left_ms: leftMs, more_ms: moreMs, most_ms: 14_400_000 });
  }

  check(is, words = "", seconds = 2.4) {
    return this.hear({ type: "check", step: 1, is, words, seconds });
  }

  async cut() {
    this.#cut = true;
    for (const socket of this.#sockets) await socket.close({ code: 1001 });
    this.#sockets.clear();
    await this.visitor.noteSays(/Connection lost/);
  }

  async mend() {
    this.#cut = false;
    // The page may be faster, and then there is nothing to press.
    await this.page.evaluate(() => document.getElementById("note-act").click());
    await this.visitor.connected();
  }
}
