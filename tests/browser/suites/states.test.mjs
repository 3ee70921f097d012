// Every state of every screen, at every width, in both themes: nothing jumps, nothing sticks out, everything can be
// read, and axe has nothing to say. A new state is a line in STATES.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axe, contrast, overflow, rectangles } from "../harness/look.mjs";
import { shared } from "../harness/shared.mjs";
import { Stage } from "../harness/stage.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

const WIDTHS = { 1440: 900, 1280: 800, 1024: 768, 760: 1024, 390: 844 };
const THEMES = ["light", "dark"];
/** Where axe looks: it takes a second, and a layout has two forms. */
const AXE_WIDTHS = ["1280", "390"];
/** What stays where it is, whatever happens. */
const FIXED = [".bar", "#lesson", "#turn", "#stage", ".tabs", "#deep"];

/** Nine terminals need their time: each is a shell. */
async function openTerminals(stage, many) {
  for (let n = 2; n <= many; n++) await stage.page.locator("#tab-new").click();
  await until(async () => (await stage.page.locator('[role="tab"][id^="tab-"]').count()) === many, `${many} tabs`);
}

const LONG = Array.from({ length: 40 }, (_, n) => `Line ${n}: looked for /a/path/${"x".repeat(n % 3 === 0 ? 300 : 40)}`).join("\n");

/** How a state is reached, from the one before it, and how it is left where the next does not. */
const STATES = {
  "your turn": {},
  "a full screen": { enter: ({ visitor }) => visitor.type("seq 200\n").then(() => visitor.sees("200")) },
  "the menu": { enter: ({ page }) => page.locator("#menu summary").click(), leave: ({ page }) => page.keyboard.press("Escape") },
  preparing: { enter: (stage) => stage.phase("preparing"), leave: (stage) => stage.phase("ready") },
  "a script failed": {
    enter: (stage) => stage.hear({ type: "script", page: "1", script: "background", is: "failed", seconds: 2, output: LONG }),
    leave: ({ page }) => page.locator("#note-close").click(),
  },
  "another image is ready": {
    enter: (stage) => stage.hear({ type: "image", name: "debian", is: "ready", doing: "", done: 0, total: 0 }),
    leave: ({ page }) => page.locator("#note-close").click(),
  },
  checking: { enter: (stage) => stage.check("running"), leave: (stage) => stage.check("stopped") },
  failed: { enter: async ({ visitor }) => assert.equal((await visitor.check())[0], "failed") },
  "failed, with very long words": { enter: (stage) => stage.check("failed", LONG) },
  "the check could not run": { enter: (stage) => stage.check("broken", "verify.sh did not end within 30 seconds.") },
  "the check was stopped": { enter: (stage) => stage.check("stopped") },
  passed: { enter: (stage) => stage.check("passed", "Found /root/rope.") },
  reconnecting: { enter: (stage) => stage.cut(), leave: (stage) => stage.mend() },
  "nine terminals": { enter: (stage) => openTerminals(stage, 9) },
  "a failed start": { enter: (stage) => stage.phase("failed", { message: "cannot start sandbox 7f3a: step 7 of 19, mount overlay on /run/quayside/root: invalid argument", output: LONG }) },
  refused: {
    enter: async ({ page }) => {
      await page.route("**/start", (route) => route.fulfill({ status: 503, json: { error: { code: "full", message: "As many machines run now as this installation has room for. One becomes free when somebody leaves." } } }));
      await page.locator("#start button").click();
      await until(async () => (await page.locator("#wait").getAttribute("data-is")) === "refused", "refused");
      await page.unroute("**/start");
    },
  },
  starting: {
    enter: async ({ page }) => {
      await page.route("**/start", () => {});
      await page.locator("#start button").click();
      await pause(900);
    },
    leave: async ({ page, visitor }) => {
      await page.unroute("**/start");
      await page.reload();
      await visitor.prompt();
    },
  },
  ended: {
    enter: async ({ page, visitor }) => {
      await page.locator("#menu summary").click();
      await page.locator("#leave").click();
      await until(async () => (await page.locator("#wait").getAttribute("data-is")) === "ended", "ended");
      assert.equal(visitor.dialogs.length, 1, "it asks before work is lost");
    },
  },
};

