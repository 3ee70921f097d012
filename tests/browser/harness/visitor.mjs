// A visitor at a browser: what they see in words, and what they do.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { until } from "./until.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A prompt that takes longer than this is a fault, on however busy a machine. */
export const PROMPT_MS = 30_000;

let browser;

export async function openBrowser() {
  // A root process has no sandbox of Chromium's own.
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"] });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

export const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

export class Visitor {
  /** What the browser complained about: nothing of it is expected. */
  complaints = [];
  dialogs = [];

  static async arrive(service, { size = "wide", theme = "light", ...options } = {}) {
    const phone = size === "phone";
    const context = await (await openBrowser()).newContext({ viewport: SIZES[size], colorScheme: theme, hasTouch: phone, isMobile: phone, acceptDownloads: false, ...options });
    return new Visitor(service, context, await context.newPage());
  }

  constructor(service, context, page) {
    Object.assign(this, { service, context, page });
    page.on("console", (message) => {
      // A lost connection is said by the page itself; one header of ours means nothing on plain http.
      if (["error", "warning"].includes(message.type()) && !/WebSocket|Failed to load resource|ERR_|Cross-Origin-Opener-Policy header has been ignored/.test(message.text())) this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack)));
    page.on("dialog", (dialog) => {
      this.dialogs.push(dialog.message());
      void dialog.accept();
    });
  }

  /** The same learner in another tab. */
  async anotherTab() {
    return new Visitor(this.service, this.context, await this.context.newPage());
  }

  go(path) {
    return this.page.goto(`${this.service.url}/${path}`);
  }

  /** Opens a page of a lesson and waits for the prompt; says how long that took. */
  async open(path) {
    const begun = Date.now();
    await this.go(path);
    await this.prompt();
    this.service.sandboxes();
    return Date.now() - begun;
  }

  prompt(within = PROMPT_MS) {
    return this.sees(/(\$|#) $/, within, (text) => text.trimEnd() + " ");
  }

  /** The lines of the terminal in front that say something, as they are drawn. */
  async screen() {
    const lines = await this.page.evaluate(() => [...document.querySelectorAll(".pane[data-front] .xterm-rows > div")].map((row) => row.textContent.replaceAll("\u00a0", " ").trimEnd()));
    return lines.join("\n").trimEnd();
  }

  async sees(what, within = 10_000, as = (text) => text) {
    let text = "";
    try {
      return await until(async () => {
        text = as(await this.screen());
        return typeof what === "string" ? text.includes(what) : what.exec(text);
      }, `the terminal shows ${what}`, within);
    } catch (error) {
      throw new Error(`${error.message}; it shows:\n${text}`);
    }
  }

  async type(text) {
    await this.page.locator(".pane[data-front] .xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
  }

  /** Types a command and waits for what it prints. */
  async command(text, answer, within) {
    await this.type(`${text}\n`);
    if (answer !== undefined) await this.sees(answer, within);
  }

  /** The run or copy action whose text holds `text`. */
  action(text) {
    return this.page.locator("#lesson [data-do]", { has: this.page.locator("code", { hasText: text }) }).first();
  }

  run(text) {
    const action = this.action(text);
    return action.locator(".go").or(action.locator("xpath=self::button")).first().click();
  }

  isAction(text, state, within = 10_000) {
    return until(async () => (await this.action(text).getAttribute("data-is")) === state, `the action ${text} is ${state}`, within);
  }

  /** What stands in the row of an action. */
  says(text) {
    return this.action(text).locator(".act__say").textContent();
  }

  async next() {
    const before = this.page.url();
    await this.page.locator("#turn .next").click();
    await until(() => this.page.url() !== before, "the next page");
  }

  /** Presses Check and waits for its answer: `[state, words]`. */
  async check(within = 45_000) {
    await this.page.locator("#check:enabled").click();
    await until(async () => !["running", "idle"].includes(await this.checkIs()), "the check's answer", within);
    return [await this.checkIs(), (await this.page.locator("#says").textContent()).trim()];
  }

  checkIs() {
    return this.page.locator("#says").getAttribute("data-is");
  }

  /** The note over the water, or null. */
  async note() {
    const note = this.page.locator("#note");
    return (await note.isVisible()) ? (await note.innerText()).trim() : null;
  }

  noteSays(what, within) {
    return until(async () => ((await this.note()) ?? "").match(what), `a note says ${what}`, within);
  }

  strip() {
    return this.page.locator("#strip-text").textContent();
  }

  connected(within = 20_000) {
    return until(async () => (await this.strip()) === "Connected", "the page is connected", within).catch(async (error) => {
      throw new Error(`${error.message}; it says ${await this.strip()}, and notes ${await this.note()}`);
    });
  }

  /** A WebSocket of the page's own session, as another program would open it. */
  async terminalPath(number = 1) {
    const session = await this.session();
    return `api/sessions/${session.id}/terminals/${number}`;
  }

  /** The session as the server tells it. */
  async session() {
    const html = await (await this.context.request.get(this.page.url())).text();
    const { session } = JSON.parse(/id="boot"[^>]*>(.*?)<\/script>/s.exec(html)[1]);
    const { id } = session;
    return (await this.context.request.get(`${this.service.url}/api/sessions/${id}`)).json();
  }

  async cookies() {
    return (await this.context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  async shot(name) {
    const folder = process.env.QUAYSIDE_SHOTS;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  /** Ends the machine, so that it does not stand in the way of others. */
  async leave() {
    try {
      const { id } = await this.session();
      await this.context.request.post(`${this.service.url}/api/sessions/${id}/leave`, { headers: { origin: new URL(this.service.url).origin } });
    } catch {
      // There was none.
    }
    await this.context.close();
  }
}
