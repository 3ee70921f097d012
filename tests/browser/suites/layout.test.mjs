// Nothing jumps, everything can be read and reached: the rectangles of every state, axe, and the keyboard alone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();
// Its rules are WCAG 2 A and AA, and best practices.
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function axe(visitor, state) {
  // As an init script would be, past the page's policy; the rules are WCAG 2 A and AA, and the best practices.
  await visitor.page.evaluate(AXE);
  const { violations } = await visitor.page.evaluate(() => globalThis.axe.run({ exclude: [".xterm-helpers"] }, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 4).join(" | ")}`), [], state);
}

const rectangles = (visitor) => visitor.page.evaluate(() => Object.fromEntries(["lesson", "turn", "stage", "strip"].map((id) => {
  const { x, y, width, height } = document.getElementById(id).getBoundingClientRect();
  return [id, [x, y, width, height].map(Math.round).join(" ")];
})));

for (const size of ["wide", "phone"]) {
  for (const theme of ["light", "dark"]) {
    test(`lesson, check and terminal stay where they are, ${size}, ${theme}`, async () => {
      const visitor = await Visitor.arrive(service, { size, theme });
      const states = {};
      const note = async (state, { quick = false } = {}) => {
        states[state] = await rectangles(visitor);
        await visitor.shot(`${size}-${theme}-${state}`);
        if (!quick) await axe(visitor, `${state}, ${size}, ${theme}`);
      };
      await visitor.go("");
      await axe(visitor, `catalogue, ${size}, ${theme}`);
      await visitor.shot(`${size}-${theme}-catalogue`);
      await visitor.go("harbour/walk/1");
      await visitor.prompt();
      await note("idle");
      assert.equal((await visitor.check())[0], "failed");
      await note("check-failed");
      await visitor.run("touch /root/rope");
      await visitor.isAction("touch /root/rope", "done");
      assert.equal((await visitor.check())[0], "passed");
      await note("check-passed");
      await visitor.next();
      await visitor.sees("second script");
      await visitor.next();
      await visitor.page.locator("#check:enabled").click();
      await pause(600);
      await note("checking", { quick: true });
      await visitor.page.locator("#check").click();
      await until(async () => /Stopped/.test(await visitor.page.locator("#says").textContent()), "stopped");
      await note("check-stopped");
      await visitor.context.setOffline(true);
      await visitor.page.evaluate(() => dispatchEvent(new Event("offline")));
      await until(async () => (await visitor.checkIs()) === "off", "the check waits for the connection", 30_000);
      if (size === "wide") await visitor.noteSays(/Connection lost/);
      await note("connection-lost");
      await visitor.context.setOffline(false);
      await visitor.connected();
      if (size === "phone") {
        await visitor.page.locator('[data-view-to="terminal"]').click();
        await visitor.shot(`phone-${theme}-terminal`);
        await axe(visitor, `the phone's terminal, ${theme}`);
        await visitor.page.locator('[data-view-to="lesson"]').click();
        await note("back-in-the-lesson", { quick: true });
      }
      const [first, ...others] = Object.entries(states);
      for (const [state, where] of others) assert.deepEqual(where, first[1], `${state} is laid out as ${first[0]}`);
      assert.ok(await visitor.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the window");
      assert.deepEqual(visitor.complaints, []);
      await visitor.leave();
    });
  }
}

test("other pages and states have no violations", async () => {
  for (const theme of ["light", "dark"]) {
    const visitor = await Visitor.arrive(service, { theme });
    await visitor.go("harbour/torn");
    await axe(visitor, `a broken scenario, ${theme}`);
    assert.equal((await visitor.go("nowhere/at-all")).status(), 404);
    await axe(visitor, `not found, ${theme}`);
    await visitor.shot(`not-found-${theme}`);
    await visitor.go("harbour/cluster");
    await axe(visitor, `cannot run here, ${theme}`);
    await visitor.open("harbour/writing");
    await axe(visitor, `markdown, ${theme}`);
    await visitor.shot(`writing-${theme}`);
    await visitor.leave();
    const other = await Visitor.arrive(service, { theme });
    await other.go("harbour/wishes/intro");
    await other.prompt();
    await axe(other, `what is missing, ${theme}`);
    await other.next();
    await axe(other, `what is missing, at its place, ${theme}`);
    await other.go("harbour/leaky");
    await other.noteSays(/bilge/);
    await axe(other, `a note with output, ${theme}`);
    await other.leave();
  }
});

