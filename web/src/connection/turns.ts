// Tabs of one browser take turns at their first start. A browser that was never here gets its cookie with the answer
// to it: of two tabs that start at once, each would become a learner of its own, and one would lose its machine.

import { settings } from "../settings.js";
import { newId } from "./wire.js";

const TURN = "starting";
const KNOWN = "known";
/** A tab that was closed in the middle of its turn holds nobody up for longer. */
const TURN_MS = 5_000;
const LOOK_EVERY_MS = 50;
/** Tabs hear of each other's settings late: after this, both see the same one. */
const SETTLE_MS = 200;

export async function inTurn<T>(job: () => Promise<T>): Promise<T> {
  if (settings.get(KNOWN) === "yes") return job();
  await takeTurn(`${newId()}`);
  try {
    const done = await job();
    settings.set(KNOWN, "yes");
    return done;
  } finally {
    settings.set(TURN, "");
  }
}

/** Of two that write at once, the one whose word stands when both have heard of it goes first. */
async function takeTurn(me: string): Promise<void> {
  for (;;) {
    while (isTaken()) await pause(LOOK_EVERY_MS);
    const word = `${Date.now()} ${me}`;
    settings.set(TURN, word);
    await pause(SETTLE_MS);
    const stands = settings.get(TURN);
    // null: this browser remembers nothing, so nobody can be heard of.
    if (stands === word || stands === null) return;
  }
}

function isTaken(): boolean {
  const since = Date.now() - parseInt(settings.get(TURN) || "0", 10);
  return since >= 0 && since < TURN_MS;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
