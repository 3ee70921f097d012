// When to try again: almost at once, then after 250 ms, then half as long again each time, up to 2 s.

/** A class whose server comes back is spread over this; nobody sees so short a wait. */
const SPREAD_MS = 100;
const FIRST_MS = 250;
const FACTOR = 1.5;
/** So a page is back within two seconds of its server; a hundred pages ask it then fifty to a hundred times a second. */
const LONGEST_MS = 2_000;

/** A connection that stood this long starts the count anew; one that is taken and dropped at once does not. */
const STABLE_MS = 5_000;

/** How long to wait before try `n` (from 1): half of it is chance, so that a class does not return in step. */
export function delayMs(n: number, random: () => number = Math.random): number {
  if (n <= 1) return Math.round(SPREAD_MS * random());
  const longest = Math.min(FIRST_MS * FACTOR ** (n - 2), LONGEST_MS);
  return Math.round(longest * (0.5 + 0.5 * random()));
}

/** Several connections that were lost together and are tried again together: one countdown for the learner. */
export class Retry {
  private readonly lost = new Set<() => void>();
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private nextAt = 0;
  private foundAt = 0;

  /** `changed` is told whenever something is lost, tried or found again. */
  constructor(private readonly changed: () => void) {}

  /** Nothing is lost: null. Otherwise when the next try is due, and the how many-th it is. */
  get state(): { nextAt: number; tries: number } | null {
    return this.lost.size > 0 ? { nextAt: this.nextAt, tries: this.tries } : null;
  }

  /** A connection is gone; `dial` opens it again. */
  add(dial: () => void): void {
    if (this.lost.size === 0 && Date.now() - this.foundAt > STABLE_MS) this.tries = 0;
    this.lost.add(dial);
    if (this.timer === undefined) this.schedule();
    this.changed();
  }

  /** A connection stands, or is not wanted any more. */
  remove(dial: () => void): void {
    if (!this.lost.delete(dial)) return;
    if (this.lost.size === 0) {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.foundAt = Date.now();
    }
    this.changed();
  }

  /** Tries at once: the learner asked, or the network came back. */
  now(): void {
    if (this.lost.size === 0) return;
    clearTimeout(this.timer);
    this.fire();
  }

  private schedule(): void {
    this.tries++;
    const wait = delayMs(this.tries);
    this.nextAt = Date.now() + wait;
    this.timer = setTimeout(() => this.fire(), wait);
  }

  private fire(): void {
    this.timer = undefined;
    const dials = [...this.lost];
    // Each dials and, if it fails, is tried again on the next turn of the same clock.
    this.schedule();
    for (const dial of dials) dial();
    this.changed();
  }
}
