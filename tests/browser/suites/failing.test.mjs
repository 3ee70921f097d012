// What cannot be had is said in words, with the step that failed, and leaves nothing.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { BINARY, Service, freePort } from "../harness/service.mjs";
import { until } from "../harness/until.mjs";
import { Visitor, closeBrowser } from "../harness/visitor.mjs";

after(closeBrowser);

async function withService(options, story) {
  const service = await new Service({ images: process.env.QUAYSIDE_DATA, ...options }).start();
  try {
    await service.imageReady();
    await story(service);
  } finally {
    const left = await service.stop();
    service.remove();
    assert.deepEqual(left, []);
  }
}

const card = (visitor) => visitor.page.locator("#wait").innerText();

test("an image that has gone names the step that failed, and the next start works again", () => withService({}, async (service) => {
  const layers = join(service.data, "images", "content", "layers");
  for (const name of readdirSync(layers)) renameSync(join(layers, name), join(service.data, `away-${name}`));
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/actions/1");
  await until(async () => /did not start/.test(await card(visitor)), "the page says that it did not start", 20_000);
  const said = await card(visitor);
  assert.match(said, /could not be started, and that is not your doing/);
  assert.match(said, /image learner is not ready; prepare it/);
  assert.match(said, /Try again/);
  await visitor.shot("launch-failed");
  assert.deepEqual(service.sandboxes(), []);
  // The text can be read all the same.
  assert.match(await visitor.page.locator("#text").innerText(), /A command that works/);
  for (const name of readdirSync(service.data).filter((name) => name.startsWith("away-"))) renameSync(join(service.data, name), join(layers, name.slice(5)));
  await visitor.page.locator("#start button").click();
  await visitor.prompt();
  await visitor.leave();
}));

test("a step that fails is named, and leaves nothing", () => withService({}, async (service) => {
  // Nobody, not even root, can make a disk here.
  const disks = join(service.data, "disks");
  spawnSync("chattr", ["+i", disks]);
  const visitor = await Visitor.arrive(service);
  try {
    await visitor.go("harbour/actions/1");
    await until(async () => /did not start/.test(await card(visitor)), "the page says that it did not start", 20_000);
    assert.match(await card(visitor), /cannot start sandbox [\s\S]*step \d+.*disk/);
    await visitor.shot("launch-failed-at-a-step");
    assert.deepEqual(service.sandboxes(), []);
  } finally {
    spawnSync("chattr", ["-i", disks]);
  }
  await visitor.page.locator("#start button").click();
  await visitor.prompt();
  await visitor.leave();
}));

test("a full house has a line, and lets the next one in when somebody has left", () => withService({ args: ["--sessions-max", "1"] }, async (service) => {
  const first = await Visitor.arrive(service);
  await first.open("harbour/actions/1");
  const second = await Visitor.arrive(service);
  await second.go("harbour/actions/1");
  await until(async () => /next in line/.test(await card(second)), "the page says that there is no room", 20_000);
  await second.shot("full-house");
  await first.leave();
  await second.prompt();
  await second.leave();
}));

test("a port in use and a directory in use are said, with what to do", () => withService({}, async (service) => {
  const serve = (data, port) => spawnSync(BINARY, ["serve", "--data", data, "--listen", `127.0.0.1:${port}`, "--lessons", service.lessons], { encoding: "utf8" });
  const same = serve(service.data, await freePort());
  assert.equal(same.status, 1);
  assert.match(same.stderr, /another quayside \(pid \d+\) serves from .*quayside stop/);
  const other = new Service();
  const taken = serve(other.data, service.port);
  assert.equal(taken.status, 1);
  assert.match(taken.stderr, /somebody listens on .*ss -ltnp/);
  other.remove();
}));
