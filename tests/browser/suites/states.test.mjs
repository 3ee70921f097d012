// Every state of every screen, at every width, in both themes: nothing jumps, nothing sticks out, everything can be
// read, and axe has nothing to say. A new state is a line in STATES.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axe, contrast, overflow, rectangles, terminalsFit } from "../harness/look.mjs";
import { shared } from "../harness/shared.mjs";
import { Stage } from "../harness/stage.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

/** Widest first: a narrow window has one terminal at a time. */
const WIDTHS = [[1440, 900], [1280, 800], [1024, 768], [760, 1024], [390, 844]];
const THEMES = ["light", "dark"];
/** Where axe looks: it takes a second, and a layout has two forms. */
const AXE_WIDTHS = [1280, 390];
/** What stays where it is, whatever happens. */
const FIXED = [".bar", "#lesson", "#turn", "#stage", ".tabs", "#deep"];

/** Nine terminals need their time: each is a shell. */
async function openTerminals(stage, many) {
  const tabs = stage.page.locator('[role="tab"][id^="tab-"]');
  for (let n = await tabs.count(); n < many; n++) await stage.page.locator("#tab-new").click();
  await until(async () => (await tabs.count()) === many, `${many} tabs`);
}

const LONG = Array.from({ length: 40 }, (_, n) => `Line ${n}: looked for /a/path/${"x".repeat(n % 3 === 0 ? 300 : 40)}`).join("\n");

const MINUTE = 60_000;

/** Two halves, or with null one. The button goes round; a phone has none, and one half. */
async function split({ page }, way) {
  const is = () => page.locator("#stage").getAttribute("data-split");
  for (let n = 0; n < 3 && (await is()) !== way; n++) await page.locator("#split").click();
  assert.equal(await is(), way);
}

/** Starts another machine, and the server refuses. */
async function refused({ page }, answer) {
  await page.route("**/start", (route) => route.fulfill(answer));
  await page.locator("#start button").click();
  await until(async () => (await page.locator("#wait").getAttribute("data-is")) === "refused", "refused");
  await page.unroute("**/start");
}

async function afresh({ page, visitor }) {
  await page.reload();
  await visitor.prompt();
}

const LINE = { type: "line", place: 3, of: 4, capacity: 12, from_minutes: 4, to_minutes: 20, offered: false, kept_ms: 15 * MINUTE, held_ms: MINUTE };

/**
 * How a state is reached, from the one before it, and how it is left where the next does not. `deep`: on a phone
 * it is looked at where the terminal is.
 */
