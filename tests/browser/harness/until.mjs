// Waiting for something to become true, with a limit and words for when it does not.

const EVERY_MS = 25;

export async function until(question, what, withinMs = 10_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
