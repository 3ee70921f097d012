// The focus is never lost: where what had it is gone, it goes to what took its place.

import { byId, isShown } from "../dom.js";

/** Called after anything was shown, hidden or taken away. */
export type KeepFocus = () => void;

/** `terminal`: puts the focus into the terminal in front; false: there is none. */
export function keepFocus(terminal: () => boolean): KeepFocus {
  let last: { element: HTMLElement; region: Element | null } | undefined;
  let beforeNote: HTMLElement | undefined;
  const note = byId("note");
  document.addEventListener("focusin", ({ target }) => {
    if (!(target instanceof HTMLElement)) return;
    if (note.contains(target) && last && !note.contains(last.element)) beforeNote = last.element;
    last = { element: target, region: target.closest("#note, #deep") };
  });
  // Who leaves for no other element clicked into nothing, and wants to be nowhere. What is about to be taken away
  // loses the focus first, so that is told a moment later.
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    if (relatedTarget || !(target instanceof HTMLElement)) return;
    setTimeout(() => {
      if (last?.element === target && document.activeElement === document.body && target.isConnected && isShown(target)) last = undefined;
    });
  });

  const isLost = (): boolean => {
    const at = document.activeElement;
    if (at && at !== document.body) return !isShown(at);
    return last !== undefined && !(last.element.isConnected && isShown(last.element) && !last.element.matches(":disabled"));
  };

  return () => {
    if (!last || !isLost()) return;
    const { region } = last;
    const start = byId("wait").querySelector<HTMLElement>("form:not([hidden]) button");
    if (region === note && beforeNote?.isConnected && isShown(beforeNote)) return beforeNote.focus();
    if (region && isShown(byId("wait"))) return (start ?? byId("wait")).focus();
    if (region && terminal()) return;
    byId("lesson").focus({ preventScroll: true });
  };
}
