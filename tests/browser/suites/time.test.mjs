// How long there is a machine, how another one comes, and the line when there is none: with a service whose times are seconds.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Service } from "../harness/service.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor, closeBrowser } from "../harness/visitor.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

after(closeBrowser);

async function withService({ settings, args = [] }, story) {
  const service = await new Service({ images: process.env.QUAYSIDE_DATA, settings, args }).start();
  try {
    await service.imageReady();
    await story(service);
  } finally {
    const left = await service.stop();
    service.remove();
    assert.deepEqual(left, [], "nothing is left");
  }
}

/** The card's words, also while a phone shows the lesson; nothing while there is a terminal. */
const card = (visitor) => visitor.page.locator("#wait").evaluate((wait) => (wait.hidden ? "" : [...wait.querySelectorAll("h2, p, pre, button")].filter((it) => !it.closest("[hidden]")).map((it) => it.textContent.trim()).join("\n")));
const cardSays = (visitor, what, within = 30_000) => until(async () => what.test(await card(visitor)), `the card says ${what}`, within).catch(async (error) => {
  throw new Error(`${error.message}; it says ${await card(visitor)}`);
});
const pill = (visitor) => visitor.page.locator("#time").getAttribute("data-is");
const left = (visitor) => visitor.page.locator("#time-left").innerText();

/** What must not move, and what must not change its width. */
const rectangles = (visitor) => visitor.page.evaluate(() => Object.fromEntries(["lesson", "turn", "stage", "strip"].map((id) => {
  const { x, y, width, height } = document.getElementById(id).getBoundingClientRect();
  return [id, [x, y, width, height].map(Math.round).join(" ")];
})));
const barAt = (visitor) => visitor.page.evaluate(() => [".mark", "#steps", "#time", "#menu"].map((what) => Math.round(document.querySelector(what).getBoundingClientRect().x)).join(" "));

