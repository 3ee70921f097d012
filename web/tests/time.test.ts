// The clock's words: what is left, how urgent it is, and when it is said aloud.

import assert from "node:assert/strict";
import test from "node:test";
import { saying } from "../src/machine/stage.js";
import { initial, type Boot } from "../src/state.js";
import { counted, passed, remaining, urgency } from "../src/machine/time.js";
import { words } from "../src/words.js";

const MINUTE = 60_000;

test("what is left is said in whole minutes, and in seconds when they count", () => {
  const said = [240, 200, 119.2, 60, 34.01, 9.5, 2].map((minutes) => remaining(minutes * MINUTE));
  assert.deepEqual(said, ["4 h 0 min", "3 h 20 min", "2 h 0 min", "60 min", "35 min", "10 min", "2 min"]);
  assert.deepEqual([108_000, 60_000, 9_400, 1, 0, -5].map(remaining), ["1:48", "1:00", "0:10", "0:01", "0:00", "0:00"]);
});

test("under ten minutes it is soon, under two it closes", () => {
  assert.deepEqual([10 * MINUTE, 10 * MINUTE - 1, 2 * MINUTE, 2 * MINUTE - 1, 0].map(urgency), ["calm", "soon", "soon", "closing", "closing"]);
});

test("only two minutes, one minute and ten seconds are said aloud, each once", () => {
  let before = Infinity;
  const said: string[] = [];
  for (let left = 5 * MINUTE; left >= 0; left -= 1000) {
    const milestone = passed(before, left);
    if (milestone) said.push(`${milestone} at ${left / 1000}`);
    before = left;
  }
  assert.deepEqual(said, ["two at 120", "one at 60", "ten at 10"]);
  assert.equal(passed(Infinity, 45_000), "one", "who comes late hears where it stands, not everything that was");
  assert.equal(passed(5_000, 30 * MINUTE), null, "after an extension nothing is said");
});

test("a browser whose clock is wrong counts the same time", () => {
  const time = { left_ms: 90_000, more_ms: 1, most_ms: 2 };
  for (const now of [0, 4_000_000_000_000]) assert.equal(counted(time, now).endsAt - now, 90_000);
});

test("a place in line is said in words, and as much of the wait as is known", () => {
  const line = { place: 3, of: 4, capacity: 40, from_minutes: 6, to_minutes: 8, offered: false, kept_ms: 900_000, held_ms: 60_000 };
  const { title, text, kept } = words.line.saying(line);
  assert.equal(title, "The quay is full.\nYou are third in line.");
  assert.equal(text, "All 40 berths are taken. Yours should open in 6 to 8 minutes. It starts by itself; read on meanwhile.");
  assert.match(kept ?? "", /kept for 15 minutes.*waits 1 minute for you/);
  const wait = (from_minutes: number | null, to_minutes: number | null): string => words.line.saying({ ...line, place: 1, from_minutes, to_minutes }).text;
  assert.match(wait(null, null), /cannot be known yet/);
  assert.match(wait(null, 8), /within 8 minutes if nobody asks for more time/);
  assert.match(wait(0, 1), /within 1 minute\./);
  assert.match(words.line.saying({ ...line, place: 1 }).title, /You are next in line/);
  assert.match(words.line.saying({ ...line, place: 21 }).title, /You are 21st in line/);
  assert.equal(words.line.saying({ ...line, offered: true }).title, "A berth is free");
});

test("what was kept is named", () => {
  assert.deepEqual([[], [2], [1, 2], [1, 2, 4]].map(words.wait.kept), ["", "Kept: step 2 passed.", "Kept: steps 1 and 2 passed.", "Kept: steps 1, 2 and 4 passed."]);
});

test("who waited in line and never had a machine lost none; who had one did", () => {
  const line = { place: 1, of: 1, capacity: 1, from_minutes: null, to_minutes: null, offered: true, kept_ms: 1, held_ms: 1 };
  const phase = { is: "ended", generation: 0, since_ms: 0, message: "Said by the server.", output: null } as const;
  const state = { ...initial({} as Boot), phase, line };
  assert.equal(saying(state).button, words.wait.ended.begin);
  const { title, button } = saying({ ...state, time: { endsAt: 0, moreMs: 0, mostMs: 1 } });
  assert.deepEqual([title, button], [words.wait.ended.title, words.wait.ended.again]);
});