/** Looks at the page at every width and in every theme; `where`: rectangles to compare, by width. */
async function look(visitor, state, faults, where) {
  const { page } = visitor;
  const before = page.viewportSize();
  for (const [width, height] of Object.entries(WIDTHS)) {
    await page.setViewportSize({ width: Number(width), height });
    for (const theme of THEMES) {
      const at = `${state}, ${width} px, ${theme}`;
      await page.emulateMedia({ colorScheme: theme });
      for (const fault of [...(await overflow(page)), ...(await contrast(page))]) faults.push(`${at}: ${fault}`);
      if (AXE_WIDTHS.includes(width)) for (const fault of await axe(page)) faults.push(`${at}: axe: ${fault}`);
      if (where) {
        const here = await rectangles(page, FIXED);
        const first = (where[width] ??= { state, here });
        for (const id of FIXED) if (here[id] !== first.here[id]) faults.push(`${at}: ${id} is at ${here[id]}, and was at ${first.here[id]} (${first.state})`);
      }
      if (theme === THEMES[1] ? width === "1280" : true) await visitor.shot(`${state.replaceAll(/\W+/g, "-")}-${width}-${theme}`);
    }
  }
  await page.setViewportSize(before);
}

test("nothing jumps, sticks out or is hard to read in any state of the workspace", async () => {
  const stage = await Stage.open(service, "harbour/walk/1");
  const faults = [];
  const where = {};
  for (const [state, { enter, leave }] of Object.entries(STATES)) {
    await enter?.(stage);
    await look(stage.visitor, state, faults, where);
    await leave?.(stage);
  }
  assert.equal(faults.join("\n"), "");
  assert.deepEqual(stage.visitor.complaints, []);
  await stage.visitor.leave();
});

/** The other screens, in an order in which one visit meets them. */
const SCREENS = {
  "the catalogue, for the first time": (visitor) => visitor.go(""),
  "the catalogue's menu": (visitor) => visitor.page.locator("#menu summary").click(),
  "a broken lesson": (visitor) => visitor.go("harbour/torn"),
  "no such page": (visitor) => visitor.go("nowhere/at-all"),
  "from another page": async ({ page }) => {
    await page.goto("about:blank");
    await page.setContent(`<form method="post" action="${service.url}/look"><button name="theme" value="dark">Go</button></form>`);
    const [answer] = await Promise.all([page.waitForNavigation(), page.locator("button").click()]);
    assert.equal(answer.status(), 403);
  },
  "a lesson that cannot run here": (visitor) => visitor.go("harbour/cluster"),
  "a lesson that lacks something": (visitor) => visitor.open("harbour/wishes/intro"),
  "every extreme": (visitor) => visitor.open("extremes/long/1"),
  "every extreme, failed": async (visitor) => assert.equal((await visitor.check())[0], "failed"),
  "the end": (visitor) => visitor.go("extremes/long/finish"),
  "the catalogue, come back": (visitor) => visitor.go(""),
};

test("no other screen sticks out or is hard to read", async () => {
  const visitor = await Visitor.arrive(service, { reducedMotion: "reduce" });
  const faults = [];
  for (const [screen, enter] of Object.entries(SCREENS)) {
    await enter(visitor);
    await look(visitor, screen, faults);
  }
  assert.equal(faults.join("\n"), "");
  assert.deepEqual(visitor.complaints, []);
  await visitor.go("extremes/long/1");
  await visitor.leave();
});

