// The keyboard alone: the menu, the shortcuts, tabs, notes, sheets and the catalogue; and the focus, which is never lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { Stage } from "../harness/stage.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

/** Where the focus is, in words: a name, or that it is in the terminal or nowhere. */
const focused = (page) => page.evaluate(() => {
  const at = document.activeElement;
  if (!at || at === document.body || !at.checkVisibility()) return "nowhere";
  if (at.matches(".xterm-helper-textarea")) return "in the terminal";
  return at.getAttribute("aria-label") || at.closest("label")?.textContent.trim() || at.textContent.trim() || at.id;
});

const comesTo = (page, where, what) => until(async () => new RegExp(where).test(await focused(page)), `${what}: the focus comes to ${where}`).catch(async (error) => {
  throw new Error(`${error.message}; it is ${await focused(page)}`);
});

async function press(page, key, times = 1) {
  for (let n = 0; n < times; n++) await page.keyboard.press(key);
}

/** Presses Tab until the focus has this name; every stop on the way has one. */
async function tabTo(page, name, key = "Tab") {
  const stops = [];
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press(key);
    const at = await focused(page);
    if (at === name) return stops;
    assert.notEqual(at, "", `every stop has a name, after ${stops.join(", ")}`);
    stops.push(at);
  }
  throw new Error(`no stop is called ${name}: ${stops.join(", ")}`);
}

