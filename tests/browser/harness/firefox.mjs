// Debian's own Firefox, driven over WebDriver BiDi, which it speaks by itself: a WebSocket and a few commands.
// Playwright's Firefox is a patched build that a machine without the internet cannot have.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { until } from "./until.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** A first start writes a profile, on however busy a machine. */
const START_MS = 60_000;
const ANSWER_MS = 60_000;

/** WebDriver's names of keys that are no letters. */
export const KEY = { Enter: "\uE007", Escape: "\uE00C", Tab: "\uE004", Control: "\uE009", Shift: "\uE008" };

const PREFERENCES = {
  // No word to anybody: no updates, no telemetry, no captive portal.
  "app.update.auto": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
  // Leaving a page with work in it asks no questions of a test.
  "dom.disable_beforeunload": true,
};

export class Firefox {
  #socket;
  #process;
  #asked = new Map();
  #last = 0;
  /** Errors that a page's script threw or logged. */
  complaints = [];

  static async open() {
    const firefox = new Firefox();
    await firefox.#start();
    return firefox;
  }

  async #start() {
    this.profile = mkdtempSync(join(tmpdir(), "quayside-firefox-"));
    const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
    writeFileSync(join(this.profile, "user.js"), `${lines.join("\n")}\n`);
    this.#process = spawn(FIREFOX, ["--headless", "--no-remote", "--profile", this.profile, "--remote-debugging-port", "0"], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: this.profile, MOZ_CRASHREPORTER_DISABLE: "1" } });
    let said = "";
    this.#process.stderr.on("data", (data) => (said += data));
    const [, url] = await until(() => /WebDriver BiDi listening on (ws:\S+)/.exec(said), `${FIREFOX} listens; it said ${said}`, START_MS);
    this.#socket = new WebSocket(`${url}/session`, { perMessageDeflate: false });
    this.#socket.on("message", (data) => this.#heard(JSON.parse(data)));
    await until(() => this.#socket.readyState === WebSocket.OPEN, "a connection to Firefox");
    await this.ask("session.new", { capabilities: { alwaysMatch: { unhandledPromptBehavior: { default: "accept" } } } });
    await this.ask("session.subscribe", { events: ["log.entryAdded"] });
    const { contexts } = await this.ask("browsingContext.getTree", {});
    this.context = contexts[0].context;
  }

  #heard({ id, method, result, message, error, params }) {
    if (method === "log.entryAdded" && params.level === "error") this.complaints.push(params.text);
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    if (error) asked.reject(new Error(`${asked.method}: ${error}: ${message}`));
    else asked.resolve(result);
  }

  ask(method, params) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer from Firefox`)), ANSWER_MS);
      const done = (settle) => (value) => {
        clearTimeout(timer);
        settle(value);
      };
      this.#asked.set(id, { method, resolve: done(resolve), reject: done(reject) });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  go(url) {
    return this.ask("browsingContext.navigate", { context: this.context, url, wait: "complete" });
  }

  size(width, height) {
    return this.ask("browsingContext.setViewport", { context: this.context, viewport: { width, height } });
  }

  /** What an expression is in the page, as JSON would have it. */
  async evaluate(expression) {
    const answer = await this.ask("script.evaluate", { expression: `JSON.stringify(${expression}) ?? "null"`, target: { context: this.context }, awaitPromise: true, userActivation: true });
    if (answer.type === "exception") throw new Error(`${expression}: ${answer.exceptionDetails.text}`);
    return JSON.parse(answer.result.value);
  }

  /** Presses keys one after the other, as a keyboard does. */
  async type(text) {
    const actions = [...text.replaceAll("\n", KEY.Enter)].flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]);
    await this.#perform([{ type: "key", id: "keyboard", actions }]);
  }

  /** Holds all but the last key, and presses that. */
  async chord(...keys) {
    const actions = [...keys.map((value) => ({ type: "keyDown", value })), ...keys.toReversed().map((value) => ({ type: "keyUp", value }))];
    await this.#perform([{ type: "key", id: "keyboard", actions }]);
  }

  /** Presses the mouse in the middle of the first element of a selector, or `at` from its upper left corner. */
  async click(selector, { times = 1, at } = {}) {
    const box = await this.evaluate(`(({ x, y, width, height }) => ({ x, y, width, height }))(document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`);
    const [x, y] = at ? [box.x + at[0], box.y + at[1]] : [box.x + box.width / 2, box.y + box.height / 2];
    const press = [{ type: "pointerDown", button: 0 }, { type: "pointerUp", button: 0 }];
    await this.#perform([{ type: "pointer", id: "mouse", parameters: { pointerType: "mouse" }, actions: [{ type: "pointerMove", x: Math.round(x), y: Math.round(y) }, ...Array.from({ length: times }, () => press).flat()] }]);
  }

  #perform(actions) {
    return this.ask("input.performActions", { context: this.context, actions });
  }

  async shot(name) {
    const folder = process.env.QUAYSIDE_SHOTS;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    const { data } = await this.ask("browsingContext.captureScreenshot", { context: this.context });
    writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
  }

  async close() {
    await this.ask("browser.close", {}).catch(() => {});
    this.#socket.close();
    await until(() => this.#process.exitCode !== null || this.#process.signalCode !== null, "Firefox has ended", 20_000).catch(() => this.#process.kill("SIGKILL"));
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