test("without a script every screen can be read, and the looks can be chosen", async () => {
  const visitor = await Visitor.arrive(service, { javaScriptEnabled: false, reducedMotion: "reduce" });
  const { page } = visitor;
  await visitor.go("harbour/walk/1");
  await visitor.shot("without-a-script");
  await page.locator("#menu summary").click();
  assert.equal(await page.locator("#leave").isVisible(), false, "what needs a script is not shown");
  for (const [name, value] of [["theme", "dark"], ["size", "projector"], ["water", "day"]]) {
    await page.locator(`.choice [name="${name}"][value="${value}"]`).click();
    assert.equal(await page.locator("html").getAttribute(`data-${name}`), value);
    assert.match(page.url(), /harbour\/walk\/1$/, "back where one was");
    await page.locator("#menu summary").click();
  }
  await visitor.shot("without-a-script-chosen");
  // As many machines as one person may have, and one more.
  const starts = ["harbour/actions/1", "harbour/walk/1", "harbour/cargo/intro", "harbour/writing/intro", "jetty/old/intro", "extremes/long/1"];
  let status = 0;
  for (const path of starts) {
    await visitor.go(path);
    [status] = (await Promise.all([page.waitForNavigation(), page.locator("#start button").click()])).map((answer) => answer?.status());
    if (status === 409) break;
  }
  assert.equal(status, 409);
  await visitor.shot("too-many");
  for (const path of starts) {
    await visitor.go(path);
    const session = /"session":\{"id":"([^"]+)"/.exec(await page.content())?.[1];
    if (session) await visitor.context.request.post(`${service.url}/api/sessions/${session}/leave`, { headers: { origin: service.url } });
  }
  await visitor.context.close();
});

/** Tastes and needs that change colours and sizes everywhere. */
const TASTES = {
  projector: { look: { size: "projector" } },
  "day water": { look: { water: "day" } },
  "day water on a projector": { look: { size: "projector", water: "day" } },
  "more contrast": { media: { contrast: "more" } },
  "more contrast, day water": { media: { contrast: "more" }, look: { water: "day" } },
  "forced colours": { media: { forcedColors: "active" } },
};

test("projector, day water, more contrast and forced colours, live and without a reload", async () => {
  const stage = await Stage.open(service, "harbour/walk/1");
  const { page, visitor } = stage;
  await stage.check("failed", LONG);
  await stage.phase("preparing");
  const faults = [];
  const background = () => page.locator(".pane[data-front] .xterm-scrollable-element").evaluate((element) => getComputedStyle(element).backgroundColor);
  const night = await background();
  const letters = () => page.locator("#letters").textContent().then(Number);
  const usual = await letters();
  for (const [taste, { look: chosen = {}, media = {} }] of Object.entries(TASTES)) {
    await page.emulateMedia({ contrast: "no-preference", forcedColors: "none", ...media });
    await page.locator("#menu summary").click();
    for (const [name, value] of Object.entries({ size: "normal", water: "night", ...chosen })) await page.locator(`.choice [name="${name}"][value="${value}"]`).click();
    await page.keyboard.press("Escape");
    await pause(150);
    if (chosen.size === "projector") assert.ok((await letters()) > usual, "larger letters in the terminal");
    else assert.equal(await letters(), usual);
    if (!media.forcedColors) assert.equal((await background()) === night, chosen.water !== "day", `${taste}: the terminal follows at once`);
    for (const [width, height] of Object.entries(WIDTHS).filter(([width]) => AXE_WIDTHS.includes(width))) {
      await page.setViewportSize({ width: Number(width), height });
      for (const theme of THEMES) {
        await page.emulateMedia({ colorScheme: theme });
        const at = `${taste}, ${width} px, ${theme}`;
        const seen = [...(await overflow(page)), ...(media.forcedColors ? [] : await contrast(page)), ...(await axe(page, { forced: Boolean(media.forcedColors) })).map((fault) => `axe: ${fault}`)];
        for (const fault of seen) faults.push(`${at}: ${fault}`);
        await visitor.shot(`${taste.replaceAll(/\W+/g, "-")}-${width}-${theme}`);
      }
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  assert.equal(faults.join("\n"), "");
  assert.deepEqual(visitor.complaints, []);
  // The first frame of the next page is drawn as this one: nothing flashes.
  await page.emulateMedia({ contrast: "no-preference", forcedColors: "none" });
  await page.locator("#menu summary").click();
  await page.locator('.choice [name="size"][value="projector"]').click();
  await page.locator('.choice [name="water"][value="day"]').click();
  await pause(300);
  const html = await (await visitor.context.request.get(page.url())).text();
  assert.match(html, /<html lang="en" data-size="projector" data-water="day">/);
  await visitor.leave();
});
