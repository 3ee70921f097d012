// A phone: two views, the keys that its keyboard lacks, fingers, and held sideways.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axe, overflow } from "../harness/look.mjs";
import { shared } from "../harness/shared.mjs";
import { Stage } from "../harness/stage.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

/** What a finger needs. */
const TARGET_PX = 44;

async function inTerminal(path = "harbour/walk/1") {
  const visitor = await Visitor.arrive(service, { size: "phone" });
  await visitor.open(path);
  await visitor.page.locator('[data-view-to="terminal"]').click();
  return visitor;
}

const key = (visitor, selector) => visitor.page.locator(`#keys ${selector}`);

/** Controls that can be seen and are smaller than a finger. */
const small = (page) => page.evaluate((least) => [...document.querySelectorAll("button, summary, input, a")].filter((control) => {
  // Links within a text are as tall as its lines.
  if (!control.checkVisibility({ visibilityProperty: true }) || control.closest("p, .book, .skip, .crumbs, .foot")) return false;
  // A box is pressed by its label.
  const target = control.closest("label") ?? control;
  const { width, height, right, left } = target.getBoundingClientRect();
  return right > 0 && left < innerWidth && (height < least - 0.5 || width < Math.min(least, 43) - 0.5);
}).map((control) => `${control.id || control.textContent.trim() || control.getAttribute("aria-label")}: ${JSON.stringify(control.getBoundingClientRect())}`), TARGET_PX);

test("everything is large enough for a finger, in both views, upright and sideways", async () => {
  const visitor = await Visitor.arrive(service, { size: "phone" });
  const { page } = visitor;
  await visitor.go("");
  assert.deepEqual(await small(page), []);
  await visitor.open("harbour/walk/1");
  for (const [name, size] of Object.entries({ upright: { width: 390, height: 844 }, sideways: { width: 844, height: 390 }, "with a keyboard": { width: 390, height: 480 } })) {
    await page.setViewportSize(size);
    for (const view of ["lesson", "terminal"]) {
      await page.locator(`[data-view-to="${view}"]`).click();
      await pause(150);
      assert.deepEqual(await small(page), [], `${name}, ${view}`);
      assert.deepEqual(await overflow(page), [], `${name}, ${view}`);
      assert.deepEqual(await axe(page, { terminalAlone: view === "terminal" }), [], `${name}, ${view}`);
      await visitor.shot(`phone-${name.replaceAll(" ", "-")}-${view}`);
    }
    const { y, height } = await page.locator("#keys").boundingBox();
    assert.ok(height >= 46 && y + height <= size.height, `${name}: the keys lie above the keyboard`);
    const rows = await page.locator(".pane[data-front] .xterm-rows > div").count();
    assert.ok(rows >= 8, `${name}: ${rows} rows`);
  }
  await page.locator("#menu summary").click();
  assert.deepEqual(await small(page), [], "the menu");
  assert.equal(await page.locator("#menu-keys").isVisible(), false, "a phone has no keyboard to explain");
  await visitor.leave();
});

test("the keys type what they say, and Ctrl and Alt hold for one key or until tapped again", async () => {
  const visitor = await inTerminal();
  await visitor.command("cat -v");
  for (const selector of ['[data-text="|"]', '[data-text="~"]', '[data-key="Tab"]', '[data-text="/"]']) await key(visitor, selector).tap();
  await visitor.page.keyboard.type("\n");
  await visitor.sees(/\n\|~\s+\/\n/);
  await key(visitor, '[data-key="Escape"]').tap();
  await key(visitor, '[data-modifier="alt"]').tap();
  await visitor.page.keyboard.type("x\n");
  await visitor.sees("^[^[x");
  assert.equal(await key(visitor, '[data-modifier="alt"]').getAttribute("aria-pressed"), "false", "for one key");
  await key(visitor, '[data-modifier="ctrl"]').tap();
  await visitor.page.keyboard.type("c");
  await visitor.prompt();
  const ctrl = key(visitor, '[data-modifier="ctrl"]');
  await ctrl.tap();
  await ctrl.tap();
  assert.equal(await ctrl.getAttribute("data-locked"), "");
  await visitor.page.keyboard.type("u");
  await visitor.page.keyboard.type("l");
  assert.equal(await ctrl.getAttribute("aria-pressed"), "true", "until tapped again");
  await ctrl.tap();
  assert.equal(await ctrl.getAttribute("aria-pressed"), "false");
  await visitor.command("echo up-$((40 + 2))", /^up-42/m);
  await key(visitor, '[data-key="ArrowUp"]').tap();
  await visitor.sees(/echo up-\$\(\(40 \+ 2\)\)$/);
  await visitor.leave();
});

test("where the clipboard cannot be read, a field takes the paste", async () => {
  const visitor = await inTerminal();
  const { page } = visitor;
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await key(visitor, '[data-key="Paste"]').tap();
  await page.locator("#paste-text").fill("echo pasted-$((1 + 1))");
  await visitor.shot("phone-paste");
  assert.deepEqual(await axe(page, { terminalAlone: true }), []);
  await page.locator("#paste button.btn--main").tap();
  assert.equal(await page.locator("#paste").isVisible(), false);
  await page.keyboard.type("\n");
  await visitor.sees(/^pasted-2/m);
  await visitor.leave();
});

test("a finger scrolls the terminal's past, and a pager", async () => {
  const visitor = await inTerminal();
  const { page } = visitor;
  await visitor.command("clear; seq 1 500", /500\n/);
  const cdp = await visitor.context.newCDPSession(page);
  const swipe = async (by) => {
    const from = by > 0 ? 200 : 600;
    const at = (y) => [{ x: 190, y }];
    await cdp.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: at(from) });
    for (let n = 1; n <= 10; n++) await cdp.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at(from + (by * n) / 10) });
    await cdp.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  };
  const first = async () => Number(/\d+/.exec(await visitor.screen())?.[0]);
  const before = await first();
  await swipe(300);
  await until(async () => (await first()) < before - 8, "older lines are in sight");
  const up = await first();
  await swipe(-400);
  await until(async () => (await first()) > up, "and back again");
  assert.equal(await page.evaluate(() => scrollY), 0, "the page itself stays");
  await visitor.command("clear; seq 1 500 | less");
  await visitor.sees(/^1\n2\n/);
  await swipe(-300);
  await until(async () => (await first()) > 1, "the pager goes on");
  await visitor.leave();
});

test("under the lesson stands what the terminal does, or why there is none", async () => {
  const stage = await Stage.open(service, "harbour/walk/1", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const { page, visitor } = stage;
  const peek = (what) => until(async () => what.test(await page.locator("#peek-lines").textContent()), `the peek says ${what}`).catch(async (error) => {
    throw new Error(`${error.message}; it says ${await page.locator("#peek-lines").textContent()}`);
  });
  await peek(/ubuntu \$/);
  await stage.phase("preparing");
  await peek(/Preparing your machine/);
  await stage.phase("ready");
  await peek(/ubuntu \$/);
  await stage.phase("failed", { message: "cannot start sandbox 7f3a: step 7 of 19" });
  await peek(/did not start\ncannot start sandbox/);
  await visitor.shot("phone-peek-failed");
  await page.locator("#peek").tap();
  assert.equal(await page.locator("#start button").isVisible(), true, "a tap leads to the way out of it");
  await visitor.leave();
});
