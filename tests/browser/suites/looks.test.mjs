// What only eyes had found: a page magnified, commands cut, marks and notes over what they are not about, wide letters.

import assert from "node:assert/strict";
import { test } from "node:test";
import { overflow } from "../harness/look.mjs";
import { shared } from "../harness/shared.mjs";
import { Stage } from "../harness/stage.mjs";
import { until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

const LONG = Array.from({ length: 30 }, (_, n) => `Line ${n}: looked for /a/path`).join("\n");

/** The looks as the menu sets them. */
const look = (page, name, value) => page.evaluate(([name, value]) => document.querySelector(`.choice [name="${name}"][value="${value}"]`).click(), [name, value]);

test("magnified to 400 %, all of it is there, and nothing to the side", async () => {
  // WCAG 2's reflow: 1280 pixels at 400 %, upright and sideways, and at 200 %.
  for (const [width, height] of [[320, 568], [320, 256], [640, 400]]) {
    const stage = await Stage.open(service, "harbour/walk/1", { viewport: { width, height } });
    const { page, visitor } = stage;
    const faults = async (where) => assert.deepEqual(await overflow(page), [], `${where}, ${width} × ${height}`);
    await stage.check("failed", LONG);
    await faults("a lesson");
    // A click is refused where something else lies over the button.
    await page.locator("#menu summary").click({ timeout: 5000 });
    await faults("the menu");
    await page.keyboard.press("Escape");
    await page.locator("#check").click({ trial: true, timeout: 5000 });
    await page.locator('[data-view-to="terminal"]').click({ timeout: 5000 });
    for (const path of ["", "resume", "elsewhere", "forget", "harbour/torn", "harbour/cluster", "nowhere/at-all"]) {
      await visitor.go(path);
      await faults(`/${path}`);
      await visitor.shot(`magnified-${width}-${height}-${path.replaceAll("/", "-")}`);
    }
    await visitor.go("harbour/walk/1");
    await visitor.leave();
  }
});

test("a command can be read whole, and its row is as high in every state", async () => {
  const visitor = await Visitor.arrive(service, { reducedMotion: "reduce" });
  const { page } = visitor;
  await visitor.go("harbour/walk/1");
  for (const size of ["normal", "projector"]) {
    await look(page, "size", size);
    // A command that is longer than all of its row scrolls.
    for (const width of [1440, 1280, 1024, ...(size === "normal" ? [800] : [])]) {
      await page.setViewportSize({ width, height: 800 });
      for (const command of ["ls", "unshare --pid --fork bash", "cat /proc/self/uid_map | head"]) {
        const heights = await page.locator('#lesson .act[data-do="run"]').first().evaluate((action, command) => {
          const [code, say, go, pre] = ["code", ".act__say", ".go", "pre"].map((it) => action.querySelector(it));
          code.textContent = command;
          const states = { idle: ["Terminal 2", "Run"], running: ["running, 312 s", "Stop"], done: ["14:05", "Again"], failed: ["exit 127", "Again"] };
          return Object.entries(states).map(([is, [said, does]]) => {
            action.dataset.is = is;
            say.textContent = said;
            go.textContent = does;
            return `${Math.round(action.getBoundingClientRect().height)}${pre.scrollWidth > pre.clientWidth + 1 ? ", cut" : ""}`;
          });
        }, command);
        assert.equal(new Set(heights).size, 1, `${command} at ${width}, ${size}: ${heights}`);
        assert.doesNotMatch(heights[0], /cut/, `${command} at ${width}, ${size}`);
      }
    }
  }
  await look(page, "size", "normal");
  await visitor.go("harbour/walk/1");
  await visitor.leave();
});

test("the frames of what is found stay under the bar that finds, and have the colours of the water", async () => {
  const visitor = await Visitor.arrive(service, { reducedMotion: "reduce" });
  const { page } = visitor;
  await visitor.open("harbour/walk/1");
  await visitor.command("clear; for n in $(seq 60); do printf 'needle %.0s' 1 2 3 4 5 6 7 8; echo; done; echo threa''ded", "threaded");
  await page.locator("#find-open").click();
  await page.locator("#find-text").fill("needle");
  await until(async () => (await page.locator(".xterm-find-result-decoration").count()) > 20, "marks");
  const clip = await page.locator("#find-text").boundingBox();
  const marked = await page.screenshot({ clip });
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(".xterm-find-result-decoration { visibility: hidden; }");
    document.adoptedStyleSheets.push(sheet);
  });
  assert.ok(marked.equals(await page.screenshot({ clip })), "nothing of a mark is seen in the field");
  const light = async () => {
    const [r] = (await page.locator(".pane[data-front] .xterm-rows span[style*=background]").nth(12).evaluate((it) => getComputedStyle(it).backgroundColor)).match(/\d+/g);
    return Number(r);
  };
  assert.ok((await light()) < 100, "night");
  await look(page, "water", "day");
  await until(async () => (await light()) > 150, "the marks of the day");
  await look(page, "water", "night");
  await visitor.leave();
});

