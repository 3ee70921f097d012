// A terminal's stream: what is sent, drawn, acknowledged, sent again and dropped.

import assert from "node:assert/strict";
import test from "node:test";
import { ACK_EVERY, INPUT_FRAME, RESEND_MAX_MS, Stream, WAITING_MAX, type Effect } from "../src/connection/stream.js";
import { INPUT_MAX, type ToViewer } from "../src/connection/wire.js";

const VIEWER = "0".repeat(32);
const SIZE = { cols: 80, rows: 24 };

/** A stream with a clock of its own. */
function fresh() {
  const clock = { now: 1_000_000 };
  return { clock, stream: new Stream(VIEWER, () => clock.now) };
}

function attached(fields: Partial<Extract<ToViewer, { is: "attached" }>> = {}) {
  return { is: "attached" as const, offset: 0, replay: 0, lost: 0, input: 0, ended: false, screen: false, ...fields };
}

/** A stream that is attached at 0 with nothing to replay. */
function live() {
  const it = fresh();
  it.stream.opened(SIZE, false);
  it.stream.attachedAt(attached());
  return it;
}

const text = (string: string) => new TextEncoder().encode(string);
const sent = (effects: Effect[]) => effects.flatMap((effect) => (effect.do === "send" ? [effect.frame] : []));
const inputs = (effects: Effect[]) =>
  sent(effects).flatMap((frame) => (frame.is === "input" ? [[frame.number, new TextDecoder().decode(frame.bytes)] as const] : []));

/** Draws everything that is to be drawn, as xterm.js would. */
function draw(stream: Stream, effects: Effect[]): Effect[] {
  return effects.flatMap((effect) => (effect.do === "draw" ? stream.drawnTo(effect.end, effect.epoch) : []));
}

test("an attach says what the page has", () => {
  const { stream } = live();
  stream.output(new Uint8Array(300));
  stream.closed();
  assert.deepEqual(sent(stream.opened(SIZE, false)), [{ is: "attach", viewer: VIEWER, have: 300, ...SIZE, restart: false, roles: true }]);
});

test("drawn output is acknowledged cumulatively, every 64 KiB", () => {
  const { stream } = live();
  const half = stream.output(new Uint8Array(ACK_EVERY / 2));
  assert.deepEqual(draw(stream, half), []);
  const rest = stream.output(new Uint8Array(ACK_EVERY / 2));
  assert.deepEqual(sent(draw(stream, rest)), [{ is: "ack", offset: ACK_EVERY }]);
});

test("received is not drawn: nothing is acknowledged before the emulator has it", () => {
  const { stream } = live();
  assert.deepEqual(sent(stream.output(new Uint8Array(4 * ACK_EVERY))), []);
});

test("output is binary safe", () => {
  const { stream } = live();
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.deepEqual(stream.output(bytes), [{ do: "draw", bytes, end: 256, epoch: 0 }]);
});

test("typed bytes are numbered from the viewer's first", () => {
  const { stream } = live();
  assert.deepEqual(inputs(stream.typed(text("ls"))), [[0, "ls"]]);
  assert.deepEqual(inputs(stream.typed(text("\r"))), [[2, "\r"]]);
});

test("nothing typed while apart is taken, then or later", () => {
  const { stream } = live();
  stream.closed();
  assert.deepEqual(stream.typed(text("rm -rf x\r")), []);
  stream.opened(SIZE, false);
  assert.deepEqual(stream.typed(text("y")), []);
  assert.deepEqual(inputs(stream.attachedAt(attached())), []);
});

test("past and present are drawn apart, so that only queries of the present are answered", () => {
  const { stream } = fresh();
  stream.opened(SIZE, false);
  stream.attachedAt(attached({ offset: 100, replay: 50 }));
  const [past, present, ...more] = stream.output(new Uint8Array(60));
  assert.deepEqual(more, []);
  assert.ok(past?.do === "draw" && past.end === 150 && past.bytes.length === 50);
  assert.ok(present?.do === "draw" && present.end === 160 && present.bytes.length === 10);
  assert.equal(stream.replaying, true);
  assert.deepEqual(inputs(stream.typed(text("l"))), [[0, "l"]], "the learner may type meanwhile");
  draw(stream, [past]);
  assert.equal(stream.replaying, false);
});

test("a picture stands for what was missed, and is no part of the stream", () => {
  const { stream } = live();
  draw(stream, stream.output(new Uint8Array(300)));
  const effects = stream.attachedAt(attached({ offset: 5_000_000, lost: 3_000_000, screen: true }));
  assert.deepEqual(effects, [{ do: "reset" }, { do: "sayLost", bytes: 3_000_000 }]);
  assert.deepEqual(draw(stream, stream.picture(new Uint8Array(2 * ACK_EVERY))), [], "nothing is acknowledged");
  assert.equal(stream.replaying, false);
  const next = stream.output(new Uint8Array(ACK_EVERY));
  assert.deepEqual(sent(draw(stream, next)), [{ is: "ack", offset: 5_000_000 + ACK_EVERY }]);
});

