// Firefox, on plain http at an address of the LAN: typing, paste, copy and a server that comes back.

import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { after, before, test } from "node:test";
import { Firefox, KEY } from "../harness/firefox.mjs";
import { Service } from "../harness/service.mjs";
import { until } from "../harness/until.mjs";

const address = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === "IPv4" && !internal)?.address;
const skip = address ? false : "this machine has no address but loopback";
/** Firefox and a debug server on a busy machine. */
const PATIENCE_MS = 40_000;

let service;
let firefox;

before(async () => {
  if (skip) return;
  service = await new Service({ images: process.env.QUAYSIDE_DATA, host: address }).start();
  await service.imageReady();
  firefox = await Firefox.open();
  await firefox.size(1280, 800);
  await firefox.go(`${service.url}/harbour/actions/1`);
  await sees(/\$ $/);
  service.sandboxes();
});

after(async () => {
  if (skip) return;
  await firefox?.close();
  const left = await service.stop();
  service.remove();
  assert.deepEqual(left, []);
});

const screen = async () => `${(await firefox.evaluate(`[...document.querySelectorAll(".pane[data-front] .xterm-rows > div")].map((row) => row.textContent.replaceAll("\\u00a0", " ").trimEnd()).join("\\n")`)).trimEnd()} `;

async function sees(what) {
  let text = "";
  const seen = async () => what.test((text = await screen()));
  await until(seen, `the terminal shows ${what}`, PATIENCE_MS).catch((error) => {
    throw new Error(`${error.message}; it shows:\n${text}`);
  });
}

const intoTerminal = () => firefox.evaluate(`document.querySelector(".pane[data-front] .xterm-helper-textarea").focus()`);

test("typing", { skip }, async () => {
  assert.equal(await firefox.evaluate("isSecureContext"), false, "there is no clipboard interface here");
  await intoTerminal();
  await firefox.type("echo héllo-$((6 * 7)) | tr a-z A-Z\n");
  await sees(/^HéLLO-42/m);
  await firefox.type("sleep 100\n");
  await firefox.chord(KEY.Control, "c");
  await firefox.type("echo free-$((1 + 1))\n");
  await sees(/^free-2/m);
  // Tab belongs to the shell; Esc, then Tab leads out.
  await firefox.type(`ech${KEY.Tab}`);
  await sees(/\$ echo $/);
  await firefox.chord(KEY.Control, "u");
  await firefox.type(KEY.Escape);
  await firefox.type(KEY.Tab);
  assert.equal(await firefox.evaluate(`document.activeElement.closest(".pane") === null`), true);
  await firefox.shot("firefox");
});

test("copying from the lesson, and pasting", { skip }, async () => {
  await firefox.evaluate(`[...document.querySelectorAll("#lesson [data-do]")].find((it) => it.textContent.includes("copy me")).querySelector(".act__copy").setAttribute("data-here", "")`);
  await firefox.evaluate(`document.querySelector("[data-here]").scrollIntoView({ block: "center" })`);
  await firefox.click("[data-here]");
  await until(() => firefox.evaluate(`document.querySelector("[data-here]").closest("[data-do]").textContent.includes("copied")`), "it says copied");
  await intoTerminal();
  await firefox.type("cat\n");
  await firefox.chord(KEY.Control, KEY.Shift, "v");
  await sees(/copy me: ünï ✓/);
  await firefox.chord(KEY.Control, "c");
});

test("copying from the terminal", { skip }, async () => {
  await intoTerminal();
  await firefox.type("clear; echo a-word-to-copy\n");
  await sees(/^a-word-to-copy\n/);
  await firefox.click(".pane[data-front] .xterm-rows > div", { times: 2, at: [20, 8] });
  await firefox.chord(KEY.Control, "c");
  await firefox.type("cat\n");
  await firefox.chord(KEY.Control, KEY.Shift, "v");
  await until(async () => ((await screen()).match(/to-copy|word/g) ?? []).length >= 3, "the word is pasted", PATIENCE_MS);
  await firefox.chord(KEY.Control, "c");
});

test("a server that comes back finds the same shell", { skip }, async () => {
  await intoTerminal();
  await firefox.type("clear; mine=kept-$((40 + 2))\n");
  await service.killPart("web");
  await until(() => firefox.evaluate(`document.getElementById("strip-text").textContent === "Connected"`), "connected again", PATIENCE_MS);
  await firefox.type("echo $mine\n");
  await sees(/^kept-42/m);
  await firefox.shot("firefox-again");
  assert.deepEqual(firefox.complaints.filter((text) => !/WebSocket|Firefox can.t establish|NetworkError|Cross-Origin-Opener-Policy/.test(text)), []);
});