const STATES = {
  "your turn": {},
  "a full screen": { enter: ({ visitor }) => visitor.type("seq 200\n").then(() => visitor.sees("200")) },
  "the menu": { enter: ({ page }) => page.locator("#menu summary").click(), leave: ({ page }) => page.keyboard.press("Escape") },
  "the sheet over the lesson": {
    enter: async ({ page }) => {
      await page.locator("#menu summary").click();
      await page.locator("[data-sheet]").click();
      await page.locator("#dialog form .btn--main").click();
      await page.locator("#dialog #code").waitFor();
    },
    leave: ({ page }) => page.keyboard.press("Escape"),
  },
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
  "nine minutes left": { enter: (stage) => stage.time(9 * MINUTE) },
  "under two minutes": { deep: true, enter: (stage) => stage.time(1.8 * MINUTE) },
  "the last minutes, and no more": { enter: (stage) => stage.time(1.8 * MINUTE, 0) },
  "time enough, and no more": { enter: (stage) => stage.time(124 * MINUTE, 0), leave: (stage) => stage.time(58 * MINUTE) },
  "two terminals beside each other": { enter: (stage) => split(stage, "row") },
  "two terminals above each other": { enter: (stage) => split(stage, "column"), leave: (stage) => split(stage, null) },
  "looking for words": {
    deep: true,
    enter: async ({ page, visitor }) => {
      await visitor.command("seq 200", "200");
      await page.locator("#find-open").click();
      await page.locator("#find-text").fill("20");
      await until(async () => / of |found/.test(await page.locator("#find-said").textContent()), "a count");
    },
  },
  "looking for words that are not there": {
    deep: true,
    enter: async ({ page }) => {
      await page.locator("#find-text").fill("no such word in this terminal");
      await until(async () => (await page.locator("#find-said").textContent()) === "nothing found", "nothing found");
    },
    leave: ({ page }) => page.locator("#find-close").click(),
  },
  "the terminal as text": { enter: ({ page }) => page.locator("#transcript-open").click(), leave: ({ page }) => page.locator("#transcript-close").click() },
  "nine terminals": { enter: (stage) => openTerminals(stage, 9) },
  "third in line": {
    deep: true,
    enter: async (stage) => {
      await stage.phase("waiting");
      await stage.hear(LINE);
    },
  },
  "far back in a line of which little is known": { deep: true, enter: (stage) => stage.hear({ ...LINE, place: 41, of: 60, from_minutes: null, to_minutes: null }) },
  "a berth is free": { enter: (stage) => stage.hear({ ...LINE, place: 1, offered: true }) },
  "ended by itself": { deep: true, enter: (stage) => stage.phase("lost", { message: "Nothing of it is left. Your progress and your time stay." }) },
  "time over": {
    deep: true,
    enter: (stage) => stage.phase("ended", { message: "Your time with this machine is over. Its files and terminals went with it; your progress stays." }),
    leave: (stage) => afresh(stage),
  },
  "a failed start": { enter: (stage) => stage.phase("failed", { message: "cannot start sandbox 7f3a: step 7 of 19, mount overlay on /run/quayside/root: invalid argument", output: LONG }) },
  refused: {
    enter: (stage) => refused(stage, { status: 503, json: { error: { code: "full", message: "As many machines run now as this installation has room for, and 200 learners wait in line, which is as many as may. You can read the lesson meanwhile, and try again later." } } }),
  },
  "too many machines": {
    deep: true,
    enter: (stage) => refused(stage, { status: 409, json: { error: { code: "too-many", message: "You have 4 machines running, which is as many as one person may have. The one that you have not used for longest is “A cluster of three, and what it is good for”, not used for 12 minutes.", offer: { session: "none", title: "A cluster of three, and what it is good for" } } } }),
  },
  starting: {
    enter: async ({ page }) => {
      await page.route("**/start", () => {});
      await page.locator("#start button").click();
      await pause(900);
    },
    leave: async (stage) => {
      await stage.page.unroute("**/start");
      await afresh(stage);
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

/** Looks at the page at every width and in every theme; `where`: rectangles to compare, by width; `deep`: see STATES. */
async function look(visitor, state, faults, { where, deep = false } = {}) {
  const { page } = visitor;
  const before = page.viewportSize();
  const show = (view) => page.locator(`[data-view-to="${view}"]`).click();
  for (const [width, height] of WIDTHS) {
    await page.setViewportSize({ width, height });
    const terminalAlone = deep && width <= 760;
    if (terminalAlone) await show("terminal");
    await until(() => terminalsFit(page), "fits").catch(() => faults.push(`${state}, ${width} px: a terminal is larger than its room`));
    for (const theme of THEMES) {
      const at = `${state}, ${width} px, ${theme}`;
      await page.emulateMedia({ colorScheme: theme });
      for (const fault of [...(await overflow(page)), ...(await contrast(page))]) faults.push(`${at}: ${fault}`);
      if (AXE_WIDTHS.includes(width)) for (const fault of await axe(page, { terminalAlone })) faults.push(`${at}: axe: ${fault}`);
      if (where) {
        const here = await rectangles(page, FIXED);
        const first = (where[width] ??= { state, here });
        for (const id of FIXED) if (here[id] !== first.here[id]) faults.push(`${at}: ${id} is at ${here[id]}, and was at ${first.here[id]} (${first.state})`);
      }
      if (theme === THEMES[0] || AXE_WIDTHS.includes(width)) await visitor.shot(`${state.replaceAll(/\W+/g, "-")}-${width}-${theme}`);
    }
    if (terminalAlone) await show("lesson");
  }
  await page.setViewportSize(before);
  // The page hears of its new width in the frame that follows.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
}

test("the measures find what is wrong", async () => {
  const visitor = await Visitor.arrive(service, { reducedMotion: "reduce" });
  const { page } = visitor;
  await visitor.go("harbour/cluster");
  const before = await rectangles(page, FIXED);
  assert.deepEqual([...(await overflow(page)), ...(await contrast(page)), ...(await axe(page))], []);
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(".says-what strong, .btn { color: #aaa !important; border-color: #ddd !important; background: #fff !important; } .turn { min-height: 400px; } .crumbs b { flex: none; width: 3000px; }");
    document.adoptedStyleSheets.push(sheet);
  });
  const found = (await contrast(page)).join("\n");
  assert.match(found, /text "Reading is open."/);
  assert.match(found, /border of "Next/);
  assert.match((await overflow(page)).join("\n"), /sticks out/);
  assert.match((await axe(page)).join("\n"), /color-contrast/);
  const after = await rectangles(page, FIXED);
  assert.deepEqual(FIXED.filter((id) => before[id] !== after[id]), ["#lesson", "#turn"]);
  await visitor.context.close();
});

test("nothing jumps, sticks out or is hard to read in any state of the workspace", async () => {
  const stage = await Stage.open(service, "harbour/walk/1");
  const faults = [];
  const where = {};
  for (const [state, { enter, leave, deep }] of Object.entries(STATES)) {
    await enter?.(stage);
    await look(stage.visitor, state, faults, { where, deep });
    await leave?.(stage);
  }
  assert.equal(faults.join("\n"), "");
  assert.deepEqual(stage.visitor.complaints, []);
  await stage.visitor.leave();
});

/** Answers the first question of the page. */
async function answer({ page }, text, is) {
  const question = page.locator("#lesson form.quiz").first();
  await question.getByText(text).click();
  await question.locator("button").click();
  await until(async () => (await question.getAttribute("data-is")) === is, is);
}

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
  "a code to type in": (visitor) => visitor.go("resume"),
  "a code that is none": async (visitor) => {
    await visitor.page.locator("#typed").fill("AAAAA-BBBBB-CCCCC");
    await visitor.page.locator(".typed button").click();
    await visitor.page.locator('.typed__says[data-is="failed"]').waitFor();
  },
  "going on elsewhere, as somebody new": (visitor) => visitor.go("elsewhere"),
  "a lesson that cannot run here": (visitor) => visitor.go("harbour/cluster"),
  "a lesson that lacks something": (visitor) => visitor.open("harbour/wishes/intro"),
  "a question": (visitor) => visitor.open("pontoon/asking/1"),
  "a question answered wrong": (visitor) => answer(visitor, "They go on as orphans", "wrong"),
  "a question answered right": (visitor) => answer(visitor, "The kernel ends them all", "right"),
  "every extreme": (visitor) => visitor.open("voyage/long/1"),
  "every extreme, failed": async (visitor) => assert.equal((await visitor.check())[0], "failed"),
  "the end": (visitor) => visitor.go("voyage/long/finish"),
  "the catalogue, come back": (visitor) => visitor.go(""),
  "going on elsewhere": (visitor) => visitor.go("elsewhere"),
  "a code": (visitor) => visitor.page.locator(".sheet__do .btn--main").click(),
  "being forgotten": (visitor) => visitor.go("forget"),
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
  await visitor.go("voyage/long/1");
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
  const starts = ["harbour/actions/1", "harbour/walk/1", "harbour/cargo/intro", "harbour/writing/intro", "jetty/old/intro", "voyage/long/1"];
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
    for (const [width, height] of WIDTHS.filter(([width]) => AXE_WIDTHS.includes(width))) {
      await page.setViewportSize({ width, height });
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
  // On paper the text stands alone, dark on white, with its commands.
  await page.emulateMedia({ contrast: "no-preference", forcedColors: "none", colorScheme: "dark", media: "print" });
  for (const gone of [".bar", "#deep", "#turn", ".act__do"]) assert.equal(await page.locator(gone).first().isVisible(), false, `${gone} on paper`);
  assert.equal(await page.locator("#text").isVisible(), true);
  assert.deepEqual(await contrast(page), []);
  await visitor.shot("on-paper");
  await page.emulateMedia({ media: null, colorScheme: "light" });
  // The first frame of the next page is drawn as this one: nothing flashes.
  await page.emulateMedia({ contrast: "no-preference", forcedColors: "none" });
  await page.locator("#menu summary").click();
  await page.locator('.choice [name="size"][value="projector"]').click();
  await page.locator('.choice [name="water"][value="day"]').click();
  await pause(300);
  const html = await (await visitor.context.request.get(page.url())).text();
  assert.match(html, /<html lang="en" data-size="projector" data-water="day">/);
  await visitor.go("");
  assert.deepEqual([...(await overflow(page)), ...(await contrast(page)), ...(await axe(page))], [], "the catalogue on a projector");
  await visitor.shot("catalogue-on-a-projector");
  await visitor.go("harbour/walk/1");
  await visitor.leave();
});