test("no more than 256 KiB of input are on their way; the rest follows the acknowledgements", () => {
  const { stream } = live();
  const paste = new Uint8Array(INPUT_MAX + 3 * INPUT_FRAME);
  const first = sent(stream.typed(paste));
  assert.equal(first.reduce((sum, frame) => sum + (frame.is === "input" ? frame.bytes.length : 0), 0), INPUT_MAX);
  assert.deepEqual(stream.typed(text("x")), []);
  const next = sent(stream.inputAcked(2 * INPUT_FRAME));
  assert.deepEqual(next.map((frame) => frame.is === "input" && frame.number), [INPUT_MAX, INPUT_MAX + INPUT_FRAME]);
  const last = inputs(stream.inputAcked(INPUT_MAX));
  assert.equal(last.at(-1)?.[1], "x");
});

test("Ctrl-C overtakes a paste that a program does not read", () => {
  const { stream } = live();
  stream.typed(new Uint8Array(INPUT_MAX + INPUT_FRAME));
  assert.deepEqual(inputs(stream.typed(text("\x03"))), [[INPUT_MAX, "\x03"]]);
  assert.deepEqual(inputs(stream.inputAcked(INPUT_MAX + 1)), []);
});

test("a paste over the limit is refused as a whole, and said", () => {
  const { stream } = live();
  assert.deepEqual(stream.typed(new Uint8Array(WAITING_MAX + 1)), [{ do: "sayTooMuch", bytes: WAITING_MAX + 1 }]);
});

test("after a loss, what the shell does not have is sent again", () => {
  const { stream, clock } = live();
  stream.typed(text("echo one\r"));
  stream.typed(text("echo two\r"));
  stream.closed();
  clock.now += 2000;
  stream.opened(SIZE, false);
  assert.deepEqual(inputs(stream.attachedAt(attached({ input: 5 }))), [
    [5, "one\r"],
    [9, "echo two\r"],
  ]);
  assert.deepEqual(inputs(stream.typed(text("!"))), [[18, "!"]]);
});

test("what was acknowledged is not sent again", () => {
  const { stream } = live();
  stream.typed(text("date\r"));
  stream.inputAcked(5);
  stream.closed();
  stream.opened(SIZE, false);
  assert.deepEqual(inputs(stream.attachedAt(attached({ input: 5 }))), []);
});

test("input over ten seconds old is dropped, and said", () => {
  const { stream, clock } = live();
  stream.typed(text("old\r"));
  clock.now += RESEND_MAX_MS - 1000;
  stream.typed(text("new\r"));
  stream.closed();
  clock.now += 2000;
  stream.opened(SIZE, false);
  const effects = stream.attachedAt(attached({ input: 0 }));
  assert.deepEqual(effects[0], { do: "sayDropped", bytes: 4 });
  assert.deepEqual(inputs(effects), [[0, "new\r"]]);
});

test("a flapping connection does not keep input young", () => {
  const { stream, clock } = live();
  stream.typed(text("once\r"));
  for (let i = 0; i < 4; i++) {
    stream.closed();
    clock.now += 0.4 * RESEND_MAX_MS;
    stream.opened(SIZE, false);
    const effects = stream.attachedAt(attached());
    assert.equal(inputs(effects).length, i < 2 ? 1 : 0, `try ${i}`);
  }
});

test("what waited unsent is dropped with the connection, and said", () => {
  const { stream } = live();
  stream.typed(new Uint8Array(INPUT_MAX + 100));
  assert.deepEqual(stream.closed(), [{ do: "sayDropped", bytes: 100 }]);
});

test("a reload goes on counting where this viewer stopped", () => {
  const { stream } = fresh();
  stream.opened(SIZE, false);
  stream.attachedAt(attached({ input: 77 }));
  assert.deepEqual(inputs(stream.typed(text("a"))), [[77, "a"]]);
});

test("a new Attached in mid-stream goes on behind the gap, which is said", () => {
  const { stream } = live();
  stream.output(new Uint8Array(10));
  assert.deepEqual(stream.attachedAt(attached({ offset: 510, lost: 500 })), [{ do: "sayLost", bytes: 500 }]);
  assert.deepEqual(stream.output(text("x")), [{ do: "draw", bytes: text("x"), end: 511, epoch: 0 }]);
});

test("another stream than before empties the screen, and late news of the old one are ignored", () => {
  const { stream } = live();
  const old = stream.output(new Uint8Array(4 * ACK_EVERY));
  stream.closed();
  stream.opened(SIZE, false);
  assert.deepEqual(stream.attachedAt(attached({ offset: 0, replay: 20 })), [{ do: "reset" }]);
  assert.deepEqual(draw(stream, old), []);
  assert.equal(stream.replaying, true);
  draw(stream, stream.output(new Uint8Array(20)));
  assert.equal(stream.replaying, false);
});
