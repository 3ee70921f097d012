// Plain http on an address of the LAN, which is how a class reaches a teacher's laptop: no secure context, so no
// clipboard API, and everything works all the same.

import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { after, test } from "node:test";
import { Service } from "../harness/service.mjs";
import { until } from "../harness/until.mjs";
import { Visitor, closeBrowser } from "../harness/visitor.mjs";

const address = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === "IPv4" && !internal)?.address;

after(closeBrowser);

test("typing, copying and pasting over plain http", { skip: address ? false : "this machine has no address but loopback" }, async () => {
  const service = new Service({ images: process.env.QUAYSIDE_DATA, host: address });
  await service.start();
  await service.imageReady();
  try {
    const visitor = await Visitor.arrive(service);
    await visitor.open("harbour/actions/1");
    assert.equal(await visitor.page.evaluate(() => isSecureContext), false);
    await visitor.command("echo héllo-$((6 * 7))", "héllo-42");
    await visitor.run("echo works");
    await visitor.isAction("echo works", "done");
    await visitor.action("copy me").locator(".act__copy").click();
    assert.equal(await visitor.says("copy me"), "copied");
    // What was copied comes back by the browser's own paste, the shortcut that a learner presses.
    await visitor.command("cat");
    await visitor.page.keyboard.press("Control+Shift+V");
    await visitor.sees("copy me: ünï ✓");
    await visitor.page.keyboard.press("Control+c");
    // Copying from the terminal: select a word, Ctrl-C.
    await visitor.command("clear; echo a-word-to-copy");
    await visitor.sees(/^a-word-to-copy\n/);
    const row = visitor.page.locator(".pane[data-front] .xterm-rows > div", { hasText: /^a-word-to-copy/ }).first();
    const box = await row.boundingBox();
    await visitor.page.mouse.dblclick(box.x + 20, box.y + box.height / 2);
    await visitor.page.keyboard.press("Control+c");
    await visitor.command("cat");
    await visitor.page.keyboard.press("Control+Shift+V");
    await until(async () => ((await visitor.screen()).match(/to-copy|word/g) ?? []).length >= 3, "the word is pasted");
    await visitor.page.keyboard.press("Control+c");
    await visitor.shot("lan");
    assert.deepEqual(visitor.complaints, []);
    await visitor.leave();
  } finally {
    const left = await service.stop();
    service.remove();
    assert.deepEqual(left, []);
  }
});
