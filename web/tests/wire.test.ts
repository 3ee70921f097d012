// The wire format against the messages that the Rust side reads too.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { decode, encode, hex, unhex, WireError, type FromViewer, type ToViewer } from "../src/connection/wire.js";

interface Golden {
  name: string;
  direction: "from-viewer" | "to-viewer";
  hex: string;
  fields: Record<string, unknown>;
}

const golden = JSON.parse(readFileSync(join(process.env.QUAYSIDE_ROOT!, "tests/wire/messages.json"), "utf8")) as Golden[];

/** The golden file's names are Rust's, and its bytes are hexadecimal. */
function fromFields(fields: Record<string, unknown>): unknown {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), name === "is" ? camel(String(value)) : inBytes(name, value)]));
}

function inBytes(name: string, value: unknown): unknown {
  return name === "bytes" || name === "payload" ? unhex(String(value)) : value;
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

for (const message of golden) {
  test(`${message.direction}: ${message.name}`, () => {
    const frame = fromFields(message.fields);
    if (message.direction === "from-viewer") {
      assert.equal(hex(encode(frame as FromViewer)), message.hex);
    } else {
      const read = decode(unhex(message.hex));
      assert.deepEqual(JSON.parse(JSON.stringify(read, plain)), JSON.parse(JSON.stringify(frame as ToViewer, plain)));
    }
  });
}

test("every kind of frame has a golden message", () => {
  const kinds = new Set(golden.map((message) => `${message.direction} ${String(message.fields.is)}`));
  assert.equal(kinds.size, 6 + 9);
});

test("what does not read is an error, not a guess", () => {
  for (const bad of ["", "63", "01ff", "0600", "06" + "00".repeat(16) + "0900000000", "035b5d", "037b", "03ff"]) {
    assert.throws(() => decode(unhex(bad)), WireError, bad);
  }
});

function plain(_name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? hex(value) : value;
}