test("a note leaves the line that is typed free, above or below it", async () => {
  const stage = await Stage.open(service, "harbour/walk/1", { size: "phone", viewport: { width: 390, height: 844 } });
  const { page, visitor } = stage;
  await page.locator('[data-view-to="terminal"]').click();
  await visitor.command("clear");
  const covered = () => page.evaluate(() => {
    const note = document.getElementById("note").getBoundingClientRect();
    const line = [...document.querySelectorAll(".pane[data-front] .xterm-rows > div")].filter((row) => row.textContent.trim()).at(-1).getBoundingClientRect();
    return note.height === 0 ? "no note" : line.top < note.bottom && note.top < line.bottom ? "covered" : note.top > line.bottom ? "below" : "above";
  });
  await stage.time(100_000);
  await until(async () => (await covered()) === "below", "the prompt is free");
  await visitor.shot("note-below");
  await visitor.command("seq 100", "100");
  await until(async () => (await covered()) === "above", "the prompt at the foot is free");
  await visitor.leave();
});

test("the tab in front is seen, however narrow the row becomes", async () => {
  const visitor = await Visitor.arrive(service, { viewport: { width: 1440, height: 900 } });
  const { page } = visitor;
  await visitor.open("harbour/walk/1");
  const tabs = page.locator('[role="tab"][id^="tab-"]');
  for (let n = 2; n <= 9; n++) {
    await page.locator("#tab-new").click();
    await until(async () => (await tabs.count()) === n, `${n} tabs`);
  }
  for (const width of [1024, 390]) {
    await page.setViewportSize({ width, height: 800 });
    if (width === 390) await page.locator('[data-view-to="terminal"]').click();
    await until(() => page.evaluate(() => {
      const list = document.getElementById("tabs").getBoundingClientRect();
      const front = document.querySelector('#tabs [aria-selected="true"]').getBoundingClientRect();
      return front.left >= list.left - 1 && front.right <= list.right + 1;
    }), `it is seen at ${width}`);
  }
  await visitor.leave();
});

test("a phone says of a lesson that cannot run here that there is no machine, and not that one starts", async () => {
  const visitor = await Visitor.arrive(service, { size: "phone" });
  await visitor.go("harbour/cluster");
  await until(async () => (await visitor.page.locator("#peek-lines").textContent()) !== "", "words");
  assert.match(await visitor.page.locator("#peek-lines").textContent(), /^No machine for this lesson/);
  await visitor.context.close();
});

test("wide letters have two columns, and reversed ones are dark on light", async () => {
  for (const deviceScaleFactor of [1, 1.25, 1.5, 2]) {
    const visitor = await Visitor.arrive(service, { deviceScaleFactor });
    const { page } = visitor;
    await visitor.open("harbour/walk/1");
    await visitor.command("clear; printf '\\xe4\\xbd\\xa0\\xe5\\xa5\\xbd|\\xed\\x95\\x9c\\xea\\xb8\\x80|\\xe3\\x81\\x8b\\xe3\\x81\\xaa|\\n1234|1234|1234|\\n\\033[7mreversed\\033[m\\n'", /^reversed$/m);
    const ends = await page.evaluate(() => {
      const bars = (row) => {
        const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
        const found = [];
        while (walker.nextNode()) {
          for (let at = walker.currentNode.data.indexOf("|"); at >= 0; at = walker.currentNode.data.indexOf("|", at + 1)) {
            const range = document.createRange();
            range.setStart(walker.currentNode, at);
            range.setEnd(walker.currentNode, at + 1);
            found.push(range.getBoundingClientRect().left);
          }
        }
        return found;
      };
      const rows = [...document.querySelectorAll(".pane[data-front] .xterm-rows > div")];
      const narrow = rows.findIndex((row) => row.textContent.startsWith("1234|"));
      return [bars(rows[narrow - 1]), bars(rows[narrow])];
    });
    assert.equal(ends[0].length, 3);
    for (const [n, left] of ends[0].entries()) assert.ok(Math.abs(left - ends[1][n]) < 1, `bar ${n} at ${left}, and at ${ends[1][n]} below, ${deviceScaleFactor} pixels a point`);
    const [letters, behind] = await page.locator(".pane[data-front] .xterm-rows span.xterm-bg-257").first().evaluate((it) => [getComputedStyle(it).color, getComputedStyle(it).backgroundColor]);
    const sum = (color) => color.match(/\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b);
    assert.ok(sum(letters) < 100 && sum(behind) > 600, `${letters} on ${behind}`);
    await visitor.shot(`wide-letters-${deviceScaleFactor}`);
    await visitor.leave();
  }
});
