// Pasted text, control keys and the times between tries.

import assert from "node:assert/strict";
import test from "node:test";
import { delayMs } from "../src/retry.js";
import { cleanPaste, pressed, withCtrl } from "../src/text.js";

test("a paste cannot end the shell's bracketed paste", () => {
  assert.equal(cleanPaste("ls \x1b[201~\nrm -rf ~\n"), "ls [201~\nrm -rf ~\n");
  assert.equal(cleanPaste("a\x9b201~\x00b\x7f"), "a201~b");
});

test("a paste keeps lines, tabs and every language", () => {
  assert.equal(cleanPaste("if x:\r\n\ty = 'héllo ✓ 中文 😀'\n"), "if x:\r\n\ty = 'héllo ✓ 中文 😀'\n");
});

test("Ctrl makes control characters of what has one", () => {
  assert.deepEqual(["c", "C", "[", " ", "?", "1", "ls"].map(withCtrl), ["\x03", "\x03", "\x1b", "\x00", "\x7f", "1", "ls"]);
});

test("a text that names keys presses them, and types what stands between", () => {
  assert.deepEqual(pressed("^C"), ["\x03"]);
  assert.deepEqual(pressed("^ESC"), ["\x1b"]);
  assert.deepEqual(pressed("^D\n"), ["\x04"]);
  assert.deepEqual(pressed("^C^C ^D"), ["\x03\x03\x04"]);
  assert.deepEqual(pressed("^ESC :wq ^ENTER"), ["\x1b", ":wq", "\r"]);
  assert.deepEqual(pressed("exit"), ["exit"]);
  assert.deepEqual(pressed("^NOSUCHKEY"), ["^NOSUCHKEY"]);
  assert.deepEqual(pressed(" "), []);
});

test("the first try is at once, then from 250 ms half as long again each time, up to 5 s", () => {
  const waits = [1, 2, 3, 4, 20].map((n) => delayMs(n, () => 0.5));
  assert.deepEqual(waits, [0, 250, 375, 563, 5000]);
  for (const random of [0, 0.999]) assert.ok(Math.abs(delayMs(20, () => random) - 5000) <= 500);
});
