// A finger scrolls the terminal, which xterm.js 6 leaves to mice: through its past, or, where a program fills the
// screen or listens to the mouse, as a wheel would turn.

import type { Terminal } from "@xterm/xterm";

/** A finger that has moved less than this taps. */
const TAP_PX = 8;

/** What is left of the speed after each frame of coasting, and below which it stands. */
const FRICTION = 0.95;
const STILL_PX = 0.4;

/** A finger that rested this long before it left does not throw. */
const REST_MS = 60;

export function scrollByTouch(pane: HTMLElement, xterm: Terminal): void {
  let finger: { id: number; x: number; y: number; movedAt: number } | undefined;
  let scrolling = false;
  let speed = 0;
  let frame = 0;
  let rest = 0;

  /** Whole lines are scrolled; what is less stays for the next movement. */
  const turn = (x: number, y: number, by: number): void => {
    const screen = pane.querySelector(".xterm-screen");
    const line = (screen?.clientHeight ?? 0) / xterm.rows;
    if (!screen || line === 0) return;
    rest += by;
    const lines = Math.trunc(rest / line);
    if (lines === 0) return;
    rest -= lines * line;
    if (xterm.buffer.active.type === "normal" && xterm.modes.mouseTrackingMode === "none") return xterm.scrollLines(lines);
    const step = { deltaY: Math.sign(lines), deltaMode: WheelEvent.DOM_DELTA_LINE, clientX: x, clientY: y, bubbles: true, cancelable: true };
    for (let n = 0; n < Math.abs(lines); n++) screen.dispatchEvent(new WheelEvent("wheel", step));
  };

  /** Goes on by itself on the screen that was thrown: a pager that opens meanwhile begins at its first line. */
  const coast = (x: number, y: number, screen: "normal" | "alternate"): void => {
    speed *= FRICTION;
    if (Math.abs(speed) < STILL_PX || xterm.buffer.active.type !== screen) return;
    turn(x, y, speed);
    frame = requestAnimationFrame(() => coast(x, y, screen));
  };

  pane.addEventListener("touchstart", (event) => {
    cancelAnimationFrame(frame);
    scrolling = false;
    speed = 0;
    rest = 0;
    const touch = event.touches.length === 1 ? event.touches[0] : undefined;
    finger = touch && { id: touch.identifier, x: touch.clientX, y: touch.clientY, movedAt: event.timeStamp };
  }, { passive: true });

  pane.addEventListener("touchmove", (event) => {
    const touch = [...event.changedTouches].find(({ identifier }) => identifier === finger?.id);
    if (!finger || !touch) return;
    const by = finger.y - touch.clientY;
    if (!scrolling && Math.abs(by) < TAP_PX) return;
    scrolling = true;
    // Neither the page nor the browser's "pull to reload" shall move.
    if (event.cancelable) event.preventDefault();
    speed = by;
    finger = { ...finger, y: touch.clientY, movedAt: event.timeStamp };
    turn(touch.clientX, touch.clientY, by);
  }, { passive: false });

  pane.addEventListener("touchend", (event) => {
    if (!finger || !scrolling) return;
    // A scroll is no tap: the keyboard stays as it is.
    if (event.cancelable) event.preventDefault();
    const { x, y, movedAt } = finger;
    finger = undefined;
    if (event.timeStamp - movedAt < REST_MS) coast(x, y, xterm.buffer.active.type);
  }, { passive: false });
}
