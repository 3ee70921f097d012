// A visitor comes, gets a shell, and works in it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

test("from the catalogue to a prompt, and every key comes back", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("");
  await visitor.shot("catalogue-first");
  assert.match(await visitor.page.locator("main").innerText(), /The harbour/);
  const begun = Date.now();
  await visitor.page.getByRole("link", { name: /Actions/ }).click();
  await visitor.prompt();
  console.log(`click to prompt in Chromium: ${Date.now() - begun} ms`);
  await visitor.command("echo héllo-$((6 * 7)) ✓ 中文", "héllo-42 ✓ 中文");
  await visitor.shot("first-prompt");
  assert.equal(await visitor.strip(), "Connected");
  assert.match(await visitor.page.locator("#strip-where").textContent(), /^ubuntu, 172\.30\.1\.2/);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("page to prompt, five times in a row", async () => {
  const times = [];
  for (let n = 0; n < 5; n++) {
    const visitor = await Visitor.arrive(service);
    times.push(await visitor.open("harbour/actions/1"));
    await visitor.leave();
  }
  console.log(`page request to prompt in Chromium: ${times.sort((a, b) => a - b).join(", ")} ms`);
});

test("a GET starts nothing", async () => {
  const before = service.sandboxes();
  const visitor = await Visitor.arrive(service, { javaScriptEnabled: false });
  for (const path of ["harbour/actions", "harbour/actions/1", "harbour/walk/intro", "harbour/walk/finish", ""]) {
    assert.equal((await visitor.go(path)).status(), 200);
  }
  assert.deepEqual(service.sandboxes().filter((id) => !before.includes(id)), []);
  await visitor.context.close();
});

test("without a script the lesson can be read, and a button starts the machine", async () => {
  const visitor = await Visitor.arrive(service, { javaScriptEnabled: false });
  await visitor.go("harbour/walk/1");
  assert.match(await visitor.page.locator("#text").innerText(), /Make the file/);
  await visitor.shot("without-a-script");
  await visitor.page.locator("#start button").click();
  assert.match(visitor.page.url(), /harbour\/walk\/1$/);
  const again = new Visitor(service, visitor.context, visitor.page);
  await again.leave();
});

test("the shell is told how large the terminal is, and of every change", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/actions/1");
  let asked = 0;
  const size = async () => {
    const answer = new RegExp(`(\\d+) (\\d+)\ntold-${++asked}\n`);
    await visitor.type(`clear; stty size; echo told-${asked}\n`);
    return (await visitor.sees(answer)).slice(1).map(Number);
  };
  const [rows, cols] = await size();
  await visitor.page.setViewportSize({ width: 1600, height: 1000 });
  await visitor.page.waitForTimeout(400);
  const [moreRows, moreCols] = await size();
  assert.ok(moreRows > rows && moreCols > cols, `${rows}×${cols} became ${moreRows}×${moreCols}`);
  await visitor.page.locator("#larger").click();
  await visitor.page.waitForTimeout(400);
  const [, fewerCols] = await size();
  assert.ok(fewerCols < moreCols, "larger letters, fewer columns");
  const edge = await visitor.page.locator("#edge").boundingBox();
  await visitor.page.mouse.move(edge.x + 2, 400);
  await visitor.page.mouse.down();
  await visitor.page.mouse.move(edge.x + 200, 400, { steps: 10 });
  await visitor.page.mouse.up();
  await visitor.page.waitForTimeout(400);
  assert.ok((await size())[1] < fewerCols, "a wider lesson, fewer columns");
  await visitor.leave();
});

test("several terminals in tabs, each its own shell", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/actions/1");
  await visitor.command("tty; NAME=first", "/dev/pts/0");
  await visitor.page.locator("#tab-new").click();
  await visitor.prompt();
  await visitor.command("tty; echo name=$NAME.", "name=.");
  await visitor.sees("/dev/pts/1");
  assert.equal(await visitor.page.getByRole("tab", { name: /^Terminal/ }).count(), 2);
  await visitor.page.locator("#tab-1").click();
  await visitor.command("echo again=$NAME.", "again=first.");
  // What another terminal prints meanwhile is said at its tab.
  await visitor.page.locator("#tab-2").click();
  await visitor.type("sleep 1; echo news\n");
  await visitor.page.locator("#tab-1").click();
  await until(() => visitor.page.locator("#tab-2[data-new]").count(), "terminal 2 has news");
  await visitor.shot("two-terminals");
  await visitor.command("exit");
  await visitor.sees("Enter starts another");
  await visitor.type("\n");
  await visitor.sees(/another\.[\s\S]*\$ $/, 10_000, (text) => `${text.trimEnd()} `);
  await visitor.command("echo fresh-$((1 + 1)) name=$NAME.", "fresh-2 name=.");
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("a second tab of the same learner has the same terminal, and both can type", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/actions/1");
  await visitor.command("echo one-$((1 + 1))", "one-2");
  const other = await visitor.anotherTab();
  await other.open("harbour/actions/1");
  await other.sees("one-2");
  await other.command("echo two-$((1 + 1))", "two-2");
  await visitor.sees("two-2");
  // A terminal opened in one tab is there in the other.
  await visitor.page.locator("#tab-new").click();
  await until(() => other.page.locator("#tab-2").count(), "terminal 2 in the other tab");
  await visitor.leave();
});
