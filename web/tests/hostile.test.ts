// What a terminal is shown: honest output as it is, hostile output in a size that a page can bear.

import assert from "node:assert/strict";
import test from "node:test";
import { Guard, STRING_MAX } from "../src/terminal/hostile.js";

const SIZE = () => ({ cols: 120, rows: 40 });

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (pieces: Uint8Array[]) => pieces.map((piece) => new TextDecoder("latin1").decode(piece)).join("");
const latin = (string: string) => new TextDecoder("latin1").decode(bytes(string));

function shown(...chunks: string[]): string {
  const guard = new Guard(SIZE);
  return chunks.map((chunk) => text(guard.pass(bytes(chunk)))).join("");
}

const honest = [
  "plain text, héllo ✓ 中文 😀 © ° £\r\n",
  "\x1b[1;31mred\x1b[0m \x1b[38;2;255;128;0;48;5;17;4:3;58:2::1:2:3mcolours\x1b[m",
  "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H\x1b[1;24r\x1b[24;1H\x1b[40L\x1b[3M\x1b[10X\x1b[9999;9999H\x1b[6n",
  "\x1b]0;a title\x07\x1b]8;;https://example.org/\x1b\\link\x1b]8;;\x1b\\\x1b]133;D;0\x07",
  "\x1bPq#0;2;0;0;0#0~~@@vv$-\x1b\\ sixel \x1b_apc\x1b\\ \x1b(0lqk\x1b(B \x1bM \x1b7 \x1b8 \x1b\x1b[A",
  "a control in\x1b[3\n1mside, one cut off \x1b[12\x1b[31m and one given up \x1b[1\x18text",
];

test("honest output passes as it is, and is not copied", () => {
  for (const line of honest) {
    const guard = new Guard(SIZE);
    const input = bytes(line);
    const [piece, ...more] = guard.pass(input);
    assert.equal(piece, input, line);
    assert.deepEqual(more, []);
  }
});

test("honest output passes as it is however it is cut", () => {
  const whole = honest.join("");
  const input = bytes(whole);
  for (const size of [1, 2, 3, 7, 50]) {
    const guard = new Guard(SIZE);
    let out = "";
    for (let at = 0; at < input.length; at += size) out += text(guard.pass(input.subarray(at, at + size)));
    assert.equal(out, latin(whole), `in pieces of ${size}`);
  }
});

test("random bytes pass as they are, but for what they hold of sequences without end", () => {
  const input = Uint8Array.from({ length: 200_000 }, (_, n) => ((n * 7919) ^ (n >> 3) * 31) & 0x7f).filter((byte) => byte !== 0x1b);
  const guard = new Guard(SIZE);
  assert.equal(guard.pass(input)[0], input);
});

test("a count larger than any terminal becomes the largest one", () => {
  for (const last of "LMST") assert.equal(shown(`a\x1b[999999999${last}b`), `a\x1b[40${last}b`);
  for (const last of "@PXbIZ") assert.equal(shown(`a\x1b[999999999${last}b`), `a\x1b[120${last}b`);
  assert.equal(shown("\x1b[5;999999999'}"), "\x1b[5;120'}");
  assert.equal(shown("\x1b[99999;88888H"), "\x1b[9999;9999H");
  assert.equal(shown("\x1b[00000000000003L"), "\x1b[00000000000003L");
  assert.equal(shown("\x1b[9999\n99999S"), "\x1b[\n40S", "a control inside does not hide it");
  assert.equal(shown("\u009b999999999L"), latin("\u009b40L"), "the one-letter form");
});

test("a count is found however it is cut", () => {
  for (let cut = 1; cut < 12; cut++) {
    const whole = "\x1b[999999999L";
    assert.equal(shown(whole.slice(0, cut), whole.slice(cut), "x"), "\x1b[40Lx", `cut at ${cut}`);
  }
});

test("parameters without end are left out, and what follows is shown", () => {
  const endless = `a\x1b[${"1;".repeat(100_000)}mb`;
  assert.equal(shown(endless), "ab");
  const chunks = endless.match(/[\s\S]{1,1000}/g) ?? [];
  assert.equal(shown(...chunks), "ab");
});

test("a string without end is given up, and nothing of it becomes text", () => {
  for (const begin of ["\x1b]0;", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\u0090"]) {
    const megabyte = "x".repeat(1_000_000);
    const out = shown(`a${begin}`, megabyte, megabyte, megabyte, "\x1b\\b");
    assert.ok(out.length < STRING_MAX + 100, `${JSON.stringify(begin)}: ${out.length} bytes`);
    assert.equal(out.at(-1), "b");
    assert.ok(out.includes("\x18"), "it is ended");
  }
  assert.equal(shown("\x1b]0;" + "x".repeat(1_000_000) + "\x07b").slice(-2), "\x18b");
});

test("much work comes in pieces", () => {
  const guard = new Guard(SIZE);
  const flood = "\x1b[40L".repeat(10_000);
  const pieces = guard.pass(bytes(flood));
  assert.ok(pieces.length >= 800, `${pieces.length} pieces`);
  assert.equal(text(pieces), flood);
  assert.equal(guard.pass(bytes("\x1b[K line \x1b[m\r\n".repeat(5000))).length, 1, "an ordinary screen is one");
});

test("marks on a letter beyond what any writing has are left out, however they come", () => {
  const accent = "\u0301";
  const held = latin(`e${accent.repeat(32)}`);
  assert.equal(shown(`e${accent.repeat(300)}e${accent}`), held + latin(`e${accent}`));
  assert.equal(shown(`e${accent.repeat(20)}`, accent.repeat(20), `${accent}.`), `${held}.`);
  assert.equal(shown(`e${"\u200d\u20d0\u{e0101}".repeat(40)}`).length, latin(`e${"\u200d\u20d0\u{e0101}".repeat(11)}`).length - 4);
  for (const writing of ["ক্ষ্ম্য", "น้ำ", "👩🏽‍❤️‍💋‍👨🏾", "e\u0301\u0323\u0308"]) assert.equal(shown(writing.repeat(50)), latin(writing.repeat(50)));
});
