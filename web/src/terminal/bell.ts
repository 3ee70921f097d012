// The bell: a sign, and a sound for who wants one; never more than a few in a second, as a program may ring a
// million times.

import { settings } from "../settings.js";

const BETWEEN_MS = 300;
const TONE_HZ = 660;
const TONE_S = 0.12;

/** Lets through so many rings as anybody can tell apart. */
export class Bell {
  private rungAt = -Infinity;

  constructor(private readonly now: () => number = () => Date.now()) {}

  /** Whether this ring counts. */
  rings(): boolean {
    const now = this.now();
    if (now - this.rungAt < BETWEEN_MS) return false;
    this.rungAt = now;
    return true;
  }
}

/** A short tone, if the learner has switched it on. */
export function sound(): void {
  if (settings.get("bell-sound") !== "on") return;
  try {
    const audio = new AudioContext();
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = TONE_HZ;
    volume.gain.setValueAtTime(0.15, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + TONE_S);
    tone.connect(volume).connect(audio.destination);
    tone.onended = () => void audio.close();
    tone.start();
    tone.stop(audio.currentTime + TONE_S);
  } catch {
    // A browser that plays nothing has shown the sign.
  }
}
