// Tabs of one browser take turns at starting. A browser that was never here gets its cookie with the answer to its
// first start: of two tabs that start at once, each would become a learner of its own, and one would lose its machine.

import { settings } from "./settings.js";

const TURN = "starting";
/** A tab that was closed in the middle of its turn holds nobody up for longer. */
const TURN_MS = 5_000;
const LOOK_EVERY_MS = 50;

export async function inTurn<T>(job: () => Promise<T>): Promise<T> {
  while (isTaken()) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  settings.set(TURN, String(Date.now()));
  try {
    return await job();
  } finally {
    settings.set(TURN, "0");
  }
}

function isTaken(): boolean {
  const since = Date.now() - Number(settings.get(TURN) ?? 0);
  return since >= 0 && since < TURN_MS;
}
