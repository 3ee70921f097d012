// A terminal under load: what arrives, in which order, and that Ctrl-C always gets through. Times are printed, not judged.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";
import { Wire } from "../harness/wire.mjs";

const service = shared();
const MB = 1_000_000;

async function atPrompt() {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/actions/1");
  return visitor;
}

async function wireOf(visitor, terminal = 2) {
  const wire = await new Wire(service, await visitor.terminalPath(terminal), { cookie: await visitor.cookies() }).attach();
  await wire.sees(/\$ /);
  return wire;
}

test("a flood is ended by Ctrl-C, and the prompt is back", async () => {
  const visitor = await atPrompt();
  await visitor.type("yes 0123456789 0123456789 0123456789\n");
  await pause(3000);
  const begun = Date.now();
  await visitor.page.keyboard.press("Control+c");
  await visitor.sees(/\^C[\s\S]*\$ $/, 10_000, (text) => `${text.trimEnd()} `);
  console.log(`Ctrl-C beside a flood to the prompt, in Chromium: ${Date.now() - begun} ms`);
  await visitor.command("echo free-$((1 + 1))", "free-2");
  await visitor.shot("after-a-flood");
  await visitor.leave();
});

test("a flood in one session does not hold up another", async () => {
  const flooding = await atPrompt();
  await flooding.type("yes\n");
  const calm = await atPrompt();
  const times = [];
  for (let n = 0; n < 20; n++) {
    const begun = performance.now();
    await calm.command(`echo calm-${n}-$((1 + 1))`, `calm-${n}-2`);
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  console.log(`a typed command and its answer beside a flood, p50 ${times[10].toFixed(0)} ms, worst ${times[19].toFixed(0)} ms`);
  await flooding.page.keyboard.press("Control+c");
  await calm.leave();
  await flooding.leave();
});

test("20 MB of UTF-8 arrive byte for byte", async () => {
  const visitor = await atPrompt();
  const wire = await wireOf(visitor);
  wire.type("awk 'BEGIN { for (n = 0; n < 400000; n++) printf \"%08d héllo ✓ 中文 😀 wörld, and so on and on\\n\", n }' > /root/text; clear; wc -c < /root/text; sha256sum < /root/text; stty -opost -echo; echo made; read go; cat /root/text; echo; stty sane\n");
  await wire.sees("\nmade\n", 30_000);
  const [, size, sum] = /(\d+)\r\n([0-9a-f]{64})/.exec(wire.text);
  const hash = createHash("sha256");
  let seen = 0;
  const wanted = Number(size);
  wire.onOutput = (bytes) => {
    const part = bytes.subarray(0, Math.max(0, wanted - seen));
    hash.update(part);
    seen += bytes.length;
  };
  const begun = Date.now();
  wire.type("\n");
  for (const deadline = Date.now() + 60_000; seen < wanted && Date.now() < deadline; ) await pause(20);
  const ms = Date.now() - begun;
  console.log(`${(wanted / MB).toFixed(1)} MB in ${ms} ms, ${(wanted / 1000 / ms).toFixed(0)} MB/s with this debug build and this client`);
  assert.ok(seen >= wanted, `${seen} of ${wanted} bytes`);
  assert.equal(hash.digest("hex"), sum);
  wire.close();
  await visitor.leave();
});

test("a paste of 1 MB arrives whole, and Ctrl-C passes one that nobody reads", async () => {
  const visitor = await atPrompt();
  const wire = await wireOf(visitor);
  wire.type("stty -echo -icanon; head -c 1000000 | sha256sum; stty sane\n");
  await pause(500);
  const paste = Buffer.from(Array.from({ length: MB }, (_, n) => (n % 64 === 63 ? 10 : 33 + ((n * 7) % 90))));
  await wire.paste(paste);
  await wire.sees(createHash("sha256").update(paste).digest("hex"), 30_000);
  wire.close();
  // In the page: a megabyte into a program that does not read, and Ctrl-C still ends it.
  await visitor.type("sleep 1000\n");
  await visitor.page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", `${"x".repeat(79)}\n`.repeat(12_000));
    document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await pause(1000);
  await visitor.page.keyboard.press("Control+c");
  await visitor.sees(/\$ $/, 15_000, (text) => `${text.trimEnd()} `);
  await pause(500);
  await visitor.page.keyboard.press("Control+c");
  await visitor.command("clear; echo free-$((1 + 1))", "free-2", 15_000);
  await visitor.leave();
});

test("one viewer that does not read holds up nobody else", async () => {
  const visitor = await atPrompt();
  const deaf = new Wire(service, await visitor.terminalPath(1), { cookie: await visitor.cookies() });
  deaf.deaf = true;
  await deaf.attach();
  await visitor.command("seq 200000 | tail -n 200000; echo all-$((1 + 1))", "all-2", 30_000);
  deaf.close();
  await visitor.leave();
});
