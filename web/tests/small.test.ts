// Pasted text, control keys and the times between tries.

import assert from "node:assert/strict";
import test from "node:test";
import { delayMs } from "../src/connection/retry.js";
import { Bell } from "../src/terminal/bell.js";
import { isHardware } from "../src/terminal/hardware.js";
import { COPY_MAX, written } from "../src/terminal/remote-copy.js";
import { isReport } from "../src/terminal/answers.js";
import { cleanPaste, lineCount, pressed, withCtrl } from "../src/terminal/text.js";

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

test("the first try is almost at once, then from 250 ms half as long again each time, up to 2 s", () => {
  const longest = [1, 2, 3, 4, 20].map((n) => delayMs(n, () => 1));
  assert.deepEqual(longest, [100, 250, 375, 563, 2000]);
  const shortest = [1, 2, 3, 4, 20].map((n) => delayMs(n, () => 0));
  assert.deepEqual(shortest, [0, 125, 188, 281, 1000], "half of every wait is chance");
});

test("the bell counts a few times a second, however often it rings", () => {
  let now = 0;
  const bell = new Bell(() => now);
  let rings = 0;
  for (; now < 1000; now++) if (bell.rings()) rings++;
  assert.ok(rings >= 2 && rings <= 4, `${rings} rings in a second`);
});

test("a program's copy is text of a bearable size, and a query copies nothing", () => {
  assert.deepEqual(written(`c;${btoa("hello")}`), { text: "hello" });
  assert.deepEqual(written(`;${Buffer.from("héllo ✓").toString("base64")}`), { text: "héllo ✓" });
  assert.equal(written(`c;${"A".repeat(COPY_MAX * 2)}`), "tooMuch");
  for (const none of ["c;?", "c;", "c;!!!", "x;aGk=", "aGk="]) assert.equal(written(none), null, none);
});

test("a graphics card that is a program is none", () => {
  const software = ["ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)", "llvmpipe (LLVM 15, 256 bits)", "Microsoft Basic Render Driver", "", null];
  for (const name of software) assert.equal(isHardware(name), false, String(name));
  for (const name of ["ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)", "Apple M2"]) assert.equal(isHardware(name), true, name);
});

test("reports of mouse and focus are told from keys", () => {
  for (const report of ["\x1b[I", "\x1b[O", "\x1b[<0;3;4M", "\x1b[M !!"]) assert.ok(isReport(report), JSON.stringify(report));
  for (const key of ["\x1b[A", "\x1bOA", "\x1b", "\x1b[1;2R", "i", "\x1b[Z"]) assert.ok(!isReport(key), JSON.stringify(key));
});

test("the lines of a paste are what would be run", () => {
  assert.deepEqual(["ls", "ls\n", "a\nb", "a\r\nb\r\n", "a\rb\rc"].map(lineCount), [1, 1, 2, 2, 3]);
});