async function axe(visitor, state) {
  await visitor.page.evaluate(AXE);
  const { violations } = await visitor.page.evaluate(() => globalThis.axe.run({ exclude: [".xterm-helpers"] }, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 4).join(" | ")}`), [], state);
}

test("time is always in view, warns, is extended, ends with words, and moves nothing", () => withService({ settings: { SESSIONS_TIME_MAX: 45, SESSIONS_EXTEND: 100, SESSIONS_EXTEND_MAX: 145 } }, async (service) => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/walk/1");
  const states = {};
  const note = async (state) => {
    states[state] = await rectangles(visitor);
    await visitor.shot(`time-${state}`);
    await axe(visitor, state);
  };
  await visitor.prompt();
  assert.equal((await visitor.check())[0], "failed");
  await visitor.run("touch /root/rope");
  await visitor.isAction("touch /root/rope", "done");
  assert.equal((await visitor.check())[0], "passed");
  await visitor.noteSays(/This machine closes in 0:\d\d/);
  assert.equal(await pill(visitor), "closing");
  assert.match(await left(visitor), /^0:\d\d$/);
  assert.match(await visitor.note(), /Your progress stays/);
  await note("closing");
  // Somebody who cannot see hears it once, as an alert, and no second of the countdown.
  const aloud = () => visitor.page.evaluate(() => ["time-alert", "time-said"].map((id) => document.getElementById(id).textContent).join("|"));
  const first = await aloud();
  assert.match(first, /This machine closes in (one|two) minute/);
  await pause(2500);
  assert.equal(await aloud(), first, "not every second");
  const before = await barAt(visitor);
  await visitor.page.locator("#note-act").click();
  await until(async () => (await pill(visitor)) === "soon" || Number((await left(visitor)).split(":")[0]) > 0, "more time");
  assert.match(await aloud(), /Extended/);
  await note("extended");
  assert.equal(await visitor.page.locator("#time-most").innerText(), "no more to add");
  assert.ok(await visitor.page.locator("#extend").isHidden(), "nothing more can be had");
  assert.equal(await barAt(visitor), before, "the bar stands still");
  const [one, ...others] = Object.entries(states);
  for (const [state, where] of others) assert.deepEqual(where, one[1], `${state} is laid out as ${one[0]}`);
  // Another tab, whose browser's clock is an hour ahead, counts the same.
  const tab = await visitor.anotherTab();
  await tab.page.addInitScript(() => {
    const real = Date.now.bind(Date);
    Date.now = () => real() + 3_600_000;
  });
  await tab.go("harbour/walk/1");
  await tab.connected();
  const both = [await left(tab), await left(visitor)];
  assert.ok(Math.abs(Number.parseInt(both[0]) - Number.parseInt(both[1])) <= 1, both.join(" and "));
  await tab.page.close();
  assert.deepEqual(visitor.complaints, []);
  await visitor.context.close();
}));

test("when time is up the page says what was kept, and a fresh machine can be had", () => withService({ settings: { SESSIONS_TIME_MAX: 20 } }, async (service) => {
  // The other two pairs are looked at in `states`.
  for (const [size, theme] of [["wide", "light"], ["phone", "dark"]]) {
    const visitor = await Visitor.arrive(service, { theme, size });
    await visitor.go("harbour/walk/1");
    await visitor.connected().catch(() => {});
    const before = await rectangles(visitor);
    await visitor.page.locator('#lesson [data-do="run"] .go').first().click();
    await visitor.page.locator("#check:enabled").click();
    await until(async () => (await visitor.checkIs()) === "passed", "passed", 15_000);
    await visitor.shot(`time-${size}-${theme}-note`);
    await cardSays(visitor, /This machine has ended[\s\S]*Your time with this machine is over[\s\S]*Kept: step 1 passed\.[\s\S]*Start a fresh one/);
    assert.equal(await pill(visitor), "none");
    assert.deepEqual(await rectangles(visitor), before, "nothing moved");
    if (size === "phone") await visitor.page.locator('[data-view-to="terminal"]').click();
    await visitor.shot(`time-${size}-${theme}-ended`);
    await axe(visitor, `ended, ${size}, ${theme}`);
    assert.deepEqual(service.sandboxes(), []);
    if (size === "wide") {
      await visitor.page.reload();
      await visitor.prompt();
      assert.ok(await visitor.page.locator('#steps a[data-page="1"][data-passed]').isVisible(), "progress stays");
    }
    await visitor.leave();
  }
}));

test("a fresh machine by the menu has all that the lesson did, and nothing that the learner did", () => withService({ settings: {} }, async (service) => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/walk/intro");
  await visitor.sees("berth seven");
  await visitor.next();
  await visitor.run("touch /root/rope");
  await visitor.isAction("touch /root/rope", "done");
  assert.equal((await visitor.check())[0], "passed");
  await visitor.next();
  await visitor.sees("second script");
  await visitor.page.locator("#tab-new").click();
  await visitor.prompt();
  const [before] = service.sandboxes();
  const tab = await visitor.anotherTab();
  await tab.go("harbour/walk/2");
  await tab.connected();
  assert.equal(await pill(visitor), "calm");
  assert.match(await left(visitor), /^(60|59) min$/);

  await visitor.page.locator("#menu summary").click();
  await visitor.shot("time-menu");
  await visitor.page.getByRole("button", { name: "Start afresh" }).click();
  assert.match(visitor.dialogs.join(), /Start afresh with a new machine\?.*files, terminals.*Your progress and your time stay/);
  for (const page of [visitor, tab]) {
    await page.sees("second script", 30_000);
    const screen = await page.screen();
    assert.equal(screen.split("\n").filter((line) => line === "berth seven").length, 1, screen);
    assert.ok(screen.indexOf("berth seven") < screen.indexOf("second script"), screen);
  }
  assert.equal(await visitor.page.locator('#tabs [role="tab"]').count(), 1, "the old terminals are gone");
  assert.ok(!service.sandboxes().includes(before), "it is another machine");
  assert.ok(await visitor.page.locator('#steps a[data-page="1"][data-passed]').isVisible(), "progress stays");
  await visitor.command("ls /root/rope; echo listed-$((1 + 1))", /No such file[\s\S]*listed-2/);
  await tab.sees("listed-2");

  // PID 1 dies: the same is offered.
  const shim = service.shimOf(service.sandboxes()[0]);
  process.kill(shim, "SIGKILL");
  await cardSays(visitor, /Your machine ended by itself[\s\S]*Your progress and your time stay[\s\S]*Kept: step 1 passed[\s\S]*Start a fresh one/);
  await visitor.shot("time-lost");
  await axe(visitor, "lost");
  // A page behind another draws slowly.
  await visitor.page.bringToFront();
  await visitor.page.locator("#start button").click();
  await visitor.sees("second script", 30_000);
  await tab.page.bringToFront();
  await tab.sees("second script", 30_000);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
}));

test("three in line: places, leaving, a restart of web, and turns in the order of asking", () => withService({ args: ["--sessions-max", "1"], settings: {} }, async (service) => {
  const first = await Visitor.arrive(service);
  await first.open("harbour/walk/1");
  const calm = await rectangles(first);
  const [second, third, fourth] = [await Visitor.arrive(service), await Visitor.arrive(service, { theme: "dark" }), await Visitor.arrive(service, { size: "phone" })];
  for (const visitor of [second, third, fourth]) {
    await visitor.go("harbour/walk/1");
    await cardSays(visitor, /in line/);
  }
  await cardSays(second, /The quay is full\.\s+You are next in line\.[\s\S]*within (60|59) minutes if nobody asks for more time[\s\S]*kept for 15 minutes/);
  await cardSays(third, /You are second in line\.[\s\S]*cannot be known yet/);
  await cardSays(fourth, /You are third in line\./);
  assert.equal(await second.strip(), "In line for a machine");
  assert.deepEqual(await rectangles(second), calm, "the lesson stands where it stands beside a terminal");
  assert.ok(await second.page.locator("#check").isDisabled());
  assert.match(await second.page.locator("#says").innerText(), /Reading is open\.\s+Run and Check come with your machine/);
  assert.equal(await second.action("touch /root/rope").getAttribute("data-is"), "off");
  await second.next();
  assert.match(await second.page.locator("#heading").innerText(), /Look around/, "the lesson can be read");
  await second.shot("queue-wide-light");
  await third.shot("queue-wide-dark");
  await fourth.shot("queue-phone-lesson");
  await fourth.page.locator('[data-view-to="terminal"]').click();
  await fourth.shot("queue-phone-light");
  for (const visitor of [second, third, fourth]) await axe(visitor, "in line");

  // Who has no script is told as well, and looks again by a link.
  const plain = await Visitor.arrive(service, { javaScriptEnabled: false });
  await plain.go("harbour/walk/1");
  await plain.page.locator("#start button").click();
  await cardSays(plain, /in line/);
  assert.equal(await plain.page.locator("#start").isVisible(), false, "there is nothing to start");
  await until(async () => {
    await plain.page.getByRole("link", { name: "Look again" }).click();
    return /The quay is full\.\s+You are fourth in line\.[\s\S]*kept for 15 minutes/.test(await card(plain));
  }, "the place of who has no script");
  await plain.shot("queue-without-a-script");
  await plain.leave();

  // A reload, another tab and another web process change nothing.
  await third.page.reload();
  await cardSays(third, /You are second in line/);
  const tab = await second.anotherTab();
  await tab.go("harbour/walk/1");
  await cardSays(tab, /You are next in line/);
  await service.killPart("web");
  await until(() => fetch(`${service.url}/health/ready`).then((answer) => answer.ok, () => false), "web is back");
  await cardSays(fourth, /You are third in line/);

  await third.page.getByRole("button", { name: "Leave the line" }).click();
  await cardSays(third, /You left the line/);
  await third.shot("queue-left");
  await cardSays(fourth, /You are second in line/);
  await first.leave();
  await second.prompt();
  await tab.connected();
  await cardSays(fourth, /You are next in line/);
  assert.equal(service.sandboxes().length, 1);
  await second.leave();
  await fourth.connected().catch(() => {});
  await until(async () => (await fourth.page.locator("#wait").isHidden()), "the last one's turn", 30_000);
  for (const visitor of [second, third, fourth]) assert.deepEqual(visitor.complaints, []);
  await fourth.leave();
  await third.context.close();
}));

test("with enough machines, the one not used for longest can be ended by one click", () => withService({ settings: { SESSIONS_PER_LEARNER_MAX: 1 } }, async (service) => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/walk/1");
  const [before] = service.sandboxes();
  const tab = await visitor.anotherTab();
  await tab.go("harbour/actions/1");
  await cardSays(tab, /You have enough machines[\s\S]*“A walk along the quay”[\s\S]*End “A walk along the quay”, start this one[\s\S]*Try again/);
  await tab.shot("too-many");
  await axe(tab, "too many");
  assert.deepEqual(service.sandboxes(), [before], "offered, not done");
  await tab.page.locator("#start button").click();
  await tab.prompt();
  await cardSays(visitor, /This machine has ended/);
  assert.equal(service.sandboxes().length, 1);
  await tab.leave();
}));