test("the menu by arrows, and what is chosen in it stays", async () => {
  const visitor = await Visitor.arrive(service);
  const { page } = visitor;
  await visitor.open("harbour/walk/1");
  const open = () => page.locator("#menu").evaluate((menu) => menu.open);
  await tabTo(page, "Menu");
  await press(page, "Enter");
  assert.equal(await open(), true);
  await press(page, "ArrowDown");
  assert.equal(await focused(page), "System");
  await press(page, "ArrowRight", 2);
  assert.equal(await focused(page), "Dark");
  await press(page, "Enter");
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  assert.equal(await focused(page), "Dark", "the focus stays");
  await press(page, "ArrowDown");
  assert.equal(await focused(page), "Normal", "a choice is one row");
  await press(page, "ArrowDown");
  await press(page, "ArrowRight");
  await press(page, "Space");
  assert.equal(await page.locator("html").getAttribute("data-water"), "day");
  await press(page, "End");
  assert.equal(await focused(page), "End this machine");
  await press(page, "Home");
  assert.equal(await focused(page), "Menu");
  await press(page, "ArrowDown");
  await press(page, "Escape");
  assert.equal(await open(), false);
  assert.equal(await focused(page), "Menu", "Esc leads back");
  // It closes when the focus leaves it, and when somebody presses elsewhere.
  await press(page, "Enter");
  await press(page, "Shift+Tab");
  assert.equal(await open(), false);
  await page.locator("#menu summary").click();
  await page.mouse.click(300, 500);
  assert.equal(await open(), false);
  // The terminal's own settings, after a reload too.
  await page.locator("#menu summary").click();
  await page.locator("#reader").check();
  await page.locator('.menu [data-letters="1"]').click();
  const letters = await page.locator("#letters").textContent();
  await page.reload();
  await visitor.prompt().catch(() => {});
  assert.equal(await page.locator("#reader").isChecked(), true);
  assert.equal(await page.locator("#letters").textContent(), letters);
  assert.deepEqual(await page.locator("html").evaluate(({ dataset }) => ({ ...dataset })), { theme: "dark", water: "day" });
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("the shortcuts work from everywhere, reach no shell, and can be switched off", async () => {
  const visitor = await Visitor.arrive(service);
  const { page } = visitor;
  await visitor.open("harbour/walk/1");
  await visitor.type("cat -v\n");
  await press(page, "Control+Shift+Digit1");
  assert.equal(await focused(page), "Lesson");
  await press(page, "Control+Shift+Digit2");
  assert.equal(await focused(page), "in the terminal");
  await press(page, "Control+Shift+Enter");
  await until(async () => (await visitor.checkIs()) === "failed", "the check has answered", 45_000);
  assert.equal(await focused(page), "in the terminal", "the focus stays");
  await page.keyboard.type("end\n");
  await visitor.sees(/cat -v\nend\nend/);
  // Inside the terminal Ctrl+Shift+2 is Ctrl+@, and that is the shell's.
  await press(page, "Control+Shift+Digit2");
  await page.keyboard.type("\n");
  await visitor.sees("^@");
  await page.locator("#menu summary").click();
  for (const name of ["lesson", "terminal", "check"]) await page.locator(`[data-shortcut="${name}"]`).uncheck();
  await page.reload();
  await visitor.connected();
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/check") && asked.push(request.url()));
  await page.locator("#edge").focus();
  await press(page, "Control+Shift+Digit1");
  await press(page, "Control+Shift+Digit2");
  await press(page, "Control+Shift+Enter");
  await pause(300);
  assert.match(await focused(page), /^Width of the lesson/, "switched off, and still after a reload");
  assert.deepEqual(asked, []);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("tabs, a note and the sheet of a long answer", async () => {
  const stage = await Stage.open(service, "harbour/walk/1");
  const { page } = stage;
  await tabTo(page, "New terminal");
  await press(page, "Enter");
  await comesTo(page, "in the terminal", "a new terminal");
  await press(page, "Escape");
  await press(page, "Shift+Tab");
  assert.match(await focused(page), /^Terminal 2/, "backwards out of the terminal is its tab");
  await press(page, "ArrowLeft");
  assert.match(await focused(page), /^Terminal 1/);
  // A note is reached by Tab, and the focus goes back to where it came from.
  await stage.hear({ type: "notice", level: "warn", text: "The harbour closes at ten." });
  await tabTo(page, "in the terminal");
  await press(page, "Escape");
  await press(page, "Tab");
  assert.equal(await focused(page), "Close", "out of the terminal a note comes first");
  await press(page, "Enter");
  await until(async () => !(await stage.visitor.note()), "the note is put away");
  assert.equal(await focused(page), "in the terminal");
  await press(page, "Escape");
  await press(page, "Tab");
  assert.equal(await focused(page), "Lesson", "without a note the lesson does");
  const long = Array.from({ length: 40 }, (_, n) => `line ${n}`).join("\n");
  await stage.check("failed", long);
  const land = () => page.evaluate(() => [...document.querySelectorAll("#lesson, #turn")].map((it) => JSON.stringify(it.getBoundingClientRect())).join());
  const where = await land();
  await tabTo(page, "All of it");
  await press(page, "Enter");
  assert.equal(await page.locator("#says-all").getAttribute("aria-expanded"), "true");
  const fits = await page.locator("#says").evaluate((says) => says.getBoundingClientRect().height > 300);
  assert.ok(fits, "all of it lies over the lesson");
  assert.equal(await land(), where, "and nothing has moved");
  await stage.visitor.shot("all-of-it");
  await press(page, "Escape");
  assert.equal(await page.locator("#says-all").getAttribute("aria-expanded"), "false");
  assert.equal(await focused(page), "All of it");
  await stage.check("passed", "short");
  await pause(100);
  assert.equal(await page.locator("#says-all").isVisible(), false);
  await stage.visitor.leave();
});

test("the focus is never lost when the state changes", async () => {
  const stage = await Stage.open(service, "harbour/walk/1");
  const { page, visitor } = stage;
  await page.locator("#check").focus();
  await stage.cut();
  assert.equal(await focused(page), "Check", "Check is off and keeps the focus");
  await press(page, "Enter");
  assert.equal(await visitor.checkIs(), "off");
  await page.locator("#note-act").focus();
  await stage.mend();
  await comesTo(page, "^Check$", "the note has gone");
  // The machine ends under the learner's hands.
  await page.locator(".pane[data-front] .xterm-helper-textarea").focus();
  await visitor.type("kill -9 -1; exit\n").catch(() => {});
  await stage.phase("ended");
  await comesTo(page, "Start a new one", "the machine has ended");
  await press(page, "Enter");
  await comesTo(page, "in the terminal", "there is a machine again");
  await visitor.leave();
});

test("the catalogue by keyboard", async () => {
  const visitor = await Visitor.arrive(service);
  const { page } = visitor;
  await visitor.go("");
  await press(page, "Tab");
  assert.equal(await focused(page), "Skip to the content");
  const stops = await tabTo(page, "Start the first lesson");
  assert.ok(stops.includes("Menu"), stops.join(", "));
  await press(page, "Enter");
  await page.waitForURL(/\/intro$|\/1$/);
  await visitor.prompt();
  await visitor.leave();
});