test("the keyboard alone: in, run, out again, check and on", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/walk/1");
  const { keyboard } = visitor.page;
  const focused = () => visitor.page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent?.trim() || document.activeElement?.id);
  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the lesson");
  await keyboard.press("Enter");
  // Every stop has a name and shows where it is.
  const stops = [];
  for (let n = 0; n < 60; n++) {
    await keyboard.press("Tab");
    const name = await focused();
    stops.push(name);
    assert.ok(name, `stop ${n} after ${stops.join(", ")} has a name`);
    if (name === "Run") break;
  }
  assert.ok(stops.includes("Run"), stops.join(", "));
  await keyboard.press("Enter");
  await visitor.isAction("touch /root/rope", "done");
  assert.equal(await focused(), "Again", "the focus stays");
  for (let n = 0; n < 30 && (await focused()) !== "Check"; n++) await keyboard.press("Tab");
  assert.equal(await focused(), "Check");
  await keyboard.press("Enter");
  await until(async () => (await visitor.checkIs()) === "passed", "passed");
  for (let n = 0; n < 30 && !/^Terminal 1$/.test(await focused()); n++) await keyboard.press("Tab");
  await keyboard.press("Tab");
  for (let n = 0; n < 10 && !(await visitor.page.evaluate(() => document.activeElement?.matches(".xterm-helper-textarea"))); n++) await keyboard.press("Tab");
  await visitor.page.keyboard.type("echo in-the-terminal\n");
  await visitor.sees(/\nin-the-terminal/);
  await keyboard.press("Tab");
  assert.ok(await visitor.page.evaluate(() => document.activeElement?.matches(".xterm-helper-textarea")), "Tab belongs to the shell");
  await keyboard.press("Escape");
  await keyboard.press("Tab");
  assert.ok(!(await visitor.page.evaluate(() => document.activeElement?.matches(".xterm-helper-textarea"))), "Esc, then Tab leaves");
  for (let n = 0; n < 40 && !/^Next/.test((await focused()) ?? ""); n++) await keyboard.press("Tab");
  await keyboard.press("Enter");
  await until(() => visitor.page.url().endsWith("/2"), "the next page");
  assert.equal(await focused(), "Look around", "the focus is at the new heading");
  await visitor.leave();
});

test("the edge moves by keys, and is remembered", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/walk/1");
  const width = () => visitor.page.evaluate(() => document.getElementById("lesson").getBoundingClientRect().width);
  const before = await width();
  await visitor.page.locator("#edge").focus();
  for (let n = 0; n < 5; n++) await visitor.page.keyboard.press("ArrowRight");
  const after = await width();
  assert.ok(after > before + 50, `${before} became ${after}`);
  await visitor.page.reload();
  await visitor.prompt();
  assert.ok(Math.abs((await width()) - after) < 4);
  await visitor.leave();
});

test("light and dark by the switch, remembered, with and without a script", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const visitor = await Visitor.arrive(service, { javaScriptEnabled });
    await visitor.go("");
    const background = async () => (await visitor.page.locator("html").getAttribute("data-theme")) ?? "system";
    await Promise.all([visitor.page.waitForResponse((answer) => answer.url().endsWith("/look")), visitor.page.locator(".theme button").click()]);
    await until(async () => (await background()) === "dark", "dark");
    await visitor.go("harbour/walk/1");
    assert.equal(await background(), "dark");
    if (javaScriptEnabled) await visitor.prompt();
    await visitor.leave();
  }
});

test("the menu fits a laptop's screen without scrolling", async () => {
  const visitor = await Visitor.arrive(service);
  const { page } = visitor;
  await visitor.open("harbour/walk/2");
  await page.locator("#menu summary").click();
  for (const size of ["normal", "projector"]) {
    await page.locator(`.choice [name="size"][value="${size}"]`).click();
    for (const [width, height] of [[1280, 800], [1440, 900], [1366, 620], [1024, 600]]) {
      await page.setViewportSize({ width, height });
      const over = await page.locator(".menu__list").evaluate(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight);
      await visitor.shot(`wide-menu-${size}-${width}`);
      assert.ok(over <= 0, `${over} pixels are hidden at ${width} × ${height}, ${size}`);
    }
  }
  await page.locator('.choice [name="size"][value="normal"]').click();
  await visitor.leave();
});

test("Back says a page's name where all of it fits, and Back where it does not", async () => {
  const visitor = await Visitor.arrive(service);
  for (const width of [1280, 1440, 1920, 2560]) {
    await visitor.page.setViewportSize({ width, height: 900 });
    await visitor.go("harbour/walk/2");
    const label = await visitor.page.locator(".turn .back").evaluate((back) => {
      const shown = [...back.querySelectorAll(".long, .short")].filter((part) => getComputedStyle(part).display !== "none");
      return { shown: shown.length, cut: shown.some((part) => part.scrollWidth > part.clientWidth && getComputedStyle(part).overflow === "hidden") };
    });
    assert.deepEqual(label, { shown: 1, cut: false }, `at ${width}`);
  }
  await visitor.leave();
});

test("no line begins with the comma behind a command", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/walk/1");
  const astray = await visitor.page.evaluate(() => {
    const book = document.getElementById("text");
    const line = document.createElement("p");
    const command = document.createElement("button");
    command.className = "act-inline";
    command.append(Object.assign(document.createElement("code"), { textContent: "ls -l /var/log" }));
    const pair = Object.assign(document.createElement("span"), { className: "act-and" });
    pair.append(command, ", ");
    line.append("Look at what there is by ", pair, "and at some more of it.");
    book.append(line);
    const wrong = [];
    for (let width = 120; width < 480; width++) {
      line.style.width = `${width}px`;
      const comma = document.createRange();
      comma.setStart(pair.lastChild, 0);
      comma.setEnd(pair.lastChild, 1);
      const at = [...command.firstChild.getClientRects()].at(-1);
      if (comma.getBoundingClientRect().top > at.bottom - 2) wrong.push(width);
    }
    line.remove();
    return wrong;
  });
  assert.deepEqual(astray, []);
  await visitor.leave();
});
